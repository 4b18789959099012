"""Whether an answer's scale and bias are a given batch normalization, or what else they are.

A batch normalization is a scale and a bias for each channel. Each way to make these of its four
arrays is a row of one table, and agrees if the lines that it makes give the elements of OUT as the
answer's own do: what rounding does is judged as everywhere (:mod:`convcheck.check`), not by how far
two numbers are apart. An ε, or a bias of the convolution, that makes all channels agree is solved
for: what it explains are more numbers than it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.check import Numbers, judge
from convcheck.checks.areas import is_large
from convcheck.checks.identify.elements import Elements
from convcheck.checks.identify.forms import Ground
from convcheck.checks.identify.norm import BatchNorm, wrong_length
from convcheck.checks.identify.norm_lines import (
    BIAS,
    BOTH,
    EPSILON_ROW,
    GIVEN,
    NONE,
    NOT_JUDGED,
    ROWS,
    Line,
    Make,
    as_given,
)
from convcheck.checks.identify.solve import intervals
from convcheck.checks.sums import Linear
from convcheck.score import likeliest, plainest
from convcheck.traits import telling

if TYPE_CHECKING:
    from convcheck.checks.identify.forms import Form
    from convcheck.checks.sums import Problem
    from convcheck.traits import Traits

Array = NDArray[Any]

USUAL = {1e-5: "PyTorch's and ONNX's default", 1e-3: "Keras' default"}
"""The ε of a library that is told by name."""
LEAST, MOST = 1e-15, 1.0
"""Between which an ε is looked for, beside 0."""
STEPS = 64
"""By which the best ε is found, and either end of what the data leave of it."""
PRODUCTS, FEWEST, ELEMENTS = 1 << 26, 1 << 12, 1 << 14
"""Products that the elements take, about, by which a batch normalization is judged."""
ROUNDINGS = 8.0
"""Units of rounding by which its own few steps may move a scale, and the parts of a bias."""
WIDE = 3.0
"""Times as wide as a fit's are the intervals that a free bias must meet, all of them."""


@dataclass(frozen=True)
class Normalized:
    """What became of a given batch normalization.

    ``verdict`` is the name of the first row that agrees, of :data:`ROWS` or of :data:`MORE`,
    ``also`` others that this data cannot tell from it. ``eps`` is the ε by which it agrees,
    ``left`` between which numbers the data leave that. ``bias`` is the convolution's own, None in
    it where a channel does not tell. ``off`` channels are not as given; ``channel`` is the one
    that is off most, ``found`` the answer's scale and bias there and ``expected`` what was given.
    """

    verdict: str
    given: float
    eps: float | None = None
    left: tuple[float, float] | None = None
    bias: tuple[float | None, ...] | None = None
    also: tuple[str, ...] = ()
    off: int = 0
    channel: int | None = None
    found: tuple[float, float] | None = None
    expected: tuple[float, float] | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the given one is what was done; None where it was not judged."""
        return None if self.verdict == NOT_JUDGED else self.verdict == GIVEN


@dataclass(frozen=True)
class Given:
    """A batch normalization beside the elements that are to tell whether it was done."""

    norm: BatchNorm
    form: Form
    ground: Ground
    problem: Problem

    @classmethod
    def of(cls, problem: Problem, form: Form, traits: Traits, norm: BatchNorm) -> Given:
        """That of an answer's form.

        Raises:
            InputError: arrays that are not as long as there are output channels.
        """
        plain = form.convention.linear
        terms = Linear(problem, plain).terms
        elements = Elements.of(problem, plain, min(max(PRODUCTS // terms, FEWEST), ELEMENTS))
        ground = Ground.of(elements, plain, form.claim, traits, form.noise.lossless)
        if len(norm.mean) != ground.count:
            raise wrong_length(len(norm.mean), f"{ground.count}, one for each output channel")
        return cls(norm, form, ground, problem)

    @cached_property
    def statistics(self) -> tuple[Array, Array] | None:
        """Mean and variance of each channel's sums; None of those that cannot be held."""
        if is_large(self.problem):
            return None
        sums = Linear(self.problem, self.form.convention).values
        axes = (0, *range(2, sums.ndim))
        return sums.mean(axis=axes), sums.var(axis=axes)

    @cached_property
    def told(self) -> Array:
        """How many elements of each channel tell something."""
        g = self.ground
        some = telling(g.values, g.traits.limits)
        found: Array = np.bincount(g.channels[some], minlength=g.count)
        return found

    @cached_property
    def _between(self) -> tuple[Array, Array]:
        """Between which numbers ``scale * sum + bias`` was, of each element."""
        g, activation = self.ground, self.form.convention.activation
        own = WIDE * (g.scaled(self.form) + 0.5 * g.traits.unit * np.abs(np.nan_to_num(g.values)))
        return intervals(g, None if activation is None else activation.name, own)

    def off(self, line: Line) -> Array:
        """How far a line is off in each channel, in what rounding explains: up to 1 is not."""
        g, c = self.ground, self.form.convention
        numbers = Numbers(line.scale[g.channels], line.bias[g.channels])
        sums = g.sums
        found = judge(
            sums.values,
            sums.squares,
            sums.magnitude,
            g.values,
            c,
            numbers,
            self.form.claim,
            self.form.noise,
            g.traits,
        )
        slope = 1.0 if c.activation is None else c.activation.steepest
        moved = np.abs(numbers.scale * sums.values) + line.parts[g.channels]
        room = found.threshold + slope * ROUNDINGS * self.form.claim.unit * moved
        ratio = found.residual / np.maximum(room, 2.0**-1000)
        worst = np.zeros(g.count)
        np.maximum.at(worst, g.channels, np.nan_to_num(ratio, nan=np.inf))
        return worst

    def agrees(self, line: Line | None) -> bool:
        """Whether a line gives every element."""
        return line is not None and bool((self.off(line) <= 1).all())

    def biases(self, scale: Array) -> tuple[Array, Array]:
        """Between which biases all elements of a channel are on a line of this scale."""
        g, (low, high) = self.ground, self._between
        made = scale[g.channels] * g.sums.values
        least, most = np.full(g.count, -np.inf), np.full(g.count, np.inf)
        np.maximum.at(least, g.channels, low - made)
        np.minimum.at(most, g.channels, high - made)
        return least, most

    def with_bias(self, _: Given, eps: float) -> Line:
        """The given one with the bias that the elements leave, in the middle of what they do."""
        line = as_given(self, eps)
        low, high = self.biases(line.scale)
        # Where only one side is told, as of a ReLU that is 0 throughout, well within.
        ends = (
            np.where(np.isfinite(low), low, high - 2 * (1 + np.abs(high))),
            np.where(np.isfinite(high), high, low + 2 * (1 + np.abs(low))),
        )
        middle = 0.5 * (ends[0] + ends[1])
        bias = np.where(np.isfinite(middle), middle, line.bias)
        return Line(line.scale, bias, line.parts + np.abs(bias))

    def own_bias(self, eps: float) -> tuple[float | None, ...]:
        """The bias that the convolution had before the given one: (b - mean) * scale + beta."""
        n, scale = self.norm, as_given(self, eps).scale
        found: list[float | None] = []
        between = np.stack(self.biases(scale))
        ends = np.sort((between - n.beta) / np.where(scale, scale, np.nan) + n.mean, axis=0)
        for low, high in ends.T.tolist():
            told = math.isfinite(low) and math.isfinite(high)
            found.append(likeliest(low, high) if told else None)
        return tuple(found)

    def checks(self, *, free: bool) -> bool:
        """Whether channels that tell say more numbers than one ε, and no bias where it is free."""
        tells = (self.told >= 3) & (self.norm.gamma != 0)
        biases = 0 if free else np.count_nonzero(tells & (self.norm.mean != 0))
        return bool(np.count_nonzero(tells) + biases >= 2)

    def epsilons(self, make: Make, start: float | None = None) -> tuple[float, float] | None:
        """Between which ε all channels agree; ``start`` is one that they do with, if there is one.

        How far the worst element is off falls up to the best ε, and rises from there.
        """

        def off(x: float) -> float:
            line = make(self, math.exp(x))
            return math.inf if line is None else float(self.off(line).max())

        first, last = math.log(LEAST), math.log(max(MOST, 2 * (start or 0.0)))
        best = _least(off, first, last) if start is None else math.log(max(start, LEAST))
        if start is None and off(best) > 1:
            return None
        ends = []
        for end in (first, last):
            inner, outer = best, end
            for _ in range(STEPS if off(end) > 1 else 0):
                middle = 0.5 * (inner + outer)
                inner, outer = (middle, outer) if off(middle) <= 1 else (inner, middle)
            ends.append(inner if off(end) > 1 else end)
        return (0.0 if ends[0] == first else math.exp(ends[0])), math.exp(ends[1])


GRID = 48
"""Places that are looked at first: an ε is there to within a factor of two."""


def _least(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that falls and then rises is least."""
    # Far from it the function is all but level, and may go either way.
    tried = np.linspace(low, high, GRID)
    at = int(np.argmin([function(float(x)) for x in tried]))
    ends = float(tried[max(at - 1, 0)]), float(tried[min(at + 1, GRID - 1)])
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(function, bounds=ends, method="bounded", options={"xatol": 1e-12})
    return float(found.x)


def named(left: tuple[float, float]) -> float:
    """The ε to name of those that are left: a library's, or the plainest."""
    inside = [eps for eps in USUAL if left[0] <= eps <= left[1]]
    return inside[0] if len(inside) == 1 else plainest(*left)


def normalized(
    problem: Problem, forms: Sequence[Form], traits: Traits, norm: BatchNorm
) -> Normalized:
    """Whether a batch normalization is what the forms of an answer do, or what else they do.

    Of several forms it is the first that it is that of, else the first of all.

    Raises:
        InputError: arrays that are not as long as there are output channels.
    """
    found = []
    for form in forms:
        given = Given.of(problem, form, traits, norm)
        if given.ground.values.dtype.kind == "c" or given.ground.sums.values.dtype.kind == "c":
            continue
        if given.agrees(as_given(given, norm.eps)):
            return _that_is(given, GIVEN, ROWS[GIVEN].make, norm.eps)
        found.append(given)
    return _otherwise(found[0]) if found else Normalized(NOT_JUDGED, norm.eps)


def _that_is(given: Given, verdict: str, make: Make, eps: float) -> Normalized:
    """A row that agrees with an ε, and what the data leave of that."""
    return Normalized(verdict, given.norm.eps, eps, given.epsilons(make, eps))


def _otherwise(given: Given) -> Normalized:
    """What was done in place of what was given, the fewest numbers that are solved for first."""
    eps = given.norm.eps
    wrong = given.off(as_given(given, eps))
    found = _numberless(given) or _solved(given)
    found = found or Normalized(NONE, eps)
    at = int(np.argmax(wrong))
    line, c = as_given(given, eps), given.form.convention
    own = (np.broadcast_to(np.asarray(v or 0.0, float), wrong.shape)[at] for v in (c.scale, c.bias))
    scale, bias = map(float, own)
    return replace(
        found,
        off=int(np.count_nonzero(wrong > 1)),
        channel=at,
        found=(scale, bias),
        expected=(float(line.scale[at]), float(line.bias[at])),
    )


def _numberless(given: Given) -> Normalized | None:
    """A row with the ε that was given, or the one that was given with another ε."""
    eps = given.norm.eps
    agree = [name for name, row in ROWS.items() if given.agrees(row.make(given, eps))]
    other = given.epsilons(as_given) if given.checks(free=False) else None
    if other is not None and (not agree or named(other) in USUAL):
        return Normalized(EPSILON_ROW, eps, named(other), other, also=tuple(agree))
    if not agree:
        return None
    first, *rest = agree if other is None else [*agree, EPSILON_ROW]
    return replace(_that_is(given, first, ROWS[first].make, eps), also=tuple(rest))


def _solved(given: Given) -> Normalized | None:
    """A bias of the convolution, or a row with another ε, or both."""
    eps = given.norm.eps
    if given.agrees(given.with_bias(given, eps)) and (given.told >= 3).any():
        found = _that_is(given, BIAS, given.with_bias, eps)
        return replace(found, bias=given.own_bias(eps))
    for name, row in ROWS.items() if given.checks(free=False) else ():
        other = None if name == GIVEN else given.epsilons(row.make)
        if other is not None:
            return Normalized(name, eps, named(other), other)
    other = given.epsilons(given.with_bias) if given.checks(free=True) else None
    if other is None:
        return None
    chosen = named(other)
    return Normalized(BOTH, eps, chosen, other, bias=given.own_bias(chosen))
