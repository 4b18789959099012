"""Which other conventions give the same output, why, and what data would tell them apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.areas import shape_of
from convcheck.checks.identify.elements import Elements
from convcheck.checks.identify.forms import Form, fits
from convcheck.checks.identify.whole import Held, hold
from convcheck.checks.sums import Linear, Problem
from convcheck.checks.unseen import why_unseen
from convcheck.convention import Convention
from convcheck.convention.channels import read_filters, stored_image, write_output
from convcheck.convention.deviations import deviations
from convcheck.errors import InputError
from convcheck.rounding import blocks
from convcheck.score import MARGIN, key_bits

if TYPE_CHECKING:
    from convcheck.checks.identify.explore import Explored

Array = NDArray[Any]

FEW, MORE = 8, 128
"""Elements that a deviation is looked at with, before the whole output is."""
LISTED = 48
AFTER = ("scale", "bias", "activation", "arithmetic", "storage")


def alike(
    problem: Problem, held: Held, explored: Explored
) -> tuple[list[Held], list[Convention], bool]:
    """Forms of other operations that give the whole output too, within the margin; and a crowd.

    They are those that the search came upon, and the single deviations of the best. Those that do
    the same with these filters to any image are no other operation; they are listed by themselves.
    """
    best = held.convention
    found, equal = [held], []
    for form in explored.forms:
        if form.convention != best and form.total <= held.form.total + MARGIN + 1e-9:
            _add(problem, found, form, explored)
    single = (
        d.convention
        for d in deviations(best, problem.image, problem.filters)
        if any(getattr(d.convention, k) != getattr(best, k) for k in _KEYS)
    )
    for c in single:
        if len(found) > LISTED:
            break
        if not all(_gives(problem, c, held, explored, n) for n in (FEW, MORE)):
            continue
        if same_operation(problem, c, best):
            equal.append(c)
            continue
        keys = max(held.form.score.keys + key_bits(c) - key_bits(best), 0.0)
        score = replace(held.form.score, keys=keys)
        _add(problem, found, replace(held.form, convention=c, score=score), explored)
    crowded = len(found) > LISTED or only_copies(problem, best)
    return found[1:LISTED], equal, crowded


_OTHERS = (*AFTER, "image_offset", "image_scale", "filter_offset")
_KEYS = tuple(f.name for f in fields(Convention) if f.name not in _OTHERS)
"""What sums are made of."""


def _add(problem: Problem, found: list[Held], form: Form, explored: Explored) -> None:
    try:
        if any(same_operation(problem, form.convention, h.convention) for h in found):
            return
        held = hold(problem, form, explored.traits)
    except InputError:
        return
    if not held.wrong_count:
        found.append(held)


def _gives(problem: Problem, c: Convention, held: Held, explored: Explored, count: int) -> bool:
    """Whether a convention gives some elements as the form's does."""
    try:
        if shape_of(problem, c) != tuple(len(marks) for marks in held.tally.met):
            return False
        elements = Elements.of(problem, c, count)
    except InputError:
        return False
    return fits(elements, replace(held.form, convention=c), explored.traits)


def same_operation(problem: Problem, a: Convention, b: Convention) -> bool:
    """Whether two conventions' sums of these filters are the same, whatever the image.

    An image of random integers tells every two operations apart that differ at all; where the
    filters are alike either way, as a symmetric kernel is reversed, no image could.
    """
    if all(getattr(a, key) == getattr(b, key) for key in _KEYS):
        return True
    try:
        if shape_of(problem, a) != shape_of(problem, b):
            return False
        rng = np.random.default_rng(0)
        image = rng.integers(-99, 100, problem.image.shape)
        probe = Problem.of(image, problem.filters, problem.output)
        one, other = (write_output(Linear(probe, c).values, c) for c in (a, b))
    except InputError:
        return False
    if one.shape != other.shape:
        return False
    sizes = np.abs(one).max()
    apart = one - other
    if a.image_offset != b.image_offset and "C" in a.output_layout:
        # An offset is a constant beyond the edge and a bias, too.
        axes = tuple(i for i, letter in enumerate(a.output_layout) if letter != "C")
        apart = apart - apart.mean(axis=axes, keepdims=True)
    return bool(np.abs(apart).max() <= 2.0**-30 * sizes)


def only_copies(problem: Problem, c: Convention) -> bool:
    """Whether each filter multiplies one element of a window alone, though windows have more.

    Then any dilation does, and the axes in another order, beyond what is searched at once.
    """
    channels = stored_image(problem.image, c).shape[1]
    w = read_filters(problem.filters, c, channels)
    axes = tuple(range(1, w.ndim))
    return math.prod(w.shape[2:]) > 1 and bool((np.count_nonzero(w, axis=axes) <= 1).all())


def degenerate(problem: Problem) -> list[str]:
    """Which arrays are the same number throughout, and what that means."""
    reasons = []
    for name, array in (("IMG", problem.image), ("W", problem.filters), ("OUT", problem.output)):
        if array.size > 1 and all((part == array.flat[0]).all() for part in blocks(array)):
            what = "all zeros" if array.flat[0] == 0 else "constant"
            if name != "W" or array.flat[0] == 0:
                reasons.append(f"{name} is {what}, and says nothing about order or place")
    return reasons


def why(problem: Problem, conventions: Sequence[Convention], crowded: bool) -> tuple[str, ...]:
    """Reasons, one for each convention after the first."""
    reasons = list(dict.fromkeys(degenerate(problem)))
    if conventions and not reasons:
        first = conventions[0]
        shape = shape_of(problem, first)
        base = Linear(problem, first)
        reasons = [why_unseen(base, first, other, shape, same=False) for other in conventions[1:]]
        if only_copies(problem, first):
            reasons.append(
                "no filter has more than one number that is not zero: OUT shows where each element "
                "was copied from, and nothing else that a window met"
            )
    if crowded:
        reasons.append("so many conventions give this output that only the plainest are listed")
    return tuple(dict.fromkeys(reasons))


def remedy() -> str:
    """The data that would tell conventions apart."""
    return (
        "use random integers for both, at least 3 channels, another number of filters than of "
        "channels, and heights that differ from widths, such as those that convcheck random "
        "--shape 3x9x8 --kernel 3x2 --count 4 --save case draws"
    )
