"""What rounding can explain in a convolution by Winograd's algorithm, element by element.

A Winograd algorithm F(m,r) makes m outputs of a correlation with r taps from T = m + r - 1 samples
d and filter taps w, with T products in place of m * r (A. Lavin and S. Gray, *Fast Algorithms for
Convolutional Neural Networks*, arXiv 1509.09308)::

    y = A^T [ (G w) * (B^T d) ]

Along several axes each matrix is applied axis by axis, and the products are summed over channels
in between. Products that cancel in exact arithmetic do not in floating point: its error can be far
beyond that of a direct sum, and grows with T (B. Barabasz, A. Anderson, K. Soodhalter, D. Gregg,
*Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks*, arXiv
1803.10986). The bound here is the componentwise form of theirs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from convcheck.errors import InputError
from convcheck.rounding import NORMAL, SINGLE, Array, gamma

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Floats = NDArray[np.float64]

HALF, TWO = math.sqrt(0.5), math.sqrt(2.0)
POINTS: dict[int, tuple[tuple[float, ...], ...]] = {
    4: ((0, 1, -1), (0, 0.5, -0.5)),
    6: (
        (0, 1, -1, 2, -2),
        (0, 0.5, -0.5, 1, -1),
        (0, 0.625, -0.625, 1.5, -1.5),
        (0, HALF, -HALF, TWO, -TWO),
    ),
    8: ((0, 1, -1, 2, -2, 0.5, -0.5), (0, 0.5, -0.5, 1, -1, 1.5, -1.5)),
}
"""The points that libraries evaluate at, beside infinity, for each T.

The first of each are those of Lavin and Gray, NNPACK, ncnn and the Arm Compute Library; multiples
of a half are MNN's, and for T = 6 TVM's; 5/8 and 3/2 are oneDNN's and neon's; roots of two are
those of Leela Zero.
"""
CONSTANTS = 4
"""Roundings that an axis takes for constants which scale the rows of its matrices, as 1/6 or 32/45.

Each costs two: it is rounded itself, and so is the product with it. There are two on no path of the
libraries above: one in G or in B, or what is moved from G to A, as in NNPACK.
"""
RESCALED = 128.0
"""How much smaller than in :func:`matrices` a library's numbers can be: 90 for T = 8.

The error relative to them does not depend on it, but what underflow takes does.
"""
ROOM = 1 << 23
"""Elements of a transformed image that are held at once."""


@dataclass(frozen=True)
class Matrices:
    """Those of one axis: ``output`` is A^T (m,T), ``filter`` G (T,r), ``image`` B^T (T,T)."""

    output: Floats
    filter: Floats
    image: Floats

    @property
    def tile(self) -> int:
        """m, the outputs that one tile makes along the axis."""
        return len(self.output)

    @property
    def roundings(self) -> int:
        """The most roundings between a filter's tap or an image's sample and an output.

        A sum of n terms has n - 1 additions, in any order; terms shared between rows make no
        difference, as no two terms of a row have the same operand. A coefficient that is no power
        of two is rounded, and so is the product with it. ``CONSTANTS`` are for what scales rows.
        """
        if self.tile == 1:
            return len(self.filter) - 1
        rows = (self.filter / _first(self.filter), self.image / _last(self.image), self.output)
        return CONSTANTS + sum(
            int(np.count_nonzero(m, axis=1).max()) - 1 + (0 if _powers_of_two(m) else 2)
            for m in rows
        )


def _first(matrix: Floats) -> Floats:
    """The first element of each row that is not 0, as a column."""
    at = (matrix != 0).argmax(axis=1)[:, None]
    return np.take_along_axis(matrix, at, axis=1)


def _last(matrix: Floats) -> Floats:
    return _first(matrix[:, ::-1])


def _powers_of_two(matrix: Floats) -> bool:
    mantissas = np.abs(np.frexp(matrix)[0])
    return bool(((mantissas == 0) | (mantissas == 0.5)).all())


@cache
def matrices(m: int, r: int, points: tuple[float, ...]) -> Matrices:
    """The matrices of F(m,r) by Cook and Toom, from T - 1 points and infinity.

    G is divided by the products of the points' differences; where a library divides B, or moves a
    factor from one matrix to another, the bound is the same. With m = 1 it is a direct sum, and
    needs no points.
    """
    if m == 1:
        return Matrices(np.ones((1, r)), np.eye(r), np.eye(r))
    size = m + r - 1
    at = np.array(points, np.float64)
    outputs, filters, images = np.zeros((m, size)), np.zeros((size, r)), np.zeros((size, size))
    outputs[:, :-1] = at ** np.arange(m)[:, None]
    outputs[-1, -1] = filters[-1, -1] = 1
    for t, point in enumerate(at):
        others = np.delete(at, t)
        filters[t] = point ** np.arange(r) / np.prod(point - others)
        images[t, :-1] = _polynomial(others)
    images[-1] = _polynomial(at)
    return Matrices(outputs, filters, images)


def _polynomial(roots: Floats) -> Floats:
    """The coefficients of the product of x - root, the constant one first."""
    coefficients = np.poly(roots)[::-1]
    # Roots of opposite sign leave zeros, but for the rounding of irrational ones.
    return np.where(np.abs(coefficients) < 1e-12, 0.0, coefficients)


def winograd_bound(
    x: Array,
    w: Array,
    m: int | Sequence[int],
    *,
    groups: int = 1,
    roundings: int = 0,
    unit: float = SINGLE,
    underflow: float = NORMAL,
) -> Floats:
    """Bound on the error of the correlation of x (N,C,*S) with w (O,C/groups,*F) by Winograd.

    x is padded already, stride and dilation are 1, and numbers are real. ``m`` is the tile's
    outputs, for each axis or for all alike; 1 is a direct sum along that axis, as always where F is
    1. The bound, (N,O,*out), holds wherever the tiles begin, beyond x being zeros, for each of the
    ``POINTS`` and however rows are scaled, with channels summed in any order. ``roundings`` are
    those beyond the convolution's: of operands before, of a scale or bias after. ``underflow`` is
    what an operation can lose where its result is too small.

    With K roundings on the longest path from operands to output it is

        gamma_K * |A^T| [ sum over channels of (|G| |w|) * (|B^T| |x|) ]

    (Higham's lemma 3.1: every path ends as its exact value times no more than K factors 1 + delta).

    Raises:
        InputError: there are no ``POINTS`` for m + r - 1.
    """
    kernel = w.shape[2:]
    tiles = (m,) * len(kernel) if isinstance(m, int) else tuple(m)
    tiles = tuple(1 if f == 1 else tile for tile, f in zip(tiles, kernel, strict=True))
    sizes = [n - f + 1 for n, f in zip(x.shape[2:], kernel, strict=True)]
    bound = np.zeros((len(x), len(w), *sizes))
    if bound.size == 0:
        return bound
    sample = np.abs(x.astype(np.float64)).reshape(len(x), groups, -1, *x.shape[2:])
    bank = np.abs(w.astype(np.float64)).reshape(groups, -1, *w.shape[1:])
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for axes in _choices(tiles, kernel):
            one = _Algorithm(axes, w.shape[1], roundings, unit, underflow)
            each = one.bound(sample, bank)
            np.maximum(bound, each.reshape(bound.shape) if each.ndim else each, out=bound)
    bound[np.isnan(bound)] = math.inf  # 0 times what overflowed
    return bound


def _choices(tiles: Sequence[int], kernel: Sequence[int]) -> Iterator[tuple[Matrices, ...]]:
    """The matrices of every axis, for all ways to choose the points for each T."""
    lengths = sorted({m + r - 1 for m, r in zip(tiles, kernel, strict=True) if m > 1})
    for length in lengths:
        if length not in POINTS:
            raise InputError(
                f"no library's points are known for Winograd with {length} products",
                got=f"m = {', '.join(map(str, tiles))} for {', '.join(map(str, kernel))} taps",
                expected=f"m + r - 1 = {', '.join(map(str, POINTS))}",
            )
    for points in product(*(POINTS[length] for length in lengths)):
        chosen = dict(zip(lengths, points, strict=True))
        yield tuple(
            matrices(m, r, chosen.get(m + r - 1, ())) for m, r in zip(tiles, kernel, strict=True)
        )


@dataclass(frozen=True)
class _Algorithm:
    """Matrices along every axis, and the arithmetic."""

    axes: tuple[Matrices, ...]
    channels: int
    more: int
    unit: float
    underflow: float

    def bound(self, sample: Floats, bank: Floats) -> Floats:
        """Of |x| (N,G,C,*S) and |w| (G,O,C,*F): (N,G,O,*out); one infinity where nothing holds."""
        roundings = self.more + self.channels + sum(axis.roundings for axis in self.axes)
        factor = gamma(roundings, self.unit)
        if not math.isfinite(factor):
            return np.full((), math.inf)
        factor *= 1 + 2 * gamma(2 * roundings + 8)  # what is computed here is rounded too
        filters = self._filters(bank)
        # One filter more, of ones: what underflow takes from any filter is a part of it.
        ones = np.ones_like(filters[..., :1, :])
        reached = self._reach(sample, np.concatenate([filters, ones], axis=-2))
        lost = self._lost([axis.filter for axis in self.axes])
        lost_image = self._lost([axis.image for axis in self.axes])
        weight = math.prod(float(np.abs(axis.output).sum(axis=1).max()) for axis in self.axes)
        among = lost_image * self._weighed(filters.sum(axis=-1))
        rest = self.channels * (lost * lost_image + 2 * RESCALED * self.underflow) * weight
        rest += self._lost([axis.output for axis in self.axes])
        flat = (slice(None), slice(None), *(None,) * len(self.axes))
        result: Floats = factor * reached[:, :, :-1] + (1 + factor) * (
            lost * reached[:, :, -1:] + among[flat] + rest
        )
        return result

    def _lost(self, along: Sequence[Floats]) -> float:
        """What underflow can take from an element of a transform by these matrices.

        Each axis has less than 2 T + 3 operations and operands for an element, each of which loses
        ``underflow``; what is lost is multiplied by the matrices that follow.
        """
        operations = sum(2 * len(m[0]) + 3 for m in along)
        gain = math.prod(1 + float(np.abs(m).sum(axis=1).max()) for m in along)
        return RESCALED * self.underflow * operations * gain

    def _filters(self, bank: Floats) -> Floats:
        """|G| |w|, along every axis: (*T,G,O,C)."""
        for axis in reversed(self.axes):  # the last axis becomes the first, until all are
            bank = np.tensordot(np.abs(axis.filter), bank, (1, -1))
        return bank

    def _weighed(self, products: Floats) -> Floats:
        """|A^T| applied to (*T,G,O), and the most of a tile's outputs."""
        for axis in self.axes:
            products = np.tensordot(np.abs(axis.output), products, 1).max(axis=0)
        return products

    def _reach(self, sample: Floats, filters: Floats) -> Floats:
        """|A^T| [ sum of filters * (|B^T| |x|) ], the most over where tiles begin: (N,G,O,*out)."""
        margin = [(a.tile - 1, a.tile - 1) for a in self.axes]
        sample = np.pad(sample, [(0, 0)] * 3 + margin)
        sizes = [
            n - len(axis.image) - axis.tile + 2
            for n, axis in zip(sample.shape[3:], self.axes, strict=True)
        ]
        result = np.empty((*sample.shape[:2], filters.shape[-2], *sizes))
        first = self.axes[0]
        each = filters[..., :1].size + filters[..., :1, :].size  # of a transformed position
        rows = max(ROOM // (each * math.prod(sample.shape[4:])), 2 * first.tile)
        around = first.tile + len(first.image) - 2
        for image, values in zip(sample, result, strict=True):
            for start in range(0, sizes[0], rows):
                part = image[:, :, start : start + rows + around]
                values[:, :, start : start + rows] = self._tiles(part, filters)
        return result

    def _tiles(self, image: Floats, filters: Floats) -> Floats:
        """The same of a part of one image, with its margins: (G,O,*out)."""
        for index in reversed(range(len(self.axes))):
            image = _windows(image, np.abs(self.axes[index].image), index - len(self.axes))
        spatial = image.shape[len(self.axes) + 2 :]
        products = filters @ image.reshape(*image.shape[: len(self.axes) + 2], -1)
        return _most(products.reshape(*products.shape[:-1], *spatial), self.axes)


def _windows(image: Floats, matrix: Floats, axis: int) -> Floats:
    """The matrix (T,T) applied to every window of T along an axis (from the end), (T,...)."""
    size = len(matrix)
    count = image.shape[axis] - size + 1
    shape = list(image.shape)
    shape[axis] = count
    result = np.zeros((size, *shape))
    for t, tap in zip(*np.nonzero(matrix), strict=True):
        result[t] += matrix[t, tap] * _slice(image, axis, int(tap), count)
    return result


def _most(products: Floats, axes: Sequence[Matrices]) -> Floats:
    """|A^T| applied to (*T,...,*starts), an output's largest over the tiles that it may be in."""
    if not axes:
        return products
    outputs = np.abs(axes[0].output)
    tile, axis = len(outputs), -len(axes)
    count = products.shape[axis] - tile + 1
    best: Floats = np.zeros(())
    for place, row in enumerate(outputs):
        # Of an output at this place the tile begins that much before it.
        value = _slice(np.tensordot(row, products, 1), axis, tile - 1 - place, count)
        best = np.maximum(best, _most(value, axes[1:]))
    return best


def _slice(array: Floats, axis: int, start: int, count: int) -> Floats:
    index = [slice(None)] * array.ndim
    index[axis] = slice(start, start + count)
    return array[tuple(index)]
