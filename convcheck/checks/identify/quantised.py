"""The numbers of a layer on integers, solved on all of its output, and how its scale is applied.

Where sums and outputs are integers, an element says between which numbers ``scale * sum + bias``
was, and those of a channel leave a small polygon of scales and biases open. Integer arithmetic
(:mod:`convcheck.convention.multiplier`) knows no bias but an integer of the sum's units, and no
scale but an integer times a power of two: of the ones in the polygon those are tried whose results
are the output to the bit. A larger multiplier makes larger numbers, so that the ones that give an
element are a range, and bisection finds its ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.intervals import most_meeting
from convcheck.convention.multiplier import multiplied, shifted
from convcheck.convention.storage import round_half
from convcheck.score import likeliest

if TYPE_CHECKING:
    from convcheck.convention import Storage

Array = NDArray[Any]

BITS = {"float32": 24, "fixed": 31, "fixed_twice": 31}
"""The bits of a multiplier."""
WAYS = (("half_away", "fixed_twice"), ("half_up", "fixed"), ("half_even", "float32"))
GRID = 65
"""Scales that are looked at side by side."""
MOST = 96
"""Biases of a channel that are tried, in units of its sums."""
SPREAD = 0.289
"""The standard deviation of what rounding to integers takes."""
TABLE = 1 << 19
"""Elements times candidates that are looked at at once."""


class Polygon(NamedTuple):
    """What a channel leaves open: scales, the biases between which each of them may be.

    ``near`` are the elements that say so: those that are not far from a tie.
    """

    scales: Array
    low: Array
    high: Array
    near: NDArray[np.intp]

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest scale; that of the narrowest miss, where none is open."""
        room = self.high - self.low
        inside = self.scales[room >= min(0.0, float(room.max()))]
        return float(inside[0]), float(inside[-1])

    def bias(self, scale: float) -> tuple[float, float]:
        """The biases that a scale leaves open."""
        found = (float(np.interp(scale, self.scales, side)) for side in (self.low, self.high))
        low, high = sorted(found)
        return low, high


@dataclass(frozen=True)
class Channel:
    """The sums of a channel, and the least and the greatest integer that each became.

    They are infinite where the output was cut off.
    """

    sums: Array
    low: Array
    high: Array

    def biases(self, scale: float) -> tuple[float, float]:
        """The biases that a known scale leaves open; infinite where there are none, or all."""
        low = float((self.low - 0.5 - scale * self.sums).max())
        high = float((self.high + 0.5 - scale * self.sums).min())
        return (low, high) if low <= high else (-np.inf, np.inf)

    def polygon(self, scale: float, bias: float, loose: float) -> Polygon | None:
        """What the elements leave open around a rough scale and bias.

        Ties may be off by ``loose``. None where too few elements tell.
        """
        told = np.isfinite(self.low) & np.isfinite(self.high)
        p, y = self.sums[told], self.low[told]
        error, spread = np.inf, 0.0
        for far in (6.0, 2.0, 1.0, 0.75):
            some = np.abs(y - scale * p - bias) <= far
            spread = float(np.std(p[some])) if some.any() else 0.0
            if np.count_nonzero(some) < 3 or spread == 0:
                return None
            x, t = p[some] - p[some].mean(), y[some]
            scale = float(np.dot(x, t) / np.dot(x, x))
            bias = float(t.mean() - scale * p[some].mean())
            error = 5 * SPREAD / np.sqrt(np.count_nonzero(some))
        made = scale * self.sums + bias
        room = np.minimum(self.high + 0.5 - made, made - self.low + 0.5)
        off = loose + error * (1 + np.abs(self.sums - p.mean()) / spread)
        near = np.flatnonzero(np.abs(room) <= off)
        if not len(near):
            return None
        ends: Array = scale + error / spread * np.array([-1.0, 1.0])
        for _ in range(4):
            p, low, high = self.sums[near], self.low[near] - 0.5, self.high[near] + 0.5
            scales = np.linspace(ends[0], ends[1], GRID)
            below, above = low - loose - scales[:, None] * p, high + loose - scales[:, None] * p
            least, most = below.max(axis=1), above.min(axis=1)
            missed = float(np.max(most - least)) + (scales[1] - scales[0]) * float(np.ptp(p)) < 0
            if missed:  # by elements that are exceptions: the others meet somewhere
                counts, places = most_meeting(below, above)
                at = int(np.argmax(counts))
                place = places[at]
                slack = (scales[1] - scales[0]) * np.abs(p - p.mean())
                kept = (below[at] - slack <= place) & (above[at] + slack >= place)
                near, p, low, high = near[kept], p[kept], low[kept], high[kept]
                least, most = below[:, kept].max(axis=1), above[:, kept].min(axis=1)
            fit = np.flatnonzero(most - least >= min(0.0, float(np.max(most - least))))
            ends = scales[[max(fit[0] - 1, 0), min(fit[-1] + 1, GRID - 1)]]
        # Of the elements those are left that something in the polygon puts beyond a tie.
        s, b = np.concatenate([scales[fit]] * 2), np.concatenate([least[fit], most[fit]])
        lines = s[:, None] * p + b[:, None]
        told = (lines.min(axis=0) < low + loose) | (lines.max(axis=0) > high - loose)
        return Polygon(scales, least, most, near[told])


class Tried(NamedTuple):
    """Candidates of a channel: zero points, biases in units of the sums, and ranges of multipliers.

    ``wrong`` counts the elements that the best of a range does not give.
    """

    zero: Array
    bias: Array
    first: Array
    last: Array
    exponent: int
    wrong: NDArray[np.int64]


def tried(
    channel: Channel, open_: Polygon, zeros: Array, rounding: str, way: str, slack: float
) -> Tried:
    """What the polygon has of a way's multipliers and biases, for every zero point."""
    fit = open_.high - open_.low >= min(0.0, float(np.max(open_.high - open_.low)))
    scales = open_.scales[fit]
    low, high = np.sort([open_.low[fit], open_.high[fit]], axis=0)
    zero: list[float] = []
    bias: list[float] = []
    for z in zeros:
        ends = (np.stack([low, high]) - z) / scales
        least, most = int(np.ceil(ends.min() - 0.5)), int(np.floor(ends.max() + 0.5))
        middle = (least + most) // 2
        some = range(max(least, middle - MOST // 2), min(most, middle + MOST // 2) + 1)
        zero += [float(z)] * len(some)
        bias += map(float, some)
    exponent = int(np.frexp(np.median(scales))[1])
    made = _Made(channel, open_.near, rounding, way, exponent)
    z, b = np.array(zero), np.array(bias)
    from_, to = made.parts(made.scales, z, b, np.full(len(z), slack))
    # Of every zero point the candidates that real numbers do not exclude; else the nearest one.
    gap = np.maximum(from_ - to, 0.0)
    least_gap = np.full(len(zeros), np.inf)
    which = np.searchsorted(np.sort(zeros), z)
    np.minimum.at(least_gap, which, gap)
    kept = gap <= least_gap[which]
    z, b, from_, to = z[kept], b[kept], from_[kept], to[kept]
    unit = np.ldexp(1.0, exponent - BITS[way])
    low, high = np.floor(np.minimum(from_, to) / unit), np.ceil(np.maximum(from_, to) / unit)
    first, last, wrong = made.parts(made.ranges, z, b, low - 1, high + 1)
    return Tried(z, b, first, last, exponent, wrong.astype(np.int64))


@dataclass(frozen=True)
class _Made:
    """The elements near a tie, as multipliers make them."""

    channel: Channel
    near: NDArray[np.intp]
    rounding: str
    way: str
    exponent: int

    def off(self, zero: Array, bias: Array, k: Array) -> tuple[Array, Array]:
        """How many elements a multiplier is too small for, and too large."""
        held = self.channel.sums[self.near] + bias[:, None]
        if self.way == "float32":
            scale = np.ldexp(k, self.exponent - BITS[self.way])[:, None]
            made = multiplied(held * scale, scale, self.way)
        else:
            q, e = k.astype(np.int64)[:, None], np.array(self.exponent)
            made = shifted(held.astype(np.int64), q, e, self.way)
        whole = round_half(made, self.rounding) + zero[:, None]
        below, above = whole < self.channel.low[self.near], whole > self.channel.high[self.near]
        up = held >= 0
        small, large = np.where(up, below, above), np.where(up, above, below)
        return small.sum(axis=1).astype(float), large.sum(axis=1).astype(float)

    def parts(self, of: Callable[..., tuple[Array, ...]], *candidates: Array) -> list[Array]:
        """What a method makes of candidates, so many at once as memory is good for."""
        step = max(1, TABLE // max(len(self.near), 1))
        found = [
            of(*(each[at : at + step] for each in candidates))
            for at in range(0, len(candidates[0]), step)
        ]
        return [np.concatenate(each) for each in zip(*found, strict=True)]

    def scales(self, zero: Array, bias: Array, slack: Array) -> tuple[Array, Array]:
        """Between which real scales candidates give the elements, ties off by ``slack``."""
        held = self.channel.sums[self.near] + bias[:, None]
        low = self.channel.low[self.near] - 0.5 - (slack + zero)[:, None]
        high = self.channel.high[self.near] + 0.5 + (slack - zero)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            a, b = low / held, high / held
        least, most = np.where(held > 0, a, b), np.where(held > 0, b, a)
        none = held == 0
        return (
            np.where(none, -np.inf, least).max(axis=1),
            np.where(none, np.inf, most).min(axis=1),
        )

    def ranges(
        self, zero: Array, bias: Array, low: Array, high: Array
    ) -> tuple[Array, Array, Array]:
        """The least multiplier that is too small for none, the largest that is too large for none.

        Where the former is the larger, one that is wrong for few is all that there is.
        """

        def least(enough: Callable[[tuple[Array, Array]], Array]) -> Array:
            """The smallest that is enough, as all are that are larger."""
            a, b = low - 1, high + 1
            while np.any(b - a > 1):
                middle = np.floor(0.5 * (a + b))
                right = enough(self.off(zero, bias, middle))
                a, b = np.where(right, a, middle), np.where(right, middle, b)
            return b

        first = least(lambda off: off[0] == 0)
        last = least(lambda off: off[1] > 0) - 1
        empty = first > last
        wrong = np.zeros(len(zero))
        if empty.any():
            zero, bias, low, high = (each[empty] for each in (zero, bias, low, high))
            some = [first[empty], last[empty], least(lambda off: off[0] <= off[1])]
            counts = np.stack([np.add(*self.off(zero, bias, k)) for k in some])
            best = np.take_along_axis(np.stack(some), counts.argmin(axis=0)[None], 0)[0]
            first[empty], last[empty], wrong[empty] = best, best, counts.min(axis=0)
        return first, last, wrong


class Solved(NamedTuple):
    """Scales and biases of all channels, biases in units of sums, and what they do not give."""

    storage: Storage
    scales: tuple[float, ...]
    biases: tuple[float, ...]
    widths: tuple[float, ...]
    wrong: int


def solved(
    channels: Sequence[Channel],
    opened: Sequence[Polygon],
    storages: Sequence[Storage],
    slack: float,
    *,
    shared: bool,
) -> Solved:
    """The multipliers and biases that give the most, under one of storages that differ in zero.

    ``shared`` says that all channels have one scale. The first of the storages wins a tie.
    """
    zeros = np.array([float(s.zero_point) for s in storages])
    lost = np.zeros(len(zeros), np.int64)
    every: list[Tried] = []
    order = np.argsort(zeros)
    first = storages[0]
    for channel, open_ in zip(channels, opened, strict=True):
        kept = zeros[lost <= lost.min() + 1]
        found = tried(channel, open_, kept, first.rounding, first.multiplier, slack)
        every.append(found)
        each = np.full(len(zeros), 1 << 30, np.int64)
        np.minimum.at(each, order[np.searchsorted(zeros[order], found.zero)], found.wrong)
        lost += each
    bits = BITS[first.multiplier]
    least = [int(at) for at in np.flatnonzero(lost == lost.min())]
    at, one = least[0], 0.0
    if shared:  # which a zero point has to allow, too
        most = -1
        for other in least:
            count, scale = _in_most([_of_zero(found, zeros[other]) for found in every], bits)
            if count > most:
                most, at, one = count, other, scale
    picked = [_of_zero(found, zeros[at]) for found in every]
    if shared:
        scales = (one,) * len(picked)
        picked = [_with(found, one, bits) for found in picked]
        widths: tuple[float, ...] = (2.0**-bits * one,)
    else:
        ends = [_ends(found, _plainest(found), bits) for found in picked]
        scales = tuple(likeliest(*pair) for pair in ends)
        widths = tuple(b - a for a, b in ends)
    chosen = [_plainest(found) for found in picked]
    biases = tuple(float(f.bias[i]) for f, i in zip(picked, chosen, strict=True))
    return Solved(storages[at], scales, biases, widths, int(lost[at]))


def _of_zero(found: Tried, zero: float) -> Tried:
    some = found.zero == zero
    zeros, bias, first, last = (
        each[some] for each in (found.zero, found.bias, found.first, found.last)
    )
    return Tried(zeros, bias, first, last, found.exponent, found.wrong[some])


def _ends(found: Tried, i: int, bits: int) -> tuple[float, float]:
    first, last = (float(np.ldexp(k[i], found.exponent - bits)) for k in (found.first, found.last))
    return first, last


def _plainest(found: Tried) -> int:
    """No bias where that is as good; else the one that leaves the most multipliers open."""
    best = np.flatnonzero(found.wrong == found.wrong.min())
    none = best[found.bias[best] == 0]
    return int(none[0] if len(none) else best[np.argmax((found.last - found.first)[best])])


def _in_most(every: Sequence[Tried], bits: int) -> tuple[int, float]:
    """How many channels one scale gives at most, by some bias each; and that scale."""
    spans = []
    for found in every:
        unit = np.ldexp(1.0, found.exponent - bits)
        best = found.wrong == found.wrong.min()
        spans.append((found.first[best] * unit, found.last[best] * unit))
    starts = np.unique(np.concatenate([first for first, _ in spans]))
    covered = np.zeros(len(starts), np.int64)
    for first, last in spans:
        covered += ((first <= starts[:, None]) & (starts[:, None] <= last)).any(axis=1)
    start = starts[int(np.argmax(covered))]
    ends = [
        last[(first <= start) & (start <= last)].max()
        for first, last in spans
        if np.any((first <= start) & (start <= last))
    ]
    return int(covered.max()), likeliest(float(start), float(min(ends)))


def _with(found: Tried, scale: float, bits: int) -> Tried:
    """The candidates by whether they have this scale; others count as wrong."""
    unit = np.ldexp(1.0, found.exponent - bits)
    k = np.rint(scale / unit)
    beyond = (k < found.first) | (k > found.last)
    return found._replace(wrong=found.wrong + beyond)


def loose(way: str, scale: float, most: float) -> float:
    """By how much a way's ties may lie elsewhere than those of real numbers."""
    own = most * (2.0**-22 if way == "float32" else 2.0**-29) + 1e-9
    return own + (0.51 * 2.0 ** float(np.frexp(scale)[1]) if way == "fixed_twice" else 0.0)


def zero_points(storage: Storage, *, every: bool) -> Iterator[int]:
    """The storage's own zero point, none, and, where wanted, all that a byte has."""
    yield storage.zero_point
    if every:
        if storage.zero_point:
            yield 0
        if np.dtype(storage.dtype).itemsize == 1:
            low, high = (int(v) for v in storage.limits)
            yield from (
                z for z in sorted(range(low, high + 1), key=abs) if z not in (0, storage.zero_point)
            )
