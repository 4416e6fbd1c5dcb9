"""EnergyNet's second network: how well a class fits its spatial attention map (Li et al. 2017, ACM Multimedia).

Class activation maps A_c = sum_m W_cm phi_m transfer from web images to videos better than features do; a small
network gives every pair (attention map, class) an energy, high for the true class. Sizes of its layers are this
project's choice.

Shapes: B images, K classes asked for, C classes of the label space, F channels, P positions of the feature maps.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_HIDDEN, _EMBEDDING = 128, 64
_RANKED = 10


class EnergyNet(nn.Module):
    """``E(x, c) = u_c . z(A_c(x))`` with a perceptron z: P -> 128 -> 64 and an embedding u_c of every class.

    Args:
        positions: P.
        classes: C.
    """

    def __init__(self, positions: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Sequential(
            nn.Linear(positions, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _EMBEDDING)
        )
        self.classes = nn.Linear(_EMBEDDING, classes, bias=False)

    def embed(self, attention_BKP: Tensor) -> Tensor:
        """Embed attention maps, (B, K, 64)."""
        embedded: Tensor = self.embedding(attention_BKP)
        return embedded

    def forward(self, attention_BKP: Tensor, classes_BK: Tensor) -> Tensor:
        """Compute energies (B, K) of attention maps, each with its class."""
        return (self.embed(attention_BKP) * self.classes.weight[classes_BK]).sum(dim=2)


def attention(maps_BFHW: Tensor, weight_CF: Tensor, classes_BK: Tensor) -> Tensor:
    """Compute class activation maps of the given classes, from 0 to 1 each, (B, K, P).

    Args:
        maps_BFHW: feature maps before pooling.
        weight_CF: weights of the linear head.
        classes_BK: classes of the maps.
    """
    activation_BKP = torch.einsum("bkf,bfp->bkp", weight_CF[classes_BK], maps_BFHW.flatten(2))
    low, high = activation_BKP.aminmax(dim=2, keepdim=True)
    return (activation_BKP - low) / (high - low).clamp(min=1e-6)


def rescored(
    logits_BC: Tensor, maps_BFHW: Tensor, weight_CF: Tensor, energies: EnergyNet
) -> Tensor:
    """Score (B, C) in logarithms: softmax probability times sigmoid of the energy, over the ten most probable classes.

    The other classes keep their order below these ten: their factor is the least of the ten.
    """
    log_BC = functional.log_softmax(logits_BC, dim=1)
    best_BK = log_BC.topk(min(_RANKED, log_BC.shape[1]), dim=1).indices
    factors_BK = functional.logsigmoid(energies(attention(maps_BFHW, weight_CF, best_BK), best_BK))
    least_B1 = factors_BK.amin(dim=1, keepdim=True)
    return (log_BC + least_B1).scatter(1, best_BK, log_BC.gather(1, best_BK) + factors_BK)
