"""Anybody's arrays: what is accepted, and what each mistake is called."""

import io
import re
import struct
import warnings
import zipfile

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
    ({"labels": LABELS + 0.5}, r"whole numbers from 0 to 9007199254740991, but row 0 is 0\.5"),
    ({"labels": LABELS * 1e300}, r"but row 1 is 1e\+300"),
    ({"labels": LABELS.astype(np.uint64) + 2**63}, "but row 0 is 9223372036854775808"),
    ({"labels": np.array(["a", "", "b"] * 2)}, "'' cannot be the name of a class"),
    ({"labels": np.array(["a", "b\n", "c"] * 2)}, r"'b\\n' cannot be the name of a class"),
    ({"labels": np.array(["a", "\udcff", "c"] * 2)}, "row 1: is no UTF-8 text"),
    ({"labels": np.array([b"a", b"b", b"\xe9"] * 2)}, "row 2: is no UTF-8 text"),
    ({"groups": np.frombuffer(b"\xff\xff\xff\x7f" * 6, "<U1")}, "row 0: is no UTF-8 text"),
    ({"images": IMAGES.astype(np.uint16)}, "must be uint8 with grey levels 0..255, but is uint16"),
    ({"labels": np.array([0, np.nan, 1, 0, 0, 0])}, "row 1 is nan"),
    ({"labels": LABELS > 0}, "labels must be whole numbers or strings, but are bool"),
    ({"labels": LABELS.astype(object)}, r"array 'labels': .*store strings as a str array"),
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
    with pytest.raises(ValueError, match=r"mine\.npz, array 'images': "):
        arrays.load({"file": "mine.npz"}, tmp_path, ())


def archive(**members):
    content = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(content, "w") as file:
        warnings.filterwarnings("ignore", "Duplicate name")
        for name, data in members.items():
            file.writestr(name.rstrip("_") + ".npy", data)
    return content.getvalue()


def array_file(array):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def header(shape):
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def with_field(content, at_file, at_directory, value):
    """Set a field of all members, in their own headers and in the archive's directory."""
    content = bytearray(content)
    for mark, at in ((b"PK\x03\x04", at_file), (b"PK\x01\x02", at_directory)):
        for place in re.finditer(re.escape(mark), bytes(content)):
            content[place.start() + at : place.start() + at + 2] = struct.pack("<H", value)
    return bytes(content)


WHOLE = {"images": array_file(IMAGES), "labels": array_file(LABELS)}
HOSTILE = {
    "encrypted": (with_field(archive(**WHOLE), 6, 8, 1), "array 'images': .*is encrypted"),
    "deflate64": (with_field(archive(**WHOLE), 8, 10, 9), "array 'images': .*method is not supp"),
    "more than memory": (
        archive(images=header("(10**6, 10**6, 10**6, 3)".replace("10**6", "1000000"))),
        "array 'images': (Unable to allocate|array is too big|.*[Mm]aximum)",
    ),
    "more than a number": (
        archive(images=header(f"({10**30}, 8, 8)")),
        "array 'images': Python int too large",
    ),
    "true": (
        archive(images=header("(True, 8, 8)") + bytes(64)),
        "array 'images': an integer is required",
    ),
    "brackets": (
        archive(images=b"\x93NUMPY\x02\x00" + struct.pack("<I", 9000) + b"(" * 8999 + b"\n"),
        "array 'images': .*EOF in multi-line statement",
    ),
    "long header": (
        archive(images=b"\x93NUMPY\x02\x00" + struct.pack("<I", 10**5) + b"(" * 10**5),
        r"array 'images': Header info length \(100000\) is large and may not be safe to load sec\w+\.$",
    ),
    "two of a name": (
        archive(**WHOLE, labels_=array_file(1 - LABELS)),
        "more than one array 'labels'",
    ),
    "program before it": (b"#!/bin/sh\n" + archive(**WHOLE), "not an .npz archive"),
    "one array": (array_file(IMAGES), "not an .npz archive"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives_give_one_sentence_with_file_and_array(tmp_path, kind):
    content, message = HOSTILE[kind]
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        arrays.load({"file": "mine.npz"}, tmp_path, ())
    assert str(raised.value).startswith(str(tmp_path / "mine.npz"))
    assert "\n" not in str(raised.value)
    assert "pickle" not in str(raised.value)  # NumPy's advice to trust the file


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "folder"])
def test_what_is_no_file_is_missing(tmp_path, name):
    (tmp_path / "folder").mkdir()
    assert arrays.raw_files({"file": name}, tmp_path) == []
    with pytest.raises(ValueError, match="does not exist"):
        arrays.load({"file": name}, tmp_path, ())


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
