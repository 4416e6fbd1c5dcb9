"""The target's images to V, H, U and test, for one draw or several."""

from pathlib import Path

from gradmix_stage import draw_of, folders, labels_per_class, stage

with stage(snakemake) as log:
    from gradmix.domains.format import open_domain
    from gradmix.files import write_json
    from gradmix.splits import check_split, make_split

    settings = snakemake.params.settings
    domains = {name: open_domain(path) for name, path in folders(snakemake.input.domains).items()}
    target = domains[settings["target"]]
    test = domains[settings["test_domain"]] if settings["test_domain"] else None
    sources = {name: domains[name] for name in settings["sources"]}
    for output in snakemake.output:
        split = make_split(
            target,
            test,
            sources,
            labels_per_class=labels_per_class(snakemake),
            draw=draw_of(snakemake, Path(output)),
            seed=settings["seed"],
            hyper_validation_per_class=settings["hyper_validation_per_class"],
            test_per_class=settings["test_per_class"],
        )
        # Training may not open a test domain, so what concerns it is proved here.
        check_split(split, target, test, sources)
        log(", ".join(f"{name}: {count}" for name, count in split["counts"].items()))
        write_json(output, split)
