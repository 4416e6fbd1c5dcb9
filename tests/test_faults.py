"""The fault campaign: a cut of it as a program, and that its rule and its table can fail."""

import os
import re
import subprocess
import sys
from math import ceil

import pytest

from tests.faults.campaign import WHOLE_MINUTES, Ended, in_words
from tests.faults.classes import KINDS
from tests.faults.record import table
from tests.faults.verdict import CLEAR, LOST, SURVIVED, UNCLEAR, BadCaseError, clear

MINUTES, SEED = 3, 16


@pytest.mark.long
def test_nothing_is_lost_and_nothing_silently_wrong(repository):
    """Minutes on two idle cores; every class has its share of its minimum count."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--minutes", str(MINUTES), "--seed", str(SEED)],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    rows = re.findall(
        r"^\| ([\w-]+) \| (\d+) \| .* \| (\d+) \| (\d+) \| (\d+) \|$", done.stdout, re.M
    )
    tried = {name: int(count) for name, count, *_ in rows}
    assert all(bad == ["0", "0", "0"] for _, _, *bad in rows)
    for kind in KINDS:
        if not kind.skipped():
            assert tried[kind.name] >= ceil(kind.at_least * MINUTES / WHOLE_MINUTES), kind.name


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("", "without a word"),
        ("Traceback (most recent call last):\n ...\nValueError: list.csv", "inside"),
        ("KeyError: 'list.csv'", "inside"),
        ("list.csv: Input should be a valid string", "inside"),
        ("something is wrong", "names none of"),
        ("list.csv\n" * 20, "long"),
    ],
)
def test_a_clear_error_is_a_few_lines_that_name_the_file_and_nothing_of_the_inside(message, why):
    with pytest.raises(BadCaseError, match=why) as raised:
        clear(message, ["list.csv"])
    assert raised.value.verdict == UNCLEAR
    assert clear("list.csv, row 3: label is empty", ["list.csv"]) == CLEAR


def test_the_table_counts_what_came_of_the_cases_and_a_bad_one_says_how_to_run_it_again():
    ended = [
        Ended("damage", 1, SURVIVED, [], "", 1.0),
        Ended("damage", 2, CLEAR, [], "", 1.0),
        Ended("damage", 3, LOST, ["a bit in model.safetensors"], "it is gone", 1.0),
    ]
    lines = table(KINDS, ended, {"full-disk": "no root"}).splitlines()
    assert lines[2] == "| damage | 3 | 1 | 1 | 0 | 1 | 0 |"
    assert lines[3].startswith("| full-disk | skipped: no root |")
    assert lines[4] == "| **all** | 3 | 1 | 1 | 0 | 1 | 0 |"
    words = in_words(ended[2])
    assert words.startswith("LOST --only damage:3")
    assert "a bit in model.safetensors" in words
