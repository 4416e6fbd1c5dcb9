import json

import pandas as pd
import pytest

from gradmix.results.records import (
    listed_metrics,
    read_curves,
    read_metrics,
    read_runs,
    run_folders,
    runs_of,
)


def test_metrics_in_table_order(empty_experiment):
    files = [
        empty_experiment.metrics("b", 5, 1, 0.5),
        empty_experiment.metrics("a", 3, 0, 0.75, accuracy_statistics_on_V=None),
        empty_experiment.metrics("unlisted", 3, 0, 0.5),
    ]
    metrics = read_metrics(files)
    assert metrics["accuracy"].tolist() == [0.5, 0.75, 0.5]
    assert metrics["accuracy_statistics_on_V"].isna().tolist() == [False, True, False]
    methods = [
        {"name": "a", "title": "A", "recipe": "a"},
        {"name": "b", "title": "B", "recipe": "b"},
    ]
    assert listed_metrics(metrics, methods)["method"].tolist() == ["a", "b"]
    assert len(read_metrics([])) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a whole JSON record"),
        ("[1]", "expected a JSON object, found list"),
        ('{"method": "a"}', "lacks labels_per_class, draw"),
        (None, "cannot be read"),
    ],
)
def test_a_broken_record_names_the_file(tmp_path, content, message):
    file = tmp_path / "metrics.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ValueError, match=rf"metrics\.json: .*{message}"):
        read_metrics([file])


def test_accuracy_must_be_a_fraction(empty_experiment):
    file = empty_experiment.metrics("a", 3, 0, 91.2)
    with pytest.raises(ValueError, match=r"a/metrics\.json: accuracy must be a fraction .*91\.2"):
        read_metrics([file])


def test_two_records_of_one_run(empty_experiment, tmp_path):
    file = empty_experiment.metrics("a", 3, 0, 0.9)
    copy = tmp_path / "copy.json"
    copy.write_text(file.read_text())
    with pytest.raises(ValueError, match=r"copy\.json: the same method.*a/metrics\.json"):
        read_metrics([file, copy])


def test_runs_by_any_file_of_their_folder(empty_experiment):
    file = empty_experiment.run("gradmix", 3, 1, sources=["s1"])
    empty_experiment.run("gradmix", 5, 0)
    blind = empty_experiment.run("source_only", 0, 0)
    folders = [file, file.parent, file.parent / "curves.parquet", blind]
    assert run_folders(folders) == [file.parent, blind.parent]
    runs = read_runs(folders)
    assert runs_of(runs, "gradmix", 5) == []
    assert [run["draw"] for run in runs_of(runs, "source_only", 5)] == [0]
    assert read_curves(runs[0], ["rho"])["step"].is_monotonic_increasing


def test_broken_curves(empty_experiment):
    file = empty_experiment.run("a", 3, 0)
    run = read_runs([file])[0]
    with pytest.raises(ValueError, match=r"a/curves\.parquet: the record lacks rho"):
        read_curves(run, ["rho"])
    (file.parent / "curves.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"a/curves\.parquet: cannot be read as Parquet"):
        read_curves(run)
    file.write_text(json.dumps({"method": "a"}))
    with pytest.raises(ValueError, match=r"a/run\.json: the record lacks"):
        read_runs([file])


def test_curves_are_sorted(empty_experiment):
    file = empty_experiment.run("a", 3, 0)
    curve = pd.DataFrame({"step": [10, 0], "x": [1.0, 2.0]})
    curve.to_parquet(file.parent / "curves.parquet")
    assert read_curves(read_runs([file])[0])["x"].tolist() == [2.0, 1.0]
