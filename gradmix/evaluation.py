"""Predicts with a network on images that stay on disk, and measures its accuracy."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradmix.nets.inputs import evaluation_input
from gradmix.nets.passes import logits_by_pass, pass_size


def predict_logits(
    network: nn.Module,
    images: np.ndarray,
    rows: Sequence[int] | np.ndarray,
    label_space: str,
    domain: str | None,
    device: torch.device,
) -> Tensor:
    """Compute logits of the chosen rows in evaluation mode, (n, classes) float32 on the CPU.

    Args:
        network: its mode is put back afterwards.
        images: (N, H, W, C) uint8, may be memory-mapped; only one pass is read at a time.
        rows: rows of the chosen images.
        label_space: name of the head.
        domain: name of the normalisation statistics, where the network keeps them by domain.
        device: where the network is.

    Raises:
        ValueError: if there is no row, or the images do not fit the network.
    """
    rows = np.asarray(rows, dtype=np.int64)
    if len(rows) == 0:
        raise ValueError(f"there is no image to predict in label space {label_space}")

    def images_of(part: slice) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(images[rows[part]])).to(device)

    def logits_of(batch: Tensor) -> Tensor:
        logits: Tensor = network(evaluation_input(network, batch), label_space, domain)
        return logits.float()

    passes = logits_by_pass(network, logits_of, images_of, len(rows), device)
    return torch.cat([logits for _, logits in passes]).cpu()  # the host waits here, once


def evaluate(
    network: nn.Module,
    images: np.ndarray,
    labels: np.ndarray,
    rows: Sequence[int],
    label_space: str,
    domain: str | None,
    device: torch.device,
    *,
    classes: int,
    clips: np.ndarray | None = None,
) -> dict[str, Any]:
    """Measure accuracy (a fraction) and confusion ([true][predicted] counts) on the chosen rows.

    Args:
        network: its mode is put back afterwards.
        images: (N, H, W, C) uint8.
        labels: (N,) of all images.
        rows: rows of the chosen images.
        label_space: name of the head.
        domain: as in `predict_logits`.
        device: where the network is.
        classes: number of classes of the label space.
        clips: (N,) names of the clips that the images are frames of; adds video_count and accuracy_per_video, for
            which a clip's class is the largest mean probability over its frames (Li et al. 2020, section 4.3).
    """
    logits = predict_logits(network, images, rows, label_space, domain, device)
    predicted = logits.argmax(dim=1).numpy()
    truth = np.asarray(labels)[np.asarray(rows)]
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    per_video = {} if clips is None else _per_video(logits, truth, clips[np.asarray(rows)])
    return {
        "test_count": len(truth),
        "accuracy": float((predicted == truth).mean()),
        **per_video,
        "confusion": confusion.tolist(),
    }


def _per_video(logits_NC: Tensor, truth_N: np.ndarray, clips_N: np.ndarray) -> dict[str, Any]:
    _, first_V, video_N = np.unique(clips_N, return_index=True, return_inverse=True)
    probabilities = torch.softmax(logits_NC.double(), dim=1)
    sums = torch.zeros(len(first_V), logits_NC.shape[1], dtype=torch.float64)
    sums.index_add_(0, torch.from_numpy(video_N.reshape(-1)), probabilities)
    # The mean over a clip's frames and their sum have the same largest class.
    right = sums.argmax(dim=1).numpy() == truth_N[first_V]
    return {"video_count": len(first_V), "accuracy_per_video": float(right.mean())}


@torch.no_grad()
def reestimate_statistics(
    network: nn.Module, images: np.ndarray, label_space: str, domain: str | None
) -> nn.Module:
    """Copy the network, with batch-normalisation statistics of the given images.

    No training and no label: scale and bias stay. Layer by layer as in training mode; images that are too many for
    one pass are parted evenly, and the statistics of the passes averaged.

    Args:
        network: stays as it is.
        images: (n, H, W, C) uint8.
        label_space: name of the head.
        domain: the domain with the statistics to replace, where the network keeps them by domain.

    Raises:
        ValueError: if there is no image, or the images do not fit the network.
    """
    if len(images) == 0:
        raise ValueError("statistics cannot be estimated on no image")
    renewed = copy.deepcopy(network).eval()
    norms = [m for m in renewed.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    device = next(renewed.parameters()).device
    passes = -(-len(images) // pass_size(network))
    for number, part in enumerate(np.array_split(np.arange(len(images)), passes)):
        for norm in norms:
            norm.momentum = 1 / (number + 1)  # the mean over the passes, nothing of the old ones
            norm.train()
        batch = torch.from_numpy(np.array(images[part])).to(device)  # a copy: maps are read-only
        renewed(evaluation_input(renewed, batch), label_space, domain)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return renewed.eval()
