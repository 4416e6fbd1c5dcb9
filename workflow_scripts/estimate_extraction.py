"""What extracting the frames of every domain of files would take: files, images, disk, time."""

from gradmix_stage import experiment, stage

with stage(snakemake) as log:
    from gradmix.domains.files.prepare import chosen_files, expected_cost
    from gradmix.domains.registry import origin_module

    data_dir = experiment(snakemake).data_dir
    total = 0
    for name, domain in snakemake.params.domains.items():
        try:
            origin = origin_module(domain["settings"])
            chosen = chosen_files(domain["settings"], domain["positions"], data_dir, origin)
            cost = expected_cost(
                domain["settings"], chosen, tuple(domain["image"]), snakemake.threads
            )
        except ValueError as error:
            line = f"{name}: cannot be prepared: {error}"
        else:
            missing = len(chosen.listing.left_out)
            line = f"{name}: {cost}" + (f"; {missing:,} files cannot be used" if missing else "")
            total += cost.size
        print(line)
        log(line)
    print(f"in all: {total / 1e9:.2f} GB on disk")
