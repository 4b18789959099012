"""One explanation held to every element, and weighed: what it takes beside the elements stored.

An element is given where it is what the explanation makes, stored as MINE stores numbers, or where
it is off by no more than rounding errors are. Which of the two is meant follows from the score,
as it does for :mod:`convcheck.checks.identify`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.diff.lines import Line
from convcheck.checks.diff.pair import DIGITS, Pair, distance, format_of
from convcheck.checks.diff.region import Region, region
from convcheck.checks.diff.values import HALF, SAME, Value
from convcheck.rounding import quantum
from convcheck.score import Literal, Score, choose_bits, place_bits
from convcheck.traits import a_part

if TYPE_CHECKING:
    from convcheck.checks.diff.placing import Placement

Array = NDArray[Any]

MOST_ULPS = 64.0
"""Units in the last place that long sums in other orders lose at most: 18 bits of float32 agree."""
EACH = 24.0
"""Bits of an element, by which explanations of REF and of MINE are compared."""
MOST_WRONG = 0.8
"""Of the elements: where more are wrong, nothing is claimed of the others."""
SCATTERED = 0.02
"""Of the elements: so many may be wrong in no single place."""


@dataclass(frozen=True, eq=False)
class Held:
    """An explanation with what it leaves: REF placed, a value, and which elements are not so.

    ``turned``: REF is made of MINE, not MINE of REF. ``ulps`` is the largest rounding error of the
    elements that are given, 0 where they are given to the last digit.
    """

    placement: Placement
    value: Value
    turned: bool
    wrong: Array
    ulps: float
    rounded: int
    score: Score
    pair: Pair

    @property
    def format(self) -> str:
        """What ``ulps`` are counted in."""
        return self.pair.format

    @property
    def wrong_count(self) -> int:
        """How many elements are not given."""
        return int(np.count_nonzero(self.wrong))

    @property
    def rank(self) -> float:
        """The cost beside what the elements take, as if each took as much: in any direction."""
        share = self.score.total / max(self.score.literal, 1.0)
        return float((share - 1.0) * EACH * (self.total - self.wrong_count))

    @property
    def total(self) -> int:
        """How many there are beside which REF has one."""
        return self.wrong.size

    @property
    def plain(self) -> bool:
        """Whether nothing is placed otherwise and nothing is done to the numbers."""
        return self.placement.plain and self.value.kind == SAME

    @cached_property
    def region(self) -> Region | None:
        """Where the elements lie that are not given."""
        return region(self.wrong, self.pair.mine) if self.wrong_count else None

    @property
    def placed(self) -> bool:
        """Whether what is wrong is few, or in one place."""
        found = self.region
        few = self.wrong_count <= SCATTERED * self.total
        return found is None or found.kind != "scattered" or few


def most_ulps(pair: Pair) -> float:
    """The largest rounding error of a pair, in units in the last place of its format.

    Where only one of the two has few bits it was rounded to them: that is one unit.
    """
    digits = DIGITS.get(pair.format, 53)
    formats = {format_of(pair.ref), format_of(pair.mine)} - {"integer"}
    if digits < DIGITS["float32"] and len(formats) > 1:
        return 1.0
    return min(MOST_ULPS, float(2.0 ** (digits / 4)))


class Weighing:
    """A pair of arrays, and what its elements take as they are: for both directions."""

    def __init__(self, pair: Pair, placement: Placement) -> None:
        self.placement = placement
        self.pairs = (pair, pair.turned())
        self._literals: dict[bool, Array] = {}

    def literal(self, turned: bool) -> Array:
        """The bits of every element of MINE as it is, or of REF."""
        if turned not in self._literals:
            self._literals[turned] = _literal(self.pairs[turned])
        return self._literals[turned]

    def held(self, value: Value, turned: bool = False) -> Held | None:
        """The value held to all elements; None where less than half of them fit."""
        pair, literal = self.pairs[turned], self.literal(turned)
        if value.kind == SAME:
            made, exact, off, form = pair.x, pair.same, pair.ulps, pair.format
            moved = np.ones(exact.shape, bool)
        else:
            made = value.apply(pair.x)
            exact = _stored(made, pair)
            native = value.native(pair.ref)
            if native is not None and not exact.all():
                other = _stored(native, pair)
                exact = other if other.sum() > exact.sum() else exact
            form = pair.format
            with np.errstate(invalid="ignore"):
                moved = made != pair.x
            off = distance(np.where(exact, pair.y, made), pair.y, pair.size, form)
        loose = value.kind in (SAME, "line", "activation", "conjugated") and form != "integer"
        options = [(~exact, 0.0, 0)]
        most = most_ulps(pair) if value.kind == SAME else 2.0 + 2 * value.evaluated
        if loose and not exact.all():
            near = off <= most_ulps(pair)
            if near.any():
                options.append((~near, float(off[near].max()), int((near & ~exact).sum())))
            close = off <= most
            if close.any() and value.kind != SAME and not near.all():
                options.append((~close, float(off[close].max()), int((close & ~exact).sum())))
        best: Held | None = None
        for wrong, ulps, rounded in options:
            if value.line is not None and value.line.axis is not None:
                line = value.line
                plain = (line.scale == 1) & (line.offset == 0)
                if plain.mean() >= HALF or not _supported(value.line.axis, wrong):
                    continue
            if any(not _supported(axis, wrong) for axis in self.placement.ordered):
                continue
            count = int(np.count_nonzero(wrong))
            # What leaves elements as they are says nothing of them.
            if ulps and value.kind != SAME:
                # What it does must be more than what rounding is taken to have done.
                moved = distance(made, pair.x, pair.size, form) > 2 * ulps
                if _is_idle(value, pair, made, 2 * ulps):
                    continue
            # An activation's own values fit as many elements whatever they are.
            free = 0 if value.activation is None else len(value.activation.values)
            vain = value.kind != SAME and (moved & ~wrong).sum() < max(1 + free, count)
            if vain or count > MOST_WRONG * wrong.size:
                continue
            score = self._score(value, wrong, ulps, rounded, literal)
            found = Held(self.placement, value, turned, wrong, ulps, rounded, score, self.pairs[0])
            if best is None or score.total < best.score.total:
                best = found
        return best

    def _score(
        self, value: Value, wrong: Array, ulps: float, rounded: int, literal: Array
    ) -> Score:
        count = int(np.count_nonzero(wrong))
        met: list[Array] = [
            np.asarray(wrong.any(axis=tuple(a for a in range(wrong.ndim) if a != axis)))
            for axis in range(wrong.ndim)
        ]
        # Which elements are off at all, and by how many units to either side.
        each = 0.0 if ulps == 0 else math.log2(1 + 2 * max(ulps, 0.5))
        which = choose_bits(rounded, wrong.size - count) if rounded else 0.0
        exceptions = place_bits(count, met) + float(literal[wrong].sum()) if count else 0.0
        return Score(
            keys=self.placement.bits + value.keys,
            numbers=value.numbers,
            exceptions=exceptions,
            residual=which + each * rounded,
            literal=float(literal.sum()),
        )


def _is_idle(value: Value, pair: Pair, made: Array, most: float) -> bool:
    """Whether one of a factor and an offset could be left out, for all that rounding does."""
    line = value.line
    if line is None or (line.scale == 1).all() or (line.offset == 0).all():
        return False
    ones, zeros = np.ones(len(line.scale)), np.zeros(len(line.scale))
    for other in (Line(ones, line.offset, line.axis), Line(line.scale, zeros, line.axis)):
        without = replace(value, line=other).apply(pair.x)
        if float(distance(without, made, pair.size, pair.format).max()) <= most:
            return True
    return False


def _supported(axis: int, wrong: Array) -> bool:
    """Whether half of the elements of each index of an axis are given."""
    rows = np.moveaxis(wrong, axis, 0).reshape(wrong.shape[axis], -1)
    return bool((rows.mean(axis=1) <= 1 - HALF).all())


def _literal(pair: Pair) -> Array:
    values = np.abs(pair.y) if pair.y.dtype.kind == "c" else pair.y
    finite = np.where(np.isfinite(values), values, 0.0)
    # Of whole numbers, or halves, each is one of fewer.
    steps = np.maximum(pair.steps, quantum(finite))
    bits = Literal.of(a_part(values[None, None])).bits(finite, steps)
    doubled: Array = bits * (2.0 if pair.y.dtype.kind == "c" else 1.0)
    return doubled


def _stored(made: Array, pair: Pair) -> Array:
    """Which elements are what was made, stored as MINE's are."""
    kind, dtype = pair.mine.dtype.kind, pair.mine.dtype
    with np.errstate(all="ignore"):
        if kind in "iu":
            limits = np.iinfo(dtype)
            inside = np.clip(made, float(limits.min), float(limits.max))
            # At a tie either neighbor may be stored.
            tie = np.abs(inside - np.floor(inside) - 0.5) < 2.0**-30 * (1 + np.abs(inside))
            near = np.abs(inside - pair.y) <= 0.5 * (1 + 2.0**-29)
            found: Array = np.where(tie, near, np.rint(inside) == pair.y) & np.isfinite(made)
            return found
        kept = made.astype(dtype) if kind in "fc" else made
        same: Array = (kept == pair.mine) | (np.isnan(made) & np.isnan(pair.y))
        return same
