"""Every way to read three arrays' axes in which their sizes can belong to one convolution."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import permutations
from typing import Any, NamedTuple

from numpy.typing import NDArray

from convcheck.convention import Convention
from convcheck.convention.channels import read_filters, reread, spatial, to_axes
from convcheck.score import layout_bits, usual_layouts

Array = NDArray[Any]


class Sizes(NamedTuple):
    """The shapes of a reading: image (N,C,*S), bank (O,I,*F) and output (N,O,*S)."""

    image: tuple[int, ...]
    bank: tuple[int, ...]
    output: tuple[int, ...]
    groups: int


@dataclass(frozen=True)
class Reading:
    """Three arrays with their axes named, and how many groups the channels fall into.

    ``image`` (N,C,*S) and ``output`` (N,O,*S) are views; ``filters`` is as stored. ``base`` is the
    convention of the layouts and groups alone, ``bits`` what it takes to say them.
    """

    base: Convention
    bits: float
    image: Array = field(repr=False)
    filters: Array = field(repr=False)
    output: Array = field(repr=False)

    @cached_property
    def bank(self) -> Array:
        """The filters as O, I and the spatial axes; I counts the channels of one group."""
        return read_filters(self.filters, self.base, self.image.shape[1])

    @cached_property
    def sizes(self) -> Sizes:
        """What the space of hypotheses depends on."""
        return Sizes(self.image.shape, self.bank.shape, self.output.shape, self.base.groups)

    @property
    def is_reread(self) -> bool:
        """Whether the memory of the image or of the filters is read as another layout."""
        return self.base.image_memory is not None or self.base.filter_memory is not None

    @property
    def taps(self) -> tuple[int, ...]:
        """The kernel's length along every spatial axis."""
        return self.bank.shape[2:]

    @property
    def terms(self) -> int:
        """The products in one output element."""
        return math.prod(self.bank.shape[1:])


def readings(image: Array, filters: Array, output: Array) -> list[Reading]:
    """The readings whose batch, channels and filters fit, the plainest layouts first.

    The sizes of the spatial axes are left to the search. The image's are named in the order in
    which they are stored: another order of all three arrays says the same.
    """
    found = [reading for rank in (1, 2, 3) for reading in _of_rank(rank, image, filters, output)]
    return sorted(found, key=lambda r: r.bits)


def _of_rank(rank: int, image: Array, filters: Array, output: Array) -> Iterator[Reading]:
    axes = spatial(rank)
    plain = _layouts(image.ndim, axes, "NC", ordered=True)
    images: list[tuple[str, str | None, Array]] = [
        (layout, None, to_axes(image, layout, "NC" + axes)) for layout in plain
    ]
    for layout, memory in _memories("image", image, axes):
        images.append((layout, memory, to_axes(*reread(image, layout, memory), "NC" + axes)))
    outputs = [
        (layout, to_axes(output, layout, "NC" + axes))
        for layout in _layouts(output.ndim, axes, "NC")
    ]
    banks: list[tuple[str, str | None]] = [
        (layout, None) for layout in _layouts(filters.ndim, axes, "OI")
    ]
    usual = usual_layouts("image", axes), usual_layouts("filters", axes)
    for filter_layout, filter_memory in [*banks, *_memories("filters", filters, axes)]:
        sizes = dict(zip(filter_layout, filters.shape, strict=True))
        bank = sizes.get("O", 1), sizes.get("I", 1)
        for image_layout, image_memory, x in images:
            if filter_memory and (image_memory or image_layout not in usual[0]):
                continue
            if image_memory and filter_layout not in usual[1]:
                continue
            for output_layout, y in outputs:
                if x.shape[0] != y.shape[0]:
                    continue
                if (image_memory or filter_memory) and output_layout not in usual[0]:
                    continue
                for groups in _groups(filter_layout, bank, x.shape[1], y.shape[1]):
                    named = filter_layout
                    depthwise = groups == x.shape[1] > 1 and bank[1] == groups
                    if depthwise and named == axes + "IO" and filter_memory is None:
                        named = axes + "IM"  # what TensorFlow calls depthwise
                    base = Convention(
                        image_layout=image_layout,
                        filter_layout=named,
                        output_layout=output_layout,
                        image_memory=image_memory,
                        filter_memory=filter_memory,
                        groups=groups,
                    )
                    yield Reading(base, layout_bits(base), x, filters, y)


LARGE = 1 << 26
"""Bytes of an array above which it is not copied to be read otherwise."""


def _memories(operand: str, array: Array, axes: str) -> Iterator[tuple[str, str]]:
    """The layouts of software, and others as which the memory of each may have been read.

    Only where that reads other elements: of the same sizes in the same order it is a plain layout.
    """
    if not array.flags.c_contiguous and array.nbytes > LARGE:
        return
    usual = [layout for layout in usual_layouts(operand, axes) if len(layout) == array.ndim]
    bare = tuple(n for n in array.shape if n > 1)
    told = set()
    for layout in usual:
        sizes = dict(zip(layout, array.shape, strict=True))
        for memory in usual:
            if set(memory) != set(layout):
                continue
            order = tuple((axis, sizes[axis]) for axis in memory if sizes[axis] > 1)
            if tuple(n for _, n in order) != bare and order not in told:
                told.add(order)
                yield layout, memory


def _layouts(ndim: int, axes: str, others: str, *, ordered: bool = False) -> list[str]:
    """Every order of the spatial axes and of so many of the ``others`` as there are axes left."""
    beside = ndim - len(axes)
    if not 0 <= beside <= len(others):
        return []
    chosen = [others] if beside == len(others) else list(others) if beside else [""]
    every = ("".join(p) for some in chosen for p in permutations(some + axes))
    if not ordered:
        return list(every)
    return [a for a in every if "".join(letter for letter in a if letter in axes) == axes]


def _groups(layout: str, bank: Sequence[int], channels: int, outputs: int) -> Iterator[int]:
    """The group counts with which a bank (O, I) takes ``channels`` to ``outputs``."""
    out, inp = bank
    if inp == channels and out == outputs:
        yield 1
    if "O" not in layout and "I" not in layout:
        if channels > 1 and outputs == channels:
            yield channels  # one kernel shared by all channels
    elif inp < channels and channels % inp == 0 and out == outputs:
        if out % (channels // inp) == 0:
            yield channels // inp
    elif inp == channels and outputs % out == 0:
        groups = outputs // out
        if groups > 1 and channels % groups == 0:
            yield groups
