"""Decodes one image file with Pillow, of any colour mode, to an RGB picture of the given size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gradmix.domains.files.decoded import Decoded, UndecodableError
from gradmix.domains.files.fit import Fit, fit
from gradmix.files import sha256_of

if TYPE_CHECKING:
    from PIL import Image

_REMARKS = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey",
    "I": "grey",
    "I;16": "grey",
    "F": "grey",
    "CMYK": "CMYK",
    "YCCK": "CMYK",
    "RGBA": "transparent",
    "PA": "transparent",
}


def decode_picture(path: Path, height: int, width: int, how: Fit) -> Decoded:
    """Decode the picture, (1,height,width,3); of an animation the first frame.

    Raises:
        UndecodableError: it is no image, truncated, or too large to be meant seriously.
    """
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    if path.stat().st_size == 0:
        raise UndecodableError("the file is empty")
    try:
        with Image.open(path) as image:
            animated = getattr(image, "n_frames", 1) > 1
            remark = "animated" if animated else _REMARKS.get(image.mode, "")
            # Large JPEGs are decoded at the smallest of their own scales that is large enough.
            image.draft("RGB", (2 * width, 2 * height))
            pixels_HWC = np.asarray(_upright(image))
    except UnidentifiedImageError:
        raise UndecodableError("not an image") from None
    except Image.DecompressionBombError:
        raise UndecodableError("too large an image") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UndecodableError(f"damaged image ({' '.join(str(error).split())})") from error
    return Decoded(fit(pixels_HWC, height, width, how)[None], (), sha256_of(path), remark)


def _upright(image: Image.Image) -> Image.Image:
    """Convert to RGB, turned as the camera says."""
    from PIL import ImageOps

    return ImageOps.exif_transpose(image).convert("RGB")
