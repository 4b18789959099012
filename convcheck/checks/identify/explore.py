"""The search by rising cost, ended by the score: no hypothesis that is left can win."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.claims import claims
from convcheck.checks.identify.elements import Elements, Sums, drawn
from convcheck.checks.identify.passes import PASSES, Pass, applies, volume
from convcheck.checks.identify.solve import HALF, solve
from convcheck.checks.identify.space import Found, search
from convcheck.checks.identify.variants import variants
from convcheck.convention import representable
from convcheck.traits import Traits, telling, traits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convcheck.check import Claim
    from convcheck.checks.identify.forms import Form
    from convcheck.checks.identify.layouts import Reading
    from convcheck.checks.sums import Problem
    from convcheck.convention import Convention

Array = NDArray[Any]

BUDGET = 8.0
"""Seconds that a search takes at most, by default: of this thread's own time on a processor, so
that an answer does not depend on what else the machine does."""
TURN = 1 / 4
"""Of the budget: what solving for the survivors of one pass may take before others are tried."""
EFFORT = ((0.9, 22.0), (0.5, 28.0), (0.0, 34.0))
"""By the share of the output that is given: the bits that name a hypothesis of what is still tried
by default. Another one would have to give that share, too."""
PRODUCTS = 1 << 19
"""Products that solving for one hypothesis takes, about."""
EACH, MANY = 64, 8192
"""Elements of a channel that its numbers are read off, and of all channels together."""
KEPT = 8
WORTH = 0.2
"""Of the output's bits: what an explanation must save at least, if it is to be one."""
PROMISING = 0.6
"""Of the most votes that any hypothesis had: with fewer, another is no better."""


@dataclass
class Explored:
    """What a search found: the forms, the cheapest first, and what it left out, in words.

    ``claims`` are the ways in which such an output may have been made, ``quantum`` divides all sums
    where none of them loses anything. ``turn`` are the seconds that one
    pass has at first, ``cut`` the hypotheses that took longer, with what they gave so far.
    """

    traits: Traits
    claims: list[Claim] = field(default_factory=list)
    quantum: float = 0.0
    forms: list[Form] = field(default_factory=list)
    voted: list[Found] = field(default_factory=list)
    votes: dict[str, float] = field(default_factory=dict)
    considered: int = 0
    parts: int = 0
    solved: set[tuple[Convention, bool]] = field(default_factory=set)
    cut: list[tuple[Form, Convention, Elements]] = field(default_factory=list)
    turn: float = math.inf
    left_out: str | None = None

    @property
    def effort(self) -> float:
        """The bits up to which the space is tried, by default."""
        share = self.forms[0].share if self.forms else 0.0
        return next(bits for least, bits in EFFORT if share >= least)

    def add(self, form: Form) -> None:
        """Keep a form among the best."""
        if any(form.convention == other.convention for other in self.forms):
            return
        self.forms.append(form)
        self.forms.sort(key=lambda f: f.total)
        del self.forms[KEPT:]


def explore(problem: Problem, found: Sequence[Reading], budget: float | None) -> Explored:
    """Run the passes over the readings by rising cost until the best form cannot be beaten."""
    ends = math.inf if budget is None else time.thread_time() + budget
    made = traits(found[0].output)
    explored = Explored(made, list(claims(made, _finer(problem))), _quantum(problem))
    if budget is not None:
        explored.turn = TURN * budget
    plan = sorted(_plan(found, explored.traits, math.inf if budget is None else EFFORT[-1][1]))
    explored.parts = len(plan)
    most = sum(many for *_, many in plan)
    sampled: dict[tuple[int, bool], Elements] = {}
    best_cost = math.inf
    for at, (cost, p, r, _) in enumerate(plan):
        if cost > best_cost:
            break
        if time.thread_time() > ends:
            explored.left_out = f"of {len(plan)} parts of the space {len(plan) - at} are not tried"
            break
        one, reading = PASSES[p], found[r]
        if budget is not None and cost > explored.effort:
            break
        settled = explored.forms and explored.forms[0].share >= HALF
        if cost > _left(explored) or (one.seed and settled):
            continue
        survivors, considered = search(one, reading, explored.traits, ends=ends)
        explored.considered += considered
        if problem.progress is not None:
            problem.progress.searched(explored.considered, most)
        if not survivors:
            continue
        few = one.judge == "plain"
        if (r, few) not in sampled:
            sampled[r, few] = Elements(reading, _elements(reading, few=few))
        _solve(explored, one, survivors, sampled[r, few], ends)
        _resume(explored, ends, least=WORTH)
        if explored.forms and _is_final(explored.forms[0]):
            best_cost = cost
    _resume(explored, ends, least=-math.inf)
    if explored.left_out is None and time.thread_time() > ends:
        explored.left_out = "the last part of the space was not tried to its end"
    return explored


def _plan(
    found: Sequence[Reading], traits: Traits, limit: float
) -> Iterator[tuple[float, int, int, int]]:
    """What it takes to name a hypothesis of each pass and reading, both, and how many it has.

    Only those within the limit, and the first of all in any case.
    """
    first = True
    for r, reading in enumerate(found):
        for p, one in enumerate(PASSES):
            if one.bits + reading.bits > limit and not first:
                continue
            many = volume(one, reading) if applies(one, reading, traits) else 0
            cost = one.bits + reading.bits + math.log2(many) if many else math.inf
            if cost <= limit or (many and first):
                first = False
                yield cost, p, r, many


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
    ends: float,
) -> None:
    """The forms of the survivors, those with the most votes first."""
    explored.voted = sorted([*explored.voted, *survivors[:2]], key=lambda f: -f.votes)[:KEPT]
    most = explored.votes[one.judge] = max(explored.votes.get(one.judge, 0.0), survivors[0].votes)
    few, turns = one.judge == "plain", time.thread_time() + explored.turn
    for found in survivors:
        if found.votes < PROMISING * most or time.thread_time() > ends:
            break
        for c, sums in variants(found.convention, elements, one, explored.traits.limits):
            if (c, few) in explored.solved:
                continue
            if not _follows(elements, sums, explored.traits, folded=one.judge == "folded"):
                continue
            explored.solved.add((c, few))
            now = time.thread_time()
            best = explored.forms[0] if explored.forms else None
            twin = best is not None and _is_final(best)  # it is said in another way
            until = ends if twin else min(ends, now + max(turns - now, 0) / 2)
            form = _solved(explored, elements, c, sums, until)
            if form is None:
                continue
            explored.add(form)
            if time.thread_time() > until:
                explored.cut.append((form, c, elements))
            if _is_settled(explored):
                break
        # Others of the pass can be no better than what is right throughout, and as plain.
        if explored.forms and _is_final(explored.forms[0]) and found.votes < survivors[0].votes:
            break


def _resume(explored: Explored, ends: float, *, least: float) -> None:
    """Go on with hypotheses that took too long, the cheapest first.

    Only with those that save ``least`` of what the output takes: they come before what nothing is
    known of.
    """
    for part in sorted(explored.cut, key=lambda one: one[0].total):
        form, c, elements = part
        now = time.thread_time()
        if _is_settled(explored) or now > ends or form.score.gain <= least * form.score.literal:
            break
        explored.cut.remove(part)
        found = _solved(explored, elements, c, elements.sums(c), now + (ends - now) / 2)
        if found is not None:
            explored.add(found)


def _solved(
    explored: Explored, elements: Elements, c: Convention, sums: Sums, ends: float
) -> Form | None:
    every, quantum = explored.claims, explored.quantum
    return solve(elements, c, sums, explored.traits, every, quantum=quantum, ends=ends)


def solved_again(problem: Problem, explored: Explored, form: Form, wrong: Array) -> Iterator[Form]:
    """A form whose numbers are solved on some elements that it does not give, too.

    A few of an output need not have met what departs, such as a limit that is seldom reached.
    ``wrong`` marks the others, (N,O,*S).
    """
    c = form.convention.linear
    elements = Elements.of(problem, c, len(form.wrong))
    index = np.argwhere(wrong)
    if len(index) > len(form.wrong) // 2:
        index = np.random.default_rng(0).permutation(index)[: len(form.wrong) // 2]
    index = np.unique(np.concatenate([elements.index, index]), axis=0)
    yield from _again(explored, Elements(elements.reading, index), c)


def not_voted_for(problem: Problem, explored: Explored, c: Convention) -> bool:
    """Solve for a convention of which the samples said nothing, whether it gives most of OUT.

    Where most samples lie on a defect, what comes nearest to the whole output may be it.
    """
    c = c.linear
    solved = any((c, few) in explored.solved for few in (True, False))
    if solved or explored.traits.telling < ENOUGH:
        return False
    elements = Elements.of(problem, c, MANY)
    forms = [form for form in _again(explored, elements, c) if form.share >= HALF]
    for form in forms:
        explored.add(form)
    return bool(forms)


def _again(explored: Explored, elements: Elements, c: Convention) -> Iterator[Form]:
    ends = time.thread_time() + explored.turn / 2
    found = _solved(explored, elements, c, elements.sums(c), ends)
    if found is not None:
        yield found


SAID = {"channel_order": None, "output_order": None, "flip": (), "padding_mode": "constant"}
"""Keys whose plain value leaves the output its size."""


def said_in_less(problem: Problem, explored: Explored, form: Form) -> Iterator[Form]:
    """Forms of the conventions that depart by one key less than this one does.

    Of one with exceptions there may be another as good: a channel that was put in another's place
    is right in another order.
    """
    c = form.convention.linear
    elements = Elements.of(problem, c, len(form.wrong))
    for key, plain in SAID.items():
        if getattr(c, key) != plain:
            yield from _again(explored, elements, c.replace(**{key: plain}))


def _is_settled(explored: Explored) -> bool:
    """Whether the best form gives all, and the other way to say the same has been looked at.

    A constant border is an offset of the image with other biases; which of them is plainer tells.
    """
    best = explored.forms[0] if explored.forms else None
    if best is None or not _is_final(best):
        return False
    c = best.convention
    value = c.padding_value or c.image_offset
    if c.bias is None or not np.any(value) or np.ndim(value) or not np.any(c.padding):
        return True
    said = {
        other: any(getattr(f.convention, other) == value and _is_final(f) for f in explored.forms)
        for other in ("padding_value", "image_offset")
    }
    return all(said.values())


FOLLOWED = 0.5
"""r squared of the larger values of an output channel and the sums that it may be made of."""


def _follows(elements: Elements, sums: Sums, traits: Traits, *, folded: bool) -> bool:
    """Whether some output channels follow the sums at all; what a few samples said may be luck.

    Integers that wrapped follow nothing.
    """
    if traits.modulus is not None:
        return True
    y, p = elements.values(), sums.values
    told = telling(y, traits.limits)
    if y.dtype.kind == "c" or p.dtype.kind == "c":
        return _tightness(p[told], y[told], centred=False) > FOLLOWED
    if folded:
        p, y = p * p, y.astype(np.float64) ** 2
    channels = elements.index[:, 1]
    enough = followed = 0
    every = np.unique(channels[told])
    for o in every:
        some = np.flatnonzero((channels == o) & told)
        if len(some) < ENOUGH or np.ptp(y[some]) == 0:
            continue  # which tells nothing
        values = np.clip(y[some].astype(np.float64), *np.quantile(y[some], [0.02, 0.98]))
        high = values >= np.median(values)
        enough += 1
        followed += (
            max(_tightness(p[some], values), _tightness(p[some][high], values[high])) > FOLLOWED
        )
        if followed > 0.3 * len(every):
            return True
    if not enough:
        return _tightness(p[told], y[told].astype(np.float64), centred=False) > FOLLOWED / 2
    return followed > 0.3 * enough


ENOUGH = 8
"""Telling elements that say whether a channel follows anything."""


def _tightness(p: Array, y: Array, *, centred: bool = True) -> float:
    if len(p) < 2:
        return 1.0
    if centred:
        p, y = p - p.mean(), y - y.mean()
    power = float(np.vdot(p, p).real) * float(np.vdot(y, y).real)
    return float(abs(np.vdot(p, y)) ** 2 / power) if power > 0 else 0.0


def _is_final(form: Form) -> bool:
    """Whether a form gives all elements, and hardly anything is left to be said of any."""
    return not form.wrong.any() and form.score.residual + form.score.numbers <= 0.5 * max(
        form.score.literal, 1.0
    )


def _elements(reading: Reading, *, few: bool) -> Array:
    """The elements that hypotheses are solved on: all of a small output, else some everywhere.

    Where there may be numbers for each output channel, all channels have some.
    """
    shape = reading.output.shape
    count = max(256, min(MANY, PRODUCTS // max(reading.terms, 1)))
    return drawn(shape, max(count, min((4 if few else EACH) * shape[1], MANY)))


def _quantum(problem: Problem) -> float:
    """What divides all sums, where none of them loses anything; infinite for integers' own sums."""
    work = problem.arithmetic
    if work.dtype.kind == "i":
        return math.inf
    return work.quantum if work.exact else 0.0


def _finer(problem: Problem) -> tuple[str, ...]:
    """The precisions that image or filters have more bits than."""
    names = ("tf32", "bfloat16", "float16")
    operands = [a.ravel()[:4096] for a in (problem.image, problem.filters) if a.dtype.kind == "f"]
    return tuple(n for n in names if not all(representable(a, n) for a in operands))
