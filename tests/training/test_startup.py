"""What a process imports before it trains or evaluates: modules that it does not use cost it seconds."""

import json
import subprocess
import sys

import pytest
from debug_experiment import settings_of

from gradmix.training.job import Run

HEAVY = (
    *("pandas", "scipy", "sklearn", "matplotlib", "PIL", "cv2", "nlopt", "jinja2", "pydantic"),
    *("torchvision", "torch._dynamo", "torch._inductor", "sympy", "snakemake"),
)
# From the lightest to the heaviest: what one has not imported, those before it have not either.
PROGRAM = """
import json, sys
heavy, runs = json.load(sys.stdin)
def tell():
    print(json.dumps([name for name in (*heavy, "numpy") if name in sys.modules]))
import gradmix.training.select
tell()
from gradmix.training.job import Run
from gradmix.training.launch import train_runs
for run in runs:
    train_runs([Run.from_json(run)], lambda line: None)
    tell()
import gradmix.training.predict
tell()
"""


@pytest.fixture(scope="module")
def imported(experiment, tmp_path_factory):
    """Heavy modules that a process has imported by what it has done."""
    folder = tmp_path_factory.mktemp("startup")
    runs = [
        Run(settings_of(method), experiment.job_of(method, folder / "store"), folder / method)
        for method in ("target_only", "gradmix_soft")
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([HEAVY, [run.to_json() for run in runs]]), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert all((run.output / "run.json").exists() for run in runs)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return dict(zip(("select", "target_only", "gradmix_soft", "predict"), told, strict=True))


@pytest.mark.parametrize("method", ["target_only", "gradmix_soft"])
def test_a_digits_training_job_imports_no_more_than_it_uses(imported, method):
    """From its start to its finished record, pseudo-labels and the exact solver included."""
    assert imported[method] == ["numpy"]


def test_predictions_are_made_without_what_only_tables_need(imported):
    assert imported["predict"] == ["numpy"]


def test_choosing_models_needs_nothing_heavy_at_all(imported):
    assert imported["select"] == []
