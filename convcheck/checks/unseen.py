"""Why a mistake leaves an output as it was: the first known reason that holds on the data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.blindness import is_flat, why_equal
from convcheck.checks.outcome import Step, is_exact
from convcheck.convention import PRECISIONS
from convcheck.engine import arrange_filters, pad, stored_image
from convcheck.rounding import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convcheck.checks.sums import Problem
    from convcheck.convention import Convention

Array = NDArray[Any]

MOST = 1 << 21
"""Samples of an image with its border above which two borders are not compared."""
CONSTANT = "W is constant: every kernel is the same number throughout"


def why_unseen(problem: Problem, c: Convention, other: Convention, shape: Sequence[int]) -> str:
    """Why the sums of ``c`` and ``other`` are the same; ``shape`` is the output's, N,O,H,W."""
    return next(words for holds, words in _facts(problem, c, other, shape) if holds)


def why_after(c: Convention, step: Step, same: bool) -> str:
    """Why outputs are the same after a later step, or where not ``same``, but for rounding."""
    how, _, name = c.arithmetic.partition(":")
    if c.scale == 0:
        return "a scale of 0 makes the same of all sums"
    if step is Step.STORED and c.arithmetic in PRECISIONS:
        return f"the sums differ, but where they do, both overflow {how} alike"
    does = {
        Step.SCALED: "scale and bias leave",
        Step.ACTIVATED: "ReLU leaves",
        Step.STORED: f"being stored as {name}, which {how}s, leaves",
    }[step]
    left = "the same of both" if same else "no more of it than rounding can explain"
    return f"the sums differ, but {does} {left}"


def _facts(
    problem: Problem, c: Convention, other: Convention, shape: Sequence[int]
) -> Iterator[tuple[bool, str]]:
    """What makes the sums the same, and whether it holds; what says the most comes first."""
    image, filters = problem.image, problem.filters
    zeros = c.padding_mode != "constant" or c.padding_value == 0
    yield zeros and not image.any(), "IMG is all zeros"
    yield not filters.any(), "W is all zeros"
    x, y = stored_image(image, c), stored_image(image, other)
    w = arrange_filters(filters, c, x.shape[1])
    v = arrange_filters(filters, other, y.shape[1])
    constant = filters.size > 1 and bool((filters == filters.flat[0]).all())
    exact = is_exact(problem, c)
    if other.flip != c.flip:
        moved = {*c.flip} ^ {*other.flip}
        long = any(w.shape[1 + "IHW".index(axis)] > 1 for axis in moved)
        yield constant and long, CONSTANT
        bordered = meets_more(c, x.shape, w.shape, shape)
        yield True, why_equal(x, w, [c.flip, other.flip], exact, bordered=bordered)[0]
    elif other.kernel_transposed != c.kernel_transposed:
        yield w.shape[2:] == (1, 1), "a kernel of 1x1 is its own transpose"
        same = np.array_equal(w, v)
        yield constant and same, CONSTANT
        yield same, "every kernel of W is symmetric about its diagonal"
    elif other.channel_order != c.channel_order:
        yield x.shape[1] == 1, "IMG has one channel"
        yield constant and c.groups == 1, CONSTANT
        trade = _trading(c, other, x.shape[1])
        alike = all(_same(x[:, i], x[:, j]) for i, j in trade) or _bank_alike(w, c, other)
        yield alike, "IMG or W is alike across the channels that trade places"
    elif other.stride != c.stride:
        yield (
            shape[2 + _axis(c.stride, other.stride)] == 1,
            "the output has one element along this axis, so no second window shows the stride",
        )
    elif other.dilation != c.dilation:
        yield (
            w.shape[2 + _axis(c.dilation, other.dilation)] == 1,
            "the kernel has one tap along this axis, which dilation does not move",
        )
    elif other.padding_mode != c.padding_mode:
        yield from _border_facts(problem, c, other, x, w, shape)
    elif other.image_layout != c.image_layout:
        yield x.shape == y.shape and _same(x, y), "IMG is the same, read as either"
    elif other.filter_layout != c.filter_layout:
        same = np.array_equal(w, v)
        yield constant and same, CONSTANT
        yield same, "W is the same, read as either"
    # Windows that meet but one number a channel are alike wherever they start, and reach.
    reads = ("channel_order", "image_layout", "filter_layout")
    if all(getattr(c, key) == getattr(other, key) for key in reads):
        flat = is_flat(x) and not any(
            meets_more(k, x.shape, bank.shape, shape) for k, bank in ((c, w), (other, v))
        )
        one = flat and bool((x[:, :, 0, 0] == x[0, 0, 0, 0]).all())
        yield one, "IMG is constant: every window sees the same numbers"
        yield flat, "each channel of IMG is constant: all of its windows see the same numbers"
    yield exact, "on these numbers the results come out the same"
    yield True, "on these numbers the results differ by no more than rounding can explain"


def _border_facts(
    problem: Problem, c: Convention, other: Convention, x: Array, w: Array, shape: Sequence[int]
) -> Iterator[tuple[bool, str]]:
    rows, columns = (reaching(c, a, x.shape[2 + a], w.shape[2 + a], shape[2 + a]) for a in (0, 1))
    yield not rows.any() and not columns.any(), "no window reaches beyond the edge"
    zero = not w[:, :, rows].any() and not w[:, :, :, columns].any()
    yield zero, "W is zero wherever it reaches beyond the edge"
    sizes = (n + sum(pads) for n, pads in zip(x.shape[2:], c.padding, strict=True))
    small = math.prod((*x.shape[:2], *sizes)) <= MOST
    here, there = (pad(problem.arithmetic.cast(x), k) if small else x for k in (c, other))
    same = small and np.array_equal(here, there)
    yield same, "beyond the edge both continue the image with the same numbers"


def reaching(c: Convention, axis: int, size: int, kernel: int, outputs: int) -> Array:
    """Which taps of an axis meet what is beyond the image's edge in some window."""
    first = np.arange(kernel) * c.dilation[axis] - c.padding[axis][0]
    last = first + (outputs - 1) * c.stride[axis]
    beyond: Array = (first < 0) | (last > (size - 1) * c.input_dilation[axis])
    return beyond


def meets_more(
    c: Convention, image: Sequence[int], bank: Sequence[int], shape: Sequence[int]
) -> bool:
    """Whether windows meet numbers that are none of the image's: a border, or zeros in gaps."""
    border = c.padding_mode == "constant" and any(
        reaching(c, a, image[2 + a], bank[2 + a], shape[2 + a]).any() for a in (0, 1)
    )
    return border or max(c.input_dilation) > 1


def _trading(c: Convention, other: Convention, channels: int) -> list[tuple[int, int]]:
    """The stored channels that stand in each other's place."""
    plain = tuple(range(channels))
    orders = zip(c.channel_order or plain, other.channel_order or plain, strict=True)
    return [(i, j) for i, j in orders if i != j]


def _bank_alike(w: Array, c: Convention, other: Convention) -> bool:
    """Whether every channel that moves is met by the same kernels at both of its places."""
    channels = w.shape[1] * c.groups
    plain = tuple(range(channels))
    places = (np.argsort(k.channel_order or plain).tolist() for k in (c, other))
    by_group = w.reshape(c.groups, -1, *w.shape[1:])
    for i, j in zip(*places, strict=True):
        (group, a), (home, b) = divmod(i, w.shape[1]), divmod(j, w.shape[1])
        if i != j and not (
            group == home and np.array_equal(by_group[group, :, a], by_group[group, :, b])
        ):
            return False
    return True


def _axis(a: Sequence[int], b: Sequence[int]) -> int:
    return 0 if a[0] != b[0] else 1


def _same(a: Array, b: Array) -> bool:
    return all(np.array_equal(p, q) for p, q in zip(blocks(a), blocks(b), strict=True))
