"""Whether two conventions' outputs differ, and if not, by which step they have become the same."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.areas import Area
from convcheck.convention import PRECISIONS
from convcheck.engine import finish, is_whole, round_to
from convcheck.rounding import gamma

if TYPE_CHECKING:
    from convcheck.checks.sums import Linear, Problem
    from convcheck.convention import Convention

Array = NDArray[Any]


class Step(IntEnum):
    """The steps of a convention after which two outputs may be the same for the first time."""

    SUMS = 0
    SCALED = 1
    ACTIVATED = 2
    STORED = 3
    NEVER = 4


def alike_after(base: Linear, changed: Linear, c: Convention) -> tuple[Step, bool]:
    """The step of ``c`` after which no element differs by more than rounding can explain.

    And whether none differs at all there. ``base`` and ``changed`` are sums of the same elements;
    ``c`` has what is done with both after.
    """
    left, right = base.values, changed.values
    exact = is_exact(base.problem, c)
    bound: Array | float = 0.0
    if not exact:
        bound = gamma(2 * base.terms + 4) * (changed.magnitude + base.magnitude)
    apart = np.abs(right - left) > bound
    if not apart.any():
        return Step.SUMS, exact or np.array_equal(left, right)
    if c.bias is not None and isinstance(base, Area):
        c = c.replace(bias=c.bias[base.part[1]])
    with np.errstate(all="ignore"):  # a scale may overflow, as it does in the output
        if not exact and (c.scale != 1.0 or c.bias is not None):
            bound = _bound_scaled(left, right, bound, c)
        # What rounding explains before ReLU is enough after it: it brings no two numbers apart.
        for step, activation in ((Step.SCALED, None), (Step.ACTIVATED, c.activation)):
            some = c.replace(activation=activation, arithmetic="exact")
            left, right = finish(base.values, some), finish(changed.values, some)
            apart = apart & (np.abs(left - right) > bound)
            if not apart.any():
                return step, np.array_equal(left, right)
        stored = [round_to(y, c.arithmetic) for y in (left, right)]
        if c.arithmetic in PRECISIONS:
            # The digits that a precision drops are rounding, as above; infinity is none.
            apart = apart & ~(np.isinf(stored[0]) & (stored[0] == stored[1]))
        else:
            apart = apart & (stored[0] != stored[1])
            if not exact:
                apart = apart & _apart_as_integers(left, right, bound, c.arithmetic)
    return (Step.NEVER if apart.any() else Step.STORED), np.array_equal(stored[0], stored[1])


def is_exact(problem: Problem, c: Convention) -> bool:
    """Whether no sum is rounded: a border such as 0.1 may be no multiple of the data's quantum."""
    return problem.arithmetic.exact and is_whole(c.padding_value)


def _bound_scaled(a: Array, b: Array, bound: Array | float, c: Convention) -> Array:
    """What rounding explains of a difference after scale and bias, which round each once."""
    bias = np.abs(np.asarray(c.bias or 0.0)).reshape(-1, 1, 1)
    size = abs(c.scale) * (np.abs(a) + np.abs(b)) + 2 * bias
    whole: Array = abs(c.scale) * bound + gamma(4) * size
    return whole


def _apart_as_integers(left: Array, right: Array, bound: Array | float, arithmetic: str) -> Array:
    """Which elements are stored as other integers, wherever within ``bound`` each number is."""
    how, _, name = arithmetic.partition(":")
    if how == "saturate":
        (a, b), (c, d) = (
            [round_to(y + side, arithmetic) for side in (-bound, bound)] for y in (left, right)
        )
        disjoint: Array = (b < c) | (d < a)
        return disjoint
    (a, b), (c, d) = ([np.trunc(y + side) for side in (-bound, bound)] for y in (left, right))
    modulus = 2.0 ** (8 * np.dtype(name).itemsize)
    # They may be the same where a multiple of the modulus is among the differences.
    none: Array = np.floor((d - a) / modulus) < np.ceil((c - b) / modulus)
    return none
