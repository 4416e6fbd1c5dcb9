"""Every random choice has a seed of its own, derived from the experiment's seed and what the choice is for."""

import hashlib
import json


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, the same on every machine.

    Args:
        seed: the experiment's seed.
        purpose: what it is for, for example ``"V", draw``; different purposes give independent seeds.
    """
    text = json.dumps([seed, *purpose])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
