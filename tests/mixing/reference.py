"""GradMix (Li et al. 2020, Eq. 4-10) once more, in NumPy and by brute force: what the package is compared with.

Gradients are dictionaries of float64 arrays by the name of the parameter; one that a loss does not reach is not there.
Nothing here comes from the package.
"""

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np


def cosine(first, second):
    """0 where one of them vanishes."""
    lengths = np.linalg.norm(first) * np.linalg.norm(second)
    return float(first @ second / lengths) if lengths > 0 else 0.0


def best_weights(sources, target):
    """Weights of largest cosine with the target, sum 1 (Eq. 4-7): the best least-squares fit of all subsets.

    Where the target vanishes all sources that have a gradient weigh alike.
    """
    norms = [np.linalg.norm(gradient) for gradient in sources]
    there = [index for index, norm in enumerate(norms) if norm > 0]
    weights = np.zeros(len(sources))
    if not np.linalg.norm(target) > 0:
        weights[there] = 1 / len(there)
        return weights
    best = -np.inf
    for size in range(1, len(there) + 1):
        for subset in combinations(there, size):
            units = np.stack([sources[i] / norms[i] for i in subset], axis=1)
            # Alone a source is a mixture whatever its sign: where all oppose the target one is taken all the same.
            parts = np.ones(1) if size == 1 else np.linalg.lstsq(units, target, rcond=None)[0]
            if (parts <= 0).any() or cosine(units @ parts, target) <= best:
                continue
            best = cosine(units @ parts, target)
            weights[:] = 0
            weights[list(subset)] = parts / np.array([norms[i] for i in subset])
    return weights / weights.sum()


@dataclass
class Reference:
    """GradMix and SGD with momentum, a step at a time.

    Attributes:
        layers: names of the parameters of each shared layer. All others are heads: those that the same losses reach
            are one.
        rate: learning rate.
        told: weights, cosines, rho and eta of the last step.
    """

    layers: list[list[str]]
    rate: float
    momentum: float = 0.0
    beta: float = 10.0
    gamma: float = 0.6
    rho: str = "sum"
    adaptive_rate: bool = True
    eta_on: str = "lr"
    eta_on_heads: bool | None = None
    last_layer: str = "H1"
    told: dict = field(default_factory=dict)
    _buffers: dict = field(default_factory=dict)

    def step(self, parameters, sources, target):
        """Change the parameters in place.

        Args:
            parameters: arrays by name.
            sources: a gradient per source.
            target: the gradient on the target images.
        """
        weights, cosines = zip(
            *(self._weigh(layer, sources, target) for layer in self.layers), strict=True
        )
        rho = (
            sum(cosines)
            * {"sum": 1, "mean": 1 / len(cosines), "scaled": 5 / len(cosines)}[self.rho]
        )
        eta = 1 / (1 + np.exp(self.gamma - self.beta * rho)) if self.adaptive_rate else 1.0
        on_heads = self.eta_on == "lr" if self.eta_on_heads is None else self.eta_on_heads
        for layer, of_layer in zip(self.layers, weights, strict=True):
            for name in layer:
                self._move(parameters, name, mixed(name, sources, of_layer), eta)
        for head in self._heads(sources, target):
            of_head, _ = self._weigh(head, sources, target)
            for name in head:
                gradient = mixed(name, sources, of_head)
                if self.last_layer == "H1" and name in target:
                    gradient = target[name] if gradient is None else gradient + target[name]
                self._move(parameters, name, gradient, eta if on_heads else 1.0)
        self.told = {
            "weights_LK": np.array(weights),
            "cosines_L": np.array(cosines),
            "rho": rho,
            "eta": eta,
        }

    def _weigh(self, layer, sources, target):
        everyone = [*sources, target]
        layer = [name for name in layer if any(name in gradient for gradient in everyone)]
        vectors = [
            np.concatenate(
                [
                    gradient[name].ravel()
                    if name in gradient
                    else np.zeros(self._size(name, everyone))
                    for name in layer
                ]
            )
            for gradient in everyone
        ]
        if not any(vector.any() for vector in vectors[:-1]):
            return np.full(len(sources), 1 / len(sources)), 0.0
        weights = best_weights(vectors[:-1], vectors[-1])
        return weights, cosine(
            sum(w * v for w, v in zip(weights, vectors[:-1], strict=True)), vectors[-1]
        )

    @staticmethod
    def _size(name, gradients):
        return next(gradient[name].size for gradient in gradients if name in gradient)

    def _heads(self, sources, target):
        shared = {name for layer in self.layers for name in layer}
        heads = {}
        for name in dict.fromkeys(name for gradient in [*sources, target] for name in gradient):
            if name not in shared:
                owners = tuple(name in gradient for gradient in [*sources, target])
                heads.setdefault(owners, []).append(name)
        return heads.values()

    def _move(self, parameters, name, gradient, eta):
        if gradient is None:
            return
        rate = self.rate
        if self.eta_on == "grad":
            gradient = gradient * eta
        else:
            rate = rate * eta
        self._buffers[name] = self._buffers.get(name, 0) * self.momentum + gradient
        parameters[name] -= rate * self._buffers[name]


def mixed(name, sources, weights):
    """The weighted sum (Eq. 10); ``None`` where no source reaches the parameter."""
    parts = [
        w * gradient[name] for w, gradient in zip(weights, sources, strict=True) if name in gradient
    ]
    return sum(parts) if parts else None
