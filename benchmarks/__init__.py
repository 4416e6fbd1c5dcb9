"""Measurements; every number is printed with hardware, versions and n. Run them as `python -m benchmarks.<name>`."""
