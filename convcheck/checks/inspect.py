"""What a file holds, and how each array in it may be meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.comparison import number
from convcheck.errors import ExitCode
from convcheck.rounding import blocks

if TYPE_CHECKING:
    from convcheck.comparison import Number

Array = NDArray[Any]

COLORS = (1, 3, 4)
"""Numbers of channels that an image to look at has."""
KERNEL = 11
"""Filters are seldom larger than this, images seldom as small."""


@dataclass(frozen=True)
class Entry:
    """One array: ``spec`` is how a command names it. ``trouble`` says why it cannot be read.

    ``smallest`` and ``largest`` are of the finite elements, and None where there are none, or where
    they are complex.
    """

    spec: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    smallest: Number | None = None
    largest: Number | None = None
    nonfinite: int = 0
    guesses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    trouble: str | None = None


@dataclass(frozen=True)
class InspectResult:
    """The arrays of one file, in its order."""

    entries: tuple[Entry, ...]

    @property
    def verdict(self) -> str:
        """``readable``, or ``unreadable`` where no array can be read."""
        return "readable" if any(e.trouble is None for e in self.entries) else "unreadable"

    @property
    def exit_code(self) -> ExitCode:
        """2 where no array can be read."""
        return ExitCode.OK if self.verdict == "readable" else ExitCode.NOT_JUDGED


def look(spec: str, array: Array, notes: tuple[str, ...] = ()) -> Entry:
    """What is to be said about one array."""
    low, high, bad = _range(array)
    return Entry(
        spec=spec,
        shape=array.shape,
        dtype=str(array.dtype),
        smallest=low,
        largest=high,
        nonfinite=bad,
        guesses=guess(array.shape),
        notes=notes,
    )


def _range(array: Array) -> tuple[Number | None, Number | None, int]:
    lows, highs, bad = [], [], 0
    for part in blocks(array):
        kept = part
        if part.dtype.kind in "fc":
            finite = np.isfinite(part)
            bad += int(part.size - np.count_nonzero(finite))
            kept = part[finite]
        if kept.size and kept.dtype.kind != "c":
            lows.append(kept.min())
            highs.append(kept.max())
    return (number(min(lows)), number(max(highs)), bad) if lows else (None, None, bad)


def guess(shape: tuple[int, ...]) -> tuple[str, ...]:
    """The layouts that an array of this shape may have, the likeliest first."""
    known = {1: _one_axis, 2: _two_axes, 3: _three_axes, 4: _four_axes, 5: _five_axes}
    return known[len(shape)](shape) if len(shape) in known else ()


def _one_axis(shape: tuple[int, ...]) -> tuple[str, ...]:
    return ("bias", "filter W") if shape[0] <= KERNEL else ("bias", "image W")


def _two_axes(shape: tuple[int, ...]) -> tuple[str, ...]:
    if max(shape) <= KERNEL:
        return ("filter HW",)
    if min(shape) > KERNEL:
        return ("image HW",)
    return ("image CW" if shape[0] <= KERNEL else "image WC", "image HW")


def _three_axes(shape: tuple[int, ...]) -> tuple[str, ...]:
    if max(shape[1:]) <= KERNEL < shape[0]:
        return ("filter IHW",)
    found = [("image CHW", shape[0] in COLORS), ("image HWC", shape[2] in COLORS)]
    likely = [name for name, fits in found if fits] or [name for name, _ in found]
    if max(shape[1:]) <= KERNEL:
        likely.append("filter IHW")
    elif shape[2] <= KERNEL < min(shape[:2]):
        likely.append("filters OIW")
    return tuple(likely)


def _four_axes(shape: tuple[int, ...]) -> tuple[str, ...]:
    if max(shape[2:]) <= KERNEL and shape[2:] != (1, 1):
        return ("filters OIHW", "images NCHW") if min(shape[:2]) > 1 else ("filters OIHW",)
    if max(shape[:2]) <= KERNEL < min(shape[2:]):
        likely = ["images NCHW"] if shape[1] in COLORS else []
        return (*likely, "filters HWIO")
    if shape[2:] == (1, 1):
        return ("filters OIHW",)
    if shape[3] in COLORS:
        return ("images NHWC",)
    volume = ("image CDHW",) if shape[0] in COLORS and min(shape[1:]) > KERNEL else ()
    return ("images NCHW", "images NHWC", *volume)


def _five_axes(shape: tuple[int, ...]) -> tuple[str, ...]:
    if max(shape[2:]) <= KERNEL:
        return ("filters OIDHW",)
    if max(shape[:3]) <= KERNEL < min(shape[3:]):
        return ("filters DHWIO",)
    return ("images NDHWC",) if shape[4] in COLORS else ("images NCDHW", "images NDHWC")
