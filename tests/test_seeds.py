"""Seeds are part of every record: they may never change."""

from gradmix.seeds import derive_seed

FROZEN = [6197007067532723406, 4697455164410392122, 8650545150375433634]


def test_frozen_values():
    assert [derive_seed(0), derive_seed(0, "V", 3), derive_seed(-1, "é", "V")] == FROZEN


def test_purposes_do_not_run_into_each_other():
    seeds = [
        derive_seed(0, "V", 1),
        derive_seed(0, "V", "1"),
        derive_seed(0, "V1"),
        derive_seed(0, "V", 1, ""),
        derive_seed(1, "V", 0),
    ]
    assert len(set(seeds)) == len(seeds)


def test_seeds_have_63_bits():
    seeds = [derive_seed(0, number) for number in range(2000)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62
    assert len(set(seeds)) == 2000
