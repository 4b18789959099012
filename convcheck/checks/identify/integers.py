"""Layers on integers: forms whose numbers are solved on all of the output, and how they act."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.areas import is_large
from convcheck.checks.identify.elements import Elements
from convcheck.checks.identify.quantised import WAYS, Channel, Polygon, loose, solved, zero_points
from convcheck.checks.identify.whole import Held, hold
from convcheck.checks.sums import Linear
from convcheck.convention import Storage
from convcheck.convention.channels import read_output
from convcheck.score import key_bits, likeliest, number_bits, numbers_bits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convcheck.checks.identify.forms import Form
    from convcheck.checks.sums import Problem
    from convcheck.convention import Convention
    from convcheck.traits import Traits

Array = NDArray[Any]

SOME = 1 << 16
"""Elements of an output that is too large to be held."""
FITTED = 10.0
"""Bits of a scale that was measured, and not thought of."""
WRONG = 0.3
"""With more exceptions a form says nothing of how its numbers are rounded."""


def multiplied(problem: Problem, held: Held, traits: Traits) -> Held:
    """The form that gives most with numbers solved on all of the output, and how they multiply."""
    if not held.wrong_count or not rounds(held):
        return held
    channels = channels_of(problem, held)
    whole = is_whole_sum(problem, held)
    best = held
    for form in chain(in_reals(channels, held), ways(channels, held) if whole else ()):
        other = hold(problem, form, traits)
        best = other if other.score.total < best.score.total else best
        if not best.wrong_count:
            break
    return best


def left_open(problem: Problem, held: Held, traits: Traits) -> Iterator[str]:
    """Whether a layer on integers may as well be one that rounds twice, and what would tell."""
    c = held.convention
    layer = all(a.dtype.kind in "biu" for a in (problem.image, problem.filters))
    scales = np.abs(np.atleast_1d(c.scale))
    fitted = number_bits(float(np.median(scales))) >= FITTED and traits.size <= SOME
    if not layer or not fitted or not rounds(held) or not is_whole_sum(problem, held):
        return
    if c.storage is None or c.storage.multiplier != "real":
        return
    twice = next(ways(channels_of(problem, held), held), None)
    if twice is not None and not hold(problem, twice, traits).wrong_count:
        away = 2.0 ** (float(np.frexp(scales.max())[1]) - 1)
        yield (
            "whether the scale is applied with one rounding or in fixed point with two makes no "
            f"difference to OUT: sums that come within {away:.1g} of a tie, once scaled, would tell"
        )


def rounds(held: Held) -> bool:
    """Whether sums are scaled, rounded to integers and cut off, most of them as the form says."""
    c, storage = held.convention, _storage(held)
    few = held.wrong_count <= WRONG * held.tally.comparison.total
    scaled = np.all(_numbers(held)[0] != 0) and np.any(_numbers(held)[0] != 1)
    stored = c.storage is not None and storage.is_integer and storage.overflow == "saturate"
    return bool(few and scaled and stored)


def is_whole_sum(problem: Problem, held: Held) -> bool:
    """Whether it is integers that are summed: then their scale may be applied as integers do."""
    arithmetic = problem.arithmetic_of(held.convention)
    return arithmetic.exact and arithmetic.quantum >= 1


def channels_of(problem: Problem, held: Held) -> list[Channel]:
    """The sums of every channel beside the integers that they became."""
    c, storage = held.convention, _storage(held)
    if is_large(problem):
        elements = Elements.of(problem, c, SOME)
        sums, y, at = elements.sums(c).values, elements.values(), elements.channels(c)
    else:
        given = read_output(problem.output, c)
        sums, y = Linear(problem, c).values.ravel(), given.ravel()
        beside = np.arange(given.shape[1]).reshape(-1, *(1,) * c.rank)
        at = np.broadcast_to(beside, given.shape).ravel()
    y = y.astype(np.float64)
    low, high = y, y
    if c.activation is not None:
        before = c.activation.preimage(y - storage.zero_point - 0.5, y - storage.zero_point + 0.5)
        low, high = (
            end + storage.zero_point + half for end, half in zip(before, (0.5, -0.5), strict=True)
        )
        kept = np.isfinite(low) & np.isfinite(high)
        if np.any((low != y)[kept]) or np.any((high != y)[kept]):
            low, high = np.full(y.shape, -np.inf), np.full(y.shape, np.inf)  # it does more
    low = np.where(y <= storage.limits[0], -np.inf, low)
    high = np.where(y >= storage.limits[1], np.inf, high)
    order = np.argsort(at, kind="stable")
    ends = np.searchsorted(at[order], np.arange(1, len(held.tally.met[1])))
    parts = np.split(order, ends)
    return [Channel(sums[p].astype(np.float64), low[p], high[p]) for p in parts]


def _opened(channels: list[Channel], held: Held, way: str) -> tuple[list[int], list[Polygon]]:
    """What channels leave open of real scales and biases, the zero point among these; and which.

    A channel that was cut off throughout tells nothing.
    """
    c, zero = held.convention, _storage(held).zero_point
    scales, biases = (np.broadcast_to(v, len(channels)) for v in _numbers(held))
    told, found = [], []
    for at, (channel, a, b) in enumerate(zip(channels, scales, biases, strict=True)):
        one = channel.polygon(a, b + zero, _slack(channels, c, way))
        if one is not None:
            told.append(at)
            found.append(one)
    return told, found


def _slack(channels: list[Channel], c: Convention, way: str) -> float:
    """By how much ties of a way may be off, for the largest of the integers that tell."""
    each = (np.abs(e[np.isfinite(e)]).max(initial=0.0) for o in channels for e in (o.low, o.high))
    return loose(way, float(np.abs(c.scale).max()), 2 * float(max(each)))


def _storage(held: Held) -> Storage:
    return held.convention.storage or Storage()


def _numbers(held: Held) -> tuple[Array, Array]:
    c = held.convention
    return np.asarray(c.scale, float), np.asarray(0.0 if c.bias is None else c.bias, float)


def in_reals(channels: list[Channel], held: Held) -> Iterator[Form]:
    """The forms with scales and biases in real numbers: one scale for all, then one for each."""
    told, opened = _opened(channels, held, "real")
    if not told:
        return
    ends = np.array([one.ends for one in opened])
    low, high = ends[:, 0].max(), ends[:, 1].min()
    if low <= high:
        a = likeliest(low, high)
        rooms = [one.bias(a) for one in opened]
        # Channels that say too little of a scale say a bias.
        others = {o: channels[o].biases(a) for o in range(len(channels)) if o not in told}
        others = {o: room for o, room in others.items() if np.isfinite(room).all()}
        also = [*told, *others]
        yield _in_reals(held, also, np.full(len(also), a), [*rooms, *others.values()], [high - low])
    if isinstance(held.convention.scale, tuple) and np.all(ends[:, 0] <= ends[:, 1]):
        scales = np.array([likeliest(*pair) for pair in ends.tolist()])
        rooms = [one.bias(a) for one, a in zip(opened, scales.tolist(), strict=True)]
        yield _in_reals(held, told, scales, rooms, (ends[:, 1] - ends[:, 0]).tolist())


def _in_reals(
    held: Held,
    told: list[int],
    scales: Array,
    rooms: list[tuple[float, float]],
    widths: list[float],
) -> Form:
    zero = _storage(held).zero_point
    bits = numbers_bits(scales[: len(widths)], np.array(widths))
    biases = np.array([likeliest(low - zero, high - zero) for low, high in rooms])
    bits += numbers_bits(biases, np.array([high - low for low, high in rooms]))
    return _with(held, _storage(held), told, scales, biases, bits)


def ways(channels: list[Channel], held: Held) -> Iterator[Form]:
    """The forms of the ways in which integer arithmetic multiplies."""
    c, storage = held.convention, _storage(held)
    for rounding, way in WAYS:
        told, opened = _opened(channels, held, way)
        if not told:
            return
        own = replace(storage, rounding=rounding, multiplier=way)
        found = solved(
            [channels[at] for at in told],
            opened,
            [replace(own, zero_point=z) for z in zero_points(own, every=c.activation is None)],
            _slack(channels, c, way),
            shared=not isinstance(c.scale, tuple),
        )
        scales, units = np.array(found.scales), np.array(found.biases)
        bits = numbers_bits(scales[: len(found.widths)], np.array(found.widths))
        bits += numbers_bits(units, np.ones(len(units)))
        yield _with(held, found.storage, told, scales, units * scales, bits)


def _with(
    held: Held, storage: Storage, told: list[int], scales: Array, biases: Array, bits: float
) -> Form:
    """The form with other numbers for the channels that tell, and what they take."""
    form, count = held.form, len(held.tally.met[1])
    zero = _storage(held).zero_point - storage.zero_point
    every, beside = (np.broadcast_to(v, count).copy() for v in _numbers(held))
    beside = every * np.rint((beside + zero) / every) if storage.multiplier != "real" else beside
    every[told], beside[told] = scales, biases
    same = len(set(scales.tolist())) == 1
    c = form.convention.replace(
        scale=float(scales[0]) if same else tuple(every.tolist()),
        bias=tuple(beside.tolist()) if beside.any() else None,
        storage=storage,
    )
    if (c.bias is None) == (form.convention.bias is None):
        # They are the same numbers, to the digits that all elements tell beside those drawn.
        bits = min(bits, form.score.numbers)
    keys = form.score.keys + key_bits(c) - key_bits(form.convention)
    claim = replace(form.claim, storage=storage)
    score = replace(form.score, keys=keys, numbers=bits)
    return replace(form, convention=c, claim=claim, score=score)
