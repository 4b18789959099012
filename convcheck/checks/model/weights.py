"""How the weights of two layers relate: equal, or by which of the mistakes that ports make."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.model.result import Cause
from convcheck.convention import round_to

Array = NDArray[Any]

CLOSE = 1e-5
"""Relative: that much two copies of weights may be apart."""
PARTS = 16
"""Of the smallest gap that is seen: how many steps it may be."""
WHOLE = 0.01
"""How far from whole a weight on a grid may be, in steps."""
LEVELS = 256
"""The most steps from zero that a grid of 8 bits has."""


def close(a: Array, b: Array) -> bool:
    """Whether two banks are the same but for rounding."""
    if a.shape != b.shape:
        return False
    return bool(np.abs(a - b).max(initial=0) <= CLOSE * np.abs(a).max(initial=0))


def quantised(a: Array, b: Array) -> bool:
    """Whether ``b`` is ``a`` in fewer bits: float16, bfloat16, or a grid of up to 8 bits."""
    if a.shape != b.shape:
        return False
    for few in ("float16", "bfloat16"):
        if np.array_equal(round_to(b, few), b) and close_to(a, b, 2.0**-8 * np.abs(a)):
            return True
    # One grid for all, or one for each filter.
    return _gridded(a, b) or all(_gridded(one, other) for one, other in zip(a, b, strict=True))


def close_to(a: Array, b: Array, room: Array) -> bool:
    """Whether no element is further away than that, and than rounding."""
    slack = CLOSE * np.abs(a).max(initial=0)
    return bool((np.abs(a - b) <= room + slack).all())


def _gridded(a: Array, b: Array) -> bool:
    """Whether ``b`` is ``a`` rounded to whole steps."""
    size = float(np.abs(b).max(initial=0))
    if not size:
        return not a.any()
    levels = np.unique(np.abs(b))
    gaps = np.diff(np.concatenate([[0.0], levels]))
    step = float(gaps[gaps > CLOSE * size].min(initial=size))
    # The fewer numbers there are, the likelier it is that none are neighbours on the grid.
    for part in range(1, PARTS + 1):
        fine = step / part
        whole = b / fine
        if size / fine <= LEVELS and np.abs(whole - np.rint(whole)).max(initial=0) <= WHOLE:
            # The largest may have been cut off by half a step more.
            return close_to(a, b, np.full(a.shape, min(1.01 * fine, size / 60)))
    return False


def relation(a: Array, b: Array) -> Cause | None:
    """What was done to ``a`` (O, I, *S) to give ``b``; None where nothing that is known."""
    rank = a.ndim - 2
    names = "OI" + "DHW"[3 - rank :]
    if a.shape == b.shape:
        for what, other, fix in _same_shape(a, rank, names):
            if close(other, b):
                return Cause("weight", what, fix)
        found = _order(a, b)
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
            yield (
                f"the kernel is reversed along {which}",
                np.flip(a, some),
                f"w[{', '.join(parts)}]",
            )
    yield "the weights' input channels are reversed", a[:, ::-1], "w[:, ::-1]"
    yield "the weights' output channels are reversed", a[::-1], "w[::-1]"
    for i, j in combinations(axes, 2):
        if a.shape[i] == a.shape[j]:
            words = f"the kernel's {names[i]} and {names[j]} are swapped"
            yield words, a.swapaxes(i, j), f"w.swapaxes({i}, {j})"
    if a.shape[0] == a.shape[1]:
        words = "the weights' input and output channels are swapped"
        yield words, a.swapaxes(0, 1), "w.swapaxes(0, 1)"


def _order(a: Array, b: Array) -> Cause | None:
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
            return Cause(
                "channel_order", words, f"w[{index}] with order = {np.argsort(order).tolist()}"
            )
    return None


def _factor(a: Array, b: Array) -> str | None:
    with np.errstate(all="ignore"):
        ratio = (b / a)[a != 0]
    if ratio.size and np.isfinite(ratio).all():
        middle = float(np.median(ratio))
        if middle and np.abs(ratio - middle).max() <= 1e-4 * abs(middle):
            return f"{middle:.6g}"
    return None
