"""What is said of a file that is no array: which format it is in, and how to make an .npy of it."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

# What is wanted, and what to do.
_ARRAY_FILE = "a .npy or .npz file"
NUMBERS = "bool, integer, float or complex numbers"
SAVE_AGAIN = "copy it again, or write it again with numpy.save('x.npy', array)"
SAVEZ_AGAIN = "copy it again, or write it again with numpy.savez('x.npz', NAME=array)"


def bad(
    what: str,
    got: str | None = None,
    hint: str = SAVE_AGAIN,
    expected: str | None = _ARRAY_FILE,
) -> InputError:
    """Of a file: what is wrong with it, what was found, what to do, what was expected."""
    return InputError(what, got=got, expected=expected, hint=hint)


def _python(imports: str, array: str) -> str:
    return f"python -c \"import {imports}; numpy.save('x.npy', {array})\""


_IMAGE = _python(
    "numpy, PIL.Image as P", "numpy.asarray(P.open('IMAGE').convert('RGB')).transpose(2, 0, 1)"
)
_TIFF = _python("numpy, PIL.Image as P", "numpy.asarray(P.open('x.tif'))")
_HDF5 = _python("numpy, h5py", "h5py.File('x.h5')['NAME'][()]")
_MATLAB = _python("numpy, scipy.io", "scipy.io.loadmat('x.mat')['NAME']")
_SAFETENSORS = _python("numpy, safetensors.numpy as s", "s.load_file('x.safetensors')['NAME']")
_TEXT = _python("numpy", "numpy.loadtxt('x.txt')") + " (delimiter=',' for CSV)"
_PICKLE = "nothing is unpickled here; where you trust it: " + _python(
    "numpy, pickle", "pickle.load(open('x.pkl', 'rb'))"
)
_RAW = "of raw numbers: numpy.save('x.npy', numpy.fromfile(FILE, dtype).reshape(shape))"
_FOREIGN = (
    (b"\x89PNG", "a PNG image", _IMAGE),
    (b"\xff\xd8\xff", "a JPEG image", _IMAGE),
    (b"GIF8", "a GIF image", _IMAGE),
    (b"II*\0", "a TIFF image", _TIFF),
    (b"MM\0*", "a TIFF image", _TIFF),
    (b"\x89HDF", "an HDF5 file", _HDF5),
    (b"MATLAB 5.0", "a MATLAB file", _MATLAB),
    (b"PK", "a zip archive (.npz?)", "name an .npz as a file: it cannot come through -"),
    (b"\x1f\x8b", "a gzip file", "gzip -dc x.npy.gz > x.npy"),
    (b"\x80\x02", "a Python pickle", _PICKLE),
    (b"\x80\x03", "a Python pickle", _PICKLE),
    (b"\x80\x04", "a Python pickle", _PICKLE),
    (b"\x80\x05", "a Python pickle", _PICKLE),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself: git lfs pull"),
    (b"<!", "an HTML page", "look at it: it may tell why a download failed"),
    (b"<html", "an HTML page", "look at it: it may tell why a download failed"),
)


def foreign(head: bytes) -> InputError:
    """Say what begins with these bytes, and how to make an .npy of it."""
    kind, hint = "in no format that convcheck knows", _RAW
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100 << 20:
        kind, hint = "a safetensors file", _SAFETENSORS
    elif known := [found for found in _FOREIGN if head.startswith(found[0])]:
        _, kind, hint = known[0]
    elif _is_text(head):
        kind, hint = "text", _TEXT
    return bad(f"is {kind}, not an array", f"it begins with {clip(head)}", hint)


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # may end within a character
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter.isspace() for letter in text)


def save_as(dtype: str) -> str:
    """How to save an array as numbers of a dtype."""
    return f"numpy.save('x.npy', x.astype('{dtype}'))"


_NOT_NUMBERS = {
    "O": (
        "pickled Python objects",
        "nothing is unpickled here: numpy.save('x.npy', numpy.stack(list(x))) where you trust it",
    ),
    "V1": ("raw bytes (void)", f"if it is a float8 array of ml_dtypes: {save_as('float32')}"),
    "V2": (
        "raw bytes (void)",
        f"if it is a bfloat16 array of ml_dtypes, save it as float32: {save_as('float32')}",
    ),
    "V": ("raw bytes (void)", "say what they are: numpy.save('x.npy', x.view('float32'))"),
    "S": ("byte strings", f"turn them into numbers: {save_as('float64')}"),
    "U": ("strings", f"turn them into numbers: {save_as('float64')}"),
    "M": ("dates", f"turn them into numbers: {save_as('int64')}"),
    "m": ("time differences", f"turn them into numbers: {save_as('int64')}"),
}


def not_numbers(descr: str) -> InputError:
    """Of an .npy whose dtype is ``descr``."""
    code = descr.lstrip("<>=|")
    unknown = ("an unknown kind of data", "save an array of numbers")
    kind, hint = _NOT_NUMBERS.get(code) or _NOT_NUMBERS.get(code[:1], unknown)
    return bad(f"holds {kind}, not numbers", f"dtype {clip(descr)}", hint, NUMBERS)


def no_npz(names: list[str]) -> InputError:
    """Of a zip archive with these members, none of which is an .npy."""
    if any(name.endswith("data.pkl") for name in names):
        tensor = "torch.load('x.pt', weights_only=True)"
        hint = f"{_python('torch, numpy', f'{tensor}.numpy()')} (of a state dict: ['NAME'].numpy())"
        return bad("is a PyTorch file, not an array", listed(names), hint)
    got = listed(names) if names else "no members"
    return bad("is a zip archive without arrays, not an .npz", got, SAVEZ_AGAIN)


def reason(error: Exception) -> str:
    """What the system says is wrong."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


def shown(text: str) -> str:
    """Return ``text``, escaped where it could break a line or speak to the terminal."""
    return text if text.isprintable() else ascii(text)[1:-1]


def clip(found: object) -> str:
    """Show something from a file in part of a line."""
    text = shown(found) if isinstance(found, str) else repr(found)
    return text if len(text) <= 80 else f"{text[:77]}..."


def listed(names: Iterable[str]) -> str:
    """Names from a file, not more than ten."""
    some = [clip(name) for name in names]
    return ", ".join(some[:10]) + (f" and {len(some) - 10} more" if len(some) > 10 else "")


def in_bytes(count: int) -> str:
    """A count of bytes in words."""
    return f"{count:,} byte{'' if count == 1 else 's'}"
