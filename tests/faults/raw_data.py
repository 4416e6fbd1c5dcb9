"""Small raw data of every origin with known images, and what is asked of them when something is wrong."""

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.faults.campaign import Case
from tests.faults.verdict import CLEAR, UNCLEAR, WRONG, BadCaseError

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
    renamed: dict[str, str] = field(default_factory=dict)

    def prepare(self, into: Path) -> pd.DataFrame:
        """Plan and prepare it; a row per image with its name, class and pixels."""
        from gradmix.domains.files.prepare import prepare_files
        from gradmix.domains.format import open_domain
        from gradmix.domains.prepare import prepare_domain
        from gradmix.domains.registry import inventory_of, is_files, origin_module, raw_files_of

        settings = self.settings | {"label_space": "s"}
        digits = settings["origin"] in ("mnist", "svhn")
        positions = {str(name): n for n, name in enumerate(range(10) if digits else CLASSES)}
        for old, new in self.renamed.items():
            positions[old] = positions.pop(new)
        arguments = (positions, (SIZE, SIZE), self.folder, into, "code")
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


def left_out(data: Data, path: Path) -> str:
    """A file without an image must be named among those that were left out; folders are none."""
    if not any(path.name in name for name in data.left_out) and not path.is_dir():
        raise BadCaseError(WRONG, f"{path.name} vanished without a word")
    return CLEAR


def whole(case: Case, name: str) -> tuple[Data, pd.DataFrame]:
    """Data of an origin, and what is prepared of them while nothing is wrong."""
    folder = case.folder / "data"
    folder.mkdir()
    data = ORIGINS[name](folder, case.chance)
    return data, data.prepare(case.folder / "whole")


def prepared(case: Case, data: Data) -> pd.DataFrame | None:
    """What is prepared; `None`: it was refused, and `case.done` ends with what was said."""
    try:
        return data.prepare(case.folder / "mine")
    except ValueError as error:
        case.did(str(error))
    except Exception as error:
        # As a stage shows it.
        raise BadCaseError(UNCLEAR, f"{type(error).__name__}: {error}") from None
    return None


def same_but_for(whole: pd.DataFrame, after: pd.DataFrame, path: Path, data: Data) -> None:
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
