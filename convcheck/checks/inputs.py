"""What every check asks of its arrays before it computes anything."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcheck.errors import InputError
from convcheck.rounding import blocks

Array = NDArray[Any]


def check_numbers(operand: str, array: Array, *, hint: str | None = None) -> None:
    """Raise unless ``array`` holds real or complex numbers, all finite, and at least one.

    Raises:
        InputError: another dtype, an axis of length zero, NaN or infinity.
    """
    if array.dtype.kind not in "biufc":
        raise InputError(
            f"{operand} does not hold numbers",
            got=f"dtype {array.dtype}",
            expected="bool, integer, real or complex numbers",
        )
    if array.size == 0:
        raise InputError(
            f"{operand} is empty",
            got=f"shape {shape_text(array.shape)}, an axis of length zero",
            expected="at least one element along every axis",
            hint=f"look at how {operand} was made: a slice of it may have come out empty",
        )
    if array.dtype.kind not in "fc":
        return
    found = not_finite(array)
    if found is None:
        return
    bad, first = found
    raise InputError(
        f"{operand} holds values that are not finite",
        got=f"{bad} of {array.size} elements are NaN or infinite, the first at "
        f"index {first}: {array[first]}",
        expected="finite numbers: one NaN makes every FFT result NaN and proves nothing",
        hint=hint or f"replace them, for example with numpy.nan_to_num({operand.lower()})",
    )


def not_finite(array: Array) -> tuple[int, tuple[int, ...]] | None:
    """How many elements are NaN or infinite, and the index of the first; None where none is."""
    bad, first, begun = 0, 0, 0
    for part in blocks(array):
        finite = np.isfinite(part)
        if not finite.all():
            first = first if bad else begun + int(np.argmin(finite))
            bad += int(np.count_nonzero(~finite))
        begun += part.size
    return (bad, tuple(int(i) for i in np.unravel_index(first, array.shape))) if bad else None


def image_and_bank(image: Array, filters: Array) -> tuple[Array, Array]:
    """The image as (C,H,W) and the filters as (K,C,Fh,Fw), checked to fit each other.

    An image of two axes has one channel. Filters of three axes are one filter; filters of two
    axes are one filter of a one-channel image.

    Raises:
        InputError: another rank, channels that differ, a filter larger than the image.
    """
    check_numbers("IMG", image)
    check_numbers("W", filters)
    if image.ndim not in (2, 3):
        hint = "save it with its axes: img.reshape(C, H, W)"
        if image.ndim == 4:
            one = image.shape[0] == 1
            hint = "drop the batch axis" if one else "compare one image of the batch at a time"
            hint += ": save img[0]"
            if filters.ndim == 3 and image.shape[1] == filters.shape[0]:
                hint = "IMG looks like a bank of filters: give the two the other way round"
        raise InputError(
            "IMG has the wrong number of axes",
            got=rank_text(image),
            expected="(C, H, W), or (H, W) for one channel",
            hint=hint,
        )
    x = image.reshape(1, *image.shape) if image.ndim == 2 else image
    if filters.ndim not in (2, 3, 4):
        raise InputError(
            "W has the wrong number of axes",
            got=rank_text(filters),
            expected="(K, C, Fh, Fw), or (C, Fh, Fw) for one filter, "
            "or (Fh, Fw) for an image of one channel",
            hint="save it with its axes: w.reshape(K, C, Fh, Fw)",
        )
    w = filters.reshape((1,) * (4 - filters.ndim) + filters.shape)
    if w.shape[1] != x.shape[0]:
        raise _channels_differ(image, filters, x, w)
    _check_fits(x, w)
    return x, w


def shape_text(shape: tuple[int, ...]) -> str:
    """3x5x5."""
    return "x".join(map(str, shape)) if shape else "scalar"


def rank_text(array: Array) -> str:
    """Shape 3x5x5, 3 axes."""
    axes = "1 axis" if array.ndim == 1 else f"{array.ndim} axes"
    return f"shape {shape_text(array.shape)}, {axes}"


def _check_fits(x: Array, w: Array) -> None:
    if w.shape[2] <= x.shape[1] and w.shape[3] <= x.shape[2]:
        return
    swapped = w.shape[2] >= x.shape[1] and w.shape[3] >= x.shape[2]
    hint = (
        "pad the image, or give the two the other way round (scipy.signal.convolve would silently "
        "swap the operands and slide the image over the filter)"
        if swapped
        else "pad the image, or take a smaller filter (scipy.signal.convolve refuses this pair: "
        "neither fits inside the other)"
    )
    raise InputError(
        "W is larger than IMG, so no window of the image is complete",
        got=f"a filter of {w.shape[2]}x{w.shape[3]} and an image of {x.shape[1]}x{x.shape[2]}",
        expected="a filter no larger than the image along either axis",
        hint=hint,
    )


def _channels_differ(image: Array, filters: Array, x: Array, w: Array) -> InputError:
    channels = x.shape[0]
    hint = "save both with the same number of channels"
    if filters.ndim == 2:
        hint = "a filter of two axes fits an image of one channel only; save W as (C, Fh, Fw)"
    elif filters.ndim == 3 and channels == 1:
        hint = "a bank of filters for one channel is (K, 1, Fh, Fw): save w[:, None]"
    elif filters.ndim == 4 and w.shape[1] == 1 and len(w) % channels == 0:
        hint = "filters of one channel each look depthwise: compare one channel, img[c], at a time"
    elif filters.ndim == 3 and filters.shape[2] == channels:
        hint = "W looks like (Fh, Fw, C): save w.transpose(2, 0, 1)"
    elif filters.ndim == 4 and filters.shape[2] == channels:
        hint = "W looks like (Fh, Fw, C, K), TensorFlow's HWIO: save w.transpose(3, 2, 0, 1)"
    elif filters.ndim == 4 and filters.shape[3] == channels:
        hint = "W looks like (K, Fh, Fw, C), OHWI: save w.transpose(0, 3, 1, 2)"
    elif image.ndim == 3 and image.shape[2] == w.shape[1]:
        hint = "IMG looks like (H, W, C): save img.transpose(2, 0, 1)"
    elif filters.ndim == 4 and filters.shape[0] == channels:
        hint = "W looks like (C, K, Fh, Fw), IOHW: save w.transpose(1, 0, 2, 3)"
    elif image.ndim == 3 and filters.ndim == 4 and image.shape[2] == filters.shape[2]:
        hint = (
            "both look like TensorFlow's, (H, W, C) and HWIO: save img.transpose(2, 0, 1) and "
            "w.transpose(3, 2, 0, 1)"
        )
    elif image.ndim == 3 and filters.ndim == 3 and image.shape[2] == filters.shape[2]:
        hint = "both look like (H, W, C): save img.transpose(2, 0, 1) and w.transpose(2, 0, 1)"
    return InputError(
        "IMG and W have different numbers of channels",
        got=f"IMG {shape_text(image.shape)} has {channels}, "
        f"W {shape_text(filters.shape)} has {w.shape[1]}",
        expected="as many channels in a filter as in the image",
        hint=hint,
    )
