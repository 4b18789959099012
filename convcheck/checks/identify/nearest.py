"""Where an output departs from a convention, and what comes nearest when nothing explains it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.judges import correlated
from convcheck.checks.identify.judging import Fit
from convcheck.checks.identify.samples import choose_samples
from convcheck.checks.identify.search import Found, Search
from convcheck.checks.identify.stages import telling
from convcheck.checks.sums import Linear, Problem
from convcheck.engine import to_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.checks.identify.readings import Reading
    from convcheck.convention import Convention

Array = NDArray[Any]

SAMPLES = 32
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


def where(fit: Fit, problem: Problem) -> str:
    """Where the elements lie that a convention does not give: a place, in words."""
    output = to_axes(problem.output, fit.convention.output_layout, "NOHW")
    values = np.unique(output[fit.mismatched])
    place = _place(fit)
    if len(values) == 1 and fit.misses > 1:
        return f"{place}, where OUT is {values[0]:g} throughout"
    return place


def _place(fit: Fit) -> str:
    wrong = fit.mismatched
    count = int(np.count_nonzero(wrong))
    n, o, h, w = (np.unique(axis) for axis in np.nonzero(wrong))
    if count == 1:
        return f"one element, in output channel {o[0]}, at row {h[0]}, column {w[0]}"
    batches, channels, height, width = wrong.shape
    part = ""
    if channels > 1 and len(o) < channels:
        part = f" of output channel {o[0]}" if len(o) == 1 else f" of {_counted(o, channels)}"
    if batches > 1 and len(n) == 1:
        part += f" of image {n[0]} of the batch"
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
    interior = fit.linear.interior
    if not (wrong & interior).any() and not interior.all():
        border = int(np.count_nonzero(~interior)) * every
        return (
            "the border, where windows reach over the image's edge" + part + _filled(count, border)
        )
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
    return f"{count} of {wrong.size} elements, in no single place"


def _counted(which: Array, of: int) -> str:
    """Output channels in words: every so manieth where that is what they are, else the numbers."""
    steps = np.diff(which)
    step = int(steps[0])
    if step > 1 and (steps == step).all() and which[0] < step and which[-1] + step >= of:
        nth = {2: "second", 3: "third"}.get(step, f"{step}th")
        return f"every {nth} output channel, from {which[0]}"
    if len(which) <= 8:
        return "output channels " + ", ".join(map(str, which))
    return f"{len(which)} of {of} output channels"


def _filled(count: int, of: int) -> str:
    return "" if count == of else f" ({count} of its {of} elements)"


def nearest(problem: Problem, readings: Sequence[Reading]) -> Found | None:
    """The hypothesis whose sampled values correlate best with the output's."""
    best: Found | None = None
    for reading in readings:
        usable = to_axes(problem.usable, reading.base.output_layout, "NOHW")
        samples = choose_samples(reading.output, SAMPLES, telling(reading.output, usable))
        if len(samples) < 3:
            continue
        search = Search(reading, samples)
        for found in search.run([correlated(samples, reading)])[0]:
            if best is None or found.votes > best.votes:
                best = found
    return best


def miss_of(problem: Problem, found: Found) -> Miss:
    """How the output differs from what a hypothesis gives, up to a factor and a constant."""
    linear = Linear(problem, found.convention)
    usable = to_axes(problem.usable, found.convention.output_layout, "NOHW")
    wide = np.complex128 if found.reading.output.dtype.kind == "c" else np.float64
    target, sums = found.reading.output.astype(wide), linear.values.astype(wide)
    t, y = target[usable], sums[usable]
    dt, dy = t - t.mean(), y - y.mean()
    power = float(np.vdot(dy, dy).real)
    scale = float(np.vdot(dy, dt).real / power) if power else 0.0
    spread_of = np.sqrt(power * float(np.vdot(dt, dt).real))
    correlation = float(np.abs(np.vdot(dy, dt)) / spread_of) if spread_of else 0.0
    difference = np.where(usable, np.abs(target - sums), 0.0)
    wrong = difference > SINGLE * linear.magnitude
    fit = Fit(found.convention, linear, sums, np.zeros(sums.shape), wrong)
    place = where(fit, problem) if wrong.any() else "nowhere, within single precision"
    if _factor_a_channel(target, sums, usable, linear.magnitude):
        place += "; every output channel fits with a factor and a constant of its own"
    return Miss(
        convention=found.convention,
        correlation=correlation,
        scale=scale,
        mismatched=int(np.count_nonzero(wrong)),
        total=int(np.count_nonzero(usable)),
        max_abs_diff=float(difference.max()),
        where=place,
    )


def _factor_a_channel(target: Array, sums: Array, usable: Array, magnitude: Array) -> bool:
    """Whether each output channel is a line of the convention's sums, most of it at least."""
    fitting = 0
    for o in range(target.shape[1]):
        t, y, size = (a[:, o][usable[:, o]] for a in (target, sums, magnitude))
        if t.size < 4 or np.ptp(y.real) == 0 or np.iscomplexobj(t):
            return False
        slope, constant = np.polyfit(y, t, 1)
        room = 2.0**-18 * (np.abs(slope) * size + np.abs(constant))
        fitting += int(np.mean(np.abs(t - slope * y - constant) <= room) > 0.9)
    return bool(fitting == target.shape[1])
