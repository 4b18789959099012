"""Whether two conventions are the same operation: by what they do to other numbers.

Conventions are dicts of the vocabulary's keys. What applies them is given: convcheck's engine, or
the plain loops of :mod:`plain_convolution`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from plain_convolution import ROUNDINGS, UNITS, Array, Truth, before_storage, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from outputs import Made

    Apply = Callable[[Array, Array, Truth], Array]
CLOSE = 1e-5
"""How far fitted numbers may be off, in parts of the results' rms; more where few bits are kept."""
TIES = 0.15
"""The part of whole numbers that may be rounded to a neighbour: a scale off by 1 in 1000 does."""

SOME = 4
"""Elements by which a channel's numbers can be told."""


def alike(
    made: Made,
    one: Truth,
    other: Truth,
    apply: Apply = before_storage,
    told: Array | None = None,
) -> bool:
    """Whether both do the same to the numbers of ``made``'s arrays in a new order.

    The numbers are those of the data, so that activations and limits are met as they were there.
    Zero points are told from biases by other filters alone, and a symmetric kernel is its own
    reverse: two that do the same with these filters to any image are alike, too.
    ``told`` marks the elements that are compared; of channels with hardly any, none is.
    """
    kept = np.ones(made.output.shape, bool) if told is None else told & ~silent(made, told)
    return any(
        _alike(made, one, other, apply, kept, shuffled=shuffled) for shuffled in (True, False)
    )


def silent(made: Made, told: Array) -> Array:
    """Which elements are of output channels with hardly any mark, whose bias nothing tells."""
    layout = made.truth.get("output_layout", "CHW")
    others = tuple(a for a in range(told.ndim) if "C" not in layout or a != layout.index("C"))
    few: Array = told.sum(axis=others, keepdims=True) < SOME
    return np.broadcast_to(few, told.shape)


def _alike(
    made: Made, one: Truth, other: Truth, apply: Apply, kept: Array, *, shuffled: bool
) -> bool:
    rng = np.random.default_rng(0)
    for _ in range(2):
        image = rng.permutation(made.image.ravel()).reshape(made.image.shape)
        filters = made.filters
        if shuffled:
            filters = rng.permutation(filters.ravel()).reshape(filters.shape)
        try:
            with np.errstate(all="ignore"):  # a made-up factor may be of any size
                a, b = (apply(image, filters, _numbers_alone(c)) for c in (one, other))
        except ValueError:  # convcheck's InputError is one too: it fits other shapes
            return False
        if a.shape != b.shape or a.shape != kept.shape:
            return False
        a, b = a[kept], b[kept]
        if made.output.dtype.kind in "iu":
            same = _same_stored(a, one, b, other)
        else:
            close = max(CLOSE, 4 * made.unit) * np.sqrt(np.mean(np.abs(b) ** 2))
            same = bool((np.abs(a - b) <= close).all())
        if not same:
            return False
    return True


def _numbers_alone(convention: Truth) -> Truth:
    return convention | {"arithmetic": "exact", "storage": None}


def _same_stored(a: Array, one: Truth, b: Array, other: Truth) -> bool:
    storages = [c.get("storage") for c in (one, other)]
    a, b = (_whole(v, s) for v, s in zip((a, b), storages, strict=True))
    # An output that reaches no limit does not tell how limits are kept: then either is taken.
    known = [s for s in storages if s and np.dtype(s["dtype"]).kind in "iu"]
    wraps = [s for s in known if s.get("overflow") == "wrap"]
    if wraps:
        span = 2 ** (8 * np.dtype(wraps[0]["dtype"]).itemsize)
        apart = np.mod(a - b, span)
        apart = np.minimum(apart, span - apart)
    elif known:
        limits = np.iinfo(known[0]["dtype"])
        apart = np.abs(np.clip(a, limits.min, limits.max) - np.clip(b, limits.min, limits.max))
    else:
        apart = np.abs(a - b)
    return bool((apart <= 1).all() and np.count_nonzero(apart) <= TIES * apart.size)


def _whole(values: Array, storage: Truth | None) -> Array:
    storage = storage or {}
    shifted = values + storage.get("zero_point", 0)
    if shifted.dtype.kind == "f":
        shifted = ROUNDINGS[storage.get("rounding", "half_even")](shifted)
    return shifted


def coarser(made: Made, convention: Truth) -> bool:
    """Whether a convention claims an arithmetic that is coarser than the one that was used."""
    unit = UNITS[convention.get("arithmetic", "exact")]
    return unit > max(made.unit, 0 if made.unit == UNITS["float64"] else UNITS["float32"])


def right(
    made: Made, verdict: str, candidates: Sequence[Truth], apply: Apply = before_storage
) -> bool:
    """Whether an answer is the truth: identified as it, or ambiguous with it among the candidates.

    Truth is the operation, its numbers, and an arithmetic that is no coarser than the one used.
    """
    if verdict not in ("identified", "ambiguous"):
        return False
    return any(
        not coarser(made, found) and alike(made, found, made.truth, apply) for found in candidates
    )


def departures(keys: Truth) -> Truth:
    """What a convention says beside the defaults, to be printed."""
    full, default = whole(keys), whole({k: keys[k] for k in keys if k.endswith("layout")})
    return {k: v for k, v in full.items() if v != default[k] or k.endswith("layout")}
