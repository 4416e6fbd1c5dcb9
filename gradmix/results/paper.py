"""The paper's own numbers, for comparison: Tables 1 (digits) and 3 (actions) of the GradMix paper.

Li, J., Xu, Z., Wong, Y., Zhao, Q., Kankanhalli, M.: GradMix: Multi-source Transfer across Domains and Tasks.
arXiv:2002.03264 (WACV 2020). Test accuracy in percent. Table 1: SVHN 5-9 and MNIST 0-4 to MNIST 5-9, mean and standard
error over 10 draws of the few labels; *Source only* was reported once, without an error. Table 3: MPII and BU101 to
split 1 of UCF101, means over 2 draws without standard errors, per frame and per video.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gradmix.results.records import Method

_AUTHORS = (
    "Junnan Li, Ziwei Xu, Yongkang Wong, Qi Zhao, Mohan Kankanhalli: GradMix: Multi-source Transfer across "
    "Domains and Tasks. arXiv:2002.03264, 2020."
)
URL = "https://arxiv.org/abs/2002.03264"

PaperNumber = tuple[float, float | None]
Numbers = Mapping[str, Mapping[int, PaperNumber]]
"""Recipe -> k -> mean and standard error (None where the paper has none), in percent."""


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper: its name, the experiment it is of, what to know about it, and its numbers.

    `numbers` stand beside the column accuracy, `per_video` beside accuracy_per_video.
    """

    name: str
    setting: str
    note: str
    numbers: Numbers
    per_video: Numbers = field(default_factory=dict)

    @property
    def remark(self) -> str:
        """What a table that quotes it says below."""
        return f"Paper: {self.setting} (arXiv:2002.03264, {self.name}). {self.note}"


_DIGITS: Numbers = {
    "target_only": {2: (71.35, 1.85), 3: (77.15, 1.36), 4: (81.43, 1.41), 5: (84.83, 1.10)},
    "source_only": {2: (82.39, None), 3: (82.39, None), 4: (82.39, None), 5: (82.39, None)},
    "fine_tune": {2: (89.94, 0.35), 3: (89.86, 0.46), 4: (90.89, 0.48), 5: (91.96, 0.39)},
    "gradmix_sgd": {2: (89.30, 0.73), 3: (89.78, 0.72), 4: (91.70, 0.45), 5: (92.05, 0.29)},
    "mme": {2: (90.25, 0.31), 3: (90.37, 0.36), 4: (91.38, 0.29), 5: (91.76, 0.24)},
    "mdda": {2: (90.23, 0.40), 3: (90.28, 0.50), 4: (91.45, 0.37), 5: (91.85, 0.31)},
    "dctn": {2: (91.81, 0.26), 3: (92.34, 0.28), 4: (92.42, 0.39), 5: (92.97, 0.37)},
    "gradmix_vat": {2: (96.23, 0.21), 3: (96.35, 0.31), 4: (96.87, 0.19), 5: (96.94, 0.20)},
    "gradmix_mixmatch": {2: (96.30, 0.23), 3: (96.43, 0.32), 4: (96.85, 0.19), 5: (97.02, 0.21)},
    "gradmix_fixed_rate": {2: (90.10, 0.37), 3: (90.22, 0.62), 4: (92.14, 0.43), 5: (92.92, 0.29)},
    "gradmix": {2: (91.17, 0.37), 3: (91.45, 0.52), 4: (92.14, 0.40), 5: (93.06, 0.46)},
    "gradmix_soft": {2: (94.62, 0.18), 3: (95.03, 0.30), 4: (95.26, 0.17), 5: (95.74, 0.21)},
    "gradmix_hard": {2: (96.02, 0.24), 3: (96.24, 0.33), 4: (96.63, 0.17), 5: (96.84, 0.20)},
}

# Per frame at k = 3, 5, 10, then per video.
_ACTIONS: dict[str, tuple[float, ...]] = {
    "target_only": (42.58, 53.31, 63.05, 43.74, 55.50, 64.74),
    "source_only": (41.96, 41.96, 41.96, 43.46, 43.46, 43.46),
    "fine_tune": (55.86, 60.55, 66.77, 58.57, 66.01, 70.21),
    "energy_net": (55.93, 60.82, 66.73, 58.70, 66.23, 70.25),
    "gradmix": (56.25, 61.73, 67.30, 59.41, 66.27, 71.49),
    "mdda": (56.65, 61.58, 67.65, 60.00, 65.14, 71.54),
    "dctn": (57.88, 61.97, 68.46, 61.64, 66.59, 72.85),
    "gradmix_hard": (68.92, 68.76, 69.25, 72.58, 72.34, 73.48),
    "gradmix_vat": (69.02, 69.59, 70.11, 73.35, 73.05, 73.71),
    "gradmix_mixmatch": (69.33, 69.88, 70.09, 73.57, 73.46, 73.68),
}


def _actions(first: int) -> Numbers:
    return {
        recipe: {k: (values[first + i], None) for i, k in enumerate((3, 5, 10))}
        for recipe, values in _ACTIONS.items()
    }


TABLES: dict[str, PaperTable] = {
    "digits": PaperTable(
        name="Table 1",
        setting="SVHN 5–9 and MNIST 0–4 to MNIST 5–9, mean ± standard error over 10 draws",
        note=(
            "The paper's GradMix entry at k = 3 equals the best of the 54 cells of its Table 2 "
            "(mean of the cells: 90.54)."
        ),
        numbers=_DIGITS,
    ),
    "actions": PaperTable(
        name="Table 3",
        setting="MPII and BU101 to UCF101 (split 1), mean over 2 draws",
        note=(
            "The paper gives no standard errors for it, so no difference to it can be called clear; its Source only "
            "is one number for all k."
        ),
        numbers=_actions(0),
        per_video=_actions(3),
    ),
}


def paper_table(paper: str | None) -> PaperTable | None:
    """The paper's table of that name, None for None. Raises `ValueError` for another name than those of `TABLES`."""
    if paper is None:
        return None
    if paper not in TABLES:
        known = ", ".join(sorted(TABLES))
        raise ValueError(f"paper_numbers: must be null or one of {known}, but got {paper!r}")
    return TABLES[paper]


def citation(paper: str | None) -> str:
    """How to cite the paper, and the table that is quoted (the first where none is)."""
    return f"{_AUTHORS} {(paper_table(paper) or TABLES['digits']).name}."


def paper_numbers(
    methods: Sequence[Method], paper: str | None, column: str = "accuracy"
) -> dict[tuple[str, int], PaperNumber]:
    """Return {(method name, k): (mean, standard error or None)} in percent for the rows that the paper has.

    A recipe's number stands beside one row only: the one named like the recipe, or else the first of that recipe,
    so that variants with changed settings do not borrow it. `paper` None: nothing. `column`: accuracy (per frame
    where there are clips) or accuracy_per_video; nothing for others. Raises `ValueError` for another name than those
    of `TABLES`.
    """
    table = paper_table(paper)
    if table is None:
        return {}
    quoted = {"accuracy": table.numbers, "accuracy_per_video": table.per_video}.get(column, {})
    names = {method["name"] for method in methods}
    numbers: dict[tuple[str, int], PaperNumber] = {}
    taken = set()
    for method in methods:
        recipe = method["recipe"]
        if recipe in taken or (method["name"] != recipe and recipe in names):
            continue
        taken.add(recipe)
        for labels_per_class, number in quoted.get(recipe, {}).items():
            numbers[method["name"], labels_per_class] = number
    return numbers
