"""Batch normalisation over several domains, with shared running statistics or one set for each domain."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

Statistics = Literal["shared", "per_domain"]


class DomainBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation with one scale and bias for all domains, and running statistics for each.

    In training it normalises by the mini-batch, as usual; the domain decides which running statistics are
    updated, and in evaluation which are used (Mancini et al. 2018 with known domains).

    Args:
        channels: C of the (N, C, H, W) or (N, C) input.
        domains: names of the domains.
    """

    def __init__(self, channels: int, domains: Sequence[str]) -> None:
        super().__init__(channels, track_running_stats=False)
        self._rows = {name: row for row, name in enumerate(domains)}
        self.register_buffer("means_DC", torch.zeros(len(domains), channels))
        self.register_buffer("variances_DC", torch.ones(len(domains), channels))
        self.means_DC: Tensor
        self.variances_DC: Tensor

    def forward(self, x: Tensor, domain: str | None = None) -> Tensor:
        """Normalise ``x`` as images of ``domain``.

        Raises:
            ValueError: if the domain is unknown or missing.
        """
        if domain not in self._rows:
            known = ", ".join(self._rows)
            raise ValueError(
                f"norm_statistics: per_domain needs one of the domains {known}, got {domain!r}"
            )
        row = self._rows[domain]
        return nn.functional.batch_norm(
            x,
            self.means_DC[row],
            self.variances_DC[row],
            self.weight,
            self.bias,
            self.training,
            0.1 if self.momentum is None else self.momentum,
            self.eps,
        )


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Within it, batch normalisation in training mode leaves its running statistics as they are.

    For passes over perturbed, mixed or augmented images, which the statistics should not follow (VAT, for one).
    """
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = None
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked = batches


def normalised(norm: nn.Module, x: Tensor, domain: str | None) -> Tensor:
    """Apply a normalisation from `make_norm`, of either kind, to images of ``domain``."""
    out: Tensor = norm(x, domain) if isinstance(norm, DomainBatchNorm) else norm(x)
    return out


def make_norm(
    channels: int, statistics: Statistics, domains: Sequence[str], *, spatial: bool = True
) -> nn.Module:
    """Make plain batch normalisation for ``"shared"``, `DomainBatchNorm` for ``"per_domain"``.

    Args:
        channels: C of the input.
        statistics: whether all domains share running statistics.
        domains: names of the domains, for ``"per_domain"``.
        spatial: whether the input is (N, C, H, W), else (N, C).

    Raises:
        ValueError: for another word, or per-domain statistics without domains.
    """
    if statistics == "shared":
        return nn.BatchNorm2d(channels) if spatial else nn.BatchNorm1d(channels)
    if statistics != "per_domain":
        raise ValueError(
            f'norm_statistics must be "shared" or "per_domain", but got {statistics!r}'
        )
    if not domains:
        raise ValueError('norm_statistics "per_domain" needs the names of the domains')
    return DomainBatchNorm(channels, domains)
