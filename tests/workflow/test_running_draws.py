"""Jobs that do several draws of a method."""

from experiment import Workflow

from gradmix.files import read_json


def test_a_pack_of_draws_trains_what_is_missing_and_restores_the_rest(finished, tmp_path):
    workflow = finished.copy(tmp_path / "workflow")
    runs = workflow.folder / "results" / "runs" / "3"
    before = (runs / "0" / "target_only" / "run.json").read_bytes()
    packed = {"draws": 2, "resources": {"draws_per_job": 2}}
    done = workflow.run("results/packs/evaluate/3/0-1/target_only.json", **packed)
    assert done.status == 0, done.text[-3000:]
    assert done.rules() == {"split", "train", "evaluate"}
    log = (workflow.folder / "results/logs/train/3/0-1/target_only.log").read_text()
    assert "results/runs/3/0/target_only: finished before" in log
    assert "target_only k=3 draw=1: 4 steps" in log
    assert (runs / "0" / "target_only" / "run.json").read_bytes() == before
    for draw in "01":
        assert (runs / draw / "target_only" / "metrics.json").exists()


def test_draws_and_grid_members_are_trained_together(fresh, tmp_path):
    results = fresh.copy(tmp_path / "workflow").folder / "results"
    done = Workflow(results.parent).run(
        "results/packs/train/3/0-1/gradmix.json",
        "results/packs/train_grid/3/0/beta5-gamma0..beta10-gamma0.json",
        draws=2,
        resources={"draws_per_job": 2, "models_at_once": 4},
    )
    assert done.status == 0, done.text[-3000:]
    log = (results / "logs/train/3/0-1/gradmix.log").read_text()
    assert "2 models together, method gradmix, k = 3, draw 0" in log
    log = (results / "logs/train_grid/3/0/beta5-gamma0..beta10-gamma0.log").read_text()
    assert "3 models together" in log
    records = [*results.glob("grid/3/0/*/run.json"), *results.glob("runs/3/*/gradmix/run.json")]
    assert sorted(read_json(path)["models_at_once"] for path in records) == [2, 2, 3, 3, 3]


def test_packs_cover_all_draws_and_leave_the_grid_alone(fresh):
    packed = {"draws": 5, "resources": {"draws_per_job": 2}, "methods": {"gradmix_hard": {}}}
    done = fresh.would_run(**packed)
    for stage in ("split", "train", "evaluate", "pseudo_label"):
        packs = {wildcards.split("pack=")[1].split(",")[0] for wildcards in done.of(stage)}
        assert packs == {"0-1", "2-3", "4"}, stage
    assert {job.split(", ")[1] for job in done.of("train_grid")} == {f"pack={n}" for n in range(5)}


def test_a_pack_of_the_grid_holds_no_more_runs_than_it_may(fresh):
    """Two draws of four members fit into eight runs, three do not."""
    sizes = {"draws": 6, "resources": {"draws_per_job": 3}}
    for runs, packs in ((12, 2), (8, 3), (7, 6), (4, 6)):
        done = fresh.would_run(**sizes, grid={"runs_per_job": runs})
        assert len(done.of("train_grid")) == packs
