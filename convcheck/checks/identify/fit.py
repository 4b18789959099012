"""Confirm one hypothesis over the whole output: what is done to the sums, and beyond the edge.

A hypothesis says everything but what is done to the sums afterwards and what stands beyond the
image's edge. Both are solved for here, from the output itself, then every element is judged under
the rounding rules of the arithmetic that explains most of them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.areas import is_large
from convcheck.checks.identify.axes import LONG, MAX_DILATION
from convcheck.checks.identify.bounds import Bounds, factors
from convcheck.checks.identify.estimates import degrees_of_freedom
from convcheck.checks.identify.holding import hold
from convcheck.checks.identify.judging import EXPLAINED, Fit, judge
from convcheck.checks.identify.looks import is_rectified, within_limits
from convcheck.checks.identify.numerals import length, plainest, simple_numbers
from convcheck.checks.identify.search import ALL_ORDERS
from convcheck.checks.identify.solving import TIE, afterwards, is_fine, solve, written
from convcheck.checks.identify.tally import Confirmed
from convcheck.checks.identify.thin import Thin, same_sums
from convcheck.checks.identify.wrapped import wrapped_border, wrapped_borders
from convcheck.checks.sums import Linear, Problem
from convcheck.convention import PADDING_MODES
from convcheck.engine import to_axes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from convcheck.convention import Convention
Array = NDArray[Any]

RARER = 1.05
"""So much less must be wrong under a border other than zeros, where all has some of it wrong."""
STALLED = 3
"""So often in a row numbers are estimated again without halving what they leave unexplained."""
ROUGH = 8
"""How far a zero point may be from its estimate by an output of few levels."""
ROUGHLY = 32
"""The part of an image's range by which rounding may leave a constant beyond its edge open."""
LOST = 2.0**-40
"""The share of an output's spread that rounding may take of an element that fits."""
HOPELESS = 0.95
"""A convention that fails at more of a part than this is given up."""


def confirm(problem: Problem, convention: Convention, output: Array) -> Confirmed | None:
    """The best that ``convention`` can be made to explain of ``output`` (N,O,H,W).

    Of a large output a part says first how the border is made and what is done to the sums, or that
    nothing fits: None. What is too large to be held is judged area by area.
    """
    thin = Thin(problem, convention, output.shape)
    large = is_large(problem)
    if not large and not thin.worth_while:
        usable = np.isfinite(output)
        return Confirmed.of(_best(Linear(problem, convention), output, usable), output, usable)
    few = thin.cut(output)
    told = _best(thin, few, np.isfinite(few))
    if told.misses > HOPELESS * np.count_nonzero(np.isfinite(few)):
        return None
    if large:
        return _in_areas(thin.again(told.convention), told, output)
    usable = np.isfinite(output)
    whole = Linear(problem, told.convention)
    fit = judge(whole, told.convention, output, usable)
    if fit.misses:
        # Estimates from all of it may be better, and a channel may have shown nothing in the part.
        fit = min(fit, solve(whole, output, usable), key=_rank)
    return Confirmed.of(fit, output, usable)


def judged(problem: Problem, convention: Convention, output: Array) -> Confirmed:
    """The whole output (N,O,H,W) under a convention with nothing left to solve for."""
    if is_large(problem):
        thin = Thin(problem, convention, output.shape)
        few = thin.cut(output)
        return hold(thin, judge(thin, convention, few, np.isfinite(few)), output)
    usable = np.isfinite(output)
    fit = judge(Linear(problem, convention), convention, output, usable)
    return Confirmed.of(fit, output, usable)


def _in_areas(thin: Thin, told: Fit, output: Array) -> Confirmed:
    """The same of a large output: estimated again with the elements that were furthest off.

    What is furthest off is what bounds the numbers of rounded outputs, and shows a channel of which
    the part showed nothing.
    """
    best = latest = hold(thin, told, output)
    tried = {told.convention.replace(arithmetic="exact")}
    stalled = 0
    while latest.misses and stalled < STALLED:
        thin = thin.wider(latest.tally.furthest)
        few = thin.cut(output)
        fit = solve(thin, few, np.isfinite(few))
        if fit.convention.replace(arithmetic="exact") in tried:
            break
        tried.add(fit.convention.replace(arithmetic="exact"))
        latest = hold(thin, fit, output)
        halved = 2 * latest.misses < best.misses
        stalled = 0 if halved else stalled + 1
        # A bias of its own gives a damaged channel some elements more by chance.
        plainer = afterwards(latest.convention) <= afterwards(best.convention)
        if halved or (plainer and _rank(latest) < _rank(best)):
            best = latest
    return best


def _best(linear: Linear, output: Array, usable: Array) -> Fit:
    best: Fit | None = None
    for candidate in _borders(linear, output, usable):
        # Few bits would explain a border's constant, or that it is not quite right, as rounding.
        given = best is not None and not best.misses and not best.convention.padding_value
        if best is None or (_rank(candidate) < _rank(best) and (is_fine(candidate) or not given)):
            best = candidate
        if not best.misses and is_fine(best):
            break
    if best is None:
        raise AssertionError("the plain border is always tried")
    value = best.convention.padding_value
    if value and ":" in best.convention.arithmetic:
        # Rounding leaves all numbers a little room, and whole ones beyond the edge are plainer.
        others: Iterable[Fit] = _zero_points(linear, best, output, usable)
        if not best.misses:
            others = [_bordered(linear, float(round(value)), output, usable)]
        best = min([best, *others], key=_rank)
    if not best.misses and best.convention.padding_value:
        best = _plainest_border(linear, best, output, usable) or best
    return best


def _plainest_border(linear: Linear, fit: Fit, output: Array, usable: Array) -> Fit | None:
    """With the plainest number beyond the edge by which every element is given; None without one.

    Elements that were rounded, and zeros that ReLU left, are given by a range of numbers.
    """
    c = fit.convention
    if output.dtype.kind == "c" or c.arithmetic.startswith("wrap:"):
        return None
    target = output.astype(np.float64)
    if ":" in c.arithmetic:
        bounds = Bounds.of(c, target, usable)
    else:
        bounds = Bounds.measured(target, fit.threshold, rectified=c.activation == "relu")
    bias = 0.0 if c.bias is None else np.reshape(c.bias, (1, -1, 1, 1))
    rest = (c.scale * linear.with_border(0.0).values + bias)[usable]
    edge = c.scale * linear.edge[usable]
    found = factors(edge, bounds.low[usable] - rest - TIE, bounds.high[usable] - rest + TIE)
    if found is None:
        return None
    number = plainest(*found)
    if length(number) >= length(c.padding_value or math.pi):
        return None
    other = judge(linear.with_border(number), c.replace(padding_value=number), output, usable)
    return None if other.misses else other


def _zero_points(linear: Linear, near: Fit, output: Array, usable: Array) -> Iterator[Fit]:
    """Whole numbers beyond the edge, from the nearest on: few levels leave an estimate rough."""
    if near.misses > EXPLAINED * np.count_nonzero(usable):
        return
    value = round(near.convention.padding_value)
    for number in sorted(range(value - ROUGH, value + ROUGH + 1), key=lambda n: abs(n - value)):
        fit = _bordered(linear, float(number), output, usable)
        yield fit
        if not fit.misses:
            return


def same_on_this_data(problem: Problem, convention: Convention) -> Iterator[Convention]:
    """Other padding modes, orders of few channels and dilations that would give the same output.

    Of dilations those of long kernels, which the usual search leaves out.
    """
    others = list(_dilated(convention, problem.filters.shape))
    if max(map(max, convention.padding)) > 0 and max(convention.input_dilation) == 1:
        others += [
            convention.replace(padding_mode=mode, padding_value=0.0)
            for mode in PADDING_MODES
            if mode != convention.padding_mode
        ]
    channels = to_axes(problem.image, convention.image_layout, "NCHW").shape[1]
    if channels <= ALL_ORDERS and not convention.padding_value:
        plain = tuple(range(channels))
        others += [
            convention.replace(channel_order=None if order == plain else order)
            for order in permutations(plain)
            if order != (convention.channel_order or plain)
        ]
    return same_sums(problem, convention, others)


def beyond_the_edge(problem: Problem, fit: Confirmed) -> Iterator[Confirmed]:
    """The same output by another number beyond the edge.

    Where every window of a channel meets as much of the border, its constant is as good as a bias;
    where what meets it was cut off or rounded, many numbers are as good as one.
    """
    c = fit.convention
    value, rounded = c.padding_value, ":" in c.arithmetic
    if c.padding_mode != "constant" or not (value or c.bias or rounded):
        return
    if is_large(problem) or problem.output.dtype.kind == "c":
        return
    linear = Linear(problem, c)
    if linear.interior.all():
        return
    output = to_axes(problem.output, c.output_layout, "NOHW")
    usable = np.isfinite(output)
    others: Iterator[Fit] = iter(())
    if rounded or (value and c.activation == "relu"):
        step = (float(problem.image.max()) - float(problem.image.min())) / ROUGHLY
        near = (value - step, value + step)
        others = (_bordered(linear, number, output, usable) for number in near)
    elif not value and c.bias is not None and _is_even(linear.edge):
        others = _as_border(linear, c, c.bias, output, usable)
    for other in others:
        plain = afterwards(other.convention) <= afterwards(c)
        if not other.misses and plain and is_fine(other) >= is_fine(fit):
            yield Confirmed.of(other, output, usable)
            return


def _as_border(
    linear: Linear, c: Convention, bias: Sequence[float], output: Array, usable: Array
) -> Iterator[Fit]:
    """The biases of a convention as one number beyond the edge that is plainer than they are."""
    edge = c.scale * linear.edge.mean(axis=(0, 2, 3))
    if edge.any():
        for number in simple_numbers(float(edge @ np.array(bias) / (edge @ edge))):
            if length(number) < sum(map(length, bias)):
                trial = c.replace(bias=None, padding_value=number)
                yield judge(linear.with_border(number), trial, output, usable)


def _is_even(edge: Array) -> bool:
    """Whether all windows of an output channel meet as much of the border."""
    return bool((np.ptp(edge, axis=(0, 2, 3)) <= LOST * np.abs(edge).max()).all())


def _dilated(convention: Convention, filters: Sequence[int]) -> Iterator[Convention]:
    """A long kernel at other dilations, its windows beginning where they begin."""
    for axis, name in enumerate("WH" if convention.kernel_transposed else "HW"):
        taps = filters[convention.filter_layout.index(name)]
        for dilation in range(1, MAX_DILATION + 1) if taps > LONG else ():
            more = (dilation - convention.dilation[axis]) * (taps - 1)
            if more:
                apart, padding = list(convention.dilation), list(convention.padding)
                apart[axis] = dilation
                padding[axis] = (padding[axis][0], padding[axis][1] + more)
                yield convention.replace(dilation=apart, padding=padding)


def _rank(fit: Fit | Confirmed) -> tuple[float, bool, int, int]:
    c = fit.convention
    # A border that gives a few elements more by chance is not the better explanation.
    bordered = c.padding_mode != "constant" or c.padding_value
    misses = fit.misses * (RARER if bordered else 1.0)
    return (misses, not is_fine(fit), afterwards(c), written(c))


def _borders(linear: Linear, output: Array, usable: Array) -> Iterator[Fit]:
    """Fits with each way to continue the image that the hypothesis leaves open, simplest first."""
    convention = linear.convention
    plain = solve(linear, output, usable)
    yield plain
    inside = linear.interior
    if convention.padding_mode != "constant" or inside.all():
        return
    within = usable & inside
    first = solve(linear, output, within) if within.sum() > 2 else plain
    told = within & (output > 0) if is_rectified(output, usable) else within
    if degrees_of_freedom(told) >= 3 and first.mismatched[told].mean() > EXPLAINED:
        return
    yield judge(linear, first.convention, output, usable)
    yield from _constant(linear, first.convention, output, usable)
    yield from _jointly(linear, output, usable)
    for mode in PADDING_MODES[1:]:
        other = linear.again(convention.replace(padding_mode=mode))
        yield judge(other, first.convention.replace(padding_mode=mode), output, usable)
        yield solve(other, output, usable)


def _constant(linear: Linear, fitted: Convention, output: Array, usable: Array) -> Iterator[Fit]:
    """The border's constant, solved from the elements that see it."""
    edge = linear.edge
    if fitted.arithmetic.startswith("wrap:"):
        number = wrapped_border(linear, fitted, output, usable)
        if number is not None:
            yield _bordered(linear, number, output, usable)
    telling = usable & (np.abs(edge) > 0.25 * np.abs(edge).max())
    if is_rectified(output, usable):
        # What is not cut off inside may be beyond the edge: then the constant is low enough for it.
        cut = judge(linear, fitted.replace(activation="relu"), output, usable)
        hidden = _plainest_border(linear, cut, output, usable)
        yield from [] if hidden is None else [hidden]
    if fitted.activation == "relu":
        telling &= output > 0
    if telling.sum() < 2 or output.dtype.kind == "c":
        return
    for known in (fitted, fitted.replace(scale=1.0, bias=None)):
        bias = 0 if known.bias is None else np.reshape(known.bias, (1, -1, 1, 1))
        wanted = (output.astype(np.float64) - bias) / known.scale
        value = float(np.median((wanted - linear.values)[telling] / edge[telling]))
        spread_of = np.abs((wanted - linear.values)[telling] / edge[telling] - value)
        if not math.isfinite(value) or np.median(spread_of) > 0.1 * (1 + abs(value)):
            continue
        for number in simple_numbers(value):
            convention = known.replace(padding_value=number)
            bordered = linear.with_border(number)
            fit = judge(bordered, convention, output, usable)
            if fit.misses and known is fitted and ":" in fit.convention.arithmetic:
                # Rounded numbers say more about the scale with the border's elements among them.
                fit = min(fit, solve(bordered, output, usable), key=lambda f: f.misses)
            if not fit.misses or number == value:
                yield fit
            if not fit.misses:
                return


def _jointly(linear: Linear, output: Array, usable: Array) -> Iterator[Fit]:
    """The border's constant where hardly an element is clear of it: solved with all the rest."""
    if output.dtype.kind == "c":
        return
    telling = usable & within_limits(output)
    if is_rectified(output, usable):
        telling &= output > 0
    for scaled, biased in product((False, True), repeat=2):
        value = _edge_value(linear, output, telling, scaled=scaled, biased=biased)
        if value is None:
            continue
        tried = {
            number: _bordered(linear, number, output, usable)
            for number in (value, float(round(value)))
        }
        fit = min(tried.values(), key=lambda fit: fit.misses)
        if fit.misses < EXPLAINED * np.count_nonzero(usable):
            # Only then is it worth while to look for a number in fewer digits.
            for number in simple_numbers(value):
                other = tried.get(number) or _bordered(linear, number, output, usable)
                if not other.misses:
                    fit = other
                    break
        yield fit
        if not fit.misses and is_fine(fit):
            return
    for number in dict.fromkeys(wrapped_borders(linear, output, usable)):
        yield _bordered(linear, number, output, usable)


def _bordered(linear: Linear, value: float, output: Array, usable: Array) -> Fit:
    fit = solve(linear.with_border(value), output, usable)
    return replace(fit, convention=fit.convention.replace(padding_value=value))


def _edge_value(
    linear: Linear, output: Array, telling: Array, *, scaled: bool, biased: bool
) -> float | None:
    """What a border must hold, by least squares without the elements that fit worst."""
    arrays = [a.astype(np.float64) for a in (linear.values, linear.edge, output)]
    if biased:
        count = np.maximum(telling.sum(axis=(0, 2, 3), keepdims=True), 1)
        # What is not finite is never asked for, and must not be summed either.
        arrays = [a - a.sum((0, 2, 3), keepdims=True, where=telling) / count for a in arrays]
    sums, edge, target = (a[telling] for a in arrays)
    columns = np.stack([sums, edge] if scaled else [edge], axis=-1)
    wanted = target if scaled else target - sums
    kept = np.ones(len(wanted), bool)
    for _ in range(3):
        if np.count_nonzero(kept) < 4:
            return None
        solved = np.linalg.lstsq(columns[kept], wanted[kept], rcond=None)[0]
        off = np.abs(columns @ solved - wanted)
        kept = off <= 3 * np.median(off[kept]) + LOST * np.std(target)
    scale = float(solved[0]) if scaled else 1.0
    if not scale or np.median(off) > 0.02 * np.std(target) + 0.6 * (output.dtype.kind in "iu"):
        return None
    value = float(solved[-1]) / scale
    return value if math.isfinite(value) and abs(value) > 1e-9 else None
