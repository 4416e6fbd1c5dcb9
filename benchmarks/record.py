"""One record per hardware: its hardware and versions, and what every part measured, with its command and threads.

A part is ``{"status": "measured", "command", "threads", "seconds", "result"}``, or ``"failed"`` with its error, or
``"skipped"`` with what is missing. Parts are added one by one, and kept as long as hardware and versions stay the same.
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.measuring import slug
from gradmix.files import write_text

RESULTS = Path(__file__).parent / "results"


def path_of(folder: Path, hardware: dict[str, Any]) -> Path:
    """Where the record of this hardware lies."""
    return folder / f"{slug(hardware)}.json"


def add_part(
    folder: Path,
    hardware: dict[str, Any],
    versions: dict[str, str],
    name: str,
    part: dict[str, Any],
) -> Path:
    """Write the record with one more part; its path.

    Earlier parts of the same hardware and versions stay. A part that was measured before and now failed keeps its
    numbers, with the failure beside them as ``"since"``.
    """
    path = path_of(folder, hardware)
    content: dict[str, Any] = {"hardware": hardware, "versions": versions, "parts": {}}
    if path.exists():
        old = json.loads(path.read_text(encoding="utf-8"))
        if all(old[key] == content[key] for key in ("hardware", "versions")):
            content = old
        else:
            print(
                f"{path}: of other hardware or versions; begun anew, without {', '.join(old['parts'])}"
            )
    earlier = content["parts"].get(name)
    if part["status"] != "measured" and earlier and earlier["status"] == "measured":
        part = earlier | {"since": part}
    content["parts"][name] = part
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, text_of(content))
    return path


def read_records(folder: Path) -> dict[str, dict[str, Any]]:
    """Records by their slugs, those of CPUs first; other files in the folder are passed over."""
    records = {}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if "parts" in content:
            records[path.stem] = content
    return dict(sorted(records.items(), key=lambda item: item[1]["hardware"]["device"] != "cpu"))


def text_of(value: Any, indent: int = 0, longest: int = 400) -> str:
    """JSON in which everything short stands on one line: a row of a table is a line of the file."""
    line = json.dumps(value, ensure_ascii=False)
    end = "\n" if indent == 0 else ""
    if not isinstance(value, dict | list) or not value or (indent > 0 and len(line) <= longest):
        return line + end
    outer, inner = " " * indent, " " * (indent + 1)
    if isinstance(value, dict):
        items = [
            f"{inner}{json.dumps(key, ensure_ascii=False)}: {text_of(item, indent + 1)}"
            for key, item in value.items()
        ]
        return "{\n" + ",\n".join(items) + f"\n{outer}}}" + end
    items = [inner + text_of(item, indent + 1) for item in value]
    return "[\n" + ",\n".join(items) + f"\n{outer}]" + end
