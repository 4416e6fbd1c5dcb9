"""The loop on tensors made up here: learning, choosing, resuming bit for bit, failing."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from gradmix.methods.recipe import Stream
from gradmix.mixing.gradmix import GradMix
from gradmix.mixing.layers import layers_of
from gradmix.nets.convnet import ConvNet
from gradmix.terms.augmented_cross_entropy import AugmentedCrossEntropy
from gradmix.terms.cross_entropy import CrossEntropy
from gradmix.terms.vat import VAT
from gradmix.training import joint
from gradmix.training.batches import Shuffled, Whole
from gradmix.training.curves import Curves
from gradmix.training.data import ImageSet, LoadedStream
from gradmix.training.loop import Schedule, TrainingError, gradient_groups, train
from gradmix.training.store import RunStore

SCHEDULE = Schedule(
    optimizer="sgd",
    steps=12,
    evaluate_every=3,
    learning_rate=0.05,
    momentum=0.9,
    weight_decay=0.0,
    precision="float32",
)


def image_set(name, n, seed, space="a", classes=2):
    """Bright images are class 1, dark ones class 0."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    noise = torch.randint(0, 120, (n, 8, 8, 1), generator=generator)
    images = (noise + 130 * (labels % 2)[:, None, None, None]).to(torch.uint8)
    return ImageSet(name, images, labels, space, name)


def parts(schedule=SCHEDULE, statistics="shared"):
    torch.manual_seed(0)
    network = ConvNet(
        {"a": 2, "b": 3}, image_size=(8, 8), width=4, hidden=8,
        norm_statistics=statistics, domains=["S1", "S2", "V", "H"],
    )  # fmt: skip
    sets = [image_set("S1", 40, 1), image_set("S2", 30, 2, "b", 3), image_set("V", 6, 3)]
    streams = [
        LoadedStream(Stream("sources"), sets[0], Shuffled(torch.arange(40), 8, 1), "S1"),
        LoadedStream(Stream("sources"), sets[1], Shuffled(torch.arange(30), 8, 2), "S2"),
        LoadedStream(Stream("V", role="guide"), sets[2], Whole(6), "V"),
    ]
    mixer = GradMix(layers_of(network.backbone), source_names=["S1", "S2"])
    curves = Curves(["S1", "S2", "V"], [layer.name for layer in mixer.layers], ["S1", "S2"])
    terms = [CrossEntropy() for _ in streams]
    return network, mixer, streams, terms, image_set("H", 20, 4), schedule, curves


def run(store, log=lambda line: None, progress=lambda step, text: None, mutate=None):
    arguments = parts()
    if mutate:
        mutate(*arguments)
    return train(*arguments, store=store, log=log, progress=progress)


def test_learns_and_chooses_the_best_checkpoint_on_h(tmp_path):
    outcome = run(RunStore(tmp_path, {}))
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


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_run_resumes_bit_for_bit(tmp_path, interruption):
    whole = run(RunStore(tmp_path / "whole", {}))

    def interrupt(step, text):
        if step == 6:
            raise interruption

    store = RunStore(tmp_path / "broken", {})
    with pytest.raises(interruption):
        run(store, progress=interrupt)
    assert store.load()[1]["step"] == 3  # the last state that was whole
    lines = []
    resumed = run(store, log=lines.append)
    assert lines[0] == "resumed at step 3"
    assert [str(row) for row in resumed.rows] == [str(row) for row in whole.rows]
    assert all(torch.equal(resumed.state[name], tensor) for name, tensor in whole.state.items())
    assert resumed.step == whole.step


def test_two_runs_are_equal(tmp_path):
    first, second = run(RunStore(tmp_path / "1", {})), run(RunStore(tmp_path / "2", {}))
    assert all(torch.equal(first.state[name], tensor) for name, tensor in second.state.items())


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
    network, mixer, streams, terms, validation, schedule, curves = parts()
    store = RunStore(tmp_path, {})
    with pytest.raises(TrainingError, match=r"step 4: .* S2 is NaN .*the state of step 3 is kept"):
        train(
            Explodes(network, "b"), mixer if mixing else None, streams, terms, validation,
            schedule, curves,
            store=store, log=lambda line: None, progress=lambda step, text: None,
        )  # fmt: skip
    tensors, state = store.load()
    assert state["step"] == 3
    assert all(
        tensor.isfinite().all() for name, tensor in tensors.items() if "generator" not in name
    )


def test_bfloat16_trains_with_float32_weights(tmp_path):
    network, mixer, streams, terms, validation, schedule, curves = parts()
    schedule = Schedule(**{**schedule.__dict__, "precision": "bfloat16", "steps": 3})
    outcome = train(
        network, mixer, streams, terms, validation, schedule, curves,
        store=RunStore(tmp_path, {}), log=lambda line: None, progress=lambda step, text: None,
    )  # fmt: skip
    assert outcome.state["backbone.hidden.weight"].dtype == torch.float32
    assert outcome.rows[-1]["hyper_validation_loss"] < 5


@pytest.mark.parametrize("statistics", ["shared", "per_domain"])
def test_one_forward_pass_for_all_sets_trains_alike(statistics, tmp_path, monkeypatch):
    calls = []
    real = joint.forward_together
    monkeypatch.setattr(joint, "forward_together", lambda *a: calls.append(len(a[1])) or real(*a))
    outcomes = {}
    for how in ("separate", "together"):
        network, mixer, streams, terms, validation, schedule, curves = parts(statistics=statistics)
        schedule = replace(schedule, forward=how)
        outcomes[how] = train(
            network, mixer, streams, terms, validation, schedule, curves,
            store=RunStore(tmp_path / how, {}), log=lambda line: None, progress=lambda *a: None,
        )  # fmt: skip
    # A set's own running statistics need its own pass.
    assert calls == ([3] * 12 if statistics == "shared" else [])
    first, second = outcomes.values()
    for one, two in zip(first.rows, second.rows, strict=True):
        assert two == pytest.approx(one, rel=1e-3, abs=1e-3, nan_ok=True)
    assert second.step == first.step
    for name, tensor in first.state.items():
        torch.testing.assert_close(second.state[name], tensor, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("term", "joined"),
    [(VAT(1.0, 5.0, 0.01, 1), 4), (AugmentedCrossEntropy(1.0, 5.0, 0.1, 0.1), 2)],
)
def test_running_statistics_follow_the_order_of_the_streams(term, joined, tmp_path, monkeypatch):
    """Whether the term's own passes update them or not."""
    calls = []
    real = joint.forward_together
    monkeypatch.setattr(joint, "forward_together", lambda *a: calls.append(len(a[1])) or real(*a))
    states = []
    for how in ("separate", "together"):
        network, _, streams, terms, validation, schedule, _ = parts()
        more = Shuffled(torch.arange(20), 8, 3)
        streams.insert(2, LoadedStream(Stream("U"), image_set("U", 20, 5), more, "U"))
        terms.insert(2, term)
        mixer = GradMix(layers_of(network.backbone))
        names = [stream.name for stream in streams]
        curves = Curves(names, [layer.name for layer in mixer.layers], names[:3])
        train(
            network, mixer, streams, terms, validation,
            replace(schedule, forward=how, steps=1, evaluate_every=1), curves,
            store=RunStore(tmp_path / how, {}), log=lambda line: None, progress=lambda *a: None,
        )  # fmt: skip
        states.append({name: value.clone() for name, value in network.named_buffers()})
    assert calls == [joined]
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
        network, mixer, streams, terms, validation, schedule, _ = parts()
        if joined:
            again = Stream("U", joins="S_u_hard")
            first = LoadedStream(
                Stream("S_u_hard"), streams[0].set, Shuffled(torch.arange(40), 8, 1), "S1"
            )
            second = LoadedStream(again, streams[0].set, Shuffled(torch.arange(40), 8, 1), "S1:U")
            streams, terms = [first, second, *streams[1:]], [CrossEntropy() for _ in range(4)]
            # Batch normalisation sees the images twice; only the gradients are compared.
        else:
            terms = [Twice(), *terms[1:]]
        curves = Curves(
            [s.name for s in streams], [layer.name for layer in mixer.layers], ["S1", "S2"]
        )
        one = Schedule(**{**schedule.__dict__, "steps": 1, "evaluate_every": 1})
        train(
            network, mixer, streams, terms, validation, one, curves,
            store=RunStore(tmp_path / str(joined), {}), log=lambda line: None,
            progress=lambda step, text: None,
        )  # fmt: skip
        outcomes.append({name: p.detach().clone() for name, p in network.named_parameters()})
    for name, parameter in outcomes[0].items():
        torch.testing.assert_close(parameter, outcomes[1][name], msg=name)


def test_adam_resumes_bit_for_bit(tmp_path):
    def with_adam(store, stop=None):
        network, mixer, streams, terms, validation, schedule, curves = parts()
        adam = Schedule(**{**schedule.__dict__, "optimizer": "adam", "learning_rate": 0.01})

        def progress(step, text):
            if step == stop:
                raise KeyboardInterrupt

        return train(
            network, mixer, streams, terms, validation, adam, curves,
            store=store, log=lambda line: None, progress=progress,
        )  # fmt: skip

    whole = with_adam(RunStore(tmp_path / "whole", {}))
    store = RunStore(tmp_path / "broken", {})
    with pytest.raises(KeyboardInterrupt):
        with_adam(store, stop=6)
    resumed = with_adam(store)
    assert all(torch.equal(resumed.state[name], tensor) for name, tensor in whole.state.items())
    assert [str(row) for row in resumed.rows] == [str(row) for row in whole.rows]
