"""Sentences that say what the numbers say: every row at every k by the same rule, nothing picked.

Plain text; the page escapes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from gradmix.results.accuracy import Summaries, columns_k, differences, summaries
from gradmix.results.paper import paper_numbers
from gradmix.results.records import Method, has_videos

K = "k\u00a0=\u00a0"  # not to be broken at the end of a line


def _minus(text: str) -> str:
    return text.replace("-", "−")


def listing(items: Sequence[str]) -> str:
    """Return the items as words: `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _after_comma(unit: str) -> str:
    return f",{unit}" if unit else ""


def _both(pair: tuple[float, float], decimals: int = 2) -> str:
    low, high = (f"{value:+z.{decimals}f}" for value in pair)
    return f"{low} in both draws" if low == high else f"{low} and {high} in the two draws"


def comparison_sentences(
    metrics: pd.DataFrame,
    methods: Sequence[Method],
    reference: str,
    *,
    column: str = "accuracy",
    unit: str = "",
    condition: str = "",
) -> list[tuple[str, list[str]]]:
    """Per k its heading and up to three sentences: which methods lie clearly above or below `reference`, which do not.

    Clearly: as `mark_clear` says. `unit` (" per video") stands behind k in the heading, the title of a
    `condition` before it.
    """
    cells = differences(metrics, reference, column)
    titles = {method["name"]: method["title"] for method in methods}
    sentences = []
    for labels_per_class in columns_k(cells):
        groups: dict[str, list[str]] = {"above": [], "below": [], "near": []}
        for method in methods:
            summary = cells.get((method["name"], labels_per_class))
            if summary is None:
                continue
            ratio = summary.errors_from_zero
            if summary.pair is not None:
                in_errors = _both(summary.pair)
            elif ratio is not None:
                in_errors = f"{ratio:+z.1f} SE"
            else:
                in_errors = "one draw" if summary.count == 1 else "the same in every draw"
            text = f"{method['title']} ({_minus(f'{summary.mean:+z.2f} points, {in_errors}')})"
            side = "above" if summary.mean > 0 else "below"
            groups[side if summary.clear else "near"].append(text)
        parts = []
        if groups["above"]:
            parts.append(f"Clearly better than {titles[reference]}: {listing(groups['above'])}.")
        if groups["below"]:
            parts.append(f"Clearly worse: {listing(groups['below'])}.")
        if groups["near"]:
            parts.append(f"Cannot be separated from it by these draws: {listing(groups['near'])}.")
        where = f"{condition}, " if condition else ""
        sentences.append((f"{where}{K}{labels_per_class}{_after_comma(unit)}", parts))
    return sentences


_PAIRS = (
    ("guarded_sum", "target_only"),
    ("gradmix", "target_only"),
    ("gradmix_hard", "gradmix"),
    ("guarded_sum", "pooled"),
    ("guarded_sum", "pooled_augmented"),
)
"""The comparisons that lead, besides the best row's with pooling: method and reference."""


def lead_sentences(
    metrics: pd.DataFrame,
    methods: Sequence[Method],
    *,
    column: str = "accuracy",
    unit: str = "",
    condition: str = "",
) -> list[str]:
    """What the experiment says at the fewest and at the most labels: the best row, and GradMix beside its baselines.

    `column` of the metrics is read, and `unit` (" per video") says in words what it counts by. Where there are several
    conditions, the title of this `condition` begins each sentence.
    """
    cells = summaries(metrics, column)
    titles = {method["name"]: method["title"] for method in methods}
    sentences = []
    for k in dict.fromkeys([*columns_k(cells)[:1], *columns_k(cells)[-1:]]):
        at_k = {name: cell for (name, labels), cell in cells.items() if labels == k}
        best = max(at_k, key=lambda name: at_k[name].mean)
        where = f"{condition}, {K}{k}:" if condition else f"With {K}{k},"
        text = (
            f"{where} {titles[best]} has the highest mean accuracy{unit} ({at_k[best].mean:.1f} %)"
        )
        # The best row may be one of the others.
        pairs = dict.fromkeys([(best, "pooled"), *_PAIRS])
        parts = [
            _against(metrics, titles, k, name, reference, column)
            for name, reference in pairs
            if name in at_k and reference in at_k and name != reference
        ]
        sentences.append(f"{text}; {'; '.join(parts)}." if parts else f"{text}.")
    return sentences


def _against(
    metrics: pd.DataFrame,
    titles: Mapping[str, str],
    k: int,
    name: str,
    reference: str,
    column: str,
) -> str:
    """`GradMix lies 7.4 points below Pooled (95 % interval −9.3 to −5.5)`, or that they cannot be separated."""
    difference = differences(metrics, reference, column).get((name, k))
    if difference is None:
        return f"{titles[name]} and {titles[reference]} share no draw"
    side = "above" if difference.mean > 0 else "below"
    points = f"{abs(difference.mean):.1f} points {side}"
    if difference.student is None:
        return f"{titles[name]} lies {points} {titles[reference]} in the one draw, which proves nothing"
    low, high = difference.student
    if difference.bootstrap is not None:
        low, high = min(difference.bootstrap[0], low), max(difference.bootstrap[1], high)
    interval = _minus(f"{low:+z.1f} to {high:+z.1f}")
    if difference.pair is not None:
        both = _minus(_both(difference.pair, 1))
        return (
            f"{titles[name]} cannot be separated from {titles[reference]} by two draws ({both}; Student's 95 % "
            f"interval {interval})"
        )
    if not difference.clear:
        outside = low > 0 or high < 0
        holm = ", which Holm's correction does not keep" if outside else ""
        return (
            f"{titles[name]} cannot be separated from {titles[reference]} by {difference.count} draws (difference "
            f"{_minus(f'{difference.mean:+z.1f}')} points, 95 % interval {interval}{holm})"
        )
    return (
        f"{titles[name]} lies {points} {titles[reference]} (95 % interval {interval}, "
        f"{difference.count} draws)"
    )


def rule_sentence(
    metrics: pd.DataFrame, reference: str, columns: Sequence[str] = ("accuracy",)
) -> str:
    """What "clearly" means here, and how many comparisons were made by that rule, over all `columns` of the metrics."""
    cells = [
        cell for column in columns for cell in differences(metrics, reference, column).values()
    ]
    counts = sorted({summary.count for summary in cells})
    if not cells:
        return "There is no reference method with which the others could be compared."
    if counts[-1] < 3:
        draws = "one draw" if counts[-1] == 1 else "no more than two draws"
        return (
            f"There {'is' if counts[-1] == 1 else 'are'} {draws} of the few labels only, so no difference can be "
            "called clear: at least three are needed. “Cannot be separated” then means that draws are too few, not "
            "that methods are equally good."
        )
    return (
        "Differences are taken draw by draw (every method sees the same few labels). “Clearly” means three things: "
        "there are at least three draws; both the bootstrap's and Student's 95 % interval over them exclude zero; and "
        "Holm's correction over all rows compared with one reference at one k keeps the difference at the 5 % level. "
        f"Intervals are printed uncorrected. {len(cells)} comparisons were made here; from one k to the next nothing "
        "is corrected. The draws share H, U and the test set, so they say nothing about other target images."
    )


def paper_sentences(
    metrics: pd.DataFrame,
    methods: Sequence[Method],
    paper: str | None,
    *,
    column: str = "accuracy",
    unit: str = "",
) -> list[str]:
    """One sentence per row that the paper has: ours minus the paper's, in standard errors of the difference."""
    numbers = paper_numbers(methods, paper, column)
    cells = summaries(metrics, column)
    sentences = []
    for method in methods:
        parts = []
        for labels_per_class in columns_k(cells):
            key = (method["name"], labels_per_class)
            if key not in numbers or key not in cells:
                continue
            mean, error = numbers[key]
            difference = cells[key].mean - mean
            ours = cells[key].error
            text = f"{difference:+z.2f} at {K}{labels_per_class}"
            if ours is not None and error is not None:
                text += f" ({difference / math.hypot(ours, error):+z.1f} SE)"
            parts.append(_minus(text))
        if parts:
            sentences.append(f"{method['title']}{_after_comma(unit)}: {listing(parts)}.")
    return sentences


def caveat_sentences(
    metrics: pd.DataFrame, runs: Iterable[Mapping[str, Any]], splits: Sequence[Mapping[str, Any]]
) -> list[str]:
    """What every reader should hold against the numbers: H, the size of the test set, late checkpoints."""
    sentences = []
    if splits:
        held = len(splits[0]["H"])
        unit = "frames" if has_videos(metrics) else "images"
        few = sorted({len(split["V"]) for split in splits})
        ratios = [held / count for count in few if count]
        times = ""
        if ratios and min(ratios) >= 2:
            spread = sorted({f"{ratio:.0f}" for ratio in (min(ratios), max(ratios))}, key=int)
            times = f", {' to '.join(spread)} times as many"
        sentences.append(
            f"H holds {held:,} labelled target {unit}, V {listing([str(n) for n in few])}{times}. Every method's "
            "checkpoint is the best on H, and so are the models that give pseudo-labels. The comparison between "
            "methods is fair, but nobody with only V's labels "
            "could choose checkpoints this well, so the accuracies are not what the few labels alone would give."
        )
    sentences += _test_set_sentences(metrics)
    late = [run for run in runs if run.get("chosen_in_last_tenth")]
    if late:
        names = list(dict.fromkeys(str(run.get("title") or run["method"]) for run in late))
        sentences.append(
            f"In {len(late)} run{'s' if len(late) > 1 else ''} ({listing(names)}) the best checkpoint lies in the "
            "last tenth of training: longer training might have given a better one."
        )
    return sentences


def _test_set_sentences(metrics: pd.DataFrame) -> list[str]:
    """How exact the test set is, by its images or, where they are frames, by its videos."""
    column, counted, unit = "accuracy", "test_count", "image"
    videos = has_videos(metrics)
    if videos:
        column, counted, unit = "accuracy_per_video", "video_count", "video"
    best = max(summaries(metrics, column).values(), key=lambda summary: summary.mean, default=None)
    counts = sorted({int(count) for count in metrics[counted].dropna()})
    if best is None or not counts:
        return []
    share = best.mean / 100
    error = 100 * math.sqrt(share * (1 - share) / counts[0])
    frames = ""
    if videos:
        frames = (
            f" Its {min(metrics['test_count']):,} frames are no independent images (those of one video look alike), "
            "so an accuracy per frame is not more exact than that."
        )
    return [
        f"The test set has {counts[0]:,} {unit}s: one {unit} is {100 / counts[0]:.3g} points, and the standard "
        f"error of one accuracy of {best.mean:.1f} % from the choice of these {unit}s alone is {error:.2g} points. "
        f"It is the same for all methods and is not part of the standard errors in the table.{frames}"
    ]


def statistics_sentence(metrics: pd.DataFrame, methods: Sequence[Method]) -> str | None:
    """How far the batch-norm statistics alone move the accuracies; None if they were not re-estimated."""
    usual, again = summaries(metrics), summaries(metrics, "accuracy_statistics_on_V")
    moves = _moves(usual, again)
    if not moves:
        return None
    titles = {method["name"]: method["title"] for method in methods}
    low, high = min(moves, key=lambda key: moves[key]), max(moves, key=lambda key: moves[key])
    texts = [
        f"{_minus(f'{moves[key]:+z.2f}')} points ({titles[key[0]]}, {K}{key[1]})"
        for key in (low, high)
    ]
    return (
        "The same weights, with batch-norm statistics re-estimated on V alone, score differently: from "
        f"{texts[0]} to {texts[1]}. That much of a row is owed to statistics, not to weights."
    )


def _moves(usual: Summaries, again: Summaries) -> dict[tuple[str, int], float]:
    return {key: again[key].mean - usual[key].mean for key in again if key in usual}
