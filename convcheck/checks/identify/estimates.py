"""Scale and biases estimated from the output, whatever some of its elements are.

What is estimated is a guess: what it leads to is judged on every element.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

AGREED = 0.25
"""The share of differences between two elements that is right where most elements are."""


def untruncated(target: Array, seen: Array) -> tuple[Array, Array]:
    """Truncated numbers in the middle of what they may have been; of zeros not even the sign is."""
    return target + 0.5 * np.sign(target), seen & (target != 0)


def degrees_of_freedom(seen: Array) -> int:
    """What is left of the elements when each channel has given one to its bias, and one more."""
    counts = seen.sum(axis=(0, 2, 3))
    return int(np.maximum(counts - 1, 0).sum()) - 1


def nearest_scale(sums: Array, target: Array, seen: Array) -> float | None:
    """The scale where no channel has a bias: from the larger half of the sums."""
    y, t = sums[seen], target[seen]
    large = np.abs(y) >= np.median(np.abs(y))
    if not np.any(y[large]):
        return None
    return _refined(y, t, float(np.median(t[large & (y != 0)] / y[large & (y != 0)])))


def nearest_slope(sums: Array, target: Array, seen: Array) -> float | None:
    """The scale where every channel has a bias of its own: from differences within a channel."""
    y, t = _rises(sums, target, seen)
    if not y.any():
        # One half of an image that repeats itself is as the other.
        y, t = _rises(sums, target, seen, ordered=True)
    large = np.abs(y) >= np.median(np.abs(y)) if y.size else np.zeros(0, bool)
    large &= y != 0
    if not large.any():
        return None
    ratios = t[large] / y[large]
    # Where a third of the elements is wrong, so is one of most pairs: then not the middle tells,
    # but what most agree on.
    found = [
        _refined(y, t, float(np.median(ratios))),
        _refined(y, t, densest(ratios), share=AGREED),
    ]
    slopes = [slope for slope in found if slope is not None]

    def left(slope: float) -> float:
        residual = target - slope * sums
        bias = np.reshape(medians(residual, seen), (1, -1, 1, 1))
        return float(np.median(np.abs(residual - bias)[seen]))

    return min(slopes, key=left, default=None)


def _rises(
    sums: Array, target: Array, seen: Array, *, ordered: bool = False
) -> tuple[Array, Array]:
    """By how much the second half of a channel is above its first: sums, and targets.

    ``ordered``: the larger half of its sums above the smaller one.
    """
    dy, dt = [], []
    for o in range(sums.shape[1]):
        y, t = sums[:, o][seen[:, o]], target[:, o][seen[:, o]]
        if ordered:
            order = np.argsort(y, kind="stable")
            y, t = y[order], t[order]
        half = len(y) // 2
        dy.append(y[half : 2 * half] - y[:half])
        dt.append(t[half : 2 * half] - t[:half])
    return np.concatenate(dy), np.concatenate(dt)


def densest(values: Array) -> float:
    """The middle of the shortest interval that holds :data:`AGREED` of the values."""
    ordered = np.sort(values)
    count = max(1, int(AGREED * len(ordered)))
    first = int(np.argmin(ordered[count:] - ordered[:-count])) if len(ordered) > count else 0
    return float(ordered[first + count // 2])


def rounded_line(
    sums: Array, target: Array, seen: Array, guess: float, limits: tuple[Array, Array]
) -> dict[str, Any]:
    """Scale and biases where the targets were rounded to integers: all of them within a half.

    How far apart a channel's residuals lie is a convex function of the scale; at its lowest every
    element is within a half of its channel's middle, if a line can do that at all.
    """
    channels = [(sums[:, o][seen[:, o]], target[:, o][seen[:, o]]) for o in range(sums.shape[1])]
    channels = [(y, t) for y, t in channels if y.size]
    reach = max((float(np.ptp(y)) for y, _ in channels), default=0.0)

    starts = np.cumsum([0, *(y.size for y, _ in channels[:-1])])
    every = [np.concatenate(parts) for parts in zip(*channels, strict=True)]

    def apart(scale: float) -> float:
        left = every[1] - scale * every[0]
        far = np.maximum.reduceat(left, starts) - np.minimum.reduceat(left, starts)
        return float(far.max())

    low, high = (guess + way / reach for way in (-4, 4)) if reach else (guess, guess)
    for _ in range(60 if reach else 0):
        third = (high - low) / 3
        if apart(low + third) < apart(high - third):
            high -= third
        else:
            low += third
    scale = (low + high) / 2
    return {"scale": scale, "bias": middles(target - scale * sums, seen, limits)}


def middles(
    residual: Array, seen: Array, limits: tuple[Array, Array] | None = None
) -> tuple[float, ...]:
    """The middle of what each channel's bias can be, where the targets were rounded.

    An element that saturated says of the bias that it is no larger, or no smaller; unless it is
    wrong, and leaves no bias at all.
    """
    bias = []
    for o in range(residual.shape[1]):
        told = residual[:, o][seen[:, o]]
        if not told.size:
            bias.append(0.0)
            continue
        most, least = float(told.min()), float(told.max())
        if limits:
            lowest, highest = limits
            below = float(residual[:, o][lowest[:, o]].min(initial=most))
            above = float(residual[:, o][highest[:, o]].max(initial=least))
            if above - below <= 1:
                most, least = below, above
        bias.append(_finite((most + least) / 2))
    return tuple(bias)


def _refined(y: Array, t: Array, guess: float, share: float = 0.5) -> float | None:
    """The slope by least squares over those near it; ``share`` of all are sure to be."""
    if not math.isfinite(guess) or guess == 0:
        return None
    residual = np.abs(t - guess * y)
    inliers = residual <= 4 * np.quantile(residual, share)
    denominator = float(np.dot(y[inliers], y[inliers]))
    refined = float(np.dot(t[inliers], y[inliers])) / denominator if denominator else guess
    return refined if math.isfinite(refined) and refined != 0 else guess


def medians(residual: Array, seen: Array) -> tuple[float, ...]:
    """Each channel's bias, where most of its elements are right."""
    return tuple(
        _finite(float(np.median(residual[:, o][seen[:, o]]))) if seen[:, o].any() else 0.0
        for o in range(residual.shape[1])
    )


def _finite(number: float) -> float:
    """What is beyond all numbers is no bias."""
    return number if math.isfinite(number) else 0.0
