"""Every way to read three arrays' axes in which their sizes can belong to one convolution."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention import FILTER_LAYOUTS, IMAGE_LAYOUTS, OUTPUT_LAYOUTS, Convention
from convcheck.engine import to_axes
from convcheck.rounding import blocks, largest_magnitude

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = NDArray[Any]


@dataclass(frozen=True)
class Reading:
    """The three arrays with their axes named, and how many groups the channels fall into.

    ``image`` is N,C,H,W, ``filters`` O,I,H,W before anything is done to them, ``output`` N,O,H,W;
    all are views. ``base`` is the convention of the layouts and groups alone.
    """

    base: Convention
    image: Array = field(repr=False)
    filters: Array = field(repr=False)
    output: Array = field(repr=False)

    @property
    def terms(self) -> int:
        """The products in one output element."""
        inputs = min(self.filters.shape[1], self.image.shape[1] // self.base.groups)
        return int(inputs * math.prod(self.filters.shape[2:]))

    @cached_property
    def reach(self) -> float:
        """A bound on S for any window: the largest sample times the heaviest filter."""
        return largest_magnitude(self.image) * self.heaviest

    @cached_property
    def whole(self) -> bool:
        """Whether image and filters are whole numbers."""
        return all(
            a.dtype.kind in "biu" or all(np.array_equal(np.rint(p), p) for p in blocks(a))
            for a in (self.image, self.filters)
        )

    @cached_property
    def heaviest(self) -> float:
        """The largest sum of magnitudes of one filter."""
        sizes = np.abs(self.filters.astype(np.result_type(self.filters, np.float64)))
        inputs, groups = self.image.shape[1], self.base.groups
        if groups > 1 and sizes.shape[1] == inputs:  # a bank over all groups' channels
            sizes = sizes.reshape(len(sizes), groups, inputs // groups, -1)
            return float(sizes.sum(axis=(2, 3)).max())
        return float(sizes.sum(axis=(1, 2, 3)).max())


def readings(image: Array, filters: Array, output: Array) -> Iterator[Reading]:
    """The readings whose batch, channels and filters fit; sizes of H and W are left to the search.

    Filter layouts with W before H are left out: ``kernel_transposed`` says the same.
    """
    for filter_layout in _filter_layouts(filters.ndim):
        w = to_axes(filters, filter_layout.replace("M", "O"), "OIHW")
        for image_layout in (a for a in IMAGE_LAYOUTS if len(a) == image.ndim):
            x = to_axes(image, image_layout, "NCHW")
            for output_layout in (a for a in OUTPUT_LAYOUTS if len(a) == output.ndim):
                y = to_axes(output, output_layout, "NOHW")
                if x.shape[0] != y.shape[0]:
                    continue
                for groups in _groups(filter_layout, w.shape, x.shape[1], y.shape[1]):
                    base = Convention(
                        image_layout=image_layout,
                        filter_layout=filter_layout,
                        output_layout=output_layout,
                        groups=groups,
                    )
                    yield Reading(base, x, w, y)


def _filter_layouts(axes: int) -> list[str]:
    return [a for a in FILTER_LAYOUTS if len(a) == axes and a.index("H") < a.index("W")]


def _groups(layout: str, bank: tuple[int, ...], channels: int, outputs: int) -> Iterator[int]:
    """The group counts with which a bank O,I,.. takes ``channels`` to ``outputs``."""
    out, inp = bank[:2]
    if layout == "HWIM":
        # TensorFlow's depthwise bank; HWIO with as many groups would say the same.
        if inp == channels and outputs == channels * out and channels > 1:
            yield channels
        return
    if inp == channels and out == outputs:
        yield 1
    if layout == "HW" and channels > 1 and outputs == channels:
        yield channels
    elif inp < channels and channels % inp == 0 and out == outputs and out % (channels // inp) == 0:
        yield channels // inp
    if inp == channels and layout != "HW" and out and outputs % out == 0:
        groups = outputs // out
        if groups > 1 and channels % groups == 0 and not (layout == "HWIO" and groups == channels):
            yield groups
