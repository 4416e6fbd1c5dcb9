"""All methods: name in the configuration -> module with its RECIPE. One line per method.

Modules are imported by name only when used, so that the code fingerprint of a run holds its own method's file
and no other.
"""

from importlib import import_module

from gradmix.methods.recipe import Recipe

METHODS: dict[str, str] = {
    "target_only": "gradmix.methods.target_only",
    "target_only_mixmatch": "gradmix.methods.target_only_mixmatch",
    "source_only": "gradmix.methods.source_only",
    "source_only_mean": "gradmix.methods.source_only_mean",
    "best_single_source": "gradmix.methods.best_single_source",
    "pooled": "gradmix.methods.pooled",
    "pooled_augmented": "gradmix.methods.pooled_augmented",
    "pooled_domain_statistics": "gradmix.methods.pooled_domain_statistics",
    "fixed_weights": "gradmix.methods.fixed_weights",
    "drop_one": "gradmix.methods.drop_one",
    "fine_tune": "gradmix.methods.fine_tune",
    "energy_net": "gradmix.methods.energy_net",
    "gradmix_sgd": "gradmix.methods.gradmix_sgd",
    "gradmix_fixed_rate": "gradmix.methods.gradmix_fixed_rate",
    "gradmix_literal": "gradmix.methods.gradmix_literal",
    "gradmix": "gradmix.methods.gradmix",
    "gradmix_averaged": "gradmix.methods.gradmix_averaged",
    "mme": "gradmix.methods.mme",
    "mdda": "gradmix.methods.mdda",
    "dctn": "gradmix.methods.dctn",
    "gradmix_soft": "gradmix.methods.gradmix_soft",
    "gradmix_hard": "gradmix.methods.gradmix_hard",
    "gradmix_vat": "gradmix.methods.gradmix_vat",
    "gradmix_mixmatch": "gradmix.methods.gradmix_mixmatch",
    "pooled_hard": "gradmix.methods.pooled_hard",
    "pooled_self": "gradmix.methods.pooled_self",
    "guided_sum": "gradmix.methods.guided_sum",
    "guided_sum_hard": "gradmix.methods.guided_sum_hard",
    "guided_sum_self": "gradmix.methods.guided_sum_self",
    "guarded_sum": "gradmix.methods.guarded_sum",
    "guarded_sum_source": "gradmix.methods.guarded_sum_source",
    "guarded_sum_hard": "gradmix.methods.guarded_sum_hard",
    "guarded_sum_self": "gradmix.methods.guarded_sum_self",
}


def recipe_of(name: str) -> Recipe:
    """The recipe called ``name``.

    Raises:
        ValueError: if there is none; the message lists those that exist.
    """
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}; known are {', '.join(METHODS)}")
    recipe = import_module(METHODS[name]).RECIPE
    assert isinstance(recipe, Recipe)
    assert recipe.name == name
    return recipe
