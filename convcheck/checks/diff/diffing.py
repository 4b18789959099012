"""The verdict on two arrays, with what identify says of each where their operands are given."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convcheck.checks.diff.judging import Held, most_ulps
from convcheck.checks.diff.mending import code, fix
from convcheck.checks.diff.pair import Pair, format_of, spread
from convcheck.checks.diff.result import DiffResult, Relation
from convcheck.checks.diff.search import search
from convcheck.checks.diff.values import SAME
from convcheck.errors import InputError

if TYPE_CHECKING:
    from convcheck.checks.diff.search import Found

Array = NDArray[Any]

AXES = 6
"""Axes that an array may have."""
FULL = 53.0
FEW = 4
"""Elements with which nothing is told: a line goes through any two."""


def diff(
    ref: ArrayLike,
    mine: ArrayLike,
    image: ArrayLike | None = None,
    filters: ArrayLike | None = None,
    *,
    strict: bool = False,
    budget: float | None = 8.0,
) -> DiffResult:
    """Say how ``mine`` relates to ``ref``, and prove it element by element.

    Args:
        ref: the array that is right, of 0 to 6 axes.
        mine: the one that is in question, likewise.
        image: what both were made from by a convolution, as for :func:`convcheck.identify`.
        filters: likewise; both of them or neither.
        strict: equal arrays do not count where REF is too plain to show usual mistakes.
        budget: seconds for each search of a convention; None for as long as it takes.

    Raises:
        InputError: arrays without elements or of no numbers, or that IMG and W cannot make.
    """
    a, b = _array("REF", ref), _array("MINE", mine)
    if (image is None) != (filters is None):
        raise InputError(
            "IMG and W belong together",
            got="IMG alone" if filters is None else "W alone",
            expected="both, or neither",
        )
    result = _related(a, b, strict)
    if image is None or filters is None or result.verdict == "equal":
        return result
    from convcheck.checks.diff.conventions import conventions

    return conventions(result, (a, b), (_array("IMG", image), _array("W", filters)), budget)


def _array(operand: str, given: Any) -> Array:
    detach = getattr(given, "detach", None)  # a tensor of PyTorch that may require a gradient
    array = np.asarray(detach().cpu().numpy() if detach is not None else given)
    if array.dtype.kind not in "biufc":
        raise InputError(
            f"{operand} does not hold numbers", got=f"dtype {array.dtype}", expected="numbers"
        )
    if array.size == 0:
        raise InputError(
            f"{operand} has no elements",
            got=f"shape {array.shape}",
            expected="something to compare",
        )
    if array.ndim > AXES:
        raise InputError(
            f"{operand} has too many axes",
            got=f"shape {array.shape}, {array.ndim} axes",
            expected=f"at most {AXES}",
            hint="reshape it: axes that nobody has mixed up can be one",
        )
    array = array.astype(np.uint8) if array.dtype.kind == "b" else array
    return np.atleast_1d(array)


@np.errstate(all="ignore")  # numbers near the ends of float64 may overflow, and then fit nothing
def _related(ref: Array, mine: Array, strict: bool) -> DiffResult:
    pair = Pair(ref, mine) if ref.shape == mine.shape else None
    base = DiffResult(
        verdict="unexplained",
        relations=(),
        spread=None if pair is None else spread(pair),
        agreement_bits=None if pair is None else _agreement(pair),
        unseen=(),
        reasons=(),
        shapes=(ref.shape, mine.shape),
        dtypes=(str(ref.dtype), str(mine.dtype)),
        strict=strict,
    )
    if pair is not None and pair.same.all():
        return replace(base, verdict="equal", unseen=unseen(ref))
    found = search(ref, mine)
    verdict, held = _verdict(found, ref, mine)
    relations = tuple(_relation(h, ref, mine) for h in held)
    shown = unseen(ref) if verdict == "rounding" else ()
    return replace(
        base,
        verdict=verdict,
        relations=relations,
        unseen=shown,
        reasons=tuple(_reasons(verdict, found, ref, mine)),
    )


def _verdict(found: Found, ref: Array, mine: Array) -> tuple[str, tuple[Held, ...]]:
    """What the explanations that are worth it amount to."""
    if not found.best:
        few = min(ref.size, mine.size) < FEW
        return ("ambiguous" if found.cheap or few else "unexplained"), found.cheap
    first = found.best[0]
    if len(found.best) > 1:
        return "ambiguous", found.best
    if first.wrong_count:
        return "near-match", found.best
    rounded = first.value.kind in (SAME, "cast")
    if first.placement.plain and rounded:
        return "rounding", found.best
    return "explained", found.best


def _relation(held: Held, ref: Array, mine: Array) -> Relation:
    wrong = held.wrong_count
    steps = (*held.placement.words, *held.value.words)
    return Relation(
        made="ref" if held.turned else "mine",
        steps=steps,
        code=code(held),
        fix=fix(held, ref.shape),
        elements=held.total,
        given=held.total - wrong,
        outside=mine.size - held.total,
        ulps=held.ulps,
        rounded=held.rounded,
        format=held.format,
        wrong=held.region,
        cost=held.score.total,
        literal=held.score.literal,
    )


def _agreement(pair: Pair) -> float | None:
    """The bits that every element has in common, at the size of the numbers around."""
    if pair.same.all():
        return FULL
    if format_of(pair.ref) == format_of(pair.mine) == "integer":
        return None
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(pair.x), pair.size)
        share = np.abs(pair.x - pair.y) / np.maximum(size, 2.0**-1074)
    share = np.where(pair.same, 0.0, np.where(np.isfinite(share), share, np.inf))
    most = float(share.max())
    return 0.0 if most >= 1 else min(FULL, -math.log2(max(most, 2.0**-60)))


def _reasons(verdict: str, found: Found, ref: Array, mine: Array) -> list[str]:
    """Why the data cannot tell, or what else is to be said."""
    if verdict == "ambiguous" and not found.best:
        few = min(ref.size, mine.size)
        for name, array in (("REF", ref), ("MINE", mine)):
            if array.size > 1 and (array == array.flat[0]).all():
                return [f"{name} is {array.flat[0]:g} throughout"]
        return [f"with {few} element{'s' * (few > 1)} anything could be luck"]
    if verdict == "ambiguous":
        return ["REF is alike where they differ"]
    if verdict == "unexplained" and ref.shape == mine.shape:
        pair = Pair(ref, mine)
        worst = float(pair.ulps.max())
        limit = most_ulps(pair)
        if limit < worst < 2.0**15 and pair.format in ("float32", "float64"):
            said = (
                f"they differ by up to {worst:.3g} units in the last place of {pair.format}, "
                f"which is more than the order of sums explains ({limit:.0f}); arithmetic in fewer "
                "bits could: IMG and W would tell"
            )
            return [said]
    return []


def unseen(ref: Array) -> tuple[str, ...]:
    """Usual mistakes that leave REF as it is, so that to be equal proves nothing of them."""
    if ref.size > 1 and bool((ref == ref.flat[0]).all()):
        return ("anything that moves its elements: they are all the same",)
    found = []
    for axis, length in enumerate(ref.shape):
        if length > 1 and np.array_equal(ref, np.flip(ref, axis)):
            found.append(f"a flip along axis {axis}")
    for axis in range(ref.ndim - 1):
        lengths = ref.shape[axis : axis + 2]
        if lengths[0] == lengths[1] > 1 and np.array_equal(ref, ref.swapaxes(axis, axis + 1)):
            found.append(f"axes {axis} and {axis + 1} in each other's place")
    return tuple(found)
