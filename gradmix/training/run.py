"""Train one method, or a pack of grid members, from files to files."""

import platform
import signal
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from gradmix import __version__
from gradmix.domains.format import Domain, open_domain
from gradmix.files import atomic_path, read_json, sha256_of, write_json, write_parquet
from gradmix.methods.mixers.registry import mixer_part
from gradmix.methods.recipe import SCHEDULES, Recipe, Stream
from gradmix.methods.recipe import Schedule as ScheduleName
from gradmix.methods.registry import recipe_of
from gradmix.nets.registry import build_network, load_pretrained, start_from
from gradmix.seeds import derive_seed
from gradmix.splits import check_split, labels_for_training
from gradmix.terms.registry import term_part
from gradmix.terms.term import Term
from gradmix.training.candidates import keep_best
from gradmix.training.curves import Curves
from gradmix.training.data import LoadedStream, RunInputs, hyper_validation, load_streams
from gradmix.training.device import device_for_run, hardware
from gradmix.training.loop import Outcome, Schedule, TrainingError, gradient_groups, train
from gradmix.training.progress import progress_bar
from gradmix.training.store import RunStore

Log = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """The files and numbers that all runs of one draw share.

    Attributes:
        domains: folders of the sources and the target by name.
        split: V, H, U and test of this draw.
        enlarged: enlarged V and S_u, for methods that need pseudo-labels.
        predictions: the ensemble's predictions, for soft labels.
        initial: checkpoint to start from, for fine-tuning.
        weights: pretrained weights of the backbone, for networks that take them.
        labels_per_class: k; 0 for methods that see no target label.
        draw: number of the draw.
        seed: the experiment's seed.
        code: fingerprint of the code.
        store: folder of checkpoints and finished records.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads.
    """

    domains: Mapping[str, Path]
    split: Path
    labels_per_class: int
    draw: int
    seed: int
    code: str
    store: Path
    enlarged: Path | None = None
    predictions: Path | None = None
    initial: Path | None = None
    weights: Path | None = None
    device: str = "auto"
    threads: int = 1


def train_method(settings: Mapping[str, Any], job: Job, output: Path, log: Log) -> None:
    """Train the method that ``settings`` describe and write model, curves and record into ``output``.

    Args:
        settings: name, recipe, sources, target, training, gradmix, options, network, image
            (`Config.method_settings`); optionally candidates, settings by name, of which the best on H is the
            method's run; and optionally title, on which the result does not depend.
        job: the files.
        output: folder of model.safetensors, curves.parquet and run.json; written whole or not at all.
        log: gets one line per event.

    Raises:
        ValueError: if inputs do not fit each other or the network.
        TrainingError: if training cannot go on.
    """
    candidates = settings.get("candidates")
    if not candidates:
        train_pack([settings], [output], job, log)
        return
    job.store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=job.store, prefix="candidates-") as folder:
        # Each is kept in the store when it is finished, so a broken job repeats none.
        folders = [Path(folder, name) for name in candidates]
        titled = {"title": settings["title"]} if "title" in settings else {}
        members = [{**member, **titled} for member in candidates.values()]
        train_pack(members, folders, job, log)
        chosen = keep_best(list(candidates), folders, output)
    log(f"{settings['name']}: {chosen} does best on H of {', '.join(candidates)}")


def train_pack(
    members: Sequence[Mapping[str, Any]], outputs: Sequence[Path], job: Job, log: Log
) -> None:
    """Train several runs that share data and draw, one record each (see `train_method`).

    A process start and the reading of the images cost more than a small run; a pack pays them once.
    Members that a broken run had finished are found in the store and not trained again. The records are
    those of single runs, bit for bit.
    """
    _exit_on_sigterm()
    with device_for_run(job.device, job.threads) as device:
        opened: dict[tuple[str, ...], RunInputs] = {}
        hashes = _input_hashes(job)
        for number, (settings, output) in enumerate(zip(members, outputs, strict=True)):
            recipe = recipe_of(settings["recipe"]).combined(
                settings.get("mixer"), settings.get("terms", ())
            )
            seeds = _seeds(settings, job)
            identity = {
                "settings": {key: value for key, value in settings.items() if key != "title"},
                "inputs": hashes,
                "code": job.code,
                "seeds": seeds,
                "torch": torch.__version__,
                "device": device.type,
                "threads": job.threads,
            }
            store = RunStore(job.store, identity)
            if store.restore(output):
                log(f"{output}: finished before with the same settings, inputs and code; restored")
                continue
            sources = tuple(settings["sources"])
            if sources not in opened:
                opened[sources] = _open(settings, job)
            try:
                _train_one(
                    settings,
                    recipe,
                    opened[sources],
                    job,
                    seeds,
                    hashes,
                    store,
                    device,
                    output,
                    log,
                )
            except TrainingError as error:
                where = f"method {settings['name']}, k = {job.labels_per_class}, draw {job.draw}"
                raise TrainingError(f"{where}: {error}") from error
            store.finish(output)
            if len(members) > 1:
                log(f"{number + 1} of {len(members)} members done")


def _train_one(
    settings: Mapping[str, Any],
    recipe: Recipe,
    inputs: RunInputs,
    job: Job,
    seeds: Mapping[str, int],
    hashes: Mapping[str, str],
    store: RunStore,
    device: torch.device,
    output: Path,
    log: Log,
) -> None:
    label_spaces = {
        domain.label_space: len(domain.classes)
        for domain in [*inputs.sources.values(), inputs.target]
    }
    # Per-domain statistics exist for the domains that this run trains on, one source at a time included.
    domains = [*inputs.sources, inputs.target.name]
    network = build_network(
        settings["network"], label_spaces, settings["image"], domains, seed=seeds["init"]
    )
    if job.initial is None:
        load_pretrained(network, settings["network"], job.weights)
    network = network.to(device).to(memory_format=torch.channels_last)
    if job.initial is not None:
        start_from(network, load_file(job.initial, device=str(device)), str(job.initial))

    streams, notes = load_streams(recipe, inputs, settings["training"], seeds["batches"], device)
    for note in notes:
        log(f"note: {note}")
    few = settings["training"].get("selection_per_class")
    validation = hyper_validation(
        inputs, device, job.labels_per_class if few == "labels_per_class" else few
    )
    groups, _ = gradient_groups(streams)
    trained = [streams[group[0]].name for group in groups]
    mixer = import_module(mixer_part(recipe.mixer).module).make(network, settings, trained)
    layers = [layer.name for layer in getattr(mixer, "layers", [])]
    curves = Curves(_with_losses(streams), layers, trained)
    torch.manual_seed(seeds["batches"])  # of random terms, and a user's dropout
    terms = make_terms(streams, settings.get("options", {}))
    schedule = _schedule(settings, recipe.schedule)
    title = f"{settings['name']} k={job.labels_per_class} draw={job.draw}"
    log(f"{title}: {schedule.steps} steps on {device}, " + _sizes(streams))
    with progress_bar(title, schedule.steps) as progress:
        outcome = train(
            network, mixer, streams, terms, validation, schedule, curves,
            store=store, log=log, progress=progress,
        )  # fmt: skip
    if recipe.last_layer_fine_tunes and settings["gradmix"]["last_layer"] == "H2":
        outcome = _fine_tune_last(
            settings, recipe, inputs, network, validation, outcome, seeds, log
        )

    steps = int(outcome.rows[-1]["step"])  # with the fine-tuning of H2, where there is one
    late = outcome.step > 0.9 * steps
    if late:
        log(f"the chosen step {outcome.step} lies in the last tenth: more steps may do better")
    record = {
        "method": settings["name"],
        "recipe": recipe.name,
        "title": settings.get("title", recipe.title),
        "labels_per_class": job.labels_per_class,
        "draw": job.draw,
        "member": settings.get("member"),
        "settings": dict(settings),
        "seeds": dict(seeds),
        "inputs": dict(hashes),
        "code": job.code,
        "versions": _versions(),
        "hardware": hardware(device, job.threads),
        "steps": steps,
        "seconds": round(outcome.seconds, 3),
        "step_milliseconds_median": round(median(outcome.interval_milliseconds or [0.0]), 3),
        "chosen_step": outcome.step,
        "hyper_validation_accuracy": outcome.accuracy,
        "hyper_validation_loss": outcome.loss,
        "chosen_in_last_tenth": late,
        "layers": layers,
        "sources": trained,
        "label_spaces": label_spaces,
        "domains": domains,
        "sets": {**{s.name: len(s.set) for s in streams}, "H": len(validation)},
        "notes": notes,
    }
    _write(output, outcome, record)


def _fine_tune_last(
    settings: Mapping[str, Any],
    recipe: Recipe,
    inputs: RunInputs,
    network: Any,
    validation: Any,
    first: Outcome,
    seeds: Mapping[str, int],
    log: Log,
) -> Outcome:
    """H2: the chosen checkpoint, fine-tuned on the guide's own labels; one curve, one choice over both parts."""
    guide = next(stream.images for stream in recipe.streams if stream.role == "guide")
    alone = Recipe(recipe.name, recipe.title, streams=(Stream(guide),))
    network.load_state_dict(first.state)
    device = validation.device
    streams, _ = load_streams(alone, inputs, settings["training"], seeds["batches"], device)
    schedule = _schedule(settings, "fine_tune")
    curves = Curves(_with_losses(streams), [], [])
    log(f"H2: fine-tuning on {guide} for {schedule.steps} steps")
    with progress_bar("H2", schedule.steps) as progress:
        # The first part is long and has its checkpoint; this one is short and starts over if broken off.
        second = train(
            network, None, streams, make_terms(streams, {}), validation, schedule, curves,
            store=_NoStore(), log=log, progress=progress,
        )  # fmt: skip
    offset = first.rows[-1]["step"]
    rows = first.rows + [{**row, "step": row["step"] + offset} for row in second.rows[1:]]
    better = (second.accuracy, -second.loss) > (first.accuracy, -first.loss)
    chosen = second if better else first
    step = int(second.step + offset) if better else first.step
    seconds = first.seconds + second.seconds
    return Outcome(
        chosen.state, step, chosen.accuracy, chosen.loss, rows, seconds, first.interval_milliseconds
    )


def make_terms(
    streams: Sequence[LoadedStream], options: Mapping[str, Mapping[str, Any]]
) -> list[Term]:
    """The term of every stream, with its options over their defaults."""
    terms = []
    for stream in streams:
        part = term_part(stream.recipe.term)
        own = {**part.options, **options.get(stream.recipe.term, {})}
        terms.append(import_module(part.module).make(own))
    return terms


def _with_losses(streams: Sequence[LoadedStream]) -> list[str]:
    return [stream.name for stream in streams if stream.recipe.role != "companion"]


class _NoStore:
    folder: Path | None = None

    def save(self, tensors: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Keep nothing."""

    def load(self) -> None:
        """Nothing is kept."""


def _open(settings: Mapping[str, Any], job: Job) -> RunInputs:
    opened = {name: open_domain(folder) for name, folder in job.domains.items()}
    sources = {name: opened[name] for name in settings["sources"]}
    target = opened[settings["target"]]
    split = read_json(job.split)
    check_split(split, target, sources=sources)
    enlarged = read_json(job.enlarged) if job.enlarged else None
    soft = _soft_labels(job.predictions, target) if job.predictions else None
    labels = labels_for_training(split, target)
    return RunInputs(sources, target, labels, split, enlarged, soft)


def _soft_labels(predictions: Path, target: Domain) -> dict[int, np.ndarray]:
    columns = [f"soft_{index}" for index in range(len(target.classes))]
    frame = pd.read_parquet(predictions, columns=["row", *columns])
    return dict(zip(frame["row"].tolist(), frame[columns].to_numpy(np.float32), strict=True))


def _schedule(settings: Mapping[str, Any], name: ScheduleName) -> Schedule:
    training = settings["training"]
    steps, evaluate_every, learning_rate = (training[key] for key in SCHEDULES[name])
    return Schedule(
        optimizer="adam" if name == "adam" else "sgd",
        steps=int(steps),
        evaluate_every=int(evaluate_every),
        learning_rate=float(learning_rate),
        momentum=float(training.get("momentum", 0.0)),
        weight_decay=float(training["weight_decay"]),
        precision=str(training["precision"]),
        flip=bool(settings["image"].get("flip", False)),
    )


def _seeds(settings: Mapping[str, Any], job: Job) -> dict[str, int]:
    """Methods of one draw share initial weights and batches, so that their differences are the methods'."""
    member = settings.get("member") or ""
    return {
        "init": derive_seed(job.seed, "init", job.draw, member),
        "batches": derive_seed(job.seed, "batches", job.draw, member),
    }


def _input_hashes(job: Job) -> dict[str, str]:
    files = {f"domain {name}": Path(folder) / "domain.json" for name, folder in job.domains.items()}
    files |= {
        name: path
        for name in ("split", "enlarged", "predictions", "initial", "weights")
        if (path := getattr(job, name)) is not None
    }
    return {name: sha256_of(path) for name, path in files.items()}


def _write(output: Path, outcome: Outcome, record: Mapping[str, Any]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.cpu().contiguous() for name, tensor in outcome.state.items()}
    with atomic_path(output / "model.safetensors") as temporary:
        save_file(state, temporary)
    write_parquet(output / "curves.parquet", pd.DataFrame(outcome.rows))
    write_json(output / "run.json", record)


def _versions() -> dict[str, str]:
    return {
        "gradmix": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pandas": pd.__version__,
    }


def _sizes(streams: Sequence[Any]) -> str:
    return ", ".join(f"{s.name} {len(s.set)} images ({s.recipe.role})" for s in streams)


def _exit_on_sigterm() -> None:
    """A scheduler's SIGTERM ends the run like Ctrl-C does, with its state kept."""

    def leave(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, leave)
