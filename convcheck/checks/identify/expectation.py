"""Whether an answer is what was expected: its keys are so, in its own words or in others."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.areas import is_large
from convcheck.checks.identify.bounds import Bounds, factors, plainest_bias
from convcheck.checks.identify.fit import judged
from convcheck.checks.identify.looks import FLOATING, finite_parts
from convcheck.checks.identify.numerals import plainest
from convcheck.checks.identify.thin import same_sums
from convcheck.checks.identify.windows import KEYS, with_windows
from convcheck.checks.sums import Linear
from convcheck.convention import PRECISIONS
from convcheck.engine import finish, to_axes
from convcheck.errors import InputError
from convcheck.rounding import largest_magnitude

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from convcheck.checks.sums import Problem
    from convcheck.convention import Convention

Array = NDArray[Any]


def meets(data: Problem, convention: Convention, expect: Mapping[str, Any]) -> bool:
    """Whether ``convention``, or another that does the same to ``data``, sums as is expected.

    A flip of an axis of size one, or a padding that no window reaches, is no difference. Keys of
    what is done to the sums afterwards are none of it: see :func:`agrees`.
    """
    wanted = {key: value for key, value in expect.items() if key not in AFTER}
    if all(getattr(convention, key) == value for key, value in wanted.items()):
        return True
    said = _said_otherwise(data, convention, wanted)
    return next(same_sums(data, convention, said), None) is not None


def agrees(problem: Problem, c: Convention, apart: float, expect: Mapping[str, Any]) -> bool:
    """Whether OUT is so with the expected scale, bias and arithmetic too, as it is with ``c``'s.

    Numbers that were solved for are right up to rounding: the layer may have had others. ``apart``
    is how far OUT is from what ``c`` gives, at most.
    """
    wanted = {key: value for key, value in expect.items() if key in AFTER}
    if all(getattr(c, key) == value for key, value in wanted.items()):
        return True
    if wanted.get("activation", c.activation) != c.activation:
        return False
    if wanted.get("arithmetic", c.arithmetic) != c.arithmetic != "exact":
        return False  # sums of which nothing was lost may be any arithmetic's that holds them
    output = to_axes(problem.output, c.output_layout, "NOHW")
    trials = _numbers(problem, c.replace(**wanted), output, wanted)
    return any(_gives(problem, trial, output, apart) for trial in trials)


AFTER = ("scale", "bias", "activation", "arithmetic")


def _numbers(
    problem: Problem, c: Convention, output: Array, wanted: Mapping[str, Any]
) -> Iterator[Convention]:
    """The convention, and with other numbers where these are not ``wanted`` so."""
    yield c
    if ":" not in c.arithmetic or is_large(problem):
        return
    bounds = Bounds.of(c, output.astype(np.float64), np.isfinite(output))
    sums = Linear(problem, c).values
    if "bias" not in wanted:
        yield c.replace(bias=None)
        bias = plainest_bias(sums, c.scale, bounds)
        if bias:
            yield c.replace(bias=bias)
    elif "scale" not in wanted:
        rest = 0.0 if c.bias is None else np.reshape(c.bias, (1, -1, 1, 1))
        alone = factors(sums, bounds.low - rest, bounds.high - rest)
        if alone:
            yield c.replace(scale=plainest(*alone))


def _gives(problem: Problem, c: Convention, output: Array, apart: float) -> bool:
    """Whether OUT is what a convention gives, to the last bit, or as near as ``apart``."""
    if not is_large(problem):
        made = finish(Linear(problem, c).values, c)
        if np.array_equal(made, output):
            return True
    if c.arithmetic not in FLOATING:
        return False
    found = judged(problem, c, output)
    # Bounds are wider than what rounding does.
    unit = PRECISIONS[c.arithmetic] * max(map(largest_magnitude, finite_parts(output)))
    near = found.tally.comparison.max_abs_diff <= 4 * max(apart, unit)
    return not found.misses and found.convention.arithmetic == c.arithmetic and near


def _said_otherwise(
    data: Problem, c: Convention, wanted: Mapping[str, Any]
) -> Iterator[Convention]:
    """The expected keys with the others as they are, or as they may be said as well.

    Reversed channels are a flip or an order; swapped kernels are a layout with W before H.
    """
    orders = [c.channel_order, None]
    if c.channel_order is not None:
        orders.append(c.channel_order[::-1])
    swapped = c.filter_layout.translate(str.maketrans("HW", "WH"))
    kernels = [(c.kernel_transposed, c.filter_layout), (not c.kernel_transposed, swapped)]
    others = {key: value for key, value in wanted.items() if key not in KEYS}
    for order, (transposed, layout) in product(orders, kernels):
        keys = {
            "channel_order": order,
            "kernel_transposed": transposed,
            "filter_layout": layout,
        }
        try:
            yield c.replace(**{**keys, **wanted})
            if len(others) < len(wanted):
                found = with_windows(data, c.replace(**{**keys, **others}), wanted)
                if found is not None:
                    yield found
        except InputError:
            continue
