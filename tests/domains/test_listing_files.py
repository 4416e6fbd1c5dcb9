"""Listings of folders, BU101, MPII and tables of files."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.io import savemat

from gradmix.domains.files import bu101, clip_folder, image_folder, manifest, mpii
from gradmix.domains.files.listing import LeftOut


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(os.fsencode(path))


def originals(listing):
    return [file.original for file in listing.files]


# ---- folders


def test_folders_are_classes_at_any_depth_and_other_files_are_counted(tmp_path):
    touch(tmp_path, "d/cat/a.JPG", "d/cat/deep/b.png", "d/dog/c.webp", "d/dog/.hidden.jpg")
    touch(tmp_path, "d/dog/notes.txt", "d/readme.jpg")
    listed = image_folder.listing({"folder": "d"}, tmp_path, None)
    assert originals(listed) == ["cat/a.JPG", "cat/deep/b.png", "dog/c.webp"]
    assert [file.class_name for file in listed.files] == ["cat", "cat", "dog"]
    assert listed.notes == [
        "1 files that are no images, passed over: dog/notes.txt",
        "1 files in no class folder, passed over: readme.jpg",
    ]
    assert originals(image_folder.listing({"folder": "d"}, tmp_path, {"dog"})) == ["dog/c.webp"]


def test_groups_by_a_pattern_belong_to_their_class(tmp_path):
    touch(tmp_path, "d/cat/x_g01_a.avi", "d/cat/x_g01_b.mp4", "d/dog/x_g01_a.avi", "d/dog/y.avi")
    settings = {"folder": "d", "group_pattern": r"_g(\d+)_"}
    listed = clip_folder.listing(settings, tmp_path, None)
    assert [file.group for file in listed.files] == ["cat/01", "cat/01", "dog/01", ""]
    assert listed.notes == ["1 clips do not match group_pattern and have no group"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folder": "none"}, "none does not exist"),
        ({"folder": "d", "group_pattern": "("}, "is no regular expression"),
        ({"folder": "d", "group_pattern": "g"}, "must have one group"),
        ({"folder": "loose"}, "a.jpg lies there itself"),
    ],
)
def test_mistakes_in_folders(tmp_path, settings, message):
    touch(tmp_path, "d/cat/a.jpg", "loose/a.jpg")
    with pytest.raises(ValueError, match=message):
        image_folder.listing(settings, tmp_path, None)


def test_real_clips_in_folders(real_data):
    listed = clip_folder.listing({"folder": "hmdb51_samples"}, real_data, None)
    assert [file.class_name for file in listed.files] == ["cartwheel", "wave", "wave", "wave"]


def test_names_that_are_no_utf8_can_be_shown(tmp_path):
    touch(tmp_path, "d/cat/a.jpg")
    strange = os.fsencode(tmp_path) + b"/d/cat/b\xff.jpg"
    with open(strange, "wb") as file:
        file.write(b"x")
    _, second = image_folder.listing({"folder": "d"}, tmp_path, None).files
    assert second.original == r"cat/b\xff.jpg"  # so that no two files have one name
    assert second.path.read_bytes() == b"x"
    assert image_folder.inventory({"folder": "d"}, tmp_path)


def test_what_cannot_be_read_is_left_out_with_its_reason(tmp_path):
    touch(tmp_path, "d/cat/a.png", "d/dog/b.png", "elsewhere/c.png")
    for link, target in {
        "cat/annexed.png": "../.git/annex/objects/x",
        "cat/circle.png": "circle.png",
        "cat/above": "..",
        "cat/elsewhere": "../../elsewhere",
        "dog/notes.txt": "nowhere",
        "cow": "/not/mounted",
    }.items():
        (tmp_path / "d" / link).symlink_to(target)
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "d")
    os.mkfifo(tmp_path / "d/dog/pipe.png")
    listed = image_folder.listing({"folder": "d"}, tmp_path, None)
    assert originals(listed) == ["cat/a.png", "cat/elsewhere/c.png", "dog/b.png"]
    back = "a link back to a folder that it lies in"
    assert listed.left_out == [
        LeftOut("cat/above/", back),
        LeftOut("cat/annexed.png", "a link that leads nowhere"),
        LeftOut("cat/circle.png", "Too many levels of symbolic links"),
        LeftOut("cat/elsewhere/back/", back),
        LeftOut("cow", "a link that leads nowhere"),
        LeftOut("dog/pipe.png", "a folder, pipe or device, no file"),
    ]
    assert listed.notes == ["1 files that are no images, passed over: dog/notes.txt"]
    wanted = image_folder.listing({"folder": "d"}, tmp_path, {"dog"})
    assert [item.original for item in wanted.left_out] == ["dog/pipe.png"]
    assert image_folder.raw_files({"folder": "d"}, tmp_path)[0].suffix == ".png"
    before = image_folder.inventory({"folder": "d"}, tmp_path)
    touch(tmp_path, "d/.git/annex/objects/x")  # `git annex get`
    assert image_folder.inventory({"folder": "d"}, tmp_path) != before


# With relative paths, because the folders above are the tester's.
BY_NOBODY = """
import json, os
from dataclasses import astuple
from pathlib import Path
from gradmix.domains.files import image_folder
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
given = {"folder": "d"}, Path()
image_folder.inventory(*given)
left_out = image_folder.listing(*given, None).left_out
files = image_folder.raw_files(*given)
print(json.dumps([list(map(str, files)), list(map(astuple, left_out))]))
"""


def test_folders_and_files_that_may_not_be_read_are_left_out(repository, tmp_path):
    touch(tmp_path, "d/cat/a.png", "d/closed/b.png", "d/listed/c.png")
    tmp_path.chmod(0o755)
    (tmp_path / "d/closed").chmod(0)
    (tmp_path / "d/listed").chmod(0o444)
    done = subprocess.run(
        [sys.executable, "-c", BY_NOBODY],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(repository)},
        capture_output=True, text=True,
    )  # fmt: skip
    for name in ("closed", "listed"):
        (tmp_path / "d" / name).chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        ["d/cat/a.png"],
        [
            ["closed/", "the folder cannot be read: Permission denied"],
            ["listed/c.png", "Permission denied"],
        ],
    ]


def test_folders_deeper_than_the_system_takes_are_left_out(tmp_path, monkeypatch):
    touch(tmp_path, "d/cat/a.png")
    monkeypatch.chdir(tmp_path / "d/cat")
    for _ in range(20):
        os.mkdir("x" * 250)
        os.chdir("x" * 250)
    (left_out,) = image_folder.listing({"folder": "d"}, tmp_path, None).left_out
    assert left_out.reason == "the folder cannot be read: File name too long"
    monkeypatch.undo()
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # which Python cannot


def test_names_that_snakemake_cannot_watch_are_watched_by_the_inventory(tmp_path):
    touch(tmp_path, "d/cat/a.png", "d/cat/{x}.png", "d/cat/" + os.fsdecode(b"b\xff.png"))
    files = sorted((tmp_path / "d/cat").iterdir())
    for seconds, path in enumerate(sorted(files, key=lambda path: path.name != "a.png")):
        os.utime(path, (seconds, seconds))
    assert image_folder.raw_files({"folder": "d"}, tmp_path) == [tmp_path / "d/cat/a.png"]
    seen = {image_folder.inventory({"folder": "d"}, tmp_path)}
    for path in files:
        os.utime(path, (10, 10))
        seen.add(image_folder.inventory({"folder": "d"}, tmp_path))
    assert len(seen) == 3  # a.png is a file that Snakemake watches itself


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "d/cat/a.png"])
def test_what_is_no_folder_is_missing(tmp_path, name):
    touch(tmp_path, "d/cat/a.png")
    assert image_folder.raw_files({"folder": name}, tmp_path) == []
    with pytest.raises(ValueError, match="does not exist"):
        image_folder.listing({"folder": name}, tmp_path, None)


# ---- BU101


def test_bu101_folders_are_matched_by_letters_and_digits(tmp_path):
    touch(tmp_path, "BU101/hand_stand_pushups/1.jpg", "BU101/YO-YO/2.jpg", "BU101/other/3.jpg")
    listed = bu101.listing({}, tmp_path, {"HandstandPushups", "YoYo"})
    assert [f.class_name for f in listed.files] == ["YoYo", "HandstandPushups", "other"]
    with pytest.raises(ValueError, match="no folder of class 'Archery'; there are YO-YO"):
        bu101.listing({}, tmp_path, {"Archery", "YoYo"})
    for folder in ("YO-YO", "other", "hand_stand_pushups"):
        (tmp_path / "BU101" / folder / "gone.jpg").symlink_to("nowhere")
    (left_out,) = bu101.listing({}, tmp_path, {"YoYo"}).left_out
    assert left_out == LeftOut("YO-YO/gone.jpg", "a link that leads nowhere")
    touch(tmp_path, "BU101/yoyo/4.jpg")
    with pytest.raises(ValueError, match="YO-YO and yoyo are of one class"):
        bu101.listing({}, tmp_path, {"YoYo"})


# ---- MPII

ROWS = [
    # name, act_name, cat_name, img_train
    ("005.jpg", "curling", "winter activities", 1),
    ("001.jpg", "skiing", "winter activities", 1),
    ("002.jpg", "", "", 0),
    ("003.jpg", "", "", 1),
    ("004.jpg", "rowing", "water activities", 0),
    ("006.jpg", "curling", "winter activities", 1),
]
FLAT = '[{"image": "%s", "act_name": "a", "cat_name": "b", "img_train": 1, "vidx": %s}]'
SETTINGS = {"annotations": "a.mat", "images": "images", "labels": "act_name", "part": "train"}


def write_mat(path, rows=ROWS, leave_out=()):
    """The official nesting: a struct of arrays of structs, where an empty text is an empty array."""

    def text(value):
        return value or np.zeros((0, 0))

    annolist = np.array(
        [({"name": name}, number // 2 + 1) for number, (name, *_) in enumerate(rows)],
        dtype=[("image", object), ("vidx", object)],
    )
    act = np.array(
        [(text(act), text(cat), number) for number, (_, act, cat, _) in enumerate(rows)],
        dtype=[("act_name", object), ("cat_name", object), ("act_id", object)],
    )
    release = {
        "annolist": annolist.reshape(1, -1),
        "img_train": np.array([[train for *_, train in rows]], dtype=np.uint8),
        "act": act.reshape(-1, 1),
        "version": "12",
    }
    savemat(path, {"RELEASE": {k: v for k, v in release.items() if k not in leave_out}})


@pytest.fixture
def mpii_data(tmp_path):
    touch(tmp_path, *(f"images/00{n}.jpg" for n in range(1, 6)))
    write_mat(tmp_path / "a.mat")
    nested = {
        "RELEASE": {
            "annolist": [
                {"image": {"name": name}, "vidx": number // 2 + 1}
                for number, (name, *_) in enumerate(ROWS)
            ],
            "img_train": [train for *_, train in ROWS],
            "act": [{"act_name": act or None, "cat_name": cat or None} for _, act, cat, _ in ROWS],
        }
    }
    flat = [
        {"image": name, "act_name": act, "cat_name": cat, "img_train": train}
        for name, act, cat, train in ROWS
    ]
    (tmp_path / "nested.json").write_text(json.dumps(nested))
    (tmp_path / "flat.json").write_text(json.dumps(flat))
    return tmp_path


@pytest.mark.parametrize("file", ["a.mat", "nested.json", "flat.json"])
def test_mpii_in_all_its_layouts(mpii_data, file):
    listed = mpii.listing({**SETTINGS, "annotations": file}, mpii_data, None)
    assert [(f.original, f.class_name) for f in listed.files] == [
        ("001.jpg", "skiing"),
        ("005.jpg", "curling"),
    ]
    assert {f.group for f in listed.files} == ({""} if file == "flat.json" else {"video 1"})
    assert listed.left_out == [LeftOut("006.jpg", "not on disk")]
    assert listed.notes == [
        "2 images of the test set passed over",
        "1 images without act_name passed over",
    ]
    assert list(listed.sources) == [file]
    settings = {**SETTINGS, "annotations": file, "labels": "cat_name", "part": "all"}
    every = mpii.listing(settings, mpii_data, {"water activities"})
    assert [(f.original, f.class_name) for f in every.files] == [("004.jpg", "water activities")]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("b.json", "{", "b.json: no JSON"),
        ("b.json", "{}", r"not MPII's layout: RELEASE is missing"),
        ("b.json", '{"RELEASE": {"annolist": []}}', r"RELEASE.img_train is missing"),
        ("b.json", '[{"image": "a.jpg"}]', r"\[0\].act_name is missing"),
        ("b.mat", "no matlab", r"b.mat: no .mat file"),
        ("b.json", "[" * 10**5, r"b.json: no JSON"),
        ("b.json", FLAT % ("../a.mat", 1), r"b.json: the image '../a.mat' leads out of .*images"),
        ("b.json", FLAT % ("/a.jpg", 1), r"b.json: the image '/a.jpg' leads out of .*images"),
        ("b.json", FLAT % ("001.jpg", '"x"'), r"not MPII's layout: vidx .* but is 'x'"),
        ("b.json", FLAT % ("001.jpg", "[1]"), r"not MPII's layout: vidx .* but is \[1\]"),
    ],
)
def test_other_layouts_name_file_and_field(mpii_data, file, content, message):
    (mpii_data / file).write_text(content)
    with pytest.raises(ValueError, match=message):
        mpii.listing({**SETTINGS, "annotations": file}, mpii_data, None)


def test_a_mat_without_activities(mpii_data):
    write_mat(mpii_data / "b.mat", leave_out=["act"])
    with pytest.raises(ValueError, match=r"b.mat: not MPII's layout: RELEASE.act is missing"):
        mpii.listing({**SETTINGS, "annotations": "b.mat"}, mpii_data, None)


def test_missing_mpii_says_where_to_get_it(tmp_path):
    with pytest.raises(ValueError, match=r"a.mat does not exist: .*human-pose.mpi-inf"):
        mpii.listing(SETTINGS, tmp_path, None)


# ---- tables

TABLE = 'path,label,group,split\na/1.jpg,cat,g1,train\n"a/2,b.jpg",dog,,train\na/3.jpg,cat,,test\n'


@pytest.fixture
def table(tmp_path):
    touch(tmp_path, "t/a/1.jpg", "t/a/2,b.jpg", "t/a/3.jpg")

    def write(text=TABLE, **settings):
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "t/list.csv").write_bytes(content)
        settings = {"file": "t/list.csv", "kind": "images"} | settings
        return manifest.listing(settings, tmp_path, None)

    return write


def test_rows_of_a_split_or_all(table):
    listed = table(split="train")
    assert [(f.original, f.class_name, f.group) for f in listed.files] == [
        ("a/1.jpg", "cat", "g1"),
        ("a/2,b.jpg", "dog", ""),
    ]
    assert originals(table("\ufeff" + TABLE)) == ["a/1.jpg", "a/2,b.jpg", "a/3.jpg"]
    assert len(table("path,label\na/1.jpg,cat\n").files) == 1
    gone = table(TABLE + "a/4.jpg,cat,,train\n", split="train")
    assert gone.left_out == [LeftOut("a/4.jpg", "not on disk")]
    long = table(f"path,label\n{'x' * 5000},cat\na,cat\n")
    assert [item.reason for item in long.left_out] == [
        "File name too long",
        "a folder, pipe or device, no file",
    ]


def test_a_copy_of_a_test_file_is_left_out_of_training(table, tmp_path):
    (tmp_path / "t/a/1.jpg").write_bytes((tmp_path / "t/a/3.jpg").read_bytes())
    listed = table(split="train")
    assert listed.left_out == [LeftOut("a/1.jpg", "the same file as a/3.jpg of split test")]


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("path,class\n", {}, "lacks the column 'label'"),
        ("path,label,colour\n", {}, "has a column 'colour'"),
        ("path,label\n", {}, "has no row"),
        ("path,label,label\na/1.jpg,cat,dog\n", {}, "has two columns 'label'"),
        ("path,label,group,group\n", {}, "has two columns 'group'"),
        (TABLE.encode("utf-16"), {}, "list.csv: is no UTF-8 text; save it as UTF-8"),
        (TABLE.encode() + b"a/1.jpg,H\xfcndin,,\n", {}, "list.csv: is no UTF-8 text"),
        ("path,label\na/1.jpg,c\0at\n", {}, r"row 2: label has a control character: 'c\\x00at'"),
        ('path,label\n"a/1.jpg","c\nat"\n', {}, r"row 2: label has a control character"),
        (TABLE + "x" * 200_000 + ",cat,,\n", {}, "after row 4: field larger than field limit"),
        (TABLE + '"a/4.jpg,cat,,\n', {}, "after row 4: unexpected end of data"),
        ("path,label\na/1.jpg\n", {}, "row 2: has another number of cells"),
        ("path,label\na/1.jpg,\n", {}, "row 2: label is empty"),
        ("path,label\n../1.jpg,cat\n", {}, "row 2: ../1.jpg leads out of"),
        ("path,label\n/1.jpg,cat\n", {}, "row 2: /1.jpg leads out of"),
        (TABLE + "a/1.jpg,dog,,train\n", {}, "row 5: a/1.jpg stands in row 2 too, as 'cat' there"),
        (TABLE + "a/1.jpg,cat,,test\n", {}, "row 5: .* in split 'train' there and 'test' here"),
        (TABLE, {"split": "val"}, "no row is of split 'val'; there are test, train"),
    ],
)
def test_mistakes_in_tables_name_the_row(table, text, settings, message):
    with pytest.raises(ValueError, match=message):
        table(text, **settings)


def test_a_missing_table(tmp_path):
    with pytest.raises(ValueError, match=r"list.csv does not exist"):
        manifest.listing({"file": "list.csv", "kind": "images"}, tmp_path, None)
