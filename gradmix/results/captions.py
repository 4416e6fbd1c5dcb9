"""Titles, captions and alternative texts of the figures on the report page, by the name of the figure's module."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Caption:
    """The section that a figure belongs to, its title, how to read it, and what it shows in one sentence."""

    section: str
    title: str
    text: str


CAPTIONS: dict[str, Caption] = {
    "accuracy": Caption(
        "accuracy",
        "Test accuracy of every method",
        "Dots are means over draws of the few labels, bars one standard error, thin strokes single draws; hollow "
        "diamonds, where there are any, are the paper's means. The axis does not start at zero.",
    ),
    "ranks": Caption(
        "accuracy",
        "Rank of every method, draw by draw",
        "Strokes are ranks in single draws (1 is the best accuracy on the test set; equal ones share their mean), dots "
        "their means, by which the methods are sorted. Ranks say in how many draws a method is ahead, not by how much.",
    ),
    "conditions": Caption(
        "overview",
        "Test accuracy in every condition",
        "Points are means over draws of the few labels, bars one standard error; lines join a method's points. A "
        "method that learns from no source has the same point in every condition. Axes do not start at zero.",
    ),
    "source_weights": Caption(
        "conditions",
        "Weight of each source over training",
        "A row per mixing method, a column per condition. Lines are means over the shared layers, over draws and over "
        "the steps between two evaluations; bands run from the lowest to the highest draw. A source at 0 is left out.",
    ),
    "hyper_validation_loss": Caption(
        "training",
        "Loss on the hyper-validation set over training",
        "Lines are means over draws, bands run from the lowest to the highest draw. A line that falls and rises "
        "again over-fits: the checkpoint used is the one with the best accuracy on H, not the last.",
    ),
    "hyper_validation_loss_pair": Caption(
        "training",
        "Source only and GradMix: loss on H at the fewest and the most labels",
        "As the paper's Figure 3. Lines are means over draws, bands run from the lowest to the highest draw.",
    ),
    "ablation": Caption(
        "ablations",
        "Ablations",
        "With several k: means over draws of the few labels and one standard error, side by side. With one: dots are "
        "means with one standard error, strokes single draws, those of one draw joined. Axes do not start at zero.",
    ),
    "layer_weights": Caption(
        "training",
        "Weight of each source, layer by layer",
        "One panel per layer, from the input on. The weights of a layer sum to one: a source at 0 is left out, one "
        "at 1 is the only one followed. Lines are means over draws and over the steps between two evaluations; bands "
        "run from the lowest to the highest draw.",
    ),
    "adaptive_rate": Caption(
        "training",
        "Importance ρ and learning-rate factor η",
        "Above, ρ: the sum over layers of the cosine between the mixed source gradient and the target gradient; 0 "
        "means that the best mixture of sources is of no help to the target. Below, η = 1/(1 + exp(−(βρ − γ))), "
        "by which the step is multiplied. Solid: mean; dotted: lowest and highest draw; grey: from the 10 % to the "
        "90 % quantile of single steps.",
    ),
    "confusion": Caption(
        "mistakes",
        "Confusion on the test set",
        "Rows are true classes, columns predicted ones; numbers are the percentage of the true class's images, summed "
        "over draws. The diagonal is right, everything else a mistake. With more than 20 classes: the pairs that each "
        "method confuses most, as “true class → class that it was taken for”.",
    ),
    "pseudo_label_quality": Caption(
        "pseudo_labels",
        "Pseudo-labels: precision and coverage per class",
        "Precision: how many of the images accepted as a class are of that class. Coverage: how many of a class's "
        "images in U were accepted. Markers are means over draws, bars run from the lowest to the highest; with many "
        "classes, lines are means over draws from the class with the lowest to that with the highest. The truth was "
        "looked up after training, for this figure only.",
    ),
    "pseudo_label_sweep": Caption(
        "pseudo_labels",
        "Pseudo-labels: precision against coverage",
        "A line per number of models R, from the lowest threshold to the highest (written at its ends): means over "
        "draws. The truth was looked up after training, for this figure only; nothing was chosen by it.",
    ),
    "grid_heat_map": Caption(
        "ablations",
        "The grid of β and γ",
        "Means over draws. Solid frame: the best cell on H; dashed frame: the best on test, which is hindsight and "
        "chose nothing. The tables (table2) say whether β or γ has any effect.",
    ),
    "samples": Caption(
        "data",
        "Images of every set",
        "One row per set, for one draw. Below each image stands its label; in U it stands for what the models said, "
        "and a dashed frame marks a pseudo-label that is wrong, with the truth in brackets (unseen in training). Of "
        "clips, a row shows the frames of one in order, and the label below the first is that of all.",
    ),
}


def caption_of(kind: str) -> Caption:
    """The caption of a kind of figure; raises `ValueError` for an unknown one."""
    if kind not in CAPTIONS:
        raise ValueError(f"figure kind must be one of {', '.join(CAPTIONS)}, but got {kind!r}")
    return CAPTIONS[kind]
