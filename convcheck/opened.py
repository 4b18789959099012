"""Which files a target's process reads: its modules, and what they open.

Python tells of each that it opens. What a library reads by itself is not seen, nor another process.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib.util import source_from_cache
from pathlib import Path
from typing import Any

_found: dict[str, None] = {}
_LIBRARIES = (sys.prefix, sys.base_prefix, str(Path(__file__).parent), "/proc/", "/dev/", "/sys/")


def watch_files() -> None:
    """From now on, for as long as this process lives."""
    sys.addaudithook(_hear)


def note(path: str) -> None:
    """A file that the target reads, known from elsewhere: one that a program is told of."""
    if os.path.isfile(path):  # noqa: PTH113 - of any text
        _found[path] = None


def opened() -> list[str]:
    """What has been opened since this was last asked; no libraries' own files."""
    found = list(_found)
    _found.clear()
    return found


def _hear(event: str, given: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = given
        if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_TRUNC):
            return
    elif event == "import":
        path = given[1]
    elif event == "ctypes.dlopen":
        path = given[0]
    else:
        return
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if not isinstance(path, str) or path.startswith(_LIBRARIES):
        return
    if path.endswith(".pyc"):
        with suppress(ValueError, NotImplementedError):
            path = source_from_cache(path)
    _found[path] = None
