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
    within_limits,
)
from convcheck.checks.identify.readings import Reading
from convcheck.checks.identify.samples import Sample, a_part, choose_samples, in_pairs
from convcheck.checks.identify.search import CROWD, Found, Search
from convcheck.convention import PADDING_MODES
from convcheck.rounding import blocks, largest_magnitude, quantum

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
    modes: tuple[str, ...] = PADDING_MODES


@dataclass(frozen=True)
class Survey:
    """What each judge of a pass found, the first judge's first, out of how many hypotheses."""

    found: tuple[tuple[Found, ...], ...]
    considered: int


def passes(problem: Problem) -> tuple[list[Pass], list[Pass]]:
    """The passes for such an output: those for what is common, and those for the rest."""
    output = problem.output
    first: tuple[Making, ...] = (judges.plain,)
    circular = Pass((judges.plain,), circular=True, modes=("wrap",))
    if output.dtype.kind == "c":
        mixed = Pass(first, mixed=True, modes=("constant",))
        rare = [Pass(first, outside=True), Pass(first, shuffled=True), Pass(first, wide=True)]
        return [Pass(first), circular], [*rare, mixed]
    if output.dtype == np.float16:
        first = (judges.coarse,)
    # A line through one channel's elements has what is scaled or coarse without a bias among it.
    lines: tuple[Making, ...] = (judges.affine,)
    wrapped = all(np.array_equal(np.rint(part), part) for part in blocks(output)) and any(
        name.startswith("wrap:") for name in integer_arithmetics(output)
    )
    if wrapped:
        lines += (judges.modular,)
    without: tuple[Making, ...] = (judges.scaled,)
    few_bits = _of_few_bits(problem)
    if few_bits:
        lines += (judges.coarse_affine,)
        without += (judges.coarse,)
    beyond = Pass(
        (judges.bordered,), one_channel=True, bordered=True, everywhere=True, modes=("constant",)
    )
    usual = [Pass(first), Pass(lines, one_channel=True)]
    few = few_a_channel(output)
    rough = (judges.coarse, judges.coarse_parallel) if few and few_bits else ()
    if few:
        # Together the channels may have the elements to say what no channel says by itself.
        parallel = (judges.parallel, *([judges.coarse_parallel] if few_bits else []))
        modular = [Pass((judges.modular,), one_channel=True)] if wrapped else []
        usual = [Pass(first), Pass(without), Pass(parallel, paired=True), *modular]
        both = (judges.bordered_scaled, judges.bordered_parallel)
        beyond = replace(beyond, judges=both, one_channel=False, paired=True)
    sparse = (few or _sparse(output)) and bool(integer_arithmetics(output))
    if sparse:
        # Sharper than lines that are allowed a whole step on either side.
        usual.insert(1, Pass((judges.between,), limits=True))
    common = outside = usual
    special = [beyond, *([Pass((judges.modular_scaled,), one_channel=True)] if wrapped else [])]
    scales = [Pass((judges.modular_rare,), one_channel=True)] if wrapped else []
    again = [replace(one, everywhere=True, again=True) for one in usual]
    if few:
        # So few elements are looked at once for all judges: the sums cost more than they do.
        zeros = output.dtype.kind != "u" and is_rectified(output, np.isfinite(output))
        # Enough pairs tell a scale without a bias as well.
        alone = zeros or output.size < max(output.shape) + 16
        fine = (*first, *([judges.scaled] if alone else []), judges.parallel)
        usual = outside = [Pass(fine, paired=True), *modular]
        if sparse:
            usual = [Pass((judges.plain, judges.between), paired=True, limits=True), *modular]
    # Every roll of a large picture is more than all else together.
    rolls = 64 * math.prod(sorted(output.shape)[-2:])
    soon, late = ([circular], []) if rolls <= ROLLS else ([], [circular])
    return [*common, *soon], [
        *special,
        *([] if few else scales),
        *again,
        *(replace(one, shuffled=True) for one in (*usual, *special)),
        *(replace(one, outside=True) for one in outside),
        *([Pass((judges.plain, judges.scaled), wide=True)] if few else []),
        *(scales if few else []),
        *([Pass(rough, paired=True, outside=True)] if rough else []),
        *([Pass(rough, paired=True, shuffled=True)] if rough else []),
        *late,
        Pass((judges.affine,), wide=True, one_channel=True),
        replace(outside[0 if few else 1], mixed=True, modes=("constant",)),
    ]


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
            if one.again and not one.one_channel and len(samples) < SAMPLES:
                drawn[layout] = []  # the same elements were looked at before
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
    if all(_levels(part) <= 2.0**8 for a in operands for part in (a.flat[:64], a)):
        # Then the operands lost nothing; and whether the sums did is seen if they had the bits.
        levels = _levels(output)
        return (levels > 2.0**8 and is_stored(problem, "bfloat16")) or (
            levels > 2.0**11 and is_stored(problem, "float16")
        )
    return True


def _levels(array: Array) -> float:
    """How many steps of the same size the numbers of an array are apart from zero, at most."""
    step = quantum(array) if np.isfinite(array).all() else 0.0
    return largest_magnitude(array) / step if step else math.inf


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
