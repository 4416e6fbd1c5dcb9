"""A training rule that holds two GPUs starts two ranks; on a machine without GPUs they share the CPU."""

import json


def test_a_rule_with_two_gpus_trains_by_two_ranks(finished, tmp_path_factory):
    again = finished.copy(tmp_path_factory.mktemp("ranks") / "workflow")
    folder = again.folder / "results/runs/3/0/gradmix"
    one = json.loads((folder / "run.json").read_text())
    two_gpus = {"resources": {"gpu": 2}}
    target = "results/packs/train/3/0/gradmix.json"
    done = again.run(target, "--force", "--resources", "gpu=2", **two_gpus)
    assert done.status == 0, done.text[-3000:]
    assert done.rules() == {"train"}
    two = json.loads((folder / "run.json").read_text())
    assert two.pop("ranks") == 2
    assert set(two) == set(one)
    log = (again.folder / "results/logs/train/3/0/gradmix.log").read_text()
    assert "2 ranks on cpu, cpu" in log
    assert "step 4/4: H accuracy" in log
    # Only training spreads over several, and only what ranks can train together; nothing else has changed.
    assert again.would_run(target, **two_gpus).jobs == ()
    planned = again.would_run("--forceall", "--resources", "gpu=2", **two_gpus).text
    rules = [block.split(":\n", 1) for block in planned.split("\nrule ")[1:]]
    held = {(name, "gpu=2" in text) for name, text in rules}
    assert ("train_grid", True) in held
    assert {name for name, two_held in held if two_held} <= {"train", "train_grid"}
    assert ("train", False) in held, "dctn's discriminators would be trained apart"
