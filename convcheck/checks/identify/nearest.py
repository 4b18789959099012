"""What comes nearest to an output when nothing explains it; never an answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.places import where
from convcheck.checks.identify.whole import hold
from convcheck.checks.sums import Linear
from convcheck.convention.channels import read_output

if TYPE_CHECKING:
    from convcheck.checks.identify.explore import Explored
    from convcheck.checks.identify.solve import Form
    from convcheck.checks.sums import Problem
    from convcheck.convention import Convention

Array = NDArray[Any]


@dataclass(frozen=True)
class Miss:
    """The convention that comes nearest to an output that none explains.

    ``correlation`` is Pearson's, between the output and the sums, within each output channel.
    ``form`` is what it was judged by; None where nothing was solved for.
    """

    convention: Convention
    correlation: float
    scale: float
    mismatched: int
    total: int
    max_abs_diff: float
    where: str
    form: Form | None = field(repr=False, default=None)


def miss_of(problem: Problem, explored: Explored) -> Miss | None:
    """Of the forms and of what was voted for, what follows the output best, channel by channel."""
    conventions = [f.convention for f in explored.forms] + [f.convention for f in explored.voted]
    best: tuple[float, float, Convention] | None = None
    for c in dict.fromkeys(conventions):
        plain = c.replace(scale=1.0, bias=None, activation=None, arithmetic="exact", storage=None)
        followed, factor = _correlation(problem, plain)
        if best is None or followed > best[0] + 1e-6:
            best = followed, factor, plain
    if best is None:
        return None
    followed, factor, c = best
    form = next((f for f in explored.forms if _same_sums(f.convention, c)), None)
    if form is None:
        return Miss(
            c, followed, factor, problem.output.size, problem.output.size, np.inf, "everywhere"
        )
    held = hold(problem, form, explored.traits)
    place = where(held) if held.wrong_count else "nowhere"
    return Miss(
        convention=form.convention,
        correlation=followed,
        scale=factor,
        mismatched=held.wrong_count,
        total=problem.output.size,
        max_abs_diff=held.comparison.max_abs_diff,
        where=place,
        form=form,
    )


def _same_sums(a: Convention, b: Convention) -> bool:
    return a.replace(scale=1.0, bias=None, activation=None, arithmetic="exact", storage=None) == b


def _correlation(problem: Problem, c: Convention) -> tuple[float, float]:
    """How closely the output follows the sums within its channels, and by which factor."""
    y = read_output(problem.output, c).astype(np.result_type(problem.output, np.float64))
    p = Linear(problem, c).values
    axes = (0, *range(2, y.ndim))
    good = np.isfinite(y)
    y = np.where(good, y, 0)
    y = np.where(good, y - y.mean(axis=axes, keepdims=True), 0)
    p = np.where(good, p - p.mean(axis=axes, keepdims=True), 0)
    power = float(np.vdot(p, p).real), float(np.vdot(y, y).real)
    shared = np.vdot(p, y)
    if min(power) <= 0:
        return 0.0, 0.0
    return float(abs(shared) / np.sqrt(power[0] * power[1])), float(shared.real / power[0])
