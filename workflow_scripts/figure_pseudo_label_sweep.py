"""Figure: precision against coverage of pseudo-labels."""

from pathlib import Path

from gradmix_stage import stage, stem

with stage(snakemake) as log:
    from gradmix.results.figures.pseudo_label_sweep import write

    # .../sweep/<k>/<draw>.parquet
    files = {(int(Path(f).parent.name), int(Path(f).stem)): f for f in snakemake.input}
    write(files, stem(snakemake))
