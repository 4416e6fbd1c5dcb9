"""The registry of origins: every line leads to a module that keeps the contract."""

import inspect
import subprocess
import sys

import pytest

from gradmix import fingerprint
from gradmix.domains.registry import (
    ORIGINS,
    is_files,
    missing_files_of,
    origin_module,
    raw_files_of,
)

OF_FILES = {"bu101", "clip_folder", "image_folder", "manifest", "mpii", "ucf101"}


def parameters(function):
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize("origin", ORIGINS)
def test_every_origin_offers_its_images_and_what_the_workflow_watches(origin):
    module = origin_module({"origin": origin})
    assert is_files(origin) == (origin in OF_FILES)
    images = module.listing if origin in OF_FILES else module.load
    assert parameters(images) == ["settings", "data_dir", "wanted"]
    assert parameters(module.raw_files) == ["settings", "data_dir"]
    if origin in OF_FILES:
        assert parameters(module.inventory) == ["settings", "data_dir"]


def test_origins_import_nothing_heavy_while_a_workflow_is_parsed():
    code = (
        "import sys\n"
        "from gradmix.domains.registry import ORIGINS, is_files\n"
        "print([is_files(origin) for origin in ORIGINS].count(True))\n"
        "heavy = ('numpy', 'pandas', 'torch', 'scipy', 'cv2', 'PIL')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == [str(len(OF_FILES)), "[]"]


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"origin": "mnits"}, "did you mean 'mnist'"),
        ({"origin": "zzz"}, "Known: arrays"),
        ({}, "None"),
    ],
)
def test_unknown_origin(settings, hint):
    with pytest.raises(ValueError, match=hint):
        raw_files_of(settings, "data")


def test_raw_files_are_found_in_data_dir(tmp_path):
    (tmp_path / "mnist").mkdir()
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"):
        (tmp_path / "mnist" / name).touch()
    files = raw_files_of({"origin": "mnist", "split": "train"}, str(tmp_path))
    assert [path.name for path in files] == [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte",
    ]
    assert raw_files_of({"origin": "mnist", "split": "test"}, str(tmp_path)) == []


def test_what_must_be_laid_by_hand_is_missed_until_it_lies_there(tmp_path):
    clips = {"origin": "clip_folder", "folder": "clips"}
    assert missing_files_of(clips, tmp_path) == [tmp_path / "clips"]
    (tmp_path / "clips").mkdir()
    assert missing_files_of(clips, tmp_path) == []
    table = {"origin": "manifest", "file": "list.csv", "folder": "clips"}
    assert missing_files_of(table, tmp_path) == [tmp_path / "list.csv"]
    assert [path.name for path in missing_files_of({"origin": "mpii"}, tmp_path)] == [
        "mpii_human_pose_v1_u12_1.mat",
        "images",
    ]
    # What is generated or downloaded is not missed.
    for origin in ("mnist", "svhn", "sklearn_digits", "rendered_digits"):
        assert missing_files_of({"origin": origin, "split": "train"}, tmp_path) == []


def test_a_new_origin_changes_no_domain_that_exists():
    seen = fingerprint.closure("gradmix.domains.prepare", ORIGINS["mnist"])
    assert "gradmix.domains.format" in seen
    assert not seen & {"gradmix.domains.registry", *ORIGINS.values()} - {ORIGINS["mnist"]}
    assert "gradmix.domains.rendering" in fingerprint.closure(ORIGINS["rendered_digits"])
