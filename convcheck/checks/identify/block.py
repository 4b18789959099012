"""Hypotheses side by side: every option of the rows by every one of the columns and channels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.axes import met_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from convcheck.checks.identify.axes import Table

Array = NDArray[Any]

CHUNK = 1 << 17
"""Hypotheses that are looked at together: few enough for their values to stay in the cache."""
FEW_CHANNELS = 16
"""Up to so many channels one product of matrices is cheaper than sums over a map of each tap."""
ALIKE = 128
"""Options of an axis among which it is worth while to look for those with the same window."""
FEWER = 16
"""How many times fewer hypotheses must be left to be worth a block of their own."""
DIRECTLY = 1 << 14
"""Products of one sample, under all hypotheses that are looked at, up to which no map is made."""
ROOM = 1 << 22
"""Elements of the largest array of half-made sums."""


_Alive = tuple[Array, Array, Array, Array]
"""Rows, columns and channel options of hypotheses, and what a judge's first samples are there."""


@dataclass(frozen=True)
class Judge:
    """What a hypothesis must do, given the values that it predicts for the samples.

    ``quick`` takes those of the samples in ``first``, an array of hypotheses for each, and says
    which hypotheses are worth another look. ``votes`` takes the values of the first ``few``
    samples, then of all, a row for each, and returns the bits that a hypothesis explains, zero for
    one that is out. ``exact`` says that values must not be rounded to single precision.
    """

    first: tuple[int, ...]
    few: int
    quick: Callable[[Mapping[int, Array]], Array]
    votes: Callable[[Array], Array]
    exact: bool = False


class Block:
    """The hypotheses of some rows by some columns, all channel options, one padding mode.

    ``planes`` has for each sample the image that it is made of, (C,H,W), ``bank`` its filter under
    every channel option, (samples, options, C, Fh, Fw). What an axis before the rows meets is among
    the channels of both.
    """

    def __init__(self, planes: Sequence[Array], bank: Array, rows: Table, columns: Table) -> None:
        self.planes, self.bank = planes, bank
        self.rows, self.columns = rows, columns
        self.size = len(rows) * len(columns) * bank.shape[1]
        self._met: dict[int, tuple[Array, _Windows, _Windows]] = {}
        self._made: dict[int, Array] = {}

    def survivors(self, judge: Judge) -> Iterator[tuple[int, int, int, float]]:
        """(row, column, channel option, votes) of what a judge accepts."""
        found: list[_Alive] = []
        for some in self._alive(judge):
            found.append(some)
            # One look at many costs little more than one at a few.
            if sum(len(r) for r, *_ in found) > CHUNK:
                yield from self._settle(judge, *map(np.concatenate, zip(*found, strict=True)))
                found = []
        if found:
            yield from self._settle(judge, *map(np.concatenate, zip(*found, strict=True)))

    def _alive(self, judge: Judge) -> Iterator[_Alive]:
        """What is worth a look."""
        options, used = self.bank.shape[1], judge.first
        exact = self.bank.dtype.kind == "c" or judge.exact
        kind = self.bank.dtype if exact else np.dtype(np.float32)
        widest = max(self._region(s)[0].shape[-1] for s in used)
        each = max(options * self.bank.shape[4] * len(used), math.prod(self.bank.shape[2:4]))
        for rows in parts(len(self.rows), ROOM // (each * widest)):
            height = rows.stop - rows.start
            seen = {}
            for s in used:
                made, which = self._sums(s, rows, kind)
                seen[s] = made.take(which, axis=-1).reshape(len(made), -1)
            for columns in parts(len(self.columns), CHUNK // (options * height)):
                at = {s: self._region(s)[2].which[columns] for s in used}
                values = {s: seen[s].take(at[s], axis=-2) for s in used}
                some = np.flatnonzero(judge.quick(values))
                if some.size:
                    c, kr = np.divmod(some, options * height)
                    known = np.stack([values[s].ravel()[some] for s in used], axis=1)
                    yield rows.start + kr % height, columns.start + c, kr // height, known

    def _settle(
        self, judge: Judge, r: Array, c: Array, k: Array, known: Array
    ) -> Iterator[tuple[int, int, int, float]]:
        """Look at single hypotheses with some samples, and at what is left of them with all.

        What is ``known`` in single precision will do, as long as others are asked afterwards.
        """
        votes = np.zeros(len(r))
        for count in sorted({judge.few, len(self.planes)}):
            block, rows, columns = self._narrowed(r, c)
            given = [s for s in judge.first if s < count < len(self.planes)]
            asked = [s for s in range(count) if s not in given]
            for part in parts(len(r), ROOM // count):
                values = np.empty((count, len(rows[part])), self.bank.dtype)
                values[given] = known[part, : len(given)].T
                if asked:
                    values[asked] = block._values(asked, rows[part], columns[part], k[part])
                votes[part] = judge.votes(values)
            kept = np.flatnonzero(votes > 0)
            r, c, k, votes = r[kept], c[kept], k[kept], votes[kept]
        yield from zip(r.tolist(), c.tolist(), k.tolist(), votes.tolist(), strict=True)

    def _narrowed(self, r: Array, c: Array) -> tuple[Block, Array, Array]:
        """A block of what is left, where that is little: its samples meet less of the image."""
        kept, rows = np.unique(r, return_inverse=True)
        beside, columns = np.unique(c, return_inverse=True)
        if len(kept) * len(beside) * FEWER > len(self.rows) * len(self.columns):
            return self, r, c
        few = self.rows.part(kept), self.columns.part(beside)
        return Block(self.planes, self.bank, *few), rows, columns

    def _region(self, s: int) -> tuple[Array, _Windows, _Windows]:
        """(C, places, places): what any tap of a sample meets, and who reads where."""
        if s not in self._met:
            image = self.planes[s]
            size = image.shape[1:]
            ys, rows = _Windows.of(self.rows, s)
            xs, columns = _Windows.of(self.columns, s)
            # What lies beyond the edge comes last.
            height, width = (
                int(np.searchsorted(m, n)) for m, n in zip((ys, xs), size, strict=True)
            )
            region = np.zeros((len(image), len(ys), len(xs)), self.bank.dtype)
            region[:, :height, :width] = image[:, ys[:height]].take(xs[:width], axis=2)
            self._met[s] = region, rows, columns
        return self._met[s]

    def _map_size(self, s: int) -> int:
        options, _, *kernel = self.bank[s].shape
        return int(options * math.prod(kernel) * math.prod(self._region(s)[0].shape[1:]))

    def _maps(self, s: int) -> Array:
        """(options, Fh, Fw, places, places): taps summed over the channels."""
        if s not in self._made:
            region = self._region(s)[0]
            taps = np.moveaxis(self.bank[s], 1, -1)
            maps = taps.reshape(-1, taps.shape[-1]) @ region.reshape(len(region), -1)
            self._made[s] = maps.reshape(*taps.shape[:-1], *region.shape[1:])
        return self._made[s]

    def _sums(self, s: int, rows: slice, kind: np.dtype[Any]) -> tuple[Array, Array]:
        """(columns, options, rows): a sample under all different windows, and each row's of them.

        The columns' are those of all of the block.
        """
        windows = self._region(s)[1]
        kept, which = met_by(windows.which[rows], len(windows.source))
        half, source = self._half(s, kept, kind), self._region(s)[2].source
        total: Array = half[0].take(source[:, 0], axis=0)
        for v in range(1, len(half)):
            total += half[v].take(source[:, v], axis=0)
        return total.reshape(len(source), -1, len(kept)), which

    def _half(self, s: int, rows: Array, kind: np.dtype[Any]) -> Array:
        """(Fw, places, options * rows): the taps of each column summed for some rows' windows."""
        region, windows, _ = self._region(s)
        source = windows.source[rows]
        options, channels, tall, taps = self.bank[s].shape
        height = len(source)
        if channels > FEW_CHANNELS and self._map_size(s) <= ROOM:
            maps = self._maps(s)
            total = maps[:, 0].take(source[:, 0], axis=2)
            for u in range(1, tall):
                total += maps[:, u].take(source[:, u], axis=2)
            across = total.transpose(1, 3, 0, 2)
        else:
            met = region[:, source].transpose(1, 0, 2, 3)
            met = met.reshape(height, channels * tall, -1)
            columns = self.bank[s].transpose(0, 3, 1, 2).reshape(options * taps, -1)
            across = (columns @ met).reshape(height, options, taps, -1).transpose(2, 3, 1, 0)
        halves: Array = across.astype(kind, order="C").reshape(taps, -1, options * height)
        return halves

    def _values(self, which: Sequence[int], r: Array, c: Array, k: Array) -> Array:
        """(samples, hypotheses): samples under single hypotheses."""
        if len(r) * math.prod(self.bank.shape[2:]) <= DIRECTLY:
            return self._directly(which, r, c, k)
        return np.stack([self._single(s, r, c, k) for s in which])

    def _single(self, s: int, r: Array, c: Array, k: Array) -> Array:
        """One sample under single hypotheses, by its maps where they are no larger than it all."""
        _, channels, height, width = self.bank[s].shape
        each = channels * height * width
        if self._map_size(s) > min(ROOM, len(r) * each):
            some = parts(len(r), ROOM // each)
            return np.concatenate([self._directly([s], r[p], c[p], k[p])[0] for p in some])
        _, rows, columns = self._region(s)
        up, across = rows.source[rows.which[r]], columns.source[columns.which[c]]
        maps = self._maps(s)
        tall, wide = maps.shape[3:]
        flat = maps.ravel()
        total = np.zeros(len(r), maps.dtype)
        for u in range(height):
            row = k * (height * width * tall * wide) + up[:, u] * wide
            for v in range(width):
                total += flat.take(row + across[:, v] + (u * width + v) * (tall * wide))
        return total

    def _directly(self, which: Sequence[int], r: Array, c: Array, k: Array) -> Array:
        """The same from the images themselves, so many samples of one image at a time."""
        rows, columns = self.rows.part(r), self.columns.part(c)
        found = np.empty((len(which), len(r)), self.bank.dtype)
        step = max(1, CHUNK // (len(r) * math.prod(self.bank.shape[2:]) or 1))
        for one in dict.fromkeys(id(self.planes[s]) for s in which):
            places = np.array([i for i, s in enumerate(which) if id(self.planes[s]) == one])
            for some in np.split(places, range(step, len(places), step)):
                samples = np.asarray(which)[some]
                image = self.planes[samples[0]]
                up = rows.source(samples)[:, :, None, :, None]
                across = columns.source(samples)[:, :, None, None]
                beyond = (up == image.shape[1]) | (across == image.shape[2])
                place = np.where(beyond, 0, up), np.where(beyond, 0, across)
                met = image[(np.arange(len(image))[:, None, None], *place)]
                met[np.broadcast_to(beyond, met.shape)] = 0
                found[some] = np.einsum("smcuv,smcuv->sm", met, self.bank[samples[:, None], k])
        return found


@dataclass(frozen=True)
class _Windows:
    """(windows, taps) along one axis: what a tap meets of a region, and each option's window."""

    source: Array
    which: Array

    @classmethod
    def of(cls, options: Table, sample: int) -> tuple[Array, _Windows]:
        """What of the axis any tap of a sample meets, and the windows in places of that."""
        which = np.arange(len(options))
        if len(options) > ALIKE:
            kept, which = options.distinct(sample)
            options = options.part(kept)
        met, source = met_by(options.source(sample), options.size)
        return met, cls(source, which)


def parts(count: int, most: int) -> Iterator[slice]:
    """So many things, ``most`` at a time, or one by one."""
    step = max(1, most)
    for first in range(0, count, step):
        yield slice(first, min(first + step, count))
