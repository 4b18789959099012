"""Seeded images and filters that tell conventions apart; a case is rebuilt from its seed alone."""

from __future__ import annotations

import os
from difflib import get_close_matches
from itertools import combinations
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention import NAMED, named
from convcheck.convention.channels import spatial
from convcheck.engine import correlate
from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[Any]

DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "longdouble", "complex64", "complex128"),
)
VALUES = ("ints", "normal")
ATTEMPTS = 100


def draw(
    image_shape: Sequence[int],
    filters_shape: Sequence[int],
    *,
    seed: int,
    dtype: str = "float32",
    values: str = "ints",
) -> tuple[Array, Array]:
    """An image (C,*S) and a bank (K,C,*F) that separate every two flips as far as they can.

    ``ints`` are the digits 0 to 9 (0 and 1 for bool), ``normal`` standard normal numbers. Draws
    are repeated until every two flips that the shapes can tell apart give different results; where
    none of 100 draws does that, it is the draw that separates the named decompositions best, then
    the flips.

    Raises:
        InputError: an unknown dtype or kind of values, shapes that do not fit each other or the
            memory.
    """
    kind = _check(image_shape, filters_shape, dtype, values)
    rng = np.random.default_rng(seed)
    flips = _flips(filters_shape[1:])
    decompositions = len(_decompositions(filters_shape[1:]))
    most = (0, 0)
    for _ in range(ATTEMPTS):
        image = _numbers(rng, image_shape, kind, values)
        filters = _numbers(rng, filters_shape, kind, values)
        separated = _separated(image, filters, flips)
        if separated > most:
            most, best = separated, (image, filters)
        if separated == (decompositions, len(flips)):
            break
    return best


def _check(
    image_shape: Sequence[int], filters_shape: Sequence[int], dtype: str, values: str
) -> np.dtype[Any]:
    if dtype not in DTYPES:
        close = get_close_matches(dtype, DTYPES, n=1)
        raise InputError(
            f"no dtype is named {dtype!r}",
            expected=", ".join(DTYPES),
            hint=f"did you mean {close[0]!r}?" if close else None,
        )
    if values not in VALUES:
        raise InputError(f"no values are named {values!r}", expected=", ".join(VALUES))
    kind = np.dtype(dtype)
    if values == "normal" and kind.kind not in "fc":
        raise InputError(
            f"normal values do not fit {dtype}",
            expected="a floating or complex dtype",
            hint="use --values ints, or --dtype float64",
        )
    channels, *sizes = image_shape
    if filters_shape[1] != channels:
        raise InputError(
            "the filters and the image have different numbers of channels",
            got=f"filters of {filters_shape[1]}, an image of {channels}",
            expected="as many channels in a filter as in the image",
            hint=f"--filters {_text((filters_shape[0], channels, *filters_shape[2:]))}",
        )
    out = [n - f + 1 for n, f in zip(sizes, filters_shape[2:], strict=True)]
    if min(out) < 1:
        raise InputError(
            "the filters are larger than the image, so that no window is complete",
            got=f"filters of {_text(filters_shape[2:])}, an image of {_text(sizes)}",
            expected="filters no larger than the image along either axis",
            hint="draw a larger --shape, or smaller filters",
        )
    # The data as drawn and in double precision, and three results with their bounds.
    needed = (prod(image_shape) + prod(filters_shape)) * (kind.itemsize + 16)
    needed += 8 * 6 * filters_shape[0] * prod(out)
    available = _memory()
    if needed > available:
        raise InputError(
            "the case is larger than this machine's memory",
            got=f"an image of {_text(image_shape)} and filters of {_text(filters_shape)}, "
            f"which take {_gib(needed)}",
            expected=f"at most {_gib(available)}",
            hint="draw a smaller shape",
        )
    return kind


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # no such question on this system
        return 1 << 34


def _gib(size: int) -> str:
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}"
        size //= 1024
    return f"{size:,.0f} EiB"


def _numbers(
    rng: np.random.Generator, shape: Sequence[int], dtype: np.dtype[Any], values: str
) -> Array:
    if dtype.kind == "c":
        real = np.dtype(f"f{dtype.itemsize // 2}")
        parts = [_numbers(rng, shape, real, values) for _ in range(2)]
        return (parts[0] + 1j * parts[1]).astype(dtype)
    if values == "normal":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2 if dtype.kind == "b" else 10, shape).astype(dtype)


def _axes(kernel: Sequence[int]) -> str:
    """The letters of the axes of filters (C,*F)."""
    return "I" + spatial(len(kernel) - 1)


def _flips(kernel: Sequence[int]) -> list[tuple[str, ...]]:
    """The reversals of axes that do something for filters (C,*F) of this shape."""
    axes = _effective(_axes(kernel), kernel)
    return [flip for n in range(len(axes) + 1) for flip in combinations(axes, n)]


def _effective(flip: Sequence[str], kernel: Sequence[int]) -> tuple[str, ...]:
    lengths = dict(zip(_axes(kernel), kernel, strict=True))
    return tuple(axis for axis in flip if lengths[axis] > 1)


def _decompositions(kernel: Sequence[int]) -> set[tuple[str, ...]]:
    """What the named decompositions reverse of such filters."""
    return {_effective(named(slug, len(kernel) - 1).flip, kernel) for slug in NAMED}


def _separated(image: Array, filters: Array, flips: Sequence[tuple[str, ...]]) -> tuple[int, int]:
    """How many different results the named decompositions give, and how many the flips.

    A corner of the image and one filter are enough to see most.
    """
    kernel = filters.shape[1:]
    corner = image[(slice(None), *(slice(n + 6) for n in kernel[1:]))]
    wide = np.complex128 if image.dtype.kind == "c" else np.float64
    axes, ones = _axes(kernel), (1,) * (len(kernel) - 1)
    bank = [np.flip(filters[0], tuple(map(axes.index, flip))) for flip in flips]
    results = correlate(corner[None].astype(wide), np.stack(bank).astype(wide), ones, ones)[0]
    seen = {flip: np.round(r, 6).tobytes() for flip, r in zip(flips, results, strict=True)}
    return len({seen[flip] for flip in _decompositions(kernel)}), len(set(seen.values()))
