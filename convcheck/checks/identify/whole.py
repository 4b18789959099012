"""A form held to the whole output: what it gives, what it does not, and what it takes in bits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.algorithms import Problem as Computed
from convcheck.algorithms import narrowest
from convcheck.check import Tally, stored_comparison
from convcheck.check import hold as held_to
from convcheck.checks.areas import is_large
from convcheck.checks.sums import Linear
from convcheck.convention.channels import read_image, read_output
from convcheck.engine import pad, prepare_image, spread
from convcheck.few_bits import FLOAT32, Format
from convcheck.noise import DIRECT, FAR, UNEVEN
from convcheck.rounding import TINY, UNIT
from convcheck.score import Score, place_bits

if TYPE_CHECKING:
    from convcheck.checks.identify.forms import Form
    from convcheck.checks.sums import Problem
    from convcheck.comparison import Comparison
    from convcheck.convention import Convention
    from convcheck.traits import Traits

Array = NDArray[Any]

FORMATS = {FLOAT32.unit: FLOAT32, UNIT: Format("float64", UNIT, TINY)}
"""By their unit roundoff those whose algorithms have a proven bound."""


@dataclass(frozen=True)
class Held:
    """A form and the whole output; ``wrong`` is in OUT's layout, None where it cannot be held.

    ``border`` counts the elements of a channel whose windows reach over the image's edge.
    """

    form: Form
    tally: Tally
    comparison: Comparison
    score: Score
    border: int
    wrong: Array | None = field(repr=False, default=None)
    algorithm: str | None = None

    @property
    def convention(self) -> Convention:
        """The form's."""
        return self.form.convention

    @property
    def wrong_count(self) -> int:
        """How many elements it does not give."""
        return self.tally.wrong


def hold(problem: Problem, form: Form, traits: Traits) -> Held:
    """Judge every element of the output under a form.

    Errors that a direct sum could not have need an algorithm whose proven bound they keep; where
    there is none, they are exceptions.
    """
    tally, wrong = held_to(problem, form.convention, form.claim, form.noise, traits)
    algorithm = None
    if form.noise.uneven or tally.beyond:
        algorithm = _algorithm(problem, form)
        if algorithm is None and tally.beyond:
            direct = replace(form.noise, growth=min(form.noise.growth, DIRECT))
            tally, wrong = held_to(problem, form.convention, form.claim, direct, traits)
    score = Score(
        keys=form.score.keys,
        numbers=form.score.numbers,
        exceptions=tally.exceptions + place_bits(tally.wrong, tally.met),
        residual=tally.residual,
        literal=tally.literal,
    )
    return Held(
        form=form,
        tally=tally,
        comparison=stored_comparison(tally.comparison, form.convention),
        score=score,
        border=Linear(problem, form.convention).border,
        wrong=wrong,
        algorithm=algorithm,
    )


def _algorithm(problem: Problem, form: Form) -> str | None:
    """The narrowest algorithm whose bound the plain sums of an output keep, exceptions aside."""
    c, unit = form.convention, form.claim.unit
    changed = c.scale != 1 or c.bias is not None or c.activation is not None
    changed |= "c" in (problem.image.dtype.kind, problem.filters.dtype.kind)
    if changed or form.claim.storage is not None or unit not in FORMATS or is_large(problem):
        return None
    linear = Linear(problem, c, form.claim.precision)
    x = prepare_image(read_image(problem.image, c), c.replace(arithmetic="exact"))
    padded = pad(spread(x.astype(np.float64), c.input_dilation), c)
    error = np.abs(read_output(problem.output, c) - linear.values)
    # What is far off is an exception, and no algorithm's error.
    typical = form.noise.of_sums(
        linear.values, form.noise.flatness * linear.magnitude, linear.magnitude
    )
    error = np.where(error <= UNEVEN * FAR * typical, error, 0.0)
    asked = Computed(
        padded,
        linear.bank,
        linear.magnitude,
        c.stride,
        c.dilation,
        c.groups,
        arithmetic=FORMATS[unit],
    )
    found = narrowest(error, asked)
    return None if found is None else found.name
