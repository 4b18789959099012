"""Files that are mapped into memory, and what becomes of them meanwhile.

A page that the file no longer has is no exception but SIGBUS, which ends the process without a
word. Under :func:`outlive_faults` such pages become zeros, and :func:`check_unchanged`, which is
asked before anything is said about the data, raises.
"""

from __future__ import annotations

import mmap
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from weakref import WeakKeyDictionary, finalize

import numpy as np

from convcheck.errors import InputError


@dataclass
class _Source:
    """The file behind a mapping: by its descriptor, as its name may be another's by now."""

    name: str
    descriptor: int
    size: int
    modified: int
    lost: bool = False  # there was a fault, and this may be whose page it was

    @property
    def as_before(self) -> bool:
        now = os.fstat(self.descriptor)
        return (now.st_size, now.st_mtime_ns) == (self.size, self.modified)


KEPT = 4
"""Files that stay mapped in a worker, which opens the same few again and again."""
_mapped: WeakKeyDictionary[mmap.mmap, _Source] = WeakKeyDictionary()
_opened: dict[str, tuple[mmap.mmap, int, int]] = {}
_handlers: list[Any] = []  # what C has a pointer to must not be collected
_MAP_FIXED = 0x10  # on Linux, macOS and the BSDs; the module mmap does not name it


def map_file(file: IO[bytes]) -> mmap.mmap:
    """A whole file, read-only.

    Raises:
        InputError: it is empty, or nothing that can be mapped.
    """
    try:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: it has become empty
        raise InputError(
            "cannot be mapped into memory",
            got=getattr(error, "strerror", None) or str(error),
            hint="redirect it: convcheck … - < FILE",
        ) from error
    descriptor = os.dup(file.fileno())
    finalize(mapping, os.close, descriptor)
    modified = os.fstat(descriptor).st_mtime_ns
    _mapped[mapping] = _Source(file.name, descriptor, len(mapping), modified)
    return mapping


def check_unchanged() -> None:
    """Raise unless every file that is mapped now is what it was then.

    Raises:
        InputError: one was cut off or written to, or its device failed.
    """
    # A fault loses all mappings, as it does not say whose it is; mostly one of them has changed.
    for source in sorted(_mapped.values(), key=lambda source: source.as_before):
        _check(source)


def _check(source: _Source) -> None:
    if source.as_before and not source.lost:
        return
    size = os.fstat(source.descriptor).st_size
    if size != source.size:
        got = f"{source.size:,} bytes, then {size:,}"
    elif source.as_before:
        got = "a part of it that cannot be read: its disk or its network failed"
    else:
        got = "it was written to meanwhile"
    raise InputError(
        f"{ascii(source.name)[1:-1]} changed while it was read",
        got=got,
        expected="a file that stays as it is until the report is there",
        hint="wait until it is written, or copy it and name the copy",
    )


@dataclass(frozen=True)
class Reference:
    """An array of a mapped file, as other processes of this machine may open it."""

    name: str
    size: int
    modified: int
    first: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]

    def open(self) -> np.ndarray[Any, Any]:
        """The array, mapped again, read-only.

        Raises:
            InputError: the file is not there, or not what it was.
        """
        return np.ndarray(self.shape, self.dtype, self._mapping(), self.first, self.strides)

    def check(self) -> None:
        """Raise unless the file is still what it was, and all of it could be read.

        Raises:
            InputError: it changed, or its device failed.
        """
        _check(_mapped[self._mapping()])

    def _mapping(self) -> mmap.mmap:
        kept = _opened.get(self.name)
        if kept is None or kept[1:] != (self.size, self.modified):
            kept = self._mapped_again(), self.size, self.modified
            _opened[self.name] = kept
            if len(_opened) > KEPT:
                del _opened[next(iter(_opened))]
        return kept[0]

    def _mapped_again(self) -> mmap.mmap:
        try:
            with Path(self.name).open("rb") as file:
                mapping = map_file(file)
        except OSError as error:
            import platform

            raise InputError(
                f"{ascii(self.name)[1:-1]} cannot be read by the worker on {platform.node()}",
                got=error.strerror or str(error),
                expected="the file under the same path on every worker",
                hint="put it into a folder that they share, or run it here, without --dask",
            ) from error
        source = _mapped[mapping]
        source.size, source.modified = self.size, self.modified
        outlive_faults()
        _check(source)
        return mapping


def reference(array: np.ndarray[Any, Any]) -> Reference | None:
    """How others find an array that is a mapped file's, or a view of it; None of any other."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    source = _mapped.get(base) if isinstance(base, mmap.mmap) else None
    if source is None:
        return None
    start = np.frombuffer(base, np.uint8).ctypes.data
    return Reference(
        str(Path(source.name).absolute()),
        source.size,
        source.modified,
        array.ctypes.data - start,
        array.shape,
        array.strides,
        array.dtype,
    )


def forget() -> None:
    """Whatever is mapped now is no longer asked about: a new run is about to begin."""
    _mapped.clear()


def outlive_faults() -> None:
    """From now on a page that cannot be read is zeros, and its mapping is lost.

    It is for programs, not for libraries: it takes SIGBUS for the whole process, where nobody else
    has it. That Python runs in a signal handler is safe here only because a fault on a mapping
    happens in loops over its data, where nothing is held that Python could wait for.
    """
    with suppress(ImportError, AttributeError):  # no ctypes, or no SIGBUS: Windows
        import ctypes

        number = signal.SIGBUS
        if _handlers:
            return
        libc: Any = ctypes.CDLL(None)
        kind = ctypes.CFUNCTYPE(None, ctypes.c_int)
        libc.signal.argtypes, libc.signal.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
        place, size, whole = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
        libc.mmap.argtypes = (place, size, whole, whole, whole, ctypes.c_long)
        zeros = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED

        def put_zeros(_: int) -> None:
            found = [(m, source) for m, source in list(_mapped.items()) if not source.lost]
            for mapping, source in found:
                source.lost = True
                start = np.frombuffer(mapping, np.uint8).ctypes.data
                libc.mmap(start, len(mapping), mmap.PROT_READ, zeros, -1, 0)
            if not found:  # not ours: it comes again, and ends the process
                libc.signal(number, None)

        handler = kind(put_zeros)
        before = libc.signal(number, ctypes.cast(handler, ctypes.c_void_p))
        if before:  # somebody else's, faulthandler's for one
            libc.signal(number, before)
        else:
            _handlers.append(handler)
