"""The passes of the search: which windows, orders and modes each tries, and how many of them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from convcheck.checks.identify.axes import (
    DILATIONS,
    IMAGE,
    LONG,
    Way,
    far_ways,
    usual_ways,
    ways,
)

if TYPE_CHECKING:
    from convcheck.checks.identify.layouts import Reading, Sizes
    from convcheck.traits import Traits

ALL_ORDERS = 4
"""Up to so many channels every order of them is tried, above it the reversed one only."""


@dataclass(frozen=True)
class Pass:
    """One pass over the space: how samples are voted on, and which windows are tried.

    ``bits`` is what a hypothesis of it takes at least, beside its reading. ``usual`` tries the ways
    that most layers go and no others, ``orders`` other orders of the channels, ``outputs`` every
    filter for each output channel, ``far`` dilations above the common ones; ``modes`` are the
    paddings', ``seed`` draws other samples, where those of before may have been damaged;
    ``centred`` takes the filters without their mean, which is near the zero point of unsigned
    ones. The others are those of :func:`axes.ways`.
    """

    bits: float
    judge: str
    modes: tuple[str, ...] = ("constant",)
    orders: bool = False
    outputs: bool = False
    usual: bool = False
    far: bool = False
    everywhere: bool = False
    wide: bool = False
    circular: bool = False
    outside: bool = False
    mixed: bool = False
    conjugate: bool = False
    centred: bool = False
    seed: int = 0


OTHERS = ("edge", "reflect", "symmetric", "wrap")
PASSES = (
    Pass(0, "plain", usual=True),
    Pass(2, "line", usual=True),
    Pass(0, "plain"),
    Pass(2, "plain", conjugate=True),
    Pass(4, "line"),
    Pass(5, "plain", modes=OTHERS, everywhere=True),
    *(Pass(4 + seed, "line", seed=seed) for seed in (1, 2, 3, 4)),
    Pass(6, "plain", circular=True, modes=("wrap",)),
    Pass(6, "line", centred=True),
    Pass(6, "plain", far=True, usual=True),
    Pass(6, "plain", far=True, everywhere=True),
    Pass(6, "plain", outside=True),
    Pass(7, "plain", orders=True),
    Pass(8, "line", far=True, usual=True),
    Pass(8, "line", far=True, everywhere=True),
    Pass(8, "folded", usual=True),
    Pass(9, "line", outside=True),
    Pass(9, "line", modes=OTHERS, everywhere=True),
    Pass(10, "line", orders=True),
    Pass(10, "line", outputs=True),
    Pass(12, "folded"),
    Pass(14, "folded", far=True, usual=True),
    Pass(12, "plain", mixed=True),
    Pass(13, "plain", wide=True),
    Pass(14, "line", mixed=True),
    Pass(15, "line", wide=True),
    Pass(15, "line", circular=True, modes=("wrap",)),
)
"""From what is common to what is rare."""
COMMON = (Pass(0, "plain"), Pass(4, "line"))
"""Those that are tried of arrays whose memory was read as another layout."""


@dataclass(frozen=True)
class Channels:
    """One way to lead the image's channels to the filters', and output ``output`` to a filter."""

    order: tuple[int, ...] | None
    flip: tuple[str, ...]
    shift: int = 0


def applies(one: Pass, reading: Reading, traits: Traits) -> bool:
    """Whether a pass has anything to try on a reading."""
    channels, outputs = reading.image.shape[1], reading.output.shape[1]
    if reading.is_reread and one not in COMMON:
        return False
    if one.conjugate and reading.bank.dtype.kind != "c":
        return False
    if one.centred and reading.bank.dtype.kind != "u":
        return False
    if one.outputs and outputs == 1:
        return False
    if one.orders and (channels == 1 or (channels > ALL_ORDERS and reading.base.groups == 1)):
        return False
    if one.far and max(reading.taps) == 1:
        return False
    if (one.wide or one.outside or one.mixed) and max(reading.taps) > IMAGE:
        return False
    return not (one.judge == "folded" and traits.bulk[0] < 0)


def volume(one: Pass, reading: Reading) -> int:
    """How many hypotheses a pass has of a reading."""
    return _volume(one, reading.sizes)


@lru_cache(1 << 14)  # most readings have the sizes of others
def _volume(one: Pass, sizes: Sizes) -> int:
    taps = sizes.bank[2:]
    each = [_counted(ways_of(one, sizes, a), n > 1, one.far) for a, n in enumerate(taps)]
    alone = [a for a, n in enumerate(taps) if one.far and n == 1]
    alike = [counts for a, counts in enumerate(each) if a not in alone]
    together = set.intersection(*map(set, alike))
    count = sum(math.prod(counts[d] for counts in alike) for d in together)
    count *= math.prod(each[a].total() for a in alone)
    return count * len(one.modes) * len(channels_of(one, sizes))


@lru_cache(4096)
def _counted(some: tuple[Way, ...], two: bool, far: bool) -> Counter[int]:
    """The options of an axis by their dilation, where that is to be alike for all axes."""
    counts = Counter[int]()
    for way in some:
        counts[way.dilation if far else 0] += way.count * (2 if two else 1)
    return counts


def channels_of(one: Pass, sizes: Sizes) -> list[Channels]:
    """The ways to lead channels to filters that a pass tries."""
    channels, inputs, groups = sizes.image[1], sizes.bank[1], sizes.groups
    grouped = groups > 1
    orders: list[tuple[int, ...] | None] = [None]
    if one.orders:
        identity = tuple(range(channels))
        if channels <= ALL_ORDERS:
            orders = [p for p in permutations(identity) if p not in (identity, identity[::-1])]
        else:
            dealt = np.reshape(identity, (groups, -1)).T.ravel().tolist()
            back = np.reshape(identity, (-1, groups)).T.ravel().tolist()
            orders = [tuple(dealt), tuple(back)]
    elif channels > 1 and (grouped or channels <= ALL_ORDERS):
        orders.append(tuple(range(channels))[::-1])
    flips: list[tuple[str, ...]] = [()]
    if inputs > 1 and (grouped or channels > ALL_ORDERS):
        flips.append(("I",))  # with few channels and one group it is one of the orders
    shifts = range(sizes.output[1]) if one.outputs else (0,)
    return [Channels(o, f, s) for o in orders for f in flips for s in shifts]


def ways_of(one: Pass, sizes: Sizes, a: int) -> tuple[Way, ...]:
    """The ways of the spatial axis ``a`` that a pass tries."""
    taps = sizes.bank[2:]
    size, kernel, outputs = sizes.image[2 + a], taps[a], sizes.output[2 + a]
    dilations: tuple[int, ...] = DILATIONS
    if one.far:
        deep, long = len(taps) == 3, max(taps) > LONG
        return far_ways(size, kernel, outputs, deep=deep, long=long, usual=one.usual)
    if one.usual:
        return usual_ways(size, kernel, outputs)
    if len(taps) == 3 and not one.wide:
        dilations = DILATIONS[:2]  # the others with what is rarer
    return ways(
        size,
        kernel,
        outputs,
        dilations=dilations,
        wide=one.wide,
        circular=one.circular,
        outside=one.outside,
        mixed=one.mixed,
    )
