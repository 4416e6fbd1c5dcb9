# Packs: what one job does for several draws, members of the grid or methods, so that starts of processes are paid once.
# A pack is a wildcard, and its manifest the one output of its job that Snakemake knows.
import os
from typing import NamedTuple

from gradmix.manifest import fault


class Made(NamedTuple):
    """What a stage makes: a pack's manifest, and the file or folder of one draw, method or member."""

    manifest: str
    file: str


def made(manifest, file):
    """A stage's, in the experiment's folder."""
    return Made(f"{OUT}/packs/{manifest}.json", f"{OUT}/{file}")


K = "{labels_per_class}"
LABELS = "pseudo_labels/{labels_per_class}/{draw}{labelling}"
SPLIT = made(f"split/{K}/{{pack}}", f"splits/{K}/{{draw}}.json")
MEMBER = made(f"train_grid/{K}/{{pack}}/{{members}}", f"grid/{K}/{{draw}}/{{member}}")
# The labelling is empty, or the name of another number of models, threshold or size than `pseudo_labels` has.
ENSEMBLE = made(f"select/{K}/{{pack}}{{labelling}}", f"ensemble/{K}/{{draw}}{{labelling}}.json")
PREDICTIONS = made(f"pseudo_label/{K}/{{pack}}{{labelling}}", f"{LABELS}/predictions.parquet")
QUALITY = made(f"pseudo_label_quality/{K}/{{pack}}{{labelling}}", f"{LABELS}/quality.json")
ENLARGED = made(
    f"enlarge/{K}/{{pack}}{{labelling}}", f"splits/{K}/{{draw}}{{labelling}}.enlarged.json"
)
RUN = made(f"train/{K}/{{pack}}/{{method}}", f"runs/{K}/{{draw}}/{{method}}")
GRID_METRICS = made(f"evaluate_grid/{K}/{{draw}}", f"grid/{K}/{{draw}}/metrics.parquet")
SWEEP = made(f"pseudo_label_sweep/{K}/{{draw}}", f"sweep/{K}/{{draw}}.parquet")
METRICS = made(f"evaluate/{K}/{{pack}}/{{methods}}", f"runs/{K}/{{draw}}/{{method}}/metrics.json")


def packed(names, size, between=".."):
    """Packs of so many names each, called by their only one, or by the first and the last."""
    parts = [names[start : start + size] for start in range(0, len(names), size)]
    ends = lambda part: dict.fromkeys([str(part[0]), str(part[-1])])
    return {between.join(ends(part)): part for part in parts}


def grid_draws_per_job():
    """Draws by job of the grid, none of which trains more than `grid.runs_per_job` runs."""
    fitting = experiment.grid.runs_per_job // len(experiment.grid_members())
    return min(experiment.resources.draws_per_job, max(1, fitting))


def method_packs():
    """Methods by evaluating job: rows of the main table by their k, and alone what only an ablation lists."""
    by_k = {}
    for name in row_names():
        by_k.setdefault(experiment.evaluated_at(name), []).append(name)
    packs = packed([name for name in trained_methods() if name not in row_names()], 1)
    for names in by_k.values():
        packs |= packed(names, experiment.resources.methods_per_evaluation)
    return packs


DRAWS = packed(experiment.draws, experiment.resources.draws_per_job, "-")
GRID_DRAWS = packed(experiment.draws, grid_draws_per_job(), "-")
MEMBERS = packed(experiment.grid_members(), experiment.grid.runs_per_job)
METHODS_EVALUATED = method_packs()
PACK_OF_DRAW = {draw: pack for pack, draws in DRAWS.items() for draw in draws}
PACK_OF_METHOD = {name: pack for pack, names in METHODS_EVALUATED.items() for name in names}


def called(packs, name):
    """What is in the pack of that name."""
    if name not in packs:
        some = [*map(str, packs)][:20] + ["..."] * (len(packs) > 20)
        refuse(f"there is no pack {name}, but {', '.join(some)}")
    return packs[name]


def check(file, fault=lambda file: None):
    """Have Snakemake, which asks for inputs before it settles what runs, make a file that is missing or at fault.

    Of itself it makes nothing that is missing where what reads it is there: what a failed job lost would never come back.
    """
    if not workflow.is_main_process:
        return
    if os.path.exists(file):
        why = fault(file)
        if not why:
            return
        print(f"{file} is made again: {why}", file=sys.stderr)
    workflow.dag.forcefiles.add(file)


def planned(stage, reads=lambda wildcards: {}, **stages):
    """A stage's input function: what `reads` says, and manifests of the same pack of these stages, by name.

    The stage's own manifest is checked first.
    """

    def files(wildcards):
        check(stage.manifest.format_map(wildcards), fault)
        return reads(wildcards) | manifests(wildcards, **stages)

    return files


def planned_file(file, reads):
    """The same of a stage that makes one file for each of its jobs."""

    def files(wildcards):
        check(file.format_map(wildcards))
        return reads(wildcards)

    return files


def refuse_without_raw_files(domain):
    """Say of all domains what has to be laid into data_dir by hand and is not there, where this one lacks something."""
    if not workflow.is_main_process or not missing_files(domain):
        return
    wanted_by = {}
    for name in dict.fromkeys([domain, *used_domains()]):
        for path in missing_files(name):
            wanted_by.setdefault(path, []).append(f"domains.{name}")
    lines = [f"  {path} ({', '.join(names)})" for path, names in wanted_by.items()]
    refuse(
        "\n".join(
            ["Raw files are missing; put them there, or change data_dir or the domain:", *lines]
        )
    )


def planned_domain(wildcards):
    """A domain's raw files; its domain.json, too, stands for all of its files."""
    refuse_without_raw_files(wildcards.domain)
    files = [Path(DOMAIN.format(domain=wildcards.domain), name) for name in DOMAIN_FILES]
    gone = [f"{file} is missing" for file in files if not file.exists()]
    check(str(files[-1]), lambda file: gone[0] if gone else None)
    return raw_files(wildcards)
