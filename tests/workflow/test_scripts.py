"""The rules' scripts outside Snakemake, through a small stand-in for its object."""

import json
import os
import runpy
import warnings
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from gradmix.manifest import files_in


class Files(list):
    """Snakemake's lists of files: by position, and by name."""

    def __init__(self, *files, **named):
        super().__init__([*files, *(file for value in named.values() for file in _listed(value))])
        self.__dict__.update(named)

    def get(self, name, default=None):
        return self.__dict__.get(name, default)


class Wildcards(SimpleNamespace):
    def items(self):
        return vars(self).items()


def _listed(value):
    return value if isinstance(value, list) else [value]


@pytest.fixture
def script(repository, tmp_path, monkeypatch):
    """Runs a script on what it is given; returns its log."""
    monkeypatch.syspath_prepend(str(repository / "workflow_scripts"))
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    config = yaml.safe_load((repository / "config" / "config.yaml").read_text())

    def run(name, *, input, output, params=(), wildcards=(), **changes) -> str:  # noqa: A002
        log = tmp_path / "logs" / f"{name}.log"
        stand_in = SimpleNamespace(
            rule=name,
            input=input,
            output=output,
            params=SimpleNamespace(**dict(params)),
            wildcards=Wildcards(**dict(wildcards)),
            log=[str(log)],
            threads=1,
            resources={"gpu": 0},
            config=config | {"output_dir": str(tmp_path), "data_dir": str(tmp_path)} | changes,
        )
        path = repository / "workflow_scripts" / f"{name}.py"
        runpy.run_path(str(path), init_globals={"snakemake": stand_in})
        return log.read_text()

    return run


@pytest.fixture
def domain(script, tmp_path) -> Path:
    """Handwritten digits, prepared by the rule's script."""
    folder = tmp_path / "domains" / "digits"
    settings = {"origin": "sklearn_digits", "label_space": "high"}
    log = script(
        "prepare_domain",
        input=Files(),
        output=Files(*(str(folder / name) for name in ("images.npy", "domain.json"))),
        params={
            "domain": {
                "settings": settings,
                "positions": dict(zip("56789", range(5), strict=True)),
                "image": [8, 8],
            },
            "code": "0123",
        },
        wildcards={"domain": "digits"},
    )
    assert "digits: 896 images of 5 classes" in log
    assert "done in" in log
    return folder


def split(script, domain, tmp_path, verify="quick", **wildcards) -> Path:
    output = tmp_path / "split.json"
    script(
        "split",
        input=Files(domains=[str(domain / "domain.json")]),
        output=Files(str(tmp_path / "packs" / "split.json")),
        params={
            "draws": [{"draw": 1, "split": str(output)}],
            "settings": {
                "seed": 0,
                "target": "digits",
                "test_domain": None,
                "sources": [],
                "hyper_validation_per_class": 10,
                "test_per_class": 20,
            },
        },
        wildcards={"labels_per_class": "3", "pack": "1"} | wildcards,
        verify=verify,
    )
    return output


def test_split(script, domain, tmp_path):
    parts = json.loads(split(script, domain, tmp_path).read_text())
    assert parts["counts"] == {"V": 15, "H": 50, "U": 731, "left_out": 0, "test": 100}
    assert (parts["labels_per_class"], parts["draw"]) == (3, 1)


def test_a_split_without_labels_has_the_same_test_and_hyper_validation_images(
    script, domain, tmp_path
):
    with_labels = json.loads(split(script, domain, tmp_path).read_text())
    without = json.loads(split(script, domain, tmp_path, labels_per_class="0").read_text())
    assert without["V"] == []
    assert without["H"] == with_labels["H"]
    assert without["test"] == with_labels["test"]


def test_any_job_says_what_to_do_where_memory_is_missing(script, tmp_path, capsys):
    stand_in = SimpleNamespace(
        rule="split", wildcards=Wildcards(pack="1"), log=[str(tmp_path / "split.log")],
        input=[], config={},
    )  # fmt: skip
    with pytest.raises(SystemExit), import_module("gradmix_stage").stage(stand_in):
        np.empty(10**18, np.uint8)
    assert capsys.readouterr().err.startswith(
        "error in split, pack=1: out of memory (888. PiB were asked for); raise "
        "resources.memory_mb, or let fewer jobs run at once (--cores)\n"
    )


def test_mistakes_go_to_the_terminal_in_a_sentence_and_to_the_log_in_full(
    script, domain, tmp_path, capsys
):
    with pytest.raises(SystemExit) as caught:
        split(script, domain, tmp_path, labels_per_class="200")
    assert caught.value.code == 1
    message = capsys.readouterr().err
    assert message.startswith(
        "error in split, labels_per_class=200, pack=1: labels_per_class is 200"
    )
    assert "Traceback" not in message
    log = (tmp_path / "logs" / "split.log").read_text()
    assert "labels_per_class is 200" in log
    assert "Traceback" in log
    assert not (tmp_path / "split.json").exists()
    assert not (tmp_path / "packs" / "split.json").exists()


def test_pseudo_labels_without_a_network(script, domain, tmp_path):
    """Enlarging and measuring need predictions only."""
    import numpy as np
    import pandas as pd

    path = split(script, domain, tmp_path)
    rows = np.array(json.loads(path.read_text())["U"])
    labels = pd.read_parquet(domain / "index.parquet")["label"].to_numpy()[rows]
    sure = np.arange(len(rows)) % 2 == 0
    frame = pd.DataFrame({"row": rows, "label": np.where(sure, labels, -1)})
    for index in range(5):
        frame[f"soft_{index}"] = (labels == index).astype(np.float32)
    predictions = tmp_path / "predictions.parquet"
    frame.to_parquet(predictions)
    target = Files(target=[str(domain / "domain.json")])
    files = {"draw": 1, "split": str(path), "predictions": str(predictions)}
    wildcards = {"labels_per_class": "3", "pack": "1"}
    manifest = tmp_path / "manifest.json"

    output = tmp_path / "enlarged.json"
    log = script(
        "enlarge",
        input=target,
        output=Files(str(manifest)),
        params={"to": 100, "seed": 0, "draws": [files | {"enlarged": str(output)}]},
        wildcards=wildcards,
    )
    assert files_in(str(manifest)) == [str(output)]
    enlarged = json.loads(output.read_text())
    assert sum(enlarged["V_is_pseudo"]) == len(enlarged["V"]) - 15
    assert "note: V has fewer than 100 images" in log

    output = tmp_path / "quality.json"
    script(
        "pseudo_label_quality",
        input=target,
        output=Files(str(manifest)),
        params={"draws": [files | {"quality": str(output)}]},
        wildcards=wildcards,
    )
    assert files_in(str(manifest)) == [str(output)]
    quality = json.loads(output.read_text())
    assert quality["precision"] == quality["soft_accuracy"] == 1.0
    assert quality["coverage"] == pytest.approx(0.5, abs=0.01)
    assert (quality["labels_per_class"], quality["draw"]) == (3, 1)


def flip(path, place):
    """One bit, with the time stamp left as it was: as when a disk loses it."""
    times, content = path.stat(), bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_job_refuses_other_content_than_its_manifests_were_written_for(
    script, domain, tmp_path, capsys
):
    path, output = split(script, domain, tmp_path), tmp_path / "ensemble.json"
    job = {
        "input": Files(split=str(tmp_path / "packs" / "split.json")),
        "output": Files(str(tmp_path / "manifest.json")),
        "params": {"models": 0, "members": [], "draws": [{"run": "", "ensemble": str(output)}]},
    }
    script("select_models", **job)
    output.unlink()
    flip(path, path.read_bytes().index(b"draw"))
    with pytest.raises(SystemExit):
        script("select_models", **job)
    message = (
        f"error in select_models: {path} has other content (told by {tmp_path}/packs/split.json); "
    )
    assert message in capsys.readouterr().err
    assert not output.exists()


def test_images_are_compared_by_content_where_that_is_asked_for(script, domain, tmp_path, capsys):
    flip(domain / "images.npy", -1)
    split(script, domain, tmp_path)
    with pytest.raises(SystemExit):
        split(script, domain, tmp_path, verify="full")
    assert f"{domain / 'images.npy'}: not the content that" in capsys.readouterr().err


def test_select_models(script, tmp_path):
    accuracies = {"beta5-gamma0": 0.5, "beta10-gamma0": 0.7, "beta20-gamma0": 0.6}
    for member, accuracy in accuracies.items():
        path = tmp_path / "grid" / member / "run.json"
        path.parent.mkdir(parents=True)
        record = {"hyper_validation_accuracy": accuracy, "hyper_validation_loss": 1.0}
        path.write_text(json.dumps(record))
    output = tmp_path / "ensemble.json"
    draw = {"draw": 0, "run": f"{tmp_path}/grid/{{member}}", "ensemble": str(output)}
    log = script(
        "select_models",
        input=Files(),
        output=Files(str(tmp_path / "manifest.json")),
        params={"models": 2, "members": [*accuracies], "draws": [draw]},
    )
    assert json.loads(output.read_text())["members"] == ["beta10-gamma0", "beta20-gamma0"]
    assert "beta10-gamma0: 70.00 % of H" in log
