"""What a run's curves are made of: per-step values kept on the device, read once per evaluation.

Reading a value makes the host wait for the device, so the steps between two evaluations only collect small tensors.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from gradmix.mixing.mixed_step import MixedStep

_OF_MIXING = ("rho", "eta", "weights_LK", "cosines_L")


class Curves:
    """Collects step by step; `row` turns the steps since the last one into a row of curves.parquet.

    Args:
        sets: names of the streams, in the order of the losses.
        layers: names of the shared layers whose weights are logged; none for a mixer that weighs whole losses.
        sources: names of the mixed sources.
    """

    def __init__(self, sets: Sequence[str], layers: Sequence[str], sources: Sequence[str]) -> None:
        self._sets = list(sets)
        self._layers = list(layers)
        self._sources = list(sources)
        self._steps: dict[str, list[Tensor]] = {}

    def values(self, losses: Sequence[Tensor], mixed: MixedStep) -> dict[str, Tensor]:
        """What is kept of one step, on the device; of several models at once with these in front."""
        values = {"losses": torch.stack([loss.detach() for loss in losses], dim=-1)}
        if self._layers:
            values |= {name: getattr(mixed, name) for name in _OF_MIXING}
        return values

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Keep one step's `values`."""
        for name, value in values.items():
            self._steps.setdefault(name, []).append(value)

    def state(self) -> dict[str, Tensor]:
        """The steps since the last `row`, as tensors from which `load` restores them."""
        return {name: torch.stack(values) for name, values in self._steps.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue where `state` was taken."""
        self._steps = {name: list(values.unbind()) for name, values in state.items()}

    def average(self, over: Callable[[Tensor], Tensor]) -> None:
        """Put the losses' mean over ranks in the place of this rank's; a mixer's report is that of all already."""
        if self._steps:
            self._steps["losses"] = list(over(torch.stack(self._steps["losses"])).unbind())

    def fault(self, begun: int) -> str | None:
        """Which loss was NaN or infinite first, at which step; ``None``: none since the last `row`.

        Args:
            begun: steps that had been taken at the last `row`.
        """
        if not self._steps:
            return None
        finite = torch.stack(self._steps["losses"]).isfinite().cpu()
        if finite.all():
            return None
        position, stream = (~finite).nonzero()[0].tolist()
        return f"step {begun + position}: the loss of {self._sets[stream]} is NaN or infinite"

    def row(self, step: int, loss: float, accuracy: float) -> dict[str, float]:
        """The row at ``step``: H's loss and accuracy, and means over the steps since the last row."""
        row = {
            "step": step,
            "hyper_validation_loss": loss,
            "hyper_validation_accuracy": accuracy,
            **{f"loss/{name}": math.nan for name in self._sets},
        }
        if self._steps:
            means = torch.stack(self._steps["losses"]).double().mean(dim=0).tolist()
            row.update({f"loss/{n}": value for n, value in zip(self._sets, means, strict=True)})
        if "rho" in self._steps:
            row.update(self._mixing())
        self._steps = {}
        return row

    def _mixing(self) -> dict[str, float]:
        row: dict[str, float] = {}
        for name in ("rho", "eta"):
            values = torch.stack(self._steps[name]).double()
            row[name] = float(values.mean())
            row[f"{name}_low"] = float(values.quantile(0.1))
            row[f"{name}_high"] = float(values.quantile(0.9))
        weights = torch.stack(self._steps["weights_LK"]).mean(dim=0).tolist()
        cosines = torch.stack(self._steps["cosines_L"]).mean(dim=0).tolist()
        for layer, layer_weights, cosine in zip(self._layers, weights, cosines, strict=True):
            row[f"cosine/{layer}"] = cosine
            for source, weight in zip(self._sources, layer_weights, strict=True):
                row[f"weight/{layer}/{source}"] = weight
        return row
