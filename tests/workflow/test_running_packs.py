"""Jobs that do several of a kind: methods evaluated together, figures drawn together, a grid of several draws."""

import json

import pytest

PACKED = {
    "draws": 2,
    "grid": {"runs_per_job": 8},
    "resources": {"draws_per_job": 2, "methods_per_evaluation": 2, "figures_per_job": 3},
    "methods": {"target_only": {}, "gradmix": {}, "gradmix_hard": {}},
}


@pytest.fixture(scope="module")
def packed(repository, tmp_path_factory):
    """The miniature with packs of everything and three methods, run to its end."""
    import yaml
    from experiment import make_workflow

    workflow = make_workflow(repository, tmp_path_factory.mktemp("packed") / "workflow")
    path = workflow.folder / "mini.yaml"
    config = yaml.safe_load(path.read_text())
    config |= {key: PACKED[key] for key in ("draws", "methods")}
    for key in ("grid", "resources"):
        config[key] |= PACKED[key]
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    done = workflow.run()
    assert done.status == 0, done.text[-6000:]
    return workflow, done


def test_every_stage_is_packed_and_makes_all_that_single_jobs_make(packed):
    workflow, done = packed
    assert done.rules() == {
        "prepare_domain",
        *(f"{stage}_draws_0" for stage in ("split", "train_grid_0", "select", "pseudo_label")),
        *(f"{stage}_draws_0" for stage in ("pseudo_label_quality", "enlarge", "train")),
        *("evaluate_draws_0_methods_0", "evaluate_draws_0_methods_1"),
        *("figures", "tables", "report"),
    }
    assert done.of("figures") == {"pack=all-0", "pack=all-1", "pack=k3-0", "pack=k3-1"}
    results = workflow.folder / "results"
    for draw in (0, 1):
        for file in (f"splits/3/{draw}.json", f"pseudo_labels/3/{draw}/quality.json"):
            assert json.loads((results / file).read_text())["draw"] == draw
        assert len(list(results.glob(f"grid/3/{draw}/*/run.json"))) == 4
        assert (results / f"splits/3/{draw}.enlarged.json").exists()
        for method in PACKED["methods"]:
            metrics = json.loads((results / f"runs/3/{draw}/{method}/metrics.json").read_text())
            assert (metrics["method"], metrics["draw"]) == (method, draw)
    stems = {path.stem for path in (results / "figures").glob("*.svg")}
    assert {"samples", "accuracy", "confusion-k3", "layer_weights-gradmix_hard-k3"} <= stems
    assert len(list((results / "figures").iterdir())) == 3 * len(stems)


def test_a_pack_is_not_made_again_without_a_reason(packed):
    workflow, _ = packed
    assert workflow.would_run().jobs == ()


def test_one_methods_file_trains_that_method_alone(packed):
    workflow, _ = packed
    with workflow.appended("gradmix/methods/target_only.py", "\n_UNUSED = 1\n"):
        done = workflow.would_run()
    assert done.of("train_draws_0") == {"labels_per_class=3, method=target_only"}
    evaluated = {rule for rule in done.rules() if rule.startswith("evaluate")}
    assert evaluated == {"evaluate_draws_0_methods_0"}
    assert not {"train_grid_0_draws_0", "split_draws_0", "select_draws_0"} & done.rules()


def test_one_figures_code_draws_the_figures_of_its_pack(packed):
    workflow, _ = packed
    with workflow.appended("gradmix/results/figures/confusion.py", "\n_UNUSED = 1\n"):
        done = workflow.would_run()
    assert done.rules() == {"figures", "report"}
    assert len(done.of("figures")) == 1


def test_a_new_member_of_the_grid_trains_no_other(packed, tmp_path):
    workflow, _ = packed
    other = workflow.copy(tmp_path / "workflow")
    grid = other.folder / "results/grid/3"
    before = {str(path): json.loads(path.read_text()) for path in grid.glob("*/*/run.json")}
    done = other.run(
        "results/ensemble/3/1.json", grid={"gamma": [0.0, 0.25, 0.5], "runs_per_job": 12}
    )
    assert done.status == 0, done.text[-3000:]
    after = {str(path): json.loads(path.read_text()) for path in grid.glob("*/*/run.json")}
    assert len(after) == 12
    # Put back from the store: a record holds the seconds that its training took.
    assert {path: after[path] for path in before} == before


def test_what_failed_loses_nothing_that_was_trained(packed, tmp_path):
    """The second draw cannot be trained; mended, the first is put back."""
    workflow, _ = packed
    other = workflow.copy(tmp_path / "workflow")
    run = "results/runs/3/{}/gradmix"
    before = json.loads((other.folder / run.format(0) / "run.json").read_text())
    split = other.folder / "results/splits/3/1.json"
    text = split.read_text()
    wrong = json.loads(text)
    split.write_text(json.dumps(wrong | {"target": "another"}))
    asked = run.format(1) + "/run.json"
    assert other.run(asked, "--force").status != 0
    split.write_text(text)
    assert other.run(asked, "--force").status == 0
    assert json.loads((other.folder / run.format(0) / "run.json").read_text()) == before
