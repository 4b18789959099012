"""Winograd's algorithm in any precision, as libraries write it: what its bound is tried on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from convcheck.winograd import Matrices


@dataclass(frozen=True)
class Arithmetic:
    """A dtype; whether products are fused with additions; whether subnormals are flushed to 0."""

    dtype: type
    fused: bool = False
    flushed: bool = False

    def keep(self, values: Any) -> Any:
        kept = values.astype(self.dtype)
        if self.flushed:
            kept[np.abs(kept) < np.finfo(self.dtype).smallest_normal] = 0
        return kept

    def add_product(self, total: Any, a: Any, b: Any) -> Any:
        if self.fused:  # in float64 the product is exact, and the sum nearly
            return self.keep(total.astype(np.float64) + a.astype(np.float64) * b)
        return self.keep(total + self.keep(a * self.dtype(b) if np.isscalar(b) else a * b))


def rescaled(axis: Matrices, filters: Any, images: Any) -> Matrices:
    """The same algorithm, whose rows of G and B^T are scaled, and A^T against it."""
    return Matrices(
        axis.output / (filters * images),
        axis.filter * filters[:, None],
        axis.image * images[:, None],
    )


def winograd(
    x: Any,
    w: Any,
    axes: Sequence[Matrices],
    *,
    arithmetic: Arithmetic,
    begins: Sequence[int] | None = None,
    groups: int = 1,
    order: np.random.Generator | None = None,
    spoil: Callable[[Any], Any] = lambda products: products,
) -> Any:
    """x (N,C,*S) by w (O,C/groups,*F); tiles begin so many outputs before the first.

    ``order`` draws the order of every sum. ``spoil`` does harm to the summed products,
    (N,O,*tiles,*T).
    """
    count = len(axes)
    begins = begins or [0] * count
    sizes = [n - f + 1 for n, f in zip(x.shape[2:], w.shape[2:], strict=True)]
    margin = []
    for size, begin, axis in zip(sizes, begins, axes, strict=True):
        margin.append((begin, -(size + begin) % axis.tile))
    x = arithmetic.keep(np.pad(x, [(0, 0), (0, 0), *margin]))
    lengths = tuple(len(axis.image) for axis in axes)
    windows = sliding_window_view(x, lengths, axis=tuple(range(2, 2 + count)))
    data = windows[(..., *(slice(None, None, a.tile) for a in axes), *(slice(None),) * count)]
    bank = arithmetic.keep(w)
    for index, axis in enumerate(axes):
        data = _apply(axis.image, data, index - count, arithmetic, order)
        bank = _apply(axis.filter, bank, index - count, arithmetic, order)
    inputs, outputs = w.shape[1], len(w) // groups
    parts = []
    for group in range(groups):
        some = bank[group * outputs : (group + 1) * outputs]
        some = some.reshape(*some.shape[:2], *(1,) * count, *lengths)
        total: Any = arithmetic.dtype(0)
        for c in _order(inputs, order):
            a, b = data[:, None, group * inputs + c], some[None, :, c]
            total = (
                arithmetic.add_product(total, a, b) if np.ndim(total) else arithmetic.keep(a * b)
            )
        parts.append(total)
    tiles = spoil(np.concatenate(parts, axis=1))
    for index, axis in enumerate(axes):
        tiles = _apply(axis.output, tiles, index - count, arithmetic, order)
    for index, (size, begin) in enumerate(zip(sizes, begins, strict=True)):
        # Tiles (axis 2 + index), and their outputs, which are the first that are left at the end.
        at = 2 + index
        tiles = np.moveaxis(tiles, index - count, at + 1)
        shape = [*tiles.shape[:at], -1, *tiles.shape[at + 2 :]]
        tiles = tiles.reshape(shape)
        tiles = tiles[(*(slice(None),) * at, slice(begin, begin + size))]
    return tiles


def _apply(
    matrix: Any, values: Any, axis: int, arithmetic: Arithmetic, order: np.random.Generator | None
) -> Any:
    values = np.moveaxis(values, axis, 0)
    result = []
    for row in matrix:
        taps = np.flatnonzero(row)
        total: Any = None
        for tap in taps[_order(len(taps), order)]:
            coefficient = arithmetic.dtype(row[tap])
            if total is None:
                total = arithmetic.keep(values[tap] * coefficient)
            else:
                total = arithmetic.add_product(total, values[tap], coefficient)
        result.append(total)
    return np.moveaxis(np.array(result), 0, axis)


def _order(count: int, order: np.random.Generator | None) -> Any:
    return np.arange(count) if order is None else order.permutation(count)
