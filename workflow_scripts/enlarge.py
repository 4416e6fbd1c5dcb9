"""V, filled up with hard-labelled images of U, and S_u, the rest of them; of one draw or several."""

from gradmix_stage import by_member, folder, stage

with stage(snakemake) as log:
    import pandas as pd

    from gradmix.domains.format import open_domain
    from gradmix.files import read_json, write_json
    from gradmix.pseudo_labels import enlarge

    target = open_domain(folder(snakemake.input.target))
    count = len(snakemake.output)
    files = zip(
        by_member(snakemake.input.split, count),
        by_member(snakemake.input.predictions, count),
        snakemake.output,
        strict=True,
    )
    for (of_draw,), (predictions,), output in files:
        split = read_json(of_draw)
        enlarged = enlarge(
            split,
            target.labels[split["V"]].tolist(),
            pd.read_parquet(predictions),
            to=snakemake.params.to,
            seed=snakemake.params.seed,
        )
        for note in enlarged["notes"]:
            log(f"note: {note}")
        write_json(output, enlarged)
