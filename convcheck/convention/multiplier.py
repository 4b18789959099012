"""How integer arithmetic applies a scale to sums: what is rounded later, to the bit.

Layers on integers add a bias to the sum, in the sum's own units, and multiply the accumulator of
32 bits by a factor. That is done in single precision, or by an integer of 31 bits and a shift:
``scale = q * 2**-31 * 2**e``, q the nearest integer. A shift of the whole product rounds once;
taking its upper half first, rounded (gemmlowp's "saturating rounding doubling high multiply"), and
shifting the rest then rounds twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MULTIPLIERS = ("real", "float32", "fixed", "fixed_twice")
_WHOLE = 2.0**-18
"""How far from an integer float64 may have moved an accumulator, scaled and back."""


def multiplied(y: Array, scale: Array | float, way: str) -> Array:
    """The numbers ``y = scale * accumulator`` as one of ``MULTIPLIERS`` makes them: float64.

    The accumulator is the nearest integer; for ``float32`` any number that is not that near to one.
    It saturates at 32 bits.
    """
    if way == "real":
        return y
    scale = np.asarray(scale, np.float64)
    with np.errstate(all="ignore"):
        accumulator = np.nan_to_num(y.astype(np.float64) / scale)
    whole = np.rint(accumulator)
    if way == "float32":
        near = np.abs(accumulator - whole) <= _WHOLE
        accumulator = np.where(near, whole, accumulator).astype(np.float32)
        single: Array = (accumulator * scale.astype(np.float32)).astype(np.float64)
        return single
    return shifted(_int32(whole), *fixed_point(scale), way)


def shifted(held: Array, q: Array, e: Array, way: str) -> Array:
    """Accumulators, int64, by a multiplier and an exponent: as far as it is done before rounding.

    What is rounded then is a number of float64.
    """
    left = np.maximum(e, 0)
    if way == "fixed_twice":
        if np.any(left):
            held = _int32(held * 2.0**left)
        high = held * q + (1 << 30) >> 31
        rest: Array = np.ldexp(1.0, e - left) * high
        return rest
    # Quarters say all that rounding needs: the last of them is set where anything is left over.
    product, dropped = held * q, 29 - e
    sticky = (product & ((np.int64(1) << dropped) - 1)) != 0
    quarters: Array = ((product >> dropped) | sticky).astype(np.float64)
    return 0.25 * quarters


def fixed_point(scale: Array | float) -> tuple[Array, Array]:
    """The multiplier q and the exponent e of scales: int64, 0 below what a shift can reach."""
    fraction, exponent = np.frexp(np.asarray(scale, np.float64))
    q, e = np.rint(fraction * 2.0**31).astype(np.int64), exponent.astype(np.int64)
    over = np.abs(q) == 1 << 31
    q, e = np.where(over, q // 2, q), np.where(over, e + 1, e)
    return np.where(e < -31, 0, q), np.clip(e, -31, 29)


def _int32(whole: Array) -> Array:
    held: Array = np.clip(whole, -(2.0**31), 2.0**31 - 1).astype(np.int64)
    return held
