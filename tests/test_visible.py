"""Nothing that is not ours speaks to a terminal, a browser or a log, in any stream or format."""

from __future__ import annotations

import json
import re
import struct
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from command import QUESTION, called
from few import one_in, slow
from hypothesis import given, settings
from hypothesis import strategies as st

from convcheck.errors import ExitCode, InputError
from convcheck.visible import visible, visible_report

if TYPE_CHECKING:
    from collections.abc import Callable

# Clears the screen, writes to the clipboard, colours by C1, rings, reverses what follows.
HOSTILE = "x\r\x85\u2028\x1b[2J\x1b]52;c;aGk=\x07\x9b31m\x08\u202ex"
UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
COLOUR = re.compile("\x1b\\[[0-9;]*m")


def safetensors(path: Path, name: str = "x", dtype: str = "F32") -> None:
    entry = {"dtype": dtype, "shape": [1, 1, 1], "data_offsets": [0, 4]}
    header = json.dumps({name: entry, f"{name}2": entry}, ensure_ascii=False).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))


def hostile_dtype(folder: Path) -> list[str]:
    safetensors(folder / "x.safetensors", dtype=HOSTILE)
    return ["inspect", "x.safetensors"]


def hostile_names(folder: Path) -> list[str]:
    safetensors(folder / "x.safetensors", name=HOSTILE)
    return ["inspect", "x.safetensors"]


def hostile_choice(folder: Path) -> list[str]:
    safetensors(folder / "x.safetensors", name=HOSTILE)
    return ["compare", "x.safetensors", QUESTION[1]]


def hostile_entry(folder: Path) -> list[str]:
    safetensors(folder / "x.safetensors", dtype=HOSTILE)
    return ["compare", "x.safetensors::x", QUESTION[1]]


def hostile_members(folder: Path) -> list[str]:
    np.savez(folder / "x.npz", **{HOSTILE: np.ones((1, 2, 2)), "b": np.ones(3)})
    return ["inspect", "x.npz"]


def hostile_exif(folder: Path) -> list[str]:
    pillow = pytest.importorskip("PIL.Image")
    text = HOSTILE.encode("latin-1", "ignore")  # where a number is expected
    head = struct.pack("<4sIHHHIII", b"II*\0", 8, 1, 274, 2, len(text), 26, 0)
    picture = pillow.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    picture.save(folder / "x.jpg", exif=b"Exif\0\0" + head + text)
    return ["inspect", "x.jpg"]


def hostile_path(folder: Path) -> list[str]:
    name = HOSTILE + ".npy"
    np.save(folder / name, np.load(QUESTION[0]))
    return ["compare", name, QUESTION[1]]


def hostile_missing(folder: Path) -> list[str]:
    return ["compare", HOSTILE, QUESTION[1]]


def hostile_option(folder: Path) -> list[str]:
    return ["compare", *QUESTION, "--expect", HOSTILE]


def hostile_convention(folder: Path) -> list[str]:
    return ["audit", *QUESTION, "--as", json.dumps({HOSTILE: 1})]


def hostile_target(folder: Path) -> list[str]:
    (folder / "loud.py").write_text(
        "from scipy.ndimage import correlate\n"
        "def f(x, w):\n"
        f"    if x.shape[-1] > 16: raise ZeroDivisionError({HOSTILE!r})\n"
        "    return correlate(x.astype(float), w.astype(float), mode='constant')\n"
    )
    return ["verify", "loud:f", "--layout", "HW", "--cases", "40", "--fail-fast"]


def hostile_import(folder: Path) -> list[str]:
    (folder / "loud_import.py").write_text(f"raise RuntimeError({HOSTILE!r})\n")
    return ["verify", "loud_import:f"]


def hostile_program(folder: Path) -> list[str]:
    (folder / "say.sh").write_text(f"printf '%s\\n' '{HOSTILE}' >&2; exit 3\n")
    return ["verify", "--command", "sh say.sh {image} {filters} {output}", "--layout", "HW"]


MAKERS = [
    *(hostile_dtype, hostile_names, hostile_choice, hostile_entry, hostile_members, hostile_exif),
    *(hostile_path, hostile_missing, hostile_option, hostile_convention, slow(hostile_import)),
    *(slow(hostile_program), slow(hostile_target)),
]
FORMATS = [
    [],
    ["--color", "always"],
    *(["--format", name] for name in ("json", "markdown", "junit", "html", "svg")),
    ["-q"],
    ["-v"],
]


@pytest.mark.parametrize("form", one_in(8, FORMATS), ids=" ".join)
@pytest.mark.parametrize("make", MAKERS)
def test_no_control_character_gets_through(
    make: Callable[[Path], list[str]], form: list[str], tmp_path: Path
) -> None:
    arguments = make(tmp_path)
    with chdir(tmp_path):
        ended = called(*arguments, *form)
        again = called(*arguments, *form, "-o", "report")
    assert ended.code != ExitCode.INTERNAL, ended
    written = (tmp_path / "report").read_text() if (tmp_path / "report").exists() else ""
    for text in (ended.err, again.err, ended.out, written):
        assert UNFIT.search(COLOUR.sub("", text) if "always" in form else text) is None, text
    # What was asked for is said all the same.
    if "-q" not in form:
        assert "52;c" in ended.out + ended.err


@settings(derandomize=True, deadline=None)
@given(st.text())
def test_what_may_be_shown_is_shown_as_it_is(text: str) -> None:
    shown = visible(text)
    assert UNFIT.search(shown) is None
    assert (shown == text) == (UNFIT.search(text) is None and "\u061c" not in text)
    assert visible_report(f"\x1b[1m{shown}\x1b[0m") == f"\x1b[1m{shown}\x1b[0m"


def test_errors_are_fit_to_be_printed_by_whoever_catches_them() -> None:
    error = InputError(HOSTILE, got=HOSTILE, expected=HOSTILE, hint=HOSTILE)
    assert UNFIT.search(f"{error} {error!r} {error.what} {error.got}") is None
