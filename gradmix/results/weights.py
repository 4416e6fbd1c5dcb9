"""How much weight each source got in training: means over the shared layers, from the curves of runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradmix.results.conditions import plain_name
from gradmix.results.records import Method, read_curves

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = [
    *("method", "condition", "labels_per_class", "draw", "source"),
    *("mean_weight", "mean_weight_second_half"),
]


def layer_means(run: Mapping[str, Any]) -> pd.DataFrame:
    """Return the weight of every source (a column each) over the shared layers' mean, by step (the index).

    A row holds the mean over the steps since the row before; there is none at step 0. Without any column where the
    run weighs no layers. Raises `ValueError` naming the file if its curves lack a weight.
    """
    import pandas as pd

    layers, sources = list(run.get("layers") or []), list(run.get("sources") or [])
    if not layers or not sources:
        return pd.DataFrame()
    columns = {source: [f"weight/{layer}/{source}" for layer in layers] for source in sources}
    curve = read_curves(run, [name for names in columns.values() for name in names])
    curve = curve.set_index("step")
    means = {source: curve[names].mean(axis=1) for source, names in columns.items()}
    return pd.DataFrame(means).dropna()


def mean_weights(runs: Iterable[Mapping[str, Any]], methods: Sequence[Method]) -> pd.DataFrame:
    """Return `COLUMNS`: the mean weight of each source in every listed run, over all steps and the second half of them.

    Args:
        runs: of `read_runs`, with curves beside them; those that weigh no layers give no row.
        methods: the rows (see `write_tables`).
    """
    import pandas as pd

    listed = {row["name"]: row for row in methods}
    rows = []
    for run in runs:
        row = listed.get(run["method"])
        weights = layer_means(run) if row else pd.DataFrame()
        if row is None or weights.empty:
            continue
        ends = weights.index.to_numpy(dtype=np.float64)
        starts = np.concatenate([[0.0], ends[:-1]])
        # Rows count by the steps that they are means over: evaluations need not be evenly spread.
        late = ends - np.clip(starts, ends[-1] / 2, ends)
        for source in weights.columns:
            values = weights[source].to_numpy()
            rows.append(
                (
                    *(plain_name(row), row.get("condition", "")),
                    *(run["labels_per_class"], run["draw"], source),
                    float(np.average(values, weights=ends - starts)),
                    float(np.average(values, weights=late)),
                )
            )
    return pd.DataFrame(rows, columns=COLUMNS)
