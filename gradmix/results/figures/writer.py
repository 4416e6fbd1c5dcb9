"""Draw figures from files by their modules' declarations."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from gradmix.errors import sentence_of
from gradmix.files import write_text
from gradmix.manifest import files_in, write_manifest
from gradmix.results.figures.style import message_figure, save


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

    A figure that cannot be drawn costs no other one: a picture that says so takes its place, and a file beside it says
    why (`failure_of`).

    Args:
        figures: module, stem, arguments of each; `files`: names in `files` by argument; `manifests`: the arguments
            whose files are listed in manifests.
        files: all that they read, by name.
        manifest: its path.
        log: is told the stem of each that is done, and why one is not.
    """
    written = []
    for figure in figures:
        stem, failure = figure["stem"], failure_file(figure["stem"])
        try:
            own = {
                argument: files_in(files[name]) if argument in figure["manifests"] else files[name]
                for argument, name in figure["files"].items()
            }
            written += write_figure(figure["module"], stem, own, figure["arguments"])
            failure.unlink(missing_ok=True)
            log(str(stem))
        except OSError:  # a full disk is no figure's fault
            raise
        except Exception as error:
            why = sentence_of(error)
            log(f"error: {stem} could not be drawn: {why}")
            log(traceback.format_exc())
            write_text(failure, why)
            written += [*save(message_figure("This figure could not be drawn."), stem), failure]
    if manifest:
        write_manifest(manifest, written)


def failure_file(stem: str | Path) -> Path:
    """Return where it stands why a figure could not be drawn."""
    return Path(f"{stem}.failed")


def failure_of(stem: str | Path) -> str | None:
    """Return why a figure could not be drawn; None where it was."""
    file = failure_file(stem)
    return file.read_text(encoding="utf-8") if file.exists() else None
