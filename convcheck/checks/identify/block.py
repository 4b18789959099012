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
    from convcheck.checks.identify.samples import Sample

Array = NDArray[Any]

CHUNK = 1 << 17
"""Hypotheses that are looked at together: few enough for their values to stay in the cache."""
FEW_CHANNELS = 16
"""Up to so many channels one product of matrices is cheaper than sums over a map of each tap."""
ALIKE = 128
"""Options of an axis among which it is worth while to look for those with the same window."""
FEWER = 16
"""How many times fewer hypotheses must be left to be worth a block of their own."""
ROOM = 1 << 22
"""Elements of the largest array of half-made sums."""


def as_they_are(_: int, values: Array) -> Array:
    """What a judge sees that looks at the values themselves."""
    return values


@dataclass(frozen=True)
class Judge:
    """What a hypothesis must do, given the values that it predicts for the samples.

    ``seen`` makes of the values of one sample in ``first`` what is looked at of them, element by
    element, in as many arrays as it likes, one above the other: it is asked once for all hypotheses
    that have the same window there. ``quick`` takes that of all of these samples, an array of
    hypotheses for each, and says which hypotheses are worth another look. ``votes`` takes the
    values of the first ``few`` samples, then of all, a row for each, and returns zero for a
    hypothesis that is out. ``exact`` says that values must not be rounded to single precision.
    Sample ``~s`` is what a border of ones adds to sample ``s``; ``votes`` takes these after the
    others if there are any in ``first``.
    """

    first: tuple[int, ...]
    few: int
    quick: Callable[[Mapping[int, Array]], Array]
    votes: Callable[[Array], Array]
    exact: bool = False
    seen: Callable[[int, Array], Array] = as_they_are

    @property
    def bordered(self) -> bool:
        """Whether the border's constant is among the unknowns."""
        return any(s < 0 for s in self.first)

    def alive(self, values: Mapping[int, Array]) -> Array:
        """Which hypotheses are worth another look, by the values of the first samples."""
        return self.quick({s: self.seen(s, values[s]) for s in self.first})


class Block:
    """The hypotheses of some rows by some columns, all channel options, one padding mode."""

    def __init__(
        self, image: Array, samples: Sequence[Sample], bank: Array, rows: Table, columns: Table
    ) -> None:
        self.image, self.samples, self.bank = image, samples, bank
        self.rows, self.columns = rows, columns
        self.size = len(rows) * len(columns) * bank.shape[1]
        self._met: dict[int, tuple[Array, _Windows, _Windows]] = {}
        self._made: dict[int, Array] = {}

    def survivors(self, judges: Sequence[Judge]) -> Iterator[tuple[int, int, int, int, float]]:
        """(judge, row, column, channel option, votes) of what a judge accepts."""
        found: list[list[tuple[Array, Array, Array]]] = [[] for _ in judges]
        for which, some in self._alive(judges):
            found[which].append(some)
            # One look at many costs little more than one at a few.
            if sum(len(k) for *_, k in found[which]) > CHUNK:
                yield from self._settled(which, judges[which], found[which])
                found[which] = []
        for which, judge in enumerate(judges):
            if found[which] and judge.first:
                yield from self._settled(which, judge, found[which])

    def _settled(
        self, which: int, judge: Judge, found: list[tuple[Array, Array, Array]]
    ) -> Iterator[tuple[int, int, int, int, float]]:
        for place in self._settle(judge, *map(np.concatenate, zip(*found, strict=True))):
            yield which, *place

    def _alive(self, judges: Sequence[Judge]) -> Iterator[tuple[int, tuple[Array, Array, Array]]]:
        """Of each judge that is still asked (rows, columns, channel options) worth a look."""
        options = self.bank.shape[1]
        used = sorted({s for judge in judges for s in judge.first})
        exact = self.bank.dtype.kind == "c" or any(judge.exact for judge in judges)
        kind = self.bank.dtype if exact else np.dtype(np.float32)
        widest = max(self._region(s)[0].shape[-1] for s in used)
        each = max(options * self.bank.shape[4] * len(used), math.prod(self.bank.shape[2:4]))
        for rows in parts(len(self.rows), ROOM // (each * widest)):
            height = rows.stop - rows.start
            sums = {s: self._sums(s, rows, kind) for s in used}
            seen = [
                {s: _spread(judge.seen(s, sums[s][0]), sums[s][1]) for s in judge.first}
                for judge in judges
            ]
            for columns in parts(len(self.columns), CHUNK // (options * height)):
                at = {s: self._region(s)[2].which[columns] for s in used}
                for which, judge in enumerate(judges):
                    if not judge.first:
                        continue
                    alive = judge.quick(
                        {s: seen[which][s].take(at[s], axis=-2) for s in judge.first}
                    )
                    if alive.any():
                        c, kr = np.divmod(np.flatnonzero(alive), options * height)
                        yield which, (rows.start + kr % height, columns.start + c, kr // height)

    def _settle(
        self, judge: Judge, r: Array, c: Array, k: Array
    ) -> Iterator[tuple[int, int, int, float]]:
        """Look at single hypotheses with some samples, and at what is left of them with all."""
        votes = np.zeros(len(r))
        for count in sorted({judge.few, len(self.samples)}):
            block, rows, columns = self._narrowed(r, c)
            for part in parts(len(r), ROOM // count):
                which = [*range(count), *(~s for s in range(count) if judge.bordered)]
                at = rows[part], columns[part], k[part]
                votes[part] = judge.votes(block._values(which, *at))
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
        return Block(self.image, self.samples, self.bank, *few), rows, columns

    def _region(self, s: int) -> tuple[Array, _Windows, _Windows]:
        """(C, places, places): what any tap of a sample meets, and who reads where."""
        if s not in self._met:
            size = self.image.shape[2:]
            sample, edge = max(s, ~s), s < 0
            ys, rows = _Windows.of(self.rows, sample)
            xs, columns = _Windows.of(self.columns, sample)
            # What lies beyond the edge comes last.
            height, width = (
                int(np.searchsorted(m, n)) for m, n in zip((ys, xs), size, strict=True)
            )
            region = np.full((self.image.shape[1], len(ys), len(xs)), edge, self.bank.dtype)
            within = region[:, :height, :width]
            if edge:
                within[...] = 0
            else:
                image = self.image[self.samples[sample].index[0]]
                within[...] = image[:, ys[:height]].take(xs[:width], axis=2)
            self._met[s] = region, rows, columns
        return self._met[s]

    def _taps(self, s: int) -> Array:
        taps: Array = self.bank[max(s, ~s)]
        return taps

    def _map_size(self, s: int) -> int:
        options, _, *kernel = self._taps(s).shape
        return int(options * math.prod(kernel) * math.prod(self._region(s)[0].shape[1:]))

    def _maps(self, s: int) -> Array:
        """(options, Fh, Fw, places, places): taps summed over the channels."""
        if s not in self._made:
            region = self._region(s)[0]
            taps = np.moveaxis(self._taps(s), 1, -1)
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
        options, channels, tall, taps = self._taps(s).shape
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
            columns = self._taps(s).transpose(0, 3, 1, 2).reshape(options * taps, -1)
            across = (columns @ met).reshape(height, options, taps, -1).transpose(2, 3, 1, 0)
        halves: Array = across.astype(kind, order="C").reshape(taps, -1, options * height)
        return halves

    def _values(self, which: Sequence[int], r: Array, c: Array, k: Array) -> Array:
        """(samples, hypotheses): samples under single hypotheses."""
        if len(which) * len(r) * math.prod(self.bank.shape[2:]) <= CHUNK:
            return self._directly(which, r, c, k)
        return np.stack([self._single(s, r, c, k) for s in which])

    def _single(self, s: int, r: Array, c: Array, k: Array) -> Array:
        """One sample under single hypotheses, by its maps where they are no larger than it all."""
        _, channels, height, width = self._taps(s).shape
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
        """The same from the image itself, all at once."""
        edge = np.array(which) < 0
        samples = np.where(edge, ~np.array(which), which)
        up, across = self.rows.part(r).source(samples), self.columns.part(c).source(samples)
        above, beside = (at == n for at, n in zip((up, across), self.image.shape[2:], strict=True))
        met = self.image[
            np.array([self.samples[s].index[0] for s in samples])[:, None, None, None, None],
            np.arange(self.image.shape[1])[:, None, None],
            np.where(above, 0, up)[:, :, None, :, None],
            np.where(beside, 0, across)[:, :, None, None, :],
        ].astype(self.bank.dtype, copy=False)
        met[edge] = 0
        beyond = above[:, :, None, :, None] | beside[:, :, None, None, :]
        np.copyto(met, edge[:, None, None, None, None], where=beyond)
        sums: Array = np.einsum("smcuv,smcuv->sm", met, self.bank[samples[:, None], k])
        return sums


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


def _spread(seen: Array, rows: Array) -> Array:
    """(..., columns, options, windows) as (..., columns, options * rows)."""
    spread = seen.take(rows, axis=-1)
    return spread.reshape(*spread.shape[:-2], -1)


def parts(count: int, most: int) -> Iterator[slice]:
    """So many things, ``most`` at a time, or one by one."""
    step = max(1, most)
    for first in range(0, count, step):
        yield slice(first, min(first + step, count))
