"""What one run reads and what it is to write: what is read is never written.

Files are known by what they are, not by their names: links and other spellings lead to the same.
Whoever opens a file for reading says so here, and whoever writes one asks.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convcheck.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

Key = tuple[int, int]
"""Device and number of a file."""


@dataclass
class _Run:
    read: set[Key] = field(default_factory=set)
    piped: list[NDArray[Any]] = field(default_factory=list)
    """Arrays that came through a pipe: a file that holds the same may be where they are from."""
    planned: list[str] = field(default_factory=list)


_runs: list[_Run] = []


@contextmanager
def one_run() -> Iterator[None]:
    """What is read and written within belongs together."""
    _runs.append(_Run())
    try:
        yield
    finally:
        _runs.pop()


def read(file: int | str) -> None:
    """A file is read: by its descriptor, or its name.

    Raises:
        OutputError: it is what the run is to write.
    """
    if not _runs:
        return
    key = _key(file)
    if key is not None:
        _runs[-1].read.add(key)
        _ask_again()


def read_piped(array: NDArray[Any]) -> None:
    """An array came through a pipe, which does not say from where.

    Raises:
        OutputError: a file that the run is to write holds it.
    """
    if _runs:
        _runs[-1].piped.append(array)
        _ask_again()


def plan(path: str | Path) -> None:
    """A file is to be written when all else is done.

    Raises:
        OutputError: it has been read.
    """
    if _runs:
        _runs[-1].planned.append(str(path))
    check(path)


def check(path: str | Path) -> None:
    """Ask before a file is written.

    Raises:
        OutputError: it has been read.
    """
    if is_read(path):
        raise OutputError(
            f"{str(path)!r} is an input, which would be written over",
            hint="name another file, or a new folder",
        )


def is_read(path: int | str | Path) -> bool:
    """Whether the run has read this file."""
    if not _runs:
        return False
    key = _key(path)
    return key is not None and (key in _runs[-1].read or _holds_piped(path, key))


def _ask_again() -> None:
    for path in _runs[-1].planned:
        check(path)


def _key(file: int | str | Path) -> Key | None:
    with suppress(OSError, ValueError):  # ValueError: a null character in the name
        found = os.stat(file)  # noqa: PTH116 - of a descriptor too
        if stat.S_ISREG(found.st_mode):
            return found.st_dev, found.st_ino
    return None


def _holds_piped(path: int | str | Path, key: Key) -> bool:
    """Whether a file holds an array that came through a pipe, to the byte."""
    if isinstance(path, int) or not _runs[-1].piped:
        return False
    import numpy as np

    with suppress(OSError, ValueError, EOFError):
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        for array in _runs[-1].piped:
            same = isinstance(found, np.ndarray) and found.dtype == array.dtype
            if same and found.shape == array.shape and found.tobytes() == array.tobytes():
                _runs[-1].read.add(key)
                return True
    return False
