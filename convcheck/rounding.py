"""How much difference rounding can explain: a-priori error bounds, element by element.

The sources are N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed.: chapter 3
for sums of products (lemma 3.1 and section 3.1; lemma 3.5 for complex products) and chapter 24 for
the fast Fourier transform (theorem 24.2), each with the term that underflow adds (section 2.8).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike, NDArray

from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = NDArray[np.generic]

UNIT = 2.0**-53
"""Unit roundoff of float64, rounding to nearest."""
SINGLE = 2.0**-24
"""That of float32."""
NORMAL = 2.0**-126
"""The smallest normal float32: what an operation can lose where such results are flushed to 0."""
TINY = 2.0**-1074
"""The smallest positive float64: what one operation can lose to underflow."""
FFT_STAGE = 16.0
"""Unit roundoffs that one factor of two of a transform's length can cost, in the 2-norm.

Theorem 24.2 has 6.7 for radix 2 with accurate twiddle factors. A butterfly of radix r summed term
by term costs at most sqrt(r) * gamma(r + 2) and its twiddle factor 6.7 more; over log2(r) factors
of two that is under 16 for the radices 2, 3, 4, 5, 7, 8 and 11 that scipy's lengths are made of.
"""


def gamma(terms: float, unit: float = UNIT) -> float:
    """Higham's gamma_n = n*u / (1 - n*u); infinite where n*u reaches 1."""
    nu = terms * unit
    return nu / (1 - nu) if nu < 1 else math.inf


def sum_bound(
    magnitude: NDArray[np.float64],
    terms: int,
    *,
    is_complex: bool = False,
    input_roundings: int = 0,
    unit: float = UNIT,
    underflow: float = TINY,
) -> NDArray[np.float64]:
    """Bound on the error of sums of products, in any order of summation.

    ``magnitude`` is S, the same convolution of the absolute values, itself computed in float64;
    ``terms`` the products in one output element; ``input_roundings`` how many of the two operands
    were rounded before. |error| <= gamma_n * S, plus what each product can lose by ``underflow``.
    The real and the imaginary part of a complex sum have 2n products each, hence 2n and sqrt(2).
    """
    products = 2 * terms if is_complex else terms
    factor = gamma(products + input_roundings, unit) * (math.sqrt(2) if is_complex else 1.0)
    factor *= 1 + 2 * gamma(products + 2)  # S was rounded too
    return factor * magnitude + underflow * (products + 1)


def fft_bound(
    image_norm: float,
    filter_norm: float,
    length: int,
    *,
    roundings: int = 0,
    unit: float = UNIT,
    underflow: float = TINY,
) -> float:
    """Bound on the error of one convolution that went through an FFT, for all its elements alike.

    ``image_norm`` and ``filter_norm`` are the 2-norms of the operands, ``length`` the number of
    points of the (N-D) transform, ``roundings`` how many operands were rounded before. Three
    transforms of log2(length) stages each, one complex product, one scaling. ``underflow`` is the
    smallest number of the arithmetic, which an operation can lose.
    """
    stages = math.log2(max(length, 2))
    relative = gamma(3 * FFT_STAGE * stages + 8 + roundings, unit)
    lost = 8 * underflow * length * stages * (1 + image_norm + filter_norm)
    return relative * image_norm * filter_norm + lost


def norm(array: Array) -> float:
    """The 2-norm, safe from overflow and underflow of the squares, rounded upwards."""
    largest = largest_magnitude(array)
    if largest == 0.0 or not math.isfinite(largest):
        return largest
    squares = 0.0
    for part in blocks(array):
        with np.errstate(all="ignore"):  # numpy 1.26 speaks of an overflow where there is none
            real = np.abs(part) if part.dtype.kind == "c" else part
            scaled = real.ravel().astype(np.float64, copy=False) / largest
        squares += float(np.dot(scaled, scaled))
    return largest * math.sqrt(squares) * (1 + gamma(array.size + 4))


def quantum(array: Array) -> float:
    """The largest power of two that divides every element, 1 for integers; 0 if it is unknown."""
    if array.dtype.kind in "biu":
        return 1.0
    if not _converts(array, np.dtype(np.complex128)):
        return 0.0
    if array.dtype.kind == "c":
        return min(quantum(array.real), quantum(array.imag))
    power, largest = None, 0.0
    # A look at a few elements is enough to give up on most measured data.
    for part in chain([array.ravel()[:64]], blocks(array)):
        found = _power(part if power is None else _no_multiples(part, power))
        if found is not None:
            power = found if power is None else min(power, found)
        largest = max(largest, largest_magnitude(part))
        if power is not None and (power < -500 or largest * 2.0**-power >= 2.0**53):
            return 0.0
    return 2.0 ** (power or 0)


def _no_multiples(array: Array, power: int) -> Array:
    """The elements that 2^power may not divide; most are multiples of what a few have shown."""
    with np.errstate(over="ignore", under="ignore"):
        scaled = array.astype(np.float64) * 2.0**-power
    # What is too small for it has become zero.
    rest: Array = array[(scaled != np.rint(scaled)) | (scaled == 0)]
    return rest


def _power(array: Array) -> int | None:
    """The largest power of two that divides every element; None of zeros alone."""
    mantissa, exponent = np.frexp(array[array != 0].astype(np.float64))
    if mantissa.size == 0:
        return None
    whole = np.abs(np.ldexp(mantissa, 53)).astype(np.int64)
    return int((exponent - 53 + np.log2(whole & -whole).astype(np.int64)).min())


def blocks(array: Array, size: int = 1 << 19) -> Iterator[Array]:
    """The array in parts of at most about ``size`` elements, so that a look at it needs no copy."""
    if array.size <= size:
        yield array
    elif array.size // len(array) > size:
        for part in array:
            yield from blocks(part, size)
    else:
        step = size * len(array) // array.size  # 1 or more: a part of length 1 is no larger
        for first in range(0, len(array), step):
            yield array[first : first + step]


@dataclass(frozen=True)
class Arithmetic:
    """In what the sums of one image and one bank are computed, and what that leaves uncertain.

    ``exact``: every partial sum is representable, in any order, so there is no error at all.
    ``quantum``: every exact result is a multiple of it. ``input_roundings``: how many operands
    could not be converted to ``dtype`` without rounding. ``underflow``: what one product can lose
    where it, or an operand that was converted, is too small for ``dtype``.
    """

    dtype: np.dtype[np.generic]
    exact: bool
    quantum: float
    input_roundings: int
    underflow: float = TINY

    @property
    def is_complex(self) -> bool:
        """Whether sums have a real and an imaginary part."""
        return self.dtype.kind == "c"

    def cast(self, array: Array) -> Array:
        """The operand in the working dtype; no copy where it has it already."""
        return array.astype(self.dtype, copy=False)

    def bound(self, magnitude: NDArray[np.float64], terms: int) -> NDArray[np.float64]:
        """What rounding can explain in sums of ``terms`` products, 0 where sums are exact."""
        if self.exact:
            return np.zeros_like(magnitude)
        return sum_bound(
            magnitude,
            terms,
            is_complex=self.is_complex,
            input_roundings=self.input_roundings,
            underflow=self.underflow,
        )


def choose_arithmetic(image: Array, filters: Array) -> Arithmetic:
    """The working arithmetic for an image and a bank of filters (K first, any further axes).

    Exact int64 where the data are integers too large for float64, exact float64 (complex128)
    where every sum is a multiple of a power of two below 2^53 of it, plain float64 elsewhere.

    Raises:
        InputError: the sums would overflow float64.
    """
    largest = largest_magnitude(image)
    reach = _sum_of_magnitudes(largest, filters)
    if not math.isfinite(2 * reach):  # two results as far apart as can be must have a difference
        raise InputError(
            "the convolution's sums overflow float64",
            got=_overflowing(largest),
            expected="sums of magnitudes below 8.9e307",
            hint="divide the data by a power of two; the conventions do not change",
        )
    wide = np.result_type(image.dtype, filters.dtype)
    dtype: DTypeLike = np.complex128 if wide.kind == "c" else np.float64
    step = quantum(image) * quantum(filters)
    if step > 0 and reach / step < 2.0**52:
        return Arithmetic(np.dtype(dtype), exact=True, quantum=step, input_roundings=0)
    whole = image.dtype.kind in "biu" and filters.dtype.kind in "biu"
    if whole and reach < 2.0**62:  # neither is all 0 here: both are below it too
        return Arithmetic(np.dtype(np.int64), exact=True, quantum=1.0, input_roundings=0)
    inexact = sum(not _converts(a, np.dtype(dtype)) for a in (image, filters))
    # A long double below the smallest float64 is off by that, times the other operand.
    lost = TINY * (1 + (largest + largest_magnitude(filters) if inexact else 0.0))
    return Arithmetic(
        np.dtype(dtype), exact=False, quantum=0.0, input_roundings=inexact, underflow=lost
    )


def _overflowing(largest: float) -> str:
    if largest == 0:
        return "filters whose sum overflows"
    if math.isinf(largest):
        return "an image with numbers beyond float64"
    least = np.finfo(np.float64).max / 2 / largest
    return f"an image that reaches {largest:.3g} and filters that add to more than {least:.3g}"


def largest_magnitude(array: Array) -> float:
    """max |a|; right for the most negative integer too, whose absolute value its dtype lacks."""
    if array.size == 0:
        return 0.0
    if array.dtype.kind in "biu":
        return float(max(-int(array.min()), int(array.max())))
    if array.dtype.kind == "c":
        return max(float(np.max(np.abs(part))) for part in blocks(array))
    return float(max(array.max(), -array.min()))


def _sum_of_magnitudes(largest: float, filters: Array) -> float:
    """A bound on S over all outputs: the largest sample times the heaviest filter."""
    with np.errstate(over="ignore", invalid="ignore"):  # 0 times infinity
        sizes = np.abs(filters.astype(np.complex128 if filters.dtype.kind == "c" else np.float64))
        heaviest = sizes.reshape(len(filters), -1).sum(axis=1).max()
        return float(largest * heaviest)


def _converts(array: Array, dtype: np.dtype[np.generic]) -> bool:
    """Whether every element survives the conversion unchanged."""
    if np.can_cast(array.dtype, dtype, "safe") and array.dtype.kind not in "iu":
        return True
    if array.dtype.kind in "iu":
        return array.dtype.itemsize < 8 or largest_magnitude(array) < 2**53
    if dtype.kind == "c" and array.dtype.kind == "f":
        dtype = np.dtype(np.float64)  # there and back through complex would warn of a lost part
    with np.errstate(over="ignore", under="ignore"):
        return all(
            np.array_equal(part.astype(dtype).astype(part.dtype), part) for part in blocks(array)
        )
