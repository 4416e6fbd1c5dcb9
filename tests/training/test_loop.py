"""The loop on tensors made up here: learning, choosing, resuming bit for bit, failing."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from gradmix.methods.method import Stream
from gradmix.mixing.gradmix import GradMix
from gradmix.mixing.layers import layers_of
from gradmix.mixing.sum import Sum
from gradmix.nets.convnet import ConvNet
from gradmix.terms.augmented_cross_entropy import AugmentedCrossEntropy
from gradmix.terms.cross_entropy import CrossEntropy
from gradmix.terms.vat import VAT
from gradmix.training import joint
from gradmix.training.alone import Alone
from gradmix.training.curves import Curves
from gradmix.training.data import ImageSet, LoadedStream
from gradmix.training.loop import train
from gradmix.training.prepare import logged_layers, source_names
from gradmix.training.samplers import Shuffled, Whole
from gradmix.training.settings import Schedule
from gradmix.training.state import RunState, TrainingError
from gradmix.training.step import gradient_groups
from gradmix.training.store import RunStore

SCHEDULE = Schedule("sgd", steps=12, evaluate_every=3, learning_rate=0.05, momentum=0.9)


def image_set(name, n, seed, space="a", classes=2):
    """Bright images are class 1, dark ones class 0."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    noise = torch.randint(0, 120, (n, 8, 8, 1), generator=generator)
    images = (noise + 130 * (labels % 2)[:, None, None, None]).to(torch.uint8)
    return ImageSet(name, images, labels, space, name)


def network_of(statistics="shared"):
    torch.manual_seed(0)
    return ConvNet(
        {"a": 2, "b": 3}, image_size=(8, 8), width=4, hidden=8,
        norm_statistics=statistics, domains=["S1", "S2", "V", "H"],
    )  # fmt: skip


def streams_of():
    sets = [image_set("S1", 40, 1), image_set("S2", 30, 2, "b", 3), image_set("V", 6, 3)]
    return [
        LoadedStream(Stream("sources"), sets[0], Shuffled(torch.arange(40), 8, 1), "S1"),
        LoadedStream(Stream("sources"), sets[1], Shuffled(torch.arange(30), 8, 2), "S2"),
        LoadedStream(Stream("V", role="guide"), sets[2], Whole(6), "V"),
    ]


def state_of(store, schedule=SCHEDULE, *, network=None, mixer=None, streams=None, terms=None):
    """A run of GradMix on two sources and V, unless other parts are given."""
    network = network or network_of()
    streams = streams or streams_of()
    sources = source_names(streams)
    mixer = mixer or GradMix(layers_of(network.backbone), source_names=sources)
    return RunState(
        network=network,
        mixer=mixer,
        streams=streams,
        terms=terms or [CrossEntropy() for _ in streams],
        validation=image_set("H", 20, 4),
        schedule=schedule,
        curves=Curves([stream.name for stream in streams], logged_layers(mixer), sources),
        store=store,
    )


def trained(state, progress=lambda step, text: None):
    together = state.schedule.forward == "together"
    make_step = partial(Alone, joint=joint.features_together if together else None)
    train([state], make_step, log=lambda line: None, progress=progress)
    return state.outcome()


def test_learns_and_chooses_the_best_checkpoint_on_h(tmp_path):
    outcome = trained(state_of(RunStore(tmp_path, {})))
    assert [row["step"] for row in outcome.rows] == [0, 3, 6, 9, 12]
    best = max(
        outcome.rows, key=lambda r: (r["hyper_validation_accuracy"], -r["hyper_validation_loss"])
    )
    assert outcome.step == best["step"]
    assert outcome.accuracy == best["hyper_validation_accuracy"]
    assert outcome.rows[-1]["loss/S1"] < outcome.rows[1]["loss/S1"]
    assert 0 < outcome.rows[-1]["eta"] < 1
    layer = "weight/blocks.0.conv/"
    assert outcome.rows[-1][layer + "S1"] + outcome.rows[-1][layer + "S2"] == pytest.approx(1)


def assert_equal(outcome, other):
    """Bit for bit."""
    assert [str(row) for row in outcome.rows] == [str(row) for row in other.rows]
    assert all(torch.equal(outcome.state[name], tensor) for name, tensor in other.state.items())
    assert outcome.step == other.step


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted training."""
    return trained(state_of(RunStore(tmp_path_factory.mktemp("whole"), {})))


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_run_resumes_bit_for_bit(tmp_path, whole, interruption):
    def interrupt(step, text):
        if step == 6:
            raise interruption

    store = RunStore(tmp_path, {})
    with pytest.raises(interruption):
        trained(state_of(store), interrupt)
    assert store.load()[1]["step"] == 3  # the last state that was whole
    again = state_of(store)
    assert again.resume()
    assert again.step == 3
    assert_equal(trained(again), whole)


def test_two_runs_are_equal(tmp_path, whole):
    assert_equal(trained(state_of(RunStore(tmp_path, {}))), whole)


class Explodes(nn.Module):
    """Gives NaN from its fifth training batch of a label space on."""

    def __init__(self, network, space):
        super().__init__()
        self.network, self.space, self.calls = network, space, 0
        self.in_channels, self.image_size = network.in_channels, network.image_size
        self.features = network.features

    def forward(self, images, label_space, domain=None):
        return self.classify(self.features(images, domain), label_space, domain)

    def classify(self, features, label_space, domain=None):
        logits = self.network.classify(features, label_space, domain)
        if label_space == self.space and self.training:
            self.calls += 1
            if self.calls >= 5:
                return logits * float("nan")
        return logits


@pytest.mark.parametrize("mixing", [True, False])
def test_a_nan_names_step_and_source_and_keeps_the_last_state(tmp_path, mixing):
    store, network = RunStore(tmp_path, {}), network_of()
    mixer = (
        GradMix(layers_of(network.backbone), source_names=["S1", "S2"])
        if mixing
        else Sum(source_names=["S1", "S2"])
    )
    run = state_of(store, network=Explodes(network, "b"), mixer=mixer)
    train([run], Alone, log=lambda line: None, progress=lambda step, text: None)
    with pytest.raises(TrainingError, match=r"step 4: .* S2 is NaN .*the state of step 3 is kept"):
        raise run.error
    tensors, state = store.load()
    assert state["step"] == 3
    assert all(
        tensor.isfinite().all() for name, tensor in tensors.items() if "generator" not in name
    )


def test_bfloat16_trains_with_float32_weights(tmp_path):
    schedule = replace(SCHEDULE, precision="bfloat16", steps=3)
    outcome = trained(state_of(RunStore(tmp_path, {}), schedule))
    assert outcome.state["backbone.hidden.weight"].dtype == torch.float32
    assert outcome.rows[-1]["hyper_validation_loss"] < 5


@pytest.fixture
def joint_passes(monkeypatch):
    """The numbers of mini-batches of each joint pass."""
    calls = []
    real = joint.forward_together
    monkeypatch.setattr(joint, "forward_together", lambda *a: calls.append(len(a[1])) or real(*a))
    return calls


@pytest.mark.parametrize("statistics", ["shared", "per_domain"])
def test_one_forward_pass_for_all_sets_trains_alike(statistics, tmp_path, joint_passes):
    outcomes = []
    for how in ("separate", "together"):
        schedule = replace(SCHEDULE, forward=how)
        store = RunStore(tmp_path / how, {})
        outcomes.append(trained(state_of(store, schedule, network=network_of(statistics))))
    # A set's own running statistics need its own pass.
    assert joint_passes == ([3] * 12 if statistics == "shared" else [])
    first, second = outcomes
    for one, two in zip(first.rows, second.rows, strict=True):
        assert two == pytest.approx(one, rel=1e-3, abs=1e-3, nan_ok=True)
    assert second.step == first.step
    for name, tensor in first.state.items():
        torch.testing.assert_close(second.state[name], tensor, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("term", "joined"),
    [(VAT(1.0, 5.0, 0.01, 1), 4), (AugmentedCrossEntropy(1.0, 5.0, 0.1, 0.1), 2)],
)
def test_running_statistics_follow_the_order_of_the_streams(term, joined, tmp_path, joint_passes):
    """Whether the term's own passes update them or not."""
    states = []
    for how in ("separate", "together"):
        network, streams = network_of(), streams_of()
        more = Shuffled(torch.arange(20), 8, 3)
        streams.insert(2, LoadedStream(Stream("U"), image_set("U", 20, 5), more, "U"))
        terms = [CrossEntropy(), CrossEntropy(), term, CrossEntropy()]
        schedule = replace(SCHEDULE, forward=how, steps=1, evaluate_every=1)
        store = RunStore(tmp_path / how, {})
        trained(state_of(store, schedule, network=network, streams=streams, terms=terms))
        states.append({name: value.clone() for name, value in network.named_buffers()})
    assert joint_passes == [joined]
    torch.testing.assert_close(*states, rtol=1e-5, atol=1e-6)


def stream_of(images, term="cross_entropy", **options):
    return LoadedStream(Stream(images, term=term, **options), None, None, images)


def test_gradients_are_grouped_by_what_they_join():
    streams = [
        stream_of("sources"),
        stream_of("sources"),
        stream_of("S_u_hard"),
        stream_of("U", "entropy", joins="S_u_hard"),
        stream_of("V_enlarged", role="guide"),
        stream_of("V", role="companion"),
    ]
    assert gradient_groups(streams) == ([[0], [1], [2, 3]], 4)
    without = [stream for stream in streams if stream.name != "S_u_hard"]
    assert gradient_groups(without) == ([[0], [1], [2]], 3)


def test_a_joined_loss_is_part_of_the_same_gradient(tmp_path):
    """Two streams over the same images, joined, and mixed with a third, train like one with twice the loss."""

    class Twice(CrossEntropy):
        def __call__(self, context):
            return 2 * super().__call__(context)

    outcomes = []
    for joined in (True, False):
        network, streams = network_of(), streams_of()
        if joined:
            images = streams[0].set
            streams[:1] = [
                LoadedStream(Stream("S_u_hard"), images, Shuffled(torch.arange(40), 8, 1), "S1"),
                LoadedStream(
                    Stream("U", joins="S_u_hard"), images, Shuffled(torch.arange(40), 8, 1), "S1:U"
                ),
            ]
            # Batch normalisation sees the images twice; only the gradients are compared.
            terms = [CrossEntropy() for _ in streams]
        else:
            terms = [Twice(), CrossEntropy(), CrossEntropy()]
        schedule = replace(SCHEDULE, steps=1, evaluate_every=1)
        store = RunStore(tmp_path / str(joined), {})
        trained(state_of(store, schedule, network=network, streams=streams, terms=terms))
        outcomes.append({name: p.detach().clone() for name, p in network.named_parameters()})
    for name, parameter in outcomes[0].items():
        torch.testing.assert_close(parameter, outcomes[1][name], msg=name)


def test_adam_resumes_bit_for_bit(tmp_path):
    adam = replace(SCHEDULE, optimizer="adam", learning_rate=0.01)

    def interrupt(step, text):
        if step == 6:
            raise KeyboardInterrupt

    whole = trained(state_of(RunStore(tmp_path / "whole", {}), adam))
    store = RunStore(tmp_path / "broken", {})
    with pytest.raises(KeyboardInterrupt):
        trained(state_of(store, adam), interrupt)
    again = state_of(store, adam)
    assert again.resume()
    assert_equal(trained(again), whole)
