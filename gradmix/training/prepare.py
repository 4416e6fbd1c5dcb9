"""Makes a run ready to train, from settings and files: its network, streams, terms and mixer."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module

import torch
from torch import nn

from gradmix.methods.make_mixer import make_mixer
from gradmix.methods.method import Method, Stream
from gradmix.mixing.mixer import GradientMixer
from gradmix.nets.build import build_network, load_pretrained, start_from
from gradmix.terms.term import Term
from gradmix.training.curves import Curves
from gradmix.training.data import ImageSet, LoadedStream, RunInputs, hyper_validation, load_streams
from gradmix.training.job import Run
from gradmix.training.model_file import load_model
from gradmix.training.ranks import ALONE, Ranks
from gradmix.training.settings import Schedule
from gradmix.training.state import Outcome, RunState, random_states
from gradmix.training.step import gradient_groups
from gradmix.training.store import RunStore


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to train.

    Attributes:
        run: which it is.
        inputs: its opened files.
        state: network, streams, terms and mixer, at their beginning.
        store: the run's folder.
        notes: on what is missing among the streams.
        label_spaces: number of classes of each.
        domains: names of the domains that it trains on.
    """

    run: Run
    inputs: RunInputs
    state: RunState
    store: RunStore
    notes: Sequence[str]
    label_spaces: Mapping[str, int]
    domains: Sequence[str]

    @property
    def title(self) -> str:
        """Which run it is, for a log or a bar."""
        job = self.run.job
        return f"{self.run.settings.name} k={job.labels_per_class} draw={job.draw}"

    @property
    def sizes(self) -> str:
        """How many images each stream has, for a log."""
        streams = self.state.streams
        return ", ".join(f"{s.name} {len(s.set)} images ({s.recipe.role})" for s in streams)


def prepare(
    run: Run,
    inputs: RunInputs,
    store: RunStore,
    device: torch.device,
    ranks: Ranks = ALONE,
) -> Prepared:
    """Make a run ready; torch's global generator is seeded for its random terms.

    Args:
        run: settings and files.
        inputs: the opened files.
        store: the run's folder.
        device: of the network.
        ranks: the processes that train it together.

    Raises:
        ValueError: if inputs do not fit each other, the network or the ranks.
    """
    settings, job = run.settings, run.job
    _check_ranks(run, ranks)
    label_spaces = {
        domain.label_space: len(domain.classes)
        for domain in [*inputs.sources.values(), inputs.target]
    }
    # Per-domain statistics exist for the domains that this run trains on, one source at a time included.
    domains = [*inputs.sources, inputs.target.name]
    network = build_network(
        settings.network, label_spaces, asdict(settings.image), domains, seed=run.seeds["init"]
    )
    if job.initial is None:
        load_pretrained(network, settings.network, job.weights)
    network = network.to(device).to(memory_format=torch.channels_last)
    if job.initial is not None:
        start_from(network, load_model(job.initial, device), str(job.initial))

    seed = run.seeds["batches"]
    streams, notes = load_streams(
        settings.method.streams, inputs, settings.batch_sizes, seed, device
    )
    few = settings.selection_per_class
    validation = hyper_validation(
        inputs, device, job.labels_per_class if few == "labels_per_class" else few
    )
    torch.manual_seed(ranks.seed(seed))  # of random terms, and a user's dropout
    state = _state(
        run,
        settings.method,
        network=network,
        streams=streams,
        validation=validation,
        schedule=settings.schedule,
        store=store,
        ranks=ranks,
    )
    state.random = random_states(device)
    return Prepared(run, inputs, state, store, notes, label_spaces, domains)


def fine_tuning(first: Prepared, outcome: Outcome) -> RunState:
    """H2's second part: the chosen checkpoint, to be fine-tuned on the guide's own labels."""
    run, before = first.run, first.state
    settings = run.settings
    assert settings.fine_tuning is not None
    before.network.load_state_dict(outcome.state)
    guide = next(s.images for s in settings.method.streams if s.role == "guide")
    alone, seed = Method((Stream(guide),)), run.seeds["batches"]
    streams, _ = load_streams(
        alone.streams, first.inputs, settings.batch_sizes, seed, before.device
    )
    return _state(
        run,
        alone,
        network=before.network,
        streams=streams,
        validation=before.validation,
        schedule=settings.fine_tuning,
        store=first.store.part("H2"),
        ranks=before.ranks,
    )


def _state(
    run: Run,
    method: Method,
    *,
    network: nn.Module,
    streams: Sequence[LoadedStream],
    validation: ImageSet,
    schedule: Schedule,
    store: RunStore,
    ranks: Ranks,
) -> RunState:
    """A training at its beginning."""
    settings, sources = run.settings, source_names(streams)
    mixer = make_mixer(
        method,
        network,
        sources,
        name=settings.name,
        gradmix=settings.gradmix,
        options=settings.options.get(method.mixer, {}),
    )
    if ranks.group is not None:
        mixer.join(ranks.group)
    terms: list[Term] = []
    for stream in streams:
        name = stream.recipe.term
        terms.append(import_module(f"gradmix.terms.{name}").make(settings.options.get(name, {})))
    with_losses = [stream.name for stream in streams if stream.recipe.role != "companion"]
    curves = Curves(with_losses, logged_layers(mixer), sources)
    return RunState(
        network, mixer, streams, terms, validation, schedule, curves, store, run.name, ranks
    )


def logged_layers(mixer: GradientMixer) -> list[str]:
    """The shared layers that a mixer weighs; none where it weighs whole losses."""
    return [layer.name for layer in mixer.layers]


def source_names(streams: Sequence[LoadedStream]) -> list[str]:
    """The sets whose gradients are mixed, each named by its first stream."""
    groups, _ = gradient_groups(streams)
    return [streams[group[0]].name for group in groups]


def _check_ranks(run: Run, ranks: Ranks) -> None:
    if ranks.count == 1:
        return
    if not run.settings.method.trains_on_ranks:
        raise ValueError(
            f"method {run.settings.name}: a term of it trains parameters of its own, which {ranks.count} ranks "
            f"would train apart; use resources.gpu: 1"
        )
    forward = run.settings.schedule.forward
    if forward != "separate":
        raise ValueError(f"training.forward: {forward} cannot be spread over several GPUs")
