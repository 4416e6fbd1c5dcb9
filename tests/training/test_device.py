"""Which device a run uses."""

import subprocess
import sys
import textwrap

import pytest
import torch

from gradmix.training.device import device_for_run, hardware, slot


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


def test_processes_take_different_slots_and_give_them_back(tmp_path):
    with slot(2, tmp_path) as mine:
        assert mine == 0
        code = f"""
            from pathlib import Path
            from gradmix.training.device import slot
            with slot(2, Path({str(tmp_path)!r})) as index:
                print(index)
        """
        other = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert other.stdout.strip() == "1"
    with slot(2, tmp_path) as again:
        assert again == 0


def test_more_runs_than_gpus_share(tmp_path):
    with slot(1, tmp_path), slot(1, tmp_path) as second:
        assert second == 0
