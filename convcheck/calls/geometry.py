"""What a convention is on arrays of given shapes, in whole numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convcheck.convention.channels import (
    bank_kind,
    check_order,
    read_filters,
    reread,
    stored_image,
)
from convcheck.engine import axes_of, output_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.convention import Axis, Convention, Pair


@dataclass(frozen=True)
class Geometry:
    """A convention with the sizes of its operands.

    ``outputs`` are all of them, ``inputs`` those of one group; ``bank`` says how the stored
    filters are dealt out to the groups, as :func:`convcheck.convention.channels.bank_kind` does.
    ``image`` and ``filters`` are the operands as expressions, reshaped where their memory is read
    as another layout; that is then the convention's.
    """

    convention: Convention
    batch: int
    channels: int
    outputs: int
    inputs: int
    bank: str
    axes: tuple[Axis, ...]
    image: str = "image"
    filters: str = "filters"

    @property
    def spatial(self) -> str:
        """The letters of the spatial axes."""
        return self.convention.spatial

    @property
    def groups(self) -> int:
        """The feature groups."""
        return self.convention.groups

    @property
    def per_group(self) -> int:
        """The outputs of one group."""
        return self.outputs // self.groups

    @property
    def depthwise(self) -> bool:
        """Whether every channel is filtered by itself."""
        return self.groups == self.channels > 1

    @property
    def kernel(self) -> tuple[int, ...]:
        """The taps of a kernel along each spatial axis."""
        return tuple(axis.taps for axis in self.axes)

    @property
    def padding(self) -> tuple[Pair, ...]:
        """What is added before and after each axis; negative crops."""
        return self.convention.padding

    @property
    def added(self) -> tuple[Pair, ...]:
        """The padding without what it crops."""
        return tuple((max(a, 0), max(b, 0)) for a, b in self.padding)

    @property
    def crops(self) -> bool:
        """Whether a side is cropped."""
        return any(pad < 0 for pads in self.padding for pad in pads)

    @property
    def spreads(self) -> bool:
        """Whether zeros stand between the image's samples."""
        return any(axis.input_dilation > 1 for axis in self.axes)

    @property
    def modes(self) -> tuple[str, ...]:
        """The padding modes that add something, each once, in the order of the axes."""
        padded = zip(self.axes, self.added, strict=True)
        return tuple(dict.fromkeys(axis.mode for axis, pads in padded if any(pads)))

    @property
    def fills(self) -> bool:
        """Whether something other than zeros is padded."""
        zeros = ("constant",) if self.convention.padding_value == 0 else ()
        return not set(self.modes) <= set(zeros)

    def is_padded(self, *pads: Pair) -> bool:
        """Whether this padding, one pair an axis, makes the same windows."""
        return all(axis.is_padded(*pad) for axis, pad in zip(self.axes, pads, strict=True))


def measure(
    convention: Convention, image_shape: Sequence[int], filter_shape: Sequence[int]
) -> Geometry:
    """The sizes of a convention on arrays of these stored shapes.

    Raises:
        InputError: shapes that the convention does not fit.
    """
    c = convention
    output_shape(image_shape, filter_shape, c)
    x = stored_image(np.broadcast_to(np.uint8(0), tuple(image_shape)), c)
    batch, channels, *sizes = x.shape
    w = read_filters(np.broadcast_to(np.uint8(0), tuple(filter_shape)), c, channels)
    outputs, inputs, *taps = w.shape
    check_order("channel_order", c.channel_order, channels)
    check_order("output_order", c.output_order, outputs)
    stored = dict(zip(c.filter_layout, filter_shape, strict=True)).get("I", 1)
    bank = bank_kind(c.filter_layout, int(stored), channels, c.groups)
    image, image_layout = _read("image", image_shape, c.image_layout, c.image_memory)
    filters, filter_layout = _read("filters", filter_shape, c.filter_layout, c.filter_memory)
    axes = axes_of(c, sizes, taps)
    read = c.replace(image_layout=image_layout, filter_layout=filter_layout, **_AS_STORED)
    return Geometry(read, batch, channels, outputs, inputs, bank, axes, image, filters)


_AS_STORED = {"image_memory": None, "filter_memory": None}


def _read(name: str, shape: Sequence[int], layout: str, memory: str | None) -> tuple[str, str]:
    """An operand as its memory is read: the expression, and the layout that it has then."""
    array, layout = reread(np.broadcast_to(np.uint8(0), tuple(shape)), layout, memory)
    if array.shape != tuple(shape):
        name += f".reshape({', '.join(map(str, array.shape))})"
    return name, layout
