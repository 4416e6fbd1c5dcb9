"""A pack of the grid's members, trained for one k and draw; a member's beta and gamma are in its folder's name."""

from gradmix_stage import folders, stage
from training_job import training_jobs

with stage(snakemake) as log:
    from gradmix.config import grid_member
    from gradmix.training.launch import train_pack

    outputs = folders(snakemake.output)
    settings = [
        grid_member(dict(snakemake.params.settings), member) | {"title": f"GradMix, {member}"}
        for member in outputs
    ]
    (job,) = training_jobs(snakemake, [int(snakemake.wildcards.draw)], log)
    train_pack(settings, list(outputs.values()), job, log)
