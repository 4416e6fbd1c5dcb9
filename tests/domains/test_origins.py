"""The registry of origins: every line leads to a module that keeps the contract."""

import inspect

import pytest

from gradmix import fingerprint
from gradmix.domains.registry import ORIGINS, origin_module, raw_files_of


@pytest.mark.parametrize("origin", ORIGINS)
def test_every_origin_offers_load_and_raw_files(origin):
    module = origin_module({"origin": origin})
    assert list(inspect.signature(module.load).parameters) == ["settings", "data_dir", "wanted"]
    assert list(inspect.signature(module.raw_files).parameters) == ["settings", "data_dir"]


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


def test_a_new_origin_changes_no_domain_that_exists():
    seen = fingerprint.closure("gradmix.domains.prepare", ORIGINS["mnist"])
    assert "gradmix.domains.format" in seen
    assert not seen & {"gradmix.domains.registry", *ORIGINS.values()} - {ORIGINS["mnist"]}
    assert "gradmix.domains.rendering" in fingerprint.closure(ORIGINS["rendered_digits"])
