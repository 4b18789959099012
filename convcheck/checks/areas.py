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

from convcheck.checks.patch import patch
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
from convcheck.convention.channels import check_order, read_filters, read_output, stored_image
from convcheck.engine import axes_of, correlate, output_shape, prepare_image
from convcheck.errors import InputError
from convcheck.pool import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from convcheck.checks.sums import Problem
    from convcheck.convention import Axis, Convention, Numbers
    from convcheck.pool import Workers

Array = NDArray[Any]
R = TypeVar("R")

PER_SAMPLE, PER_OUTPUT = 24, 128
"""Bytes that judging takes at its peak: for a sample of the image, and for an element of OUT."""
SIDE = 32
"""Elements along an axis of a rectangle of which halos are no large part, for small kernels."""
WHOLE_BYTES = 128 << 20
"""What may be taken to judge an output as a whole; above, it is judged in areas."""


class Area(Linear):
    """What :class:`Linear` is, for a rectangle (N,O,*S) of the output alone."""

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
        """This rectangle of a whole output (N,O,*S), as a view."""
        return output[self.part]

    def _filters(self) -> Array:
        whole = super()._filters()
        self._each = len(whole) // self.convention.groups
        return whole[self.part[1]]

    def _sums(self, how: Callable[[Array], Array], w: Array, c: Convention) -> Array:
        x = stored_image(self.problem.image, c)
        batch, outputs, *shown = self.part
        groups = -(-outputs.stop // self._each) - outputs.start // self._each
        first = outputs.start // self._each * w.shape[1]
        some = slice(first, first + groups * w.shape[1])
        axes = zip(self.axes, shown, strict=True)
        places = [axis.source(_reach(axis, part)) for axis, part in axes]

        def met(read: slice, stored: slice) -> Array:
            """What the windows meet of some channels, by where they are read and stored."""
            steps = {key: _of(getattr(c, key), read) for key in ("image_offset", "image_scale")}
            here = c.replace(**steps)
            samples = x[batch, stored]
            return patch(samples, places, c.padding_value, lambda s: how(prepare_image(s, here)))

        order = c.channel_order
        if order is None:
            return correlate(met(some, some), w, c.stride, c.dilation, groups)
        # One by one: together they would be read as a copy of the image.
        each = [
            met(slice(i, i + 1), slice(order[i], order[i] + 1))
            for i in range(*some.indices(x.shape[1]))
        ]
        return correlate(np.concatenate(each, axis=1), w, c.stride, c.dilation, groups)


def _of(numbers: Numbers, channels: slice) -> Numbers:
    """Of numbers for each channel those of some channels."""
    return numbers[channels] if isinstance(numbers, tuple) else numbers


def _reach(axis: Axis, part: slice) -> Array:
    """The places that the windows of some outputs meet, all that lie between them too."""
    first, last = axis.starts(part.start, part.stop)[[0, -1]]
    return np.arange(first, last + axis.extent)


def areas(
    problem: Problem, convention: Convention, shape: Sequence[int], precision: str | None = None
) -> Iterator[Area]:
    """Every area of an output of ``shape`` (N,O,*S), one at a time; progress is told of each."""
    for tile in _told(problem, tiled(problem, convention, shape).tiles):
        yield Area(problem, convention, tile, precision)


def handed_out(
    function: Callable[..., R], problem: Problem, convention: Convention, *more: Any
) -> Iterator[R]:
    """``function(problem, convention, tile, *more)`` for every area of the problem's output.

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
    shape = read_output(problem.output, convention).shape
    plan = tiled(problem, convention, shape, workers=workers)
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
    """The areas of an output of ``shape`` (N,O,*S); progress is told that they begin."""
    x = stored_image(problem.image, convention)
    bank = read_filters(problem.filters, convention, x.shape[1])
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
    """The (N,O,*S) that a convention gives.

    Raises:
        InputError: shapes that the convention does not fit.
    """
    c = convention.replace(output_layout="NC" + convention.spatial)
    shape = output_shape(problem.image.shape, problem.filters.shape, c)
    x = stored_image(problem.image, c)
    check_order("channel_order", c.channel_order, x.shape[1])
    prepare_image(x[:0], c)  # which raises where its numbers are not one a channel
    check_order("output_order", c.output_order, shape[1])
    return shape


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
    """The areas of an output of ``shape`` (N,O,*S), and what one takes.

    ``channels`` are the image's, ``bank_shape`` (O,I,*F); ``item`` the bytes of a number. An area
    has filters of one group, or whole groups. ``jobs``, ``memory`` and ``remote`` are those of
    :func:`tiles.within`.
    """
    batch, count, *lengths = shape
    each, inputs = count // convention.groups, bank_shape[1]
    taps = math.prod(bank_shape[1:])
    # What an area meets does not depend on where it lies: axes without borders will do.
    axes = axes_of(convention, lengths, bank_shape[2:])

    def peak(filters: int, sizes: Sequence[int]) -> int:
        reach = [(n - 1) * axis.stride + axis.extent for n, axis in zip(sizes, axes, strict=True)]
        met = min(channels, -(-filters // each) * inputs) * math.prod(reach)
        # A window matrix has one row at least.
        numbers = PER_SAMPLE * met + PER_OUTPUT * filters * math.prod(sizes)
        return FIXED_BYTES + item // 8 * (numbers + 8 * taps * math.prod(sizes[1:]))

    # A square that is not all halo says how many filters share its windows.
    sizes = [min(SIDE, n) for n in lengths]
    filters = largest(count, lambda n: peak(n, sizes) <= TILE_BYTES)
    filters = filters // each * each or filters
    for axis in reversed(range(len(sizes))):

        def fits(n: int, axis: int = axis) -> bool:
            return peak(filters, [*sizes[:axis], n, *sizes[axis + 1 :]]) <= TILE_BYTES

        sizes[axis] = largest(lengths[axis], fits)
    banks = [(0, count)]
    if filters < count:
        step = max(filters, each)
        banks = [
            (first + k, n)
            for first in range(0, count, step)
            for k, n in split(min(step, count - first), filters)
        ]
    parts = [split(n, most) for n, most in zip(lengths, sizes, strict=True)]
    tiles = tuple(
        Tile((image, k, *(at for at, _ in corner)), (1, n, *(size for _, size in corner)))
        for image, corner, (k, n) in product(range(batch), product(*parts), banks)
    )
    seconds = 1e-9 * batch * count * math.prod(lengths) * (0.2 * taps + 30) * (item // 8)
    took = peak(filters, sizes)
    return within(tiles, took, seconds, memory=memory, jobs=jobs, remote=remote)
