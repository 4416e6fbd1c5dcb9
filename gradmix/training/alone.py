"""The step of one model, whatever its terms, mixer, optimizer and ranks."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gradmix.mixing.mixed_step import MixedStep
from gradmix.nets.inputs import evaluation_input, training_input
from gradmix.nets.passes import summed_scores
from gradmix.terms.context import Context
from gradmix.terms.term import Term
from gradmix.training.state import RunState, set_random_states
from gradmix.training.step import Step

JointPass = Callable[[nn.Module, Sequence[Context], Sequence[Term]], None]


class Alone(Step):
    """One model.

    Args:
        runs: the one run.
        joint: gives contexts their features, of a forward pass that they share; ``None``: each makes its own.
    """

    def __init__(self, runs: Sequence[RunState], joint: JointPass | None = None) -> None:
        (self.run,) = runs
        super().__init__(runs, self.run.network, self.run.mixer, self.run.optimizer)
        self._joint = joint
        self.network.train()
        if self.run.random is not None:
            # Other runs may have been made ready since this one was.
            set_random_states(self.run.random, self.device)
            self.run.random = None

    def losses(
        self, images: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> tuple[dict[int, Tensor], bool]:
        """Losses by stream, and whether one of them reads another stream's graph."""
        inputs = [training_input(self.network, batch, flip=self.schedule.flip) for batch in images]
        with self.run.ranks.statistics():
            contexts = self.contexts(self.network, inputs, [labels_1B[0] for labels_1B in labels])
            if self._joint is not None:
                self._joint(self.network, contexts, self.terms)
            losses = self.each_loss(contexts)
        return losses, any(context.used_by_others for context in contexts)

    def tell(self, losses: Sequence[Tensor], mixed: MixedStep) -> None:
        """Keep what the curves say of a step, on the device."""
        self.run.curves.add(self.run.curves.values(losses, mixed))

    def check(self) -> None:
        """Wait for the device.

        Raises:
            ArithmeticError: if a loss or gradient since the last evaluation is NaN or infinite.
        """
        self.run.curves.average(self.run.ranks.average)
        self.mixer.check()
        if fault := self.run.curves.fault(self.number - self.taken):
            raise ArithmeticError(fault)

    def validation_images(self, part: slice) -> Tensor:
        """Images of a part of H, on the device, uint8."""
        return self.run.validation.take(torch.arange(part.start, part.stop))

    def logits(self, images: Tensor) -> Tensor:
        """Logits of H's images, (B, C) float32."""
        return self.logits_on_validation(self.network, evaluation_input(self.network, images))

    def scores(self, logits: Tensor, part: slice) -> Tensor:
        """Summed cross entropy and number of correct predictions, (1, 2)."""
        return summed_scores(logits, self.run.validation.labels[part])[None]
