"""Arrays from files: the only place that reads them; :mod:`convcheck.writing` writes.

Nothing in a file is believed. A header is judged before memory is taken for what it promises,
nothing is unpickled and nothing is extracted. Inside this module an ``InputError`` begins with its
predicate ("is a directory"); ``load`` puts the operand and the file in front of it.
"""

from __future__ import annotations

import ast
import difflib
import math
import os
import re
import stat
import struct
import sys
import warnings
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

from convcheck.errors import InputError, MissingExtraError
from convcheck.mapping import map_file
from convcheck.unreadable import (
    NUMBERS,
    SAVE_AGAIN,
    SAVEZ_AGAIN,
    bad,
    clip,
    foreign,
    in_bytes,
    listed,
    no_npz,
    not_numbers,
    reason,
    save_as,
    shown,
)

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

    from numpy.typing import NDArray

MEMBER_LIMIT = 4 << 30
"""Bytes that an .npz member or standard input may take: unlike an .npy they are held in memory."""

_CHUNK = 1 << 20
_HEADER_LIMIT = 10_000  # numpy's own limit; a plain array's header takes about 118 characters
_MAX_RANK = 32  # what every numpy can make; newer ones reach 64
_MAGIC = b"\x93NUMPY"
_LENGTH_FORMATS = {b"\1\0": "<H", b"\2\0": "<I", b"\3\0": "<I"}  # by the format's version
_NUMERIC = re.compile(r"[<>=|]?(\?|[biufc]\d{1,2})")
_SPECIAL = {
    stat.S_IFIFO: "a FIFO (named pipe)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}
# What zipfile raises of broken archives; NotImplementedError, of features, is a RuntimeError.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)

# What is wanted, and what to do.
_PLAIN_HEADER = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5, 5)} or its like"
_PIPE = "pipe one .npy into it, as in: convcheck … - < x.npy"


@dataclass(frozen=True)
class Tensor:
    """An array, read-only, with where it came from and what is to be said about that."""

    path: str
    array: NDArray[Any]
    warnings: tuple[str, ...] = ()


def load(operand: str, spec: str, *, stdin: BinaryIO | None = None) -> Tensor:
    """Load ``FILE.npy``, ``FILE.npz``, ``FILE.npz::NAME`` or, for ``-``, an .npy from ``stdin``.

    Contents decide what a file is, not its name. An .npy file is mapped, not read.
    """
    subject = f"{operand}: {'- (standard input)' if spec == '-' else shown(spec)}"
    try:
        array, rest, notes = _load(spec, stdin)
    except MissingExtraError as error:
        raise MissingExtraError(f"{subject} {error.what}", error.extra) from error
    except InputError as error:
        what, got, expected, hint = error.what, error.got, error.expected, error.hint
        raise InputError(f"{subject} {what}", got=got, expected=expected, hint=hint) from error
    except OSError as error:
        hint = "copy it elsewhere, and try that"
        raise InputError(f"{subject} cannot be read", got=reason(error), hint=hint) from error
    except MemoryError as error:
        hint = "save it as an .npy file, and name that: it is mapped, not read"
        raise InputError(f"{subject} does not fit in memory", hint=hint) from error
    note = f"{subject}: {rest} after the array ignored; was numpy.save called twice on one file?"
    said = tuple(f"{subject}: {note}" for note in notes)
    return Tensor(spec, array, (note, *said) if rest else said)


def _load(spec: str, stdin: BinaryIO | None) -> tuple[NDArray[Any], str, tuple[str, ...]]:
    """Return the array, how many bytes follow it, if any, and what is to be said."""
    if spec == "-":
        return *_load_stdin(stdin), ()
    path, name = _split(spec)
    with open_regular(path) as file:
        head = file.read(len(_MAGIC))
        file.seek(0)
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            with _zip_errors(), zipfile.ZipFile(file) as archive:
                return *_load_member(archive, name), ()
        if name is not None and head == _MAGIC:
            what = f"asks for {shown(name)!r} in an .npy, which holds one array without a name"
            raise bad(what, hint=f"leave the name out: {shown(path)}", expected=None)
        if head != _MAGIC:
            from convcheck import loaders

            kind = loaders.kind(path, file.read(16))
            file.seek(0)
            if kind is not None:
                array, notes = loaders.load(kind, file, name)
                return array, "", notes
        return *_map(file), ()


def _split(spec: str) -> tuple[str, str | None]:
    """Split ``FILE::NAME``, the longest part that exists being the file: both may hold ``::``."""
    parts = spec.split("::")
    for count in range(len(parts), 0, -1):
        path = "::".join(parts[:count])
        if os.path.lexists(path):
            return path, "::".join(parts[count:]) if count < len(parts) else None
    path, found, name = spec.rpartition("::")
    return (path, name) if found else (spec, None)


def open_regular(path: str) -> IO[bytes]:
    """Open a file for reading, if it is one that ends: no FIFO, no device.

    Raises:
        InputError: it is none, is not there or may not be read.
    """
    if not path:
        raise bad("names no file", "an empty path", "check the command line: is a variable empty?")
    try:
        # Looked at before it is opened: that waits for a FIFO's writer, and may make a device act.
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            raise bad("is a directory", hint="name one of the files in it")
        if not stat.S_ISREG(mode):
            kind = _SPECIAL.get(stat.S_IFMT(mode), "a special file")
            hint = "to read a stream, redirect it: convcheck … - < FILE"
            raise bad("is not a regular file", kind, hint)
        return open(path, "rb", opener=_open_at_once)
    except PermissionError as error:
        hint = "look at the permissions of the file and of its directories: ls -ld"
        raise bad("cannot be read: permission denied", reason(error), hint) from error
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a NUL in it
        raise _missing(Path(path), reason(error)) from error


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for a writer, should the file have become a FIFO: it is empty then."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _missing(path: Path, got: str) -> InputError:
    hint = "check the path, and the directory that you are in"
    try:
        siblings = sorted(entry.name for entry in islice(path.parent.iterdir(), 2000))
    except (OSError, ValueError):
        got = f"{got}; its directory {shown(str(path.parent))} cannot be listed either"
    else:
        same_stem = [name for name in siblings if Path(name).stem in {path.name, path.stem}]
        if close := same_stem or difflib.get_close_matches(path.name, siblings):
            meant = ", ".join(shown(str(path.parent / name)) for name in close[:3])
            hint = f"did you mean {meant}?"
    return bad("does not exist", got, hint)


# --- .npy: a header, then the array's bytes -----------------------------------------------------


@dataclass(frozen=True)
class _Header:
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    start: int  # of the data, in bytes

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def promise(self) -> str:
        return f"a header of shape {self.shape} and dtype {self.dtype}: {in_bytes(self.nbytes)}"

    def check(self, available: int) -> None:
        if self.nbytes > available:
            got = f"{self.promise()}, followed by {in_bytes(max(available, 0))}"
            what = "is cut off: its header promises more data than there is"
            raise bad(what, got, expected=f"{in_bytes(self.nbytes)} of data")

    def view(self, data: mmap.mmap | bytearray, offset: int = 0) -> NDArray[Any]:
        array: NDArray[Any] = np.ndarray(self.shape, self.dtype, data, offset, order=self.order)
        array.flags.writeable = False
        return array


def _map(file: IO[bytes]) -> tuple[NDArray[Any], str]:
    header = _read_header(file)
    data = map_file(file)
    available = len(data) - header.start  # of what is mapped, however the file has changed since
    header.check(available)
    return header.view(data, header.start), _rest(available - header.nbytes)


def _read(stream: IO[bytes], header: _Header) -> NDArray[Any]:
    if header.nbytes > MEMBER_LIMIT:
        raise _too_large(header.promise())
    data = _take(stream, header.nbytes)
    header.check(len(data))
    return header.view(data)


def _take(stream: IO[bytes], count: int) -> bytearray:
    """Read up to ``count`` bytes, holding no more than what really comes."""
    data = bytearray()
    while len(data) < count and (chunk := stream.read(min(_CHUNK, count - len(data)))):
        data += chunk
    return data


def _too_large(got: str) -> InputError:
    hint = "save it as an .npy file, and name that: it is mapped, not read"
    limit = f"at most {in_bytes(MEMBER_LIMIT)}"
    return bad("is too large to be held in memory", got, hint, limit)


def _load_stdin(stdin: BinaryIO | None) -> tuple[NDArray[Any], str]:
    stream = stdin
    if stream is None and sys.stdin is not None:  # as it is where it was closed
        stream = sys.stdin.buffer
    if stream is None or stream.closed:
        raise bad("is closed", hint=_PIPE, expected="the bytes of one .npy")
    if stream.isatty():
        raise bad("is a terminal: nothing to read", hint=_PIPE, expected="the bytes of one .npy")
    header = _read_header(stream, f"{_PIPE}; only one operand can be -")
    array = _read(stream, header)
    rest = len(_take(stream, _CHUNK))  # no further: it may never end
    return array, ("at least " if rest == _CHUNK else "") + _rest(rest)


def _read_header(stream: IO[bytes], if_empty: str = SAVE_AGAIN) -> _Header:
    head = _take(stream, len(_MAGIC))
    if not head:
        raise bad("is empty", "0 bytes", if_empty)
    if not _MAGIC.startswith(head):
        raise foreign(bytes(head + _take(stream, 512)))
    version = bytes(_take(stream, 2))
    length_format = _LENGTH_FORMATS.get(version, "<H")
    if len(version) == 2 and version not in _LENGTH_FORMATS:
        what, got = "has an unknown version of the .npy format", f"version {version.hex('.')}"
        raise bad(what, got, expected="version 1.0, 2.0 or 3.0")
    length = _take(stream, struct.calcsize(length_format))
    if len(length) < struct.calcsize(length_format):
        raise bad("is cut off inside its header", in_bytes(len(head + version + length)))
    (promised,) = struct.unpack(length_format, length)
    if promised > _HEADER_LIMIT:
        got = f"a header that says it is {in_bytes(promised)} long"
        raise _bad_header(got, f"at most {in_bytes(_HEADER_LIMIT)}")
    text = _take(stream, promised)
    if len(text) < promised:
        got = f"{in_bytes(len(text))} of a header that says it is {in_bytes(promised)} long"
        raise bad("is cut off inside its header", got)
    return _parse_header(text, len(head + version + length + text))


def _parse_header(raw: bytearray, start: int) -> _Header:
    found = clip(bytes(raw))
    try:
        # UTF-8 in version 3, but then only in the names of fields, which are refused anyway.
        text = re.sub(r"(\d)L\b", r"\1", raw.decode("latin-1"))  # Python 2 wrote (3L, 5L)
        with warnings.catch_warnings():  # of odd escapes and the like
            warnings.simplefilter("ignore")
            fields = ast.literal_eval(text.strip())
    except (SyntaxError, ValueError, TypeError, OverflowError) as error:
        raise _bad_header(found) from error
    except (MemoryError, RecursionError) as error:  # how deep nesting ends
        raise _bad_header(found) from error
    if not isinstance(fields, dict) or fields.keys() != {"descr", "fortran_order", "shape"}:
        raise _bad_header(found)
    descr, shape, fortran = fields["descr"], fields["shape"], fields["fortran_order"]
    if isinstance(descr, list | tuple):
        hint = "save one of its fields: numpy.save('x.npy', x['FIELD'])"
        raise bad("holds a structured array, not numbers", found, hint, NUMBERS)
    if not isinstance(descr, str) or not isinstance(shape, tuple) or not isinstance(fortran, bool):
        raise _bad_header(found)
    dtype = _dtype(descr)
    if len(shape) > _MAX_RANK:
        raise _bad_header(f"{len(shape)} axes", f"at most {_MAX_RANK}")
    # type(), not isinstance: True is an int too.
    if not all(type(length) is int and 0 <= length <= sys.maxsize for length in shape):
        raise _bad_header(found, "lengths of axes that are whole numbers from 0 up")
    # Without the empty axes, as numpy counts when it asks whether an array can be.
    if math.prod(length or 1 for length in shape) * dtype.itemsize > sys.maxsize:
        got = f"shape {clip(str(shape))}: more bytes than a machine can address"
        raise _bad_header(got, "a shape that fits the file")
    return _Header(dtype, shape, "F" if fortran else "C", start)


def _bad_header(got: str, expected: str = _PLAIN_HEADER) -> InputError:
    return bad("has an .npy header that cannot be right", got, expected=expected)


def _dtype(descr: str) -> np.dtype[Any]:
    got = f"dtype {clip(descr)}"
    if _NUMERIC.fullmatch(descr):
        try:
            return np.dtype(descr)
        except TypeError as error:
            what, hint = "has a dtype that numpy lacks on this machine", save_as("float64")
            raise bad(what, got, hint, NUMBERS) from error
    raise not_numbers(descr)


# --- .npz: a zip archive of .npy ----------------------------------------------------------------


@contextmanager
def _zip_errors() -> Iterator[None]:
    try:
        yield
    except _ZIP_ERRORS as error:
        got = clip(str(error) or type(error).__name__)
        raise bad("is a corrupt or cut-off zip archive (.npz)", got, SAVEZ_AGAIN) from error


def _load_member(archive: zipfile.ZipFile, name: str | None) -> tuple[NDArray[Any], str]:
    info = _choose(archive, name)
    if info.flag_bits & 0x1:
        raise bad("is encrypted", hint="decrypt it first: unzip, then name the .npy in it")
    # Besides that numpy never writes them, the other kinds unpack a chunk to any size.
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        what, got = "uses a compression that numpy does not write", f"type {info.compress_type}"
        raise bad(what, got, SAVEZ_AGAIN, "stored or deflated members")
    if info.file_size > MEMBER_LIMIT:
        raise _too_large(f"a member of {in_bytes(info.file_size)}")
    with archive.open(info) as member:
        header = _read_header(member)
        header.check(info.file_size - header.start)
        array = _read(member, header)
        rest = 0
        while chunk := member.read(_CHUNK):  # to the end, where the CRC is checked
            rest += len(chunk)
    return array, _rest(rest)


def _choose(archive: zipfile.ZipFile, name: str | None) -> zipfile.ZipInfo:
    """Pick the member of that name, or the only one. A name is a name, never used as a path."""
    members = archive.infolist()
    arrays = [member for member in members if member.filename.endswith(".npy")]
    names = [member.filename.removesuffix(".npy") for member in arrays]
    if not names:
        raise no_npz([member.filename for member in members])
    if name is None:
        if len(set(names)) > 1:
            hint = f"name one of them: {shown(archive.filename or 'FILE.npz')}::{clip(names[0])}"
            raise bad(f"holds {len(names)} arrays: which one?", listed(names), hint, "a name")
        name = names[0]
    if name not in names:
        name = name.removesuffix(".npy")
    if name not in names:
        close = difflib.get_close_matches(name, names, 1, 0.5) or names
        what = f"holds no array named {clip(name) or repr(name)}"
        hint = f"did you mean ::{clip(close[0])}?"
        raise bad(what, listed(names), hint, "one of these names")
    if names.count(name) > 1:
        what, expected = f"holds {names.count(name)} arrays of one name", "one array a name"
        raise bad(what, clip(name), SAVEZ_AGAIN, expected)
    return arrays[names.index(name)]


def _rest(count: int) -> str:
    return in_bytes(count) if count else ""
