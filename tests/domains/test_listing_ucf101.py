"""UCF101's lists as they are, on trees of empty files, and every way in which they can be wrong."""

import shutil
import time

import pytest
from ucf101_tree import LISTS, make_tree

from gradmix.domains.files import ucf101
from gradmix.domains.files.listing import LeftOut

SETTINGS = {"origin": "ucf101", "part": "train", "list_split": 1}
CLASSES = "1 Archery\r\n2 Biking\r\n"
TRAIN = "Archery/v_Archery_g08_c01.avi 1\r\nBiking/v_Biking_g09_c02.avi 2\r\n"
TEST = "Archery/v_Archery_g01_c01.avi\r\nBiking/v_Biking_g02_c01.avi\r\n"


@pytest.fixture
def small(tmp_path):
    """A data_dir with two classes: lists, and a clip of some bytes for every line."""

    def write(classes=CLASSES, train=TRAIN, test=TEST):
        folder = tmp_path / "ucfTrainTestlist"
        folder.mkdir(exist_ok=True)
        for name, text in (("classInd", classes), ("trainlist01", train), ("testlist01", test)):
            (folder / f"{name}.txt").write_bytes(text.encode(errors="surrogateescape"))
        for number, line in enumerate((TRAIN + TEST).split("\r\n")[:-1]):
            path = tmp_path / "UCF-101" / line.split()[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes([number]) * 10)
        return tmp_path

    return write


@pytest.fixture(scope="module")
def whole_tree(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("ucf101"))


@pytest.mark.parametrize(("split", "sizes"), [(1, (9537, 3783)), (2, (9586, 3734))])
def test_the_official_splits_have_their_sizes_and_share_no_group(whole_tree, split, sizes):
    parts = [
        ucf101.listing({**SETTINGS, "list_split": split, "part": part}, whole_tree, None)
        for part in ("train", "test")
    ]
    assert tuple(len(part.files) for part in parts) == sizes
    groups = [{file.group for file in part.files} for part in parts]
    assert not groups[0] & groups[1]
    assert len(groups[0] | groups[1]) == 101 * 25
    for part in parts:
        assert len({file.class_name for file in part.files}) == 101
        assert not part.left_out
        assert not part.notes
        assert list(part.sources) == ["classInd.txt", *list(part.sources)[1:]]
    spelled = {f.original for part in parts for f in part.files if "ushups/v_HandS" in f.original}
    assert len(spelled) == 128  # folder HandstandPushups, files v_HandStandPushups_*


def test_the_whole_tree_is_looked_over_in_a_moment(whole_tree):
    ucf101.inventory(SETTINGS, whole_tree)
    start = time.process_time()
    ucf101.inventory(SETTINGS, whole_tree)
    assert len(ucf101.raw_files(SETTINGS, whole_tree)) == 4
    assert time.process_time() - start < 1.0


def test_real_clips(real_data):
    settings = {**SETTINGS, "clips": "ucf101/clips", "lists": LISTS, "part": "train"}
    listed = ucf101.listing(settings, real_data, None)
    assert [file.original for file in listed.files] == [
        "Rowing/v_Rowing_g16_c03.avi",
        "SoccerJuggling/v_SoccerJuggling_g23_c01.avi",
    ]
    assert [file.group for file in listed.files] == ["Rowing_g16", "SoccerJuggling_g23"]
    assert len(listed.left_out) == 9535
    test = ucf101.listing({**settings, "part": "test"}, real_data, {"Basketball", "Rowing"})
    assert [file.class_name for file in test.files] == ["Basketball"]


def test_a_listed_clip_that_is_not_there_and_one_in_no_list(small):
    data = small()
    (data / "UCF-101/Biking/v_Biking_g09_c02.avi").unlink()
    (data / "UCF-101/Biking/v_Biking_g25_c07.avi").write_bytes(b"x")
    listed = ucf101.listing(SETTINGS, data, None)
    assert listed.left_out == [LeftOut("Biking/v_Biking_g09_c02.avi", "not on disk")]
    assert listed.notes == ["1 clips on disk are in no list: Biking/v_Biking_g25_c07.avi"]


def test_a_training_clip_that_is_also_a_test_clip_is_left_out(small):
    data = small()
    test = data / "UCF-101/Archery/v_Archery_g01_c01.avi"
    shutil.copy(test, data / "UCF-101/Biking/v_Biking_g09_c02.avi")
    listed = ucf101.listing(SETTINGS, data, None)
    reason = "the same file as Archery/v_Archery_g01_c01.avi of the test list"
    assert listed.left_out == [LeftOut("Biking/v_Biking_g09_c02.avi", reason)]
    assert len(ucf101.listing({**SETTINGS, "part": "test"}, data, None).files) == 2


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"train": TRAIN + "Boxing/v_Boxing_g09_c01.avi 3\r\n"}, r"trainlist01.txt, line 3: class"),
        ({"train": TRAIN + "Biking/v_Biking_g10_c01.avi 1\r\n"}, r"line 3: label 1, .* label 2"),
        ({"train": TRAIN + "Biking/v_Biking_g10_c01.avi\r\n"}, r"line 3: expected class/clip.avi"),
        ({"train": TRAIN + "something\r\n"}, r"line 3: expected class/clip.avi"),
        ({"train": TRAIN + TRAIN}, r"line 3: Archery/v_Archery_g08_c01.avi is listed twice"),
        ({"test": TEST + "Archery/v_Archery_g08_c01.avi\r\n"}, r"stands in trainlist01.txt and"),
        ({"test": TEST + "Archery/v_Archery_g08_c02.avi\r\n"}, r"group Archery_g08 stands in"),
        ({"classes": "1 Archery\r\nBiking\r\n"}, r"classInd.txt, line 2: expected a label"),
        ({"classes": "\u00b2 Archery\r\n"}, r"classInd.txt, line 1: expected a label"),
        ({"train": "\n"}, r"trainlist01.txt is empty; get it again"),
        ({"train": TRAIN + "Biking/v_\udce9.avi 2\r\n"}, r"trainlist01.txt: is no UTF-8 text"),
    ],
)
def test_mistakes_in_lists_name_file_and_line(small, texts, message):
    data = small(**texts)
    with pytest.raises(ValueError, match=message):
        ucf101.listing(SETTINGS, data, None)


def test_missing_folders_say_where_to_get_them(small, tmp_path):
    with pytest.raises(ValueError, match=r"classInd.txt does not exist: .*ucf.edu"):
        ucf101.listing(SETTINGS, tmp_path, None)
    assert ucf101.raw_files(SETTINGS, tmp_path) == []
    data = small()
    shutil.rmtree(data / "UCF-101")
    with pytest.raises(ValueError, match=r"UCF-101 does not exist: .*ucf.edu"):
        ucf101.listing(SETTINGS, data, None)


def test_files_added_taken_away_or_resized_change_the_inventory(small):
    data = small()
    seen = {ucf101.inventory(SETTINGS, data)}
    clip = data / "UCF-101/Biking/v_Biking_g09_c02.avi"
    for change in (lambda: clip.write_bytes(b"xy"), clip.unlink, lambda: clip.write_bytes(b"")):
        change()
        seen.add(ucf101.inventory(SETTINGS, data))
    assert len(seen) == 4
