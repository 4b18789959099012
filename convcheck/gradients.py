"""The gradients of a convolution, each as a convolution of its own with a convention.

dX is a transposed convolution of the output's gradient: the stride spreads its samples, the filters
are reversed, and their inputs and outputs are in each other's place. dW is the image correlated
with the output's gradient as filters: N and C are in each other's place, stride and dilation too.
db is the sum over the batch and the positions: a correlation with ones.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.call_text import DB, DW, DX
from convcheck.convention import Convention
from convcheck.convention.channels import to_axes
from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convcheck.convention.vocabulary import Pair

Array = NDArray[Any]

_SAME = (
    *("flip", "padding", "dilation", "stride", "groups"),
    *("scale", "bias", "arithmetic", "storage"),
)
"""Keys of a forward convolution whose gradients are known, whatever they are."""


def check_forward(forward: Convention) -> None:
    """Raise :class:`InputError` where the gradients of a convolution are not known."""
    plain = Convention(forward.image_layout, forward.filter_layout, forward.output_layout)
    plain = plain.replace(**{key: getattr(forward, key) for key in _SAME})
    image, filters = forward.image_layout, forward.filter_layout
    if (
        plain != forward
        or "I" in forward.flip
        or not ({"N", "C"} <= set(image) and {"N", "C"} <= set(forward.output_layout))
        or not {"O", "I"} <= set(filters)
        or filters.startswith("IO")
    ):
        raise InputError(
            "the gradients of what the target does are not known",
            got=f"image {image}, filters {filters}, output {forward.output_layout}",
            expected="a plain convolution of a batch of images: zero padding, no activation, "
            "no other order of channels, no stride between the image's samples",
            hint="leave --gradients out to see what it does",
        )


def outputs(forward: Convention, sizes: Sequence[int], taps: Sequence[int]) -> tuple[int, ...]:
    """The sides of a forward convolution's output."""
    axes = zip(sizes, taps, forward.padding, forward.dilation, forward.stride, strict=True)
    return tuple((n + a + b - d * (k - 1) - 1) // s + 1 for n, k, (a, b), d, s in axes)


def gradient(
    which: str,
    forward: Convention,
    sizes: Sequence[int],
    taps: Sequence[int],
    outs: Sequence[int],
) -> Convention:
    """The convention of one of ``GRADIENTS``, for an image, a kernel and an output of these sides.

    Its arrays are those of :func:`operands`. ``outs`` need not be the sides of this forward
    convolution: of another one it is what a backward pass gives that takes it for this one.
    """
    c = forward
    plain = Convention("NC" + c.spatial, "OI" + c.spatial, "NC" + c.spatial)
    plain = plain.replace(scale=c.scale, arithmetic=c.arithmetic)
    axes = [*zip(c.spatial, sizes, taps, outs, c.padding, c.dilation, c.stride, strict=True)]
    padding: list[Pair] = []
    if which == DX:
        for _, n, k, o, (before, _), d, s in axes:
            first = d * (k - 1) - before
            padding.append((first, n - 1 - (o - 1) * s + d * (k - 1) - first))
        return plain.replace(
            image_layout=c.output_layout,
            filter_layout=c.filter_layout.translate(_EXCHANGED),
            output_layout=c.image_layout,
            flip=tuple(a for a in c.spatial if a not in c.flip),
            input_dilation=c.stride,
            dilation=c.dilation,
            groups=c.groups,
            padding=padding,
        )
    if which == DB:
        return plain.replace(
            image_layout="CN" + c.spatial,
            filter_layout="I" + c.spatial,
            output_layout="N" + c.spatial,
        )
    for axis, n, k, o, (before, _), d, s in axes:
        pair = (before, d * (k - 1) + s * (o - 1) + 1 - n - before)
        padding.append(pair[::-1] if axis in c.flip else pair)
    return plain.replace(
        image_layout="CN" + c.spatial,
        filter_layout="IO" + c.spatial,
        output_layout=c.filter_layout.translate(_COUNTED),
        flip=c.flip,
        dilation=c.stride,
        stride=c.dilation,
        groups=c.groups,
        padding=padding,
    )


_EXCHANGED = str.maketrans("OI", "IO")
_COUNTED = str.maketrans("OI", "CN")
"""What counts a bank's filters, and the inputs of one, where it is an output."""


def operands(
    which: str, forward: Convention, x: Array, w: Array, upstream: Array
) -> tuple[Array, Array]:
    """What :func:`gradient` takes for an image and for filters; ``upstream`` is the output's."""
    c = forward
    if which == DX:
        return upstream, w
    dout = to_axes(upstream, c.output_layout, "NC" + c.spatial)
    if which == DB:
        return dout, np.ones((len(dout), *dout.shape[2:]), dout.dtype)
    image = to_axes(x, c.image_layout, "NC" + c.spatial)
    image = np.flip(image, tuple(2 + c.spatial.index(a) for a in c.flip))
    # Each group's channels meet the gradients of its own outputs alone.
    batch, channels, *sides = image.shape
    parted = image.reshape(batch, c.groups, channels // c.groups, *sides).swapaxes(0, 1)
    return parted.reshape(batch * c.groups, channels // c.groups, *sides), dout


def mistaken(
    which: str, forward: Convention, sizes: Sequence[int], taps: Sequence[int], batch: int
) -> Iterator[tuple[str, Convention, Convention, slice]]:
    """What a backward pass may do by mistake, the usual first.

    Each in words, with the forward convolution that its :func:`operands` are made for, the
    convention of what it gives, and the images of the batch that it takes.
    """
    c, every = forward, slice(None)
    outs = outputs(c, sizes, taps)
    right = gradient(which, c, sizes, taps, outs)
    if which == DX:
        yield "it does not reverse the kernel", c, right.replace(flip=c.flip), every
        pairs = zip(right.padding, c.padding, strict=True)
        wide = [(a + before, b + after) for (a, b), (before, after) in pairs]
        yield "it leaves the padding around the image", c, right.replace(padding=wide), every
    else:
        yield "it takes the batch's last image alone", c, right, slice(-1, None)
        yield "it takes the batch's first image alone", c, right, slice(1)
    if which == DW:
        for said, axes in (
            ("inputs and outputs of the filters", "NC"),
            ("the kernel's rows and columns", c.spatial[-2:]),
        ):
            layout = right.output_layout.translate(str.maketrans(axes, axes[::-1]))
            yield f"it swaps {said}", c, right.replace(output_layout=layout), every
    if which != DB:
        for key, nothing in {"stride": 1, "dilation": 1, "padding": 0}.items():
            other = c.replace(**{key: nothing})
            left = gradient(which, other, sizes, taps, outs)
            yield f"it leaves the {key} out", other, left, every
    places = prod(outs)
    for said, factor in (
        ("it divides by the number of images", 1 / batch),
        ("it sums over the batch twice: it multiplies by the number of images", batch),
        ("it gives a mean over the positions, not a sum", 1 / places),
        ("it gives a mean over images and positions, not a sum", 1 / batch / places),
        ("it gives twice the gradient", 2),
    ):
        scale = (np.asarray(c.scale) * factor).tolist()
        yield said, c, right.replace(scale=scale), every
