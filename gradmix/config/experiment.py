"""The whole configuration, and the part of it that each stage needs, so that no other key reruns the stage."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from gradmix.config.models import (
    Ablation,
    Condition,
    GradMix,
    Grid,
    Image,
    Method,
    Methods,
    Network,
    Overrides,
    PseudoLabels,
    Resources,
    Target,
    Training,
    Tuning,
)
from gradmix.config.origins import AnyDomain, Perturbed, RawDomain
from gradmix.config.types import (
    AsDraws,
    AsList,
    ClassName,
    Count,
    Distinct,
    Name,
    Natural,
    PathText,
    Section,
    Seed,
    Text,
    nothing_is_empty,
)
from gradmix.methods.recipe import Recipe
from gradmix.methods.recipes import recipe_of
from gradmix.nets.registry import NETWORKS
from gradmix.training.settings import BatchSizes, RunSettings, schedule_of
from gradmix.training.settings import Image as SeenImage

LabelSpace = (
    Literal["auto"] | Annotated[tuple[ClassName, ...], AsList, Field(min_length=2), Distinct]
)
GRID_RECIPE = "gradmix"
_UNLISTED = Method()


class Config(Section):
    """A whole experiment: domains, sources and target, methods, and how each stage works."""

    title: Text = "GradMix"
    output_dir: PathText = "results"
    data_dir: PathText = "data"
    seed: Seed = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    verify: Literal["quick", "full"] = "quick"
    paper_numbers: Literal["digits", "actions"] | None = None
    image: Image = Image()
    label_spaces: Annotated[dict[Name, LabelSpace], Field(min_length=1)]
    domains: Annotated[
        dict[Name, Annotated[AnyDomain, Field(discriminator="origin")]], Field(min_length=1)
    ]
    sources: Annotated[tuple[Name, ...], AsList, Field(min_length=1), Distinct]
    conditions: Annotated[dict[Name, Condition], BeforeValidator(nothing_is_empty)] = Field(
        default={}
    )
    target: Target
    labels_per_class: Annotated[tuple[Count, ...], AsList, Field(min_length=1), Distinct]
    draws: Annotated[tuple[Natural, ...], AsDraws, Field(min_length=1), Distinct]
    network: Network = Network()
    training: Training = Training()
    gradmix: GradMix = GradMix()
    grid: Grid = Grid()
    pseudo_labels: PseudoLabels = PseudoLabels()
    methods: Annotated[Methods, Field(min_length=1)]
    tuning: Tuning = Tuning()
    ablations: Annotated[dict[Name, Ablation], BeforeValidator(nothing_is_empty)] = Field(
        default={}
    )
    resources: Resources = Resources()

    @model_validator(mode="before")
    @classmethod
    def _inherited_label_spaces(cls, values: Any) -> Any:
        domains = values.get("domains") if isinstance(values, Mapping) else None
        if not isinstance(domains, Mapping):
            return values
        spaces = {
            str(name): domain["label_space"]
            for name, domain in domains.items()
            if isinstance(domain, Mapping) and "label_space" in domain
        }

        def filled(domain: Any) -> Any:
            perturbed = isinstance(domain, Mapping) and domain.get("origin") == "perturbed"
            if not perturbed or str(domain.get("of")) not in spaces:
                return domain
            return {"label_space": spaces[str(domain["of"])], **domain}

        return {**values, "domains": {name: filled(domain) for name, domain in domains.items()}}

    def resolved(self) -> dict[str, Any]:
        """Give every key with its value, as JSON knows it; for a method, only what is set for it."""
        short = ("methods", "tuning", "ablations", "conditions")
        full = self.model_dump(mode="json", exclude=set(short))
        full["network"] = self._taken(full["network"])
        return full | {
            name: self.model_dump(mode="json", include={name}, exclude_unset=True).get(name, {})
            for name in short
        }

    def all_methods(self) -> dict[str, Method]:
        """List the methods of the table, then those that only ablations compare."""
        return self._methods

    @cached_property
    def _methods(self) -> dict[str, Method]:
        methods = dict(self.methods)
        for ablation in self.ablations.values():
            for name, method in ablation.methods.items():
                methods.setdefault(name, method)
        return methods

    def listed(self, method: str) -> Method:
        """Look up a method's own section; empty for one that others only start from.

        ``NAME@CONDITION`` is method NAME with the condition's sources.
        """
        name, condition = _parted(method)
        own = self.all_methods().get(name, _UNLISTED)
        if not condition:
            return own
        sources = self.conditions[condition].sources
        return own.model_copy(update={"recipe": own.recipe or name, "sources": sources})

    def starts_from(self, method: str) -> str | None:
        """Name the method, of the same condition, that gives a method its first weights."""
        first = self.recipe(method).starts_from
        _, condition = _parted(method)
        return _run_name(first, condition) if first and condition else first

    def all_sources(self) -> list[str]:
        """List every domain that is a source of any method, in any condition."""
        names = [*self.sources]
        for condition in self.conditions.values():
            names += condition.sources
        for method in self.all_methods().values():
            names += method.sources
        return list(dict.fromkeys(names))

    def main_condition(self) -> str:
        """Name the condition that has the experiment's own sources; empty where there are no conditions."""
        own = [name for name, c in self.conditions.items() if c.sources == self.sources]
        return own[0] if own else ""

    def no_part(self, method: str) -> str | None:
        """Say why a listed method is not trained under other conditions; ``None``: it is."""
        if self.methods[method].sources:
            return "has sources of its own"
        if self.recipe(method).needs_pseudo_labels:
            return "learns from pseudo-labels, and those come from the experiment's own sources"
        return None if self._sources(self.recipe(method)) else "sees no source"

    def recipe(self, method: str) -> Recipe:
        """Resolve the recipe of a method; a method that is not listed has its recipe's name."""
        listed = self.listed(method)
        return recipe_of(listed.recipe or method).combined(listed.mixer, listed.terms)

    def labelling(self, method: str) -> PseudoLabels:
        """Settings of the pseudo-labels that a method learns from."""
        return self.pseudo_labels.model_copy(update=self.listed(method).overrides("pseudo_labels"))

    @staticmethod
    def grid_recipe() -> Recipe:
        """Give the recipe of the grid's members."""
        return recipe_of(GRID_RECIPE)

    def title_of(self, method: str) -> str:
        """Title a method's row in tables and figures."""
        return self.listed(method).title or self.recipe(method).title

    def rows(self, ablation: str | None = None) -> list[dict[str, str]]:
        """List name, title, recipe, plain name and condition of all methods, or of an ablation's, in order.

        The condition is empty where a method sees no source, and so belongs to all.
        """
        names = self.methods if ablation is None else self.ablations[ablation].methods
        main = self.main_condition() if ablation is None else ""
        return [
            self._row(name, name, main if self._sources(self.recipe(name)) else "")
            for name in names
        ]

    def all_rows(self) -> list[dict[str, str]]:
        """List the `rows` of the table, and those of the other conditions."""
        rows = self.rows()
        for condition, settings in self.conditions.items():
            if condition != self.main_condition():
                rows += [
                    self._row(_run_name(name, condition), name, condition)
                    for name in self.methods
                    if name in (settings.methods or self.methods) and not self.no_part(name)
                ]
        return rows

    def _row(self, name: str, method: str, condition: str) -> dict[str, str]:
        row = {"name": name, "title": self.title_of(name), "recipe": self.recipe(name).name}
        return row | {"method": method, "condition": condition}

    def evaluated_at(self, method: str) -> tuple[int, ...]:
        """List the k at which a method is trained and evaluated."""
        _, condition = _parted(method)
        own = self.conditions[condition].labels_per_class if condition else ()
        return own or self.labels_per_class

    def test_domain(self) -> str:
        """Name the domain that test images belong to."""
        return self.target.test_domain or self.target.domain

    def has_clips(self) -> bool:
        """Say whether test images are frames of clips, so that accuracy per video exists."""
        return self.raw_domain(self.test_domain()).has_clips

    def raw_domain(self, domain: str) -> RawDomain:
        """Look up the section for a domain's raw data: its own, or that of the domain that it perturbs."""
        section = self.domains[domain]
        return self.raw_domain(section.of) if isinstance(section, Perturbed) else section

    def domain_settings(self, domain: str) -> dict[str, Any]:
        """Collect what preparing a domain depends on: settings, positions and image, as `prepare_domain` takes them.

        The label space's own names are no part of it: what they are called changes no image and no label.
        """
        section, raw = self.domains[domain], self.raw_domain(domain)
        settings = raw.model_dump(mode="json", exclude={"classes"})
        if isinstance(section, Perturbed):
            keys = {"images", "labels", "seed"}
            settings["perturbed"] = section.model_dump(mode="json", include=keys)
        names = self.class_names(domain)
        return {
            "settings": settings,
            "positions": None if names is None else _positions(names, raw.classes or {}),
            "image": [self.image.height, self.image.width],
        }

    def class_names(self, domain: str) -> list[str] | None:
        """List what tables, figures and the report call a domain's classes; ``None``: what its files call them."""
        space = self.label_spaces[self.domains[domain].label_space]
        return None if space == "auto" else list(space)

    def split_settings(self) -> dict[str, Any]:
        """Collect what a split depends on besides the domains, k and draw."""
        return {
            "seed": self.seed,
            "target": self.target.domain,
            "test_domain": self.target.test_domain,
            "sources": self.all_sources(),
            "hyper_validation_per_class": self.target.hyper_validation_per_class,
            "test_per_class": self.target.test_per_class,
        }

    def method_settings(self, method: str) -> RunSettings:
        """What training a method depends on besides its input files, k and draw (its title is no such thing)."""
        recipe, listed = self.recipe(method), self.listed(method)
        settings = self._training_settings(method, recipe, listed)
        candidates = self._candidates(recipe, settings)
        return replace(settings, candidates=candidates) if len(candidates) > 1 else settings

    def candidates(self, method: str) -> int:
        """Count the settings that a method tries."""
        return len(self.method_settings(method).candidates) or 1

    def grid_settings(self) -> RunSettings:
        """Collect the same for the members of the grid; `grid_member` adds beta and gamma."""
        settings = self._training_settings("grid", self.grid_recipe())
        gradmix = {k: v for k, v in settings.gradmix.items() if k not in ("beta", "gamma")}
        return replace(settings, gradmix=gradmix)

    def grid_members(self) -> list[str]:
        """Name the grid's members, beta by beta, such as ``beta10-gamma0.6``."""
        return [
            f"beta{beta:.12g}-gamma{gamma:.12g}"
            for beta in self.grid.beta
            for gamma in self.grid.gamma
        ]

    def _candidates(self, recipe: Recipe, settings: RunSettings) -> dict[str, RunSettings]:
        """Full settings of everything that a method tries, by name; equal ones once."""
        if tried := recipe.source_sets(settings.sources):
            return {name: replace(settings, sources=tuple(own)) for name, own in tried.items()}
        listed = self.listed(settings.name)
        candidates: dict[str, RunSettings] = {}
        for name, candidate in (listed.candidates or self.tuning.candidates).items():
            own = self._training_settings(settings.name, recipe, listed, candidate)
            if own not in candidates.values():
                candidates[name] = own
        return candidates

    def _training_settings(self, name: str, recipe: Recipe, *over: Overrides) -> RunSettings:
        training = self.training.model_dump(mode="json")
        gradmix = self.gradmix.model_dump(mode="json") | dict(recipe.gradmix)
        network = self.network.model_dump(mode="json")
        options = recipe.default_options()
        for own in over:
            training |= own.overrides("training")
            gradmix |= own.overrides("gradmix")
            network |= own.overrides("network")
            given = own.overrides("options")
            options = {k: v | (given.get(k) or {}) for k, v in options.items()}
        listed = next((own for own in over if isinstance(own, Method)), _UNLISTED)
        image = SeenImage(**self.image.model_dump(mode="json"))
        fine_tunes = recipe.last_layer_fine_tunes and gradmix["last_layer"] == "H2"
        unused = recipe.unused_gradmix_keys
        sees = recipe.sees
        return RunSettings(
            name=name,
            recipe=recipe.name,
            method=recipe.method(),
            terms=listed.terms,
            sources=tuple(self._sources(recipe, listed.sources or self.sources)),
            target=self.target.domain,
            image=image,
            network=self._network_settings(network | dict(recipe.network)),
            schedule=schedule_of(training, recipe.schedule, flip=image.flip),
            fine_tuning=schedule_of(training, "fine_tune", flip=image.flip) if fine_tunes else None,
            # Sizes of batches that it has not must not rerun it.
            batch_sizes=BatchSizes(
                sources=training["batch_size"] if sees - {"V", "V_enlarged", "U"} else None,
                target=training["target_batch_size"] if sees & {"V", "V_enlarged"} else None,
                unlabelled=training["unlabelled_batch_size"] if "U" in sees else None,
            ),
            selection_per_class=training["selection_per_class"],
            gradmix={k: v for k, v in gradmix.items() if k not in unused}
            if recipe.mixes_by_target
            else {},
            options=options,
        )

    def _network_settings(self, network: dict[str, Any]) -> dict[str, Any]:
        """Keep the keys that the network takes; a file of weights without its path, since its content is an input."""
        taken = self._taken(network)
        if taken.get("weights", "none") not in ("imagenet", "none"):
            taken["weights"] = "file"
        return taken

    def _taken(self, network: dict[str, Any]) -> dict[str, Any]:
        part = NETWORKS[self.network.name]
        known = ("name", *part.options, *part.by_recipe)
        return {key: value for key, value in network.items() if key in known}

    def _sources(self, recipe: Recipe, among: Sequence[str] | None = None) -> list[str]:
        among = among or self.sources
        # A method that starts from another's network has that network's heads, the sources' among them.
        if "sources" in recipe.sees or recipe.starts_from is not None:
            return list(among)
        if "target_sources" in recipe.sees:
            space = self.domains[self.target.domain].label_space
            return [name for name in among if self.domains[name].label_space == space]
        return []


def _positions(names: Sequence[str], renamed: Mapping[str, str]) -> dict[str, int]:
    """Label of each of an origin's classes: for every name those renamed to it, else the class that has it itself."""
    positions: dict[str, int] = {}
    for label, name in enumerate(names):
        old_names = sorted(old for old, new in renamed.items() if new == name)
        positions |= dict.fromkeys(old_names or [name], label)
    return positions


def _run_name(method: str, condition: str) -> str:
    """Name a method's run under another condition than the experiment's own sources."""
    return f"{method}@{condition}"


def _parted(run: str) -> tuple[str, str]:
    """Part a run's name into method and condition; no condition: the experiment's own sources."""
    method, _, condition = run.partition("@")
    return method, condition


def grid_member(settings: RunSettings, member: str) -> RunSettings:
    """Settle one member of the grid: `Config.grid_settings` with the beta and gamma that its name says.

    Raises:
        ValueError: if the name is not that of a member.
    """
    beta, _, gamma = member.partition("-gamma")
    try:
        values = {"beta": float(beta.removeprefix("beta")), "gamma": float(gamma)}
    except ValueError:
        raise ValueError(f"{member!r} is no member of a grid (such as beta10-gamma0.6)") from None
    return replace(
        settings,
        member=member,
        title=f"GradMix, {member}",
        gradmix={**settings.gradmix, **values},
    )
