"""Two arrays of one shape, element beside element: how far apart they are, and in what units."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention import representable
from convcheck.convention.storage import spacing

Array = NDArray[Any]

DIGITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
"""Significant bits of every format."""
SLICE = 16
"""Elements from which on a slice says how large its numbers are."""
DISTINCT = 32
"""Different numbers from which on it is no accident that a format of few bits holds all."""


@dataclass(frozen=True)
class Pair:
    """REF's elements, placed, beside MINE's; both as stored, of one shape."""

    ref: Array
    mine: Array

    def turned(self) -> Pair:
        """The same with the two in each other's place."""
        return Pair(self.mine, self.ref)

    @cached_property
    def x(self) -> Array:
        """REF's in double precision."""
        return widened(self.ref)

    @cached_property
    def y(self) -> Array:
        """MINE's in double precision."""
        return widened(self.mine)

    @cached_property
    def same(self) -> Array:
        """Which elements are the same number, or both NaN."""
        return equal(self.ref, self.mine)

    @cached_property
    def format(self) -> str:
        """The coarser of the two formats: what rounding errors are counted in."""
        a, b = format_of(self.ref), format_of(self.mine)
        if a == "integer" or b == "integer":
            return b if a == "integer" else a
        # Numbers of few bits in a wider dtype may be exact: then only both together say it.
        own = [_declared(self.ref), _declared(self.mine)]
        coarse = min((a, b), key=DIGITS.__getitem__)
        fine = max((a, b), key=DIGITS.__getitem__)
        return coarse if coarse in own or coarse == "float32" else fine

    @cached_property
    def size(self) -> Array:
        """How large the numbers around each element are: REF's root mean square.

        Of each slice along each axis the least counts, so that large numbers elsewhere excuse
        nothing.
        """
        return local_size(self.x)

    @cached_property
    def steps(self) -> Array:
        """The spacing of MINE's kind of numbers beside every element of MINE."""
        return step_of(self.y, format_of(self.mine))

    @property
    def is_complex(self) -> bool:
        """Whether either is."""
        return "c" in (self.ref.dtype.kind, self.mine.dtype.kind)

    @cached_property
    def ulps(self) -> Array:
        """How far apart, in units in the last place of the coarser format at the local size."""
        return distance(self.x, self.y, self.size, self.format)


def widened(array: Array) -> Array:
    """In double precision; what is no number stays what it is."""
    with np.errstate(all="ignore"):
        return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def equal(a: Array, b: Array) -> Array:
    """Which elements are the same number, or both NaN, whatever the dtypes."""
    if {a.dtype.kind, b.dtype.kind} & {"i", "u"} and a.dtype != b.dtype:
        wide = np.clongdouble if "c" in (a.dtype.kind, b.dtype.kind) else np.longdouble
        a, b = a.astype(wide), b.astype(wide)  # float64 has not every integer
    with np.errstate(invalid="ignore"):
        found: Array = a == b
        if a.dtype.kind in "fc" and b.dtype.kind in "fc":
            found = found | (np.isnan(a) & np.isnan(b))
    return found


def step_of(values: Array, form: str) -> Array:
    """How far numbers of a format are apart near each of the values."""
    if form == "integer":
        return np.ones(values.shape)
    return spacing(np.abs(np.where(np.isfinite(values), values, 0.0)), form)


def distance(x: Array, y: Array, size: Array, form: str) -> Array:
    """|x - y| in units in the last place at ``size`` or at ``x``, whichever is larger.

    Infinite where one is not finite and the other is not the same.
    """
    with np.errstate(all="ignore"):
        apart = np.abs(x - y)
        unit = step_of(np.maximum(np.abs(np.where(np.isfinite(x), x, 0.0)), size), form)
        found = np.where(np.isfinite(apart), apart / unit, np.inf)
    found[(x == y) | (np.isnan(x) & np.isnan(y))] = 0.0
    return found


def format_of(array: Array) -> str:
    """What numbers are stored in: the dtype's format, or the one that its numbers show."""
    own = _declared(array)
    if own in ("integer", "float16"):
        return own
    real = array.real if array.dtype.kind == "c" else array
    some = real[np.isfinite(real)]
    few = some[:4096]
    if len(np.unique(few)) < DISTINCT:
        return own
    if np.array_equal(np.rint(few), few) and np.array_equal(np.rint(some), some):
        return own
    if own == "float64" and not representable(some, "float32"):
        return own
    narrow = (
        name
        for name in ("bfloat16", "float16")
        if representable(few, name) and representable(some, name)
    )
    return next(narrow, "float32")


def _declared(array: Array) -> str:
    """The format of an array's dtype."""
    if array.dtype.kind in "biu":
        return "integer"
    bits = array.dtype.itemsize * (4 if array.dtype.kind == "c" else 8)
    return {16: "float16", 32: "float32"}.get(bits, "float64")


def local_size(x: Array) -> Array:
    """The least root mean square of the slices that an element lies in, beside every element."""
    sizes = np.abs(np.where(np.isfinite(x), x, 0.0))
    most = float(sizes.max(initial=0.0)) or 1.0
    squares = (sizes / most) ** 2  # which would overflow, or underflow, as they are
    size = np.asarray(np.sqrt(squares.mean()))
    for axis, length in enumerate(x.shape):
        if length > 1 and x.size // length >= SLICE:
            others = tuple(a for a in range(x.ndim) if a != axis)
            size = np.minimum(size, np.sqrt(squares.mean(axis=others, keepdims=True)))
    return most * size


@dataclass(frozen=True)
class Spread:
    """How |MINE - REF| is distributed over the elements that are finite in both.

    ``absolute``, ``relative`` (of |REF|, where it is not 0) and ``ulp`` (of ``format``, at the
    larger of the two) are each the median, what 99 of 100 elements do not exceed, and the largest.
    ``worst`` is where the largest is in MINE. ``nonfinite`` counts elements that are NaN or
    infinite in REF and in MINE, ``clash`` those where only one is, or they are not the same.
    """

    elements: int
    equal: int
    absolute: tuple[float, float, float]
    relative: tuple[float, float, float] | None
    ulp: tuple[float, float, float] | None
    format: str
    worst: tuple[int, ...] | None
    values: tuple[float | complex, float | complex] | None
    correlation: float | None
    nonfinite: tuple[int, int]
    clash: int


def spread(pair: Pair) -> Spread:
    """The distribution of the difference."""
    x, y, same = pair.x, pair.y, pair.same
    both = np.isfinite(x) & np.isfinite(y)
    clash = ~both & ~same
    nonfinite = tuple(int(np.count_nonzero(~np.isfinite(v))) for v in (x, y))
    with np.errstate(all="ignore"):
        apart = np.abs(y - x)
        form = pair.format
        told = both & (x != 0)
        relative = (apart / np.abs(x))[told]
        larger = np.maximum(np.abs(x), np.abs(y))
        ulp = None if form == "integer" else (apart / step_of(larger, form))[both]
    worst, values = None, None
    if both.any():
        at = np.unravel_index(int(np.argmax(np.where(both, apart, -1.0))), x.shape)
        worst, values = tuple(map(int, at)), (_item(x[at]), _item(y[at]))
    return Spread(
        elements=x.size,
        equal=int(np.count_nonzero(same)),
        absolute=_three(apart[both]) or (0.0, 0.0, 0.0),
        relative=_three(relative),
        ulp=None if ulp is None else _three(ulp),
        format=form,
        worst=worst,
        values=values,
        correlation=_correlation(x[both], y[both]),
        nonfinite=nonfinite,  # type: ignore[arg-type]
        clash=int(np.count_nonzero(clash)),
    )


def _item(value: Any) -> float | complex:
    return complex(value) if np.iscomplexobj(value) else float(value)


def _three(values: Array) -> tuple[float, float, float] | None:
    if not values.size:
        return None
    middle, most = np.quantile(values, [0.5, 0.99], method="higher")
    return float(middle), float(most), float(values.max())


def _correlation(x: Array, y: Array) -> float | None:
    if x.size < 3 or x.dtype.kind == "c" or y.dtype.kind == "c":
        return None
    largest = max(float(np.abs(x).max()), float(np.abs(y).max())) or 1.0
    a, b = x / largest - np.mean(x / largest), y / largest - np.mean(y / largest)
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / size) if size > 0 else None
