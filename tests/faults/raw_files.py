"""Raw files of every origin that are damaged, or in whose place stands something else, and odd trees."""

import os
from collections.abc import Callable
from pathlib import Path

from tests.faults.campaign import Case
from tests.faults.damage import damaged_bytes
from tests.faults.raw_data import ORIGINS, left_out, picture, prepared, same_but_for, whole
from tests.faults.verdict import SURVIVED, WRONG, BadCaseError, clear


def a_file(case: Case) -> str:
    """Bytes of a raw file are damaged, or something else stands in its place."""
    name = case.chance.choice(list(ORIGINS))
    data, before = whole(case, name)
    path = case.chance.choice(data.lists * 2 + data.files)
    content = path.read_bytes()
    what = case.chance.choice(["bytes", "bytes", "bytes", *IN_ITS_PLACE])
    if what == "bytes":
        what, changed = damaged_bytes(content, case.chance)
        path.write_bytes(changed)
    else:
        path.unlink()
        IN_ITS_PLACE[what](path, content)
    case.did(f"{name}: {what} in {path.name}")
    after = prepared(case, data)
    if after is None:
        return clear(case.done.pop(), [path.name, path.parent.name, str(data.folder)])
    same_but_for(before, after, path, data)
    if path in data.files and not any(path.name in name for name in after["original"]):
        return left_out(data, path)
    return SURVIVED


def _dangling(path: Path, content: bytes) -> None:
    path.symlink_to(path.with_name("nowhere"))


def _loop(path: Path, content: bytes) -> None:
    path.symlink_to(path)


def _folder(path: Path, content: bytes) -> None:
    path.mkdir()


def _fifo(path: Path, content: bytes) -> None:
    os.mkfifo(path)


def _page(path: Path, content: bytes) -> None:
    path.write_text("<html><body>404 not found</body></html>")


def _picture(path: Path, content: bytes) -> None:
    from PIL import Image

    Image.fromarray(picture(0)).save(path, format="PNG")


def _utf16(path: Path, content: bytes) -> None:
    path.write_bytes(content.decode("latin-1").encode("utf-16"))


def _nul(path: Path, content: bytes) -> None:
    path.write_bytes(content.replace(b"a", b"\x00", 1))


def _of_another_year(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.utime(path, (-1e9, 5e9))


IN_ITS_PLACE = {
    "a dangling link": _dangling,
    "a loop of links": _loop,
    "a folder": _folder,
    "a fifo": _fifo,
    "a web page": _page,
    "a picture": _picture,
    "UTF-16": _utf16,
    "a NUL": _nul,
    "other dates": _of_another_year,
}


def a_tree(case: Case) -> str:
    """Something odd lies among the class folders."""
    name = case.chance.choice(["image_folder", "bu101", "clip_folder"])
    data, before = whole(case, name)
    what = case.chance.choice(list(TREES))
    place = data.files[0].parent.parent
    case.did(f"{name}: {what}")
    TREES[what](place, data.files)
    after = prepared(case, data)
    if after is None:
        return clear(case.done.pop(), [str(data.folder), "mine", "cat"])
    old, new = before.set_index("original")["label"], after.set_index("original")["label"]
    lost = [n for n in old.index if n not in new.index or new[n] != old[n]]
    if lost:
        raise BadCaseError(WRONG, f"{what}: {lost[0]} is gone or has another label")
    return SURVIVED


def _link_to_a_class(place: Path, files: list[Path]) -> None:
    (place / "dog" / "again").symlink_to(place / "dog")


def _same_folder_twice(place: Path, files: list[Path]) -> None:
    (place / "cat" / "dogs").symlink_to(place / "dog")


def _deep(place: Path, files: list[Path]) -> None:
    deep = place / "cat"
    for _ in range(60):
        deep = deep / "d"
    deep.mkdir(parents=True)


def _unreadable(place: Path, files: list[Path]) -> None:
    # Root reads everything; a loop of links is as unreadable for it.
    (place / "cat" / "closed").mkdir(mode=0)
    (place / "cat" / "closed" / "loop.png").symlink_to("loop.png")


TREES: dict[str, Callable[[Path, list[Path]], None]] = {
    "a dangling link as a picture": lambda p, f: (p / "cat" / f"x{f[0].suffix}").symlink_to("none"),
    "a dangling link as a class": lambda p, f: (p / "cow").symlink_to("none"),
    "a loop as a picture": lambda p, f: (p / "cat" / f"x{f[0].suffix}").symlink_to(
        f"x{f[0].suffix}"
    ),
    "a loop as a class": lambda p, f: (p / "cow").symlink_to("cow"),
    "a link to the class above": _link_to_a_class,
    "a link to the other class": _same_folder_twice,
    "a folder with a picture's name": lambda p, f: (p / "cat" / f"x{f[0].suffix}").mkdir(),
    "a fifo": lambda p, f: os.mkfifo(p / "cat" / f"x{f[0].suffix}"),
    "an empty class": lambda p, f: (p / "cow").mkdir(),
    "a class folder not UTF-8": lambda p, f: os.mkdir(os.fsencode(p) + b"/k\xfch"),
    "a file not UTF-8": lambda p, f: Path(
        os.fsdecode(os.fsencode(p) + b"/cat/\xff" + f[0].suffix.encode())
    ).write_bytes(f[0].read_bytes()),
    "deep folders": _deep,
    "a closed folder": _unreadable,
    "hidden files": lambda p, f: (p / "cat" / f".x{f[0].suffix}").write_bytes(b"x"),
    "a thousand empty folders": lambda p, f: [(p / f"c{n}").mkdir() for n in range(1000)] and None,
    "a device": lambda p, f: (p / "cat" / f"x{f[0].suffix}").symlink_to("/dev/zero"),
}
