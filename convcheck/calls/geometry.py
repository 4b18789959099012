"""What a convention is on arrays of given shapes, in whole numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.convention import Convention

DENSE, TRANSPOSED, SHARED = "dense", "transposed", "shared"
"""Banks: O over all outputs; O over one group's outputs and I over all channels; one kernel."""


@dataclass(frozen=True)
class Axis:
    """One spatial axis: ``size`` samples, ``spread`` with the zeros between them."""

    size: int
    taps: int
    stride: int
    dilation: int
    gap: int
    before: int
    after: int

    @property
    def spread(self) -> int:
        """The length with ``gap - 1`` zeros between the samples."""
        return (self.size - 1) * self.gap + 1

    @property
    def extent(self) -> int:
        """The length that the filter spans."""
        return self.dilation * (self.taps - 1) + 1

    @property
    def out(self) -> int:
        """The number of outputs."""
        return self.outputs(self.before, self.after)

    def outputs(self, before: int, after: int) -> int:
        """The number of outputs under another padding."""
        return (self.spread + before + after - self.extent) // self.stride + 1

    def is_padded(self, before: int, after: int) -> bool:
        """Whether this padding makes the same windows: what no window touches does not count."""
        return self.before == before and self.out == self.outputs(before, after)

    @property
    def undone(self) -> tuple[int, int]:
        """Padding and output padding as a framework's transposed convolution is given them."""
        return self.extent - 1 - self.before, self.after - self.before

    def same(self) -> tuple[int, int]:
        """What SAME pads in all, as the smaller and the larger half."""
        total = (-(-self.spread // self.stride) - 1) * self.stride + self.extent - self.spread
        half = max(total, 0) // 2
        return half, max(total, 0) - half

    def is_same(self, *, lower: bool = False) -> bool:
        """Whether the padding is SAME_UPPER (or SAME_LOWER)."""
        few, many = self.same()
        steps = -(-self.spread // self.stride)
        return self.before == (many if lower else few) and self.out == steps


@dataclass(frozen=True)
class Geometry:
    """A convention with the sizes of its operands."""

    convention: Convention
    batch: int
    channels: int
    outputs: int
    inputs: int
    bank: str
    axes: tuple[Axis, Axis]

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
    def filter_axes(self) -> str:
        """The letters of the stored filters as they are read, swapped H and W included."""
        return filter_axes(self.convention)

    @property
    def kernel(self) -> tuple[int, int]:
        """Rows and columns of a kernel."""
        return self.axes[0].taps, self.axes[1].taps

    @property
    def padding(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """What is added before and after each axis; negative crops."""
        rows, columns = self.axes
        return (rows.before, rows.after), (columns.before, columns.after)

    @property
    def added(self) -> tuple[tuple[int, int], ...]:
        """The padding without what it crops."""
        return tuple((max(a, 0), max(b, 0)) for a, b in self.padding)

    @property
    def crops(self) -> bool:
        """Whether a side is cropped."""
        return any(pad < 0 for pads in self.padding for pad in pads)

    @property
    def spreads(self) -> bool:
        """Whether zeros stand between the image's samples."""
        return any(axis.gap > 1 for axis in self.axes)

    @property
    def fills(self) -> bool:
        """Whether something other than zeros is padded."""
        c = self.convention
        return any(map(any, self.added)) and (c.padding_mode != "constant" or c.padding_value != 0)

    def is_padded(self, *pads: tuple[int, int]) -> bool:
        """Whether this padding, one pair an axis, makes the same windows."""
        return all(axis.is_padded(*pad) for axis, pad in zip(self.axes, pads, strict=True))


def filter_axes(convention: Convention) -> str:
    """The filter layout's letters, O for M, with H and W swapped where the kernel is."""
    letters = convention.filter_layout.replace("M", "O")
    if convention.kernel_transposed:
        letters = letters.translate(str.maketrans("HW", "WH"))
    return letters


def measure(
    convention: Convention, image_shape: Sequence[int], filter_shape: Sequence[int]
) -> Geometry:
    """The sizes of a convention on arrays of these stored shapes.

    Raises:
        InputError: shapes that the convention does not fit.
    """
    c = convention
    image = _sizes("image", c.image_layout, image_shape)
    filters = _sizes("filters", filter_axes(c), filter_shape, c.filter_layout)
    channels, outputs, inputs = image["C"], filters["O"], filters["I"]
    bank = DENSE
    if c.filter_layout == "HW" and c.groups > 1:
        bank, outputs = SHARED, c.groups
    elif inputs == channels and c.groups > 1 and channels % c.groups == 0:
        bank, outputs, inputs = TRANSPOSED, outputs * c.groups, channels // c.groups
    axes = tuple(
        Axis(image[name], filters[name], *rest)
        for name, *rest in zip(
            "HW",
            c.stride,
            c.dilation,
            c.input_dilation,
            (pads[0] for pads in c.padding),
            (pads[1] for pads in c.padding),
            strict=True,
        )
    )
    fits = inputs * c.groups == channels and outputs % c.groups == 0
    if not fits or any(axis.spread + axis.before + axis.after < axis.extent for axis in axes):
        raise InputError(
            "the convention does not fit the arrays",
            got=f"an image {tuple(image_shape)} and filters {tuple(filter_shape)}",
            expected="filters of the channels of one group, no larger than the padded image",
        )
    return Geometry(c, image["N"], channels, outputs, inputs, bank, (axes[0], axes[1]))


def _sizes(
    operand: str, letters: str, shape: Sequence[int], layout: str | None = None
) -> dict[str, int]:
    if len(letters) != len(shape) or not all(n > 0 for n in shape):
        raise InputError(
            f"the {operand} does not fit the layout {layout or letters}",
            got=f"shape {tuple(shape)}",
            expected=f"{len(letters)} axes, none of them empty",
        )
    sizes = dict.fromkeys("NCOIHW", 1)
    sizes.update((name, int(n)) for name, n in zip(letters, shape, strict=True))
    return sizes
