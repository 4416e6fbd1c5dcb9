"""The step of several models at once: each its own weights, batches and rates, all in the same calls.

Shapes: M models, T steps, B images of a mini-batch, C classes, L layers, R losses that are mixed.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gradmix.mixing.mixed_step import MixedStep
from gradmix.nets.inputs import evaluation_input, training_input
from gradmix.nets.passes import summed_scores
from gradmix.training.data import ImageSet
from gradmix.training.sgd import SGD
from gradmix.training.stacked_network import StackedNetwork
from gradmix.training.state import RunState
from gradmix.training.step import Step


class Stacked(Step):
    """Several models of one kind (`gradmix.training.stacking.kind_of`), whose tensors become slices of stacked ones.

    A run's state is what it is when it is trained alone, so its checkpoint is, too. One with an error stays in its
    place, disturbs no other, and is not looked at.
    """

    def __init__(self, runs: Sequence[RunState]) -> None:
        self._stacked = StackedNetwork([run.network for run in runs])
        mixers = [run.mixer for run in runs]
        optimizers = [run.optimizer for run in runs if isinstance(run.optimizer, SGD)]
        super().__init__(
            runs,
            self._stacked.module,
            type(mixers[0]).stack(mixers, self._stacked.leaves),
            SGD.stack(optimizers, self._stacked.parameters),
        )
        for run in runs:
            # What a checkpoint brought back goes with what `check` hands out.
            run.curves.load({name: values.cpu() for name, values in run.curves.state().items()})
        self._same_images = _same_images([run.validation for run in runs])
        self._steps: dict[str, list[Tensor]] = {}
        self._mixed: list[MixedStep] = []
        self.network.train()

    def losses(
        self, images: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> tuple[dict[int, Tensor], bool]:
        """Losses (M,) by stream, and whether one of them reads another stream's graph."""
        first, shared = self.runs[0].network, []
        inputs = [
            training_input(first, batch, flip=False).unflatten(0, (len(self.runs), -1))
            for batch in images
        ]

        def losses_of(network: Any, inputs: Sequence[Tensor], labels: Sequence[Tensor]) -> Any:
            contexts = self.contexts(network, inputs, labels)
            losses = self.each_loss(contexts)
            shared.append(any(context.used_by_others for context in contexts))
            return losses

        losses = self._stacked.each(losses_of, inputs, list(labels))
        return losses, any(shared)

    def tell(self, losses: Sequence[Tensor], mixed: MixedStep) -> None:
        """Keep what the curves say of a step, on the device, of all models."""
        for name, value in self.runs[0].curves.values(losses, mixed).items():
            self._steps.setdefault(name, []).append(value)
        if self.mixer.needs != "losses":
            self._mixed.append(mixed)

    def check(self) -> None:
        """Wait for the device, hand every run its part of the curves, and give an error to those with a NaN."""
        steps = {name: torch.stack(values).cpu() for name, values in self._steps.items()}
        faults = self._gradient_faults()
        for index, run in enumerate(self.runs):
            for values in zip(*(values_TM[:, index] for values_TM in steps.values()), strict=True):
                run.curves.add(dict(zip(steps, values, strict=True)))
            fault = faults.get(index) or run.curves.fault(self.number - self.taken)
            if fault and run.error is None:
                run.fail(fault)
        self._steps, self._mixed = {}, []

    def _gradient_faults(self) -> dict[int, str]:
        """What is wrong with the gradients of a model, by its place."""
        if not self._mixed:
            return {}
        finite_TMLR = torch.stack([step.finite for step in self._mixed]).cpu()
        begun = self.number - len(self._mixed)
        faults: dict[int, str] = {}
        for place, index in (~finite_TMLR.flatten(2).all(dim=2)).nonzero().tolist():
            fault = self._mixed[place].fault(begun + place, finite_TMLR[place, index])
            faults.setdefault(index, str(fault))
        return faults

    def validation_images(self, part: slice) -> Tensor:
        """Images of H: (B, ...) where all models have the same, else (M, B, ...)."""
        positions = torch.arange(part.start, part.stop)
        if self._same_images:
            return self.runs[0].validation.take(positions)
        return torch.stack([run.validation.take(positions) for run in self.runs])

    def logits(self, images: Tensor) -> Tensor:
        """Logits of H's images, (M, B, C) float32."""
        inputs = evaluation_input(self.runs[0].network, images.flatten(0, -4))
        if self._same_images:
            return self._stacked.each(self.logits_on_validation, inputs, shared=1)
        inputs = inputs.unflatten(0, images.shape[:2])
        return self._stacked.each(self.logits_on_validation, inputs)

    def scores(self, logits: Tensor, part: slice) -> Tensor:
        """Summed cross entropy and number of correct predictions, (M, 2)."""
        labels_MB = torch.stack([run.validation.labels[part] for run in self.runs])
        return torch.vmap(summed_scores)(logits, labels_MB)


def _same_images(sets: Sequence[ImageSet]) -> bool:
    """Whether all sets have the same images in the same order; waits for the device."""
    first = sets[0]

    def same_rows(rows: Tensor | None) -> bool:
        if rows is None or first.rows is None:
            return rows is first.rows
        return rows is first.rows or torch.equal(rows, first.rows)

    return all(other.images is first.images and same_rows(other.rows) for other in sets)
