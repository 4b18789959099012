"""Other strides, dilations and paddings whose windows meet the same samples."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.areas import shape_of
from convcheck.checks.identify.axes import MAX_STRIDE, axis_options, padding
from convcheck.checks.identify.classes import complexity
from convcheck.checks.patch import met
from convcheck.engine import stored_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from convcheck.checks.sums import Problem
    from convcheck.convention import Convention

Array = NDArray[Any]
KEYS = ("stride", "dilation", "input_dilation", "padding")


class Way(NamedTuple):
    """How windows go along one spatial axis: the keys of a convention that say so."""

    stride: int
    dilation: int
    input_dilation: int
    padding: tuple[int, int]

    def on(self, c: Convention, axis: int) -> Convention:
        """The convention with this way for one of its axes."""
        keys: dict[str, Any] = {}
        for key, value in zip(KEYS, self, strict=True):
            pair = list(getattr(c, key))
            pair[axis] = value
            keys[key] = tuple(pair)
        return c.replace(**keys)


def plainer(problem: Problem, c: Convention) -> Convention:
    """The plainest convention whose windows meet the same samples as those of ``c``."""
    rows, columns = (same_windows(problem, c, axis) for axis in (0, 1))
    others = (column.on(row.on(c, 0), 1) for row, column in product(rows, columns))
    return min((c, *others), key=complexity)


def with_windows(problem: Problem, c: Convention, wanted: Mapping[str, Any]) -> Convention | None:
    """``c`` with windows that meet the same samples, and of these keys where they are named."""
    shape = shape_of(problem, c)
    for axis in (0, 1):
        named = {key: wanted[key][axis] for key in KEYS if key in wanted}
        # What is padded behind may be more than any window reaches.
        pads = named.pop("padding", None)
        # Every stride is one of an image that was spread out and dilated as much.
        plain = {key: {1, getattr(c, key)[axis]} for key in ("dilation", "input_dilation")} | {
            key: {value} for key, value in named.items()
        }
        ways = (
            way
            for way in same_windows(problem, c, axis)
            if all(getattr(way, key) in values for key, values in plain.items())
        )
        if pads is not None:
            ways = (way._replace(padding=pads) for way in ways if way.padding[0] == pads[0])
        fitting = (way.on(c, axis) for way in ways)
        found = next((other for other in fitting if shape_of(problem, other) == shape), None)
        if found is None:
            return None
        c = found
    return c


def same_windows(problem: Problem, c: Convention, axis: int) -> list[Way]:
    """Every way of an axis whose windows meet the same samples with the same taps."""
    size = stored_image(problem.image, c).shape[2 + axis]
    name = "WH"[axis] if c.kernel_transposed else "HW"[axis]
    kernel = problem.filters.shape[c.filter_layout.index(name)]
    outputs = shape_of(problem, c)[2 + axis]

    def samples(other: Convention, count: int) -> Array:
        found = met(other, axis, size, kernel, count)
        # Zeros between samples and beyond them are alike, unless there is something else beyond.
        return np.maximum(found, -1) if c.padding_value == 0 else found

    first, every = (samples(c, count) for count in (1, outputs))
    return [
        way
        for way in dict.fromkeys(_ways(size, kernel, outputs))
        if np.array_equal(samples(way.on(c, axis), 1), first)
        and np.array_equal(samples(way.on(c, axis), outputs), every)
    ]


def _ways(size: int, kernel: int, outputs: int) -> Iterator[Way]:
    for mixed in (False, True):
        for a in axis_options(size, kernel, outputs, wide=False, outside=True, mixed=mixed):
            for start in range(a.first, a.first + a.count):
                way = (a.input_dilation, a.dilation, a.stride, start)
                pads = padding(way, size, outputs, kernel)
                # A single window is followed by another under no stride at all.
                for stride in (a.stride,) if outputs > 1 else range(1, MAX_STRIDE + 1):
                    yield Way(stride, a.dilation, a.input_dilation, pads)
