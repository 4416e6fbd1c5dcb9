"""What was left out while domains were prepared: how many files, why, and the first few of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMED = 3
"""How many files of one reason are named; domain.json lists all."""


def left_out_sentences(domains: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return per domain with files left out its name, a sentence, and per reason the count and the first names.

    Args:
        domains: {domain name: domain.json}, in which `left_out` (a list of {"original", "reason"}) may be missing.
    """
    found = []
    for name, info in domains.items():
        files: list[Mapping[str, Any]] = list(info.get("left_out") or [])
        by_reason: dict[str, list[str]] = {}
        for file in files:
            reason = str(file.get("reason") or "no reason given")
            by_reason.setdefault(reason, []).append(str(file.get("original", "")))
        if not files:
            continue
        one = len(files) == 1
        kept = f", besides the {info['count']:,} images that it has" if "count" in info else ""
        reasons = []
        for reason, names in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0])):
            more = len(names) - NAMED
            listed = ", ".join(names[:NAMED]) + (f" and {more:,} more" if more > 0 else "")
            reasons.append(f"{len(names):,} {reason} ({listed})")
        sentence = (
            f"{len(files):,} file{'' if one else 's'} {'was' if one else 'were'} left out{kept}"
        )
        found.append({"name": name, "sentence": sentence, "reasons": reasons})
    return found
