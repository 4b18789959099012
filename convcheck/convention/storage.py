"""How numbers are stored: precisions, and integers that round, wrap or saturate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention.multiplier import multiplied

Array = NDArray[Any]

PRECISIONS: Mapping[str, float] = MappingProxyType(
    {"exact": 0.0, "float64": 2.0**-53, "float32": 2.0**-24, "tf32": 2.0**-11}
    | {"float16": 2.0**-11, "bfloat16": 2.0**-8}
)
"""Unit roundoff of every arithmetic, rounding to nearest."""
ROUNDINGS = ("half_even", "half_away", "half_up", "toward_zero", "down")
OVERFLOWS = ("saturate", "wrap")
FLOATS = ("float64", "float32", "float16", "bfloat16")
INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "int64")


@dataclass(frozen=True)
class Storage:
    """How a number is stored: ``zero_point`` is added, then it is rounded, then made to fit.

    A float's dtype rounds to nearest, ties to even, whatever ``rounding`` and ``overflow`` say.
    A ``multiplier`` that is not real makes the number by integer arithmetic; then the zero point
    is added to what was rounded.
    """

    dtype: str = "uint8"
    zero_point: int = 0
    rounding: str = "half_even"
    overflow: str = "saturate"
    multiplier: str = "real"

    @property
    def is_integer(self) -> bool:
        """Whether integers are stored."""
        return self.dtype in INTEGERS

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest number that the dtype holds."""
        if not self.is_integer:
            return -np.inf, np.inf
        limits = np.iinfo(self.dtype)
        return float(limits.min), float(limits.max)

    def multiplied(self, y: Array, scale: Array | float) -> Array:
        """What ``multiplier`` makes of numbers, of accumulators times ``scale``."""
        return multiplied(y, scale, self.multiplier) if self.is_integer else y

    def apply(self, y: Array) -> Array:
        """The numbers as they are stored, once they are multiplied."""
        if not self.is_integer:
            return round_to(y + self.zero_point if self.zero_point else y, self.dtype)
        dtype, limits = np.dtype(self.dtype), np.iinfo(self.dtype)
        if self.multiplier != "real":
            y = round_half(y, self.rounding)  # ties as the accumulators have them
        elif y.dtype.kind in "iu":  # which need no rounding, and of which float64 might lose some
            whole = y.astype(np.int64) + self.zero_point
            if self.overflow == "saturate":
                return np.clip(whole, limits.min, limits.max).astype(dtype)
            return whole.astype(dtype)
        rounded = round_half(y.astype(np.float64) + self.zero_point, self.rounding)
        if self.overflow == "saturate":
            kept = np.clip(np.nan_to_num(rounded), limits.min, limits.max)
            # float64 has no 2^63 - 1, and 2^63 cannot be cast.
            beyond = kept >= 2.0**63
            cast = np.where(beyond, 0.0, kept).astype(dtype)
            return np.where(beyond, dtype.type(limits.max), cast)
        # A small negative number modulo 2^64 is no float64.
        small = np.abs(rounded) < 2.0**63
        low = np.where(small, rounded, 0.0).astype(np.int64)
        high = np.where(small, 0.0, np.mod(rounded, 2.0**64)).astype(np.uint64)
        return (low + high.astype(np.int64)).astype(dtype)

    def interval(self, stored: Array) -> tuple[Array, Array]:
        """The least and the greatest number that is stored so: the closed hull, as float64.

        Of integers that wrapped, those within the dtype's range alone; others differ by a multiple
        of its size.
        """
        if not self.is_integer:
            low, high = float_interval(stored, self.dtype)
            return low - self.zero_point, high - self.zero_point
        y = stored.astype(np.float64)
        if self.rounding == "down":
            low, high = y, y + 1
        elif self.rounding == "toward_zero":
            low, high = np.where(y > 0, y, y - 1), np.where(y < 0, y, y + 1)
        else:
            low, high = y - 0.5, y + 0.5
        if self.overflow == "saturate":
            least, most = self.limits
            low = np.where(y <= least, -np.inf, low)
            high = np.where(y >= most, np.inf, high)
        return low - self.zero_point, high - self.zero_point

    def to_dict(self) -> dict[str, Any]:
        """The keys with JSON's own types."""
        return {
            "dtype": self.dtype,
            "zero_point": self.zero_point,
            "rounding": self.rounding,
            "overflow": self.overflow,
            "multiplier": self.multiplier,
        }


def round_half(y: Array, rounding: str) -> Array:
    """Whole numbers, by one of ``ROUNDINGS``."""
    if rounding == "half_even":
        return np.rint(y)
    if rounding == "toward_zero":
        return np.trunc(y)
    if rounding == "down":
        return np.floor(y)
    if rounding == "half_up":
        return _from_half(y, up=y - np.floor(y) >= 0.5)
    size = np.abs(y)
    return np.copysign(_from_half(size, up=size - np.floor(size) >= 0.5), y)


def _from_half(y: Array, up: Array) -> Array:
    rounded: Array = np.floor(y) + up
    return rounded


def round_to(y: Array, precision: str) -> Array:
    """The array in a precision: float32 that holds the format's numbers where numpy has no dtype.

    Complex numbers are rounded in both parts.
    """
    if precision == "exact":
        return y
    if y.dtype.kind == "c":
        wide = y.astype(np.complex128)
        wide.real = round_to(wide.real, precision)
        wide.imag = round_to(wide.imag, precision)
        narrow: Array = wide if precision == "float64" else wide.astype(np.complex64)
        return narrow
    with np.errstate(over="ignore"):
        if precision not in ("tf32", "bfloat16"):
            return y.astype(precision)
        # To nearest even on the bits that a float32 has more than these formats. From float64 they
        # are taken at once: rounding twice would move numbers that lie near a tie.
        dropped = 13 if precision == "tf32" else 16
        narrow32 = y.astype(np.float32)
        if y.dtype == np.float64:
            narrow32 = _to_odd(y, narrow32)
        bits = narrow32.view(np.uint32)
    odd = (bits >> np.uint32(dropped)) & np.uint32(1)
    half = np.uint32((1 << (dropped - 1)) - 1)
    rounded = ((bits + half + odd) >> np.uint32(dropped)) << np.uint32(dropped)
    found: Array = np.where(np.isfinite(narrow32), rounded.view(np.float32), narrow32)
    return found


def _to_odd(y: Array, near: Array) -> Array:
    """float32 with the last bit set where it is not ``y`` itself: rounding again is safe then."""
    toward = np.where(near.astype(np.float64) > y, -np.inf, np.inf).astype(np.float32)
    inexact = np.isfinite(near) & (near.astype(np.float64) != y)
    even = (near.view(np.uint32) & np.uint32(1)) == 0
    return np.where(inexact & even, np.nextafter(near, toward), near).astype(np.float32)


def representable(array: Array, precision: str) -> bool:
    """Whether every finite number of the array is one of the precision's."""
    if precision == "exact":
        return True
    finite = array[np.isfinite(array)]
    return bool(np.array_equal(round_to(finite, precision), finite))


def float_interval(stored: Array, precision: str) -> tuple[Array, Array]:
    """The least and the greatest number that rounds to a precision's ``stored``: float64."""
    y = stored.astype(np.float64)
    half = 0.5 * spacing(y, precision)
    return y - half, y + half


def spacing(y: Array, precision: str) -> Array:
    """How far the numbers of a precision are apart near ``y``: float64."""
    digits = {"float64": 52, "float32": 23, "tf32": 10, "float16": 10, "bfloat16": 7}[precision]
    least = {"float64": -1074, "float16": -24}.get(
        precision, -149 if digits == 23 else -126 - digits
    )
    exponent = np.where(y == 0, least, np.frexp(np.abs(y))[1] - 1)
    step: Array = np.ldexp(1.0, np.maximum(exponent - digits, least))
    return step
