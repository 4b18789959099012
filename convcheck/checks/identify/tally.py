"""How an output fares under a convention, in numbers that merge from those of its parts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.judging import Ground, level
from convcheck.comparison import compare, merge
from convcheck.engine import arrange_output
from convcheck.rounding import TINY

if TYPE_CHECKING:
    from convcheck.checks.identify.judging import Fit
    from convcheck.checks.sums import Problem
    from convcheck.comparison import Comparison
    from convcheck.convention import Convention

Array = NDArray[Any]


@dataclass(frozen=True)
class Tally:
    """What a part of an output contributes; parts merge in any order.

    ``comparison`` has the output's own indices. ``seen`` counts the elements whose value is not the
    commonest, ``astray`` those of them that the convention does not give; ``telling`` the same but
    for those that it rightly cuts off, ``given`` those that it gives. ``wrong`` marks along each
    axis of the whole, N,O,H,W, where an element is not given; it is empty where all are.
    ``furthest`` (O,2,4) has for each channel the elements that are furthest above and below what is
    given, as n, y, x after by how much, 0 where there is none. ``inside`` says that one is whose
    window lies inside the image, ``values`` are up to two of OUT's there.
    """

    comparison: Comparison
    misses: int
    seen: int
    astray: int
    telling: int
    given: int
    wrong: tuple[NDArray[np.bool_], ...]
    furthest: NDArray[np.float64] | None
    inside: bool
    values: frozenset[Any]

    def __add__(self, other: Tally) -> Tally:
        wrong = self.wrong or other.wrong
        if self.wrong and other.wrong:
            wrong = tuple(a | b for a, b in zip(self.wrong, other.wrong, strict=True))
        return Tally(
            comparison=merge([self.comparison, other.comparison]),
            misses=self.misses + other.misses,
            seen=self.seen + other.seen,
            astray=self.astray + other.astray,
            telling=self.telling + other.telling,
            given=self.given + other.given,
            wrong=wrong,
            furthest=_further(self.furthest, other.furthest),
            inside=self.inside or other.inside,
            values=frozenset(sorted(self.values | other.values, key=str)[:2]),
        )

    @classmethod
    def of(
        cls,
        fit: Fit,
        output: Array,
        usable: Array,
        *,
        ground: Ground | None = None,
        shape: tuple[int, ...] | None = None,
        first: tuple[int, ...] = (0, 0, 0, 0),
    ) -> Tally:
        """The tally of a fit of ``output``, the part (N,O,H,W) of a ``shape`` that begins there.

        ``ground`` is what the commonest value of the whole is; by default that of this part.
        """
        c, wrong = fit.convention, fit.mismatched
        sums = abs(c.scale) * fit.linear.magnitude
        if c.bias is not None:
            sums = sums + np.abs(np.reshape(c.bias, (1, -1, 1, 1)))
        # What is not judged must not count as a difference.
        actual = np.where(usable, output, fit.predicted)
        comparison = compare(
            arrange_output(actual.astype(np.result_type(actual, np.float64)), c),
            arrange_output(fit.predicted, c),
            arrange_output(np.broadcast_to(fit.threshold, output.shape), c),
            arrange_output(sums, c),
            [first["NOHW".index(axis)] for axis in c.output_layout],
        )
        misses = fit.misses
        rises = fit.predicted - level(c)
        seen = (ground or Ground.of(rises, usable)).telling(rises, usable)
        telling = seen & ~(_cut_off(fit.predicted, c) & (output == fit.predicted))
        return cls(
            comparison=replace(comparison, total=int(np.count_nonzero(usable))),
            misses=misses,
            seen=int(np.count_nonzero(seen)),
            astray=int(np.count_nonzero(seen & wrong)) if misses else 0,
            telling=int(np.count_nonzero(telling)),
            given=int(np.count_nonzero(telling & ~wrong)),
            wrong=_marked(wrong, shape or output.shape, first) if misses else (),
            furthest=_furthest(fit, actual, shape or output.shape, first) if misses else None,
            inside=bool(misses and (wrong & fit.linear.interior).any()),
            values=frozenset(np.unique(output[wrong])[:2].tolist()) if misses else frozenset(),
        )


def _cut_off(values: Array, convention: Convention) -> Array:
    """Elements at zero under ReLU, or at an end of an integer's range: they say but on which side.

    Numbers that wrapped are hardly ever there, unless a bias alone has put them all at one.
    """
    ends = [0.0] if convention.activation == "relu" else []
    if ":" in convention.arithmetic:
        limits = np.iinfo(convention.arithmetic.partition(":")[2])
        ends += [limits.min, limits.max]
    return np.isin(values, ends)


def _marked(
    wrong: Array, shape: tuple[int, ...], first: tuple[int, ...]
) -> tuple[NDArray[np.bool_], ...]:
    marks = []
    for axis, (size, start) in enumerate(zip(shape, first, strict=True)):
        mark = np.zeros(size, bool)
        others = tuple(a for a in range(4) if a != axis)
        mark[start : start + wrong.shape[axis]] = wrong.any(axis=others)
        marks.append(mark)
    return tuple(marks)


def _furthest(
    fit: Fit, actual: Array, shape: tuple[int, ...], first: tuple[int, ...]
) -> NDArray[np.float64]:
    found = np.zeros((shape[1], 2, 4))
    with np.errstate(over="ignore", invalid="ignore"):
        apart = np.where(fit.mismatched, actual.real - fit.predicted.real, 0.0)
    for o in np.flatnonzero(fit.mismatched.any(axis=(0, 2, 3))):
        for side, sign in enumerate((1, -1)):
            off = sign * apart[:, o]
            n, y, x = np.unravel_index(int(np.argmax(off)), off.shape)
            if off[n, y, x] > 0:
                place = (n + first[0], y + first[2], x + first[3])
                found[first[1] + o, side] = (off[n, y, x], *place)
    return found


def _further(
    one: NDArray[np.float64] | None, other: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    if one is None or other is None:
        return one if other is None else other
    # Of two as far, the one that comes first: so that parts merge in any order.
    better = np.where([True, False, False, False], other > one, other < one)
    deciding = np.argmax(other != one, axis=-1, keepdims=True)
    return np.where(np.take_along_axis(better, deciding, axis=-1), other, one)


@dataclass(frozen=True)
class Confirmed:
    """A convention with everything solved for, held to the whole output.

    ``shape`` is the output's, N,O,H,W; ``border`` counts the elements of one channel whose windows
    reach over the image's edge; ``bits`` is what it says that one element is right.
    """

    convention: Convention
    tally: Tally
    shape: tuple[int, ...]
    border: int
    bits: float

    @property
    def misses(self) -> int:
        """How many elements the convention does not give."""
        return self.tally.misses

    @property
    def usable(self) -> int:
        """How many elements were judged."""
        return self.tally.comparison.total

    @classmethod
    def of(cls, fit: Fit, output: Array, usable: Array) -> Confirmed:
        """A fit of the whole output."""
        tally = Tally.of(fit, output, usable)
        return cls(
            fit.convention, tally, output.shape, fit.linear.border, element_bits(fit, usable)
        )


def element_bits(fit: Fit, usable: Array) -> float:
    """What it says that one element is right: the output's spread in steps that can be told."""
    problem: Problem = fit.linear.problem
    step = 2 * float(np.median(np.broadcast_to(fit.threshold, usable.shape)[usable]))
    if problem.arithmetic.exact:
        step = max(step, problem.arithmetic.quantum * abs(fit.convention.scale))
    if problem.output.dtype.kind in "biu":
        step = max(step, 1.0)
    spread = float(np.std(fit.predicted[usable]))
    return math.log2(max(1.0, 3.5 * spread / max(step, TINY)))
