"""Between what numbers each element was before it was rounded, clipped or rectified.

An element at a dtype's limit says only on which side of it the sum was, and a rectified zero that
the sum was not positive. So scale and biases that give an output are those of a few inequalities.
With the scale chosen each channel's bias lies between two numbers; how far these are apart the
wrong way is a convex function of the scale.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.block import Judge
from convcheck.checks.identify.numerals import plainest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from convcheck.convention import Convention

Array = NDArray[Any]

ANCHORS = 8
"""Elements of a channel that each of its others is held against."""
QUICK = 8
"""Elements by which most hypotheses are rejected."""
STEPS = 80
"""Halvings of what the scale can be: more than a float64 has digits."""
TIGHT = 2.0**-40
SLACK = 1e-3


@dataclass(frozen=True)
class Bounds:
    """The lowest and the highest that each element can have been; infinite where that is open."""

    low: Array
    high: Array

    @classmethod
    def of(cls, convention: Convention, target: Array, usable: Array) -> Bounds:
        """Of integers before the convention's arithmetic; all is open of what is not usable."""
        how, _, kind = convention.arithmetic.partition(":")
        rectified = convention.activation == "relu"
        if how == "saturate":
            limits = np.iinfo(kind)
            bounds = cls.rounded(target, (limits.min, limits.max), rectified=rectified)
        else:
            bounds = cls.truncated(target, rectified=rectified)
        bounds.low[~usable], bounds.high[~usable] = -np.inf, np.inf
        return bounds

    @classmethod
    def rounded(cls, output: Array, limits: Sequence[float], *, rectified: bool) -> Bounds:
        """Of integers that were rounded to the nearest and clipped at the limits."""
        low, high = output - 0.5, output + 0.5
        low[(output <= limits[0]) | (rectified & (output == 0))] = -np.inf
        high[output >= limits[1]] = np.inf
        return cls(low, high)

    @classmethod
    def measured(cls, output: Array, room: Array, *, rectified: bool) -> Bounds:
        """Of numbers that may be off by ``room``."""
        low, high = output - room, output + room
        low[rectified & (output <= 0)] = -np.inf
        return cls(low, high)

    @classmethod
    def truncated(cls, output: Array, *, rectified: bool) -> Bounds:
        """Of integers whose fraction was cut off."""
        low = output - (output <= 0)
        high = output + (output >= 0)
        low[rectified & (output == 0)] = -np.inf
        return cls(low, high)


def inside(bounds: Bounds, channels: Sequence[int], *, exact: bool) -> Judge:
    """Hypotheses of which one scale, and a bias for each channel, take every sample into bounds."""
    # A little more than the bounds: sums at the very middle between two integers may go either way.
    low, high = bounds.low - SLACK, bounds.high + SLACK
    members: dict[int, list[int]] = defaultdict(list)
    for s, channel in enumerate(channels):
        members[channel].append(s)
    ordered = sorted(members.values(), key=lambda m: -sum(np.isfinite(low[m] + high[m])))
    first: list[int] = []
    for some in ordered:
        first += _extremes(some, low, high)
    first = first[:QUICK]

    def possible(values: Mapping[int, Array], among: set[int], shape: tuple[int, ...]) -> Array:
        """Whether there is such a scale, above zero or below it: of one over it, the range."""
        highest, lowest = np.full(shape, np.inf), np.full(shape, -np.inf)
        least, most = np.full(shape, -np.inf), np.full(shape, np.inf)
        for some in ordered:
            for i, j in _pairs([s for s in some if s in among], low, high):
                # The scale times the difference of the sums is at least this.
                step = float(low[i] - high[j])
                turn = values[i] - values[j]
                turn *= 1 / step if step else math.inf
                if step > 0:
                    np.minimum(highest, turn, out=highest)
                    np.maximum(lowest, turn, out=lowest)
                else:
                    np.maximum(least, turn, out=least)
                    np.minimum(most, turn, out=most)
        above = (highest > 0) & (highest >= least)
        passed: Array = above | ((lowest < 0) & (lowest <= most))
        return passed

    def quick(values: Mapping[int, Array]) -> Array:
        return possible(values, set(first), values[first[0]].shape)

    def votes(values: Array) -> Array:
        count = len(values)
        good = possible(dict(enumerate(values)), set(range(count)), values.shape[1:])
        return np.where(good, count, 0)

    told = ([s for s in some if s in first] for some in ordered)
    enough = len(first) > 2 and any(any(_pairs(some, low, high)) for some in told)
    return Judge(tuple(first) if enough else (), len(low), quick, votes, exact)


def _extremes(some: Sequence[int], low: Array, high: Array) -> list[int]:
    """Of a channel the elements that say most: the ends and the middle, and one at each limit."""
    inner = [s for s in some if np.isfinite(low[s]) and np.isfinite(high[s])]
    inner.sort(key=lambda s: float(low[s]))
    above = [s for s in some if not np.isfinite(high[s])][:1]
    below = [s for s in some if not np.isfinite(low[s])][:1]
    return [
        *dict.fromkeys([*inner[:1], *inner[-1:], *above, *below, *inner[len(inner) // 2 :][:1]])
    ]


def _pairs(some: Sequence[int], low: Array, high: Array) -> Iterator[tuple[int, int]]:
    """Pairs of one channel of which the first has a lowest and the second a highest number."""
    inner = [s for s in some if np.isfinite(low[s]) and np.isfinite(high[s])]
    inner.sort(key=lambda s: float(low[s]))
    step = max(1, math.ceil(len(inner) / ANCHORS))
    anchors = {*inner[::step], *inner[-1:]}
    open_ended = [s for s in some if s not in inner]
    for i in some:
        for j in some:
            told = i in anchors or j in anchors or (i in open_ended and j in open_ended)
            if i != j and told and np.isfinite(low[i]) and np.isfinite(high[j]):
                yield i, j


def lines(sums: Array, bounds: Bounds) -> Iterator[tuple[float, tuple[float, ...] | None]]:
    """Scales and biases that take every sum (N,O,H,W) into its bounds, the plainest numbers first.

    Nothing where there are none.
    """
    v, low, high = (
        np.moveaxis(a, 1, 0).reshape(a.shape[1], -1) for a in (sums, bounds.low, bounds.high)
    )
    alone = factors(v, low, high)
    for scale in _scales(*alone) if alone else ():
        yield scale, None

    found = _range(v, low, high)
    for scale in _scales(*found) if found else ():
        bias = plainest_bias(sums, scale, bounds)
        if bias != ():
            yield scale, bias


def plainest_bias(sums: Array, scale: float, bounds: Bounds) -> tuple[float, ...] | None:
    """The plainest biases that take every sum into its bounds: None for zeros, () if none do."""
    least = (bounds.low - scale * sums).max(axis=(0, 2, 3))
    most = (bounds.high - scale * sums).min(axis=(0, 2, 3))
    if (least > most).any():
        return ()
    bias = tuple(plainest(*each) for each in zip(least.tolist(), most.tolist(), strict=True))
    return bias if any(bias) else None


def factors(v: Array, low: Array, high: Array) -> tuple[float, float] | None:
    """The factors that alone take every number into its bounds."""
    if ((v == 0) & ((low > 0) | (high < 0))).any():
        return None
    seen = v != 0
    ends = np.stack([low[seen] / v[seen], high[seen] / v[seen]])
    least = float(ends.min(axis=0).max(initial=-np.inf))
    most = float(ends.max(axis=0).min(initial=np.inf))
    return (least, most) if least <= most else None


def _range(v: Array, low: Array, high: Array) -> tuple[float, float] | None:
    """The scales with which every channel has a bias: the middle by bisection, then the ends."""
    each = np.arange(len(v))

    def apart(scale: float) -> tuple[float, float]:
        """By how much the bounds of a bias exclude each other, and how that grows by the scale."""
        bottom, top = low - scale * v, high - scale * v
        i, j = bottom.argmax(axis=1), top.argmin(axis=1)
        gap = bottom[each, i] - top[each, j]
        o = int(gap.argmax())
        return float(gap[o]), float(v[o, j[o]] - v[o, i[o]])

    seen = np.concatenate([low[np.isfinite(low)], high[np.isfinite(high)]])
    spread = float(np.ptp(v))
    if not seen.size or not spread:
        return None
    steps = np.diff(np.unique(v))
    far = 2 * (float(np.ptp(seen)) + 1) / max(float(steps.min()), TIGHT * spread)
    left, right = -far, far
    for _ in range(STEPS):
        middle = (left + right) / 2
        gap, rise = apart(middle)
        if gap <= 0:
            break
        left, right = (left, middle) if rise > 0 else (middle, right)
    else:
        return None

    def edge(end: float) -> float:
        """How far from the middle to an end the scale can be."""
        inside, outside = middle, end
        for _ in range(STEPS):
            half = (inside + outside) / 2
            inside, outside = (half, outside) if apart(half)[0] <= 0 else (inside, half)
        return inside

    return edge(-far), edge(far)


def _scales(least: float, most: float) -> list[float]:
    """Scales out of a range, from plain to precise; none of them zero."""
    found = [1.0] if least <= 1 <= most else []
    if most > 0:
        found.append(plainest(max(least, min(most, 1.0) / 2), most))
    if least < 0:
        found.append(plainest(least, min(most, max(least, -1.0) / 2)))
    if math.isfinite(least + most):
        found.append((least + most) / 2)
    return [number for number in dict.fromkeys(found) if number]
