"""Preimages: between which arguments an activation gives results between two ends.

Each takes and returns arrays; where there is no argument the first end is above the second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Interval = tuple[Array, Array]


def kept(
    low: Array, high: Array, least: float, most: float, below: float | None = None
) -> Interval:
    """Of what is cut off at both ends: the ends stand for all that lies beyond them.

    ``below`` says how far down results may be; they are no less than ``least`` where it is None.
    """
    empty = (high < (least if below is None else below)) | (low > most)
    left = np.where(low <= least, -np.inf, low)
    right = np.where(high >= most, np.inf, high)
    return np.where(empty, np.inf, left), np.where(empty, -np.inf, right)


def increasing(
    inverse: Callable[[Array], Array], least: float, most: float = np.inf
) -> Callable[..., Interval]:
    """The preimage under what increases from ``least`` to ``most``, both never reached.

    ``inverse`` takes those to infinity.
    """

    def preimage(low: Array, high: Array) -> Interval:
        empty = (high < least) | (low > most)
        below, above = (inverse(np.clip(end, least, most)) for end in (low, high))
        return np.where(empty, np.inf, below), np.where(empty, -np.inf, above)

    return preimage


FALLEN = 800.0
"""So far below its lowest point every activation that dips is 0."""


@dataclass(frozen=True)
class Dip:
    """What falls to ``least`` at ``lowest``, and increases from there to nearly its argument."""

    apply: Callable[[Array], Array]
    lowest: float
    least: float

    def preimage(self, low: Array, high: Array) -> Interval:
        """Results below zero have an argument on either side: they are all between there."""
        below, above = self.rising(low, high)
        return np.where((low <= 0.0) & (below <= above), -np.inf, below), above

    def rising(self, low: Array, high: Array) -> Interval:
        """The arguments where it increases."""
        low, high = np.atleast_1d(low), np.atleast_1d(high)
        empty = high < self.least
        if empty.all():  # without a call: an activation may need scipy
            return np.full(high.shape, np.inf), np.full(high.shape, -np.inf)
        below, above = self._inverse(low), self._inverse(high)
        return np.where(empty, np.inf, below), np.where(empty, -np.inf, above)

    def falling(self, low: Array, high: Array) -> Interval:
        """The arguments where it falls."""
        empty = (high < self.least) | (low > 0.0)
        below = np.where(high >= 0.0, -np.inf, self._inverse(np.minimum(high, 0.0), falls=True))
        above = self._inverse(np.minimum(low, 0.0), falls=True)
        return np.where(empty, np.inf, below), np.where(empty, -np.inf, above)

    def _inverse(self, y: Array, *, falls: bool = False) -> Array:
        y = np.maximum(y, self.least)
        start = np.full(y.shape, self.lowest)
        low, high = (start - FALLEN, start) if falls else (start, np.maximum(y, 0.0) + 2.0)
        for _ in range(64):
            middle = 0.5 * (low + high)
            right = self.apply(middle) >= y if falls else self.apply(middle) < y
            low, high = np.where(right, middle, low), np.where(right, high, middle)
        return 0.5 * (low + high)


def leaky(low: Array, high: Array, slope: float) -> Interval:
    """The preimage under what has a ``slope`` below zero."""
    if slope > 0:
        return np.where(low < 0, low / slope, low), np.where(high < 0, high / slope, high)
    # A result has two arguments then, or any below zero.
    far = high / slope if slope else np.where(low <= 0, -np.inf, low)
    return np.minimum(low, far), high
