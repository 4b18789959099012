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
    from collections.abc import Callable, Iterator, Sequence

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
SMALLER = (4.0, 16.0)
"""How much smaller a library's G and B can be than those of :func:`matrices`, for each axis.

The error relative to their numbers does not depend on how rows are scaled, but what underflow takes
does. Where MNN divides B in place of G, that is up to 1/0.25 and 11.25; what others move from A or
B to G makes its numbers larger.
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
    def roundings(self) -> tuple[int, int, int]:
        """The most roundings that a number takes in each of ``filter``, ``image``, ``output``.

        A sum of n terms has n - 1 additions, in any order; sharing them between rows changes
        nothing. A coefficient such as 1/6 or 32/45 is rounded, and so is the product with it. Along
        a direct axis nothing is transformed, and its taps are summed like channels.
        """
        if self.tile == 1:
            return 0, 0, 0
        most = [_terms(m) + 1 for m in (self.filter, self.image, self.output)]
        return most[0], most[1], most[2]


def _terms(matrix: Floats) -> int:
    """The most numbers that any row is a sum of."""
    return int(np.count_nonzero(matrix, axis=1).max())


def _gain(matrix: Floats) -> float:
    """How much larger numbers can become by a matrix."""
    return float(np.abs(matrix).sum(axis=1).max())


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
    points: Sequence[float] | None = None,
    groups: int = 1,
    roundings: int = 0,
    unit: float = SINGLE,
    underflow: float = NORMAL,
    window: Sequence[slice] | None = None,
) -> Floats:
    """Bound on the error of the correlation of x (N,C,*S) with w (O,C/groups,*F) by Winograd.

    x is padded already, stride and dilation are 1, and numbers are real. ``m`` is the tile's
    outputs, for each axis or for all alike; 1 is a direct sum along that axis, as always where F is
    1. ``points`` are those of each axis, without infinity; if none are given, the bound is the most
    of those for ``POINTS``. The bound, (N,O,*out), holds wherever the tiles begin, beyond x being
    zeros, however rows are scaled, and with channels summed in any order. ``roundings`` are those
    beyond the convolution's: of operands before, of a scale or bias after. ``underflow`` is what an
    operation can lose where its result is too small. With ``window`` it is that of the outputs
    there alone; samples within m - 1 of what they are made of have a part in them.

    With g, b and a roundings in the three transforms (Higham's lemma 3.1 for each) the transformed
    filter U = G w is off by no more than gamma_g |G| |w|, V = B^T x by gamma_b |B^T| |x|, and so

        |A^T| sum over channels of
            gamma_(C+a) |U| |V|  +  gamma_g |G| |w| |V|  +  gamma_b |U| |B^T| |x|

    is the bound, and what is of second order besides; C counts the taps of direct axes too. |U| and
    |V| are no more than |G| |w| and |B^T| |x|, and in practice a fraction of them: the shorter
    gamma_(C+a+b+g) |A^T| (|G| |w| |B^T| |x|) is three to six times that.

    Raises:
        InputError: ``points`` that are not m + r - 2, or none are known for m + r - 1.
    """
    kernel = w.shape[2:]
    tiles = (m,) * len(kernel) if isinstance(m, int) else tuple(m)
    tiles = tuple(1 if f == 1 else tile for tile, f in zip(tiles, kernel, strict=True))
    x, inner = _around(x, kernel, tiles, window)
    sizes = [n - f + 1 for n, f in zip(x.shape[2:], kernel, strict=True)]
    bound = np.zeros((len(x), len(w), *sizes))
    if bound.size == 0:
        return bound[inner]
    sample = x.astype(np.float64).reshape(len(x), groups, w.shape[1], *x.shape[2:])
    bank = w.astype(np.float64).reshape(groups, len(w) // groups, *w.shape[1:])
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for axes in _choices(tiles, kernel, points):
            one = _Algorithm.of(axes, w.shape[1], roundings, unit, underflow)
            np.maximum(bound, one.bound(sample, bank).reshape(bound.shape), out=bound)
    bound[np.isnan(bound)] = math.inf  # 0 times what overflowed
    return bound[inner]


def _around(
    x: Array, kernel: Sequence[int], tiles: Sequence[int], window: Sequence[slice] | None
) -> tuple[Array, tuple[slice, ...]]:
    """The part of x that tiles with outputs in the window reach, and where those are in its own."""
    parts, inner = [slice(None)] * 2, [slice(None)] * 2
    window = window or [slice(None)] * len(kernel)
    for n, f, m, outputs in zip(x.shape[2:], kernel, tiles, window, strict=True):
        start, stop, _ = outputs.indices(n - f + 1)
        first = max(start - (m - 1), 0)
        parts.append(slice(first, stop + m - 1 + f - 1))
        inner.append(slice(start - first, stop - first))
    return x[tuple(parts)], tuple(inner)


def _choices(
    tiles: Sequence[int], kernel: Sequence[int], points: Sequence[float] | None
) -> Iterator[tuple[Matrices, ...]]:
    """The matrices of every axis, for all ways to choose the points for each T."""
    lengths = sorted({m + r - 1 for m, r in zip(tiles, kernel, strict=True) if m > 1})
    known = POINTS if points is None else {len(points) + 1: (tuple(points),)}
    for length in lengths:
        if length not in known:
            raise InputError(
                f"the points of a Winograd algorithm with {length} products are not known",
                got=f"m = {', '.join(map(str, tiles))} for {', '.join(map(str, kernel))} taps",
                expected=f"m + r - 1 = {' or '.join(map(str, known))}",
            )
    for choice in product(*(known[length] for length in lengths)):
        chosen = dict(zip(lengths, choice, strict=True))
        yield tuple(
            matrices(m, r, chosen.get(m + r - 1, ())) for m, r in zip(tiles, kernel, strict=True)
        )


@dataclass(frozen=True)
class _Algorithm:
    """Matrices along every axis, and what each stage can be off by.

    ``filter``, ``image``, ``output`` and ``whole`` are gammas: of the transforms, and of the sums
    of ``terms`` transformed products with what comes after.
    """

    axes: tuple[Matrices, ...]
    filter: float
    image: float
    output: float
    whole: float
    terms: int
    underflow: float

    @classmethod
    def of(
        cls,
        axes: tuple[Matrices, ...],
        channels: int,
        more: int,
        unit: float,
        underflow: float,
    ) -> _Algorithm:
        counts = [more + sum(axis.roundings[at] for axis in axes) for at in range(3)]
        sums = channels * math.prod(len(axis.filter) for axis in axes if axis.tile == 1)
        # What is computed here in float64 is rounded likewise.
        filters, images, outputs, whole = (
            gamma(count, unit) + 2 * gamma(count + 4) for count in (*counts, counts[2] + sums)
        )
        return cls(axes, filters, images, outputs, whole, sums, underflow)

    def bound(self, sample: Floats, bank: Floats) -> Floats:
        """Of x (N,G,C,*S) and w (G,O,C,*F): (N,G,O,*out)."""
        filters = np.abs(self._filters(bank))
        off = self.filter * self._filters(bank, np.abs)
        off += self._smaller(0) * self._lost([axis.filter for axis in self.axes])
        # With D and E what U and V are off by, the sum's stages make (1 + whole) (U + D) (V + E) of
        # U V at most. So this is multiplied by V + E, and U by E.
        factors = self.whole * (filters + off) + off, filters
        margin = [(axis.tile - 1, axis.tile - 1) for axis in self.axes]
        sample = np.pad(sample, [(0, 0)] * 3 + margin)
        sizes = [
            n - len(axis.image) - axis.tile + 2
            for n, axis in zip(sample.shape[3:], self.axes, strict=True)
        ]
        result = np.empty((*sample.shape[:2], bank.shape[1], *sizes))
        together = np.concatenate(factors, axis=-1)
        each = together[..., :1].size + together[..., :1, :].size  # of a transformed position
        blocks = self._blocks(sizes, ROOM // each)
        for image, values in zip(sample, result, strict=True):
            for starts in product(*(range(0, n, b) for n, b in zip(sizes, blocks, strict=True))):
                needed = [
                    slice(start, start + block + axis.tile + len(axis.image) - 2)
                    for start, block, axis in zip(starts, blocks, self.axes, strict=True)
                ]
                made = [slice(a, a + block) for a, block in zip(starts, blocks, strict=True)]
                values[..., *made] = self._tiles(image[..., *needed], together)
        # Of each product and each addition, and of the last transform.
        outputs = [axis.output for axis in self.axes]
        each_sum = 2 * self.terms * self.underflow * math.prod(map(_gain, outputs))
        result += (1 + self.output) * each_sum + self._lost(outputs)
        return result * (1 + 2 * gamma(2 * self.terms + sum(len(a.image) for a in self.axes)))

    def _blocks(self, sizes: Sequence[int], most: int) -> list[int]:
        """Outputs along each axis of which no more than so many tiles begin, but two tiles' own."""
        blocks = list(sizes)
        while math.prod(b + a.tile - 1 for b, a in zip(blocks, self.axes, strict=True)) > most:
            larger = [(b, i) for i, b in enumerate(blocks) if b > 2 * self.axes[i].tile]
            if not larger:
                break
            block, index = max(larger)
            blocks[index] = -(-block // 2)
        return blocks

    def _smaller(self, which: int) -> float:
        factor: float = SMALLER[which] ** sum(axis.tile > 1 for axis in self.axes)
        return factor

    def _lost(self, along: Sequence[Floats]) -> float:
        """What underflow can take from an element of a transform by these matrices.

        Along each axis an element has n products, n - 1 additions and an operand that may have been
        too small itself, and what is lost may still be multiplied by a coefficient.
        """
        lost = 0.0
        for matrix in along:
            each = 2 * _terms(matrix) * max(1.0, float(np.abs(matrix).max()))
            lost = (lost + self.underflow) * _gain(matrix) + each * self.underflow
        return lost

    def _filters(self, bank: Floats, of: Callable[[Floats], Floats] = np.asarray) -> Floats:
        """G w along every axis, (*T,G,O,C); |G| |w| of absolute values."""
        bank = of(bank)
        for axis in reversed(self.axes):  # the last axis becomes the first, until all are
            bank = np.tensordot(of(axis.filter), bank, (1, -1))
        return bank

    def _images(self, image: Floats, of: Callable[[Floats], Floats] = np.asarray) -> Floats:
        """B^T x of every window, (*T,G,C,positions); |B^T| |x| of absolute values."""
        image = of(image)
        for index in reversed(range(len(self.axes))):
            image = _windows(image, of(self.axes[index].image), index - len(self.axes))
        return image.reshape(*image.shape[: -len(self.axes)], -1)

    def _tiles(self, image: Floats, factors: Floats) -> Floats:
        """The bound of a part of one image (G,C,*S), with its margins: (G,O,*out)."""
        off = self.image * self._images(image, np.abs)
        off += self._smaller(1) * self._lost([axis.image for axis in self.axes])
        products = factors @ np.concatenate([np.abs(self._images(image)) + off, off], axis=-2)
        starts = [
            n - len(axis.image) + 1 for n, axis in zip(image.shape[2:], self.axes, strict=True)
        ]
        return _most(products.reshape(*products.shape[:-1], *starts), self.axes)


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
