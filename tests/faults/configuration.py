"""Hostile values in every field of the configuration, and hostile configuration files."""

import json
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from gradmix.config import ConfigError, load_config
from gradmix.results.figures.registry import listed_figures
from tests.faults.campaign import Case
from tests.faults.miniature import REPOSITORY, last_words, snakemake
from tests.faults.verdict import LOST, SURVIVED, UNCLEAR, WRONG, BadCaseError, clear
from tests.hostile_values import VALUES, base, paths, put

# Fields and values that once found a fault, by seed: new fields would give other seeds other cases.
KNOWN = (
    ("domains.mine_manifest.frames_per_clip", "bytes"),
    ("domains.mine_perturbed.labels", "bytes"),
    ("domains.mine_image_folder.folder", "a lone surrogate"),
    ("methods.mine_mixmatch.options.mixmatch.temperature", "infinity"),
    ("methods.mine_mixmatch.options.mixmatch.temperature", "minus infinity"),
    ("methods.mine_vat.options.vat.epsilon", "not a number"),
    ("draws", "huge whole number"),
    ("draws", "huge number as text"),
    ("output_dir", "home"),
    ("network.normalise", "very long"),
    ("gradmix", "many entries"),
    ("ablations.mine.methods.mine.sources", "many entries"),
)


def in_a_field(case: Case) -> str:
    """One field holds a hostile value, or two do."""
    if case.seed < len(KNOWN):
        chosen = [(tuple(path.split(".")), what) for path, what in KNOWN[case.seed : case.seed + 1]]
    else:
        chosen = [
            (case.chance.choice(paths()), case.chance.choice(list(VALUES)))
            for _ in range(1 + (case.chance.random() < 0.2))
        ]
    values, changed = base(), []
    for path, what in chosen:
        values = put(values, path, VALUES[what]) if _reaches(values, path) else values
        case.did(f"{'.'.join(path)}: {what}")
        changed.append(path)
    try:
        config = load_config(values)
    except ConfigError as error:
        # A wrong entry of a list or section may be told at what refers to it.
        return clear(str(error), ["configuration\n"])
    except BaseException as error:
        raise BadCaseError(UNCLEAR, f"load_config raised {type(error).__name__}: {error}") from None
    _plan(config)
    for path in changed:
        if "options" in path and path[0] == "methods" and path[1] in config.methods:
            _train(case, config, path[1])
    return SURVIVED


def _reaches(values: Any, path: tuple[str, ...]) -> bool:
    for key in path[:-1]:
        values = values.get(key, {}) if isinstance(values, dict) else None
    return isinstance(values, dict)


def _plan(config: Any) -> None:
    """What planning asks of a configuration, without Snakemake."""
    try:
        records = [config.resolved(), config.split_settings(), config.all_rows()]
        records += [config.domain_settings(name) for name in config.domains]
        records += [config.method_settings(name).to_json() for name in config.all_methods()]
        records += [config.grid_settings().to_json(), config.grid_members()]
        listed_figures(config)
        Path(config.output_dir, "x").parts  # noqa: B018
    except Exception as error:
        raise BadCaseError(
            UNCLEAR, f"accepted, but planning says {type(error).__name__}: {error}"
        ) from None
    if config.output_dir.startswith("~"):
        raise BadCaseError(WRONG, f"a folder named {config.output_dir} would be made")
    try:
        json.dumps(records, allow_nan=False)
    except (ValueError, TypeError) as error:
        raise BadCaseError(LOST, f"the record cannot be written after training: {error}") from None


def _train(case: Case, config: Any, method: str) -> None:
    """Train the accepted options for a few steps, where the debug experiment can."""
    sys.path.insert(0, str(REPOSITORY / "tests"))
    from debug_experiment import make_experiment, needs_resnet, settings_of, train

    settings = config.method_settings(method)
    if needs_resnet(settings.recipe) or config.listed(method).candidates:
        return
    (case.folder / "debug").mkdir()
    experiment = make_experiment(case.folder / "debug")
    options = config.listed(method).overrides("options")
    if "fixed_weights" in options:
        return  # they name the sources of this configuration
    own = settings_of(settings.recipe, options=options)
    job = experiment.job_of(settings.recipe, case.folder / "store")
    try:
        train(own, job, case.folder / "run", log=lambda line: None)
    except ValueError as error:
        raise BadCaseError(
            LOST if "JSON" in str(error) else UNCLEAR, f"accepted, but training says: {error}"
        ) from None
    except Exception as error:
        raise BadCaseError(
            UNCLEAR, f"accepted, but training says {type(error).__name__}: {error}"
        ) from None


TEXTS = (
    "cut short",
    "a tab",
    "not UTF-8",
    "a key twice",
    "a section twice",
    "a list in its place",
    "empty",
    "a tag of Python",
    "an alias to nothing",
    "a binary file",
    "no file",
    "a folder",
    "an unquoted colon",
    "wrong indentation",
    "a hostile value",
)


def in_a_file(case: Case) -> str:
    """The default configuration file is damaged as text; Snakemake plans by it.

    What `--configfile` names Snakemake reads itself, before it comes to the workflow.
    """
    assert case.miniature is not None
    own = case.miniature.copy(case.folder, whole=True)
    path = own / "config" / "config.yaml"
    shutil.copyfile(own / "mini.yaml", path)
    what = case.chance.choice(TEXTS)
    case.did(what)
    _damage(path, what, case.chance)
    before = sorted(own.rglob("*.safetensors"))
    said = snakemake(own, "--dry-run", "--quiet", configuration=None)
    if sorted(own.rglob("*.safetensors")) != before:
        raise BadCaseError(LOST, "a dry run removed models")
    if said.status:
        return clear(last_words(said.text), ["config.yaml"])
    if what in ("a key twice", "a section twice"):
        raise BadCaseError(WRONG, f"{what}: the last one counts without a word")
    if what not in ("a hostile value", "cut short"):
        raise BadCaseError(WRONG, f"{what}: it is planned without a word")
    return SURVIVED


def _damage(path: Path, what: str, chance: random.Random) -> None:
    text = path.read_text()
    lines = text.splitlines()
    at = chance.randrange(len(lines))
    changed: dict[str, str | bytes] = {
        "cut short": text[: chance.randrange(20, len(text))],
        "a tab": "\n".join([*lines[:at], "\tseed: 1", *lines[at:]]),
        "not UTF-8": text.replace("Miniature", "Mini\xe4ture").encode("latin-1"),
        "a key twice": text + f"\nseed: {chance.randrange(9)}\n",
        "a section twice": text + "\nnetwork:\n  width: 8\n",
        "a list in its place": "- a\n- b\n",
        "empty": "",
        "a tag of Python": text + "\nx: !!python/object/apply:os.system ['touch ran']\n",
        "an alias to nothing": text + "\nseed: *nothing\n",
        "a binary file": chance.randbytes(500),
        "an unquoted colon": text.replace("title: Miniature", "title: Mini: ature"),
        "wrong indentation": "\n".join([*lines[:at], "   seed: 1", *lines[at:]]),
    }
    path.unlink()
    if what == "a folder":
        path.mkdir()
    elif what == "a hostile value":
        values = yaml.safe_load(text)
        names = [name for name in values if name not in ("output_dir", "data_dir")]
        values[chance.choice(names)] = chance.choice(["a", -1, None, {}, float("nan"), "a\nb"])
        path.write_text(yaml.safe_dump(values))
    elif what != "no file":
        content = changed[what]
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
