"""Rendered digits: legible in every font, decided by seed, digit and number alone."""

import numpy as np
import pytest

from gradmix.domains import rendered_digits
from gradmix.domains.rendering import FONTS, DigitPainter


def load(count, seed=1, wanted="56789", **settings):
    return rendered_digits.load({"count": count, "seed": seed} | settings, None, set(wanted))


def test_shape_classes_and_determinism(tmp_path):
    raw, again = load(23), load(23)
    assert raw.images.shape == (23, 32, 32, 3)
    assert raw.images.dtype == np.uint8
    assert np.array_equal(raw.images, again.images)
    counts = dict(zip(*np.unique(raw.class_names, return_counts=True), strict=True))
    assert counts == {"5": 5, "6": 5, "7": 5, "8": 4, "9": 4}
    assert len(set(raw.originals)) == 23
    assert set(raw.sources) == {f"{font}.ttf" for font in FONTS}
    assert rendered_digits.raw_files({}, tmp_path) == []


def test_an_image_does_not_depend_on_count_or_on_other_classes():
    few, many, alone = load(10), load(20), load(4, wanted="7")
    assert np.array_equal(few.images, many.images[:10])
    assert np.array_equal(alone.images, many.images[many.class_names == "7"])
    assert list(alone.originals) == [f"seed1/7/{number}" for number in range(4)]


def test_images_and_seeds_differ():
    raw = load(200)
    assert len({image.tobytes() for image in raw.images}) == 200
    assert not any(map(np.array_equal, raw.images, load(200, seed=2).images))


def test_every_font_has_ten_different_digits():
    painter = DigitPainter()
    for font in FONTS:
        glyphs = [painter.glyph(font, digit).resize((32, 48)) for digit in range(10)]
        masks = np.array([np.asarray(glyph, dtype=float) for glyph in glyphs]) / 255
        assert masks.mean(axis=(1, 2)).min() > 0.08, font
        for one in range(10):
            for other in range(one):
                assert np.abs(masks[one] - masks[other]).mean() > 0.04, (font, one, other)


def test_digits_can_be_told_apart():
    """A nearest neighbour on contours does far better than guessing (0.1): the digits are there."""
    from sklearn.neighbors import KNeighborsClassifier

    raw = load(1200, wanted="0123456789")
    grey = raw.images.mean(axis=3)
    edges = np.hypot(*np.gradient(grey, axis=(1, 2)))[:, 2:-2, 6:-6].reshape(1200, -1)
    edges /= np.linalg.norm(edges, axis=1, keepdims=True)
    model = KNeighborsClassifier(5).fit(edges[:1000], raw.class_names[:1000])
    assert model.score(edges[1000:], raw.class_names[1000:]) > 0.4


@pytest.mark.parametrize("count", [0, -1, None, 2.5, True, "9"])
def test_count_is_checked(count):
    with pytest.raises(ValueError, match="needs `count`: a positive number, but got"):
        load(count)


@pytest.mark.parametrize("seed", [-1, 1.5, "a"])
def test_seed_is_checked(seed):
    with pytest.raises(ValueError, match="`seed` must be a whole number from 0"):
        load(3, seed=seed)


def test_without_a_wanted_digit_it_says_so():
    with pytest.raises(ValueError, match=r"none of them is wanted \(\['cat', 'dog'\]\)"):
        load(3, wanted=["cat", "dog"])


def test_a_missing_font_is_named(monkeypatch, tmp_path):
    class Found:
        origin = str(tmp_path / "__init__.py")

    monkeypatch.setattr("importlib.util.find_spec", lambda name: Found)
    with pytest.raises(ValueError, match=r"misses the font .*DejaVuSans\.ttf"):
        load(3)
