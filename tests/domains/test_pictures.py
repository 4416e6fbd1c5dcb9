"""Decoding images of all kinds, and the sizes that they are brought to."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from gradmix.domains.files.decoded import UndecodableError
from gradmix.domains.files.fit import fit
from gradmix.domains.files.pictures import decode_picture


def test_cover_keeps_proportions_and_the_centre_and_stretch_all():
    image = np.zeros((10, 40, 3), np.uint8)
    image[:, 14:26] = 200  # the central square, and a pixel more
    assert (fit(image, 5, 5, "cover") == 200).all()
    stretched = fit(image, 5, 8, "stretch")
    assert (stretched[:, 3:5] == 200).all()
    assert (stretched[:, [0, 7]] == 0).all()
    assert fit(image[:, :3], 20, 20, "cover").shape == (20, 20, 3)


def test_shrinking_averages():
    checks = (np.indices((16, 16)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = fit(np.repeat(checks[..., None], 3, axis=2), 4, 4, "stretch")
    assert ((small >= 127) & (small <= 128)).all()


@pytest.mark.parametrize(
    ("mode", "colour", "file", "remark", "expected"),
    [
        ("RGB", (200, 50, 20), "a.png", "", (200, 50, 20)),
        ("L", 90, "a.jpg", "grey", (90, 90, 90)),
        ("CMYK", (0, 255, 255, 0), "a.jpg", "CMYK", (255, 0, 0)),
        ("RGBA", (10, 20, 30, 255), "a.png", "transparent", (10, 20, 30)),
        ("P", 0, "a.gif", "", (0, 0, 0)),
        ("1", 1, "a.png", "black and white", (255, 255, 255)),
    ],
)
def test_all_kinds_become_rgb(tmp_path, mode, colour, file, remark, expected):
    Image.new(mode, (30, 20), colour).save(tmp_path / file)
    picture = decode_picture(tmp_path / file, 16, 16, "cover")
    assert picture.frames_FHWC.shape == (1, 16, 16, 3)
    assert picture.remark == remark
    assert np.abs(picture.frames_FHWC[0, 8, 8].astype(int) - expected).max() <= 3


RAMP = np.linspace(0, 1, 64)[None].repeat(32, axis=0)
GREY = np.rint(RAMP * 255).astype(np.uint8)


def png(bits, colour_type, rows):
    """A PNG file of the rows' bytes, written by hand: Pillow writes no 16-bit colours."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", 64, len(rows), bits, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def tiff(pixels, bits, number_type=1, photometric=1, order="<"):
    """A TIFF file of grey pixels. Types: 1 unsigned, 2 signed, 3 floating-point; photometric 0: white is zero."""
    tags = [(256, 64), (257, 32), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1)]
    tags += [(278, 32), (279, len(pixels)), (339, number_type)]
    directory = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags)
    start = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(pixels))
    return start + pixels + struct.pack(f"{order}H", len(tags)) + directory + bytes(4)


def sixteen(order="<", largest=65535):
    return np.rint(RAMP * largest).astype(f"{order}u2")


def twelve():
    """Two pixels in three bytes."""
    first, second = sixteen(largest=4095).reshape(-1, 2).T
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1)
    return packed.astype(np.uint8).tobytes()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("grey.png", png(16, 0, [row.tobytes() for row in sixteen(">")])),
        ("little.tif", tiff(sixteen().tobytes(), 16)),
        ("big.tif", tiff(sixteen(">").tobytes(), 16, order=">")),
        ("white_is_zero.tif", tiff((65535 - sixteen()).tobytes(), 16, photometric=0)),
        ("twelve.tif", tiff(twelve(), 12)),
        ("grey.pgm", b"P5 64 32 65535\n" + sixteen(">").tobytes()),
        ("twelve.pgm", b"P5 64 32 4095\n" + sixteen(">", 4095).tobytes()),
        ("colour.png", png(16, 2, [row.repeat(3).tobytes() for row in sixteen(">")])),
        ("alpha.png", png(16, 4, [row.repeat(2).tobytes() for row in sixteen(">")])),
        ("eight.tif", tiff(GREY.tobytes(), 8)),
    ],
)
def test_more_bits_are_scaled_to_eight_by_their_full_range(tmp_path, file, content):
    (tmp_path / file).write_bytes(content)
    picture = decode_picture(tmp_path / file, 32, 64, "stretch").frames_FHWC[0]
    assert (picture[:, [0, -1]] == [[[0], [255]]]).all()
    assert np.abs(picture.astype(int) - GREY[..., None]).max() <= 1
    assert (picture == picture[..., :1]).all()


def test_sixteen_bits_are_rounded_and_turned_as_the_camera_says(tmp_path):
    levels = np.array([[0, 128, 129, 385, 386, 65406, 65407, 65535]], np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(levels.repeat(2, axis=0)).save(tmp_path / "a.png", exif=exif)
    picture = decode_picture(tmp_path / "a.png", 2, 8, "stretch")
    assert picture.remark == "grey"
    assert picture.frames_FHWC[0, 0, ::-1, 0].tolist() == [0, 0, 1, 1, 2, 254, 255, 255]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("int32.tif", tiff(GREY.astype("<i4").tobytes(), 32, 2)),
        ("uint32.tif", tiff(GREY.astype("<u4").tobytes(), 32, 1)),
        ("int16.tif", tiff(GREY.astype("<i2").tobytes(), 16, 2)),
        ("int8.tif", tiff((GREY // 2).tobytes(), 8, 2)),
        ("float.tif", tiff(RAMP.astype("<f4").tobytes(), 32, 3)),
        ("float.pfm", b"Pf\n64 32\n-1.0\n" + RAMP.astype("<f4").tobytes()),
    ],
)
def test_numbers_of_no_known_range_are_refused(tmp_path, file, content):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UndecodableError, match="whose range is not known"):
        decode_picture(tmp_path / file, 16, 16, "cover")


@pytest.mark.parametrize("size", [(1, 10**6), (10**6, 1), (2, 300_001), (50_001, 3)])
def test_a_long_image_is_cut_before_it_is_enlarged(size):
    rows, columns = size
    image = np.zeros((rows, columns, 3), np.uint8)
    middle = slice((max(size) - 3) // 2, (max(size) + 4) // 2)
    image[(slice(None), middle) if rows < columns else middle] = 200
    shown = fit(image, 128, 128, "cover")  # whole it would take 6 GB and more
    assert shown.shape == (128, 128, 3)
    assert (shown[63:65, 63:65] == 200).all()


def test_other_images_are_enlarged_and_then_cut(tmp_path):
    random = np.random.default_rng(0)
    for rows, columns in ((1, 1), (1, 900), (3, 2500), (90, 1000), (480, 640), (1000, 40)):
        image = random.integers(0, 256, (rows, columns, 3), dtype=np.uint8)
        factor = max(128 / rows, 128 / columns)
        whole = (max(128, round(columns * factor)), max(128, round(rows * factor)))
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        large = cv2.resize(image, whole, interpolation=method)
        top, left = (whole[1] - 128) // 2, (whole[0] - 128) // 2
        expected = large[top : top + 128, left : left + 128]
        assert np.array_equal(fit(image, 128, 128, "cover"), expected)


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    picture = decode_picture(tmp_path / "a.gif", 8, 8, "cover")
    assert picture.remark == "animated"
    assert picture.frames_FHWC[0, 4, 4].tolist() == [255, 0, 0] or (
        picture.frames_FHWC[0, 4, 4, 0] > 240
    )


def test_the_camera_s_turn_is_undone(tmp_path):
    image = Image.new("RGB", (40, 20), "black")
    image.paste((255, 255, 255), (0, 0, 20, 20))  # left half white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: left becomes top
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    picture = decode_picture(tmp_path / "a.jpg", 40, 20, "stretch").frames_FHWC[0]
    assert picture[:15].mean() > 240
    assert picture[25:].mean() < 15


def test_bad_images_say_why(tmp_path):
    Image.new("RGB", (300, 200), "green").save(tmp_path / "good.jpg")
    whole = (tmp_path / "good.jpg").read_bytes()
    for name, content, what in (
        ("empty.jpg", b"", "empty"),
        ("page.jpg", b"<html>404</html>", "not an image"),
        ("half.jpg", whole[: len(whole) // 2], "damaged"),
        (
            "program.jpg",
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
            "Post",
        ),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UndecodableError, match=what):
            decode_picture(tmp_path / name, 16, 16, "cover")
