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
from dataclasses import dataclass, replace
from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.axes import Axis, Table, axis_options, met_by, padding, table
from convcheck.checks.identify.block import Block, Judge
from convcheck.convention import Convention
from convcheck.engine import arrange_filters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convcheck.checks.identify.readings import Reading
    from convcheck.checks.identify.samples import Sample

Array = NDArray[Any]

ALL_ORDERS = 4
"""Up to so many channels every order of them is tried, above it the reversed one only."""
CROWD = 4096
"""Survivors after which a search gives up: the data cannot tell conventions apart."""
REGION = 1 << 18
"""Samples of the image that the hypotheses of one block may meet, for each of the output's."""

BANK = 1 << 20
"""Taps of a search's filters up to which they are held both as they are and transposed."""


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


def channel_options(reading: Reading, *, shuffled: bool) -> list[Channels]:
    """Identity and reversal, of the filters' channels too; ``shuffled``: all others of a few."""
    channels, inputs = reading.image.shape[1], reading.filters.shape[1]
    grouped = reading.base.groups > 1
    orders: list[tuple[int, ...] | None] = [None]
    if shuffled:
        every = list(permutations(range(channels))) if channels <= ALL_ORDERS else []
        orders = [p for p in every[1:] if p != every[-1]]  # the last one is the reversal
    elif channels > 1 and (grouped or channels <= ALL_ORDERS):
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
    mixed: bool = False
    undilated: bool = False
    modes: Sequence[str] = ("constant",)
    limit: float = math.inf
    crowd: int = CROWD
    considered: int = 0

    def run(self, judges: Sequence[Judge]) -> list[list[Found]]:
        """The hypotheses that each judge accepts; ``crowd`` of them where it gave up."""
        found: list[list[Found]] = [[] for _ in judges]
        asked = list(judges)
        for which, hypothesis in self._survivors(asked):
            if len(found[which]) < self.crowd:
                found[which].append(hypothesis)
            elif asked[which].first:
                asked[which] = replace(asked[which], first=())  # it is not asked any more
                if not any(judge.first for judge in asked):
                    break
        return found

    def _survivors(self, judges: Sequence[Judge]) -> Iterator[tuple[int, Found]]:
        channels = channel_options(self.reading, shuffled=self.shuffled)
        if not channels:
            return
        sizes = self.reading.image.shape[2:]
        places = [[s.index[axis] for s in self.samples] for axis in (2, 3)]
        outputs = [s.index[1] for s in self.samples]
        for spatial, turns in self._turns(len(channels)):
            options = self._options(spatial)
            if not all(options):
                continue
            every = list(product(turns, channels))
            bank = np.concatenate(
                [_kernels(self.reading, channels, turned, outputs) for turned in turns], axis=1
            )
            zeros = [
                table(options[axis], places[axis], sizes[axis], spatial[axis]) for axis in (0, 1)
            ]
            borders = [part.without_gaps() for part in zeros]
            for mode in self.modes:
                rows, columns = (
                    replace(part, mode=mode) for part in (zeros if mode == "constant" else borders)
                )
                for some_rows, some_columns in self._blocks(rows, columns, mode):
                    if self.considered > self.limit:
                        return
                    block = Block(self.reading.image, self.samples, bank, some_rows, some_columns)
                    self.considered += block.size
                    for which, r, c, k, votes in block.survivors(judges):
                        convention = self._convention(
                            *every[k], (some_rows, r), (some_columns, c), mode
                        )
                        yield which, Found(self.reading, convention, votes)

    def _turns(self, options: int) -> list[tuple[tuple[int, ...], list[bool]]]:
        """The kernel's sizes, and whether it is transposed: a square one is both ways at once."""
        kernel = self.reading.filters.shape[2:]
        if kernel == (1, 1):
            return [(kernel, [False])]
        taps = len(self.samples) * options * self.reading.image.shape[1] * math.prod(kernel)
        if kernel == kernel[::-1] and taps <= BANK:
            return [(kernel, [False, True])]
        return [(kernel, [False]), (kernel[::-1], [True])]

    def _options(self, kernel: Sequence[int]) -> list[list[Axis]]:
        sizes = zip(
            self.reading.image.shape[2:], kernel, self.reading.output.shape[2:], strict=True
        )
        every = [
            axis_options(
                *each,
                wide=self.wide,
                circular=self.circular,
                bordered=self.bordered,
                outside=self.outside,
                mixed=self.mixed,
            )
            for each in sizes
        ]
        if not self.undilated:
            return every
        plain = [[a for a in options if a.dilation == 1] for options in every]
        # Where that is all, it is searched with the rest.
        return plain if plain != every else [[], []]

    def _blocks(self, rows: Table, columns: Table, mode: str) -> Iterator[tuple[Table, Table]]:
        """The pairs to try: where no window reaches over the edge, all modes are the constant's.

        But an image that wraps is rolled by nothing, too.
        """
        if not len(rows) or not len(columns):
            return
        if not self.bordered and (mode == "constant" or self.circular):
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
        tall, wide = (len(met_by(t.source(0), t.size)[0]) for t in (rows, columns))
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
        transposed: bool,
        channels: Channels,
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
    filters = np.asarray(outputs)
    samples, read = np.arange(len(filters))[:, None], np.arange(inputs)
    met = (filters // per_group)[:, None] * inputs + read
    for c, option in enumerate(channels):
        order = np.asarray(option.order or range(count))
        whole[samples, c, order[met]] = banks[option.flip][filters]
    return whole
