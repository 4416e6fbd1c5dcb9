"""Which runs can be stacked: trained in the same calls; what keeps the others from it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from gradmix.nets.norm import DomainBatchNorm
from gradmix.terms.term import Deterministic
from gradmix.training.prepare import Prepared


def grouped(runs: Sequence[Prepared]) -> tuple[list[list[Prepared]], dict[str, int]]:
    """Runs of one kind together, the others each by itself, in the order of the first of each.

    Returns:
        The groups, and how many runs are by themselves for which reason.
    """
    groups: list[tuple[Any, list[Prepared]]] = []
    reasons: dict[str, int] = {}
    for run in runs:
        reason = why_not(run)
        if reason is not None:
            reasons[reason] = reasons.get(reason, 0) + 1
            groups.append((None, [run]))
            continue
        kind = kind_of(run)
        same = next((group for known, group in groups if known == kind), None)
        if same is None:
            groups.append((kind, [run]))
        else:
            same.append(run)
    lonely = sum(kind is not None and len(group) == 1 for kind, group in groups)
    if lonely:
        reasons["no other is of their kind"] = lonely
    return [group for _, group in groups], reasons


def why_not(run: Prepared) -> str | None:
    """What keeps a run from being stacked; ``None``: nothing."""
    state, settings = run.state, run.run.settings
    if state.schedule.optimizer != "sgd":
        return f"their optimizer is {state.schedule.optimizer}"
    if state.schedule.forward != "separate":
        return f"training.forward is {state.schedule.forward}"
    if state.schedule.flip or any(
        tuple(stream.set.images.shape[1:3]) != tuple(state.network.image_size)  # type: ignore[arg-type]
        for stream in state.streams
    ):
        return "their images are cut and mirrored at random"
    for stream, term in zip(state.streams, state.terms, strict=True):
        if not isinstance(term, Deterministic) and stream.recipe.role != "companion":
            return f"the term {stream.recipe.term} keeps a state or draws random numbers"
    for module in state.network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0:
            return "their network has dropout"
        if isinstance(module, DomainBatchNorm):
            return "their network has statistics per domain"
    if state.mixer.stack_key() is None:
        return f"the mixer {settings.method.mixer} keeps a memory or solves on the host"
    return None


def kind_of(run: Prepared) -> tuple[Any, ...]:
    """What stacked runs have in common; learning rate, weights, images and seeds are their own."""
    state = run.state
    tensors = state.network.state_dict()
    streams = [
        (
            stream.recipe,
            stream.name,
            stream.set.label_space,
            stream.set.domain,
            tuple(stream.set.images.shape[1:]),
            tuple(stream.set.labels.shape[1:]),
            stream.sampler.size,
            (type(term), sorted(vars(term).items())),
        )
        for stream, term in zip(state.streams, state.terms, strict=True)
    ]
    validation = state.validation
    return (
        sorted(run.run.settings.network.items()),
        [(name, tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()],
        state.mixer.stack_key(),
        streams,
        replace(state.schedule, learning_rate=0.0),
        (len(validation), validation.label_space, validation.domain),
        (run.run.settings.fine_tuning is None, validation.device),
    )
