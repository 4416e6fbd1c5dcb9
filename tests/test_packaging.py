import os
import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, distribution

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version


@pytest.fixture(scope="module")
def project(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def pins(repository):
    lines = (repository / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def all_requirements(project):
    """Of the package and all extras; an extra may name further extras of the package itself."""
    extras = project["optional-dependencies"].values()
    texts = [*project["dependencies"], *(text for extra in extras for text in extra)]
    return [r for r in map(Requirement, texts) if r.name != project["name"]]


def required_by(project, *extras):
    """Canonical names of what the package with these extras requires directly."""
    texts = [*project["dependencies"]]
    texts += [text for extra in extras for text in project["optional-dependencies"][extra]]
    names = set()
    for requirement in map(Requirement, texts):
        if requirement.name == project["name"]:
            names |= required_by(project, *requirement.extras)
        else:
            names.add(canonicalize_name(requirement.name))
    return names


def test_constraints_are_plain_pins(repository):
    for line in (repository / "constraints.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line), line


def test_the_lock_file_has_the_same_pins_and_a_hash_of_each(repository, pins):
    text = (repository / "constraints.lock").read_text()
    packages = re.findall(
        r"^(\S+)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}.*\n)+)", text, re.M
    )
    assert {name: version for name, version, _ in packages} == pins
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) == sum(1 + hashes.count("--hash") for *_, hashes in packages)


def test_every_requirement_has_a_lower_bound_and_a_pin_above_it(project, pins):
    for requirement in all_requirements(project):
        assert [part.operator for part in requirement.specifier] == [">="], requirement
        pin = pins[canonicalize_name(requirement.name)]
        assert Version(pin) in requirement.specifier, requirement


def test_constraints_are_complete(project, pins):
    """What the requirements require is pinned too, as far as it is installed here."""
    waiting, seen = all_requirements(project), set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, *requirement.extras) in seen:
            continue
        seen.add((name, *requirement.extras))
        try:
            requires = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        assert name in pins
        for text in requires:
            inner = Requirement(text)
            extras = [*requirement.extras, ""]
            if not inner.marker or any(inner.marker.evaluate({"extra": e}) for e in extras):
                waiting.append(inner)


def test_conda_environment_has_the_same_pins(repository, project, pins):
    environment = yaml.safe_load((repository / "envs" / "gradmix.yaml").read_text())
    listed = next(part["pip"] for part in environment["dependencies"] if isinstance(part, dict))
    packages = dict(line.split("==") for line in listed)
    direct = required_by(project, "workflow")
    # Jobs are run by Snakemake, and do not run it.
    assert packages == {name: pins[name] for name in direct - {"snakemake"}}


def test_only_torch_is_required(project):
    assert required_by(project) == {"torch"}


def test_the_workflow_has_what_its_configurations_may_ask_for(project):
    workflow = project["optional-dependencies"]["workflow"]
    snakemake = next(r for r in map(Requirement, workflow) if r.name == "snakemake")
    assert snakemake.extras == {"reports"}
    assert required_by(project, "slsqp", "video") <= required_by(project, "workflow")
    for extra in ("test", "benchmarks", "slurm", "generic"):
        assert required_by(project, "workflow") <= required_by(project, extra)


def test_types_and_templates_are_shipped(repository):
    settings = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["setuptools"]
    for package, patterns in settings["package-data"].items():
        folder = repository.joinpath(*package.split("."))
        for pattern in patterns:
            assert list(folder.glob(pattern)), (package, pattern)
    suffixes = {path.suffix for path in (repository / "gradmix").rglob("*.*") if path.is_file()}
    assert suffixes - {".pyc"} <= {".py", ".typed", ".j2"}


def test_the_paper_is_cited(repository):
    citation = yaml.safe_load((repository / "CITATION.cff").read_text())
    paper = citation["preferred-citation"]
    assert paper["title"] == "GradMix: Multi-source Transfer across Domains and Tasks"
    assert [author["family-names"] for author in paper["authors"]] == [
        "Li", "Xu", "Wong", "Zhao", "Kankanhalli",
    ]  # fmt: skip
    assert "2002.03264" in paper["identifiers"][0]["value"]


def test_commands(repository):
    assert os.access(repository / ".ci" / "run", os.X_OK)
    assert "make test" in (repository / ".ci" / "run").read_text()


@pytest.mark.parametrize(
    ("command", "extras"),
    [
        ("run", ["workflow"]),
        ("test", ["workflow", "test"]),
        ("test-long", ["workflow", "test", "test,examples"]),
        ("test-cluster", ["workflow", "test", "test,slurm,generic"]),
    ],
)
def test_commands_install_what_they_need(command, extras, repository, tmp_path):
    new = f"VENV={tmp_path / 'new'}"
    alone = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(
        ["make", "--dry-run", new, "PIP_ARGS=--an-option", command],
        cwd=repository, env=alone, capture_output=True, text=True, check=True,
    )  # fmt: skip
    installs = [line for line in done.stdout.splitlines() if "pip install" in line]
    assert [re.search(r"\.\[(.*)\]", line).group(1) for line in installs] == extras
    assert all(" --an-option " in line and "constraints.txt" in line for line in installs)
    assert ("-m long" in done.stdout) == (command == "test-long")
