"""One output cell worked out by hand, so to speak: which numbers meet, and what they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.inputs import image_and_bank, place_names
from convcheck.comparison import number
from convcheck.convention.channels import spatial
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
"""Rows of numbers: a channel of a window or of a filter; in 1-D one row, in 3-D one slice of it."""


@dataclass(frozen=True)
class Working:
    """The cell by one decomposition, block by block of the window.

    ``partners[i]`` is the stored block of the filter that block i of the window meets,
    ``applied[i]`` that block as it lies on the image, ``products[i]`` their products and
    ``sums[i]`` the sum.
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

    ``window`` and ``stored`` have a block for each channel, in 3-D for each of the ``slices`` of
    each channel. ``taps`` are the sizes of the filter. ``reference`` is what
    ``scipy.signal.convolve`` makes of the window alone; a total that is no further from it than
    ``threshold`` is the same number.
    """

    at: tuple[int, ...]
    image_shape: tuple[int, ...]
    filters_shape: tuple[int, ...]
    taps: tuple[int, ...]
    window: tuple[Block, ...]
    stored: tuple[Block, ...]
    workings: tuple[Working, ...]
    reference: Number
    threshold: float

    @property
    def slices(self) -> int:
        """How many blocks a channel is shown in."""
        return self.taps[0] if len(self.taps) == 3 else 1

    def matches(self, working: Working) -> bool:
        """Whether a decomposition gives what scipy gives, but for rounding."""
        return abs(working.total - self.reference) <= self.threshold


@dataclass(frozen=True)
class Impulse:
    """What comes out around a single 1 in an image of zeros: the filter, reversed or not.

    ``at`` is where the 1 is, (c, y, x); ``origin`` the output cell that the blocks begin at;
    ``outputs`` by decomposition, ``reference`` by scipy; ``stored`` the filter's own channels: of
    each a block, in 3-D one for each slice.
    """

    at: tuple[int, ...]
    origin: tuple[int, ...]
    stored: tuple[tuple[Block, ...], ...]
    outputs: Mapping[str, tuple[Block, ...]]
    reference: tuple[Block, ...]


def explain(
    image: Array,
    filters: Array,
    flips: Mapping[str, Sequence[str]],
    at: Sequence[int],
    rank: int | None = None,
) -> Explanation:
    """Work out the output cell ``at`` (k, y, x) by each of ``flips``, name → flipped axes.

    Raises:
        InputError: arrays that do not fit, or a cell that is not in the output.
    """
    image, filters = np.asarray(image), np.asarray(filters)
    x, w = image_and_bank(image, filters, rank)
    k, *place = check_cell(at, output_shape(x, w))
    arithmetic = choose_arithmetic(x, w)
    window = np.ascontiguousarray(arithmetic.cast(_part(x, place, w.shape[2:])))
    kernel = arithmetic.cast(w[k])
    # Whichever numbers meet, they add up to no more than this.
    most = float(np.abs(window).astype(np.float64).sum() * np.abs(kernel).astype(np.float64).max())
    bound = float(arithmetic.bound(np.array([most]), kernel.size)[0])
    return Explanation(
        at=(k, *place),
        image_shape=image.shape,
        filters_shape=filters.shape,
        taps=w.shape[2:],
        window=as_blocks(window),
        stored=as_blocks(kernel),
        workings=tuple(_work(name, tuple(flip), window, kernel) for name, flip in flips.items()),
        reference=Oracle(window, arithmetic, "direct")(kernel).values.item(),
        threshold=2 * bound,
    )


def _part(x: Array, first: Sequence[int], sizes: Sequence[int]) -> Array:
    """So much of an image (C,*S) from ``first`` on."""
    whole: Array = x[(slice(None), *(slice(i, i + n) for i, n in zip(first, sizes, strict=True)))]
    return whole


def _work(name: str, flip: tuple[str, ...], window: Array, kernel: Array) -> Working:
    applied = _reversed(kernel, flip)
    products: Array = np.multiply(window, applied)
    blocks = _rows(kernel)
    home = np.broadcast_to(np.arange(len(blocks))[:, None, None], blocks.shape)
    met = _rows(_reversed(home.reshape(kernel.shape), flip))
    sums = _rows(products).sum(axis=(1, 2))
    return Working(
        name=name,
        flip=flip,
        partners=tuple(int(block.flat[0]) for block in met),
        applied=as_blocks(applied),
        products=as_blocks(products),
        sums=tuple(s.item() for s in sums),
        total=sums.sum().item(),
    )


def _reversed(kernel: Array, flip: Sequence[str]) -> Array:
    letters = "I" + spatial(kernel.ndim - 1)
    return np.flip(kernel, tuple(letters.index(axis) for axis in flip))


def worst_cell(result: CompareResult) -> tuple[int, ...]:
    """The cell where the decomposition that differs most from scipy differs most."""
    seen = max(
        (row.comparison for row in result.decompositions), key=lambda c: (c.max_abs_diff, c.total)
    )
    return seen.worst_index


def output_shape(x: Array, w: Array) -> tuple[int, ...]:
    """(K, *S-F+1) of an image (C,*S) and a bank (K,C,*F)."""
    return (len(w), *(n - f + 1 for n, f in zip(x.shape[1:], w.shape[2:], strict=True)))


def check_cell(at: Sequence[int], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The cell, if the output (K,*S) has it.

    Raises:
        InputError: it has not.
    """
    if len(at) != len(shape) or not all(0 <= i < n for i, n in zip(at, shape, strict=True)):
        names = place_names(len(shape) - 1)
        raise InputError(
            "the output has no such cell",
            got=f"({', '.join(map(str, at))})",
            expected=", ".join(
                f"{axis} from 0 to {n - 1}" for axis, n in zip(names, shape, strict=True)
            ),
            hint=f"--at {','.join(str(n // 2) for n in shape)} is in the middle",
        )
    return tuple(at)


def impulse_like(image: Array) -> Array:
    """Zeros, with a single 1 in the middle of the first channel of an image (C,*S)."""
    impulse = np.zeros_like(image)
    impulse[(0, *(n // 2 for n in image.shape[1:]))] = 1
    return impulse


def follow_impulse(
    image: Array,
    filters: Array,
    flips: Mapping[str, Sequence[str]],
    k: int = 0,
    rank: int | None = None,
) -> Impulse:
    """The output's cells that see the 1 of :func:`impulse_like`, by each decomposition."""
    x, w = image_and_bank(np.asarray(image), np.asarray(filters), rank)
    arithmetic = choose_arithmetic(x, w)
    c, *place = (int(i) for i in np.unravel_index(int(np.argmax(x != 0)), x.shape))
    taps = w.shape[2:]
    # A window that begins at i covers the 1 at y where i <= y < i + F, along every axis.
    first = [max(0, y - f + 1) for y, f in zip(place, taps, strict=True)]
    last = [min(n - 1, y) for y, n in zip(place, output_shape(x, w)[1:], strict=True)]
    sizes = [b - a + f for a, b, f in zip(first, last, taps, strict=True)]
    patch = np.ascontiguousarray(arithmetic.cast(_part(x, first, sizes)))
    kernel = arithmetic.cast(w[k])
    ones = (1,) * len(taps)
    outputs = {
        name: as_blocks(correlate(patch[None], _reversed(kernel, flip)[None], ones, ones)[0])
        for name, flip in flips.items()
    }
    return Impulse(
        at=(c, *place),
        origin=tuple(first),
        stored=tuple(as_blocks(channel[None]) for channel in kernel),
        outputs=outputs,
        reference=as_blocks(Oracle(patch, arithmetic, "direct")(kernel).values[None]),
    )


def as_blocks(array: Array) -> tuple[Block, ...]:
    """An array (C,*F) as numbers of Python's own: a block a channel, in 3-D a block a slice."""
    return tuple(tuple(tuple(map(number, row)) for row in block) for block in _rows(array))


def _rows(array: Array) -> Array:
    """The blocks (n, rows, columns) of an array (C,*F)."""
    if array.ndim == 2:
        return array[:, None]
    return array.reshape(-1, *array.shape[-2:])
