"""The sums of a convention at a few of the rows and columns, for estimates on large data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.axes import met
from convcheck.checks.sums import Linear

if TYPE_CHECKING:
    from convcheck.checks.sums import Problem
    from convcheck.convention import Convention

Array = NDArray[Any]

ENDS, INNER = 3, 10
"""Rows at either end of the output, where the border is seen, and rows between them."""
ROOM = 1 << 23
"""Elements of the windows that are held at once."""


class Thin(Linear):
    """What :class:`Linear` is, with ``values`` and all else cut down to some rows and columns."""

    def __init__(
        self,
        problem: Problem,
        convention: Convention,
        shape: tuple[int, ...],
        precision: str | None = None,
        *,
        ends: int = ENDS,
        inner: int = INNER,
    ) -> None:
        self.shape = shape
        self.places = tuple(_places(size, ends, inner) for size in shape[2:])
        self.batch = sorted({0, shape[0] // 2, shape[0] - 1})
        super().__init__(problem, convention, precision)

    def again(self, convention: Convention, precision: str | None = None) -> Thin:
        """The same places under another convention."""
        return Thin(self.problem, convention, self.shape, precision)

    def cut(self, output: Array) -> Array:
        """The elements of a whole output (N,O,H,W) that are at these places."""
        rows, columns = self.places
        return output[self.batch][:, :, rows][..., columns]

    @property
    def worth_while(self) -> bool:
        """Whether this is much less than the whole."""
        windows = len(self.batch) * math.prod(p.size for p in self.places) * self.terms
        return windows <= ROOM and 8 * self.values.size < math.prod(self.shape)

    @property
    def interior(self) -> Array:
        """The elements, (rows, columns), whose windows lie inside the image."""
        rows, columns = self.places
        inside: Array = super().interior[rows][:, columns]
        return inside

    def _outputs(self) -> tuple[int, ...]:
        return self.shape[2:]

    def _sums(self, x: Array, w: Array, convention: Convention | None = None) -> Array:
        c = (convention or self.convention).replace(flip=())  # the bank is flipped already
        # Two more samples an axis: what stands beyond the edge, and a zero between samples.
        image = np.pad(x[self.batch], ((0, 0), (0, 0), (0, 2), (0, 2)))
        image[..., -2, :] = image[..., -2] = c.padding_value
        rows, columns = (
            met(c, axis, x.shape[2 + axis], w.shape[2 + axis], self.shape[2 + axis])[places]
            for axis, places in enumerate(self.places)
        )
        inputs, outputs = w.shape[1], w.shape[0] // c.groups
        parts = []
        for g in range(c.groups):
            some = image[:, g * inputs : (g + 1) * inputs]
            windows = some[:, :, rows[:, :, None, None], columns]
            bank = w[g * outputs : (g + 1) * outputs]
            parts.append(np.tensordot(bank, windows, axes=([1, 2, 3], [1, 3, 5])))
        return np.concatenate(parts).swapaxes(0, 1)


def _places(size: int, ends: int, inner: int) -> Array:
    """Both ends of an axis, and places between them at no even distance."""
    if size <= 2 * ends + inner:
        return np.arange(size)
    between = np.random.default_rng(size).choice(size - 2 * ends, inner, replace=False) + ends
    return np.unique([*range(ends), *between, *range(size - ends, size)])
