"""Figures and the report of an experiment with many classes and frames of clips."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from clip_experiment import (
    METHODS,
    class_names,
    write_clip_domains,
    write_clip_metrics,
    write_clip_split,
    write_predictions,
)
from matplotlib.text import Text

from gradmix.domains.format import open_domain
from gradmix.results.data import left_out_sentences
from gradmix.results.experiment import read_experiment
from gradmix.results.figures import accuracy, confusion, pseudo_label_quality, samples
from gradmix.results.figures.confused_pairs import Pair, confused_pairs, shortened
from gradmix.results.records import read_json, read_metrics, read_parquet
from gradmix.results.report import write_report

CLASSES = class_names(30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    write_clip_domains(folder / "domains")
    return folder


@pytest.fixture(scope="module")
def split(folder):
    return write_clip_split(folder, CLASSES, k=3, draw=0)


@pytest.fixture(scope="module")
def metrics(folder):
    return write_clip_metrics(folder, CLASSES, ks=(3, 10), draws=(0, 1))


def texts(figure):
    return {text.get_text() for text in figure.findobj(Text) if text.get_text()}


def test_most_confused_pairs_by_hand():
    counts = np.array([[6, 4, 0], [1, 1, 0], [0, 30, 70]])
    found = confused_pairs(counts, ["a", "b", "c"])
    assert found == [Pair("b", "a", 50.0, 1), Pair("a", "b", 40.0, 4), Pair("c", "b", 30.0, 30)]
    assert confused_pairs(counts, ["a", "b", "c"], 1) == found[:1]
    assert confused_pairs(np.eye(3, dtype=int), ["a", "b", "c"]) == []
    # A class without test images has no share.
    assert confused_pairs(np.array([[0, 0], [1, 1]]), ["a", "b"]) == [Pair("b", "a", 50.0, 1)]


def test_confusion_lists_pairs_of_many_classes(empty_experiment):
    counts = 10 * np.eye(30, dtype=int)
    counts[4, 4], counts[4, 9] = 3, 7
    changes = {"classes": CLASSES, "confusion": counts.tolist()}
    file = empty_experiment.metrics("gradmix", 3, 0, 0.97, **changes)
    said = texts(confusion.draw(read_metrics([file]), METHODS, labels_per_class=3))
    assert f"{CLASSES[4]} → {CLASSES[9]}" in said
    assert "70" in said
    assert "GradMix: 97.7 % right\nthese pairs: 100 % of its mistakes" in said


def test_accuracy_per_frame_and_per_video(metrics):
    figure = accuracy.draw(read_metrics(metrics), METHODS, paper="actions")
    assert {"test accuracy per frame (%)", "test accuracy per video (%)"} <= texts(figure)
    assert len(figure.axes) == 4
    # The paper's number of GradMix at k = 10, a hollow diamond: per frame above, per video below.
    for panel, number in ((figure.axes[1], 67.30), (figure.axes[3], 71.49)):
        diamonds = [line.get_xdata()[0] for line in panel.lines if line.get_marker() == "D"]
        assert number in diamonds


def opened(folder):
    return samples.open_domains((folder / "domains").glob("*/domain.json"))


def test_rows_of_frames_in_order(folder, split):
    domains, record = opened(folder), read_json(split)
    strips = samples.collect(domains, record, seed=1)
    titles = [strip.title.split("\n") for strip in strips if strip.title]
    assert titles == [
        ["S1", "photographs", "100 images", "10 of 50 classes"],
        ["S2", "web_images", "60 images", "10 of 30 classes"],
        ["V", "clips", "300 frames", "of 60 clips", "3 of 30 classes"],
        ["H", "clips", "150 frames", "of 30 clips", "3 of 30 classes"],
        ["U, labels unseen", "clips", "300 frames", "of 60 clips", "3 of 30 classes"],
        ["test", "clips", "150 frames", "of 30 clips", "3 of 30 classes"],
    ]
    assert len(strips) == 2 + 4 * samples.CLIPS
    domain = open_domain(folder / "domains/clips")
    labelled = strips[2]
    assert len(labelled.images) == 5
    # The bar moves by two pixels a frame, on one ground: the frames of one clip, in order.
    bars = [int(np.argmax((image[10] == 255).all(axis=1))) for image in labelled.images]
    assert bars == [0, 2, 4, 6, 8]
    assert len({tuple(image[0, 0]) for image in labelled.images}) == 1
    assert labelled.captions[0].replace("\n", "") in domain.classes
    assert labelled.captions[1:] == [""] * 4
    figure = samples.draw(domains, record, seed=1)
    assert figure.get_figheight() < 16


def test_frames_in_any_order_of_the_set(folder):
    domain = open_domain(folder / "domains/clips")
    rows = [32, 4, 31, 0]
    assert list(samples.frames_by_clip(domain, rows).values()) == [[3, 1], [2, 0]]
    assert samples.frames_by_clip(open_domain(folder / "domains/web_images"), [0, 1]) is None
    assert samples.frames_by_clip(domain, []) is None


def test_wrong_pseudo_labels_of_frames(folder, split):
    predictions = write_predictions(folder, split, len(CLASSES))
    strips = samples.collect(opened(folder), read_json(split), read_parquet(predictions))
    accepted = strips[2 + 2 * samples.CLIPS : 2 + 3 * samples.CLIPS]
    assert accepted[0].title.startswith("U, accepted\nclips\n200 frames")
    for strip in accepted:
        truths = {tuple(image[0, 0]) for image in strip.images}
        assert len(truths) == 1  # one clip, so one truth: labels that differ cannot all be right
        labels = {
            text for text, wrong in zip(strip.captions, strip.wrong, strict=True) if not wrong
        }
        assert len(labels) == 1
        assert all(
            ("(is" in text) == wrong
            for text, wrong in zip(strip.captions, strip.wrong, strict=True)
        )
    assert any(any(strip.wrong) for strip in accepted)


def test_wrapped_labels():
    assert samples.wrapped("5") == "5"
    assert samples.wrapped("ApplyEyeMakeup") == "ApplyEye\nMakeup"
    assert samples.wrapped("cooking or food preparation") == "cooking or\nfood…"
    assert samples.wrapped("skateboarding") == "skateboard…"
    assert samples.wrapped("YMCA") == "YMCA"
    assert samples.wrapped("") == ""
    assert shortened("HandstandPushups") == "HandstandPushups"
    assert len(shortened("a" * 30 + "b" * 30)) == 22


def test_left_out_by_reason(folder):
    info = json.loads((folder / "domains/clips/domain.json").read_text())
    (found,) = left_out_sentences({"clips": info, "images": {"name": "images"}})
    assert found["name"] == "clips"
    assert found["sentence"] == "6 files were left out, besides the 900 images that it has"
    assert found["reasons"] == [
        "5 not on disk (v_ThrowDiscus_g00_c02.avi, v_ThrowDiscus_g01_c02.avi, "
        "v_ThrowDiscus_g02_c02.avi and 2 more)",
        "1 no frame decodes (v_RideHorse_g01_c02.avi)",
    ]
    assert left_out_sentences({"x": {"left_out": None}}) == []
    (one,) = left_out_sentences({"x": {"left_out": [{"original": "a"}]}})
    assert re.match("1 file was left out", one["sentence"])
    assert one["reasons"] == ["1 no reason given (a)"]


def test_quality_of_many_classes_names_the_lowest(tmp_path):
    names = class_names(60)
    quality = pd.DataFrame(
        {
            "labels_per_class": 3,
            "draw": 0,
            "class_name": names,
            "precision": np.arange(60) / 60,
            "coverage": np.arange(60)[::-1] / 60,
        }
    )
    figure = pseudo_label_quality.draw(quality)
    said = "\n".join(texts(figure))
    assert f"k = 3, lowest:\n  {names[0]} 0\n  {names[1]} 2" in said
    assert f"{names[59]} 0\n  {names[58]} 2" in said
    (line,) = figure.axes[1].lines
    assert (np.diff(line.get_ydata()) >= 0).all()


def test_the_report_of_clips(folder, split, metrics, tmp_path):
    domains = sorted((folder / "domains").glob("*/domain.json"))
    experiment = read_experiment(
        metrics,
        [],
        METHODS,
        split_files=[split],
        domain_files=domains,
        paper="actions",
        has_clips=True,
    )
    page = write_report(tmp_path / "report.html", experiment, title="Actions", configuration="")
    text = page.read_text(encoding="utf-8")
    said = re.sub(r"\s+", " ", re.sub(r"<style>.*</style>|<[^>]+>", " ", text, flags=re.DOTALL))
    said = said.replace("\u00a0", " ")
    for words in (
        "k = 3 clips per class are labelled",
        "900 frames of clips, 24 × 24 × 3",
        "All 50 classes",
        "has the highest mean accuracy per frame",
        "has the highest mean accuracy per video",
        "Accuracy differences per video at k = 10",
        "Test accuracy per video with batch-norm statistics re-estimated on V",
        "MPII and BU101 to UCF101 (split 1), mean over 2 draws",
        "arXiv:2002.03264, 2020. Table 3.",
        "6 files were left out",
        "5 not on disk (v_ThrowDiscus_g00_c02.avi",
        "Of each clip five frames are taken",
    ):
        assert words in said, words
    # Table 3 comes first: its groups stand before any other table's numbers.
    assert said.index("per frame per video Method") < said.index("Test accuracy per frame in %")
    assert "Table 1" not in said
    assert "SVHN" not in said
    assert "nan" not in re.findall(r"\w+", said.lower())
