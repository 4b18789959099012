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

from convcheck.noise import Noise, residual_bits
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
    steepest = None
    if c.activation is not None:
        steepest = c.activation.steepest
        predicted = c.activation.apply(predicted)
    own = noise.of_sums(sums, squares, magnitude)
    sigma = noise.of_result(sums, own, scale, bias, steepest, predicted)
    # The proven bound of a direct sum; what grows beyond it is another algorithm's.
    slope = 1.0 if steepest is None else steepest
    bound = slope * np.abs(scale) * gamma(noise.terms + 2, noise.unit) * magnitude
    bound = np.where(own > 0, bound, 0.0) + INLIER * np.maximum(
        sigma - slope * np.abs(scale) * own, 0
    )
    literal = traits.bits(values)
    with np.errstate(invalid="ignore", over="ignore"):
        if claim.storage is None:
            steps = traits.steps(values)
            if traits.whole:
                steps = np.where(sigma > 0, steps, 2.0**-20)
            residual = np.abs(values - predicted)
            bits = residual_bits(residual, sigma, steps)
        else:
            residual = _beyond(values, predicted, claim.storage, sigma)
            bits = _near_an_end(residual, sigma)
            steps = np.zeros(values.shape)
    residual = np.where(np.isfinite(values), residual, np.inf)
    room = literal + np.log2(max(traits.size, 2)) + MARGIN
    wrong = ~(bits <= room) | ~np.isfinite(values)
    if noise.growth <= DIRECT:
        wrong |= residual > bound + 0.5 * steps * (1 + 2.0**-20)
    threshold = sigma * np.sqrt(2 * np.log(2) * room)
    if noise.growth <= DIRECT:
        threshold = np.minimum(threshold, bound)
    threshold = threshold + (0.5 * steps if claim.storage is None else 0.0)
    return Judged(predicted, residual, threshold, np.where(wrong, 0.0, bits), wrong)


INLIER = 8.0
"""Typical errors of the steps after the sums that are no rounding error any more."""
DIRECT = 2.0
"""The largest growth that a direct sum's errors have; beyond it another bound must hold."""


def _near_an_end(residual: Array, sigma: Array) -> Array:
    """The bits of elements so far from all that is stored as they are: none within it.

    Near the end of the interval rounding decides, which takes a bit.
    """
    floor = np.maximum(sigma, 1e-300)
    with np.errstate(over="ignore"):
        bits = 1.0 + np.minimum(0.5 / np.log(2) * (residual / floor) ** 2, 1e6)
    return np.where(residual <= 0, 0.0, bits)


def _beyond(values: Array, predicted: Array, storage: Storage, sigma: Array) -> Array:
    """How far a prediction is from all that is stored as the value: 0 where it is stored so."""
    finite = np.where(np.isfinite(values), values, 0)
    low, high = storage.interval(finite)
    if storage.is_integer and storage.overflow == "wrap":
        size = 2.0 ** np.iinfo(storage.dtype).bits
        turns = np.rint((predicted - 0.5 * (low + high)) / size)
        predicted = predicted - size * turns
    found: Array = np.maximum(np.maximum(low - predicted, predicted - high), 0.0)
    # At an end of the interval the rule of ties decides, unless rounding errors do.
    tie = (found == 0) & ((predicted == low) | (predicted == high))
    if np.any(tie):
        kept = storage.apply(np.where(tie, predicted, 0.0)).astype(np.float64)
        found = np.where(tie & (kept != finite), 2.0**-30 * np.maximum(np.abs(predicted), 1), found)
    del sigma
    return found
