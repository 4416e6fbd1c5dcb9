"""A bank of mixing problems, random and adversarial, for the solvers' and mixers' property checks.

Shape suffixes: L problems, D parameters of the layer, K sources.
"""

from dataclasses import dataclass

import numpy as np
import torch

LARGEST_EXPONENT = 50  # scales from 2^-50 to 2^50, about 1e-15 to 1e15


@dataclass(frozen=True)
class Bank:
    """Problems of one number of sources: gradients of moderate size, and powers of two to scale them.

    Powers of two change no digit, so that what holds for the unscaled vectors holds for the Gram numbers.
    """

    families: list[str]  # one name per problem
    sources_LDK: np.ndarray
    target_LD: np.ndarray
    source_scale_LK: np.ndarray
    target_scale_L: np.ndarray

    def __len__(self):
        return len(self.families)

    @property
    def sources(self):
        return self.sources_LDK * self.source_scale_LK[:, None, :]

    @property
    def targets(self):
        return self.target_LD * self.target_scale_L[:, None]

    def gram(self):
        sources, targets = self.sources, self.targets
        gram_LKK = np.einsum("ldi,ldj->lij", sources, sources)
        target_LK = np.einsum("ldi,ld->li", sources, targets)
        return torch.from_numpy(gram_LKK), torch.from_numpy(target_LK)

    def target_norm(self):
        return torch.from_numpy(np.linalg.norm(self.targets, axis=1))

    def coefficients(self, weights_LK):
        """w_i ||g_i|| over the largest of the layer: the mixture in terms of unit vectors."""
        norm_LK = np.linalg.norm(self.sources, axis=1)
        parts_LK = np.asarray(weights_LK) * norm_LK
        largest_L1 = parts_LK.max(1, keepdims=True)
        return parts_LK / np.where(largest_L1 > 0, largest_L1, 1)

    def units(self):
        norm_LK = np.linalg.norm(self.sources_LDK, axis=1)
        norm_L = np.linalg.norm(self.target_LD, axis=1)
        return (
            self.sources_LDK / np.where(norm_LK > 0, norm_LK, 1)[:, None, :],
            self.target_LD / np.where(norm_L > 0, norm_L, 1)[:, None],
        )

    def directions(self, weights_LK):
        """Unit vectors of the mixed gradients (0 where they vanish), from the vectors themselves."""
        mixed_LD = np.einsum("ldk,lk->ld", self.units()[0], self.coefficients(weights_LK))
        norm_L1 = np.linalg.norm(mixed_LD, axis=1, keepdims=True)
        return mixed_LD / np.where(norm_L1 > 1e-14, norm_L1, np.inf)

    def cosines(self, weights_LK):
        """Cosines of the mixed gradients with the targets, from the vectors, not the Gram numbers."""
        return np.einsum("ld,ld->l", self.directions(weights_LK), self.units()[1])


def _gaussian(rng, n, sources, width=20):
    return rng.standard_normal((n, width, sources)), rng.standard_normal((n, width))


def _few_parameters(rng, n, sources):
    """Fewer parameters than sources: the Gram matrix is singular."""
    return _gaussian(rng, n, sources, width=max(1, sources // 2))


def _in_cone(rng, n, sources):
    """The target is a positive mixture of all sources, and noise: large supports."""
    gradients, noise = _gaussian(rng, n, sources, width=2 * sources)
    return gradients, np.einsum("ldk,lk->ld", gradients, rng.random((n, sources))) + 0.05 * noise


def _opposed(rng, n, sources):
    """Every source opposes the target."""
    gradients = np.abs(rng.standard_normal((n, 12, sources)))
    return gradients, -np.abs(rng.standard_normal((n, 12)))


def _orthogonal(rng, n, sources):
    """The target is nearly orthogonal to all sources: products of both signs and all sizes."""
    gradients, target = _gaussian(rng, n, sources)
    for i in range(n):
        basis = np.linalg.qr(gradients[i])[0]
        target[i] -= basis @ (basis.T @ target[i])
    return gradients, target + 10.0 ** rng.uniform(-7, -1, (n, 1)) * rng.standard_normal((n, 20))


def _collinear(rng, n, sources):
    """Several sources are multiples of one."""
    gradients, target = _gaussian(rng, n, sources)
    like = rng.integers(0, sources, (n, sources)) // 2
    gradients = np.take_along_axis(gradients, like[:, None, :], 2)
    return gradients * rng.choice([0.5, 1.0, 3.0], (n, 1, sources)), target


def _nearly_collinear(rng, n, sources):
    gradients, target = _gaussian(rng, n, sources)
    distance = 10.0 ** rng.uniform(-5, -1, (n, 1, 1))
    return gradients[:, :, :1] + distance * gradients, target


def _opposite_pairs(rng, n, sources):
    """Some sources cancel others, exactly or nearly."""
    gradients, target = _gaussian(rng, n, sources)
    distance = rng.choice([0.0, 1e-3, 1e-1], (n, 1, 1))
    half = sources // 2
    gradients[:, :, :half] = distance * gradients[:, :, :half] - gradients[:, :, half : 2 * half]
    return gradients, target


def _cancelling(rng, n, sources):
    """Half of the sources cancel the others down to half of the digits that the Gram numbers hold."""
    gradients, target = _gaussian(rng, n, sources)
    distance = 10.0 ** rng.uniform(-6, -4, (n, 1, 1))
    half = sources // 2
    gradients[:, :, :half] = distance * gradients[:, :, :half] - gradients[:, :, half : 2 * half]
    return gradients, target


def _zero_sources(rng, n, sources):
    gradients, target = _gaussian(rng, n, sources)
    return gradients * (rng.random((n, 1, sources)) < 0.6), target


def _ill_conditioned(rng, n, sources):
    gradients, target = _gaussian(rng, n, sources)
    return np.einsum("d,ldk->ldk", 10.0 ** np.linspace(0, -6, 20), gradients), target


def _target_is_a_source(rng, n, sources):
    gradients, _ = _gaussian(rng, n, sources)
    which = rng.integers(0, sources, (n, 1, 1))
    return gradients, np.take_along_axis(gradients, which, 2)[:, :, 0]


FAMILIES = {
    "gaussian": _gaussian,
    "few_parameters": _few_parameters,
    "in_cone": _in_cone,
    "opposed": _opposed,
    "orthogonal": _orthogonal,
    "collinear": _collinear,
    "nearly_collinear": _nearly_collinear,
    "opposite_pairs": _opposite_pairs,
    "cancelling": _cancelling,
    "zero_sources": _zero_sources,
    "ill_conditioned": _ill_conditioned,
    "target_is_a_source": _target_is_a_source,
}


def bank(sources, per_family, families=None, seed=0):
    """Problems of `sources` sources; every second one has wildly different scales."""
    rng = np.random.default_rng([seed, sources])
    names = list(FAMILIES if families is None else families)
    made = [FAMILIES[name](rng, per_family, sources) for name in names]
    width = max(gradients.shape[1] for gradients, _ in made)  # zero rows change no inner product

    def padded(array):
        pad = [(0, 0), (0, width - array.shape[1])] + [(0, 0)] * (array.ndim - 2)
        return np.pad(array, pad)

    n = per_family * len(names)
    wild = np.arange(n) % 2
    exponents = rng.integers(-LARGEST_EXPONENT, LARGEST_EXPONENT + 1, (n, sources + 1))
    scales = 2.0 ** (exponents * wild[:, None])
    return Bank(
        families=[name for name in names for _ in range(per_family)],
        sources_LDK=np.concatenate([padded(gradients) for gradients, _ in made]),
        target_LD=np.concatenate([padded(target) for _, target in made]),
        source_scale_LK=scales[:, :-1],
        target_scale_L=scales[:, -1],
    )
