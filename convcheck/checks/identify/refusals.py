"""Why three shapes can be no convolution, in words that say what to look at."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from convcheck.checks.inputs import shape_text
from convcheck.errors import InputError

Array = NDArray[Any]


def no_reading(image: Array, filters: Array, output: Array) -> InputError:
    """Which constraint no layout, grouping or batch satisfies."""
    return InputError(
        "no convention connects these shapes",
        got=_shapes(image, filters, output),
        expected="the image's channels equal to those of a filter (or of its groups together), and "
        "as many output channels as there are filters, in some order of the axes",
        hint=_mismatched_axis(image, filters, output),
    )


def no_size(image: Array, filters: Array, output: Array) -> InputError:
    """Channels and filters fit, but the output's spatial sizes do not."""
    return InputError(
        "no stride, dilation or padding gives OUT its size",
        got=_shapes(image, filters, output),
        expected="sizes for each of which a window still meets the image",
        hint="the sizes of channels and filters do fit: check whether OUT was cropped, resized or "
        "stitched together, or is the output of several layers",
    )


def no_output(image: Array, filters: Array, output: Array) -> None:
    """Refuse W where it is as large as OUT, and nearly as large as IMG: no kernel is."""
    large = [
        n for n, most in zip(filters.shape[-2:], image.shape[-2:], strict=False) if 2 * n > most
    ]
    if filters.shape != output.shape or len(large) < 2 or min(filters.shape[-2:]) <= KERNEL:
        return
    raise InputError(
        "W has the shape of an output",
        got=_shapes(image, filters, output),
        expected="filters: kernels that are smaller than the image",
        hint="W may be another output, given in the filters' place",
    )


KERNEL = 7
"""Rows and columns that a kernel has at most, where it is as large as an output."""


def _shapes(image: Array, filters: Array, output: Array) -> str:
    named = (("IMG", image), ("W", filters), ("OUT", output))
    return ", ".join(f"{name} {shape_text(array.shape)}" for name, array in named)


def _mismatched_axis(image: Array, filters: Array, output: Array) -> str:
    if filters.ndim > 2 and not set(filters.shape) & set(image.shape) and 1 not in filters.shape:
        return "no axis of W is as long as an axis of IMG, so none can be the channels of both"
    if filters.ndim == 4 and not set(filters.shape) & set(output.shape):
        return "no axis of W is as long as an axis of OUT, so none can count the filters"
    return "check that W and OUT belong to this image, and that no axis was dropped or added"
