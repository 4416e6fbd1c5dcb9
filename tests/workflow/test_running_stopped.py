"""A training that SIGTERM stops, as SLURM sends it before the time limit, and that Snakemake tries again."""

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pandas as pd


def test_a_stopped_training_is_tried_again_and_goes_on(finished, tmp_path):
    workflow = finished.copy(tmp_path / "workflow")
    results = workflow.folder / "results"
    run, log = results / "runs/3/0/target_only", results / "logs/train/3/0/target_only.log"
    steps = {"target_only_steps": 1200, "target_only_evaluate_every": 300}
    began = time.time()
    with ThreadPoolExecutor(1) as other:
        target = "results/packs/train/3/0/target_only.json"
        waiting = other.submit(workflow.run, target, "--retries", "1", training=steps)
        while not (log.exists() and "step 300/1200" in log.read_text()):
            assert not waiting.done(), waiting.result().text[-3000:]
            time.sleep(0.02)
        locks = [path for path in results.glob(".store/*/lock") if path.stat().st_mtime > began]
        owners = [json.loads(path.read_text()) for path in locks]
        assert len(owners) == 1
        os.kill(owners[0]["pid"], signal.SIGTERM)
        done = waiting.result()
    assert done.status == 0, done.text[-3000:]
    assert "Trying to restart job" in done.text
    # The first attempt's lines stand before the second's, though Snakemake has deleted its log.
    lines = [line[20:] for line in log.read_text().splitlines()]
    assert sum(line.startswith("step 0/") for line in lines) == 1
    (stopped,) = (line for line in lines if line.startswith("stopped by SIGTERM at step "))
    step = int(stopped.split(";")[0].rpartition(" ")[2])
    assert 300 <= step < 1200
    assert lines.index(f"resumed at step {step}") > lines.index("broken off: Terminated(143)")
    assert lines[-1].startswith("done in")
    assert pd.read_parquet(run / "curves.parquet")["step"].tolist() == [0, 300, 600, 900, 1200]
    assert not list(log.parent.glob(".*"))
