"""What a process imports before it trains or evaluates: modules that it does not use cost it seconds."""

import json
import subprocess
import sys

import pytest
from debug_experiment import make_experiment, settings_of

HEAVY = (
    *("pandas", "scipy", "sklearn", "matplotlib", "PIL", "cv2", "nlopt", "jinja2", "pydantic"),
    *("torchvision", "torch._dynamo", "torch._inductor", "sympy", "snakemake"),
)
TRAIN = """
import json, sys
from pathlib import Path
from gradmix.training.launch import train_method
from gradmix.training.run import Job
call = json.load(sys.stdin)
files = {name: Path(file) for name, file in call["files"].items()}
domains = {name: Path(folder) for name, folder in call["domains"].items()}
job = Job(domains=domains, **files, labels_per_class=2, draw=0, seed=0, code="test", device="cpu")
train_method(call["settings"], job, Path(call["output"]), lambda line: None)
"""
TELL = "\nprint([name for name in {} if name in sys.modules])"


def imported_by(code: str, call: object = None) -> str:
    """Which of the heavy modules a process with this code has imported when it is done."""
    done = subprocess.run(
        [sys.executable, "-c", code + TELL.format(HEAVY)],
        input=json.dumps(call), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("method", ["target_only", "gradmix_soft"])
def test_a_digits_training_job_imports_no_more_than_it_uses(tmp_path, method):
    """From its start to its finished record, pseudo-labels and the exact solver included."""
    job = make_experiment(tmp_path / "data").job_of(method, tmp_path / "store")
    files = {
        name: str(path)
        for name in ("split", "store", "enlarged", "predictions")
        if (path := getattr(job, name)) is not None
    }
    call = {
        "settings": settings_of(method),
        "files": files,
        "domains": {name: str(folder) for name, folder in job.domains.items()},
        "output": str(tmp_path / "run"),
    }
    assert imported_by(TRAIN, call) == "[]"
    assert (tmp_path / "run" / "run.json").exists()


def test_predictions_are_made_without_what_only_tables_need():
    assert imported_by("import sys\nimport gradmix.training.predict") == "[]"


def test_choosing_models_needs_nothing_heavy_at_all():
    code = "import sys\nimport gradmix.training.select"
    assert imported_by(code + "\nassert 'numpy' not in sys.modules") == "[]"
