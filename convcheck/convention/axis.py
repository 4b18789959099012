"""One spatial axis: its windows, what they meet, and the usual names of its padding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

GAP, BORDER = -1, -2
"""In place of a sample's index: a zero between two samples, and what stands beyond the edge."""
PADDING_MODES = ("constant", "edge", "reflect", "symmetric", "wrap")
"""numpy.pad's names."""


@dataclass(frozen=True)
class Axis:
    """``size`` samples that are met by windows of ``taps`` taps.

    ``before`` and ``after`` are padded where they are positive, cropped where negative;
    ``reversed`` says that the stored taps are applied last to first.
    """

    size: int
    taps: int
    stride: int = 1
    dilation: int = 1
    input_dilation: int = 1
    before: int = 0
    after: int = 0
    mode: str = "constant"
    reversed: bool = False

    @property
    def spread(self) -> int:
        """The length with ``input_dilation - 1`` zeros between the samples."""
        return (self.size - 1) * self.input_dilation + 1

    @property
    def extent(self) -> int:
        """The length that the filter spans."""
        return self.dilation * (self.taps - 1) + 1

    @property
    def out(self) -> int:
        """The number of outputs; 0 where no window fits."""
        return self.outputs(self.before, self.after)

    def outputs(self, before: int, after: int) -> int:
        """The number of outputs under another padding."""
        room = self.spread + before + after - self.extent
        return room // self.stride + 1 if room >= 0 else 0

    def is_padded(self, before: int, after: int) -> bool:
        """Whether this padding makes the same windows: what no window touches does not count."""
        return self.before == before and self.out == self.outputs(before, after)

    @property
    def undone(self) -> tuple[int, int]:
        """Padding and output padding as a framework's transposed convolution is given them."""
        return self.extent - 1 - self.before, self.after - self.before

    def same(self) -> tuple[int, int]:
        """What SAME pads in all, as the smaller and the larger half."""
        total = (-(-self.spread // self.stride) - 1) * self.stride + self.extent - self.spread
        half = max(total, 0) // 2
        return half, max(total, 0) - half

    def is_same(self, *, lower: bool = False) -> bool:
        """Whether the padding is SAME_UPPER (or SAME_LOWER)."""
        few, many = self.same()
        steps = -(-self.spread // self.stride)
        return self.before == (many if lower else few) and self.out == steps

    def fitted(self, outputs: int) -> Axis:
        """The same windows, with the padding after them that gives so many outputs.

        What is padded after is what the windows need; it is cropped only where the stride's own
        rounding does not leave as much out.
        """
        end = -self.before + (outputs - 1) * self.stride + self.extent
        slack = self.spread - end
        after = -slack if slack < 0 else 0 if slack < self.stride else -(slack - self.stride + 1)
        return replace(self, after=after)

    def starts(self, first: int, last: int) -> Array:
        """Where the windows of outputs ``first`` to ``last - 1`` begin; 0 is the first sample."""
        return np.arange(first, last) * self.stride - self.before

    def windows(self, outputs: int | None = None) -> Array:
        """(outputs, taps): what each stored tap meets, as :meth:`source` says it."""
        taps = np.arange(self.taps)
        if self.reversed:
            taps = taps[::-1]
        starts = self.starts(0, self.out if outputs is None else outputs)
        return self.source(starts[:, None] + self.dilation * taps)

    def source(self, places: Array) -> Array:
        """The samples at ``places`` of the spread axis, 0 its first; or ``GAP``, or ``BORDER``."""
        gap = self.input_dilation
        if self.mode != "constant":
            within = continued(places, self.spread, self.mode)
            return within if gap == 1 else np.where(within % gap == 0, within // gap, GAP)
        outside = (places < 0) | (places >= self.spread)
        inner = places if gap == 1 else np.where(places % gap == 0, places // gap, GAP)
        return np.where(outside, BORDER, inner)


def continued(places: Array, size: int, mode: str) -> Array:
    """The sample that numpy.pad puts at ``places`` of an axis of ``size``, beyond its edges too."""
    if mode == "edge" or size == 1:
        return np.clip(places, 0, size - 1)
    if mode == "wrap":
        return places % size
    period = 2 * size if mode == "symmetric" else 2 * size - 2
    within = places % period
    return np.where(within < size, within, period - within - (1 if mode == "symmetric" else 0))
