"""An invented experiment on clips with many classes, in the format that runs leave behind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from gradmix.domains.format import write_domain

TITLES = {
    "target_only": "Target only",
    "source_only": "Source only",
    "fine_tune": "Fine-tune",
    "energy_net": "EnergyNet",
    "gradmix": "GradMix",
    "mdda": "MDDA",
    "dctn": "DCTN",
    "gradmix_hard": "GradMix, hard labels",
    "gradmix_vat": "GradMix, VAT",
    "gradmix_mixmatch": "GradMix, MixMatch",
}
METHODS = [{"name": name, "title": title, "recipe": name} for name, title in TITLES.items()]


def write_json(path: Path, record: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record), encoding="utf-8")
    return path


def class_names(count: int) -> list[str]:
    """Names like those of actions: long, and told apart by their ends."""
    verbs = ["Throw", "Handstand", "Apply", "Walking", "Ride", "Play", "Balance", "Brush"]
    things = ["Discus", "Pushups", "EyeMakeup", "WithDog", "Horse", "Sitar", "Beam", "Teeth"]
    pairs = [f"{verb}{thing}" for verb in verbs for thing in things]
    return [f"{pairs[i % 64]}{i // 64 or ''}" for i in range(count)]


def write_media(
    folder: Path, name: str, classes: list[str], *, per_class: int, frames: int = 0, **info
) -> Path:
    """A domain of `per_class` images a class, or of clips of that many `frames` (a bar that moves with time)."""
    rows, images = [], []
    for label, class_name in enumerate(classes):
        for number in range(per_class):
            clip = f"v_{class_name}_g{number + 1:02d}_c01" if frames else ""
            for frame in range(max(frames, 1)):
                image = np.zeros((24, 24, 3), dtype=np.uint8)
                image[..., 0], image[..., 1] = 37 * label % 256, 80 * number % 256
                image[4:20, 2 * frame : 2 * frame + 3] = 255
                images.append(image)
                original = f"{clip}.avi#{frame}" if clip else f"{class_name}/{number}.jpg"
                rows.append((label, class_name, clip, clip, original))
    index = pd.DataFrame(rows, columns=["label", "class_name", "group", "clip", "original"])
    record = {"name": name, "origin": "invented", "classes": classes, "notes": []}
    write_domain(folder / name, np.stack(images), index, record | info)
    return folder / name / "domain.json"


def write_clip_domains(folder: Path, *, classes: int = 30, source_classes: int = 50) -> list[Path]:
    """Two sources of photographs, one with other classes, and a target of clips: 6 of each class, 5 frames each."""
    actions, activities = class_names(classes), [f"activity {i:03d}" for i in range(source_classes)]
    left_out = [
        {"original": f"v_ThrowDiscus_g{i:02d}_c02.avi", "reason": "not on disk"} for i in range(5)
    ]
    left_out.append({"original": "v_RideHorse_g01_c02.avi", "reason": "no frame decodes"})
    return [
        write_media(folder, "photographs", activities, per_class=2, label_space="activities"),
        write_media(folder, "web_images", actions, per_class=2, label_space="actions"),
        write_media(
            folder,
            *("clips", actions),
            per_class=6,
            frames=5,
            label_space="actions",
            left_out=left_out,
            notes=["Of each clip five frames are taken, evenly spread."],
        ),
    ]


def write_clip_split(folder: Path, classes: list[str], *, k: int, draw: int) -> Path:
    """Clip by clip: the first two of a class are V, then one each of H and test, two of U."""
    rows = np.arange(len(classes) * 30).reshape(len(classes), 6, 5)
    parts = {"V": rows[:, :2], "H": rows[:, 2:3], "U": rows[:, 3:5], "test": rows[:, 5:]}
    split = {
        "labels_per_class": k,
        "draw": draw,
        "seed": 0,
        "target": "clips",
        "test_domain": "clips",
        "label_space": "actions",
        "classes": classes,
        "left_out": [],
        "source_left_out": {"photographs": [], "web_images": []},
    }
    split |= {name: part.ravel().tolist() for name, part in parts.items()}
    return write_json(folder / f"splits/{k}/{draw}.json", split)


def write_predictions(folder: Path, split_file: Path, classes: int) -> Path:
    """Pseudo-labels of U: every third frame is not accepted, every fifth is taken for the next class."""
    rows = np.array(json.loads(split_file.read_text())["U"])
    truth = rows // 30
    guess = np.where(np.arange(len(rows)) % 5 == 0, (truth + 1) % classes, truth)
    label = np.where(np.arange(len(rows)) % 3 == 0, -1, guess)
    soft = np.full((len(rows), classes), 0.2 / classes, dtype=np.float32)
    soft[np.arange(len(rows)), guess] += 0.8
    frame = pd.DataFrame({"row": rows, "label": label, "confidence": np.float32(0.9)})
    columns = {f"soft_{i}": soft[:, i] for i in range(classes)}
    path = folder / "predictions.parquet"
    pd.concat([frame, pd.DataFrame(columns)], axis=1).to_parquet(path, index=False)
    return path


def write_clip_metrics(
    folder: Path, classes: list[str], *, ks: tuple[int, ...], draws: tuple[int, ...]
) -> list[Path]:
    """metrics.json of every method: mistakes go to few other classes, most of them to one."""
    files = []
    count = len(classes)
    for position, method in enumerate(TITLES):
        for k in ks:
            for draw in draws:
                random = np.random.default_rng([position, k, draw])
                level = 0.4 + 0.03 * position + 0.02 * k
                confusion = np.zeros((count, count), dtype=int)
                for true in range(count):
                    right = random.binomial(40, min(0.97, level * random.uniform(0.6, 1.3)))
                    confusion[true, true] = right
                    confusion[true, (true + 8) % count] += (40 - right) * 2 // 3
                    confusion[true, (true + 3) % count] += 40 - right - (40 - right) * 2 // 3
                accuracy = float(np.trace(confusion) / confusion.sum())
                record = {
                    "method": method,
                    "title": method,
                    "labels_per_class": k,
                    "draw": draw,
                    "test_count": int(confusion.sum()),
                    "accuracy": accuracy,
                    "accuracy_statistics_on_V": accuracy - 0.01,
                    "accuracy_per_video": accuracy + 0.03,
                    "accuracy_per_video_statistics_on_V": accuracy + 0.02,
                    "video_count": int(confusion.sum()) // 10,
                    "hyper_validation_accuracy": accuracy,
                    "chosen_step": 900,
                    "classes": classes,
                    "confusion": confusion.tolist(),
                    "notes": [],
                }
                path = folder / f"runs/{k}/{draw}/{method}/metrics.json"
                files.append(write_json(path, record))
    return files
