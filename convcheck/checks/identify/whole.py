"""A form held to the whole output: what it gives, what it does not, and what it takes in bits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from convcheck.check import Tally, stored_comparison
from convcheck.check import hold as held_to
from convcheck.checks.sums import Linear
from convcheck.score import Score, place_bits

if TYPE_CHECKING:
    from convcheck.checks.identify.forms import Form
    from convcheck.checks.sums import Problem
    from convcheck.comparison import Comparison
    from convcheck.convention import Convention
    from convcheck.traits import Traits

Array = NDArray[Any]


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
    """Judge every element of the output under a form."""
    c = form.convention
    tally, wrong = held_to(problem, c, form.claim, form.noise, traits)
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
        comparison=stored_comparison(tally.comparison, c),
        score=score,
        border=Linear(problem, c).border,
        wrong=wrong,
    )
