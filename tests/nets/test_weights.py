"""Pretrained weights: files of every kind, what is wrong with them, and a training that starts from them."""

import hashlib
import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import debug_experiment
import pytest
import torch
from debug_experiment import SCALE, make_experiment, train
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torchvision.models import resnet18

from gradmix.nets import weights
from gradmix.nets.resnet18 import WEIGHTS_URL
from gradmix.training.predict import load_network


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(3)
    return resnet18(weights=None).state_dict()


@pytest.fixture
def data_dir(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def write(setting, data_dir, log=lambda line: None):
    output = data_dir.parent / "out" / "resnet18.safetensors"
    weights.write_weights(setting, data_dir, output, log)
    return output


@pytest.mark.parametrize("kind", ["pth", "safetensors", "pth of before 2020"])
def test_a_file_of_ones_own_becomes_a_backbone(kind, state, data_dir):
    path = data_dir / "mine" / f"net.{kind.split()[0]}"
    path.parent.mkdir()
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "pth")
    lines = []
    output = write(f"mine/{path.name}", data_dir, lines.append)
    written = load_file(output)
    assert written.keys() == {
        name for name in state if "fc." not in name and "num_batches" not in name
    }
    assert all(torch.equal(tensor, state[name]) for name, tensor in written.items())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with safe_open(output, framework="pt") as file:
        metadata = file.metadata()
    assert (metadata["source"], metadata["sha256"]) == (path.name, digest)
    content = bytearray(output.read_bytes())
    content[-1] ^= 1
    output.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{output}: damaged \(SHA-256 differs\); delete it"):
        weights.read_weights(output)
    assert len(lines) == 1
    assert digest in lines[0]
    assert "100 tensors of 11,186,112 numbers" in lines[0]
    assert weights.weight_files(f"mine/{path.name}", data_dir) == [path]
    assert weights.weight_files(str(path), "elsewhere") == [path]


def test_a_pickle_that_holds_code_is_refused_and_not_run(state, data_dir):
    class Harm:
        def __reduce__(self):
            return Path.touch, (data_dir / "harm",)

    torch.save({"conv1.weight": Harm()}, data_dir / "a.pth")
    (data_dir / "b.pth").write_bytes(pickle.dumps(Harm(), protocol=2))
    for name in ("a.pth", "b.pth"):
        with pytest.raises(ValueError, match=rf"{name}: holds more than tensors"):
            write(name, data_dir)
    assert not (data_dir / "harm").exists()
    torch.load(data_dir / "a.pth", weights_only=False)
    assert (data_dir / "harm").exists(), "the file was harmless"


def test_another_layout_is_refused_with_file_and_key(state, data_dir):
    torch.save({"model": state, "epoch": 3}, data_dir / "checkpoint.pth")
    torch.save([torch.ones(2)], data_dir / "list.pth")
    torch.save({f"module.{k}": v for k, v in state.items()}, data_dir / "parallel.pth")
    save_file({"conv1.weight": torch.ones(2)}, data_dir / "short.safetensors")
    for name, message in {
        "checkpoint.pth": r"'model' is a OrderedDict; save the model's state_dict\(\) by itself",
        "list.pth": "must hold tensors by name, but holds a list",
        "parallel.pth": r"without conv1\.weight, .* it has module\.conv1\.weight",
        "short.safetensors": r"without bn1\.weight, bn1\.bias, bn1\.running_mean and 96 more",
        "absent.pth": r"network\.weights: .*absent\.pth is no file \(paths are relative to data_dir",
    }.items():
        with pytest.raises(ValueError, match=message) as caught:
            write(name, data_dir)
        assert str(data_dir / name) in str(caught.value)
    assert not (data_dir.parent / "out").exists()
    assert weights.weight_files("absent.pth", data_dir) == []


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
@pytest.mark.parametrize("part", [0.0, 0.5])
def test_a_damaged_file_is_refused(name, part, state, data_dir):
    path = data_dir / name
    save_file(state, path) if name.endswith("safetensors") else torch.save(state, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ValueError, match=r"net\.\w+: (damaged|holds more than tensors, or is no)"):
        write(name, data_dir)


def test_torchvisions_file_is_known_by_its_name():
    assert WEIGHTS_URL.rpartition("/")[2] == weights.IMAGENET


@pytest.mark.parametrize("folder", ["weights", ".", "downloads/weights"])
def test_another_file_of_torchvisions_name_is_refused(folder, state, data_dir):
    path = data_dir / folder / "resnet18-f37072fd.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    with pytest.raises(ValueError, match=r"expected to begin with f37072fd\); delete it") as caught:
        write("imagenet", data_dir)
    assert str(caught.value).startswith(str(path))
    # What was downloaded is no input of the workflow: it was not there when it was first read.
    by_hand = folder != "downloads/weights"
    assert weights.weight_files("imagenet", data_dir) == ([path] if by_hand else [])


def test_a_file_whose_digest_fits_is_taken_before_a_download(state, data_dir, monkeypatch):
    for folder in ("weights", "downloads/weights"):
        (data_dir / folder).mkdir(parents=True)
    plain = data_dir / "plain.pth"
    torch.save(state, plain)
    name = f"resnet18-{hashlib.sha256(plain.read_bytes()).hexdigest()[:8]}.pth"
    monkeypatch.setattr(weights, "IMAGENET", name)
    shutil.copy(plain, data_dir / "weights" / name)
    (data_dir / "downloads/weights" / name).write_bytes(b"not looked at")
    written = load_file(write("imagenet", data_dir))
    assert torch.equal(written["layer4.1.bn2.weight"], state["layer4.1.bn2.weight"])


def test_without_file_and_network_the_error_says_all_ways_on(data_dir, monkeypatch):
    # A proxy that nothing listens at: no test leaves this machine.
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(ValueError, match="could not be downloaded") as caught:
        write("imagenet", data_dir)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        f"get {WEIGHTS_URL} and lay it into {data_dir / 'weights'}",
        "network.weights: FILE.pth or FILE.safetensors",
        "network.weights: none",
        "looked for resnet18-f37072fd.pth in",
        str(data_dir / "downloads/weights"),
    ):
        assert part in message
    assert not list(data_dir.rglob("*.pth"))


# ---- training


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    return make_experiment(tmp_path_factory.mktemp("experiment"), scale=SCALE)


def settings_of(method="pooled", **network):
    # So small a rate that what the backbone starts from can be read off the end.
    rates = {"learning_rate": 1e-12, "fine_tune_learning_rate": 1e-12}
    training = {"steps": 1, "evaluate_every": 1, "fine_tune_steps": 1} | rates
    training |= {"fine_tune_evaluate_every": 1}
    settings = debug_experiment.settings_of(method, resnet=True, training=training)
    return replace(settings, network={**settings.network, "weights": "file", **network})


def convolution(folder):
    return load_file(folder / "model.safetensors")["backbone.layer2.0.conv1.weight"]


@pytest.mark.parametrize("statistics", ["shared", "per_domain"])
def test_training_starts_from_the_weights(statistics, state, experiment, tmp_path):
    save_file(state, tmp_path / "net.safetensors")
    file = write(str(tmp_path / "net.safetensors"), tmp_path)
    settings = settings_of(norm_statistics=statistics)
    run = tmp_path / "run"
    train(settings, experiment.job(tmp_path / "store", weights=file), run)
    torch.testing.assert_close(convolution(run), state["layer2.0.conv1.weight"])
    record = json.loads((run / "run.json").read_text())
    assert record["inputs"]["weights"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert record["settings"]["network"] == settings.network
    assert len(record["layers"]) in (0, 20)
    # A finished run is all that its network needs; and a method that starts from it needs no weights.
    file.unlink()
    network = load_network(run / "model.safetensors", torch.device("cpu"))
    assert network(torch.zeros(2, 3, 32, 32), "letters", "target").shape == (2, 3)
    tuned = settings_of("fine_tune", norm_statistics=statistics)
    initial = run / "model.safetensors"
    train(tuned, experiment.job(tmp_path / "store", initial=initial), tmp_path / "tuned")
    torch.testing.assert_close(convolution(tmp_path / "tuned"), convolution(run))


def test_training_from_no_weights_is_random_and_from_missing_ones_an_error(
    state, experiment, tmp_path
):
    train(
        settings_of(weights="none"),
        experiment.job(tmp_path / "store"),
        tmp_path / "run",
    )
    assert not torch.allclose(convolution(tmp_path / "run"), state["layer2.0.conv1.weight"])
    with pytest.raises(ValueError, match="no file of weights is given"):
        train(
            settings_of(weights="imagenet"),
            experiment.job(tmp_path / "store"),
            tmp_path / "no",
        )
    save_file({"conv1.weight": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other\.safetensors: not the weights of a ResNet-18"):
        train(
            settings_of(), experiment.job(tmp_path / "store", weights=tmp_path / "other.safetensors"),
            tmp_path / "no",
        )  # fmt: skip
