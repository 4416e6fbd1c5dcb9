"""Domains: where images come from. Every origin ends in the one format of `format.py`."""
