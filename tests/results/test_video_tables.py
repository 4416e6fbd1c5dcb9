"""Tables of experiments on clips, from hand-made records with known answers."""

import pandas as pd
import pytest

from gradmix.results.experiment import read_experiment
from gradmix.results.layout import render
from gradmix.results.paper import TABLES, citation, paper_numbers
from gradmix.results.reading import (
    caveat_sentences,
    comparison_sentences,
    lead_sentences,
    paper_sentences,
    rule_sentence,
)
from gradmix.results.records import has_videos, read_metrics
from gradmix.results.table3 import table3
from gradmix.results.table_files import table_files
from gradmix.results.tables import write_tables

TARGET = {"name": "target_only", "title": "Target only", "recipe": "target_only"}
GRADMIX = {"name": "gradmix", "title": "GradMix", "recipe": "gradmix"}

# Two draws: accuracy per frame and per video.
RECORDS = {
    ("target_only", 3): [(0.40, 0.42), (0.44, 0.50)],
    ("gradmix", 3): [(0.55, 0.60), (0.57, 0.64)],
    ("target_only", 10): [(0.60, 0.65), (0.62, 0.66)],
    ("gradmix", 10): [(0.61, 0.60), (0.65, 0.64)],
}


def write_records(experiment, draws=2):
    for (method, k), values in RECORDS.items():
        for draw, (frame, video) in enumerate(values[:draws]):
            changes = {
                "accuracy_per_video": video,
                "accuracy_per_video_statistics_on_V": video - 0.02,
                "video_count": 50,
            }
            experiment.metrics(method, k, draw, frame, **changes)
    return experiment.files["metrics"]


def csv(folder, name):
    return pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=[""])


def test_files(empty_experiment, tmp_path):
    files = write_records(empty_experiment)
    written = write_tables(
        read_experiment(files, [], [TARGET, GRADMIX], has_clips=True), tmp_path / "t"
    )
    assert {path.name for path in (tmp_path / "t").iterdir()} == {path.name for path in written}
    more = {path.stem for path in written} - {file.rsplit(".", 1)[0] for file in table_files()}
    assert more == {
        "accuracy_per_video",
        "accuracy_per_video_statistics_on_V",
        "paired_differences_per_video",
        "table3",
    }
    assert has_videos(read_metrics(files))


def test_numbers_by_hand(empty_experiment, tmp_path):
    files = write_records(empty_experiment)
    write_tables(
        read_experiment(files, [], [TARGET, GRADMIX], paper="actions", has_clips=True), tmp_path
    )
    video = csv(tmp_path, "accuracy_per_video").set_index(["method", "labels_per_class"])
    assert video.loc[("target_only", 3), "mean_percent"] == pytest.approx(46)
    assert video.loc[("target_only", 3), "standard_error_percent"] == pytest.approx(4)
    assert video.loc[("target_only", 3), "paper_mean_percent"] == 43.74
    renewed = csv(tmp_path, "accuracy_per_video_statistics_on_V")
    assert renewed["mean_percent"].tolist()[0] == pytest.approx(44)
    frame = csv(tmp_path, "accuracy").set_index(["method", "labels_per_class"])
    assert frame.loc[("target_only", 3), "mean_percent"] == pytest.approx(42)
    assert frame.loc[("target_only", 3), "paper_mean_percent"] == 42.58
    # per video at k = 10: 65 - 60 = 5 and 66 - 64 = 2; per frame: 60 - 61 = -1 and 62 - 65 = -3
    for name, mean, error in (
        ("paired_differences_per_video", 3.5, 1.5),
        ("paired_differences", -2, 1),
    ):
        cell = csv(tmp_path, name).query("labels_per_class == 10").iloc[0]
        assert cell["difference_points"] == pytest.approx(mean)
        assert cell["standard_error_points"] == pytest.approx(error)
        assert pd.isna(cell["bootstrap_low"])
        assert cell["student_high"] == pytest.approx(mean + 12.7062 * error)
    tidy = csv(tmp_path, "table3").set_index(["metric", "method", "labels_per_class"])
    assert tidy.loc[("per video", "gradmix", 10), "minus_paper_points"] == pytest.approx(62 - 71.49)
    assert csv(tmp_path, "runs")["video_count"].tolist() == [50] * 8


def test_table_3(empty_experiment):
    metrics = read_metrics(write_records(empty_experiment))
    table = table3(metrics, [TARGET, GRADMIX], "actions")
    assert table.groups == (("", 1), ("per frame", 4), ("per video", 4))
    assert [cell.text for cell in table.rows[1]] == [
        *("GradMix", "56.00 ± 1.00", "56.25", "63.00 ± 2.00", "67.30"),
        *("62.00 ± 2.00", "59.41", "62.00 ± 2.00", "71.49"),
    ]
    markdown, latex = render(table, "md"), render(table, "tex")
    assert "| Method | per frame, k = 3 | per frame, paper, k = 3 |" in markdown
    assert r"\multicolumn{4}{c}{per frame} & \multicolumn{4}{c}{per video} \\" in latex
    assert r"\cmidrule(lr){2-5} \cmidrule(lr){6-9}" in latex
    assert "MPII and BU101 to UCF101 (split 1), mean over 2 draws (arXiv:2002.03264, Table 3)" in (
        markdown.replace("\\", "")
    )
    own = table3(metrics, [GRADMIX], None)
    assert [head.replace("\u00a0", " ") for head in own.head] == [
        *("Method", "k = 3", "k = 10", "k = 3", "k = 10")
    ]
    assert "Paper" not in render(own, "md")


def test_captions_say_per_what(empty_experiment, tmp_path):
    files = write_records(empty_experiment)
    write_tables(read_experiment(files, [], [TARGET, GRADMIX], has_clips=True), tmp_path / "clips")
    write_tables(read_experiment(files, [], [TARGET, GRADMIX]), tmp_path / "images")
    for name, words in (
        ("accuracy", "Test accuracy per frame in %"),
        ("accuracy_per_video", "Test accuracy per video in %"),
        ("paired_differences", "Accuracy differences per frame at k = 3"),
        ("paired_differences_per_video", "Accuracy differences per video at k = 3"),
    ):
        assert words in (tmp_path / f"clips/{name}.md").read_text()
    assert "Test accuracy in %" in (tmp_path / "images/accuracy.md").read_text()
    assert "video" not in "".join(path.read_text() for path in (tmp_path / "images").iterdir())


@pytest.mark.parametrize("draws", [1, 2])
def test_few_draws(empty_experiment, tmp_path, draws):
    files = write_records(empty_experiment, draws)
    write_tables(read_experiment(files, [], [TARGET, GRADMIX], has_clips=True), tmp_path)
    for name in ("accuracy", "accuracy_per_video", "table3", "paired_differences_per_video"):
        text = (tmp_path / f"{name}.md").read_text()
        assert ("One draw says nothing" in text) == (draws == 1)
        assert ("Of two draws, mean ± standard error are the two values" in text) == (draws == 2)
        assert "nan" not in text.lower()
        assert "bootstrap" not in text
    assert not csv(tmp_path, "paired_differences_per_video")["clear"].any()


def test_a_record_without_videos_is_named(empty_experiment, tmp_path):
    files = write_records(empty_experiment)
    empty_experiment.metrics("gradmix", 3, 7, 0.5)  # is in files from now on
    with pytest.raises(ValueError, match=r"3/7/gradmix/metrics\.json: lacks accuracy_per_video"):
        write_tables(read_experiment(files, [], [TARGET, GRADMIX], has_clips=True), tmp_path / "t")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accuracy_per_video": 64.0, "video_count": 50}, "accuracy_per_video must be a fraction"),
        ({"accuracy_per_video": 0.5}, "accuracy_per_video and video_count come together"),
    ],
)
def test_broken_records(empty_experiment, changes, message):
    file = empty_experiment.metrics("gradmix", 3, 0, 0.5, **changes)
    with pytest.raises(ValueError, match=rf"metrics\.json: {message}"):
        read_metrics([file])


def test_the_papers_table_3():
    table = TABLES["actions"]
    assert table.numbers["gradmix"] == {3: (56.25, None), 5: (61.73, None), 10: (67.30, None)}
    assert table.per_video["gradmix_mixmatch"][5] == (73.46, None)
    assert table.numbers["energy_net"][10] == (66.73, None)
    assert len(table.numbers) == 10
    # Frames of a video vote: the paper's accuracies per video are all above those per frame.
    assert all(
        table.per_video[recipe][k][0] > mean
        for recipe, numbers in table.numbers.items()
        for k, (mean, _) in numbers.items()
    )
    found = paper_numbers([TARGET, GRADMIX], "actions", "accuracy_per_video")
    assert found["target_only", 10] == (64.74, None)
    assert paper_numbers([GRADMIX], "digits", "accuracy_per_video") == {}
    assert citation("actions").endswith("Table 3.")
    assert citation(None).endswith("Table 1.")


def metrics_of(experiment, values):
    """Records of two draws at k = 3, per frame and per video alike: method -> its accuracies."""
    for method, accuracies in values.items():
        for draw, accuracy in enumerate(accuracies):
            changes = {"accuracy_per_video": accuracy, "video_count": 100}
            experiment.metrics(method, 3, draw, accuracy, **changes)
    return read_metrics(experiment.files["metrics"])


SOURCE = {"name": "source_only", "title": "Source only", "recipe": "source_only"}


def test_what_two_draws_tell_in_words(empty_experiment):
    values = {"target_only": (0.50, 0.52), "gradmix": (0.53, 0.60), "source_only": (0.20, 0.271)}
    metrics = metrics_of(empty_experiment, values)
    methods = [SOURCE, TARGET, GRADMIX]
    (lead,) = lead_sentences(metrics, methods, column="accuracy_per_video", unit=" per video")
    assert lead == (
        "With k\u00a0=\u00a03, GradMix has the highest mean accuracy per video (56.5 %); GradMix cannot be separated "
        # 3 and 8: mean 5.5, standard error 2.5, times 12.706
        "from Target only by two draws (+3.0 and +8.0 in the two draws; Student's 95 % interval −26.3 to +37.3)."
    )
    ((heading, sentences),) = comparison_sentences(metrics, methods, "gradmix", unit=" per frame")
    assert heading.endswith(", per frame")
    assert sentences == [
        # −33 and −32.9: however near each other, two draws show nothing clearly
        "Cannot be separated from it by these draws: Source only (−32.95 points, −33.00 and −32.90 in the two draws) "
        "and Target only (−5.50 points, −8.00 and −3.00 in the two draws).",
    ]
    rule = rule_sentence(metrics, "gradmix", ["accuracy", "accuracy_per_video"])
    assert (
        "no more than two draws of the few labels only, so no difference can be called clear"
        in rule
    )
    assert "draws are too few, not that methods are equally good" in rule


def test_two_equal_differences_are_not_clear(empty_experiment):
    metrics = metrics_of(empty_experiment, {"source_only": (0.5, 0.52), "gradmix": (0.51, 0.53)})
    ((_, sentences),) = comparison_sentences(metrics, [SOURCE, GRADMIX], "gradmix")
    assert sentences == [
        "Cannot be separated from it by these draws: Source only (−1.00 points, −1.00 in both draws)."
    ]


def test_one_draw_proves_nothing(empty_experiment):
    metrics = metrics_of(empty_experiment, {"target_only": (0.5,), "gradmix": (0.9,)})
    (lead,) = lead_sentences(metrics, [TARGET, GRADMIX])
    assert lead.endswith("above Target only in the one draw, which proves nothing.")
    assert "one draw of the few labels only" in rule_sentence(metrics, "gradmix")


def test_methods_without_a_common_draw(empty_experiment):
    empty_experiment.metrics("gradmix", 3, 0, 0.6)
    empty_experiment.metrics("target_only", 3, 1, 0.5)
    metrics = read_metrics(empty_experiment.files["metrics"])
    (lead,) = lead_sentences(metrics, [TARGET, GRADMIX])
    assert "GradMix and Target only share no draw" in lead


def test_the_test_set_is_counted_in_videos(empty_experiment):
    metrics = metrics_of(empty_experiment, {"gradmix": (0.5, 0.5)})
    (sentence,) = caveat_sentences(metrics, [], [])
    # One of 100 videos is a point; sqrt(0.25 / 100) = 5 points.
    assert "The test set has 100 videos: one video is 1 points" in sentence
    assert "from the choice of these videos alone is 5 points" in sentence
    assert "Its 200 frames are no independent images" in sentence


def test_beside_the_paper(empty_experiment):
    metrics = metrics_of(empty_experiment, {"gradmix": (0.55, 0.57)})
    of = {"column": "accuracy_per_video", "unit": " per video"}
    assert paper_sentences(metrics, [GRADMIX], "actions", **of) == [
        "GradMix, per video: −3.41 at k\u00a0=\u00a03."
    ]
