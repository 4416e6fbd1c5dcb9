"""A miniature with a condition: one more source whose labels are wrong, cut from the target's own digits."""

import csv
import json

import pytest
import yaml


@pytest.fixture(scope="module")
def conditions(fresh, tmp_path_factory):
    workflow = fresh.copy(tmp_path_factory.mktemp("conditions") / "workflow")
    config = yaml.safe_load((workflow.folder / "mini.yaml").read_text())
    digits = {"origin": "sklearn_digits", "label_space": "digits_5_9"}
    config["domains"] |= {
        "sklearn_5_9": {**digits, "share": [0.0, 0.8]},
        "near": {**digits, "share": [0.8, 1.0]},
        "near_wrong": {
            "origin": "perturbed",
            "of": "near",
            "labels": {"share": 1, "kind": "shift"},
        },
    }
    sources = config["sources"]
    methods = ("target_only", "fine_tune", "gradmix_averaged", "guarded_sum")
    config |= {
        "labels_per_class": [2, 3],
        "draws": 1,
        "methods": {name: {} for name in methods},
        "conditions": {
            "clean": {"title": "Clean", "sources": sources},
            "wrong": {
                "title": "One wrong",
                "sources": [*sources, "near_wrong"],
                "labels_per_class": [2],
                "methods": ["gradmix_averaged", "fine_tune"],
            },
        },
        "resources": config["resources"] | {"methods_per_evaluation": 9, "figures_per_job": 9},
    }
    (workflow.folder / "mini.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    done = workflow.run()
    assert done.status == 0, done.text
    return workflow


def table(workflow, name):
    with open(workflow.folder / "results" / "tables" / f"{name}.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_condition_is_trained_and_told_apart(conditions):
    runs = table(conditions, "runs")
    found = {(r["method"], r["condition"], r["labels_per_class"]) for r in runs}
    methods = ("fine_tune", "gradmix_averaged", "guarded_sum")
    both = {(m, "clean", k) for m in methods for k in "23"}
    wrong = {(m, "wrong", "2") for m in ("gradmix_averaged", "fine_tune")}
    assert found == both | wrong | {("target_only", "", k) for k in "23"}
    weights = table(conditions, "weights")
    assert {r["source"] for r in weights if r["condition"] == "wrong"} > {"near_wrong"}
    report = (conditions.folder / "results" / "report.html").read_text()
    assert "One wrong" in report


def test_fine_tuning_starts_from_the_conditions_own_network(conditions):
    runs = conditions.folder / "results" / "runs"
    start = json.loads((runs / "0/0/source_only@wrong/run.json").read_text())
    assert start["sources"] == ["rendered_5_9", "low_digits", "near_wrong"]
    own = json.loads((runs / "2/0/fine_tune@wrong/run.json").read_text())
    plain = json.loads((runs / "2/0/fine_tune/run.json").read_text())
    assert own["inputs"]["initial"] != plain["inputs"]["initial"]


def test_the_target_and_the_source_cut_from_the_same_digits_never_meet(conditions):
    results = conditions.folder / "results"
    split = json.loads((results / "splits/2/0.json").read_text())
    assert split["source_left_out"]["near_wrong"] == []
    counts = [
        json.loads((results / f"domains/{name}/domain.json").read_text())["count"]
        for name in ("sklearn_5_9", "near_wrong")
    ]
    assert counts[1] > 0
    assert sum(counts) == 896


def test_one_more_method_in_a_condition_trains_that_one(conditions):
    with conditions.edited(
        "mini.yaml", "    - fine_tune\n", "    - fine_tune\n    - guarded_sum\n"
    ):
        done = conditions.would_run()
    assert {job.wildcards for job in done.jobs if job.rule.startswith("train")} == {
        "labels_per_class=2, pack=0, method=guarded_sum@wrong"
    }
    assert not {"prepare_domain", "split", "train_grid"} & done.rules()
