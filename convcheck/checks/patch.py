"""What a part of a convention's windows meets, so that no more of an image is read than that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.engine import is_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from convcheck.convention import Convention

Array = NDArray[Any]

GAP, BORDER = -1, -2
"""In place of an index: a zero between two samples, and what stands beyond the edge."""


def met(c: Convention, axis: int, size: int, kernel: int, outputs: int) -> Array:
    """(outputs, taps): what each stored tap meets; -1 a zero between samples, -2 the border."""
    taps = np.arange(kernel)
    if "HW"[axis] in c.flip:
        taps = taps[::-1]
    starts = np.arange(outputs) * c.stride[axis] - c.padding[axis][0]
    return source(c, axis, size, starts[:, None] + c.dilation[axis] * taps)


def source(c: Convention, axis: int, size: int, places: Array) -> Array:
    """The samples at ``places`` of an axis that was spread, 0 its first; or -1, or -2."""
    gap = c.input_dilation[axis]
    if c.padding_mode != "constant":
        within = wrapped_index(places, (size - 1) * gap + 1, c.padding_mode)
        return np.where(within % gap == 0, within // gap, GAP)
    outside = (places < 0) | (places > (size - 1) * gap)
    return np.where(outside, BORDER, np.where(places % gap == 0, places // gap, GAP))


def wrapped_index(places: Array, size: int, mode: str) -> Array:
    """The sample that numpy.pad puts at ``places`` of an axis of ``size``, beyond its edges too."""
    if mode == "edge" or size == 1:
        return np.clip(places, 0, size - 1)
    if mode == "wrap":
        return places % size
    period = 2 * size if mode == "symmetric" else 2 * size - 2
    within = places % period
    return np.where(within < size, within, period - within - (1 if mode == "symmetric" else 0))


def patch(
    x: Array, rows: Array, columns: Array, c: Convention, how: Callable[[Array], Array]
) -> Array:
    """(N,C,rows,columns): ``how`` of the samples of ``x`` (N,C,H,W) at these indices.

    Indices are those of :func:`source`: where either is -2 there is the padding's value, else where
    either is -1 a zero. Gaps and samples lie between the borders, or behind them all.
    """
    (into_rows, rows), inner_rows = _samples(rows), _inner(rows)
    (into_columns, columns), inner_columns = _samples(columns), _inner(columns)
    sizes = (inner_rows[1], inner_columns[1])
    part = how(x[:, :, *_index(_evenly(rows), _evenly(columns))])
    if part.shape[2:] == sizes:
        return part
    value = c.padding_value
    kind = part.dtype if part.dtype.kind not in "biu" or is_whole(value) else np.dtype(np.float64)
    made = np.full((*part.shape[:2], *sizes), kind.type(value), kind)
    made[:, :, inner_rows[0], inner_columns[0]] = 0
    if part.size:
        made[:, :, *_index(into_rows, into_columns)] = part
    return made


def _samples(indices: Array) -> tuple[slice | Array, Array]:
    """Where the samples go, and which they are."""
    into = np.flatnonzero(indices >= 0)
    return _evenly(into), indices[into]


def _index(rows: slice | Array, columns: slice | Array) -> tuple[slice | Array, slice | Array]:
    """What rows and columns have in common, as an index of an array's last axes."""
    if isinstance(rows, slice) or isinstance(columns, slice):
        return rows, columns
    return rows[:, None], columns


def _inner(indices: Array) -> tuple[slice, int]:
    """What is between the borders, and how long all is."""
    inside = np.flatnonzero(indices != BORDER)
    kept = slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, 0)
    return kept, len(indices)


def _evenly(places: Array) -> slice | Array:
    """Places that are evenly spaced as a slice, so that what they are of stays a view."""
    if places.size == 0:
        return slice(0, 0)
    first, last = int(places[0]), int(places[-1])
    step = int(places[1]) - first if places.size > 1 else 1
    if step < 1 or not np.array_equal(places, np.arange(first, last + 1, step)):
        return places
    return slice(first, last + 1, step)
