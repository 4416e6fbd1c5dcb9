"""Train the debug experiment from two commits and compare weights, curves and metrics bit for bit.

    python tests/compare_commits.py OLD [NEW]

NEW is the working tree unless named. Every method is trained, and GradMix with the changes below, one process and one
thread a commit. Settings are each commit's own, but OLD's values hold for every key that both know. A line a case;
the exit status is 1 where anything differs. Packs of models are equal to rounding, not bit for bit: they are told,
and count with --packs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

REPOSITORY = Path(__file__).resolve().parents[1]
STEPS = {
    f"{part}{key}": count
    for part in ("", "target_only_", "fine_tune_")
    for key, count in (("steps", 20), ("evaluate_every", 5))
}
CHANGES: dict[str, dict[str, dict[str, Any]]] = {
    "eta_on grad": {"gradmix": {"eta_on": "grad"}},
    "eta_on_heads false": {"gradmix": {"eta_on_heads": False}},
    "H0": {"gradmix": {"last_layer": "H0"}},
    "H2": {"gradmix": {"last_layer": "H2"}},
    "average": {"gradmix": {"average": 0.9}},
    "rho scaled": {"gradmix": {"rho": "scaled"}},
    "by tensor": {"gradmix": {"layers": "tensor"}},
    "bfloat16": {"training": {"precision": "bfloat16"}},
    "together": {"training": {"forward": "together"}},
}
PACKS = ("gradmix", "gradmix_sgd", "source_only", "source_only_mean", "fixed_weights")


def cases() -> dict[str, dict[str, Any]]:
    """Settings of every case, as the commit on the path has them."""
    from debug_experiment import needs_resnet, settings_of

    try:
        from gradmix.methods.recipes import METHODS
    except ImportError:  # before recipes were one table
        from gradmix.methods.registry import METHODS

    def as_json(*arguments: Any, **options: Any) -> dict[str, Any]:
        settings = settings_of(*arguments, **options)
        return settings if isinstance(settings, dict) else settings.to_json()

    cases = {
        method: as_json(method, resnet=needs_resnet(method), training=STEPS) for method in METHODS
    }
    for name, sections in CHANGES.items():
        training = STEPS | sections.get("training", {})
        cases[f"gradmix, {name}"] = as_json("gradmix", **{**sections, "training": training})
    for method in PACKS:
        cases[f"pack of {method}"] = as_json(method, training=STEPS)
    return cases


def train(folder: Path, output: IO[str]) -> None:
    """Offer the cases, take the settings to use, train them below the folder; errors are kept in its place."""
    from dataclasses import replace

    import torch
    from debug_experiment import SCALE, make_experiment, needs_resnet

    from gradmix.training.predict import evaluate_run

    try:
        from gradmix.training.job import Run
        from gradmix.training.run import train_runs
        from gradmix.training.settings import RunSettings
    except ImportError:  # commits whose settings are dictionaries
        from gradmix.training.run import train_pack

        def train_all(settings: list[dict[str, Any]], job: Any, outputs: list[Path]) -> None:
            from gradmix.training.run import train_method

            if len(settings) > 1:
                train_pack(settings, outputs, job, print)
            else:
                train_method(settings[0], job, outputs[0], print)
    else:

        def train_all(settings: list[dict[str, Any]], job: Any, outputs: list[Path]) -> None:
            pairs = zip(settings, outputs, strict=True)
            train_runs([Run(RunSettings.from_json(s), job, output) for s, output in pairs], print)

    torch.set_num_threads(1)
    print(json.dumps(cases()), file=output, flush=True)
    experiments = [make_experiment(folder / f"x{scale}", scale=scale) for scale in (1, SCALE)]
    for number, (case, settings) in enumerate(json.loads(sys.stdin.readline()).items()):
        experiment = experiments[needs_resnet(settings["name"])]
        job = experiment.job_of(settings["name"], folder / "store" / str(number))
        try:
            if case.startswith("pack of"):
                rates = (settings["training"]["learning_rate"] * factor for factor in (1, 0.5))
                members = [
                    {
                        **settings,
                        "member": f"rate{rate}",
                        "training": {**settings["training"], "learning_rate": rate},
                    }
                    for rate in rates
                ]
                runs = [folder / case / "first", folder / case / "second"]
                train_all(members, replace(job, models_at_once=2), runs)
            else:
                runs = [folder / case]
                train_all([settings], job, runs)
            for run in runs:
                evaluate_run(
                    run=run,
                    target=experiment.domains["target"],
                    test=experiment.domains["target"],
                    split=experiment.split,
                    labels_per_class=2,
                    output=run / "metrics.json",
                    device="cpu",
                    log=print,
                )
        except Exception as error:  # the other cases are compared all the same
            (folder / case).mkdir(exist_ok=True)
            (folder / case / "error").write_text(f"{type(error).__name__}: {error}")


def common(old: Any, new: Any) -> Any:
    """NEW's settings with OLD's values for all keys that both know."""
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return old
    return {key: common(old[key], value) if key in old else value for key, value in new.items()}


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Numbers and strings of nested settings or metrics, by where they stand."""
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in items:
            yield from leaves(part, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def arrays_of(run: Path) -> dict[str, Any]:
    """All that is compared of a run, as NumPy arrays."""
    import numpy as np
    import pandas as pd
    from safetensors.numpy import load_file

    arrays: dict[str, Any] = {}
    for model in sorted(run.rglob("model.safetensors")):
        folder = model.parent
        part = "" if folder == run else f"{folder.name}/"
        weights = load_file(model)
        curves = pd.read_parquet(folder / "curves.parquet")
        metrics = json.loads((folder / "metrics.json").read_text())
        arrays |= {f"weight {part}{name}": array for name, array in weights.items()}
        arrays |= {f"curve {part}{name}": curves[name].to_numpy() for name in curves}
        arrays |= {f"metric {part}{name}": np.array(value) for name, value in leaves(metrics)}
    return arrays


def distance(old: Any, new: Any) -> float | None:
    """The largest difference; ``None``: the same bits; infinite: of another kind."""
    import numpy as np

    if (old.shape, old.dtype) != (new.shape, new.dtype):
        return float("inf")
    if old.dtype.kind in "OUS":
        return None if (old == new).all() else float("inf")
    if old.tobytes() == new.tobytes():
        return None
    with np.errstate(all="ignore"):
        apart = np.abs(old.astype(float) - new.astype(float))
    both_nan = np.isnan(old.astype(float)) & np.isnan(new.astype(float))
    return float(np.nan_to_num(np.where(both_nan, 0.0, apart), nan=np.inf).max())


def verdict(old: Path, new: Path) -> tuple[bool, str]:
    """Whether a case is the same in both, in words."""
    for name, run in (("OLD", old), ("NEW", new)):
        if (run / "error").exists():
            return False, f"{name} failed: {(run / 'error').read_text()}"
    ours, theirs = arrays_of(old), arrays_of(new)
    apart = {name: distance(ours[name], theirs[name]) for name in ours if name in theirs}
    alone = sorted(ours.keys() ^ theirs.keys())
    more = f"; in one alone: {', '.join(alone)}" if alone else ""
    kinds = []
    for kind in ("weight", "curve", "metric"):
        differing = {n: d for n, d in apart.items() if d is not None and n.startswith(kind)}
        if differing:
            worst = max(differing, key=lambda name: differing[name])
            kinds.append(f"{len(differing)} x {kind}, at most {differing[worst]:.3g} in {worst!r}")
    # A column or metric more is no difference of a run; a weight more is.
    if kinds or any(name.startswith("weight") for name in alone):
        return False, f"DIFFERENT: {'; '.join(kinds) or 'other parameters'}{more}"
    return True, f"same, {len(apart)} arrays{more}"


def start(tree: Path, folder: Path) -> subprocess.Popen[str]:
    """A process that trains with a tree's package and experiment."""
    folder.mkdir()
    path = os.pathsep.join(
        [str(tree), str(tree / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    # -P: this file's own folder must not come before the tree's.
    return subprocess.Popen(
        [sys.executable, "-P", __file__, "--train", str(folder)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        cwd=tree,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def compare(old: Path, new: Path, folder: Path, *, packs: bool) -> int:
    """Train in both trees, print a line a case, and give how many differ."""
    outputs = [folder / "old", folder / "new"]
    processes = [start(tree, output) for tree, output in zip((old, new), outputs, strict=True)]
    # A process that cannot even offer its cases has said why on the standard error.
    offered = [json.loads(process.stdout.readline() or "{}") for process in processes]
    if not all(offered):
        raise SystemExit("one of the trees has no debug experiment that can be trained")
    merged = {case: common(offered[0].get(case, own), own) for case, own in offered[1].items()}
    for process, settings in zip(processes, (offered[0], merged), strict=True):
        both = {case: settings[case] for case in offered[0] if case in merged}
        process.stdin.write(json.dumps(both) + "\n")
        process.stdin.flush()
    ended = [process.wait() for process in processes]
    if any(ended):
        raise SystemExit("training broke off")
    keys = [
        {key for case in own.values() for key, _ in leaves({**case, "candidates": {}})}
        for own in offered
    ]
    for name, index in (("OLD", 0), ("NEW", 1)):
        if alone := sorted(keys[index] - keys[1 - index]):
            print(f"settings of {name} alone: {', '.join(alone)}")
    different = 0
    for case in dict.fromkeys([*offered[0], *offered[1]]):
        if case not in offered[0] or case not in offered[1]:
            words = f"in {'OLD' if case in offered[0] else 'NEW'} alone, not compared"
        else:
            same, words = verdict(outputs[0] / case, outputs[1] / case)
            different += not same and (packs or not case.startswith("pack of"))
        print(f"{case:28} {words}")
    print(f"cases that differ: {different}" if different else "no difference")
    return different


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("old", help="a commit")
    parser.add_argument("new", nargs="?", help="a commit; default: the working tree")
    parser.add_argument("--packs", action="store_true", help="packs count as well")
    options = parser.parse_args()
    sys.path.append(str(REPOSITORY))
    from benchmarks.compare import checked_out

    commits = {"old": options.old, "new": options.new}
    with checked_out(commits) as trees, tempfile.TemporaryDirectory() as folder:
        different = compare(trees["old"], trees["new"], Path(folder), packs=options.packs)
        return 1 if different else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        answers, sys.stdout = sys.stdout, sys.stderr
        with open(f"{sys.argv[2]}/log", "w") as sys.stdout:
            train(Path(sys.argv[2]), answers)
    else:
        sys.exit(main())
