import inspect
import json
import subprocess
import sys
from importlib import import_module
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from gradmix.config import load_config
from gradmix.manifest import fault, files_in
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
from gradmix.results.figures.registry import KINDS, figure_packs, listed_figures
from gradmix.results.figures.style import line_look, save
from gradmix.results.figures.writer import failure_of, write_figure, write_figures
from gradmix.results.quality import overall_quality, read_quality
from gradmix.results.records import (
    read_curves,
    read_json,
    read_metrics,
    read_parquet,
    read_runs,
)


def write(experiment, stem, figure, arguments, **kinds):
    """Draw a figure from the experiment's files of these kinds, by argument."""
    files = {name: experiment.files.get(kind, []) for name, kind in kinds.items()}
    return write_figure(figure.__name__, stem, files, arguments)


DRAWN = {
    "accuracy": (accuracy, {"paper": "digits"}, {"metrics": "metrics"}),
    "loss": (hyper_validation_loss, {"labels_per_class": 3}, {"runs": "runs"}),
    "weights": (layer_weights, {"method": "gradmix_hard", "labels_per_class": 3}, {"runs": "runs"}),
    "rate": (adaptive_rate, {"labels_per_class": 3}, {"runs": "runs"}),
    "confusion": (confusion, {"labels_per_class": 5}, {"metrics": "metrics"}),
    "quality": (pseudo_label_quality, {}, {"quality": "quality"}),
    "samples": (
        samples,
        {"seed": 0},
        {"domains": "domains", "split": "splits", "predictions": "predictions"},
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_is_written_and_the_same_again(experiment, methods, tmp_path, name):
    figure, arguments, kinds = DRAWN[name]
    if figure in (accuracy, hyper_validation_loss, adaptive_rate, confusion):
        arguments = arguments | {"methods": methods}
    paths = write(experiment, tmp_path / "first.v1", figure, arguments, **kinds)
    assert [path.name for path in paths] == ["first.v1.svg", "first.v1.png", "first.v1.pdf"]
    assert all(path.stat().st_size > 2000 for path in paths)
    svg = paths[0].read_bytes()
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert b"<dc:date>" not in svg
    again = write(experiment, tmp_path / "second", figure, arguments, **kinds)
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


@pytest.mark.parametrize("title", ["$5 or $6", r"$\frac$", r"a\$b$c_1^2"])
def test_dollars_are_text(experiment, methods, tmp_path, title):
    methods[0]["title"] = title
    files = experiment.files["metrics"]
    drawn = confusion.draw(read_metrics(files), methods[:1], labels_per_class=5)
    (panel,) = [axes for axes in drawn.axes if axes.get_title()]
    assert not panel.title.get_parse_math()
    assert panel.get_title().startswith(f"{title}\n")
    save(drawn, tmp_path / "drawn")


def test_weights_of_a_method_that_mixes_nothing(experiment):
    runs = read_runs(experiment.files["runs"])
    with pytest.raises(ValueError, match=r"fine_tune/run\.json: fine_tune mixes no gradients"):
        layer_weights.draw(runs, method="fine_tune", labels_per_class=3)
    with pytest.raises(ValueError, match="no run of gradmix at labels_per_class 9"):
        layer_weights.draw(runs, method="gradmix", labels_per_class=9)


@pytest.mark.parametrize("without", [0, 1])
def test_a_source_that_one_draw_lacks_weighs_nothing_there(empty_experiment, without):
    """No pseudo-label passed the threshold in that draw, so it had no S_u; whether it is the first or not."""
    sources = [["S1", "S_u"], ["S1", "S_u"]]
    sources[without] = ["S1"]
    files = [empty_experiment.run("gradmix", 3, draw, sources=sources[draw]) for draw in (0, 1)]
    runs = read_runs(files)
    figure = layer_weights.draw(runs, method="gradmix", labels_per_class=3)
    assert {"S1", "S_u"} <= texts(figure)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    own = read_curves(runs[1 - without])[["step", "weight/conv1/S_u"]].dropna()
    assert lines["S_u"].get_xdata().tolist() == own["step"].tolist()
    assert lines["S_u"].get_ydata() == pytest.approx(own["weight/conv1/S_u"].to_numpy() / 2)


def test_nothing_to_draw_says_so(experiment, methods, tmp_path):
    runs = read_runs(experiment.files["runs"])
    figure = adaptive_rate.draw(runs, methods[:2], labels_per_class=3)
    assert "No method at k = 3 mixes gradients." in texts(figure)
    listed = {"methods": methods}
    for drawn, argument, arguments in (
        (accuracy, "metrics", listed),
        (confusion, "metrics", listed | {"labels_per_class": 3}),
        (hyper_validation_loss, "runs", listed | {"labels_per_class": 3}),
        (pseudo_label_quality, "quality", {}),
    ):
        paths = write_figure(drawn.__name__, tmp_path / "empty", {argument: []}, arguments)
        assert all(path.is_file() for path in paths)


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
    domains, split = samples.open_domains(files["domains"]), read_json(files["splits"][2])
    strips = samples.collect(domains, split, read_parquet(files["predictions"][2]))
    assert [strip.title.split("\n")[0] for strip in strips] == [
        *("S1", "S2", "V", "H", "U, accepted", "U, not accepted", "test")
    ]
    assert "58 images" in strips[1].title  # two left out in this draw
    accepted = strips[4]
    wrong = [
        text for text, is_wrong in zip(accepted.captions, accepted.wrong, strict=True) if is_wrong
    ]
    assert sorted(wrong) == ["5\n(is 6)", "6\n(is 5)"]
    unlabelled = samples.collect(domains, split)[4]
    assert unlabelled.title.startswith("U, labels unseen")


NAMED = ["five", "six", "seven", "eight", "nine"]


def test_classes_are_called_what_the_configuration_calls_them(experiment, methods):
    metrics = read_metrics(experiment.files["metrics"])
    drawn = confusion.draw(metrics, methods[:1], labels_per_class=5, classes=NAMED)
    (panel,) = [axes for axes in drawn.axes if axes.get_title()]
    assert [label.get_text() for label in panel.get_yticklabels()] == NAMED
    drawn = pseudo_label_quality.draw(read_quality(experiment.files["quality"]), classes=NAMED)
    assert [label.get_text() for label in drawn.axes[1].get_xticklabels()] == NAMED
    assert len(drawn.axes[0].containers[0][0].get_xdata()) == len(NAMED)
    files = experiment.files
    domains, split = samples.open_domains(files["domains"]), read_json(files["splits"][2])
    classes = dict.fromkeys(domains, NAMED) | {"digits_low": None}
    strips = samples.collect(domains, split, classes=classes)
    captions = {strip.title.split("\n")[1]: set(strip.captions) for strip in strips}
    assert captions["digits_low"] == set("01234")
    assert captions["digits_high"] == set(NAMED)


def test_samples_spread_over_classes():
    labels = [0, 0, 0, 0, 1, 2]
    chosen = samples.choose(range(6), labels, 4, seed=0)
    assert [labels[i] for i in chosen] == [0, 0, 1, 2]
    assert len(samples.choose(range(50), range(50), 10, seed=0)) == 10
    assert samples.choose([], [], 4, seed=0) == []


def test_looks_differ_without_colour():
    looks = [line_look(position) for position in range(40)]
    assert len({(str(look["linestyle"]), look["marker"]) for look in looks}) == 40


def test_a_pack_ends_with_the_manifest_of_its_files(experiment, tmp_path):
    figures = [
        {
            "module": pseudo_label_quality.__name__,
            "stem": str(tmp_path / "figures" / name),
            "files": {"quality": "files"},
            "manifests": [],
            "arguments": {},
        }
        for name in ("one", "two")
    ]
    said = []
    manifest = tmp_path / "packs" / "0.json"
    write_figures(figures, {"files": experiment.files["quality"]}, str(manifest), said.append)
    assert said == [figure["stem"] for figure in figures]
    assert fault(manifest) is None
    (tmp_path / "figures" / "two.png").unlink()
    assert fault(manifest) == f"{tmp_path}/figures/two.png is missing"


def test_a_figure_that_fails_takes_no_other_with_it(experiment, tmp_path):
    files = {"good": experiment.files["quality"], "bad": [tmp_path / "nowhere.json"]}
    figures = [
        {
            "module": pseudo_label_quality.__name__,
            "stem": str(tmp_path / "figures" / name),
            "files": {"quality": name},
            "manifests": [],
            "arguments": {},
        }
        for name in ("bad", "good")
    ]
    said = []
    manifest = tmp_path / "0.json"
    write_figures(figures, files, str(manifest), said.append)
    stems = [figure["stem"] for figure in figures]
    assert failure_of(stems[1]) is None
    assert "nowhere.json" in failure_of(stems[0])
    assert f"error: {stems[0]} could not be drawn: " in said[0]
    assert len(files_in(str(manifest))) == 2 * 3 + 1
    write_figures(figures, {"good": files["good"], "bad": files["good"]}, str(manifest))
    assert failure_of(stems[0]) is None
    assert len(files_in(str(manifest))) == 2 * 3
    assert fault(manifest) is None


@pytest.fixture(scope="module")
def configured(repository):
    return load_config(yaml.safe_load((repository / "config" / "digits.yaml").read_text()))


def test_every_kind_says_what_it_draws_and_reads(configured):
    figures = listed_figures(configured)
    kinds = {figure.module.rpartition(".")[2] for figure in figures.values()}
    assert set(KINDS) - kinds == {"conditions", "source_weights"}  # it has no conditions
    for stem, figure in figures.items():
        assert figure.drawing.files.keys() <= figure.kind.readers.keys(), stem
        drawn = inspect.signature(import_module(figure.module).draw)
        drawn.bind(**figure.drawing.files, **figure.arguments)
        assert json.loads(json.dumps(figure.arguments)) == figure.arguments, stem
    described = figures["layer_weights-gradmix-k2"].described("results/figures")
    assert described["label"] == "k = 2, GradMix"
    assert described["file"] == "results/figures/layer_weights-gradmix-k2.svg"


def test_another_k_leaves_the_packs_of_others_as_they_are(configured):
    figures = listed_figures(configured)
    packs = figure_packs(figures, 5)
    assert sorted(stem for stems in packs.values() for stem in stems) == sorted(figures)
    assert max(map(len, packs.values())) == 5
    at_k2 = {stem: figure for stem, figure in figures.items() if not stem.endswith("-k5")}
    fewer = figure_packs(at_k2, 5)
    assert fewer == {name: stems for name, stems in packs.items() if not name.startswith("k5-")}


def test_no_torch_is_imported():
    code = (
        "import sys, gradmix.results.tables, gradmix.results.report\n"
        "from gradmix.results.figures import accuracy, samples, layer_weights\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_read_while_a_workflow_is_planned_imports_neither_pandas_nor_matplotlib():
    code = (
        "import sys, gradmix.results.table_files, gradmix.results.conditions\n"
        "from gradmix.results.figures.registry import KINDS\n"
        "from importlib import import_module\n"
        "[import_module(f'gradmix.results.figures.{kind}') for kind in KINDS]\n"
        "assert not {'torch', 'matplotlib', 'pandas', 'scipy', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
