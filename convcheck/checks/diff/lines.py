"""A factor and an offset, one or one for each index of an axis: found by medians, then exactly.

Medians are not moved by the elements of a part that is wrong; then the intervals that the stored
numbers leave say which numbers are possible, of which the plainest is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.score import number_bits, numbers_bits, plainest

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = NDArray[Any]

LEAST = 3
"""Elements of an index of an axis from which numbers of its own can be told."""
PLAIN = 1e-6
"""Of a number's size: the plainest one within it is tried."""
ROUNDS = 3


@dataclass(frozen=True)
class Line:
    """``scale * x + offset``; both have one number, or one for each index of ``axis``.

    ``widths`` are the intervals that the data leave for them.
    """

    scale: Array
    offset: Array
    axis: int | None = None
    widths: tuple[Array, Array] = (np.zeros(1), np.zeros(1))

    def beside(self, values: Array, rank: int) -> Array:
        """The numbers as they stand beside an array of so many axes."""
        if self.axis is None:
            return values.reshape((1,) * rank)
        return values.reshape([-1 if a == self.axis else 1 for a in range(rank)])

    def apply(self, x: Array) -> Array:
        """The line of every element."""
        with np.errstate(all="ignore"):
            found: Array = self.beside(self.scale, x.ndim) * x
            return found + self.beside(self.offset, x.ndim)

    @property
    def plain(self) -> bool:
        """Whether it does nothing."""
        return bool((self.scale == 1).all() and (self.offset == 0).all())

    @property
    def bits(self) -> float:
        """What it takes to say the numbers."""
        keys = 2.0 if self.axis is None else 5.0
        parts = ((self.scale, 1.0, self.widths[0]), (self.offset, 0.0, self.widths[1]))
        said_ = ((np.array([*map(said, v)]), w) for v, none, w in parts if (v != none).any())
        return sum(keys + numbers_bits(v, w) for v, w in said_)

    def native(self, x: Array) -> Array:
        """The line as an array of few bits computes it, each step rounded."""
        dtype = x.dtype
        scale, offset = (self.beside(v.astype(dtype), x.ndim) for v in (self.scale, self.offset))
        with np.errstate(all="ignore"):
            scaled = x if (self.scale == 1).all() else scale * x
            found: Array = scaled if (self.offset == 0).all() else scaled + offset
        return found


def median(rows: Array) -> Array:
    """The middle element of each row, the lower of two; NaN does not count."""
    count = np.isfinite(rows).sum(axis=1)
    found = np.take_along_axis(np.sort(rows, axis=1), np.maximum(count - 1, 0)[:, None] // 2, 1)
    return np.where(count > 0, found[:, 0], np.nan)


def said(value: float) -> float:
    """A number as people write it: of one that float32 has the decimal that stands for it."""
    single = np.float32(value)
    return float(str(single)) if float(single) == value else float(value)


def plain_between(low: float, high: float) -> float:
    """The plainest number between two, or the one there that float32 has, if that is plainer."""
    plain, single = plainest(low, high), float(np.float32(0.5 * (low + high)))
    if low <= single <= high and number_bits(said(single)) < number_bits(plain):
        return single
    return plain


def lines(
    x: Array, y: Array, half: Array, axis: int | None, *, whole: bool = False
) -> Iterator[Line]:
    """The lines of each kind that most elements lie near: an offset, a factor, both.

    ``x`` and ``y`` are of one shape, NaN where there is nothing to go by; ``half`` is how far
    stored numbers may be from what was stored. ``whole`` says that offsets are whole numbers.
    """
    xs, ys, hs = (_rows(v, axis) for v in (x, y, half))
    told = np.isfinite(xs) & np.isfinite(ys)
    if (told.sum(axis=1) < (LEAST if axis is not None else 1)).any():
        return
    xs, ys = np.where(told, xs, np.nan), np.where(told, ys, np.nan)
    ones, zeros = np.ones(len(xs)), np.zeros(len(xs))
    with np.errstate(all="ignore"):
        offset = median(ys - xs)
        yield _offset(xs, ys, hs, ones, offset, axis, whole)
        factor = _factor(xs, ys)
        if np.isfinite(factor).all():
            yield _scale(xs, ys, hs, factor, zeros, axis)
            if axis is None:
                yield _offset(xs, ys, hs, -ones, median(ys + xs), axis, whole)
        yield from _both(xs, ys, hs, axis, whole)


def _rows(values: Array, axis: int | None) -> Array:
    if axis is None:
        return values.reshape(1, -1)
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


def _factor(x: Array, y: Array) -> Array:
    """The median ratio of the larger elements."""
    size = median(np.abs(x))[:, None]
    ratio = np.where((np.abs(x) >= size) & (x != 0), y / x, np.nan)
    empty = np.isnan(ratio).all(axis=1)
    ratio[empty] = 1.0
    return np.where(empty, 1.0, median(ratio))


def _both(x: Array, y: Array, half: Array, axis: int | None, whole: bool) -> Iterator[Line]:
    """A factor and an offset, by the median slope of pairs that lie far apart."""
    order = np.argsort(x, axis=1)  # NaN last
    count = np.isfinite(x).sum(axis=1)
    if (count < LEAST).any():
        return
    share = np.linspace(0.0, 0.4999, 257)
    low = (share * count[:, None]).astype(int)
    high = np.minimum(low + count[:, None] // 2, count[:, None] - 1)
    left, right = (np.take_along_axis(order, at, axis=1) for at in (low, high))
    run = np.take_along_axis(x, right, 1) - np.take_along_axis(x, left, 1)
    rise = np.take_along_axis(y, right, 1) - np.take_along_axis(y, left, 1)
    slopes = np.where(run > 0, rise / run, np.nan)
    if np.isnan(slopes).all(axis=1).any():
        return
    scale = median(slopes)
    offset = median(y - scale[:, None] * x)
    for _ in range(ROUNDS):
        left_over = np.abs(y - scale[:, None] * x - offset[:, None])
        near = left_over <= np.maximum(8 * half, 2 * median(left_over)[:, None])
        scale, offset = _squares(x, y, near)
    if not (np.isfinite(scale).all() and np.isfinite(offset).all()):
        return
    if whole:
        for more in (0, -1, 1):
            yield _scale(x, y, half, scale, np.rint(offset) + more, axis)
        return
    # Numbers that were written down are plain, and rounding after each may hide that.
    size = np.abs(offset) + np.abs(scale) * median(np.abs(x))
    rooms = PLAIN * np.abs(scale), PLAIN * size
    a, b = (
        np.array([plain_between(v - r, v + r) for v, r in zip(values, room, strict=True)])
        for values, room in zip((scale, offset), rooms, strict=True)
    )
    yield Line(a, b, axis, (2 * rooms[0], 2 * rooms[1]))
    # The plainest factor within its own uncertainty, then the offset that goes with it.
    spread = np.where(np.isfinite(x), np.abs(x), 0.0).max(axis=1)
    room = 4 * median(half) / np.maximum(spread * np.sqrt(count), 2.0**-1000)
    plain = np.array([plain_between(s - r, s + r) for s, r in zip(scale, room, strict=True)])
    for some in (plain, scale):
        centre = median(y - some[:, None] * x)
        line = _offset(x, y, half, some, centre, axis, whole)
        yield Line(line.scale, line.offset, axis, (2 * room, line.widths[1]))


def _squares(x: Array, y: Array, near: Array) -> tuple[Array, Array]:
    """The line of least squares through the elements that are near."""
    n = np.maximum(near.sum(axis=1), 1)
    a, b = np.where(near, x, 0.0), np.where(near, y, 0.0)
    mean_x, mean_y = a.sum(axis=1) / n, b.sum(axis=1) / n
    away = np.where(near, x - mean_x[:, None], 0.0)
    up = np.where(near, y - mean_y[:, None], 0.0)
    scale = (away * up).sum(axis=1) / (away * away).sum(axis=1)
    return scale, mean_y - scale * mean_x


def _offset(
    x: Array, y: Array, half: Array, scale: Array, guess: Array, axis: int | None, whole: bool
) -> Line:
    """The offsets that go with factors: the plainest that the stored numbers leave."""
    rest = y - scale[:, None] * x
    found, width = _within(rest - half, rest + half, rest, guess, half)
    if whole:
        found = np.rint(found)
    return Line(scale, found, axis, (np.zeros(len(scale)), width))


def _scale(x: Array, y: Array, half: Array, guess: Array, offset: Array, axis: int | None) -> Line:
    """The factors that go with offsets."""
    rest = y - offset[:, None]
    size = np.where(x == 0, np.nan, x)
    ends = np.stack([(rest - half) / size, (rest + half) / size])
    tolerance = half / np.abs(size)
    found, width = _within(ends.min(axis=0), ends.max(axis=0), rest / size, guess, tolerance)
    return Line(found, offset, axis, (width, np.zeros(len(offset))))


def _within(
    low: Array, high: Array, middle: Array, guess: Array, half: Array
) -> tuple[Array, Array]:
    """Of each row the plainest number in all intervals that are near the guess, and the room."""
    away = np.abs(middle - guess[:, None])
    # The median is as good as half of the elements are; those that say more lie within that.
    usual = median(half)[:, None]
    reach = 4 * np.maximum(half, usual) + 2.0**-50 * np.abs(guess[:, None])
    near = away <= reach
    least = np.where(near, low, -np.inf).max(axis=1)
    most = np.where(near, high, np.inf).min(axis=1)
    found, widths = guess.copy(), np.zeros(len(guess))
    for i, (a, b) in enumerate(zip(least, most, strict=True)):
        if a <= b and np.isfinite(a) and np.isfinite(b):
            found[i], widths[i] = plain_between(float(a), float(b)), b - a
        elif near[i].any():
            # No number is in all: rounding moved the elements. The plainest near the median.
            room = float(np.nan_to_num(median(half[i : i + 1])[0]))
            room = min(room, float(np.where(near[i], half[i], np.inf).min()) * 4)
            found[i], widths[i] = plain_between(guess[i] - room, guess[i] + room), 2 * room
    return found, widths
