"""How right the pseudo-labels are. Nothing that trains or chooses reads what this writes."""

from gradmix_stage import folder, labels_per_class, stage

with stage(snakemake) as log:
    import pandas as pd

    from gradmix.domains.format import open_domain
    from gradmix.files import write_json
    from gradmix.pseudo_labels import quality

    target = open_domain(folder(snakemake.input.target))
    predictions = pd.read_parquet(snakemake.input.predictions)
    truth = target.labels[predictions["row"].to_numpy()]
    key = {"labels_per_class": labels_per_class(snakemake), "draw": int(snakemake.wildcards.draw)}
    write_json(snakemake.output[0], key | quality(predictions, truth, target.classes))
