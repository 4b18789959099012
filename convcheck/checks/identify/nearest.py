"""What comes nearest to an output when nothing explains it; never an answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.check import Claim
from convcheck.checks.identify.places import where
from convcheck.checks.identify.solve import Form
from convcheck.checks.identify.whole import hold
from convcheck.checks.sums import Linear
from convcheck.convention.channels import read_output
from convcheck.noise import DIRECT, Noise
from convcheck.score import Score, key_bits

if TYPE_CHECKING:
    from convcheck.checks.identify.explore import Explored
    from convcheck.checks.sums import Problem
    from convcheck.comparison import Comparison
    from convcheck.convention import Convention
    from convcheck.traits import Traits

Array = NDArray[Any]


@dataclass(frozen=True)
class Miss:
    """The convention that comes nearest to an output that none explains.

    ``correlation`` is Pearson's, between the output and the sums, within each output channel.
    ``form`` is what it was judged by.
    """

    convention: Convention
    correlation: float
    scale: float
    comparison: Comparison
    where: str
    form: Form = field(repr=False)


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
    held = hold(problem, form or _plain(problem, c, explored.traits), explored.traits)
    return Miss(
        convention=held.convention,
        correlation=followed,
        scale=factor,
        comparison=held.comparison,
        where=where(held) if held.wrong_count else "nowhere",
        form=held.form,
    )


def _plain(problem: Problem, c: Convention, traits: Traits) -> Form:
    """A convention of which no numbers were solved for: its sums as they are."""
    claim = Claim(None, traits.unit, None, "exact")
    noise = Noise(claim.unit, DIRECT, Linear(problem, c).terms)
    return Form(c, claim, noise, Score(key_bits(c), 0.0, 0.0, 0.0, 0.0), np.ones(1, bool))


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
