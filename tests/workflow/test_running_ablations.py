"""Ablations run for real: methods of their own, other pseudo-labels beside the configured ones, tables and figures."""

import json

import pandas as pd
import pytest
import yaml
from experiment import make_workflow

ABLATIONS = {
    "heads": {
        "title": "Heads",
        "labels_per_class": [3],
        "methods": {
            "gradmix": {},
            "gradmix_H0": {"recipe": "gradmix", "title": "H0", "gradmix": {"last_layer": "H0"}},
        },
    },
    "models": {
        "title": "Number of models",
        "methods": {
            "gradmix_hard_R1": {
                "recipe": "gradmix_hard",
                "title": "R = 1",
                "pseudo_labels": {"models": 1},
            },
            "gradmix_hard": {},
        },
    },
}


@pytest.fixture(scope="module")
def compared(repository, tmp_path_factory):
    workflow = make_workflow(repository, tmp_path_factory.mktemp("ablations") / "workflow")
    file = workflow.folder / "mini.yaml"
    config = yaml.safe_load(file.read_text())
    config |= {
        "labels_per_class": [2, 3],
        "methods": {"source_only": {}, "gradmix": {}, "gradmix_hard": {}},
        "grid": {"beta": [5, 10], "gamma": [0.0], "runs_per_job": 2, "evaluate_at": [3]},
        "pseudo_labels": config["pseudo_labels"]
        | {"sweep": {"models": [1, 2], "thresholds": [0.0, 0.9]}},
        "ablations": ABLATIONS,
        "resources": config["resources"] | {"methods_per_evaluation": 9, "figures_per_job": 30},
    }
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    done = workflow.run()
    assert done.status == 0, done.text[-6000:]
    return workflow


def test_every_ablation_has_its_table_and_figure(compared):
    results = compared.folder / "results"
    heads = pd.read_csv(results / "tables/ablation-heads.csv")
    assert set(heads["method"]) == {"gradmix", "gradmix_H0"}
    assert set(heads["labels_per_class"]) == {3}
    accuracy = json.loads((results / "runs/3/0/gradmix_H0/metrics.json").read_text())["accuracy"]
    row = heads[heads["method"] == "gradmix_H0"].iloc[0]
    assert row["accuracy_percent"] == pytest.approx(100 * accuracy)
    assert set(pd.read_csv(results / "tables/ablation-models.csv")["labels_per_class"]) == {2, 3}
    for name in ("ablation-heads", "ablation-models", "hyper_validation_loss_pair"):
        for suffix in ("svg", "png", "pdf"):
            assert (results / f"figures/{name}.{suffix}").stat().st_size > 1000
    report = (results / "report.html").read_text()
    assert '<section id="ablations"' in report
    assert "Number of models" in report


def test_the_whole_grid_is_read_after_everything_was_chosen(compared):
    results = compared.folder / "results"
    grid = pd.read_parquet(results / "grid/3/0/metrics.parquet").set_index("member")
    assert sorted(grid.index) == ["beta10-gamma0", "beta5-gamma0"]
    record = json.loads((results / "grid/3/0/beta5-gamma0/run.json").read_text())
    row = grid.loc["beta5-gamma0"]
    for key in ("hyper_validation_accuracy", "hyper_validation_loss", "chosen_step"):
        assert row[key] == record[key]
    assert 0 <= row["accuracy"] <= 1
    assert not (results / "grid/2/0/metrics.parquet").exists()
    assert (results / "tables/table2-k3.md").read_text().count("for reading only") >= 2
    sweep = pd.read_parquet(results / "sweep/3/0.parquet").set_index(["models", "threshold"])
    summary = json.loads((results / "pseudo_labels/3/0/summary.json").read_text())
    # The configured labelling, two models at threshold 0, is one of the sweep's.
    assert sweep.loc[(2, 0.0), "accepted"] == summary["accepted"]
    quality = json.loads((results / "pseudo_labels/3/0/quality.json").read_text())
    expected = float("nan") if quality["precision"] is None else quality["precision"]
    assert sweep.loc[(2, 0.0), "precision"] == pytest.approx(expected, nan_ok=True)
    assert sweep.loc[(1, 0.0), "coverage"] == 1.0
    for name in ("grid_heat_map-k3", "pseudo_label_sweep"):
        assert (results / f"figures/{name}.png").stat().st_size > 1000


def test_the_main_table_has_no_row_of_an_ablation(compared):
    table = pd.read_csv(compared.folder / "results/tables/accuracy.csv")
    assert set(table["method"]) == {"source_only", "gradmix", "gradmix_hard"}


def test_another_number_of_models_lies_beside_the_configured_one(compared):
    results = compared.folder / "results"
    name = ".R1-threshold0-to10"
    ensembles = [
        json.loads((results / f"ensemble/3/{file}.json").read_text()) for file in ("0", f"0{name}")
    ]
    assert [len(ensemble["members"]) for ensemble in ensembles] == [2, 1]
    assert ensembles[1]["members"] == ensembles[0]["members"][:1]
    run = json.loads((results / "runs/3/0/gradmix_hard_R1/run.json").read_text())
    other = json.loads((results / "runs/3/0/gradmix_hard/run.json").read_text())
    assert run["inputs"]["enlarged"] != other["inputs"]["enlarged"]
    assert not (results / f"ensemble/3/0{name}.enlarged.json").exists()


def test_nothing_is_left_to_do_and_a_further_row_trains_alone(compared):
    assert not compared.would_run().jobs
    ablations = {
        "heads": {"methods": {"gradmix_H2": {"recipe": "gradmix", "gradmix": {"last_layer": "H2"}}}}
    }
    done = compared.would_run(ablations=ablations)
    assert done.of("train") == {"labels_per_class=3, pack=0, method=gradmix_H2"}
    assert "train_grid" not in done.rules()
    assert done.of("ablation") == {"ablation=heads"}
