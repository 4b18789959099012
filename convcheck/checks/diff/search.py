"""How MINE comes from REF: the cheapest explanation that holds, or none.

The stages go by rising cost: the same places, axes in other orders and reversed, shifts and
windows, strides, orders of channels. In each, what was done to the numbers is asked of the few
placements that are worth it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.diff.candidates import Looking
from convcheck.checks.diff.judging import Held, Weighing, most_ulps
from convcheck.checks.diff.values import HALF, SAME, Value, proposals, some
from convcheck.score import MARGIN

if TYPE_CHECKING:
    from convcheck.checks.diff.pair import Pair
    from convcheck.checks.diff.placing import Placement

Array = NDArray[Any]

WORTH = 0.2
"""Of what the elements take as they are: what an explanation must save at least."""
ENOUGH = 0.8
"""Of the smaller array's elements: where so many are placed, no other placement has more."""
FEWEST = 0.1
"""Of some elements: so many must be the same, where this is all that is asked for."""
SAVED = 0.9
"""Of what these take as they are: where an explanation saves so much, none saves more."""


@dataclass(frozen=True)
class Found:
    """What was found: explanations that are worth it, and those that hold but prove nothing."""

    best: tuple[Held, ...]
    cheap: tuple[Held, ...]
    looked: int


def search(ref: Array, mine: Array) -> Found:
    """The explanations of MINE by REF, the cheapest first, those within the margin of it."""
    looking = Looking(ref, mine)
    held: list[Held] = []
    seen: set[Any] = set()
    for stage in looking.stages():
        for candidate in stage:
            key = (candidate.placement.reading, candidate.placement.maps)
            if key not in seen:
                seen.add(key)
                thorough = candidate.likely or candidate.placement.usual
                held += _explained(candidate.placement, ref, mine, thorough=thorough)
        worth = sorted((h for h in held if _is_worth(h, looking.looked)), key=lambda h: h.rank)
        if worth and _is_enough(worth[0], min(ref.size, mine.size)):
            break
    best = worth[:1]
    for other in worth[1:]:
        if other.rank < worth[0].rank + MARGIN and _differs(other, best):
            best.append(other)
    cheap = sorted((h for h in held if not h.wrong_count and h not in worth), key=lambda h: h.rank)
    kept: list[Held] = []
    for other in cheap:
        if _simple(other) and _differs(other, kept):
            kept.append(other)
    return Found(tuple(best), tuple(kept[:8]), looking.looked)


def _simple(held: Held) -> bool:
    """Whether few numbers are in it: with enough of them anything is made of anything."""
    line = held.value.line
    return line is None or line.axis is None


def _is_worth(held: Held, looked: int) -> bool:
    luck = math.log2(max(looked, 2)) + MARGIN
    return held.placed and held.score.gain > max(luck, WORTH * held.score.literal)


def _is_enough(held: Held, size: int) -> bool:
    """Whether nothing that is placed otherwise could say more."""
    saves = held.score.gain >= SAVED * held.score.literal
    return saves and held.total >= ENOUGH * size


def _differs(held: Held, others: list[Held]) -> bool:
    """Whether it is another relation, not another way to say one of these."""
    for other in others:
        same_places = held.placement.maps == other.placement.maps
        if same_places and held.placement.reading == other.placement.reading:
            return False  # of one placement the cheapest value is meant
    return True


def _explained(placement: Placement, ref: Array, mine: Array, *, thorough: bool) -> list[Held]:
    """The explanations in one placement."""
    pair = placement.pair(ref, mine)
    if not pair.ref.size:
        return []
    weighing = Weighing(pair, placement)
    found: list[Held] = []
    if not thorough:
        near = float((some(pair).ulps <= most_ulps(pair)).mean()) >= FEWEST
        alone = weighing.held(Value(SAME)) if near else None
        return [] if alone is None else [alone]
    for turned in (False, True):
        here = weighing.pairs[turned]
        part = some(here)
        for value in proposals(here):
            if value.kind == SAME and turned:
                continue
            if not _fits(value, part):
                continue
            held = weighing.held(value, turned)
            if held is None:
                continue
            found.append(held)
            if not held.wrong_count and not held.ulps:
                return [held] if value.kind == SAME else _cheapest(_beyond_rounding(found))
    return _cheapest(_beyond_rounding(found))


def _beyond_rounding(found: list[Held]) -> list[Held]:
    """Where nothing but rounding is between them, what leaves no rounding says more, of most.

    Of few elements that are off by it, a tiny offset would do.
    """
    alike = [h for h in found if h.value.kind == SAME and not h.wrong_count]
    if not alike:
        return found
    most = alike[0].rounded >= HALF * alike[0].wrong.size
    others = [h for h in found if not h.wrong_count and not h.ulps] if most else []
    return [*alike, *others]


def _cheapest(found: list[Held]) -> list[Held]:
    return sorted(found, key=lambda h: h.rank)[:3]


def _fits(value: Value, part: Pair) -> bool:
    """Whether half of some elements are near what the value makes."""
    if value.kind == SAME:
        return bool((part.ulps <= most_ulps(part)).mean() >= FEWEST)
    if value.line is not None and value.line.axis is not None:
        return True
    made = value.apply(part.x)
    with np.errstate(all="ignore"):
        room = 32 * part.steps + 1e-6 * np.abs(part.y)
        near = (np.abs(made - part.y) <= room) | (np.isnan(made) & np.isnan(part.y))
        near |= made == part.y
    return bool(near.mean() >= HALF)
