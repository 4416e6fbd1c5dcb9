"""Moving averages, over steps, of the cosines between the gradients of a step.

The cosines of single mini-batches are mostly noise; which sources help shows in their averages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradmix.mixing.gram import LayerStatistics

_TINY = 1e-280
_KEPT = ("norms", "angles", "target", "total")


@dataclass(frozen=True)
class Averaged:
    """Averages of L layers and K sources.

    Attributes:
        norms_LK: norms of the source gradients.
        angles_LKK: cosines of the source gradients with each other.
        cosines_LK: cosines of the source gradients with the target gradient.
    """

    norms_LK: Tensor
    angles_LKK: Tensor
    cosines_LK: Tensor

    @property
    def gram_LKK(self) -> Tensor:  # noqa: N802
        """Inner products of gradients of the averaged lengths at the averaged angles."""
        return self.angles_LKK * self.norms_LK[:, :, None] * self.norms_LK[:, None, :]

    @property
    def target_LK(self) -> Tensor:  # noqa: N802
        """Their inner products with a target gradient of length 1."""
        return self.cosines_LK * self.norms_LK


class MovingCosines:
    """Exponential moving averages of a step's cosines and norms.

    Args:
        average: weight of the past, in [0, 1); 0: this step's values alone.
        corrected: the first steps count alike (Adam's correction); without, the very first one starts the
            averages and weighs in them for long.

    Raises:
        ValueError: if ``average`` is out of range.
    """

    def __init__(self, average: float, *, corrected: bool = False) -> None:
        if not 0 <= average < 1:
            raise ValueError(f"average must be in [0, 1), but got {average}")
        self.average = average
        self.corrected = corrected
        self._kept: dict[str, Tensor] = {}
        self._names: dict[str, list[str]] = {}

    def update(self, stats: LayerStatistics) -> Averaged:
        """Take in this step's values, and give the averages.

        Raises:
            ValueError: if this step has other sources or layers than those before.
        """
        now = {"sources": list(stats.sources), "layers": list(stats.layers)}
        for what, names in self._names.items():
            if names != now[what]:
                raise ValueError(
                    f"the moving averages are of the {what} {', '.join(names)}, but this step has "
                    f"{', '.join(now[what])}; give every step the same sources with the same heads, in one order "
                    f"or by name, or make a new mixer"
                )
        self._names = now
        norms_LK = stats.gram_LKK.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
        pairs_LKK = norms_LK[:, :, None] * norms_LK[:, None, :]
        angles_LKK = stats.gram_LKK / pairs_LKK.clamp(min=_TINY)
        cosines_LK = stats.target_LK / (norms_LK * stats.target_norm_L[:, None]).clamp(min=_TINY)
        past: float | Tensor = self.average
        if self.corrected:
            total = self._kept.get("total", torch.zeros_like(norms_LK[0, 0])) * self.average + 1
            self._kept["total"] = total
            past = 1 - 1 / total
        return Averaged(
            self._averaged("norms", norms_LK, past),
            self._averaged("angles", angles_LKK, past),
            self._averaged("target", cosines_LK, past),
        )

    def _averaged(self, name: str, value: Tensor, past: float | Tensor) -> Tensor:
        # A value that is not finite is left out: one bad step, which `check` reports, must not stay in the averages.
        old = self._kept.get(name)
        mean = value if old is None else torch.lerp(value, old, past)
        mean = torch.where(mean.isfinite(), mean, torch.zeros_like(mean) if old is None else old)
        self._kept[name] = mean
        return mean

    def state_dict(self) -> dict[str, Any]:
        """The averages, and the names of their sources and layers."""
        return {**self._kept, **self._names}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken; other entries are passed over."""
        self._kept = {name: state[name] for name in _KEPT if name in state}
        self._names = {name: list(state[name]) for name in ("sources", "layers") if name in state}
