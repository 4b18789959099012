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
from convcheck.rounding import SINGLE, TINY, Arithmetic, gamma

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[Any]

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
    def around(
        cls,
        magnitudes: Array,
        weights: Array,
        near: NDArray[np.float32],
        off: NDArray[np.float64],
        limits: NDArray[np.float64],
        home: int,
    ) -> Screen | None:
        """For filters (R,K,C,Fh,Fw) whose elements all have the threshold ``limits`` (K).

        ``near`` (R,K,h,w) is S, or away from it by ``off`` (K) at most; None where that is much.
        """
        least = near.min(axis=(0, 2, 3)).astype(np.float64) - off
        sure = (least >= np.maximum(LEAST, 10 * off)) & (limits <= MOST)
        sure &= (limits == 0) | (limits >= LEAST)
        if not sure.all() or max(magnitudes.max(), weights.max()) > MOST:
            return None
        whole = Arithmetic(np.dtype(np.float64), exact=True, quantum=0.0, input_roundings=0)
        nothing, slack = np.zeros(weights.shape[:2]), float((off / least).max())
        return cls(whole, magnitudes, weights, near, slack, limits, nothing, home)

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
        ceilings = self.floors + self.limits[row]
        peaks, tops = np.empty((2, len(values)))
        mismatched = 0
        for k in range(len(values)):  # filter by filter: that much stays in the cache
            difference = _apart(values[k], expected[k])
            peaks[k] = difference.max()
            if not np.isfinite(peaks[k]):
                return None
            if peaks[k] > self.floors[k]:
                beyond = _count(difference, ceilings[k])
                sure = beyond == difference.size or ceilings[k] == self.floors[k]
                if not sure and beyond != _count(difference, self.floors[k]):
                    return None
                mismatched += beyond
            tops[k] = self._ratios(row, k, difference).max() if peaks[k] > 0 else 0.0
        k = int(np.argmax(np.where(peaks > ceilings, peaks, -1.0) if mismatched else peaks))
        difference = _apart(values[k], expected[k])
        place = np.unravel_index(int(np.argmax(difference)), difference.shape)
        worst = (k, *map(int, place))
        bits = self._agreement(row, values, expected, tops)
        if bits is None:
            return None
        return Comparison(
            mismatched=mismatched,
            total=values.size,
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

    def _ratios(self, row: int, k: int, difference: Array) -> NDArray[np.float32]:
        """About |difference| / S of a filter's elements, as :class:`Comparison` has it."""
        # Rounded down, as no scale may be taken for larger than it is.
        least = max(np.nextafter(np.float32(self.floors[k]), np.float32(0)), SMALLEST)
        ratio: NDArray[np.float32] = np.maximum(self.near[row, k], least)
        if row != self.home:
            np.maximum(ratio, self.near[self.home, k], out=ratio)
        with np.errstate(over="ignore", under="ignore"):
            np.divide(difference.astype(np.float32, copy=False), ratio, out=ratio)
        return ratio

    def _agreement(
        self, row: int, values: Array, expected: Array, tops: NDArray[np.float64]
    ) -> float | None:
        """-log2 of the largest |difference| / S; ``tops`` are about the largest of each filter."""
        slack = self.slack + 8 * SINGLE
        if tops.max() * (1 + slack) < 2.0**-FULL_BITS:
            return FULL_BITS
        largest = 0.0
        for k in map(int, np.argsort(-tops)):
            if tops[k] < largest * (1 - slack):
                break
            difference = _apart(values[k], expected[k])
            ratio = self._ratios(row, k, difference)
            largest = max(largest, self._ratio(row, k, difference, int(np.argmax(ratio))))
            if largest >= 1:  # no bit agrees
                break
            others = np.flatnonzero(ratio >= np.float32(largest * (1 - slack)))
            if len(others) > FEW:
                return None
            largest = max([largest, *(self._ratio(row, k, difference, int(i)) for i in others)])
        return min(FULL_BITS, max(0.0, -math.log2(largest)))

    def _ratio(self, row: int, k: int, difference: Array, flat: int) -> float:
        place = (k, *(int(i) for i in np.unravel_index(flat, difference.shape)))
        size = self._size(row, place)
        scale = max(size, self._size(self.home, place), self._threshold(size, k), TINY)
        return float(difference[place[1:]]) / scale

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


def _apart(values: Array, expected: Array) -> Array:
    """How far they are apart."""
    difference: Array = values - expected
    sizes: Array = np.abs(difference, out=None if difference.dtype.kind == "c" else difference)
    return sizes


def _count(difference: Array, limit: float) -> int:
    """How many elements are beyond the limit."""
    limit = difference.dtype.type(limit)
    if difference.min() > limit:
        return difference.size
    return int(np.count_nonzero(difference > limit))
