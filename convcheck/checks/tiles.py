"""One comparison in tiles: each is judged alone, and the judgements merge in any order.

A tile is a box of the output for a slice of filters. The grid follows from the shapes alone,
never from the memory or the workers, because an FFT rounds differently in another tile: so the
report is the same, byte for byte, however it was computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from convcheck.engine import BLOCK, block
from convcheck.errors import InputError
from convcheck.fourier import wins

Array = NDArray[Any]
Grid = tuple[list[tuple[int, int]], ...]

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
    """Where a tile begins in the output (K,*out) or (N,K,*out), and its size there."""

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
    """The tiles for an image (C,*S) and a bank (K,C,*F), and how many workers fit in memory.

    ``remote`` workers take none of this machine's.

    Raises:
        InputError: less memory than one tile takes.
    """
    count, channels, *kernel = bank_shape
    outputs = tuple(n - f + 1 for n, f in zip(image_shape[1:], kernel, strict=True))
    taps = channels * math.prod(kernel)
    item = 16 if complex_data else 8
    margins = [0 if direct else 2 * (f - 1) for f in kernel]

    def peak(filters: int, *sizes: int) -> int:
        """Bytes: the image twice, the filters and the oracle's results; its transforms, or ours."""
        area, elements = math.prod(image(sizes)), math.prod(sizes)
        transforms = 0 if direct else 5 * space(sizes) + elements
        if by_fft(filters, sizes):
            made = (6 * channels + 4) * area + (decompositions + 3) * elements
        else:
            column = taps + decompositions * filters
            at_once = band(column, sizes) * math.prod(sizes[1:])
            made = (column + 4 * filters) * at_once
        bank = (decompositions + 3) * filters * taps
        held = 2 * channels * area + bank + filters * elements + filters * elements // 8
        return item * (held + max(transforms, made))

    def image(sizes: Sequence[int]) -> tuple[int, ...]:
        return tuple(n + f - 1 for n, f in zip(sizes, kernel, strict=True))

    def space(sizes: Sequence[int]) -> int:
        """Points of the oracle's transforms, of which all channels but one are dropped."""
        return (2 * channels - 1) * math.prod(n + m for n, m in zip(sizes, margins, strict=True))

    def by_fft(filters: int, sizes: Sequence[int]) -> bool:
        if direct or complex_data:
            return False  # as rows are mostly sums there, which take more
        return wins((channels, *image(sizes)), (filters, *bank_shape[1:]), decompositions)

    def cut(filters: int) -> Grid:
        """Tiles of so many filters each, as large as fit, and as near to cubes."""

        def fits(*sizes: int) -> bool:
            return peak(filters, *map(min, sizes, outputs)) <= TILE_BYTES

        side = largest(max(outputs), lambda n: fits(*(n for _ in outputs)))
        sizes = [min(side, length) for length in outputs]
        for axis, length in enumerate(outputs):

            def along(n: int, axis: int = axis) -> bool:
                return fits(*sizes[:axis], n, *sizes[axis + 1 :])

            sizes[axis] = largest(length, along)
        return (split(count, filters), *map(split, outputs, sizes, margins))

    def taken(grid: Grid) -> float:
        """About how many nanoseconds of one core a grid takes, where it matters which it is."""
        filters, *sizes = (parts[-1][1] for parts in grid)
        tile = 2e5 * filters + 5e5
        if not direct:
            tile += 3 * filters * transform(space(sizes))
        if by_fft(filters, sizes):
            one = transform(math.prod(image(sizes)))
            tile += one * (1.5 * channels + filters * (0.75 * channels + decompositions + 0.5))
        else:
            tile += 1.5 * taps * math.prod(sizes)
        return tile * math.prod(map(len, grid))

    def transform(points: int) -> float:
        return 0.5 * points * math.log2(points + 1)

    # Filters share the windows of a tile; fewer of them leave a larger tile.
    halves = dict.fromkeys(-(-count >> n) for n in range(count.bit_length()))
    filters, *axes = min((cut(filters) for filters in halves), key=taken)
    tiles = tuple(
        Tile(*map(tuple, zip(part, *place, strict=True)))
        for *place, part in product(*axes, filters)
    )
    each = max(peak(*tile.sizes) for tile in tiles)
    # Nanoseconds of one core of a machine of these years; nobody relies on more than their order.
    oracle = taps if direct else 35 * channels
    work = count * math.prod(outputs) * (oracle + decompositions * (0.25 * taps + 15))
    return within(tiles, each, 1e-9 * work * (item // 8), memory=memory, jobs=jobs, remote=remote)


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


def split(length: int, most: int, margin: int = 0) -> list[tuple[int, int]]:
    """Starts and sizes of parts that are as equal as can be, each of at most ``most``.

    Where each goes through an FFT with a ``margin`` of zeros it may be a few parts more, if their
    transforms have lengths that take less time in all.
    """
    parts = least = -(-length // most)
    if margin and parts > 1:
        from scipy.fft import next_fast_len

        def taken(parts: int) -> int:
            return parts * int(next_fast_len(-(-length // parts) + margin, real=True))

        parts = min(range(least, least + 2 + least // 4), key=taken)
    edges = [length * i // parts for i in range(parts + 1)]
    return [(a, b - a) for a, b in pairwise(edges)]


def band(column: int, sizes: Sequence[int]) -> int:
    """How many rows of a tile of such sizes are summed and judged at once, to stay in the cache.

    ``column`` is how many numbers there are to each of its elements: samples, and results.
    """
    return min(sizes[0], max(1, 2 * block(column) // (column * math.prod(sizes[1:]))))


def keep_freed_memory() -> None:
    """Make glibc keep what is freed for the next array, as getting it anew is half of scipy's time.

    It raises its thresholds for that to the largest array that was freed (mallopt(3),
    M_MMAP_THRESHOLD). This one is never touched, so it takes no memory; elsewhere it does nothing.
    """
    np.empty(31 * MIB, np.uint8)


def parts(x: Array, w: Array, tiles: tuple[Tile, ...]) -> Iterator[tuple[Array, Array, Tile]]:
    """What each tile needs of image and bank: views, so that nothing is read before its turn."""
    _, _, *kernel = w.shape
    for tile in tiles:
        (k, *corner), (filters, *sizes) = tile.first, tile.sizes
        part = tuple(slice(a, a + n + f - 1) for a, n, f in zip(corner, sizes, kernel, strict=True))
        yield x[(slice(None), *part)], w[k : k + filters], tile
