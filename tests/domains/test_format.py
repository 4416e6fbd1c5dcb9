"""The on-disk format: what is written is read back, and nothing half-written or damaged is taken for whole."""

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from domain_tables import table

from gradmix.domains.content import content_hashes
from gradmix.domains.format import COLUMNS, open_domain, write_domain
from gradmix.files import sha256_of

INFO = {"name": "d", "origin": "test", "label_space": "two", "classes": ["0", "1"]}


def test_round_trip(small):
    folder, images = small
    domain = open_domain(folder, check_content=True)
    assert isinstance(domain.images, np.memmap)
    assert not domain.images.flags.writeable
    assert np.array_equal(domain.images, images)
    assert domain.labels.dtype == np.int64
    assert domain.labels.tolist() == [0, 1] * 20
    assert (domain.name, domain.label_space, domain.classes, len(domain)) == (
        "small",
        "two",
        ["0", "1"],
        40,
    )
    assert domain.info["per_class"] == {"0": 20, "1": 20}
    assert domain.info["sha256"] == sha256_of(folder / "images.npy")
    assert domain.info["index_sha256"] == sha256_of(folder / "index.parquet")
    assert tuple(domain.index.columns) == COLUMNS
    assert domain.index.content.tolist() == content_hashes(images)
    assert not list(folder.glob(".*"))


def test_columns_are_those_of_the_index_and_need_no_pandas(small):
    folder, _ = small
    code = (
        "import sys\nfrom gradmix.domains.format import open_domain\n"
        "domain = open_domain(sys.argv[1])\n"
        "print(len(domain), *domain.column('content'), *domain.column('group'), sep=',')\n"
        "assert 'pandas' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    index = open_domain(folder).index
    assert done.stdout.strip().split(",") == ["40", *index.content, *index.group]


def test_a_column_that_cannot_be_read_names_the_file(small):
    domain = open_domain(small[0])
    with pytest.raises(ValueError, match=r"index\.parquet: not a readable index \(lacks"):
        domain.column("weather")


def test_file_is_what_numpy_writes(small, tmp_path):
    folder, images = small
    np.save(tmp_path / "numpy.npy", images)
    assert (folder / "images.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()


def test_chunks_and_array_give_the_same_files(small, tmp_path):
    folder, images = small
    chunks = (images[start : start + 7] for start in range(0, 40, 7))
    write_domain(tmp_path / "b", chunks, table(np.arange(40) % 2), INFO | {"name": "small"})
    for name in ("images.npy", "index.parquet", "domain.json"):
        assert (folder / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_content_hash_tells_pixels_and_shape_apart():
    grey = np.arange(12, dtype=np.uint8).reshape(1, 4, 3, 1)
    colour = np.repeat(grey, 3, axis=3)
    other = colour.copy()
    other[0, 0, 0, 0] ^= 1
    assert content_hashes(grey) != content_hashes(grey.reshape(1, 3, 4, 1))
    assert content_hashes(colour) != content_hashes(other)
    assert len(content_hashes(grey)[0]) == 32


def test_a_grey_copy_in_colour_has_the_same_hash():
    grey = np.random.default_rng(1).integers(0, 256, (5, 4, 3, 1), dtype=np.uint8)
    assert content_hashes(np.repeat(grey, 3, axis=3)) == content_hashes(grey)


def damage_images(folder):
    path = folder / "images.npy"
    path.write_bytes(path.read_bytes()[:-1])


def lengthen_images(folder):
    with open(folder / "images.npy", "ab") as file:
        file.write(b"x")


def other_images(folder):
    np.save(folder / "images.npy", np.zeros((39, 6, 5, 3), np.uint8))


def float_images(folder):
    np.save(folder / "images.npy", np.zeros((40, 6, 5, 3), np.float32))


def damage_index(folder):
    path = folder / "index.parquet"
    path.write_bytes(path.read_bytes()[:100])


def short_index(folder):
    pd.read_parquet(folder / "index.parquet").iloc[:-1].to_parquet(folder / "index.parquet")


def narrow_index(folder):
    pd.read_parquet(folder / "index.parquet")[["label"]].to_parquet(folder / "index.parquet")


def wild_label(folder):
    pd.read_parquet(folder / "index.parquet").assign(label=2).to_parquet(folder / "index.parquet")


def half_info(folder):
    path = folder / "domain.json"
    path.write_text(path.read_text()[:50])


def poor_info(folder):
    (folder / "domain.json").write_text('{"name": "small"}')


DAMAGES = [
    (damage_images, r"images\.npy: truncated or corrupt"),
    (lengthen_images, r"images\.npy: 1 bytes longer"),
    (other_images, r"images\.npy: holds \(39, 6, 5, 3\) uint8, but domain\.json announces \(40, "),
    (float_images, r"images\.npy: holds .* float32"),
    (lambda folder: (folder / "images.npy").write_bytes(b""), r"images\.npy: truncated"),
    (lambda folder: (folder / "images.npy").unlink(), r"images\.npy is missing"),
    (damage_index, r"index\.parquet: truncated or corrupt"),
    (short_index, r"index\.parquet: has 39 rows, but domain\.json announces 40"),
    (narrow_index, r"index\.parquet: lacks the columns class_name"),
    (wild_label, r"index\.parquet: labels must be whole numbers in 0\.\.1"),
    (lambda folder: (folder / "index.parquet").unlink(), r"index\.parquet is missing"),
    (half_info, r"domain\.json: not readable as JSON"),
    (poor_info, r"domain\.json: lacks origin"),
    (lambda folder: (folder / "domain.json").unlink(), "images.npy and index.parquet: its writing"),
    (shutil.rmtree, "holds no domain"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_damage_is_named(small, damage, message):
    damage(small[0])
    with pytest.raises(ValueError, match=message):
        open_domain(small[0])


def flip(path, place=-1):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_changed_pixels_are_noticed_by_the_time_stamp_or_when_asked_for(small):
    folder, message = small[0], r"images\.npy: not the content that domain\.json"
    flip(folder / "images.npy")
    with pytest.raises(ValueError, match=message):
        open_domain(folder)
    times = (folder / "domain.json").stat()
    os.utime(folder / "images.npy", ns=(times.st_atime_ns, times.st_mtime_ns))
    open_domain(folder)  # as when a disk loses a bit
    with pytest.raises(ValueError, match=message):
        open_domain(folder, check_content=True)


def test_the_images_of_a_copy_are_read_once(small, tmp_path, monkeypatch):
    from gradmix.domains import format as module

    read, original = [], module.check_sha256

    def check(path, *arguments):
        read.append(path.name)
        original(path, *arguments)

    monkeypatch.setattr(module, "check_sha256", check)
    open_domain(small[0])
    assert read == ["index.parquet"]
    folder = tmp_path / "copy"
    shutil.copytree(small[0], folder, copy_function=shutil.copyfile)
    os.utime(folder / "images.npy", (1, 1))
    open_domain(folder)
    open_domain(folder)
    assert read[1:] == ["index.parquet", "images.npy", "index.parquet"]


def test_no_flipped_bit_of_the_index_or_the_description_passes(small):
    """In domain.json a flip may lie between the values, and changes none of them."""
    folder = small[0]
    before = open_domain(folder).info
    for name, step in (("index.parquet", 211), ("domain.json", 7)):
        path = folder / name
        whole = path.read_bytes()
        for place in range(0, len(whole), step):
            flip(path, place)
            with contextlib.suppress(ValueError):
                assert open_domain(folder).info == before
                assert name == "domain.json"
            path.write_bytes(whole)


IMAGES = np.zeros((4, 3, 3, 1), np.uint8)
REFUSED = [
    (IMAGES.astype(float), [0, 1, 0, 1], "uint8 with C = 1 or 3"),
    (IMAGES[..., 0], [0, 1, 0, 1], "uint8 with C = 1 or 3"),
    (np.zeros((4, 3, 3, 2), np.uint8), [0, 1, 0, 1], "uint8 with C = 1 or 3"),
    (IMAGES, [0, 1, 0], "4 images, but 3 rows"),
    (IMAGES, [0, 1, 0, 2], r"labels must lie in 0\.\.1"),
    (IMAGES, [0, 1, 0, -1], r"labels must lie in 0\.\.1"),
    ([IMAGES, IMAGES[:, :2]], [0, 1] * 4, "all images of a domain have one shape"),
    (IMAGES[:0], [], "'d' is empty"),
]


@pytest.mark.parametrize(("images", "labels", "message"), REFUSED)
def test_what_does_not_fit_is_refused_and_leaves_no_domain(tmp_path, images, labels, message):
    index = table(np.array(labels, dtype=np.int64))
    with pytest.raises(ValueError, match=message):
        write_domain(tmp_path / "d", images, index, INFO)
    assert not (tmp_path / "d" / "domain.json").exists()
    assert not list((tmp_path / "d").glob(".*"))


def test_a_failed_rewrite_does_not_pass_for_the_old_domain(small):
    folder, images = small

    def broken():
        yield images[:7]
        raise RuntimeError("the origin broke off")

    with pytest.raises(RuntimeError):
        write_domain(folder, broken(), table(np.arange(40) % 2), INFO)
    with pytest.raises(ValueError, match="its writing was broken off"):
        open_domain(folder)


# Files of about 123,000 (images), 10,000 (index) and 500 bytes (json): each limit hits another one.
FULL_DISK = """
import sys, numpy as np, pandas as pd
from gradmix.domains.format import write_domain
images = np.random.default_rng(0).integers(0, 256, (N, 2, 2, 1), dtype=np.uint8)
text = [f"{number:032x}" for number in range(N)]
index = pd.DataFrame({"label": np.arange(N) % 2, "class_name": "x", "group": text, "clip": text, "original": text})
info = {"name": "d", "origin": "t", "label_space": "two", "classes": ["0", "1"], "notes": ["n" * NOTE]}
write_domain(sys.argv[1], images, index, info)
"""


@pytest.mark.parametrize(
    ("count", "note", "limit", "there"),
    [
        (20000, 1, 60000, []),
        (400, 1, 8192, ["images.npy"]),
        (8, 60000, 40000, ["images.npy", "index.parquet"]),
    ],
    ids=["in the images", "in the index", "in domain.json"],
)
def test_a_full_disk_leaves_nothing_that_passes_for_whole(tmp_path, count, note, limit, there):
    script = (
        FULL_DISK.replace("NOTE", str(note)).replace("N,", f"{count},").replace("N)", f"{count})")
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "d")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "File too large" in done.stderr
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == there
    with pytest.raises(ValueError, match=r"domain\.json is missing"):
        open_domain(tmp_path / "d")


def test_memory_does_not_grow_with_the_domain(tmp_path):
    def peaks(count):
        chunks = (np.zeros((64, 64, 64, 1), np.uint8) for _ in range(count))
        index = table(np.arange(64 * count) % 2)
        tracemalloc.start()
        write_domain(tmp_path / str(count), chunks, index, INFO)
        written = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        domain = open_domain(tmp_path / str(count))
        opened = tracemalloc.get_traced_memory()[1]
        assert domain.images.nbytes == count * 64**3
        tracemalloc.stop()
        return written, opened

    peaks(1)
    for few, many in zip(peaks(2), peaks(64), strict=True):
        assert (
            many - few < 2_000_000
        )  # of 16 MB more images; the index grows by some 100 bytes a row


def test_info_keeps_what_the_caller_gave(tmp_path):
    info = INFO | {"sources": {"raw.npz": "abc"}, "code": "c", "notes": ["n"]}
    write_domain(tmp_path / "d", IMAGES, table(np.array([0, 1, 1, 1])), info)
    written = json.loads((tmp_path / "d" / "domain.json").read_text())
    assert {key: written[key] for key in info} == info
    assert written["per_class"] == {"0": 1, "1": 3}
    assert written["shape"] == [3, 3, 1]
