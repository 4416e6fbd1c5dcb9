"""Hostile raw files of every origin: they are refused, left out by name, or prepared with the right images."""

import hashlib
import io
import json
import os
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.faults.campaign import Case
from tests.faults.damage import damaged_bytes
from tests.faults.verdict import CLEAR, SURVIVED, UNCLEAR, WRONG, BadCaseError, clear

CLASSES = ["cat", "dog"]
SIZE = 16


@dataclass
class Data:
    """A data_dir with raw data of one origin."""

    folder: Path
    settings: dict[str, Any]
    files: list[Path] = field(default_factory=list)
    lists: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def prepare(self, into: Path) -> pd.DataFrame:
        """Plan and prepare it; a row per image with its name, class and pixels."""
        from gradmix.domains.files.prepare import prepare_files
        from gradmix.domains.format import open_domain
        from gradmix.domains.prepare import prepare_domain
        from gradmix.domains.registry import inventory_of, is_files, origin_module, raw_files_of

        settings = self.settings | {"label_space": "s"}
        classes = (
            [str(n) for n in range(10)] if settings["origin"] in ("mnist", "svhn") else CLASSES
        )
        arguments = (classes, (SIZE, SIZE), self.folder, into, "code")
        origin = origin_module(settings)
        raw_files_of(settings, self.folder)
        if is_files(settings["origin"]):
            inventory_of(settings, self.folder)
            prepare_files("mine", settings, *arguments, origin=origin, processes=1)
        else:
            prepare_domain("mine", settings, *arguments, origin=origin)
        domain = open_domain(into, check_content=True)
        self.left_out = [item["original"] for item in domain.info.get("left_out", [])]
        return pd.DataFrame(
            {
                "original": domain.index["original"],
                "label": domain.labels,
                "pixels": [image.tobytes() for image in domain.images],
            }
        )


def picture(number: int) -> np.ndarray:
    """Grey levels from dark to bright, another way for every number; (24, 32)."""
    rows, columns = np.mgrid[0:24, 0:32]
    return ((rows * 4 + columns * (3 + number % 3) + 7 * number) % 230 + 10).astype(np.uint8)


def folders(folder: Path, chance: random.Random, top: str = "images") -> Data:
    """Four pictures in two folders."""
    from PIL import Image

    suffix = chance.choice([".png", ".jpg", ".bmp", ".tif", ".webp", ".gif"])
    files = []
    for number in range(4):
        path = folder / top / CLASSES[number % 2] / f"{number}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number)).convert("RGB").save(path)
        files.append(path)
    settings = {"origin": "image_folder", "folder": top, "resize": "stretch", "most_left_out": 0.5}
    return Data(folder, settings, files)


def bu101(folder: Path, chance: random.Random) -> Data:
    """The same as BU101."""
    data = folders(folder, chance, "BU101")
    data.settings["origin"] = "bu101"
    return data


def table(folder: Path, chance: random.Random) -> Data:
    """The same by a table."""
    data = folders(folder, chance)
    rows = [f"{path.relative_to(folder)},{path.parent.name}" for path in data.files]
    (folder / "list.csv").write_text("\n".join(["path,label", *rows, ""]))
    own = {"origin": "manifest", "kind": "images", "file": "list.csv"}
    data.settings = own | {"resize": "stretch", "most_left_out": 0.5}
    data.lists = [folder / "list.csv"]
    return data


def mpii(folder: Path, chance: random.Random) -> Data:
    """The same as MPII, with annotations in JSON."""
    data = folders(folder, chance)
    records = [
        {
            "image": str(path.relative_to(folder / "images")),
            "act_name": path.parent.name,
            "cat_name": "pets",
            "img_train": 1,
        }
        for path in data.files
    ]
    (folder / "a.json").write_text(json.dumps(records))
    own = {"origin": "mpii", "annotations": "a.json", "images": "images", "labels": "act_name"}
    data.settings = own | {"part": "train", "resize": "stretch", "most_left_out": 0.5}
    data.lists = [folder / "a.json"]
    return data


def clips(folder: Path, chance: random.Random, top: str = "clips") -> Data:
    """Four clips of eight frames in two folders."""
    import cv2

    files = []
    for number in range(4):
        name = CLASSES[number % 2]
        path = folder / top / name / f"v_{name}_g0{number + 1}_c01.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        codec = cv2.VideoWriter.fourcc(*chance.choice(["MJPG", "XVID"]))
        writer = cv2.VideoWriter(str(path), codec, 10, (32, 24))
        for frame in range(8):
            writer.write(np.repeat(picture(number + frame)[..., None], 3, axis=2))
        writer.release()
        files.append(path)
    own = {"origin": "clip_folder", "folder": top, "frames_per_clip": 2}
    return Data(folder, own | {"resize": "stretch", "most_left_out": 0.5}, files)


def ucf101(folder: Path, chance: random.Random) -> Data:
    """The same as UCF101, with its lists."""
    data = clips(folder, chance, "UCF-101")
    names = [str(path.relative_to(folder / "UCF-101")) for path in data.files]
    train = "".join(f"{name} {CLASSES.index(name[:3]) + 1}\r\n" for name in names)
    test = "cat/v_cat_g09_c01.avi\r\ndog/v_dog_g09_c01.avi\r\n"
    lists = folder / "ucfTrainTestlist"
    lists.mkdir()
    parts = {"classInd": "1 cat\r\n2 dog\r\n", "trainlist01": train, "testlist01": test}
    for name, text in parts.items():
        (lists / f"{name}.txt").write_bytes(text.encode())
        data.lists.append(lists / f"{name}.txt")
    own = {"origin": "ucf101", "part": "train", "list_split": 1, "frames_per_clip": 2}
    data.settings = own | {"resize": "stretch", "most_left_out": 0.5}
    return data


def arrays(folder: Path, chance: random.Random) -> Data:
    """Six images in an .npz."""
    images = np.stack([picture(number) for number in range(6)])
    labels: Any = np.array([CLASSES[number % 2] for number in range(6)])
    save = np.savez_compressed if chance.random() < 0.5 else np.savez
    save(folder / "mine.npz", images=images, labels=labels)
    data = Data(folder, {"origin": "arrays", "file": "mine.npz", "resize": "bilinear"})
    data.lists = [folder / "mine.npz"]
    return data


def mnist(folder: Path, chance: random.Random) -> Data:
    """MNIST's two files, tiny, with their hashes in the place of the real ones'."""
    import gzip

    from gradmix.domains import mnist as origin

    made = {
        origin.SPLITS["test"][0]: np.stack(
            [picture(n)[:, :28].repeat(2, 0)[:28] for n in range(20)]
        ),
        origin.SPLITS["test"][1]: (np.arange(20) % 10).astype(np.uint8),
    }
    data = Data(folder, {"origin": "mnist", "split": "test", "resize": "bilinear"})
    (folder / "mnist").mkdir()
    for stem, array in made.items():
        shape = b"".join(size.to_bytes(4, "big") for size in array.shape)
        content = b"\x00\x00\x08" + bytes([array.ndim]) + shape + array.tobytes()
        origin.FILES[stem] = (hashlib.md5(content).hexdigest(), array.shape)
        packed = chance.random() < 0.5
        path = folder / "mnist" / (stem + ".gz" * packed)
        path.write_bytes(gzip.compress(content) if packed else content)
        data.lists.append(path)
    return data


def svhn(folder: Path, chance: random.Random) -> Data:
    """SVHN's file, tiny, with its hash in the place of the real one's."""
    from scipy.io import savemat

    from gradmix.domains import svhn as origin

    images = np.random.default_rng(chance.randrange(9)).integers(0, 256, (20, 32, 32, 3), np.uint8)
    path = folder / "svhn" / "test_32x32.mat"
    path.parent.mkdir()
    labels = (np.arange(20) % 10 + 1).astype(np.uint8)[:, None]
    savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": labels}, do_compression=True)
    origin.SPLITS["test"] = (hashlib.md5(path.read_bytes()).hexdigest(), 20)
    data = Data(folder, {"origin": "svhn", "split": "test", "resize": "bilinear"})
    data.lists = [path]
    return data


ORIGINS: dict[str, Callable[[Path, random.Random], Data]] = {
    "image_folder": folders,
    "bu101": bu101,
    "manifest": table,
    "mpii": mpii,
    "clip_folder": clips,
    "ucf101": ucf101,
    "arrays": arrays,
    "mnist": mnist,
    "svhn": svhn,
}


def a_file(case: Case) -> str:
    """Bytes of a raw file are damaged, or something else stands in its place."""
    name = case.chance.choice(list(ORIGINS))
    data, whole = _whole(case, name)
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
    after = _prepared(case, data, [path.name, path.stem, path.parent.name])
    if after is None:
        return clear(case.done.pop(), [path.name, path.parent.name, str(data.folder)])
    _same_but_for(whole, after, path, data)
    if path in data.files and not any(path.name in name for name in after["original"]):
        return _left_out(data, path)
    return SURVIVED


def _left_out(data: Data, path: Path) -> str:
    """A file without an image must be named among those that were left out; folders are none."""
    if not any(path.name in name for name in data.left_out) and not path.is_dir():
        raise BadCaseError(WRONG, f"{path.name} vanished without a word")
    return CLEAR


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


def _whole(case: Case, name: str) -> tuple[Data, pd.DataFrame]:
    folder = case.folder / "data"
    folder.mkdir()
    data = ORIGINS[name](folder, case.chance)
    return data, data.prepare(case.folder / "whole")


def _prepared(case: Case, data: Data, names: list[str]) -> pd.DataFrame | None:
    """What is prepared; `None`: it was refused, and `case.done` ends with what was said."""
    try:
        return data.prepare(case.folder / "mine")
    except ValueError as error:
        case.did(str(error))
    except Exception as error:
        # As a stage shows it.
        raise BadCaseError(UNCLEAR, f"{type(error).__name__}: {error}") from None
    return None


def _same_but_for(whole: pd.DataFrame, after: pd.DataFrame, path: Path, data: Data) -> None:
    """Images of files that were not touched are as they were; of a table or archive, all are."""
    if path in data.files:
        names = [name for name in whole["original"] if path.name not in name]
    else:
        names = list(after["original"])
    old, new = whole.set_index("original"), after.set_index("original")
    for name in names:
        if name not in new.index or name not in old.index:
            raise BadCaseError(WRONG, f"{name} is not there, or was not there before")
        if old.loc[name, "label"] != new.loc[name, "label"]:
            raise BadCaseError(WRONG, f"{name} has another label")
        if old.loc[name, "pixels"] != new.loc[name, "pixels"]:
            raise BadCaseError(WRONG, f"{name} has other pixels")
    if path in data.lists and len(after) != len(whole):
        # Rows that a table lost whole are no fault of the reader.
        lost = len(whole) - len(after)
        if path.suffix in (".npz", ".mat", ".gz") or lost < 0:
            raise BadCaseError(WRONG, f"{len(after)} images instead of {len(whole)}")


# ---- pictures whose right pixels are known


def _grey16(grey: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(grey.astype(np.uint16) * 257)


def _grey32(grey: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(grey.astype(np.int32) * 257)


def _grey32_full(grey: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(grey.astype(np.int32) * (2**23 - 1))


def _float(grey: np.ndarray, scale: float = 1 / 255) -> Any:
    from PIL import Image

    return Image.fromarray((grey * scale).astype(np.float32))


MODES: dict[str, tuple[str, Callable[[np.ndarray], Any]]] = {
    "grey of 16 bits": (".png", _grey16),
    "grey of 16 bits, TIFF": (".tif", _grey16),
    "whole numbers of 32 bits": (".tif", _grey32),
    "whole numbers of 32 bits, all of them": (".tif", _grey32_full),
    "floats from 0 to 1": (".tif", _float),
    "floats from 0 to 255": (".tif", lambda grey: _float(grey, 1.0)),
    "floats with NaN": (".tif", lambda grey: _float(np.where(grey > 200, np.nan, grey), 1.0)),
    "grey": (".png", lambda grey: _converted(grey, "L")),
    "a palette": (".png", lambda grey: _converted(grey, "P")),
    "grey and alpha": (".png", lambda grey: _converted(grey, "LA")),
    "CMYK": (".tif", lambda grey: _converted(grey, "CMYK")),
    "RGBA": (".png", lambda grey: _converted(grey, "RGBA")),
    "LAB": (".tif", lambda grey: _converted(grey, "LAB")),
    "HSV as TIFF": (".tif", lambda grey: _converted(grey, "RGB")),
    "YCbCr": (".tif", lambda grey: _converted(grey, "YCbCr")),
    "progressive": (".jpg", lambda grey: _converted(grey, "L")),
}


def _converted(grey: np.ndarray, mode: str) -> Any:
    from PIL import Image, ImageCms

    rgb = Image.fromarray(grey).convert("RGB")
    if mode == "LAB":
        to = ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
        )
        return ImageCms.applyTransform(rgb, to)
    return rgb.convert("L").convert(mode) if mode in ("L", "LA", "P") else rgb.convert(mode)


def a_picture(case: Case) -> str:
    """A picture of an unusual type or shape: its pixels are right, or it is refused."""
    data = folders(case.folder / "data", case.chance)
    reference = data.prepare(case.folder / "whole").set_index("original")
    number = case.chance.randrange(4)
    old = data.files[number]
    name = case.chance.choice([*MODES, *SHAPES])
    suffix, draw = MODES.get(name) or SHAPES[name]
    case.did(f"{name} as {suffix}")
    path = old.with_suffix(suffix)
    old.unlink()
    drawn = draw(picture(number))
    if isinstance(drawn, bytes):
        path.write_bytes(drawn)
    else:
        drawn.save(path)
    after = _prepared(case, data, [path.name])
    if after is None:
        return clear(case.done.pop(), [path.name])
    after = after.set_index("original")
    changed = str(path.relative_to(data.folder / "images"))
    if changed not in after.index:
        return _left_out(data, path)
    if name in SHAPES:
        return SURVIVED
    before = str(old.relative_to(data.folder / "images"))
    right = np.frombuffer(reference.loc[before, "pixels"], np.uint8).astype(int)
    pixels = np.frombuffer(after.loc[changed, "pixels"], np.uint8).astype(int)
    far = np.abs(pixels - right).mean()
    if far > 16:
        raise BadCaseError(
            WRONG, f"{name}: pixels are {far:.0f} levels off, {len(set(pixels))} levels"
        )
    return SURVIVED


def _shape(width: int, height: int) -> Callable[[np.ndarray], Any]:
    def draw(grey: np.ndarray) -> Any:
        from PIL import Image

        return Image.new("RGB", (width, height), (90, 120, 200))

    return draw


def _huge_claim(grey: np.ndarray) -> bytes:
    """A PNG whose header announces far more pixels than it holds."""
    import zlib

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(grey).save(file, format="PNG")
    content = bytearray(file.getvalue())
    content[16:24] = (60000).to_bytes(4, "big") + (60000).to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


SHAPES: dict[str, tuple[str, Callable[[np.ndarray], Any]]] = {
    "20,000 x 1": (".png", _shape(20_000, 1)),
    "1 x 20,000": (".png", _shape(1, 20_000)),
    "60,000 x 1": (".png", _shape(60_000, 1)),
    "1 x 1": (".png", _shape(1, 1)),
    "a huge claim": (".png", _huge_claim),
}


# ---- archives and tables that are wrong on purpose


def an_archive(case: Case) -> str:
    """An .npz that is well-formed and yet not what it should be."""
    data, whole = _whole(case, "arrays")
    path = data.lists[0]
    images = np.stack([picture(number) for number in range(6)])
    labels = np.array([CLASSES[number % 2] for number in range(6)])
    what = case.chance.choice(list(ARCHIVES))
    case.did(what)
    made = ARCHIVES[what](images, labels)
    if isinstance(made, bytes):
        path.write_bytes(made)
    else:
        np.savez(path, **made)
    after = _prepared(case, data, [path.name])
    if after is None:
        return clear(case.done.pop(), [path.name])
    same = whole[["label", "pixels"]].equals(after[["label", "pixels"]])
    if not same and what != "colours":
        raise BadCaseError(WRONG, f"{what}: it is taken, and gives other images")
    return SURVIVED


def _zipped(images: np.ndarray, labels: np.ndarray, compression: int, twice: bool = False) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, array in (("images", images), ("labels", labels)):
            buffer = io.BytesIO()
            np.save(buffer, array)
            archive.writestr(f"{name}.npy", buffer.getvalue())
            if twice:
                np.save(other := io.BytesIO(), array[::-1])
                import warnings

                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    archive.writestr(f"{name}.npy", other.getvalue())
    return file.getvalue()


def _encrypted(images: np.ndarray, labels: np.ndarray) -> bytes:
    content = bytearray(_zipped(images, labels, zipfile.ZIP_STORED))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(mark)
        while at >= 0:
            content[at + offset] |= 1
            at = content.find(mark, at + 1)
    return bytes(content)


def _other_method(images: np.ndarray, labels: np.ndarray) -> bytes:
    content = bytearray(_zipped(images, labels, zipfile.ZIP_STORED))
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = content.find(mark)
        while at >= 0:
            content[at + offset] = 97
            at = content.find(mark, at + 1)
    return bytes(content)


def _claims(images: np.ndarray, labels: np.ndarray) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in (("images", images), ("labels", labels)):
            np.save(buffer := io.BytesIO(), array)
            text = buffer.getvalue().replace(b"(6, 24, 32)", b"(9" + b"9" * 9 + b",)")
            archive.writestr(f"{name}.npy", text)
    return file.getvalue()


ARCHIVES: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    "floats": lambda images, labels: {"images": images / 255, "labels": labels},
    "16 bits": lambda images, labels: {"images": images.astype(np.uint16) * 257, "labels": labels},
    "signed": lambda images, labels: {"images": images.astype(np.int8), "labels": labels},
    "truth values": lambda images, labels: {"images": images > 9, "labels": labels},
    "channels first": lambda i, labels: {"images": np.stack([i] * 3, 1), "labels": labels},
    "five dimensions": lambda images, labels: {"images": images[None, None], "labels": labels},
    "one image": lambda images, labels: {"images": images[0], "labels": labels},
    "fewer labels": lambda images, labels: {"images": images, "labels": labels[:5]},
    "labels of NaN": lambda images, labels: {"images": images, "labels": np.full(6, np.nan)},
    "negative labels": lambda images, labels: {"images": images, "labels": np.arange(6) - 3},
    "huge labels": lambda images, labels: {"images": images, "labels": np.arange(6) + 1e30},
    "labels as bytes": lambda images, labels: {"images": images, "labels": labels.astype("S3")},
    "labels not UTF-8": lambda images, labels: {
        "images": images,
        "labels": np.array([b"\xff"] * 6),
    },
    "labels as dates": lambda images, labels: {
        "images": images,
        "labels": np.array(["2024-01-01"] * 6, "M8[D]"),
    },
    "records": lambda images, labels: {
        "images": images,
        "labels": np.zeros(6, [("a", "i4"), ("b", "f4")]),
    },
    "no labels": lambda images, labels: {"images": images},
    "nothing": lambda images, labels: {},
    "no image": lambda images, labels: {"images": images[:0], "labels": labels[:0]},
    "no pixel": lambda images, labels: {"images": images[:, :0], "labels": labels},
    "objects": lambda images, labels: {"images": images, "labels": labels.astype(object)},
    "colours": lambda images, labels: {"images": np.stack([images] * 3, -1), "labels": labels},
    "Fortran's order": lambda images, labels: {
        "images": np.asfortranarray(images),
        "labels": labels,
    },
    "encrypted": _encrypted,
    "an unknown compression": _other_method,
    "LZMA": lambda images, labels: _zipped(images, labels, zipfile.ZIP_LZMA),
    "bzip2": lambda images, labels: _zipped(images, labels, zipfile.ZIP_BZIP2),
    "arrays twice": lambda images, labels: _zipped(images, labels, zipfile.ZIP_STORED, twice=True),
    "a huge claim": _claims,
    "an empty zip": lambda images, labels: b"PK\x05\x06" + bytes(18),
}


def a_table(case: Case) -> str:
    """A table of files that is wrong on purpose."""
    data, whole = _whole(case, "manifest")
    path = data.lists[0]
    lines = path.read_text().splitlines()
    what = case.chance.choice(list(TABLES))
    case.did(what)
    made = TABLES[what](lines)
    path.write_bytes(made if isinstance(made, bytes) else "\n".join([*made, ""]).encode())
    after = _prepared(case, data, [path.name])
    if after is None:
        return clear(case.done.pop(), [path.name, "row"])
    if what not in HARMLESS and what != "a row that is missing" and not data.left_out:
        raise BadCaseError(WRONG, f"{what}: it is taken without a word")
    _same_but_for(whole, after, path, data)
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


def a_tree(case: Case) -> str:
    """Something odd lies among the class folders."""
    name = case.chance.choice(["image_folder", "bu101", "clip_folder"])
    data, whole = _whole(case, name)
    what = case.chance.choice(list(TREES))
    place = data.files[0].parent.parent
    case.did(f"{name}: {what}")
    TREES[what](place, data.files)
    after = _prepared(case, data, [])
    if after is None:
        return clear(case.done.pop(), [str(data.folder), "mine", "cat"])
    old, new = whole.set_index("original")["label"], after.set_index("original")["label"]
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
