"""Where REF's elements lie in MINE: a reading of its axes, then a map of indices for each axis.

A flip, a shift, a window, a stride and an order of channels are all the same thing: along an axis,
the index in REF of every index in MINE, or none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, permutations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.diff.pair import Pair
from convcheck.score import order_bits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Array = NDArray[Any]

_USUAL = {(0, 2, 3, 1), (0, 3, 1, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1), (1, 0)}
_USUAL |= {(0, 2, 3, 4, 1), (0, 4, 1, 2, 3)}
"""Channels first and last, and a matrix transposed."""
_RESHAPED = 5.0
USUAL = 3.0


@dataclass(frozen=True)
class Reading:
    """REF's axes in another order, or its memory read as other axes.

    ``axes`` is the order in which REF's are taken (``of`` "ref") and reshaped to ``shape``, or that
    in which MINE's memory is (``of`` "mine"). ``squeezed`` says that axes of length 1 were dropped
    from both first.
    """

    axes: tuple[int, ...]
    shape: tuple[int, ...] | None = None
    of: str = "ref"
    squeezed: bool = False

    def read(self, ref: Array) -> Array:
        """REF with MINE's axes; its sizes may still be others."""
        x = ref.squeeze() if self.squeezed else ref
        if self.shape is None:
            return x.transpose(self.axes)
        if self.of == "ref":
            return x.transpose(self.axes).reshape(self.shape)
        stored = [self.shape[a] for a in self.axes]
        return x.reshape(stored).transpose(np.argsort(self.axes))

    @property
    def plain(self) -> bool:
        """Whether it changes nothing."""
        in_order = self.axes == tuple(range(len(self.axes)))
        return self.shape is None and in_order and not self.squeezed

    @property
    def bits(self) -> float:
        """What it takes to say it."""
        plain = self.axes == tuple(range(len(self.axes)))
        order = 0.0 if plain else USUAL
        if not plain and self.axes not in _USUAL:
            order = 4.0 + math.log2(math.factorial(len(self.axes)))
        return order + (_RESHAPED if self.shape is not None else 0.0)

    def code(self, name: str) -> str:
        """The expression for it, of an array of this name."""
        code = f"{name}.squeeze()" if self.squeezed else name
        plain = self.axes == tuple(range(len(self.axes)))
        order = ", ".join(map(str, self.axes))
        if self.shape is None:
            return code if plain else f"{code}.transpose({order})"
        if self.of == "ref":
            moved = code if plain else f"{code}.transpose({order})"
            return f"{moved}.reshape({', '.join(map(str, self.shape))})"
        stored = ", ".join(str(self.shape[a]) for a in self.axes)
        back = ", ".join(map(str, np.argsort(self.axes)))
        return f"{code}.reshape({stored}).transpose({back})"

    @property
    def words(self) -> str:
        """What was done."""
        plain = self.axes == tuple(range(len(self.axes)))
        order = ", ".join(map(str, self.axes))
        if self.shape is None and plain:
            return "but for its axes of length 1"
        if self.shape is None:
            return f"its axes in the order ({order})"
        if plain:
            return "its memory read as another shape (reshaped, not transposed)"
        if self.of == "ref":
            return f"its axes in the order ({order}), then reshaped"
        return f"its memory read as MINE's axes ({order}) (reshaped, not transposed)"


@dataclass(frozen=True)
class Map:
    """Along one axis the index in REF of every index in MINE, -1 where REF has none.

    ``kind`` is same, reversed, order, shift, roll or window; ``shift``, ``step`` and ``flipped``
    say which: MINE's i is REF's ``step * i + shift``, or that of the reversed axis. ``inverse``:
    REF's i is MINE's ``step * i + shift``.
    """

    kind: str
    index: tuple[int, ...]
    shift: int = 0
    step: int = 1
    flipped: bool = False
    inverse: bool = False

    @property
    def bits(self) -> float:
        """What it takes to say it."""
        if self.kind == "order":
            return 2.0 + order_bits(self.index)
        bits = 2.0 if self.flipped else 0.0
        if self.kind in ("shift", "roll", "window"):
            bits += 2.0 + 2 * math.log2(1 + abs(self.shift)) + (self.kind == "roll")
            bits += 2 * math.log2(self.step)
        return bits

    @property
    def found(self) -> Array:
        """Which of MINE's indices have one in REF."""
        return np.asarray(self.index) >= 0

    @property
    def slices(self) -> tuple[str, str]:
        """MINE's part and REF's, between brackets; of an order and a roll an expression's own."""
        index = np.asarray(self.index)
        at = np.flatnonzero(index >= 0)
        if not len(at):
            return "0:0", "0:0"
        mine = _span(at, len(index))
        return mine, _span(index[at], None)


def _span(index: Array, length: int | None) -> str:
    """A slice that has these indices in this order."""
    first, last = int(index[0]), int(index[-1])
    step = int(index[1]) - first if len(index) > 1 else 1
    if length is not None and len(index) == length:
        return ":"
    end = last + (1 if step > 0 else -1)
    stop = "" if end < 0 else str(end)
    begin = str(first) if first or step < 0 else ""
    return f"{begin}:{stop}" + ("" if step == 1 else f":{step}")


def same(length: int) -> Map:
    """That an axis is as it is."""
    return Map("same", tuple(range(length)))


def reverse(length: int) -> Map:
    """That an axis is reversed."""
    return Map("reversed", tuple(reversed(range(length))), flipped=True)


def ordered(order: Sequence[int]) -> Map:
    """That an axis is in another order: MINE's i is REF's ``order[i]``."""
    index = tuple(int(i) for i in order)
    if index == tuple(range(len(index))):
        return same(len(index))
    if index == tuple(reversed(range(len(index)))):
        return reverse(len(index))
    steps = {(b - a) % len(index) for a, b in pairwise(index)}
    if steps == {1}:
        return Map(
            "roll", index, shift=index[0] if 2 * index[0] <= len(index) else index[0] - len(index)
        )
    return Map("order", index)


def moved(
    n_ref: int,
    n_mine: int,
    shift: int,
    *,
    step: int = 1,
    flipped: bool = False,
    roll: bool = False,
    inverse: bool = False,
) -> Map:
    """That MINE's i is REF's ``step * i + shift``, of the reversed REF where it is flipped.

    ``inverse``: that REF's i is MINE's ``step * i + shift``.
    """
    if inverse:
        index = np.full(n_mine, -1)
        at = step * np.arange(n_ref) + shift
        kept = (at >= 0) & (at < n_mine)
        index[at[kept]] = np.arange(n_ref)[kept]
    else:
        index = step * np.arange(n_mine) + shift
        if roll:
            index %= n_ref
        index = np.where((index >= 0) & (index < n_ref), index, -1)
    if flipped:
        index = np.where(index >= 0, n_ref - 1 - index, -1)
    index_ = tuple(index.tolist())
    if n_ref == n_mine and index_ == tuple(range(n_mine)):
        return same(n_mine)
    if n_ref == n_mine and index_ == tuple(reversed(range(n_mine))):
        return reverse(n_mine)
    kind = "roll" if roll else "shift" if n_ref == n_mine and step == 1 else "window"
    return Map(kind, index_, shift, step, flipped, inverse)


@dataclass(frozen=True)
class Placement:
    """A reading and a map for each of MINE's axes."""

    reading: Reading
    maps: tuple[Map, ...]

    @property
    def plain(self) -> bool:
        """Whether REF's elements lie where they lie in REF."""
        return self.reading.plain and all(m.kind == "same" for m in self.maps)

    @property
    def ordered(self) -> tuple[int, ...]:
        """The axes of which each index has a place of its own."""
        return tuple(axis for axis, m in enumerate(self.maps) if m.kind == "order")

    @property
    def usual(self) -> bool:
        """Whether only axes have moved, if any have, as from channels first to channels last."""
        usual = self.reading.shape is None and self.reading.bits <= USUAL
        return usual and all(m.kind == "same" for m in self.maps)

    @property
    def bits(self) -> float:
        """What it takes to say it."""
        return self.reading.bits + sum(m.bits for m in self.maps)

    def pair(self, ref: Array, mine: Array) -> Pair:
        """REF's elements beside those of MINE that have one."""
        x, y = self.reading.read(ref), mine.squeeze() if self.reading.squeezed else mine
        for axis, m in enumerate(self.maps):
            if m.kind != "same":
                found = m.found
                x = np.take(x, np.asarray(m.index)[found], axis=axis)
                y = y if found.all() else np.compress(found, y, axis=axis)
        return Pair(x, y)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Of the elements of MINE that REF has."""
        return tuple(int(m.found.sum()) for m in self.maps)

    @property
    def whole(self) -> bool:
        """Whether REF has all of MINE."""
        return all(m.found.all() for m in self.maps)

    def code(self) -> tuple[str, str]:
        """MINE's part and the expression of REF that it equals."""
        mine = "mine.squeeze()" if self.reading.squeezed else "mine"
        ref = self.reading.code("ref")
        slices = [m.slices if m.kind not in ("order", "roll") else (":", ":") for m in self.maps]
        if any(m.kind not in ("same", "order", "roll") for m in self.maps):
            if not self.whole:
                mine += f"[{_bracket([a for a, _ in slices])}]"
            whole = [m.kind == "same" for m in self.maps]
            parts = [":" if w else b for w, (_, b) in zip(whole, slices, strict=True)]
            parts = [
                "::-1" if m.kind == "reversed" else p for m, p in zip(self.maps, parts, strict=True)
            ]
            ref += f"[{_bracket(parts)}]"
        for axis, m in enumerate(self.maps):
            if m.kind == "order":
                ref += f"[{', '.join([*[':'] * axis, str(list(m.index))])}]"
            elif m.kind == "roll":
                rolled = (
                    f"{ref}{'[' + ', '.join([*[':'] * axis, '::-1']) + ']' if m.flipped else ''}"
                )
                shift = -m.shift
                ref = f"np.roll({rolled}, {shift}, axis={axis})"
        return mine, ref

    @property
    def words(self) -> tuple[str, ...]:
        """What was done, a clause each."""
        said = [] if self.reading.plain else [self.reading.words]
        flips = [a for a, m in enumerate(self.maps) if m.flipped]
        if flips:
            said.append(f"reversed along ax{'es' if len(flips) > 1 else 'is'} {_listed(flips)}")
        for axis, m in enumerate(self.maps):
            if m.kind == "order":
                shown = list(m.index) if len(m.index) <= 16 else f"of {len(m.index)} (see the code)"
                said.append(f"the indices of axis {axis} in the order {shown}")
            elif m.kind == "roll":
                said.append(f"rolled by {-m.shift} along axis {axis}")
            elif m.kind == "shift":
                said.append(f"shifted by {-m.shift} along axis {axis}")
        windows = [(a, m) for a, m in enumerate(self.maps) if m.kind == "window"]
        said += [_window(a, m) for a, m in windows]
        return tuple(said)


def _window(axis: int, m: Map) -> str:
    index = np.asarray(m.index)
    every = f"every {m.step} of " if m.step > 1 else ""
    if m.inverse:
        return f"found at {every}MINE's indices from {m.shift} on along axis {axis}"
    outside = int((index < 0).sum())
    before = int(np.argmax(index >= 0))
    if outside:
        return f"with {before} more before and {outside - before} more after it along axis {axis}"
    return f"cut to {every}its indices from {m.shift} on along axis {axis}"


def _listed(axes: Sequence[int]) -> str:
    words = list(map(str, axes))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _bracket(parts: Sequence[str]) -> str:
    """An index, the full axes at the beginning as an ellipsis."""
    kept = list(parts)
    while kept and kept[0] == ":" and len(kept) > 1:
        kept.pop(0)
    return ", ".join(["...", *kept] if len(kept) < len(parts) else kept)


def readings(ref: Sequence[int], mine: Sequence[int]) -> Iterator[Reading]:
    """Every way to read REF's shape with MINE's axes, the plainest first."""
    squeezed = len(ref) != len(mine)
    a = tuple(n for n in ref if n > 1) if squeezed else tuple(ref)
    b = tuple(n for n in mine if n > 1) if squeezed else tuple(mine)
    found: list[Reading] = []
    if len(a) == len(b):
        found += [Reading(p, squeezed=squeezed) for p in permutations(range(len(a)))]
    if math.prod(a) == math.prod(b):
        found += [Reading(p, b, "ref", squeezed) for p in permutations(range(len(a)))]
        found += [Reading(p, b, "mine", squeezed) for p in permutations(range(len(b)))]
    seen = set()
    places = np.linspace(0, max(math.prod(a) - 1, 0), 64).astype(int)
    for reading in sorted(found, key=lambda r: r.bits):
        # Axes of length 1 may stand anywhere: what reads alike is the same reading.
        if reading.shape is None:
            sizes = tuple(a[i] for i in reading.axes)
            key: Any = (sizes, tuple(i for i in reading.axes if a[i] > 1))
            if sizes == b:
                key = _reads(reading, a, b, places)
        else:
            key = _reads(reading, a, b, places)
        if key not in seen:
            seen.add(key)
            yield reading


def _reads(reading: Reading, a: tuple[int, ...], b: tuple[int, ...], places: Array) -> Any:
    """Which of REF's elements lie at some of MINE's places."""
    size = math.prod(a)
    picked = np.unravel_index(places, b)
    if size <= 1 << 20:
        numbers = np.arange(size).reshape(a)
        bare = Reading(reading.axes, reading.shape, reading.of)
        return tuple(bare.read(numbers)[picked].tolist())
    return reading
