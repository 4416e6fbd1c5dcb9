"""Checks what a user hands to a mixer before anything is computed."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from gradmix.mixing.layers import Layer

SourceLosses = Sequence[Tensor] | Mapping[str, Tensor]


def checked_layers(layers: Any, what: str = "layers") -> list[Layer]:
    """Check that these are layers, and give them as a list.

    Raises:
        TypeError: if they are not a list of `Layer`.
    """
    hint = f"{what} must be a list of Layer, such as layers_of(net.backbone), but got"
    if isinstance(layers, nn.Module):
        raise TypeError(f"{hint} a network ({type(layers).__name__})")
    if isinstance(layers, Layer | Tensor) or not isinstance(layers, Sequence):
        raise TypeError(f"{hint} a {type(layers).__name__}")
    for layer in layers:
        if not isinstance(layer, Layer):
            raise TypeError(f"{hint} a list with a {type(layer).__name__}")
    return list(layers)


def refuse_overlap(layers: Sequence[Layer]) -> None:
    """Raise ValueError if two layers share a parameter."""
    owner: dict[int, str] = {}
    for layer in layers:
        for parameter in layer.parameters:
            if id(parameter) in owner:
                raise ValueError(
                    f"layers {owner[id(parameter)]} and {layer.name} share a parameter"
                )
            owner[id(parameter)] = layer.name


def refuse_unknown_kinds(layers: Sequence[Layer]) -> None:
    """Raise ValueError for parameters with gradients that cannot be mixed."""
    for layer in layers:
        for p in layer.parameters:
            kind = None
            if p.is_complex():
                kind = "complex; give its real view (torch.view_as_real) to the optimizer"
            elif hasattr(p, "device_mesh"):
                kind = "sharded (DTensor); mix on whole parameters, with process_group= for several ranks"
            elif p.device.type == "mps":
                kind = "on MPS, which has no float64 for inner products; use the CPU or CUDA"
            if kind is not None:
                raise ValueError(f"a parameter of layer {layer.name} is {kind}")


def named_losses(
    source_losses: Any, target_loss: Any, known: Sequence[str] | None, *, lead: int
) -> tuple[list[Tensor], Tensor | None, tuple[str, ...]]:
    """Check the losses: the sources' in order, the target's, and the sources' names.

    Args:
        source_losses: a list, or a mapping from names.
        target_loss: a scalar; ``None`` passes.
        known: the names so far: those of a mapping are put into their order.
        lead: leading dimensions of models, which every loss has.

    Raises:
        TypeError: if something is neither.
        ValueError: if there is no source, names differ, or a loss is no scalar.
    """
    hint = "source_losses must be a list of scalar losses or a mapping from names to them"
    if isinstance(source_losses, Tensor):
        what = "one loss; write [loss]" if source_losses.dim() == 0 else "a stacked tensor"
        raise TypeError(f"{hint}, but got {what}")
    if isinstance(source_losses, Mapping):
        names = tuple(source_losses)
        if known is not None and set(known) == set(names):
            names = tuple(known)
        losses = [source_losses[name] for name in names]
    elif isinstance(source_losses, Sequence) and not isinstance(source_losses, str):
        losses = list(source_losses)
        names = tuple(f"source {i}" for i in range(len(losses))) if known is None else tuple(known)
    else:
        raise TypeError(f"{hint}, but got a {type(source_losses).__name__}; write list(…)")
    if not losses:
        raise ValueError("there must be at least one source loss, but got none")
    if known is not None and len(names) != len(losses):
        raise ValueError(
            f"source_names has {len(known)} names, but there are {len(losses)} source losses"
        )
    losses = [_scalar(loss, name, lead) for loss, name in zip(losses, names, strict=True)]
    return losses, None if target_loss is None else _scalar(target_loss, TARGET, lead), names


TARGET = "the target"


def _scalar(loss: Any, name: str, lead: int) -> Tensor:
    if not isinstance(loss, Tensor):
        raise TypeError(f"the loss of {name} must be a scalar tensor, but got {_kind(loss)}")
    if (loss.dim() != lead) if lead else loss.numel() != 1:
        what = "one number per model" if lead else "a scalar"
        raise ValueError(f"the loss of {name} must be {what}, but has shape {tuple(loss.shape)}")
    return loss if loss.dim() == lead else loss.reshape(())


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
