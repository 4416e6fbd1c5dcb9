"""Names that come from raw data: fit for messages, tables and pictures, or refused."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Control characters tear logs and pictures; surrogates stand for bytes that are no UTF-8, and no table takes them.
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

NO_UTF8 = "is no UTF-8 text; save it as UTF-8"


def is_utf8(text: str) -> bool:
    """Whether a name can be written as UTF-8; Python holds other bytes of file names as surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    r"""Write control characters, and bytes that are no UTF-8, as `\x0a`; other names stay other names."""
    return _UNFIT.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", text)


def check_class_names(names: Iterable[str], where: str) -> None:
    """Refuse class names that tables and pictures cannot show.

    Args:
        names: the origin's.
        where: begins the message: which data.

    Raises:
        ValueError: a name is empty, has a control character, or is no UTF-8.
    """
    for name in names:
        if not name or _UNFIT.search(name):
            raise ValueError(
                f"{where}: {name!r} cannot be the name of a class: it must be UTF-8 text without "
                "control characters, and not empty"
            )
