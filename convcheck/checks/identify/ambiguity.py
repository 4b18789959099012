"""Why some data fits several conventions, and what data would fit one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.areas import shape_of
from convcheck.checks.blindness import why_equal
from convcheck.checks.unseen import meets_more
from convcheck.convention import KEYS, Convention
from convcheck.engine import arrange_filters, stored_image
from convcheck.rounding import blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.checks.sums import Problem

Array = NDArray[Any]


def why_ambiguous(
    problem: Problem, conventions: Sequence[Convention], crowded: bool
) -> tuple[tuple[str, ...], str]:
    """Reasons, one for each convention after the first, and the data that would tell them apart."""
    reasons = list(dict.fromkeys(degenerate(problem)))
    if conventions and not reasons:
        first = conventions[0]
        reasons = [_reason(problem, first, other) for other in conventions[1:]]
        if only_copies(problem, first):
            reasons.append(
                "no filter has more than one number that is not zero: OUT shows where each element "
                "was copied from, and nothing else that a window met"
            )
    if crowded:
        reasons.append("so many conventions give this output that only the plainest are listed")
    remedy = (
        "use random integers for both, at least 3 channels, another number of filters than of "
        "channels, and heights that differ from widths, such as those that convcheck random "
        "--shape 3x9x8 --kernel 3x2 --count 4 --save case draws"
    )
    return tuple(dict.fromkeys(reasons)), remedy


def only_copies(problem: Problem, convention: Convention) -> bool:
    """Whether each filter multiplies one element of a window alone, though windows have more.

    Then any dilation does, and the axes in another order, beyond what is searched at once.
    """
    channels = stored_image(problem.image, convention).shape[1]
    w = arrange_filters(problem.filters, convention.replace(flip=()), channels)
    return math.prod(w.shape[2:]) > 1 and bool((np.count_nonzero(w, axis=(1, 2, 3)) <= 1).all())


def degenerate(problem: Problem) -> list[str]:
    """Which arrays are the same number throughout, and what that means."""
    reasons = []
    for name, array in (("IMG", problem.image), ("W", problem.filters), ("OUT", problem.output)):
        if array.size > 1 and all((part == array.flat[0]).all() for part in blocks(array)):
            what = "all zeros" if array.flat[0] == 0 else "constant"
            reasons.append(f"{name} is {what}, and says nothing about order or place")
    return reasons


def _reason(problem: Problem, first: Convention, other: Convention) -> str:
    differing = [key for key in KEYS if getattr(first, key) != getattr(other, key)]
    if differing == ["flip"]:
        x = stored_image(problem.image, first)
        plain = first.replace(flip=())
        w = arrange_filters(problem.filters, plain, x.shape[1])
        if first.groups == 1:
            flips = [first.flip, other.flip]
            bordered = meets_more(first, x.shape, w.shape, shape_of(problem, first))
            exact = problem.arithmetic.exact
            return why_equal(x, w, flips, exact, bordered=bordered)[0]
    if {*differing} <= {"channel_order", "flip"} and {*first.flip} ^ {*other.flip} <= {"I"}:
        return "reordering the channels changes nothing: filters or image are alike across channels"
    if differing == ["kernel_transposed"]:
        return "every kernel is its own transpose"
    if differing == ["padding_value"] and first.padding_value and other.padding_value:
        return (
            "what windows beyond the image's edge give is cut off or rounded: many numbers do there"
        )
    if {*differing} == {"padding_value", "bias"}:
        return (
            "every window of a channel meets as much of the border: its number is as good as a bias"
        )
    if set(differing) <= {"padding_mode", "padding_value"}:
        return "what stands beyond the image's edge meets zeros, or repeats what the edge has"
    words = ", ".join(key.replace("_", " ") for key in differing)
    return f"conventions that differ in {words} give the same numbers on this data"
