"""Writes files atomically: a reader sees the old file or the whole new one, never a part.

Everything is written to a temporary name in the same folder, flushed to the disk and renamed. When
the writing fails (a full disk, an exception, an interrupt), the temporary file is removed and an
older file of that name stays as it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import Tensor

# Every temporary name holds this, so that left-overs of a killed process can be told from results.
TEMPORARY_MARK = ".unfinished-"

# The umask can only be read by setting it, which is for all threads: once, while there are none.
_UMASK = os.umask(0o077)
os.umask(_UMASK)
_PLAIN_MODE = 0o666 & ~_UMASK


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path; when the block ends well, the file there takes the name `path`.

    The temporary name keeps the suffix of `path`, because libraries choose formats by it. Missing
    folders are made. The file's mode follows the umask, whatever the library that writes it chose.

    Raises:
        Whatever the block raises; the temporary file is then gone and `path` untouched.
        ValueError: the block wrote nothing to the temporary path.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    token = f"{TEMPORARY_MARK}{os.getpid()}-{secrets.token_hex(4)}"
    temporary = final.parent / f".{final.stem}{token}{final.suffix}"
    try:
        yield temporary
        if not temporary.is_file():
            raise ValueError(f"nothing was written for {final}")
        _allow_by_umask(temporary)
        _flush_to_disk(temporary)
        os.replace(temporary, final)
        _flush_to_disk(final.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def remove_unfinished(folder: str | os.PathLike[str]) -> None:
    """Remove the temporary files of a killed process (for folders with one writer only)."""
    for leftover in Path(folder).glob(f".*{TEMPORARY_MARK}*"):
        leftover.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write bytes atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text atomically, with the line ends that `text` has."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write JSON atomically, indented, keys in the given order; NumPy values are converted.

    Raises:
        ValueError: `content` holds NaN or infinity (which JSON lacks: write null), or something
            JSON cannot hold.
    """
    try:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: cannot be written as JSON: {error}") from error
    write_text(path, text + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read JSON.

    Raises:
        ValueError: names the file that is not readable as JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not readable as JSON ({error})") from error


def write_parquet(path: str | os.PathLike[str], frame: pd.DataFrame) -> None:
    """Write a data frame atomically as Parquet, without its row index."""
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, engine="pyarrow", index=False)


def write_columns(path: str | os.PathLike[str], columns: Mapping[str, Any]) -> None:
    """Write columns of equal length atomically as Parquet; columns of numbers without importing pandas."""
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table([_to_arrow(values) for values in columns.values()], names=list(columns))
    with atomic_path(path) as temporary:
        parquet.write_table(table, temporary)


def read_columns(path: str | os.PathLike[str], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read columns without missing values from a Parquet file, without importing pandas; strings are objects.

    Raises:
        OSError, ValueError: the file cannot be read, lacks a column, or a value is missing.
    """
    from pyarrow import parquet

    # One file: the machinery for data sets of many, which is pyarrow's default, takes longer than the reading.
    with parquet.ParquetFile(path, memory_map=True) as file:
        missing = [name for name in names if name not in file.schema_arrow.names]
        if missing:
            raise ValueError(f"lacks the columns {', '.join(missing)}")
        table = file.read(columns=list(names))
    return {name: _to_numpy(table[name]) for name in names}


def _to_arrow(values: Any) -> Any:
    """Convert without pandas, which pyarrow's own conversion imports: slower than all that is written here."""
    import numpy as np
    import pyarrow

    array = np.ascontiguousarray(values)
    if array.dtype.kind not in "if":
        return pyarrow.array(values)
    kind = pyarrow.from_numpy_dtype(array.dtype)
    return pyarrow.Array.from_buffers(kind, len(array), [None, pyarrow.py_buffer(array)])


def _to_numpy(column: Any) -> np.ndarray:
    """Convert the other way than `_to_arrow`; a column of numbers in one chunk is not copied."""
    import numpy as np
    from pyarrow import types

    if column.null_count:
        raise ValueError("a value is missing")
    if not (types.is_integer(column.type) or types.is_floating(column.type)):
        return np.array(column.to_pylist(), dtype=object)
    chunks = [np.from_dlpack(chunk) for chunk in column.chunks]
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Hash a file's bytes by SHA-256, as hex; reads in blocks, so that its size does not matter."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: str | os.PathLike[str], expected: str | None, record: str) -> None:
    """Compare a file with what was written down of it.

    Args:
        path: of the file.
        expected: its SHA-256.
        record: what says so, for the message.

    Raises:
        ValueError: if the file is another one.
    """
    if sha256_of(path) != expected:
        raise ValueError(
            f"{path}: not the content that {record} was written for (SHA-256 differs); "
            "delete it and start again, and it is made anew"
        )


def sha256_of_json(content: Any) -> str:
    """Hash what `write_json` writes, whatever the order of its keys."""
    text = json.dumps(content, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of_tensors(tensors: Mapping[str, Tensor], text: str = "") -> str:
    """Hash names, types, shapes and bytes of contiguous tensors, and a text that belongs to them."""
    import torch

    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """Convert NumPy scalars and arrays, and paths, to what JSON knows."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a value of type {type(value).__name__}")


def _allow_by_umask(path: Path) -> None:
    mode = path.stat().st_mode & 0o777
    # Bits are only added: a folder's access control list may give more than the umask.
    if mode | _PLAIN_MODE != mode:
        with contextlib.suppress(PermissionError):  # a hard link to another user's file
            path.chmod(mode | _PLAIN_MODE)


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
