"""What a method is: the sets it may see, the loss on each, who trains and who guides, its mixer, its schedule.

A row of the paper's tables is one recipe. The loader gives a method no other sets than its recipe names.
Recipes are read while the workflow is parsed, and import no torch. Training gets a recipe's `Method`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from gradmix.methods.method import Method, Role, Schedule, Stream
from gradmix.methods.mixers import mixer_part
from gradmix.terms.registry import term_part

Sources = Literal["all", "one", "all_but_one"]


@dataclass(frozen=True)
class Recipe:
    """A method.

    Attributes:
        name: its name in the configuration and the table.
        title: its row in the tables.
        streams: the sets of a step, in the order in which the mixer gets them.
        mixer: how the gradients become one, a name in `gradmix.methods.mixers`.
        schedule: see `Method`.
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
    streams: tuple[Stream, ...]
    mixer: str = "sum"
    schedule: Schedule = "full"
    starts_from: str | None = None
    last_layer_fine_tunes: bool = False
    network: Mapping[str, Any] = field(default_factory=dict)
    gradmix: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sources: Sources = "all"

    def method(self) -> Method:
        """What training takes of it: not its title, on which nothing depends, nor what settings say elsewhere."""
        part = mixer_part(self.mixer)
        return Method(
            self.streams,
            self.mixer,
            part.kind,
            part.arguments,
            self.schedule,
            self.last_layer_fine_tunes,
            self.trains_on_ranks,
        )

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
