"""Whether two conventions' outputs differ, and if not, by which step they have become the same."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.areas import Area
from convcheck.checks.tiles import Tile
from convcheck.convention import KEYS
from convcheck.convention.storage import round_half
from convcheck.engine import finish
from convcheck.rounding import gamma

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.checks.sums import Linear
    from convcheck.convention import Convention, Numbers, Storage

Array = NDArray[Any]

AFTER = ("scale", "bias", "activation", "arithmetic", "storage", "output_order")
"""The keys of what is done after the sums."""


class Step(IntEnum):
    """The steps of a convention after which two outputs may be the same for good."""

    SUMS = 0
    SCALED = 1
    ACTIVATED = 2
    STORED = 3
    NEVER = 4


class Stage(NamedTuple):
    """Numbers (N,O,*S) after a step, and how far rounding may have moved each: 0 if exact."""

    values: Array
    error: Array | float


def alike_after(base: Linear, c: Convention, other: Convention) -> tuple[Step, bool]:
    """The step after which no element of the outputs differs by more than rounding can explain.

    And whether none differs at all there. ``base`` has sums of ``c``; those of ``other`` are made
    for what stands in the same places of the output as it is stored.

    Raises:
        InputError: shapes that ``other`` does not fit.
    """
    places = list(_channels(base))
    moved = _moved(c, other, places)
    left = _sums([base])
    if moved != places:
        right = _sums(_one_by_one(base, other, moved))
    elif all(getattr(c, key) == getattr(other, key) for key in KEYS if key not in AFTER):
        right = left
    else:
        right = _sums([base.again(other, base.precision)])
    some, others = _of(c, places), _of(other, moved)
    apart = np.abs(left.values - right.values) > left.error + right.error
    if not apart.any() and all(getattr(c, key) == getattr(other, key) for key in AFTER):
        return Step.SUMS, np.array_equal(left.values, right.values)
    last = Step.SUMS
    stages = [(left, right)]
    with np.errstate(all="ignore"):  # a scale may overflow, as it does in the output
        stages.append((_scaled(left, some), _scaled(right, others)))
        stages.append((_activated(stages[1][0], some), _activated(stages[1][1], others)))
        for step, (a, b) in enumerate(stages):
            apart = np.abs(a.values - b.values) > a.error + b.error
            last = Step(step + 1) if apart.any() else last
        a, b = stages[-1]
        stored = finish(left.values, some), finish(right.values, others)
        stages.append((Stage(stored[0], 0.0), Stage(stored[1], 0.0)))
        differ = stored[0] != stored[1]
        if c.storage is None or other.storage is None or not c.storage.is_integer:
            differ &= apart  # the digits that a precision drops are rounding, too
        elif np.any(a.error) or np.any(b.error):
            differ &= _integers_apart(a, b, c.storage, other.storage)
    if differ.any():
        return Step.NEVER, False
    # What is done otherwise after the sums shows in the end alone.
    one, another = stages[-1] if last is Step.SUMS else stages[last]
    return last, np.array_equal(one.values, another.values)


def _channels(base: Linear) -> range:
    """The output channels, as they are computed, that ``base`` has."""
    first = base.tile.first[1] if isinstance(base, Area) else 0
    return range(first, first + base.bank.shape[0])


def _moved(c: Convention, other: Convention, places: Sequence[int]) -> list[int]:
    """The channels of ``other`` that are stored where these channels of ``c`` are."""
    if other.output_order == c.output_order:
        return list(places)
    order = other.output_order or c.output_order or ()
    plain = tuple(range(len(order)))
    stored = np.argsort(c.output_order or plain)
    return [(other.output_order or plain)[stored[place]] for place in places]


def _one_by_one(base: Linear, other: Convention, channels: Sequence[int]) -> list[Area]:
    """The sums of ``other`` for the same elements of these channels, each alone."""
    size = base.values.shape
    whole = Tile((0,) * len(size), size)
    (n, _, *at), (images, _, *sizes) = (
        (base.tile.first, base.tile.sizes) if isinstance(base, Area) else (whole.first, whole.sizes)
    )
    tiles = (Tile((n, channel, *at), (images, 1, *sizes)) for channel in channels)
    return [Area(base.problem, other, tile, base.precision) for tile in tiles]


def _sums(parts: Sequence[Linear]) -> Stage:
    """The sums of parts that are channels of one output; each twice as far off as its bound.

    So two of them that are further apart than both errors are so in any two implementations.
    """
    values = np.concatenate([part.values for part in parts], axis=1)
    first = parts[0].arithmetic
    if first.exact:
        return Stage(values, 0.0)
    sizes = np.concatenate([part.magnitude for part in parts], axis=1)
    return Stage(values, 2 * first.bound(sizes, parts[0].terms))


def _of(c: Convention, channels: Sequence[int]) -> Convention:
    """What is done after the sums of these output channels."""

    def some(numbers: Numbers) -> Numbers:
        return tuple(numbers[i] for i in channels) if isinstance(numbers, tuple) else numbers

    return c.replace(scale=some(c.scale), bias=None if c.bias is None else some(c.bias))


def _scaled(sums: Stage, c: Convention) -> Stage:
    """After scale and bias, which round each once."""
    plain = c.replace(activation=None, arithmetic="exact", storage=None)
    values = finish(sums.values, plain)
    if np.ndim(sums.error) == 0 or (np.all(np.asarray(c.scale) == 1) and c.bias is None):
        return Stage(values, sums.error)
    scale, bias = (
        np.abs(np.asarray(v)).reshape(-1, *(1,) * c.rank) for v in (c.scale, c.bias or 0.0)
    )
    rounded = gamma(4) * (scale * np.abs(sums.values) + 2 * bias)
    return Stage(values, scale * sums.error + rounded)


def _activated(numbers: Stage, c: Convention) -> Stage:
    """After the activation, which brings two numbers apart by its steepest slope at most."""
    if c.activation is None:
        return numbers
    values = c.activation.apply(numbers.values)
    return Stage(values, max(1.0, c.activation.steepest) * numbers.error)


def _integers_apart(a: Stage, b: Stage, first: Storage, second: Storage) -> Array:
    """Which elements are stored as other integers, wherever within its error each number is."""
    (low, high), (least, most) = _range(a, first), _range(b, second)
    smallest, largest = first.limits
    modulus = largest - smallest + 1
    # Integers that wrap may be the same where a multiple of the modulus is among the differences.
    none: Array = np.floor((most - low) / modulus) < np.ceil((least - high) / modulus)
    return none


def _range(numbers: Stage, s: Storage) -> tuple[Array, Array]:
    """The least and the greatest integer that each number may become, before it wraps."""
    low, high = (
        round_half(numbers.values + side + s.zero_point, s.rounding)
        for side in (-np.asarray(numbers.error), np.asarray(numbers.error))
    )
    if s.overflow == "saturate":
        return np.clip(low, *s.limits), np.clip(high, *s.limits)
    return low, high
