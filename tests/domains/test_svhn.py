"""SVHN: the .mat file found, verified and read in the right order; every way in which it can be wrong."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from gradmix.domains import svhn

TEST = {"split": "test"}
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
LABELS = np.array([10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1], dtype=np.uint8)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A file in the format of SVHN in the place of the test file, laid into data_dir/svhn."""
    path = tmp_path / "svhn" / "test_32x32.mat"
    path.parent.mkdir()
    content = {"X": IMAGES.transpose(1, 2, 3, 0), "y": LABELS[:, None]}
    savemat(path, content, do_compression=True)
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(svhn.SPLITS, "test", (md5, 12))
    return path


@pytest.mark.parametrize("place", svhn.FOLDERS)
def test_found_and_read(tmp_path, tiny, place):
    (tmp_path / place).mkdir(exist_ok=True)
    moved = tiny.rename(tmp_path / place / tiny.name)
    assert svhn.raw_files(TEST, tmp_path) == [moved]
    raw = svhn.load(TEST, tmp_path, ())
    assert np.array_equal(raw.images, IMAGES)
    assert raw.class_names.tolist() == list("012345678901")
    assert raw.originals[11] == "test_32x32.mat/11"
    assert raw.sources["test_32x32.mat"] == hashlib.sha256(moved.read_bytes()).hexdigest()


def test_damaged_or_misnamed_file_is_named(tmp_path, tiny):
    misnamed = tiny.with_name("train_32x32.mat")
    misnamed.write_bytes(tiny.read_bytes())
    message = r"train_32x32\.mat: holds the content of test_32x32\.mat"
    with pytest.raises(ValueError, match=message):
        svhn.load({"split": "train"}, tmp_path, ())
    tiny.write_bytes(tiny.read_bytes()[:-1])
    with pytest.raises(ValueError, match=re.escape(str(tiny)) + ": corrupt, truncated or not the"):
        svhn.load(TEST, tmp_path, ())


def test_missing_and_offline_says_where_it_looked_and_what_to_do(tmp_path, monkeypatch):
    def refuse(url, root, md5):
        raise OSError("Network is unreachable")

    monkeypatch.setattr("torchvision.datasets.utils.download_url", refuse)
    with pytest.raises(ValueError, match="could not be downloaded") as raised:
        svhn.load(TEST, tmp_path, ())
    message = str(raised.value)
    where = f"lay it into {tmp_path / 'svhn'}"
    for part in ("Network is unreachable", f"{svhn.URL}test_32x32.mat", where, "looked for"):
        assert part in message


def test_a_download_is_verified_and_is_no_new_input_of_the_workflow(tmp_path, tiny, monkeypatch):
    content = tiny.read_bytes()
    tiny.unlink()

    def download(url, root, md5):
        assert (url, md5) == (f"{svhn.URL}test_32x32.mat", svhn.SPLITS["test"][0])
        assert Path(root).parent == tmp_path / "downloads/svhn"
        (Path(root) / "test_32x32.mat").write_bytes(content)

    monkeypatch.setattr("torchvision.datasets.utils.download_url", download)
    for _ in range(2):
        assert len(svhn.load(TEST, tmp_path, ()).images) == 12
        assert svhn.raw_files(TEST, tmp_path) == []


def test_sums_are_torchvisions():
    from torchvision.datasets import SVHN

    expected = {split: entry[2] for split, entry in SVHN.split_list.items()}
    assert {split: md5 for split, (md5, _) in svhn.SPLITS.items()} == expected


def test_split_is_checked(tmp_path):
    with pytest.raises(ValueError, match="needs `split`: train, test, extra, but got 'valid'"):
        svhn.raw_files({"split": "valid"}, tmp_path)
