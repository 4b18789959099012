"""One output cell worked out by hand, so to speak: which numbers meet, and what they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.inputs import image_and_bank
from convcheck.engine import correlate
from convcheck.errors import InputError
from convcheck.reference import Oracle
from convcheck.rounding import choose_arithmetic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from convcheck.checks.compare import CompareResult
    from convcheck.comparison import Number

Array = NDArray[Any]
Block = tuple[tuple["Number", ...], ...]
"""Rows of numbers: one channel of a window or of a filter."""


@dataclass(frozen=True)
class Working:
    """The cell by one decomposition, channel by channel of the image.

    ``partners[c]`` is the stored channel of the filter that image channel c meets, ``applied[c]``
    that channel as it lies on the image, ``products[c]`` their products and ``sums[c]`` the sum.
    """

    name: str
    flip: tuple[str, ...]
    partners: tuple[int, ...]
    applied: tuple[Block, ...]
    products: tuple[Block, ...]
    sums: tuple[Number, ...]
    total: Number


@dataclass(frozen=True)
class Explanation:
    """One output cell ``at`` (k, y, x): what lies under it, and how each decomposition sums it.

    ``reference`` is what ``scipy.signal.convolve`` makes of the window alone; a total that is no
    further from it than ``threshold`` is the same number.
    """

    at: tuple[int, int, int]
    image_shape: tuple[int, ...]
    filters_shape: tuple[int, ...]
    window: tuple[Block, ...]
    stored: tuple[Block, ...]
    workings: tuple[Working, ...]
    reference: Number
    threshold: float

    def matches(self, working: Working) -> bool:
        """Whether a decomposition gives what scipy gives, but for rounding."""
        return abs(working.total - self.reference) <= self.threshold


@dataclass(frozen=True)
class Impulse:
    """What comes out around a single 1 in an image of zeros: the filter, reversed or not.

    ``at`` is where the 1 is, (c, y, x); ``origin`` the output cell that the blocks begin at;
    ``outputs`` by decomposition, ``reference`` by scipy; ``stored`` the filter's own channels.
    """

    at: tuple[int, int, int]
    origin: tuple[int, int]
    stored: tuple[Block, ...]
    outputs: Mapping[str, Block]
    reference: Block


def explain(
    image: Array,
    filters: Array,
    flips: Mapping[str, Sequence[str]],
    at: Sequence[int],
) -> Explanation:
    """Work out the output cell ``at`` (k, y, x) by each of ``flips``, name → flipped axes.

    Raises:
        InputError: arrays that do not fit, or a cell that is not in the output.
    """
    image, filters = np.asarray(image), np.asarray(filters)
    x, w = image_and_bank(image, filters)
    k, top, left = check_cell(at, output_shape(x, w))
    arithmetic = choose_arithmetic(x, w)
    height, width = w.shape[2:]
    window = np.ascontiguousarray(arithmetic.cast(x[:, top : top + height, left : left + width]))
    kernel = arithmetic.cast(w[k])
    # Whichever numbers meet, they add up to no more than this.
    most = float(np.abs(window).astype(np.float64).sum() * np.abs(kernel).astype(np.float64).max())
    bound = float(arithmetic.bound(np.array([most]), kernel.size)[0])
    return Explanation(
        at=(k, top, left),
        image_shape=image.shape,
        filters_shape=filters.shape,
        window=as_blocks(window),
        stored=as_blocks(kernel),
        workings=tuple(_work(name, tuple(flip), window, kernel) for name, flip in flips.items()),
        reference=Oracle(window, arithmetic, "direct")(kernel).values[0, 0].item(),
        threshold=2 * bound,
    )


def _work(name: str, flip: tuple[str, ...], window: Array, kernel: Array) -> Working:
    applied = np.flip(kernel, tuple("IHW".index(axis) for axis in flip))
    products: Array = np.multiply(window, applied)
    sums = products.sum(axis=(1, 2))
    channels = range(len(kernel))
    return Working(
        name=name,
        flip=flip,
        partners=tuple(reversed(channels)) if "I" in flip else tuple(channels),
        applied=as_blocks(applied),
        products=as_blocks(products),
        sums=tuple(s.item() for s in sums),
        total=sums.sum().item(),
    )


def worst_cell(result: CompareResult) -> tuple[int, int, int]:
    """The cell where the decomposition that differs most from scipy differs most."""
    seen = max(
        (row.comparison for row in result.decompositions), key=lambda c: (c.max_abs_diff, c.total)
    )
    k, y, x = seen.worst_index
    return (k, y, x)


def output_shape(x: Array, w: Array) -> tuple[int, int, int]:
    """(K, H-Fh+1, W-Fw+1)."""
    return (w.shape[0], x.shape[1] - w.shape[2] + 1, x.shape[2] - w.shape[3] + 1)


def check_cell(at: Sequence[int], shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """The cell, if the output has it.

    Raises:
        InputError: it has not.
    """
    if len(at) != 3 or not all(0 <= i < n for i, n in zip(at, shape, strict=True)):
        raise InputError(
            "the output has no such cell",
            got=f"(k, y, x) = ({', '.join(map(str, at))})",
            expected=", ".join(
                f"{axis} from 0 to {n - 1}" for axis, n in zip("kyx", shape, strict=True)
            ),
            hint=f"--at {','.join(str(n // 2) for n in shape)} is in the middle",
        )
    k, y, x = at
    return (k, y, x)


def impulse_like(image: Array) -> Array:
    """Zeros, with a single 1 in the middle of the first channel."""
    impulse = np.zeros_like(image)
    impulse[(0, *(n // 2 for n in image.shape[1:]))] = 1
    return impulse


def follow_impulse(
    image: Array, filters: Array, flips: Mapping[str, Sequence[str]], k: int = 0
) -> Impulse:
    """The output's cells that see the 1 of :func:`impulse_like`, by each decomposition."""
    x, w = image_and_bank(np.asarray(image), np.asarray(filters))
    arithmetic = choose_arithmetic(x, w)
    c, y, left = (int(i) for i in np.unravel_index(int(np.argmax(x != 0)), x.shape))
    height, width = w.shape[2:]
    _, rows, columns = output_shape(x, w)
    # A window that begins at (i, j) covers the 1 where i <= y < i + Fh, and likewise along x.
    first, last = max(0, y - height + 1), min(rows - 1, y)
    start, end = max(0, left - width + 1), min(columns - 1, left)
    patch = np.ascontiguousarray(arithmetic.cast(x[:, first : last + height, start : end + width]))
    kernel = arithmetic.cast(w[k])
    outputs = {}
    for name, flip in flips.items():
        applied = np.flip(kernel, tuple("IHW".index(axis) for axis in flip))
        made: Array = correlate(patch[None], applied[None], (1, 1), (1, 1))[0, 0]
        outputs[name] = _block(made)
    return Impulse(
        at=(c, y, left),
        origin=(first, start),
        stored=as_blocks(kernel),
        outputs=outputs,
        reference=_block(Oracle(patch, arithmetic, "direct")(kernel).values),
    )


def as_blocks(array: Array) -> tuple[Block, ...]:
    """An array (C, rows, columns) as numbers of Python's own."""
    return tuple(_block(channel) for channel in array)


def _block(channel: Array) -> Block:
    return tuple(tuple(value.item() for value in row) for row in channel)
