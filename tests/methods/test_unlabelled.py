"""Methods that use U: broken off and resumed, under other mixers, and with each domain's own statistics."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from debug_experiment import settings_of, train
from safetensors.numpy import load_file, save_file

from gradmix.nets.convnet import ConvNet
from gradmix.training.predict import evaluate_run

TRAINING = {"steps": 12, "evaluate_every": 3}


@pytest.fixture
def job(experiment, tmp_path):
    return experiment.job(tmp_path / "store", enlarged=experiment.enlarged)


def quiet(line):
    pass


def outcome(folder):
    return load_file(folder / "model.safetensors"), pd.read_parquet(folder / "curves.parquet")


@pytest.mark.parametrize(
    ("method", "combined"),
    [
        ("mme", {}),
        ("mdda", {}),
        ("dctn", {}),
        ("dctn", {"mixer": "gradmix"}),
        ("gradmix_hard", {"terms": ["dctn"]}),
        ("gradmix_vat", {}),
        ("gradmix_mixmatch", {}),
        ("target_only_mixmatch", {}),
    ],
)
def test_a_run_broken_off_resumes_bit_for_bit(method, combined, job, tmp_path):
    # A low threshold, so that pseudo-labels matter in so short a run.
    low = {"dctn": {"threshold": 0.4}} if "dctn" in (method, *combined.get("terms", ())) else {}
    settings = settings_of(method, training=TRAINING, options=low, **combined)
    train(settings, job, tmp_path / "whole", quiet)

    def break_off(line):
        if line.startswith("step 9/"):
            raise KeyboardInterrupt

    broken = replace(job, store=tmp_path / "broken")
    with pytest.raises(KeyboardInterrupt):
        train(settings, broken, tmp_path / "resumed", break_off)
    lines = []
    train(settings, broken, tmp_path / "resumed", lines.append)
    assert "resumed at step 6" in lines
    (weights, curves), (expected, whole) = (outcome(tmp_path / n) for n in ("resumed", "whole"))
    pd.testing.assert_frame_equal(curves, whole, check_exact=True)
    assert all(np.array_equal(weights[name], tensor) for name, tensor in expected.items())
    assert "loss/U" in curves
    assert np.isfinite(curves["loss/U"].iloc[1:]).all()


def test_full_mixmatch_leaves_the_guide_its_gradient(job, tmp_path):
    """U comes before the guide, whose images full MixMatch passes through the network too."""
    labelled = {"mixmatch": {"labelled": True}}
    settings = settings_of("gradmix_mixmatch", training=TRAINING, options=labelled)
    train(settings, job, tmp_path / "run", quiet)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["sources"] == ["near", "other", "S_u"]
    curves = outcome(tmp_path / "run")[1]
    assert np.isfinite(curves["loss/V"].iloc[1:]).all()


def test_dctn_mixed_by_gradmix_weighs_u_like_a_source(job, tmp_path):
    settings = settings_of("dctn", training=TRAINING, mixer="gradmix")
    train(settings, job, tmp_path / "run", quiet)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["sources"] == ["near", "other", "U"]
    curves = outcome(tmp_path / "run")[1]
    for layer in record["layers"]:
        total = sum(curves[f"weight/{layer}/{source}"] for source in record["sources"]).dropna()
        np.testing.assert_allclose(total, 1)


def test_statistics_per_domain_of_one_domain_are_plain_batch_normalisation_everywhere():
    options = {"image_size": (8, 8), "width": 4, "hidden": 6, "normalise": "all"}
    shared = ConvNet({"a": 3}, **options)
    own = ConvNet({"a": 3}, norm_statistics="per_domain", domains=["d"], **options)
    own.load_state_dict(shared.state_dict(), strict=False)
    assert [n for n, _ in own.named_parameters()] == [n for n, _ in shared.named_parameters()]
    generator = torch.Generator().manual_seed(0)
    for scale in (1.0, 2.0, 0.5):
        images = scale * torch.randn(6, 3, 8, 8, generator=generator) + scale
        torch.testing.assert_close(own(images, "a", "d"), shared(images, "a"))
    torch.testing.assert_close(own.eval()(images, "a", "d"), shared.eval()(images, "a"))
    assert sum(name.endswith("means_DC") for name in own.state_dict()) == 4 + 1 + 1


def test_mdda_is_evaluated_by_the_target_s_statistics(experiment, job, tmp_path):
    """Statistics of the sources replaced by nonsense change no prediction; those of the target do."""
    train(settings_of("mdda", training=TRAINING), job, tmp_path / "run", quiet)
    weights, _ = outcome(tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    del record["files"]  # the hash of the network, which is to be changed
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))

    def confusion(spoilt):
        changed = {name: tensor.copy() for name, tensor in weights.items()}
        rows = [record["domains"].index(domain) for domain in spoilt]
        for name in changed:
            if name.endswith(("means_DC", "variances_DC")):
                assert changed[name].shape[0] == 3
                changed[name][rows] = np.arange(changed[name].shape[1]) ** 2
        save_file(changed, tmp_path / "run" / "model.safetensors")
        evaluate_run(
            run=tmp_path / "run",
            target=experiment.domains["target"],
            test=experiment.domains["target"],
            split=experiment.split,
            labels_per_class=2,
            output=tmp_path / "metrics.json",
            device="cpu",
            log=quiet,
        )
        return json.loads((tmp_path / "metrics.json").read_text())["confusion"]

    right = confusion([])
    assert confusion(["near", "other"]) == right
    assert confusion(["target"]) != right
