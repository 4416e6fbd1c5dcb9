"""Splits of clips: numbers count clips, frames stay together, groups stay on one side."""

import numpy as np
import pytest
from split_domains import make_domain

from gradmix.grouping import samples_of, units_of
from gradmix.splits import check_split, make_split

CLASSES, GROUPS, CLIPS, FRAMES = 4, 8, 3, 5


def clips_domain(name="target", groups=GROUPS, with_groups=True):
    """Every class has groups of clips of frames; rows are shuffled, so that a clip's frames are not neighbours."""
    rows = [
        (label, f"{label}_g{group}" if with_groups else "", f"{name}{label}/g{group}c{clip}")
        for label in range(CLASSES)
        for group in range(groups)
        for clip in range(CLIPS)
        for _ in range(FRAMES)
    ]
    order = np.random.default_rng(0).permutation(len(rows))
    labels, group, clip = zip(*(rows[i] for i in order), strict=True)
    return make_domain(name, labels, group=group, clip=clip)


def split_of(target, **options):
    options = {
        "labels_per_class": 2,
        "draw": 0,
        "seed": 0,
        "hyper_validation_per_class": 3,
        "test_per_class": 4,
    } | options
    return make_split(target, None, {}, **options)


@pytest.fixture
def target():
    return clips_domain()


def clips_in(target, rows):
    return set(target.index["clip"].to_numpy()[rows])


def test_numbers_per_class_are_clips_with_all_their_frames(target):
    split = split_of(target)
    for name, per_class in (("V", 2), ("H", 3), ("test", 4)):
        clips = clips_in(target, split[name])
        assert len(clips) == per_class * CLASSES, name
        assert len(split[name]) == per_class * CLASSES * FRAMES, name
        labels = np.bincount(target.labels[split[name]])
        assert labels.tolist() == [per_class * FRAMES] * CLASSES, name


def test_groups_never_straddle_and_v_takes_clips_of_different_ones(target):
    split = split_of(target, labels_per_class=3)
    groups = {
        name: set(target.index["group"].to_numpy()[split[name]]) for name in ("V", "H", "U", "test")
    }
    names = list(groups)
    for i, first in enumerate(names):
        for second in names[:i]:
            assert not groups[first] & groups[second], (first, second)
    assert len(groups["V"]) == 3 * CLASSES
    # H and test touch as few groups as they can.
    assert len(groups["H"]) == CLASSES
    assert len(groups["test"]) == 2 * CLASSES
    check_split(split, target)


def test_without_groups_a_clip_is_what_is_not_parted():
    target = clips_domain(with_groups=False)
    split = split_of(target)
    sets = [clips_in(target, split[name]) for name in ("V", "H", "U", "test")]
    assert sum(map(len, sets)) == len(set.union(*sets)) == CLASSES * GROUPS * CLIPS
    assert split["left_out"] == []


def test_too_few_clips_are_counted_in_clips(target):
    what = rf"labels_per_class is 30, but class 0 of domain target has {GROUPS * CLIPS} clips"
    with pytest.raises(ValueError, match=what):
        split_of(target, labels_per_class=30)


def test_one_frame_in_common_takes_the_whole_group_out(target):
    source = clips_domain("source", groups=2)
    index = source.index
    held = split_of(target)["V"][0]
    index.loc[7, "content"] = target.index["content"][held]
    split = make_split(
        target, None, {"source": source},
        labels_per_class=2, draw=0, seed=0, hyper_validation_per_class=3, test_per_class=4,
    )  # fmt: skip
    left_out = split["source_left_out"]["source"]
    assert len(left_out) == CLIPS * FRAMES
    assert set(index["group"][left_out]) == {index["group"][7]}


def test_samples_are_images_or_clips():
    index = make_domain("d", [0] * 6, clip=["", "b", "a", "b", "", "a"]).index
    assert samples_of(index).tolist() == [0, 1, 2, 1, 4, 2]
    assert len(set(units_of(index))) == 4
