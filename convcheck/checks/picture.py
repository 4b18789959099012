"""Where a difference lies: a map of |difference| over the output, small enough to be looked at.

An output of one spatial axis makes one row. Of one with three the slice is shown in which the
largest difference lies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.explain import output_shape
from convcheck.checks.inputs import image_and_bank
from convcheck.convention.channels import spatial
from convcheck.engine import BLOCK, correlate
from convcheck.errors import InputError
from convcheck.reference import Oracle
from convcheck.rounding import Arithmetic, choose_arithmetic

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Array = NDArray[Any]
Band = tuple[int, NDArray[np.float64]]
"""The first output row of a band, and |difference| there: (rows, width); in 3-D whole slices."""

ROWS = 48
COLUMNS = 72
"""Cells of a map at most: half a screen, two rows of cells to a line."""


@dataclass(frozen=True)
class DifferenceMap:
    """|difference| over the output; what rounding explains counts as 0.

    ``cells`` are rows of maxima: cell (r, c) is the largest difference in its part of an output of
    ``shape`` (rows, columns). ``filter`` is the one that is shown, None for the worst of several.
    ``name`` was held to ``reference``. With ``share``, where nothing differs, the numbers are
    differences as a share of what rounding explains. Where what is shown is not finite, the
    difference is infinite. In 3-D ``slice`` is the number of the slice
    that is shown, the first where nothing differs, and how many there are. ``of`` is what a cell
    has the worst of.
    """

    name: str
    filter: int | None
    shape: tuple[int, ...]
    cells: tuple[tuple[float, ...], ...]
    reference: str = "scipy"
    share: bool = False
    slice: tuple[int, int] | None = None
    of: str = "filters"

    @property
    def largest(self) -> float:
        """The largest difference beyond rounding."""
        return max(max(row) for row in self.cells)


def difference_map(
    image: Array,
    filters: Array,
    flip: Sequence[str],
    *,
    name: str,
    method: str,
    only: int | None = None,
    rank: int | None = None,
) -> DifferenceMap:
    """How far the decomposition that reverses ``flip`` is from scipy, ``method`` direct or fft.

    Args:
        image: as for ``compare``.
        filters: likewise.
        flip: the filter axes that the decomposition reverses.
        name: what the decomposition is called.
        method: what scipy took in the comparison.
        only: one filter's number; the worst over all of them where it is None.
        rank: how many spatial axes there are; None where the shapes are to tell.

    Raises:
        InputError: no such filter.
    """
    x, w = image_and_bank(np.asarray(image), np.asarray(filters), rank)
    only = check_filter(only, len(w))
    bank = w if only is None else w[only : only + 1]
    arithmetic = choose_arithmetic(x, w)
    bands = _bands(x, bank, tuple(flip), arithmetic, method)
    shape: tuple[int, ...] = output_shape(x, w)[1:]
    if len(shape) == 1:
        shape = (1, *shape)
        bands = [(0, np.concatenate([part for _, part in bands])[None])]
    if len(shape) == 2:
        return gather(bands, shape, name=name, only=only)
    slices = (
        replace(gather([(0, part)], part.shape, name=name, only=only), slice=(z, shape[0]))
        for first, parts in bands
        for z, part in enumerate(parts, first)
    )
    return max(slices, key=lambda shown: shown.largest)


def check_filter(only: int | None, count: int) -> int | None:
    """The filter that is to be shown, of ``count``: the only one is itself the worst of all.

    Raises:
        InputError: there is no such filter.
    """
    if only is not None and not 0 <= only < count:
        raise InputError(
            "there is no such filter to picture",
            got=f"--filter {only}",
            expected=f"a number from 0 to {count - 1}",
        )
    return 0 if count == 1 else only


def gather(
    bands: Iterable[Band],
    shape: tuple[int, ...],
    *,
    name: str,
    only: int | None = None,
    reference: str = "scipy",
    share: bool = False,
    of: str = "filters",
) -> DifferenceMap:
    """The map of bands that come in any order, and more than once where there are many filters."""
    height, width = shape
    elements = max(1.0, height / ROWS, width / COLUMNS)
    rows, columns = ceil(height / elements), ceil(width / elements)
    cells = np.zeros((rows, columns))
    starts = [-(-c * width // columns) for c in range(columns)]
    for first, difference in bands:
        across = np.maximum.reduceat(difference, starts, axis=1)
        home = (first + np.arange(len(difference))) * rows // height
        np.maximum.at(cells, home, across)
    numbers = tuple(tuple(map(float, row)) for row in cells)
    return DifferenceMap(name, only, shape, numbers, reference, share, of=of)


def _bands(
    x: Array, bank: Array, flip: tuple[str, ...], arithmetic: Arithmetic, method: str
) -> Iterable[Band]:
    """|difference|, the worst of all filters, part by part of the first spatial axis.

    What rounding explains is 0.
    """
    rank = x.ndim - 1
    halo = bank.shape[2] - 1
    # Neither a band's samples nor its outputs are more than a block.
    step = max(1, BLOCK // (max(x.shape[0], len(bank)) * prod(x.shape[2:])))
    terms = prod(bank.shape[1:])
    axes = tuple(1 + ("I" + spatial(rank)).index(axis) for axis in flip)
    every = tuple(range(1, rank + 2))
    each = (-1, *(1 for _ in range(rank)))
    kernels = arithmetic.cast(bank)
    sizes = np.abs(kernels).astype(np.float64)
    for first in range(0, x.shape[1] - halo, step):
        band = np.ascontiguousarray(arithmetic.cast(x[:, first : first + step + halo]))
        oracle = Oracle(band, arithmetic, method)
        values = _correlate(band, np.flip(kernels, axes))
        references = [oracle(kernel) for kernel in kernels]
        difference = np.abs(values - np.stack([r.values for r in references])).astype(np.float64)
        if not arithmetic.exact:
            magnitudes = np.abs(band).astype(np.float64)
            bound = arithmetic.bound(_correlate(magnitudes, np.flip(sizes, axes)), terms)
            summed = arithmetic.bound(_correlate(magnitudes, np.flip(sizes, every)), terms)
            for k, reference in enumerate(references):
                bound[k] += summed[k] if reference.bound is None else reference.bound
        else:
            # A sum is exact then; an FFT may still have rounded.
            bound = np.reshape([r.bound or 0.0 for r in references], each)
        yield first, np.where(difference > bound, difference, 0.0).max(axis=0)


def _correlate(x: Array, bank: Array) -> Array:
    ones = (1,) * (x.ndim - 1)
    result: Array = correlate(x[None], bank, ones, ones)[0]
    return result
