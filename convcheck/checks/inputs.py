"""What every check asks of its arrays before it computes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention.channels import spatial
from convcheck.errors import InputError
from convcheck.rounding import blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[Any]
Shape = tuple[int, ...]


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


def image_and_bank(image: Array, filters: Array, rank: int | None = None) -> tuple[Array, Array]:
    """The image as (C,*S) and the filters as (K,C,*F), checked to fit each other.

    An image without its channel axis has one channel. Filters of one axis less are one filter;
    those of two axes less are one filter of a one-channel image.

    Args:
        image: (C,*S), or (*S) for one channel.
        filters: (K,C,*F), (C,*F) or (*F).
        rank: how many spatial axes there are; None where the two shapes are to tell.

    Raises:
        InputError: other numbers of axes, channels that differ, a filter larger than the image,
            shapes that can be read with other numbers of spatial axes.
    """
    check_numbers("IMG", image)
    check_numbers("W", filters)
    if rank not in (None, 1, 2, 3):
        raise InputError(
            "the number of spatial axes is unfit",
            got=repr(rank),
            expected="1, 2 or 3",
            hint="leave the rank out: the shapes tell",
        )
    found = choose_rank(image.shape, filters.shape) if rank is None else rank
    x_shape, w_shape = read_shapes(image.shape, filters.shape, found)
    return image.reshape(x_shape), filters.reshape(w_shape)


def choose_rank(image: Shape, filters: Shape) -> int:
    """How many spatial axes the two shapes have: two where that is possible.

    Raises:
        InputError: they fit with no number of spatial axes; or with three, while they are what
            2-D arrays look like that lie otherwise.
    """
    trouble = None
    for rank in (2, 1, 3):
        if len(image) - rank not in (0, 1) or len(filters) - rank not in (0, 1, 2):
            continue
        try:
            read_shapes(image, filters, rank)
        except InputError as error:
            trouble = trouble or error
        else:
            hint = _mistaken(image, filters) if rank == 3 else None
            if hint is None:
                return rank
            raise InputError(
                "IMG and W can be read as 3-D, but also as 2-D arrays that lie otherwise",
                got=f"IMG {shape_text(image)} and W {shape_text(filters)}",
                expected="arrays that can be read in one way",
                hint=f"--rank 3 if they are 3-D; else {hint}",
            )
    if trouble is not None:
        raise trouble
    raise InputError(
        "IMG and W have numbers of axes that do not go together",
        got=f"IMG of {_axes_text(image)}; W of {_axes_text(filters)}",
        expected=f"for 2-D IMG {image_axes(2)} and W {filter_axes(2)}; an axis less of each for "
        "1-D, one more for 3-D",
        hint="save both with their axes: img.reshape(C, H, W), w.reshape(K, C, Fh, Fw)",
    )


def other_reading(image: Shape, filters: Shape) -> str | None:
    """Said of arrays that were read as 2-D, of one channel, where 1-D of several fits too."""
    if len(image) != 2:
        return None
    try:
        read_shapes(image, filters, 1)
    except InputError:
        return None
    channels = "1 channel" if image[0] == 1 else f"{image[0]} channels"
    return (
        f"IMG and W are read as 2-D, an image {shape_text(image)} of one channel; "
        f"--rank 1 reads them as 1-D, {channels} of {image[1]}"
    )


def read_shapes(image: Shape, filters: Shape, rank: int) -> tuple[Shape, Shape]:
    """The shapes (C,*S) and (K,C,*F) of arrays that are read with so many spatial axes.

    Raises:
        InputError: the arrays do not fit, each by itself or each other.
    """
    for name, shape, more, form in (
        ("IMG", image, (0, 1), image_axes(rank)),
        ("W", filters, (0, 1, 2), filter_axes(rank)),
    ):
        if len(shape) - rank not in more:
            raise InputError(
                f"{name} has the wrong number of axes",
                got=_axes_text(shape),
                expected=form,
                hint=_batch(image, filters)
                or f"save it with its axes, or another --rank than {rank}",
            )
    x: Shape = (1,) * (rank + 1 - len(image)) + image
    w: Shape = (1,) * (rank + 2 - len(filters)) + filters
    if w[1] != x[0]:
        hint = _batch(image, filters) or _channels_hint(image, filters, rank)
        raise InputError(
            "IMG and W have different numbers of channels",
            got=f"IMG {shape_text(image)} has {x[0]}, W {shape_text(filters)} has {w[1]}",
            expected="as many channels in a filter as in the image",
            hint=hint or "save both with the same number of channels",
        )
    _check_fits(x, w)
    return x, w


def image_axes(rank: int) -> str:
    """(C, H, W), or (H, W) for one channel."""
    letters = ", ".join(spatial(rank))
    return f"(C, {letters}), or ({letters}) for one channel"


def filter_axes(rank: int) -> str:
    """(K, C, Fh, Fw), and what may be left out of it."""
    letters = _taps(rank)
    return (
        f"(K, C, {letters}), or (C, {letters}) for one filter, "
        f"or ({letters}) for an image of one channel"
    )


def shape_text(shape: Sequence[int]) -> str:
    """3x5x5."""
    return "x".join(map(str, shape)) if shape else "scalar"


def _axes_text(shape: Shape) -> str:
    axes = "1 axis" if len(shape) == 1 else f"{len(shape)} axes"
    return f"shape {shape_text(shape)}, {axes}"


def place_names(rank: int) -> str:
    """The letters by which an element (k, y, x) of an output of so many spatial axes is found."""
    return "k" + "zyx"[-rank:]


def _taps(rank: int) -> str:
    return ", ".join(f"F{letter.lower()}" for letter in spatial(rank))


def _check_fits(x: Shape, w: Shape) -> None:
    pairs = list(zip(w[2:], x[1:], strict=True))
    if all(taps <= size for taps, size in pairs):
        return
    swapped = all(taps >= size for taps, size in pairs)
    hint = (
        "pad the image, or give the two the other way round (scipy.signal.convolve would silently "
        "swap the operands and slide the image over the filter)"
        if swapped
        else "pad the image, or take a smaller filter (scipy.signal.convolve refuses this pair: "
        "neither fits inside the other)"
    )
    raise InputError(
        "W is larger than IMG, so no window of the image is complete",
        got=f"a filter of {shape_text(w[2:])} and an image of {shape_text(x[1:])}",
        expected="a filter no larger than the image along any axis",
        hint=hint,
    )


def _mistaken(image: Shape, filters: Shape) -> str | None:
    """What to do where arrays that fit as 3-D look like 2-D ones whose axes lie otherwise."""
    if len(image) > 3 or len(filters) > 4:
        return _batch(image, filters)
    return _order_hint(image, filters, 2)


def _batch(image: Shape, filters: Shape) -> str | None:
    """What to do where the image looks like a batch of 2-D images."""
    if len(image) != 4 or len(filters) not in (3, 4) or image[1] != filters[-3]:
        return None
    if any(taps > size for taps, size in zip(filters[-2:], image[-2:], strict=True)):
        return None
    how = "drop the batch axis" if image[0] == 1 else "compare one image of the batch at a time"
    return f"{how}: save img[0]"


def _channels_hint(image: Shape, filters: Shape, rank: int) -> str | None:
    """What to do where the channels differ."""
    channels = image[0] if len(image) > rank else 1
    taps = _taps(rank)
    if len(filters) == rank:
        count = {1: "one axis", 2: "two axes", 3: "three axes"}[rank]
        return f"a filter of {count} fits an image of one channel only; save W as (C, {taps})"
    if len(filters) == rank + 1 and channels == 1:
        return f"a bank of filters for one channel is (K, 1, {taps}): save w[:, None]"
    if len(filters) == rank + 2 and filters[1] == 1 and filters[0] % channels == 0:
        return "filters of one channel each look depthwise: compare one channel, img[c], at a time"
    return _order_hint(image, filters, rank)


def _order_hint(image: Shape, filters: Shape, rank: int) -> str | None:
    """What to do where the channels of one of the arrays are along another of its axes."""
    channels = image[0] if len(image) > rank else 1
    inputs = filters[-rank - 1] if len(filters) > rank else 1
    bank, stacked = len(filters) == rank + 2, len(image) == rank + 1
    sizes, taps, axes = ", ".join(spatial(rank)), _taps(rank), range(rank)
    last_first = f"transpose{(rank, *axes)}"
    banked = f"w.transpose{(rank + 1, rank, *axes)}"
    single = len(filters) == rank + 1
    if single and filters[rank] == channels:
        return f"W looks like ({taps}, C): save w.{last_first}"
    if bank and filters[rank] == channels:
        return f"W looks like ({taps}, C, K), TensorFlow's {spatial(rank)}IO: save {banked}"
    if bank and filters[rank + 1] == channels:
        moved = f"w.transpose{(0, rank + 1, *(1 + axis for axis in axes))}"
        return f"W looks like (K, {taps}, C), O{spatial(rank)}I: save {moved}"
    if stacked and image[rank] == inputs:
        return f"IMG looks like ({sizes}, C): save img.{last_first}"
    if bank and filters[0] == channels:
        swapped = f"w.transpose{(1, 0, *(2 + axis for axis in axes))}"
        return f"W looks like (C, K, {taps}), IO{spatial(rank)}: save {swapped}"
    if stacked and bank and image[rank] == filters[rank]:
        return (
            f"both look like TensorFlow's, ({sizes}, C) and {spatial(rank)}IO: "
            f"save img.{last_first} and {banked}"
        )
    if stacked and single and image[rank] == filters[rank]:
        return f"both look like ({sizes}, C): save img.{last_first} and w.{last_first}"
    return None
