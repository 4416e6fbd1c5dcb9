"""V, filled up with hard-labelled images of U, and S_u, the rest of them."""

from gradmix_stage import folder, stage

with stage(snakemake) as log:
    import pandas as pd

    from gradmix.domains.format import open_domain
    from gradmix.files import read_json, write_json
    from gradmix.pseudo_labels import enlarge

    split = read_json(snakemake.input.split)
    target = open_domain(folder(snakemake.input.target))
    predictions = pd.read_parquet(snakemake.input.predictions)
    labels = target.labels[split["V"]].tolist()
    enlarged = enlarge(
        split, labels, predictions, to=snakemake.params.to, seed=snakemake.params.seed
    )
    for note in enlarged["notes"]:
        log(f"note: {note}")
    write_json(snakemake.output[0], enlarged)
