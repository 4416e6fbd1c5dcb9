"""The README's example runs as it stands, and what it prints is true."""

import re
from pathlib import Path

import torch

README = Path(__file__).parents[1] / "README.md"


def test_the_example_trains(capsys):
    code = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL).group(1)
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    torch.manual_seed(0)
    names: dict = {}
    exec(compile(code, str(README), "exec"), names)
    assert capsys.readouterr().out.startswith("rho ")
    mixed, net = names["mixed"], names["net"]
    assert mixed.weights_LK.shape == (5, 2)
    torch.testing.assert_close(mixed.weights_LK.sum(dim=1), torch.ones(5, dtype=torch.float64))
    # It learned the target's task from the noisy digits, guided by 15 images.
    rest = names["labels"] >= 5
    net.eval()
    with torch.no_grad():
        predicted = net(names["images"][rest], "digits_5_9").argmax(dim=1) + 5
    assert (predicted == names["labels"][rest]).float().mean() > 0.7
