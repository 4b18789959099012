"""Sums by FFT, for filters so large that sums of products take longer; with a proven bound.

An image has the axes (C,*S), a bank (K,C,*F), whatever the number of spatial axes. A row is a flip
of the bank: the axes of one filter that are reversed, 0 the channels, 1 and on the spatial ones. A
filter with all spatial axes reversed has the conjugate spectrum, so the rows share the transforms
of the image and of the filters, and channels are added before the one way back.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.rounding import Arithmetic, fft_bound, norm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Array = NDArray[Any]
Flip = tuple[int, ...]

PRODUCT, COPY, POINT = 0.05, 0.8, 0.4
"""Nanoseconds of a product in the engine, of an element of its windows, and of a point in one of
log2(n) stages of an FFT."""
MARGIN = 1.5
"""How many times as long sums must take, as their bound is the better one."""


def wins(image: Sequence[int], bank: Sequence[int], rows: int) -> bool:
    """Whether FFTs of an image (C,*S) and a bank (K,C,*F) are clearly sooner than sums.

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
    image: Array, bank: Array, rows: Sequence[Flip], arithmetic: Arithmetic
) -> tuple[Array, NDArray[np.float64]] | None:
    """Every row (R,K,*out) by :func:`flips`, and its :func:`bound` (K); None where it has none."""
    bounds = bound(image, bank, arithmetic)
    if bounds is None:
        return None
    return np.stack(list(flips(image, bank, rows, arithmetic)), axis=1), bounds


def magnitude(image: Array, bank: Array) -> NDArray[np.float64] | None:
    """No less than S of a correlation, (K,*out), and more by twice the bound of an FFT at most.

    None where a transform could overflow.
    """
    sizes, weights = (np.abs(a).astype(np.float64, copy=False) for a in (image, bank))
    # An absolute value may have been rounded.
    arithmetic = Arithmetic(sizes.dtype, exact=False, quantum=0.0, input_roundings=2)
    bounds = bound(sizes, weights, arithmetic)
    if bounds is None:
        return None
    made = flips(sizes, weights, [()], arithmetic)
    return np.stack([values + off for (values,), off in zip(made, bounds, strict=True)])


def bound(image: Array, bank: Array, arithmetic: Arithmetic) -> NDArray[np.float64] | None:
    """What each element of :func:`flips` can be off by, for each filter (K).

    It is that of one FFT convolution: channel by channel the norms' products add up to no more than
    the product of the norms (Cauchy and Schwarz), and each of the C additions rounds once more. All
    channels' points count for what underflow takes. Exact sums are multiples of a quantum, of which
    one alone is within the bound: they are rounded to it, and off by 0. None where more may be, and
    where a transform could overflow: one way and back may add up the points twice.
    """
    points = len(image) * math.prod(_lengths(image.shape))
    size, roundings = norm(image), arithmetic.input_roundings + len(image)
    norms = [norm(kernel) for kernel in bank]
    if not math.isfinite(size * max(norms) * points * points):
        return None
    bounds = np.array([fft_bound(size, one, points, roundings=roundings) for one in norms])
    if not arithmetic.exact:
        return bounds
    return np.zeros(len(bank)) if bounds.max() < 0.49 * arithmetic.quantum else None


def flips(
    image: Array, bank: Array, rows: Sequence[Flip], arithmetic: Arithmetic
) -> Iterator[Array]:
    """The valid cross-correlations of an image with the flips of a filter, one after the other.

    Each is (R,*out), in float64. Where ``arithmetic`` is exact they are rounded to its quantum.
    """
    from scipy.fft import irfftn

    lengths = _lengths(image.shape)
    last = bank.ndim - 2
    spatial = frozenset(range(1, last + 1))
    sizes = [n - f + 1 for n, f in zip(image.shape[1:], bank.shape[2:], strict=True)]
    # What wraps around falls on elements before the last of a kernel: outside of what is valid.
    first, late = (
        tuple(slice(a, a + n) for a, n in zip(at, sizes, strict=True))
        for at in ((0,) * last, (f - 1 for f in bank.shape[2:]))
    )
    spectrum = _transform(image, lengths)
    conjugate = spectrum.conj()
    for stored in bank:
        kept: dict[frozenset[int], Array] = {}
        values = np.empty((len(rows), *sizes))
        for made, flip in zip(values, rows, strict=True):
            # With the last axis reversed it is a convolution, which reverses all of them.
            convolved = last in flip
            reverse = spatial.difference(flip) if convolved else spatial.intersection(flip)
            if reverse not in kept:
                kept[reverse] = _transform(np.flip(stored, tuple(reverse)), lengths)
            factor = kept[reverse][::-1] if 0 in flip else kept[reverse]
            summed = _summed(spectrum if convolved else conjugate, factor)
            if not convolved:
                np.conj(summed, out=summed)
            made[...] = irfftn(summed, lengths, overwrite_x=True)[late if convolved else first]
        if arithmetic.exact:
            round_to_quantum(values, arithmetic.quantum)
        yield values


def round_to_quantum(values: Array, quantum: float) -> None:
    """Round to the nearest multiples in place, and -0 to 0."""
    if quantum != 1:
        values /= quantum
    np.rint(values, out=values)
    if quantum != 1:
        values *= quantum
    values += 0.0


def _transform(array: Array, lengths: Sequence[int]) -> Array:
    """The spatial FFT of (C,*S), each axis padded when its turn comes: zeros stay zeros."""
    from scipy.fft import fft, rfft

    array = rfft(array, lengths[-1], axis=-1)
    for axis, length in enumerate(lengths[:-1], 1):
        array = fft(array, length, axis=axis, overwrite_x=True)
    return array


def _summed(a: Array, b: Array) -> Array:
    """The products of two spectra (C,*S), summed over channels."""
    total: Array = a[0] * b[0]
    for one, other in zip(a[1:], b[1:], strict=True):
        total += one * other
    return total


def _lengths(image: Sequence[int]) -> list[int]:
    from scipy.fft import next_fast_len

    return [int(next_fast_len(n, real=True)) for n in image[1:]]
