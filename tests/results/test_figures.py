import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from gradmix.results.figures import (
    accuracy,
    adaptive_rate,
    confusion,
    hyper_validation_loss,
    layer_weights,
    pseudo_label_quality,
    samples,
)
from gradmix.results.figures.curves import over_draws
from gradmix.results.figures.style import line_look, stem_of
from gradmix.results.quality import overall_quality, read_quality
from gradmix.results.records import read_curves, read_metrics, read_runs


def writers(experiment, methods):
    files = experiment.files
    runs, metrics = files["runs"], files["metrics"]
    return {
        "accuracy": lambda stem: accuracy.write(metrics, methods, stem, paper="digits"),
        "loss": lambda stem: hyper_validation_loss.write(runs, methods, stem, labels_per_class=3),
        "weights": lambda stem: layer_weights.write(
            runs, stem, method="gradmix_hard", labels_per_class=3
        ),
        "rate": lambda stem: adaptive_rate.write(runs, methods, stem, labels_per_class=3),
        "confusion": lambda stem: confusion.write(metrics, methods, stem, labels_per_class=5),
        "quality": lambda stem: pseudo_label_quality.write(files["quality"], stem),
        "samples": lambda stem: samples.write(
            experiment.folder / "domains", files["splits"][0], files["predictions"][0], stem
        ),
    }


@pytest.mark.parametrize(
    "name", ["accuracy", "loss", "weights", "rate", "confusion", "quality", "samples"]
)
def test_every_figure_is_written_and_the_same_again(experiment, methods, tmp_path, name):
    write = writers(experiment, methods)[name]
    paths = write(tmp_path / "first.v1")
    assert [path.name for path in paths] == ["first.v1.svg", "first.v1.png", "first.v1.pdf"]
    assert all(path.stat().st_size > 2000 for path in paths)
    svg = paths[0].read_bytes()
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert b"<dc:date>" not in svg
    again = write(tmp_path / "second.svg")
    assert again[0].read_bytes() == svg
    assert again[1].read_bytes() == paths[1].read_bytes()


def texts(figure):
    import matplotlib.text

    found = figure.findobj(matplotlib.text.Text)
    return {text.get_text() for text in found if text.get_text()}


def test_axes_have_units(experiment, methods):
    files = experiment.files
    runs = read_runs(files["runs"])
    said = texts(hyper_validation_loss.draw(runs, methods, labels_per_class=3))
    assert {
        "training step (mini-batches)",
        "cross-entropy on H (nats)",
        "Source only (sum)",
    } <= said
    said = texts(layer_weights.draw(runs, method="gradmix", labels_per_class=3))
    assert {"conv1", "fc1", "weight of the source (sum = 1)", "digits_low"} <= said
    assert "test accuracy (%)" in texts(accuracy.draw(read_metrics(files["metrics"]), methods))


def test_weights_of_a_method_that_mixes_nothing(experiment):
    runs = read_runs(experiment.files["runs"])
    with pytest.raises(ValueError, match=r"fine_tune/run\.json: fine_tune mixes no gradients"):
        layer_weights.draw(runs, method="fine_tune", labels_per_class=3)
    with pytest.raises(ValueError, match="no run of gradmix at labels_per_class 9"):
        layer_weights.draw(runs, method="gradmix", labels_per_class=9)


def test_nothing_to_draw_says_so(experiment, methods, tmp_path):
    runs = read_runs(experiment.files["runs"])
    figure = adaptive_rate.draw(runs, methods[:2], labels_per_class=3)
    assert "No method at k = 3 mixes gradients." in texts(figure)
    for write in (
        lambda stem: accuracy.write([], methods, stem),
        lambda stem: confusion.write([], methods, stem, labels_per_class=3),
        lambda stem: hyper_validation_loss.write([], methods, stem, labels_per_class=3),
        lambda stem: pseudo_label_quality.write([], stem),
    ):
        assert all(path.is_file() for path in write(tmp_path / "empty"))


def test_confusion_is_summed_over_draws_and_checked(empty_experiment):
    changes = {"classes": ["a", "b"], "confusion": [[1, 2], [0, 3]]}
    files = [empty_experiment.metrics("gradmix", 3, draw, 0.5, **changes) for draw in (0, 1)]
    assert confusion.summed_confusion(read_metrics(files)).tolist() == [[2, 4], [0, 6]]
    files.append(empty_experiment.metrics("gradmix", 3, 2, 0.5, classes=["a", "b"]))
    with pytest.raises(ValueError, match=r"2/gradmix/metrics\.json: a confusion of shape \(5, 5\)"):
        confusion.summed_confusion(read_metrics(files))


def test_curves_over_draws(experiment):
    runs = [r for r in read_runs(experiment.files["runs"]) if r["method"] == "gradmix"][:3]
    curves = [read_curves(run) for run in runs]
    curves[2] = curves[2].iloc[:4]
    summary = over_draws(curves, "rho")
    assert summary["step"].tolist() == list(range(100, 1001, 100))  # row 0 has no number
    last = [curve["rho"].iloc[-1] for curve in curves[:2]]
    assert summary["mean"].iloc[-1] == pytest.approx(np.mean(last))
    assert summary[["low", "high"]].iloc[-1].tolist() == [min(last), max(last)]


def test_quality_by_hand(experiment):
    quality = read_quality(experiment.files["quality"][:1])
    assert quality["labels_per_class"].tolist() == [3] * 5  # from the path
    assert quality["precision"].tolist()[:4] == pytest.approx([2 / 3, 1, 1, 1])
    assert np.isnan(quality["precision"].iloc[4])
    assert quality["coverage"].tolist() == pytest.approx([2 / 3, 1, 2 / 3, 1 / 3, 0])
    overall = overall_quality(quality).iloc[0]
    assert (overall["accepted"], overall["unlabelled"]) == (8, 15)
    assert overall["precision"] == pytest.approx(7 / 8)
    assert overall["coverage"] == pytest.approx(8 / 15)


def test_samples_name_the_wrong_ones(experiment):
    files = experiment.files
    domains = experiment.folder / "domains"
    strips = samples.collect(domains, files["splits"][2], files["predictions"][2])
    assert [strip.title.split("\n")[0] for strip in strips] == [
        *("S1", "S2", "V", "H", "U, accepted", "U, not accepted", "test")
    ]
    assert "58 images" in strips[1].title  # two left out in this draw
    accepted = strips[4]
    wrong = [
        text for text, is_wrong in zip(accepted.captions, accepted.wrong, strict=True) if is_wrong
    ]
    assert sorted(wrong) == ["5\n(is 6)", "6\n(is 5)"]
    unlabelled = samples.collect(domains, files["splits"][2], None)[4]
    assert unlabelled.title.startswith("U, labels unseen")


def test_samples_spread_over_classes():
    labels = [0, 0, 0, 0, 1, 2]
    chosen = samples.choose(range(6), labels, 4, seed=0)
    assert [labels[i] for i in chosen] == [0, 0, 1, 2]
    assert len(samples.choose(range(50), range(50), 10, seed=0)) == 10
    assert samples.choose([], [], 4, seed=0) == []


def test_looks_differ_without_colour():
    looks = [line_look(position) for position in range(40)]
    assert len({(str(look["linestyle"]), look["marker"]) for look in looks}) == 40


def test_stem_keeps_other_dots():
    assert stem_of("a/beta0.6").name == "beta0.6"
    assert stem_of("a/beta0.6.svg").name == "beta0.6"


def test_no_torch_is_imported():
    code = (
        "import sys, gradmix.results.tables, gradmix.results.report\n"
        "from gradmix.results.figures import accuracy, samples, layer_weights\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
