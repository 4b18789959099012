"""Where an output departs from a convention, and what comes nearest when nothing explains it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.areas import areas, is_large
from convcheck.checks.identify.judges import correlated
from convcheck.checks.identify.judging import Fit, Ground
from convcheck.checks.identify.samples import choose_samples
from convcheck.checks.identify.search import Found, Search
from convcheck.checks.identify.stages import telling
from convcheck.checks.identify.tally import Confirmed, Tally
from convcheck.checks.identify.thin import Thin
from convcheck.checks.sums import Linear

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.checks.identify.readings import Reading
    from convcheck.checks.sums import Problem
    from convcheck.convention import Convention

Array = NDArray[Any]

SAMPLES = 32
LISTED = 8
"""So many channels or images are named one by one."""
SINGLE = 2.0**-20
"""Of S: the difference allowed to a nearest miss, about what single precision could have made."""


@dataclass(frozen=True)
class Miss:
    """The convention that comes nearest to an output that none explains.

    ``correlation`` is Pearson's, between the output and what the convention gives.
    """

    convention: Convention
    correlation: float
    scale: float
    mismatched: int
    total: int
    max_abs_diff: float
    where: str


def where(fit: Confirmed) -> str:
    """Where the elements lie that a convention does not give: a place, in words."""
    values = fit.tally.values
    place = _place(fit)
    if len(values) == 1 and fit.misses > 1:
        return f"{place}, where OUT is {next(iter(values)):g} throughout"
    return place


def _place(fit: Confirmed) -> str:
    count = fit.misses
    n, o, h, w = map(np.flatnonzero, fit.tally.wrong)
    if count == 1:
        return f"one element, in output channel {o[0]}, at row {h[0]}, column {w[0]}"
    batches, channels, height, width = fit.shape
    part = ""
    if len(o) < channels:
        part = f" of output channel {o[0]}" if len(o) == 1 else f" of {_counted(o, channels)}"
    if len(n) < batches:
        few = f"image{'s' * (len(n) > 1)} {', '.join(map(str, n))}"
        part += f" of {few if len(n) <= LISTED else f'{len(n)} of {batches} images'} of the batch"
    every = len(n) * len(o)
    box = (int(h[-1] - h[0]) + 1, int(w[-1] - w[0]) + 1)
    whole = (height, width)
    full = count >= 0.6 * box[0] * box[1] * every
    if part and full and box == whole:
        return f"all{part}" + _filled(count, every * height * width)
    if len(h) == 1 and height > 1:
        return f"row {h[0]}{part}" + _filled(count, every * width)
    if len(w) == 1 and width > 1:
        return f"column {w[0]}{part}" + _filled(count, every * height)
    if not fit.tally.inside and fit.border:
        border = "the border, where windows reach over the image's edge"
        return border + part + _filled(count, fit.border * every)
    if full and box != whole:
        rows, columns = f"rows {h[0]} to {h[-1]}", f"columns {w[0]} to {w[-1]}"
        what = f"a tile, {rows} and {columns}"
        if box[1] == width:
            what = rows
        elif box[0] == height:
            what = columns
        return f"{what}{part}" + _filled(count, box[0] * box[1] * every)
    if part:
        return f"{count} elements{part}"
    return f"{count} of {math.prod(fit.shape)} elements, in no single place"


def _counted(which: Array, of: int) -> str:
    """Output channels in words: every so manieth where that is what they are, else the numbers."""
    steps = np.diff(which)
    step = int(steps[0])
    if step > 1 and (steps == step).all() and which[0] < step and which[-1] + step >= of:
        nth = {2: "second", 3: "third"}.get(step, f"{step}th")
        return f"every {nth} output channel, from {which[0]}"
    if len(which) <= LISTED:
        return "output channels " + ", ".join(map(str, which))
    return f"{len(which)} of {of} output channels"


def _filled(count: int, of: int) -> str:
    return "" if count == of else f" ({count} of its {of} elements)"


def nearest(readings: Sequence[Reading], *, first_image: bool = False) -> Found | None:
    """The hypothesis whose sampled values correlate best with the output's.

    ``first_image`` samples that of a batch alone: the others may be copies of it, or left undone.
    """
    best: Found | None = None
    for reading in readings:
        output = reading.output[:1] if first_image else reading.output
        if first_image and len(reading.output) == 1:
            continue
        samples = choose_samples(output, SAMPLES, telling(output))
        if len(samples) < 3:
            continue
        search = Search(reading, samples)
        for found in search.run([correlated(samples, reading)])[0]:
            if best is None or found.votes > best.votes:
                best = found
    return best


def miss_of(problem: Problem, found: Found) -> Miss:
    """How the output differs from what a hypothesis gives, up to a factor and a constant."""
    convention, output = found.convention, found.reading.output
    wide = np.complex128 if output.dtype.kind == "c" else np.float64
    large = is_large(problem)
    some = Thin(problem, convention, output.shape) if large else Linear(problem, convention)
    few = (some.cut(output) if isinstance(some, Thin) else output).astype(wide)
    usable = np.isfinite(few)
    # Both around about their means, so that nothing is lost where parts are added up.
    middles = few[usable].mean(), some.values[usable].mean()
    parts = (
        _apart(area, area.cut(output).astype(wide), middles, output.shape, area.tile.first)
        for area in areas(problem, convention, output.shape)
    )
    moments, tally = (
        reduce(lambda total, part: (total[0] + part[0], total[1] + part[1]), parts)
        if large
        else _apart(some, few, middles, output.shape, (0, 0, 0, 0))
    )
    count = tally.comparison.total
    t, y = moments[0], moments[1]
    products = moments[2:] - np.array([abs(t) ** 2, abs(y) ** 2, np.conj(y) * t]) / count
    power, spread = products[1].real, np.sqrt(max(products[0].real * products[1].real, 0.0))
    fit = Confirmed(convention, tally, output.shape, some.border, 0.0)
    place = where(fit) if fit.misses else "nowhere, within single precision"
    if _factor_a_channel(few, some.values.astype(wide), usable, some.magnitude):
        place += "; every output channel fits with a factor and a constant of its own"
    return Miss(
        convention=convention,
        correlation=float(abs(products[2]) / spread) if spread else 0.0,
        scale=float(products[2].real / power) if power else 0.0,
        mismatched=fit.misses,
        total=count,
        max_abs_diff=tally.comparison.max_abs_diff,
        where=place,
    )


def _apart(
    linear: Linear,
    target: Array,
    middles: tuple[Any, Any],
    shape: tuple[int, ...],
    first: tuple[int, ...],
) -> tuple[Array, Tally]:
    """Sums, squares and products of the output and of what a convention gives; how they differ."""
    usable = np.isfinite(target)
    sums = linear.values.astype(target.dtype)
    t, y = target[usable] - middles[0], sums[usable] - middles[1]
    products = [np.vdot(t, t), np.vdot(y, y), np.vdot(y, t)]
    wrong = usable & (np.abs(target - sums) > SINGLE * linear.magnitude)
    fit = Fit(linear.convention, linear, sums, np.zeros(sums.shape), wrong)
    tally = Tally.of(fit, target, usable, ground=Ground(), shape=shape, first=first)
    return np.array([t.sum(), y.sum(), *products]), tally


def _factor_a_channel(target: Array, sums: Array, usable: Array, magnitude: Array) -> bool:
    """Whether each output channel is a line of the convention's sums, most of it at least."""
    fitting = 0
    for o in range(target.shape[1]):
        t, y, size = (a[:, o][usable[:, o]] for a in (target, sums, magnitude))
        if t.size < 4 or np.ptp(y.real) == 0 or np.iscomplexobj(t):
            return False
        slope, constant = np.polyfit(y, t, 1)
        # Where the image is zero S is too, but the line is no more exact for that.
        size = np.maximum(size, 2.0**-20 * size.max())
        room = 2.0**-18 * (np.abs(slope) * size + np.abs(constant))
        fitting += int(np.mean(np.abs(t - slope * y - constant) <= room) > 0.9)
    return bool(fitting == target.shape[1])
