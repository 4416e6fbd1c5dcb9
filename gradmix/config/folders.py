"""Checks of the folders that a configuration names, on the machine that plans."""

import os
from collections.abc import Iterator
from pathlib import Path

from gradmix.config.experiment import Config
from gradmix.config.load import refusal
from gradmix.config.messages import Problem

# What the workflow is made of, and what version control keeps of it.
_OURS = ("gradmix", "rules", "workflow_scripts", "config", "docs", "tests", ".git", ".snakemake")


def check_folders(config: Config, workflow: str | Path, path: str) -> None:
    """Check that results can be written to `output_dir`, and that `data_dir` can be read.

    Args:
        config: the configuration.
        workflow: folder of the workflow.
        path: where the configuration comes from, for messages.

    Raises:
        ConfigError: if they cannot, or if results would lie around raw data or among the workflow's own files.
    """
    problems = [*_output(config, Path(workflow).resolve()), *_data(config)]
    if problems:
        raise refusal(path, problems)


def _output(config: Config, workflow: Path) -> Iterator[Problem]:
    key, given = "output_dir", Path(config.output_dir)
    try:
        output, data = given.resolve(), Path(config.data_dir).resolve()
        there = next(place for place in (output, *output.parents) if place.exists())
    except (OSError, RuntimeError) as error:
        yield key, f"{given} cannot be a folder: {getattr(error, 'strerror', error)}"
        return
    if not there.is_dir():
        yield key, f"{there} is a file; name a folder"
    elif not os.access(there, os.W_OK | os.X_OK):
        yield key, f"nothing can be written to {there}"
    if workflow.is_relative_to(output) or str(output) == os.path.expanduser("~"):
        yield key, f"{output} holds more than results; name a folder of its own"
    elif any(output.is_relative_to(workflow / ours) for ours in _OURS):
        yield key, f"{given} is part of the workflow; name a folder of its own"
    elif data.is_relative_to(output):
        yield key, f"holds data_dir ({config.data_dir}); name a folder of its own"


def _data(config: Config) -> Iterator[Problem]:
    data = Path(config.data_dir)
    try:
        is_file = data.exists() and not data.is_dir()
    except OSError as error:
        yield "data_dir", f"{data} cannot be a folder: {error.strerror}"
        return
    if is_file:
        yield "data_dir", f"{data} is a file; name a folder"
