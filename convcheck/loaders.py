"""Arrays out of files of other kinds: images, safetensors, ONNX models.

``tensors.load`` comes here once it has seen that a file is none of its own. Errors begin with their
predicate ("is a PNG image ..."), as there. Nothing is believed and nothing is run: a header is
judged before memory is taken, and data that an ONNX model keeps in other files is not followed.
"""

from __future__ import annotations

import difflib
import io
import json
import math
import os
from functools import cache
from itertools import islice
from typing import IO, TYPE_CHECKING, Any
from warnings import catch_warnings, simplefilter

import numpy as np

from convcheck.errors import InputError, MissingExtraError
from convcheck.mapping import map_file

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from mmap import mmap

    from numpy.typing import NDArray

Loaded = tuple["NDArray[Any]", tuple[str, ...]]
"""The array, and what is to be said about how it was read."""

LIMIT = 4 << 30
"""Bytes that an array may take that has to be held in memory."""
_HEADER_LIMIT = 100 << 20
_FREE = 1 << 22
"""Pixels that no file has to account for: in memory they take less than 64 MiB."""
_DENSEST = 1100
"""Numbers that a byte of a file may stand for beyond these; deflate makes 1032 of one."""
_IMAGES = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}
_DTYPES = dict(
    zip(
        ["F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"],
        ["<f8", "<f4", "<f2", "<u2", "<i8", "<i4", "<i2", "|i1", "<u8", "<u4", "<u2", "|u1", "|b1"],
        strict=True,
    )
)
"""numpy's names of the format's types; bfloat16 by its bits."""


def kind(path: str, head: bytes) -> str | None:
    """``image``, ``safetensors`` or ``onnx``; None where there is no loader for the file."""
    if any(head.startswith(magic) for magic in _IMAGES):
        return "image"
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") < _HEADER_LIMIT:
        return "safetensors"
    # A protobuf has no magic number; an ONNX model begins with its version, field 1.
    return "onnx" if path.lower().endswith(".onnx") and head[:1] == b"\x08" else None


def opened(
    found: str, file: IO[bytes]
) -> tuple[Iterable[str | None], Callable[[str | None], Loaded]]:
    """The names of the arrays in a file of this kind, read once, and what loads one of them."""
    if found == "image":
        return [None], lambda name: _image(file, name)
    if found == "safetensors":
        entries, start = _entries(file)
        data = cache(lambda: map_file(file))  # once for all of its arrays
        return entries, lambda name: _safetensor(file, entries, start, name, data)
    tensors = _initializers(file)
    return tensors, lambda name: _initializer(file, tensors, name)


# --- images -------------------------------------------------------------------------------------


class _Bounded(io.BufferedReader):
    """A file that is never asked for more than it has: memory is taken for all that is asked."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(io.FileIO(file.fileno(), closefd=False))
        self.size = os.fstat(file.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        asked = self.size if size is None or size < 0 else size
        return super().read(min(asked, max(self.size - self.tell(), 0)))


def _image(file: IO[bytes], name: str | None) -> Loaded:
    if name is not None:
        raise InputError(
            f"asks for {name!r} in an image, which has no names",
            hint="leave the part after :: out",
        )
    head = file.read(4)
    file.seek(0)
    form = next(form for magic, form in _IMAGES.items() if head.startswith(magic))
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError(f"is a {form} image, which Pillow reads", "images") from None
    try:
        with catch_warnings():
            simplefilter("ignore")  # of large images, which are judged here, and odd metadata
            with _Bounded(file) as source, Image.open(source, formats=[form]) as image:
                size = image.width * image.height * max(4, 2 * len(image.getbands()))
                if size > LIMIT:
                    raise InputError("is too large to be held in memory", got=f"{size:,} bytes")
                _check_size(image, source.size)
                _check_depth(image, form)
                return _pixels(image, form)
    # Pillow raises many things of broken files, its own error a subclass of OSError among them.
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError) as error:
        raise InputError(
            f"is a {form} image that cannot be read",
            got=str(error).split("\n")[0] or type(error).__name__,
            hint="copy it again, or open it in an image program and save it anew",
        ) from error
    except Image.DecompressionBombError as error:
        raise InputError("is an image too large to be read safely", got=str(error)) from error


def _check_size(image: Any, length: int) -> None:
    """Raise for a header that promises more than the bytes after it can be unpacked to."""
    pixels = image.width * image.height
    numbers = pixels * len(image.getbands()) // (8 if image.mode == "1" else 1)
    if pixels > _FREE and numbers > _DENSEST * length:
        raise InputError(
            "is an image with more pixels than its file can hold",
            got=f"{image.width:,} x {image.height:,} pixels in {length:,} bytes",
            hint="copy it again, or open it in an image program and save it anew",
        )


def _check_depth(image: Any, form: str) -> None:
    """Raise for colours of 16 bits: Pillow would cut them to 8 without a word."""
    bits = 8
    if form == "PNG":
        image.fp.seek(24)
        bits = image.fp.read(1)[0]
    elif form == "TIFF":
        bits = max(image.tag_v2.get(258, (8,)))
    if bits > 8 and image.mode in {"RGB", "RGBA", "LA", "CMYK", "P", "L"}:
        raise InputError(
            f"is an image of {bits} bits a channel, which Pillow would cut to 8",
            got=f"mode {image.mode}",
            expected="8 bits a channel in colour, or one channel of 16",
            hint="python -c \"import numpy, cv2; numpy.save('x.npy', cv2.cvtColor(cv2.imread("
            "'IMAGE', -1), cv2.COLOR_BGR2RGB).transpose(2, 0, 1))\"",
        )


def _pixels(image: Any, form: str) -> Loaded:
    notes = []
    if image.mode in {"P", "PA"}:
        clear = "transparency" in image.info or image.mode == "PA"
        image = image.convert("RGBA" if clear else "RGB")
        notes.append(f"its palette was looked up: {image.mode}")
    if getattr(image, "n_frames", 1) > 1:
        notes.append(f"the first of its {image.n_frames} pictures")
    turned = image.getexif().get(274, 1)
    if turned != 1:
        notes.append(f"its EXIF orientation, {turned}, is not applied: rows are as stored")
    array = np.asarray(image)
    if array.ndim == 3:
        height, width, channels = array.shape
        array = np.ascontiguousarray(array.transpose(2, 0, 1))
        notes.insert(
            0,
            f"stored as {height}x{width}x{channels} (H, W, {image.mode}), "
            f"read as {channels}x{height}x{width} (C, H, W)",
        )
    if image.mode in {"RGBA", "LA"}:
        notes.append(f"channel {len(array) - 1} is alpha")
    array.flags.writeable = False
    return array, tuple(f"{form} image: {note}" for note in notes)


# --- safetensors: a length, a JSON header, the data ----------------------------------------------


def _entries(file: IO[bytes]) -> tuple[dict[str, Any], int]:
    """The header's arrays by name, and where their data begins."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > size - 8:
        raise _broken(f"a header that says it is {length:,} bytes long, in a file of {size:,}")
    try:
        header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        entries = {str(name): dict(entry) for name, entry in header.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _broken(f"a header that is no JSON object of arrays: {error}") from error
    return entries, 8 + length


def _safetensor(
    file: IO[bytes],
    entries: dict[str, Any],
    start: int,
    name: str | None,
    mapped: Callable[[], mmap],
) -> Loaded:
    name = _choose(entries, name, file)
    entry = entries[name]
    code, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not _is_shape(shape) or not _naturals(offsets) or len(offsets) != 2:
        raise _broken(f"the entry {str(entry)[:80]}")
    if not isinstance(code, str) or code not in _DTYPES:
        raise InputError(
            "holds numbers of a type that numpy lacks",
            got=f"dtype {str(code)[:40]}",
            expected=", ".join(_DTYPES),
            hint="save them as float32",
        )
    dtype = np.dtype(_DTYPES[code])
    data = mapped()
    first, last = start + offsets[0], start + offsets[1]
    if last > len(data) or last - first != math.prod(shape) * dtype.itemsize:
        raise _broken(f"{name[:40]!r}: shape {shape} in bytes {offsets} of {len(data) - start}")
    array: NDArray[Any] = np.ndarray(tuple(shape), dtype, data, first)
    if code == "BF16":
        # The upper half of a float32: exact.
        wide = (array.astype(np.uint32) << 16).view(np.float32)
        wide.flags.writeable = False
        return wide, ("bfloat16 read as float32, which holds it exactly",)
    array.flags.writeable = False
    return array, ()


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 1 << 62 for n in value)


def _is_shape(value: Any) -> bool:
    """Whether numpy can make it, in any type: an axis of none excuses no other that is too long."""
    return _naturals(value) and len(value) <= 32 and math.prod(n or 1 for n in value) < 1 << 59


def _broken(got: str) -> InputError:
    return InputError(
        "is a safetensors file that cannot be right",
        got=got,
        hint="copy it again, or write it again with safetensors.numpy.save_file",
    )


# --- ONNX ---------------------------------------------------------------------------------------


def _initializers(file: IO[bytes]) -> dict[str, Any]:
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("is an ONNX model, which the package onnx reads", "onnx") from None
    try:
        graph = onnx.load_model(file, load_external_data=False).graph
        return {tensor.name: tensor for tensor in graph.initializer}
    except Exception as error:  # protobuf's own errors have no public base class
        raise InputError(
            "is an ONNX model that cannot be read",
            got=str(error).split("\n")[0],
            hint="look at it with python -m onnx.checker",
        ) from error


def _initializer(file: IO[bytes], tensors: dict[str, Any], name: str | None) -> Loaded:
    from onnx import TensorProto, numpy_helper

    name = _choose(tensors, name, file)
    tensor = tensors[name]
    if tensor.data_location == TensorProto.EXTERNAL:
        raise InputError(
            "keeps this array in another file, which is not followed",
            got=f"initializer {name[:80]!r}",
            hint='put it into the model: python -c "import onnx; '
            "onnx.save(onnx.load('MODEL.onnx'), 'whole.onnx')\"",
        )
    if tensor.data_type == TensorProto.STRING:
        raise InputError(
            "has text where numbers are wanted",
            got=f"initializer {name[:40]!r} of type STRING",
            hint="name another initializer: convcheck inspect MODEL.onnx lists them",
        )
    if not _is_shape(dims := list(tensor.dims)):
        raise InputError(
            "has an initializer that cannot be read",
            got=f"{name[:40]!r}: shape {str(dims)[:80]}",
            expected="the sizes of at most 32 axes",
        )
    try:
        array = numpy_helper.to_array(tensor)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise InputError(
            "has an initializer that cannot be read", got=f"{name[:40]!r}: {error}"
        ) from error
    notes: tuple[str, ...] = ()
    if array.dtype.kind not in "biufc":
        notes = (f"{array.dtype.name} read as float32, which holds it exactly",)
        array = array.astype(np.float32)
    array.flags.writeable = False
    return array, notes


def _choose(known: Collection[str], name: str | None, file: IO[bytes]) -> str:
    if name is not None and name in known:
        return name
    shown = ", ".join(_near(n) for n in islice(known, 10))
    shown += f" and {len(known) - 10} more" if len(known) > 10 else ""
    if not known:
        raise InputError("holds no arrays")
    first = next(iter(known))
    if name is None and len(known) > 1:
        raise InputError(
            f"holds {len(known)} arrays: which one?",
            got=shown,
            expected="a name",
            hint=f"name one of them: {ascii(file.name)[1:-1]}::{_near(first)}",
        )
    if name is not None:
        close = difflib.get_close_matches(name, known, 1, 0.5) or [first]
        raise InputError(
            f"holds no array named {_near(name) or repr(name)}",
            got=shown,
            expected="one of these names",
            hint=f"did you mean ::{_near(close[0])}?",
        )
    return first


def _near(name: str) -> str:
    return ascii(name)[1:-1][:80]
