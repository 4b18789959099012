"""The .npy format: a header, then the array's bytes.

Nothing in a file is believed. A header is judged before memory is taken for what it promises, and
nothing is unpickled. An ``InputError`` begins with its predicate ("is cut off inside its header");
:mod:`convcheck.tensors` puts the operand and the file in front of it.
"""

from __future__ import annotations

import ast
import math
import re
import select
import struct
import sys
import warnings
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np

from convcheck.mapping import map_file
from convcheck.unreadable import (
    NUMBERS,
    SAVE_AGAIN,
    bad,
    clip,
    foreign,
    in_bytes,
    not_numbers,
    save_as,
)

if TYPE_CHECKING:
    import mmap

    from numpy.typing import NDArray

    from convcheck.errors import InputError

LIMIT = 4 << 30
"""Bytes that an array may take that has to be held in memory: from an .npz or standard input."""
MAGIC = b"\x93NUMPY"
CHUNK = 1 << 20

_HEADER_LIMIT = 10_000  # numpy's own limit; a plain array's header takes about 118 characters
_MAX_RANK = 32  # what every numpy can make; newer ones reach 64
_LENGTH_FORMATS = {b"\1\0": "<H", b"\2\0": "<I", b"\3\0": "<I"}  # by the format's version
_NUMERIC = re.compile(r"[<>=|]?(\?|[biufc]\d{1,2})")
_PLAIN_HEADER = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5, 5)} or its like"


@dataclass(frozen=True)
class Header:
    """What a header says, held to be possible; ``start`` is where the data begin, in bytes."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    start: int

    @property
    def nbytes(self) -> int:
        """Bytes of the data."""
        return math.prod(self.shape) * self.dtype.itemsize

    def promise(self) -> str:
        """The header in words."""
        return f"a header of shape {self.shape} and dtype {self.dtype}: {in_bytes(self.nbytes)}"

    def check(self, available: int) -> None:
        """Raise an ``InputError`` where there are fewer bytes than it promises."""
        if self.nbytes > available:
            got = f"{self.promise()}, followed by {in_bytes(max(available, 0))}"
            what = "is cut off: its header promises more data than there is"
            raise bad(what, got, expected=f"{in_bytes(self.nbytes)} of data")

    def view(self, data: mmap.mmap | bytearray, offset: int = 0) -> NDArray[Any]:
        """The array in these bytes, read-only."""
        array: NDArray[Any] = np.ndarray(self.shape, self.dtype, data, offset, order=self.order)
        array.flags.writeable = False
        return array


def mapped(file: IO[bytes]) -> tuple[NDArray[Any], int]:
    """The array of an .npy file, mapped and read-only, and how many bytes follow it."""
    header = read_header(file)
    data = map_file(file)
    available = len(data) - header.start  # of what is mapped, however the file has changed since
    header.check(available)
    return header.view(data, header.start), available - header.nbytes


def read(stream: IO[bytes], header: Header) -> NDArray[Any]:
    """The array that follows its header in a stream, held in memory."""
    if header.nbytes > LIMIT:
        raise too_large(header.promise())
    data = take(stream, header.nbytes)
    header.check(len(data))
    return header.view(data)


def take(stream: IO[bytes], count: int) -> bytearray:
    """Read up to ``count`` bytes, holding no more than what really comes."""
    data = bytearray()
    while len(data) < count:
        chunk: Any = stream.read(min(CHUNK, count - len(data)))
        if chunk is None:  # one that does not wait, and has nothing yet
            select.select([stream], [], [])
        elif chunk:
            data += chunk
        else:
            break
    return data


def too_large(got: str) -> InputError:
    """What to say of an array that takes more than :data:`LIMIT`."""
    hint = "save it as an .npy file, and name that: it is mapped, not read"
    limit = f"at most {in_bytes(LIMIT)}"
    return bad("is too large to be held in memory", got, hint, limit)


def read_header(stream: IO[bytes], if_empty: str = SAVE_AGAIN) -> Header:
    """The header at the beginning of a stream; ``if_empty`` is what to do about an empty one."""
    head = take(stream, len(MAGIC))
    if not head:
        raise bad("is empty", "0 bytes", if_empty)
    if not MAGIC.startswith(head):
        raise foreign(bytes(head + take(stream, 512)))
    version = bytes(take(stream, 2))
    length_format = _LENGTH_FORMATS.get(version, "<H")
    if len(version) == 2 and version not in _LENGTH_FORMATS:
        what, got = "has an unknown version of the .npy format", f"version {version.hex('.')}"
        raise bad(what, got, expected="version 1.0, 2.0 or 3.0")
    length = take(stream, struct.calcsize(length_format))
    if len(length) < struct.calcsize(length_format):
        raise bad("is cut off inside its header", in_bytes(len(head + version + length)))
    (promised,) = struct.unpack(length_format, length)
    if promised > _HEADER_LIMIT:
        got = f"a header that says it is {in_bytes(promised)} long"
        raise _bad_header(got, f"at most {in_bytes(_HEADER_LIMIT)}")
    text = take(stream, promised)
    if len(text) < promised:
        got = f"{in_bytes(len(text))} of a header that says it is {in_bytes(promised)} long"
        raise bad("is cut off inside its header", got)
    return _parse_header(text, len(head + version + length + text))


def _parse_header(raw: bytearray, start: int) -> Header:
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
    return Header(dtype, shape, "F" if fortran else "C", start)


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
