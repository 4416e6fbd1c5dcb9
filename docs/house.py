"""Draw the house: which room of the project imports which, from the code itself, into docs/house.svg.

    python docs/house.py

A room is a package of `gradmix`, a module beside them, or a folder of the workflow. Rooms stand above all that they
import; an arrow that follows from others is left out. Rooms that import each other, or modules that do, are an error.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from gradmix.fingerprint import direct_imports  # noqa: E402

PICTURE = Path(__file__).with_suffix(".svg")
WORKFLOW = ("rules", "workflow_scripts")
SMALL = {"files", "seeds", "manifest", "fingerprint", "leftovers"}  # everybody uses them
# Where rooms stand from left to right; how high, their imports say.
COLUMNS = {
    "domains": 0.0,
    "grouping": 0.0,
    "splits": 0.0,
    "split_files": 0.0,
    "pseudo_labels": 1.0,
    "evaluation": 1.0,
    "mixing": 3.0,
    "results": 3.4,
}
MIDDLE = 2.0
WIDTH, HEIGHT, GAP, LEVEL = 130, 42, 24, 86

Graph = dict[str, set[str]]


def module_graph() -> Graph:
    """The modules of the package that every module imports, inside functions as well."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "gradmix").rglob("*.py")
    }
    return {name: set(direct_imports(name)) for name in sorted(modules - {"gradmix"})}


def room_graph(modules: Mapping[str, Iterable[str]]) -> Graph:
    """The rooms that every room imports, those of the workflow included."""
    rooms: Graph = {}
    for name, targets in modules.items():
        own = _room(name)
        rooms.setdefault(own, set()).update(_room(target) for target in targets)
        rooms[own] -= {own, *SMALL}
    for room in SMALL:
        assert not rooms.pop(room), f"{room} has grown: it imports larger rooms"
    for folder in WORKFLOW:
        files = [*(ROOT / folder).glob("*.smk"), *(ROOT / folder).glob("*.py")]
        text = "\n".join(path.read_text(encoding="utf-8") for path in files)
        named = re.findall(r"gradmix\.\w+", text)
        rooms[folder] = {_room(target) for target in named if _room(target) in rooms}
    rooms["rules"].add("workflow_scripts")
    return rooms


def levels(rooms: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Rooms from the top level down: each above all that it imports, as low as it can stand.

    Raises:
        graphlib.CycleError: if rooms import each other.
    """
    height: dict[str, int] = {}
    for room in TopologicalSorter(rooms).static_order():
        height[room] = 1 + max((height[below] for below in rooms[room]), default=-1)
    return [
        sorted(room for room in height if height[room] == level)
        for level in range(max(height.values()), -1, -1)
    ]


def needed(rooms: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, str]]:
    """The arrows that no other way of arrows implies."""

    def below(room: str) -> set[str]:
        return {room}.union(*(below(target) for target in rooms[room]))

    for room, targets in rooms.items():
        for target in targets:
            others = set(targets) - {target}
            if not any(target in below(other) for other in others):
                yield room, target


def svg(rooms: Mapping[str, Iterable[str]]) -> str:
    """The picture."""
    rows = levels(rooms)
    place = {
        room: (GAP + COLUMNS.get(room, MIDDLE) * (WIDTH + GAP), GAP + level * LEVEL)
        for level, row in enumerate(rows)
        for room in row
    }
    widest = max(x for x, _ in place.values()) + WIDTH + GAP
    height = GAP + (len(rows) - 1) * LEVEL + HEIGHT + GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {widest} {height}" '
        f'font-family="sans-serif" font-size="14">',
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0 8 4 0 8z" fill="#777"/></marker>',
        f'<rect width="{widest}" height="{height}" fill="white"/>',
    ]
    for room, (x, y) in sorted(place.items()):
        fill = "#e8eef7" if room in WORKFLOW else "#eef6ea"
        lines.append(
            f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{fill}" '
            f'stroke="#444"/><text x="{x + WIDTH / 2:g}" y="{y + HEIGHT / 2 + 5:g}" '
            f'text-anchor="middle">{escape(room)}</text>'
        )
    # Over the rooms, so that none seems to begin or end where it only passes.
    for room, target in sorted(needed(rooms)):
        (x, y), (to_x, to_y) = place[room], place[target]
        # Arrows leave a room on the side that they go to.
        lean = max(-0.4, min(0.4, (to_x - x) / (3 * WIDTH))) * WIDTH
        start, end = (x + WIDTH / 2 + lean, y + HEIGHT), (to_x + WIDTH / 2 - lean / 3, to_y)
        bend = (end[1] - start[1]) / 2
        lines.append(
            f'<path d="M{start[0]:g} {start[1]:g} C{start[0]:g} {start[1] + bend:g} '
            f'{end[0]:g} {end[1] - bend:g} {end[0]:g} {end[1]:g}" fill="none" stroke="#777" '
            f'stroke-width="1.3" marker-end="url(#tip)"/>'
        )
    return "\n".join([*lines, "</svg>"]) + "\n"


def _room(module: str) -> str:
    return module.split(".")[1]


def main() -> None:
    """Draw it."""
    modules = module_graph()
    # Files that import each other could stand in one room, and be no more readable for it.
    list(TopologicalSorter(modules).static_order())
    PICTURE.write_text(svg(room_graph(modules)), encoding="utf-8")


if __name__ == "__main__":
    main()
