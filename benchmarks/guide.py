"""What happens to the guide's gradient v while a network trains: its length, its loss, and whether it points right.

    python -m benchmarks.guide RESULTS [--labels-per-class 2] [--draws 0 1 2] [--steps 400] [--record]

RESULTS is the folder of an experiment in which pooling was trained: its domains, splits and network are used. Four
trainings on the same batches and initial weights: GradMix read literally (H0), in which V only guides; GradMix (H1),
in which V trains its head, too; the guided sum with V as it is; and with V randomly changed at every step. Every
tenth step, layer by layer: the length of v, the cosines of v, of each source's gradient and of the mixture with the
gradient on 128 images of H. v and the loss beside it are those of the very images that guide the step, changed where
the method changes them. H is read for this diagnosis only.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.measuring import NotHereError
from gradmix import GradMix, GuidedSum, layers_of
from gradmix.domains.format import Domain, open_domain
from gradmix.nets.build import build_network
from gradmix.nets.inputs import to_input
from gradmix.nets.norm import frozen_statistics
from gradmix.results.figures.style import line_look, new_figure, save, styled
from gradmix.terms.augment import random_affine
from gradmix.training.sgd import SGD

CHANGE = {"shift": 3.0, "rotation": 15.0, "scale": 0.15, "shear": 0.2}
EVERY = 10
VARIANTS: dict[str, tuple[Callable[..., Any], bool]] = {
    "GradMix, literal: V guides": (partial(GradMix, last_layer="H0"), False),
    "GradMix: V trains its head": (partial(GradMix, last_layer="H1"), False),
    "Guided sum: V trains, too": (GuidedSum, False),
    "Guided sum, V augmented": (GuidedSum, True),
}
Images = tuple[Tensor, Tensor, str]


class Data:
    """Sources, V and H of one draw, as the network takes them."""

    def __init__(self, folder: Path, labels_per_class: int, draw: int) -> None:
        split = json.loads((folder / f"splits/{labels_per_class}/{draw}.json").read_text())
        record = next(folder.glob("runs/*/*/pooled/run.json"))
        self.settings = json.loads(record.read_text())["settings"]
        target = open_domain(folder / "domains" / split["target"])
        self.sources = [
            self._images(open_domain(folder / "domains" / name))
            for name in self.settings["sources"]
        ]
        self.names = list(self.settings["sources"])
        self.v = self._images(target, split["V"])
        self.h = self._images(target, split["H"])
        self.spaces = {space: int(labels.max()) + 1 for _, labels, space in [*self.sources, self.h]}

    @staticmethod
    def _images(domain: Domain, rows: Any = None) -> Images:
        chosen = np.arange(len(domain)) if rows is None else np.asarray(rows)
        images = torch.from_numpy(np.ascontiguousarray(domain.images[chosen]))
        return (
            images,
            torch.from_numpy(np.asarray(domain.labels)[chosen].astype(np.int64)),
            domain.label_space,
        )


def guide_loss(network: nn.Module, inputs: Tensor, v: Images) -> Tensor:
    """V's loss on the images of this step."""
    _, labels, space = v
    return functional.cross_entropy(network(inputs, space), labels)


def gradients(loss: Tensor, network: nn.Module) -> dict[nn.Parameter, Tensor]:
    """Gradient of every parameter that the loss reaches."""
    parameters = list(network.parameters())
    own = torch.autograd.grad(loss, parameters, allow_unused=True)
    return {p: g for p, g in zip(parameters, own, strict=True) if g is not None}


def train(name: str, data: Data, steps: int, batch: int, seed: int) -> list[dict[str, Any]]:
    """One training; a row per looked-at step and layer."""
    make, augmented = VARIANTS[name]
    settings = {**data.settings["network"]}
    network = build_network(settings, data.spaces, data.settings["image"], data.names, seed=seed)
    network = network.to(memory_format=torch.channels_last).train()
    layers = layers_of(network.backbone)  # type: ignore[arg-type]
    mixer = make(layers)
    optimizer = SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=0.0)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)

    def loss_of(images: Images, rows: Tensor) -> Tensor:
        pixels, labels, space = images
        inputs = to_input(pixels[rows], channels=3)
        return functional.cross_entropy(network(inputs, space), labels[rows])

    rows_of: list[dict[str, Any]] = []
    for step in range(steps):
        picks = [
            torch.randint(len(images[0]), (batch,), generator=generator) for images in data.sources
        ]
        inputs_v = to_input(data.v[0], channels=3)
        if augmented:
            inputs_v = random_affine(inputs_v, **CHANGE)
        looks = step % EVERY == 0
        if looks:
            held = torch.randint(len(data.h[0]), (128,), generator=generator)
            with frozen_statistics(network):
                on_h = gradients(loss_of(data.h, held), network)
                on_v = gradients(guide_loss(network, inputs_v, data.v), network)
                of_sources = [
                    gradients(loss_of(images, pick), network)
                    for images, pick in zip(data.sources, picks, strict=True)
                ]
        losses = [loss_of(images, pick) for images, pick in zip(data.sources, picks, strict=True)]
        guide = guide_loss(network, inputs_v, data.v)
        optimizer.zero_grad()
        mixed = mixer.backward(losses, guide)
        if looks:
            taken = {p: p.grad.clone() for p in network.parameters() if p.grad is not None}
            for index, layer in enumerate(layers):
                row = {
                    "variant": name,
                    "step": step,
                    "layer": layer.name,
                    "v_loss": float(guide.detach()),
                    "v_norm": norm(on_v, layer.parameters),
                    "cosine_v_H": cosine(on_v, on_h, layer.parameters),
                    "cosine_update_H": cosine(taken, on_h, layer.parameters),
                }
                for source, own in zip(data.names, of_sources, strict=True):
                    row[f"norm_{source}"] = norm(own, layer.parameters)
                    row[f"cosine_{source}_v"] = cosine(own, on_v, layer.parameters)
                    row[f"cosine_{source}_H"] = cosine(own, on_h, layer.parameters)
                for source, weight in zip(
                    data.names, mixed.weights_LK[index].tolist(), strict=True
                ):
                    row[f"weight_{source}"] = weight
                rows_of.append(row)
        mixer.step(optimizer)
    return rows_of


def flat(own: dict[nn.Parameter, Tensor], parameters: tuple[nn.Parameter, ...]) -> Tensor:
    """One layer's gradient as a vector."""
    return torch.cat([own[p].flatten() for p in parameters])


def norm(own: dict[nn.Parameter, Tensor], parameters: tuple[nn.Parameter, ...]) -> float:
    """Length of one layer's gradient."""
    return float(flat(own, parameters).norm())


def cosine(
    first: dict[nn.Parameter, Tensor],
    second: dict[nn.Parameter, Tensor],
    parameters: tuple[nn.Parameter, ...],
) -> float:
    """Cosine of one layer's gradients."""
    return float(
        functional.cosine_similarity(flat(first, parameters), flat(second, parameters), dim=0)
    )


@styled
def figure_of(frame: pd.DataFrame) -> Any:
    """V's loss, the length of v, its cosine and the update's with the gradient on H; means over draws and layers."""
    figure = new_figure(9.6, 3.3)
    panels = figure.subplots(1, 4)
    columns = {
        "v_loss": "loss on V (nats)",
        "v_norm": "length of v",
        "cosine_v_H": "cos(v, gradient on H)",
        "cosine_update_H": "cos(update, gradient on H)",
    }
    for panel, (column, title) in zip(panels, columns.items(), strict=True):
        for position, (name, rows) in enumerate(frame.groupby("variant", sort=False)):
            mean = rows.groupby("step")[column].mean().rolling(5, min_periods=1).mean()
            panel.plot(mean.index, mean, label=name, markevery=8, **line_look(position))
        panel.set_title(title)
        panel.set_xlabel("step")
        if column in ("v_loss", "v_norm"):
            panel.set_yscale("log")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def trained(
    results: Path, labels_per_class: int, draws: Sequence[int], steps: int, batch: int
) -> Any:
    """All variants' rows, of all draws."""
    rows = []
    for draw in draws:
        data = Data(results, labels_per_class, draw)
        for name in VARIANTS:
            rows += [{"draw": draw, **row} for row in train(name, data, steps, batch, draw)]
    return pd.DataFrame(rows)


def late_means(frame: Any, by: Sequence[str] = ("variant",)) -> Any:
    """A row per variant: means over the draws, the layers and the second half of the steps."""
    late = frame[frame["step"] >= frame["step"].max() / 2]
    numbers = [c for c in frame.columns if c not in ("variant", "draw", "step", "layer")]
    return late.groupby(list(by), sort=False)[numbers].mean().round(3)


def measure(results: Path | None = None, quick: bool = False) -> dict[str, Any]:
    """Late means of every variant on an experiment's results.

    Raises:
        NotHereError: if no folder of results is given.
    """
    if results is None:
        raise NotHereError("needs the results of an experiment: --results FOLDER")
    means = late_means(trained(results, 2, [0], 20 if quick else 400, 32)).reset_index()
    return {"rows": means.to_dict(orient="records")}


def main() -> None:
    """Train the variants, print tables of means, and keep the record if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--labels-per-class", type=int, default=2)
    parser.add_argument("--draws", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument(
        "--record", action="store_true", help="write results/guide.csv, its means and the figure"
    )
    asked = parser.parse_args()
    torch.set_num_threads(1)
    frame = trained(asked.results, asked.labels_per_class, asked.draws, asked.steps, asked.batch)
    of_draws = late_means(frame, ["draw", "variant"]).reset_index()
    of_all = late_means(frame).reset_index().assign(draw="all")
    means = pd.concat([of_draws, of_all])[of_draws.columns]
    print(means.T.to_string())
    if asked.record:
        folder = Path(__file__).parent / "results"
        frame.round(5).to_csv(folder / "guide.csv", index=False, lineterminator="\n")
        means.to_csv(folder / "guide_means.csv", index=False, lineterminator="\n")
        save(figure_of(frame), folder / "guide")


if __name__ == "__main__":
    main()
