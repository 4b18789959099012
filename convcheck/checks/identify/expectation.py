"""Whether an answer is what was expected: its keys are so, in its own words or in others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from convcheck.checks.identify.ambiguity import AFTER, same_operation
from convcheck.convention import Storage, normalized
from convcheck.engine import convolve
from convcheck.errors import InputError

if TYPE_CHECKING:
    from convcheck.checks.identify.identification import Candidate
    from convcheck.checks.sums import Problem
    from convcheck.convention import Convention


def meets(problem: Problem, candidate: Candidate, expect: Mapping[str, Any], only: bool) -> bool:
    """Whether a candidate is the expected operation, with the expected steps after the sums.

    A flip of an axis of size one, or a padding that no window reaches, is no difference. Of several
    answers the expected one must give this output, where it is one of their class.
    """
    c = candidate.convention
    try:
        wanted = normalized(expect, c.rank)
    except InputError:
        return False
    if not all(_agrees(getattr(c, key), wanted[key]) for key in AFTER if key in wanted):
        return False
    sums = {key: value for key, value in wanted.items() if key not in AFTER}
    if all(getattr(c, key) == value for key, value in sums.items()):
        return True
    for other in _said_otherwise(c, sums):
        if same_operation(problem, c, other):
            return True
        if not only and _gives(problem, other):
            return True
    return False


def _agrees(found: Any, wanted: Any) -> bool:
    """Whether a value is the wanted one; numbers that were solved for are right to six digits."""
    if found is None or wanted is None or isinstance(found, (str, Storage)):
        return bool(found == wanted)
    if isinstance(found, tuple) and found and isinstance(found[0], str):  # an activation
        return bool(found[0] == wanted[0] and np.allclose(found[1], wanted[1], rtol=1e-6))
    try:
        return bool(np.allclose(found, wanted, rtol=1e-6, atol=1e-9))
    except (TypeError, ValueError):
        return False


def _gives(problem: Problem, c: Convention) -> bool:
    try:
        made = convolve(problem.image, problem.filters, c)
    except InputError:
        return False
    same = made.shape == problem.output.shape
    return same and bool(np.allclose(made, problem.output, rtol=1e-5, equal_nan=True))


def _said_otherwise(c: Convention, wanted: Mapping[str, Any]) -> Iterator[Convention]:
    """The expected keys with the others as they are, or as they may be said as well.

    Reversed channels are a flip or an order; a flip of an axis of length one is none.
    """
    orders = [c.channel_order, None]
    if c.channel_order is not None:
        orders.append(c.channel_order[::-1])
    flips = [c.flip, tuple(a for a in c.flip if a != "I"), tuple(dict.fromkeys(("I", *c.flip)))]
    for order, flip in product(orders, dict.fromkeys(flips)):
        try:
            yield c.replace(**{"channel_order": order, "flip": flip, **wanted})
        except InputError:
            continue
