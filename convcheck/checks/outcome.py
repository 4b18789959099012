"""Whether two conventions' outputs differ, and if not, by which step they have become the same."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.areas import Area
from convcheck.convention import PRECISIONS
from convcheck.engine import finish, round_to
from convcheck.rounding import gamma

if TYPE_CHECKING:
    from convcheck.checks.sums import Linear
    from convcheck.convention import Convention

Array = NDArray[Any]


class Step(IntEnum):
    """The steps of a convention after which two outputs may be the same for the first time."""

    SUMS = 0
    SCALED = 1
    ACTIVATED = 2
    STORED = 3
    NEVER = 4


def alike_after(base: Linear, changed: Linear, c: Convention) -> Step:
    """The step of ``c`` after which no element differs by more than rounding can explain.

    ``base`` and ``changed`` are sums of the same elements; ``c`` has what is done with both after.
    """
    a, b = base.values, changed.values
    exact = base.problem.arithmetic.exact
    bound: Array | float = 0.0
    if not exact:
        bound = gamma(2 * base.terms + 4) * (changed.magnitude + base.magnitude)
    apart = np.abs(b - a) > bound
    if not apart.any():
        return Step.SUMS
    if c.bias is not None and isinstance(base, Area):
        c = c.replace(bias=c.bias[base.part[1]])
    with np.errstate(all="ignore"):  # a scale may overflow, as it does in the output
        if not exact and (c.scale != 1.0 or c.bias is not None):
            bound = _bound_scaled(a, b, bound, c)
        # What rounding explains before ReLU is enough after it: it brings no two numbers apart.
        for step, activation in ((Step.SCALED, None), (Step.ACTIVATED, c.activation)):
            some = c.replace(activation=activation, arithmetic="exact")
            left, right = finish(a, some), finish(b, some)
            apart = apart & (np.abs(left - right) > bound)
            if not apart.any():
                return step
        apart = apart & _apart_stored(left, right, bound, c.arithmetic, exact=exact)
    return Step.NEVER if apart.any() else Step.STORED


def _bound_scaled(a: Array, b: Array, bound: Array | float, c: Convention) -> Array:
    """What rounding explains of a difference after scale and bias, which round each once."""
    bias = np.abs(np.asarray(c.bias or 0.0)).reshape(-1, 1, 1)
    size = abs(c.scale) * (np.abs(a) + np.abs(b)) + 2 * bias
    whole: Array = abs(c.scale) * bound + gamma(4) * size
    return whole


def _apart_stored(
    left: Array, right: Array, bound: Array | float, arithmetic: str, *, exact: bool
) -> Array:
    """Which of the elements that differ still do as ``arithmetic`` stores them."""
    a, b = round_to(left, arithmetic), round_to(right, arithmetic)
    if arithmetic in PRECISIONS:
        # The digits that a precision drops are rounding, which is judged before; infinity is not.
        overflows: Array = np.isinf(a) & (a == b)
        return ~overflows
    apart: Array = a != b
    if not exact:
        apart &= _is_sure(left, bound, arithmetic) & _is_sure(right, bound, arithmetic)
    return apart


def _is_sure(y: Array, bound: Array | float, arithmetic: str) -> Array:
    """Where rounding does not change the integer that a number is stored as."""
    sure: Array = round_to(y - bound, arithmetic) == round_to(y + bound, arithmetic)
    # An interval that is wider than that may wrap and come round to the same integer.
    return sure & (bound < 0.5) if arithmetic.startswith("wrap") else sure
