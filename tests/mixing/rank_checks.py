"""Checks that several ranks make together: ``torchrun --nproc-per-node 2 rank_checks.py CORE.md RESULT.json``.

Rank 0 writes what became of each check; the first is the example of the documentation.
"""

import copy
import json
import re
import sys
import traceback
import warnings
from pathlib import Path

import pytest
import torch
from torch import distributed, nn
from torch.nn.functional import cross_entropy

from gradmix import (
    ConvNet,
    FixedWeights,
    GradMix,
    GuardedSum,
    GuidedSum,
    Mean,
    MetaGradient,
    NonFiniteGradientError,
    Sum,
    SynchronisedStatistics,
    forward_together,
    layers_of,
)
from gradmix.nets.norm import frozen_statistics


class Net(nn.Module):
    """Two shared layers, two heads."""

    def __init__(self, dtype=torch.float64, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.backbone = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh())
        self.heads = nn.ModuleDict({"a": nn.Linear(4, 3), "b": nn.Linear(4, 2)})
        self.to(dtype)

    def forward(self, x, head):
        return self.heads[head](self.backbone(x))


def joined(step, sizes=(7, 8, 6)):
    """A batch of each source and of the target, the same on all ranks."""
    generator = torch.Generator().manual_seed(step)
    return [
        (
            torch.randn(n, 6, generator=generator),
            torch.randint(classes, (n,), generator=generator),
            head,
        )
        for n, head, classes in zip(sizes, "aba", (3, 2, 3), strict=True)
    ]


def losses(net, step, *, alone, part=slice(None)):
    """The losses of this rank's share, or of all; an uneven share counts for as many images as it has."""
    result = []
    for x, y, head in joined(step):
        mine = slice(None) if alone else slice(RANK, None, 2)
        factor = 1.0 if alone else 2 * len(y[mine]) / len(y)
        inputs = x[mine].to(net.backbone[0].weight.dtype)
        each = cross_entropy(net(inputs, head), y[mine], reduction="none")
        result.append(factor * each[part].sum() / len(each))
    return result


def split(losses):
    return losses[:-1], losses[-1]


def trained(make, *, alone, steps=4, accumulate=False):
    net = Net()
    mixer = make(net, None if alone else WORLD)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    mixed = []
    for step in range(steps):
        optimizer.zero_grad()
        if accumulate:
            mixer.accumulate(*split(losses(net, step, alone=alone, part=slice(0, 2))))
        rest = slice(2, None) if accumulate else slice(None)
        mixed.append(mixer.backward(*split(losses(net, step, alone=alone, part=rest))))
        mixer.step(optimizer)
    return net, mixed


def close(first, second, tolerance=1e-12):
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def the_same_on_all_ranks(tensors):
    flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
    gathered = [torch.empty_like(flat) for _ in range(2)]
    distributed.all_gather(gathered, flat)
    assert torch.equal(*gathered)


def tensors_of(step):
    """But for NaN, of what the mixer does not compute."""
    return [v.nan_to_num(7) for v in vars(step).values() if isinstance(v, torch.Tensor)]


def equals_one_process(make, **options):
    expected, expected_steps = trained(make, alone=True, **options)
    network, steps = trained(make, alone=False, **options)
    close(network.parameters(), expected.parameters())
    the_same_on_all_ranks(network.parameters())
    for ours, theirs in zip(steps, expected_steps, strict=True):
        close(tensors_of(ours), tensors_of(theirs), 1e-11)


MIXERS = {
    "gradmix": lambda net, group: GradMix(layers_of(net.backbone), process_group=group),
    "gradmix, eta on the gradient, H1": lambda net, group: GradMix(
        layers_of(net.backbone), eta_on="grad", last_layer="H1", process_group=group
    ),
    "meta gradient": lambda net, group: MetaGradient(layers_of(net.backbone), process_group=group),
    "guided sum": lambda net, group: GuidedSum(layers_of(net.backbone), process_group=group),
    "guarded sum": lambda net, group: GuardedSum(layers_of(net.backbone), process_group=group),
    "sum": lambda net, group: Sum(process_group=group),
    "mean": lambda net, group: Mean(process_group=group),
    "fixed weights": lambda net, group: FixedWeights(weights=[1.0, 0.3], process_group=group),
}


def accumulated_parts():
    equals_one_process(MIXERS["gradmix"], accumulate=True)


def collectives():
    """One all-reduce per step, of the bytes that the documentation says."""
    plain, seen = distributed.all_reduce, []

    def counted(tensor, *arguments, **options):
        seen.append(tensor.numel() * tensor.element_size())
        return plain(tensor, *arguments, **options)

    distributed.all_reduce = counted
    try:
        for name, rows in (("gradmix", 3), ("sum", 1)):
            net = Net(torch.float32)
            mixer = MIXERS[name](net, WORLD)
            for step in range(3):
                seen.clear()
                if rows == 3:
                    mixer.accumulate(*split(losses(net, 0, alone=False)))
                mixer.backward(*split(losses(net, 1, alone=False)))
                parameters = sum(p.numel() for p in net.parameters())
                expected = 4 * (rows * parameters + (2 if rows == 3 else 3) + 32)
                compared = [32] if step == 0 else []
                assert seen == [*compared, expected], (name, step, seen)
    finally:
        distributed.all_reduce = plain


def nan_on_one_rank():
    for name, what in (("gradmix", "the gradient of source 1"), ("sum", "the loss of source 1")):
        net = Net()
        mixer = MIXERS[name](net, WORLD)
        mixer.backward(*split(losses(net, 0, alone=False)))
        net.zero_grad()
        (first, second), target = split(losses(net, 1, alone=False))
        bad = second * (float("nan") if RANK == 1 else 1.0)
        with pytest.raises(NonFiniteGradientError, match=f"step 1: {what} is NaN or infinite"):
            mixer.backward([first, bad], target)
        assert all(p.grad is None for p in net.parameters())


def other_weights_are_refused():
    net = Net(seed=RANK)
    refused(net, losses(net, 0, alone=False), "the ranks hold different weights; seed torch alike")


def other_losses_are_refused():
    net = Net()
    own = losses(net, 0, alone=False)
    # Fewer parameters on one rank: without the comparison the all-reduce itself would fail or hang.
    refused(net, own if RANK == 0 else [own[0], own[2], own[2]], "the losses reach different")


def refused(net, own, message):
    with pytest.raises(ValueError, match=message):
        MIXERS["gradmix"](net, WORLD).backward(*split(own), retain_graph=True)


def another_reach_at_a_later_step_is_refused():
    """By both ranks at that step, though only one of them has met it for the first time."""
    for name, steps in (("gradmix", "aba aba"), ("gradmix", "aaa"), ("sum", "aaa"), ("sum", "aba")):
        net = Net()
        mixer = MIXERS[name](net, WORLD)
        for heads in steps.split():
            mixer.backward(*with_heads(net, heads))
        net.zero_grad()
        other = {"aaa": "aba", "aba": "aaa"}[steps[:3]]
        with pytest.raises(ValueError, match="the losses reach different parameters"):
            mixer.backward(*with_heads(net, other if RANK == 0 else steps[:3]))
        assert all(p.grad is None for p in net.parameters())


def another_reach_on_all_ranks_is_none():
    alone, net = Net(), Net()
    one, mixer = MIXERS["gradmix"](alone, None), MIXERS["gradmix"](net, WORLD)
    with pytest.warns(UserWarning, match="no process_group"):
        one.backward(*with_heads(alone, "aaa"))
    mixer.backward(*with_heads(net, "aaa"))
    for heads in ("aba", "aaa", "aba"):
        alone.zero_grad()
        net.zero_grad()
        expected = one.backward(*with_heads(alone, heads))
        step = mixer.backward(*with_heads(net, heads))
        close(tensors_of(step), tensors_of(expected), 1e-11)
        for ours, theirs in zip(net.parameters(), alone.parameters(), strict=True):
            assert (ours.grad is None) == (theirs.grad is None)
            if ours.grad is not None:
                close([ours.grad], [theirs.grad])


def with_heads(net, heads):
    """Losses on the same images on all ranks."""
    own_losses = []
    for (x, y, _), head in zip(joined(0), heads, strict=True):
        own_losses.append(cross_entropy(net(x.double(), head), y.clamp(max=1)))
    return split(own_losses)


def ranks_that_mix_apart_are_warned():
    for parallel in (False, True):
        net = Net()
        mixer = GradMix(layers_of(net.backbone))
        inner = nn.parallel.DistributedDataParallel(net) if parallel else net
        (first, second), target = split(losses(inner.module if parallel else net, 0, alone=False))
        with pytest.warns(UserWarning, match=r"process_group=torch.distributed.group.WORLD"):
            mixer.backward([first, second], target)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            mixer.backward(*split(losses(net, 1, alone=False)))
            MIXERS["gradmix"](net, WORLD).backward(*split(losses(net, 1, alone=False)))


def bfloat16_networks():
    net = Net(torch.bfloat16)
    MIXERS["gradmix"](net, WORLD).backward(*split(losses(net, 0, alone=False)))
    the_same_on_all_ranks([p.grad.float() for p in net.parameters()])


def batch_normalisation(statistics="shared", dtype=torch.float64, tolerance=1e-12):
    """Gradients and running statistics, with passes that leave these as they are."""
    torch.manual_seed(0)
    net = ConvNet(
        {"a": 3}, image_size=(8, 8), width=4, hidden=6, norm_statistics=statistics,
        normalise="all", domains=["one", "two"],
    ).to(dtype)  # fmt: skip
    x, y = torch.randn(7, 3, 8, 8).to(dtype), torch.randint(3, (7,))
    results = []
    for mine in (slice(None), slice(RANK, None, 2)):
        alone = mine == slice(None)
        own = copy.deepcopy(net)
        factor = 1.0 if alone else 2 * len(y[mine]) / len(y)
        with copy.copy(NOTHING) if alone else SynchronisedStatistics(WORLD):
            loss = factor * cross_entropy(own(x[mine], "a", "two"), y[mine])
            with frozen_statistics(own):
                loss = loss + factor * own(2 * x[mine], "a", "one").square().mean()
        loss.backward()
        gradients = torch.cat([p.grad.flatten() for p in own.parameters()])
        if not alone:
            distributed.all_reduce(gradients)
            gradients /= 2
            the_same_on_all_ranks([b.to(dtype) for b in own.buffers()])
        results.append([gradients, *own.buffers()])
    close(*results, tolerance)


def batch_normalisation_of_a_joint_pass():
    torch.manual_seed(0)
    net = ConvNet({"a": 3}, image_size=(8, 8), width=4, hidden=6).double()
    xs = [torch.randn(n, 3, 8, 8).double() for n in (8, 4, 6)]
    results = []
    for mine in (slice(None), slice(RANK, None, 2)):
        alone = mine == slice(None)
        own = copy.deepcopy(net)
        with copy.copy(NOTHING) if alone else SynchronisedStatistics(WORLD):
            features = forward_together(own.features, [x[mine] for x in xs])
        squares = [own.classify(part, "a").square().mean() for part in features]
        mixer = GradMix(layers_of(own.backbone), process_group=None if alone else WORLD)
        mixer.backward(*split(squares))
        results.append([*(p.grad for p in own.parameters()), *own.buffers()])
    close(*results)


def the_documented_example(names):
    """What the documentation's example trained is what one process trains with the joined batches."""
    torch.manual_seed(0)
    net = ConvNet({"digits_5_9": 5, "digits_0_4": 5}, image_size=(8, 8), width=8)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    mixer = GradMix(layers_of(net.backbone))
    for batches in names["joined_batches"]:
        *sources, target = [cross_entropy(net(x, space), y) for x, y, space in batches]
        optimizer.zero_grad()
        mixer.backward(sources, target)
        mixer.step(optimizer)
    close(names["net"].state_dict().values(), net.state_dict().values(), 1e-5)
    the_same_on_all_ranks([t.float() for t in names["net"].state_dict().values()])


def run_example(core):
    """The documentation's example, but for its last line: the other checks need the ranks, too."""
    text = core.read_text().split("## Several GPUs")[1]
    code = re.search(
        r"```python\n(.*?)distributed\.destroy_process_group\(\)\n```", text, re.DOTALL
    )
    generator = torch.Generator().manual_seed(5)
    spaces = ("digits_5_9", "digits_0_4", "digits_5_9")
    batches = [
        [
            (
                torch.randn(8, 3, 8, 8, generator=generator),
                torch.randint(5, (8,), generator=generator),
                space,
            )
            for space in spaces
        ]
        for _ in range(4)
    ]
    names = {**globals(), "joined_batches": batches}
    exec(compile(code.group(1), str(core), "exec"), names)
    return names


if __name__ == "__main__":
    from contextlib import nullcontext

    NOTHING = nullcontext()
    torch.set_num_threads(1)
    NAMES = run_example(Path(sys.argv[1]))
    RANK, WORLD = distributed.get_rank(), distributed.group.WORLD
    checks = {
        "the documented example": lambda: the_documented_example(NAMES),
        **{name: (lambda make=make: equals_one_process(make)) for name, make in MIXERS.items()},
        "accumulated parts": accumulated_parts,
        "collectives": collectives,
        "nan on one rank": nan_on_one_rank,
        "other weights": other_weights_are_refused,
        "other losses": other_losses_are_refused,
        "another reach at a later step": another_reach_at_a_later_step_is_refused,
        "another reach on all ranks": another_reach_on_all_ranks_is_none,
        "ranks apart": ranks_that_mix_apart_are_warned,
        "bfloat16": bfloat16_networks,
        "batch normalisation": batch_normalisation,
        "batch normalisation of domains": lambda: batch_normalisation("per_domain"),
        "batch normalisation in float32": lambda: batch_normalisation(
            "shared", torch.float32, 1e-5
        ),
        "batch normalisation of a joint pass": batch_normalisation_of_a_joint_pass,
    }
    became = {}
    for name, check in checks.items():
        try:
            check()
            word = ""
        except Exception:
            word = traceback.format_exc()
        words = [None, None]
        distributed.all_gather_object(words, word)
        became[name] = "\n".join(filter(None, words))
    if RANK == 0:
        Path(sys.argv[2]).write_text(json.dumps(became))
    distributed.destroy_process_group()
