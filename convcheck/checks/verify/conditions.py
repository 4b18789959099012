"""When an implementation is wrong: the plainest condition that all its failures have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from convcheck.checks.verify.predicates import Predicate, limits, simple, sizes, thresholds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convcheck.campaign import Case

CHANCE = 0.05
"""A condition that so few random failures would all fulfil by chance alone is no condition."""

CAUSES = 5
"""More are not told apart."""

PURE = 0.5
"""The share of the cases of one of several causes that fail."""

MOSTLY = 0.9
"""A share of all cases that is called nearly every one."""


@dataclass(frozen=True)
class Condition:
    """``words`` hold for each of ``failing`` failures, and for ``holding`` cases in all."""

    words: str
    failing: int
    holding: int
    holds: Callable[[Case], bool] = field(default=lambda _: True, repr=False, compare=False)

    @property
    def sentence(self) -> str:
        """When it fails: whenever, or only when."""
        if not self.words and self.failing == self.holding:
            return "in every case"
        if not self.words:
            return f"in nearly every case ({self.failing} of the {self.holding} cases fail)"
        if self.failing == self.holding:
            return f"whenever {self.words} (all {self.holding} such cases fail)"
        return f"only when {self.words} ({self.failing} of the {self.holding} such cases fail)"


def condition(failed: Sequence[Case], passed: Sequence[Case]) -> Condition | None:
    """The condition that holds for every failure and for the fewest of the successes.

    A case inside it may pass: its data may not show the mistake. None where the failures are too
    few to tell it from a coincidence, or have nothing in common.
    """
    if not failed:
        return None
    if not passed:
        return Condition("", len(failed), len(failed))
    rank = failed[0].rank
    asked = (*simple(rank), *thresholds(failed, passed))
    predicates = [p for p in asked if all(map(p[1], failed))]
    nearly = Condition("", len(failed), len(failed) + len(passed))
    mostly = nearly if len(failed) >= MOSTLY * nearly.holding else None
    if not predicates:
        return mostly
    held = np.array([[bool(holds(c)) for c in passed] for _, holds in predicates])
    counts = held.sum(axis=1)
    best = int(np.argmin(counts))
    tries = len(simple(rank)) + len(sizes(rank))
    (words, holds), count = predicates[best], int(counts[best])
    if not _telling(count, len(passed), len(failed), tries):
        words, count = "", len(passed)
    pair = _best_pair(held)
    if pair is not None:
        both = int((held[pair[0]] & held[pair[1]]).sum())
        every, these = math.comb(tries, 2), math.comb(len(predicates), 2)
        # Of all pairs it is telling, and of those that hold it adds to the single one.
        more = both < count and _telling(both, count, len(failed), these)
        if more and _telling(both, len(passed), len(failed), every):
            words, holds = _both(predicates[pair[0]], predicates[pair[1]])
            count = both
    return Condition(words, len(failed), len(failed) + count, holds) if words else mostly


def cover(failed: Sequence[Case], passed: Sequence[Case]) -> list[Condition]:
    """The conditions of several causes, each of which holds for many of the failures.

    One that all of them fulfil and few others is the only one. If there is none, conditions are
    taken one after the other: of single ones and of pairs the one that chance would explain least
    among the failures that are left. Chance is that of all that were asked.
    """
    whole = condition(failed, passed)
    if not failed or (whole is not None and whole.failing >= MOSTLY * whole.holding):
        return [] if whole is None else [whole]
    parts = _greedy(failed, passed)
    if whole is None:
        return parts
    inside = sum(any(part.holds(c) for part in parts) for c in passed)
    outside = sum(not any(part.holds(c) for part in parts) for c in failed)
    lost = whole.holding - whole.failing
    return parts if parts and inside + outside < lost / 2 else [whole]


def _greedy(failed: Sequence[Case], passed: Sequence[Case]) -> list[Condition]:
    count, left, rank = len(failed), np.ones(len(failed), bool), failed[0].rank
    found: list[Condition] = []
    while left.any() and len(found) < CAUSES:
        here = [case for case, still in zip(failed, left, strict=True) if still]
        predicates = [*simple(rank), *limits(rank), *thresholds(here, passed)]
        held = np.array([[bool(p[1](c)) for c in (*failed, *passed)] for p in predicates], float)
        inside, many = held[:, count:], len(predicates)
        # Of a condition and itself: a single one.
        right = inside @ inside.T
        tries = np.where(np.eye(many, dtype=bool), many, math.comb(many, 2))
        wrong = held[:, :count][:, left] @ held[:, :count][:, left].T
        chance = _chance(wrong, right, int(left.sum()), len(passed)) + np.log(tries)
        one, two = np.unravel_index(int(np.argmin(chance)), chance.shape)
        if chance[one, two] >= math.log(CHANCE):
            break
        single = one if chance[one, one] <= chance[two, two] else two
        whole = int(wrong[single, single]), int(right[single, single])
        more = float(_chance(wrong[one, two], right[one, two], *whole)) + math.log(many)
        # A pair must say more than the better one of the two, if that alone is telling.
        alone = chance[single, single] < math.log(CHANCE) <= more
        first, second = (single, single) if alone else sorted((one, two))
        words, holds = predicates[first]
        if first != second:
            words, holds = _both(predicates[first], predicates[second])
        within = (held[first] * held[second]).astype(bool)
        failing = int(within[:count].sum())
        found.append(Condition(words, failing, int(within.sum()), holds))
        left &= ~within[:count]
    return found


def _chance(wrong: NDArray[Any], right: NDArray[Any], failures: int, others: int) -> NDArray[Any]:
    """The logarithm of the chance to draw so many failures among so many cases; 0 where few are."""
    whole = failures + others
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, whole + 1)))])

    def ways(n: Any, k: Any) -> Any:
        n, k = np.asarray(n, int), np.asarray(k, int)
        return logs[n] - logs[k] - logs[n - k]

    drawn = wrong + right
    chance = ways(failures, wrong) + ways(others, right) - ways(whole, drawn)
    return np.where(wrong >= PURE * drawn, chance, 0.0)


def _both(one: Predicate, two: Predicate) -> Predicate:
    return f"{one[0]} and {two[0]}", lambda c: one[1](c) and two[1](c)


def _telling(inside: int, of: int, failures: int, tries: int) -> bool:
    """Whether so many failures would hardly all fall inside by chance.

    ``inside`` are the successes there, ``of`` all of them: the chance is that of drawing every
    failure from what is inside, without putting back.
    """
    if inside >= of:
        return False
    logs = [math.log((inside + k) / (of + k)) for k in range(1, failures + 1)]
    return math.log(tries) + math.fsum(logs) < math.log(CHANCE)


def _best_pair(held: NDArray[Any]) -> tuple[int, int] | None:
    best: tuple[int, int] | None = None
    least = held.shape[1] + 1
    for one, two in combinations(range(len(held)), 2):
        both = int(np.count_nonzero(held[one] & held[two]))
        if both < least:
            best, least = (one, two), both
    return best
