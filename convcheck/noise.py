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
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from convcheck.convention import Activation

Array = NDArray[Any]

DIRECT = 0.5
"""The largest ``growth`` that sums have: a little more than that of one long running sum."""
ALGORITHM = 64.0
"""The same of algorithms with other bounds, Winograd's and the FFT."""
UNEVEN, SHARE = 16.0, 0.1
"""Of these so many errors are so many times as large: Winograd's grow with an element's place in
its tile."""
FAR = 8.0
"""So many typical errors are no rounding error."""
SINGLE = 2.0**-24


@dataclass(frozen=True)
class Noise:
    """The typical error of a result, relative to what it is made of.

    ``unit`` is the unit roundoff in which sums are made, ``growth`` what of a running sum's error
    they show, ``terms`` the products of one. Up to ``lossless`` sums of absolute products lose
    nothing; ``flatness`` is about the root of the squares' sum beside that of absolute products.
    ``level`` is about the mean size of what an element is made of: an FFT's error is of it, however
    small the element.
    """

    unit: float
    growth: float
    terms: int
    lossless: float = 0.0
    flatness: float = 1.0
    level: float = 0.0

    @property
    def uneven(self) -> bool:
        """Whether it is that of an algorithm whose errors differ much in size."""
        return self.growth > DIRECT

    def of_sums(self, sums: Array, squares: Array, magnitude: Array) -> Array:
        """The standard deviation of the sums' own error; ``squares`` are the roots of theirs.

        A running sum is at half its way half of the sum, and about the root of its squares beside.
        """
        sizes = np.abs(sums) + squares
        part = (
            0.5 * math.sqrt(self.terms) * (np.maximum(sizes, self.level) if self.uneven else sizes)
        )
        size = self.unit * self.growth * part
        size = np.maximum(size, 2.0**-53 * part)
        return np.where(magnitude <= self.lossless, 0.0, size)

    def of_steps(self, sums: Array, own: Array, scale: Array, bias: Array) -> Array:
        """The same of ``scale * sums + bias``, each step rounded once; ``own`` is the sums'."""
        scaled = np.abs(scale * sums)
        steps = np.where(scale != 1, scaled, 0.0)
        steps = steps + np.where(bias != 0, np.abs(bias) + scaled, 0.0)
        made = scale * sums + bias
        if self.unit == SINGLE and made.dtype == np.float64:
            # What single precision holds is not rounded.
            steps = np.where(made.astype(np.float32) == made, 0.0, steps)
        error: Array = np.hypot(np.abs(scale) * own, 0.5 * self.unit * steps)
        return error

    def activated(self, activation: Activation, made: Array, error: Array) -> tuple[Array, Array]:
        """The activation of numbers with their errors, and the typical error of that.

        Where an activation is flat nothing of their error is left. Most are evaluated with an
        error of their own, of some units of result and argument: far from zero there is nothing
        left to cancel.
        """
        result = activation.apply(made)
        reach = np.maximum(error, self.unit * np.abs(made))
        around = 0.5 * np.abs(activation.apply(made + reach) - activation.apply(made - reach))
        error = np.where(reach > 0, around * error / np.maximum(reach, 2.0**-1000), 0.0)
        own = activation.evaluated * self.unit * (np.abs(result) + around)
        if activation.evaluated:
            own = own + activation.cancels * self.unit * np.minimum(np.abs(made), 3.0)
        return result, np.hypot(error, own)


COMMON, TAIL = 2.4, 1.75
"""Bits of how rare large errors are, and that they become rarer by with every typical error."""


def tail_bits(errors: Array) -> Array:
    """How rare errors are that are so many times the typical one, or larger, and to one side.

    How large partial sums were on their way differs from element to element, so that many errors
    together are no normal distribution: they become rarer by a factor for every typical error.
    Sums of 10 to 600 products in PyTorch, JAX and oneDNN have one of 5 among a thousand, one of 7
    among ten thousand.
    """
    found: Array = COMMON + TAIL * errors
    return found


def rarest(bits: float) -> float:
    """How many typical errors one is large that is so rare."""
    return max(bits - COMMON, 0.0) / TAIL


def interval_bits(
    low: Array, high: Array, predicted: Array, sigma: Array, *, uneven: bool = False
) -> Array:
    """The bits of results between two ends, where a prediction is off by errors of size ``sigma``.

    The negative base-2 logarithm of the probability, errors being normal: 0 where no other result
    was to be expected, more the more the claim would have allowed, and for an error that is rare.
    ``uneven``: some errors are much larger than the others.
    """
    if uneven:
        most, some = (interval_bits(low, high, predicted, size) for size in (sigma, UNEVEN * sigma))
        least = np.minimum(most, some)
        chance = (1 - SHARE) * 2.0 ** (least - most) + SHARE * 2.0 ** (least - some)
        return least - np.log2(chance)
    floor = np.maximum(sigma, 2.0**-1000)
    with np.errstate(all="ignore"):
        left, right = (low - predicted) / floor, (high - predicted) / floor
        inside = _normal(right) - _normal(left)
        near = np.where(left > 0, left, np.where(right < 0, -right, 0.0))
        wide = -np.expm1(-TAIL * math.log(2) * (right - left))
        bits = np.where(near > 3, tail_bits(near) - np.log2(wide), -np.log2(inside))
    return np.where(np.isfinite(bits), np.clip(bits, 0.0, 1e6), 1e6)


def fewest_bits(low: Array, high: Array, predicted: Array) -> float:
    """The bits of all results together, where errors of one size may have put them anywhere."""
    away = np.maximum(np.maximum(low - predicted, predicted - high), 0.0)
    least = 0.25 * float(np.median(high - low))
    rms = math.sqrt(float(np.mean(away**2)))
    sizes = [max(part * rms, least, 2.0**-1000) for part in (0.25, 0.5, 1.0, 2.0)]
    return min(float(interval_bits(low, high, predicted, np.array(s)).sum()) for s in sizes)


def _normal(z: Array) -> Array:
    """The normal distribution's cumulative function (Abramowitz and Stegun, 7.1.26), to 1e-7."""
    x = np.minimum(np.abs(z) / math.sqrt(2), 26.0)
    t = 1 / (1 + 0.3275911 * x)
    series = t * (
        0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))
    )
    erf = 1 - series * np.exp(-x * x)
    found: Array = 0.5 * (1 + np.copysign(erf, z))
    return found
