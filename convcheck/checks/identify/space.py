"""The search of one pass over one reading: blocks of hypotheses, each voted on by samples."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import nlargest
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify import votes
from convcheck.checks.identify.axes import Table, met_by, table, ways
from convcheck.checks.identify.block import Block, Judge
from convcheck.checks.identify.passes import Channels, Pass, channels_of, ways_of
from convcheck.checks.identify.samples import choose

if TYPE_CHECKING:
    from convcheck.checks.identify.layouts import Reading
    from convcheck.convention import Convention
    from convcheck.traits import Traits

Array = NDArray[Any]

SAMPLES = 64
LOOKED_AT = 6
"""Survivors of one pass over one reading that are solved for, those with the most votes."""
CROWD = 4096
"""Survivors after which a search gives up: the data cannot tell conventions apart."""
REGION = 1 << 18
"""Samples of the image that the hypotheses of one block may meet, for each of the output's."""


@dataclass(frozen=True)
class Found:
    """A hypothesis that explains bits of the samples."""

    convention: Convention
    votes: float


def search(
    one: Pass, reading: Reading, traits: Traits, *, ends: float = math.inf
) -> tuple[list[Found], int]:
    """The few hypotheses of a pass that explain most bits of the samples, of how many."""
    samples = choose(
        reading.output,
        SAMPLES,
        traits.limits,
        everywhere=one.everywhere or traits.size < 4 * SAMPLES,
        groups=1 if one.outputs else 4,
        upper=one.judge == "line" and not traits.is_complex,
        seed=one.seed,
    )
    if len(samples) < 1 or (one.judge != "plain" and len(samples) < 4):
        return [], 0
    samples = votes.chunked(samples)
    values = reading.output[tuple(samples.T)]
    values = values.astype(np.result_type(values, np.float64))
    judge = _judge(one, values, samples[:, 1], traits)
    found: list[tuple[float, tuple[Channels, list[tuple[Table, int]], str]]] = []
    considered = survived = 0
    channels = channels_of(one, reading.sizes)
    bank = _bank(one, reading, channels, samples[:, 1])
    for planes, taps, depth, rows, columns, mode in _blocks(one, reading, samples, bank):
        block = Block(planes, taps, rows, columns)
        considered += block.size
        some = list(block.survivors(judge))
        survived += len(some)
        for r, c, k, voted in nlargest(LOOKED_AT, some, key=lambda s: s[3]):
            found.append((voted, (channels[k], [*depth, (rows, r), (columns, c)], mode)))
        if survived > CROWD or time.thread_time() > ends:
            break
    best = sorted(found, key=lambda f: -f[0])[:LOOKED_AT]
    return [Found(_convention(one, reading, *rest), v) for v, rest in best], considered


def _judge(one: Pass, values: Array, channels: Array, traits: Traits) -> Judge:
    if one.judge == "plain":
        step = 0.75 if traits.whole else 0.0
        spread = max(traits.spread, float(np.std(values)), 1e-300)
        return votes.plain(values, spread, max(step, 2.0**-24 * spread), traits.modulus)
    return votes.line(values, channels, folded=one.judge == "folded")


def _bank(one: Pass, reading: Reading, channels: Sequence[Channels], outputs: Array) -> Array:
    """For each sample's output channel: (samples, options, C, *F), over all stored channels."""
    bank = np.conj(reading.bank) if one.conjugate else reading.bank
    if one.centred:
        bank = bank - bank.mean(axis=tuple(range(1, bank.ndim)), keepdims=True)
    total, inputs = bank.shape[:2]
    count, groups = reading.image.shape[1], reading.base.groups
    per_group = total // groups
    kind = np.result_type(bank, reading.image, np.float64)
    whole = np.zeros((len(outputs), len(channels), count, *bank.shape[2:]), kind)
    samples, read = np.arange(len(outputs))[:, None], np.arange(inputs)
    for k, option in enumerate(channels):
        filters = (outputs + option.shift) % total
        met = (filters // per_group)[:, None] * inputs + read
        order = np.asarray(option.order or range(count))
        taken = bank[filters]
        whole[samples, k, order[met]] = taken[:, ::-1] if option.flip else taken
    return whole


Blocks = tuple[list[Array], Array, list[tuple[Table, int]], Table, Table, str]


def _blocks(one: Pass, reading: Reading, samples: Array, bank: Array) -> Iterator[Blocks]:
    """Rows by columns that are tried together; of 3-D data for every way of the depth."""
    tables = [_table(one, reading, samples, a) for a in range(len(reading.taps))]
    if not all(len(t) for t in tables):
        return
    batch = list(reading.image if len(tables) > 1 else reading.image[:, :, None])
    images = [batch[n] for n in samples[:, 0]]  # one array for all samples of an image
    if len(tables) == 1:
        bank = bank[..., None, :]
        row = table(ways(1, 1, 1)[:1], [0] * len(samples), 1, 1)
        tables = [row.part(np.flatnonzero((row.start == 0) & (row.stride == 1))[:1]), *tables]
    if len(tables) == 3:
        bordered = np.pad(reading.image, [(0, 0), (0, 0), (0, 1), (0, 0), (0, 0)])
        flat = bank.reshape(*bank.shape[:2], -1, *bank.shape[4:])
    for mode in one.modes:
        some = [replace(t if mode == "constant" else t.without_gaps(), mode=mode) for t in tables]
        if not all(len(t) for t in some):
            continue
        if len(some) == 2:
            for tall, wide in _alike(some[0], some[1]) if one.far else [(some[0], some[1])]:
                for rows, columns in _pairs(one, tall, wide, mode, reading.image.shape[1]):
                    yield images, bank, [], rows, columns, mode
            continue
        sources = some[0].source(np.arange(len(samples)))
        for d in range(len(some[0])):
            depth = some[0].part(np.array([d]))
            planes, taps = _deep(bordered, samples[:, 0], sources[:, d]), flat
            tall, wide = some[1:]
            if one.far and depth.kernel > 1:
                tall, wide = (_of_dilation(t, int(depth.dilation[0])) for t in (tall, wide))
                if not (len(tall) and len(wide)):
                    continue
            for rows, columns in _pairs(one, tall, wide, mode, len(planes[0])):
                yield planes, taps, [(some[0], d)], rows, columns, mode


def _alike(rows: Table, columns: Table) -> Iterator[tuple[Table, Table]]:
    """Rows and columns of one dilation at a time; a kernel of one tap goes with any."""
    for dilation in np.unique((rows if columns.kernel == 1 else columns).dilation):
        tall, wide = (_of_dilation(t, int(dilation)) for t in (rows, columns))
        if len(tall) and len(wide):
            yield tall, wide


def _of_dilation(some: Table, dilation: int) -> Table:
    """The options of one dilation; all of a kernel of one tap."""
    return some if some.kernel == 1 else some.part(np.flatnonzero(some.dilation == dilation))


def _deep(batch: Array, which: Array, sources: Array) -> list[Array]:
    """What one way of the depth meets for each sample, as channels of a 2-D image.

    The batch (N,C,D+1,H,W) ends in a plane of zeros; ``sources`` are (samples, taps).
    """
    met: dict[tuple[int, ...], Array] = {}
    for n, source in zip(which.tolist(), sources.tolist(), strict=True):
        if (n, *source) not in met:
            met[n, *source] = batch[n][:, source].reshape(-1, *batch.shape[3:])
    return [met[n, *s] for n, s in zip(which.tolist(), sources.tolist(), strict=True)]


def _table(one: Pass, reading: Reading, samples: Array, a: int) -> Table:
    size, kernel = reading.image.shape[2 + a], reading.taps[a]
    return table(ways_of(one, reading.sizes, a), samples[:, 2 + a].tolist(), size, kernel)


def _pairs(
    one: Pass, rows: Table, columns: Table, mode: str, channels: int
) -> Iterator[tuple[Table, Table]]:
    """The pairs to try: where no window reaches over the edge, all modes are the constant's.

    But an image that wraps is rolled by nothing, too.
    """
    if mode == "constant" or one.circular:
        yield from _parts(rows, columns, channels)
        return
    over, within = np.flatnonzero(rows.touches), np.flatnonzero(~rows.touches)
    if over.size:
        yield from _parts(rows.part(over), columns, channels)
    if within.size and columns.touches.any():
        touching = columns.part(np.flatnonzero(columns.touches))
        yield from _parts(rows.part(within), touching, channels)


def _parts(rows: Table, columns: Table, channels: int) -> Iterator[tuple[Table, Table]]:
    """The pairs so many at a time that they meet no more of a large image than is held."""
    tall, wide = (len(met_by(t.source(0), t.size)[0]) for t in (rows, columns))
    if channels * tall * wide <= REGION or len(rows) * len(columns) == 1:
        yield rows, columns
    elif len(columns) == 1 or (len(rows) > 1 and tall >= wide):
        for half in np.array_split(np.arange(len(rows)), 2):
            yield from _parts(rows.part(half), columns, channels)
    else:
        for half in np.array_split(np.arange(len(columns)), 2):
            yield from _parts(rows, columns.part(half), channels)


def _convention(
    one: Pass,
    reading: Reading,
    channels: Channels,
    tables: Sequence[tuple[Table, int]],
    mode: str,
) -> Convention:
    base = reading.base
    axes = [
        t.axis(option, outputs)
        for (t, option), outputs in zip(tables[-base.rank :], reading.output.shape[2:], strict=True)
    ]
    touches = any(axis.before > 0 or axis.after > 0 for axis in axes)
    flip = (*channels.flip, *(a for a, x in zip(base.spatial, axes, strict=True) if x.reversed))
    read = channels.order
    backwards = read is not None and read == tuple(range(len(read)))[::-1]
    whole = flip and not channels.flip and all(x.reversed or x.taps == 1 for x in axes)
    if backwards and whole and base.groups == 1:
        # A filter that is reversed along all of its axes: an N-D convolution.
        read, flip = None, ("I", *flip)
    order = None
    if channels.shift:
        count = reading.output.shape[1]
        order = tuple((o + channels.shift) % count for o in range(count))
    return base.replace(
        channel_order=read,
        output_order=order,
        conjugate=one.conjugate,
        flip=flip,
        stride=[a.stride for a in axes],
        dilation=[a.dilation for a in axes],
        input_dilation=[a.input_dilation for a in axes],
        padding=[(a.before, a.after) for a in axes],
        padding_mode=mode if touches else "constant",
    )
