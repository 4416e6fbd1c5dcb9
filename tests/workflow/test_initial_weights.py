"""Pretrained weights in the workflow: who reads them, where they come from, what a changed file reruns."""

import json
import re

import pytest
import torch
import yaml
from experiment import Workflow, make_workflow
from torchvision.models import resnet18

from gradmix.files import sha256_of

FILE = "results/weights/resnet18.safetensors"
METHODS = {
    "target_only": {},
    "fine_tune": {},
    "gradmix_hard": {},
    "scratch": {"recipe": "pooled", "network": {"weights": "none"}},
    "both": {
        "recipe": "pooled",
        "candidates": {"scratch": {"network": {"weights": "none"}}, "pretrained": {}},
    },
}


@pytest.fixture
def workflow(repository, tmp_path) -> Workflow:
    made = make_workflow(repository, tmp_path / "workflow")
    path = made.folder / "mini.yaml"
    config = yaml.safe_load(path.read_text())
    config |= {"network": {"name": "resnet18"}, "image": {"height": 32, "width": 32}}
    config |= {"methods": METHODS, "tuning": {"budget": 2}}
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return made


def inputs(text):
    """Input files of every job that trains, by its method, or the grid's rule."""
    found = {}
    for rule, details in re.findall(r"^rule (train\w*):\n((?:    .*\n)*)", text, re.MULTILINE):
        files = re.search(r"^    input: (.*)$", details, re.MULTILINE).group(1).split(", ")
        method = re.search(r"method=(\w+)", details)
        found[method.group(1) if method else rule] = files
    return found


def lay(path, seed):
    torch.manual_seed(seed)
    path.parent.mkdir(exist_ok=True)
    torch.save(resnet18(weights=None).state_dict(), path)


def test_weights_are_read_where_training_starts_from_them(workflow):
    done = workflow.would_run()
    assert done.of("initial_weights") == {"network=resnet18"}
    reads = {job: FILE in files for job, files in inputs(done.text).items()}
    grid = {job: True for job in reads if job.startswith("train_grid")}
    assert grid
    assert reads == grid | {
        "target_only": True,
        "source_only": True,
        "gradmix_hard": True,
        "both": True,
        "fine_tune": False,  # starts from source_only's network
        "scratch": False,
    }
    done = workflow.would_run(network={"weights": "none"})
    assert "initial_weights" not in done.rules()
    assert FILE not in done.text


def test_a_file_laid_by_hand_is_an_input(workflow):
    lay(workflow.folder / "data/weights/resnet18-f37072fd.pth", 1)
    done = workflow.would_run(FILE)
    assert "input: data/weights/resnet18-f37072fd.pth" in done.text


def test_training_reads_the_file_and_a_changed_file_reruns_it(workflow):
    run = "results/runs/3/0/target_only/run.json"
    target = "results/packs/train/3/0/target_only.json"
    path = workflow.folder / "data/mine/net.pth"
    lay(path, 1)
    own = {"network": {"weights": "mine/net.pth"}}
    done = workflow.run(target, **own)
    assert done.status == 0, done.text[-4000:]
    record = json.loads((workflow.folder / run).read_text())
    assert record["inputs"]["weights"] == sha256_of(workflow.folder / FILE)
    assert record["settings"]["network"]["weights"] == "file"
    assert not workflow.would_run(target, **own).rules()
    lay(path, 2)
    assert workflow.would_run(target, **own).rules() == {"initial_weights", "train"}


def test_without_file_and_network_one_error_says_what_to_do(workflow, monkeypatch):
    # A proxy that nothing listens at: no test leaves this machine.
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    done = workflow.run(FILE)
    assert done.status != 0
    (line,) = {line for line in done.text.splitlines() if line.startswith("error in")}
    assert "initial_weights, network=resnet18: network.weights: imagenet: ResNet-18's" in line
    assert "lay it into data/weights" in line
    assert "network.weights: none" in line
    assert "Traceback" not in done.text
