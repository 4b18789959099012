"""When two conventions are the same operation, and which of them is the simplest to say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from convcheck.checks.areas import is_large, shape_of
from convcheck.checks.identify.thin import Thin
from convcheck.checks.patch import met
from convcheck.checks.sums import Linear, Problem
from convcheck.convention import (
    FILTER_LAYOUTS,
    IMAGE_LAYOUTS,
    NAMED,
    OUTPUT_LAYOUTS,
    PADDING_MODES,
    Convention,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from convcheck.checks.identify.readings import Reading

Array = NDArray[Any]


_USUAL = ("OIHW", "IHW", "HW", "HWIM", "HWIO", "IOHW", "OHWI", "HWOI", "IHWO")
"""Filter layouts that frameworks have, the commonest first; all others come after them."""


STEPS = (1_299_709, 104_729, 1009, 1)
"""Bytes between neighbours along each axis of the data that tell large conventions apart: primes so
large that no window meets the same number twice."""

_RANKS = {layout: rank for rank, layout in enumerate(dict.fromkeys((*_USUAL, *FILTER_LAYOUTS)))}


def canonical(convention: Convention, kernel: Sequence[int]) -> Convention:
    """The same operation in its plainest words; ``kernel`` is (Fh, Fw).

    Reversed channels are an axis of the flip where the whole filter is reversed (N-D convolution)
    and where the channels are many; otherwise they are the image's channel order.
    """
    order = convention.channel_order
    full = {axis for axis, size in zip("HW", kernel, strict=True) if size > 1}
    if order is not None and convention.groups == 1 and "I" not in convention.flip:
        reverse = order == tuple(range(len(order)))[::-1]
        if reverse and set(convention.flip) == full and full:
            convention = convention.replace(channel_order=None, flip=("I", *convention.flip))
    if max(map(max, convention.padding)) <= 0:
        convention = convention.replace(padding_mode="constant", padding_value=0.0)
    return convention


def signature(convention: Convention, reading: Reading) -> tuple[Any, ...]:
    """The same for conventions that meet the same samples with the same taps, whatever the data."""
    c = convention
    kernel = reading.filters.shape[2:]
    if c.kernel_transposed:
        kernel = kernel[::-1]
    axes = (
        met(c, axis, *sizes).tobytes()
        for axis, sizes in enumerate(
            zip(reading.image.shape[2:], kernel, reading.output.shape[2:], strict=True)
        )
    )
    layouts = (c.image_layout, c.filter_layout, c.output_layout, c.groups)
    return (*layouts, c.channel_order, "I" in c.flip, c.kernel_transposed, *axes)


_PLAIN = {
    key: getattr(Convention(), key)
    for key in (
        "flip",
        "stride",
        "dilation",
        "input_dilation",
        "padding",
        "padding_mode",
        "padding_value",
        "channel_order",
        "kernel_transposed",
    )
}


def complexity(convention: Convention) -> tuple[Any, ...]:
    """A key that orders conventions from plain to elaborate."""
    named = [c.flip for c in NAMED.values()]
    return (
        sum(getattr(convention, key) != plain for key, plain in _PLAIN.items()),
        convention.kernel_transposed,
        convention.channel_order is not None,
        len(convention.flip),
        convention.flip not in named,
        max(convention.input_dilation),
        max(convention.dilation),
        PADDING_MODES.index(convention.padding_mode),
        convention.padding_value != 0,
        IMAGE_LAYOUTS.index(convention.image_layout),
        _RANKS[convention.filter_layout],
        OUTPUT_LAYOUTS.index(convention.output_layout),
        convention.groups,
        max(convention.stride),
        sum(abs(p) for pads in convention.padding for p in pads),
        convention.padding,
        convention.channel_order or (),
    )


def telling_probe(problem: Problem) -> Problem:
    """Other data of the same shapes, which tells apart whatever differs."""
    rng = np.random.default_rng(0)
    shape = problem.image.shape
    image = _folded(rng, shape) if is_large(problem) else rng.integers(-99, 100, shape)
    filters = rng.integers(-99, 100, problem.filters.shape)
    return Problem.of(image, filters, problem.output)


def _folded(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Random integers of which those far apart along two axes at once are the same in memory."""
    steps = STEPS[-len(shape) :]
    last = sum(step * (n - 1) for step, n in zip(steps, shape, strict=True))
    numbers = rng.integers(-99, 100, last + 1, np.int8)
    return as_strided(numbers, shape, steps, writeable=False)


def _sums(probe: Problem, convention: Convention) -> Array:
    """The sums; of a large output those at some places, where the rim tells what is beyond it."""
    if is_large(probe):
        return Thin(probe, convention, shape_of(probe, convention)).values
    return Linear(probe, convention).values


def classes(problem: Problem, conventions: Iterable[Convention]) -> list[list[Convention]]:
    """Conventions grouped by what they do to other data of the same shapes, the plainest first.

    Random integers tell every two operations apart that differ at all; exact sums make sure of it.
    """
    listed = sorted(dict.fromkeys(conventions), key=complexity)
    if len(listed) < 2:
        return [[c] for c in listed]
    probe = telling_probe(problem)
    groups: dict[bytes, list[Convention]] = {}
    for convention in listed:
        groups.setdefault(_sums(probe, convention).tobytes(), []).append(convention)
    return list(groups.values())
