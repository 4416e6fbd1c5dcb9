"""All methods: one recipe each, in one table. Imports no torch."""

from gradmix.methods.method import Stream
from gradmix.methods.recipe import Recipe

SOURCES = Stream("sources")
V = Stream("V")
V_AUGMENTED = Stream("V", term="augmented_cross_entropy")
U_SELF_LABELLED = Stream("U", term="self_labels")
S_U_HARD = Stream("S_u_hard")

GUIDE = Stream("V", role="guide")
GUIDE_AUGMENTED = Stream("V", role="guide", term="augmented_cross_entropy")
ENLARGED_GUIDE = Stream("V_enlarged", role="guide")
ENLARGED_GUIDE_AUGMENTED = Stream("V_enlarged", role="guide", term="augmented_cross_entropy")

POOLED = (SOURCES, V)
GUIDED = (SOURCES, GUIDE)
OURS = (SOURCES, GUIDE_AUGMENTED)
OURS_HARD = (SOURCES, S_U_HARD, ENLARGED_GUIDE_AUGMENTED)
OURS_SELF = (SOURCES, U_SELF_LABELLED, GUIDE_AUGMENTED)

RECIPES = (
    # Cross entropy on the few labelled target images, nothing else.
    Recipe("target_only", "Target only", (V,), schedule="target_only"),
    # What the unlabelled images are worth by themselves.
    Recipe(
        "target_only_mixmatch",
        "Target only + MixMatch",
        (Stream("V", role="companion"), Stream("U", term="mixmatch")),
        options={"mixmatch": {"labelled": True}},
    ),
    # Li et al. 2020, Eq. 1; no target label trains anything. Beside it the other reading: the mean of the losses.
    Recipe("source_only", "Source only (sum)", (SOURCES,)),
    Recipe("source_only_mean", "Source only (mean)", (SOURCES,), "mean"),
    # The source whose network does best on H.
    Recipe("best_single_source", "Best single source + V", POOLED, sources="one"),
    # The simple baseline that the paper leaves out.
    Recipe("pooled", "Pooled (sources + V)", POOLED),
    # The fair baseline of methods that change V's images at random, too.
    Recipe("pooled_augmented", "Pooled, V augmented", (SOURCES, V_AUGMENTED)),
    Recipe(
        "pooled_domain_statistics",
        "Pooled, statistics per domain",
        POOLED,
        network={"norm_statistics": "per_domain"},
    ),
    Recipe("fixed_weights", "Fixed weights (chosen on H)", POOLED, "fixed_weights"),
    # The best on H of K + 1 trainings.
    Recipe("drop_one", "Drop-one (chosen on H)", POOLED, sources="all_but_one"),
    # Through all layers at a low rate.
    Recipe("fine_tune", "Fine-tune", (V,), schedule="fine_tune", starts_from="source_only"),
    # Li et al. 2017: energies of attention maps rescore the likeliest classes.
    Recipe(
        "energy_net",
        "EnergyNet",
        (Stream("V", term="energy"),),
        schedule="fine_tune",
        starts_from="source_only",
        network={"energy": True},
    ),
    # Weights by one meta-gradient step (Ren et al. 2018) in place of the largest cosine.
    Recipe("gradmix_sgd", "GradMix SGD", GUIDED, "gradmix_sgd", last_layer_fine_tunes=True),
    # The mixing alone.
    Recipe(
        "gradmix_fixed_rate",
        "GradMix w/o AdaLR",
        GUIDED,
        "gradmix_fixed_rate",
        last_layer_fine_tunes=True,
    ),
    # V only guides, and trains no layer, the last one included.
    Recipe("gradmix_literal", "GradMix, literal", GUIDED, "gradmix", gradmix={"last_layer": "H0"}),
    # Li et al. 2020: the learning rate follows the sources' agreement with V.
    Recipe("gradmix", "GradMix", GUIDED, "gradmix", last_layer_fine_tunes=True),
    # Weights from moving averages of the gradients' cosines and norms.
    Recipe(
        "gradmix_averaged",
        "GradMix, averaged",
        GUIDED,
        "gradmix",
        last_layer_fine_tunes=True,
        gradmix={"average": 0.95},
    ),
    # Saito et al. 2019. Only sources with the target's label space take part: the entropy is that of a head which a
    # source must teach.
    Recipe(
        "mme",
        "MME",
        (Stream("target_sources"), V, Stream("U", term="minimax_entropy")),
        network={"head": "cosine"},
    ),
    # Mancini et al. 2018 with known domains.
    Recipe(
        "mdda",
        "MDDA",
        (SOURCES, V, Stream("U", term="entropy")),
        network={"norm_statistics": "per_domain", "normalise": "all"},
        options={"entropy": {"weight": 0.1}},
    ),
    # Xu et al. 2018.
    Recipe("dctn", "DCTN", (SOURCES, V, Stream("U", term="dctn")), schedule="adam"),
    # Li et al. 2020, section 3.5, from scratch: every unlabelled image is a source image, labelled by the mean softmax.
    Recipe(
        "gradmix_soft",
        "GradMix + soft labels",
        (SOURCES, Stream("S_u_soft", term="soft_labels"), ENLARGED_GUIDE),
        "gradmix",
        last_layer_fine_tunes=True,
    ),
    # The same with the unlabelled images on whose class all R models agree.
    Recipe(
        "gradmix_hard",
        "GradMix + hard labels",
        (SOURCES, S_U_HARD, ENLARGED_GUIDE),
        "gradmix",
        last_layer_fine_tunes=True,
    ),
    # Miyato et al. 2018 on U, in S_u's gradient.
    Recipe(
        "gradmix_vat",
        "GradMix + VAT",
        (SOURCES, S_U_HARD, Stream("U", term="vat", joins="S_u_hard"), ENLARGED_GUIDE),
        "gradmix",
        last_layer_fine_tunes=True,
    ),
    # Berthelot et al. 2019 on U, in S_u's gradient.
    Recipe(
        "gradmix_mixmatch",
        "GradMix + MixMatch",
        (SOURCES, S_U_HARD, Stream("U", term="mixmatch", joins="S_u_hard"), ENLARGED_GUIDE),
        "gradmix",
        last_layer_fine_tunes=True,
    ),
    Recipe("pooled_hard", "Pooled + hard labels", (SOURCES, S_U_HARD, Stream("V_enlarged"))),
    # The fair baseline of the sums with self-labels: the same sets and losses.
    Recipe("pooled_self", "Pooled + self-labels", (SOURCES, U_SELF_LABELLED, V_AUGMENTED)),
    # V trains as well as guides. Sources are weighed by averaged agreement; guarded, opposing ones are turned down.
    Recipe("guided_sum", "Guided sum (ours)", OURS, "guided_sum"),
    Recipe("guided_sum_hard", "Guided sum + hard labels (ours)", OURS_HARD, "guided_sum"),
    Recipe("guided_sum_self", "Guided sum + self-labels (ours)", OURS_SELF, "guided_sum"),
    Recipe("guarded_sum", "Guarded sum (ours)", OURS, "guarded_sum"),
    Recipe(
        "guarded_sum_source",
        "Guarded sum, one factor a source (ours)",
        OURS,
        "guarded_sum",
        options={"guarded_sum": {"per": "source"}},
    ),
    Recipe("guarded_sum_hard", "Guarded sum + hard labels (ours)", OURS_HARD, "guarded_sum"),
    Recipe("guarded_sum_self", "Guarded sum + self-labels (ours)", OURS_SELF, "guarded_sum"),
)

METHODS = {recipe.name: recipe for recipe in RECIPES}
assert len(METHODS) == len(RECIPES)


def recipe_of(name: str) -> Recipe:
    """The recipe called ``name``.

    Raises:
        ValueError: if there is none; the message lists those that exist.
    """
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}; known are {', '.join(METHODS)}")
    return METHODS[name]
