"""Unknown numbers from intervals: what most of the elements allow, and the plainest of it.

Every stored number is an interval for the number before it was stored. One unknown is found where
most of the intervals meet; a line (a scale and a bias) on what most of them let through. What does
not meet is left out, not averaged: a defect moves nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcheck.score import number_bits

Array = NDArray[Any]

PAIRS = 64
"""Pairs of elements whose slopes are looked at, for each channel."""
HALVINGS = 40
"""Steps by which the ends of what is allowed are found."""
GRID = 17
"""Slopes that are tried side by side around an estimate."""


class Range(NamedTuple):
    """An unknown between two ends; ``met`` is how many elements allow it."""

    low: float
    high: float
    met: int


def meeting(low: Array, high: Array) -> Range:
    """Where most of the intervals meet."""
    kept = (low <= high) & ~(np.isneginf(low) & np.isposinf(high))
    low, high = low[kept], high[kept]
    if not low.size:
        return Range(-np.inf, np.inf, 0)
    ends = np.concatenate([low, high])
    # At one place intervals open before others close.
    order = np.argsort(ends, kind="stable")
    depth = np.cumsum(np.where(order < len(low), 1, -1))
    at = int(np.argmax(depth))
    return Range(float(ends[order[at]]), float(ends[order[at + 1]]), int(depth[at]))


def factor(p: Array, low: Array, high: Array) -> Range:
    """The factor that takes most of ``p`` between ``low`` and ``high``."""
    some = np.abs(p) > 1e-12 * np.abs(p).max(initial=0.0)
    p, low, high = p[some], low[some], high[some]
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = low / p, high / p
    return meeting(np.where(p > 0, a, b), np.where(p > 0, b, a))


def slope(p: Array, z: Array, rng: np.random.Generator) -> float:
    """The weighted median of the slopes between elements of one channel (Theil and Sen)."""
    i, j = rng.integers(len(p), size=(2, PAIRS))
    run = p[j] - p[i]
    far = np.abs(run) > 0
    if not far.any():
        return 0.0
    found = (z[j] - z[i])[far] / run[far]
    return weighted_median(found, np.abs(run[far]))


def agreed(p: Array, low: Array, high: Array, rng: np.random.Generator) -> float:
    """The slope of a line that half of the elements are on, or else that most of them are.

    Where a defect spoils more pairs than not, the median of all is no slope of any.
    """
    start = slope(p, 0.5 * (low + high), rng)
    some = rng.permutation(len(p))[:PAIRS]
    p, low, high = p[some], low[some], high[some]
    i, j = rng.integers(len(p), size=(2, PAIRS))
    run, rise = p[i] - p[j], 0.5 * (low + high)[i] - 0.5 * (low + high)[j]
    # What is one number throughout is on a line as well, but says no slope.
    tried = np.append(start, (rise / np.where(run, run, 1))[run * rise != 0])
    tried = tried[tried != 0] if tried.any() else tried
    # The median alone, where it will do: most are no defect's.
    for slopes in (tried[:1], tried):
        met, _ = most_meeting(low - slopes[:, None] * p, high - slopes[:, None] * p)
        if met.max() > len(p) / 2:
            break
    return float(slopes[np.argmax(met)])


def weighted_median(values: Array, weights: Array) -> float:
    """The value below and above which the weights are equal."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order[int(np.searchsorted(total, 0.5 * total[-1]))]])


def line_of(p: Array, low: Array, high: Array, start: float, around: float) -> Range:
    """The slopes around ``start`` by which most elements lie on one line, by any bias."""
    best = Range(start, start, -1)
    for _ in range(4):
        tried = start + around * np.linspace(-1, 1, GRID)
        counts, _ = most_meeting(low - tried[:, None] * p, high - tried[:, None] * p)
        most = np.flatnonzero(counts == counts.max())
        # The longest run of the best slopes is the one that the elements leave open.
        runs = np.split(most, np.flatnonzero(np.diff(most) > 1) + 1)
        run = max(runs, key=len)
        best = Range(float(tried[run[0]]), float(tried[run[-1]]), int(counts.max()))
        start = 0.5 * (best.low + best.high)
        around *= 2 / (GRID - 1) * max(len(run), 2)
        if len(run) > GRID // 2:
            break
    return best


def most_meeting(low: Array, high: Array) -> tuple[Array, Array]:
    """How many of the intervals of each row meet at most, and a place where they do."""
    low, high = np.sort(low, axis=1), np.sort(high, axis=1)
    counts, places = np.empty(len(low), np.int64), np.empty(len(low))
    # At the place where one opens: those that have opened, less those that have closed.
    opened = np.arange(1, low.shape[1] + 1)
    for row, (a, b) in enumerate(zip(low, high, strict=True)):
        depth = opened - np.searchsorted(b, a, side="left")
        at = int(np.argmax(depth))
        counts[row], places[row] = depth[at], a[at]
    return counts, places


def allowed(
    p: Array, low: Array, high: Array, firsts: Array, start: Array, around: Array
) -> tuple[Array, Array]:
    """The slopes near ``start`` by which all of a group lie between their ends, by some bias each.

    Groups lie one after the other and begin at ``firsts``. How far the ends are apart, along lines
    of one slope, is concave in the slope: all that is allowed lies around its greatest value. Where
    nothing is, the first slope is larger than the second.
    """
    group = np.repeat(np.arange(len(firsts)), np.diff([*firsts, len(p)]))

    def room(slopes: Array) -> Array:
        line = slopes[group] * p
        found: Array = np.minimum.reduceat(high - line, firsts)
        return found - np.maximum.reduceat(low - line, firsts)

    left, right = start - around, start + around
    for _ in range(HALVINGS):
        third = (right - left) / 3
        rises = room(left + third) < room(right - third)
        left, right = np.where(rises, left + third, left), np.where(rises, right, right - third)
    best = 0.5 * (left + right)
    ends = []
    for end in (start - around, start + around):
        inner, outer = best, end
        for _ in range(HALVINGS):
            middle = 0.5 * (inner + outer)
            inside = room(middle) >= 0
            inner, outer = np.where(inside, middle, inner), np.where(inside, outer, middle)
        ends.append(inner)
    none = room(best) < 0
    return np.where(none, np.inf, ends[0]), np.where(none, -np.inf, ends[1])


def plain_numbers(most: float) -> list[float]:
    """Numbers that take no more than ``most`` bits, the plainest first, of either sign."""
    whole = [float(n) for n in range(1, int(2 ** (most / 2)) + 1)]
    tenths = [n / 10 for n in range(1, 10)]
    every = {*whole, *(1 / n for n in whole), *tenths}
    signed = {s * n for n in every for s in (1.0, -1.0)}
    return sorted((n for n in signed if number_bits(n) <= most), key=lambda n: (number_bits(n), n))
