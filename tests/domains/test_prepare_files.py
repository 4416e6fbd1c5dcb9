"""Domains made of files: rows of frames, what is left out and said of it, and when it is too much."""

import os
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from PIL import Image

from gradmix.domains.files import clip_folder
from gradmix.domains.files.pictures import decode_picture
from gradmix.domains.files.prepare import chosen_files, expected_cost, prepare_files
from gradmix.domains.format import open_domain
from gradmix.domains.registry import origin_module

CLIPS = {
    "origin": "clip_folder",
    "label_space": "s",
    "folder": "clips",
    "group_pattern": r"_g(\d+)_",
    "resize": "cover",
    "most_left_out": 0.3,
    "frames_per_clip": 4,
}
IMAGES = {
    "origin": "image_folder",
    "label_space": "s",
    "folder": "images",
    "resize": "cover",
    "most_left_out": 0.0,
}


def write_clip(path, colour, frames=12):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (40, 30))
    for number in range(frames):
        frame = np.full((30, 40, 3), colour, np.uint8)
        frame[:, :, 1] = 10 * number
        writer.write(frame)
    writer.release()


@pytest.fixture
def clips(tmp_path):
    for class_name, colour in (("archery", 60), ("biking", 200)):
        for group in (1, 2):
            for clip in (1, 2):
                name = f"clips/{class_name}/v_g{group:02d}_c{clip:02d}.avi"
                write_clip(tmp_path / name, colour)
    return tmp_path


def positions_of(classes):
    return classes and {name: label for label, name in enumerate(classes)}


def prepare(root, settings=CLIPS, classes=("archery", "biking"), processes=2, log=None):
    positions = classes if isinstance(classes, dict) else positions_of(classes)
    prepare_files(
        "d", settings, positions, (24, 24), root, root / "d", "code",
        origin=origin_module(settings), processes=processes, log=log,
    )  # fmt: skip
    return open_domain(root / "d", check_content=True)


def test_a_row_per_frame_with_clip_and_group(clips):
    lines = []
    domain = prepare(clips, log=lines.append)
    assert domain.images.shape == (32, 24, 24, 3)
    assert domain.labels.tolist() == [0] * 16 + [1] * 16
    index = domain.index
    assert index["clip"].nunique() == 8
    assert index["group"].tolist()[:16] == ["archery/01"] * 8 + ["archery/02"] * 8
    first = index["original"].tolist()[:4]
    assert first == [f"archery/v_g01_c01.avi#{n}" for n in (1, 4, 7, 10)]
    # Frames lie where the index says: green tells the frame, blue the class.
    assert np.abs(domain.images[:4, 12, 12, 1].astype(int) - [10, 40, 70, 100]).max() < 12
    assert np.abs(domain.images[[0, 16], 12, 12, 2].astype(int) - [60, 200]).max() < 12
    assert domain.info["files"] == 8
    assert domain.info["frames_per_clip"] == 4
    assert domain.info["left_out"] == []
    assert "8 files, about 32 images of 24 x 24" in lines[0]


def test_the_number_of_processes_changes_nothing(clips):
    one, three = prepare(clips, processes=1), prepare(clips, processes=3)
    assert one.info == three.info
    assert one.index.equals(three.index)


def test_bad_clips_are_left_out_by_name_and_reason(clips):
    whole = (clips / "clips/archery/v_g01_c01.avi").read_bytes()
    (clips / "clips/archery/v_g01_c01.avi").write_bytes(whole[: len(whole) // 3])
    (clips / "clips/biking/v_g02_c02.avi").write_bytes(b"")
    lines = []
    domain = prepare(clips, log=lines.append)
    assert len(domain) == 24
    left_out = {item["original"]: item["reason"] for item in domain.info["left_out"]}
    assert set(left_out) == {"archery/v_g01_c01.avi", "biking/v_g02_c02.avi"}
    assert left_out["biking/v_g02_c02.avi"] == "the file is empty"
    assert any("left out: archery/v_g01_c01.avi" in line for line in lines)
    assert not set(left_out) & set(domain.index["clip"])


def test_more_bad_clips_than_allowed_end_it_with_their_names(clips):
    for number in (1, 2):
        (clips / f"clips/biking/v_g01_c0{number}.avi").write_bytes(b"no video")
    settings = CLIPS | {"most_left_out": 0.2}
    with pytest.raises(
        ValueError, match=r"domains\.d: 2 of 8 clips \(25\.0 %\) cannot be"
    ) as raised:
        prepare(clips, settings)
    assert "biking/v_g01_c02.avi: not a video" in str(raised.value)
    with pytest.raises(ValueError, match="no domain"):
        open_domain(clips / "d")


def test_a_class_without_a_usable_clip_is_named(clips):
    for path in (clips / "clips/biking").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="no file of class 'biking' can be used"):
        prepare(clips, CLIPS | {"most_left_out": 0.9})


@pytest.fixture
def photographs(tmp_path):
    for class_name in ("a", "b"):
        for number in range(4):
            path = tmp_path / f"images/{class_name}/{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (30, 20), (50 * number, 0, 0)).save(path)
    return tmp_path


def test_links_that_lead_nowhere_count_for_most_left_out(photographs):
    (photographs / "images/a/gone.png").symlink_to("nowhere")
    domain = prepare(photographs, IMAGES | {"most_left_out": 0.2}, classes=None)
    assert len(domain) == 8
    gone = {"original": "a/gone.png", "reason": "a link that leads nowhere"}
    assert domain.info["left_out"] == [gone]
    with pytest.raises(ValueError, match=r"1 of 9 images .*\n  a/gone.png: a link that") as raised:
        prepare(photographs, IMAGES, classes=None)
    assert str(raised.value).startswith("domains.d: ")


def test_a_class_that_was_left_out_as_a_whole_says_why(photographs):
    shutil.rmtree(photographs / "images/b")
    (photographs / "images/b").symlink_to("/not/mounted")
    with pytest.raises(ValueError, match=r"no class 'b'.*\n  b: a link that leads nowhere"):
        prepare(photographs, IMAGES, classes=("a", "b"))


@pytest.mark.parametrize("name", [b"b\xff", b"b\n"])
def test_class_folders_of_unfit_names_are_refused(photographs, name):
    os.rename(photographs / "images/b", photographs / "images" / os.fsdecode(name))
    with pytest.raises(ValueError, match=r"domains\.d: .*'b\\.*' cannot be the name of a class"):
        prepare(photographs, IMAGES, classes=None)


def hungry(path, **how):
    if path.name == "0.png":
        raise MemoryError
    return decode_picture(path, **how)


def test_a_picture_that_takes_too_much_memory_is_left_out(photographs, monkeypatch):
    monkeypatch.setattr("gradmix.domains.files.prepare.decode_picture", hungry)
    domain = prepare(photographs, IMAGES | {"most_left_out": 0.25}, classes=None)
    reasons = {item["reason"] for item in domain.info["left_out"]}
    assert reasons == {"needs more memory than there is"}


def test_images_of_all_kinds_are_counted_and_classes_found(tmp_path):
    for class_name in ("b", "a"):
        for number, mode in enumerate(("RGB", "L", "CMYK")):
            path = tmp_path / "images" / class_name / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new(mode, (50, 40), 90 if mode == "L" else None).save(path)
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "images/a/z.gif", save_all=True, append_images=frames[1:])
    domain = prepare(tmp_path, IMAGES, classes=None)
    assert domain.classes == ["a", "b"]
    assert domain.labels.tolist() == [0] * 4 + [1] * 3
    assert set(domain.index["clip"]) == {""}
    assert domain.info["notes"] == [
        "2 CMYK images (converted to RGB): a/2.jpg, b/2.jpg",
        "1 animated images (the first frame is taken): a/z.gif",
        "2 grey images (converted to RGB): a/1.jpg, b/1.jpg",
    ]


def test_classes_outside_the_label_space_are_left_out_and_counted(clips):
    write_clip(clips / "clips/chess/v_g01_c01.avi", 30)
    domain = prepare(clips, classes={"biking": 0, "archery": 1, "chess": 1})
    assert np.bincount(domain.labels).tolist() == [16, 20]
    assert domain.classes == ["biking", "archery + chess"]
    assert prepare(clips).info["notes"] == []  # folders that nobody wants are not even listed


def test_an_estimate_needs_no_whole_decoding(clips):
    chosen = chosen_files(CLIPS, {"archery": 0, "biking": 1}, clips, clip_folder)
    cost = expected_cost(CLIPS, chosen, (24, 24), 2)
    assert (cost.files, cost.images, cost.size) == (8, 32, 32 * 24 * 24 * 3)
    assert cost.seconds is not None
    for path in (clips / "clips").rglob("*.avi"):
        path.write_bytes(b"")
    cost = expected_cost(CLIPS, chosen, (24, 24), 2)
    assert (cost.images, cost.seconds, cost.tried) == (32, None, 0)
    assert "time unknown" in str(cost)


def test_no_room_on_the_disk_is_said_before_anything_is_decoded(clips):
    with pytest.raises(ValueError, match=r"the images need .* GB, but .* has .* GB left"):
        prepare_files(
            "d", CLIPS, {"archery": 0, "biking": 1}, (2**18, 2**18), clips, clips / "d", "code",
            origin=clip_folder,
        )  # fmt: skip
    assert not (clips / "d").exists()


ENDLESS = """
import sys
from pathlib import Path
from gradmix.domains.files import clip_folder, prepare as module
from gradmix.domains.files.listing import MediaFile

root = Path(sys.argv[1])
choose = module.chosen_files
def many(*arguments):
    chosen = choose(*arguments)
    chosen.files, chosen.labels = chosen.files * 5000, chosen.labels * 5000
    return chosen
module.chosen_files = many
settings = {settings}
module.prepare_files("d", settings, {"archery": 0, "biking": 1}, (24, 24), root, root / "d", "c",
                     origin=clip_folder, processes=2, log=lambda line: print(line, flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_broken_preparation_leaves_no_domain_and_no_process(clips, number):
    script = ENDLESS.replace("{settings}", repr(CLIPS))
    command = [sys.executable, "-c", script, str(clips)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        for line in running.stdout:
            if b" of 40000 files" in line:
                break
        children = _children(running.pid)
        assert len(children) == 2
        os.kill(running.pid, number)
        running.stdout.close()
        running.wait(timeout=20)
    deadline = time.monotonic() + 10
    while any(_alive(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [child for child in children if _alive(child)]
    with pytest.raises(ValueError, match="missing"):
        open_domain(clips / "d")
    assert len(prepare(clips)) == 32  # and the next one starts over


def _children(process):
    with open(f"/proc/{process}/task/{process}/children") as file:
        return [int(child) for child in file.read().split()]


def _alive(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
