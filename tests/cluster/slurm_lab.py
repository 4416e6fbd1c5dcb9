"""A real SLURM of several nodes on this machine, for tests: ``python tests/cluster/slurm_lab.py start|stop FOLDER``.

Debian's packages (`slurmctld slurmd slurm-client munge`) run as root without systemd or an accounting data base. Two
of six nodes have a GPU that is none: a character device which SLURM hands out like one. Three, of a core each, are a
partition of their own, in which tests may take nodes down.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

CONFIGURATION = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf")
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
NODES = {
    **dict.fromkeys(("n1", "n2"), "CPUs=4 Gres=gpu:1"),
    "n3": "CPUs=4",
    **dict.fromkeys(("n4", "n5", "n6"), "CPUs=1"),
}

SLURM_CONF = """\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={root}/run/munge.socket
StateSaveLocation={root}/ctld
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/run/slurmctld.pid
SlurmdPidFile={root}/run/slurmd.%n.pid
SlurmctldLogFile={root}/log/slurmctld.log
SlurmdLogFile={root}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
SlurmdParameters=config_overrides
SlurmdTimeout=10
KillWait={kill_wait}
MinJobAge=600
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
AccountingStorageType=accounting_storage/none
GresTypes=gpu
DebugFlags=NO_CONF_HASH
MailProg=/bin/true
{nodes}
PartitionName=cpu Nodes=n[1-3] Default=YES MaxTime=120 DefaultTime=5 DefMemPerCPU=500
PartitionName=gpu Nodes=n[1-2] MaxTime=120 DefaultTime=5 DefMemPerCPU=500
PartitionName=fragile Nodes=n[4-6] MaxTime=120 DefaultTime=5 DefMemPerCPU=500
"""


class UnavailableError(RuntimeError):
    """No SLURM can be started here; the message says why."""


def install() -> None:
    """Install Debian's packages where they are missing.

    Raises:
        UnavailableError: if this is not root on a Debian that can install them, or a SLURM is configured already.
    """
    if os.name != "posix" or os.geteuid() != 0:
        raise UnavailableError("starting a SLURM needs root")
    configured = CONFIGURATION / "slurm.conf"
    if configured.exists() and not configured.is_symlink():
        raise UnavailableError(f"{configured} exists: this machine belongs to a cluster")
    if all(map(shutil.which, ("slurmctld", "slurmd", "sbatch", "munged"))):
        return
    if shutil.which("apt-get") is None:
        raise UnavailableError(f"there is no apt-get to install {', '.join(PACKAGES)} with")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    wanted = ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES]
    for command in (wanted, ["apt-get", "update"], wanted):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if command is wanted and done.returncode == 0:
            return
    raise UnavailableError(
        f"apt-get cannot install {', '.join(PACKAGES)}: {done.stderr.strip()[-300:]}"
    )


def start(root: Path, *, kill_wait: int = 5) -> None:
    """Start a SLURM whose files all lie below ``root``, but for two links in /etc/slurm.

    Args:
        root: a folder of its own.
        kill_wait: seconds between SIGTERM and SIGKILL, as at the time limit.

    Raises:
        UnavailableError: if it does not come up.
    """
    install()
    stop(root)
    for name in ("ctld", "log", "run", "dev", *(f"spool/{node}" for node in NODES)):
        (root / name).mkdir(parents=True, exist_ok=True)
    for folder in (root, root / "run"):
        folder.chmod(0o755)
    device = root / "dev" / "nvidia0"
    if not device.exists():
        # A character device (here of /dev/null): with a regular file no CUDA_VISIBLE_DEVICES is set.
        os.mknod(device, 0o666 | 0o020000, os.makedev(1, 3))
    host = socket.gethostname().split(".")[0]
    nodes = "\n".join(
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={17001 + number} "
        f"RealMemory=6000 {rest}"
        for number, (name, rest) in enumerate(NODES.items())
    )
    text = SLURM_CONF.format(root=root, host=host, nodes=nodes, kill_wait=kill_wait)
    (root / "slurm.conf").write_text(text)
    gres = f"AutoDetect=off\nNodeName=n[1-2] Name=gpu File={device} Flags=nvidia_gpu_env\n"
    (root / "gres.conf").write_text(gres)
    # Linked, not named by SLURM_CONF: Snakemake's executor takes SLURM's variables out of a job's environment.
    CONFIGURATION.mkdir(exist_ok=True)
    for name in FILES:
        (CONFIGURATION / name).unlink(missing_ok=True)
        (CONFIGURATION / name).symlink_to(root / name)

    key = root / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    paths = {
        "key-file": key,
        "pid-file": root / "run/munged.pid",
        "socket": root / "run/munge.socket",
    }
    paths |= {"log-file": root / "log/munged.log", "seed-file": root / "run/munged.seed"}
    _call("munged", "--force", *(f"--{name}={path}" for name, path in paths.items()))
    _call("slurmctld", "-c")
    for node in NODES:
        _call("slurmd", "-N", node)
    _wait_until_idle(root)


def stop(root: Path) -> None:
    """End all jobs and daemons; links that are ours leave /etc/slurm."""
    linked = CONFIGURATION / "slurm.conf"
    ours = linked.is_symlink() and linked.readlink() == root / "slurm.conf"
    if ours and (root / "run/slurmctld.pid").exists():
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(["scancel", "--user", "root", "--full"], capture_output=True, timeout=20)
            time.sleep(1)
    for path in sorted((root / "run").glob("*.pid"), reverse=True):
        with contextlib.suppress(ValueError, ProcessLookupError):
            os.kill(int(path.read_text()), signal.SIGTERM)
    for _ in range(50):
        if not any(map(_alive, (root / "run").glob("*.pid"))):
            break
        time.sleep(0.1)
    if ours:
        for name in FILES:
            (CONFIGURATION / name).unlink(missing_ok=True)
        _end_orphans()


def _end_orphans() -> None:
    """End what jobs left behind: without cgroups SLURM loses sight of a process whose parent was killed."""
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if b"SLURM_CLUSTER_NAME=lab" in environment.read_bytes().split(b"\0"):
                os.kill(int(environment.parent.name), signal.SIGKILL)


def _alive(path: Path) -> bool:
    try:
        os.kill(int(path.read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise UnavailableError(
            f"{command[0]} does not start: {(done.stderr or done.stdout).strip()}"
        )


def _wait_until_idle(root: Path) -> None:
    states = ""
    for _ in range(150):
        done = subprocess.run(["sinfo", "-h", "-N", "-o", "%N %t"], capture_output=True, text=True)
        states = done.stdout.strip()
        found = {line.split()[0]: line.split()[1] for line in states.splitlines()}
        if set(found) == set(NODES) and set(found.values()) == {"idle"}:
            return
        time.sleep(0.2)
    raise UnavailableError(
        f"the nodes do not come up ({states or done.stderr}); logs: {root / 'log'}"
    )


if __name__ == "__main__":
    action, folder = sys.argv[1:]
    {"start": start, "stop": stop}[action](Path(folder).resolve())
