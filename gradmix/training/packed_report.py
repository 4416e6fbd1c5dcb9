"""What the steps of a pack log, stacked over its members until it is asked for, and what is wrong with a member.

Shapes: M models, S losses, T steps, L layers, R losses that are mixed.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gradmix.training.packed_member import Member
from gradmix.training.state import RunState


class PackedReport:
    """The steps since the last evaluation, on the device; `handed_out` gives each member its part."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = list(members)
        self._steps: dict[str, list[Tensor]] = {}
        self._mixed: list[Any] = []
        # What resumed members logged before they were broken off.
        self._earlier = [member.state.curves.state() for member in members]

    def forget(self) -> None:
        """An evaluation has made a row of it."""
        self._steps, self._mixed = {}, []
        self._earlier = [{} for _ in self._members]

    def add(self, losses_SM: Sequence[Tensor], step: Any | None) -> None:
        """Keep one step on the device."""
        values = {"losses": torch.stack([loss.detach() for loss in losses_SM], dim=1)}
        if step is not None:
            values |= {"rho": step.rho, "eta": step.eta}
            values |= {"weights_LK": step.weights_LK, "cosines_L": step.cosines_L}
            self._mixed.append(step)
        for name, value in values.items():
            self._steps.setdefault(name, []).append(value)

    def handed_out(self) -> list[str | None]:
        """Give every member's curves their values, on the host; what is wrong with each member."""
        steps = {name: torch.stack(values).cpu() for name, values in self._steps.items()}
        for index, (member, earlier) in enumerate(zip(self._members, self._earlier, strict=True)):
            own = {name: values_TM[:, index] for name, values_TM in steps.items()}
            before = {name: values.cpu() for name, values in earlier.items()}
            names = {**before, **own}
            parts = {
                name: [known[name] for known in (before, own) if name in known] for name in names
            }
            member.state.curves.load({name: torch.cat(values) for name, values in parts.items()})
        faults = [_fault(member.state) for member in self._members]
        if self._mixed:
            finite_TMLR = torch.stack([step.finite for step in self._mixed]).cpu()
            begun = self._members[0].state.step - len(self._mixed)
            bad_M = ~finite_TMLR.all(dim=0).flatten(1).all(dim=1)
            for index in bad_M.nonzero().flatten().tolist():
                told = (
                    step.fault(begun + place, finite_MLR[index])
                    for place, (step, finite_MLR) in enumerate(
                        zip(self._mixed, finite_TMLR, strict=True)
                    )
                )
                faults[index] = next(filter(None, told))
            self._mixed = []
        return faults


def _fault(state: RunState) -> str | None:
    bad = state.curves.first_bad_loss()
    if bad is None:
        return None
    return f"step {state.step - state.taken + bad[0]}: the loss of {bad[1]} is NaN or infinite"
