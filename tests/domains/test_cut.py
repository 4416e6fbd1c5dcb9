"""Parts of raw data, and perturbed domains: what is taken, what is changed, and what the leak guard finds again."""

import numpy as np
import pytest
from PIL import Image

from gradmix.domains.cut import position_of
from gradmix.domains.files.prepare import chosen_files, expected_cost, prepare_files
from gradmix.domains.format import INDEX, open_domain
from gradmix.domains.perturbed import perturbed_images, perturbed_labels
from gradmix.domains.prepare import prepare_domain
from gradmix.domains.registry import origin_module
from gradmix.files import read_columns
from gradmix.splits import check_split, make_split

CLASSES = list("abc")
COUNT = 300


def changes(images=0.0, labels=0.0, image_kind="any", label_kind="uniform", seed=1):
    return {
        "images": {"share": images, "kind": image_kind},
        "labels": {"share": labels, "kind": label_kind},
        "seed": seed,
    }


@pytest.fixture
def raw(tmp_path):
    """Settings for arrays of random images; `groups` come in threes."""
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 6, 5, 3), dtype=np.uint8)
    labels = np.array(CLASSES)[np.arange(COUNT) % 3]
    groups = np.char.add("g", (np.arange(COUNT) // 9).astype(str))
    np.savez(tmp_path / "a.npz", images=images, labels=labels, groups=groups)
    return {"origin": "arrays", "file": "a.npz", "label_space": "s"}


@pytest.fixture
def prepare(tmp_path):
    def call(settings, name="mine", do=prepare_domain, classes=CLASSES):
        origin = origin_module(settings)
        positions = {name: label for label, name in enumerate(classes)}
        do(name, settings, positions, (8, 8), tmp_path, tmp_path / name, "code", origin=origin)
        return open_domain(tmp_path / name, check_content=True)

    return call


def extra(domain, *names):
    columns = read_columns(domain.folder / INDEX, names)
    return [columns[name] for name in names]


def test_positions_are_fixed_and_those_of_groups_clips_and_contents():
    assert position_of("x") == pytest.approx(0.7363306, abs=1e-7)
    assert position_of("x", "g", "c") == position_of("y", "g") != position_of("y", "", "g")
    assert position_of("x", "", "c") == position_of("y", "", "c") != position_of("c")
    positions = [position_of(str(number)) for number in range(2000)]
    assert 0 <= min(positions) < max(positions) < 1
    assert np.histogram(positions, 4, (0, 1))[0] == pytest.approx([500] * 4, abs=75)


@pytest.mark.parametrize("groups", [None, "groups"])
def test_disjoint_shares_never_meet_and_together_give_all(prepare, raw, groups):
    raw |= {"groups": groups}
    whole = prepare(raw)
    parts = [
        prepare(raw | {"share": share}, f"part{number}")
        for number, share in enumerate(([0, 0.25], [0.25, 0.8], [0.8, 1]))
    ]
    column = "group" if groups else "content"
    units = [set(part.index[column]) for part in parts]
    assert set.union(*units) == set(whole.index[column])
    assert sum(map(len, units)) == whole.index[column].nunique()
    assert sum(map(len, parts)) == COUNT
    # In the order of the raw data, each with its own label.
    of_part = whole.index["original"].isin(set(parts[1].index["original"]))
    assert np.array_equal(whole.images[of_part], parts[1].images)
    assert np.array_equal(whole.labels[of_part], parts[1].labels)
    (note,) = parts[1].info["notes"]
    assert note == f"{COUNT - len(parts[1])} images left out, outside the share [0.25, 0.8]"
    assert (prepare(raw | {"share": [0, 1]}, "all").folder / INDEX).read_bytes() == (
        whole.folder / INDEX
    ).read_bytes()


def test_a_share_that_leaves_a_class_empty_is_refused(prepare, raw):
    with pytest.raises(
        ValueError, match=r"domains\.mine: `share` \[0, 1e-06\] leaves no image of class 'a'"
    ):
        prepare(raw | {"share": [0, 1e-6]})


def test_nothing_changed_is_the_domain_itself(prepare, raw):
    plain = prepare(raw)
    same = prepare(raw | {"perturbed": changes()}, "same")
    assert np.array_equal(plain.images, same.images)
    assert plain.index.equals(same.index)
    assert [column.tolist() for column in extra(same, "image_changed", "true_label")] == [
        [0] * COUNT,
        plain.labels.tolist(),
    ]
    assert same.info["notes"] == [f"0 images and 0 labels of {COUNT} changed"]
    assert same.info["sha256"] == plain.info["sha256"]


def test_the_content_is_that_of_the_unchanged_image(prepare, raw):
    plain = prepare(raw)
    domain = prepare(raw | {"perturbed": changes(0.7, 0.7)}, "changed")
    changed, true = extra(domain, "image_changed", "true_label")
    assert domain.index["content"].equals(plain.index["content"])
    assert true.tolist() == plain.labels.tolist()
    assert np.array_equal(domain.images[changed == 0], plain.images[changed == 0])
    differs = (domain.images != plain.images).any(axis=(1, 2, 3))
    assert differs.tolist() == changed.astype(bool).tolist()
    assert changed.mean() == pytest.approx(0.7, abs=0.1)
    assert domain.index["class_name"].tolist() == [CLASSES[label] for label in domain.labels]
    labels = (true != domain.labels).sum()
    assert domain.info["notes"] == [f"{changed.sum()} images and {labels} labels of 300 changed"]


def test_the_leak_guard_leaves_out_perturbed_copies_of_target_images(prepare, raw):
    target = prepare(raw, "target")
    source = prepare(raw | {"perturbed": changes(1.0, 1.0, "noise")}, "source")
    sizes = {"labels_per_class": 2, "hyper_validation_per_class": 5, "test_per_class": 5}
    split = make_split(target, None, {"source": source}, draw=0, seed=0, **sizes)
    assert split["source_left_out"]["source"] == list(range(COUNT))
    check_split(split, target, None, {"source": source})


def test_fate_depends_on_seed_and_content_alone():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 7, 7, 1), dtype=np.uint8)
    labels, content = rng.integers(5, size=60), [f"c{number}" for number in range(60)]
    order = rng.permutation(60)[:40]
    some = [content[row] for row in order]
    for settings in (changes(0.6, 0.6), changes(0.6, 0.6, "noise", "shift")):
        all_images, changed = perturbed_images(images, content, settings)
        few_images, few_changed = perturbed_images(images[order], some, settings)
        assert np.array_equal(all_images[order], few_images)
        assert np.array_equal(changed[order], few_changed)
        all_labels = perturbed_labels(labels, content, 5, settings)
        few_labels = perturbed_labels(labels[order], some, 5, settings)
        assert np.array_equal(all_labels[order], few_labels)
        other, _ = perturbed_images(images, content, settings | {"seed": 2})
        assert not np.array_equal(all_images, other)
    # A larger share changes what a smaller one does, in the same way.
    fewer_images, fewer = perturbed_images(images, content, changes(0.3))
    more_images, more = perturbed_images(images, content, changes(0.6))
    assert fewer.sum() < more.sum()
    assert not (fewer & ~more).any()
    assert np.array_equal(fewer_images[fewer], more_images[fewer])


def test_pixels_and_labels_are_decided_independently():
    content = [str(number) for number in range(4000)]
    labels = np.zeros(4000, dtype=np.int64)
    settings = changes(0.5, 0.5, label_kind="shift")
    _, images = perturbed_images(np.zeros((4000, 2, 2, 1), np.uint8), content, settings)
    changed = perturbed_labels(labels, content, 2, settings) == 1
    # 3 standard deviations of a binomial share.
    assert (images & changed).mean() == pytest.approx(0.25, abs=3 * (0.25 * 0.75 / 4000) ** 0.5)


@pytest.mark.parametrize("classes", [2, 10])
def test_uniform_labels_agree_with_the_truth_by_chance(classes):
    labels = np.random.default_rng(0).integers(classes, size=3000)
    content = [str(number) for number in range(3000)]
    drawn = perturbed_labels(labels, content, classes, changes(labels=1.0))
    chance = 1 / classes
    sigma = (chance * (1 - chance) / 3000) ** 0.5
    assert (drawn == labels).mean() == pytest.approx(chance, abs=3 * sigma)
    assert set(drawn) == set(range(classes))
    shifted = perturbed_labels(labels, content, classes, changes(labels=1.0, label_kind="shift"))
    assert np.array_equal(shifted, (labels + 1) % classes)


def test_noise_has_its_strength_on_every_channel():
    grey = np.full((50, 16, 16, 3), 128, np.uint8)
    content = [str(number) for number in range(50)]
    noise = perturbed_images(grey, content, changes(1.0, image_kind="noise"))[0] - 128.0
    assert noise.std() == pytest.approx(49.4, abs=1)  # 50, a little less for clipping
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.05


def test_every_other_change_is_equally_likely_and_is_what_it_is_called():
    image = np.zeros((8, 8, 3), np.uint8)
    image[:4] = 100
    image[:, :4] += 50
    images = np.repeat(image[None], 400, axis=0)
    content = [str(number) for number in range(400)]
    changed, _ = perturbed_images(images, content, changes(1.0))
    mirrored = (changed == image[:, ::-1]).all(axis=(1, 2, 3))
    upside_down = (changed == image[::-1]).all(axis=(1, 2, 3))
    salted = np.isin(changed, (0, 255)) | (changed == image)
    salted = salted.all(axis=(1, 2, 3)) & (changed == 255).any(axis=(1, 2, 3))
    turned = ~(mirrored | upside_down | salted)
    for kind in (mirrored, upside_down, salted, turned):
        assert kind.sum() == pytest.approx(100, abs=3 * (400 * 0.25 * 0.75) ** 0.5)
    speckled = (changed[salted] != image).any(axis=-1).mean()
    assert speckled == pytest.approx(0.1, abs=0.02)
    # A turned image has black corners and keeps its middle's brightness about.
    assert changed[turned].max() <= 150
    assert (changed[turned][:, 0, 0].min(axis=0) < 50).all()


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    for class_name in CLASSES:
        folder = tmp_path / "images" / class_name
        folder.mkdir(parents=True)
        for number in range(12):
            array = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
            Image.fromarray(array).save(folder / f"g{number // 2}_{number}.png")
    return {
        "origin": "image_folder",
        "label_space": "s",
        "folder": "images",
        "resize": "stretch",
        "most_left_out": 0.0,
    }


@pytest.mark.parametrize("pattern", [None, r"(g\d+)_"])
def test_parts_of_files(prepare, pictures, pattern, tmp_path):
    settings = pictures | {"group_pattern": pattern}
    whole = prepare(settings, do=prepare_files)
    low = prepare(settings | {"share": [0, 0.5]}, "low", prepare_files)
    high = prepare(settings | {"share": [0.5, 1]}, "high", prepare_files)
    column = "group" if pattern else "content"
    assert len(low) + len(high) == len(whole) == 36
    assert not set(low.index[column]) & set(high.index[column])
    assert low.info["notes"] == [f"{len(high)} images left out, outside the share [0, 0.5]"]
    assert low.info["files"] == len(low)
    part = settings | {"share": [0, 0.5]}
    positions = {name: label for label, name in enumerate(CLASSES)}
    chosen = chosen_files(part, positions, tmp_path, origin_module(part))
    cost = expected_cost(part, chosen, (8, 8), 1)
    assert (cost.files, cost.images) == (36, 18)
    # The leak guard compares groups of domains that were read from common files.
    assert low.info["sources"] == whole.info["sources"]
    with pytest.raises(ValueError, match=r"domains\.none: `share` .* leaves no image of class 'a'"):
        prepare(settings | {"share": [0, 1e-6]}, "none", prepare_files)


def test_perturbed_files(prepare, pictures):
    part = pictures | {"share": [0.3, 1]}
    plain = prepare(part, do=prepare_files)
    same = prepare(part | {"perturbed": changes()}, "same", prepare_files)
    assert np.array_equal(same.images, plain.images)
    assert same.index.equals(plain.index)
    settings = part | {"perturbed": changes(1.0, 1.0, "noise", "shift")}
    domain = prepare(settings, "changed", prepare_files)
    assert domain.labels.tolist() == ((plain.labels + 1) % 3).tolist()
    assert domain.index["content"].equals(plain.index["content"])
    assert (domain.images != plain.images).any(axis=(1, 2, 3)).all()
    assert (
        domain.info["notes"][-1]
        == f"{len(plain)} images and {len(plain)} labels of {len(plain)} changed"
    )
