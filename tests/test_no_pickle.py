"""Nothing is pickled: no code of ours unpickles a file, and files that were made to do harm do none."""

import ast
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from debug_experiment import settings_of, train

from gradmix.domains.arrays import load as load_arrays
from gradmix.domains.format import open_domain
from gradmix.nets.weights import write_weights
from gradmix.training.predict import load_network
from gradmix.training.store import CHECKPOINT, RunStore

REPOSITORY = Path(__file__).parents[1]
CODE = [*REPOSITORY.glob("gradmix/**/*.py"), *REPOSITORY.glob("workflow_scripts/*.py")]

PICKLING = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
# What these ask for; everything else by which a file or a text could run is not there at all.
ONLY_WITH = {
    "torch.load": ("weights_only", True),
    "torch.hub.load_state_dict_from_url": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "np.save": ("allow_pickle", False),
    "yaml.dump": ("Dumper", None),
}
NEVER = (
    *("eval", "exec", "compile", "__import__", "torch.save", "torch.hub.load", "torch.jit.load"),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "np.fromfile"),
)
NEVER_NAMED = ("read_pickle", "to_pickle", "UnsafeLoader", "FullLoader", "extractall")
# Methods whose owner is looked at only if it is called by its usual name: no such name is imported by itself.
BY_ITSELF = {"torch": {"load", "save", "hub", "jit"}, "numpy": {"load", "save"}, "yaml": {"load"}}


def faults(tree: ast.AST, *, only_the_error: bool = False) -> list[str]:
    """What a file does that might run a file's content; ``only_the_error``: pickle's may be caught."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names} & PICKLING
            found += [f"imports {name}" for name in names if not only_the_error]
            found += [
                f"calls {a.name} {a.asname}, which hides its calls"
                for a in node.names
                if _renamed(a)
            ]
        elif isinstance(node, ast.ImportFrom):
            module = (node.module or "").split(".")[0]
            taken = BY_ITSELF.get(module, set()) & {alias.name for alias in node.names}
            found += [f"imports from {module}"] if module in PICKLING or taken else []
        elif isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            if node.attr in NEVER_NAMED or (owner in PICKLING and node.attr != "UnpicklingError"):
                found.append(f"uses {owner}.{node.attr}")
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in NEVER:
                found.append(f"calls {name}")
            if name in ONLY_WITH:
                key, value = ONLY_WITH[name]
                given = {k.arg: k.value for k in node.keywords}.get(key)
                if given is None or (
                    value is not None and getattr(given, "value", None) is not value
                ):
                    found.append(f"calls {name} without {key}")
    return found


def _renamed(alias: ast.alias) -> bool:
    usual = {"torch": None, "numpy": "np", "yaml": None}
    return alias.name in usual and alias.asname != usual[alias.name]


def test_no_code_of_ours_runs_what_is_in_a_file():
    assert len(CODE) > 200
    for path in CODE:
        catches = path.relative_to(REPOSITORY) == Path("gradmix/nets/weights.py")
        assert faults(ast.parse(path.read_bytes()), only_the_error=catches) == [], path


@pytest.mark.parametrize(
    "line",
    [
        *("import pickle", "from pickle import loads", "import os, dill", "pickle.load(f)"),
        *("torch.load(p)", "torch.load(p, weights_only=False)", "torch.load(p, weights_only=x)"),
        *(
            "np.load(p)",
            "np.load(p, allow_pickle=True)",
            "import numpy as n",
            "from numpy import load",
        ),
        *("from torch import load", "eval(text)", "import torch as t"),
        *(
            "yaml.load(f, yaml.Loader)",
            "frame.to_pickle(p)",
            "pd.read_pickle(p)",
            "torch.save(x, p)",
        ),
    ],
)
def test_the_check_finds_it(line):
    assert faults(ast.parse(line))


# ---- files that would run code, if anything unpickled them


class Harm:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.fixture
def harm(tmp_path):
    """Bytes that leave a trace when they are unpickled."""
    trace = tmp_path / "trace"
    content = pickle.dumps(Harm(trace), protocol=2)  # the one that torch's own files have
    pickle.loads(content)  # noqa: S301
    assert trace.exists()
    trace.unlink()
    yield content
    assert not trace.exists(), "code of a file was run"


def test_a_checkpoint(harm, experiment, tmp_path):
    # Interrupted by the process that asks for the record, so that there is a folder to lay it into.
    def interrupt(line):
        if line.startswith("step 3"):
            raise KeyboardInterrupt

    job = experiment.job(tmp_path / "store")
    with pytest.raises(KeyboardInterrupt):
        train(settings_of("pooled"), job, tmp_path / "run", interrupt)
    (checkpoint,) = job.store.rglob(CHECKPOINT)
    checkpoint.write_bytes(harm)
    lines = []
    train(settings_of("pooled"), job, tmp_path / "run", lines.append)
    assert any(line.startswith(f"{checkpoint}: damaged (") for line in lines)


def test_a_checkpoint_made_by_torch(harm, tmp_path):
    lines = []
    store = RunStore(tmp_path, {}, log=lines.append)
    store.folder.mkdir()
    torch.save({"network/a": Harm(tmp_path / "trace")}, store.folder / CHECKPOINT)
    assert store.load() is None
    assert "damaged" in lines[0]


def test_a_model_that_a_training_starts_from(harm, experiment, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(harm)
    job = experiment.job(tmp_path / "store", initial=tmp_path / "model.safetensors")
    with pytest.raises(Exception, match="header"):
        train(settings_of("fine_tune"), job, tmp_path / "run")


def test_a_model_that_is_evaluated(harm, experiment, tmp_path):
    train(settings_of("pooled"), experiment.job(tmp_path / "store"), tmp_path / "run")
    model = tmp_path / "run" / "model.safetensors"
    model.write_bytes(harm)
    with pytest.raises(ValueError, match=r"model\.safetensors: not the content that run\.json"):
        load_network(model, torch.device("cpu"))


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
def test_weights(name, harm, tmp_path):
    (tmp_path / name).write_bytes(harm)
    with pytest.raises(ValueError, match=rf"{name}: (holds more than tensors|damaged)"):
        write_weights(name, tmp_path, tmp_path / "out.safetensors", print)


@pytest.mark.parametrize("kind", ["objects", "pickle", "pickle in a zip"])
def test_arrays(kind, harm, tmp_path):
    path = tmp_path / "mine.npz"
    if kind == "objects":
        images = np.array([Harm(tmp_path / "trace")], dtype=object)
        np.savez(path, images=images, labels=np.array(["a"]))
    elif kind == "pickle":
        path.write_bytes(harm)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("images.npy", harm)
            archive.writestr("labels.npy", harm)
    with pytest.raises(ValueError, match=r"mine\.npz"):
        load_arrays({"file": "mine.npz"}, tmp_path, None)


@pytest.mark.parametrize("kind", ["objects", "pickle"])
@pytest.mark.parametrize("name", ["images.npy", "index.parquet", "domain.json"])
def test_a_domain(name, kind, harm, experiment, tmp_path):
    shutil.copytree(experiment.domains["near"], tmp_path / "near")
    path = tmp_path / "near" / name
    if kind == "objects":
        with open(path, "wb") as file:
            np.save(file, np.array([Harm(tmp_path / "trace")] * 60, dtype=object))
    else:
        path.write_bytes(harm)
    with pytest.raises(ValueError, match=str(path)):
        open_domain(tmp_path / "near").labels.sum()


def test_a_configuration(harm, tmp_path):
    """Snakemake's own reading of a configuration; ours gets what it read."""
    from snakemake.common.configfile import load_configfile
    from snakemake.exceptions import WorkflowError

    path = tmp_path / "config.yaml"
    path.write_text(f"title: !!python/object/apply:os.mkdir [{tmp_path / 'trace'}]\n")
    with pytest.raises((WorkflowError, yaml.YAMLError)):
        load_configfile(str(path))
