"""The search in stages, from what is common to what is rare."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify import judges
from convcheck.checks.identify.block import Judge
from convcheck.checks.identify.lines import FEW
from convcheck.checks.identify.looks import (
    integer_arithmetics,
    is_rectified,
    is_stored,
    levels,
    within_limits,
)
from convcheck.checks.identify.readings import Reading
from convcheck.checks.identify.samples import Sample, a_part, choose_samples, in_pairs
from convcheck.checks.identify.search import CROWD, Found, Search
from convcheck.convention import PADDING_MODES, PRECISIONS
from convcheck.rounding import blocks

if TYPE_CHECKING:
    from convcheck.checks.sums import Problem

Array = NDArray[Any]

SAMPLES = 60
ROLLS = 1 << 26
"""Hypotheses of a wrapped image above which all that is less rare is tried before."""
MANY = 48
"""More survivors than this are not all looked at."""
Making = Callable[[Sequence[Sample], Reading], Judge]


@dataclass(frozen=True)
class Pass:
    """One pass over the space: how a sample's value may follow, and which windows are tried."""

    judges: tuple[Making, ...]
    wide: bool = False
    circular: bool = False
    one_channel: bool = False
    paired: bool = False
    shuffled: bool = False
    bordered: bool = False
    outside: bool = False
    mixed: bool = False
    everywhere: bool = False
    again: bool = False
    limits: bool = False
    undilated: bool = False
    modes: tuple[str, ...] = PADDING_MODES


@dataclass(frozen=True)
class Survey:
    """What each judge of a pass found, the first judge's first, out of how many hypotheses."""

    found: tuple[tuple[Found, ...], ...]
    considered: int


def passes(problem: Problem) -> tuple[list[Pass], list[Pass]]:
    """The passes for such an output: those for what is common, and those for the rest."""
    output = problem.output
    circular = Pass((judges.plain,), circular=True, modes=("wrap",))
    if output.dtype.kind == "c":
        one = Pass((judges.plain,))
        rare = [replace(one, outside=True), replace(one, shuffled=True), replace(one, wide=True)]
        return [one, circular], [*rare, _mixed(one)]
    shown = _Shown.of(problem)
    common, rest, last = _of_few(shown, output) if shown.few else _of_many(shown)
    # Every roll of a large picture is more than all else together.
    rolls = 64 * math.prod(sorted(output.shape)[-2:])
    soon, late = ([circular], []) if rolls <= ROLLS else ([], [circular])
    affine = Pass((judges.affine,), wide=True, one_channel=True)
    return [*common, *soon], [*rest, *late, affine, _mixed(last)]


@dataclass(frozen=True)
class _Shown:
    """What an output shows of its arithmetic before any search."""

    finest: Making
    few_bits: bool
    wrapped: bool
    sparse: bool
    """Hardly an element is off the limits of its integers."""
    few: bool
    """No channel has enough elements to say a line by itself."""

    @classmethod
    def of(cls, problem: Problem) -> _Shown:
        output = problem.output
        integers, few = integer_arithmetics(output), few_a_channel(output)
        whole = all(np.array_equal(np.rint(part), part) for part in blocks(output))
        return cls(
            finest=judges.coarse if output.dtype == np.float16 else judges.plain,
            few_bits=_of_few_bits(problem),
            wrapped=whole and any(name.startswith("wrap:") for name in integers),
            sparse=bool(integers) and (few or _sparse(output)),
            few=few,
        )

    def modular(self, judge: Making) -> list[Pass]:
        """The pass of a judge of integers that wrapped, where they may have."""
        one = Pass((judge,), one_channel=not self.few, paired=self.few)
        return [one] if self.wrapped else []

    def beyond(self) -> list[Pass]:
        """The pass for what is beyond the edge of integers that wrapped, where they may have."""
        if not self.wrapped:
            return []
        return [replace(_BEYOND, judges=(judges.modular_bordered,), one_channel=True)]

    def between(self) -> list[Pass]:
        """Sharper than lines that are allowed a whole step on either side."""
        return [Pass((judges.between,), limits=True)] if self.sparse else []


def _of_many(shown: _Shown) -> tuple[list[Pass], list[Pass], Pass]:
    """Common and rare passes, and the one whose judges are asked last: of many elements a channel.

    A line through one channel's elements has what is scaled or coarse without a bias among it.
    """
    lines: tuple[Making, ...] = (
        judges.affine,
        *([judges.modular] if shown.wrapped else []),
        *([judges.coarse_affine] if shown.few_bits else []),
    )
    common = [Pass((shown.finest,)), *shown.between(), Pass(lines, one_channel=True)]
    special = [
        replace(_BEYOND, judges=(judges.bordered,), one_channel=True),
        *shown.modular(judges.modular_scaled),
    ]
    rest = [
        *special,
        *shown.modular(judges.modular_rare),
        *_again(common),
        *_shuffled([*common, *special]),
        *_outside(common),
        *shown.beyond(),
        *_shuffled(shown.beyond()),
    ]
    return common, rest, common[1]


def _of_few(shown: _Shown, output: Array) -> tuple[list[Pass], list[Pass], Pass]:
    """The same where no channel has enough elements to say a line by itself: together they may."""
    finest, few_bits = (shown.finest,), shown.few_bits
    scaled = (judges.scaled, *([judges.coarse] if few_bits else []))
    parallel = (judges.parallel, *([judges.coarse_parallel] if few_bits else []))
    modular = shown.modular(judges.modular)
    common = [
        Pass(finest),
        *shown.between(),
        Pass(scaled),
        Pass(parallel, paired=True),
        *modular,
    ]
    special = [
        replace(_BEYOND, judges=(judges.bordered_scaled, judges.bordered_parallel), paired=True),
        *shown.modular(judges.modular_scaled),
    ]
    # So few elements are looked at once for all judges: the sums cost more than they do. Enough
    # pairs tell a scale without a bias as well.
    zeros = output.dtype.kind != "u" and is_rectified(output, np.isfinite(output))
    alone = zeros or output.size < max(output.shape) + 16
    fine = Pass((*finest, *([judges.scaled] if alone else []), judges.parallel), paired=True)
    limits = Pass((judges.plain, judges.between), paired=True, limits=True)
    rough = Pass((judges.coarse, judges.coarse_parallel), paired=True)
    rest = [
        *special,
        *_again(common),
        *_shuffled([limits if shown.sparse else fine, *modular, *special]),
        *_outside([fine, *modular]),
        Pass((judges.plain, judges.scaled), wide=True),
        *shown.modular(judges.modular_rare),
        *([*_outside([rough]), *_shuffled([rough])] if few_bits else []),
        *shown.beyond(),
        *_shuffled(shown.beyond()),
    ]
    return common, _undilated_first(rest), fine


_BEYOND = Pass((), bordered=True, everywhere=True, modes=("constant",))


def _again(those: list[Pass]) -> list[Pass]:
    return [replace(one, everywhere=True, again=True) for one in those]


def _shuffled(those: list[Pass]) -> list[Pass]:
    """With the channels in any order: over zeros first, which is a fourth or fifth of it all."""
    every = [replace(one, shuffled=True) for one in those]
    zeros = [replace(one, modes=("constant",)) for one in every]
    return [*zeros, *(replace(one, modes=PADDING_MODES[1:]) for one in every if not one.bordered)]


def _undilated_first(those: list[Pass]) -> list[Pass]:
    """Of few elements many a dilation is possible: the usual is tried before all that is rare."""
    usual = [one for one in those if not (one.again or one.outside or one.wide)]
    return [*(replace(one, undilated=True) for one in usual), *those]


def _outside(those: list[Pass]) -> list[Pass]:
    return [replace(one, outside=True) for one in those]


def _mixed(one: Pass) -> Pass:
    return replace(one, mixed=True, modes=("constant",))


def survey(
    one: Pass,
    readings: Iterable[Reading],
    limit: float,
    crowd: int = CROWD,
    tell: Callable[[int], None] = lambda _: None,
) -> Survey:
    """Run one pass over every reading, the smallest kernels first.

    About ``limit`` hypotheses are considered, and a reading is left where ``crowd`` of its
    hypotheses are accepted. ``tell`` is told after each how many were considered so far.
    """
    found: list[list[Found]] = [[] for _ in one.judges]
    considered = 0
    drawn: dict[str, list[Sample]] = {}
    for reading in sorted(readings, key=lambda r: math.prod(r.filters.shape[2:])):
        layout = reading.base.output_layout
        if layout not in drawn:
            seen = telling(reading.output)
            samples = choose_samples(
                reading.output,
                SAMPLES,
                seen,
                one_channel=one.one_channel,
                everywhere=one.everywhere,
                other=one.again,
            )
            few = len(samples) < SAMPLES or reading.output.size < 2 * SAMPLES
            if one.again and not one.one_channel and few:
                drawn[layout] = []  # most of the same elements were looked at before
                continue
            if one.paired:
                samples = in_pairs(samples, alone=not one.bordered)
            if one.limits or (
                not one.paired and len(samples) < FEW and reading.output.dtype.kind in "iu"
            ):
                # Elements at a dtype's limit say at least on which side of it the sum is.
                samples += choose_samples(reading.output, SAMPLES - len(samples), _at_limits)
            drawn[layout] = samples
        samples = drawn[layout]
        made = [make(samples, reading) for make in one.judges] if samples else []
        if not any(judge.first for judge in made):
            continue
        search = Search(
            reading,
            samples,
            wide=one.wide,
            circular=one.circular,
            shuffled=one.shuffled,
            bordered=one.bordered,
            outside=one.outside,
            mixed=one.mixed,
            undilated=one.undilated,
            modes=one.modes,
            limit=limit - considered,
            crowd=crowd,
        )
        for kept, more in zip(found, search.run(made), strict=True):
            kept.extend(more)
        considered += search.considered
        tell(considered)
    return Survey(tuple(map(tuple, found)), considered)


def few_a_channel(output: Array) -> bool:
    """Whether one channel, whichever axis it may be, has too few elements to say a line."""
    return bool(output.size // max(output.shape) < 4 * FEW)


def _sparse(output: Array) -> bool:
    """Whether so few elements are within a dtype's limits that those at them must say the rest."""
    if output.dtype.kind not in "iu":
        return False
    return sum(int(within_limits(part).sum()) for part in blocks(output)) < SAMPLES


def _of_few_bits(problem: Problem) -> bool:
    """Whether an output may come from operands of fewer bits than single precision."""
    output = problem.output
    if output.dtype.kind != "f":
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        if not all(
            np.array_equal(part.astype(np.float32).astype(part.dtype), part, equal_nan=True)
            for part in blocks(output)
        ):
            return False
    operands = (problem.image, problem.filters)
    # A few numbers tell of most operands that they have more bits.
    if all(levels(part) <= 2.0**8 for a in operands for part in (a.flat[:64], a)):
        # Then the operands lost nothing; and whether the sums did is seen if they had the bits.
        steps = levels(output)
        return any(
            steps > 1 / PRECISIONS[few] and is_stored(problem, few)
            for few in ("bfloat16", "float16")
        )
    return True


def telling(output: Array) -> Callable[[Array], Array]:
    """What marks values that are finite, no limit of a dtype and no rectified zero, if any are."""
    some = a_part(output)
    marks: Callable[[Array], Array] = np.isfinite
    if output.dtype.kind in "iu":
        marks = within_limits
    elif output.dtype.kind == "f" and is_rectified(some, np.isfinite(some)):
        marks = _positive
    return marks if marks(some).any() else np.isfinite


def _at_limits(values: Array) -> Array:
    return ~within_limits(values)


def _positive(values: Array) -> Array:
    return np.isfinite(values) & (values > 0)
