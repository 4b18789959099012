"""How the weights of two layers relate: equal, or by which of the mistakes that ports make."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.model.result import Cause

Array = NDArray[Any]

CLOSE = 1e-5
"""Relative: that much two copies of weights may be apart."""
GRID = 1 << 16
"""The most steps that a quantised weight's grid has."""


def close(a: Array, b: Array) -> bool:
    """Whether two banks are the same but for rounding."""
    if a.shape != b.shape:
        return False
    return bool(np.abs(a - b).max(initial=0) <= CLOSE * np.abs(a).max(initial=0))


def quantised(a: Array, b: Array) -> bool:
    """Whether ``b`` is ``a`` in fewer bits: half a step off at most, filter by filter."""
    if a.shape != b.shape:
        return False
    for one, other in zip(a, b, strict=True):
        steps = np.unique(np.abs(other[other != 0]))
        gaps = np.diff(np.concatenate([[0.0], steps])) if steps.size else np.array([0.0])
        gaps = gaps[gaps > CLOSE * max(float(np.abs(one).max(initial=0)), 2.0**-1000)]
        step = float(gaps.min()) if gaps.size else 0.0
        off = np.abs(one - other)
        # A number of few bits is off by a part of itself, or by a step at the end of the range.
        allowed = np.maximum(0.51 * step, 2.0**-8 * np.abs(one))
        if (off > allowed * (1 + CLOSE) + CLOSE * np.abs(one).max(initial=0)).any():
            # A grid that saw none of its neighbours is as fine as 7 bits.
            fine = np.abs(one).max(initial=0) / 127
            if (off > fine).any():
                return False
    return True


def relation(a: Array, b: Array) -> Cause | None:
    """What was done to ``a`` (O, I, *S) to give ``b``; None where nothing that is known."""
    rank = a.ndim - 2
    names = "OI" + "DHW"[3 - rank :]
    if a.shape == b.shape:
        for what, other, fix in _same_shape(a, rank, names):
            if close(other, b):
                return Cause("weight", what, fix)
        found = _order(a, b, names)
        if found is not None:
            return found
    if a.size == b.size:
        for order in permutations(range(a.ndim)):
            if order != tuple(range(a.ndim)) and close(a.transpose(order).reshape(b.shape), b):
                read = "".join(names[i] for i in order)
                words = (
                    f"the weights' memory, stored as {read}, was reshaped to {names} where it "
                    "should have been transposed"
                )
                back = ", ".join(str(i) for i in np.argsort(order))
                return Cause("filter_memory", words, f"w.transpose({back}) in place of w.reshape")
    if a.shape == b.shape:
        factor = _factor(a, b)
        if factor is not None:
            return Cause("scale", f"the weights are scaled by {factor}", "copy the weights as is")
    return None


def _same_shape(a: Array, rank: int, names: str) -> Iterator[tuple[str, Array, str]]:
    axes = range(2, a.ndim)
    for count in range(1, rank + 1):
        for some in combinations(axes, count):
            parts = ["::-1" if i in some else ":" for i in range(a.ndim)]
            which = " and ".join(names[i] for i in some)
            yield f"the kernel is reversed along {which}", np.flip(a, some), f"w[{', '.join(parts)}]"
    yield "the weights' input channels are reversed", a[:, ::-1], "w[:, ::-1]"
    yield "the weights' output channels are reversed", a[::-1], "w[::-1]"
    for i, j in combinations(axes, 2):
        if a.shape[i] == a.shape[j]:
            words = f"the kernel's {names[i]} and {names[j]} are swapped"
            yield words, a.swapaxes(i, j), f"w.swapaxes({i}, {j})"
    if a.shape[0] == a.shape[1]:
        words = "the weights' input and output channels are swapped"
        yield words, a.swapaxes(0, 1), "w.swapaxes(0, 1)"


def _order(a: Array, b: Array, names: str) -> Cause | None:
    """Channels in another order, found by matching each with the nearest."""
    for axis, what in ((0, "output"), (1, "input")):
        one, other = (np.moveaxis(w, axis, 0).reshape(w.shape[axis], -1) for w in (a, b))
        if len(one) > 4096:
            continue
        keys = [np.lexsort(np.round(rows / (np.abs(a).max() or 1.0), 4).T) for rows in (one, other)]
        order = np.empty(len(one), int)
        order[keys[1]] = keys[0]
        if close(one[order], other) and sorted(order.tolist()) == list(range(len(one))):
            index = ", ".join([*[":"] * axis, "order"])
            shown = order.tolist() if len(order) <= 16 else [*order[:8].tolist(), "..."]
            words = f"the weights' {what} channels are in the order {shown}"
            return Cause("channel_order", words, f"w[{index}] with order = {np.argsort(order).tolist()}")
    return None


def _factor(a: Array, b: Array) -> str | None:
    with np.errstate(all="ignore"):
        ratio = (b / a)[a != 0]
    if ratio.size and np.isfinite(ratio).all():
        middle = float(np.median(ratio))
        if middle and np.abs(ratio - middle).max() <= 1e-4 * abs(middle):
            return f"{middle:.6g}"
    return None
