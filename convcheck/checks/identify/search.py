"""Where in the space of conventions an output can have come from, by looking its values up.

Trying conventions one by one would cost a convolution each. Instead a few output elements are taken
as samples. For each sample the image near it is contracted with one filter over the channels once,
a small map for every tap; every flip, transposition, dilation, stride and offset is then a sum of
taps of that map, read at other places. A hypothesis that gives too few of the first samples is out
after these; the others are looked at with all of them. It survives if it gives most of the samples,
so that a corrupted element cannot reject the truth. Survivors are candidates and nothing more: each
is confirmed over the whole output elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.axes import Table, axis_options, padding, table
from convcheck.convention import Convention
from convcheck.engine import arrange_filters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from convcheck.checks.identify.readings import Reading
    from convcheck.checks.identify.samples import Sample

Array = NDArray[Any]

ALL_ORDERS = 4
"""Up to so many channels every order of them is tried, above it the reversed one only."""
CROWD = 4096
"""Survivors after which a search gives up: the data cannot tell conventions apart."""
CHUNK = 1 << 17
"""Hypotheses that are looked at together: few enough for their values to stay in the cache."""
FEW_CHANNELS = 16
"""Up to so many channels one product of matrices is cheaper than sums over a map of each tap."""
REGION = 1 << 18
"""Samples of the image that the hypotheses of one block may meet, for each of the output's."""
ROOM = 1 << 22
"""Elements of the largest array of half-made sums."""


@dataclass(frozen=True)
class Channels:
    """One way to lead the image's channels to the filters'."""

    order: tuple[int, ...] | None
    flip: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """A hypothesis that gave most of the samples."""

    reading: Reading
    convention: Convention
    votes: float


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


def channel_options(reading: Reading, *, shuffled: bool) -> list[Channels]:
    """Identity and reversal, of the filters' channels too; ``shuffled``: all others of a few."""
    channels, inputs = reading.image.shape[1], reading.filters.shape[1]
    grouped = reading.base.groups > 1
    orders: list[tuple[int, ...] | None] = [None]
    if shuffled:
        every = list(permutations(range(channels))) if channels <= ALL_ORDERS else []
        orders = [p for p in every[1:] if p != every[-1]]  # the last one is the reversal
    elif 1 < channels <= ALL_ORDERS or (channels > 1 and grouped):
        orders.append(tuple(range(channels))[::-1])
    flips: list[tuple[str, ...]] = [()]
    if inputs > 1 and (grouped or channels > ALL_ORDERS):
        flips.append(("I",))  # with few channels and one group it is one of the orders
    return [Channels(order, flip) for order in orders for flip in flips]


@dataclass
class Search:
    """One pass over a reading's hypotheses; ``considered`` counts them, up to about ``limit``."""

    reading: Reading
    samples: Sequence[Sample]
    wide: bool = False
    circular: bool = False
    shuffled: bool = False
    bordered: bool = False
    outside: bool = False
    modes: Sequence[str] = ("constant",)
    limit: float = math.inf
    crowd: int = CROWD
    considered: int = 0

    def run(self, judges: Sequence[Judge]) -> list[list[Found]]:
        """The hypotheses that each judge accepts; ``crowd`` of them where it gave up."""
        found: list[list[Found]] = [[] for _ in judges]
        for which, hypothesis in self._survivors(judges):
            if len(found[which]) < self.crowd:
                found[which].append(hypothesis)
            if all(len(f) >= self.crowd for f in found):
                break
        return found

    def _survivors(self, judges: Sequence[Judge]) -> Iterator[tuple[int, Found]]:
        channels = channel_options(self.reading, shuffled=self.shuffled)
        if not channels:
            return
        kernel = self.reading.filters.shape[2:]
        sizes = self.reading.image.shape[2:]
        places = [[s.index[axis] for s in self.samples] for axis in (2, 3)]
        for transposed in (False, True) if kernel != (1, 1) else (False,):
            spatial = kernel[::-1] if transposed else kernel
            options = [
                axis_options(
                    *each,
                    wide=self.wide,
                    circular=self.circular,
                    bordered=self.bordered,
                    outside=self.outside,
                )
                for each in zip(sizes, spatial, self.reading.output.shape[2:], strict=True)
            ]
            if not all(options):
                continue
            bank = _kernels(self.reading, channels, transposed, [s.index[1] for s in self.samples])
            for mode in self.modes:
                rows, columns = (
                    table(options[axis], places[axis], sizes[axis], spatial[axis], mode)
                    for axis in (0, 1)
                )
                for some_rows, some_columns in self._blocks(rows, columns, mode):
                    if self.considered > self.limit:
                        return
                    block = _Block(self.reading.image, self.samples, bank, some_rows, some_columns)
                    self.considered += block.size
                    for which, r, c, k, votes in block.survivors(judges):
                        convention = self._convention(
                            channels[k], transposed, (some_rows, r), (some_columns, c), mode
                        )
                        yield which, Found(self.reading, convention, votes)

    def _blocks(self, rows: Table, columns: Table, mode: str) -> Iterator[tuple[Table, Table]]:
        """The pairs to try: where no window reaches over the edge, all modes are the constant's."""
        if not len(rows) or not len(columns):
            return
        if not self.bordered and (mode == "constant" or "constant" not in self.modes):
            yield from self._parts(rows, columns)
            return
        over, within = np.flatnonzero(rows.touches), np.flatnonzero(~rows.touches)
        if over.size:
            yield from self._parts(rows.part(over), columns)
        if within.size and columns.touches.any():
            touching = columns.part(np.flatnonzero(columns.touches))
            yield from self._parts(rows.part(within), touching)

    def _parts(self, rows: Table, columns: Table) -> Iterator[tuple[Table, Table]]:
        """The pairs so many at a time that they meet no more of a large image than is held."""
        tall, wide = (len(_met(t.source(0), t.size)[0]) for t in (rows, columns))
        met = self.reading.image.shape[1] * tall * wide
        if met <= REGION or len(rows) * len(columns) == 1:
            yield rows, columns
        elif len(columns) == 1 or (len(rows) > 1 and tall >= wide):
            for half in np.array_split(np.arange(len(rows)), 2):
                yield from self._parts(rows.part(half), columns)
        else:
            for half in np.array_split(np.arange(len(columns)), 2):
                yield from self._parts(rows, columns.part(half))

    def _convention(
        self,
        channels: Channels,
        transposed: bool,
        row: tuple[Table, int],
        column: tuple[Table, int],
        mode: str,
    ) -> Convention:
        kernel = self.reading.filters.shape[2:]
        sizes = zip(
            (row, column),
            self.reading.image.shape[2:],
            self.reading.output.shape[2:],
            kernel[::-1] if transposed else kernel,
            strict=True,
        )
        axes = [
            [int(a[at]) for a in (t.gap, t.dilation, t.stride, t.start)] for t, at in (row, column)
        ]
        flips = (t.reversed[at] for t, at in (row, column))
        return self.reading.base.replace(
            channel_order=channels.order,
            flip=(*channels.flip, *(a for a, on in zip("HW", flips, strict=True) if on)),
            kernel_transposed=transposed,
            stride=[a[2] for a in axes],
            dilation=[a[1] for a in axes],
            input_dilation=[a[0] for a in axes],
            padding=[
                padding(option, *rest) for option, (_, *rest) in zip(axes, sizes, strict=True)
            ],
            padding_mode=mode,
        )


class _Block:
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
        step = max(1, ROOM // (each * widest))
        for first in range(0, len(self.rows), step):
            rows = slice(first, min(first + step, len(self.rows)))
            height = rows.stop - first
            halves = {s: self._half(s, rows, kind) for s in used}
            width = max(1, CHUNK // (options * height))
            for left in range(0, len(self.columns), width):
                columns = slice(left, min(left + width, len(self.columns)))
                values = {s: self._sums(s, halves[s], columns) for s in used}
                for which, judge in enumerate(judges):
                    if not judge.first:
                        continue
                    alive = judge.quick(values)
                    if alive.any():
                        c, kr = np.divmod(np.flatnonzero(alive), options * height)
                        at = first + kr % height, left + c, kr // height
                        for place in self._settle(judge, *at):
                            yield which, *place

    def _settle(
        self, judge: Judge, r: Array, c: Array, k: Array
    ) -> Iterator[tuple[int, int, int, float]]:
        """Look at single hypotheses with some samples, and at what is left of them with all."""
        for count in (judge.few, len(self.samples)):
            votes = np.zeros(len(r))
            step = max(1, ROOM // count)
            for first in range(0, len(r), step):
                part = slice(first, first + step)
                which = [*range(count), *(~s for s in range(count) if judge.bordered)]
                values = np.stack([self._single(s, r[part], c[part], k[part]) for s in which])
                votes[part] = judge.votes(values)
            kept = np.flatnonzero(votes > 0)
            r, c, k, votes = r[kept], c[kept], k[kept], votes[kept]
            if count == len(self.samples) or not kept.size:
                break
        yield from zip(r.tolist(), c.tolist(), k.tolist(), votes.tolist(), strict=True)

    def _region(self, s: int) -> tuple[Array, Array, Array]:
        """(C, places, places): what any tap of a sample meets, and who reads where."""
        if s not in self._met:
            size = self.image.shape[2:]
            sample, edge = (s, False) if s >= 0 else (~s, True)
            ys, rows = _met(self.rows.source(sample), size[0])
            xs, columns = _met(self.columns.source(sample), size[1])
            inside = (ys < size[0])[:, None] & (xs < size[1])
            if edge:
                region = np.broadcast_to(~inside, (len(self.image[0]), *inside.shape))
            else:
                within = self.image[self.samples[sample].index[0]]
                within = within[:, np.minimum(ys, size[0] - 1)][:, :, np.minimum(xs, size[1] - 1)]
                region = within * inside
            self._met[s] = region.astype(self.bank.dtype), rows, columns
        return self._met[s]

    def _taps(self, s: int) -> Array:
        taps: Array = self.bank[s if s >= 0 else ~s]
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
        step = max(1, ROOM // taps[0].size)
        for first in range(0, len(r), step):
            part = slice(first, first + step)
            met = region[:, rows[r[part]][:, :, None], columns[c[part]][:, None, :]]
            total[part] = np.einsum("cmuv,mcuv->m", met, taps[k[part]])
        return total


def _met(source: Array, size: int) -> tuple[Array, Array]:
    """The samples of an axis that any tap meets, in order, and the source as places among them."""
    met = np.zeros(size + 1, bool)
    met[source] = True
    return np.flatnonzero(met), (np.cumsum(met) - 1)[source]


def _kernels(
    reading: Reading, channels: Sequence[Channels], transposed: bool, outputs: Sequence[int]
) -> Array:
    """For each sample's output channel: (samples, options, C, Fh, Fw), over all stored channels."""
    count = reading.image.shape[1]
    groups = reading.base.groups
    shared = reading.base.filter_layout == "HW"
    canonical = Convention(
        filter_layout="HW" if shared else "OIHW", groups=groups, kernel_transposed=transposed
    )
    stored = reading.filters[0, 0] if shared else reading.filters
    banks = {
        flip: arrange_filters(stored, canonical.replace(flip=flip), count)
        for flip in {option.flip for option in channels}
    }
    bank = banks[channels[0].flip]
    inputs, per_group = bank.shape[1], bank.shape[0] // groups
    kind = np.result_type(bank, reading.image, np.float64)
    whole = np.zeros((len(outputs), len(channels), count, *bank.shape[2:]), kind)
    for c, option in enumerate(channels):
        order = option.order or range(count)
        for s, o in enumerate(outputs):
            first = (o // per_group) * inputs
            whole[s, c, list(order[first : first + inputs])] = banks[option.flip][o]
    return whole
