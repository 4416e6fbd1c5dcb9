"""Decoding images of all kinds, and the sizes that they are brought to."""

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
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UndecodableError, match=what):
            decode_picture(tmp_path / name, 16, 16, "cover")
