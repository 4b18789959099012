"""How large rounding errors typically are: what is left of an output once it is explained.

Bounds (:mod:`convcheck.rounding`) say what rounding can do at worst; here is what it does. The
worst case of a sum grows with its n products, the typical error with the root of n: each partial
sum is rounded by up to a unit of itself, to either side (Higham, *Accuracy and Stability of
Numerical Algorithms*, section 2.8 on the rule of thumb; Higham and Mary, SIAM J. Sci. Comput. 41,
2019). How much of that a certain order of summation shows, ``growth``, is read off the residuals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

DIRECT = 2.0
"""The largest ``growth`` that sums have: twice that of one long running sum."""
ALGORITHM = 64.0
"""The same of algorithms with other bounds, Winograd's and the FFT."""
FAR = 8.0
"""So many typical errors are no rounding error."""
SINGLE = 2.0**-24


@dataclass(frozen=True)
class Noise:
    """The typical error of a result, relative to what it is made of.

    ``unit`` is the unit roundoff in which sums are made, ``growth`` what of a running sum's error
    they show, ``terms`` the products of one. ``lossless`` sums of absolute products lose nothing.
    """

    unit: float
    growth: float
    terms: int
    lossless: float = 0.0

    def of_sums(self, sums: Array, squares: Array, magnitude: Array) -> Array:
        """The standard deviation of the sums' own error; ``squares`` are the roots of theirs.

        A running sum is at half its way half of the sum, and about the root of its squares beside.
        """
        part = 0.5 * math.sqrt(self.terms) * (np.abs(sums) + squares)
        size = self.unit * self.growth * part
        size = np.maximum(size, 2.0**-53 * part)
        return np.where(magnitude <= self.lossless, 0.0, size)

    def of_result(
        self,
        sums: Array,
        own: Array,
        scale: Array,
        bias: Array,
        steepest: float | None,
        result: Array,
    ) -> Array:
        """The same of ``activation(scale * sums + bias)``, each step rounded once.

        ``own`` is that of the sums, ``steepest`` the activation's largest slope, None where there
        is none.
        """
        scaled = np.abs(scale * sums)
        steps = np.where(scale != 1, scaled, 0.0)
        steps = steps + np.where(bias != 0, np.abs(bias) + scaled, 0.0)
        made = scale * sums + bias
        if self.unit == SINGLE and made.dtype == np.float64:
            # What single precision holds is not rounded.
            steps = np.where(made.astype(np.float32) == made, 0.0, steps)
        error: Array = np.hypot(np.abs(scale) * own, 0.5 * self.unit * steps)
        if steepest is not None:
            evaluated = np.abs(result) + 2 * steepest * (scaled + np.abs(bias))
            error = np.hypot(steepest * error, 0.5 * self.unit * evaluated)
        return error


def residual_bits(residual: Array, sigma: Array, steps: Array) -> Array:
    """The bits that each residual takes beside a prediction, 0 where it says all.

    The base-2 logarithm of how many values ``steps`` apart the claim would have allowed, by a
    normal distribution of errors of size ``sigma``: more for an error that is rare.
    """
    beyond = np.maximum(residual - 0.5 * steps * (1 + 2.0**-20), 0.0)
    floor = np.maximum(sigma, 2.0**-40 * steps)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        bits = np.maximum(np.log2(floor * math.sqrt(2 * math.pi) / steps), 0.0)
        bits = bits + np.minimum(0.5 / math.log(2) * (beyond / floor) ** 2, 1e6)
    return np.where(np.isfinite(bits), bits, 1e6)
