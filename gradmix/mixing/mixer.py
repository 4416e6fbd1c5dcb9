"""Applies a mixer's weights to a model: per-source losses and the target's loss in, ``.grad`` out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import Tensor, nn

from gradmix.mixing.finite import FiniteCheck
from gradmix.mixing.gradients import Gradients, add_to_grad, added, flatten, gradients_of
from gradmix.mixing.gram import LayerStatistics, statistics
from gradmix.mixing.layers import Layer
from gradmix.mixing.reduce import Reduction

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

LastLayer = Literal["H0", "H1", "H2"]
EtaOn = Literal["lr", "grad"]


class Optimizer(Protocol):
    """What `GradientMixer.step` asks of an optimizer; every ``torch.optim.Optimizer`` has it."""

    param_groups: list[dict[str, Any]]

    def step(self) -> Any:
        """Take a step."""


@dataclass(frozen=True)
class MixedStep:
    """What a mixer did in one step, as tensors on the device (L shared layers, K sources, H heads).

    Attributes:
        weights_LK: weight of each source in each shared layer.
        cosines_L: cosine of the mixed gradient with the target gradient, layer by layer.
        rho: importance of the mini-batch, the sum of the cosines (Eq. 8); scalar.
        eta: factor of the learning rate (Eq. 9); scalar in (0, 1), 1 without the adaptive rate.
        head_weights_HK: weight of each source in each head; 0 where a source does not use the head.
        target_norm_L: norm of the target gradient.
        source_norms_LK: norms of the source gradients.
    """

    weights_LK: Tensor
    cosines_L: Tensor
    rho: Tensor
    eta: Tensor
    head_weights_HK: Tensor
    target_norm_L: Tensor
    source_norms_LK: Tensor


class GradientMixer(ABC):
    """The part that all gradient mixers share. A mixer itself is `weigh`: small statistics in, weights out.

    Args:
        layers: the shared layers, from `layers_of`.
        heads: the layers that belong to label spaces. ``None``: every other parameter that a loss reaches is
            found by walking its graph; those reached by the same losses form one head.
        last_layer: how heads learn. ``"H0"`` (the paper's Eq. 10 read literally): from the sources that use
            them; where several do, mixed by the same rule. ``"H1"``: in addition from the target's own
            gradient. ``"H2"``: as H0 here; the training loop fine-tunes on the target afterwards.
        eta_on: ``"lr"`` multiplies the learning rate by eta (the paper; take the step with `step`), ``"grad"``
            multiplies the mixed gradient before the optimizer sees it. With momentum they differ: a gradient
            that the learning rate vetoes still enters the momentum buffer.
        eta_on_heads: whether eta acts on the heads as well; ``None``: with ``eta_on="lr"`` only.
        source_names: for error messages; ``None``: "source 0", "source 1", ...
        process_group: ranks of ``torch.distributed`` over which every step's gradients and losses are averaged
            before they are mixed, in one all-reduce; all of them must give the same losses in the same order, on
            networks of the same weights. ``None``: this process is by itself.

    A mixer is not thread-safe and belongs to one model.

    Attributes:
        target_trains: whether the target's own gradient is added to the mixture, in every layer.
        sum_length: whether a layer's mixture is multiplied by the number of its sources, so that equal weights give
            the plain sum of their gradients.
    """

    target_trains = False
    sum_length = False

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        heads: Sequence[Layer] | None = None,
        last_layer: LastLayer = "H0",
        eta_on: EtaOn = "lr",
        eta_on_heads: bool | None = None,
        source_names: Sequence[str] | None = None,
        process_group: "ProcessGroup | None" = None,
    ) -> None:
        if last_layer not in ("H0", "H1", "H2"):
            raise ValueError(f'last_layer must be "H0", "H1" or "H2", but got {last_layer!r}')
        if eta_on not in ("lr", "grad"):
            raise ValueError(f'eta_on must be "lr" or "grad", but got {eta_on!r}')
        _refuse_overlap([*layers, *(heads or [])])
        self.layers = list(layers)
        self.heads = None if heads is None else list(heads)
        self.last_layer = last_layer
        self.eta_on = eta_on
        self.eta_on_heads = (eta_on == "lr") if eta_on_heads is None else eta_on_heads
        self.source_names = None if source_names is None else list(source_names)
        self.steps = 0
        self._check = FiniteCheck()
        self._reduction: Reduction | None = None
        if process_group is not None:
            self.join(process_group)
        self._pending: list[Gradients] | None = None
        self._losses_K = torch.zeros(0)
        self._etas: list[Tensor] = []
        self._masks: dict[tuple[Any, ...], Tensor] = {}

    def join(self, process_group: "ProcessGroup") -> None:
        """From now on average every step's gradients and losses over these ranks before they are mixed."""
        self._reduction = Reduction(process_group)
        self._check.in_step = True

    @abstractmethod
    def weigh(self, stats: LayerStatistics) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The mixer itself: statistics of L layers (heads last) in, ``(weights_LK, cosines_L, rho, eta)`` out."""

    def accumulate(
        self, source_losses: Sequence[Tensor], target_loss: Tensor, *, retain_graph: bool = False
    ) -> None:
        """Keep the gradients of a part of the batch; the next `backward` adds its own and mixes the sums.

        Mixing is not linear, so the parts must be added source by source before it. Divide each loss by the
        number of parts, as usual, and the result is that of the whole batch.
        """
        gradients = self._gradients(source_losses, target_loss, retain_graph)
        first = self._pending is None
        if self._pending is not None:
            if len(self._pending) != len(gradients):
                raise ValueError(
                    f"accumulated {len(self._pending) - 1} sources so far, but got {len(gradients) - 1}"
                )
            gradients = [added(a, b) for a, b in zip(self._pending, gradients, strict=True)]
        losses_K = torch.stack([loss.detach().double() for loss in source_losses])
        self._losses_K = losses_K if first else self._losses_K + losses_K
        self._pending = gradients

    def backward(
        self, source_losses: Sequence[Tensor], target_loss: Tensor, *, retain_graph: bool = False
    ) -> MixedStep:
        """Add the mixed gradient to ``.grad`` of the shared parameters, and the heads' to theirs.

        Args:
            source_losses: one scalar per source, each with a graph of its own (or ``retain_graph=True``).
            target_loss: the loss on the labelled target images, the guide; scalar.
            retain_graph: keep the graphs, as in ``Tensor.backward``.

        Raises:
            ValueError: if there is no source, or a loss is no scalar or reaches no parameter.
            NonFiniteGradientError: if a gradient is NaN or Inf, with step, source and layer; on a GPU a step
                or two later, so that the host need not wait (`check` waits). No gradient is written then.
        """
        self.accumulate(source_losses, target_loss, retain_graph=retain_graph)
        gradients, self._pending = self._pending, None
        assert gradients is not None
        heads = self._heads_of(gradients)
        layers = [*self._shared_of(gradients), *heads]
        shared = len(layers) - len(heads)
        mask_LK = self._mask(layers, gradients, shared)
        losses_K = self._losses_K
        if self._reduction is None:
            flat_RP, _ = flatten(gradients, layers)
        else:
            flat_RP, losses_K = self._reduction(gradients, layers, losses_K)
        sizes = [sum(p.numel() for p in layer.parameters) for layer in layers]
        stats = statistics(flat_RP, sizes, mask_LK, losses_K, shared)

        source_norms_LK = stats.gram_LKK.diagonal(dim1=-2, dim2=-1).sqrt()
        norms_LR = torch.cat([source_norms_LK, stats.target_norm_L[:, None]], dim=1)
        finite_LR = norms_LR.isfinite()
        step, self.steps = self.steps, self.steps + 1
        self._check.submit(
            step, finite_LR, [layer.name for layer in layers], self._names(len(losses_K))
        )

        weights_LK, cosines_L, rho, eta = self.weigh(stats)
        finite = finite_LR.all()
        factors_LK = (
            weights_LK * mask_LK.sum(dim=1, keepdim=True) if self.sum_length else weights_LK
        )
        self._write(gradients, layers, flat_RP, sizes, factors_LK, eta, shared, finite)
        # With eta 0 a step that is not finite changes no parameter, whatever it left in rho.
        eta = torch.where(finite, eta, torch.zeros_like(eta))
        if self.eta_on == "lr":
            self._etas.append(eta)
        return MixedStep(
            weights_LK=weights_LK[:shared],
            cosines_L=cosines_L[:shared],
            rho=rho,
            eta=eta,
            head_weights_HK=weights_LK[shared:],
            target_norm_L=stats.target_norm_L[:shared],
            source_norms_LK=source_norms_LK[:shared],
        )

    def step(self, optimizer: Optimizer) -> None:
        """``optimizer.step()`` with the learning rate multiplied by eta, without a host wait.

        The optimizer takes its step at its own rate, then every parameter goes the fraction eta of that way:
        the same as a rate multiplied by eta wherever the step is proportional to the rate (SGD, Adam, RMSprop
        and their kin; not optimizers that need a closure). Eta is the mean over the `backward` calls since
        the last step. With ``eta_on="grad"`` this is ``optimizer.step()``.

        Raises:
            ValueError: if there was no `backward` since the last step.
        """
        if self.eta_on == "grad":
            optimizer.step()
            return
        if not self._etas:
            raise ValueError("step() needs a backward() before it")
        eta = self._etas[0] if len(self._etas) == 1 else torch.stack(self._etas).mean()
        self._etas = []
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        if not self.eta_on_heads:
            shared = {id(p) for layer in self.layers for p in layer.parameters}
            parameters = [p for p in parameters if id(p) in shared]
        parameters = [p for p in parameters if p.grad is not None]
        before = [p.detach().clone() for p in parameters]
        optimizer.step()
        with torch.no_grad():
            for parameter, old in zip(parameters, before, strict=True):
                torch.lerp(old, parameter, eta.to(parameter.dtype), out=parameter)

    def state(self) -> dict[str, Tensor]:
        """Tensors that a resumed training needs (see `load`); a mixer without memory has none."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027 nothing to load by default
        """Continue where `state` was taken."""

    def check(self) -> None:
        """Wait for all outstanding NaN/Inf checks (call it before a checkpoint is written)."""
        self._check.poll(wait=True)

    def _gradients(
        self, source_losses: Sequence[Tensor], target_loss: Tensor, retain_graph: bool
    ) -> list[Gradients]:
        if not source_losses:
            raise ValueError("there must be at least one source loss, but got none")
        wanted = None
        if self.heads is not None:
            wanted = {id(p) for layer in [*self.layers, *self.heads] for p in layer.parameters}
        names = self._names(len(source_losses))
        losses = [*source_losses, target_loss]
        return [
            gradients_of(loss, name, wanted, retain_graph=retain_graph)
            for name, loss in zip(names, losses, strict=True)
        ]

    def _names(self, sources: int) -> list[str]:
        names = self.source_names or [f"source {index}" for index in range(sources)]
        if len(names) != sources:
            raise ValueError(
                f"source_names has {len(names)} names, but there are {sources} source losses"
            )
        return [*names, "the target"]

    def _shared_of(self, gradients: list[Gradients]) -> list[Layer]:
        # Parameters that were frozen since, or that no loss reaches, drop out; a layer keeps its place even if empty.
        reached = set().union(*gradients)
        return [
            Layer(layer.name, tuple(p for p in layer.parameters if p in reached))
            for layer in self.layers
        ]

    def _heads_of(self, gradients: list[Gradients]) -> list[Layer]:
        if self.heads is not None:
            reached = set().union(*gradients)
            heads = [
                Layer(head.name, tuple(p for p in head.parameters if p in reached))
                for head in self.heads
            ]
            return [head for head in heads if head.parameters]
        shared = {id(p) for layer in self.layers for p in layer.parameters}
        groups: dict[tuple[int, ...], list[nn.Parameter]] = {}
        for parameter in dict.fromkeys(p for row in gradients for p in row):
            if id(parameter) not in shared:
                owners = tuple(index for index, row in enumerate(gradients) if parameter in row)
                groups.setdefault(owners, []).append(parameter)
        names = self._names(len(gradients) - 1)
        return [
            Layer("head of " + ", ".join(names[index] for index in owners), tuple(parameters))
            for owners, parameters in groups.items()
        ]

    def _mask(self, layers: list[Layer], gradients: list[Gradients], shared: int) -> Tensor:
        """mask_LK; made once per pattern, since a new tensor from the host would make it wait."""
        pattern = tuple(
            tuple(
                index < shared or any(p in row for p in layer.parameters) for row in gradients[:-1]
            )
            for index, layer in enumerate(layers)
        )
        device = next(iter(gradients[0].values())).device
        key = (device, pattern)
        if key not in self._masks:
            self._masks[key] = torch.tensor(pattern, dtype=torch.bool, device=device)
        return self._masks[key]

    def _write(
        self,
        gradients: list[Gradients],
        layers: list[Layer],
        flat_RP: Tensor,
        sizes: list[int],
        factors_LK: Tensor,
        eta: Tensor,
        shared: int,
        finite: Tensor,
    ) -> None:
        """Add the mixture to ``.grad``; zero where any gradient of the step is NaN or Inf."""
        dtype = torch.promote_types(flat_RP.dtype, torch.float32)
        factors_LK = factors_LK.to(dtype)
        for index, (layer, rows_Rp) in enumerate(
            zip(layers, flat_RP.split(sizes, dim=1), strict=True)
        ):
            rows_Rp = rows_Rp.to(dtype)
            # A matrix-vector product never goes through TF32 matrix units.
            mixed_p = torch.mv(rows_Rp[:-1].mT, factors_LK[index])
            is_head = index >= shared
            target_trains = self.target_trains or (is_head and self.last_layer == "H1")
            if target_trains:
                mixed_p = mixed_p + rows_Rp[-1]
            if self.eta_on == "grad" and (not is_head or self.eta_on_heads):
                mixed_p = mixed_p * eta.to(dtype)
            mixed_p = torch.where(finite, mixed_p, torch.zeros_like(mixed_p))
            trains = gradients if target_trains else gradients[:-1]
            parts = mixed_p.split([p.numel() for p in layer.parameters])
            for parameter, part in zip(layer.parameters, parts, strict=True):
                # What no source reaches stays without a gradient, as after Tensor.backward.
                if any(parameter in row for row in trains):
                    add_to_grad(parameter, part)


def _refuse_overlap(layers: Sequence[Layer]) -> None:
    if not layers:
        raise ValueError("layers must hold at least one layer, but it is empty")
    owner: dict[int, str] = {}
    for layer in layers:
        for parameter in layer.parameters:
            if id(parameter) in owner:
                raise ValueError(
                    f"layers {owner[id(parameter)]} and {layer.name} share a parameter"
                )
            owner[id(parameter)] = layer.name
