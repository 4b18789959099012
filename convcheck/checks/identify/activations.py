"""Which activations an output may have been through, and with which values."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention import ACTIVATIONS, Activation
from convcheck.score import plainest

if TYPE_CHECKING:
    from convcheck.check import Claim
    from convcheck.traits import Traits

Array = NDArray[Any]


def activations(traits: Traits, claim: Claim) -> Iterator[str | None]:
    """Those whose results reach as far as most of the output does; none at all first."""
    yield None
    if not np.isfinite(traits.bulk[0]):
        return
    storage = claim.storage
    zero = storage.zero_point if storage is not None else 0
    loose = 0.5 if storage is not None and storage.is_integer else 0.0
    for name in ACTIVATIONS:
        if all(_reaches(name, end - zero, loose) for end in traits.bulk):
            yield name


@lru_cache(1024)
def _reaches(name: str, end: float, loose: float) -> bool:
    """Whether an activation has results about as large as ``end``."""
    slack = 1e-6 * (1 + abs(end)) + loose
    preimage = ACTIVATIONS[name].rough or ACTIVATIONS[name].preimage
    with np.errstate(all="ignore"):
        low, high = preimage(np.array([end - slack]), np.array([end + slack]))
    return bool(np.all(low <= high))


def flattens(name: str) -> bool:
    """Whether an activation has a factor of its own, so that another line lies before it."""
    return not ACTIVATIONS[name].parameters and ACTIVATIONS[name].steepest() < 1


def with_values(name: str, y: Array, made: Array) -> list[Activation]:
    """An activation with its values, plain and as they are read off; none that does nothing."""
    if not ACTIVATIONS[name].parameters:
        return [Activation(name)]
    told = np.isfinite(y)
    values = ACTIVATIONS[name].read(y[told], made[told])
    if np.allclose(Activation(name, values).apply(made), made, rtol=1e-6):
        return []
    plain = tuple(plainest(x - 1e-3 * abs(x), x + 1e-3 * abs(x)) for x in values)
    found = [Activation(name, plain), Activation(name, values)]
    if ACTIVATIONS[name].limits:
        # One that a single result has was hardly reached: any beyond it will do.
        ends = (sorted((x, x + side * abs(x))) for x, side in zip(values, (-1, 1), strict=True))
        once = [np.count_nonzero(y == x) == 1 for x in values]
        beyond = [plainest(*e) if o else p for e, o, p in zip(ends, once, plain, strict=True)]
        found.append(Activation(name, tuple(beyond)))
    return list(dict.fromkeys(found))
