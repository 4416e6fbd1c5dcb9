"""Jobs that are run for real: the whole experiment once, part of it again, and failures."""

import json

import pytest
from experiment import METHODS


@pytest.fixture(scope="module")
def again(finished, tmp_path_factory):
    """A copy of the finished experiment, to run more in."""
    return finished.copy(tmp_path_factory.mktemp("again") / "workflow")


def test_the_whole_experiment(finished):
    results = finished.folder / "results"
    assert (results / "report.html").stat().st_size > 10_000
    table = (results / "tables" / "accuracy.md").read_text()
    for title in ("Target only", "Fine-tune", "GradMix + hard labels"):
        assert title in table
    for stem in ("accuracy", "confusion-k3", "layer_weights-gradmix-k3", "samples"):
        for suffix in ("svg", "png", "pdf"):
            assert (results / "figures" / f"{stem}.{suffix}").stat().st_size > 1000
    metrics = sorted(results.glob("runs/*/*/*/metrics.json"))
    assert len(metrics) == len(METHODS)
    assert {json.loads(path.read_text())["labels_per_class"] for path in metrics} == {3}
    assert not list(results.rglob("*.unfinished-*"))


def test_every_job_has_a_log_and_a_benchmark(finished):
    results = finished.folder / "results"
    jobs = [job for job in finished.would_run("--forceall").jobs if job.rule != "all"]
    assert len(jobs) > 2 * len(METHODS)
    for folder, suffix in (("logs", ".log"), ("benchmarks", ".tsv")):
        assert len(list((results / folder).rglob(f"*{suffix}"))) == len(jobs), folder
    text = (results / "logs/train/3/0/gradmix.log").read_text()
    assert "done in" in text
    assert "4 steps on cpu" in text
    assert "it/s" not in text


def test_a_new_value_in_the_grid_trains_its_members_alone(again):
    grid = again.folder / "results/grid/3/0"
    before = {path.parent.name: json.loads(path.read_text()) for path in grid.glob("*/run.json")}
    selected = "results/ensemble/3/0.json"
    done = again.run("results/packs/select/3/0.json", grid={"gamma": [0.25, 0.0, 0.5]})
    assert done.status == 0, done.text[-3000:]
    after = {path.parent.name: json.loads(path.read_text()) for path in grid.glob("*/run.json")}
    assert set(after) - set(before) == {"beta5-gamma0.25", "beta10-gamma0.25"}
    # Their packs ran again, but found them in the store: a record holds the seconds its training took.
    assert {member: after[member] for member in before} == before
    ensemble = json.loads((again.folder / selected).read_text())
    assert set(ensemble["scores"]) == set(after)


def test_a_mistake_in_the_data_is_told_in_a_sentence(again):
    done = again.run("results/packs/split/500/0.json")
    assert done.status != 0
    (line,) = {line for line in done.text.splitlines() if line.startswith("error in ")}
    assert line.startswith("error in split, labels_per_class=500, pack=0: labels_per_class is 500")
    assert "Traceback" not in done.text
    log = (again.folder / "results/logs/split/500/0.log").read_text()
    assert "labels_per_class is 500" in log
    assert "Traceback" in log
    assert not (again.folder / "results/splits/500/0.json").exists()
