"""Scales and biases that most of the elements allow, fewer numbers first.

``p`` are sums, ``low`` and ``high`` the ends between which ``scale * p + bias`` was, element by
element; ``members`` has the elements of each output channel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.intervals import (
    agreed,
    allowed,
    factor,
    line_of,
    meeting,
    weighted_median,
)
from convcheck.score import likeliest, plainest

Array = NDArray[Any]
Numbers = tuple[float | tuple[float, ...], tuple[float, ...] | None]

LEAST = 0.1
"""A line that fewer of the elements are near is none, however its numbers are chosen."""
WIDEST = 8
"""So many channels, those with the most elements, say a scale that all have."""


def numbers(
    p: Array, low: Array, high: Array, members: list[Array], *, sharp: bool = False
) -> Iterator[Numbers]:
    """Scales and biases that most intervals allow: one for all channels, then one for each.

    ``sharp``: a result that was rounded lies between its ends, or is an exception.
    """
    count = len(members)
    told = np.isfinite(low) & np.isfinite(high) & (low <= high)
    z = np.where(told, 0.5 * (low + high), 0.0)
    rng = np.random.default_rng(0)
    # A bias for each channel beside the sums as they are.
    yield 1.0, biases(p, low, high, members, np.ones(count))
    one = factor(p[told], low[told], high[told])
    if one.met:
        for a in _plain_or_exact(one.low, one.high, p, z, told):
            yield a, None
    slopes, weights = np.zeros(count), np.zeros(count)
    for o, these in enumerate(members):
        some = these[told[these]]
        if len(some) >= 2 and np.ptp(p[some]) > 0:
            slopes[o] = agreed(p[some], low[some], high[some], rng)
            weights[o] = len(some)
    known = weights > 0
    if not known.any() or _share_on_lines(p, z, high - low, told, members, slopes) < LEAST:
        return
    shared = weighted_median(slopes[known], weights[known])
    # Of what was cut off one end is known.
    said = ~(np.isinf(low) & np.isinf(high)) & (low <= high) if sharp else told
    for a in _refined(p, low, high, said, members, shared):
        yield a, biases(p, low, high, members, np.full(count, a))
    scales = np.where(known, slopes, shared)
    alone = np.array(
        [
            _one_scale(p[m], low[m], high[m], said[m], s) if len(m) else s
            for m, s in zip(members, scales, strict=True)
        ]
    )
    if sharp:
        least, most = _all_allowed(p, low, high, said, members, alone)
        if least.max() <= most.min():
            a = likeliest(least.max(), most.min())
            yield a, biases(p, low, high, members, np.full(count, a))
        some = (least <= most) & np.isfinite(least)
        alone[some] = list(map(likeliest, least[some].tolist(), most[some].tolist()))
    if count > 1:
        yield tuple(alone.tolist()), biases(p, low, high, members, alone)
        ratios = [factor(p[m][told[m]], low[m][told[m]], high[m][told[m]]) for m in members]
        if all(r.met for r in ratios):
            yield tuple(likeliest(r.low, r.high) for r in ratios), None


def again(
    p: Array, low: Array, high: Array, members: list[Array], scale: Any, *, biased: bool
) -> Numbers | None:
    """The numbers near some that all elements which are about given allow; None where none do."""
    count = len(members)
    said = ~(np.isinf(low) & np.isinf(high)) & (low <= high)
    if biased:
        slopes = np.array(np.broadcast_to(np.asarray(scale, float), count))
        least, most = _all_allowed(p, low, high, said, members, slopes)
    else:
        ranges = [factor(p[m][said[m]], low[m][said[m]], high[m][said[m]]) for m in members]
        least, most = (np.array([getattr(r, end) for r in ranges]) for end in ("low", "high"))
    if not isinstance(scale, tuple):
        least, most = np.full(count, least.max()), np.full(count, most.min())
    if not np.all(least <= most):
        return None
    found = np.array(list(map(likeliest, least.tolist(), most.tolist())))
    if not biased:
        return tuple(found.tolist()), None
    return tuple(found.tolist()), biases(p, low, high, members, found)


def _share_on_lines(
    p: Array, z: Array, room: Array, told: Array, members: list[Array], slopes: Array
) -> float:
    """How many of the telling elements are about on a line of their channel."""
    near = total = 0
    for a, these in zip(slopes, members, strict=True):
        some = these[told[these]]
        if len(some) >= 2:
            rest = z[some] - a * p[some]
            away = np.abs(rest - np.median(rest))
            loose = 2 * room[some] + 0.02 * np.median(np.abs(z[some] - np.median(z[some])))
            near += int(np.count_nonzero(away <= loose))
            total += len(some)
    return near / max(total, 1)


def _all_allowed(
    p: Array, low: Array, high: Array, said: Array, members: list[Array], slopes: Array
) -> tuple[Array, Array]:
    """The scales of every channel by which all elements that are about on its line are on it."""
    least, most = np.full(len(members), -np.inf), np.full(len(members), np.inf)
    groups, around = {}, []
    for o, m in enumerate(members):
        some = m[said[m]]
        if len(some) < 3 or np.ptp(p[some]) == 0:
            continue
        wide = high[some] - low[some]
        room = float(np.median(wide[np.isfinite(wide)])) if np.isfinite(wide).any() else 0.0
        rest = low[some] - slopes[o] * p[some], high[some] - slopes[o] * p[some]
        line = meeting(*rest)
        middle = 0.5 * (line.low + line.high)
        near = (rest[0] - NEARLY * room <= middle) & (middle <= rest[1] + NEARLY * room)
        groups[o] = some[near]
        around.append(4 * room / float(np.ptp(p[some])))
    if groups:
        flat = np.concatenate(list(groups.values()))
        firsts = np.cumsum([0, *(len(g) for g in groups.values())])[:-1]
        which = list(groups)
        found = allowed(p[flat], low[flat], high[flat], firsts, slopes[which], np.array(around))
        least[which], most[which] = found
    return least, most


NEARLY = 0.25
"""Of an interval's width: how far beyond its ends a line may go and still be an element's."""


def _one_scale(p: Array, low: Array, high: Array, told: Array, start: float) -> float:
    """One channel's scale, whatever its bias."""
    if np.count_nonzero(told) < 3:
        return start
    return next(_refined(p, low, high, told, [np.arange(len(p))], start), start)


def _refined(
    p: Array, low: Array, high: Array, told: Array, members: list[Array], start: float
) -> Iterator[float]:
    """A slope near ``start`` in plain numbers, and as exactly as the elements tell it."""
    groups = [m[told[m]] for m in members if np.count_nonzero(told[m]) >= 2]
    groups = sorted(groups, key=lambda g: -len(g))[:WIDEST]
    if not groups or start == 0:
        return
    some = np.concatenate(groups)
    room = (high - low)[some]
    room = room[np.isfinite(room)]
    if not room.size:
        return
    wide = float(np.median(room)) / max(float(np.std(p[some])), 1e-300)
    around = 2 * wide + 1e-9 * abs(start)
    ranges = [line_of(p[g], low[g], high[g], start, around) for g in groups]
    shared = meeting(np.array([r.low for r in ranges]), np.array([r.high for r in ranges]))
    a, b = shared.low, shared.high
    if 2 * shared.met <= len(ranges):
        middle = float(np.median([0.5 * (r.low + r.high) for r in ranges]))
        spread = float(np.median([r.high - r.low for r in ranges]))
        a, b = middle - spread, middle + spread
    yield likeliest(a, b)
    middle = 0.5 * (a + b)
    top = bottom = 0.0
    for group in groups:
        g = group[np.isfinite(high[group] - low[group])]
        if len(g) < 2:
            continue
        t = 0.5 * (low[g] + high[g])
        rest = t - middle * p[g]
        near = np.abs(rest - np.median(rest)) <= 0.5 * (high[g] - low[g]) + 1e-300
        if np.count_nonzero(near) >= 2:
            x = p[g][near] - p[g][near].mean()
            top += float(np.dot(x, t[near] - t[near].mean()))
            bottom += float(np.dot(x, x))
    if bottom > 0:
        fine, error = top / bottom, wide / math.sqrt(len(some))
        yield plainest(fine - error / 4, fine + error / 4)


def _plain_or_exact(low: float, high: float, p: Array, z: Array, told: Array) -> Iterator[float]:
    """The likeliest factor that is allowed, and the one that fits best, to the digits that tell."""
    yield likeliest(low, high)
    x, t = p[told], z[told]
    inside = np.abs(t - 0.5 * (low + high) * x) <= np.abs(x) * (high - low) + 1e-300
    power = float(np.dot(x[inside], x[inside]))
    if power > 0 and high > low:
        fine = float(np.dot(x[inside], t[inside])) / power
        error = (high - low) / math.sqrt(max(int(np.count_nonzero(inside)), 1))
        yield plainest(max(low, fine - error), min(high, fine + error))


def biases(
    p: Array, low: Array, high: Array, members: list[Array], scales: Array
) -> tuple[float, ...] | None:
    """A bias for each channel: one and the same where all allow it, else each one's likeliest."""
    found = [
        meeting(low[m] - a * p[m], high[m] - a * p[m]) for m, a in zip(members, scales, strict=True)
    ]
    a, b = max(r.low for r in found), min(r.high for r in found)
    if a <= b:
        same = likeliest(a, b)
        return None if same == 0 else (same,) * len(members)
    chosen = tuple(
        0.0 if r.low == -np.inf and r.high == np.inf else likeliest(r.low, r.high) for r in found
    )
    return chosen if any(chosen) else None


def circular(gap: Array, width: Array, size: float) -> float:
    """The plainest offset that takes most numbers between two ends, modulo a size."""
    if not len(gap):
        return 0.0
    low = np.concatenate([gap - size, gap])
    found = meeting(low, low + np.concatenate([width, width]))
    return plainest(found.low, found.high)
