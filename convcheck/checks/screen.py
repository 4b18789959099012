"""Most elements judged without their exact S, and those that matter with it: half the work.

The threshold of an element lies between what the oracle alone may be off by and that plus the bound
of the largest S that the data allow. A difference outside of that interval is judged, and nearly
all are. For the agreement in bits S is needed of every element, but only to find the few where
|difference| / S may be largest. No row's scale is less than the S of the oracle's own row, so that
one finds them for all rows, in single precision, with its own error allowed for.
What is left in doubt is for the caller to judge by every S, as
:func:`convcheck.comparison.compare` does, whose result is the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
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
AT_ONCE = 128
"""Elements whose S are made together, the likeliest to have the largest ratio first."""
MOST_LOOKS = 16
"""After so many times of those all S of a row are cheaper."""


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
    ``home`` is the row that the oracle computes, and ``near`` (K,h,w) its S, with a relative error
    below ``slack``, or the floor, where that is more. ``floors`` (K) are the oracle's own bounds,
    and ``limits`` (R,K) no less than the bound of any element's sum: a threshold is between the
    floor and both together.
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

        ``near`` (K,h,w) is S of the row ``home``, or away from it by ``off`` (K) at most; None
        where that is much.
        """
        least = near.min(axis=(1, 2)).astype(np.float64) - off
        sure = (least >= np.maximum(LEAST, 10 * off)) & (limits <= MOST)
        sure &= (limits == 0) | (limits >= LEAST)
        if not sure.all() or max(magnitudes.max(), weights.max()) > MOST:
            return None
        whole = Arithmetic(np.dtype(np.float64), exact=True, quantum=0.0, input_roundings=0)
        nothing, slack = np.zeros(weights.shape[:2]), float((off / least).max())
        near = _above(near, limits)
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
        near = correlate(
            magnitudes[None].astype(np.float32, copy=False),
            weights[home].astype(np.float32, copy=False),
            (1, 1),
            (1, 1),
        )[0]
        return cls(
            arithmetic,
            magnitudes,
            weights,
            _above(near, floors),
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
            tops[k] = self._ratios(k, difference).max() if peaks[k] > 0 else 0.0
        k = int(np.argmax(np.where(peaks > ceilings, peaks, -1.0) if mismatched else peaks))
        difference = _apart(values[k], expected[k])
        flat = np.array([np.argmax(difference)])
        worst = (k, *(int(i[0]) for i in np.unravel_index(flat, difference.shape)))
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
            threshold=float(self._thresholds(self._sizes(row, k, flat), k)[0]),
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

    def _ratios(self, k: int, difference: Array) -> NDArray[np.float32]:
        """About |difference| / S of a filter's elements, or more, as S is that of ``home``."""
        with np.errstate(over="ignore", under="ignore"):
            ratio: NDArray[np.float32] = difference.astype(np.float32)
            np.divide(ratio, self.near[k], out=ratio)
        return ratio

    def _agreement(
        self, row: int, values: Array, expected: Array, tops: NDArray[np.float64]
    ) -> float | None:
        """-log2 of the largest |difference| / S; ``tops`` are no less than each filter's."""
        slack = self.slack + 8 * SINGLE
        if tops.max() * (1 + slack) < 2.0**-FULL_BITS:
            return FULL_BITS
        largest, looks = 0.0, 0
        for k in map(int, np.argsort(-tops)):
            if tops[k] < largest * (1 - slack):
                break
            difference = _apart(values[k], expected[k])
            ratio = self._ratios(k, difference).ravel()
            likely = np.array([np.argmax(ratio)])
            while len(likely):
                largest = max(largest, self._largest(row, k, difference, likely))
                looks += 1
                if largest >= 1:  # no bit agrees
                    return 0.0
                if looks > MOST_LOOKS:
                    return None
                ratio[likely] = 0
                likely = np.flatnonzero(ratio >= np.float32(largest * (1 - slack)))
                if len(likely) > AT_ONCE:
                    likely = likely[np.argpartition(-ratio[likely], AT_ONCE)[:AT_ONCE]]
        return min(FULL_BITS, -math.log2(largest))

    def _largest(self, row: int, k: int, difference: Array, flat: NDArray[np.intp]) -> float:
        """The largest |difference| / S of a filter's elements ``flat``, with each exact S."""
        sizes = self._sizes(row, k, flat)
        scale = np.maximum(sizes, self._thresholds(sizes, k))
        if row != self.home:
            np.maximum(scale, self._sizes(self.home, k, flat), out=scale)
        apart = difference.ravel()[flat].astype(np.float64)
        with np.errstate(over="ignore"):
            return float((apart / np.maximum(scale, TINY)).max())

    def _sizes(self, row: int, k: int, flat: NDArray[np.intp]) -> NDArray[np.float64]:
        """S of some elements of a filter, in float64."""
        weights = self.weights[row, k]
        rows, columns = divmod(flat, self.near.shape[2])
        samples = self._windows[:, rows, columns].astype(np.float64, copy=False)
        # Not by BLAS, whose sums depend on how many threads it has.
        sizes: NDArray[np.float64] = np.einsum(
            "cnhw,chw->n", samples, weights.astype(np.float64, copy=False)
        )
        return sizes

    @cached_property
    def _windows(self) -> Array:
        """The samples that each element is a sum of, (C,h,w,Fh,Fw)."""
        return sliding_window_view(self.magnitudes, self.weights.shape[3:], axis=(1, 2))

    def _thresholds(self, sizes: NDArray[np.float64], k: int) -> NDArray[np.float64]:
        """What elements with such an S can be off by, with the oracle's."""
        terms = self.weights[0, 0].size
        thresholds: NDArray[np.float64] = self.arithmetic.bound(sizes, terms) + self.floors[k]
        return thresholds


def _above(near: NDArray[np.float32], floors: NDArray[np.float64]) -> NDArray[np.float32]:
    """S of each filter, or its floor: rounded down, as no scale may be taken to be larger."""
    least = np.maximum(np.nextafter(floors.astype(np.float32), np.float32(0)), SMALLEST)
    return np.maximum(near, least[:, None, None], out=near)


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
