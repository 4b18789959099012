"""What a part of a convention's windows meets, so that no more of an image is read than that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention.axis import BORDER
from convcheck.engine import is_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Array = NDArray[Any]
Places = slice | Array


def patch(x: Array, places: Sequence[Array], border: float, how: Callable[[Array], Array]) -> Array:
    """(N,C,*places): ``how`` of the samples of ``x`` (N,C,*S) at these indices of each axis.

    Indices are those of :meth:`Axis.source`: where any is ``BORDER`` there is the number
    ``border``, else where any is ``GAP`` a zero. Along an axis gaps and samples lie between the
    borders, or behind them all.
    """
    into = [np.flatnonzero(indices >= 0) for indices in places]
    samples = [_evenly(indices[at]) for indices, at in zip(places, into, strict=True)]
    part = how(_at(x, samples))
    sizes = tuple(len(indices) for indices in places)
    if part.shape[2:] == sizes:
        return part
    fits = part.dtype.kind not in "biu" or is_whole(border)
    kind = part.dtype if fits else np.dtype(np.float64)
    made = np.full((*part.shape[:2], *sizes), kind.type(border), kind)
    spots: list[Any] = [_inner(indices) for indices in places]
    made[(..., *spots)] = 0
    if part.size:
        spots = [_evenly(at) for at in into]
        if not all(isinstance(spot, slice) for spot in spots):
            spots = list(np.ix_(*into))
        made[(..., *spots)] = part
    return made


def _at(x: Array, places: Sequence[Places]) -> Array:
    """The samples at these places of each axis: a view where they are evenly spaced."""
    # What takes a copy comes last, so that it is of no more than what is met.
    for axis in sorted(range(len(places)), key=lambda a: not isinstance(places[a], slice)):
        x = x[(slice(None),) * (2 + axis) + (places[axis],)]
    return x


def _inner(indices: Array) -> slice:
    """What is between the borders."""
    inside = np.flatnonzero(indices != BORDER)
    return slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, 0)


def _evenly(places: Array) -> Places:
    """Places that are evenly spaced as a slice, so that what they are of stays a view."""
    if places.size == 0:
        return slice(0, 0)
    first, last = int(places[0]), int(places[-1])
    step = int(places[1]) - first if places.size > 1 else 1
    if step < 1 or not np.array_equal(places, np.arange(first, last + 1, step)):
        return places
    return slice(first, last + 1, step)
