"""Discriminators between each source's features and the target's, trained by least squares (Xu et al. 2018).

Shapes: J sources, B images of a mini-batch, F features.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gradmix.terms.adam import adam_state, load_adam_state

_LAYERS = (0, 2, 4)  # of the Sequential, those with parameters


class Discriminators:
    """One multi-layer perceptron per source, features -> hidden -> hidden -> 1 with ReLU, and one Adam for all.

    A discriminator answers 0 for its source and 1 for the target. The initial weights come from torch's global
    generator of the device.

    Args:
        sources: J.
        features: F.
        hidden: units of both hidden layers.
        learning_rate: Adam's.
        device: where they live.
    """

    def __init__(
        self, sources: int, features: int, hidden: int, learning_rate: float, device: torch.device
    ) -> None:
        self.networks = [_perceptron(features, hidden, device) for _ in range(sources)]
        parameters = [p for network in self.networks for p in network.parameters()]
        # Named here only: torch.optim imports torch's compiler when an optimizer is first made.
        self._adam = torch.optim.Adam(parameters, lr=learning_rate)

    def train(self, sources_JBF: Sequence[Tensor], target_BF: Tensor) -> Tensor:
        """Take one Adam step with every discriminator, and give their losses before it, (J,).

        ``mean(D_j(source j)^2) + mean((D_j(target) - 1)^2)``. Nothing reaches what made the features.

        Args:
            sources_JBF: features of each source; batches may differ in size.
            target_BF: features of the target.
        """
        target_BF = target_BF.detach()
        losses_J = torch.stack(
            [
                discriminator_loss(network(source_BF.detach()), network(target_BF))
                for network, source_BF in zip(self.networks, sources_JBF, strict=True)
            ]
        )
        self._adam.zero_grad(set_to_none=True)
        losses_J.sum().backward()
        self._adam.step()
        return losses_J.detach()

    def confusion(self, sources_JBF: Sequence[Tensor], target_BF: Tensor) -> Tensor:
        """Measure how far each discriminator is from undecided, (J,); with the features' graph, not their own.

        ``1/2 [mean((D_j(source j) - 1/2)^2) + mean((D_j(target) - 1/2)^2)]``
        """
        losses = []
        for network, source_BF in zip(self.networks, sources_JBF, strict=True):
            # Detached copies share memory with the parameters, but no gradient is made for them.
            frozen = {name: p.detach() for name, p in network.named_parameters()}
            scores = [functional_call(network, frozen, (x,)) for x in (source_BF, target_BF)]
            losses.append(confusion_loss(*scores))
        return torch.stack(losses)

    def state(self) -> dict[str, Tensor]:
        """Parameters, and Adam's moments and step counts."""
        tensors = {
            f"{index}.{name}": p.detach()
            for index, network in enumerate(self.networks)
            for name, p in network.named_parameters()
        }
        return tensors | {f"adam.{name}": t for name, t in adam_state(self._adam).items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], learning_rate: float) -> "Discriminators":
        """Rebuild the discriminators that gave this `state`; torch's global generator is left as it was."""
        first = state[f"0.{_LAYERS[0]}.weight"]
        sources = sum(name.endswith(f".{_LAYERS[0]}.weight") for name in state)
        hidden, features = first.shape
        devices = [first.device] if first.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            made = cls(sources, features, hidden, learning_rate, first.device)
        moments = {k.removeprefix("adam."): t for k, t in state.items() if k.startswith("adam.")}
        load_adam_state(made._adam, moments)
        with torch.no_grad():
            for index, network in enumerate(made.networks):
                for name, parameter in network.named_parameters():
                    parameter.copy_(state[f"{index}.{name}"])
        return made


def discriminator_loss(source_B: Tensor, target_B: Tensor) -> Tensor:
    """Measure least squares of the scores: 0 for the source, 1 for the target; 0 at best, 1/2 undecided."""
    return source_B.square().mean() + (target_B - 1).square().mean()


def confusion_loss(source_B: Tensor, target_B: Tensor) -> Tensor:
    """Mean squared distance of the scores from 1/2, source and target counting half each."""
    return 0.5 * ((source_B - 0.5).square().mean() + (target_B - 0.5).square().mean())


def hardest(losses_J: Tensor) -> Tensor:
    """Mark the largest loss (the first of several) by a one-hot mask_J, made on the device."""
    return torch.zeros_like(losses_J).scatter_(0, losses_J.argmax(dim=0, keepdim=True), 1.0)


def _perceptron(features: int, hidden: int, device: torch.device) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(features, hidden, device=device),
        nn.ReLU(),
        nn.Linear(hidden, hidden, device=device),
        nn.ReLU(),
        nn.Linear(hidden, 1, device=device),
    )
