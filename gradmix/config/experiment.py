"""The whole configuration, and the part of it that each stage needs, so that no other key reruns the stage."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from gradmix.config.models import (
    GradMix,
    Grid,
    Image,
    Method,
    Network,
    PseudoLabels,
    Resources,
    Target,
    Training,
)
from gradmix.config.origins import AnyDomain
from gradmix.config.types import (
    AsDraws,
    AsList,
    ClassName,
    Count,
    Distinct,
    Name,
    Natural,
    Section,
    nothing_is_empty,
)
from gradmix.methods.recipe import SCHEDULES, Recipe
from gradmix.methods.registry import recipe_of

LabelSpace = Annotated[tuple[ClassName, ...], AsList, Field(min_length=2), Distinct]
GRID_RECIPE = "gradmix"


class Config(Section):
    """An experiment."""

    title: str = "GradMix"
    output_dir: Annotated[str, Field(min_length=1)] = "results"
    data_dir: Annotated[str, Field(min_length=1)] = "data"
    seed: Natural = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    paper_numbers: Literal["digits"] | None = None
    image: Image = Image()
    label_spaces: Annotated[dict[Name, LabelSpace], Field(min_length=1)]
    domains: Annotated[
        dict[Name, Annotated[AnyDomain, Field(discriminator="origin")]], Field(min_length=1)
    ]
    sources: Annotated[tuple[Name, ...], AsList, Field(min_length=1), Distinct]
    target: Target
    labels_per_class: Annotated[tuple[Count, ...], AsList, Field(min_length=1), Distinct]
    draws: Annotated[tuple[Natural, ...], AsDraws, Field(min_length=1), Distinct]
    network: Network = Network()
    training: Training = Training()
    gradmix: GradMix = GradMix()
    grid: Grid = Grid()
    pseudo_labels: PseudoLabels = PseudoLabels()
    methods: Annotated[
        dict[Name, Annotated[Method, BeforeValidator(nothing_is_empty)]], Field(min_length=1)
    ]
    resources: Resources = Resources()

    def resolved(self) -> dict[str, Any]:
        """Every key with its value, as JSON knows it; of a method, only what is set for it."""
        full = self.model_dump(mode="json", exclude={"methods"})
        full["methods"] = {
            name: method.model_dump(mode="json", exclude_unset=True)
            for name, method in self.methods.items()
        }
        return full

    def recipe(self, method: str) -> Recipe:
        """The recipe of a method; a method that is not listed is its recipe's own name."""
        listed = self.methods.get(method)
        return recipe_of((listed and listed.recipe) or method)

    @staticmethod
    def grid_recipe() -> Recipe:
        """The recipe of the grid's members."""
        return recipe_of(GRID_RECIPE)

    def title_of(self, method: str) -> str:
        """The method's row in tables and figures."""
        listed = self.methods.get(method)
        return (listed and listed.title) or self.recipe(method).title

    def rows(self) -> list[dict[str, str]]:
        """Name, title and recipe of every listed method, in order."""
        return [
            {"name": name, "title": self.title_of(name), "recipe": self.recipe(name).name}
            for name in self.methods
        ]

    def test_domain(self) -> str:
        """The domain that test images belong to."""
        return self.target.test_domain or self.target.domain

    def domain_settings(self, domain: str) -> dict[str, Any]:
        """What preparing a domain depends on: settings, classes and image as `prepare_domain` takes them."""
        settings = self.domains[domain]
        return {
            "settings": settings.model_dump(mode="json"),
            "classes": list(self.label_spaces[settings.label_space]),
            "image": [self.image.height, self.image.width],
        }

    def split_settings(self) -> dict[str, Any]:
        """What a split depends on besides the domains, k and draw."""
        return {
            "seed": self.seed,
            "target": self.target.domain,
            "test_domain": self.target.test_domain,
            "sources": list(self.sources),
            "hyper_validation_per_class": self.target.hyper_validation_per_class,
            "test_per_class": self.target.test_per_class,
        }

    def method_settings(self, method: str) -> dict[str, Any]:
        """What training a method depends on besides its input files, k and draw (its title is no such thing)."""
        recipe = self.recipe(method)
        listed = self.methods.get(method) or Method()
        training = self.training.model_dump(mode="json") | listed.overrides("training")
        gradmix = self.gradmix.model_dump(mode="json") | listed.overrides("gradmix")
        return {"name": method} | self._training_settings(recipe, training, gradmix)

    def grid_settings(self) -> dict[str, Any]:
        """The same for the members of the grid, whose beta and gamma come from `grid_member`."""
        training = self.training.model_dump(mode="json")
        gradmix = self.gradmix.model_dump(mode="json", exclude={"beta", "gamma"})
        settings = self._training_settings(self.grid_recipe(), training, gradmix)
        return {"name": "grid"} | settings

    def grid_members(self) -> list[str]:
        """Names of the grid's members, beta by beta, such as ``beta10-gamma0.6``."""
        return [
            f"beta{beta:.12g}-gamma{gamma:.12g}"
            for beta in self.grid.beta
            for gamma in self.grid.gamma
        ]

    def _training_settings(
        self, recipe: Recipe, training: dict[str, Any], gradmix: dict[str, Any]
    ) -> dict[str, Any]:
        fine_tunes = recipe.last_layer_fine_tunes and gradmix["last_layer"] == "H2"
        keys = [*SCHEDULES[recipe.schedule], "momentum", "weight_decay", "precision"]
        keys += SCHEDULES["fine_tune"] if fine_tunes else []
        keys += ["target_batch_size"] if recipe.sees & {"V", "V_enlarged"} else []
        keys += ["batch_size"] if recipe.sees - {"V", "V_enlarged"} else []
        # A method that starts from another's network has that network's heads, the sources' among them.
        knows_sources = "sources" in recipe.sees or recipe.starts_from is not None
        settings: dict[str, Any] = {
            "recipe": recipe.name,
            "sources": list(self.sources) if knows_sources else [],
            "target": self.target.domain,
            "image": self.image.model_dump(mode="json"),
            "network": self.network.model_dump(mode="json"),
            "training": {key: training[key] for key in dict.fromkeys(keys)},
        }
        if recipe.mixes_by_target:
            unused = recipe.unused_gradmix_keys
            settings["gradmix"] = {k: v for k, v in gradmix.items() if k not in unused}
        return settings


def grid_member(settings: dict[str, Any], member: str) -> dict[str, Any]:
    """Settings of one member of the grid: `Config.grid_settings` with the beta and gamma that its name says.

    Raises:
        ValueError: if the name is not that of a member.
    """
    beta, _, gamma = member.partition("-gamma")
    try:
        values = {"beta": float(beta.removeprefix("beta")), "gamma": float(gamma)}
    except ValueError:
        raise ValueError(f"{member!r} is no member of a grid (such as beta10-gamma0.6)") from None
    return settings | {"member": member, "gradmix": settings["gradmix"] | values}
