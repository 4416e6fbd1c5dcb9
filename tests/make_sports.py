"""Makes a small action-recognition experiment out of web photographs of sports: images, and clips as real .avi files.

    python tests/make_sports.py --photographs sports22_96.zip --output data/sports

Half of the sports are the other task (S1, `photographs/`), the other half the target's. Of these, some photographs
become the web images (S2, `web/`: small, grey and blurred), and others, which appear in no other set, become the
target's clips: the camera pans over a photograph or zooms into it. Clips of one photograph are a group. Folders,
file names and lists are UCF101's (`clips/<class>/v_<class>_g01_c01.avi`, `lists/trainlist01.txt`, ...), so that the
experiment goes the way of the real one. It shows that the way works and how fast, not what the method is worth.
"""

import argparse
import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageFilter

TARGET = ("baseball", "basketball", "boxing", "cricket", "fencing", "football")
TARGET += ("gymnastics", "swimming", "table_tennis", "tennis", "volleyball")
FRAMES, RATE, SIZE = 24, 12, 96
TEST_SHARE = 0.3


def make_sports(
    photographs: Path,
    output: Path,
    *,
    classes: int = len(TARGET),
    images: int = 150,
    groups: int = 30,
    seed: int = 0,
) -> None:
    """Write the folders and lists.

    Args:
        photographs: zip of <class>/<number>.jpg.
        output: folder; files in it are replaced.
        classes: of the target, and of the other task.
        images: photographs of each class of S1 and of S2.
        groups: photographs of each class that become clips, two clips of each.
        seed: of the choice and of the camera's ways.
    """
    random = np.random.default_rng(seed)
    with zipfile.ZipFile(photographs) as archive:
        names: dict[str, list[str]] = {}
        for name in sorted(archive.namelist()):
            if name.endswith(".jpg"):
                names.setdefault(name.split("/")[-2], []).append(name)
        target = list(TARGET[:classes])
        other = sorted(set(names) - set(TARGET))[:classes]
        for sport in other:
            for number, name in enumerate(random.permutation(names[sport])[:images]):
                save(output / "photographs" / sport / f"{number:04d}.jpg", archive.read(str(name)))
        lists: dict[str, list[str]] = {"train": [], "test": []}
        for label, sport in enumerate(target, start=1):
            order = [str(name) for name in random.permutation(names[sport])]
            for number, name in enumerate(order[groups : groups + images]):
                degraded(archive.read(name), output / "web" / sport / f"{number:04d}.jpg")
            for group, name in enumerate(order[:groups], start=1):
                part = "test" if group <= round(TEST_SHARE * groups) else "train"
                for way in (1, 2):
                    clip = f"{sport}/v_{sport}_g{group:02d}_c{way:02d}.avi"
                    film(archive.read(name), output / "clips" / clip, way, random)
                    lists[part].append(f"{clip} {label}" if part == "train" else clip)
    folder = output / "lists"
    folder.mkdir(parents=True, exist_ok=True)
    indices = [f"{label} {sport}" for label, sport in enumerate(target, start=1)]
    contents = {
        "classInd": indices,
        "trainlist01": lists["train"],
        "testlist01": lists["test"],
    }
    for stem, lines in contents.items():
        (folder / f"{stem}.txt").write_bytes("".join(f"{x}\r\n" for x in lines).encode())


def save(path: Path, content: bytes) -> None:
    """Write a file as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def degraded(content: bytes, path: Path) -> None:
    """A small, grey, blurred copy."""
    image = Image.open(io.BytesIO(content)).convert("L")
    image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BILINEAR)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.filter(ImageFilter.GaussianBlur(0.8)).save(path, quality=85)


def film(content: bytes, path: Path, way: int, random: np.random.Generator) -> None:
    """A clip of a photograph: the first way pans, the second zooms; both with a little unrest."""
    photo = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))[..., ::-1]
    rows, columns = photo.shape[:2]
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"XVID"), RATE, (SIZE, SIZE))
    assert writer.isOpened(), f"{path}: OpenCV has no encoder for XVID"
    start, end = random.uniform(0, 1, 2), random.uniform(0, 1, 2)
    closest = random.uniform(0.55, 0.75)
    for step in range(FRAMES):
        share = step / (FRAMES - 1)
        side = min(rows, columns) * (0.8 if way == 1 else 0.95 + (closest - 0.95) * share)
        where = start + (end - start) * share + random.normal(0, 0.01, 2)
        top, left = np.clip(where, 0, 1) * [rows - side, columns - side]
        window = np.float32([[side / SIZE, 0, left], [0, side / SIZE, top]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        writer.write(cv2.warpAffine(photo, window, (SIZE, SIZE), flags=flags))
    writer.release()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photographs", type=Path, required=True, help="sports22_96.zip")
    parser.add_argument("--output", type=Path, required=True, help="folder")
    parser.add_argument("--classes", type=int, default=len(TARGET))
    parser.add_argument("--images", type=int, default=150)
    parser.add_argument("--groups", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    options = {name: getattr(arguments, name) for name in ("classes", "images", "groups", "seed")}
    make_sports(arguments.photographs, arguments.output, **options)


if __name__ == "__main__":
    main()
