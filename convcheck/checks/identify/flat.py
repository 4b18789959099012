"""Data that say nothing: the plainest conventions that give an output of one number a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from convcheck.checks.identify.axes import axis_options, padding
from convcheck.checks.identify.classes import canonical, complexity
from convcheck.checks.identify.fit import confirm, judged
from convcheck.checks.identify.looks import finite_parts
from convcheck.convention import NAMED, Convention

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convcheck.checks.identify.readings import Reading
    from convcheck.checks.identify.tally import Confirmed
    from convcheck.checks.sums import Problem

Array = NDArray[Any]

FEW = 12
"""Conventions of which an answer is made; there are always many more."""


def flat_fits(problem: Problem, readings: Sequence[Reading]) -> Iterator[Confirmed]:
    """Fits by a bias alone or, where the output is one number throughout, by a scale of zero."""
    first = next(part[0] for part in finite_parts(problem.output) if part.size)
    constant = all((part == first).all() for part in finite_parts(problem.output))
    for reading, convention in _plainest(readings)[:FEW]:
        fit = confirm(problem, convention, reading.output)
        if (fit is None or fit.misses) and constant and problem.output.dtype.kind != "c":
            number = float(first)
            bias = (number,) * reading.output.shape[1] if number else None
            silenced = convention.replace(scale=0.0, bias=bias)
            fit = judged(problem, silenced, reading.output)
        if fit is not None:
            yield fit


def _plainest(readings: Sequence[Reading]) -> list[tuple[Reading, Convention]]:
    found = []
    for reading in readings:
        kernel, sizes = reading.filters.shape[2:], reading.image.shape[2:]
        axes = [
            _option(*each) for each in zip(sizes, kernel, reading.output.shape[2:], strict=True)
        ]
        if not all(axes):
            continue
        gaps, dilations, strides, pads = zip(*(a for a in axes if a), strict=True)
        for named in NAMED.values():
            convention = reading.base.replace(
                flip=named.flip,
                stride=strides,
                dilation=dilations,
                input_dilation=gaps,
                padding=pads,
            )
            found.append((reading, canonical(convention, kernel)))
    return sorted(found, key=lambda pair: complexity(pair[1]))


def _option(size: int, kernel: int, outputs: int) -> tuple[int, int, int, tuple[int, int]] | None:
    """Input dilation, dilation, stride and padding of an axis: the plainest that fit its sizes."""
    fitting = []
    for a in axis_options(size, kernel, outputs, wide=False):
        for start in range(a.first, a.first + a.count):
            way = (a.input_dilation, a.dilation, a.stride)
            pads = padding((*way, start), size, outputs, kernel)
            fitting.append((*way, sum(map(abs, pads)), abs(pads[0] - pads[1]), pads))
    if not fitting:
        return None
    gap, dilation, stride, _, _, pads = min(fitting)
    return gap, dilation, stride, pads
