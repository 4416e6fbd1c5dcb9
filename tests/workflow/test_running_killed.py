"""Jobs that are killed, two snakemakes at once, and a controller that is killed or stopped: nothing is lost."""

import json
import os
import signal
import time

import pytest
import yaml
from experiment import make_workflow


def wait_for(condition, process):
    """Wait until something is so, while the process lives."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_a_training_that_was_killed_after_a_change_of_its_code_is_trained_again(finished, tmp_path):
    workflow = finished.copy(tmp_path / "workflow")
    workflow.add_switches()
    model = workflow.folder / "results/runs/3/0/guarded_sum/model.safetensors"
    model.unlink()
    with workflow.appended("gradmix/mixing/guarded_sum.py", "\n_UNUSED = 1\n"):
        with workflow.switched("kill", "train"):
            done = workflow.run("--quiet")
        assert done.status != 0
        assert done.text.splitlines()[-3:] == [
            "error in train, labels_per_class=3, pack=0, method=guarded_sum: ended without a word: "
            "killed from outside, perhaps for its memory or time; or the disk is full",
            "(log: results/logs/train/3/0/guarded_sum.log)",
            "Mend the cause and run the same command again: what is finished is kept.",
        ]
        again = workflow.would_run()
    assert again.of("train") == {"labels_per_class=3, pack=0, method=guarded_sum"}
    assert again.rules() == {"train", "evaluate", "tables", "figure", "report"}


STAGES = {
    "report": "results/report.html",
    "ablation": "results/tables/ablation-beta.csv",
    "tables": "results/tables/accuracy.csv",
    "figure": "results/figures/accuracy.svg",
    "table2": "results/tables/table2-k3.csv",
    "pseudo_label_sweep": "results/packs/pseudo_label_sweep/3/0.json",
    "evaluate_grid": "results/packs/evaluate_grid/3/0.json",
    "evaluate": "results/packs/evaluate/3/0/gradmix.json",
    "train": "results/packs/train/3/0/gradmix.json",
    "enlarge": "results/packs/enlarge/3/0.json",
    "pseudo_label_quality": "results/packs/pseudo_label_quality/3/0.json",
    "pseudo_label": "results/packs/pseudo_label/3/0.json",
    "select": "results/packs/select/3/0.json",
    "train_grid": "results/packs/train_grid/3/0/beta10-gamma0.5.json",
    "split": "results/packs/split/3/0.json",
    "prepare_domain": "results/domains/low_digits/domain.json",
}


@pytest.mark.long
def test_a_killed_job_of_every_stage_is_run_again(repository, tmp_path):
    """From the last stage to the first, so that what is missing further down brings no job of the stage."""
    workflow = make_workflow(repository, tmp_path / "workflow")
    workflow.add_switches()
    path = workflow.folder / "mini.yaml"
    config = yaml.safe_load(path.read_text())
    config["methods"] = {"target_only": {}, "gradmix": {}, "gradmix_hard": {}}
    config["ablations"] = {
        "beta": {
            "title": "Beta",
            "methods": {"gradmix": {}, "flat": {"recipe": "gradmix", "gradmix": {"beta": 1}}},
        }
    }
    config["grid"]["evaluate_at"] = [3]
    config["pseudo_labels"]["sweep"] = {"models": [1, 2], "thresholds": [0.0, 0.5]}
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    done = workflow.run()
    assert done.status == 0, done.text[-6000:]
    assert done.rules() == set(STAGES)
    for stage, file in STAGES.items():
        assert stage not in workflow.would_run().rules(), stage
        with workflow.switched("kill", stage):
            assert workflow.run("--force", file).status != 0, stage
        assert not (workflow.folder / file).exists()
        assert stage in workflow.would_run().rules(), stage
    done = workflow.run()
    assert done.status == 0, done.text[-6000:]
    assert workflow.would_run().jobs == ()


FIGURE = "results/figures/accuracy.svg"
OTHER = "results/figures/samples.svg"


def test_one_snakemake_at_a_time_makes_the_files_of_an_output_dir(finished, tmp_path):
    workflow = finished.copy(tmp_path / "workflow")
    workflow.add_switches()
    begun = workflow.folder / "results/logs/figures/.accuracy.log.attempt"
    other = workflow.folder / OTHER
    before = other.stat().st_mtime_ns
    with workflow.switched("hold", "figure"):
        with workflow.running("--force", FIGURE) as first:
            wait_for(begun.exists, first)
            # One over another folder may work beside it, and its end takes no lock away.
            done = workflow.run("other/domains/low_digits/domain.json", output_dir="other")
            assert done.status == 0, done.text[-3000:]
            second = workflow.run("--force", OTHER)
            assert second.status != 0
            owner = json.loads((workflow.folder / "results/.store/lock").read_text())
            assert second.text.splitlines()[-1] == (
                "results/.store: the files of this output_dir are being made by another snakemake, "
                f"process {first.pid} on {owner['host']} since {owner['since']}; "
                "end that process, or wait for it"
            )
            assert "Traceback" not in second.text
            assert other.stat().st_mtime_ns == before
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
        # The lock went with its process, and plain `snakemake` goes on.
        begun.unlink()
        with workflow.running(FIGURE) as stopped:
            wait_for(begun.exists, stopped)
            os.killpg(stopped.pid, signal.SIGINT)
            _, said = stopped.communicate()
    assert stopped.returncode == 1
    assert "Traceback" not in said
    assert said.splitlines()[-1] == (
        "Stopped. Run the same command again to go on: what is finished is kept, "
        "and trainings go on from their checkpoints."
    )
    done = workflow.run(FIGURE)
    assert done.status == 0, done.text[-3000:]
    assert (workflow.folder / FIGURE).exists()


def test_a_figure_that_cannot_be_drawn_costs_no_report_and_is_tried_again(finished, tmp_path):
    workflow = finished.copy(tmp_path / "workflow")
    results = workflow.folder / "results"
    drawing = "    metrics = metrics[metrics"
    fault = '    raise ValueError("metrics.json: <no> numbers")\n'
    with workflow.edited("gradmix/results/figures/confusion.py", drawing, fault + drawing):
        done = workflow.run()
        assert done.status != 0
        assert done.rules() == {"figure", "report"}
        assert done.text.splitlines()[-2:] == [
            "figure confusion-k3 could not be drawn: metrics.json: <no> numbers",
            "Mend the cause and run the same command again: what is finished is kept.",
        ]
        told = "This figure could not be drawn: metrics.json: &lt;no&gt; numbers"
        assert told in (results / "report.html").read_text()
        # The cause may lie outside all that Snakemake watches.
        again = workflow.would_run()
        assert again.of("figure") == {"figure=confusion-k3"}
        assert again.rules() == {"figure", "report"}
    done = workflow.run()
    assert done.status == 0, done.text[-3000:]
    assert told not in (results / "report.html").read_text()
    assert not list((results / "figures").glob("*.failed"))
