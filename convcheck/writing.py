"""The one place that writes files: late, through a temporary file and a rename.

What the run has read is never written (:mod:`convcheck.used`).
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from convcheck import used
from convcheck.errors import OutputError
from convcheck.unreadable import reason, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PATIENCE = 5.0
"""Seconds that a FIFO has to wait for whoever reads it."""
_REPORT = re.compile(
    rb'\A\{\s+"schema_version": \d+,\s+"command": |<testsuites name="convcheck"|<title>convcheck '
    rb'|\A<svg class="rich-terminal"|\A### \S+ convcheck '
    rb"|^(\x1b\[[\d;]*m)*(interrupted, partial: )?(match|mismatch|ambiguous|identified|near-match"
    rb"|unexplained|not-as-expected|sees-all|blind-spots|pass|fail|nothing-ran|readable"
    rb"|unreadable)(\x1b\[[\d;]*m)*: ",
    re.MULTILINE,
)
"""How a report of ours begins, or the line of a table that says its verdict."""
_STREAM = re.compile(r"/dev/(stdin|stdout|stderr|fd/\d+)|/proc/(self|\d+)/fd/\d+")


def save(path: str | Path, array: NDArray[Any]) -> None:
    """Write an .npy: at every moment the file is the old one or the new one, whole."""
    with _writing(path) as file:
        put_array(file, array)


def write_text(path: str | Path, text: str) -> None:
    """Write a report in UTF-8: at every moment the file is the old one or the new one, whole."""
    with _writing(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))  # a path in it may be no Unicode


def check_writable(path: str | Path) -> None:
    """Raise ``OutputError`` if ``path`` plainly cannot be written: to be asked before long work.

    From then on the run reads no such file either.
    """
    _target(path)
    used.plan(path)


def put_array(file: IO[bytes], array: NDArray[Any]) -> None:
    """Write an .npy into a file that is open."""
    np.save(_Sink(file), array, allow_pickle=False)


def discard_report(path: str) -> None:
    """Remove the report of an earlier run, which could be taken for the one that was not made.

    What is no report of ours is left alone, and so is what the run has read.
    """
    with suppress(OSError, ValueError):
        file = Path(os.path.realpath(path))
        if file.is_file() and not used.is_read(file):
            with file.open("rb") as opened:
                head = opened.read(1 << 14)
            if _REPORT.search(head):
                file.unlink()


class _Sink:
    """A file without its descriptor: numpy would write to that itself, and fail on a pipe."""

    def __init__(self, file: IO[bytes]) -> None:
        self.write = file.write


@contextmanager
def _writing(path: str | Path) -> Iterator[IO[bytes]]:
    target, mode = _target(path)
    used.check(path)
    try:
        if target is None:
            with _stream(path) as file:
                yield file
            return
        temporary = _beside(target)
        try:
            with new_file(temporary) as file:
                yield file
            if mode is not None:
                temporary.chmod(mode)
            _put(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:  # ValueError: an array that only pickle could write
        raise _unwritable(path, reason(error)) from error


def _beside(target: Path) -> Path:
    return target.with_name(f".convcheck-{secrets.token_hex(8)}.tmp")


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A new file, which is on the disk at the end."""
    with path.open("xb") as file:  # not tempfile, whose mode ignores the umask
        yield file
        file.flush()
        os.fsync(file.fileno())


def _put(temporary: Path, target: Path) -> None:
    """Give a file its name; where that is a mount point, as a container's, its content instead."""
    try:
        temporary.replace(target)
    except OSError as error:
        if error.errno not in {errno.EBUSY, errno.EXDEV}:
            raise
        with temporary.open("rb") as source, target.open("r+b") as file:
            shutil.copyfileobj(source, file)
            file.truncate()
        temporary.unlink()


def _stream(path: str | Path) -> IO[bytes]:
    """What is written into as it is: a stream, a device, a FIFO that somebody reads."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            # Appended: the shell's >> may have opened it. Not waited for: that could be for ever.
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > until:
                hint = f"start its reader first: cat {shown(str(path))}"
                raise _unwritable(path, "a FIFO that nobody reads", hint) from None
            time.sleep(0.05)
        else:
            os.set_blocking(descriptor, True)
            return os.fdopen(descriptor, "wb")


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
        target = Path(os.path.realpath(path))  # of a link the file, which may not be there yet
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
