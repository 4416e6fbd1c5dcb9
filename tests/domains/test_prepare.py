"""Preparing a domain: classes selected, renamed and resized; every mistake named; the same files every time."""

import json
import subprocess
import sys

import numpy as np
import pytest

from gradmix.domains.format import open_domain
from gradmix.domains.prepare import prepare_domain
from gradmix.domains.raw import RawImages
from gradmix.domains.registry import origin_module

HIGH = list("56789")


@pytest.fixture
def prepare(tmp_path):
    def call(settings, classes=HIGH, image=(32, 32), name="mine", data_dir=tmp_path, log=None):
        positions = {name: label for label, name in enumerate(classes)}
        if isinstance(classes, dict):
            positions = classes
        folder = tmp_path / "domains" / name
        settings = {"label_space": "space"} | settings
        origin = origin_module(settings)
        prepare_domain(
            name, settings, positions, image, data_dir, folder, "code", origin=origin, log=log
        )
        return open_domain(folder, check_content=True)

    return call


@pytest.fixture
def arrays(tmp_path):
    """Writes an .npz and returns the settings for it."""

    def write(labels, images=None, **more):
        shape = (len(labels), 6, 4, 3)
        if images is None:
            images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        np.savez(tmp_path / "a.npz", images=images, labels=np.array(labels), **more)
        return {"origin": "arrays", "file": "a.npz"} | {key: key for key in more}

    return write


def test_scikit_learn_digits(prepare):
    lines = []
    domain = prepare({"origin": "sklearn_digits"}, log=lines.append)
    assert domain.images.shape == (896, 32, 32, 1)
    assert np.bincount(domain.labels).tolist() == [182, 181, 179, 174, 180]
    assert domain.index.class_name.tolist() == [HIGH[label] for label in domain.labels]
    (note,) = domain.info["notes"]
    assert note.startswith("901 images left out, of classes outside the label space: 0 (178), 1")
    assert any(note in line for line in lines)
    assert domain.info["code"] == "code"
    assert domain.info["label_space"] == "space"
    assert list(domain.info["sources"]) == ["sklearn.datasets.load_digits"]


def test_scikit_learn_digits_keep_their_levels(prepare):
    from sklearn.datasets import load_digits

    domain = prepare({"origin": "sklearn_digits", "resize": "none"}, list("0123456789"))
    expected = np.rint(load_digits().images * 255 / 16)
    assert domain.images.shape == (1797, 8, 8, 1)
    assert np.array_equal(domain.images[..., 0], expected)


def test_order_follows_the_label_space(prepare, arrays):
    settings = arrays(
        ["b", "a", "c", "b"], groups=np.array([7, 8, 9, 7]), originals=np.array(list("wxyz"))
    )
    domain = prepare(settings, ["c", "b"])
    assert domain.labels.tolist() == [1, 0, 1]
    assert domain.index.group.tolist() == ["7", "9", "7"]
    assert domain.index.original.tolist() == ["w", "y", "z"]
    assert domain.index["clip"].tolist() == [""] * 3


def test_merging(prepare, arrays):
    domain = prepare(arrays([0, 1, 2, 3, 0]), {"0": 0, "1": 0, "2": 1})
    assert domain.labels.tolist() == [0, 0, 1, 0]
    assert domain.classes == ["0 + 1", "2"]
    assert domain.index.class_name.tolist() == ["0 + 1", "0 + 1", "2", "0 + 1"]
    assert domain.info["notes"] == ["1 images left out, of classes outside the label space: 3 (1)"]


def test_images_are_resized_or_left(prepare, arrays):
    settings = arrays([5, 6, 7, 8, 9])
    assert prepare(settings).images.shape == (5, 32, 32, 3)
    assert prepare(settings | {"resize": "none"}).images.shape == (5, 6, 4, 3)
    assert prepare(settings | {"resize": None}, image=(7, 9)).images.shape == (5, 7, 9, 3)


MISTAKES = [
    ({"resize": "cubic"}, r"domains\.mine\.resize must be bilinear or none, but got 'cubic'"),
    ({"file": "b.npz"}, r"domains\.mine: .*b\.npz does not exist"),
    ({"labels": "y"}, r"domains\.mine: .*a\.npz: has no array 'y'; it has 'images', 'labels'"),
]


@pytest.mark.parametrize(("change", "message"), MISTAKES)
def test_mistakes_in_the_settings_are_named(prepare, arrays, change, message):
    with pytest.raises(ValueError, match=message):
        prepare(arrays([4, 5, 6, 7, 8, 9]) | change)


CONTENTS = [
    ([5, 6, 7, 8, 5], r"domains\.mine: the origin has no class '9', .*; it has '5', '6'"),
    ([5, 5, 5, 1], r"domains\.mine: the origin has no class '6', .*; it has '1', '5'"),
    ([0, 1, 2], r"domains\.mine: no image is of a class of the label space \('5', .* has '0', '1'"),
    ([5, 6, 7, 8, -9], r"domains\.mine: .*row 4 is -9"),
    ([5, 6, 7, 8, 9.5], r"domains\.mine: .*row 4 is 9\.5"),
]


@pytest.mark.parametrize(("labels", "message"), CONTENTS)
def test_empty_and_one_sided_domains_are_refused(prepare, arrays, labels, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        prepare(arrays(labels))
    assert not (tmp_path / "domains" / "mine" / "domain.json").exists()


def test_a_label_space_of_one_class_is_refused(prepare):
    with pytest.raises(ValueError, match=r"domains\.mine: all images are of one class, '5'"):
        prepare({"origin": "sklearn_digits"}, ["5"])


WRONG = [
    ({"images": np.zeros((5, 4, 4, 1))}, r"images must be \(N,H,W,C\) uint8"),
    ({"images": np.zeros((5, 4, 4, 2), np.uint8)}, r"with C = 1 or 3, but are \(5, 4, 4, 2\)"),
    ({"class_names": np.array(HIGH[:4])}, "5 images, but 4 class names"),
    ({"groups": ["a"]}, "5 images, but 1 groups"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_what_an_origin_gives_is_checked(prepare, monkeypatch, change, message):
    good = {
        "images": np.zeros((5, 4, 4, 1), np.uint8),
        "class_names": np.array(HIGH),
        "originals": HIGH,
    }
    raw = RawImages(**(good | change))
    monkeypatch.setattr("gradmix.domains.sklearn_digits.load", lambda *args: raw)
    with pytest.raises(ValueError, match=rf"domains\.mine: .*{message}"):
        prepare({"origin": "sklearn_digits"})


@pytest.mark.parametrize(
    "settings",
    [{"origin": "sklearn_digits"}, {"origin": "rendered_digits", "count": 40, "seed": 3}],
)
def test_the_same_files_every_time(prepare, settings, tmp_path):
    contents = []
    for _ in range(2):
        prepare(settings)
        folder = tmp_path / "domains" / "mine"
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"images.npy", "index.parquet", "domain.json"}


def test_no_torch_is_loaded(tmp_path):
    script = """
import json, sys
from pathlib import Path
from gradmix.domains.registry import ORIGINS, inventory_of, is_files, origin_module, raw_files_of
for origin in ORIGINS:
    settings = {"origin": origin, "split": "train", "file": "a.npz", "count": 3}
    settings |= {"folder": "nowhere", "list_split": 1, "part": "train"}
    raw_files_of(settings, ".")
    if is_files(origin):
        inventory_of(settings, ".")
light = [name for name in ("numpy", "pandas", "torch", "PIL", "sklearn") if name in sys.modules]
from gradmix.domains.prepare import prepare_domain
for settings in ({"origin": "sklearn_digits"}, {"origin": "rendered_digits", "count": 9, "seed": 0}):
    folder = Path(sys.argv[1]) / settings["origin"]
    prepare_domain("d", settings | {"label_space": "s"}, {"5": 0, "6": 1}, (32, 32), ".", folder, "c",
                   origin=origin_module(settings))
heavy = [name for name in ("torch", "torchvision", "snakemake", "matplotlib") if name in sys.modules]
print(json.dumps([light, heavy]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [[], []]


@pytest.mark.data
def test_real_mnist(prepare, need, real_data):
    need("mnist/t10k-images-idx3-ubyte.gz")
    domain = prepare({"origin": "mnist", "split": "test"}, data_dir=real_data)
    assert domain.images.shape == (4861, 32, 32, 1)
    assert set(domain.info["sources"]) == {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}
    assert domain.index.content.nunique() == 4861


@pytest.mark.data
def test_real_meter_digits(prepare, need, real_data):
    need("meterdigits/meterdigits_32x20.npz")
    settings = {"origin": "arrays", "file": "meterdigits/meterdigits_32x20.npz"}
    settings |= {"images": "X", "labels": "y", "groups": "group", "originals": "name"}
    domain = prepare(settings, data_dir=real_data)
    assert domain.images.shape == (3611, 32, 32, 3)
    assert domain.index.groupby("group").label.nunique().max() == 1
    assert domain.index.original.str.contains("/").all()
