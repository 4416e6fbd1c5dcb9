"""Adam's moments as tensors by name, as checkpoints hold them."""

from collections.abc import Mapping

from torch import Tensor, optim


def adam_state(adam: optim.Adam) -> dict[str, Tensor]:
    """Moments and step counts of every parameter, under names such as ``0.exp_avg``."""
    moments = adam.state_dict()["state"]
    return {f"{index}.{name}": t for index, values in moments.items() for name, t in values.items()}


def load_adam_state(adam: optim.Adam, state: Mapping[str, Tensor]) -> None:
    """Put back what `adam_state` gave."""
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        index, name = key.split(".", 1)
        # Adam counts steps on the host, whatever the device.
        moments.setdefault(int(index), {})[name] = tensor.cpu() if name == "step" else tensor
    adam.load_state_dict({**adam.state_dict(), "state": moments})
