"""One forward pass for all the mini-batches of a step."""

from collections.abc import Sequence
from itertools import takewhile

from torch import nn

from gradmix.mixing.joint.forward import forward_together
from gradmix.nets.norm import DomainBatchNorm
from gradmix.terms.context import Context
from gradmix.terms.term import Term


def features_together(
    network: nn.Module, contexts: Sequence[Context], terms: Sequence[Term]
) -> None:
    """Give their features to the first contexts whose terms want those of the mini-batch as it stands.

    Args:
        network: of the run.
        contexts: of all streams of the step.
        terms: theirs.

    What stands behind a term that makes passes of its own has a pass of its own, too: running statistics follow the
    order of the streams. Networks with statistics of each domain by itself are left to separate passes: only those
    know the domain.
    """
    if any(isinstance(module, DomainBatchNorm) for module in network.modules()):
        return
    pairs = takewhile(lambda pair: pair[1].reads_features, zip(contexts, terms, strict=True))
    joint = [context for context, _ in pairs]
    if len(joint) < 2:
        return
    with joint[0].autocast:
        features = forward_together(joint[0].network.features, [c.inputs for c in joint])
    for context, features_BF in zip(joint, features, strict=True):
        context.features_BF = features_BF.float()
