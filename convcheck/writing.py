"""The one place that writes files: late, through a temporary file and a rename."""

from __future__ import annotations

import os
import re
import secrets
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from convcheck.errors import OutputError
from convcheck.unreadable import reason, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_STREAM = re.compile(r"/dev/(stdin|stdout|stderr|fd/\d+)|/proc/(self|\d+)/fd/\d+")


def save(path: str | Path, array: NDArray[Any]) -> None:
    """Write an .npy: at every moment the file is the old one or the new one, whole."""
    with _writing(path) as file:
        np.save(_Sink(file), array, allow_pickle=False)


def write_text(path: str | Path, text: str) -> None:
    """Write a report in UTF-8: at every moment the file is the old one or the new one, whole."""
    with _writing(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))  # a path in it may be no Unicode


def check_writable(path: str | Path) -> None:
    """Raise ``OutputError`` if ``path`` plainly cannot be written: to be asked before long work."""
    _target(path)


class _Sink:
    """A file without its descriptor: numpy would write to that itself, and fail on a pipe."""

    def __init__(self, file: IO[bytes]) -> None:
        self.write = file.write


@contextmanager
def _writing(path: str | Path) -> Iterator[IO[bytes]]:
    target, mode = _target(path)
    try:
        if target is None:
            with Path(path).open("ab") as file:  # appended: the shell's >> may have opened it
                yield file
            return
        temporary = target.with_name(f".convcheck-{secrets.token_hex(8)}.tmp")
        try:
            with temporary.open("xb") as file:  # not tempfile, whose mode ignores the umask
                yield file
                file.flush()
                os.fsync(file.fileno())
            if mode is not None:
                temporary.chmod(mode)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:  # ValueError: an array that only pickle could write
        raise _unwritable(path, reason(error)) from error


def _target(path: str | Path) -> tuple[Path | None, int | None]:
    """Return the file to replace and its mode; no file for what is to be written into directly."""
    if _STREAM.fullmatch(str(path)):
        return None, None
    try:
        mode = _mode(Path(path))
        if mode is not None:
            if stat.S_ISDIR(mode):
                raise _unwritable(path, "it is a directory", "name a file in it")
            if not _may(Path(path), os.W_OK):
                raise _unwritable(path, "permission denied")
            if not stat.S_ISREG(mode):
                return None, None
        target = Path(path).resolve()  # of a link the file, which may not be there yet
        place = shown(str(target.parent))
        if _mode(target.parent) is None:
            raise _unwritable(path, f"the directory {place} does not exist", f"mkdir -p {place}")
        if not _may(target.parent, os.W_OK | os.X_OK):
            raise _unwritable(path, f"permission denied: no file can be made in {place}")
    except (OSError, ValueError) as error:  # ValueError: a NUL in it
        raise _unwritable(path, reason(error)) from error
    return target, None if mode is None else stat.S_IMODE(mode)


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _may(path: Path, access: int) -> bool:
    return os.access(path, access, effective_ids=os.access in os.supports_effective_ids)


def _unwritable(
    path: str | Path, got: str, hint: str = "name a file that you may write"
) -> OutputError:
    return OutputError(f"cannot write {shown(str(path)) or repr('')}", got=got, hint=hint)
