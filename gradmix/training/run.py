"""Train one method, or a pack of grid members, from files to files."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import load_file

from gradmix.methods.mixers.registry import mixer_part
from gradmix.methods.recipe import SCHEDULES, Recipe, Stream
from gradmix.methods.recipe import Schedule as ScheduleName
from gradmix.methods.registry import recipe_of
from gradmix.nets.registry import build_network, load_pretrained, start_from
from gradmix.terms.registry import term_part
from gradmix.terms.term import Term
from gradmix.training.candidates import candidate_folder, keep_best
from gradmix.training.curves import Curves
from gradmix.training.data import LoadedStream, RunInputs, hyper_validation, load_streams
from gradmix.training.device import device_for_run, hardware
from gradmix.training.job import Job, input_hashes, open_inputs, seeds_of
from gradmix.training.lock import RunInUseError
from gradmix.training.loop import Outcome, Schedule, TrainingError, gradient_groups, train
from gradmix.training.progress import progress_bar
from gradmix.training.ranks import ALONE, Ranks
from gradmix.training.record import versions, write_record
from gradmix.training.stop import Stop
from gradmix.training.store import RunStore

Log = Callable[[str], None]


def train_method(
    settings: Mapping[str, Any], job: Job, output: Path, log: Log, ranks: Ranks = ALONE
) -> None:
    """Train the method that ``settings`` describe and write model, curves and record into ``output``.

    Args:
        settings: name, recipe, sources, target, training, gradmix, options, network, image
            (`Config.method_settings`); optionally candidates, settings by name, of which the best on H is the
            method's run; and optionally title, on which the result does not depend.
        job: the files.
        output: folder of model.safetensors, curves.parquet and run.json; written whole or not at all.
        log: gets one line per event.
        ranks: the processes that train together, each calling this with the same arguments
            (`gradmix.training.launch` starts them); the first of them writes.

    Raises:
        ValueError: if inputs do not fit each other or the network.
        TrainingError: if training cannot go on.
    """
    candidates = settings.get("candidates")
    if not candidates:
        train_pack([settings], [output], job, log, ranks)
        return
    with candidate_folder(job.store, log) as folder:
        # Each is kept in the store when it is finished, so a broken job repeats none.
        folders = [folder / name for name in candidates]
        titled = {"title": settings["title"]} if "title" in settings else {}
        members = [{**member, **titled} for member in candidates.values()]
        train_pack(members, folders, job, log, ranks)
        if ranks.first:
            chosen = keep_best(list(candidates), folders, output)
            log(f"{settings['name']}: {chosen} does best on H of {', '.join(candidates)}")


def train_pack(
    members: Sequence[Mapping[str, Any]],
    outputs: Sequence[Path],
    job: Job,
    log: Log,
    ranks: Ranks = ALONE,
) -> None:
    """Train several runs that share data and draw, one record each (see `train_method`).

    A process start and the reading of the images cost more than a small run; a pack pays them once.
    Members that a broken run had finished are found in the store and not trained again. The records are
    those of single runs, bit for bit.
    """
    stop = Stop()
    with (
        stop.listening() if ranks.first else nullcontext(),
        nullcontext(ranks.device)
        if ranks.device
        else device_for_run(job.device, job.threads) as device,
    ):
        opened: dict[tuple[str, ...], RunInputs] = {}
        hashes = input_hashes(job)
        for number, (settings, output) in enumerate(zip(members, outputs, strict=True)):
            identity = _identity(settings, job, hashes, device)
            store = RunStore(job.store, identity, writes=ranks.first)
            try:
                with store.held(log) if ranks.first else nullcontext():
                    # The others wait here until the first holds the run, before they read a checkpoint.
                    if ranks.agreed(ranks.first and store.restore(output)):
                        log(
                            f"{output}: finished before with the same settings, inputs and code; restored"
                        )
                        continue
                    sources = tuple(settings["sources"])
                    if sources not in opened:
                        opened[sources] = open_inputs(settings, job)
                    _train_one(
                        settings,
                        opened[sources],
                        job,
                        hashes,
                        store,
                        device,
                        stop,
                        output,
                        log,
                        ranks,
                    )
                    store.finish(output)
            except (TrainingError, RunInUseError) as error:
                where = f"method {settings['name']}, k = {job.labels_per_class}, draw {job.draw}"
                raise type(error)(f"{where}: {error}") from error
            if len(members) > 1:
                log(f"{number + 1} of {len(members)} members done")


def _identity(
    settings: Mapping[str, Any], job: Job, hashes: Mapping[str, str], device: torch.device
) -> dict[str, Any]:
    """All that a run's result depends on; not its title, nor how often it is kept."""
    return {
        "settings": {key: value for key, value in settings.items() if key != "title"},
        "inputs": hashes,
        "code": job.code,
        "seeds": seeds_of(settings, job),
        "torch": torch.__version__,
        "device": device.type,
        "threads": job.threads,
        **_several(job.ranks),
    }


def _several(ranks: int) -> dict[str, int]:
    """The number of ranks, where there are several: sums in another order round in another way."""
    return {"ranks": ranks} if ranks > 1 else {}


def _train_one(
    settings: Mapping[str, Any],
    inputs: RunInputs,
    job: Job,
    hashes: Mapping[str, str],
    store: RunStore,
    device: torch.device,
    stop: Stop,
    output: Path,
    log: Log,
    ranks: Ranks,
) -> None:
    recipe = recipe_of(settings["recipe"]).combined(
        settings.get("mixer"), settings.get("terms", ())
    )
    if ranks.count > 1 and not recipe.trains_on_ranks:
        raise ValueError(
            f"method {settings['name']}: a term of it trains parameters of its own, which {ranks.count} ranks "
            f"would train apart; use resources.gpu: 1"
        )
    seeds = seeds_of(settings, job)
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
    if mixer is not None and ranks.group is not None:
        mixer.join(ranks.group)
    schedule = _schedule(settings, recipe.schedule)
    if schedule.forward != "separate" and ranks.count > 1:
        raise ValueError(f"training.forward: {schedule.forward} cannot be spread over several GPUs")
    layers = [layer.name for layer in getattr(mixer, "layers", [])]
    curves = Curves(_with_losses(streams), layers, trained)
    torch.manual_seed(ranks.seed(seeds["batches"]))  # of random terms, and a user's dropout
    terms = make_terms(streams, settings.get("options", {}))
    two_parts = recipe.last_layer_fine_tunes and settings["gradmix"]["last_layer"] == "H2"
    title = f"{settings['name']} k={job.labels_per_class} draw={job.draw}"
    log(f"{title}: {schedule.steps} steps on {device}, " + _sizes(streams))
    with progress_bar(title, schedule.steps) as progress:
        outcome = train(
            network, mixer, streams, terms, validation, schedule, curves,
            store=store, log=log, progress=progress, pace=job.pace, stop=stop, keep_end=two_parts,
            ranks=ranks,
        )  # fmt: skip
    if two_parts:
        outcome = _fine_tune_last(
            settings, recipe, inputs, network, validation, outcome, seeds["batches"],
            store=store.part("H2"), log=log, pace=job.pace, stop=stop, ranks=ranks,
        )  # fmt: skip

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
        "versions": versions(),
        "hardware": hardware(device, job.threads),
        **_several(ranks.count),
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
    if ranks.first:
        store.check_owner()
        write_record(output, outcome, record)


def _fine_tune_last(
    settings: Mapping[str, Any],
    recipe: Recipe,
    inputs: RunInputs,
    network: Any,
    validation: Any,
    first: Outcome,
    seed: int,
    *,
    store: RunStore,
    log: Log,
    **options: Any,
) -> Outcome:
    """H2: the chosen checkpoint, fine-tuned on the guide's own labels; one curve, one choice over both parts.

    ``store`` keeps this part; the first one, which has ended, keeps its own checkpoint beside it.
    """
    guide = next(stream.images for stream in recipe.streams if stream.role == "guide")
    alone = Recipe(recipe.name, recipe.title, streams=(Stream(guide),))
    network.load_state_dict(first.state)
    device = validation.device
    streams, _ = load_streams(alone, inputs, settings["training"], seed, device)
    schedule = _schedule(settings, "fine_tune")
    curves = Curves(_with_losses(streams), [], [])
    log(f"H2: fine-tuning on {guide} for {schedule.steps} steps")
    with progress_bar("H2", schedule.steps) as progress:
        second = train(
            network, None, streams, make_terms(streams, {}), validation, schedule, curves,
            store=store, log=log, progress=progress, **options,
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
        forward=str(training.get("forward", "separate")),
    )


def _sizes(streams: Sequence[Any]) -> str:
    return ", ".join(f"{s.name} {len(s.set)} images ({s.recipe.role})" for s in streams)
