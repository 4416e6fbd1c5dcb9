"""Pictures of unusual types and shapes, whose right pixels are known."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.faults.campaign import Case
from tests.faults.raw_data import folders, left_out, picture, prepared
from tests.faults.verdict import SURVIVED, WRONG, BadCaseError, clear


def _grey16(grey: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(grey.astype(np.uint16) * 257)


def _grey32(grey: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(grey.astype(np.int32) * 257)


def _grey32_full(grey: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(grey.astype(np.int32) * (2**23 - 1))


def _float(grey: np.ndarray, scale: float = 1 / 255) -> Any:
    from PIL import Image

    return Image.fromarray((grey * scale).astype(np.float32))


MODES: dict[str, tuple[str, Callable[[np.ndarray], Any]]] = {
    "grey of 16 bits": (".png", _grey16),
    "grey of 16 bits, TIFF": (".tif", _grey16),
    "whole numbers of 32 bits": (".tif", _grey32),
    "whole numbers of 32 bits, all of them": (".tif", _grey32_full),
    "floats from 0 to 1": (".tif", _float),
    "floats from 0 to 255": (".tif", lambda grey: _float(grey, 1.0)),
    "floats with NaN": (".tif", lambda grey: _float(np.where(grey > 200, np.nan, grey), 1.0)),
    "grey": (".png", lambda grey: _converted(grey, "L")),
    "a palette": (".png", lambda grey: _converted(grey, "P")),
    "grey and alpha": (".png", lambda grey: _converted(grey, "LA")),
    "CMYK": (".tif", lambda grey: _converted(grey, "CMYK")),
    "RGBA": (".png", lambda grey: _converted(grey, "RGBA")),
    "LAB": (".tif", lambda grey: _converted(grey, "LAB")),
    "HSV as TIFF": (".tif", lambda grey: _converted(grey, "RGB")),
    "YCbCr": (".tif", lambda grey: _converted(grey, "YCbCr")),
    "progressive": (".jpg", lambda grey: _converted(grey, "L")),
}


def _converted(grey: np.ndarray, mode: str) -> Any:
    from PIL import Image, ImageCms

    rgb = Image.fromarray(grey).convert("RGB")
    if mode == "LAB":
        to = ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
        )
        return ImageCms.applyTransform(rgb, to)
    return rgb.convert("L").convert(mode) if mode in ("L", "LA", "P") else rgb.convert(mode)


def a_picture(case: Case) -> str:
    """A picture of an unusual type or shape: its pixels are right, or it is refused."""
    data = folders(case.folder / "data", case.chance)
    reference = data.prepare(case.folder / "whole").set_index("original")
    number = case.chance.randrange(4)
    old = data.files[number]
    name = case.chance.choice([*MODES, *SHAPES])
    suffix, draw = MODES.get(name) or SHAPES[name]
    case.did(f"{name} as {suffix}")
    path = old.with_suffix(suffix)
    old.unlink()
    drawn = draw(picture(number))
    if isinstance(drawn, bytes):
        path.write_bytes(drawn)
    else:
        drawn.save(path)
    after = prepared(case, data)
    if after is None:
        return clear(case.done.pop(), [path.name])
    after = after.set_index("original")
    changed = str(path.relative_to(data.folder / "images"))
    if changed not in after.index:
        return left_out(data, path)
    if name in SHAPES:
        return SURVIVED
    before = str(old.relative_to(data.folder / "images"))
    right = np.frombuffer(reference.loc[before, "pixels"], np.uint8).astype(int)
    pixels = np.frombuffer(after.loc[changed, "pixels"], np.uint8).astype(int)
    far = np.abs(pixels - right).mean()
    if far > 16:
        raise BadCaseError(
            WRONG, f"{name}: pixels are {far:.0f} levels off, {len(set(pixels))} levels"
        )
    return SURVIVED


def _shape(width: int, height: int) -> Callable[[np.ndarray], Any]:
    def draw(grey: np.ndarray) -> Any:
        from PIL import Image

        return Image.new("RGB", (width, height), (90, 120, 200))

    return draw


def _huge_claim(grey: np.ndarray) -> bytes:
    """A PNG whose header announces far more pixels than it holds."""
    import zlib

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(grey).save(file, format="PNG")
    content = bytearray(file.getvalue())
    content[16:24] = (60000).to_bytes(4, "big") + (60000).to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


SHAPES: dict[str, tuple[str, Callable[[np.ndarray], Any]]] = {
    "20,000 x 1": (".png", _shape(20_000, 1)),
    "1 x 20,000": (".png", _shape(1, 20_000)),
    "60,000 x 1": (".png", _shape(60_000, 1)),
    "1 x 1": (".png", _shape(1, 1)),
    "a huge claim": (".png", _huge_claim),
}
