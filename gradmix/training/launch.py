"""Training by several ranks: starts a process for each, passes SIGTERM on, tells errors in one sentence.

``python -m gradmix.training.launch JOB.json`` is one of these processes.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from gradmix.files import read_json, write_json
from gradmix.training import run
from gradmix.training.job import Run
from gradmix.training.progress import Log
from gradmix.training.ranks import Ranks
from gradmix.training.state import TrainingError
from gradmix.training.stop import Stop

# Rank 0 may have a checkpoint to write before it leaves.
_GRACE_SECONDS = 60.0


def train_runs(runs: Sequence[Run], log: Log) -> None:
    """`gradmix.training.run.train_runs`, by ``job.ranks`` processes where that is more than one."""
    job = runs[0].job
    if job.ranks == 1:
        run.train_runs(runs, log)
        return
    devices = _devices(job.device, job.ranks)
    with tempfile.TemporaryDirectory(prefix="gradmix-ranks-") as name, Stop().listening():
        folder = Path(name)
        log(f"{job.ranks} ranks on {', '.join(devices)}")
        write_json(
            folder / "job.json", {"runs": [each.to_json() for each in runs], "devices": devices}
        )
        processes = [_start(folder, rank) for rank in range(job.ranks)]
        reader = threading.Thread(target=_copy, args=(processes[0].stdout, log))
        reader.start()
        try:
            while None in (statuses := [process.poll() for process in processes]):
                if any(statuses):
                    # The others learn of it when they next talk; rank 0 then keeps its state.
                    _wait(processes)
                    statuses = [process.poll() for process in processes]
                    break
                time.sleep(0.1)
        except BaseException:
            # Only rank 0 has something to keep. The others go on until it has left: it may be waiting for them.
            processes[0].terminate()
            _wait(processes[:1])
            raise
        finally:
            for process in processes:
                process.kill()
                process.wait()
            reader.join()
        if any(statuses):
            for rank in range(job.ranks):
                log(f"rank {rank}: {(folder / f'{rank}.txt').read_text(errors='replace')}")
            raise _error(folder, statuses)


def _start(folder: Path, rank: int) -> "subprocess.Popen[str]":
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "RANK": str(rank)}
    # All ranks are on this machine, and its own name may lead nowhere.
    environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
    with open(folder / f"{rank}.txt", "w", encoding="utf-8") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "gradmix.training.launch", str(folder / "job.json")],
            env=environment,
            stdout=subprocess.PIPE if rank == 0 else said,
            stderr=said,
            text=True,
            start_new_session=True,  # Ctrl-C is for the process that waits for the ranks
        )


def _copy(lines: Any, log: Log) -> None:
    with lines:
        for line in lines:
            log(line.rstrip("\n"))


def _wait(processes: Sequence["subprocess.Popen[str]"]) -> None:
    until = time.monotonic() + _GRACE_SECONDS
    for process in processes:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            return


def _error(folder: Path, statuses: Sequence[int | None]) -> Exception:
    """The one error behind the others, most of which only say that a rank has gone."""
    told = {
        rank: read_json(folder / f"error-{rank}.json")
        for rank in range(len(statuses))
        if (folder / f"error-{rank}.json").exists()
    }
    for error in told.values():
        if error["kind"] in ("TrainingError", "ValueError"):
            kind = ValueError if error["kind"] == "ValueError" else TrainingError
            return kind(error["message"])
    for rank, status in enumerate(statuses):
        if status and rank not in told:
            why = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
            return RuntimeError(f"rank {rank} of {len(statuses)} was ended {why}")
    rank, error = min(told.items(), key=lambda item: item[1]["time"])
    return RuntimeError(f"rank {rank} of {len(statuses)}: {error['kind']}: {error['message']}")


def _devices(setting: str, ranks: int) -> list[str]:
    """A device per rank: the GPUs in sight, which are this job's, or the CPU for all."""
    if setting == "cpu" or not torch.cuda.is_available():
        if setting == "cuda":
            raise ValueError("device: cuda, but torch sees no GPU here; use device: auto or cpu")
        return ["cpu"] * ranks
    count = torch.cuda.device_count()
    if count < ranks:
        raise ValueError(f"resources.gpu is {ranks}, but torch sees {count} GPUs here")
    return [f"cuda:{rank}" for rank in range(ranks)]


def _work(folder: Path, rank: int) -> None:
    """One rank's whole work."""
    call = read_json(folder / "job.json")
    runs = [Run.from_json(values) for values in call["runs"]]
    job, device = runs[0].job, torch.device(call["devices"][rank])
    torch.set_num_threads(max(1, job.threads // job.ranks))
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(
        backend, init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=job.ranks
    )
    ranks = Ranks(rank, job.ranks, distributed.group.WORLD, device)

    def log(line: str) -> None:
        if ranks.first:
            print(line, flush=True)

    run.train_runs(runs, log, ranks)
    distributed.destroy_process_group()


def _main() -> None:
    folder, rank = Path(sys.argv[1]).parent, int(os.environ["RANK"])
    if rank > 0:
        # Rank 0 needs the others until its state is written; then they are ended.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    try:
        _work(folder, rank)
    except Exception as error:
        traceback.print_exc()
        kinds = {ValueError: "ValueError", TrainingError: "TrainingError"}
        kind = next((k for t, k in kinds.items() if isinstance(error, t)), type(error).__name__)
        told = {"kind": kind, "message": str(error), "time": time.time()}
        write_json(folder / f"error-{rank}.json", told)
        # Without the goodbyes of the process group, which may wait for ranks that are gone.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
    except SystemExit as left:
        sys.stdout.flush()
        os._exit(left.code if isinstance(left.code, int) else 1)


def _leave_with(parent: int) -> None:
    """No rank goes on by itself when the process that started it was killed."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    _main()
