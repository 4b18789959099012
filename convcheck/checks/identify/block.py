"""Hypotheses side by side: every option of the rows by every one of the columns and channels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from convcheck.checks.identify.axes import Table
    from convcheck.checks.identify.samples import Sample

Array = NDArray[Any]

CHUNK = 1 << 17
"""Hypotheses that are looked at together: few enough for their values to stay in the cache."""
FEW_CHANNELS = 16
"""Up to so many channels one product of matrices is cheaper than sums over a map of each tap."""
FEWER = 16
"""How many times fewer hypotheses must be left to be worth a block of their own."""
ROOM = 1 << 22
"""Elements of the largest array of half-made sums."""


@dataclass(frozen=True)
class Judge:
    """What a hypothesis must do, given the values that it predicts for the samples.

    ``quick`` takes the values of the samples in ``first``, an array of hypotheses for each, and
    says which hypotheses are worth another look. ``votes`` takes the values of the first ``few``
    samples, then of all, a row for each, and returns zero for a hypothesis that is out. ``exact``
    says that values must not be rounded to single precision. Sample ``~s`` is what a border of ones
    adds to sample ``s``; ``votes`` takes these after the others if there are any in ``first``.
    """

    first: tuple[int, ...]
    few: int
    quick: Callable[[Mapping[int, Array]], Array]
    votes: Callable[[Array], Array]
    exact: bool = False

    @property
    def bordered(self) -> bool:
        """Whether the border's constant is among the unknowns."""
        return any(s < 0 for s in self.first)


class Block:
    """The hypotheses of some rows by some columns, all channel options, one padding mode."""

    def __init__(
        self, image: Array, samples: Sequence[Sample], bank: Array, rows: Table, columns: Table
    ) -> None:
        self.image, self.samples, self.bank = image, samples, bank
        self.rows, self.columns = rows, columns
        self.size = len(rows) * len(columns) * bank.shape[1]
        self._met: dict[int, tuple[Array, Array, Array]] = {}
        self._made: dict[int, Array] = {}

    def survivors(self, judges: Sequence[Judge]) -> Iterator[tuple[int, int, int, int, float]]:
        """(judge, row, column, channel option, votes) of what a judge accepts."""
        options = self.bank.shape[1]
        used = sorted({s for judge in judges for s in judge.first})
        exact = self.bank.dtype.kind == "c" or any(judge.exact for judge in judges)
        kind = self.bank.dtype if exact else np.dtype(np.float32)
        widest = max(self._region(s)[0].shape[-1] for s in used)
        each = max(options * self.bank.shape[4] * len(used), math.prod(self.bank.shape[2:4]))
        for rows in parts(len(self.rows), ROOM // (each * widest)):
            height = rows.stop - rows.start
            halves = {s: self._half(s, rows, kind) for s in used}
            for columns in parts(len(self.columns), CHUNK // (options * height)):
                values = {s: self._sums(s, halves[s], columns) for s in used}
                for which, judge in enumerate(judges):
                    if not judge.first:
                        continue
                    alive = judge.quick(values)
                    if alive.any():
                        c, kr = np.divmod(np.flatnonzero(alive), options * height)
                        at = rows.start + kr % height, columns.start + c, kr // height
                        for place in self._settle(judge, *at):
                            yield which, *place

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
                values = np.stack([block._single(s, *at) for s in which])
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
        return Block(self.image, self.samples, self.bank, *few), rows, columns

    def _region(self, s: int) -> tuple[Array, Array, Array]:
        """(C, places, places): what any tap of a sample meets, and who reads where."""
        if s not in self._met:
            size = self.image.shape[2:]
            sample, edge = max(s, ~s), s < 0
            ys, rows = met_by(self.rows.source(sample), size[0])
            xs, columns = met_by(self.columns.source(sample), size[1])
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

    def _half(self, s: int, rows: slice, kind: np.dtype[Any]) -> Array:
        """(Fw, places, options * rows): the taps of each column summed for some rows' options."""
        region, source, _ = self._region(s)
        options, channels, tall, taps = self._taps(s).shape
        height = len(source[rows])
        if channels > FEW_CHANNELS and self._map_size(s) <= ROOM:
            maps = self._maps(s)
            total = maps[:, 0].take(source[rows, 0], axis=2)
            for u in range(1, tall):
                total += maps[:, u].take(source[rows, u], axis=2)
            across = total.transpose(1, 3, 0, 2)
        else:
            windows = region[:, source[rows]].transpose(1, 0, 2, 3)
            windows = windows.reshape(height, channels * tall, -1)
            columns = self._taps(s).transpose(0, 3, 1, 2).reshape(options * taps, -1)
            across = (columns @ windows).reshape(height, options, taps, -1).transpose(2, 3, 1, 0)
        halves: Array = across.astype(kind, order="C").reshape(taps, -1, options * height)
        return halves

    def _sums(self, s: int, half: Array, columns: slice) -> Array:
        """(columns, options * rows): one sample under every hypothesis."""
        source = self._region(s)[2][columns]
        total: Array = half[0].take(source[:, 0], axis=0)
        for v in range(1, len(half)):
            total += half[v].take(source[:, v], axis=0)
        return total

    def _single(self, s: int, r: Array, c: Array, k: Array) -> Array:
        """One sample under single hypotheses."""
        taps = self._taps(s)
        _, channels, height, width = taps.shape
        if self._map_size(s) > min(ROOM, len(r) * channels * height * width):
            return self._directly(s, r, c, k)
        maps, (_, rows, columns) = self._maps(s), self._region(s)
        tall, wide = maps.shape[3:]
        flat = maps.ravel()
        total = np.zeros(len(r), maps.dtype)
        across = [columns[c, v] for v in range(width)]
        for u in range(height):
            row = k * (height * width * tall * wide) + rows[r, u] * wide
            for v in range(width):
                total += flat.take(row + across[v] + (u * width + v) * (tall * wide))
        return total

    def _directly(self, s: int, r: Array, c: Array, k: Array) -> Array:
        region, rows, columns = self._region(s)
        taps = self._taps(s)
        total = np.empty(len(r), region.dtype)
        for part in parts(len(r), ROOM // math.prod(taps.shape[1:])):
            met = region[:, rows[r[part]][:, :, None], columns[c[part]][:, None, :]]
            total[part] = np.einsum("cmuv,mcuv->m", met, taps[k[part]])
        return total


def parts(count: int, most: int) -> Iterator[slice]:
    """So many things, ``most`` at a time, or one by one."""
    step = max(1, most)
    for first in range(0, count, step):
        yield slice(first, min(first + step, count))


def met_by(source: Array, size: int) -> tuple[Array, Array]:
    """The samples of an axis that any tap meets, in order, and the source as places among them."""
    met = np.zeros(size + 1, bool)
    met[source] = True
    return np.flatnonzero(met), (np.cumsum(met) - 1)[source]
