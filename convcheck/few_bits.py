"""What numbers of few bits can lose, and what they usually do.

Two kinds: operands that are rounded to TF32, bfloat16 or float16 while their sums are made in
float32, as tensor cores do; and accumulators that are as narrow themselves. For each there is a
worst case, which is proven, and the root mean square of the error where roundings are independent,
which says how far off elements usually are. The worst case grows as n, the other as its root: what
is far beyond the one and within the other was hardly made by rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convcheck.rounding import NORMAL, SINGLE, gamma, sum_bound

Floats = NDArray[np.float64]

RMS = math.sqrt((3 / 8) / math.log(2) / 3)
"""Root mean square of a relative rounding error, in unit roundoffs: 0.42.

The error is spread evenly over a unit in the last place, and the number that is rounded over the
binary logarithms, as leading digits are (Benford): u / m for 1 <= m < 2, and 1 / m^2 is 3/8 / ln 2
on average. Were it spread evenly, it would be 0.41.
"""
CUT = 1 / 2 / math.log(2)
"""What cutting off digits takes from a number on average, in unit roundoffs: 0.72 of 2 at most."""


@dataclass(frozen=True)
class Format:
    """A binary floating-point format.

    ``unit`` is its unit roundoff to nearest; what is cut off is less than twice that. ``tiny`` is
    what an operation can lose besides: the smallest normal number, as most hardware flushes what is
    below to 0, but for float16, where it keeps it.
    """

    name: str
    unit: float
    tiny: float


FLOAT32 = Format("float32", SINGLE, NORMAL)
TF32 = Format("tf32", 2.0**-11, NORMAL)
BFLOAT16 = Format("bfloat16", 2.0**-8, NORMAL)
FLOAT16 = Format("float16", 2.0**-11, 2.0**-24)


def operands_bound(
    magnitude: Floats,
    terms: int,
    operands: Format,
    *,
    rounded: int = 2,
    sums: Format = FLOAT32,
    largest: float = 0.0,
) -> Floats:
    """Bound on the error of sums whose operands were rounded, or cut off, to few bits.

    ``magnitude`` is S, the sums of |x w|; ``rounded`` how many of the two operands had to be. With
    v = 2u of ``operands`` (u would do to nearest), each product has a factor of (1 + v) for each of
    them, and one of (1 + gamma_n) from ``sums``, in any order: it is off by no more than
    ((1 + v)^rounded (1 + gamma_n) - 1) S. ``largest`` is max |x| + max |w|, by which is multiplied
    what is too small for ``operands``.
    """
    added = gamma(terms, sums.unit)
    cut = math.expm1(rounded * math.log1p(2 * operands.unit))
    factor = (cut + added + cut * added) * (1 + 2 * gamma(terms + 8))
    if not math.isfinite(factor):
        return np.full(np.shape(magnitude), math.inf)
    lost = rounded * operands.tiny * (largest + 1) + 2 * sums.tiny
    result: Floats = factor * magnitude + (1 + factor) * terms * lost
    return result


def operands_rms(root_squares: Floats, operands: Format, *, rounded: int = 2) -> Floats:
    """Root mean square of what rounded operands leave in sums, to nearest or cut off.

    ``root_squares`` is the root of the sum of (x w)^2. Each rounding is taken as independent, so
    equal taps or a flat image, which are rounded alike, can be off by more: by RMS u of the sum.
    What is cut off has about as much spread, and :func:`cut_off` besides.
    """
    result: Floats = RMS * operands.unit * math.sqrt(rounded) * root_squares
    return result


def cut_off(sums: Floats, operands: Format, *, rounded: int = 2) -> Floats:
    """What operands that were cut off take from exact sums on average, all towards 0."""
    result: Floats = -CUT * operands.unit * rounded * sums
    return result


def accumulator_bound(
    magnitude: Floats, terms: int, sums: Format, *, roundings: int = 0, is_complex: bool = False
) -> Floats:
    """Bound on the error of sums made in any format, in any order: gamma_n S.

    It is :func:`~convcheck.rounding.sum_bound`, and infinite where n u reaches 1: the worst case of
    so many terms in so few bits says nothing.
    """
    if not math.isfinite(gamma((2 if is_complex else 1) * terms + roundings, sums.unit)):
        return np.full(np.shape(magnitude), math.inf)
    return sum_bound(
        magnitude,
        terms,
        is_complex=is_complex,
        input_roundings=roundings,
        unit=sums.unit,
        underflow=sums.tiny,
    )


def probable_bound(
    magnitude: Floats, terms: int, sums: Format, *, failure: float, roundings: int = 0
) -> Floats:
    """Bound that all sums keep to, but for a probability of ``failure``, as root n in place of n.

    N. J. Higham and T. Mary, *A New Approach to Probabilistic Rounding Error Analysis*, SIAM J.
    Sci. Comput. 41, 2019, theorem 3.1: where roundings are independent with mean 0, a sum of n
    products is off by more than (exp(l sqrt(n) u + n u^2 / (1 - u)) - 1) S with a probability of at
    most 2 n exp(-l^2 (1 - u)^2 / 2). Here l is such that this, times the number of elements, is
    ``failure``. It is no proof: roundings have no mean of 0 in sums that are cut off, nor in large
    sums of one sign in few bits, to which small terms add nothing any more.
    """
    count = terms + roundings
    u = sums.unit
    spread = math.sqrt(2 * math.log(2 * count * max(1, np.size(magnitude)) / failure)) / (1 - u)
    factor = math.expm1(spread * math.sqrt(count) * u + count * u * u / (1 - u))
    result: Floats = factor * (1 + 2 * gamma(terms + 8)) * magnitude + sums.tiny * (terms + 1)
    return result
