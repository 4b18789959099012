"""A form held to the whole output: what it gives, what it does not, and what it takes in bits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.check import Numbers, judge
from convcheck.checks.areas import is_large
from convcheck.checks.sums import Linear
from convcheck.comparison import Comparison, compare, number
from convcheck.convention.channels import read_output, write_output
from convcheck.score import Score, place_bits

if TYPE_CHECKING:
    from convcheck.checks.identify.solve import Form
    from convcheck.checks.identify.traits import Traits
    from convcheck.checks.sums import Problem
    from convcheck.convention import Convention

Array = NDArray[Any]


@dataclass(frozen=True)
class Held:
    """A form and the whole output: ``wrong`` is in OUT's layout, ``mask`` as N,O and the axes."""

    form: Form
    comparison: Comparison
    score: Score
    wrong_count: int
    mask: Array = field(repr=False)
    wrong: Array | None = field(repr=False, default=None)
    inside: Array | None = field(repr=False, default=None)
    algorithm: str | None = None

    @property
    def convention(self) -> Convention:
        """The form's."""
        return self.form.convention


def hold(problem: Problem, form: Form, traits: Traits) -> Held:
    """Judge every element of the output under a form."""
    c = form.convention
    given = read_output(problem.output, c)
    values = given.astype(np.result_type(given, np.float64))
    linear = Linear(problem, c, form.claim.precision)
    squares = np.sqrt(linear.squares)
    magnitude = linear.magnitude
    channels = (-1, *(1 for _ in range(c.rank)))
    bias: Any = 0.0 if c.bias is None else c.bias
    numbers = Numbers(*(np.asarray(v, float).reshape(channels) for v in (c.scale, bias)))
    found = judge(
        linear.values, squares, magnitude, values, c, numbers, form.claim, form.noise, traits
    )
    wrong = found.wrong
    literal = traits.bits(values)
    exceptions = float(literal[wrong].sum()) + place_bits(wrong)
    score = Score(
        keys=form.score.keys,
        numbers=form.score.numbers,
        exceptions=exceptions,
        residual=float(found.bits[~wrong].sum()),
        literal=float(literal.sum()),
    )
    written = write_output(wrong, c)
    predicted = write_output(found.predicted, c)
    if form.claim.storage is not None:
        stored = (
            form.claim.storage.apply(found.predicted)
            if found.predicted.dtype.kind != "c"
            else (found.predicted)
        )
        predicted = np.where(written, write_output(stored, c), predicted)
    comparison = _comparison(problem.output, predicted, found, written, c, magnitude)
    return Held(
        form=form,
        comparison=comparison,
        score=score,
        wrong_count=int(np.count_nonzero(wrong)),
        mask=wrong,
        wrong=written,
        inside=linear.interior,
    )


def _comparison(
    output: Array, predicted: Array, found: Any, wrong: Array, c: Convention, magnitude: Array
) -> Comparison:
    given = output.astype(np.result_type(output, np.float64))
    threshold = write_output(np.broadcast_to(found.threshold, found.wrong.shape), c)
    residual = np.where(np.isfinite(given), write_output(found.residual, c), np.inf)
    ranked = np.where(wrong, residual, -1.0) if wrong.any() else residual
    worst = np.unravel_index(int(np.argmax(ranked)), residual.shape)
    sizes = write_output(magnitude, c)
    right = ~wrong
    agreement = 53.0
    if right.any() and residual[right].any():
        scale = np.maximum(sizes[right], 2.0**-1074)
        agreement = float(-np.log2(max(float((residual[right] / scale).max()), 2.0**-53)))
    return Comparison(
        mismatched=int(np.count_nonzero(wrong)),
        total=int(wrong.size),
        max_abs_diff=float(residual[worst]),
        worst_index=tuple(int(i) for i in worst),
        actual=number(given[worst]),
        expected=number(predicted[worst]),
        threshold=float(threshold[worst]),
        agreement_bits=min(53.0, max(agreement, 0.0)),
    )


__all__ = ["Held", "compare", "hold", "is_large"]
