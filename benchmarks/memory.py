"""Largest memory that a step holds at once, beyond what lay there when it began.

On a CPU every allocation and release that torch's allocator makes during a step is taken from torch's profiler
(``profile_memory``) and replayed in order: exact to the byte, temporary buffers inside operations included, but without
what MKL and oneDNN allocate for themselves. On a GPU it is the allocator's own peak.
"""

import gc
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.cases import Case


def peak_bytes(step: Callable[[], Any], case: Case) -> int:
    """Of one step, which was taken before: what is made once, momentum say, lies there already; no gradient does."""
    device = case.device
    case.network.zero_grad()
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profiler:
        step()
    events = profiler.profiler.kineto_results.events()
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    return largest_sum([change for _, change in sorted(changes, key=lambda pair: pair[0])])


def largest_sum(changes: list[int]) -> int:
    """Of the first n numbers, over all n, at least 0."""
    total = largest = 0
    for change in changes:
        total += change
        largest = max(largest, total)
    return largest
