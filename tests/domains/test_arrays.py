"""Anybody's arrays: what is accepted, and what each mistake is called."""

import numpy as np
import pytest

from gradmix.domains import arrays

IMAGES = np.arange(6 * 4 * 5 * 3, dtype=np.uint16).astype(np.uint8).reshape(6, 4, 5, 3)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def load(folder, settings=None, **content):
    np.savez(folder / "mine.npz", **content)
    return arrays.load({"file": "mine.npz"} | (settings or {}), folder, {"0", "1"})


@pytest.mark.parametrize(
    ("images", "shape"),
    [
        (IMAGES, (6, 4, 5, 3)),
        (IMAGES[..., :1], (6, 4, 5, 1)),
        (IMAGES[..., 0], (6, 4, 5, 1)),
        (IMAGES[:, :3, :3], (6, 3, 3, 3)),
    ],
)
def test_shapes(tmp_path, images, shape):
    raw = load(tmp_path, images=images, labels=LABELS)
    assert raw.images.shape == shape
    assert np.array_equal(raw.images.reshape(images.shape), images)
    assert raw.class_names.tolist() == ["0", "1", "2", "0", "1", "2"]
    assert raw.originals[5] == "mine.npz/5"
    assert raw.groups is None


@pytest.mark.parametrize(
    "labels",
    [LABELS.astype(np.uint8), LABELS.astype(np.float32), LABELS.astype(str), LABELS.astype("S")],
)
def test_labels_may_be_whole_numbers_or_strings(tmp_path, labels):
    raw = load(tmp_path, images=IMAGES, labels=labels)
    assert raw.class_names.tolist() == ["0", "1", "2", "0", "1", "2"]


def test_keys_groups_and_originals(tmp_path):
    settings = {"images": "X", "labels": "y", "groups": "who", "originals": "name"}
    raw = load(tmp_path, settings, X=IMAGES, y=LABELS, who=LABELS * 10, name=LABELS.astype(str))
    assert raw.groups.tolist() == ["0", "10", "20"] * 2
    assert raw.originals.tolist() == ["0", "1", "2"] * 2
    assert list(raw.sources) == ["mine.npz"]


WRONG = [
    ({"images": IMAGES}, r"has no array 'labels'; it has 'images'"),
    ({"labels": LABELS}, r"has no array 'images'; it has 'labels'"),
    ({"images": IMAGES.transpose(0, 3, 1, 2)}, r"looks like \(N,C,H,W\).*transpose\(0, 2, 3, 1\)"),
    ({"images": IMAGES[..., :2]}, r"must be \(N,H,W\), \(N,H,W,1\) or \(N,H,W,3\)"),
    ({"images": np.zeros((6, 4, 5, 4), np.uint8)}, r"\(N,H,W,3\), but its shape is \(6, 4, 5, 4\)"),
    ({"images": IMAGES[0, 0]}, r"its shape is \(5, 3\)"),
    ({"images": IMAGES[:0], "labels": LABELS[:0]}, "holds no image"),
    ({"images": IMAGES / 255}, "must be uint8 with grey levels 0..255, but is float64"),
    ({"labels": LABELS[:5]}, r"one value per image, shape \(6,\), but its shape is \(5,\)"),
    ({"labels": LABELS[:, None]}, r"one value per image, shape \(6,\), but its shape is \(6, 1\)"),
    ({"labels": np.array([0, 1, -2, 0, 0, 0])}, r"array 'labels'.*row 2 is -2"),
    ({"labels": LABELS + 0.5}, r"whole numbers from 0, but row 0 is 0\.5"),
    ({"labels": np.array([0, np.nan, 1, 0, 0, 0])}, "row 1 is nan"),
    ({"labels": LABELS > 0}, "labels must be whole numbers or strings, but are bool"),
    ({"labels": LABELS.astype(object)}, r"mine\.npz: .*store strings as str arrays"),
    ({"groups": LABELS[:4]}, r"array 'groups': must hold one value per image"),
    ({"groups": LABELS / 3}, r"array 'groups': must be whole numbers or strings"),
]


@pytest.mark.parametrize(("content", "message"), WRONG)
def test_mistakes_name_file_and_array(tmp_path, content, message):
    whole = content if len(content) == 1 and "has no array" in message else None
    settings = {"groups": "groups"} if "groups" in content else {}
    with pytest.raises(ValueError, match=message) as raised:
        load(tmp_path, settings, **(whole or {"images": IMAGES, "labels": LABELS} | content))
    assert str(tmp_path / "mine.npz") in str(raised.value)


def test_missing_file_says_where(tmp_path):
    with pytest.raises(ValueError, match=r"mine\.npz does not exist .*relative to data_dir"):
        arrays.load({"file": "mine.npz"}, tmp_path, ())
    with pytest.raises(ValueError, match="needs `file`"):
        arrays.load({}, tmp_path, ())


@pytest.mark.parametrize("cut", [0, 10, 200, -30])
def test_truncated_file_is_named(tmp_path, cut):
    np.savez_compressed(tmp_path / "mine.npz", images=IMAGES, labels=LABELS)
    content = (tmp_path / "mine.npz").read_bytes()
    (tmp_path / "mine.npz").write_bytes(content[:cut])
    with pytest.raises(ValueError, match=r"mine\.npz: not an \.npz archive, or a truncated one"):
        arrays.load({"file": "mine.npz"}, tmp_path, ())


def test_corrupt_file_is_named(tmp_path):
    np.savez_compressed(tmp_path / "mine.npz", images=IMAGES, labels=LABELS)
    content = bytearray((tmp_path / "mine.npz").read_bytes())
    content[100:140] = bytes(40)
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"mine\.npz: "):
        arrays.load({"file": "mine.npz"}, tmp_path, ())


def test_raw_files_are_those_that_exist(tmp_path):
    settings = {"file": "mine.npz"}
    assert arrays.raw_files(settings, tmp_path) == []
    (tmp_path / "mine.npz").touch()
    assert arrays.raw_files(settings, tmp_path) == [tmp_path / "mine.npz"]


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "groups", "counts"),
    [
        (
            "meterdigits/meterdigits_32x20.npz",
            "group",
            [870, 747, 764, 743, 745, 721, 739, 704, 727, 720],
        ),
        (
            "svhn/svhn_train_32x32_first1083.npz",
            "source_image",
            [66, 227, 141, 134, 110, 112, 78, 70, 78, 67],
        ),
    ],
)
def test_real_photographs(need, real_data, file, groups, counts):
    need(file)
    settings = {"file": file, "images": "X", "labels": "y", "groups": groups}
    raw = arrays.load(settings, real_data, ())
    assert raw.images.shape[1:] in {(32, 20, 3), (32, 32, 3)}
    names, per_class = np.unique(raw.class_names, return_counts=True)
    assert names.tolist() == list("0123456789")
    assert per_class.tolist() == counts
    assert len(set(raw.groups)) > 400
