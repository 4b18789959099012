"""The sums of one convention over three arrays, with what goes with them, made when asked for."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.tiles import keep_freed_memory
from convcheck.convention import round_to
from convcheck.convention.channels import read_filters, read_image, stored_image
from convcheck.engine import (
    axes_of,
    is_whole,
    pad,
    prepare_filters,
    prepare_image,
    spread,
    sums,
    with_border,
)
from convcheck.mapping import Reference, reference
from convcheck.rounding import Arithmetic, choose_arithmetic, gamma, largest_magnitude, quantum

if TYPE_CHECKING:
    from collections.abc import Callable

    from convcheck.checks.tiles import Progress
    from convcheck.convention import Axis, Convention
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
    """What sums of the numbers as they are stored are computed in."""
    progress: Progress | None = field(default=None, compare=False)
    """Who is told what is judged area by area."""
    memo: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
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
        """The problem of three arrays, each in any layout."""
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

    def arithmetic_of(self, c: Convention) -> Arithmetic:
        """What the sums are computed in after the steps of ``c`` that come before them."""
        plain = c.image_offset == c.filter_offset == 0 and c.image_scale == 1
        if plain and c.padding_value == 0:
            return self.arithmetic
        key = (c.image_offset, c.image_scale, c.filter_offset, c.padding_value)
        if key not in self.memo:
            self.memo[key] = _arithmetic(self, c)
        found: Arithmetic = self.memo[key]
        return found


@dataclass(frozen=True)
class Sent:
    """A problem on its way to another process, which opens mapped files itself."""

    arrays: tuple[Array | Reference, ...]
    arithmetic: Arithmetic
    memo: dict[Any, Any]

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
    """The sums of one convention before scale and bias, and what goes with them: (N,O,*S).

    The output's channels are in the order in which they are computed. Operands and sums are exact,
    whatever arithmetic the convention names; ``precision`` rounds the operands first, as hardware
    does that multiplies in fewer bits.
    """

    shown: tuple[slice, ...] = ()
    """What of the output's spatial axes is looked at; all of it where it is empty."""

    def __init__(
        self, problem: Problem, convention: Convention, precision: str | None = None
    ) -> None:
        self.problem = problem
        self.convention = convention.linear
        self.arithmetic = problem.arithmetic_of(self.convention)
        self.precision = precision
        self.bank = self._operand(self._filters())
        self.terms = math.prod(self.bank.shape[1:])
        self._rounded: dict[str, Linear] = {}

    @cached_property
    def values(self) -> Array:
        """The sums."""
        return self._sums(self._operand, self.bank, self.convention)

    @cached_property
    def magnitude(self) -> Array:
        """The sums of the products' magnitudes, to which the bounds of rounding are relative."""
        return self._of_sizes(1)

    @cached_property
    def reach(self) -> Array:
        """:attr:`magnitude` or somewhat more, where sums are not exact; (N,1 or O,*S) or larger.

        By Cauchy and Schwarz it is no more than the norm of what a window meets times the filter's:
        the former are the same for all filters.
        """
        c = self.convention
        if self.arithmetic.exact or c.groups > 1 or self.bank.dtype.kind == "c" or c.padding_value:
            return self.magnitude
        sizes = [largest_magnitude(a) for a in (self.problem.image, self.problem.filters)]
        if not all(1e-100 < size < 1e100 for size in sizes):  # whose squares are numbers
            return self.magnitude

        def squared(array: Array) -> Array:
            power: Array = array.astype(np.float64) ** 2
            return power

        windows = np.sqrt(self._sums(squared, np.ones((1, *self.bank.shape[1:])), c))
        filters = np.sqrt((self.bank**2).reshape(len(self.bank), -1).sum(axis=1))
        beside = filters.reshape(-1, *(1,) * c.rank)
        found: Array = windows * beside * (1 + gamma(2 * self.terms + 8))
        return found

    @cached_property
    def squares(self) -> Array:
        """The sums of the products' squares: their root is what rounding typically grows with."""
        return self._of_sizes(2)

    @cached_property
    def edge(self) -> Array:
        """What a border of ones would add to every element, where it is constant."""
        ones = self.convention.replace(padding_value=1.0)
        return self._sums(lambda x: np.zeros(x.shape), self.bank, ones)

    @cached_property
    def interior(self) -> Array:
        """The elements, (*S), whose windows lie inside the image."""
        shown = self.shown or (slice(None),) * self.convention.rank
        sides = [_inside(axis)[part] for axis, part in zip(self.axes, shown, strict=True)]
        return reduce(np.logical_and.outer, sides)

    @property
    def border(self) -> int:
        """How many elements of a channel have windows that reach over the image's edge."""
        sides = [_inside(axis) for axis in self.axes]
        return math.prod(s.size for s in sides) - math.prod(map(np.count_nonzero, sides))

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """The spatial axes of the whole image by the kernel."""
        x = stored_image(self.problem.image, self.convention)
        return axes_of(self.convention, x.shape[2:], self.bank.shape[2:])

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
        for sizes in ("magnitude", "squares"):
            other.__dict__.pop(sizes, None)
        other._rounded = {}
        other.convention = self.convention.replace(padding_value=value)
        other.arithmetic = self.problem.arithmetic_of(other.convention)
        other.values = self.values + (value - self.convention.padding_value) * self.edge
        return other

    def _operand(self, array: Array) -> Array:
        """An image or filters, after the steps before the sums, in the working dtype."""
        cast = self.arithmetic.cast
        if self.precision is None:
            return cast(array)
        return cast(round_to(cast(array), self.precision))

    def _filters(self) -> Array:
        image = stored_image(self.problem.image, self.convention)
        bank = read_filters(self.problem.filters, self.convention, image.shape[1])
        return prepare_filters(bank, self.convention)

    def _of_sizes(self, power: int) -> Array:
        """The sums of the products' magnitudes to a power."""

        def sizes(array: Array) -> Array:
            found: Array = np.abs(array.astype(np.result_type(array, np.float64))) ** power
            return found

        c = self.convention
        bordered = c.replace(padding_value=abs(c.padding_value) ** power)
        return self._sums(sizes, sizes(self._filters()), bordered)

    def _sums(self, how: Callable[[Array], Array], w: Array, c: Convention) -> Array:
        """The correlation of ``how`` of the image, read as ``c`` says, with a bank that is."""
        x = how(prepare_image(read_image(self.problem.image, c), c))
        return sums(pad(spread(x, c.input_dilation), c), w, c, self.arithmetic)


def _inside(axis: Axis) -> Array:
    """The outputs of an axis whose windows lie inside the image."""
    starts = axis.starts(0, axis.out)
    inside: Array = (starts >= 0) & (starts + axis.extent <= axis.spread)
    return inside


def _arithmetic(problem: Problem, c: Convention) -> Arithmetic:
    """The arithmetic of a moved and scaled image with its border, and moved filters.

    Few numbers stand for the image: as large as any of its can be, multiples of the same quantum.
    """
    image, filters = problem.image, problem.filters.ravel()
    offsets, scales, shifts = (
        np.atleast_1d(np.asarray(v)) for v in (c.image_offset, c.image_scale, c.filter_offset)
    )
    largest = (largest_magnitude(image) + largest_magnitude(offsets)) * largest_magnitude(scales)
    step = min(quantum(image), quantum(offsets)) * quantum(scales)
    # Without a quantum: numbers that have none in common as far as float64 goes.
    some = [step * np.ceil(largest / step), step] if step else [largest, largest * 2.0**-60]
    wide = np.result_type(image, np.float64)
    if image.dtype.kind in "biu" and step >= 1 and is_whole(largest):
        wide = np.dtype(np.int64)
    moved = with_border(np.array(some).astype(wide), c)
    bank = filters
    if shifts.any():
        if filters.dtype.kind in "biu" and all(map(is_whole, shifts)):
            shifts = shifts.astype(np.int64)
        most = np.full(filters.size, np.max(np.abs(shifts)))
        bank = np.concatenate([filters, most, shifts])
    work = choose_arithmetic(moved, bank.reshape(1, -1))
    if work.exact:
        return work
    steps = (offsets.any(), (scales != 1).any(), shifts.any())
    roundings = problem.arithmetic.input_roundings + sum(map(bool, steps))
    return replace(work, input_roundings=roundings + work.input_roundings)
