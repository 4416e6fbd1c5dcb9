"""What training takes of a recipe: every name resolved, so that a run depends on no table of names.

It stands in a run's settings as JSON, and so among the parameters of the run's rule and in its record.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

Set = Literal["sources", "target_sources", "V", "V_enlarged", "S_u_hard", "S_u_soft", "U"]
Role = Literal["source", "guide", "companion"]
ScheduleName = Literal["full", "adam", "target_only", "fine_tune"]

SCHEDULES: dict[ScheduleName, tuple[str, str, str]] = {
    "full": ("steps", "evaluate_every", "learning_rate"),
    "adam": ("steps", "evaluate_every", "adam_learning_rate"),
    "target_only": ("target_only_steps", "target_only_evaluate_every", "learning_rate"),
    "fine_tune": ("fine_tune_steps", "fine_tune_evaluate_every", "fine_tune_learning_rate"),
}
"""Keys of ``training`` that give steps, steps between evaluations and learning rate."""


@dataclass(frozen=True)
class Stream:
    """A set of images that takes part in every step.

    Attributes:
        images: the set. ``"sources"`` stands for one stream per source domain, ``"target_sources"`` for those of
            them with the target's label space; ``"U"`` has no labels.
        role: ``"source"``: its gradient trains; ``"guide"``: its gradient only weighs the others';
            ``"companion"``: has no loss of its own, but other streams' terms use its images.
        term: the loss on it, the name of a module in `gradmix.terms`.
        joins: the set whose gradient this loss is part of, so that both are weighed as one source; ``None``, or
            where that set is empty: a source of its own.
    """

    images: Set
    role: Role = "source"
    term: str = "cross_entropy"
    joins: Set | None = None


@dataclass(frozen=True)
class Method:
    """How a run trains.

    Attributes:
        streams: the sets of a step, in the order in which the mixer gets them.
        mixer: its name, under which ``options`` has its own options.
        mixer_class: dotted name of its class.
        mixer_arguments: further arguments of the class, which no configuration sets.
        schedule: which keys of ``training`` give steps, learning rate and evaluation interval; ``"adam"`` is also
            another optimizer.
        last_layer_fine_tunes: whether ``gradmix.last_layer: H2`` asks for fine-tuning on V afterwards.
        trains_on_ranks: whether several processes can train it together: no term has parameters of its own.
    """

    streams: tuple[Stream, ...]
    mixer: str = "sum"
    mixer_class: str = "gradmix.mixing.sum.Sum"
    mixer_arguments: Mapping[str, Any] = field(default_factory=dict)
    schedule: ScheduleName = "full"
    last_layer_fine_tunes: bool = False
    trains_on_ranks: bool = True

    @property
    def modules(self) -> list[str]:
        """The modules that training imports by name."""
        terms = [f"gradmix.terms.{stream.term}" for stream in self.streams]
        return [*terms, self.mixer_class.rpartition(".")[0]]

    def to_json(self) -> dict[str, Any]:
        """Plain values, of which `from_json` makes an equal method."""
        return {**asdict(self), "streams": [asdict(stream) for stream in self.streams]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The method that `to_json` described."""
        streams = tuple(Stream(**stream) for stream in values["streams"])
        return cls(**{**values, "streams": streams})
