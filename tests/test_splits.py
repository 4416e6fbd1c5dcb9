"""Splits: sizes, what is fixed and what varies, and that no duplicate and no group leaks (read from the tables)."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from split_domains import index_of, make_domain

from gradmix.domains.format import open_domain, write_domain
from gradmix.files import write_json
from gradmix.split_files import read_split
from gradmix.splits import check_split, labels_for_training, make_split

FILES = {"digits.npz": "aa"}


def split_of(target, test=None, sources=None, **options):
    options = {
        "labels_per_class": 3,
        "draw": 0,
        "seed": 0,
        "hyper_validation_per_class": 10,
        "test_per_class": 5 if test is None else None,
    } | options
    return make_split(target, test, sources or {}, **options)


@pytest.fixture
def target():
    return make_domain("target", np.arange(200) % 5)


def test_sets_have_the_asked_sizes_per_class_and_cover_the_domain(target):
    split = split_of(target)
    for name, per_class in (("V", 3), ("H", 10), ("test", 5), ("U", 40 - 18)):
        assert np.bincount(target.labels[split[name]]).tolist() == [per_class] * 5, name
        assert split[name] == sorted(split[name])
    everything = [row for name in ("V", "H", "U", "test", "left_out") for row in split[name]]
    assert sorted(everything) == list(range(200))
    assert split["counts"] == {"V": 15, "H": 50, "U": 110, "left_out": 0, "test": 25}
    check_split(split, target)


def test_test_and_h_are_fixed_and_v_varies_with_the_draw_and_grows_with_k(target):
    first = split_of(target)
    for options in ({"draw": 1}, {"labels_per_class": 7}):
        other = split_of(target, **options)
        assert other["H"] == first["H"]
        assert other["test"] == first["test"]
    assert split_of(target) == first
    assert split_of(target, draw=1)["V"] != first["V"]
    assert split_of(target, seed=1)["H"] != first["H"]
    smaller = [set(split_of(target, labels_per_class=k)["V"]) for k in (1, 2, 3, 7)]
    assert smaller[0] < smaller[1] < smaller[2] < smaller[3]


def test_without_target_labels_v_is_empty_and_nothing_else_changes(target):
    split, other = split_of(target, labels_per_class=0), split_of(target)
    assert split["V"] == []
    assert (split["H"], split["test"]) == (other["H"], other["test"])
    assert split["U"] == sorted(other["U"] + other["V"])
    check_split(split, target)


def test_frozen_values_so_that_a_seed_means_the_same_images_for_ever(target):
    split = split_of(target, draw=1, labels_per_class=1)
    assert split["V"] == [8, 30, 34, 47, 186]
    assert split["H"][:5] == [0, 6, 12, 13, 18]


def test_a_unit_never_straddles_two_sets():
    # 40 groups of 5 images; in addition image 0 of each group equals image 1 of the next but one.
    group = np.repeat(np.arange(40), 5).astype(str)
    content = [f"c{i}" for i in range(200)]
    for number in range(0, 38, 8):
        content[5 * number] = content[5 * (number + 2) + 1]
    target = make_domain("target", np.arange(200) % 5, content, group)
    split = split_of(target, hyper_validation_per_class=4, test_per_class=3)
    check_split(split, target)
    sets_of = {}
    for name in ("V", "H", "U", "test"):
        for row in split[name]:
            sets_of.setdefault(("c", content[row]), set()).add(name)
            sets_of.setdefault(("g", group[row]), set()).add(name)
    assert all(len(names) == 1 for names in sets_of.values())
    assert split["left_out"]


def test_v_prefers_distinct_units_and_test_and_h_prefer_whole_ones():
    group = np.repeat(np.arange(40), 10).astype(str)  # each group: 5 images of either class
    target = make_domain("target", np.arange(400) % 2, group=group)
    split = split_of(target, hyper_validation_per_class=20, test_per_class=10, labels_per_class=4)
    for label in (0, 1):
        units = {group[row] for row in split["V"] if target.labels[row] == label}
        assert len(units) == 4
    assert len({group[row] for row in split["H"]}) == 4  # 20 per class = 4 whole groups
    assert len({group[row] for row in split["test"]}) == 2


def test_v_takes_several_images_of_a_unit_where_there_are_no_others():
    # Class 0 has three groups: one each for test, H and V.
    group = [f"{i // 10}" if i < 30 else "" for i in range(60)]
    target = make_domain("target", np.arange(60) // 30, group=group)
    split = split_of(target, hyper_validation_per_class=5, test_per_class=5, labels_per_class=6)
    assert np.bincount(target.labels[split["V"]]).tolist() == [6, 6]
    assert len({group[row] for row in split["V"] if row < 30}) == 1
    assert len(split["left_out"]) == 5 + 5 + 4
    check_split(split, target)


def test_sources_lose_what_the_target_holds_with_the_rest_of_its_unit(target):
    content = [f"s{i}" for i in range(20)]
    content[3], content[4], content[7] = "target-8", "target-9", "s8"
    group = [""] * 20
    group[7] = group[3] = "plate"  # 3 leaks; 7 is of its group; 8 equals 7
    source = make_domain("source", np.arange(20) % 2, content, group)
    split = split_of(target, sources={"source": source})
    assert split["source_left_out"] == {"source": [3, 4, 7, 8]}
    check_split(split, target, sources={"source": source})


def test_what_sources_lose_is_the_same_for_all_draws_and_k(target):
    source = make_domain("s", np.arange(300) % 5, [f"target-{i}" for i in range(0, 600, 2)])
    sources = {"s": source}
    lost = [
        split_of(target, sources=sources, draw=draw, labels_per_class=k)["source_left_out"]
        for draw in (0, 1)
        for k in (1, 5)
    ]
    assert all(one == {"s": list(range(100))} for one in lost)


@pytest.mark.parametrize(("files", "left_out"), [(FILES, [0, 1, 2]), ({"other.npz": "bb"}, [])])
def test_groups_mean_something_only_within_common_files(files, left_out):
    group = [f"g{i}" for i in range(100)]
    target = make_domain("target", np.arange(100) % 2, group=group, files=FILES)
    source = make_domain("s", [0, 1, 0, 1], group=["g5", "g6", "g7", ""], files=files)
    split = split_of(target, sources={"s": source})
    assert split["source_left_out"] == {"s": left_out}
    leaking = split | {"source_left_out": {"s": []}}
    if left_out:
        with pytest.raises(ValueError, match="and source s share group 'g5'"):
            check_split(leaking, target, sources={"s": source})
    else:
        check_split(leaking, target, sources={"s": source})


def test_a_separate_test_domain_keeps_its_images_and_the_target_loses_duplicates():
    content = [f"t{i}" for i in range(200)]
    content[10], content[11] = "test-3", "test-4"
    group = [""] * 200
    group[10] = group[12] = "same plate"
    target = make_domain("target", np.arange(200) % 5, content, group)
    test = make_domain("test", np.arange(50) % 5)
    source = make_domain("source", [0, 1], ["test-7", "free"])
    split = split_of(target, test, {"source": source})
    assert split["test"] == list(range(50))
    assert split["test_domain"] == "test"
    assert split["left_out"] == [10, 11, 12]
    assert split["source_left_out"] == {"source": [0]}
    check_split(split, target, test, {"source": source})


def test_a_separate_test_domain_of_the_same_files_is_parted_by_group_too():
    target = make_domain(
        "target", np.arange(100) % 2, group=[f"g{i // 2}" for i in range(100)], files=FILES
    )
    test = make_domain("test", np.arange(10) % 2, group=["g1", "g2"] * 5, files=FILES)
    split = split_of(target, test)
    assert split["left_out"] == [2, 3, 4, 5]
    check_split(split, target, test)


def test_some_images_per_class_of_a_separate_test_domain(target):
    test = make_domain("test", np.arange(50) % 5)
    split = split_of(target, test, test_per_class=4)
    assert np.bincount(test.labels[split["test"]]).tolist() == [4] * 5
    assert split_of(target, test, test_per_class=4, draw=3)["test"] == split["test"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels_per_class": 26}, "labels_per_class is 26, but class 0 of domain target has 40 images, of which 25"),
        ({"hyper_validation_per_class": 36}, "hyper_validation_per_class is 36, but class 0 .* of which 35 are left"),
        ({"test_per_class": 41}, "target.test_per_class is 41, but class 0 of domain target has 40 images"),
        ({"labels_per_class": 25}, "none is left for U .test 25, H 50, V 125"),
        ({"labels_per_class": -1}, "labels_per_class must be at least 0, but got -1"),
        ({"test_per_class": None}, "test_per_class is needed where there is no target.test_domain"),
    ],
)  # fmt: skip
def test_too_few_images_are_named_with_class_domain_and_numbers(target, options, message):
    with pytest.raises(ValueError, match=message):
        split_of(target, **options)


def test_a_class_without_images_is_named():
    target = make_domain("target", np.arange(100) % 2, classes=["cat", "dog", "owl"])
    with pytest.raises(ValueError, match="class owl of domain target has 0 images"):
        split_of(target)


def test_a_test_domain_of_other_classes_is_refused(target):
    with pytest.raises(ValueError, match="test has 2 classes of label space space, but the target"):
        split_of(target, make_domain("test", [0, 1, 0, 1]))


def test_a_test_domain_whose_origin_calls_the_classes_differently(target):
    classes = [f"digit {label}" for label in range(len(target.classes))]
    labels = np.arange(40) % len(classes)
    split = split_of(target, make_domain("test", labels, classes=classes))
    assert split["classes"] == target.classes


@pytest.mark.parametrize("pair", [("V", "U"), ("H", "test"), ("U", "test"), ("V", "H")])
def test_check_split_finds_a_planted_duplicate(target, pair):
    split = split_of(target)
    index = target.index
    index.loc[split[pair[0]][0], "content"] = index.loc[split[pair[1]][0], "content"]
    with pytest.raises(ValueError, match=f"{pair[0]} and {pair[1]} share content"):
        check_split(split, target)


def test_check_split_finds_a_planted_group_and_a_row_in_two_sets(target):
    split = split_of(target)
    with pytest.raises(ValueError, match="V and H share"):
        check_split(split | {"H": [*split["H"], split["V"][0]]}, target)
    target.index.loc[[split["V"][0], split["test"][0]], "group"] = "clip 7"
    with pytest.raises(ValueError, match="draw 0: V and test share group 'clip 7'"):
        check_split(split, target)


def test_check_split_looks_into_a_separate_test_domain_and_into_sources(target):
    test = make_domain("test", np.arange(50) % 5)
    source = make_domain("s", [0, 1])
    split = split_of(target, test, {"s": source})
    source.index.loc[1, "content"] = "test-3"
    with pytest.raises(ValueError, match="test and source s share content test-3"):
        check_split(split, target, test, {"s": source})
    check_split(split, target, None, {"s": source})  # the test set stays closed
    test.index.loc[0, "content"] = f"target-{split['U'][0]}"
    with pytest.raises(ValueError, match="U and test share"):
        check_split(split, target, test)


@pytest.mark.parametrize("name", ["V", "H", "U"])
def test_a_file_whose_test_row_is_in_another_set_is_refused_by_name(name, target, tmp_path):
    split = split_of(target)
    split["test"][0] = split[name][0]
    path = tmp_path / "split.json"
    write_json(path, split)
    for test in (None, target):  # as training opens it, and evaluation
        with pytest.raises(
            ValueError, match=rf"{path}: draw 0: {name} and test share content target-"
        ):
            read_split(path, target, test)


def test_a_file_is_held_against_the_test_domain_where_that_may_be_opened(target, tmp_path):
    """The test domain's image that V holds too; and another test domain than the split's."""
    content = [f"test-{row}" for row in range(10)]
    path = tmp_path / "split.json"
    split = split_of(target, make_domain("test", np.arange(10) % 5, content))
    write_json(path, split)
    content[3] = f"target-{split['V'][0]}"
    leaking = make_domain("test", np.arange(10) % 5, content)
    assert read_split(path, target) == split
    with pytest.raises(ValueError, match=rf"{path}: draw 0: V and test share content target-"):
        read_split(path, target, leaking)
    with pytest.raises(ValueError, match=rf"{path}: its test images are of domain test, and not"):
        read_split(path, target, target)


def test_check_split_refuses_another_domain(target):
    split = split_of(target)
    with pytest.raises(ValueError, match="the split is of domain target, but the target is other"):
        check_split(split, make_domain("other", np.arange(200) % 5))
    with pytest.raises(ValueError, match=r"names image \d+ of target, which has 20"):
        check_split(split, make_domain("target", np.arange(20) % 5))


def test_training_sees_no_label_but_those_of_v_and_h(target):
    split = split_of(target)
    labels = labels_for_training(split, target)
    known = sorted(split["V"] + split["H"])
    assert np.flatnonzero(labels >= 0).tolist() == known
    assert (labels[known] == target.labels[known]).all()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 30), st.integers(0, 12)),
        min_size=4,
        max_size=60,
    ),
    st.integers(0, 3),
    st.integers(1, 2),
    st.booleans(),
)
def test_any_table_gives_a_proven_split_or_an_error(images, draw, k, separate):
    labels, contents, groups = zip(*images, strict=True)
    content = [f"c{c}" for c in contents]
    group = [f"g{g}" if g < 8 else "" for g in groups]
    files = {"a": "a"}
    target = make_domain("target", labels, content, group, files, classes=["0", "1"])
    test = make_domain("test", [0, 1], ["c3", "x"], ["g1", ""], files, ["0", "1"])
    source = make_domain("source", [0, 1, 0], ["c1", "y", "x"], ["", "g2", ""], files)
    try:
        split = split_of(
            target, test if separate else None, {"source": source},
            draw=draw, labels_per_class=k, hyper_validation_per_class=1,
            test_per_class=None if separate else 1,
        )  # fmt: skip
    except ValueError as error:
        if "left" in str(error):
            return
        raise
    check_split(split, target, test if separate else None, {"source": source})
    sets = ["V", "H", "U", "left_out"] + ([] if separate else ["test"])
    assert sorted(row for name in sets for row in split[name]) == list(range(len(target)))
    assert np.bincount(target.labels[split["V"]], minlength=2).tolist() == [k, k]


def test_domains_on_disk_with_a_grey_copy_in_colour(tmp_path):
    """The one test on real files: contents are hashes of images here, and a grey copy in RGB is found."""
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 1), dtype=np.uint8)
    images[7] = images[8]
    info = {"origin": "test", "label_space": "two", "classes": ["0", "1"], "sources": {}}
    write_domain(tmp_path / "t", images, index_of(np.arange(60) // 4 % 2), info | {"name": "t"})
    colour = np.random.default_rng(1).integers(0, 256, (4, 4, 4, 3), dtype=np.uint8)
    colour[2] = np.repeat(images[20], 3, axis=2)
    write_domain(tmp_path / "s", colour, index_of([0, 1, 0, 1]), info | {"name": "s"})
    target, source = open_domain(tmp_path / "t"), open_domain(tmp_path / "s")
    for draw in range(5):
        split = split_of(target, sources={"s": source}, draw=draw)
        assert split["source_left_out"] == {"s": [2]}
        places = [name for name in ("V", "H", "U", "test") if {7, 8} & set(split[name])]
        assert len(places) <= 1
        check_split(split, target, sources={"s": source})


def test_the_size_of_mnist_takes_well_under_a_second():
    target = make_domain("target", np.arange(30_000) % 5)
    sources = {"a": make_domain("a", np.arange(30_000) % 5)}
    started = time.process_time()
    split = split_of(target, sources=sources, hyper_validation_per_class=200, test_per_class=900)
    seconds = time.process_time() - started
    assert split["counts"]["U"] == 30_000 - 15 - 1000 - 4500
    assert seconds < 2


def test_without_target_labels_v_is_empty_and_u_is_the_rest(target):
    split = make_split(
        target,
        None,
        {},
        labels_per_class=0,
        draw=0,
        seed=0,
        hyper_validation_per_class=2,
        test_per_class=2,
    )
    assert split["V"] == []
    assert split["counts"]["U"] + split["counts"]["H"] + split["counts"]["test"] == len(target)
