"""The one judgement of an output under a convention: element by element, by what rounding can do.

What an output is beside what a convention gives is the same question for every command. An element
is given where its residual is a rounding error: no larger than the proven bound, and no rarer than
such errors are; else it is an exception. Parts of an output are judged alone and their judgements
merge, so that large and small go one way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcheck.noise import UNEVEN, Noise, interval_bits
from convcheck.rounding import gamma
from convcheck.score import MARGIN

if TYPE_CHECKING:
    from convcheck.checks.identify.traits import Traits
    from convcheck.convention import Convention, Storage

Array = NDArray[Any]


@dataclass(frozen=True)
class Claim:
    """How results were made: operands rounded to ``precision`` first, sums in ``unit``, storage.

    ``arithmetic`` is what a convention calls it.
    """

    precision: str | None
    unit: float
    storage: Storage | None
    arithmetic: str


class Numbers(NamedTuple):
    """A scale and a bias beside every element, as numpy broadcasts them."""

    scale: Array
    bias: Array


@dataclass(frozen=True)
class Judged:
    """Some elements under a convention: predictions before storage, residuals, and what is wrong.

    ``bits`` is what each takes beside its prediction, ``threshold`` the residual that rounding
    explains.
    """

    predicted: Array
    residual: Array
    threshold: Array
    bits: Array
    wrong: Array


def judge(
    sums: Array,
    squares: Array,
    magnitude: Array,
    values: Array,
    c: Convention,
    numbers: Numbers,
    claim: Claim,
    noise: Noise,
    traits: Traits,
) -> Judged:
    """Elements beside ``activation(scale * sums + bias)``, stored as claimed.

    Args:
        sums: what the convention sums, in float64.
        squares: the roots of the sums of squared products.
        magnitude: the sums of absolute products.
        values: the output, of the same shape.
        c: the convention, for its activation.
        numbers: its scale and bias beside the elements.
        claim: how the output was made.
        noise: the typical error of that.
        traits: those of the whole output.
    """
    scale, bias = numbers
    predicted = scale * sums + bias
    own = noise.of_sums(sums, squares, magnitude)
    sigma = noise.of_steps(sums, own, scale, bias)
    # The proven bound of a direct sum, and what the steps after it can do beside.
    slope = np.abs(scale) * (1.0 if c.activation is None else c.activation.steepest)
    bound = np.where(own > 0, slope * gamma(noise.terms + 2, noise.unit) * magnitude, 0.0)
    if c.activation is not None:
        predicted, sigma = noise.activated(c.activation, predicted, sigma)
    bound = bound + INLIER * np.maximum(sigma - slope * own, 0)
    low, high, meant = _interval(values, predicted, claim.storage, traits, sigma)
    bits = interval_bits(low, high, meant, sigma, uneven=noise.uneven)
    residual = np.maximum(np.maximum(low - meant, meant - high), 0.0)
    residual = np.where(np.isfinite(values), residual, np.inf)
    literal = traits.bits(values)
    room = literal + np.log2(max(traits.size, 2)) + MARGIN
    wrong = ~(bits <= room) | ~np.isfinite(values)
    threshold = sigma * np.sqrt(2 * np.log(2) * room)
    if noise.uneven:
        threshold = UNEVEN * threshold
    else:
        wrong |= residual > bound
        threshold = np.minimum(threshold, bound)
    return Judged(predicted, residual, threshold, np.where(wrong, 0.0, bits), wrong)


INLIER = 8.0
"""Typical errors of the steps after the sums that are no rounding error any more."""


def _interval(
    values: Array, predicted: Array, storage: Storage | None, traits: Traits, sigma: Array
) -> tuple[Array, Array, Array]:
    """Between which numbers each result was before it was stored, and the prediction beside them.

    Where nothing is lost a result is one number. Of integers that wrapped, the prediction is the
    one of all that are stored alike that is nearest.
    """
    finite = np.where(np.isfinite(values), values, 0)
    if storage is None:
        if finite.dtype.kind == "c":
            away, half = np.abs(finite - predicted), traits.steps(np.abs(finite))
            return away - half, away + half, np.zeros(away.shape)
        half = 0.5 * (1 + 2.0**-20) * traits.steps(finite)
        if traits.whole:
            half = np.where(sigma > 0, half, 2.0**-20)
        return finite - half, finite + half, predicted
    low, high = storage.interval(finite)
    if storage.is_integer and storage.overflow == "wrap":
        size = 2.0 ** np.iinfo(storage.dtype).bits
        predicted = predicted - size * np.rint((predicted - 0.5 * (low + high)) / size)
    # At an end of the interval the rule of ties decides, unless rounding errors do.
    tie = (predicted == low) | (predicted == high)
    if np.any(tie):
        kept = storage.apply(np.where(tie, predicted, 0.0)).astype(np.float64)
        lost = tie & (kept != finite)
        away = 2.0**-30 * np.maximum(np.abs(predicted), 1)
        low = np.where(lost & (predicted == low), low + away, low)
        high = np.where(lost & (predicted == high), high - away, high)
    return low, high, predicted
