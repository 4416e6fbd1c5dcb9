"""Predictions of chosen models: pseudo-labels of U by the ensemble, and the one look at the test set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gradmix.domains.format import Domain, open_domain
from gradmix.evaluation import evaluate, predict_logits, reestimate_statistics
from gradmix.files import read_json, write_json, write_parquet
from gradmix.nets.build import build_network
from gradmix.pseudo_labels import label_unlabelled
from gradmix.split_files import read_split
from gradmix.training.device import device_for_run
from gradmix.training.model_file import load_model
from gradmix.training.progress import Log


def pseudo_label(
    *,
    ensemble: Path,
    target: Path,
    split: Path,
    threshold: float,
    output: Path,
    device: str = "auto",
    threads: int = 1,
    log: Log,
) -> None:
    """Label every image of U with the ensemble (evaluation mode, no augmentation) and write predictions.

    Args:
        ensemble: the R models, as `select_top` wrote them.
        target: folder of the target domain; its labels are not read.
        split: this draw's split.
        threshold: each model's probability of the agreed class must be above it for a hard label.
        output: folder of predictions.parquet and summary.json.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads.
        log: gets one line per event.
    """
    chosen = read_json(ensemble)
    domain = open_domain(target)
    rows = np.asarray(read_split(split, domain)["U"], dtype=np.int64)
    models = {member: Path(chosen["models"][member]) for member in chosen["members"]}
    with device_for_run(device, threads) as where:
        probabilities_MNC = predict_unlabelled(models, domain, rows, where, log)
    frame = label_unlabelled(probabilities_MNC, rows, threshold)
    accepted = frame["label"].to_numpy()
    counts = np.bincount(accepted[accepted >= 0], minlength=len(domain.classes)).tolist()
    summary = {
        "threshold": threshold,
        "R": chosen["R"],
        "members": chosen["members"],
        "unlabelled": len(rows),
        "accepted": sum(counts),
        "accepted_per_class": dict(zip(domain.classes, counts, strict=True)),
    }
    log(f"accepted {sum(counts)} of {len(rows)} images: {summary['accepted_per_class']}")
    write_parquet(output / "predictions.parquet", frame)
    write_json(output / "summary.json", summary)


def predict_unlabelled(
    models: Mapping[str, Path], domain: Domain, rows: np.ndarray, device: torch.device, log: Log
) -> np.ndarray:
    """Class probabilities of images by each of M models, (M, N, C) float32.

    Args:
        models: file of each model by its name.
        domain: of the images.
        rows: (N,) which images.
        device: where the networks go.
        log: gets one line per model.
    """
    probabilities = []
    for name, model in models.items():
        network = load_network(model, device)
        logits_NC = predict_logits(
            network, domain.images, rows, domain.label_space, domain.name, device
        )
        probabilities.append(torch.softmax(logits_NC, dim=1).numpy())
        log(f"{name}: predicted {len(rows)} images of U")
    return np.stack(probabilities)


def evaluate_run(
    *,
    run: Path,
    target: Path,
    test: Path,
    split: Path,
    labels_per_class: int,
    output: Path,
    device: str = "auto",
    threads: int = 1,
    log: Log,
) -> None:
    """Evaluate a run's chosen checkpoint on the test set. The only place where test images meet a network.

    Args:
        run: folder of the run's model and record.
        target: folder of the target domain.
        test: folder of the domain that the split's test rows belong to.
        split: this draw's split.
        labels_per_class: k of the table's column (a run without target labels serves every k).
        output: metrics.json.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads.
        log: gets one line per event.
    """
    record = read_json(run / "run.json")
    domain, test_domain = open_domain(target), open_domain(test)
    parts = read_split(split, domain, test_domain)
    with device_for_run(device, threads) as where:
        network = load_network(run / "model.safetensors", where)
        plain = _test(network, test_domain, parts["test"], domain.name, where)
        renewed = reestimate_statistics(
            network, domain.images[parts["V"]], domain.label_space, domain.name
        )
        on_target = _test(renewed, test_domain, parts["test"], domain.name, where)
    metrics = {
        "method": record["method"],
        "recipe": record["recipe"],
        "title": record["title"],
        "labels_per_class": labels_per_class,
        "draw": record["draw"],
        **plain,
        **{
            f"{name}_statistics_on_V": value
            for name, value in on_target.items()
            if "accuracy" in name
        },
        "hyper_validation_accuracy": record["hyper_validation_accuracy"],
        "chosen_step": record["chosen_step"],
        "classes": domain.classes,
        "notes": record["notes"],
    }
    log(f"test accuracy {100 * plain['accuracy']:.2f} % of {plain['test_count']} images")
    write_json(output, metrics)


def load_network(model: Path, device: torch.device) -> nn.Module:
    """The network of a finished run, built from the settings in the record beside its weights."""
    record = read_json(model.parent / "run.json")
    settings: Mapping[str, Any] = record["settings"]
    network = build_network(
        settings["network"],
        record["label_spaces"],
        settings["image"],
        record["domains"],
        seed=record["seeds"]["init"],
    )
    network.load_state_dict(load_model(model))
    return network.to(device).to(memory_format=torch.channels_last)


def _test(
    network: nn.Module, test: Domain, rows: Sequence[int], statistics_of: str, device: torch.device
) -> dict[str, Any]:
    return evaluate(
        network, test.images, test.labels, rows, test.label_space, statistics_of, device,
        classes=len(test.classes), clips=clips_of(test),
    )  # fmt: skip


def clips_of(domain: Domain) -> np.ndarray | None:
    """(N,) name of the clip that each image is a frame of; ``None`` for a domain without clips."""
    clips = domain.column("clip").astype(str)
    return clips if (clips != "").any() else None
