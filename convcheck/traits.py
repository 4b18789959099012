"""What an output shows of how it was stored, before any search."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention import INTEGERS, PRECISIONS, representable
from convcheck.convention.storage import spacing
from convcheck.rounding import blocks
from convcheck.score import Literal

Array = NDArray[Any]


PART = 1 << 16
"""Elements of an output that are enough to count what it is made of."""
CANCELLED = 2.0**-12
"""Of the spread: what is smaller is a difference of larger numbers, and as coarse as they are."""
SHARE = 0.02
"""A least or greatest value of so many of the elements is where something was cut off."""
BEYOND = 0.1
"""Of the elements: what lies beyond an end may be a defect, but no more than this."""


def a_part(output: Array) -> Array:
    """The output (N,O,*S), or of a large one so many places, evenly spaced, as a view."""
    step = output.size / PART
    index: list[slice] = []
    for size in reversed(output.shape[2:]):
        some = min(size, max(1, math.ceil(step)))
        index.append(slice(None, None, some))
        step /= some
    kept: tuple[Any, ...] = (slice(None), slice(None), *reversed(index))
    part: Array = output[kept]
    return part


def ends(output: Array) -> tuple[float, float]:
    """The values where it was cut off: so many elements have them, and hardly any lies beyond.

    Infinite where nothing was: zeros of a ReLU, limits of a dtype and of a clip are such ends. A
    defect beyond one is no other end.
    """
    some = a_part(output)
    if some.dtype.kind == "c":
        return -np.inf, np.inf
    values, counts = np.unique(some[np.isfinite(some)], return_counts=True)
    often = np.flatnonzero(counts > max(2, SHARE * some.size))
    if len(values) < 2 or not often.size:
        return -np.inf, np.inf
    low, high = often[0], often[-1]
    below, above = counts[:low].sum(), counts[high + 1 :].sum()
    # Where most of it is one number, it lies at that side of it where less lies beyond.
    alone = low == high
    least = below <= BEYOND * counts[low] and not (alone and above < below)
    most = above <= BEYOND * counts[high] and not (alone and below <= above)
    return float(values[low]) if least else -np.inf, float(values[high]) if most else np.inf


def telling(values: Array, limits: tuple[float, float]) -> Array:
    """Which values are finite and no end."""
    marked: Array = np.isfinite(values)
    if values.dtype.kind != "c":
        marked = marked & (values > limits[0]) & (values < limits[1])
    return marked


@dataclass(frozen=True)
class Traits:
    """The traits of an output.

    ``format`` is the coarsest of float64, float32 that holds all of it, or ``integer``;
    ``narrow`` the coarser ones that do, too. ``whole`` says that all numbers are integers,
    ``limits`` are the ends where something was cut off, ``bulk`` those between which most of it
    lies, defects or not.
    """

    format: str
    is_complex: bool
    narrow: tuple[str, ...]
    whole: bool
    limits: tuple[float, float]
    least: float
    most: float
    bulk: tuple[float, float]
    spread: float
    integer: str | None
    size: int
    telling: int
    finite: bool
    literal: Literal

    @property
    def unit(self) -> float:
        """The unit roundoff of the format."""
        return PRECISIONS.get(self.format, 2.0**-53)

    @property
    def modulus(self) -> float | None:
        """The size of the integer dtype, where results may have wrapped by it: they fill half."""
        if self.format != "integer" or self.integer is None:
            return None
        size = 2.0 ** np.iinfo(self.integer).bits
        return size if self.most - self.least >= size / 2 else None

    def steps(self, values: Array) -> Array:
        """How far numbers of the output's kind are apart, near each of the values."""
        sizes = self._sizes(np.where(np.isfinite(values), values, 0))
        if self.whole:  # large integers are judged in float64
            return np.maximum(spacing(sizes, "float64"), 1.0)
        return spacing(sizes, self.format)

    def grain(self, values: Array) -> Array:
        """How far two results may be apart that are stored alike, though nothing says how.

        Floats are rounded to the format; integers are what they are, as far as float64 has them.
        """
        sizes = self._sizes(values)
        if self.format == "integer":
            grain: Array = np.maximum(2.0**-20, 4 * spacing(sizes, "float64"))
            return grain
        return spacing(sizes, self.format)

    def _sizes(self, values: Array) -> Array:
        """How large values are, or what they are small differences of."""
        return np.maximum(np.abs(values).astype(np.float64), CANCELLED * self.spread)

    def bits(self, values: Array) -> Array:
        """What every element takes as it is."""
        return self.literal.bits(values, self.steps(values))


def traits(output: Array) -> Traits:
    """The traits of an output (N,O,*S)."""
    kind = output.dtype.kind
    some = a_part(output)
    parts = list(blocks(output)) if output.size > some.size else [some]
    finite = all(bool(np.isfinite(part).all()) for part in parts)
    real = [part for part in parts if part.dtype.kind != "c"]
    kept = [part[np.isfinite(part)] for part in real]
    kept = [part for part in kept if part.size]
    whole = bool(kept) and all(np.array_equal(np.rint(part), part) for part in kept)
    formats = _formats(some, parts)
    least = min((float(part.min()) for part in kept), default=-np.inf)
    most = max((float(part.max()) for part in kept), default=np.inf)
    limits = ends(output)
    if kind in "biu":
        lows = np.iinfo(output.dtype) if kind in "iu" else None
        if lows is not None and lows.bits <= 32:
            # An end of the dtype is one, however few elements have it.
            limits = (
                max(limits[0], float(lows.min)),
                min(limits[1], float(lows.max)),
            )
    told = some[telling(some, limits)] if kind != "c" else np.abs(some[np.isfinite(some)])
    return Traits(
        format="integer" if kind in "biu" else formats[0],
        is_complex=kind == "c",
        narrow=() if kind in "biu" else formats[1],
        whole=whole,
        limits=limits,
        least=least,
        most=most,
        bulk=_bulk(some),
        spread=float(np.std(told.astype(np.float64))) if told.size else 0.0,
        integer=_integer(output, least, most) if whole else None,
        size=output.size,
        telling=round(output.size / max(some.size, 1) * told.size),
        finite=finite,
        literal=Literal.of(some),
    )


def _bulk(some: Array) -> tuple[float, float]:
    """The ends that hardly any element lies beyond, a defect's aside."""
    if some.dtype.kind == "c" or not np.isfinite(some).any():
        return -np.inf, np.inf
    kept = some[np.isfinite(some)]
    low, high = np.quantile(kept, [BEYOND, 1 - BEYOND], method="closest_observation")
    return float(low), float(high)


def _formats(some: Array, parts: list[Array]) -> tuple[str, tuple[str, ...]]:
    if some.dtype.kind in "biu":
        return "float64", ()

    def holds(name: str) -> bool:
        return all(
            representable(each, name)
            for part in (some, *parts)
            for each in ((part.real, part.imag) if part.dtype.kind == "c" else (part,))
        )

    if some.dtype.itemsize > (16 if some.dtype.kind == "c" else 8):
        return "float64", ()
    own = "float32" if holds("float32") else "float64"
    narrow = tuple(name for name in ("bfloat16", "float16") if own == "float32" and holds(name))
    return own, narrow


def _integer(output: Array, least: float, most: float) -> str | None:
    """The integer dtype that an output has, or the narrowest that holds what it has."""
    if output.dtype.kind in "iu":
        return output.dtype.name if output.dtype.name in INTEGERS else "int64"
    for name in INTEGERS:
        if np.iinfo(name).min <= least and most <= np.iinfo(name).max:
            return name
    return None
