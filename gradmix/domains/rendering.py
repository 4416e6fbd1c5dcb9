"""Draws one street-number-like digit, 32x32 RGB, from random numbers.

A crop of SVHN shows a digit that fills the height, parts of the digits beside it, one colour on
another with little or much contrast, uneven light, and the softness of a small photograph; that is
what is imitated here.
"""

from __future__ import annotations

import importlib.util
import math
from functools import cached_property
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, features

from gradmix.files import sha256_of

SIZE = 32
# Fonts that ship with matplotlib and have all ten digits; bold upright ones, the usual ones on
# houses, count three times.
FONTS = {
    "DejaVuSans": 3, "DejaVuSans-Bold": 3, "DejaVuSans-Oblique": 1, "DejaVuSans-BoldOblique": 1,
    "DejaVuSansMono": 1, "DejaVuSansMono-Bold": 3,
    "DejaVuSansMono-Oblique": 1, "DejaVuSansMono-BoldOblique": 1,
    "DejaVuSerif": 1, "DejaVuSerif-Bold": 3, "DejaVuSerif-Italic": 1, "DejaVuSerif-BoldItalic": 1,
    "STIXGeneral": 1, "STIXGeneralBol": 3, "STIXGeneralItalic": 1, "STIXGeneralBolIta": 1,
    "cmr10": 1, "cmb10": 3, "cmss10": 3, "cmtt10": 2, "cmti10": 1, "cmmi10": 1,
}  # fmt: skip
_GLYPH_HEIGHT = 48  # pixels of the stored masks
_FINE = 2 * SIZE  # masks are transformed at twice the size and averaged, for smooth edges


class DigitPainter:
    """Paints digits; holds the masks of all digits in all fonts once they were used."""

    def __init__(self) -> None:
        self._glyphs: dict[tuple[str, int], Image.Image] = {}
        weights = np.array(list(FONTS.values()), dtype=float)
        self._names, self._chances = list(FONTS), weights / weights.sum()

    def paint(self, digit: int, random: np.random.Generator) -> np.ndarray:
        """Paint an image (32,32,3) uint8 of `digit`, decided by `random` alone."""
        mask = self._mask(digit, random)
        background, ink = _colours(random)
        canvas = _backdrop(background, random)
        if random.random() < 0.3:
            canvas = _shade(canvas, mask, random)
        canvas += mask[..., None] * (_backdrop(ink, random, spread=0.4) - canvas)
        return _photograph(canvas, random)

    def glyph(self, font: str, digit: int) -> Image.Image:
        """Draw the digit as a mask, cut to its ink, 48 pixels high."""
        if (font, digit) not in self._glyphs:
            typeface = ImageFont.truetype(
                str(self._folder / f"{font}.ttf"), 96, layout_engine=ImageFont.Layout.BASIC
            )
            sheet = Image.new("L", (192, 192))
            ImageDraw.Draw(sheet).text((48, 48), str(digit), font=typeface, fill=255)
            ink = sheet.crop(sheet.getbbox())
            width = max(round(ink.width * _GLYPH_HEIGHT / ink.height), 1)
            self._glyphs[font, digit] = ink.resize(
                (width, _GLYPH_HEIGHT), Image.Resampling.BILINEAR
            )
        return self._glyphs[font, digit]

    @property
    def sources(self) -> dict[str, str]:
        """SHA-256 of the font files."""
        return {f"{name}.ttf": sha256_of(self._folder / f"{name}.ttf") for name in FONTS}

    @property
    def versions(self) -> str:
        """Versions of the libraries that decide about pixels."""
        return f"Pillow {PIL.__version__}, FreeType {features.version('freetype2')}"

    @cached_property
    def _folder(self) -> Path:
        """Folder of matplotlib's fonts, which needs no import of it."""
        spec = importlib.util.find_spec("matplotlib")
        if spec is None or spec.origin is None:
            raise ValueError("origin 'rendered_digits' needs matplotlib, which brings the fonts")
        folder = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
        missing = [name for name in FONTS if not (folder / f"{name}.ttf").is_file()]
        if missing:
            raise ValueError(f"origin 'rendered_digits' misses the font {folder / missing[0]}.ttf")
        return folder

    def _mask(self, digit: int, random: np.random.Generator) -> np.ndarray:
        """How much ink lies on each pixel, (32,32) in 0..1: the digit, and parts of neighbours."""
        font = str(random.choice(self._names, p=self._chances))
        line = Image.new("L", (4 * _GLYPH_HEIGHT, 2 * _GLYPH_HEIGHT))
        middle = self.glyph(font, digit)
        left = (line.width - middle.width) // 2
        line.paste(middle, (left, _GLYPH_HEIGHT // 2))
        gap = int(random.integers(2, 13))
        for side in (-1, 1):
            neighbour, there = int(random.integers(10)), random.random() < 0.6
            if there:
                mask = self.glyph(font, neighbour)
                x = left + middle.width + gap if side > 0 else left - gap - mask.width
                line.paste(mask, (x, _GLYPH_HEIGHT // 2))
        # The transform maps a pixel of the fine image to the place on the line that it shows.
        height = random.uniform(0.66, 0.98) * _FINE
        stretch = random.uniform(0.8, 1.25)
        angle, shear = math.radians(random.normal(0, 5)), random.normal(0, 0.1)
        shift_x, shift_y = random.uniform(-0.08, 0.08, 2) * _FINE
        scale = _GLYPH_HEIGHT / height
        cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
        a, b = (cos + shear * sin) / stretch, (shear * cos - sin) / stretch
        centre_x, centre_y = _FINE / 2 + shift_x, _FINE / 2 + shift_y
        coefficients = (
            a, b, line.width / 2 - a * centre_x - b * centre_y,
            sin, cos, line.height / 2 - sin * centre_x - cos * centre_y,
        )  # fmt: skip
        fine = line.transform(
            (_FINE, _FINE), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
        )
        if random.random() < 0.25:
            fine = ImageChops.lighter(fine, fine.filter(ImageFilter.MaxFilter(3)))
        return np.asarray(fine.reduce(2), dtype=np.float64) / 255


def _colours(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Colours of the ground and of the ink, 0..255, apart by at least 35 levels of brightness.

    Most are greys tinted between brown and blue, as walls, plates and evening light are; some are
    vivid.
    """
    brightness = np.array([0.299, 0.587, 0.114])
    warm = np.array([1.0, 0.1, -1.0])
    while True:
        pair = []
        for _ in range(2):
            vivid = random.random() < 0.2
            tint = warm * random.normal(0, 16) + random.normal(0, 45 if vivid else 5, 3)
            pair.append(np.clip(random.uniform(20, 235) + tint - tint.mean(), 0, 255))
        if abs((pair[0] - pair[1]) @ brightness) >= 35:
            return pair[0], pair[1]


def _backdrop(colour: np.ndarray, random: np.random.Generator, spread: float = 1.0) -> np.ndarray:
    """A surface (32,32,3) of one colour under uneven light, with blotches and lines."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / (SIZE - 1) - 0.5
    angle = random.uniform(0, 2 * math.pi)
    slope = random.normal(0, 28 * spread)
    surface = np.asarray(colour) + (slope * (x * math.cos(angle) + y * math.sin(angle)))[..., None]
    coarse = Image.fromarray(random.normal(0, 7 * spread, (6, 6)).astype(np.float32))
    surface += np.asarray(coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC), dtype=np.float64)[
        ..., None
    ]
    for _ in range(int(random.choice([0, 1, 2], p=[0.6, 0.25, 0.15])) if spread == 1.0 else 0):
        surface += _line(random)[..., None] * (random.normal(0, 30) + random.normal(0, 8, 3))
    return surface


def _line(random: np.random.Generator) -> np.ndarray:
    """A straight edge or stripe (a plate's border, a joint, a shadow), (32,32) in 0..1."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64)
    angle = random.choice([0.0, math.pi / 2]) + random.normal(0, 0.12)
    distance = (x - 15.5) * math.cos(angle) + (y - 15.5) * math.sin(angle) - random.uniform(-16, 16)
    if random.random() < 0.5:
        return np.clip(distance + 0.5, 0, 1)
    return np.clip(random.uniform(0.6, 2.0) - np.abs(distance), 0, 1)


def _shade(canvas: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The ground with the shadow, or the bright rim, of raised digits."""
    dy, dx = random.integers(-2, 3, 2)
    shadow = np.roll(mask, (int(dy), int(dx)), axis=(0, 1))
    shaded: np.ndarray = canvas + shadow[..., None] * random.normal(-35, 25)
    return shaded


def _photograph(canvas: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Take the canvas with a small camera: blur, noise per pixel, 8 bits."""
    image = Image.fromarray(np.clip(np.rint(canvas), 0, 255).astype(np.uint8))
    image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.7)))
    noisy = np.asarray(image, dtype=np.float64) + random.normal(
        0, random.uniform(0.5, 6.0), (SIZE, SIZE, 3)
    )
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
