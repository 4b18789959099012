"""One comparison in tiles: each is judged alone, and the judgements merge in any order.

A tile is a rectangle of the output for a slice of filters. The grid follows from the shapes alone,
never from the memory or the workers, because an FFT rounds differently in another tile: so the
report is the same, byte for byte, however it was computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from convcheck import fourier
from convcheck.checks.screen import Screen, singly
from convcheck.comparison import Comparison, merge
from convcheck.comparison import compare as judge
from convcheck.engine import BLOCK, block, correlate
from convcheck.errors import InputError
from convcheck.reference import Oracle

if TYPE_CHECKING:
    from convcheck.rounding import Arithmetic

Array = NDArray[Any]
Rows = Mapping[str, tuple[str, ...]]

MIB = 1 << 20
TILE_BYTES = 28 * MIB
"""What one tile may take at its peak; larger tiles are no faster, as they outgrow the cache."""
FIXED_BYTES = 10 * BLOCK
"""What a tile takes however small it is: the engine's window matrix, at its largest."""
PROCESS_BYTES = 64 * MIB
"""What Python with numpy and scipy takes before it has any data: this process, and each worker."""
DEFAULT_MEMORY = 256 * MIB
"""What all processes may take together, beside the mapped inputs."""


@dataclass(frozen=True)
class Tile:
    """Where a tile begins in the output (K, H, W) or (N, K, H, W), and its size there."""

    first: tuple[int, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """The tiles of one comparison and who computes them.

    ``bytes_each`` is what one tile takes, ``memory`` what all processes may take together, ``jobs``
    how many of the ``asked`` workers fit in it, ``seconds`` about how long it takes them.
    """

    tiles: tuple[Tile, ...]
    bytes_each: int
    memory: int
    jobs: int
    asked: int
    seconds: float


class Progress(Protocol):
    """Who wants to know how far work is: a search, and what is done in tiles."""

    def searched(self, hypotheses: int, most: int) -> None:
        """After each part of a search: so many hypotheses of at most so many."""

    def begin(self, plan: Plan) -> None:
        """Before the first tile."""

    def advance(self) -> None:
        """After each tile."""


@dataclass(frozen=True)
class Part:
    """What a tile contributes to the comparison; parts merge in any order.

    ``apart`` are the pairs of rows that the tile tells apart, ``wrapped`` the elements beyond the
    dtype that scipy would have computed in.
    """

    rows: tuple[Comparison, ...]
    apart: frozenset[tuple[str, str]]
    wrapped: int
    exact: bool

    def __add__(self, other: Part) -> Part:
        return Part(
            tuple(merge(pair) for pair in zip(self.rows, other.rows, strict=True)),
            self.apart | other.apart,
            self.wrapped + other.wrapped,
            self.exact and other.exact,
        )


def plan(
    image_shape: tuple[int, ...],
    bank_shape: tuple[int, ...],
    decompositions: int,
    *,
    complex_data: bool = False,
    direct: bool = False,
    memory: int | None = None,
    jobs: int = 1,
    remote: bool = False,
) -> Plan:
    """The tiles for an image (C,H,W) and a bank (K,C,Fh,Fw), and how many workers fit in memory.

    ``remote`` workers take none of this machine's.

    Raises:
        InputError: less memory than one tile takes.
    """
    count, channels, *kernel = bank_shape
    height, width = (n - f + 1 for n, f in zip(image_shape[1:], kernel, strict=True))
    taps = channels * kernel[0] * kernel[1]
    item = 16 if complex_data else 8
    windows = 10 * block(taps) * (item // 8)

    def peak(filters: int, rows: int, columns: int) -> int:
        """Bytes: the part of the image and its magnitudes, scipy's transforms, the results."""
        area = (rows + kernel[0]) * (columns + kernel[1])
        results = decompositions * filters * rows * columns
        return windows + item * (3 * channels * area + 12 * channels * area + 5 * results)

    def square(filters: int, side: int) -> int:
        return peak(filters, min(side, height), min(side, width))

    def sharing(side: int) -> int:
        return largest(count, lambda n: square(n, side) <= TILE_BYTES)

    # Filters first, as they share a tile's windows: as many as leave a tile beside which its halo
    # is small, so that time grows with the filters and no faster; or a few, if that leaves none.
    filters = max(sharing(28 * max(kernel)), min(8, sharing(32 + 4 * max(kernel))))
    side = largest(max(height, width), lambda n: square(filters, n) <= TILE_BYTES)
    rows = largest(height, lambda n: peak(filters, n, min(side, width)) <= TILE_BYTES)
    columns = largest(width, lambda n: peak(filters, min(rows, height), n) <= TILE_BYTES)
    tiles = tuple(
        Tile((k, y, x), (n, h, w))
        for y, h in split(height, rows)
        for x, w in split(width, columns)
        for k, n in split(count, filters)
    )
    each = max(peak(*tile.sizes) for tile in tiles)
    outputs = count * height * width
    # Nanoseconds of one core of a machine of these years; nobody relies on more than their order.
    oracle = taps if direct else 70 * channels
    seconds = 1e-9 * outputs * (oracle + decompositions * (0.5 * taps + 35)) * (item // 8)
    return within(tiles, each, seconds, memory=memory, jobs=jobs, remote=remote)


def within(
    tiles: tuple[Tile, ...],
    each: int,
    seconds: float,
    *,
    memory: int | None,
    jobs: int,
    remote: bool,
) -> Plan:
    """The plan of tiles that take ``each`` so many bytes, and ``seconds`` of one worker in all.

    ``memory`` is what all processes may take beside the inputs, 256 MiB where it is None. ``jobs``
    workers are asked for; ``remote`` ones take no memory of this machine.

    Raises:
        InputError: one tile takes more than that.
    """
    memory = max(DEFAULT_MEMORY, PROCESS_BYTES + each) if memory is None else memory
    if memory < PROCESS_BYTES + each:
        least = -(-(PROCESS_BYTES + each) >> 20)
        raise InputError(
            "one tile does not fit in the memory that is allowed",
            got=f"{memory >> 20} MiB",
            expected=f"at least {least} MiB for these arrays",
            hint=f"--memory {least}MiB",
        )
    fitting = jobs if remote else (memory - PROCESS_BYTES) // (PROCESS_BYTES + each)
    workers = max(1, min(jobs, fitting, len(tiles)))
    return Plan(tiles, each, memory, workers, jobs, seconds / workers)


def largest(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest whole number up to ``limit`` that fits, at least 1; fitting is monotone."""
    low, high = 1, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def split(length: int, most: int) -> list[tuple[int, int]]:
    """Starts and sizes of parts that are as equal as can be, each of at most ``most``."""
    parts = -(-length // most)
    edges = [length * i // parts for i in range(parts + 1)]
    return [(a, b - a) for a, b in pairwise(edges)]


def judge_tile(
    part: Array,
    bank: Array,
    tile: Tile,
    arithmetic: Arithmetic,
    method: str,
    rows: Rows,
    limits: tuple[int, int] | None,
) -> Part:
    """Judge every decomposition on one tile: ``part`` is what it needs of the image."""
    keep_freed_memory()
    x, w = np.ascontiguousarray(arithmetic.cast(part)), arithmetic.cast(bank)
    expected, oracle_bounds = Oracle(x, arithmetic, method).each(w)
    floors = None if oracle_bounds is None else np.array(oracle_bounds)
    # To reverse an axis of one changes nothing: rows that differ in no more are computed once.
    plain = {
        name: tuple(axis for axis in flip if w.shape[1 + "IHW".index(axis)] > 1)
        for name, flip in rows.items()
    }
    flips = tuple(dict.fromkeys(plain.values()))
    which = {name: flips.index(flip) for name, flip in plain.items()}
    case = _Case(x, w, expected, floors, arithmetic, flips, which["flipped"], tile.first)
    judged = _by_fft(case) or _by_sums(case)
    return Part(
        rows=tuple(judged.rows[which[name]] for name in rows),
        apart=frozenset(
            (a, b) for a, b in combinations(rows, 2) if {which[a], which[b]} in judged.apart
        ),
        wrapped=_count_outside(expected, limits),
        exact=case.exact,
    )


@dataclass(frozen=True)
class _Case:
    """One tile's operands, and what the oracle made of them.

    ``floors`` are how far each filter's results can be off, and None where the oracle sums: then
    the bound of a sum holds for it too. ``flips`` are those of the rows, the oracle's at ``home``;
    ``first`` is where the tile begins.
    """

    x: Array
    w: Array
    expected: Array
    floors: Array | None
    arithmetic: Arithmetic
    flips: tuple[tuple[str, ...], ...]
    home: int
    first: tuple[int, ...]

    @property
    def exact(self) -> bool:
        """Whether neither the oracle nor a sum is off at all."""
        return self.arithmetic.exact and (self.floors is None or not self.floors.any())

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Every two of the rows."""
        return list(combinations(range(len(self.flips)), 2))


@dataclass(frozen=True)
class _Judged:
    """Every row of a tile, and the pairs of rows that the tile tells apart."""

    rows: tuple[Comparison, ...]
    apart: frozenset[frozenset[int]]


def _by_sums(case: _Case) -> _Judged:
    """By sums of products."""
    x, w, expected, arithmetic = case.x, case.w, case.expected, case.arithmetic
    summed, exact, home, pairs = case.floors is None, case.exact, case.home, case.pairs
    floors = np.zeros(len(w)) if case.floors is None else case.floors
    banks = np.stack([np.flip(w, tuple(1 + "IHW".index(a) for a in flip)) for flip in case.flips])
    narrow = singly(x, banks, expected, arithmetic) if exact else None
    if narrow is not None:
        x, banks, expected = narrow
    values = _correlate(x, banks)
    seen: list[Comparison | None] = [None] * len(banks)
    apart: list[bool | None] = [None] * len(pairs)
    if (exact or not summed) and arithmetic.dtype.kind != "i":
        screen = Screen.of(x, banks, arithmetic, floors, home)
        if screen is not None:
            seen = [screen.judge(i, v, expected, case.first) for i, v in enumerate(values)]
            apart = [screen.apart(a, b, values) for a, b in pairs]
    if None in seen or None in apart:
        values, expected = arithmetic.cast(values), arithmetic.cast(expected)
        sizes = _sizes(x, banks, values)
        terms = w[0].size
        bounds = [arithmetic.bound(size, terms) for size in sizes]
        oracle_bound = bounds[home] if summed else floors[:, None, None]
        seen = [
            row or judge(v, expected, b + oracle_bound, np.maximum(s, sizes[home]), case.first)
            for row, v, b, s in zip(seen, values, bounds, sizes, strict=True)
        ]
        apart = [
            _differ(values[a], values[b], bounds[a], bounds[b]) if known is None else known
            for known, (a, b) in zip(apart, pairs, strict=True)
        ]
    return _Judged(
        tuple(row for row in seen if row is not None),
        frozenset(frozenset(pair) for pair, told in zip(pairs, apart, strict=True) if told),
    )


def _by_fft(case: _Case) -> _Judged | None:
    """By FFT where that is sooner and no less sharp than the oracle; None elsewhere."""
    x, w, floors, arithmetic, flips = case.x, case.w, case.floors, case.arithmetic, case.flips
    sharp = floors is not None or arithmetic.exact
    fitting = sharp and arithmetic.dtype == np.float64
    if not fitting or not fourier.wins(x.shape, w.shape, len(flips)):
        return None
    found, sized = (
        fourier.sums(image, bank, flips, arithmetic)
        for image, bank in ((x, w), (np.abs(x), np.abs(w)))
    )
    if found is None or sized is None:
        return None
    values, bounds = found
    sizes, _ = sized
    both = bounds if floors is None else bounds + floors
    limit = np.broadcast_to(both[:, None, None], case.expected.shape)
    own = sizes[case.home]
    return _Judged(
        tuple(
            judge(v, case.expected, limit, np.maximum(s, own), case.first)
            for v, s in zip(values, sizes, strict=True)
        ),
        frozenset(
            frozenset((a, b)) for a, b in case.pairs if _differ(values[a], values[b], 2 * bounds)
        ),
    )


def keep_freed_memory() -> None:
    """Make glibc keep what is freed for the next array, as getting it anew is half of scipy's time.

    It raises its thresholds for that to the largest array that was freed (mallopt(3),
    M_MMAP_THRESHOLD). This one is never touched, so it takes no memory; elsewhere it does nothing.
    """
    np.empty(31 * MIB, np.uint8)


def _differ(a: Array, b: Array, *bounds: Array) -> bool:
    """Whether rounding cannot explain all differences; mostly the first filter tells."""
    return any(
        bool(np.any(np.abs(one - other) > sum(limits)))
        for one, other, *limits in zip(a, b, *bounds, strict=True)
    )


def _correlate(x: Array, banks: Array) -> Array:
    """Every row (R,K,h,w) of filters (R,K,C,Fh,Fw): all share the engine's windows."""
    rows, count = banks.shape[:2]
    flat = banks.reshape(rows * count, *banks.shape[2:])
    values: Array = correlate(x[None], flat, (1, 1), (1, 1))[0]
    return values.reshape(rows, count, *values.shape[1:])


def _sizes(x: Array, banks: Array, values: Array) -> Array:
    """S of every row's elements."""
    if x.dtype.kind != "c" and x.min() >= 0 and banks.min() >= 0:
        return values.astype(np.float64)
    return _correlate(_magnitudes(x), _magnitudes(banks))


def _magnitudes(array: Array) -> Array:
    return np.abs(array).astype(np.float64, copy=False)


def _count_outside(values: Array, limits: tuple[int, int] | None) -> int:
    if limits is None:
        return 0
    if values.min() >= limits[0] and values.max() <= limits[1]:
        return 0
    return int(np.count_nonzero((values < limits[0]) | (values > limits[1])))


def tasks(
    x: Array,
    w: Array,
    tiles: tuple[Tile, ...],
    arithmetic: Arithmetic,
    method: str,
    rows: Rows,
    limits: tuple[int, int] | None,
) -> Iterator[tuple[Any, ...]]:
    """The arguments of :func:`judge_tile`, one tile at a time: nothing is read before its turn."""
    _, _, *kernel = w.shape
    for tile in tiles:
        (k, *corner), (filters, *sizes) = tile.first, tile.sizes
        part = tuple(slice(a, a + n + f - 1) for a, n, f in zip(corner, sizes, kernel, strict=True))
        yield x[(slice(None), *part)], w[k : k + filters], tile, arithmetic, method, rows, limits
