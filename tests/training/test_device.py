"""Which device a run uses."""

import pytest
import torch

from gradmix.training.device import device_for_run, hardware


def test_cpu_and_its_threads():
    before = torch.get_num_threads()
    try:
        with device_for_run("cpu", 1) as device:
            assert device.type == "cpu"
            assert torch.get_num_threads() == 1
            record = hardware(device, 1)
    finally:
        torch.set_num_threads(before)
    assert record["device"] == "cpu"
    assert record["name"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_gpu_that_is_not_there_is_named_with_the_way_out():
    with pytest.raises(
        ValueError, match="device: cuda, but torch sees no GPU here; use device: auto"
    ):
        device_for_run("cuda", 1).__enter__()
