"""Draw figures from files by their modules' declarations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from gradmix.manifest import files_in, write_manifest
from gradmix.results.figures.style import save


def write_figure(
    module: str, stem: str | Path, files: Mapping[str, Any], arguments: Mapping[str, Any]
) -> list[Path]:
    """Write `stem`.svg, .png and .pdf.

    Args:
        module: the figure's, with `FIGURE` and `draw`.
        stem: path without the format.
        files: for each argument of `draw` that is read from files, what its reader takes.
        arguments: the other ones.

    Raises:
        ValueError: for a broken file, naming it.
    """
    drawn = import_module(module)
    data = {name: drawn.FIGURE.readers[name](paths) for name, paths in files.items()}
    return save(drawn.draw(**data, **arguments), stem)


def write_figures(
    figures: Iterable[Mapping[str, Any]],
    files: Mapping[str, Any],
    manifest: str | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> None:
    """Write figures one by one and, at last, the manifest of all their files, if there is to be one.

    Args:
        figures: module, stem, arguments of each; `files`: names in `files` by argument; `manifests`: the arguments
            whose files are listed in manifests.
        files: all that they read, by name.
        manifest: its path.
        log: is told the stem of each that is done.
    """
    written = []
    for figure in figures:
        own = {
            argument: files_in(files[name]) if argument in figure["manifests"] else files[name]
            for argument, name in figure["files"].items()
        }
        written += write_figure(figure["module"], figure["stem"], own, figure["arguments"])
        log(str(figure["stem"]))
    if manifest:
        write_manifest(manifest, written)
