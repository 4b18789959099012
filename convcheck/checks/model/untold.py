"""Which mistakes a layer's own input could not have shown: facts that hold of all its numbers.

Each is read off the arrays in one pass and needs no convolution. ``audit`` tries every mistake.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.blindness import is_flat
from convcheck.checks.model.result import Unseen
from convcheck.convention.channels import read_filters, stored_image
from convcheck.rounding import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convcheck.convention import Convention

Array = NDArray[Any]


def unseen(image: Array, filters: Array, c: Convention) -> tuple[Unseen, ...]:
    """The mistakes that an output under ``c`` could not have shown, whatever the implementation."""
    x = stored_image(image, c)
    w = read_filters(filters, c, x.shape[1])
    return tuple(_found(x, w, c))


def _found(x: Array, w: Array, c: Convention) -> Iterator[Unseen]:
    turned = max(w.shape[2:]) > 1
    padded = any(pair != (0, 0) for pair in c.padding)
    plain = set(c.padding_modes) == {"constant"} and not c.padding_value and c.image_offset == 0
    if (plain or not padded) and not _differs(x, c.image_offset):
        yield Unseen("input", "any mistake in its weights: its input is all zeros")
        return
    apart = padded or set(c.input_dilation) != {1}
    if turned and not apart and is_flat(x):
        words = "a kernel reversed or transposed: each channel of its input is constant"
        yield Unseen("flip", words)
    if x.shape[1] > 1 and _alike(x) and not np.ndim(c.image_offset) and not np.ndim(c.image_scale):
        words = "input channels in another order: all channels of its input are alike"
        yield Unseen("channel_order", words)
    if turned and np.array_equal(w, np.flip(w, tuple(range(2, w.ndim)))):
        yield Unseen("flip", "a kernel reversed: every kernel is symmetric", any_input=True)


def is_constant(array: Array) -> bool:
    """Whether all numbers of an array of several are the same."""
    return array.size > 1 and all(bool((p == array.flat[0]).all()) for p in blocks(array))


def _differs(x: Array, offset: Any) -> bool:
    """Whether any number is another than the one that stands for zero."""
    if np.ndim(offset):
        return True
    return any(bool((part != offset).any()) for one in x for ch in one for part in blocks(ch))


def _alike(x: Array) -> bool:
    """Whether all channels of an image (N,C,*S) hold the same numbers."""
    return all(np.array_equal(a, b) for one in x for a, b in pairwise(one))
