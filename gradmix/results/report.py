"""The report: one self-contained HTML page that tells an experiment's story. It opens offline and asks no network."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gradmix.files import write_text
from gradmix.results.ablations import ablation_parts
from gradmix.results.condition_table import fall_sentences
from gradmix.results.conditions import Part, titled_rows
from gradmix.results.data import data_table, left_out_sentences
from gradmix.results.experiment import Experiment
from gradmix.results.facts import (
    duration,
    duration_table,
    ensemble_table,
    machine_rows,
    quality_table,
    transfer,
)
from gradmix.results.figures.writer import failure_of
from gradmix.results.layout import render, visible
from gradmix.results.paper import URL, citation, paper_table
from gradmix.results.reading import (
    caveat_sentences,
    comparison_sentences,
    lead_sentences,
    paper_sentences,
    rule_sentence,
    statistics_sentence,
)
from gradmix.results.table_files import units
from gradmix.results.tables import (
    REFERENCES,
    difference_tables,
    experiment_tables,
)

TEMPLATE = Path(__file__).with_name("report.html.j2")
"""The page's template; an input of whoever makes the page, because it is no Python and has no fingerprint."""

_MIME = {".svg": "image/svg+xml", ".png": "image/png"}


def embed(file: str | Path) -> str:
    """Return the data URI of an .svg or .png file. Raises `ValueError` naming it if it cannot be read or is neither."""
    path = Path(file)
    if path.suffix not in _MIME:
        raise ValueError(f"{file}: the report embeds .svg and .png figures only")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{file}: cannot be read ({error.strerror})") from error
    return f"data:{_MIME[path.suffix]};base64,{base64.b64encode(content).decode('ascii')}"


def _figures_by_section(figures: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return title, caption and images of every kind of figure, by section.

    An image has a label, alt and data URI, or in its place why it could not be drawn.
    """
    kinds: dict[tuple[str, str], dict[str, Any]] = {}
    for figure in figures:
        kind = {"title": figure["title"], "caption": figure["caption"], "images": []}
        label = figure.get("label", "")
        alt = ", ".join(filter(None, [figure["title"], label]))
        failure = failure_of(Path(figure["file"]).with_suffix(""))
        kinds.setdefault((figure["section"], figure["title"]), kind)["images"].append(
            {
                "label": label,
                "alt": alt,
                "failure": failure,
                "uri": embed(figure["file"]) if failure is None else "",
            }
        )
    sections: dict[str, list[dict[str, Any]]] = {}
    for (section, _), kind in kinds.items():
        sections.setdefault(section, []).append(kind)
    return sections


def write_report(
    output: str | Path,
    experiment: Experiment,
    *,
    title: str,
    configuration: str,
    ensemble_files: Iterable[str | Path] = (),
    summary_files: Iterable[str | Path] = (),
    quality_files: Iterable[str | Path] = (),
    figures: Iterable[Mapping[str, Any]] = (),
    ablations: Iterable[Mapping[str, Any]] = (),
    ablation_metric_files: Iterable[str | Path] = (),
    reference: str = "gradmix",
    classes: Mapping[str, Sequence[str] | None] | None = None,
) -> Path:
    """Write the page to `output` and return its path.

    Args:
        output: where the page goes.
        experiment: what to tell of. With conditions, the first section compares them; what stands below is of the
            first one, where nothing else is said.
        title: the experiment's title.
        configuration: the resolved configuration as YAML text, shown as it is.
        ensemble_files: ensemble/<k>/<draw>.json.
        summary_files: summary.json of the pseudo-labels.
        quality_files: quality.json of the pseudo-labels.
        figures: section, title and caption of its kind, label and file (.svg or .png) of every figure, in order.
        ablations: {"name", "title", "methods"} of every ablation, its first method the reference.
        ablation_metric_files: metrics.json of all their methods, k and draws.
        reference: the method with which the others are compared.
        classes: names of each domain's classes, in the order of the labels; None: those in its files.

    All text from records and configuration is escaped. Raises `ValueError` for a broken record or figure.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    has_clips, first, sizes = experiment.has_clips, experiment.first, experiment.sizes
    named = titled_rows(experiment.methods, experiment.conditions)
    titles = {method["name"]: method["title"] for method in named}
    quoted = paper_table(experiment.paper)
    environment = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.globals["show_table"] = lambda table: Markup(render(table, "html"))
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        title=title,
        story=transfer(experiment.splits, experiment.domains, has_clips=has_clips, classes=classes),
        has_clips=has_clips,
        tables=experiment_tables(experiment),
        columns=list(units(has_clips)),
        first=_told(experiment, first, reference),
        others=[_told(experiment, part, reference) for part in experiment.parts[1:]],
        data_table=data_table(sizes, has_clips=has_clips) if len(sizes) else None,
        rule=rule_sentence(first.metrics, reference, list(units(has_clips))),
        paper_setting=quoted.setting if quoted else "",
        caveats=caveat_sentences(experiment.metrics, experiment.runs, experiment.splits),
        statistics=statistics_sentence(experiment.metrics, named),
        sections=_figures_by_section(figures),
        ablations=ablation_parts(ablations, ablation_metric_files),
        quality=quality_table(quality_files, summary_files),
        ensemble=ensemble_table(ensemble_files),
        durations=duration_table(experiment.runs, named),
        total_time=duration(sum(run["seconds"] for run in experiment.runs)),
        machine=machine_rows(experiment.runs),
        notes=_notes(experiment.notes, titles),
        left_out=left_out_sentences(experiment.domains),
        configuration=configuration,
        citation=citation(experiment.paper),
        citation_url=URL,
    )
    write_text(output, page)
    return Path(output)


def _told(experiment: Experiment, part: Part, reference: str) -> dict[str, Any]:
    """Return a condition's title, sources, sentences and paired differences, by every unit of accuracy."""
    told: dict[str, Any] = {"title": part.title, "sources": part.sources}
    lists = ("lead", "comparisons", "differences", "paper_comparisons")
    told |= {name: [] for name in lists}
    metrics, methods, first = part.metrics, part.methods, experiment.first
    paper = experiment.paper if part is first else None
    for column, unit in units(experiment.has_clips).items():
        counted: dict[str, str] = {"column": column, "unit": unit}
        where = counted | {"condition": part.title}
        told["lead"] += lead_sentences(metrics, methods, **where)
        if part is not first:
            told["lead"] += fall_sentences(first, part, **counted)
        told["comparisons"] += comparison_sentences(metrics, methods, reference, **where)
        told["differences"] += difference_tables(part, REFERENCES, column, unit)
        told["paper_comparisons"] += paper_sentences(metrics, methods, paper, **counted)
    return told


def _notes(notes: pd.DataFrame, titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the notes with their runs, each wording once."""
    places = [
        f"{titles[method]}, k = {labels_per_class}, draw {draw}"
        for method, labels_per_class, draw in zip(
            notes["method"], notes["labels_per_class"], notes["draw"], strict=True
        )
    ]
    by_note = notes.assign(place=places).groupby("note", sort=False)["place"].agg(list)
    return [{"text": note, "places": places} for note, places in by_note.items()]
