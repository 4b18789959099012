"""Most elements judged without their exact S, and those that matter with it: half the work.

The threshold of an element lies between what the oracle alone may be off by and that plus the bound
of the largest S that the data allow. A difference outside of that interval is judged, and nearly
all are. For the agreement in bits S is needed of every element, but only to find the few where
|difference| / S may be largest: single precision does that, with its own error allowed for.
What is left in doubt is for the caller to judge by every S, as
:func:`convcheck.comparison.compare` does, whose result is the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.comparison import FULL_BITS, Comparison, number
from convcheck.engine import correlate
from convcheck.rounding import TINY, gamma

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.rounding import Arithmetic

Array = NDArray[Any]

SINGLE = 2.0**-24
"""Unit roundoff of float32."""
LEAST, MOST = 2.0**-60, 2.0**40
"""Thresholds and numbers between which nothing that float32 loses to its range matters."""
SMALLEST = np.finfo(np.float32).smallest_normal
FEW = 16
"""So many elements may have their S made one by one; if there are more, all of them are cheaper."""


def singly(
    x: Array, bank: Array, expected: Array, arithmetic: Arithmetic
) -> tuple[Array, Array, Array] | None:
    """Operands and results in float32, where all their sums are exact in it; None elsewhere.

    Sums are multiples of the quantum and below 2^22 of it: differences of two are exact too.
    """
    reach = 2.0**22 * arithmetic.quantum
    if not arithmetic.exact or x.dtype != np.float64 or not LEAST <= arithmetic.quantum <= MOST:
        return None
    if not max(_reach(np.abs(x), np.abs(bank)).max(), expected.max(), -expected.min()) < reach:
        return None
    with np.errstate(over="ignore", under="ignore"):
        narrow = x.astype(np.float32), bank.astype(np.float32), expected.astype(np.float32)
    whole = (x, bank, expected)
    return narrow if all(map(np.array_equal, narrow, whole)) else None


def _reach(magnitudes: Array, weights: Array) -> NDArray[np.float64]:
    """No less than any S of each filter (R,K,…): the largest sample times all of the filter."""
    sums = weights.sum(axis=(2, 3, 4), dtype=np.float64)
    largest = float(magnitudes.max()) * (1 + 8 * gamma(weights[0, 0].size + 8))
    return np.asarray(sums * largest)


@dataclass(frozen=True)
class Screen:
    """What is known of S and of the thresholds of one tile.

    ``magnitudes`` |x| (C,H,W) and ``weights`` |filters| (R,K,C,Fh,Fw) are what S is made of;
    ``near`` (R,K,h,w) is S, with a relative error below ``slack``. ``floors`` (K) are the oracle's
    own bounds, and ``limits`` (R,K) no less than the bound of any element's sum: a threshold is
    between the floor and both together. ``home`` is the row that the oracle computes.
    """

    arithmetic: Arithmetic
    magnitudes: Array
    weights: Array
    near: NDArray[np.float32]
    slack: float
    floors: NDArray[np.float64]
    limits: NDArray[np.float64]
    home: int

    @classmethod
    def of(
        cls, x: Array, bank: Array, arithmetic: Arithmetic, floors: NDArray[np.float64], home: int
    ) -> Screen | None:
        """For filters (R,K,C,Fh,Fw); None where the numbers are too small or too large for it."""
        magnitudes, weights = np.abs(x), np.abs(bank)
        terms = weights[0, 0].size
        exact = x.dtype == np.float32  # as they are only where that is exact
        slack = 0.0 if exact else 4 * gamma(terms + 8, SINGLE)
        # Nothing smaller than this is an S or a threshold, but 0.
        least = np.where(floors > 0, floors, arithmetic.quantum if arithmetic.exact else 0.0)
        most = max(magnitudes.max(), weights.max(), floors.max())
        if not (least.min() >= LEAST and most <= MOST and slack < 0.1):
            return None
        rows, count = weights.shape[:2]
        flat = weights.reshape(rows * count, *weights.shape[2:])
        near = correlate(
            magnitudes[None].astype(np.float32, copy=False),
            flat.astype(np.float32, copy=False),
            (1, 1),
            (1, 1),
        )[0]
        return cls(
            arithmetic,
            magnitudes,
            weights,
            near.reshape(rows, count, *near.shape[1:]),
            slack,
            floors,
            arithmetic.bound(_reach(magnitudes, weights), terms),
            home,
        )

    def judge(
        self, row: int, values: Array, expected: Array, origin: Sequence[int]
    ) -> Comparison | None:
        """What :func:`convcheck.comparison.compare` says of a row; None where it is in doubt."""
        difference = np.abs(values - expected)
        peaks = difference.reshape(len(difference), -1).max(axis=1).astype(np.float64)
        if not np.isfinite(peaks).all():
            return None
        ceilings = self.floors + self.limits[row]
        mismatched = 0
        if (peaks > self.floors).any():
            mismatched = _count(difference, ceilings)
            if self.limits[row].any() and mismatched != _count(difference, self.floors):
                return None
        k = int(np.argmax(np.where(peaks > ceilings, peaks, -1.0) if mismatched else peaks))
        place = np.unravel_index(int(np.argmax(difference[k])), difference.shape[1:])
        worst = (k, *map(int, place))
        bits = self._agreement(row, difference) if peaks.any() else FULL_BITS
        if bits is None:
            return None
        return Comparison(
            mismatched=mismatched,
            total=difference.size,
            max_abs_diff=float(peaks[k]),
            worst_index=tuple(i + int(o) for i, o in zip(worst, origin, strict=True)),
            actual=number(values[worst]),
            expected=number(expected[worst]),
            threshold=self._threshold(self._size(row, worst), k),
            agreement_bits=bits,
        )

    def apart(self, a: int, b: int, values: Array) -> bool | None:
        """Whether two rows differ by more than rounding explains; None where it is in doubt."""
        doubt = False
        for one, other, limit in zip(
            values[a], values[b], self.limits[a] + self.limits[b], strict=True
        ):
            largest = np.abs(one - other).max()
            if largest > limit:  # mostly the first filter tells
                return True
            doubt = doubt or largest > 0
        return None if doubt else False

    def _agreement(self, row: int, difference: Array) -> float | None:
        """-log2 of the largest |difference| / S, as :class:`Comparison` has it."""
        # Rounded down, as no scale may be taken for larger than it is.
        least = np.nextafter(self.floors.astype(np.float32), np.float32(0))
        ratio = np.maximum(self.near[row], self.near[self.home])
        np.maximum(ratio, np.maximum(least, SMALLEST)[:, None, None], out=ratio)
        with np.errstate(over="ignore", under="ignore"):
            np.divide(difference.astype(np.float32, copy=False), ratio, out=ratio)
        slack = self.slack + 8 * SINGLE
        first = int(np.argmax(ratio))
        if float(ratio.flat[first]) * (1 + slack) < 2.0**-FULL_BITS:
            return FULL_BITS
        largest = self._ratio(row, difference, first)
        if largest < 1:
            others = np.flatnonzero(ratio >= np.float32(largest * (1 - slack)))
            if len(others) > FEW:
                return None
            largest = max(self._ratio(row, difference, int(i)) for i in (first, *others))
        return min(FULL_BITS, max(0.0, -math.log2(largest)))

    def _ratio(self, row: int, difference: Array, flat: int) -> float:
        k, *corner = (int(i) for i in np.unravel_index(flat, difference.shape))
        place = (k, *corner)
        size = self._size(row, place)
        scale = max(size, self._size(self.home, place), self._threshold(size, k), TINY)
        return float(difference[place]) / scale

    def _size(self, row: int, place: tuple[int, ...]) -> float:
        """S of one element, in float64."""
        k, *corner = place
        weights = self.weights[row, k]
        window = (slice(a, a + n) for a, n in zip(corner, weights.shape[1:], strict=True))
        samples = self.magnitudes[(slice(None), *window)]
        return float(np.dot(samples.ravel().astype(np.float64), weights.ravel().astype(np.float64)))

    def _threshold(self, size: float, k: int) -> float:
        terms = self.weights[0, 0].size
        return float(self.arithmetic.bound(np.array(size), terms) + self.floors[k])


def _count(difference: Array, limits: Array) -> int:
    """How many elements are beyond the limit of their filter."""
    limits = limits.astype(difference.dtype)  # float32 is only compared with 0
    return int(np.count_nonzero(difference > limits[:, None, None]))
