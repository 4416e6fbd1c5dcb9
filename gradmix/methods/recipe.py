"""What a method is: the sets it may see, the loss on each, who trains and who guides, its mixer, its schedule.

A row of the paper's tables is one recipe. The loader gives a method no other sets than its recipe names.
Recipes are read while the workflow is parsed, so a method's module imports torch only inside its functions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from gradmix.methods.mixers.registry import mixer_part
from gradmix.terms.registry import term_part

Set = Literal["sources", "target_sources", "V", "V_enlarged", "S_u_hard", "S_u_soft", "U"]
Role = Literal["source", "guide", "companion"]
Sources = Literal["all", "one", "all_but_one"]
Schedule = Literal["full", "adam", "target_only", "fine_tune"]

SCHEDULES: dict[Schedule, tuple[str, str, str]] = {
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
        term: the loss on it, a name in `gradmix.terms.registry`.
        joins: the set whose gradient this loss is part of, so that both are weighed as one source; ``None``, or
            where that set is empty: a source of its own.
    """

    images: Set
    role: Role = "source"
    term: str = "cross_entropy"
    joins: Set | None = None


@dataclass(frozen=True)
class Recipe:
    """A method.

    Attributes:
        name: its name in the configuration and the registry.
        title: its row in the tables.
        streams: the sets of a step, in the order in which the mixer gets them.
        mixer: how the gradients become one, a name in `gradmix.methods.mixers.registry`.
        schedule: which keys of ``training`` give steps, learning rate and evaluation interval; ``"adam"`` is also
            another optimizer.
        starts_from: method whose chosen checkpoint is the initial network; ``None``: random.
        last_layer_fine_tunes: whether ``gradmix.last_layer: H2`` asks for fine-tuning on V afterwards.
        network: keys of ``network`` that the method sets, whatever the configuration says.
        gradmix: keys of ``gradmix`` that differ from the configuration's, unless its own section sets them.
        options: options of its mixer and terms that differ from their defaults, by part.
        sources: ``"all"``; ``"one"``: trained with each source alone, or ``"all_but_one"``: with all of them and with
            all but each; the best on H is the method's run then.
    """

    name: str
    title: str
    streams: Sequence[Stream]
    mixer: str = "sum"
    schedule: Schedule = "full"
    starts_from: str | None = None
    last_layer_fine_tunes: bool = False
    network: Mapping[str, Any] = field(default_factory=dict)
    gradmix: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sources: Sources = "all"

    @property
    def trains_on_ranks(self) -> bool:
        """Whether several processes can train it together: no term of it has parameters of its own."""
        return not any(term_part(stream.term).own_optimizer for stream in self.streams)

    @property
    def sees(self) -> frozenset[str]:
        """Names of the sets it may see."""
        return frozenset(stream.images for stream in self.streams)

    @property
    def needs_target_labels(self) -> bool:
        """Whether any label of V reaches it; without, it is trained once for all numbers of labels."""
        return bool(self.sees - {"sources", "target_sources"})

    @property
    def needs_pseudo_labels(self) -> bool:
        """Whether it trains on what the ensemble labelled."""
        return bool(self.sees & {"V_enlarged", "S_u_hard", "S_u_soft"})

    @property
    def mixes_by_target(self) -> bool:
        """Whether V guides the mixing (the keys of ``gradmix`` matter to it)."""
        return mixer_part(self.mixer).guided

    @property
    def unused_gradmix_keys(self) -> frozenset[str]:
        """Keys of ``gradmix`` that do not matter to it, so that their change reruns nothing."""
        return mixer_part(self.mixer).unused_gradmix_keys

    def default_options(self) -> dict[str, dict[str, Any]]:
        """Options of its mixer and terms, by part; parts without options are left out."""
        parts: dict[str, Mapping[str, Any]] = {self.mixer: mixer_part(self.mixer).options}
        parts |= {s.term: term_part(s.term).options for s in self.streams if s.role != "companion"}
        return {
            name: {**defaults, **self.options.get(name, {})}
            for name, defaults in parts.items()
            if defaults
        }

    def source_sets(self, sources: Sequence[str]) -> dict[str, list[str]]:
        """The sets of sources that the method tries, by name; empty where it trains with all of them at once."""
        if self.sources == "one":
            return {name: [name] for name in sources}
        if self.sources == "all_but_one" and len(sources) > 1:
            without = {f"without_{n}": [s for s in sources if s != n] for n in sources}
            return {"all": list(sources), **without}
        return {}

    def combined(self, mixer: str | None, terms: Sequence[str]) -> "Recipe":
        """The recipe with another mixer, and with further terms on the unlabelled images.

        A guided mixer makes V the guide; an unguided one makes it a source like the others.
        """
        streams = list(self.streams)
        if mixer is not None:
            role: Role = "guide" if mixer_part(mixer).guided else "source"
            labelled = ("V", "V_enlarged")
            streams = [
                replace(s, role=role) if s.images in labelled and s.role != "companion" else s
                for s in streams
            ]
        pseudo = next((s.images for s in streams if s.images in ("S_u_hard", "S_u_soft")), None)
        streams += [Stream("U", term=term, joins=pseudo) for term in terms]
        return replace(self, mixer=mixer or self.mixer, streams=tuple(streams))
