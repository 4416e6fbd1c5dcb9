"""Domains: where images come from. Every origin ends in the one on-disk format of `gradmix.domains.format`."""
