"""Training curves over draws: their mean with the range of draws as a band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def over_draws(curves: Sequence[pd.DataFrame], column: str) -> pd.DataFrame:
    """Return columns step, mean, low and high of `column` over the draws (`curves`: one table per draw).

    Steps at which no draw has a number are left out; a draw that ended early counts as far as it goes.
    """
    import numpy as np
    import pandas as pd

    parts = [
        curve[["step", column]].replace([np.inf, -np.inf], np.nan).dropna() for curve in curves
    ]
    values = pd.concat(parts) if parts else pd.DataFrame(columns=["step", column])
    return values.groupby("step")[column].agg(mean="mean", low="min", high="max").reset_index()


def draw_band(
    axes: Axes,
    curve: pd.DataFrame,
    look: Mapping[str, Any],
    *,
    label: str | None = None,
    markers: int = 6,
    first: int = 0,
    alpha: float = 0.15,
) -> None:
    """Draw one curve of `over_draws`, with about so many markers; the `first` of them stands that many points in."""
    every = max(1, len(curve) // markers)
    places = (first % every, every)
    axes.plot(curve["step"], curve["mean"], label=label, markevery=places, **look)
    axes.fill_between(
        curve["step"], curve["low"], curve["high"], color=look["color"], alpha=alpha, linewidth=0
    )
