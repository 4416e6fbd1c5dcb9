"""Mean, lowest and highest value over draws of a training curve, step by step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def over_draws(curves: Sequence[pd.DataFrame], column: str) -> pd.DataFrame:
    """Return columns step, mean, low and high of `column` over the draws (`curves`: one table per draw).

    Steps at which no draw has a number are left out; a draw that ended early counts as far as it goes.
    """
    parts = [
        curve[["step", column]].replace([np.inf, -np.inf], np.nan).dropna() for curve in curves
    ]
    values = pd.concat(parts) if parts else pd.DataFrame(columns=["step", column])
    grouped = values.groupby("step")[column].agg(["mean", "min", "max"]).reset_index()
    return grouped.rename(columns={"min": "low", "max": "high"})
