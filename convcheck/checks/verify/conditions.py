"""When an implementation is wrong: the plainest condition that all its failures have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from convcheck.campaign import Case

if TYPE_CHECKING:
    from numpy.typing import NDArray

Predicate = tuple[str, Callable[[Case], bool]]

CHANCE = 0.05
"""A condition that so few random failures would all fulfil by chance alone is no condition."""

CAUSES = 5
"""More are not told apart."""

PURE = 0.5
"""The share of the cases of one of several causes that fail."""

MOSTLY = 0.9
"""A share of all cases that is called nearly every one."""

_SIMPLE: tuple[Predicate, ...] = (
    ("stride > 1", lambda c: c.stride > 1),
    ("stride > 2", lambda c: c.stride > 2),
    ("padding > 0", lambda c: c.padding > 0),
    ("padding is odd", lambda c: c.padding % 2 == 1),
    ("padding > 1", lambda c: c.padding > 1),
    ("padding is 0", lambda c: c.padding == 0),
    (
        "the padding is larger than a side of the kernel",
        lambda c: c.padding > min(c.kernel_height, c.kernel_width),
    ),
    (
        "the padding is as large as a side of the kernel",
        lambda c: c.padding >= min(c.kernel_height, c.kernel_width),
    ),
    ("dilation > 1", lambda c: c.dilation > 1),
    ("dilation > 2", lambda c: c.dilation > 2),
    (
        "the stride is larger than a side of the kernel",
        lambda c: c.stride > min(c.kernel_height, c.kernel_width),
    ),
    ("the image has more than one channel", lambda c: c.channels > 1),
    ("groups > 1", lambda c: c.groups > 1),
    ("groups > 2", lambda c: c.groups > 2),
    ("the batch has more than one image", lambda c: c.batch > 1),
    ("the image has one channel", lambda c: c.channels == 1),
    ("a group has more than one channel", lambda c: c.channels > c.groups),
    ("there is one filter", lambda c: c.filters == 1),
    ("there are several filters", lambda c: c.filters > 1),
    ("a group has more than one filter", lambda c: c.filters > c.groups),
    ("the kernel's height is even", lambda c: c.kernel_height % 2 == 0),
    ("the kernel's width is even", lambda c: c.kernel_width % 2 == 0),
    (
        "a side of the kernel is even",
        lambda c: c.kernel_height % 2 == 0 or c.kernel_width % 2 == 0,
    ),
    ("the kernel is not square", lambda c: c.kernel_height != c.kernel_width),
    ("the kernel is square", lambda c: c.kernel_height == c.kernel_width),
    ("the kernel is 1x1", lambda c: c.kernel_height == c.kernel_width == 1),
    ("the kernel is 3x3", lambda c: c.kernel_height == c.kernel_width == 3),
    ("the kernel is larger than 1x1", lambda c: c.kernel_height * c.kernel_width > 1),
    ("the kernel is higher than 1", lambda c: c.kernel_height > 1),
    ("the kernel is wider than 1", lambda c: c.kernel_width > 1),
    ("the image is square", lambda c: c.height == c.width),
    ("the image is not square", lambda c: c.height != c.width),
    ("the image is wider than high", lambda c: c.width > c.height),
    ("the image is higher than wide", lambda c: c.width < c.height),
    ("the height is odd", lambda c: c.height % 2 == 1),
    ("the width is odd", lambda c: c.width % 2 == 1),
    ("the height is even", lambda c: c.height % 2 == 0),
    ("the width is even", lambda c: c.width % 2 == 0),
    *(
        (
            f"the {word} is no multiple of {m}",
            lambda c, key=word, m=m: getattr(c, key) % m > 0,
        )
        for word in ("height", "width")
        for m in (4, 8, 16)
    ),
    *(
        (
            f"the {word} is no multiple of {m}",
            lambda c, key=key, m=m: getattr(c, key) % m > 0,
        )
        for key, word in (("channels", "number of channels"), ("filters", "number of filters"))
        for m in (2, 4)
    ),
    *(
        (f"the {word} is a multiple of {m}", lambda c, key=word, m=m: getattr(c, key) % m == 0)
        for word in ("height", "width")
        for m in (4, 8)
    ),
    *(
        (
            f"the {word} is {r} more than a multiple of 4",
            lambda c, key=word, r=r: getattr(c, key) % 4 == r,
        )
        for word in ("height", "width")
        for r in (1, 2, 3)
    ),
    ("the kernel has one row", lambda c: c.kernel_height == 1),
    ("the kernel has one column", lambda c: c.kernel_width == 1),
    *(
        (f"{key} is {n}", lambda c, key=key, n=n: getattr(c, key) == n)
        for key in ("stride", "padding", "dilation", "groups")
        for n in (1, 2, 3)
    ),
    *(
        (f"{key} is not {n}", lambda c, key=key, n=n: getattr(c, key) != n)
        for key in ("stride", "padding", "dilation", "groups")
        for n in (2, 3)
    ),
    ("the memory order is Fortran's", lambda c: c.order == "F"),
    ("the arrays are strided views", lambda c: c.order == "strided"),
    ("the arrays are not contiguous", lambda c: c.order in ("F", "strided")),
    ("the arrays are read-only", lambda c: c.order == "readonly"),
    *(
        (f"the dtype is {dtype}", lambda c, dtype=dtype: c.dtype == dtype)
        for dtype in ("float16", "float32", "float64", "int32", "uint8", "int8", "int16")
    ),
    ("the dtype is not float32", lambda c: c.dtype != "float32"),
    ("the dtype is an integer", lambda c: "int" in c.dtype),
    (
        "the numbers are integers larger than 10",
        lambda c: "int" in c.dtype and c.values not in ("ints", "zeros"),
    ),
    ("the image and the filters have two dtypes", lambda c: c.mixed),
    ("the image holds NaN and infinities", lambda c: c.holds_nan),
    (
        "the dtype is an integer of 8 or 16 bits",
        lambda c: c.dtype in ("uint8", "int8", "int16"),
    ),
    ("the dtype has 8 bits", lambda c: c.dtype.endswith("int8")),
    ("the dtype is a float", lambda c: "float" in c.dtype),
    ("the numbers are not whole", lambda c: c.values != "ints" and "int" not in c.dtype),
    *(
        (f"the numbers are {v}", lambda c, v=v: c.values == v)
        for v in ("wide", "cancelling", "denormal")
    ),
)
_SIZES = {
    "filters": "filters",
    "channels": "channels",
    "height": "rows of the image",
    "width": "columns of the image",
    "kernel_height": "rows of the kernel",
    "kernel_width": "columns of the kernel",
}


def _more(key: str, word: str, limit: int) -> Predicate:
    return (f"there are more than {limit} {word}", lambda c: getattr(c, key) > limit)


_ROUND: tuple[Predicate, ...] = tuple(
    _more(key, word, n)
    for key, word in _SIZES.items()
    if not key.startswith("kernel")
    for n in (8, 16, 32, 64, 128)
)
"""Where implementations change their ways; what lies on one side of a limit says so by itself."""


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
    predicates = [p for p in (*_SIMPLE, *_thresholds(failed, passed)) if all(map(p[1], failed))]
    nearly = Condition("", len(failed), len(failed) + len(passed))
    mostly = nearly if len(failed) >= MOSTLY * nearly.holding else None
    if not predicates:
        return mostly
    held = np.array([[bool(holds(c)) for c in passed] for _, holds in predicates])
    counts = held.sum(axis=1)
    best = int(np.argmin(counts))
    tries = len(_SIMPLE) + len(_SIZES)
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
    count, left = len(failed), np.ones(len(failed), bool)
    found: list[Condition] = []
    while left.any() and len(found) < CAUSES:
        here = [case for case, still in zip(failed, left, strict=True) if still]
        predicates = [*_SIMPLE, *_ROUND, *_thresholds(here, passed)]
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


def _thresholds(failed: Sequence[Case], passed: Sequence[Case]) -> list[Predicate]:
    """Sizes above or below which every failure lies."""
    found: list[Predicate] = []
    for key, word in _SIZES.items():
        sizes = [getattr(c, key) for c in failed]
        beside = [getattr(c, key) for c in passed]
        below = [n for n in beside if n < min(sizes)]
        above = [n for n in beside if n > max(sizes)]
        if below:
            found.append(_more(key, word, max(below)))
        if above:
            found.append(_fewer(key, word, min(above)))
    return found


def _fewer(key: str, word: str, limit: int) -> Predicate:
    return (f"there are fewer than {limit} {word}", lambda c: getattr(c, key) < limit)
