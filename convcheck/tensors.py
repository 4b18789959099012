"""Arrays from files: the only place that reads them; :mod:`convcheck.writing` writes.

Nothing in a file is believed. A header is judged before memory is taken for what it promises,
nothing is unpickled and nothing is extracted. Inside this module an ``InputError`` begins with its
predicate ("is a directory"); ``load`` puts the operand and the file in front of it.
"""

from __future__ import annotations

import difflib
import os
import stat
import struct
import sys
import zipfile
import zlib
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from convcheck import npy, used
from convcheck.errors import InputError, MissingExtraError
from convcheck.unreadable import (
    SAVEZ_AGAIN,
    bad,
    clip,
    in_bytes,
    listed,
    no_npz,
    reason,
    shown,
)
from convcheck.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from convcheck.loaders import Loaded

_SPECIAL = {
    stat.S_IFIFO: "a FIFO (named pipe)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}
# What zipfile raises of broken archives; NotImplementedError, of features, is a RuntimeError.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)

# What is wanted, and what to do.
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
    with _about(operand, spec):
        if spec == "-":
            found = _load_stdin(stdin)
        else:
            path, name = _split(spec)
            with _open(path) as opened:
                found = opened.load(name)
    return _tensor(operand, spec, found)


def load_all(operand: str, spec: str) -> Iterator[tuple[str, Tensor | InputError]]:
    """Every array of a file with what :func:`load` calls it; an error where it cannot be read.

    Of ``FILE.npz::NAME``, and of standard input, it is the one that they say.
    """
    if spec == "-" or _split(spec)[1] is not None:
        yield spec, load(operand, spec)
        return
    with ExitStack() as stack:
        with _about(operand, spec):
            opened = stack.enter_context(_open(spec))
        for name in opened.names:
            each = spec if name is None else f"{spec}::{name}"
            try:
                with _about(operand, each):
                    found = opened.load(name)
            except InputError as error:
                yield each, error
            else:
                yield each, _tensor(operand, each, found)


def contents(operand: str, spec: str) -> tuple[str, str | None, tuple[str, ...]]:
    """The file of ``FILE::NAME``, the name where there is one, and the names of all its arrays."""
    with _about(operand, spec):
        path, name = _split(spec)
        with _open(path) as opened:
            return path, name, tuple(each for each in opened.names if each is not None)


def _subject(operand: str, spec: str) -> str:
    return f"{operand}: {'- (standard input)' if spec == '-' else shown(spec)}"


@contextmanager
def _about(operand: str, spec: str) -> Iterator[None]:
    """Put the operand and the file in front of what is wrong with it."""
    subject = _subject(operand, spec)
    try:
        yield
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


def _tensor(operand: str, spec: str, found: Loaded) -> Tensor:
    array, notes = found
    return Tensor(
        spec, array, tuple(visible(f"{_subject(operand, spec)}: {note}") for note in notes)
    )


def _noted(array: NDArray[Any], rest: int, least: str = "") -> Loaded:
    """An array, and what is to be said where so many bytes follow it."""
    ignored = f"{least}{in_bytes(rest)} after the array ignored"
    return array, (f"{ignored}; was numpy.save called twice on one file?",) if rest else ()


@dataclass(frozen=True)
class _Opened:
    """A file whose list of arrays has been read: a name for each, or None for its only one."""

    names: Iterable[str | None]
    load: Callable[[str | None], Loaded]


@contextmanager
def _open(path: str) -> Iterator[_Opened]:
    with open_regular(path) as file:
        head = file.read(16)
        file.seek(0)
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            with _zip_errors():
                archive = zipfile.ZipFile(file)
            with archive:
                members = _members(archive)
                yield _Opened(members or [None], lambda name: _load_member(archive, members, name))
            return
        if not head.startswith(npy.MAGIC):
            from convcheck import loaders

            kind = loaders.kind(path, head)
            if kind is not None:
                yield _Opened(*loaders.opened(kind, file))
                return
        yield _Opened([None], lambda name: _map_only(file, path, name))


def _map_only(file: IO[bytes], path: str, name: str | None) -> Loaded:
    if name is not None and file.read(len(npy.MAGIC)) == npy.MAGIC:
        what = f"asks for {shown(name)!r} in an .npy, which holds one array without a name"
        raise bad(what, hint=f"leave the name out: {shown(path)}", expected=None)
    file.seek(0)
    return _noted(*npy.mapped(file))


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
        return _noticed(open(path, "rb", opener=_open_at_once))
    except PermissionError as error:
        hint = "look at the permissions of the file and of its directories: ls -ld"
        raise bad("cannot be read: permission denied", reason(error), hint) from error
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a NUL in it
        raise _missing(Path(path), reason(error)) from error


def _noticed(file: IO[bytes]) -> IO[bytes]:
    """The file, which the run does not write."""
    try:
        used.read(file.fileno())
    except BaseException:
        file.close()
        raise
    return file


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


def _load_stdin(stdin: BinaryIO | None) -> Loaded:
    stream = stdin
    if stream is None and sys.stdin is not None:  # as it is where it was closed
        stream = sys.stdin.buffer
    if stream is None or stream.closed:
        raise bad("is closed", hint=_PIPE, expected="the bytes of one .npy")
    if stream.isatty():
        raise bad("is a terminal: nothing to read", hint=_PIPE, expected="the bytes of one .npy")
    with suppress(OSError, ValueError):  # no descriptor, as of bytes
        used.read(stream.fileno())
    header = npy.read_header(stream, f"{_PIPE}; only one operand can be -")
    array = npy.read(stream, header)
    used.read_piped(array)
    rest = len(npy.take(stream, npy.CHUNK))  # no further: it may never end
    return _noted(array, rest, "at least " if rest == npy.CHUNK else "")


# --- .npz: a zip archive of .npy ----------------------------------------------------------------


@contextmanager
def _zip_errors() -> Iterator[None]:
    try:
        yield
    except _ZIP_ERRORS as error:
        got = clip(str(error) or type(error).__name__)
        raise bad("is a corrupt or cut-off zip archive (.npz)", got, SAVEZ_AGAIN) from error


def _members(archive: zipfile.ZipFile) -> dict[str, list[zipfile.ZipInfo]]:
    """The arrays by their names; a name is a name, never used as a path."""
    members: dict[str, list[zipfile.ZipInfo]] = {}
    for member in archive.infolist():
        if member.filename.endswith(".npy"):
            members.setdefault(member.filename.removesuffix(".npy"), []).append(member)
    return members


def _load_member(
    archive: zipfile.ZipFile, members: dict[str, list[zipfile.ZipInfo]], name: str | None
) -> Loaded:
    info = _choose(archive, members, name)
    if info.flag_bits & 0x1:
        raise bad("is encrypted", hint="decrypt it first: unzip, then name the .npy in it")
    # Besides that numpy never writes them, the other kinds unpack a chunk to any size.
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        what, got = "uses a compression that numpy does not write", f"type {info.compress_type}"
        raise bad(what, got, SAVEZ_AGAIN, "stored or deflated members")
    if info.file_size > npy.LIMIT:
        raise npy.too_large(f"a member of {in_bytes(info.file_size)}")
    with _zip_errors():
        _check_headers(archive, info)
    with _zip_errors(), archive.open(info) as member:
        header = npy.read_header(member)
        header.check(info.file_size - header.start)
        array = npy.read(member, header)
        rest = 0
        while chunk := member.read(npy.CHUNK):  # to the end, where the CRC is checked
            rest += len(chunk)
    return _noted(array, rest)


_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIBED, _WHOLE = 0x8, 0xFFFFFFFF


def _check_headers(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    """Raise where a member's own header is not what the archive's directory says of it."""
    if archive.fp is None:
        return
    before = archive.fp.tell()
    archive.fp.seek(info.header_offset)
    raw = archive.fp.read(_LOCAL.size)
    archive.fp.seek(before)
    if len(raw) < _LOCAL.size:
        raise zipfile.BadZipFile("Truncated file header")
    _, _, flags, method, _, _, crc, packed, size, _, _ = _LOCAL.unpack(raw)
    said = [("compression", method, info.compress_type), ("encryption", flags & 1, 0)]
    if not flags & _DESCRIBED:  # what is so written says it after the data
        pairs = (("CRC", crc, info.CRC), ("compressed size", packed, info.compress_size))
        said += [*pairs, ("size", size, info.file_size)]
    for what, here, there in said:
        if here not in {there, _WHOLE}:  # of sizes beyond 32 bits another field has it
            raise zipfile.BadZipFile(
                f"headers contradict each other: {what} {here} and {there} of {info.filename!r}"
            )


def _choose(
    archive: zipfile.ZipFile, members: dict[str, list[zipfile.ZipInfo]], name: str | None
) -> zipfile.ZipInfo:
    """Pick the member of that name, or the only one."""
    if not members:
        raise no_npz(archive.namelist())
    first = next(iter(members))
    if name is None:
        if len(members) > 1:
            hint = f"name one of them: {shown(archive.filename or 'FILE.npz')}::{clip(first)}"
            what = f"holds {len(members)} arrays: which one?"
            raise bad(what, listed(members), hint, "a name")
        name = first
    if name not in members:
        name = name.removesuffix(".npy")
    if name not in members:
        close = difflib.get_close_matches(name, members, 1, 0.5) or [first]
        what = f"holds no array named {clip(name) or repr(name)}"
        hint = f"did you mean ::{clip(close[0])}?"
        raise bad(what, listed(members), hint, "one of these names")
    if len(members[name]) > 1:
        what, expected = f"holds {len(members[name])} arrays of one name", "one array a name"
        raise bad(what, clip(name), SAVEZ_AGAIN, expected)
    return members[name][0]
