"""Arrays too large to be held: their sums rectangle by rectangle of the output.

The grid follows from the shapes alone. An area reads what its windows meet of the mapped image, so
memory does not grow with the picture.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.patch import patch, source
from convcheck.checks.sums import Linear, Sent
from convcheck.checks.tiles import (
    FIXED_BYTES,
    PROCESS_BYTES,
    TILE_BYTES,
    Plan,
    Tile,
    largest,
    split,
    within,
)
from convcheck.engine import (
    arrange_filters,
    check_order,
    correlate,
    output_shape,
    stored_image,
)
from convcheck.errors import InputError
from convcheck.pool import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from convcheck.checks.sums import Problem
    from convcheck.convention import Convention
    from convcheck.pool import Workers

Array = NDArray[Any]
R = TypeVar("R")

PER_SAMPLE, PER_OUTPUT = 24, 128
"""Bytes that judging takes at its peak: for a sample of the image, and for an element of OUT."""
WHOLE_BYTES = 128 << 20
"""What may be taken to judge an output as a whole; above, it is judged in areas."""


class Area(Linear):
    """What :class:`Linear` is, for a rectangle (N,O,H,W) of the output alone."""

    def __init__(
        self, problem: Problem, convention: Convention, tile: Tile, precision: str | None = None
    ) -> None:
        self.part = _slices(tile)
        self.tile, self.shown = tile, self.part[2:]
        super().__init__(problem, convention, precision)

    def again(self, convention: Convention, precision: str | None = None) -> Area:
        """The same rectangle under another convention."""
        return Area(self.problem, convention, self.tile, precision)

    def cut(self, output: Array) -> Array:
        """This rectangle of a whole output (N,O,H,W), as a view."""
        return output[self.part]

    def _filters(self) -> Array:
        whole = super()._filters()
        self._each = len(whole) // self.convention.groups
        return whole[self.part[1]]

    def _outputs(self) -> tuple[int, ...]:
        return tuple(part.stop for part in self.part[2:])

    def _sums(self, how: Callable[[Array], Array], w: Array, c: Convention) -> Array:
        x = stored_image(self.problem.image, c)
        batch, outputs, *_ = self.part
        groups = -(-outputs.stop // self._each) - outputs.start // self._each
        first = outputs.start // self._each * w.shape[1]
        some = slice(first, first + groups * w.shape[1])
        # Channels out of order one by one: together they would be read as a copy of the image.
        order = c.channel_order
        views = [x[batch, some]] if order is None else [x[batch, i : i + 1] for i in order[some]]
        rows, columns = (
            source(c, axis, x.shape[2 + axis], _reach(c, axis, part, w.shape[2 + axis]))
            for axis, part in enumerate(self.part[2:])
        )
        parts = [patch(view, rows, columns, c, how) for view in views]
        met = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return correlate(met, w, c.stride, c.dilation, groups)


def _reach(c: Convention, axis: int, part: slice, kernel: int) -> Array:
    """The places that the windows of some outputs meet, all that lie between them too."""
    first = part.start * c.stride[axis] - c.padding[axis][0]
    last = (part.stop - 1) * c.stride[axis] - c.padding[axis][0]
    return np.arange(first, last + c.dilation[axis] * (kernel - 1) + 1)


def areas(problem: Problem, convention: Convention, shape: Sequence[int]) -> Iterator[Area]:
    """Every area of an output of ``shape`` (N,O,H,W), one at a time; progress is told of each."""
    for tile in _told(problem, tiled(problem, convention, shape).tiles):
        yield Area(problem, convention, tile)


def handed_out(
    function: Callable[..., R], problem: Problem, convention: Convention, *more: Any
) -> Iterator[R]:
    """``function(problem, convention, tile, *more)`` for every area of an output (N,O,H,W).

    In any order, by the problem's workers, where it has some and they have the files; progress is
    told of each.

    Raises:
        InputError: a cluster was asked for, and its workers cannot have the arrays.
    """
    workers = problem.workers
    if workers and not problem.light:
        if workers.cluster:
            raise InputError(
                "large arrays are not sent to the workers of a cluster with every tile",
                got="an array from an archive, from stdin or from a picture",
                expected="arrays that are .npy files, which the workers open themselves",
                hint="save each to a .npy file, or run it on this machine, without --dask",
            )
        workers = None
    plan = tiled(problem, convention, problem.output.shape, workers=workers)
    executor = workers.executor(plan.jobs, plan.seconds) if workers else None
    if executor is None:
        here = (function(problem, convention, tile, *more) for tile in plan.tiles)
        yield from _told(problem, here)
        return
    sent = Sent.of(problem)
    work = ((function, sent, convention, tile, *more) for tile in plan.tiles)
    yield from _told(problem, run(_there, work, executor=executor, jobs=plan.jobs))


def _there(function: Callable[..., R], sent: Sent, *more: Any) -> R:
    result = function(sent.opened(), *more)
    sent.check()
    return result


def tiled(
    problem: Problem,
    convention: Convention,
    shape: Sequence[int],
    *,
    workers: Workers | None = None,
) -> Plan:
    """The areas of an output of ``shape`` (N,O,H,W); progress is told that they begin."""
    x = stored_image(problem.image, convention)
    bank = arrange_filters(problem.filters, convention, x.shape[1])
    item = problem.arithmetic.dtype.itemsize
    plan = grid(
        convention,
        x.shape[1],
        bank.shape,
        shape,
        item=item,
        memory=problem.memory,
        jobs=workers.jobs if workers else 1,
        remote=workers is not None and workers.remote,
    )
    if problem.progress is not None:
        problem.progress.begin(plan)
    return plan


def _told(problem: Problem, items: Iterable[R]) -> Iterator[R]:
    for item in items:
        yield item
        if problem.progress is not None:
            problem.progress.advance()


def _slices(tile: Tile) -> tuple[slice, ...]:
    return tuple(slice(a, a + n) for a, n in zip(tile.first, tile.sizes, strict=True))


def shape_of(problem: Problem, convention: Convention) -> tuple[int, ...]:
    """The (N,O,H,W) that a convention gives.

    Raises:
        InputError: shapes that the convention does not fit.
    """
    plain = convention.replace(output_layout="NOHW", channel_order=None)  # which needs no copy
    check_order(convention, stored_image(problem.image, plain).shape[1])
    return output_shape(problem.image.shape, problem.filters.shape, plain)


def is_large(problem: Problem, shape: Sequence[int] | None = None) -> bool:
    """Whether the arrays are judged in areas, as what a whole takes is too much.

    ``shape`` is the output's, where the problem has none.
    """
    size = problem.output.size if shape is None else math.prod(shape)
    took = PER_SAMPLE * problem.image.size + PER_OUTPUT * size
    room = WHOLE_BYTES if problem.memory is None else problem.memory - PROCESS_BYTES
    return took > min(WHOLE_BYTES, room)


def grid(
    convention: Convention,
    channels: int,
    bank_shape: Sequence[int],
    shape: Sequence[int],
    *,
    item: int = 8,
    memory: int | None = None,
    jobs: int = 1,
    remote: bool = False,
) -> Plan:
    """The areas of an output of ``shape`` (N,O,H,W), and what one takes.

    ``channels`` are the image's, ``bank_shape`` (O,I,H,W); ``item`` the bytes of a number. An area
    has filters of one group, or whole groups. ``jobs``, ``memory`` and ``remote`` are those of
    :func:`tiles.within`.
    """
    batch, count, height, width = shape
    each, inputs = count // convention.groups, bank_shape[1]
    taps = inputs * bank_shape[2] * bank_shape[3]

    def peak(filters: int, rows: int, columns: int) -> int:
        area = 1
        for axis, n in enumerate((rows, columns)):
            extent = convention.dilation[axis] * (bank_shape[2 + axis] - 1) + 1
            area *= (n - 1) * convention.stride[axis] + extent
        met = min(channels, -(-filters // each) * inputs) * area
        numbers = PER_SAMPLE * met + PER_OUTPUT * filters * rows * columns + 8 * taps * columns
        return FIXED_BYTES + item // 8 * numbers

    # A square that is not all halo says how many filters share its windows.
    low, across = min(32, height), min(32, width)
    filters = largest(count, lambda n: peak(n, low, across) <= TILE_BYTES)
    filters = filters // each * each or filters
    columns = largest(width, lambda n: peak(filters, low, n) <= TILE_BYTES)
    rows = largest(height, lambda n: peak(filters, n, columns) <= TILE_BYTES)
    banks = [(0, count)]
    if filters < count:
        step = max(filters, each)
        banks = [
            (first + k, n)
            for first in range(0, count, step)
            for k, n in split(min(step, count - first), filters)
        ]
    tiles = tuple(
        Tile((image, k, y, x), (1, n, h, w))
        for image, (y, h), (x, w), (k, n) in product(
            range(batch), split(height, rows), split(width, columns), banks
        )
    )
    seconds = 1e-9 * batch * count * height * width * (0.2 * taps + 30) * (item // 8)
    each = peak(filters, rows, columns)
    return within(tiles, each, seconds, memory=memory, jobs=jobs, remote=remote)
