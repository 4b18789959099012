"""Why a mistake leaves an output as it was: the first known reason that holds on the data."""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.blindness import is_flat, why_equal
from convcheck.checks.outcome import AFTER, Step
from convcheck.convention.channels import read_filters, stored_image
from convcheck.engine import axes_of, pad, prepare_filters
from convcheck.rounding import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convcheck.checks.sums import Linear, Problem
    from convcheck.convention import Axis, Convention

Array = NDArray[Any]

MOST = 1 << 21
"""Samples of an image with its border above which two borders are not compared."""
ROUNDED = "on these numbers the results differ by no more than rounding can explain"
CONSTANT = "W is constant: every kernel is the same number throughout"


def why_unseen(
    base: Linear, c: Convention, other: Convention, shape: Sequence[int], same: bool
) -> str:
    """Why the numbers of ``c`` and ``other`` are the same; ``shape`` is the output's, (N,O,*S).

    ``base`` has the sums of ``c``. Where not ``same`` they are so but for rounding.
    """
    facts = _facts(base, c, other, shape)
    if any(getattr(c, key) != getattr(other, key) for key in AFTER):
        facts = chain([(not same, ROUNDED)], _after_facts(base, c, other), facts)
    return next(words for holds, words in facts if holds)


def why_after(c: Convention, other: Convention, step: Step, same: bool) -> str:
    """Why outputs are the same after a later step, or where not ``same``, but for rounding."""
    later = {key for key in AFTER if getattr(c, key) != getattr(other, key)}
    if step is Step.SCALED and not np.any(c.scale):
        return "a scale of 0 makes the same of all sums"
    differ = "the numbers differ first" if later else "the sums differ"
    left = "the same of both" if same else "no more of it than rounding can explain"
    if step is Step.SCALED:
        return f"{differ}, but scale and bias leave {left}"
    if step is Step.ACTIVATED and c.activation is not None:
        return f"{differ}, but {c.activation.words} leaves {left}"
    if c.storage is None or not c.storage.is_integer:
        kept = c.arithmetic if c.storage is None else c.storage.dtype
        return f"{differ}, but {kept} has the same number for both"
    does = f"{c.storage.overflow}s"
    return f"{differ}, but being stored as {c.storage.dtype}, which {does}, leaves {left}"


def _facts(
    base: Linear, c: Convention, other: Convention, shape: Sequence[int]
) -> Iterator[tuple[bool, str]]:
    """What makes the numbers the same, and whether it holds; what says the most comes first."""
    image, filters = base.problem.image, base.problem.filters
    x, y = stored_image(image, c), stored_image(image, other)
    axes = axes_of(c, x.shape[2:], base.bank.shape[2:])
    w, v = (
        prepare_filters(read_filters(filters, k, z.shape[1]), k) for k, z in ((c, x), (other, y))
    )
    zeros = not any("constant" in k.padding_modes and k.padding_value for k in (c, other))
    steps = ("image_offset", "filter_offset")
    unmoved = all(not np.any(getattr(k, key)) for k in (c, other) for key in steps)
    yield unmoved and zeros and not image.any(), "IMG is all zeros"
    yield unmoved and not filters.any(), "W is all zeros"
    constant = filters.size > 1 and bool((filters == filters.flat[0]).all())
    exact = base.arithmetic.exact
    bordered = meets_more(c, axes, shape)
    if other.flip != c.flip:
        moved = {*c.flip} ^ {*other.flip}
        long = any(w.shape[1 + ("I" + c.spatial).index(axis)] > 1 for axis in moved)
        yield constant and long, CONSTANT
        yield True, why_equal(x, w, [c.flip, other.flip], exact, bordered=bordered)[0]
    elif other.channel_order != c.channel_order:
        yield constant and c.groups == 1, CONSTANT
        trade = _trading(c, other, x.shape[1])
        same = all(_same(x[:, i], x[:, j]) for i, j in trade) or _bank_alike(w, c, other)
        yield same, "IMG or W is alike across the channels that trade places"
    elif other.stride != c.stride:
        yield (
            shape[2 + _axis(c.stride, other.stride)] == 1,
            "the output has one element along this axis, so no second window shows the stride",
        )
    elif other.padding_mode != c.padding_mode or other.padding_value != c.padding_value:
        yield from _border_facts(base.problem, c, other, x, w, shape)
    elif _layout(other, "image") != _layout(c, "image"):
        yield x.shape == y.shape and _same(x, y), "IMG is the same, read as either"
    elif _layout(other, "filter") != _layout(c, "filter"):
        same = np.array_equal(w, v)
        yield constant and same, CONSTANT
        swapped = [a for a in c.filter_layout if a in c.spatial]
        turned = swapped != [a for a in other.filter_layout if a in c.spatial]
        yield same and turned, "every kernel of W is symmetric about its diagonal"
        yield same, "W is the same, read as either"
    elif other.conjugate != c.conjugate:
        yield not filters.imag.any(), "W is real"
    elif other.image_offset != c.image_offset:
        sums = np.sum(w, axis=tuple(range(2, w.ndim)))
        yield not bordered and not sums.any(), "every kernel adds up to 0, which no offset moves"
    # Windows that meet but one number a channel are alike wherever they start, and reach.
    layouts = ("image_layout", "image_memory", "filter_memory")
    reads = ("channel_order", *layouts, *steps, "image_scale")
    alike = [
        [(place, letter) for place, letter in enumerate(k.filter_layout) if letter in "OIM"]
        for k in (c, other)
    ]
    if all(getattr(c, key) == getattr(other, key) for key in reads) and alike[0] == alike[1]:
        spread = axes_of(other, y.shape[2:], v.shape[2:])
        flat = is_flat(x) and not bordered and not meets_more(other, spread, shape)
        first = np.array([channel.flat[0] for one in x for channel in one])
        one = flat and unmoved and bool((first == first[0]).all())
        yield one, "IMG is constant: every window sees the same numbers"
        yield flat, "each channel of IMG is constant: all of its windows see the same numbers"
    yield exact, "on these numbers the results come out the same"
    yield True, ROUNDED


def _layout(c: Convention, operand: str) -> tuple[str, str | None]:
    return getattr(c, f"{operand}_layout"), getattr(c, f"{operand}_memory")


def _after_facts(base: Linear, c: Convention, other: Convention) -> Iterator[tuple[bool, str]]:
    """Why another step after the sums is none on these numbers."""
    if other.bias != c.bias:
        yield not np.any(c.bias), "the bias is 0"
    if other.activation != c.activation and c.activation is not None:
        if other.activation is None:
            yield True, f"{c.activation.words} leaves all of these numbers as they are"
        yield True, "on these numbers both activations give the same"
    if c.storage is not None and other.storage is not None and other.storage != c.storage:
        if other.storage.multiplier != c.storage.multiplier:
            yield (
                True,
                "no sum is so near a tie that another way of multiplying rounds it otherwise",
            )
        if other.storage.rounding != c.storage.rounding:
            yield True, "both ways of rounding give the same integers here"
        if other.storage.overflow != c.storage.overflow:
            yield True, f"no number is beyond what {c.storage.dtype} holds"
        yield True, f"every number is at an end of what {c.storage.dtype} holds"
    if other.output_order != c.output_order:
        w = base.bank if c.groups == 1 else base.bank[:0]
        alike = len(w) > 0 and all(np.array_equal(w[0], one) for one in w)
        yield alike, "every filter of W is the same"


def _border_facts(
    problem: Problem, c: Convention, other: Convention, x: Array, w: Array, shape: Sequence[int]
) -> Iterator[tuple[bool, str]]:
    axes = axes_of(c, x.shape[2:], w.shape[2:])
    reached = [reaching(axis, n) for axis, n in zip(axes, shape[2:], strict=True)]
    yield not any(taps.any() for taps in reached), "no window reaches beyond the edge"
    zero = not any(np.compress(taps, w, axis=2 + axis).any() for axis, taps in enumerate(reached))
    yield zero, "W is zero wherever it reaches beyond the edge"
    sizes = (n + sum(pads) for n, pads in zip(x.shape[2:], c.padding, strict=True))
    small = math.prod((*x.shape[:2], *sizes)) <= MOST
    here, there = (pad(problem.arithmetic.cast(x), k) if small else x for k in (c, other))
    same = small and np.array_equal(here, there)
    yield same, "beyond the edge both continue the image with the same numbers"


def reaching(axis: Axis, outputs: int) -> Array:
    """Which taps of an axis meet what is beyond the image's edge in some window."""
    first = np.arange(axis.taps) * axis.dilation - axis.before
    last = first + (outputs - 1) * axis.stride
    beyond: Array = (first < 0) | (last >= axis.spread)
    return beyond


def meets_more(c: Convention, axes: Sequence[Axis], shape: Sequence[int]) -> bool:
    """Whether windows meet numbers that are none of the image's: a border, or zeros in gaps."""
    border = any(
        axis.mode == "constant" and reaching(axis, n).any()
        for axis, n in zip(axes, shape[2:], strict=True)
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
    return next(axis for axis, (m, n) in enumerate(zip(a, b, strict=True)) if m != n)


def _same(a: Array, b: Array) -> bool:
    return all(np.array_equal(p, q) for p, q in zip(blocks(a), blocks(b), strict=True))
