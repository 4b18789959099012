"""The whole search: pass after pass over the space, and what of it the output confirms."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from convcheck.checks.identify.classes import canonical, complexity, signature
from convcheck.checks.identify.fit import confirm
from convcheck.checks.identify.flat import flat_fits
from convcheck.checks.identify.nearest import nearest
from convcheck.checks.identify.search import ALL_ORDERS, CROWD
from convcheck.checks.identify.stages import MANY, Pass, Survey, few_a_channel, passes, survey
from convcheck.engine import to_axes
from convcheck.rounding import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from convcheck.checks.identify.readings import Reading
    from convcheck.checks.identify.search import Found
    from convcheck.checks.identify.tally import Confirmed
    from convcheck.checks.sums import Problem
    from convcheck.convention import Convention

ENOUGH = 1_000_000_000
"""Hypotheses after which no further pass over the space is begun."""
RANKED = 16 * MANY
"""Survivors of which the plainest are sought, unless more have as many votes."""
NEAR = 0.5
"""A convention that gives at least this share of the output, or of its channels, is near."""
GIVEN = 0.999
"""The correlation of an image that is given, but for a scale and a bias."""
MARGIN = 10
"""Bits by which a near match must be more than luck."""


@dataclass
class Exploration:
    """What a search has found: confirmed conventions, and what correlates best with the output.

    ``crowded`` says that there are more that fit, ``early`` that not all of the space was searched.
    """

    fits: list[Confirmed] = field(default_factory=list)
    closest: Found | None = None
    hypotheses: int = 0
    crowded: bool = False
    early: bool = False


def explore(problem: Problem, found: Sequence[Reading], *, mute: bool) -> Exploration:
    """Search from what is common to what is rare until something gives the output, or nearly.

    ``mute`` says that the data tell nothing: then a few of the many that fit will do.
    """
    seen = Exploration()
    known: dict[Convention, Confirmed | None] = {}
    common, rare = passes(problem)
    # Of few elements a wrong convention may give nearly all by luck: then the right one is sought.
    few = few_a_channel(problem.output)
    share = 0.0 if few else 0.1
    for one in (*common, None, *rare):
        if one is None:
            # What correlates best may be right but for more defects than the samples bear.
            closest = [] if mute else _closest(found)
            seen.closest = next(iter(closest), None)
            seen.fits.extend(_confirmed(problem, closest, known)[0])
            seen.fits.extend(_otherwise(problem, seen))
            if mute and all(fit.misses for fit in seen.fits):
                plainest = [fit for fit in flat_fits(problem, found) if not fit.misses]
                seen.fits.extend(plainest)
                seen.crowded |= bool(plainest)
            if any(
                not fit.misses or (not few and is_near(fit, seen.hypotheses)) for fit in seen.fits
            ):
                break
            continue
        if seen.hypotheses >= ENOUGH:
            seen.early = True
            continue
        crowd = 4 * MANY if mute else CROWD
        _pass(problem, one, found, seen, known, crowd)
        if any(_nearly(fit, share) for fit in seen.fits):
            if one.undilated:
                # Dilated kernels may give it as well.
                _pass(problem, replace(one, undilated=False), found, seen, known, crowd)
            seen.fits.extend(_otherwise(problem, seen))
            break
    return seen


def _pass(
    problem: Problem,
    one: Pass,
    found: Sequence[Reading],
    seen: Exploration,
    known: dict[Convention, Confirmed | None],
    crowd: int,
) -> None:
    """One pass: what of its hypotheses the output confirms is added to what was seen."""
    surveyed = _surveyed(problem, one, found, seen, crowd)
    seen.hypotheses += surveyed.considered
    _gather(problem, one, surveyed.found, seen, known)


def _closest(readings: Sequence[Reading]) -> list[Found]:
    """What correlates best with the output; before it what gives the first image of a batch."""
    best, alone = nearest(readings), nearest(readings, first_image=True)
    if alone is None or alone.votes < GIVEN:
        return [best] if best else []
    return [alone, best] if best else [alone]


def _surveyed(
    problem: Problem, one: Pass, found: Sequence[Reading], seen: Exploration, crowd: int
) -> Survey:
    """One pass; its progress is told, also to whoever interrupts it."""
    considered = seen.hypotheses

    def tell(of_pass: int) -> None:
        nonlocal considered
        considered = seen.hypotheses + of_pass
        if problem.progress is not None:
            problem.progress.searched(considered, ENOUGH)

    try:
        return survey(one, found, ENOUGH - seen.hypotheses, crowd, tell)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"partial: {considered:,} conventions were considered, none of which gives OUT"
        ) from None


def _nearly(fit: Confirmed, share: float) -> bool:
    """Whether no more than this share is not given, of what is not each channel's ground too."""
    return fit.misses <= share * math.prod(fit.shape) and fit.tally.astray <= share * fit.tally.seen


def _gather(
    problem: Problem,
    one: Pass,
    found: Sequence[Sequence[Found]],
    seen: Exploration,
    known: dict[Convention, Confirmed | None],
) -> None:
    """Confirm what each judge of a pass found, up to the first of which something fits."""
    for survivors in found:
        some, crowded = _confirmed(problem, survivors, known)
        if one.outside or one.bordered or one.undilated:
            # So rare, so soon, or of so many unknowns, that a few elements are no evidence.
            some = [fit for fit in some if is_near(fit, seen.hypotheses)]
        seen.fits.extend(some)
        if not all(fit.misses for fit in some):
            seen.crowded = crowded
            break


def _confirmed(
    problem: Problem, found: Sequence[Found], known: dict[Convention, Confirmed | None]
) -> tuple[list[Confirmed], bool]:
    """The plainest of what a search found, confirmed over the output; whether there is more.

    ``known`` is what was confirmed before, and grows.
    """
    if len(found) > RANKED:
        # Those that give the most of the samples come first, whatever else they are.
        fewest = sorted(hypothesis.votes for hypothesis in found)[-RANKED]
        found = [hypothesis for hypothesis in found if hypothesis.votes >= fewest]
    survivors: dict[Convention, Reading] = {}
    votes: dict[Convention, float] = {}
    for hypothesis in found:
        kernel = hypothesis.reading.filters.shape[2:]
        convention = canonical(hypothesis.convention, kernel)
        survivors.setdefault(convention, hypothesis.reading)
        votes[convention] = max(hypothesis.votes, votes.get(convention, hypothesis.votes))
    fits = []
    ordered = sorted(survivors, key=lambda c: (-votes[c], complexity(c)))
    alike: dict[tuple[Any, ...], Convention] = {}
    for convention in ordered:
        alike.setdefault(signature(convention, survivors[convention]), convention)
    ordered = list(alike.values())
    # What gives fewer of the samples than one that gives all of the output is no rival of it.
    least = -math.inf
    for convention in ordered[:MANY]:
        if votes[convention] < least:
            break
        if convention not in known:
            known[convention] = confirm(problem, convention, survivors[convention].output)
        fit = known[convention]
        if fit is not None:
            fits.append(fit)
            least = least if fit.misses else votes[convention]
    crowded = len(ordered) > MANY and votes[ordered[MANY]] == votes[ordered[0]]
    return fits, crowded


def _otherwise(problem: Problem, seen: Exploration) -> list[Confirmed]:
    """What fits in another order of the channels, or over another border, than what comes nearest.

    Groups of which ReLU left nothing, and filters that do not read every channel, fit in several
    orders; a border that no pass guessed is solved for, where what lies inside of it is known.
    """
    near = [fit for fit in seen.fits if is_near(fit, seen.hypotheses)]
    if not near or not all(fit.misses for fit in seen.fits):
        return []
    return list(_altered(problem, min(near, key=lambda fit: fit.misses)))


def _altered(problem: Problem, near: Confirmed) -> Iterator[Confirmed]:
    """What a convention becomes by other orders of a few channels and other borders, if it fits."""
    c = near.convention.replace(
        scale=1.0, bias=None, activation=None, arithmetic="exact", padding_value=0.0
    )
    channels = to_axes(problem.image, c.image_layout, "NCHW").shape[1]
    output = to_axes(problem.output, c.output_layout, "NOHW")
    others = []
    if c.padding_mode != "constant":
        others.append(c.replace(padding_mode="constant"))
    if 1 < channels <= ALL_ORDERS:
        plain = tuple(range(channels))
        others += [
            c.replace(channel_order=None if order == plain else order)
            for order in permutations(plain)
        ]
    for other in others:
        fit = confirm(problem, other, output)
        if fit is not None and not fit.misses:
            yield fit


def untold(problem: Problem, fits: Sequence[Confirmed]) -> Iterator[Confirmed]:
    """What gives the output too, in other orders of the channels: ReLU left nothing of a group.

    Such a group fits any channel of the image, with a bias that is low enough.
    """
    for fit in fits:
        c = fit.convention
        output = to_axes(problem.output, c.output_layout, "NOHW")
        if (
            c.activation == "relu"
            and c.groups > 1
            and not all((output[:, o] > 0).any() for o in range(output.shape[1]))
        ):
            yield from _altered(problem, fit)


def is_near(fit: Confirmed, hypotheses: int) -> bool:
    """Whether a convention gives most of the output, of its telling elements too, and not by luck.

    Of so many hypotheses some give a few elements of any output.
    """
    considered, given = fit.tally.telling, fit.tally.given
    solved = (fit.convention.scale != 1) + len(fit.convention.bias or ())
    by_luck = math.log2(max(hypotheses, 1)) + _log2_choices(considered, given)
    most = given >= NEAR * considered and fit.misses <= (1 - NEAR) * fit.usable
    # Half of the channels can be less than half of the numbers that ReLU left.
    right = not fit.misses or np.count_nonzero(~fit.tally.wrong[1]) >= NEAR * fit.shape[1]
    return bool(
        given - solved >= 4 and (given - solved) * fit.bits >= by_luck + MARGIN and (most or right)
    )


def is_luck(fit: Confirmed, output: NDArray[Any], hypotheses: int) -> bool:
    """Whether so many hypotheses give an output by luck of which hardly more is left than limits.

    Elements at the limits say which of the two they are at, others as much as a number does.
    """
    how, _, kind = fit.convention.arithmetic.partition(":")
    if how != "saturate":
        return False
    limits = np.iinfo(kind)
    lowest, highest = (
        sum(int(np.count_nonzero(part == end)) for part in blocks(output))
        for end in (limits.min, limits.max)
    )
    solved = (fit.convention.scale != 1) + int(np.count_nonzero(fit.convention.bias or ()))
    inside = max(output.size - lowest - highest - solved, 0)
    said = inside * fit.bits + _log2_choices(lowest + highest, highest)
    return said < math.log2(max(hypotheses, 1))


def _log2_choices(count: int, chosen: int) -> float:
    """In how many ways so many elements can be the right ones, as bits."""
    ways = math.lgamma(count + 1) - math.lgamma(chosen + 1) - math.lgamma(count - chosen + 1)
    return ways / math.log(2)
