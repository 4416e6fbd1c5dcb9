"""Parameters grouped by layer, the unit in which GradMix compares gradients (Li et al. 2020, Eq. 4-6)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

Grouping = Literal["module", "tensor"]

# Torch's own normalisations; other classes count by their names.
_NORMALISATIONS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_NAMED_NORM = re.compile(r"Norm(\dd)?$")


@dataclass(frozen=True, eq=False)
class Layer:
    """Parameters that are compared and mixed as one vector."""

    name: str
    parameters: tuple[nn.Parameter, ...]

    def __repr__(self) -> str:
        numbers = sum(parameter.numel() for parameter in self.parameters)
        return f"Layer({self.name!r}, {numbers:,} numbers)"


def layers_of(module: nn.Module, *, grouping: Grouping = "module") -> list[Layer]:
    """Group the trainable parameters of ``module`` by layer, in the order of its submodules.

    A submodule's own parameters (weight and bias) form one layer. Normalisation parameters go with the layer
    before them, or, where there is none, with the one behind: a convolution's bias in front of a batch
    normalisation has an exactly zero gradient, and as a layer of its own its cosine would be round-off noise.

    Args:
        module: The shared part of a network (its backbone), or its heads.
        grouping: ``"module"`` as above, or ``"tensor"``: every parameter tensor is a layer.

    Returns:
        Layers without overlap. Frozen parameters (``requires_grad=False``) are left out; a tied parameter
        belongs to the first layer that holds it.

    Raises:
        ValueError: if ``grouping`` is unknown or ``module`` has no trainable parameter.
    """
    if grouping not in ("module", "tensor"):
        raise ValueError(f'grouping must be "module" or "tensor", but got {grouping!r}')
    seen: set[int] = set()
    groups: list[tuple[str, list[nn.Parameter], bool]] = []
    for module_name, submodule in module.named_modules():
        owner = module_name.split("parametrizations.")[0].rstrip(".")
        own: list[tuple[str, nn.Parameter]] = []
        for name, parameter in submodule.named_parameters(recurse=False):
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                own.append((f"{module_name}.{name}" if module_name else name, parameter))
        if not own:
            continue
        if grouping == "tensor":
            groups.extend((name, [parameter], False) for name, parameter in own)
        elif groups and groups[-1][0] == owner:
            # A parametrised weight (weight norm, say) lives in submodules of the layer that uses it.
            groups[-1][1].extend(parameter for _, parameter in own)
        else:
            parameters = [parameter for _, parameter in own]
            groups.append((owner, parameters, _is_normalisation(submodule)))
    if not groups:
        raise ValueError(f"{type(module).__name__} has no trainable parameter to group into layers")
    return [Layer(name or type(module).__name__, tuple(p)) for name, p in _merge(groups)]


def _merge(
    groups: Sequence[tuple[str, list[nn.Parameter], bool]],
) -> list[tuple[str, list[nn.Parameter]]]:
    """Put each normalisation's parameters with the layer before it (or behind it, at the start)."""
    merged: list[tuple[str, list[nn.Parameter]]] = []
    waiting: list[tuple[str, list[nn.Parameter]]] = []
    for name, parameters, is_normalisation in groups:
        if not is_normalisation:
            leading = [parameter for _, group in waiting for parameter in group]
            waiting.clear()
            merged.append((name, leading + parameters))
        elif merged:
            merged[-1][1].extend(parameters)
        else:
            waiting.append((name, parameters))
    return merged or waiting


def _is_normalisation(module: nn.Module) -> bool:
    return isinstance(module, _NORMALISATIONS) or bool(_NAMED_NORM.search(type(module).__name__))
