import os
import re
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
    extras = project["optional-dependencies"].values()
    return [
        Requirement(text) for text in [*project["dependencies"], *(r for e in extras for r in e)]
    ]


def test_constraints_are_plain_pins(repository):
    for line in (repository / "constraints.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line), line


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
    direct = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    # Jobs are run by Snakemake, and do not run it.
    assert packages == {name: pins[name] for name in direct - {"snakemake"}}


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
