"""Measurements; every number has hardware, versions and n beside it. `python -m benchmarks` runs all of them."""
