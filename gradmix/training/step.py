"""One step of training: batch -> losses -> mixer -> optimizer, and a look at H.

Shapes: M models, S streams, B images of a mini-batch, C classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from gradmix.mixing.mixed_step import MixedStep
from gradmix.mixing.mixer import GradientMixer
from gradmix.nets.passes import logits_by_pass
from gradmix.terms.context import Context
from gradmix.training.batches import Batches
from gradmix.training.data import LoadedStream
from gradmix.training.optimizers import RunOptimizer
from gradmix.training.state import RunState


class Step(ABC):
    """What takes the steps of one model (`gradmix.training.alone`) or of several in the same calls (`…stacked`).

    Args:
        runs: of one kind, equally far.
        network: their networks, as one module.
        mixer: their mixers, as one.
        optimizer: their optimizers, as one.
    """

    def __init__(
        self,
        runs: Sequence[RunState],
        network: nn.Module,
        mixer: GradientMixer,
        optimizer: RunOptimizer,
    ) -> None:
        first = runs[0]
        self.runs = list(runs)
        self.network = network
        self.mixer = mixer
        self.optimizer = optimizer
        self.schedule = first.schedule
        self.terms = first.terms
        self.device = first.device
        self.batches = [
            Batches(streams, first.ranks)
            for streams in zip(*(run.streams for run in runs), strict=True)
        ]
        self._streams = first.streams
        self._groups, self._guide = gradient_groups(first.streams)
        # bfloat16 only inside the forward pass: weights, gradients and the mixing stay in float32.
        self._autocast = (
            torch.autocast(self.device.type, torch.bfloat16)
            if self.schedule.precision == "bfloat16"
            else nullcontext()
        )

    def __call__(
        self, images: Sequence[Tensor], labels: Sequence[Tensor], factors: Sequence[float]
    ) -> None:
        """Take a step; the host only queues work.

        Args:
            images: uint8 (M B, height, width, channels) of every stream.
            labels: (M, B, ...) of every stream.
            factors: of every stream's loss, for the ranks' average.

        Raises:
            ArithmeticError: if a loss or gradient of a model by itself is NaN or infinite.
        """
        losses, shared = self.losses(images, labels)
        losses = {i: loss if factors[i] == 1 else factors[i] * loss for i, loss in losses.items()}
        # One scalar per gradient: losses that belong together are added before any mixing.
        sources = [_sum([losses[index] for index in group]) for group in self._groups]
        guides = [] if self._guide is None else [losses[self._guide]]
        self.optimizer.zero_grad()
        mixed = self.mixer.backward(sources, *guides, retain_graph=shared)
        self.mixer.step(self.optimizer)
        self.tell(list(losses.values()), mixed)
        for run in self.runs:
            run.step += 1
            run.taken += 1

    @property
    def number(self) -> int:
        """Steps that every one of the runs has taken."""
        return self.runs[0].step

    @property
    def taken(self) -> int:
        """Those since the last evaluation."""
        return self.runs[0].taken

    @property
    def going(self) -> list[RunState]:
        """Runs without an error."""
        return [run for run in self.runs if run.error is None]

    def evaluate(self) -> list[tuple[float, float]]:
        """Mean cross entropy and accuracy of each model on its H; ranks take turns in passes, and agree."""
        first, ranks = self.runs[0].validation, self.runs[0].ranks
        sums_M2 = torch.zeros(len(self.runs), 2, device=self.device)
        for part, logits in logits_by_pass(
            self.network,
            self.logits,
            self.validation_images,
            len(first),
            self.device,
            models=len(self.runs),
            turn=(ranks.rank, ranks.count),
        ):
            sums_M2 += self.scores(logits, part)
        # Divided on the host, in double precision.
        return [
            (loss / len(first), correct / len(first))
            for loss, correct in ranks.sum(sums_M2).tolist()
        ]

    @abstractmethod
    def losses(
        self, images: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> tuple[dict[int, Tensor], bool]:
        """Losses by stream, scalars or (M,), and whether one of them reads another stream's graph."""

    @abstractmethod
    def tell(self, losses: Sequence[Tensor], mixed: MixedStep) -> None:
        """Keep what the curves say of a step, on the device."""

    @abstractmethod
    def check(self) -> None:
        """Wait for the device, bring every run's curves up to date, and give an error to those with a NaN.

        Raises:
            ArithmeticError: if a loss or gradient of a model by itself is NaN or infinite.
        """

    @abstractmethod
    def validation_images(self, part: slice) -> Tensor:
        """Images of H, uint8, that `logits` takes."""

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """Logits of H's images, (B, C) or (M, B, C)."""

    @abstractmethod
    def scores(self, logits: Tensor, part: slice) -> Tensor:
        """Summed cross entropy and number of correct predictions, (M, 2)."""

    def contexts(
        self, network: Any, inputs: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> list[Context]:
        """One model's context of every stream; each can see the others by the names of their sets."""
        by_name: dict[str, Context] = {}
        contexts = []
        for stream, batch, target in zip(self._streams, inputs, labels, strict=True):
            context = Context(
                network,
                batch,
                target,
                stream.set.label_space,
                stream.set.domain,
                step=self.number,
                steps=self.schedule.steps,
                streams=by_name,
                autocast=self._autocast,
            )
            contexts.append(by_name.setdefault(stream.name, context))
        return contexts

    def logits_on_validation(self, network: Any, inputs: Tensor) -> Tensor:
        """One model's logits of H's images, as the network takes them, (B, C) float32."""
        validation = self.runs[0].validation
        logits: Tensor = network(inputs, validation.label_space, validation.domain)
        return logits.float()

    def each_loss(self, contexts: Sequence[Context]) -> dict[int, Tensor]:
        """One model's loss on every stream that has one."""
        return {
            index: self.terms[index](context)
            for index, context in enumerate(contexts)
            if self._streams[index].recipe.role != "companion"
        }


MakeStep = Callable[[Sequence[RunState]], Step]


def gradient_groups(streams: Sequence[LoadedStream]) -> tuple[list[list[int]], int | None]:
    """Positions of the streams whose losses make up each source's gradient, and the guide's position."""
    sources = [i for i, stream in enumerate(streams) if stream.recipe.role == "source"]
    heads = {streams[i].recipe.images: i for i in sources if streams[i].recipe.joins is None}
    groups: dict[int, list[int]] = {}
    for index in sources:
        joins = streams[index].recipe.joins
        head = index if joins is None else heads.get(joins, index)
        groups.setdefault(head, []).append(index)
    guides = [i for i, stream in enumerate(streams) if stream.recipe.role == "guide"]
    assert len(guides) <= 1
    return [groups[head] for head in sorted(groups)], guides[0] if guides else None


def _sum(losses: Sequence[Tensor]) -> Tensor:
    return losses[0] if len(losses) == 1 else torch.stack(list(losses)).sum(dim=0)
