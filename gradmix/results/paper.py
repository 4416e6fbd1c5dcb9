"""The paper's own numbers, for comparison: Table 1 (digits) of the GradMix paper.

Li, J., Xu, Z., Wong, Y., Zhao, Q., Kankanhalli, M.: GradMix: Multi-source Transfer across Domains and Tasks.
arXiv:2002.03264 (WACV 2020). SVHN 5-9 and MNIST 0-4 to MNIST 5-9; test accuracy in percent, mean and standard error
over 10 draws of the few labels. *Source only* was reported once, without an error.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradmix.results.records import Method

CITATION = (
    "Junnan Li, Ziwei Xu, Yongkang Wong, Qi Zhao, Mohan Kankanhalli: GradMix: Multi-source Transfer across "
    "Domains and Tasks. arXiv:2002.03264, 2020. Table 1."
)
URL = "https://arxiv.org/abs/2002.03264"
SETTING = "SVHN 5–9 and MNIST 0–4 to MNIST 5–9, mean ± standard error over 10 draws"
SELECTION_NOTE = (
    "The paper's GradMix entry at k = 3 equals the best of the 54 cells of its Table 2 "
    "(mean of the cells: 90.54)."
)

PaperNumber = tuple[float, float | None]

TABLES: dict[str, dict[str, dict[int, PaperNumber]]] = {
    "digits": {
        "target_only": {2: (71.35, 1.85), 3: (77.15, 1.36), 4: (81.43, 1.41), 5: (84.83, 1.10)},
        "source_only": {2: (82.39, None), 3: (82.39, None), 4: (82.39, None), 5: (82.39, None)},
        "fine_tune": {2: (89.94, 0.35), 3: (89.86, 0.46), 4: (90.89, 0.48), 5: (91.96, 0.39)},
        "gradmix_sgd": {2: (89.30, 0.73), 3: (89.78, 0.72), 4: (91.70, 0.45), 5: (92.05, 0.29)},
        "mme": {2: (90.25, 0.31), 3: (90.37, 0.36), 4: (91.38, 0.29), 5: (91.76, 0.24)},
        "mdda": {2: (90.23, 0.40), 3: (90.28, 0.50), 4: (91.45, 0.37), 5: (91.85, 0.31)},
        "dctn": {2: (91.81, 0.26), 3: (92.34, 0.28), 4: (92.42, 0.39), 5: (92.97, 0.37)},
        "gradmix_vat": {2: (96.23, 0.21), 3: (96.35, 0.31), 4: (96.87, 0.19), 5: (96.94, 0.20)},
        "gradmix_mixmatch": {
            2: (96.30, 0.23),
            3: (96.43, 0.32),
            4: (96.85, 0.19),
            5: (97.02, 0.21),
        },
        "gradmix_fixed_rate": {
            2: (90.10, 0.37),
            3: (90.22, 0.62),
            4: (92.14, 0.43),
            5: (92.92, 0.29),
        },
        "gradmix": {2: (91.17, 0.37), 3: (91.45, 0.52), 4: (92.14, 0.40), 5: (93.06, 0.46)},
        "gradmix_soft": {2: (94.62, 0.18), 3: (95.03, 0.30), 4: (95.26, 0.17), 5: (95.74, 0.21)},
        "gradmix_hard": {2: (96.02, 0.24), 3: (96.24, 0.33), 4: (96.63, 0.17), 5: (96.84, 0.20)},
    }
}


def paper_numbers(
    methods: Sequence[Method], paper: str | None
) -> dict[tuple[str, int], PaperNumber]:
    """Return {(method name, k): (mean, standard error or None)} in percent for the rows that the paper has.

    A recipe's number stands beside one row only: the one named like the recipe, or else the first of that recipe,
    so that variants with changed settings do not borrow it. `paper` None: nothing. Raises `ValueError` for another
    name than those of `TABLES`.
    """
    if paper is None:
        return {}
    if paper not in TABLES:
        known = ", ".join(sorted(TABLES))
        raise ValueError(f"paper_numbers: must be null or one of {known}, but got {paper!r}")
    names = {method["name"] for method in methods}
    numbers: dict[tuple[str, int], PaperNumber] = {}
    taken = set()
    for method in methods:
        recipe = method["recipe"]
        if recipe in taken or (method["name"] != recipe and recipe in names):
            continue
        taken.add(recipe)
        for labels_per_class, number in TABLES[paper].get(recipe, {}).items():
            numbers[method["name"], labels_per_class] = number
    return numbers
