# The experiment, from raw files to the report. Usage, configuration and profiles: config/README.md
import gc

from snakemake.utils import min_version

min_version("9.3")
# A plan is millions of objects that stay: to look through them less often saves a sixth of the time.
gc.set_threshold(200_000, 50, 100)


include: "rules/common.smk"
include: "rules/packs.smk"
include: "rules/inputs.smk"
include: "rules/reported.smk"
include: "rules/start_and_end.smk"


localrules:
    all,
    domains,
    splits,
    evaluations,
    estimate_extraction,
    initial_weights,


wildcard_constraints:
    domain=one_of(experiment.domains),
    labels_per_class=r"\d+",
    draw=r"\d+",
    pack=r"\d+(-\d+)?",
    members="[^/]+",
    methods="[^/]+",
    labelling=r"(\.R\d+-threshold[\d.e-]+-to\d+)?",
    method=one_of(trained_methods()),
    ablation=one_of(experiment.ablations) or "none",


rule all:
    default_target: True
    input:
        REPORT,
        TABLES,
        ablation_tables(),
        table2_files(),
        all_figures(),


# By the controller and not by the snakemake inside its jobs.
onstart:
    if workflow.is_main_process:
        own_output_dir()
        end_leftovers(log)


onsuccess:
    if workflow.is_main_process and (failed := failed_figures()):
        say_last(failed, MEND)
        sys.exit(1)


onerror:
    if workflow.is_main_process:
        failed = failed_jobs() + failed_figures()
        say_last(failed, MEND if failed else STOPPED)


include: "rules/domains.smk"
include: "rules/weights.smk"
include: "rules/grid.smk"
include: "rules/pseudo_labels.smk"
include: "rules/train.smk"
include: "rules/results.smk"
include: "rules/figures.smk"
include: "rules/grid_analysis.smk"
