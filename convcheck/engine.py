"""The engine: what a convention says, done with numpy and one matrix product.

The steps are the convention's own, in its order; each is a function over a list of spatial axes,
so that 1-D and 3-D need no other engine. Arrays inside have the axes N, C (or O, I), then the
spatial ones.

Large kernels go through an FFT where its bound is so small that rounding makes the sums exact.
Elsewhere there is none: its error is bounded by norms of the whole image, not by n times S of an
element, and whoever calls the engine relies on the bound of a sum, which holds for every element
alone.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from convcheck import fourier
from convcheck.convention import CORRELATION, PRECISIONS, Convention
from convcheck.errors import InputError
from convcheck.rounding import Arithmetic, choose_arithmetic

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[Any]

GROWN = 4 << 30
"""Bytes that zeros between samples and padding may blow an image up to; above, 4 times its size."""
BLOCK = 1 << 20
"""Elements of one window matrix, at most: this much memory is taken, however large the picture."""
CACHE, WIDE = 1 << 17, 2048
"""Elements that stay in the cache between copy and product; columns that BLAS is fast with."""


def convolve(image: Array, filters: Array, convention: Convention = CORRELATION) -> Array:
    """The result that ``convention`` makes from ``image`` and ``filters``.

    The axes of all three arrays are those of the convention's layouts. The arithmetic is float64
    (complex128), or int64 for integers that float64 could not add exactly; the last step rounds
    to the convention's own arithmetic.

    Raises:
        InputError: shapes that the convention does not fit.
    """
    image, filters = np.asarray(image), np.asarray(filters)
    x = arrange_image(image, convention)
    w = arrange_filters(filters, convention, x.shape[1])
    work = choose_arithmetic(_with_border(x, convention), w)
    padded = pad(spread(work.cast(x), convention.input_dilation), convention)
    y = sums(padded, work.cast(w), convention, work)
    return arrange_output(finish(y, convention), convention)


def magnitude(image: Array, filters: Array, convention: Convention) -> NDArray[np.float64]:
    """S: the convention's sums over absolute values, in the output's layout; no bias, no scale."""
    x = arrange_image(_absolute(image), convention)
    w = arrange_filters(_absolute(filters), convention, x.shape[1])
    padded = pad(
        spread(x, convention.input_dilation),
        convention.replace(padding_value=abs(convention.padding_value)),
    )
    y = correlate(padded, w, convention.stride, convention.dilation, convention.groups)
    return arrange_output(y, convention)


def output_shape(
    image_shape: Sequence[int], filter_shape: Sequence[int], convention: Convention
) -> tuple[int, ...]:
    """The shape that :func:`convolve` gives for arrays of these shapes, or its error."""
    image = np.broadcast_to(np.uint8(0), tuple(image_shape))
    x = arrange_image(image, convention)
    bank = np.broadcast_to(np.uint8(0), tuple(filter_shape))
    w = arrange_filters(bank, convention, x.shape[1])
    sizes = _output_sizes(
        [
            (n - 1) * gap + 1 + sum(pads)
            for n, gap, pads in zip(
                x.shape[2:], convention.input_dilation, convention.padding, strict=True
            )
        ],
        w.shape[2:],
        convention.stride,
        convention.dilation,
    )
    y = np.broadcast_to(np.uint8(0), (x.shape[0], w.shape[0], *sizes))
    return arrange_output(y, convention).shape


def arrange_image(image: Array, convention: Convention) -> Array:
    """The image as N, C, H, W with its channels in ``channel_order``; a view where possible."""
    x = stored_image(image, convention)
    order = convention.channel_order
    if order is None:
        return x
    check_order(convention, x.shape[1])
    return x[:, list(order)]


def stored_image(image: Array, convention: Convention) -> Array:
    """The image as N, C, H, W with its channels as they are stored: a view."""
    _check_rank("image", image, convention.image_layout)
    return to_axes(image, convention.image_layout, "NCHW")


def check_order(convention: Convention, channels: int) -> None:
    """Raise :class:`InputError` unless ``channel_order`` is one of so many channels."""
    order = convention.channel_order
    if order is not None and len(order) != channels:
        raise InputError(
            "channel_order does not fit the image",
            got=f"{len(order)} channels in channel_order, {channels} in the image",
            expected="a permutation of the image's channels",
        )


def arrange_filters(filters: Array, convention: Convention, channels: int) -> Array:
    """The bank as O, I, H, W with O over all outputs and I the inputs of one group."""
    layout = convention.filter_layout
    _check_rank("filter bank", filters, layout)
    w = to_axes(filters, layout.replace("M", "O"), "OIHW")
    if convention.kernel_transposed:
        w = w.swapaxes(2, 3)
    w = np.flip(w, tuple(1 + "IHW".index(axis) for axis in convention.flip))
    groups = convention.groups
    outputs, inputs = w.shape[:2]
    if layout == "HW":
        w = np.broadcast_to(w, (groups, *w.shape[1:]))  # one kernel shared by all groups
    elif inputs == channels and groups > 1 and channels % groups == 0:
        # A transposed convolution's bank: O counts one group's outputs, I all the channels.
        per_group = w.reshape(outputs, groups, channels // groups, *w.shape[2:])
        w = per_group.swapaxes(0, 1).reshape(groups * outputs, *per_group.shape[2:])
    adds_up = layout == "HWIM" and groups != channels
    if w.shape[1] * groups != channels or w.shape[0] % groups or adds_up:
        raise InputError(
            "the filters do not fit the image's channels",
            got=f"filters {filters.shape} read as {layout}, {outputs} filters of {inputs} "
            f"channels; groups: {groups}; an image of {channels} channels",
            expected="a group for each channel, as HWIM does not add channels up"
            if adds_up
            else "as many channels in a filter as in a group of the image, "
            "and a number of filters that the groups divide",
        )
    return w


def spread(x: Array, gaps: Sequence[int]) -> Array:
    """The image with ``gap - 1`` zeros between neighbouring samples, none after the last."""
    if all(gap == 1 for gap in gaps):
        return x
    sizes = [(n - 1) * gap + 1 for n, gap in zip(x.shape[2:], gaps, strict=True)]
    _check_growth(x, sizes, "the zeros between its samples")
    wide = np.zeros((*x.shape[:2], *sizes), x.dtype)
    samples: Any = (..., *(slice(None, None, gap) for gap in gaps))
    wide[samples] = x
    return wide


def pad(x: Array, convention: Convention) -> Array:
    """The image padded by ``padding_mode``, then cropped where the padding is negative.

    In this order a mode such as ``wrap`` continues the whole image, whatever is cropped elsewhere.
    """
    padding = convention.padding
    for size, pads in zip(x.shape[2:], padding, strict=True):
        if size + sum(pads) < 1:
            raise InputError(
                "the padding crops the whole image away", got=f"{pads} on an axis of {size}"
            )
    widths = [(0, 0), (0, 0), *((max(a, 0), max(b, 0)) for a, b in padding)]
    if any(map(any, widths)):
        grown = [n + sum(width) for n, width in zip(x.shape[2:], widths[2:], strict=True)]
        _check_growth(x, grown, "the padding")
        x = _padded(x, widths, convention)
    crop = [
        slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape[2:], padding, strict=True)
    ]
    kept: tuple[Any, ...] = (..., *crop)
    inner: Array = x[kept]
    return inner


def _check_growth(x: Array, sizes: Sequence[int], by: str) -> None:
    took = prod(x.shape[:2]) * prod(sizes) * max(x.itemsize, 8)
    if took > max(GROWN, 4 * x.nbytes):
        raise InputError(
            f"{by} would make the image too large to be held in memory",
            got=f"{took:,} bytes, {'x'.join(map(str, sizes))} samples a channel",
            expected=f"at most {max(GROWN, 4 * x.nbytes):,} bytes",
        )


def _with_border(x: Array, convention: Convention) -> Array:
    """The numbers that the sums are made of: the image's, and one that it is padded with."""
    value = convention.padding_value
    if value == 0:
        return x
    border = np.min_scalar_type(int(value)).type(value) if is_whole(value) else value
    return np.append(x, border)


def is_whole(value: float) -> bool:
    """Whether it is an integer that int64 can hold."""
    return abs(value) < 2**63 and value == int(value)


def _padded(x: Array, widths: Sequence[tuple[int, int]], convention: Convention) -> Array:
    mode: Any = convention.padding_mode
    if mode != "constant":
        return np.pad(x, widths, mode=mode)
    value = convention.padding_value
    if x.dtype.kind in "biu" and not is_whole(value):
        x = x.astype(np.float64)
    return np.pad(x, widths, constant_values=x.dtype.type(value))


def sums(x: Array, w: Array, convention: Convention, arithmetic: Arithmetic) -> Array:
    """:func:`correlate` of a padded image and an arranged bank in the arithmetic that they have.

    It is done by FFT where that is sooner and makes no difference to any element. A border of other
    numbers than 0 may be no multiple of the arithmetic's quantum.
    """
    stride, dilation, groups = convention.stride, convention.dilation, convention.groups
    plain = x.ndim == 4 and groups == 1 and {*stride, *dilation} == {1}
    exact = arithmetic.exact and convention.padding_value == 0
    if plain and exact and x.dtype == w.dtype == np.float64:
        _output_sizes(x.shape[2:], w.shape[2:], stride, dilation)
        if fourier.wins(x.shape[1:], w.shape, 1):
            found = [fourier.sums(image, w, [()], arithmetic) for image in x]
            if None not in found:
                return np.stack([values[0] for values, _ in filter(None, found)])
    return correlate(x, w, stride, dilation, groups)


def correlate(
    x: Array, w: Array, stride: Sequence[int], dilation: Sequence[int], groups: int = 1
) -> Array:
    """Cross-correlation, nothing padded: x (N,C,*S) by w (O,C/groups,*F) gives (N,O,*out)."""
    spatial = range(2, x.ndim)
    sizes = _output_sizes(x.shape[2:], w.shape[2:], stride, dilation)
    inputs, outputs = w.shape[1], w.shape[0] // groups
    dtype = np.result_type(x, w)
    y = np.empty((x.shape[0], w.shape[0], *sizes), dtype)
    taps, row = inputs * prod(w.shape[2:]), prod(sizes[1:])
    bank = np.ascontiguousarray(w, dtype).reshape(groups, outputs, taps)
    # As many rows as are good for the cache and for BLAS; if that is all, as many groups.
    most = block(taps)
    band = min(sizes[0], max(1, most // (taps * row)))
    some = min(groups, max(1, most // (taps * row * sizes[0])))
    steps = [x.strides[a] * s for a, s in zip(spatial, stride, strict=True)]
    reaches = [x.strides[a] * d for a, d in zip(spatial, dilation, strict=True)]
    each = (slice(None),) * (1 + len(w.shape[1:]))
    pointwise = taps == inputs and all(s == 1 for s in stride)
    space = None
    for image, result in zip(x, y.reshape(len(x), groups, outputs, -1), strict=True):
        # (groups, I, *F, *out): every window, as a view.
        windows = as_strided(
            image,
            (groups, inputs, *w.shape[2:], *sizes),
            (inputs * image.strides[0], image.strides[0], *reaches, *steps),
            writeable=False,
        )
        if pointwise and image.flags.c_contiguous and image.dtype == dtype:
            np.matmul(bank, image.reshape(groups, inputs, -1), out=result)
            continue
        if space is None:
            space = np.empty(some * taps * band * row, dtype)
        for group, first in product(range(0, groups, some), range(0, sizes[0], band)):
            part = windows[group : group + some][(*each, slice(first, first + band))]
            matrix = space[: part.size].reshape(part.shape)
            matrix[...] = part
            np.matmul(
                bank[group : group + some],
                matrix.reshape(len(part), taps, -1),
                out=result[group : group + some, :, first * row : (first + band) * row],
            )
    return y


def block(taps: int) -> int:
    """Elements of the window matrix for filters of so many taps, unless one row has more."""
    return min(BLOCK, max(CACHE, WIDE * taps))


def finish(y: Array, convention: Convention) -> Array:
    """Scale, bias and activation, then the convention's arithmetic."""
    if convention.scale != 1.0:
        y = y * convention.scale
    if convention.bias is not None:
        if len(convention.bias) != y.shape[1]:
            raise InputError(
                "the bias does not fit the filters",
                got=f"{len(convention.bias)} numbers for {y.shape[1]} output channels",
                expected="one number an output channel",
            )
        y = y + np.asarray(convention.bias).reshape(-1, *(1 for _ in y.shape[2:]))
    if convention.activation == "relu":
        y = np.maximum(y, 0)
    return round_to(y, convention.arithmetic)


def round_to(y: Array, arithmetic: str) -> Array:
    """The array as ``arithmetic`` stores it: a precision, or an integer that wraps or saturates."""
    if arithmetic in PRECISIONS:
        return _round_to_precision(y, arithmetic)
    how, _, name = arithmetic.partition(":")
    dtype = np.dtype(name)
    limits = np.iinfo(dtype)
    whole = y.dtype.kind in "biu"  # older numpys would make floats of them
    if how == "saturate":
        return np.clip(y if whole else np.rint(y), limits.min, limits.max).astype(dtype)
    remainder: Array = np.mod(y if whole else np.trunc(y), 2 ** (8 * dtype.itemsize))
    return remainder.astype(np.int64).astype(dtype)


def arrange_output(y: Array, convention: Convention) -> Array:
    """N, O, H, W as the output's layout; an axis that the layout lacks must have length 1."""
    layout = convention.output_layout
    for axis, size in zip("NOHW", y.shape, strict=True):
        if axis not in layout and size != 1:
            raise InputError(
                f"the output does not fit the layout {layout}",
                got=f"{size} along {axis}",
                expected="a layout that has the axis, such as NOHW",
            )
    kept = [axis for axis in "NOHW" if axis in layout]
    y = y.reshape([n for axis, n in zip("NOHW", y.shape, strict=True) if axis in layout])
    return y.transpose([kept.index(axis) for axis in layout])


def _check_rank(operand: str, array: Array, layout: str) -> None:
    if array.ndim != len(layout) or array.size == 0:
        raise InputError(
            f"the {operand} does not fit the layout {layout}",
            got=f"shape {array.shape}",
            expected=f"{len(layout)} axes, none of them empty",
        )


def to_axes(array: Array, layout: str, axes: str) -> Array:
    """The array with its axes in the order ``axes``; those that the layout lacks get length 1."""
    present = [axis for axis in axes if axis in layout]
    moved = array.transpose([layout.index(axis) for axis in present])
    sizes = dict(zip(present, moved.shape, strict=True))
    return moved.reshape([sizes.get(axis, 1) for axis in axes])


def _output_sizes(
    sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[int]:
    extents = [d * (f - 1) + 1 for f, d in zip(kernel, dilation, strict=True)]
    for size, extent in zip(sizes, extents, strict=True):
        if size < extent:
            raise InputError(
                "the filter is larger than the padded image",
                got=f"a filter that spans {tuple(extents)}, a padded image of {tuple(sizes)}",
                expected="a filter that fits inside",
            )
    return [(n - e) // s + 1 for n, e, s in zip(sizes, extents, stride, strict=True)]


def _absolute(array: Array) -> NDArray[np.float64]:
    if array.dtype.kind == "c":
        return np.abs(array.astype(np.complex128))
    return np.abs(array.astype(np.float64))


def _round_to_precision(y: Array, arithmetic: str) -> Array:
    if arithmetic == "exact":
        return y
    if y.dtype.kind == "c":
        wide = y.astype(np.complex128)
        wide.real = _round_to_precision(wide.real, arithmetic)
        wide.imag = _round_to_precision(wide.imag, arithmetic)
        narrow: Array = wide if arithmetic == "float64" else wide.astype(np.complex64)
        return narrow
    if arithmetic in ("tf32", "bfloat16"):
        # Round to nearest even on the bits that a float32 has more than these formats.
        dropped = np.uint32(13 if arithmetic == "tf32" else 16)
        bits = y.astype(np.float32).view(np.uint32)
        odd = (bits >> dropped) & np.uint32(1)
        half = (np.uint32(1) << (dropped - np.uint32(1))) - np.uint32(1)
        rounded = ((bits + half + odd) >> dropped) << dropped
        return rounded.view(np.float32)
    with np.errstate(over="ignore"):
        return y.astype(arithmetic)
