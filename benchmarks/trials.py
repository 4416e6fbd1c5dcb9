"""Ways of making a step faster that were tried, each beside what is done now; docs/performance.md says what was kept.

    python -m benchmarks --only trials

A trial's variants take turns; the first one is what is done now. All but the mixing's own trials are forward and
backward passes of the digit network with its 64 channels, on batches of 64 images of 32 x 32.
"""

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.measuring import in_turns, ratios, spread
from gradmix import ConvNet, forward_together
from gradmix.mixing.gradients import gradients_of
from gradmix.mixing.rows import TensorRows, gram
from gradmix.training.sgd import SGD

Trial = Mapping[str, Callable[[], Any]]
IMAGES, SOURCES = 64, 3
# The convolutions of ResNet-18's last stages hold nearly all of its gradients' elements.
SIZES = [(128, 128, 3, 3)] * 3 + [(256, 256, 3, 3)] * 3 + [(512, 512, 3, 3)] * 3


def measure(device: str = "cpu", *, rounds: int = 7, quick: bool = False) -> dict[str, Any]:
    """Rows of seconds and of ratios to the trial's first variant."""
    torch.manual_seed(0)
    rows = []
    for trial, variants in trials(device, quick):
        seconds = in_turns(variants, rounds=rounds, device=device)
        reference = seconds[next(iter(variants))]
        rows += [
            {
                "trial": trial,
                "variant": name,
                "ms": spread([1000 * value for value in values]),
                "ratio": spread(ratios(values, reference)),
            }
            for name, values in seconds.items()
        ]
    return {"rows": rows, "images": IMAGES, "sources": SOURCES}


def trials(device: str, quick: bool) -> Iterator[tuple[str, Trial]]:
    """Name and variants of each."""
    images = 4 if quick else IMAGES
    yield "gradients of several sources", _sources(device, images)
    yield "layout in memory", _layouts(device, images)
    yield "precision of the forward pass", _precisions(device, images)
    if not quick:  # half a minute of compilation
        yield "torch.compile", _compiled(device, images)
    yield "inner products of three gradients", _gram(device, SIZES[:1] if quick else SIZES)
    yield "the step by a part of its length", _scaled(device, SIZES[:1] if quick else SIZES)


def _network(device: str, *, statistics: bool = True) -> ConvNet:
    torch.manual_seed(0)
    network = ConvNet({"digits": 5}).to(device)
    if not statistics:  # vmap cannot update running statistics that all share
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.track_running_stats = False
                module.running_mean = module.running_var = module.num_batches_tracked = None
    return network.to(memory_format=torch.channels_last)


def _batch(device: str, images: int) -> tuple[Tensor, Tensor]:
    x = torch.randn(images, 3, 32, 32, device=device)
    return x.contiguous(memory_format=torch.channels_last), torch.randint(5, (images,)).to(device)


def _pass(network: ConvNet, x: Tensor, y: Tensor) -> None:
    network.zero_grad(set_to_none=True)
    cross_entropy(network(x, "digits").float(), y).backward()


def _sources(device: str, images: int) -> Trial:
    from torch.func import functional_call, grad, vmap

    network = _network(device, statistics=False)
    plain = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    batches = [_batch(device, images) for _ in range(SOURCES)]
    names = [f"source {index}" for index in range(SOURCES)]
    parameters = dict(plain.named_parameters())
    stacked = (
        torch.stack([x.contiguous() for x, _ in batches]),
        torch.stack([y for _, y in batches]),
    )

    def loss(values: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(functional_call(plain, values, (x, "digits")), y)

    by_vmap = vmap(grad(loss), in_dims=(None, 0, 0))

    def separate() -> Any:
        losses = [cross_entropy(network(x, "digits"), y) for x, y in batches]
        return gradients_of(losses, names, None, retain_graph=False)

    def together() -> Any:
        features = forward_together(network.features, [x for x, _ in batches])
        pairs = zip(features, batches, strict=True)
        losses = [cross_entropy(network.classify(f, "digits"), y) for f, (_, y) in pairs]
        return gradients_of(losses, names, None, retain_graph=False)

    return {
        "a pass each": separate,
        "forward_together": together,
        "vmap over sources": lambda: by_vmap(parameters, *stacked),
    }


def _layouts(device: str, images: int) -> Trial:
    last, first = _network(device), _network(device).to(memory_format=torch.contiguous_format)
    x, y = _batch(device, images)
    plain = x.contiguous()
    return {
        "channels last": lambda: _pass(last, x, y),
        "channels first": lambda: _pass(first, plain, y),
        "only images channels last": lambda: _pass(first, x, y),
    }


def _precisions(device: str, images: int) -> Trial:
    network = _network(device)
    x, y = _batch(device, images)

    def low() -> None:
        with torch.autocast(device, torch.bfloat16):
            _pass(network, x, y)

    return {"float32": lambda: _pass(network, x, y), "bfloat16 autocast": low}


def _compiled(device: str, images: int) -> Trial:
    eager, network = _network(device), _network(device)
    backbone = torch.compile(network.backbone)
    x, y = _batch(device, images)

    def compiled() -> None:
        network.zero_grad(set_to_none=True)
        cross_entropy(network.classify(backbone(x), "digits"), y).backward()

    began = time.perf_counter()
    compiled()
    name = f"compiled backbone ({time.perf_counter() - began:.0f} s to compile)"
    return {"eager": lambda: _pass(eager, x, y), name: compiled}


def _gram(device: str, sizes: list[tuple[int, ...]]) -> Trial:
    gradients = [[torch.randn(size, device=device) for _ in range(SOURCES)] for size in sizes]

    def whole() -> None:
        for tensors in gradients:
            rows = torch.stack([tensor.flatten() for tensor in tensors]).double()
            rows @ rows.mT

    def dots() -> None:
        for tensors in gradients:
            flat = [tensor.flatten() for tensor in tensors]
            for index, first in enumerate(flat):
                for second in flat[: index + 1]:
                    torch.dot(first, second)

    def pieces() -> None:
        gram([[TensorRows(tensors)] for tensors in gradients], SOURCES, gradients[0][0])

    return {
        "float64, piece by piece": pieces,
        "float64, a copy of the layer": whole,
        "float32 dot products": dots,
    }


def _scaled(device: str, sizes: list[tuple[int, ...]]) -> Trial:
    eta = torch.tensor(0.7, device=device)

    def optimizer() -> SGD:
        parameters = [nn.Parameter(torch.randn(size, device=device)) for size in sizes]
        for parameter in parameters:
            parameter.grad = torch.randn_like(parameter)
        return SGD(parameters, lr=0.05, momentum=0.9, weight_decay=0.0)

    first, second = optimizer(), optimizer()

    @torch.no_grad()
    def undone() -> None:
        parameters = second.param_groups[0]["params"]
        before = [parameter.clone() for parameter in parameters]
        second.step()
        for parameter, old in zip(parameters, before, strict=True):
            torch.lerp(old, parameter, eta, out=parameter)

    return {
        "the optimizer scales its step": lambda: first.scaled_step(eta),
        "step, then go back a part": undone,
    }
