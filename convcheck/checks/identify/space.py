"""The space of hypotheses by rising cost: passes over readings, each with its windows and votes."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from heapq import nlargest
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify import votes
from convcheck.checks.identify.axes import (
    DILATIONS,
    IMAGE,
    LONG,
    Table,
    Way,
    far_ways,
    met_by,
    table,
    usual_ways,
    ways,
)
from convcheck.checks.identify.block import Block, Judge
from convcheck.checks.identify.samples import choose

if TYPE_CHECKING:
    from convcheck.checks.identify.layouts import Reading, Sizes
    from convcheck.convention import Convention
    from convcheck.traits import Traits

Array = NDArray[Any]

SAMPLES = 64
LOOKED_AT = 6
"""Survivors of one pass over one reading that are solved for, those with the most votes."""
ALL_ORDERS = 4
"""Up to so many channels every order of them is tried, above it the reversed one only."""
CROWD = 4096
"""Survivors after which a search gives up: the data cannot tell conventions apart."""
REGION = 1 << 18
"""Samples of the image that the hypotheses of one block may meet, for each of the output's."""


@dataclass(frozen=True)
class Pass:
    """One pass over the space: how samples are voted on, and which windows are tried.

    ``bits`` is what a hypothesis of it takes at least, beside its reading. ``usual`` tries the ways
    that most layers go and no others, ``orders`` other orders of the channels, ``outputs`` every
    filter for each output channel, ``far`` dilations above the common ones; ``modes`` are the
    paddings', ``seed`` draws other samples, where those of before may have been damaged;
    ``centred`` takes the filters without their mean, which is near the zero point of unsigned
    ones. The others are those of :func:`axes.ways`.
    """

    bits: float
    judge: str
    modes: tuple[str, ...] = ("constant",)
    orders: bool = False
    outputs: bool = False
    usual: bool = False
    far: bool = False
    everywhere: bool = False
    wide: bool = False
    circular: bool = False
    outside: bool = False
    mixed: bool = False
    conjugate: bool = False
    centred: bool = False
    seed: int = 0


OTHERS = ("edge", "reflect", "symmetric", "wrap")
PASSES = (
    Pass(0, "plain", usual=True),
    Pass(2, "line", usual=True),
    Pass(0, "plain"),
    Pass(2, "plain", conjugate=True),
    Pass(4, "line"),
    Pass(5, "plain", modes=OTHERS, everywhere=True),
    *(Pass(4 + seed, "line", seed=seed) for seed in (1, 2, 3, 4)),
    Pass(6, "plain", circular=True, modes=("wrap",)),
    Pass(6, "line", centred=True),
    Pass(6, "plain", far=True, usual=True),
    Pass(6, "plain", far=True, everywhere=True),
    Pass(6, "plain", outside=True),
    Pass(7, "plain", orders=True),
    Pass(8, "line", far=True, usual=True),
    Pass(8, "line", far=True, everywhere=True),
    Pass(8, "folded", usual=True),
    Pass(9, "line", outside=True),
    Pass(9, "line", modes=OTHERS, everywhere=True),
    Pass(10, "line", orders=True),
    Pass(10, "line", outputs=True),
    Pass(12, "folded"),
    Pass(14, "folded", far=True, usual=True),
    Pass(12, "plain", mixed=True),
    Pass(13, "plain", wide=True),
    Pass(14, "line", mixed=True),
    Pass(15, "line", wide=True),
    Pass(15, "line", circular=True, modes=("wrap",)),
)
"""From what is common to what is rare."""
COMMON = (Pass(0, "plain"), Pass(4, "line"))
"""Those that are tried of arrays whose memory was read as another layout."""


@dataclass(frozen=True)
class Channels:
    """One way to lead the image's channels to the filters', and output ``output`` to a filter."""

    order: tuple[int, ...] | None
    flip: tuple[str, ...]
    shift: int = 0


@dataclass(frozen=True)
class Found:
    """A hypothesis that explains bits of the samples."""

    convention: Convention
    votes: float


def applies(one: Pass, reading: Reading, traits: Traits) -> bool:
    """Whether a pass has anything to try on a reading."""
    channels, outputs = reading.image.shape[1], reading.output.shape[1]
    if reading.is_reread and one not in COMMON:
        return False
    if one.conjugate and reading.bank.dtype.kind != "c":
        return False
    if one.centred and reading.bank.dtype.kind != "u":
        return False
    if one.outputs and outputs == 1:
        return False
    if one.orders and (channels == 1 or (channels > ALL_ORDERS and reading.base.groups == 1)):
        return False
    if one.far and max(reading.taps) == 1:
        return False
    if (one.wide or one.outside or one.mixed) and max(reading.taps) > IMAGE:
        return False
    return not (one.judge == "folded" and traits.bulk[0] < 0)


def volume(one: Pass, reading: Reading) -> int:
    """How many hypotheses a pass has of a reading."""
    return _volume(one, reading.sizes)


@lru_cache(1 << 14)  # most readings have the sizes of others
def _volume(one: Pass, sizes: Sizes) -> int:
    taps = sizes.bank[2:]
    each = [_counted(_ways(one, sizes, a), n > 1, one.far) for a, n in enumerate(taps)]
    alone = [a for a, n in enumerate(taps) if one.far and n == 1]
    alike = [counts for a, counts in enumerate(each) if a not in alone]
    together = set.intersection(*map(set, alike))
    count = sum(math.prod(counts[d] for counts in alike) for d in together)
    count *= math.prod(each[a].total() for a in alone)
    return count * len(one.modes) * len(_channels(one, sizes))


@lru_cache(4096)
def _counted(some: tuple[Way, ...], two: bool, far: bool) -> Counter[int]:
    """The options of an axis by their dilation, where that is to be alike for all axes."""
    counts = Counter[int]()
    for way in some:
        counts[way.dilation if far else 0] += way.count * (2 if two else 1)
    return counts


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
    channels = _channels(one, reading.sizes)
    bank = _bank(one, reading, channels, samples[:, 1])
    for planes, taps, depth, rows, columns, mode in _blocks(one, reading, samples, bank):
        block = Block(planes, taps, rows, columns)
        considered += block.size
        some = list(block.survivors(judge))
        survived += len(some)
        for r, c, k, voted in nlargest(LOOKED_AT, some, key=lambda s: s[3]):
            found.append((voted, (channels[k], [*depth, (rows, r), (columns, c)], mode)))
        if survived > CROWD or time.perf_counter() > ends:
            break
    best = sorted(found, key=lambda f: -f[0])[:LOOKED_AT]
    return [Found(_convention(one, reading, *rest), v) for v, rest in best], considered


def _judge(one: Pass, values: Array, channels: Array, traits: Traits) -> Judge:
    if one.judge == "plain":
        step = 0.75 if traits.whole else 0.0
        spread = max(traits.spread, float(np.std(values)), 1e-300)
        return votes.plain(values, spread, max(step, 2.0**-24 * spread), traits.modulus)
    return votes.line(values, channels, folded=one.judge == "folded")


def _channels(one: Pass, sizes: Sizes) -> list[Channels]:
    channels, inputs, groups = sizes.image[1], sizes.bank[1], sizes.groups
    grouped = groups > 1
    orders: list[tuple[int, ...] | None] = [None]
    if one.orders:
        identity = tuple(range(channels))
        if channels <= ALL_ORDERS:
            orders = [p for p in permutations(identity) if p not in (identity, identity[::-1])]
        else:
            dealt = np.reshape(identity, (groups, -1)).T.ravel().tolist()
            back = np.reshape(identity, (-1, groups)).T.ravel().tolist()
            orders = [tuple(dealt), tuple(back)]
    elif channels > 1 and (grouped or channels <= ALL_ORDERS):
        orders.append(tuple(range(channels))[::-1])
    flips: list[tuple[str, ...]] = [()]
    if inputs > 1 and (grouped or channels > ALL_ORDERS):
        flips.append(("I",))  # with few channels and one group it is one of the orders
    shifts = range(sizes.output[1]) if one.outputs else (0,)
    return [Channels(o, f, s) for o in orders for f in flips for s in shifts]


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
    return table(_ways(one, reading.sizes, a), samples[:, 2 + a].tolist(), size, kernel)


def _ways(one: Pass, sizes: Sizes, a: int) -> tuple[Way, ...]:
    taps = sizes.bank[2:]
    size, kernel, outputs = sizes.image[2 + a], taps[a], sizes.output[2 + a]
    dilations: tuple[int, ...] = DILATIONS
    if one.far:
        deep, long = len(taps) == 3, max(taps) > LONG
        return far_ways(size, kernel, outputs, deep=deep, long=long, usual=one.usual)
    if one.usual:
        return usual_ways(size, kernel, outputs)
    if len(taps) == 3 and not one.wide:
        dilations = DILATIONS[:2]  # the others with what is rarer
    return ways(
        size,
        kernel,
        outputs,
        dilations=dilations,
        wide=one.wide,
        circular=one.circular,
        outside=one.outside,
        mixed=one.mixed,
    )


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
