"""The suite measures what it says, part by part, and a part that breaks takes nothing with it."""

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import memory, parts, step, suite
from benchmarks.measuring import (
    NotHereError,
    hardware,
    in_turns,
    in_words,
    ratios,
    slug,
    spread,
    versions,
)
from benchmarks.record import read_records, text_of
from benchmarks.suite import Options, Part
from benchmarks.variants import EXACT, LIMIT, PLAIN, TOGETHER, VARIANTS


@pytest.fixture
def fake_parts(monkeypatch):
    """Parts by name, each a module whose `measure` is given."""
    monkeypatch.setattr(suite, "PARTS", {})

    def add(name, measure):
        module = ModuleType(f"benchmarks.fake_{name}")
        module.measure = measure
        monkeypatch.setitem(sys.modules, module.__name__, module)
        suite.PARTS[name] = Part(module.__name__, ("device", "quick"))

    return add


def run(folder, *names):
    return suite.run(list(names), Options(quick=True), folder, hardware(), versions())


def parts_in(folder):
    (record,) = read_records(folder).values()
    return record["parts"]


def test_a_quick_step_is_measured_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setattr(step, "TINY", {"mlp-2": step.TINY["mlp-2"]})
    arguments = ["--only", "step", "--quick", "--device", "cpu", "--into", str(tmp_path)]
    assert command.main(arguments) == 0
    (path,) = tmp_path.iterdir()
    assert path.stem == slug(hardware())
    record = json.loads(path.read_text())
    assert record["hardware"] == hardware()
    assert record["versions"]["torch"] == torch.__version__.partition("+")[0]
    part = record["parts"]["step"]
    assert part["command"] == "python -m benchmarks --only step --device cpu --quick"
    rows = {row["variant"]: row for row in part["result"]["rows"]}
    assert list(rows) == list(VARIANTS)
    for name in (PLAIN, EXACT, TOGETHER):
        assert rows[name]["ms"]["n"] == 3
        assert rows[name]["to_limit"]["median"] > 0
    assert rows[LIMIT]["to_limit"] == {"median": 1.0, "quartiles": [1.0, 1.0], "n": 3}
    assert rows[PLAIN]["gradients_above_plain"] == 0
    # K + 1 gradients lie side by side before they are mixed.
    assert rows[EXACT]["gradients_above_plain"] > 1
    for name in ("TorchJD UPGrad", "TorchJD MGDA"):
        assert "skipped" in rows[name] or rows[name]["way"]["taken"] in step.WAYS


def test_every_part_of_a_step_is_found(monkeypatch):
    facts, missing = step.parts_of(step.TINY["mlp-2"]("cpu"), 3)
    assert missing == []
    separate = [row["part"] for row in facts if row["case"] == "MLP, K = 2"]
    together = [row["part"] for row in facts if row["case"] == "MLP, K = 2, together"]
    assert separate == [part for part in parts.PARTS if not part.startswith("all")]
    assert together == [part for part in parts.PARTS if part[:3] not in ("sou", "V: ")]
    assert all(row["ms"]["median"] > 0 for row in facts)


def test_a_point_that_is_gone_is_told(monkeypatch):
    monkeypatch.setitem(parts.POINTS, "solve", ("gradmix.mixing.gradmix:GradMix.gone",))
    assert step.parts_of(step.TINY["mlp-2"]("cpu"), 1)[1] == ["gradmix.mixing.gradmix:GradMix.gone"]


def test_times_of_parts_are_exclusive(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(parts.time, "perf_counter", lambda: now[0])
    clock = parts.Clock("cpu")
    with clock.on("outer"):
        now[0] += 1
        with clock.on("inner"):
            now[0] += 10
        now[0] += 2
    assert clock.calls == [("inner", 10), ("outer", 3)]


def test_a_broken_part_is_recorded_and_the_rest_goes_on(tmp_path, fake_parts, capsys):
    def broken(device, quick):
        raise RuntimeError("Traceback of a child:\n  ...\nout of memory\n")

    def not_here(device, quick):
        raise NotHereError("no clips")

    fake_parts("first", lambda device, quick: {"rows": [{"n": 1}]})
    fake_parts("broken", broken)
    fake_parts("not_here", not_here)
    fake_parts("last", lambda device, quick: {"rows": [{"n": 2}]})
    suite.PARTS["missing"] = Part("benchmarks.no_such_module")
    assert not run(tmp_path, "first", "broken", "not_here", "missing", "last")
    facts = parts_in(tmp_path)
    statuses = ["measured", "failed", "skipped", "skipped", "measured"]
    assert [part["status"] for part in facts.values()] == statuses
    assert facts["broken"]["error"] == "RuntimeError: out of memory"
    assert facts["not_here"]["missing"] == "no clips"
    assert "no_such_module" in facts["missing"]["missing"]
    assert facts["last"]["result"] == {"rows": [{"n": 2}]}
    assert "out of memory" in capsys.readouterr().out


def test_a_record_keeps_what_was_measured_with_the_same_versions(tmp_path, fake_parts, monkeypatch):
    answers = iter([{"rows": [1]}, RuntimeError("no more")])

    def once(device, quick):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    fake_parts("once", once)
    fake_parts("other", lambda device, quick: {"rows": [2]})
    run(tmp_path, "once")
    run(tmp_path, "other", "once")
    facts = parts_in(tmp_path)
    assert facts["once"]["result"] == {"rows": [1]}
    assert facts["once"]["since"]["error"] == "RuntimeError: no more"
    assert facts["other"]["result"] == {"rows": [2]}
    newer = versions() | {"torch": "9.9"}
    suite.run(["other"], Options(), tmp_path, hardware(), newer)
    assert list(parts_in(tmp_path)) == ["other"]


def test_the_hardware_in_words():
    facts = {"processor": "AMD EPYC", "cores": 2, "virtual": True, "instructions": "avx2"}
    host = facts | {"device": "cpu"}
    assert in_words(host) == "2 virtual cores of an AMD EPYC without AVX-512"
    assert (
        in_words(host | {"virtual": False, "instructions": "avx512f"}) == "2 cores of an AMD EPYC"
    )
    card = facts | {"device": "NVIDIA H200", "device_gib": 139}
    words = "one NVIDIA H200 (139 GiB; host: 2 virtual cores of an AMD EPYC)"
    assert in_words(card) == words
    assert (slug(host), slug(card)) == ("amd-epyc-2-cores-avx2", "nvidia-h200")


def test_an_unknown_part_is_refused(capsys):
    with pytest.raises(SystemExit):
        command.main(["--only", "stpe"])
    assert "unknown part 'stpe'; known are startup, step" in capsys.readouterr().err


def test_peak_memory_is_exact():
    case = SimpleNamespace(device="cpu", network=torch.nn.Linear(1, 1))

    def kept():
        first = torch.zeros(2**18)  # one MiB each
        second = torch.zeros(2**18)
        del first
        third = torch.zeros(2**18)
        return second, third

    for _ in range(2):
        assert memory.peak_bytes(kept, case) == 2 * 2**20
    assert memory.largest_sum([5, -5, 3, 4, -7]) == 7
    assert memory.largest_sum([-5, 3]) == 0


def test_variants_take_turns():
    calls = []
    variants = {name: lambda name=name: calls.append(name) for name in "abc"}
    seconds = in_turns(variants, rounds=3, shortest_s=0.0)
    assert calls[6:] == list("abcbcacab")
    assert [len(values) for values in seconds.values()] == [3, 3, 3]


def test_a_slow_variant_is_called_once():
    calls = []
    seconds = in_turns({"slow": lambda: calls.append(1)}, rounds=3, longest_s=0.0)
    assert len(calls) == len(seconds["slow"]) == 1
    assert ratios([4.0], [1.0, 2.0, 3.0]) == [2.0]
    assert spread([4.0]) == {"median": 4.0, "quartiles": [4.0, 4.0], "n": 1}


def test_ratios_are_of_one_round():
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0])["quartiles"] == [2.0, 4.0]


def test_a_record_has_a_line_per_row():
    content = {"parts": {"x": {"rows": [{"a": 1}, {"a": 2}] * 100}}}
    text = text_of(content)
    assert json.loads(text) == content
    assert text.count("\n") > 200
    assert '\n    {"a": 2},\n' in text
