"""What an error says, for a person who reads one sentence of it."""

import errno
import re

# What torch, its CUDA libraries and OpenCV say in errors that have no class of their own for it.
_SIGNS = re.compile(
    "out of memory|can't allocate memory|not enough memory|insufficient memory|bad_alloc|_ALLOC_FAILED",
    re.IGNORECASE,
)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory, of the machine or of a GPU."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return not isinstance(error, ValueError) and _SIGNS.search(str(error)) is not None


def asked_for(error: BaseException) -> str:
    """Say how much memory an error was about, for a sentence; nothing if it does not tell."""
    size = re.search(r"allocate ([\d.,]+ \w+)", str(error))
    return f" ({size[1]} were asked for)" if size else ""


def sentence_of(error: Exception) -> str:
    """Give the message; of an error that was not meant for a user, its kind as well."""
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
