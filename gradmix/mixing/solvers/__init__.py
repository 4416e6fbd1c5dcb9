"""Solvers of the per-layer mixing problem: Gram numbers in, weights out."""
