"""The performance page is what the committed records say, and records of any shape make a page."""

import re

import pytest

from benchmarks import step, suite
from benchmarks.measuring import hardware, in_words, versions
from benchmarks.pictures import MOST_BYTES, digest_of
from benchmarks.record import RESULTS, add_part, read_records
from benchmarks.report import NOTHING, PAGE, SECTIONS, block, rewritten, write_report


def spread(value):
    return {"median": value, "quartiles": [0.9 * value, 1.1 * value], "n": 5}


def step_result():
    rows = [
        {"case": "digits, K = 2", "variant": name, "goal": 1.1, "sources": 2, "parameters": 147_018}
        | {"ms": spread(100.0 * ratio), "to_limit": spread(ratio)}
        | {"gradients_above_plain": above, "gradients_above_same_images": above - 1}
        for name, ratio, above in (
            (step.LIMIT, 1.0, -1.0),
            (step.PLAIN, 0.8, 0.0),
            (step.EXACT, 1.25, 2.5),
            (step.TOGETHER, 1.05, 2.75),
            ("TorchJD UPGrad", 2.1, 4.0),
        )
    ]
    rows.append({"case": "digits, K = 2", "variant": "TorchJD MGDA", "goal": 1.1, "skipped": "no"})
    parts = [
        {"case": "digits, K = 2", "part": part, "ms": spread(2.0), "share": spread(0.25)}
        for part in ("sources: forward", "Gram", "solve", "update")
    ]
    return {"rows": rows, "parts": parts, "points_not_found": []}


def scaling_result():
    steps, weights = [], []
    for axis, values in (("sources", (2, 4)), ("layers", (5, 10)), ("parameters", (10, 100))):
        for value in values:
            shape = {"axis": axis, "sources": 2, "layers": 5, "parameters": 10} | {axis: value}
            steps += [{**shape, "part": part, "ms": spread(1.5)} for part in ("Gram", "mixing")]
            for part in ("whole step", "whole step, together"):
                steps.append({**shape, "part": part, "ms": spread(9.0), "to_limit": spread(1.2)})
            if axis != "parameters":
                row = {**shape, "solver": "GradMix, exact", "ms": spread(0.5), "gave_up": False}
                weights.append(row)
                weights.append(row | {"solver": "SLSQP, joint", "gave_up": value == values[-1]})
    return {"steps": steps, "weights": weights}


RESULTS_BY_PART = {
    "step": step_result(),
    "scaling": scaling_result(),
    "profile": {
        "rows": [{"operation": "aten::mm", "own_ms": 1.5, "share": 0.2, "calls": 3.0}],
        "n": 5,
    },
    "packs": {
        "rows": [
            {"how": how, "models": models, "models_steps_per_second": 3.0 * models, "n": 5}
            for how in ("one by one", "stacked")
            for models in (1, 2, 4)
        ]
        + [{"how": "stacked", "models": 8, "n": 0, "error": "out of memory"}],
        "knee": {"models": 4, "models_steps_per_second": 12.0, "best": 12.5},
    },
    "startup": {
        "repeats": 3,
        "imports": {"torch": {"processor_s": 1.5, "wall_s": 1.6}},
        "training": {"ready_processor_s": 3.0, "first_step_processor_s": 3.5},
        "dry_run": {"processor_s": 2.0, "wall_s": 2.1},
    },
    "data_loading": {
        "training": [
            {
                "clips": 600,
                "files_mb": 281,
                "cache": cache,
                "waiting_percent": 1.5,
                "input_percent": 0.5,
            }
            for cache in ("warm", "cold")
        ],
        "preparing": [],
    },
    "extraction": {
        "n": 5,
        "decoders": [{"decoder": "OpenCV (ours)", "ms_per_clip": 23.0, "ms_spread": [22.0, 24.0]}],
        "processes": [{"processes": 1, "clips_per_second": 47.0}],
    },
    "overhead": {
        "imports": {"nothing": 0.04},
        "reading": {"mini.yaml": {"jobs": 78, "wall_s": 3.2}},
    },
}


@pytest.fixture
def records(tmp_path):
    for name, result in RESULTS_BY_PART.items():
        part = {
            "status": "measured",
            "command": f"python -m benchmarks --only {name}",
            "threads": 1,
        }
        part |= {"seconds": 1.0, "result": result}
        add_part(tmp_path / "records", hardware(), versions(), name, part)
    failed = {"status": "failed", "command": "c", "threads": 1, "seconds": 1.0, "error": "E: broke"}
    add_part(tmp_path / "records", hardware(), versions(), "ranks", failed)
    return tmp_path / "records"


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "performance.md"
    path.write_text(PAGE.read_text())
    return path


def test_the_committed_page_is_what_the_records_say():
    text = PAGE.read_text(encoding="utf-8")
    assert text == rewritten(text, read_records(RESULTS)), "run: python -m benchmarks report"


def test_the_committed_pictures_are_of_the_committed_records():
    expected = {}
    for slug, record in read_records(RESULTS).items():
        for name, section in SECTIONS.items():
            part = record["parts"].get(section.part, {"status": "skipped"})
            if section.picture is not None and part["status"] == "measured":
                expected[f"{name}-{slug}.svg"] = digest_of(part["result"])
    found = {}
    for path in PAGE.with_suffix("").glob("*"):
        content = path.read_text(encoding="utf-8")
        assert len(content) < MOST_BYTES
        found[path.name] = re.search(r"data ([0-9a-f]{16})", content).group(1)
    assert found == expected, "run: python -m benchmarks report"


def test_a_page_of_records(records, page):
    written = write_report(records, page)
    text = page.read_text()
    pictures = [path for path in written if path.suffix == ".svg"]
    assert {path.name.partition("-")[0] for path in pictures} == {
        name for name, section in SECTIONS.items() if section.picture
    }
    for path in pictures:
        assert f"(performance/{path.name})" in text
        assert path.stat().st_size < MOST_BYTES
    assert (
        "- digits, K = 2: GradMix, forward together takes 1.05 × the limit (goal: 1.10, met)"
        in text
    )
    assert "TorchJD UPGrad, the fastest peer, 2.00 × as long as ours" in text
    memory = "peak memory +1.75 gradients above plain training on the same images (goal: 3, met)"
    assert f"{memory}, +2.75 above training without V" in text
    assert "`python -m benchmarks --only step`; n = 5, medians.*" in text
    assert "| 4 | 1.5 | 9 | 1.20 (1.08–1.32) | 1.20 (1.08–1.32) | 0.5 | > 0.5 |" in text
    assert "failed (E: broke)." in text
    before = {path: path.read_bytes() for path in written}
    assert write_report(records, page) == written
    assert before == {path: path.read_bytes() for path in written}


def test_a_page_without_records_says_so(page):
    text = rewritten(page.read_text(), {})
    assert text.count(NOTHING) == len(SECTIONS)


def test_a_page_with_a_lost_block_is_refused(page):
    text = page.read_text().replace("<!-- begin: step -->", "")
    with pytest.raises(ValueError, match="step"):
        rewritten(text, {})


def test_every_part_of_the_suite_is_on_the_page():
    # The guide's picture belongs to the reading of an experiment.
    assert {section.part for section in SECTIONS.values()} == set(suite.PARTS) - {"guide"}


def test_a_block_names_the_hardware(records):
    text = block("step", read_records(records), "performance")
    assert f"*{in_words(hardware())}, 1 thread; python" in text
    assert f"torch {versions()['torch']}" in text
