# The checked configuration, the paths of all files, and what the rules ask of both.
import hashlib
import re
import sys
from functools import cache
from pathlib import Path

# The package beside this workflow is the one that is fingerprinted, so it is the one that is used.
sys.path.insert(0, str(workflow.basedir))

from gradmix.config import ConfigError, load_config
from gradmix.config.files import check_files
from gradmix.config.folders import check_folders
from gradmix.domains.registry import ORIGINS, inventory_of, is_files, missing_files_of, raw_files_of
from gradmix.fingerprint import fingerprint
from gradmix.nets.registry import NETWORKS
from gradmix.nets.weights import weight_files
from gradmix.results.table_files import FORMATS as TABLE_FORMATS
from gradmix.results.table_files import table_files


def refuse(message):
    """End at a user's mistake with the message alone: Snakemake would lay places in these files around an error."""
    print(f"\n{message}", file=sys.stderr)
    sys.exit(1)


# Asked for once per job, and the same for thousands of them.
fingerprint = cache(fingerprint)


def or_stop(check, *given):
    """Run a check of the configuration, and end with its message where it fails."""
    try:
        return check(*given)
    except ConfigError as error:
        refuse(str(error))


DEFAULT_CONFIG = "config/config.yaml"
if workflow.is_main_process:
    or_stop(check_files, workflow.overwrite_configfiles or [DEFAULT_CONFIG])

# Snakemake lays --configfile over what is loaded here; the default's domains and methods
# would show through, so it is loaded only where nothing else is named.
if not workflow.overwrite_configfiles:

    configfile: DEFAULT_CONFIG


CONFIGURED_BY = [
    *map(str, workflow.configfiles),
    *["--config"] * bool(workflow.config_settings.config),
]
experiment = or_stop(load_config, config, ", ".join(CONFIGURED_BY))
if workflow.is_main_process:
    or_stop(check_folders, experiment, str(workflow.basedir), ", ".join(CONFIGURED_BY))

FILE_DOMAINS = [name for name in experiment.domains if is_files(experiment.raw_domain(name).origin)]
ARRAY_DOMAINS = [name for name in experiment.domains if name not in FILE_DOMAINS]
CONDA = "../envs/gradmix.yaml"
OUT = experiment.output_dir
DOMAIN_FILES = ("images.npy", "index.parquet", "domain.json")
FORMATS = ("svg", "png", "pdf")
DOMAIN = f"{OUT}/domains/{{domain}}"
WEIGHTS = f"{OUT}/weights/{{network}}.safetensors"
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


def gpus_to_train(recipe):
    """GPUs of a training job: a rank on each, where the recipe can be trained by several."""
    return experiment.resources.gpu if recipe.trains_on_ranks else ONE_GPU


def network_module():
    """Module of the network, which is loaded by name at run time."""
    return f"gradmix.nets.{experiment.network.name}"


@cache
def settings_of(method):
    """What training a method depends on besides its files."""
    return experiment.method_settings(method)


@cache
def training_parameters(method):
    """The same as JSON, and the fingerprint of the code that trains by it."""
    settings = settings_of(method)
    return {"settings": settings.to_json(), "code": fingerprint(*settings.modules)}


@cache
def grid_settings():
    """The same for the grid."""
    return experiment.grid_settings()


def domain_code(stage, domain):
    """Fingerprint of the code that prepares a domain."""
    return fingerprint(stage, ORIGINS[experiment.raw_domain(domain).origin])


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


@cache
def domain_files(*domains):
    """What is written last of each domain, and stands for all of it."""
    return [f"{DOMAIN}/domain.json".format(domain=name) for name in dict.fromkeys(domains)]


def missing_files(domain):
    """Raw files that the domain cannot be prepared without, and are not there."""
    settings = experiment.domain_settings(domain)["settings"]
    return missing_files_of(settings, experiment.data_dir)


def raw_files(wildcards):
    """Files in data_dir that the domain is made from, as far as they exist."""
    settings = experiment.domain_settings(wildcards.domain)["settings"]
    return raw_files_of(settings, experiment.data_dir)


@cache
def trained_methods():
    """The listed methods, under all conditions and ablations included, and those that they start from, step by step."""
    methods = dict.fromkeys([*experiment.all_methods(), *row_names()])
    open_ = list(methods)
    while open_:
        first = experiment.starts_from(open_.pop())
        if first and first not in methods:
            methods[first] = None
            open_.append(first)
    return list(methods)


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
    by_name = {"": experiment.pseudo_labels}
    for method in experiment.all_methods():
        by_name[labelling_of(method)] = experiment.labelling(method)
    return by_name


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
    tried = settings.candidates.values() or [settings]
    if all(one.network.get("weights", "none") == "none" for one in tried):
        return []
    return WEIGHTS.format(network=settings.network["name"])
