"""The usual single mistakes: what an implementation computes where one thing about it is wrong."""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention import INTEGERS, Convention, Storage
from convcheck.convention.deviations import Deviation, axis_name, deviations, kernel_swapped
from convcheck.convention.storage import OVERFLOWS

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = NDArray[Any]
Said = tuple[str, Convention]
"""What is done, in words, and the convention that does it."""


def mistakes(c: Convention, image: Array, filters: Array, output: Array) -> Iterator[Deviation]:
    """What may be computed by mistake in place of ``c``; the usual first, then every deviation.

    Of each, ``what`` says what the implementation does ("it leaves the stride out").

    Raises:
        InputError: arrays that the convention does not fit.
    """
    told = {c}
    for some in (
        _reversed(c),
        _left_out(c),
        _one_sided(c),
        _phases(c),
        _close(c, image, filters),
        _stored(c, output),
    ):
        for what, other in some:
            if other not in told:
                told.add(other)
                yield Deviation(what, what, other)
    for found in deviations(c, image, filters):
        if found.convention not in told:
            yield found._replace(what=f"it has {found.what}")


def _reversed(c: Convention) -> Iterator[Said]:
    axes = tuple("I" + c.spatial)
    names = {"I": "channels"} | {a: axis_name(a, c.rank) for a in c.spatial}
    usual = [axes[1:], axes, ()]
    every = [flip for n in range(1, len(axes)) for flip in combinations(axes, n)]
    for flip in [*usual, *every]:
        *most, last = [names[axis] for axis in flip] or ["no axis"]
        said = f"{', '.join(most)} and {last}" if most else last
        kernel = f"the kernel's {said}" if flip and "I" not in flip else f"{said} of the filters"
        yield f"it reverses {kernel}", c.replace(flip=flip)
    for a, b in combinations(c.spatial, 2):
        other = c.replace(**kernel_swapped(c, a, b))
        yield f"it swaps the kernel's {names[a]} and {names[b]}", other


def _left_out(c: Convention) -> Iterator[Said]:
    steps = {"stride": 1, "dilation": 1, "input_dilation": 1, "padding": 0}
    for key, nothing in {**steps, "bias": None, "scale": 1, "activation": None}.items():
        yield f"it leaves the {key.replace('_', ' ')} out", c.replace(**{key: nothing})


def _one_sided(c: Convention) -> Iterator[Said]:
    for said, padding in (
        ("it puts all of the padding after the image", [(0, a + b) for a, b in c.padding]),
        ("it puts all of the padding before the image", [(a + b, 0) for a, b in c.padding]),
        ("it pads before the image what belongs after it", [(b, a) for a, b in c.padding]),
    ):
        yield said, c.replace(padding=padding)


def _phases(c: Convention) -> Iterator[Said]:
    """Where a stride begins: at another sample of the first step along every axis."""
    for later in range(1, max(c.stride)):
        steps = [min(later, stride - 1) for stride in c.stride]
        moved = [(a - n, b + n) for n, (a, b) in zip(steps, c.padding, strict=True)]
        samples = "a sample" if later == 1 else f"{later} samples"
        yield f"its first window begins {samples} too late", c.replace(padding=moved)


def _close(c: Convention, image: Array, filters: Array) -> Iterator[Said]:
    """Windows one sample apart, and as many as there should be with the stride."""
    sizes, taps = (
        [a.shape[layout.index(axis)] for axis in c.spatial]
        for a, layout in ((image, c.image_layout), (filters, c.filter_layout))
    )
    if set(c.input_dilation) != {1} or set(c.stride) == {1}:
        return
    every = range(c.rank)
    for axes in (tuple(every), *((axis,) for axis in every)):
        stride, padding = list(c.stride), list(c.padding)
        for axis in axes:
            before, after = padding[axis]
            last = sizes[axis] + before + after - c.dilation[axis] * (taps[axis] - 1) - 1
            padding[axis] = (before, after - last + last // stride[axis])
            stride[axis] = 1
        names = " and ".join(axis_name(c.spatial[axis], c.rank) for axis in axes)
        said = f"its windows are one sample apart along {names}"
        yield said, c.replace(stride=stride, padding=padding)


def _stored(c: Convention, output: Array) -> Iterator[Said]:
    for name, how in product(INTEGERS if output.dtype.kind in "iu" else (), OVERFLOWS):
        limits = np.iinfo(name)
        if limits.min <= output.min() and output.max() <= limits.max:
            yield f"its sums {how} at {name}", c.replace(storage=Storage(name, overflow=how))
