"""The wheel builds, needs torch alone, and runs the README's loop.

It is installed into an empty environment. Then a folder of links joins that environment's path: to torch's package and
to those of what torch requires, one by one, so that nothing else that is installed here can be imported. Pip never sees
the links: it would write through them into the packages themselves.
"""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CORE = """
import importlib, pkgutil, sys
import torch
from torch.nn.functional import cross_entropy
import gradmix
from gradmix import ConvNet, GradMix, layers_of

net = ConvNet({"a": 3, "b": 2}, image_size=(8, 8), width=4)
mixer = GradMix(layers_of(net.backbone), beta=10.0, gamma=0.6)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
losses = [
    cross_entropy(net(torch.rand(8, 3, 8, 8), space), torch.arange(8) % 2) for space in "aba"
]
before = net.backbone.hidden.weight.detach().clone()
mixed = mixer.backward(losses[:2], losses[2])
mixer.step(optimizer)
assert mixed.weights_LK.shape == (5, 2) and not torch.equal(before, net.backbone.hidden.weight)

# NumPy and NLopt are the extra `slsqp`, and of one file.
for name in set(gradmix.__all__) - {"slsqp_weights"}:
    getattr(gradmix, name)
for module in pkgutil.walk_packages(importlib.import_module("gradmix.mixing").__path__, "gradmix.mixing."):
    if module.name != "gradmix.mixing.solvers.slsqp":
        importlib.import_module(module.name)
for name in ("numpy", "nlopt", "torchvision", "yaml", "sklearn"):
    assert importlib.util.find_spec(name) is None, name
"""


def link(wanted: Requirement, folder: Path, seen: set[str]) -> None:
    """Put links to an installed package and to all that it requires into `folder`."""
    if str(wanted) in seen:
        return
    seen.add(str(wanted))
    installed = distribution(wanted.name)
    for top in {file.parts[0] for file in installed.files or []} - {"..", "__pycache__"}:
        if not (folder / top).exists() and not top.endswith(".pth"):
            (folder / top).symlink_to(installed.locate_file(top))
    for inner in map(Requirement, installed.requires or []):
        extras = [*wanted.extras, ""]
        if not inner.marker or any(inner.marker.evaluate({"extra": e}) for e in extras):
            link(inner, folder, seen)


def run(*command: object, **options: object) -> str:
    alone = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIP_"))}
    alone["PIP_CONFIG_FILE"] = os.devnull  # no settings of this machine, such as folders of wheels
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=alone, **options
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(repository, tmp_path_factory):
    """Built from a copy, so that no earlier build's leftovers get into it."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, folder)
    shutil.copytree(repository / "gradmix", folder / "gradmix", ignore=lambda *_: ["__pycache__"])
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", folder, folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of an environment that holds the wheel, and of torch what it needs to read."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    interpreter = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", interpreter, "--disable-pip-version-check")
    run(*pip, "install", "--no-index", "--no-deps", "--no-compile", wheel)
    # From here on nothing is installed.
    links = tmp_path_factory.mktemp("links")
    link(Requirement("torch"), links, set())
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "torch.pth").write_text(f"{links}\n")
    return interpreter


def test_the_wheel_requires_torch_alone(wheel):
    with zipfile.ZipFile(wheel) as content:
        (name,) = (n for n in content.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(content.read(name))
    required = map(Requirement, metadata.get_all("Requires-Dist"))
    always = [r for r in required if not r.marker or r.marker.evaluate({"extra": ""})]
    assert [requirement.name for requirement in always] == ["torch"]


def test_the_core_needs_torch_alone(python, tmp_path):
    run(python, "-I", "-c", CORE, cwd=tmp_path)


def test_the_readmes_loop_runs(python, repository, tmp_path):
    """Its data come with scikit-learn."""
    link(Requirement("scikit-learn"), tmp_path, set())
    code = re.search(r"```python\n(.*?)```", (repository / "README.md").read_text(), re.DOTALL)
    data = f"import sys; sys.path.append({str(tmp_path)!r})\n"
    assert run(python, "-I", "-c", data + code.group(1), cwd=tmp_path).startswith("rho ")
