"""The search by rising cost, ended by the score: no hypothesis that is left can win."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.elements import Elements
from convcheck.checks.identify.solve import Form, claims, solve
from convcheck.checks.identify.space import PASSES, Found, Pass, applies, search, volume
from convcheck.checks.identify.traits import Traits, traits
from convcheck.checks.identify.variants import variants
from convcheck.convention import representable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.check import Claim
    from convcheck.checks.identify.layouts import Reading
    from convcheck.checks.sums import Problem

Array = NDArray[Any]

BUDGET = 10.0
"""Seconds that a search takes at most, by default."""
PRODUCTS = 1 << 19
"""Products that solving for one hypothesis takes, about."""
LOOKED_AT = 16
"""Survivors of one pass over one reading that are solved for, those with the most votes."""
KEPT = 8


@dataclass
class Explored:
    """What a search found: the forms, the cheapest first, and what it left out, in words."""

    traits: Traits
    forms: list[Form] = field(default_factory=list)
    readings: dict[int, Reading] = field(default_factory=dict)
    voted: list[Found] = field(default_factory=list)
    considered: int = 0
    left_out: str | None = None

    def add(self, form: Form) -> None:
        """Keep a form among the best."""
        if any(form.convention == other.convention for other in self.forms):
            return
        self.forms.append(form)
        self.forms.sort(key=lambda f: f.total)
        del self.forms[KEPT:]


def explore(problem: Problem, found: Sequence[Reading], budget: float | None) -> Explored:
    """Run the passes over the readings by rising cost until the best form cannot be beaten."""
    ends = math.inf if budget is None else time.perf_counter() + budget
    explored = Explored(traits(found[0].output))
    every = list(claims(explored.traits, _finer(problem)))
    lossless = _quantum(problem)
    plan = sorted(
        (
            (one.bits + reading.bits, p, r)
            for p, one in enumerate(PASSES)
            for r, reading in enumerate(found)
        ),
        key=lambda item: item[:3],
    )
    sampled: dict[int, Elements] = {}
    best_cost = math.inf
    for at, (cost, p, r) in enumerate(plan):
        if cost > best_cost:
            break
        if time.perf_counter() > ends:
            rest = len({q for _, q, _ in plan[at:]})
            explored.left_out = f"{len(plan) - at} of {len(plan)} parts of the space, of {rest} kinds, were not tried"
            break
        one, reading = PASSES[p], found[r]
        if not applies(one, reading, explored.traits):
            continue
        many = volume(one, reading)
        if not many or cost + math.log2(many) > _left(explored):
            continue
        T0 = time.perf_counter()
        survivors, considered = search(one, reading, explored.traits, ends=ends)
        import os

        if os.environ.get("DBG"):
            print(
                f"{one.judge:7} {[k for k in ('orders', 'outputs', 'far', 'wide', 'circular', 'outside', 'mixed', 'conjugate') if getattr(one, k)]} {reading.base.image_layout} {reading.base.filter_layout} {reading.base.output_layout} g{reading.base.groups} bits {cost:.1f} {many} -> {len(survivors)} {time.perf_counter() - T0:.3f}s left {_left(explored):.0f}"
            )
        explored.considered += considered
        if not survivors:
            continue
        if r not in sampled:
            sampled[r] = Elements(reading, _elements(reading))
        _solve(explored, one, survivors, sampled[r], every, lossless)
        if explored.forms and _is_final(explored.forms[0]):
            best_cost = cost
    return explored


def _left(explored: Explored) -> float:
    """The bits that another hypothesis could save at most: it must be said in fewer."""
    if not explored.forms:
        return math.inf
    score = explored.forms[0].score
    return score.keys + score.numbers + score.exceptions


def _solve(
    explored: Explored,
    one: Pass,
    survivors: list[Found],
    elements: Elements,
    every: list[Claim],
    lossless: float,
) -> None:
    """The forms of the survivors, those with the most votes first."""
    explored.voted = sorted([*explored.voted, *survivors[:2]], key=lambda f: -f.votes)[:KEPT]
    done = set()
    for found in survivors[:LOOKED_AT]:
        for c in variants(found.convention, elements, one):
            if c in done:
                continue
            done.add(c)
            sums = elements.sums(c)
            form = solve(elements, c, sums, explored.traits, every, lossless=lossless)
            if form is None:
                continue
            explored.add(form)
        # Others of the pass can be no better than what is right throughout, and as plain.
        if explored.forms and _is_final(explored.forms[0]) and found.votes < survivors[0].votes:
            break


def _is_final(form: Form) -> bool:
    """Whether a form gives all elements, and hardly anything is left to be said of any."""
    return not form.wrong.any() and form.score.residual + form.score.numbers <= 0.5 * max(
        form.score.literal, 1.0
    )


def _elements(reading: Reading) -> Array:
    """The elements that hypotheses are solved on: all of a small output, else some everywhere."""
    shape = reading.output.shape
    size = math.prod(shape)
    count = max(256, min(8192, PRODUCTS // max(reading.terms, 1)))
    count = max(count, min(4 * shape[1], 4096))
    if size <= count:
        flat = np.arange(size)
    else:
        flat = (
            np.sort(np.random.default_rng(1).choice(size, count, replace=False))
            if size < 1 << 24
            else (np.unique(np.random.default_rng(1).integers(0, size, count)))
        )
    return np.stack(np.unravel_index(flat, shape), axis=1)


def _quantum(problem: Problem) -> float:
    """Sums of absolute products up to this, over the unit roundoff, lose nothing: their quantum."""
    work = problem.arithmetic
    return work.quantum if work.exact else 0.0


def _finer(problem: Problem) -> tuple[str, ...]:
    """The precisions that image or filters have more bits than."""
    names = ("tf32", "bfloat16", "float16")
    operands = [a.ravel()[:4096] for a in (problem.image, problem.filters) if a.dtype.kind == "f"]
    return tuple(n for n in names if not all(representable(a, n) for a in operands))


__all__ = ["BUDGET", "Explored", "explore", "replace"]
