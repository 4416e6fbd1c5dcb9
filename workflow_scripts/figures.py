"""Figures, one or a pack of them, each by the `write` of its kind's module."""

from importlib import import_module

from gradmix_stage import stage

with stage(snakemake) as log:
    from gradmix.manifest import files_in

    for number, figure in enumerate(snakemake.params.figures):
        module = import_module(f"gradmix.results.figures.{figure['kind']}")
        files = {name: files_in(snakemake.input[f"{name}_{number}"]) for name in figure["files"]}
        module.write(stem=figure["stem"], **files, **figure["arguments"])
        log(figure["stem"])
