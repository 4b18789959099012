"""Layouts, orders, groups and flips: arrays as they are stored, and as a convolution reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.convention.record import Convention

Array = NDArray[Any]

SPATIAL = "DHW"
"""The letters of the spatial axes: W alone in 1-D, H W in 2-D."""
DENSE, TRANSPOSED, SHARED = "dense", "transposed", "shared"
"""Banks: O over all outputs; O over one group's outputs and I over all channels; one kernel."""


def spatial(rank: int) -> str:
    """The spatial letters of so many axes."""
    return SPATIAL[len(SPATIAL) - rank :]


def to_axes(array: Array, layout: str, axes: str) -> Array:
    """The array with its axes in the order ``axes``; those that the layout lacks get length 1."""
    present = [axis for axis in axes if axis in layout]
    moved = array.transpose([layout.index(axis) for axis in present])
    sizes = dict(zip(present, moved.shape, strict=True))
    return moved.reshape([sizes.get(axis, 1) for axis in axes])


def check_memory(operand: str, layout: str, memory: str | None) -> None:
    """Raise :class:`InputError` unless the memory of the layout can be read as another one's."""
    if memory is not None and sorted(memory) != sorted(layout):
        raise InputError(
            f"the convention's {operand}_memory has other axes than its {operand}_layout",
            got=f"{operand}_memory {memory!r}, {operand}_layout {layout!r}",
            expected=f"null, or the letters of {layout!r} in another order",
        )


def is_reread(layout: str, memory: str | None) -> bool:
    """Whether an array's memory is read as another layout's than its own."""
    return memory is not None and memory != layout


def reread(array: Array, layout: str, memory: str | None) -> tuple[Array, str]:
    """The array reshaped to its sizes in the order of ``memory``, and the layout that it has then.

    A view, where the array is stored in C order.
    """
    if memory is None or memory == layout:
        return array, layout
    sizes = dict(zip(layout, array.shape, strict=True))
    return array.reshape([sizes[axis] for axis in memory]), memory


def stored_image(image: Array, c: Convention) -> Array:
    """The image as N, C and the spatial axes, its channels as they are stored: a view."""
    _check_axes("image", image, c.image_layout)
    check_memory("image", c.image_layout, c.image_memory)
    return to_axes(*reread(image, c.image_layout, c.image_memory), "NC" + c.spatial)


def read_image(image: Array, c: Convention) -> Array:
    """The image as N, C and the spatial axes, its channels in ``channel_order``."""
    x = stored_image(image, c)
    check_order("channel_order", c.channel_order, x.shape[1])
    return x if c.channel_order is None else x[:, list(c.channel_order)]


def check_order(key: str, order: Sequence[int] | None, channels: int) -> None:
    """Raise :class:`InputError` unless ``order`` is one of so many channels."""
    if order is not None and len(order) != channels:
        raise InputError(
            f"{key} does not fit the arrays",
            got=f"{len(order)} channels in {key}, {channels} in the arrays",
            expected="a permutation of all channels",
        )


def bank_kind(layout: str, inputs: int, channels: int, groups: int) -> str:
    """How a stored bank whose filters have so many ``inputs`` is dealt out to the groups."""
    if groups > 1 and "O" not in layout and "I" not in layout and "M" not in layout:
        return SHARED
    transposed = groups > 1 and inputs == channels and channels % groups == 0
    return TRANSPOSED if transposed else DENSE


def read_filters(filters: Array, c: Convention, channels: int) -> Array:
    """The bank as O, I and the spatial axes, O over all outputs and I the inputs of one group.

    Its axes in ``flip`` are reversed; nothing is done to its numbers.

    Raises:
        InputError: a bank that does not fit an image of so many channels.
    """
    layout, groups = c.filter_layout, c.groups
    _check_axes("filter bank", filters, layout)
    check_memory("filter", layout, c.filter_memory)
    w, read = reread(filters, layout, c.filter_memory)
    w = to_axes(w, read.replace("M", "O"), "OI" + c.spatial)
    w = np.flip(w, tuple(1 + ("I" + c.spatial).index(axis) for axis in c.flip))
    outputs, inputs = w.shape[:2]
    kind = bank_kind(layout, inputs, channels, groups)
    if kind == SHARED:
        w = np.broadcast_to(w, (groups, *w.shape[1:]))
    elif kind == TRANSPOSED:
        per_group = w.reshape(outputs, groups, channels // groups, *w.shape[2:])
        w = per_group.swapaxes(0, 1).reshape(groups * outputs, *per_group.shape[2:])
    adds_up = "M" in layout and groups != channels
    if w.shape[1] * groups != channels or w.shape[0] % groups or adds_up:
        raise InputError(
            "the filters do not fit the image's channels",
            got=f"filters {filters.shape} read as {layout}, {outputs} filters of {inputs} "
            f"channels; groups: {groups}; an image of {channels} channels",
            expected=f"a group for each channel, as {layout} does not add channels up"
            if adds_up
            else "as many channels in a filter as in a group of the image, "
            "and a number of filters that the groups divide",
        )
    return w


def write_output(y: Array, c: Convention) -> Array:
    """N, C and the spatial axes as ``output_order`` and the output's layout have them.

    Raises:
        InputError: an axis longer than 1 that the layout lacks.
    """
    check_order("output_order", c.output_order, y.shape[1])
    if c.output_order is not None:
        y = y[:, list(c.output_order)]
    letters = "NC" + c.spatial
    for axis, size in zip(letters, y.shape, strict=True):
        if axis not in c.output_layout and size != 1:
            raise InputError(
                f"the output does not fit the layout {c.output_layout}",
                got=f"{size} along {axis}",
                expected=f"a layout that has the axis, such as NC{c.spatial}",
            )
    kept = [axis for axis in letters if axis in c.output_layout]
    y = y.reshape([n for axis, n in zip(letters, y.shape, strict=True) if axis in kept])
    return y.transpose([kept.index(axis) for axis in c.output_layout])


def read_output(output: Array, c: Convention) -> Array:
    """A stored output as N, C and the spatial axes, its channels as they were computed: a view."""
    _check_axes("output", output, c.output_layout)
    y = to_axes(output, c.output_layout, "NC" + c.spatial)
    check_order("output_order", c.output_order, y.shape[1])
    return y if c.output_order is None else y[:, np.argsort(c.output_order)]


def _check_axes(operand: str, array: Array, layout: str) -> None:
    if array.ndim != len(layout) or array.size == 0:
        raise InputError(
            f"the {operand} does not fit the layout {layout}",
            got=f"shape {array.shape}",
            expected=f"{len(layout)} axes, none of them empty",
        )
