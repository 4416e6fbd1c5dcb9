"""What tests of training share."""

import signal

import pytest

from gradmix.training.checkpoints import Checkpoints


@pytest.fixture
def sigterm_after(monkeypatch):
    """Sends SIGTERM behind the n-th step, of one model or of several at once, from now on; 0: never."""
    left = [0]
    original = Checkpoints.after_step

    def after_step(self):
        left[0] -= 1
        if left[0] == 0:
            signal.raise_signal(signal.SIGTERM)
        original(self)

    monkeypatch.setattr(Checkpoints, "after_step", after_step)
    return lambda steps: left.__setitem__(0, steps)
