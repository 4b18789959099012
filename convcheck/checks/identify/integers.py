"""Layers on integers: the numbers of the best form from all of the output, and how they act."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.areas import is_large
from convcheck.checks.identify.elements import Elements
from convcheck.checks.identify.whole import Held, hold
from convcheck.checks.quantised import WAYS, Channel, Polygon, loose, solved, zero_points
from convcheck.checks.sums import Linear
from convcheck.convention.channels import read_output
from convcheck.score import key_bits, likeliest, numbers_bits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convcheck.checks.identify.forms import Form
    from convcheck.checks.sums import Problem
    from convcheck.convention import Storage
    from convcheck.traits import Traits

Array = NDArray[Any]

SOME = 1 << 16
"""Elements of an output that is too large to be held."""
WRONG = 0.3
"""With more exceptions a form says nothing of how its numbers are rounded."""


def multiplied(problem: Problem, held: Held, traits: Traits) -> Held:
    """The form that gives most with numbers solved on all of the output, and how they multiply."""
    storage = held.convention.storage
    if storage is None or not _applies(problem, held, storage):
        return held
    channels = _channels(problem, held, storage)
    if channels is None:
        return held
    best = held
    opened = _opened(channels, held, storage, "real")
    if opened is None:
        return held
    for form in chain([_real(held.form, storage, opened)], _ways(channels, held, storage)):
        if form is not None:
            other = hold(problem, form, traits)
            best = other if other.score.total < best.score.total else best
        if not best.wrong_count:
            break
    return best


def _applies(problem: Problem, held: Held, storage: Storage) -> bool:
    """Whether integers are scaled, and some are given otherwise than they are."""
    c = held.convention
    whole = problem.arithmetic_of(c).exact and problem.arithmetic_of(c).quantum >= 1
    few = held.wrong_count <= WRONG * held.tally.comparison.total
    scaled = (
        storage.is_integer and storage.overflow == "saturate" and np.any(np.asarray(c.scale) != 1)
    )
    return bool(whole and few and scaled and held.wrong_count)


def _channels(problem: Problem, held: Held, storage: Storage) -> list[Channel] | None:
    """The sums of every channel beside the integers that they became."""
    c = held.convention
    if is_large(problem):
        elements = Elements.of(problem, c, SOME)
        sums, y, at = elements.sums(c).values, elements.values(), elements.channels(c)
    else:
        given = read_output(problem.output, c)
        sums, y = Linear(problem, c).values.ravel(), given.ravel()
        at = np.broadcast_to(
            np.arange(given.shape[1]).reshape(-1, *(1,) * c.rank), given.shape
        ).ravel()
    y = y.astype(np.float64)
    low, high = y, y
    if c.activation is not None:
        before = c.activation.preimage(y - storage.zero_point - 0.5, y - storage.zero_point + 0.5)
        low, high = (
            end + storage.zero_point + half for end, half in zip(before, (0.5, -0.5), strict=True)
        )
        kept = np.isfinite(low) & np.isfinite(high)
        if np.any((low != y)[kept]) or np.any((high != y)[kept]):
            return None  # which does more than to cut off
    low = np.where(y <= storage.limits[0], -np.inf, low)
    high = np.where(y >= storage.limits[1], np.inf, high)
    order = np.argsort(at, kind="stable")
    ends = np.searchsorted(at[order], np.arange(1, int(at.max()) + 1))
    parts = np.split(order, ends)
    return [Channel(sums[p].astype(np.float64), low[p], high[p]) for p in parts]


def _opened(
    channels: list[Channel], held: Held, storage: Storage, way: str
) -> list[Polygon] | None:
    """What every channel leaves open of real scales and biases, the zero point among these."""
    c = held.convention
    scales, biases = (
        np.broadcast_to(np.asarray(v or 0.0, float), len(channels)) for v in (c.scale, c.bias)
    )
    found, most = [], _most(channels)
    for channel, a, b in zip(channels, scales, biases, strict=True):
        one = channel.polygon(a, b + storage.zero_point, loose(way, a, 2 * most))
        if one is None:
            return None
        found.append(one)
    return found


def _most(channels: list[Channel]) -> float:
    """The largest of the integers that were not cut off."""
    each = (np.abs(e[np.isfinite(e)]).max(initial=0.0) for c in channels for e in (c.low, c.high))
    return float(max(each))


def _real(form: Form, storage: Storage, opened: list[Polygon]) -> Form | None:
    """Scales and biases in real numbers."""
    ends = np.array([one.ends for one in opened])
    if not isinstance(form.convention.scale, tuple):
        ends = np.array([[ends[:, 0].max(), ends[:, 1].min()]])
    if np.any(ends[:, 0] > ends[:, 1]):
        return None
    scales = np.array([likeliest(*pair) for pair in ends.tolist()])
    bits = numbers_bits(scales, ends[:, 1] - ends[:, 0])
    scales = np.broadcast_to(scales, len(opened))
    rooms = [one.bias(a) for one, a in zip(opened, scales.tolist(), strict=True)]
    zero = storage.zero_point
    biases = np.array([likeliest(low - zero, high - zero) for low, high in rooms])
    bits += numbers_bits(biases, np.array([high - low for low, high in rooms]))
    return _with(form, storage, scales, biases, bits)


def _ways(channels: list[Channel], held: Held, storage: Storage) -> Iterator[Form]:
    """The forms of the ways in which integer arithmetic multiplies."""
    form, c = held.form, held.convention
    for rounding, way in WAYS:
        opened = _opened(channels, held, storage, way)
        if opened is None:
            return
        own = replace(storage, rounding=rounding, multiplier=way)
        zeros = zero_points(storage, every=c.activation is None)
        found = solved(
            channels,
            opened,
            [replace(own, zero_point=z) for z in zeros],
            loose(way, float(np.abs(c.scale).max()), 2 * _most(channels)),
            shared=not isinstance(c.scale, tuple),
        )
        scales, units = np.array(found.scales), np.array(found.biases)
        bits = numbers_bits(scales[: len(found.widths)], np.array(found.widths))
        bits += numbers_bits(units, np.ones(len(units)))
        yield _with(form, found.storage, scales, units * scales, bits)


def _with(form: Form, storage: Storage, scales: Array, biases: Array, bits: float) -> Form:
    same = len(set(scales.tolist())) == 1
    c = form.convention.replace(
        scale=float(scales[0]) if same else tuple(scales.tolist()),
        bias=tuple(biases.tolist()) if biases.any() else None,
        storage=storage,
    )
    keys = form.score.keys + key_bits(c) - key_bits(form.convention)
    claim = replace(form.claim, storage=storage)
    score = replace(form.score, keys=keys, numbers=bits)
    return replace(form, convention=c, claim=claim, score=score)
