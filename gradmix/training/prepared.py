"""A run made ready to train, from settings and files: its network, streams, terms and mixer; and its record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from statistics import median
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from gradmix.methods.make_mixer import make_mixer
from gradmix.methods.method import SCHEDULES, Method, Stream
from gradmix.methods.method import Schedule as ScheduleName
from gradmix.nets.build import build_network, load_pretrained, start_from
from gradmix.terms.term import Term
from gradmix.training.curves import Curves
from gradmix.training.data import (
    ImageSet,
    LoadedStream,
    RunInputs,
    hyper_validation,
    load_streams,
)
from gradmix.training.device import hardware
from gradmix.training.job import Job, seeds_of
from gradmix.training.loop import Outcome, Schedule, gradient_groups
from gradmix.training.ranks import ALONE, Ranks
from gradmix.training.record import versions


@dataclass(frozen=True)
class Prepared:
    """All that one training, or one part of it, works with.

    Attributes:
        settings: of the method (`gradmix.training.run.train_method`).
        job: the files.
        recipe: what the method is made of.
        inputs: the opened files.
        network: on its device, with its initial weights.
        mixer: a mixer of `gradmix.mixing`, or ``None``.
        streams: with samplers that have drawn nothing yet.
        terms: one per stream.
        validation: H.
        schedule: steps and rates.
        curves: without a row yet.
        seeds: by what they are for.
        notes: on what is missing among the streams.
        label_spaces: number of classes of each.
        domains: names of the domains that it trains on.
    """

    settings: Mapping[str, Any]
    job: Job
    recipe: Method
    inputs: RunInputs
    network: nn.Module
    mixer: Any | None
    streams: Sequence[LoadedStream]
    terms: Sequence[Term]
    validation: ImageSet
    schedule: Schedule
    curves: Curves
    seeds: Mapping[str, int]
    notes: Sequence[str]
    label_spaces: Mapping[str, int]
    domains: Sequence[str]

    @property
    def title(self) -> str:
        """Which run it is, for a log or a bar."""
        return f"{self.settings['name']} k={self.job.labels_per_class} draw={self.job.draw}"

    @property
    def sizes(self) -> str:
        """How many images each stream has, for a log."""
        return ", ".join(f"{s.name} {len(s.set)} images ({s.recipe.role})" for s in self.streams)

    @property
    def two_parts(self) -> bool:
        """Whether `fine_tuning` follows (H2)."""
        return self.recipe.last_layer_fine_tunes and self.settings["gradmix"]["last_layer"] == "H2"


def prepare(
    settings: Mapping[str, Any],
    job: Job,
    inputs: RunInputs,
    device: torch.device,
    ranks: Ranks = ALONE,
) -> Prepared:
    """Make a run ready; torch's global generator is seeded for its random terms.

    Raises:
        ValueError: if inputs do not fit each other, the network or the ranks.
    """
    recipe = Method.from_json(settings["method"])
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
    few = settings["training"].get("selection_per_class")
    validation = hyper_validation(
        inputs, device, job.labels_per_class if few == "labels_per_class" else few
    )
    trained = source_names(streams)
    mixer = make_mixer(recipe, network, settings, trained)
    if ranks.group is not None:
        mixer.join(ranks.group)
    schedule = _schedule(settings, recipe.schedule)
    if schedule.forward != "separate" and ranks.count > 1:
        raise ValueError(f"training.forward: {schedule.forward} cannot be spread over several GPUs")
    torch.manual_seed(ranks.seed(seeds["batches"]))  # of random terms, and a user's dropout
    return Prepared(
        settings=settings,
        job=job,
        recipe=recipe,
        inputs=inputs,
        network=network,
        mixer=mixer,
        streams=streams,
        terms=make_terms(streams, settings.get("options", {})),
        validation=validation,
        schedule=schedule,
        curves=Curves(_with_losses(streams), layer_names(mixer), trained),
        seeds=seeds,
        notes=notes,
        label_spaces=label_spaces,
        domains=domains,
    )


def fine_tuning(first: Prepared, outcome: Outcome) -> Prepared:
    """H2's second part: the chosen checkpoint, to be fine-tuned on the guide's own labels."""
    guide = next(stream.images for stream in first.recipe.streams if stream.role == "guide")
    alone = Method((Stream(guide),))
    first.network.load_state_dict(outcome.state)
    training, device = first.settings["training"], first.validation.device
    streams, notes = load_streams(alone, first.inputs, training, first.seeds["batches"], device)
    return Prepared(
        settings=first.settings,
        job=first.job,
        recipe=alone,
        inputs=first.inputs,
        network=first.network,
        mixer=None,
        streams=streams,
        terms=make_terms(streams, {}),
        validation=first.validation,
        schedule=_schedule(first.settings, "fine_tune"),
        curves=Curves(_with_losses(streams), [], []),
        seeds=first.seeds,
        notes=notes,
        label_spaces=first.label_spaces,
        domains=first.domains,
    )


def joined(first: Outcome, second: Outcome) -> Outcome:
    """Both parts of H2 as one run: one curve, one choice over both."""
    offset = first.rows[-1]["step"]
    rows = first.rows + [{**row, "step": row["step"] + offset} for row in second.rows[1:]]
    better = (second.accuracy, -second.loss) > (first.accuracy, -first.loss)
    chosen = second if better else first
    step = int(second.step + offset) if better else first.step
    seconds = first.seconds + second.seconds
    return Outcome(
        chosen.state, step, chosen.accuracy, chosen.loss, rows, seconds, first.interval_milliseconds
    )


def record_of(
    run: Prepared, outcome: Outcome, hashes: Mapping[str, str], execution: Mapping[str, int]
) -> dict[str, Any]:
    """The content of run.json.

    Args:
        run: what was trained, of two parts the first.
        outcome: of the training.
        hashes: of the files that it read.
        execution: ranks, where there were several, and models trained together, where there were several.
    """
    job, settings = run.job, run.settings
    steps = int(outcome.rows[-1]["step"])  # with the fine-tuning of H2, where there is one
    return {
        "method": settings["name"],
        "recipe": settings["recipe"],
        "title": settings.get("title", settings["name"]),
        "labels_per_class": job.labels_per_class,
        "draw": job.draw,
        "member": settings.get("member"),
        "settings": dict(settings),
        "seeds": dict(run.seeds),
        "inputs": dict(hashes),
        "code": job.code,
        "versions": versions(),
        "hardware": hardware(run.validation.device, job.threads),
        **execution,
        "steps": steps,
        "seconds": round(outcome.seconds, 3),
        "step_milliseconds_median": round(median(outcome.interval_milliseconds or [0.0]), 3),
        "chosen_step": outcome.step,
        "hyper_validation_accuracy": outcome.accuracy,
        "hyper_validation_loss": outcome.loss,
        "chosen_in_last_tenth": outcome.step > 0.9 * steps,
        "layers": layer_names(run.mixer),
        "sources": source_names(run.streams),
        "label_spaces": dict(run.label_spaces),
        "domains": list(run.domains),
        "sets": {**{s.name: len(s.set) for s in run.streams}, "H": len(run.validation)},
        "notes": list(run.notes),
    }


def make_terms(
    streams: Sequence[LoadedStream], options: Mapping[str, Mapping[str, Any]]
) -> list[Term]:
    """The term of every stream, with its options."""
    terms = []
    for stream in streams:
        term = import_module(f"gradmix.terms.{stream.recipe.term}")
        terms.append(term.make(options.get(stream.recipe.term, {})))
    return terms


def layer_names(mixer: Any | None) -> list[str]:
    """The shared layers that a mixer weighs; none where it weighs whole losses."""
    return [layer.name for layer in getattr(mixer, "layers", [])]


def source_names(streams: Sequence[LoadedStream]) -> list[str]:
    """The sets whose gradients are mixed, each named by its first stream."""
    groups, _ = gradient_groups(streams)
    return [streams[group[0]].name for group in groups]


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
