"""Tables of files that are wrong on purpose."""

from collections.abc import Callable
from typing import Any

from tests.faults.campaign import Case
from tests.faults.raw_data import prepared, same_but_for, whole
from tests.faults.verdict import SURVIVED, WRONG, BadCaseError, clear


def a_table(case: Case) -> str:
    """A table of files that is wrong on purpose."""
    data, before = whole(case, "manifest")
    path = data.lists[0]
    lines = path.read_text().splitlines()
    what = case.chance.choice(list(TABLES))
    case.did(what)
    made = TABLES[what](lines)
    path.write_bytes(made if isinstance(made, bytes) else "\n".join([*made, ""]).encode())
    after = prepared(case, data)
    if after is None:
        return clear(case.done.pop(), [path.name, "row"])
    if what not in HARMLESS and what != "a row that is missing" and not data.left_out:
        raise BadCaseError(WRONG, f"{what}: it is taken without a word")
    same_but_for(before, after, path, data)
    return SURVIVED


HARMLESS = ("a byte order mark", "Windows' line ends", "quoted cells", "an empty line at the end")
TABLES: dict[str, Callable[[list[str]], Any]] = {
    "two label columns": lambda t: ["path,label,label", *(f"{row},dog" for row in t[1:])],
    "two path columns": lambda t: ["path,label,path", *(f"{row},x.png" for row in t[1:])],
    "no header": lambda t: t[1:],
    "semicolons": lambda t: [row.replace(",", ";") for row in t],
    "tabs": lambda t: [row.replace(",", "\t") for row in t],
    "UTF-16": lambda t: "\n".join(t).encode("utf-16"),
    "Latin-1": lambda t: "\n".join([*t, "k\xe4se.png,cat"]).encode("latin-1"),
    "a NUL": lambda t: "\n".join([*t, "a\x00b.png,cat"]).encode(),
    "a quote that is not closed": lambda t: [*t[:2], f'"{t[2]}', *t[3:]],
    "a row too long": lambda t: [*t[:2], f"{t[2]},x,y,z", *t[3:]],
    "a row too short": lambda t: [*t[:2], t[2].partition(",")[0], *t[3:]],
    "an empty label": lambda t: [*t[:2], t[2].partition(",")[0] + ",", *t[3:]],
    "an empty path": lambda t: [*t, ",cat"],
    "a path upwards": lambda t: [*t, "../images/cat/0.png,cat"],
    "an absolute path": lambda t: [*t, "/etc/hostname,cat"],
    "a row twice": lambda t: [*t, t[1]],
    "a row twice, other label": lambda t: [*t, t[1].replace(",cat", ",dog")],
    "a huge cell": lambda t: [*t, f"{'a' * 200_000},cat"],
    "a very long name": lambda t: [*t, f"{'a' * 300}/x.png,cat"],
    "a row that is missing": lambda t: t[:-1],
    "a file that is missing": lambda t: [*t, "images/cat/none.png,cat"],
    "a header alone": lambda t: t[:1],
    "empty": lambda t: b"",
    "an unknown column": lambda t: [f"{row},x" for row in t],
    "a byte order mark": lambda t: "\n".join(t).encode("utf-8-sig"),
    "Windows' line ends": lambda t: "\r\n".join(t).encode(),
    "quoted cells": lambda t: [
        t[0],
        *(f'"{row.replace(",", chr(34) + "," + chr(34))}"' for row in t[1:]),
    ],
    "an empty line at the end": lambda t: [*t, ""],
}
