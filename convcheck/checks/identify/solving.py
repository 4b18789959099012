"""Scale, bias and activation, solved for from the output itself: the plainest that explain it."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.bounds import Bounds, lines, plainest_bias
from convcheck.checks.identify.judging import (
    EXPLAINED,
    FLOATING,
    arithmetics,
    ends,
    is_rectified,
    judge,
    within_limits,
)
from convcheck.checks.identify.numerals import simple_numbers
from convcheck.checks.identify.wrapped import wrapped_forms
from convcheck.convention import PRECISIONS
from convcheck.rounding import TINY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convcheck.checks.identify.judging import Fit
    from convcheck.checks.identify.tally import Confirmed
    from convcheck.checks.sums import Linear
    from convcheck.convention import Convention
Array = NDArray[Any]

PLAINER = 1.25
"""How much more a plainer number may leave unexplained than the best: estimates overfit."""

AGREED = 0.25
"""The share of differences between two elements that is right where most elements are."""
TIE = 1e-9
"""How far beyond the middle between two integers a number may come by its last digits."""
SPARSE = 512
"""Up to so many elements at no limit, those that are at one are asked as well."""
ELABORATE = 1.1
"""So much less must be left wrong by a more elaborate form, where some of it is wrong with each."""


def afterwards(convention: Convention) -> int:
    """How much is done to the sums once they are made."""
    return (
        (convention.scale != 1.0)
        + (convention.bias is not None)
        + (convention.activation is not None)
    )


def solve(linear: Linear, output: Array, usable: Array) -> Fit:
    """Scale, bias, activation and arithmetic: the simplest that explain every usable element.

    Worst-case bounds of long sums are wide enough to hide a small bias. So where what is left is
    larger than rounding usually is, a form that leaves much less is preferred to a simpler one.
    """
    best: Fit | None = None
    for convention in _forms(linear, output, usable):
        fit = judge(linear, convention, output, usable)
        if best is None or _preferred(fit, best, output, usable):
            best = fit
        fine = not best.misses and _unit(best) <= PRECISIONS["float32"]
        if fine and not _suspicious(best, output, usable):
            break
    if best is None:
        raise AssertionError("there is always the plain form")
    if best.misses < EXPLAINED * np.count_nonzero(usable):
        if best.misses and best.convention.bias is not None:
            best = _sharpened(linear, best, output, usable)
        best = _simplified(linear, best, output, usable)
    return best


def _preferred(fit: Fit, best: Fit, output: Array, usable: Array) -> bool:
    """Whether a more elaborate form explains more, or in a finer arithmetic, or leaves much less.

    Few bits explain a small bias away as rounding.
    """
    unsaid, least = _unsaid(fit), _unsaid(best)
    if unsaid != least:
        # Numbers that are solved for give a few elements of any damage more, by chance.
        return (ELABORATE if unsaid else 1.0) * unsaid < least
    if _unit(fit) != _unit(best):
        return _unit(fit) < _unit(best)
    return 8 * _left(fit, output, usable) < _left(best, output, usable)


def _unsaid(fit: Fit) -> int:
    """How many elements are not given; where there are any, those too of channels left empty.

    That ReLU took all of a channel is evidence of nothing, where the rest does not fit either.
    """
    if not fit.misses or fit.convention.activation != "relu":
        return fit.misses
    empty = (fit.predicted == 0).all(axis=(0, 2, 3), keepdims=True)
    return int(np.count_nonzero(fit.mismatched | empty))


def is_fine(fit: Fit | Confirmed) -> bool:
    """Whether a fit is in an arithmetic no coarser than single precision."""
    return PRECISIONS.get(fit.convention.arithmetic, 0.0) <= PRECISIONS["float32"]


def _unit(fit: Fit) -> float:
    unit = PRECISIONS.get(fit.convention.arithmetic, 0.0)
    return unit if unit > PRECISIONS["float32"] else 0.0


def _left(fit: Fit, output: Array, usable: Array) -> float:
    """The root mean square of what the convention leaves unexplained, where it explains at all."""
    seen = usable & ~fit.mismatched
    left = np.abs(output[seen] - fit.predicted[seen])
    return float(np.sqrt(np.mean(left**2))) if left.size else math.inf


def _suspicious(fit: Fit, output: Array, usable: Array) -> bool:
    """Whether more is left than sums usually lose: sqrt(n) units of S, by the statistical bound."""
    if fit.convention.arithmetic not in FLOATING:
        return False
    unit = PRECISIONS[fit.convention.arithmetic]
    usual = 2 * math.sqrt(fit.linear.terms) * unit * float(np.mean(fit.linear.magnitude))
    return _left(fit, output, usable) > usual * abs(fit.convention.scale)


def _forms(linear: Linear, output: Array, usable: Array) -> Iterator[Convention]:
    """Post-processing from plain to elaborate, its numbers estimated from the output."""
    base = linear.convention
    yield base
    if output.dtype.kind == "c" or linear.values.dtype.kind == "c":
        return
    target = output.astype(np.float64)
    sums = linear.values.astype(np.float64)
    rectified = is_rectified(output, usable)
    if rectified:
        yield base.replace(activation="relu")
    telling = usable & within_limits(output)
    integers = bool(np.array_equal(np.rint(target[usable]), target[usable]))
    if integers and np.count_nonzero(telling) <= SPARSE:
        yield from _bounded(linear, target, usable, rectified=rectified)
    for activation, seen in ((None, telling), ("relu", telling & (target > 0))):
        if activation == "relu" and not rectified:
            continue
        if np.count_nonzero(seen) < 3:
            continue
        kept = base.replace(activation=activation)
        whole = bool(np.array_equal(np.rint(target[seen]), target[seen]))
        ways = [(target, seen), *([_untruncated(target, seen)] if whole else [])]
        ways = [(wanted, told) for wanted, told in ways if np.count_nonzero(told) >= 3]
        for wanted, told in ways:
            scale = _scale(sums, wanted, told)
            if scale is not None:
                for number in simple_numbers(scale) if whole else [scale]:
                    yield kept.replace(scale=number)
        for wanted, told in ways:
            if degrees_of_freedom(told) < 3:
                continue
            yield _with_bias(kept, sums, usable, _bias(wanted - sums, told), told)
            slope = _slope(sums, wanted, told)
            if slope is not None:
                sloped = kept.replace(scale=slope)
                bias = _bias(wanted - slope * sums, told)
                yield _with_bias(sloped, sums, usable, bias, told)
                if whole:
                    limits = tuple(usable & end for end in ends(output))
                    yield kept.replace(**_rounded_line(sums, wanted, told, slope, limits))
    if integers:
        yield from wrapped_forms(linear, output, usable)


def _bounded(
    linear: Linear, target: Array, usable: Array, *, rectified: bool
) -> Iterator[Convention]:
    """Where few elements say what they were: every inequality that those at a limit say as well."""
    sums = linear.values.astype(np.float64)
    names = [name for name in arithmetics(linear.problem) if ":" in name]
    activations = (None, "relu") if rectified else (None,)
    # What no sum reached was rounded rather than cut off.
    for name, activation in product(sorted(names), activations):
        convention = linear.convention.replace(activation=activation, arithmetic=name)
        for scale, bias in lines(sums, Bounds.of(convention, target, usable)):
            yield convention.replace(scale=scale, bias=bias)


def _untruncated(target: Array, seen: Array) -> tuple[Array, Array]:
    """Truncated numbers in the middle of what they may have been; of zeros not even the sign is."""
    return target + 0.5 * np.sign(target), seen & (target != 0)


def _with_bias(
    kept: Convention, sums: Array, usable: Array, bias: tuple[float, ...], seen: Array
) -> Convention:
    """``kept`` with a bias, low enough in channels of which ReLU left nothing."""
    numbers = list(bias)
    if kept.activation == "relu":
        for o in np.flatnonzero(~seen.any(axis=(0, 2, 3)) & usable.any(axis=(0, 2, 3))):
            highest = float((kept.scale * sums[:, o])[usable[:, o]].max())
            numbers[o] = min(0.0, -float(math.ceil(highest)))
    return kept.replace(bias=tuple(numbers))


def degrees_of_freedom(seen: Array) -> int:
    """What is left of the elements when each channel has given one to its bias, and one more."""
    counts = seen.sum(axis=(0, 2, 3))
    return int(np.maximum(counts - 1, 0).sum()) - 1


def _scale(sums: Array, target: Array, seen: Array) -> float | None:
    y, t = sums[seen], target[seen]
    large = np.abs(y) >= np.median(np.abs(y))
    if not np.any(y[large]):
        return None
    return _refined(y, t, float(np.median(t[large & (y != 0)] / y[large & (y != 0)])))


def _slope(sums: Array, target: Array, seen: Array) -> float | None:
    """The scale where every channel has a bias of its own: from differences within a channel."""
    dy, dt = [], []
    for o in range(sums.shape[1]):
        y, t = sums[:, o][seen[:, o]], target[:, o][seen[:, o]]
        half = len(y) // 2
        dy.append(y[half : 2 * half] - y[:half])
        dt.append(t[half : 2 * half] - t[:half])
    y, t = np.concatenate(dy), np.concatenate(dt)
    large = np.abs(y) >= np.median(np.abs(y)) if y.size else np.zeros(0, bool)
    large &= y != 0
    if not large.any():
        return None
    ratios = t[large] / y[large]
    # Where a third of the elements is wrong, so is one of most pairs: then not the middle tells,
    # but what most agree on.
    found = [
        _refined(y, t, float(np.median(ratios))),
        _refined(y, t, _densest(ratios), share=AGREED),
    ]
    slopes = [slope for slope in found if slope is not None]

    def left(slope: float) -> float:
        residual = target - slope * sums
        bias = np.reshape(_bias(residual, seen), (1, -1, 1, 1))
        return float(np.median(np.abs(residual - bias)[seen]))

    return min(slopes, key=left, default=None)


def _densest(values: Array) -> float:
    """The middle of the shortest interval that holds :data:`AGREED` of the values."""
    ordered = np.sort(values)
    count = max(1, int(AGREED * len(ordered)))
    first = int(np.argmin(ordered[count:] - ordered[:-count])) if len(ordered) > count else 0
    return float(ordered[first + count // 2])


def _rounded_line(
    sums: Array, target: Array, seen: Array, guess: float, limits: tuple[Array, ...]
) -> dict[str, Any]:
    """Scale and biases where the targets were rounded to integers: all of them within a half.

    How far apart a channel's residuals lie is a convex function of the scale; at its lowest every
    element is within a half of its channel's middle, if a line can do that at all.
    """
    channels = [(sums[:, o][seen[:, o]], target[:, o][seen[:, o]]) for o in range(sums.shape[1])]
    channels = [(y, t) for y, t in channels if y.size > 1]
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
    return {"scale": scale, "bias": _middles(target - scale * sums, seen, *limits)}


def _middles(
    residual: Array, seen: Array, lowest: Array | None = None, highest: Array | None = None
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
        if lowest is not None and highest is not None:
            below = float(residual[:, o][lowest[:, o]].min(initial=most))
            above = float(residual[:, o][highest[:, o]].max(initial=least))
            if above - below <= 1:
                most, least = below, above
        bias.append((most + least) / 2)
    return tuple(bias)


def _refined(y: Array, t: Array, guess: float, share: float = 0.5) -> float | None:
    """The slope by least squares over those near it; ``share`` of all are sure to be."""
    if not math.isfinite(guess) or guess == 0:
        return None
    residual = np.abs(t - guess * y)
    inliers = residual <= 4 * np.quantile(residual, share) + TINY
    denominator = float(np.dot(y[inliers], y[inliers]))
    refined = float(np.dot(t[inliers], y[inliers])) / denominator if denominator else guess
    return refined if math.isfinite(refined) and refined != 0 else guess


def _bias(residual: Array, seen: Array) -> tuple[float, ...]:
    return tuple(
        float(np.median(residual[:, o][seen[:, o]])) if seen[:, o].any() else 0.0
        for o in range(residual.shape[1])
    )


def _simplified(linear: Linear, fit: Fit, output: Array, usable: Array) -> Fit:
    """The same explanation with plainer numbers, where they leave no more unexplained."""
    limit = PLAINER * _left(fit, output, usable)
    if fit.convention.scale != 1.0:
        for number in simple_numbers(fit.convention.scale):
            trial = fit.convention.replace(scale=number)
            if trial.bias is not None:
                wanted, seen = _told(trial, output, usable & within_limits(output))
                middle = _bias if ":" not in trial.arithmetic else _middles
                sums = linear.values
                trial = _with_bias(trial, sums, usable, middle(wanted - number * sums, seen), seen)
            other = judge(linear, trial, output, usable)
            if other.misses <= fit.misses and _left(other, output, usable) <= limit:
                fit = other
                break
    if fit.convention.bias is not None:
        fit = _plainer_bias(linear, fit, output, usable)
    return fit


def _sharpened(linear: Linear, fit: Fit, output: Array, usable: Array) -> Fit:
    """The same with biases as the smallest sums leave them, where that explains much more.

    There rounding hid least of a bias, and there it is allowed least: where the image is black.
    """
    wanted, seen = _told(fit.convention, output, usable & within_limits(output))
    residual = wanted - linear.values * fit.convention.scale
    bias = list(fit.convention.bias or ())
    for o, number in enumerate(bias):
        if not seen[:, o].any():
            continue
        arrays = (residual, linear.magnitude, fit.threshold)
        left, sizes, room = (a[:, o][seen[:, o]] for a in arrays)
        near = np.abs(left - number) <= np.median(room)
        if near.any():
            bias[o] = float(left[near][np.argmin(sizes[near])])
    other = judge(linear, fit.convention.replace(bias=tuple(bias)), output, usable)
    return other if ELABORATE * other.misses < fit.misses else fit


def _told(convention: Convention, output: Array, seen: Array) -> tuple[Array, Array]:
    """What the numbers before rounding to integers may have been, and which elements say so."""
    if convention.activation == "relu":
        seen = seen & (output > 0)
    if convention.arithmetic.startswith("wrap:") and convention.scale != 1:
        return _untruncated(output.astype(np.float64), seen)
    return output, seen


def _apart(residual: Array, bias: float, whole: bool) -> float:
    """How far a bias leaves the residuals: at most, where they were rounded; else usually."""
    left = np.abs(residual - bias)
    if whole:
        return max(float(left.max()) - 0.5, 0.0)
    return float(np.sqrt(np.mean(left**2)))


def _plainer_bias(linear: Linear, fit: Fit, output: Array, usable: Array) -> Fit:
    """Each channel's bias in the fewest digits that leave no more of the channel unexplained."""
    bias = np.array(fit.convention.bias)
    if ":" in fit.convention.arithmetic and not fit.misses:
        bounds = Bounds.of(fit.convention, output.astype(np.float64), usable)
        found = plainest_bias(linear.values, fit.convention.scale, bounds)
        if found != ():
            other = judge(linear, fit.convention.replace(bias=found), output, usable)
            return fit if other.misses else other
    wanted, seen = _told(fit.convention, output, usable & ~fit.mismatched)
    sums = linear.values * fit.convention.scale
    plain = bias.copy()
    for o in range(len(bias)):
        residual = (wanted[:, o] - sums[:, o])[seen[:, o]]
        if not residual.size:
            continue
        whole = ":" in fit.convention.arithmetic
        limit = _apart(residual, float(bias[o]), whole)
        for number in (0.0, *simple_numbers(float(bias[o]))):
            if _apart(residual, number, whole) <= (limit + TIE if whole else PLAINER * limit):
                plain[o] = number
                break
    numbers = tuple(map(float, plain))
    silent = ~seen.any(axis=(0, 2, 3)) & (fit.convention.activation == "relu")
    if silent.any() and not silent.all() and not plain[~silent].any():
        # No other channel has a bias: that one of zeros has such a low one would be made up.
        return judge(linear, fit.convention.replace(bias=None), output, usable)
    trial = fit.convention.replace(bias=numbers if any(numbers) else None)
    other = judge(linear, trial, output, usable)
    return other if other.misses <= fit.misses else fit
