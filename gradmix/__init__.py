"""GradMix: train one network on many sources, weighted per layer by agreement with a few target labels.

The public names, and nothing else. They load on first use, so that tools which only read the configuration
(the workflow's Snakefile, for one) never import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

__all__ = [
    "ConvNet",
    "FixedWeights",
    "GradMix",
    "GradientMixer",
    "GuardedSum",
    "GuidedSum",
    "LayerStatistics",
    "Mean",
    "MetaGradient",
    "MixedStep",
    "NonFiniteGradientError",
    "Sum",
    "SynchronisedStatistics",
    "exact_weights",
    "forward_together",
    "layers_of",
    "mix",
    "slsqp_weights",
]

if TYPE_CHECKING:
    from gradmix.mixing.finite import NonFiniteGradientError
    from gradmix.mixing.fixed_weights import FixedWeights
    from gradmix.mixing.functional import mix
    from gradmix.mixing.gradmix import GradMix
    from gradmix.mixing.gram import LayerStatistics
    from gradmix.mixing.guarded_sum import GuardedSum
    from gradmix.mixing.guided_sum import GuidedSum
    from gradmix.mixing.joint.forward import forward_together
    from gradmix.mixing.layers import layers_of
    from gradmix.mixing.mean import Mean
    from gradmix.mixing.meta_gradient import MetaGradient
    from gradmix.mixing.mixed_step import MixedStep
    from gradmix.mixing.mixer import GradientMixer
    from gradmix.mixing.solvers.exact import exact_weights
    from gradmix.mixing.solvers.slsqp import slsqp_weights
    from gradmix.mixing.sum import Sum
    from gradmix.nets.convnet import ConvNet
    from gradmix.nets.synchronised import SynchronisedStatistics

_HOME = {
    "ConvNet": "gradmix.nets.convnet",
    "FixedWeights": "gradmix.mixing.fixed_weights",
    "GradMix": "gradmix.mixing.gradmix",
    "GradientMixer": "gradmix.mixing.mixer",
    "GuardedSum": "gradmix.mixing.guarded_sum",
    "GuidedSum": "gradmix.mixing.guided_sum",
    "LayerStatistics": "gradmix.mixing.gram",
    "Mean": "gradmix.mixing.mean",
    "MetaGradient": "gradmix.mixing.meta_gradient",
    "MixedStep": "gradmix.mixing.mixed_step",
    "NonFiniteGradientError": "gradmix.mixing.finite",
    "Sum": "gradmix.mixing.sum",
    "SynchronisedStatistics": "gradmix.nets.synchronised",
    "exact_weights": "gradmix.mixing.solvers.exact",
    "forward_together": "gradmix.mixing.joint.forward",
    "layers_of": "gradmix.mixing.layers",
    "mix": "gradmix.mixing.functional",
    "slsqp_weights": "gradmix.mixing.solvers.slsqp",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'gradmix' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
