"""The sums of one convention over three arrays, with what goes with them, made when asked for."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.tiles import keep_freed_memory
from convcheck.engine import (
    arrange_filters,
    arrange_image,
    pad,
    round_to,
    spread,
    stored_image,
    sums,
)
from convcheck.mapping import Reference, reference
from convcheck.rounding import Arithmetic, choose_arithmetic, norm

if TYPE_CHECKING:
    from collections.abc import Callable

    from convcheck.checks.tiles import Progress
    from convcheck.convention import Convention
    from convcheck.pool import Workers

Array = NDArray[Any]

LIGHT = 1 << 20
"""Bytes that an array may have to be sent along with every area that is handed out."""


@dataclass(frozen=True)
class Problem:
    """The three arrays as stored, with what is the same for every hypothesis."""

    image: Array
    filters: Array
    output: Array
    arithmetic: Arithmetic
    progress: Progress | None = field(default=None, compare=False)
    """Who is told what is judged area by area."""
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What others find out about the arrays once for all hypotheses."""
    workers: Workers | None = field(default=None, compare=False)
    """Who judges a large output area by area; this process, where it is None."""
    memory: int | None = None
    """Bytes that they all may take beside the arrays, 256 MiB where it is None."""

    @classmethod
    def of(
        cls,
        image: Array,
        filters: Array,
        output: Array,
        progress: Progress | None = None,
        workers: Workers | None = None,
        memory: int | None = None,
    ) -> Problem:
        """The problem of three arrays; ``filters`` in any layout."""
        keep_freed_memory()
        flat = filters.reshape(1, -1)
        work = choose_arithmetic(image, flat)
        return cls(image, filters, output, work, progress, workers=workers, memory=memory)

    @property
    def light(self) -> bool:
        """Whether it goes to other processes without a copy of large arrays."""
        return all(
            array.nbytes <= LIGHT or reference(array) is not None
            for array in (self.image, self.filters, self.output)
        )


@dataclass(frozen=True)
class Sent:
    """A problem on its way to another process, which opens mapped files itself."""

    arrays: tuple[Array | Reference, ...]
    arithmetic: Arithmetic
    memo: dict[str, Any]

    @classmethod
    def of(cls, problem: Problem) -> Sent:
        """What has to be sent of a problem."""
        arrays = (problem.image, problem.filters, problem.output)
        found = tuple(reference(array) or array for array in arrays)
        return cls(found, problem.arithmetic, problem.memo)

    def opened(self) -> Problem:
        """The problem, where it has arrived.

        Raises:
            InputError: a file is not there, or not what it was.
        """
        keep_freed_memory()
        image, filters, output = (
            array.open() if isinstance(array, Reference) else array for array in self.arrays
        )
        return Problem(image, filters, output, self.arithmetic, memo=self.memo)

    def check(self) -> None:
        """Raise unless the files are still what they were.

        Raises:
            InputError: one changed, or could not be read.
        """
        for array in self.arrays:
            if isinstance(array, Reference):
                array.check()


class Linear:
    """The sums of one convention before scale and bias, N,O,H,W, and their S when it is asked for.

    ``precision`` rounds the operands first, as hardware does that multiplies in fewer bits.
    """

    shown: tuple[Any, ...] = (slice(None), slice(None))
    """What of the output's rows and columns is looked at."""

    def __init__(
        self, problem: Problem, convention: Convention, precision: str | None = None
    ) -> None:
        self.problem = problem
        self.convention = convention.replace(
            scale=1.0, bias=None, activation=None, arithmetic="exact"
        )
        self.precision = precision
        self.bank = self._operand(self._filters())
        self.terms = int(np.prod(self.bank.shape[1:]))
        self._rounded: dict[str, Linear] = {}

    @cached_property
    def values(self) -> Array:
        """The sums."""
        return self._sums(self._operand, self.bank, self.convention)

    def _operand(self, array: Array) -> Array:
        """An image or filters in the working dtype."""
        cast = self.problem.arithmetic.cast
        if self.precision is None:
            return cast(array)
        return cast(round_to(cast(array), self.precision))

    def _filters(self) -> Array:
        image = stored_image(self.problem.image, self.convention)
        return arrange_filters(self.problem.filters, self.convention, image.shape[1])

    def _sums(self, how: Callable[[Array], Array], w: Array, c: Convention) -> Array:
        """The correlation of ``how`` of the image, arranged as ``c`` says, with a bank that is."""
        x = spread(arrange_image(how(self.problem.image), c), c.input_dilation)
        return sums(pad(x, c), w, c, self.problem.arithmetic)

    @cached_property
    def heaviest(self) -> float:
        """The largest 2-norm of a filter."""
        return max(norm(kernel) for kernel in self.bank)

    @cached_property
    def magnitude(self) -> Array:
        """S for every element."""
        value = abs(self.convention.padding_value)
        bordered = self.convention.replace(padding_value=value)
        return self._sums(_magnitudes, _magnitudes(self._filters()), bordered)

    @cached_property
    def edge(self) -> Array:
        """What a border of ones would add to every element."""
        ones = self.convention.replace(padding_mode="constant", padding_value=1.0)
        return self._sums(lambda x: np.zeros(x.shape), self.bank, ones)

    @cached_property
    def interior(self) -> Array:
        """The elements, (H,W), whose windows lie inside the image."""
        rows, columns = (self._inside(axis)[shown] for axis, shown in enumerate(self.shown))
        both: Array = rows[:, None] & columns[None, :]
        return both

    @property
    def border(self) -> int:
        """How many elements of a channel have windows that reach over the image's edge."""
        sides = [self._inside(axis) for axis in (0, 1)]
        return math.prod(s.size for s in sides) - math.prod(map(np.count_nonzero, sides))

    def _inside(self, axis: int) -> Array:
        """The places of an axis where windows lie inside the image."""
        c = self.convention
        x = stored_image(self.problem.image, c)
        starts = np.arange(self._outputs()[axis]) * c.stride[axis] - c.padding[axis][0]
        ends = starts + c.dilation[axis] * (self.bank.shape[2 + axis] - 1)
        length = (x.shape[2 + axis] - 1) * c.input_dilation[axis] + 1
        inside: Array = (starts >= 0) & (ends < length)
        return inside

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
