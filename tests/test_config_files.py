"""Files of the configuration: what YAML passes over, and what Snakemake says without a place."""

import subprocess
import sys

import pytest

from gradmix.config import ConfigError
from gradmix.config.__main__ import main
from gradmix.config.files import check_files, read_file

LAUGHS = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 20)
)


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "mine.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("seed: 1\ndraws: 2\nseed: 3\n", ", line 3: the key seed stands in line 1, too; keep one"),
        ("a: {b: 1, b: 2}\n", ", line 1: the key b stands twice in this line"),
        ("a:\n  - x: 1\n    'x': 2\n", ", line 3: the key x stands in line 2, too"),
        ('{"a": 1,\n\t"a": 2}\n', ", line 2: the key a stands in line 1, too"),
        ("5: a\n'5': b\n", ", line 2: the key 5 stands in line 1, too"),
        ("a: [1,\nb: 2\n", ", line 3, column 1: not valid YAML: while parsing a flow sequence"),
        ("a:\n\tb: 2\n", ", line 2, column 1: not valid YAML: while scanning for the next token, found"),
        ("a: *b\n", ", line 1, column 4: not valid YAML: found undefined alias 'b'"),
        ("a: 1\n---\nb: 2\n", ", line 2, column 1: not valid YAML: expected a single document"),
        ("a: !!python/name:os.system\n", ", line 1, column 4: not valid YAML: could not determine"),
        ("a: &b {c: *b}\n", ", line 1: holds an alias to itself"),
        ("a: &b\n  - *b\n", ", line 1: holds an alias to itself"),
        ("? [a]\n: 1\n", ", line 1: a key must be text"),
        ("a: [1, 007]\n", ', line 1: 007 is the number 7 in YAML; put it in quotes, "...", for text'),
        ("a: 2024-01-31\n", ", line 1: 2024-01-31 is a date in YAML; put it in quotes"),
        ("a: 2024-13-45\n", ", line 1: 2024-13-45 is a date in YAML; put it in quotes"),
        ("a: " + "9" * 5000, f", line 1: {'9' * 50} is a number in YAML"),
        ("a: 0x" + "f" * 5000, f", line 1: 0x{'f' * 48} is a number in YAML"),
        ("a: 1\nb: 1_000\n", ", line 2: 1_000 is the number 1000"),
        ("012: a\n", ", line 1: 012 is the number 10"),
        ("a: 1:30\n", ", line 1: 1:30 is the number 90"),
        ("", ": must hold `key: value` lines, but holds nothing"),
        ("# a comment\n", ": must hold `key: value` lines, but holds nothing"),
        ("- a\n", ": must hold `key: value` lines, but holds a list"),
        ("hello\n", ": must hold `key: value` lines, but holds text"),
        ("a: 1\nb: Zähler\n".encode("latin-1"), ", line 2: is not in UTF-8; save it in UTF-8"),
        ("a: 1\n".encode("utf-16"), ", line 1: is not in UTF-8"),
        ("a: 1\nb: x\0y\n", r", line 2: holds the character '\x00', which no text has"),
        ("a: " + "[" * 2000 + "]" * 2000, ": is nested too deeply"),
    ],
)  # fmt: skip
def test_faults_are_told_with_file_and_line(file, content, message):
    path = file(content)
    with pytest.raises(ConfigError) as caught:
        check_files([path])
    assert str(caught.value).startswith(f"{path}{message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "values"),
    [
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
        ("a: &x [1]\nb: *x\nc: *x\n", {"a": [1], "b": [1], "c": [1]}),
        ("\ufeffa: 1\n", {"a": 1}),
        ("a: '007'\nb: -3\nc: +0\nd: 1e-3\ne: 0\n", {"a": "007", "b": -3, "c": 0, "d": "1e-3", "e": 0}),
        ('{\n\t"a": "b"\n}', {"a": "b"}),
    ],
)  # fmt: skip
def test_what_yaml_is_for_stays(file, content, values):
    assert read_file(file(content)) == values


def test_aliases_of_aliases_cost_nothing(file):
    check_files([file(LAUGHS)])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"mine\.yaml: cannot be read: No such file"):
        read_file(tmp_path / "mine.yaml")


def test_the_configurations_that_come_with_the_project_have_no_such_faults(repository):
    files = sorted((repository / "config").glob("*.yaml"))
    assert len(files) > 5
    check_files(files)


def test_files_are_checked_without_snakemake(repository, file):
    config = str(repository / "config" / "config.yaml")
    over = str(file("training: {steps: 7}\n"))
    assert main([config, over]) is None
    faulty = str(file("training: {steps: none}\n"))
    assert "training.steps: must be a number, but is the text 'none'" in main([config, faulty])
    done = subprocess.run(
        [sys.executable, "-m", "gradmix.config", str(file("a: 1\na: 2\n"))],
        capture_output=True, text=True, cwd=repository,
    )  # fmt: skip
    assert done.returncode == 1
    assert "line 2: the key a stands in line 1, too; keep one of them\n" in done.stderr
