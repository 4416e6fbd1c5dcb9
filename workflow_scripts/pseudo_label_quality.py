"""How right the pseudo-labels of one draw or several are. Nothing that trains or chooses reads what this writes."""

from pathlib import Path

from gradmix_stage import by_member, draw_of, folder, labels_per_class, stage

with stage(snakemake) as log:
    import pandas as pd

    from gradmix.domains.format import open_domain
    from gradmix.files import write_json
    from gradmix.pseudo_labels import quality

    target = open_domain(folder(snakemake.input.target))
    each = by_member(snakemake.input.predictions, len(snakemake.output))
    for (file,), output in zip(each, snakemake.output, strict=True):
        predictions = pd.read_parquet(file)
        truth = target.labels[predictions["row"].to_numpy()]
        draw = draw_of(snakemake, Path(output).parent)
        key = {"labels_per_class": labels_per_class(snakemake), "draw": draw}
        write_json(output, key | quality(predictions, truth, target.classes))
