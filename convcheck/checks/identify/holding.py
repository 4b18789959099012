"""A convention held to an output too large to be judged at once, area by area."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from convcheck.checks.areas import Area, handed_out
from convcheck.checks.identify.judging import (
    EXPLAINED,
    HOW,
    Fit,
    Ground,
    fft_room,
    is_rough,
    level,
    under,
    with_room,
)
from convcheck.checks.identify.looks import FLOATING, arithmetics, is_stored
from convcheck.checks.identify.tally import Confirmed, Tally, element_bits
from convcheck.convention import PRECISIONS
from convcheck.engine import finish
from convcheck.words import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from convcheck.checks.identify.thin import Thin
    from convcheck.checks.sums import Problem
    from convcheck.checks.tiles import Tile
    from convcheck.convention import Convention

    Array = NDArray[np.generic]


def hold(thin: Thin, told: Fit, output: Array) -> Confirmed:
    """All of ``output`` (N,O,H,W) under the finest arithmetic that explains most of it.

    The rule is that of :func:`judging.judge`. ``told`` is how a part of it, ``thin``, fares: it
    says what has to be known beforehand of the whole: the commonest value, and the spread.
    """
    problem, convention = thin.problem, told.convention
    few = thin.cut(output)
    usable = np.isfinite(few)
    ground = Ground.of(told.predicted - level(convention), usable)
    best: tuple[Convention, Tally] | None = None
    partly = False
    for arithmetic, how in _ways(thin, convention, few, usable):
        if partly and not is_stored(problem, arithmetic):
            continue
        computed = convention.replace(arithmetic=arithmetic)
        most = math.inf
        if partly or how == "sums":
            most = 1
        elif best is not None and arithmetic not in FLOATING:
            most = best[1].misses
        tally = _tally(thin, computed, output, ground, how, most)
        if tally is None:
            continue
        if tally.misses and arithmetic in FLOATING:
            room = _room(thin, computed, few, usable)
            if room:
                tally = (
                    _tally(thin, computed, output, ground, how, tally.misses, room=room) or tally
                )
        if best is None or tally.misses < best[1].misses:
            best = computed, tally
        if not tally.misses:
            break
        share = tally.astray / tally.seen if tally.seen else 1.0
        partly |= share < 1 - EXPLAINED and arithmetic in FLOATING
    if best is None:
        lost = _tally(thin, convention, output, ground, None, math.inf, lost=True)
        if lost is None:
            raise AssertionError("there is an element")
        best = convention, lost
    bits = element_bits(told, usable)
    return Confirmed(*best, output.shape, thin.border, bits)


def _ways(
    thin: Thin, convention: Convention, few: Array, usable: Array
) -> Iterator[tuple[str, str | None]]:
    """Each arithmetic, and what one of few bits rounds: what is sharp first."""
    problem = thin.problem
    for arithmetic in arithmetics(problem):
        if arithmetic not in PRECISIONS or arithmetic in ("exact", *FLOATING):
            yield arithmetic, None
            continue
        operands, result, sums = HOW
        yield arithmetic, operands
        if is_stored(problem, arithmetic):
            yield arithmetic, result
            computed = convention.replace(arithmetic=arithmetic)
            sharp, rough = (
                under(thin, computed, thin.values, few, usable, how=how) for how in (operands, sums)
            )
            if sharp and rough and is_rough(rough, sharp, few, usable):
                yield arithmetic, sums


def _room(thin: Thin, convention: Convention, few: Array, usable: Array) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = finish(thin.values, convention.replace(arithmetic="exact"))
    fit = under(thin, convention, wanted, few, usable)
    return 0.0 if fit is None else fft_room(fit, few, usable)


def _tally(
    thin: Thin,
    convention: Convention,
    output: Array,
    ground: Ground,
    how: str | None,
    most: float,
    *,
    room: float = 0.0,
    lost: bool = False,
) -> Tally | None:
    """The whole under one arithmetic; None where that cannot be, or misses ``most`` and more.

    ``room`` is what every element may be off by; ``lost``: nothing of it is given.
    """
    problem = replace(thin.problem, output=output)
    if convention.arithmetic in PRECISIONS:
        is_stored(problem, convention.arithmetic)  # or every worker would read all of it
    total: Tally | None = None
    judging = convention, ground, how, room, lost
    try:
        for tally in handed_out(_tallied, problem, thin.convention, *judging):
            if tally is None:
                return None
            total = tally if total is None else total + tally
            if total.misses >= most:
                return None
    except KeyboardInterrupt:
        if total is None:
            raise
        raise KeyboardInterrupt(_so_far(total, output.size, convention)) from None
    return total


def _tallied(
    problem: Problem,
    linear: Convention,
    tile: Tile,
    convention: Convention,
    ground: Ground,
    how: str | None,
    room: float,
    lost: bool,
) -> Tally | None:
    output = problem.output
    with np.errstate(all="ignore"):
        area = Area(problem, linear, tile)
        part = area.cut(output)
        usable = np.isfinite(part)
        fit = _fit(area, convention, part, usable, how, lost)
        if fit is None:
            return None
        fit = with_room(fit, room, part, usable)
        return Tally.of(fit, part, usable, ground=ground, shape=output.shape, first=tile.first)


def _so_far(tally: Tally, size: int, convention: Convention) -> str:
    """What whoever interrupts is told of the elements that were judged by then."""
    judged = tally.comparison.total
    wrong = f"{tally.misses:,} are not so" if tally.misses else "all are so"
    return f"partial: of {size:,} elements {judged:,} were judged, {wrong}: {describe(convention)}"


def _fit(
    area: Area, convention: Convention, part: Array, usable: Array, how: str | None, lost: bool
) -> Fit | None:
    if convention.bias is not None:
        convention = convention.replace(bias=convention.bias[area.part[1]])
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = finish(area.values, convention.replace(arithmetic="exact"))
    if lost:
        return Fit(convention, area, wanted, np.zeros(part.shape), usable)
    return under(area, convention, wanted, part, usable, how=how)
