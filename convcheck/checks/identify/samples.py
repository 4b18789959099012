"""The few elements of an output that hypotheses are tried on."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcheck.traits import a_part, telling

Array = NDArray[Any]


def choose(
    output: Array,
    count: int,
    limits: tuple[float, float],
    *,
    groups: int = 4,
    everywhere: bool = False,
    upper: bool = False,
    seed: int = 0,
) -> Array:
    """(samples, axes): elements (N,O,*S) that say much, in ``groups`` of one channel each.

    They have different values as far as there are any, and lie towards the middle unless
    ``everywhere``: there a window lies inside the image, so that the border's treatment does not
    matter. A channel that has few telling elements gives fewer. ``upper``: half of a channel's are
    of its larger values, where most activations leave a line.
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
    for nth, channel in enumerate(order):
        if len(chosen) >= count:
            break
        wanted = count - len(chosen) if len(order) == 1 else min(each, count - len(chosen))
        many = 2 * wanted if upper else wanted
        found = _of_channel(rng, output, int(channel), many, limits, everywhere=everywhere)
        chosen += _mixed(output, found, wanted, high_first=nth % 2 == 0) if upper else found
    return np.array(chosen, np.int64).reshape(-1, output.ndim)


def _mixed(
    output: Array, found: list[tuple[int, ...]], count: int, *, high_first: bool
) -> list[tuple[int, ...]]:
    """Of twice as many elements half from the larger values, half from all, eight by turns."""
    values = output[tuple(np.array(found, np.int64).reshape(-1, output.ndim).T)]
    high = [found[i] for i in np.flatnonzero(values >= np.median(values))] if found else []
    mixed: dict[tuple[int, ...], None] = {}
    sources = [iter(high), iter(found)] if high_first else [iter(found), iter(high)]
    while len(mixed) < min(count, len(found)):
        before = len(mixed)
        for source in sources:
            fresh = (place for place in source if place not in mixed)
            mixed.update(dict.fromkeys(islice(fresh, min(8, count - len(mixed)))))
        if len(mixed) == before:
            break
    return list(mixed)


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
