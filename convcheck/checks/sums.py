"""The sums of one convention over three arrays, with what goes with them, made when asked for."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.engine import (
    arrange_filters,
    arrange_image,
    correlate,
    pad,
    round_to,
    spread,
)
from convcheck.rounding import Arithmetic, choose_arithmetic

if TYPE_CHECKING:
    from convcheck.convention import Convention
Array = NDArray[Any]


@dataclass(frozen=True)
class Problem:
    """The three arrays as stored, with what is the same for every hypothesis."""

    image: Array
    filters: Array
    output: Array
    arithmetic: Arithmetic
    usable: Array
    """Elements of the output that are finite, in the output's own layout."""
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What others find out about the arrays once for all hypotheses."""

    @classmethod
    def of(cls, image: Array, filters: Array, output: Array) -> Problem:
        """The problem of three arrays; ``filters`` in any layout."""
        flat = filters.reshape(1, -1)
        work = choose_arithmetic(image, flat)
        return cls(image, filters, output, work, np.isfinite(output))


class Linear:
    """The sums of one convention before scale and bias, N,O,H,W, and their S when it is asked for.

    ``precision`` rounds the operands first, as hardware does that multiplies in fewer bits.
    """

    def __init__(
        self, problem: Problem, convention: Convention, precision: str | None = None
    ) -> None:
        self.problem = problem
        self.convention = convention.replace(
            scale=1.0, bias=None, activation=None, arithmetic="exact"
        )
        cast = problem.arithmetic.cast
        image, filters = cast(problem.image), cast(problem.filters)
        if precision is not None:
            image, filters = (cast(round_to(a, precision)) for a in (image, filters))
        x, self.bank = self._arranged(image, filters)
        self.terms = int(np.prod(self.bank.shape[1:]))
        self.values = self._sums(x, self.bank)
        self._rounded: dict[str, Linear] = {}

    def _arranged(self, image: Array, filters: Array) -> tuple[Array, Array]:
        x = arrange_image(image, self.convention)
        return x, arrange_filters(filters, self.convention, x.shape[1])

    def _sums(self, x: Array, w: Array, convention: Convention | None = None) -> Array:
        c = convention or self.convention
        return correlate(pad(spread(x, c.input_dilation), c), w, c.stride, c.dilation, c.groups)

    @cached_property
    def magnitude(self) -> Array:
        """S for every element."""
        x, w = self._arranged(_magnitudes(self.problem.image), _magnitudes(self.problem.filters))
        value = abs(self.convention.padding_value)
        return self._sums(x, w, self.convention.replace(padding_value=value))

    @cached_property
    def edge(self) -> Array:
        """What a border of ones would add to every element."""
        ones = self.convention.replace(padding_mode="constant", padding_value=1.0)
        x = arrange_image(np.zeros(self.problem.image.shape), self.convention)
        return self._sums(x, self.bank, ones)

    @cached_property
    def interior(self) -> Array:
        """The elements, (H,W), whose windows lie inside the image."""
        c = self.convention
        x = arrange_image(self.problem.image, c)
        inside = []
        for axis, outputs in enumerate(self._outputs()):
            starts = np.arange(outputs) * c.stride[axis] - c.padding[axis][0]
            ends = starts + c.dilation[axis] * (self.bank.shape[2 + axis] - 1)
            length = (x.shape[2 + axis] - 1) * c.input_dilation[axis] + 1
            inside.append((starts >= 0) & (ends < length))
        both: Array = inside[0][:, None] & inside[1][None, :]
        return both

    def _outputs(self) -> tuple[int, ...]:
        return self.values.shape[2:]

    def again(self, convention: Convention, precision: str | None = None) -> Linear:
        """The same of another convention."""
        return Linear(self.problem, convention, precision)

    def rounded(self, precision: str) -> Linear:
        """The same with operands of fewer bits."""
        if precision not in self._rounded:
            self._rounded[precision] = self.again(self.convention, precision)
        return self._rounded[precision]

    def with_border(self, value: float) -> Linear:
        """The same with another constant beyond the edge, without computing it all again."""
        other = copy(self)
        other.__dict__.pop("magnitude", None)
        other._rounded = {}
        other.convention = self.convention.replace(padding_value=value)
        other.values = self.values + (value - self.convention.padding_value) * self.edge
        return other


def _magnitudes(array: Array) -> Array:
    sizes: Array = np.abs(array.astype(np.result_type(array, np.float64)))
    return sizes
