# The checked configuration, the paths of all files, and what the rules ask of both.
import hashlib
import re
import sys
from functools import cache
from pathlib import Path

# The package beside this workflow is the one that is fingerprinted, so it is the one that is used.
sys.path.insert(0, str(workflow.basedir))

from gradmix.config import ConfigError, load_config
from gradmix.domains.registry import ORIGINS, inventory_of, is_files, raw_files_of
from gradmix.fingerprint import fingerprint
from gradmix.leftovers import cancel_leftovers, run_id_in
from gradmix.methods.mixers.registry import mixer_part
from gradmix.methods.registry import METHODS
from gradmix.nets.registry import NETWORKS
from gradmix.nets.weights import weight_files
from gradmix.results.table_files import FORMATS as TABLE_FORMATS
from gradmix.results.table_files import table_files
from gradmix.terms.registry import term_part

# Asked for once per job, and the same for thousands of them.
fingerprint = cache(fingerprint)

try:
    experiment = load_config(config, ", ".join(map(str, workflow.configfiles)) or "--config")
except ConfigError as error:
    raise WorkflowError(str(error)) from None

FILE_DOMAINS = [name for name in experiment.domains if is_files(experiment.raw_domain(name).origin)]
ARRAY_DOMAINS = [name for name in experiment.domains if name not in FILE_DOMAINS]
CONDA = "../envs/gradmix.yaml"
OUT = experiment.output_dir
DOMAIN_FILES = ("images.npy", "index.parquet", "domain.json")
RUN_FILES = ("model.safetensors", "curves.parquet", "run.json")
FORMATS = ("svg", "png", "pdf")
DOMAIN = f"{OUT}/domains/{{domain}}"
WEIGHTS = f"{OUT}/weights/{{network}}.safetensors"
SPLIT = f"{OUT}/splits/{{labels_per_class}}/{{draw}}.json"
GRID = f"{OUT}/grid/{{labels_per_class}}/{{draw}}"
# The labelling is empty, or the name of another number of models, threshold or size than `pseudo_labels` has.
ENSEMBLE = f"{OUT}/ensemble/{{labels_per_class}}/{{draw}}{{labelling}}.json"
PSEUDO_LABELS = f"{OUT}/pseudo_labels/{{labels_per_class}}/{{draw}}{{labelling}}"
ENLARGED = f"{OUT}/splits/{{labels_per_class}}/{{draw}}{{labelling}}.enlarged.json"
RUN = f"{OUT}/runs/{{labels_per_class}}/{{draw}}/{{method}}"
FIGURE = f"{OUT}/figures"
REPORT = f"{OUT}/report.html"
# Only training spreads over several.
ONE_GPU = min(1, experiment.resources.gpu)
TABLES = [
    f"{OUT}/tables/{file}"
    for file in table_files(
        experiment.has_clips(),
        has_conditions=bool(experiment.conditions),
        mixes=any(experiment.recipe(name).mixes_by_target for name in experiment.methods),
    )
]


def one_of(names):
    """A wildcard's constraint: one of these names."""
    return "|".join(map(re.escape, names))


def log_of(rule, *parts):
    """Log file of a rule; `parts` tell its jobs apart."""
    return f"{Path(OUT, 'logs', rule, *(parts or [rule]))}.log"


def benchmark_of(rule, *parts):
    """Benchmark file of a rule."""
    return f"{Path(OUT, 'benchmarks', rule, *(parts or [rule]))}.tsv"


def memory(wildcards, attempt):
    """MB of a training job; a job that was killed asks for more when it is tried again."""
    return experiment.resources.memory_mb * attempt


def minutes(wildcards, attempt):
    """Run time of a training job; one that ran out of it gets more when it is tried again."""
    return experiment.resources.runtime_minutes * attempt


def end_leftovers(log):
    """End jobs on a SLURM cluster that outlived an earlier controller of this experiment."""
    run_id = run_id_in([log] if isinstance(log, str) else log)
    if run_id:
        say = lambda line: print(line, file=sys.stderr)
        cancel_leftovers(Path(OUT, ".store", "slurm_runs"), run_id, say)


def gpus_to_train(recipe):
    """GPUs of a training job: a rank on each, where the recipe can be trained by several."""
    return experiment.resources.gpu if recipe.trains_on_ranks else ONE_GPU


def network_module():
    """Module of the network, which is loaded by name at run time."""
    return NETWORKS[experiment.network.name].module


def training_code(recipe, settings):
    """Fingerprint of all that training by a recipe runs; parts loaded by name are named here."""
    parts = {term_part(stream.term).module for stream in recipe.streams}
    parts |= {METHODS[recipe.name], network_module(), mixer_part(recipe.mixer).module}
    tried = settings.get("candidates", {"": settings}).values()
    if any("forward" in one["training"] for one in tried):
        parts.add("gradmix.training.joint")
    return fingerprint("gradmix.training.run", *sorted(parts))


@cache
def method_code(method):
    """Fingerprint of the code that trains a method."""
    return training_code(experiment.recipe(method), experiment.method_settings(method))


@cache
def grid_code():
    """Fingerprint of the code that trains the grid."""
    return training_code(experiment.grid_recipe(), experiment.grid_settings())


def domain_code(stage, domain):
    """Fingerprint of the code that prepares a domain."""
    settings = experiment.domain_settings(domain)["settings"]
    perturbed = ["gradmix.domains.perturbed"] if "perturbed" in settings else []
    return fingerprint(stage, ORIGINS[settings["origin"]], *perturbed)


def prediction_code():
    """Fingerprint of the code that applies trained networks."""
    return fingerprint("gradmix.training.predict", network_module())


def templates():
    """Hash of the report's templates, which are no Python and so in no fingerprint."""
    digest = hashlib.sha256()
    for path in sorted(Path(workflow.basedir, "gradmix", "results").glob("*.j2")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


# ---- which files a job reads


def domain_files(*domains):
    """The three files of each domain."""
    names = list(dict.fromkeys(domains))
    return expand(f"{DOMAIN}/{{file}}", domain=names, file=DOMAIN_FILES)


def raw_files(wildcards):
    """Files in data_dir that the domain is made from, as far as they exist."""
    settings = experiment.domain_settings(wildcards.domain)["settings"]
    return raw_files_of(settings, experiment.data_dir)


def members_files(file):
    """That file of every member of the grid, with k and draw open."""
    return expand(f"{GRID}/{{member}}/{file}", member=experiment.grid_members(), allow_missing=True)


@cache
def trained_methods():
    """The listed methods, under all conditions and ablations included, and those that they start from, step by step."""
    found = dict.fromkeys([*experiment.all_methods(), *row_names()])
    open_ = list(found)
    while open_:
        first = experiment.starts_from(open_.pop())
        if first and first not in found:
            found[first] = None
            open_.append(first)
    return list(found)


@cache
def row_names():
    """The runs of the table, by name: the listed methods, then those of other conditions."""
    return [row["name"] for row in experiment.all_rows()]


def pseudo_labelled():
    """Whether any row of the tables asks for pseudo-labels, and so for the grid."""
    return any(experiment.recipe(method).needs_pseudo_labels for method in experiment.methods)


@cache
def labellings():
    """Every way in which unlabelled images get labels, by its name in paths; empty for the configured one."""
    found = {"": experiment.pseudo_labels}
    for method in experiment.all_methods():
        found[labelling_of(method)] = experiment.labelling(method)
    return found


@cache
def labelling_of(method):
    """Name of a method's labelling."""
    own, default = experiment.labelling(method), experiment.pseudo_labels
    if own == default:
        return ""
    return f".R{own.models}-threshold{own.threshold:g}-to{own.enlarge_to}"


def labelling_value(key):
    """A rule's parameter: that key of its labelling."""
    return lambda wildcards: getattr(labellings()[wildcards.labelling], key)


@cache
def trained_at(method, labels_per_class):
    """k of a method's run: 0 where no target label trains it, so that one run serves every k."""
    return labels_per_class if experiment.recipe(method).needs_target_labels else 0


def pretrained(settings):
    """The file of pretrained weights, where training by these settings starts from it; else none."""
    tried = settings.get("candidates", {"": settings}).values()
    if all(one["network"].get("weights", "none") == "none" for one in tried):
        return []
    return WEIGHTS.format(network=settings["network"]["name"])


def training_input(of):
    """What training a method reads for this k, draw and method: exactly the sets that its recipe names, and H."""
    recipe = experiment.recipe(of["method"])
    settings = experiment.method_settings(of["method"])
    files = {
        "domains": domain_files(*settings["sources"], settings["target"]),
        "split": SPLIT.format_map(of),
    }
    names = {"labelling": labelling_of(of["method"]), **of}
    if recipe.needs_pseudo_labels:
        files["enlarged"] = ENLARGED.format_map(names)
    if "S_u_soft" in recipe.sees:
        files["predictions"] = f"{PSEUDO_LABELS}/predictions.parquet".format_map(names)
    if first := experiment.starts_from(of["method"]):
        k = trained_at(first, of["labels_per_class"])
        start = RUN.format(labels_per_class=k, draw=of["draw"], method=first)
        files["initial"] = f"{start}/model.safetensors"
    elif pretrained(settings):
        files["weights"] = pretrained(settings)
    return files


def labelling_input(of):
    """What labelling U reads."""
    return {
        "ensemble": ENSEMBLE.format_map(of),
        # Which of them are used, the ensemble says; a model that changes changes its record, and so the ensemble.
        "models": ancient([file.format_map(of) for file in members_files("model.safetensors")]),
        "target": domain_files(experiment.target.domain),
        "split": SPLIT.format_map(of),
    }


def evaluation_input(of):
    """What evaluating a run reads: here and nowhere else, test images."""
    k = trained_at(of["method"], of["labels_per_class"])
    run = RUN.format(labels_per_class=k, draw=of["draw"], method=of["method"])
    return {
        "run": expand("{run}/{file}", run=run, file=("model.safetensors", "run.json")),
        "split": SPLIT.format_map(of),
        "target": domain_files(experiment.target.domain),
        "test": domain_files(experiment.test_domain()),
    }


def selection_input(of):
    """What choosing the grid's models reads."""
    return {"records": [file.format_map(of) for file in members_files("run.json")]}


def enlarging_input(of):
    """What enlarging V reads."""
    return {
        "predictions": f"{PSEUDO_LABELS}/predictions.parquet".format_map(of),
        "target": domain_files(experiment.target.domain),
        "split": SPLIT.format_map(of),
    }


def quality_input(of):
    """What measuring the pseudo-labels reads."""
    return {name: files for name, files in enlarging_input(of).items() if name != "split"}


def grid_input(of):
    """What training the grid reads."""
    return {
        "domains": domain_files(*experiment.sources, experiment.target.domain),
        "split": SPLIT.format_map(of),
        "weights": pretrained(experiment.grid_settings()),
    }
