"""A hundred kills, at random and inside the writing of checkpoints: the runs end as if there had been none."""

import json
import os
import subprocess
import sys
from pathlib import Path

from debug_experiment import settings_of

from gradmix.methods.recipes import recipe_of
from gradmix.training.job import Run
from gradmix.training.settings import Pace

KILLS = 15  # of every case
STEPS = {"steps": 12, "evaluate_every": 5, "target_only_steps": 12, "target_only_evaluate_every": 5}
FINE_TUNING = {"fine_tune_steps": 8, "fine_tune_evaluate_every": 5}
TERMS = {"self_labels": {"warm_up": 0.2, "threshold": 0.3}}


def cases():
    """Plain and mixed training, and everything that keeps a state: terms, mixers, Adam, a second part."""
    return {
        "target_only": settings_of("target_only", training=STEPS),
        "gradmix": settings_of("gradmix", training=STEPS),
        "gradmix_vat": settings_of("gradmix_vat", training=STEPS),
        "guided_sum_self": settings_of("guided_sum_self", training=STEPS, options=TERMS),
        "dctn": settings_of("dctn", training=STEPS),
        "best_single_source": settings_of("best_single_source", training=STEPS),
        "gradmix_h2": settings_of(
            "gradmix",
            training={**STEPS, **FINE_TUNING, "steps": 8},
            gradmix={"last_layer": "H2"},
        ),
    }


def test_a_hundred_kills_change_no_bit(experiment, tmp_path):
    runs = {}
    for name, settings in cases().items():
        enlarged = experiment.enlarged if recipe_of(settings.recipe).needs_pseudo_labels else None
        pace = Pace(seconds=1e9, steps=2)
        job = experiment.job(tmp_path / "store", enlarged=enlarged, pace=pace)
        runs[name] = Run(settings, job, tmp_path / "run").to_json()
    call = {"runs": runs, "folder": str(tmp_path / "runs"), "kills": KILLS, "seed": 1}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("killed_runs.py")), json.dumps(call)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    print(found)
    assert sum(case["kills"] for case in found.values()) >= 100
    assert sum(case["inside_writes"] for case in found.values()) >= 20
    assert sum(len(case["resumed_at"]) for case in found.values()) >= 20
    for name, case in found.items():
        assert any(step % 5 for step in case["resumed_at"]), f"{name}: never inside an interval"
