"""Jobs that do several of a kind: methods evaluated together, figures drawn together, a grid of several draws."""

import json
import os
import shutil

import pytest
import yaml
from experiment import make_workflow

PACKED = {
    "draws": 2,
    "grid": {"runs_per_job": 8},
    "resources": {"draws_per_job": 2, "methods_per_evaluation": 2, "figures_per_job": 3},
    "methods": {"target_only": {}, "gradmix": {}, "gradmix_hard": {}},
}


@pytest.fixture(scope="module")
def packed(repository, tmp_path_factory):
    """The miniature with packs of everything and three methods, run to its end."""
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
        *("prepare_domain", "split", "train_grid", "select", "pseudo_label"),
        *("pseudo_label_quality", "enlarge", "train", "evaluate"),
        *("figures", "tables", "report"),
    }
    assert done.of("figures") == {"pack=all-0", "pack=all-1", "pack=k3-0", "pack=k3-1"}
    assert done.of("train_grid") == {
        "labels_per_class=3, pack=0-1, members=beta5-gamma0..beta10-gamma0.5"
    }
    assert done.of("evaluate") == {
        f"labels_per_class=3, pack=0-1, methods={methods}"
        for methods in ("target_only..gradmix", "gradmix_hard")
    }
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


def test_one_recipe_trains_that_method_alone(packed):
    workflow, _ = packed
    with workflow.edited(
        "gradmix/methods/recipes.py", '"Target only", (V,)', '"Target only", (V, V)'
    ):
        done = workflow.would_run()
    assert done.of("train") == {"labels_per_class=3, pack=0-1, method=target_only"}
    assert done.of("evaluate") == {"labels_per_class=3, pack=0-1, methods=target_only..gradmix"}
    assert not {"train_grid", "split", "select"} & done.rules()


def test_one_more_draw_leaves_packs_that_are_full_alone(packed):
    workflow, _ = packed
    done = workflow.would_run(draws=3)
    of_draws = [job for job in done.jobs if "pack=" in job.wildcards and job.rule != "figures"]
    assert {job.rule for job in of_draws} >= {"split", "train_grid", "train", "evaluate"}
    assert all("pack=2" in job.wildcards for job in of_draws)


@pytest.mark.parametrize("damage", ["deleted", "cut short"])
def test_a_pack_that_lost_a_file_is_planned_again_and_nothing_is_touched(packed, damage):
    workflow, _ = packed
    model = workflow.folder / "results/runs/3/1/gradmix/model.safetensors"
    manifest = workflow.folder / "results/packs/train/3/0-1/gradmix.json"
    content, times = model.read_bytes(), model.stat()
    model.unlink()
    if damage == "cut short":
        model.write_bytes(content[:100])
    try:
        done = workflow.would_run()
        assert done.of("train") == {"labels_per_class=3, pack=0-1, method=gradmix"}
        assert not {"train_grid", "split"} & done.rules()
        fault = "is missing" if damage == "deleted" else "has 100 bytes, and had"
        told = (
            "results/packs/train/3/0-1/gradmix.json is made again: results/runs/3/1/gradmix/model"
        )
        assert f"{told}.safetensors {fault}" in done.text
        # What does not want it does not look at it.
        assert workflow.would_run("results/packs/train/3/0-1/target_only.json").jobs == ()
        assert manifest.exists()
    finally:
        model.unlink(missing_ok=True)
        model.write_bytes(content)
        os.utime(model, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert workflow.would_run().jobs == ()


def test_a_lost_file_is_put_back_from_the_store(packed, tmp_path):
    workflow, _ = packed
    other = workflow.copy(tmp_path / "workflow")
    folder = other.folder / "results/runs/3"
    record = (folder / "0/gradmix/run.json").read_bytes()
    (folder / "1/gradmix/model.safetensors").unlink()
    done = other.run("results/packs/evaluate/3/0-1/target_only..gradmix.json")
    assert done.status == 0, done.text[-3000:]
    assert done.rules() == {"train", "evaluate"}
    assert (folder / "1/gradmix/model.safetensors").exists()
    assert (folder / "0/gradmix/run.json").read_bytes() == record


def test_one_figures_code_draws_the_figures_of_its_pack(packed):
    workflow, _ = packed
    with workflow.appended("gradmix/results/figures/confusion.py", "\n_UNUSED = 1\n"):
        done = workflow.would_run()
    assert "report" in done.rules()
    assert done.rules() == {"figures", "report"}
    assert len(done.of("figures")) == 1


def test_a_new_member_of_the_grid_trains_no_other(packed, tmp_path):
    workflow, _ = packed
    other = workflow.copy(tmp_path / "workflow")
    grid = other.folder / "results/grid/3"
    before = {str(path): json.loads(path.read_text()) for path in grid.glob("*/*/run.json")}
    done = other.run(
        "results/packs/select/3/0-1.json", grid={"gamma": [0.0, 0.25, 0.5], "runs_per_job": 12}
    )
    assert done.status == 0, done.text[-3000:]
    after = {str(path): json.loads(path.read_text()) for path in grid.glob("*/*/run.json")}
    assert len(after) == 12
    # Put back from the store: a record holds the seconds that its training took.
    assert {path: after[path] for path in before} == before


def test_what_failed_loses_nothing_that_was_trained(packed, tmp_path):
    """The second draw cannot be written; mended, the first is put back."""
    workflow, _ = packed
    other = workflow.copy(tmp_path / "workflow")
    folders = [other.folder / f"results/runs/3/{draw}/gradmix" for draw in (0, 1)]
    before = (folders[0] / "run.json").read_bytes()
    shutil.rmtree(folders[1])
    folders[1].write_text("in the way")
    asked = "results/packs/train/3/0-1/gradmix.json"
    assert other.run(asked).status != 0
    # The manifest alone is gone; what was trained still lies there.
    assert not (other.folder / asked).exists()
    assert (folders[0] / "run.json").read_bytes() == before
    folders[1].unlink()
    assert other.run(asked).status == 0
    assert (folders[0] / "run.json").read_bytes() == before
    assert (folders[1] / "model.safetensors").exists()


def test_a_split_that_somebody_wrote_over_is_made_again(packed, tmp_path):
    workflow, _ = packed
    other = workflow.copy(tmp_path / "workflow")
    split = other.folder / "results/splits/3/1.json"
    text = split.read_text()
    split.write_text(text.replace("0", "1"))
    assert other.run("results/packs/split/3/0-1.json").status == 0
    assert split.read_text() == text
