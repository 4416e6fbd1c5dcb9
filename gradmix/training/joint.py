"""One forward pass for all the mini-batches of a step."""

from collections.abc import Sequence

from torch import nn

from gradmix.mixing.together.forward import forward_together
from gradmix.mixing.together.recording import Keep
from gradmix.nets.norm import DomainBatchNorm
from gradmix.terms.context import Context
from gradmix.terms.term import Term

# What `training.forward` names, and what the backward pass then keeps.
_KEEPS: dict[str, Keep] = {"together": "gradients", "streamed": "gram"}


def features_together(
    network: nn.Module, contexts: Sequence[Context], terms: Sequence[Term], forward: str
) -> None:
    """Give their features to the contexts whose terms want those of the mini-batch as it stands.

    Args:
        network: of the run.
        contexts: of all streams of the step.
        terms: theirs.
        forward: ``"together"`` or ``"streamed"``.

    Networks with statistics of each domain by itself are left to separate passes: only those know the domain.
    """
    if any(isinstance(module, DomainBatchNorm) for module in network.modules()):
        return
    joint = [c for c, term in zip(contexts, terms, strict=True) if term.reads_features]
    if len(joint) < 2:
        return
    with joint[0].autocast:
        features = forward_together(
            joint[0].network.features, [c.inputs for c in joint], keep=_KEEPS[forward]
        )
    for context, features_BF in zip(joint, features, strict=True):
        context.features_BF = features_BF.float()
