"""The folder of a case: the old one or the new one, whole, at every moment.

It is written beside its place and then takes it. Where that cannot be, as for the folder that one
is in, a mount point, or a folder that has other files too, each of its files takes its place.
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convcheck import used
from convcheck.errors import OutputError
from convcheck.unreadable import reason, shown
from convcheck.writing import new_file, put_array

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

IMAGE, FILTERS = "image.npy", "filters.npy"
DRAWN = (IMAGE, FILTERS)
"""What ``random`` writes."""
FIXED = (*DRAWN, "out.npy")
"""What ``audit --fix`` writes."""
FAILED = (*DRAWN, "dout.npy", "actual.npy", "expected.npy")
"""What ``verify`` writes, where it has it."""
_ALL = {*FIXED, *FAILED}


def check_case(option: str, folder: str, names: Collection[str]) -> None:
    """Raise where a case of files with these names could plainly not be written there.

    Nothing is made.

    Raises:
        OutputError: that, or a file in it is an input of the run, or belongs to another case.
    """
    place = _place(option, folder)
    there = place
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        raise _unmade(option, folder, f"{shown(str(there))} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise _unmade(option, folder, f"permission denied in {shown(str(there))}")
    for name in sorted(_ALL):
        if not os.path.lexists(place / name):
            continue
        if name not in names:
            raise OutputError(
                f"{option}: the folder {folder!r} holds a {name}, which is of another case",
                expected=f"nothing there, or {', '.join(names)}",
                hint="name a new folder",
            )
        used.plan(str(Path(folder, name)))


def save_case(
    option: str, folder: str, arrays: Mapping[str, NDArray[Any] | None], *, checked: bool = True
) -> None:
    """Write arrays under their names; what is None has no file, an old one of its name neither.

    Raises:
        OutputError: as in :func:`check_case`, or the disk is full; then all is as it was.
    """
    if checked:
        check_case(option, folder, arrays)
    place = _place(option, folder)
    kept = {name: array for name, array in arrays.items() if array is not None}
    written: Path | None = None
    try:
        written = _made(place)
        for name, array in kept.items():
            with new_file(written / name) as file:
                put_array(file, array)
        _take_place(written, place, arrays)
    except (OSError, ValueError) as error:  # ValueError: an array that only pickle could write
        if written is None:
            raise _unmade(option, folder, reason(error)) from error
        what = f"{option}: cannot write into the folder {folder!r}"
        raise OutputError(what, got=reason(error), hint="name another folder") from error
    finally:
        if written is not None:
            shutil.rmtree(written, ignore_errors=True)


def _place(option: str, folder: str) -> Path:
    try:
        return Path(os.path.realpath(folder, strict=False))
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise _unmade(option, folder, reason(error)) from error


def _made(place: Path) -> Path:
    """A new folder beside the place, or in it where none can be made there."""
    name = f".convcheck-{secrets.token_hex(8)}.tmp"
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists() and not place.is_dir():
        raise FileExistsError(f"{shown(str(place))} is no folder")
    with suppress(OSError):
        (place.parent / name).mkdir()
        if not place.exists() or place.stat().st_dev == place.parent.stat().st_dev:
            return place.parent / name
        (place.parent / name).rmdir()
    (place / name).mkdir()
    return place / name


def _take_place(written: Path, place: Path, names: Collection[str]) -> None:
    if written.parent != place:
        with suppress(OSError):  # there is one already that is not empty
            written.replace(place)
            return
        held = {path.name for path in place.iterdir()}
        if held <= {*names} and place != Path.cwd():
            written.chmod(place.stat().st_mode & 0o7777)
            if _exchanged(written, place):
                return
    for name in names:
        if (written / name).exists():
            (written / name).replace(place / name)
        else:
            (place / name).unlink(missing_ok=True)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether two folders have changed places in one step, where the system has such a step."""
    with suppress(ImportError, OSError, AttributeError):
        import ctypes

        libc: Any = ctypes.CDLL(None, use_errno=True)
        names = os.fsencode(one), os.fsencode(other)
        if hasattr(libc, "renamex_np"):  # macOS
            return bool(libc.renamex_np(*names, 2) == 0)
        return bool(libc.renameat2(-100, names[0], -100, names[1], 2) == 0)
    return False


def _unmade(option: str, folder: str, got: str) -> OutputError:
    return OutputError(
        f"{option}: the folder {folder!r} could not be made",
        got=got,
        hint="name a folder that you may write, or a new one",
    )
