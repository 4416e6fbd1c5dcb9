"""A training step in several ways, on the same case: the limit, plain training, GradMix and its peers.

Every variant is a function without arguments that takes one whole step: gradients to zero, forward, backward, mixing,
the optimizer's step. The limit ends with its backward pass.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.cases import Batch, Case
from benchmarks.measuring import NotHereError
from gradmix import GradMix, MetaGradient, Sum, forward_together, layers_of
from gradmix.training.sgd import SGD

Step = Callable[[], Any]
LONGEST_SOLVE_S = 20.0
MOST_WEIGHTS = 300

LIMIT = "limit: one joined batch, forward and backward"
SAME_IMAGES = "plain sum of the sources and V"
PLAIN = "plain sum of the sources"
EXACT = "GradMix"
TOGETHER = "GradMix, forward together"
# What follows a step's name in the record of what is not measured, and why.
Skipped = dict[str, str]


def optimizer_of(case: Case) -> SGD:
    """The digits experiment's, for every variant the same."""
    return SGD(case.network.parameters(), lr=1e-3, momentum=0.9, weight_decay=0.0)


def losses_of(case: Case, *, with_target: bool = True) -> list[Tensor]:
    """One loss per batch, each by a pass of its own."""
    return [loss_of(case, batch) for batch in (case.batches if with_target else case.sources)]


def loss_of(case: Case, batch: Batch) -> Tensor:
    """One batch's loss, by a pass of its own."""
    logits = case.network.classify(case.network.features(batch.images), batch.space)
    return cross_entropy(logits, batch.labels)


def losses_of_features(case: Case, features: Iterable[Tensor]) -> list[Tensor]:
    """One loss per batch from its features."""
    return [
        cross_entropy(case.network.classify(part, batch.space), batch.labels)
        for part, batch in zip(features, case.batches, strict=True)
    ]


def joined_losses(case: Case) -> list[Tensor]:
    """One loss per batch, from one pass of the shared layers over all images."""
    features = case.network.features(case.joint)
    return losses_of_features(case, features.split([len(b.images) for b in case.batches]))


def limit(case: Case) -> Step:
    """The least that a method can cost which looks at these images: one pass over one joined batch."""
    return partial(_pass, case, joined_losses)


def _pass(case: Case, losses: Callable[[Case], list[Tensor]], optimizer: SGD | None = None) -> None:
    case.network.zero_grad()
    torch.stack(losses(case)).sum().backward()
    if optimizer is not None:
        optimizer.step()


def limit_and_update(case: Case) -> Step:
    """The limit, and the optimizer's step."""
    return partial(_pass, case, joined_losses, optimizer_of(case))


def plain_with_target(case: Case) -> Step:
    """Training on the same images, a pass each, one summed loss."""
    return partial(_pass, case, losses_of, optimizer_of(case))


def plain(case: Case) -> Step:
    """Training on the sources alone, which never looks at V."""
    mixer, optimizer = Sum(), optimizer_of(case)

    def step() -> None:
        case.network.zero_grad()
        mixer.backward(losses_of(case, with_target=False))
        mixer.step(optimizer)

    return step


def mixed(
    case: Case,
    kind: Callable[..., Any] = GradMix,
    losses: Callable[[Case], list[Tensor]] = losses_of,
    **options: Any,
) -> Step:
    """A mixer of this project; ``rho`` is scaled where it has one, so that eta does not saturate in deep networks."""
    if kind is GradMix:
        options.setdefault("rho", "scaled")
    mixer = kind(layers_of(case.network.backbone), **options)
    optimizer = optimizer_of(case)

    def step() -> None:
        case.network.zero_grad()
        made = losses(case)
        mixer.backward(made[:-1], made[-1])
        mixer.step(optimizer)

    return step


def together_losses(case: Case) -> list[Tensor]:
    """One loss per batch, from the project's joined forward pass."""
    images = [batch.images for batch in case.batches]
    return losses_of_features(case, forward_together(case.network.features, images))


def slsqp(case: Case) -> Step:
    """GradMix by the paper's solver, joint over the layers; a solve is stopped after `LONGEST_SOLVE_S` seconds.

    Raises:
        NotHereError: with more than `MOST_WEIGHTS` weights, of which a single iteration takes minutes.
    """
    weights = (len(layers_of(case.network.backbone)) + len(case.spaces)) * len(case.sources)
    if weights > MOST_WEIGHTS:
        raise NotHereError(f"{weights:,} weights: an iteration takes minutes")
    from gradmix.mixing.solvers import slsqp as solver

    step, whole = mixed(case, solver="slsqp"), solver.slsqp_weights

    def stopped() -> None:
        # The mixer looks the solver up at every step; there is no option for its time.
        solver.slsqp_weights = partial(whole, seconds=LONGEST_SOLVE_S)
        try:
            step()
        finally:
            solver.slsqp_weights = whole

    return stopped


def torchjd(case: Case, aggregator: str, chunk: int | None, *, joined: bool = True) -> Step:
    """TorchJD as its documentation asks for shared layers with heads: ``mtl_backward``, then ``jac_to_grad``.

    V's loss is one more objective. ``joined``: the shared layers see all images in one pass; otherwise a pass each.
    ``chunk`` is TorchJD's ``parallel_chunk_size``: objectives differentiated at a time, None for all at once.
    """
    try:
        from torchjd import aggregation
        from torchjd.autojac import jac_to_grad, mtl_backward

        aggregate = getattr(aggregation, aggregator)()
    except ImportError as error:
        raise NotHereError(str(error).splitlines()[0]) from error
    net, optimizer = case.network, optimizer_of(case)
    shared = list(net.backbone.parameters())
    heads = dict(zip(case.spaces, net.heads.linear, strict=True))
    tasks = [list(heads[batch.space].parameters()) for batch in case.batches]
    sizes = [len(batch.images) for batch in case.batches]

    def step() -> None:
        net.zero_grad()
        if joined:
            features = net.features(case.joint)
            losses = losses_of_features(case, features.split(sizes))
        else:
            features = [net.features(batch.images) for batch in case.batches]
            losses = losses_of_features(case, features)
        mtl_backward(
            losses,
            features,
            tasks_params=tasks,
            shared_params=shared,
            parallel_chunk_size=chunk,
        )
        jac_to_grad(shared, aggregate)
        optimizer.step()

    return step


VARIANTS: Mapping[str, Callable[[Case], Step]] = {
    LIMIT: limit,
    "limit and the optimizer's step": limit_and_update,
    SAME_IMAGES: plain_with_target,
    PLAIN: plain,
    EXACT: mixed,
    TOGETHER: partial(mixed, losses=together_losses),
    "GradMix with NLopt's SLSQP": slsqp,
    "GradMix SGD": partial(mixed, kind=MetaGradient),
    "TorchJD UPGrad": partial(torchjd, aggregator="UPGrad", chunk=None),
    "TorchJD MGDA": partial(torchjd, aggregator="MGDA", chunk=None),
}


def make_variants(
    case: Case, wanted: Mapping[str, Callable[[Case], Step]] = VARIANTS
) -> tuple[dict[str, Step], Skipped]:
    """The variants that work here, and why others do not."""
    steps: dict[str, Step] = {}
    skipped: Skipped = {}
    for name, make in wanted.items():
        try:
            steps[name] = make(case)
        except NotHereError as error:
            skipped[name] = str(error)
    return steps, skipped


def parameters_of(network: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(p.numel() for p in network.parameters())
