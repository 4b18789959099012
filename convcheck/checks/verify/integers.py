"""What becomes of integers on the way to an output: products and sums that a dtype cannot hold."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention import INTEGERS, Axis, Convention, Storage
from convcheck.convention.channels import write_output
from convcheck.convention.storage import OVERFLOWS
from convcheck.engine import convolve, finish, operands, pad, spread
from convcheck.errors import ConvcheckError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Array = NDArray[Any]

OR = ", or "
LARGEST = 1 << 27
"""Products that are looked at one by one."""
WHOLE = 1 << 31
"""The largest of the floats that are taken for integers."""


def overflowing(image: Array, filters: Array, output: Array, convention: Convention) -> str | None:
    """The rule by which the integers of an output that is wrong overflow, if there is one.

    Of several that give the same here all are said, joined by ``OR``.
    """
    if output.dtype.kind == "c" or not np.isfinite(output).all() or convention.storage is not None:
        return None
    dtypes = [a.dtype for a in (image, filters) if a.dtype.kind in "iu"]
    x, w = _whole(image), _whole(filters)
    if not dtypes or x is None or w is None:
        return None
    try:
        rules = [*_rules(x, w, dtypes, convention)]
    except ConvcheckError:
        return None
    return OR.join(said for said, values in rules if np.array_equal(values, output)) or None


def _whole(array: Array) -> Array | None:
    """An array's numbers as integers; None where they are not whole."""
    if array.dtype.kind in "iu":
        return array
    if array.dtype.kind != "f" or not np.all(np.abs(array.astype(np.float64)) <= WHOLE):
        return None
    whole = array.astype(np.int64)
    return whole if np.array_equal(whole, array) else None


def merged(rules: Mapping[str, int]) -> dict[str, int]:
    """Counts of rules, where cases that several explain are those of one that is said alone."""
    counts = {said: n for said, n in rules.items() if OR not in said}
    for said, n in rules.items():
        if OR in said:
            known = max(said.split(OR), key=lambda one: counts.get(one, 0))
            known = known if known in counts else said
            counts[known] = counts.get(known, 0) + n
    return counts


def _rules(
    image: Array, filters: Array, dtypes: Sequence[np.dtype[Any]], convention: Convention
) -> Iterator[tuple[str, Array]]:
    """The rules, each with what it gives; ``dtypes`` are those of the operands that are integers.

    Sums may be kept in any signed dtype, in an unsigned one only where an operand is unsigned.
    """
    # As wide as the operands at least: what is narrower would have lost their own numbers.
    least = max(dtype.itemsize for dtype in dtypes)
    kinds = {"i", *(dtype.kind for dtype in dtypes)}
    exact = convolve(image, filters, convention)
    for name, how in product(INTEGERS, OVERFLOWS):
        if np.dtype(name).kind not in kinds or np.dtype(name).itemsize < least:
            continue
        limits = np.iinfo(name)
        if not (limits.min <= exact.min() and exact.max() <= limits.max):
            stored = Storage(name, overflow=how)
            yield (
                f"sums {how} at {name}",
                convolve(image, filters, convention.replace(storage=stored)),
            )
    if exact.size * prod(filters.shape) >= LARGEST:
        return
    for dtype in dict.fromkeys([np.result_type(*dtypes), *dtypes]):
        if dtype.itemsize < np.dtype(np.int64).itemsize:
            yield f"each product wraps at {dtype}", _products(image, filters, convention, dtype)


def _products(image: Array, filters: Array, c: Convention, dtype: np.dtype[Any]) -> Array:
    """The result where every product is stored in a dtype, and their sum in a wide one."""
    x, w = operands(image, filters, c)
    x = pad(spread(x, c.input_dilation), c)
    outputs, inputs = len(w) // c.groups, w.shape[1]
    sums: Array | None = None
    for tap in np.ndindex(w.shape[2:]):
        at = [slice(d * n, None) for d, n in zip(c.dilation, tap, strict=True)]
        whole = [
            Axis(n, k, s, d).out
            for n, k, s, d in zip(x.shape[2:], w.shape[2:], c.stride, c.dilation, strict=True)
        ]
        for channel in range(inputs):
            part = x[(slice(None), slice(channel, None, inputs), *at)]
            steps = [slice(0, s * (n - 1) + 1, s) for s, n in zip(c.stride, whole, strict=True)]
            part = part[(slice(None), slice(None), *steps)].astype(np.int64)
            taps = w[(slice(None), channel, *tap)].reshape(c.groups, outputs).astype(np.int64)
            each = part[:, :, None] * taps.reshape(1, c.groups, outputs, *(1 for _ in whole))
            kept = each.astype(dtype).astype(np.int64)
            sums = kept if sums is None else sums + kept
    if sums is None:
        raise AssertionError("a kernel has a tap")
    y = sums.reshape(len(x), len(w), *sums.shape[3:])
    return write_output(finish(y, c), c)
