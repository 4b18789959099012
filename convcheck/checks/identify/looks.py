"""What an output's numbers show by themselves: ReLU, the ends of a dtype, possible arithmetics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention import INTEGER_ARITHMETICS
from convcheck.engine import round_to
from convcheck.rounding import blocks, largest_magnitude, quantum

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convcheck.checks.sums import Problem
Array = NDArray[Any]

FLOATING = ("float64", "float32")


def is_rectified(output: Array, usable: Array) -> bool:
    """Whether an output looks as ReLU leaves it: zeros, and hardly a negative number."""
    seen = output[usable]
    if output.dtype.kind == "c" or not seen.size or not (seen == 0).any():
        return False
    below = int(np.count_nonzero(seen < 0))
    zeros = int(np.count_nonzero(seen == 0))
    # Of sums that were not rectified about as many are negative as positive.
    few = below <= seen.size / 5 and 2 * below <= seen.size - zeros - below
    return below == 0 or (few and zeros >= seen.size / 50)


def ends(output: Array) -> tuple[Array, Array]:
    """The elements at the lowest and at the highest number of an integer dtype."""
    if output.dtype.kind not in "iu":
        none = np.zeros(output.shape, bool)
        return none, none
    limits = np.iinfo(output.dtype)
    return output == limits.min, output == limits.max


def within_limits(output: Array) -> Array:
    """Elements that are at no end of an integer dtype."""
    lowest, highest = ends(output)
    return ~(lowest | highest)


def arithmetics(problem: Problem) -> list[str]:
    """The arithmetics that a problem's finite output can have, finest first; found out once."""
    if "arithmetics" not in problem.memo:
        problem.memo["arithmetics"] = _arithmetics(problem)
    names: list[str] = problem.memo["arithmetics"]
    return names


def _arithmetics(problem: Problem) -> list[str]:
    output = problem.output
    kind = output.dtype.kind
    if kind in "biu":
        # Above 2^24 integers may have been summed as floats.
        sums = FLOATING if max(-int(output.min()), int(output.max())) > 2**24 else ()
        return ["exact", *integer_arithmetics(output), *sums]
    names = ["exact"]
    if kind == "f" and all(np.array_equal(np.rint(p), p) for p in finite_parts(output)):
        names += integer_arithmetics(output)
    if output.dtype not in (np.float16, np.float32, np.complex64):
        names.append("float64")
    if output.dtype != np.float16:
        names.append("float32")
    if kind == "c":
        return names
    if output.dtype == np.float16:
        return [*names, "float16"]
    # What bfloat16 holds float16 does too; then the fewest bits are those that were kept.
    stored = [a for a in ("bfloat16", "float16") if is_stored(problem, a)][:1]
    return [*names, *(stored or ["tf32", "float16", "bfloat16"])]


def is_stored(problem: Problem, arithmetic: str) -> bool:
    """Whether every finite element of the output is as ``arithmetic`` stores it."""
    if arithmetic not in problem.memo:
        with np.errstate(over="ignore", invalid="ignore"):
            problem.memo[arithmetic] = all(
                np.array_equal(round_to(part, arithmetic).astype(part.dtype), part)
                for part in finite_parts(problem.output)
            )
    return bool(problem.memo[arithmetic])


def levels(array: Array) -> float:
    """How many steps of the same size the numbers of an array are apart from zero, at most."""
    step = quantum(array) if np.isfinite(array).all() else 0.0
    return largest_magnitude(array) / step if step else math.inf


def finite_parts(output: Array) -> Iterator[Array]:
    """The finite numbers of an output, so many at a time that a look at them needs no copy."""
    for part in blocks(output):
        yield part[np.isfinite(part)] if part.dtype.kind in "fc" else part.ravel()


def integer_arithmetics(output: Array) -> list[str]:
    """The output's own integers, and others where the values give them away.

    Integers that wrapped fill their range, integers that saturated have elements at its end.
    """
    low = high = 0
    for part in finite_parts(output):
        low, high = min(low, int(part.min(initial=0))), max(high, int(part.max(initial=0)))
    own = output.dtype.name
    fitting = []
    for arithmetic in INTEGER_ARITHMETICS:
        how, _, name = arithmetic.partition(":")
        limits = np.iinfo(name)
        if low < limits.min or high > limits.max:
            continue
        ends = high == limits.max or (limits.min < 0 and low == limits.min)
        half = high > limits.max // 2 or low < limits.min // 2
        if name == own or (ends if how == "saturate" else half):
            fitting.append(arithmetic)
    return sorted(fitting, key=lambda a: a.partition(":")[2] != own)
