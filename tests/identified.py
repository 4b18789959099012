"""Seeded arrays, outputs made of them by plain loops, and what ``identify`` says of those."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from plain_convolution import Array, before_storage, stored

from convcheck import identify

if TYPE_CHECKING:
    from convcheck import Convention, IdentifyResult


LONG = 120.0
"""Seconds for a search: what is found must not depend on how busy the machine is."""


def normal(*shape: int, seed: int = 0) -> Array:
    """Normal numbers, float64."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def whole(*shape: int, seed: int = 0, most: int = 9, dtype: Any = np.int64) -> Array:
    """Integers from ``-most`` to ``most``."""
    return np.random.default_rng([seed, *shape]).integers(-most, most + 1, shape).astype(dtype)


def photo(*shape: int, seed: int = 0) -> Array:
    """Bytes."""
    return np.random.default_rng([seed, *shape]).integers(0, 256, shape).astype(np.uint8)


def made(image: Array, filters: Array, **truth: Any) -> Array:
    """The output under a convention's keys, by loops that are none of the package's."""
    return stored(before_storage(image, filters, truth), truth.get("storage"))


def only(result: IdentifyResult, verdict: str = "identified") -> Convention:
    """The convention of the one answer that there must be."""
    assert result.verdict == verdict, (result.verdict, result.candidates, result.nearest)
    assert len(result.candidates) == 1
    return result.candidates[0].convention


def found(image: Array, filters: Array, output: Array, **options: Any) -> Convention:
    """What an output is identified as."""
    return only(identify(image, filters, output, **{"budget": LONG} | options))
