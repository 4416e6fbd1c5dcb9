"""What a method is: the sets it may see, the loss on each, who trains and who guides, and its schedule.

A row of the paper's tables is one recipe. The loader gives a method no other sets than its recipe names.
Recipes are read while the workflow is parsed, so a method's module imports torch only inside its functions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Set = Literal["sources", "V", "V_enlarged", "S_u_hard", "S_u_soft"]
Role = Literal["source", "guide"]
Schedule = Literal["full", "target_only", "fine_tune"]

SCHEDULES: dict[Schedule, tuple[str, str, str]] = {
    "full": ("steps", "evaluate_every", "learning_rate"),
    "target_only": ("target_only_steps", "target_only_evaluate_every", "learning_rate"),
    "fine_tune": ("fine_tune_steps", "fine_tune_evaluate_every", "fine_tune_learning_rate"),
}
"""Keys of ``training`` that give steps, steps between evaluations and learning rate."""


@dataclass(frozen=True)
class Stream:
    """A set of images that takes part in every step.

    Attributes:
        images: the set; ``"sources"`` stands for one stream per source domain.
        role: ``"source"``: its gradient trains; ``"guide"``: its gradient only weighs the others'.
        term: the loss on it, the name of a module in `gradmix.terms`.
    """

    images: Set
    role: Role = "source"
    term: str = "cross_entropy"


@dataclass(frozen=True)
class Recipe:
    """A method.

    Attributes:
        name: its name in the configuration and the registry.
        title: its row in the tables.
        streams: the sets of a step, in the order in which the mixer gets them.
        make_mixer: ``(network, settings, source_names) -> mixer``; ``None``: the plain sum of the losses.
        schedule: which keys of ``training`` give steps, learning rate and evaluation interval.
        starts_from: method whose chosen checkpoint is the initial network; ``None``: random.
        unused_gradmix_keys: keys of ``gradmix`` that do not matter to it, so that their change reruns nothing.
        last_layer_fine_tunes: whether ``gradmix.last_layer: H2`` asks for fine-tuning on V afterwards.
    """

    name: str
    title: str
    streams: Sequence[Stream]
    make_mixer: Callable[[Any, Mapping[str, Any], Sequence[str]], Any] | None = None
    schedule: Schedule = "full"
    starts_from: str | None = None
    unused_gradmix_keys: frozenset[str] = frozenset()
    last_layer_fine_tunes: bool = False

    @property
    def sees(self) -> frozenset[str]:
        """Names of the sets it may see."""
        return frozenset(stream.images for stream in self.streams)

    @property
    def needs_target_labels(self) -> bool:
        """Whether any label of V reaches it; without, it is trained once for all numbers of labels."""
        return self.sees != {"sources"}

    @property
    def needs_pseudo_labels(self) -> bool:
        """Whether it trains on what the ensemble labelled."""
        return bool(self.sees & {"V_enlarged", "S_u_hard", "S_u_soft"})

    @property
    def mixes_by_target(self) -> bool:
        """Whether V guides the mixing (the keys of ``gradmix`` matter to it)."""
        return any(stream.role == "guide" for stream in self.streams)
