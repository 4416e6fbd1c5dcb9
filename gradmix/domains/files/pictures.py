"""Decodes one image file with Pillow, of any colour mode, to an RGB picture of the given size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradmix.domains.files.decoded import Decoded, UndecodableError
from gradmix.domains.files.fit import Fit, fit
from gradmix.files import sha256_of

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

_REMARKS = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey",
    "I": "grey",
    "I;16": "grey",
    "I;16B": "grey",
    "CMYK": "CMYK",
    "YCCK": "CMYK",
    "RGBA": "transparent",
    "PA": "transparent",
}
# Pillow's modes of 16 grey bits; before its version 11, and in PPM files, such a picture is of mode I.
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_SIXTEEN_IN_I = ("PNG", "PPM")
# TIFF's tags: https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _UNSIGNED = 0, 1


def decode_picture(path: Path, height: int, width: int, how: Fit) -> Decoded:
    """Decode the picture, (1,height,width,3); of an animation the first frame.

    16 grey bits are scaled to 8 by their full range, 0 to 0 and 65535 to 255.

    Raises:
        UndecodableError: it is no image, truncated, too large to be meant seriously, or of numbers whose range is not
            known (signed, floating-point or of 32 bits).
        OSError: it cannot be read.
    """
    from PIL import Image, UnidentifiedImageError

    if path.stat().st_size == 0:
        raise UndecodableError("the file is empty")
    try:
        with Image.open(path) as image:
            animated = getattr(image, "n_frames", 1) > 1
            remark = "animated" if animated else _REMARKS.get(image.mode, "")
            _check_numbers(image)
            # Large JPEGs are decoded at the smallest of their own scales that is large enough.
            image.draft("RGB", (2 * width, 2 * height))
            pixels_HWC = _upright(image)
    except UnidentifiedImageError:
        raise UndecodableError("not an image") from None
    except Image.DecompressionBombError:
        raise UndecodableError("too large an image") from None
    except UndecodableError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UndecodableError(f"damaged image ({' '.join(str(error).split())})") from error
    return Decoded(fit(pixels_HWC, height, width, how)[None], (), sha256_of(path), remark)


def _check_numbers(image: Image.Image) -> None:
    if image.format == "EPS":
        raise UndecodableError("a PostScript program, no image")
    types = _tags(image).get(_SAMPLE_FORMAT, (_UNSIGNED,))
    wide = image.mode == "I" and image.format not in _SIXTEEN_IN_I
    if image.mode == "F" or wide or any(number != _UNSIGNED for number in types):
        raise UndecodableError(
            "signed, floating-point or 32-bit numbers, whose range is not known; save it with 8 or 16 bits"
        )


def _upright(image: Image.Image) -> np.ndarray:
    """Convert to RGB, (H,W,3) uint8, turned as the camera says."""
    import numpy as np
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(image)
    if image.mode not in (*_SIXTEEN_BITS, "I"):
        turned = turned.convert("RGB")
        return np.asarray(turned)
    # Pillow's conversion would cut off what is above 255.
    tags = _tags(image)
    largest = 2 ** tags.get(_BITS_PER_SAMPLE, (16,))[0] - 1
    levels_HW = np.asarray(turned).astype(np.uint32)
    grey_HW = ((levels_HW * 255 + largest // 2) // largest).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey_HW = 255 - grey_HW
    return np.repeat(grey_HW[..., None], 3, axis=2)


def _tags(image: Image.Image) -> Any:
    return getattr(image, "tag_v2", {})
