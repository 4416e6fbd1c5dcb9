"""What a run logs: per-step values kept on the device, read once per evaluation.

Reading a value makes the host wait for the device, so the steps between two evaluations only collect small tensors.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Curves:
    """Collects step by step; `row` turns the steps since the last one into a row of curves.parquet.

    Args:
        sets: names of the streams, in the order of the losses.
        layers: names of the shared layers.
        sources: names of the mixed sources.
    """

    def __init__(self, sets: Sequence[str], layers: Sequence[str], sources: Sequence[str]) -> None:
        self._sets = list(sets)
        self._layers = list(layers)
        self._sources = list(sources)
        self._losses: list[Tensor] = []
        self._mixed: list[Any] = []

    def add(self, losses: Sequence[Tensor], mixed: Any | None) -> None:
        """Keep one step: its losses and, for mixing methods, the mixer's report (a `MixedStep`)."""
        self._losses.append(torch.stack([loss.detach() for loss in losses]))
        if mixed is not None:
            self._mixed.append(mixed)

    def first_bad_loss(self) -> tuple[int, str] | None:
        """Position since the last `row` and stream of the first loss that is NaN or Inf."""
        if not self._losses:
            return None
        finite = torch.stack(self._losses).isfinite().cpu()
        if finite.all():
            return None
        position, stream = (~finite).nonzero()[0].tolist()
        return position, self._sets[stream]

    def row(self, step: int, loss: float, accuracy: float) -> dict[str, float]:
        """The row at ``step``: H's loss and accuracy, and means over the steps since the last row."""
        row = {
            "step": step,
            "hyper_validation_loss": loss,
            "hyper_validation_accuracy": accuracy,
            **{f"loss/{name}": math.nan for name in self._sets},
        }
        if self._losses:
            means = torch.stack(self._losses).double().mean(dim=0).tolist()
            row.update({f"loss/{n}": value for n, value in zip(self._sets, means, strict=True)})
        if self._mixed:
            row.update(self._mixing())
        self._losses, self._mixed = [], []
        return row

    def _mixing(self) -> dict[str, float]:
        row: dict[str, float] = {}
        for name in ("rho", "eta"):
            values = torch.stack([getattr(mixed, name) for mixed in self._mixed]).double()
            row[name] = float(values.mean())
            row[f"{name}_low"] = float(values.quantile(0.1))
            row[f"{name}_high"] = float(values.quantile(0.9))
        weights = torch.stack([mixed.weights_LK for mixed in self._mixed]).mean(dim=0).tolist()
        cosines = torch.stack([mixed.cosines_L for mixed in self._mixed]).mean(dim=0).tolist()
        for layer, layer_weights, cosine in zip(self._layers, weights, cosines, strict=True):
            row[f"cosine/{layer}"] = cosine
            for source, weight in zip(self._sources, layer_weights, strict=True):
                row[f"weight/{layer}/{source}"] = weight
        return row
