"""The few elements of an output that hypotheses are tried on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

PART = 1 << 16
"""Elements of an output that are enough to count what it is made of."""
SHARE = 0.02
"""A least or greatest value of so many of the elements is where something was cut off."""


def a_part(output: Array) -> Array:
    """The output (N,O,*S), or of a large one so many places, evenly spaced, as a view."""
    step = output.size / PART
    index: list[slice] = []
    for size in reversed(output.shape[2:]):
        some = min(size, max(1, math.ceil(step)))
        index.append(slice(None, None, some))
        step /= some
    kept: tuple[Any, ...] = (slice(None), slice(None), *reversed(index))
    part: Array = output[kept]
    return part


def ends(output: Array) -> tuple[float, float]:
    """The least and the greatest value where so many elements have it that they were cut off.

    Infinite where nothing was: zeros of a ReLU, limits of a dtype and of a clip are such ends.
    """
    some = a_part(output)
    if some.dtype.kind == "c":
        return -np.inf, np.inf
    some = some[np.isfinite(some)]
    found = [-np.inf, np.inf]
    if some.size:
        for side, value in enumerate((some.min(), some.max())):
            count = int(np.count_nonzero(some == value))
            if count > max(2, SHARE * some.size):
                found[side] = float(value)
    if found[0] == found[1]:
        return -np.inf, np.inf
    return found[0], found[1]


def telling(values: Array, limits: tuple[float, float]) -> Array:
    """Which values are finite and no end."""
    marked: Array = np.isfinite(values)
    if values.dtype.kind != "c":
        marked = marked & (values > limits[0]) & (values < limits[1])
    return marked


def choose(
    output: Array,
    count: int,
    limits: tuple[float, float],
    *,
    groups: int = 4,
    everywhere: bool = False,
    seed: int = 0,
) -> Array:
    """(samples, axes): elements (N,O,*S) that say much, in ``groups`` of one channel each.

    They have different values as far as there are any, and lie towards the middle unless
    ``everywhere``: there a window lies inside the image, so that the border's treatment does not
    matter. A channel that has few telling elements gives fewer.
    """
    rng = np.random.default_rng([seed, *output.shape])
    counts = telling(a_part(output), limits).sum(axis=(0, *range(2, output.ndim)))
    good = np.flatnonzero(counts >= 0.5 * counts.max()) if counts.max() else np.arange(0)
    if not good.size:
        return np.zeros((0, output.ndim), np.int64)
    each = max(1, count // groups)
    chosen: list[tuple[int, ...]] = []
    order = rng.permutation(good)
    if len(order) > groups:
        # Channels with few elements are too many to be asked one by one.
        enough = np.sort(counts[good])[::-1][: max(groups, len(good) // 2)].min()
        order = order[np.argsort(counts[order] < enough, kind="stable")]
    for channel in order:
        if len(chosen) >= count:
            break
        wanted = count - len(chosen) if len(order) == 1 else min(each, count - len(chosen))
        chosen += _of_channel(rng, output, int(channel), wanted, limits, everywhere=everywhere)
    return np.array(chosen, np.int64).reshape(-1, output.ndim)


def _of_channel(
    rng: np.random.Generator,
    output: Array,
    channel: int,
    count: int,
    limits: tuple[float, float],
    *,
    everywhere: bool,
) -> list[tuple[int, ...]]:
    draws = 40 * count
    reach = np.repeat([0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0, 1.0], 5 * count)
    if everywhere:
        reach[:] = 1.0
    places = [rng.integers(output.shape[0], size=draws), np.full(draws, channel)]
    places += [_near_middle(rng, size, reach) for size in output.shape[2:]]
    drawn = np.stack(places)
    values = output[tuple(drawn)]
    usable = np.flatnonzero(telling(values, limits))
    chosen: dict[tuple[int, ...], None] = {}
    met: set[Any] = set()
    for attempt in usable.tolist():
        place = tuple(drawn[:, attempt].tolist())
        value = values[attempt].item()
        if place not in chosen and (value not in met or attempt >= 30 * count):
            chosen[place] = None
            met.add(value)
        if len(chosen) == count:
            break
    return list(chosen)


def _near_middle(rng: np.random.Generator, size: int, reach: Array) -> Array:
    drawn = size / 2 + np.maximum(1.0, reach * size / 2) * rng.uniform(-1, 1, reach.shape)
    # Of a single element they reach over both ends; what is above -1 becomes 0 in any case.
    return np.minimum(drawn, size - 1).astype(np.int64)
