"""Scale, bias and activation, solved for from the output itself: the plainest that explain it."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.bounds import Bounds, lines, plainest_bias
from convcheck.checks.identify.estimates import (
    degrees_of_freedom,
    medians,
    middles,
    nearest_scale,
    nearest_slope,
    rounded_line,
    untruncated,
)
from convcheck.checks.identify.judging import EXPLAINED, judge, left, tells, under
from convcheck.checks.identify.looks import FLOATING, arithmetics, ends, is_rectified, within_limits
from convcheck.checks.identify.numerals import length, simple_numbers
from convcheck.checks.identify.wrapped import cut_biases, wrapped_forms
from convcheck.convention import PRECISIONS
from convcheck.engine import finish

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convcheck.checks.identify.judging import Fit
    from convcheck.checks.identify.tally import Confirmed
    from convcheck.checks.sums import Linear
    from convcheck.convention import Convention
Array = NDArray[Any]

PLAINER = 1.25
"""How much more a plainer number may leave unexplained than the best: estimates overfit."""

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
    coarse = [a for a in arithmetics(linear.problem) if _is_coarse(a)]
    near = False
    for convention in _forms(linear, output, usable):
        fit = judge(linear, convention, output, usable)
        if fit.misses and convention.bias is not None and _is_coarse(fit.convention.arithmetic):
            # A mean of what was rounded is a little off, and a little is too much of few bits.
            other = _within_bounds(linear, fit, output, usable)
            fit = fit if other is None or other.misses >= fit.misses else other
        near = near or (bool(coarse) and tells(fit, output, usable))
        if best is None or _preferred(fit, best, output, usable):
            best = fit
        if not best.misses and not _unit(best) and not _suspicious(best, output, usable):
            break
    if best is None:
        raise AssertionError("there is always the plain form")
    if best.misses and near:
        best = _of_rounded(linear, coarse, best, output, usable)
    if best.misses < EXPLAINED * np.count_nonzero(usable):
        if best.misses and best.convention.bias is not None:
            best = _sharpened(linear, best, output, usable)
        best = _simplified(linear, best, output, usable)
    return (_recut if best.misses else _cut_off)(linear, best, output, usable)


def _cut_off(linear: Linear, fit: Fit, output: Array, usable: Array) -> Fit:
    """The same with plainer numbers, if fractions were cut off: not all were rounded."""
    c = fit.convention
    how, _, kind = c.arithmetic.partition(":")
    # A half that went down each time was cut off as well, and what ended at zero was ReLU's then.
    halves = not np.array_equal(fit.predicted[usable], output[usable])
    cut = "relu" if halves and kind.startswith("u") and how == "saturate" else c.activation
    for scale in simple_numbers(c.scale) if how in ("saturate", "wrap") else ():
        trial = c.replace(scale=scale, bias=None, activation=cut, arithmetic=f"wrap:{kind}")
        bounds = Bounds.of(trial, output.astype(np.float64), usable)
        bias = plainest_bias(linear.values, scale, bounds)
        if bias == ():
            continue
        trial = trial.replace(bias=bias)
        if written(trial) < written(c) + halves:
            wanted = finish(linear.values, trial.replace(arithmetic="exact"))
            other = under(linear, trial, wanted, output, usable)
            return fit if other is None or other.misses else other
    return fit


def _recut(linear: Linear, fit: Fit, output: Array, usable: Array) -> Fit:
    """What fractions that were cut off leave all but fitting, with a plain scale, if that fits."""
    c = fit.convention
    how, _, kind = c.arithmetic.partition(":")
    if how != "wrap" or fit.misses > EXPLAINED * np.count_nonzero(usable):
        return fit
    modulus = 2.0 ** np.iinfo(kind).bits
    told = usable & (output != 0) if c.activation == "relu" else usable
    for scale in simple_numbers(c.scale):
        bias = cut_biases(scale * linear.values, output, told, modulus)
        for trial in (c.replace(scale=scale, bias=None), c.replace(scale=scale, bias=bias)):
            wanted = finish(linear.values, trial.replace(arithmetic="exact"))
            other = under(linear, trial, wanted, output, usable)
            if other is not None and not other.misses:
                return other
    return fit


def written(convention: Convention) -> int:
    """How many characters the numbers take that were solved for."""
    c = convention
    return sum(map(length, (c.scale, c.padding_value, *(c.bias or ()))))


def _of_rounded(
    linear: Linear, coarse: Sequence[str], best: Fit, output: Array, usable: Array
) -> Fit:
    """The same with numbers estimated from the sums of rounded operands, where that says more.

    Rounding the operands to few bits hides the last digits of a bias from the sums of all bits.
    """
    for name in coarse:
        rounded = linear.rounded(name)
        for convention in _forms(rounded, output, usable):
            form = convention.replace(arithmetic=name)
            fit = under(linear, form, rounded.values, output, usable)
            if fit is not None and _preferred(fit, best, output, usable):
                best = fit
            if not best.misses:
                return best
    return best


def _preferred(fit: Fit, best: Fit, output: Array, usable: Array) -> bool:
    """Whether a more elaborate form explains more, or in a finer arithmetic, or leaves much less.

    Few bits explain a small bias away as rounding.
    """
    unsaid, least = _unsaid(fit), _unsaid(best)
    if unsaid != least:
        # Numbers that are solved for give a few elements of any damage more, by chance.
        return ELABORATE * unsaid < least
    if _unit(fit) != _unit(best):
        return _unit(fit) < _unit(best)
    return 8 * left(fit, output, usable) < left(best, output, usable)


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
    return not _is_coarse(fit.convention.arithmetic)


def _is_coarse(arithmetic: str) -> bool:
    return PRECISIONS.get(arithmetic, 0.0) > PRECISIONS["float32"]


def _unit(fit: Fit) -> float:
    return 0.0 if is_fine(fit) else PRECISIONS[fit.convention.arithmetic]


def _suspicious(fit: Fit, output: Array, usable: Array) -> bool:
    """Whether more is left than sums usually lose: sqrt(n) units of S, by the statistical bound."""
    if fit.convention.arithmetic not in FLOATING:
        return False
    unit = PRECISIONS[fit.convention.arithmetic]
    usual = 2 * math.sqrt(fit.linear.terms) * unit * float(np.mean(fit.linear.magnitude))
    return left(fit, output, usable) > usual * abs(fit.convention.scale)


def _forms(linear: Linear, output: Array, usable: Array) -> Iterator[Convention]:
    """Post-processing from plain to elaborate, its numbers estimated from the output."""
    base = linear.convention
    yield base
    if output.dtype.kind == "c" or linear.values.dtype.kind == "c":
        return
    target = output.astype(np.float64)
    sums = linear.values.astype(np.float64)
    if not np.isfinite(sums).all():  # the border's constant made them overflow
        return
    rectified = is_rectified(output, usable)
    if rectified:
        yield base.replace(activation="relu")
    telling = usable & within_limits(output)
    integers = bool(np.array_equal(np.rint(target[usable]), target[usable]))
    if integers and np.count_nonzero(telling) <= SPARSE:
        yield from _bounded(linear, target, usable, rectified=rectified)
    looks = [(None, telling), *([("relu", telling & (target > 0))] if rectified else [])]
    for activation, seen in looks:
        kept = base.replace(activation=activation)
        whole = bool(np.array_equal(np.rint(target[seen]), target[seen]))
        ways = [(target, seen), *([untruncated(target, seen)] if whole else [])]
        ways = [(wanted, told) for wanted, told in ways if np.count_nonzero(told) >= 3]
        for wanted, told in ways:
            scale = nearest_scale(sums, wanted, told)
            if scale is not None:
                for number in simple_numbers(scale) if whole else [scale]:
                    yield kept.replace(scale=number)
        for wanted, told in (way for way in ways if degrees_of_freedom(way[1]) >= 3):
            yield _with_bias(kept, sums, usable, medians(wanted - sums, told), told)
            slope = nearest_slope(sums, wanted, told)
            if slope is not None:
                sloped = kept.replace(scale=slope)
                bias = medians(wanted - slope * sums, told)
                yield _with_bias(sloped, sums, usable, bias, told)
                if whole:
                    lowest, highest = ends(output)
                    limits = (usable & lowest, usable & highest)
                    yield kept.replace(**rounded_line(sums, wanted, told, slope, limits))
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


def _simplified(linear: Linear, fit: Fit, output: Array, usable: Array) -> Fit:
    """The same explanation with plainer numbers, where they leave no more unexplained."""
    limit = PLAINER * left(fit, output, usable)
    if fit.convention.scale != 1.0:
        for number in simple_numbers(fit.convention.scale):
            trial = fit.convention.replace(scale=number)
            if trial.bias is not None:
                wanted, seen = _told(trial, output, usable & within_limits(output))
                middle = medians
                if ":" in trial.arithmetic:
                    # The middle of all of them, so of none that is damaged.
                    middle, seen = middles, seen & ~fit.mismatched
                sums = fit.linear.values
                trial = _with_bias(trial, sums, usable, middle(wanted - number * sums, seen), seen)
            other = judge(linear, trial, output, usable)
            if other.misses <= fit.misses and left(other, output, usable) <= limit:
                fit = other
                break
    if fit.convention.bias is not None:
        fit = _plainer_bias(linear, fit, output, usable)
    return fit


def _within_bounds(linear: Linear, fit: Fit, output: Array, usable: Array) -> Fit | None:
    """The same with the plainest biases by which every element is given; None where none are."""
    c, target = fit.convention, output.astype(np.float64)
    if ":" in c.arithmetic:
        bounds = Bounds.of(c, target, usable)
    else:
        bounds = Bounds.measured(target, fit.threshold, rectified=c.activation == "relu")
        bounds.low[~usable], bounds.high[~usable] = -np.inf, np.inf
    found = plainest_bias(fit.linear.values, c.scale, bounds)
    return None if found == () else judge(linear, c.replace(bias=found), output, usable)


def _sharpened(linear: Linear, fit: Fit, output: Array, usable: Array) -> Fit:
    """The same with biases as the smallest sums leave them, where that explains much more.

    There rounding hid least of a bias, and there it is allowed least: where the image is black.
    """
    wanted, seen = _told(fit.convention, output, usable & within_limits(output))
    residual = wanted - fit.linear.values * fit.convention.scale
    bias = list(fit.convention.bias or ())
    for o, number in enumerate(bias):
        if not seen[:, o].any():
            continue
        arrays = (residual, linear.magnitude, fit.threshold)
        rest, sizes, room = (a[:, o][seen[:, o]] for a in arrays)
        near = np.abs(rest - number) <= np.median(room)
        if near.any():
            bias[o] = float(rest[near][np.argmin(sizes[near])])
    other = judge(linear, fit.convention.replace(bias=tuple(bias)), output, usable)
    return other if ELABORATE * other.misses < fit.misses else fit


def _told(convention: Convention, output: Array, seen: Array) -> tuple[Array, Array]:
    """What the numbers before rounding to integers may have been, and which elements say so."""
    if convention.activation == "relu":
        seen = seen & (output > 0)
    if convention.arithmetic.startswith("wrap:") and convention.scale != 1:
        return untruncated(output.astype(np.float64), seen)
    return output, seen


def _apart(residual: Array, bias: float, whole: bool) -> float:
    """How far a bias leaves the residuals: at most, where they were rounded; else usually."""
    rest = np.abs(residual - bias)
    if whole:
        return max(float(rest.max()) - 0.5, 0.0)
    return float(np.sqrt(np.mean(rest**2)))


def _plainer_bias(linear: Linear, fit: Fit, output: Array, usable: Array) -> Fit:
    """Each channel's bias in the fewest digits that leave no more of the channel unexplained."""
    bias = np.array(fit.convention.bias)
    if ":" in fit.convention.arithmetic:
        other = _within_bounds(linear, fit, output, usable)
        if other is not None and not (fit.misses and other.misses):
            return fit if other.misses else other
    wanted, seen = _told(fit.convention, output, usable & within_limits(output) & ~fit.mismatched)
    sums = fit.linear.values * fit.convention.scale
    plain = bias.copy()
    for o in range(len(bias)):
        residual = (wanted[:, o] - sums[:, o])[seen[:, o]]
        if not residual.size:
            continue
        whole = ":" in fit.convention.arithmetic
        room = fit.threshold[:, o][seen[:, o]]
        limit = _apart(residual, float(bias[o]), whole)
        for number in (0.0, *simple_numbers(float(bias[o]))):
            # Where the image is black, a few elements have the bias alone.
            near = whole or (np.abs(residual - number) <= room).all()
            if near and _apart(residual, number, whole) <= (
                limit + TIE if whole else PLAINER * limit
            ):
                plain[o] = number
                break
    numbers = tuple(map(float, plain))
    silent = ~seen.any(axis=(0, 2, 3)) & (fit.convention.activation == "relu")
    if silent.any() and silent.mean() <= 1 - EXPLAINED and not plain[~silent].any():
        # No other channel has a bias: that one of zeros has such a low one would be made up. But
        # where most are of zeros, hardly anything would be said without it.
        return judge(linear, fit.convention.replace(bias=None), output, usable)
    trial = fit.convention.replace(bias=numbers if any(numbers) else None)
    other = judge(linear, trial, output, usable)
    return other if other.misses <= fit.misses else fit
