"""The engine: what a convention says, done with numpy and one matrix product.

The steps are the convention's own, in its order; each is a function over a list of spatial axes.
Arrays inside have the axes N, C (or O, I), then the spatial ones.

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
from numpy.typing import ArrayLike, NDArray

from convcheck import fourier
from convcheck.convention import (
    CORRELATION,
    Axis,
    Convention,
    Numbers,
    parse_partial,
    round_to,
    usual_convention,
)
from convcheck.convention.channels import read_filters, read_image, write_output
from convcheck.errors import InputError
from convcheck.rounding import Arithmetic, choose_arithmetic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Array = NDArray[Any]

GROWN = 4 << 30
"""Bytes that zeros between samples and padding may blow an image up to; above, 4 times its size."""
BLOCK = 1 << 20
"""Elements of one window matrix, at most: this much memory is taken, however large the picture."""
CACHE, WIDE = 1 << 17, 2048
"""Elements that stay in the cache between copy and product; columns that BLAS is fast with."""


def convolve(
    image: ArrayLike,
    filters: ArrayLike,
    convention: Convention | str | Mapping[str, Any] = CORRELATION,
) -> Array:
    """The result that ``convention`` makes from ``image`` and ``filters``.

    The axes of all three arrays are those of the convention's layouts. Of a slug (correlation,
    per-channel, flipped), a JSON object or a dict of keys the layouts are the usual ones for arrays
    of so many axes, where it names none. The sums are float64
    (complex128), or int64 for integers that float64 could not add exactly; operands and results
    are rounded to the convention's arithmetic, then stored as it says.

    Raises:
        InputError: shapes that the convention does not fit.
    """
    image, filters = np.asarray(image), np.asarray(filters)
    if not isinstance(convention, Convention):
        keys = parse_partial(convention)
        convention = usual_convention(image.shape, filters.shape, keys)
    x, w = operands(image, filters, convention)
    work = choose_arithmetic(with_border(x, convention), w)
    padded = pad(spread(work.cast(x), convention.input_dilation), convention)
    return write_output(
        finish(sums(padded, work.cast(w), convention, work), convention), convention
    )


def operands(image: Array, filters: Array, convention: Convention) -> tuple[Array, Array]:
    """What is multiplied: the image (N,C,*S) and the bank (O,I,*F), before zeros and padding."""
    x = prepare_image(read_image(image, convention), convention)
    w = prepare_filters(read_filters(filters, convention, x.shape[1]), convention)
    return x, w


def prepare_image(x: Array, c: Convention) -> Array:
    """An image (N,C,*S) minus ``image_offset``, times ``image_scale``, in the arithmetic."""
    if np.any(c.image_offset) or np.any(np.asarray(c.image_scale) != 1):
        offset = _each(c.image_offset, "image_offset", x, 1)
        scale = _each(c.image_scale, "image_scale", x, 1)
        x = _widened(x, offset) - offset
        x = x if np.all(scale == 1) else x * scale
    return round_to(x, c.arithmetic)


def prepare_filters(w: Array, c: Convention) -> Array:
    """A bank (O,I,*F) minus ``filter_offset``, conjugated, in the arithmetic."""
    if np.any(c.filter_offset):
        offset = _each(c.filter_offset, "filter_offset", w, 0)
        w = _widened(w, offset) - offset
    if c.conjugate:
        w = np.conj(w)
    return round_to(w, c.arithmetic)


def _widened(array: Array, offset: Array) -> Array:
    """In a dtype that has the difference: small integers would wrap."""
    return (
        array.astype(np.int64)
        if array.dtype.kind in "biu" and offset.dtype.kind == "i"
        else (array.astype(np.result_type(array, np.float64)))
    )


def _each(value: Numbers, key: str, array: Array, axis: int) -> Array:
    """A number, or one a channel, beside an array whose channels are along ``axis``."""
    numbers = np.asarray(value)
    if numbers.ndim and len(numbers) != array.shape[axis]:
        raise InputError(
            f"the {key} does not fit the arrays",
            got=f"{len(numbers)} numbers for {array.shape[axis]} channels",
            expected="one number, or one a channel",
        )
    if all(is_whole(v) for v in numbers.ravel()):
        numbers = numbers.astype(np.int64)
    return numbers.reshape(-1, *(1 for _ in array.shape[axis + 1 :]))


def magnitude(image: Array, filters: Array, convention: Convention) -> NDArray[np.float64]:
    """The convention's sums over absolute values, in the output's layout; no bias, no scale."""
    x, w = (_absolute(a) for a in operands(image, filters, convention))
    padded = pad(
        spread(x, convention.input_dilation),
        convention.replace(padding_value=abs(convention.padding_value)),
    )
    y = correlate(padded, w, convention.stride, convention.dilation, convention.groups)
    return write_output(y, convention)


def output_shape(
    image_shape: Sequence[int], filter_shape: Sequence[int], convention: Convention
) -> tuple[int, ...]:
    """The shape that :func:`convolve` gives for arrays of these shapes, or its error."""
    image = np.broadcast_to(np.uint8(0), tuple(image_shape))
    x = read_image(image, convention.replace(channel_order=None))
    bank = np.broadcast_to(np.uint8(0), tuple(filter_shape))
    w = read_filters(bank, convention, x.shape[1])
    axes = axes_of(convention, x.shape[2:], w.shape[2:])
    if any(axis.out < 1 for axis in axes):
        raise _too_large(axes)
    y = np.broadcast_to(np.uint8(0), (x.shape[0], w.shape[0], *(axis.out for axis in axes)))
    return write_output(y, convention.replace(output_order=None)).shape


def axes_of(c: Convention, sizes: Sequence[int], taps: Sequence[int]) -> tuple[Axis, ...]:
    """The spatial axes of an image of ``sizes`` by a kernel of ``taps``."""
    return tuple(
        Axis(size, count, stride, dilation, gap, pads[0], pads[1], mode, letter in c.flip)
        for letter, size, count, stride, dilation, gap, pads, mode in zip(
            c.spatial,
            sizes,
            taps,
            c.stride,
            c.dilation,
            c.input_dilation,
            c.padding,
            c.padding_modes,
            strict=True,
        )
    )


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
        modes = convention.padding_modes
        for mode in dict.fromkeys(modes):
            some = [w if i < 2 or modes[i - 2] == mode else (0, 0) for i, w in enumerate(widths)]
            x = _padded(x, some, mode, convention.padding_value)
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


def with_border(x: Array, convention: Convention) -> Array:
    """The numbers that the sums are made of: the image's, and one that it is padded with."""
    value = convention.padding_value
    if value == 0:
        return x
    border = np.min_scalar_type(int(value)).type(value) if is_whole(value) else value
    return np.append(x, border)


def is_whole(value: float) -> bool:
    """Whether it is an integer that int64 can hold."""
    return abs(value) < 2**63 and value == int(value)


def _padded(x: Array, widths: Sequence[tuple[int, int]], mode: Any, value: float) -> Array:
    if mode != "constant":
        return np.pad(x, widths, mode=mode)
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
    """Scale, bias and activation of sums (N,O,*S), in the arithmetic; then as it is stored."""
    c = convention
    if np.any(np.asarray(c.scale) != 1):
        y = y * beside(c.scale, "scale", y)
    if c.bias is not None:
        y = y + beside(c.bias, "bias", y)
    if c.activation is not None:
        y = c.activation.apply(y)
    if c.storage is not None:
        return c.storage.apply(c.storage.multiplied(y, beside(c.scale, "scale", y)))
    # Sums of TF32 operands are single precision's.
    return round_to(y, "float32" if c.arithmetic == "tf32" else c.arithmetic)


def beside(value: Numbers, key: str, y: Array) -> Array:
    """A number, or one an output channel, beside sums (N,O,*S)."""
    numbers = np.asarray(value)
    if numbers.ndim and len(numbers) != y.shape[1]:
        raise InputError(
            f"the {key} does not fit the filters",
            got=f"{len(numbers)} numbers for {y.shape[1]} output channels",
            expected="one number, or one an output channel",
        )
    return numbers.reshape(-1, *(1 for _ in y.shape[2:]))


def _output_sizes(
    sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[int]:
    axes = [Axis(*each) for each in zip(sizes, kernel, stride, dilation, strict=True)]
    if any(axis.out < 1 for axis in axes):
        raise _too_large(axes)
    return [axis.out for axis in axes]


def _too_large(axes: Sequence[Axis]) -> InputError:
    padded = tuple(axis.spread + axis.before + axis.after for axis in axes)
    return InputError(
        "the filter is larger than the padded image",
        got=f"a filter that spans {tuple(a.extent for a in axes)}, a padded image of {padded}",
        expected="a filter that fits inside",
    )


def _absolute(array: Array) -> NDArray[np.float64]:
    if array.dtype.kind == "c":
        return np.abs(array.astype(np.complex128))
    return np.abs(array.astype(np.float64))
