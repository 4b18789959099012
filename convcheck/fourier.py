"""Every flip of a bank by FFT, for filters so large that sums of products take longer.

A filter with both spatial axes reversed has the conjugate spectrum, so the flips share the
transforms of the image and of the filters, and channels are added before the one way back.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.rounding import SINGLE, TINY, UNIT, fft_bound, norm
from convcheck.transforms import along_each_axis, back_along_each_axis

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from convcheck.rounding import Arithmetic

Array = NDArray[Any]

PRODUCT, COPY, POINT = 0.05, 0.8, 0.4
"""Nanoseconds of a product in the engine, of an element of its windows, and of a point in one of
log2(n) stages of an FFT."""
MARGIN = 1.5
"""How many times as long sums must take, as their bound is the better one."""
SMALLEST = 2.0**-149
"""The smallest positive float32."""


def wins(image: Sequence[int], bank: Sequence[int], rows: int) -> bool:
    """Whether FFTs of an image (C,H,W) and a bank (K,C,Fh,Fw) are clearly sooner than sums.

    It follows from the shapes alone, so that a report does not depend on the machine.
    """
    count, channels, *kernel = bank
    outputs = math.prod(n - f + 1 for n, f in zip(image[1:], kernel, strict=True))
    planes = channels + count * (channels / 2 + rows)  # filters are mostly zeros
    sums = (PRODUCT * rows * count + COPY) * channels * math.prod(kernel) * outputs

    def sooner(points: int) -> bool:
        return sums > MARGIN * POINT * planes * points * math.log2(max(points, 2))

    # Mostly the image's own size tells, without scipy, which takes long to import.
    return sooner(math.prod(image[1:])) and sooner(math.prod(_lengths(image)))


def sums(
    image: Array, bank: Array, rows: Iterable[Sequence[str]], arithmetic: Arithmetic
) -> tuple[Array, NDArray[np.float64]] | None:
    """:func:`flips`, and what each filter's elements can be off by: by 0 where sums are exact.

    Such sums are multiples of a quantum, of which one alone is within the bound. None where more
    may be, and where transforms overflow, which they do before sums.
    """
    bounds = bound(image, bank, arithmetic.input_roundings)
    step = arithmetic.quantum
    if arithmetic.exact and not max(bounds) < 0.49 * step:
        return None
    with np.errstate(all="ignore"):
        values = flips(image, bank, rows)
    if not np.isfinite(values).all():
        return None
    if arithmetic.exact:
        values /= step
        np.rint(values, out=values)
        values *= step
        values += 0.0  # no -0
        bounds = np.zeros(len(bank))
    return values, bounds


def rough(
    magnitudes: Array, weights: Array, rows: Iterable[Sequence[str]]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """:func:`flips` in half the time, in single precision, and what they can be off by: for S.

    Where that overflows the values are not finite.
    """
    with np.errstate(all="ignore"):
        values = flips(magnitudes.astype(np.float32), weights.astype(np.float32), rows)
    return values, bound(magnitudes, weights, 2, unit=SINGLE, underflow=SMALLEST)


def flips(image: Array, bank: Array, rows: Iterable[Sequence[str]]) -> Array:
    """The valid cross-correlations of an image (C,H,W) with each flip of a bank, (R,K,h,w).

    ``rows`` say which of the axes I, H and W of the bank (K,C,Fh,Fw) are reversed. Each element is
    off by :func:`bound` at most. The precision is the image's, float64 or float32.
    """
    from scipy.fft import rfft2

    rows = list(rows)
    lengths = _lengths(image.shape)
    count, _, *kernel = bank.shape
    sizes = [n - f + 1 for n, f in zip(image.shape[1:], kernel, strict=True)]
    # What wraps around falls on elements before the last of a kernel: outside of what is valid.
    first, last = (
        tuple(slice(a, a + n) for a, n in zip(at, sizes, strict=True))
        for at in ((0, 0), (f - 1 for f in kernel))
    )
    spectrum = rfft2(image, lengths)
    values = np.empty((len(rows), count, *sizes), image.dtype)
    for k, filters in enumerate(bank):
        kept: dict[bool, Array] = {}
        for row, flip in enumerate(rows):
            crossed = ("H" in flip) != ("W" in flip)
            if crossed not in kept:
                stored = filters[:, ::-1] if crossed else filters
                kept[crossed] = along_each_axis(stored, lengths, (1, 2))
            # Both axes reversed, or W of what has H reversed: a convolution with what was kept.
            convolved = "W" in flip
            factor = kept[crossed][::-1] if "I" in flip else kept[crossed]
            summed = _summed(spectrum, factor if convolved else factor.conj())
            valid = last if convolved else first
            values[row, k] = back_along_each_axis(summed, lengths, (0, 1), valid)
    return values


def _summed(a: Array, b: Array) -> Array:
    """The products of two spectra (C,H,W), summed over channels."""
    total: Array = a[0] * b[0]
    for one, other in zip(a[1:], b[1:], strict=True):
        total += one * other
    return total


def bound(
    image: Array, bank: Array, roundings: int, *, unit: float = UNIT, underflow: float = TINY
) -> NDArray[np.float64]:
    """What each element of :func:`flips` can be off by, for each filter (K).

    It is that of one FFT convolution: channel by channel the norms' products add up to no more than
    the product of the norms (Cauchy and Schwarz), and each of the C additions rounds once more. All
    channels' points count for what underflow takes.
    """
    channels = len(image)
    points = channels * math.prod(_lengths(image.shape))
    size, more = norm(image), roundings + channels
    return np.array(
        [
            fft_bound(size, norm(w), points, roundings=more, unit=unit, underflow=underflow)
            for w in bank
        ]
    )


def _lengths(image: Sequence[int]) -> list[int]:
    from scipy.fft import next_fast_len

    return [int(next_fast_len(n, real=True)) for n in image[1:]]
