"""MNIST: files laid there by hand, in every accepted form and place, and every way in which they can be wrong."""

import gzip
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from gradmix.domains import mnist

STEMS = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
TEST = {"split": "test"}
# Of the .gz files, from torchvision.datasets.MNIST.resources.
PACKED_MD5 = {
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}


def idx(array):
    shape = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return b"\x00\x00\x08" + bytes([array.ndim]) + shape + array.tobytes()


@pytest.fixture
def tiny(monkeypatch):
    """Two small files in the place of MNIST's test files, so that no download is needed: content by stem."""
    random = np.random.default_rng(0)
    arrays = {
        STEMS[0]: random.integers(0, 256, (20, 28, 28), dtype=np.uint8),
        STEMS[1]: (np.arange(20) % 10).astype(np.uint8),
    }
    contents = {stem: idx(array) for stem, array in arrays.items()}
    for stem, array in arrays.items():
        md5 = hashlib.md5(contents[stem]).hexdigest()
        monkeypatch.setitem(mnist.FILES, stem, (md5, array.shape))
    return contents


@pytest.fixture
def offline(monkeypatch):
    """Downloads fail as they do without a network."""

    def refuse(root, download):
        raise RuntimeError("Error downloading:\nno network")

    monkeypatch.setattr("torchvision.datasets.MNIST", refuse)


def lay(folder, contents, pack=False, mtime=0, dotted=False):
    folder.mkdir(parents=True, exist_ok=True)
    for stem, content in contents.items():
        name = (stem.replace("-idx", ".idx") if dotted else stem) + (".gz" if pack else "")
        (folder / name).write_bytes(gzip.compress(content, mtime=mtime) if pack else content)


@pytest.mark.parametrize("place", mnist.FOLDERS)
@pytest.mark.parametrize(
    "form", [{}, {"pack": True}, {"pack": True, "mtime": 12345}, {"dotted": True}]
)
def test_found_in_every_place_and_form_with_the_same_result(tmp_path, tiny, place, form):
    lay(tmp_path / place, tiny, **form)
    raw = mnist.load(TEST, tmp_path, ())
    assert raw.images.shape == (20, 28, 28, 1)
    assert raw.images.tobytes() == tiny[STEMS[0]][16:]
    assert raw.class_names.tolist() == list("0123456789") * 2
    assert raw.originals[3] == "t10k-images-idx3-ubyte/3"
    assert raw.sources == {stem: hashlib.sha256(tiny[stem]).hexdigest() for stem in STEMS}
    assert len(mnist.raw_files(TEST, tmp_path)) == 2


def test_a_packed_file_without_gz_in_its_name_is_no_error(tmp_path, tiny):
    lay(tmp_path / "mnist", {stem: gzip.compress(content) for stem, content in tiny.items()})
    assert len(mnist.load(TEST, tmp_path, ()).images) == 20


PACKED = ".gz: corrupt or truncated gzip"
WRONG = [
    (lambda content: gzip.compress(content)[:-9], True, PACKED),
    (lambda content: gzip.compress(content)[:5], True, PACKED),
    (
        lambda content: gzip.compress(content)[:900] + b"x" + gzip.compress(content)[901:],
        True,
        PACKED,
    ),
    (lambda content: content[:-1], False, ": truncated: 15695 of 15696 bytes"),
    (lambda content: content[:20], False, ": truncated: 20 of 15696 bytes"),
    (lambda content: content + b"x", False, ": too long: more than 15696 bytes"),
    # However long: no more of it is unpacked.
    (
        lambda content: gzip.compress(content + bytes(10**7), 1),
        True,
        ".gz: too long: more than 15696 bytes",
    ),
    (lambda content: b"", False, ": neither gzip nor an idx file"),
    (lambda content: b"<html>404</html>", True, ".gz: neither gzip .*a web page was saved"),
    (lambda content: content[:-1] + b"x", False, ": not the original .*: the MD5"),
    (lambda content: idx(np.zeros((9, 28, 28), np.uint8)), False, ": not the original"),
]


@pytest.mark.parametrize(("damage", "packed", "message"), WRONG)
def test_a_damaged_file_is_named(tmp_path, tiny, damage, packed, message):
    lay(tmp_path / "mnist", tiny)
    path = tmp_path / "mnist" / STEMS[0]
    content = damage(path.read_bytes())
    path.unlink()
    path = path.with_name(STEMS[0] + ".gz" * packed)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(tmp_path / "mnist" / STEMS[0])) + message):
        mnist.load(TEST, tmp_path, ())


def test_a_misnamed_file_is_told(tmp_path, tiny):
    lay(
        tmp_path / "mnist",
        {"train-images-idx3-ubyte": tiny[STEMS[0]], "train-labels-idx1-ubyte": b""},
    )
    message = "train-images-idx3-ubyte: holds the content of t10k-images-idx3-ubyte, .*misnamed"
    with pytest.raises(ValueError, match=message):
        mnist.load({"split": "train"}, tmp_path, ())


@pytest.mark.parametrize("laid", [(), STEMS[:1]])
def test_missing_and_offline_says_where_it_looked_and_what_to_do(tmp_path, tiny, offline, laid):
    lay(tmp_path / "mnist", {stem: tiny[stem] for stem in laid})
    with pytest.raises(ValueError, match="could not be downloaded") as raised:
        mnist.load(TEST, tmp_path, ())
    message = str(raised.value)
    for part in (
        "(RuntimeError: Error downloading: no network)",
        "By hand: get train-images-idx3-ubyte.gz",
        "https://",
        *STEMS,
    ):
        assert part in message
    for folder in mnist.FOLDERS:
        assert str(tmp_path / folder) in message


def test_a_download_is_verified_and_is_no_new_input_of_the_workflow(tmp_path, tiny, monkeypatch):
    calls = []

    def download(root, download):
        calls.append(root)
        lay(Path(root) / "MNIST/raw", dict.fromkeys(mnist.FILES, b"") | tiny, pack=True)

    monkeypatch.setattr("torchvision.datasets.MNIST", download)
    assert mnist.raw_files(TEST, tmp_path) == []
    for _ in range(2):
        assert len(mnist.load(TEST, tmp_path, ()).images) == 20
        assert mnist.raw_files(TEST, tmp_path) == []
    assert len(calls) == 1
    left = sorted(path.name for path in (tmp_path / "downloads/mnist").iterdir())
    assert left == sorted(f"{stem}.gz" for stem in mnist.FILES)


def test_a_broken_download_is_not_found_by_the_next_run(tmp_path, tiny, monkeypatch):
    def download(root, download):
        lay(Path(root) / "MNIST/raw", dict.fromkeys(STEMS, b"half"), pack=True)
        raise OSError("Connection reset")

    monkeypatch.setattr("torchvision.datasets.MNIST", download)
    for _ in range(2):
        with pytest.raises(ValueError, match="Connection reset"):
            mnist.load(TEST, tmp_path, ())
    assert list((tmp_path / "downloads/mnist").iterdir()) == []


@pytest.mark.parametrize("split", [None, "extra"])
def test_split_is_checked(tmp_path, split):
    for call in (mnist.raw_files, lambda *args: mnist.load(*args, ())):
        with pytest.raises(ValueError, match=f"needs `split`: train or test, but got {split!r}"):
            call({"split": split}, tmp_path)


@pytest.mark.data
@pytest.mark.parametrize("stem", mnist.FILES)
def test_the_sums_are_those_of_the_files_that_torchvision_knows(need, stem):
    packed = need(f"mnist/{stem}.gz").read_bytes()
    # The time in the header (bytes 4 to 7) is no content; the original of this one file has one.
    assert stem.startswith("train-images") or hashlib.md5(packed).hexdigest() == PACKED_MD5[stem]
    assert hashlib.md5(gzip.decompress(packed)).hexdigest() == mnist.FILES[stem][0]


@pytest.mark.data
def test_real_test_set(need, real_data):
    need("mnist/t10k-images-idx3-ubyte.gz")
    raw = mnist.load(TEST, real_data, ())
    assert raw.images.shape == (10000, 28, 28, 1)
    counts = np.unique(raw.class_names, return_counts=True)[1]
    assert counts.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
