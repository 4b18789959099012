"""Which part of an array some elements are: a slice, a block, a corner, a border, or scattered."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[Any]

FILLED = 0.5
"""Of a part: so many of its elements are among those that are meant, or it is not named."""
FEW = 3
"""Elements that are named one by one."""
LISTED = 8


@dataclass(frozen=True)
class Region:
    """A part of an array: its kind, its index in NumPy's words, and how many elements it has.

    ``count`` of ``total`` elements are meant; ``value`` is what all of them hold, where it is one
    number. ``kind`` is element, elements, slice, slices, block, corner, border or scattered.
    """

    kind: str
    index: str
    count: int
    total: int
    size: int
    value: float | None = None

    @property
    def words(self) -> str:
        """Where it is, as a sentence has it."""
        of = "" if self.size == self.count else f" ({self.count} of its {self.size} elements)"
        where = {
            "element": f"one element, MINE[{self.index}]",
            "elements": f"{self.count} elements: {self.index}",
            "border": f"the border of width {self.index}",
            "scattered": f"{self.count} of {self.total} elements, in no single place",
        }.get(self.kind, f"a {self.kind}, MINE[{self.index}]")
        if self.kind == "slices":
            where = f"slices, MINE[{self.index}]"
        held = "" if self.value is None else f", where MINE is {self.value:g} throughout"
        return where + of * (self.kind not in ("element", "elements", "scattered")) + held


def region(wrong: Array, mine: Array) -> Region:
    """The part that the marked elements are."""
    count, total = int(np.count_nonzero(wrong)), wrong.size
    held = mine[wrong]
    alike = count > 1 and held.dtype.kind != "c" and bool((held == held[0]).all())
    value = float(held[0]) if alike else None
    which = [np.flatnonzero(wrong.any(axis=_others(wrong, a))) for a in range(wrong.ndim)]
    if count <= FEW:
        places = [f"{', '.join(map(str, at))}" for at in np.argwhere(wrong).tolist()]
        if count == 1:
            return Region("element", places[0], 1, total, 1, None)
        size = math.prod(map(len, which))
        if size != count:
            said = " and ".join(f"MINE[{place}]" for place in places)
            return Region("elements", said, count, total, count, value)
    box = math.prod(map(len, which))
    if any(_index(w, n).endswith(f"of {n}") for w, n in zip(which, wrong.shape, strict=True)):
        return Region("scattered", "", count, total, count, value)
    border = _border(wrong)
    if count >= FILLED * box and box < total:
        index = ", ".join(map(_index, which, wrong.shape))
        return Region(_kind(which, wrong.shape), index, count, total, box, value)
    if border is not None:
        width, size = border
        return Region("border", str(width), count, total, size, value)
    return Region("scattered", "", count, total, count, value)


def _others(wrong: Array, axis: int) -> tuple[int, ...]:
    return tuple(a for a in range(wrong.ndim) if a != axis)


def _index(which: Array, length: int) -> str:
    """The indices of an axis as they stand between brackets."""
    if len(which) == length:
        return ":"
    if len(which) == 1:
        return str(which[0])
    steps = np.diff(which)
    first, last, step = int(which[0]), int(which[-1]), int(steps[0])
    if (steps == step).all():
        end = "" if last + step >= length else str(last + 1)
        return f"{first or ''}:{end}" + (f":{step}" if step > 1 else "")
    if len(which) <= LISTED:
        return str(which.tolist())
    return f"{len(which)} of {length}"


def _kind(which: Sequence[Array], shape: Sequence[int]) -> str:
    partial = [(w, n) for w, n in zip(which, shape, strict=True) if len(w) < n]
    if len(partial) == 1:
        return "slice" if len(partial[0][0]) == 1 else "slices"
    if all(len(w) == 1 for w, _ in partial):
        return "slice"
    wide = [(w, n) for w, n in partial if len(w) > 1 or n <= 4 * len(w)]
    ends = [w[0] == 0 or w[-1] == n - 1 for w, n in partial[-2:]]
    return "corner" if len(wide) > 1 and all(ends) else "block"


def _border(wrong: Array) -> tuple[int, int] | None:
    """How wide the frame of the last axes is that the marks fill, and its size."""
    if wrong.ndim < 2:
        return None
    for width in range(1, 1 + min(8, (min(wrong.shape[-2:]) - 1) // 2)):
        inner = wrong[..., width:-width, width:-width]
        if not inner.any():
            size = wrong.size - inner.size
            return (width, size) if np.count_nonzero(wrong) >= FILLED * size else None
    return None
