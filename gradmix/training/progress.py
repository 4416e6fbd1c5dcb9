"""A progress bar on a terminal, nothing elsewhere (log files get lines instead)."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

Log = Callable[[str], None]
"""Gets a line per event."""


@contextmanager
def progress_bar(title: str, steps: int) -> Iterator[Callable[[int, str], None]]:
    """A bar of ``steps`` steps; call what it yields with the step reached and a short text."""
    with tqdm(
        total=steps, desc=title, unit="step", file=sys.stderr, disable=None, leave=False
    ) as bar:

        def update(step: int, text: str) -> None:
            bar.update(step - bar.n)
            bar.set_postfix_str(text)

        yield update
