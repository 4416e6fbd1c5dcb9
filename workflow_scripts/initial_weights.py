"""Pretrained weights, checked, as the backbone takes them."""

from pathlib import Path

from gradmix_stage import experiment, stage

with stage(snakemake) as log:
    from gradmix.nets.weights import write_weights

    data_dir = experiment(snakemake).data_dir
    write_weights(snakemake.params.weights, data_dir, Path(snakemake.output[0]), log)
