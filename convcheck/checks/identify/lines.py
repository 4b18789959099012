"""Judges of what is a line of the sums, or a plane of the sums and their border: few unknowns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.block import Judge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Array = NDArray[Any]

FEW = 6
"""Samples that a hypothesis is looked at with before it is with all, twice as many for a line."""


def linear(
    wanted: Array, tolerance: Array | float, relative: float, *, centred: bool, exact: bool
) -> Judge:
    """Targets are one line of the values; either half of the first samples may say which."""
    allowed = np.broadcast_to(np.asarray(tolerance, np.float64), wanted.shape)
    few = min(2 * FEW, len(wanted))
    halves = [range(0, few, 2), range(1, few, 2)] if few >= 8 else [range(few)]
    usable = [list(h) for h in halves if len(np.unique(wanted[list(h)])) > 3]
    rounds = [_apart(h, wanted, centred=centred) for h in usable]
    first = tuple(s for which in rounds for s in which)

    def quick(values: Mapping[int, Array]) -> Array:
        alive = np.zeros(values[first[0]].size, bool)
        for which in rounds:
            found = np.flatnonzero(line(values, which))
            others = [s for s in first if s not in which]
            if found.size and others:
                # The other half has an element on the same line, unless it is corrupt throughout.
                few_values = {s: values[s].ravel()[found].astype(np.float64) for s in first}
                near = [on(few_values, which, s) for s in others]
                found = found[np.any(near, axis=0)]
            alive[found] = True
        return alive

    def line(values: Mapping[int, Array], which: Sequence[int]) -> Array:
        t, slack, fine = wanted[which], float(allowed[which].max()), 2 * relative
        if centred:
            # The line through the two ends, at the third.
            a = values[which[1]] - values[which[0]]
            b = values[which[2]] - values[which[0]]
            t, slack, fine = t[1:] - t[0], 2 * slack, 2 * fine
        else:
            a, b = (values[s] for s in which)
        off = b * t[0]
        off -= a * t[1]
        sizes = np.abs(a)
        sizes += np.abs(b)
        limit = sizes * slack
        limit += fine * (abs(t[0]) + abs(t[1]))
        passed: Array = (np.abs(off, out=off) <= limit) & (sizes > 0)
        return passed

    def on(values: Mapping[int, Array], which: Sequence[int], s: int) -> Array:
        v, t = values[which[1]], wanted[which[1]]
        origin, level = (values[which[0]], wanted[which[0]]) if centred else (0.0, 0.0)
        run, rise = v - origin, t - level
        if not centred:
            larger = np.abs(values[which[0]]) > np.abs(run)
            run = np.where(larger, values[which[0]], run)
            rise = np.where(larger, wanted[which[0]], rise)
        slope = rise / np.where(run != 0, run, np.inf)
        reach = 2 + 2 * np.abs(values[s] - origin) / np.where(run != 0, np.abs(run), np.inf)
        room = (allowed[s] + 2 * relative * np.abs(slope)) * 2 * reach
        passed: Array = np.abs(wanted[s] - level - slope * (values[s] - origin)) <= room
        return passed

    def votes(values: Array) -> Array:
        best = np.zeros(values.shape[1:], np.int64)
        for half in usable:
            v, t = values[half], wanted[half].reshape(-1, 1)
            middle, level = (v.mean(axis=0), t.mean(axis=0)) if centred else (0.0, 0.0)
            v, t = v - middle, t - level
            power = np.einsum("m...,m...->...", v, v)
            slope = np.einsum("m...,m...->...", v, np.broadcast_to(t, v.shape))
            slope = slope / np.where(power > 0, power, 1)
            lost = relative * np.abs(slope)
            good = (np.abs(t - slope * v) <= allowed[half, None] + lost).all(axis=0) & (slope != 0)
            if len(values) > few:
                # The other samples may be further out than those that the line was drawn by.
                off = np.abs(wanted[:, None] - level - slope * (values - middle))
                reach = 1 + np.abs(values - middle) / np.maximum(np.abs(v).max(axis=0), 1e-300)
                room = (allowed[:, None] + relative * np.abs(slope)) * (1 + 2 * reach)
                counted = enough(off <= room)
            else:
                counted = np.full(good.shape, len(half))
            # A line so steep that what is lost of the sums explains anything ranks behind others.
            counted = counted - (4 * lost > np.ptp(t))
            best = np.maximum(best, np.where(good, counted, 0))
        return best

    return Judge(first, few, quick, votes, exact)


def plane(wanted: Array, slack: float, *, centred: bool, exact: bool) -> Judge:
    """Targets are a sum of multiples of the values and of their borders', and of a constant.

    ``centred`` says that there is that constant.
    """
    few = min(2 * FEW, len(wanted))
    # Two more than there are unknowns: fewer samples would fit by luck.
    least = 5 if centred else 4
    halves = [[*range(0, few, 2)], [*range(1, few, 2)]] if few >= 2 * least else [[*range(few)]]
    usable = [h for h in halves if len(h) >= least and len(np.unique(wanted[h])) > 3]
    rounds = [_spaced(h, wanted, 4 if centred else 3) for h in usable]
    first = tuple(way(s) for which in rounds for s in which for way in (_same, _border))

    def quick(values: Mapping[int, Array]) -> Array:
        alive = np.zeros(values[first[0]].size, bool)
        for which in rounds:
            level, area = flat(values, which)
            found = np.flatnonzero(level & (area > 0))
            others = [s for half in rounds for s in half if s not in which]
            if found.size and others:
                # As for a line: the other half has an element on the same plane, or, where none
                # of these meets the border, on the same line.
                some = {s: v.ravel()[found] for s, v in values.items()}
                near = [flat(some, [*which[:-1], s])[0] for s in others]
                found = found[np.any(near, axis=0)]
            alive[found] = True
        return alive

    def flat(values: Mapping[int, Array], which: Sequence[int]) -> tuple[Array, Array]:
        t = wanted[which]
        v, e = ([values[way(s)] for s in which] for way in (_same, _border))
        if centred:
            t, v, e = t[1:] - t[0], [a - v[0] for a in v[1:]], [a - e[0] for a in e[1:]]
        volume = np.zeros(v[0].shape, v[0].dtype)
        area, whole = np.zeros_like(volume), np.zeros_like(volume)
        for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
            one, other = v[j] * e[k], v[k] * e[j]
            minor = one - other
            volume += t[i] * minor
            area += np.abs(minor)
            whole += abs(t[i]) * (np.abs(one) + np.abs(other))
        return np.abs(volume) <= slack * area + 2.0**-18 * whole, area

    def votes(values: Array) -> Array:
        count = len(values) // 2
        v, e = values[:count].T, values[count:].T
        columns = np.stack([v, e, np.ones_like(v)] if centred else [v, e], axis=-1)
        sizes = np.abs(columns).max(axis=1, keepdims=True)
        columns = columns / np.where(sizes > 0, sizes, 1)
        best = np.zeros(len(v), np.int64)
        for half in usable:
            some = columns[:, half]
            # The normal equations: what they lose of a plane that is nearly a line, room is left.
            turned = some.swapaxes(1, 2)
            inverse = np.linalg.pinv(turned @ some, rcond=1e-10, hermitian=True)
            solved = inverse @ (turned @ wanted[half])[..., None]
            parts = columns * solved.swapaxes(1, 2)
            off = np.abs(parts.sum(axis=-1) - wanted[:count])
            room = 4 * (slack + 2.0**-18 * np.abs(parts).sum(axis=-1))
            fits = off <= room
            total = np.count_nonzero(fits, axis=1)
            good = fits[:, half].all(axis=1) & (np.abs(e[:, half]).max(axis=1) > 0)
            best = np.maximum(best, np.where(good & (total >= needed(count)), total, 0))
        return best

    return Judge(first, few, quick, votes, exact)


def of_pairs(judge: Judge, pairs: int) -> Judge:
    """A judge of differences, for so many pairs of samples; each channel's bias drops out of these.

    Other samples may come after them.
    """

    def apart(s: int) -> tuple[int, int]:
        return (2 * s, 2 * s + 1) if s >= 0 else (~(2 * ~s), ~(2 * ~s + 1))

    def quick(values: Mapping[int, Array]) -> Array:
        return judge.quick({s: values[apart(s)[1]] - values[apart(s)[0]] for s in judge.first})

    def votes(values: Array) -> Array:
        if judge.bordered:
            return judge.votes(values[1::2] - values[::2])
        return judge.votes(values[1 : 2 * pairs : 2] - values[: 2 * pairs : 2])

    first = tuple(each for s in judge.first for each in apart(s))
    return Judge(first, 2 * judge.few, quick, votes, judge.exact)


def needed(samples: int) -> int:
    """The votes that a hypothesis needs: two thirds of many, all of one or two."""
    return -(-2 * samples // 3)


def enough(fits: Array) -> Array:
    """Of each hypothesis (columns) the samples that fit, or zero where they are too few."""
    votes = np.count_nonzero(fits, axis=0)
    kept: Array = np.where(votes >= needed(len(fits)), votes, 0)
    return kept


def _same(s: int) -> int:
    return s


def _border(s: int) -> int:
    return ~s


def _spaced(half: list[int], wanted: Array, count: int) -> list[int]:
    """So many samples of a half, of values as far apart from one another as there are."""
    order = sorted(half, key=lambda s: float(wanted[s].real))
    return [order[i] for i in np.linspace(0, len(order) - 1, count).round().astype(int)]


def _apart(half: list[int], wanted: Array, *, centred: bool) -> list[int]:
    """The samples of a half whose values are furthest apart: those say most about a line."""
    if centred:
        order = sorted(half, key=lambda s: float(wanted[s].real))
        return [order[0], order[-1], order[len(order) // 2]]
    order = sorted(half, key=lambda s: float(abs(wanted[s])))
    return [order[-1], order[-2]]
