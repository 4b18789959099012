"""Sums of a convention at chosen elements of the output, and what goes with them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.layouts import Reading
from convcheck.convention import Axis, Convention, round_to
from convcheck.convention.axis import BORDER
from convcheck.convention.channels import read_filters, stored_image, to_axes
from convcheck.engine import axes_of, is_whole, prepare_filters, prepare_image

if TYPE_CHECKING:
    from collections.abc import Callable

    from convcheck.checks.sums import Problem

Array = NDArray[Any]

ROOM = 1 << 16
"""Products that are held at once: few enough to stay in the cache."""


@dataclass(frozen=True)
class Sums:
    """Of some elements: the sums, the sums of absolute products, and the roots of their squares.

    ``edge`` is what a border of ones would add, ``inside`` whether no window reaches over the edge.
    """

    values: Array
    magnitude: Array
    squares: Array
    edge: Array
    inside: Array


@dataclass(frozen=True)
class Parts:
    """What sums are made of where a number is taken off image or filters first.

    ``products`` and ``taps``, (elements, channels of a filter), are the sums of products and of the
    taps that meet samples; ``samples`` and ``count`` the sums of those samples, and how many.
    """

    products: Array
    taps: Array
    samples: Array
    count: Array


@dataclass(frozen=True)
class Elements:
    """Some elements of a reading's output, (elements, axes): N, O and the spatial axes."""

    reading: Reading
    index: Array

    @classmethod
    def of(cls, problem: Problem, c: Convention, count: int) -> Elements:
        """Some elements of a convention's output, drawn; all of a small one.

        Raises:
            InputError: arrays that the convention does not fit.
        """
        x = stored_image(problem.image, c)
        read_filters(problem.filters, c, x.shape[1])
        y = to_axes(problem.output, c.output_layout, "NC" + c.spatial)
        return cls(Reading(c, 0.0, x, problem.filters, y), drawn(y.shape, count))

    def values(self) -> Array:
        """The output there."""
        found: Array = self.reading.output[tuple(self.index.T)]
        return found

    def channels(self, c: Convention) -> Array:
        """The output channel of each as it is computed, which the numbers of a convention count."""
        stored: Array = self.index[:, 1]
        return stored if c.output_order is None else np.asarray(c.output_order)[stored]

    def sums(self, c: Convention, precision: str | None = None) -> Sums:
        """The sums of a convention of the reading's layouts before scale and bias.

        ``precision`` rounds the operands first. The image step and the filters' offset are done.
        """
        return Sums(*self._gathered(c, precision, _summed))

    def parts(self, c: Convention) -> Parts:
        """What the sums of a convention without steps before them are made of."""
        return Parts(*self._gathered(c, None, _taken_apart))

    def _gathered(
        self,
        c: Convention,
        precision: str | None,
        reduced: Callable[[Convention, Array, Array, Array, Array], tuple[Array, ...]],
    ) -> list[Array]:
        """What is left of every element's samples and taps, for so many elements at a time."""
        exact = c.replace(arithmetic="exact")
        image, order = self.reading.image, c.channel_order
        if np.any(c.image_offset) or np.any(np.asarray(c.image_scale) != 1):
            image = prepare_image(image if order is None else image[:, list(order)], exact)
            order = None
        bank = prepare_filters(read_filters(self.reading.filters, c, image.shape[1]), exact)
        if precision is not None:
            bank = round_to(bank, precision)
        # The bank has its axes reversed already.
        axes = axes_of(c.replace(flip=()), image.shape[2:], bank.shape[2:])
        channels = np.arange(image.shape[1]) if order is None else np.asarray(order)
        step = max(1, ROOM // math.prod(bank.shape[1:]))
        parts = [
            reduced(c, *_part(c, image, channels, bank, axes, self.index[i : i + step], precision))
            for i in range(0, len(self.index), step)
        ]
        return [np.concatenate(each) for each in zip(*parts, strict=True)]


@lru_cache(64)
def drawn(shape: tuple[int, ...], count: int) -> Array:
    """(elements, axes): about so many places of an array, all of them where there are no more."""
    size = math.prod(shape)
    some = np.random.default_rng(count).integers(0, size, count) if size > count else range(size)
    flat = np.unique(np.array(some, np.int64))
    return np.stack(np.unravel_index(flat, shape), axis=1)


def _at(image: Array, where: list[Array]) -> Array:
    """What an image holds at places; of one whose elements lie in order, by one index."""
    if not image.flags.c_contiguous:
        return image[tuple(where)]
    at = where[0]
    for size, along in zip(image.shape[1:], where[1:], strict=True):
        at = at * size + along
    return image.reshape(-1).take(at)


def _part(
    c: Convention,
    image: Array,
    channels: Array,
    bank: Array,
    axes: tuple[Axis, ...],
    index: Array,
    precision: str | None,
) -> tuple[Array, ...]:
    outputs, inputs = bank.shape[:2]
    count, rank = len(index), len(axes)
    o = index[:, 1] if c.output_order is None else np.asarray(c.output_order)[index[:, 1]]
    read = channels[(o // (outputs // c.groups))[:, None] * inputs + np.arange(inputs)]
    ones = (1,) * rank
    where = [index[:, 0].reshape(-1, 1, *ones), read.reshape(count, inputs, *ones)]
    met, border = np.ones((1, 1, *ones), bool), np.zeros((1, 1, *ones), bool)
    for a, axis in enumerate(axes):
        starts = index[:, 2 + a] * axis.stride - axis.before
        source = axis.source(starts[:, None] + axis.dilation * np.arange(axis.taps))
        shape = (count, 1, *(axis.taps if b == a else 1 for b in range(rank)))
        where.append(np.maximum(source, 0).reshape(shape))
        met = met & (source >= 0).reshape(shape)
        border = border | (source == BORDER).reshape(shape)
    x = _at(image, where)
    if precision is not None:
        x = round_to(x, precision)
    # Integers are summed as such: float64 may not have what they add up to.
    whole = x.dtype.kind in "biu" and bank.dtype.kind in "biu" and is_whole(c.padding_value)
    kind = np.dtype(np.int64) if whole else np.result_type(x, bank, np.float64)
    w = bank[o].astype(kind, copy=False)
    x = x.astype(kind, copy=False) if met.all() else np.where(met, x, 0).astype(kind, copy=False)
    return x, w, met, border


def _summed(c: Convention, x: Array, w: Array, _: Array, border: Array) -> tuple[Array, ...]:
    count = len(x)
    edge = np.zeros(count, w.dtype)
    reaching = np.any(border.reshape(count, -1), axis=1)
    if reaching.any():
        edge = np.where(border, w, 0).reshape(count, -1).sum(axis=1)
        x = np.where(border, c.padding_value, x) if c.padding_value else x
    products = (x * w).reshape(count, -1)
    sums = products.sum(axis=1)
    sizes = np.abs(products)
    magnitude = sizes.sum(axis=1).astype(np.float64)
    sizes = sizes.astype(np.float64, copy=False)
    sizes *= sizes
    sums = sums.astype(np.result_type(sums, np.float64))
    return sums, magnitude, np.sqrt(sizes.sum(axis=1)), edge, np.logical_not(reaching)


def _taken_apart(_: Convention, x: Array, w: Array, met: Array, __: Array) -> tuple[Array, ...]:
    taps = tuple(range(2, x.ndim))
    return (
        (x * w).sum(axis=taps).astype(np.float64),
        np.where(met, w, 0).sum(axis=taps).astype(np.float64),
        x.sum(axis=(1, *taps)).astype(np.float64),
        (met.sum(axis=taps).sum(axis=1) * x.shape[1]).astype(np.float64),
    )
