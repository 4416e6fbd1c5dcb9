"""Predictions and accuracy of a network on images that stay on disk."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradmix.nets.inputs import to_input


@torch.no_grad()
def predict_logits(
    network: nn.Module,
    images: np.ndarray,
    rows: Sequence[int] | np.ndarray,
    label_space: str,
    domain: str | None,
    device: torch.device,
    batch_size: int = 512,
) -> Tensor:
    """Logits of the chosen rows in evaluation mode, (n, classes) float32 on the CPU.

    Args:
        network: its mode is put back afterwards.
        images: (N, H, W, C) uint8, may be memory-mapped; only one batch is read at a time.
        rows: which images.
        label_space: whose head.
        domain: whose normalisation statistics, where the network keeps them by domain.
        device: where the network is.
        batch_size: images per forward pass.

    Raises:
        ValueError: if there is no row, or the images do not fit the network.
    """
    rows = np.asarray(rows, dtype=np.int64)
    if len(rows) == 0:
        raise ValueError(f"there is no image to predict in label space {label_space}")
    was_training = network.training
    network.eval()
    parts = []
    try:
        for start in range(0, len(rows), batch_size):
            batch = torch.from_numpy(np.ascontiguousarray(images[rows[start : start + batch_size]]))
            inputs = to_input(batch.to(device), channels=int(network.in_channels))  # type: ignore[arg-type]
            parts.append(network(inputs, label_space, domain).float().cpu())
    finally:
        network.train(was_training)
    return torch.cat(parts)


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
) -> dict[str, Any]:
    """Accuracy (a fraction) and confusion ([true][predicted] counts) on the chosen rows."""
    logits = predict_logits(network, images, rows, label_space, domain, device)
    predicted = logits.argmax(dim=1).numpy()
    truth = np.asarray(labels)[np.asarray(rows)]
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    return {
        "test_count": len(truth),
        "accuracy": float((predicted == truth).mean()),
        "confusion": confusion.tolist(),
    }


@torch.no_grad()
def reestimate_statistics(
    network: nn.Module, images: np.ndarray, label_space: str, domain: str | None
) -> nn.Module:
    """A copy whose batch-normalisation statistics are those of the given images.

    No training and no label: scale and bias stay. One pass, layer by layer as in training mode.

    Args:
        network: stays as it is.
        images: (n, H, W, C) uint8; forwarded as one batch.
        label_space: whose head.
        domain: whose statistics are replaced, where the network keeps them by domain.

    Raises:
        ValueError: if there is no image, or the images do not fit the network.
    """
    if len(images) == 0:
        raise ValueError("statistics cannot be estimated on no image")
    renewed = copy.deepcopy(network).eval()
    norms = [m for m in renewed.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0  # the statistics of this one batch, nothing of the old ones
        norm.train()
    device = next(renewed.parameters()).device
    batch = torch.from_numpy(np.array(images)).to(device)  # a copy: memory maps are read-only
    renewed(to_input(batch, channels=int(renewed.in_channels)), label_space, domain)  # type: ignore[arg-type]
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return renewed.eval()
