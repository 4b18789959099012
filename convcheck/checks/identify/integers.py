"""Layers on integers: the numbers of the best form from all of the output, and how they act."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from convcheck.checks.identify.whole import Held, hold
from convcheck.checks.integer_layers import SOME, applies, channels_of, in_reals, ways
from convcheck.score import number_bits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convcheck.checks.sums import Problem
    from convcheck.traits import Traits

FITTED = 10.0
"""Bits of a scale that was measured, and not thought of."""


def multiplied(problem: Problem, held: Held, traits: Traits) -> Held:
    """The form that gives most with numbers solved on all of the output, and how they multiply."""
    if not held.wrong_count or not applies(problem, held):
        return held
    channels = channels_of(problem, held)
    best = held
    for form in chain(in_reals(channels, held), ways(channels, held)):
        other = hold(problem, form, traits)
        best = other if other.score.total < best.score.total else best
        if not best.wrong_count:
            break
    return best


def left_open(problem: Problem, held: Held, traits: Traits) -> Iterator[str]:
    """Whether a layer on integers may as well be one that rounds twice, and what would tell."""
    c = held.convention
    layer = all(a.dtype.kind in "biu" for a in (problem.image, problem.filters))
    scales = np.abs(np.atleast_1d(c.scale))
    fitted = number_bits(float(np.median(scales))) >= FITTED and traits.size <= SOME
    if not layer or not fitted or not applies(problem, held):
        return
    if c.storage is None or c.storage.multiplier != "real":
        return
    twice = next(ways(channels_of(problem, held), held), None)
    if twice is not None and not hold(problem, twice, traits).wrong_count:
        away = 2.0 ** (float(np.frexp(scales.max())[1]) - 1)
        yield (
            "whether the scale is applied with one rounding or in fixed point with two makes no "
            f"difference to OUT: sums that come within {away:.1g} of a tie, once scaled, would tell"
        )
