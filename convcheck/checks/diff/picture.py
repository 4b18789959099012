"""Where two arrays of one shape differ, over their last two axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.diff.pair import Pair
from convcheck.checks.picture import DifferenceMap, gather

Array = NDArray[Any]


def difference_of(ref: Array, mine: Array) -> DifferenceMap | None:
    """|MINE - REF| over the last two axes, the largest of all others; None of other shapes.

    Where only one is finite, or they are not the same, the difference is infinite.
    """
    if ref.shape != mine.shape or not ref.size:
        return None
    pair = Pair(np.atleast_2d(ref), np.atleast_2d(mine))
    with np.errstate(all="ignore"):
        apart = np.abs(pair.y - pair.x)
    apart = np.where(pair.same, 0.0, np.where(np.isfinite(apart), apart, np.inf))
    worst = apart.max(axis=tuple(range(apart.ndim - 2)))
    return gather([(0, worst)], worst.shape, name="MINE", reference="REF", of="the other axes")
