"""Confirm one hypothesis over the whole output: scale, bias, activation, border and arithmetic.

A hypothesis says everything but what is done to the sums afterwards and what stands beyond the
image's edge. Both are solved for here, from the output itself, then every element is judged under
the rounding rules of the arithmetic that explains most of them.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.axes import window
from convcheck.checks.identify.search import ALL_ORDERS
from convcheck.convention import INTEGER_ARITHMETICS, PADDING_MODES, PRECISIONS, Convention
from convcheck.engine import (
    arrange_filters,
    arrange_image,
    correlate,
    finish,
    pad,
    round_to,
    spread,
)
from convcheck.rounding import TINY, Arithmetic, choose_arithmetic, gamma

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = NDArray[Any]

EXPLAINED = 0.5
"""The share of the telling elements that a convention must give to be worth naming."""
PLAINER = 1.25
"""How much more a plainer number may leave unexplained than the best: estimates overfit."""
_FLOATING = ("float64", "float32")
LOOSE = 0.12
"""Residual over spread of the output beyond which a coarse arithmetic explains nothing."""


@dataclass(frozen=True)
class Problem:
    """The three arrays as stored, with what is the same for every hypothesis."""

    image: Array
    filters: Array
    output: Array
    arithmetic: Arithmetic
    usable: Array
    """Elements of the output that are finite, in the output's own layout."""

    @classmethod
    def of(cls, image: Array, filters: Array, output: Array) -> Problem:
        """The problem of three arrays; ``filters`` in any layout."""
        flat = filters.reshape(1, -1)
        work = choose_arithmetic(image, flat)
        return cls(image, filters, output, work, np.isfinite(output))


@dataclass(frozen=True)
class Fit:
    """A convention with everything solved for, and how each element of the output fares."""

    convention: Convention
    linear: Linear
    predicted: Array
    threshold: Array
    mismatched: Array

    @property
    def misses(self) -> int:
        """How many elements the convention does not give."""
        return int(np.count_nonzero(self.mismatched))


class Linear:
    """The sums of one convention before scale and bias, N,O,H,W, and their S when it is asked for.

    ``precision`` rounds the operands first, as hardware does that multiplies in fewer bits.
    """

    def __init__(
        self, problem: Problem, convention: Convention, precision: str | None = None
    ) -> None:
        self.problem = problem
        self.convention = convention.replace(
            scale=1.0, bias=None, activation=None, arithmetic="exact"
        )
        cast = problem.arithmetic.cast
        image, filters = cast(problem.image), cast(problem.filters)
        if precision is not None:
            image, filters = (cast(round_to(a, precision)) for a in (image, filters))
        x, self.bank = self._arranged(image, filters)
        self.terms = int(np.prod(self.bank.shape[1:]))
        self.values = self._sums(x, self.bank)
        self._rounded: dict[str, Linear] = {}

    def _arranged(self, image: Array, filters: Array) -> tuple[Array, Array]:
        x = arrange_image(image, self.convention)
        return x, arrange_filters(filters, self.convention, x.shape[1])

    def _sums(self, x: Array, w: Array, convention: Convention | None = None) -> Array:
        c = convention or self.convention
        return correlate(pad(spread(x, c.input_dilation), c), w, c.stride, c.dilation, c.groups)

    @cached_property
    def magnitude(self) -> Array:
        """S for every element."""
        x, w = self._arranged(_magnitudes(self.problem.image), _magnitudes(self.problem.filters))
        value = abs(self.convention.padding_value)
        return self._sums(x, w, self.convention.replace(padding_value=value))

    @cached_property
    def edge(self) -> Array:
        """What a border of ones would add to every element."""
        ones = self.convention.replace(padding_mode="constant", padding_value=1.0)
        x = arrange_image(np.zeros(self.problem.image.shape), self.convention)
        return self._sums(x, self.bank, ones)

    @cached_property
    def interior(self) -> Array:
        """The elements, (H,W), whose windows lie inside the image."""
        c = self.convention
        x = arrange_image(self.problem.image, c)
        inside = []
        for axis, outputs in enumerate(self.values.shape[2:]):
            starts = np.arange(outputs) * c.stride[axis] - c.padding[axis][0]
            ends = starts + c.dilation[axis] * (self.bank.shape[2 + axis] - 1)
            length = (x.shape[2 + axis] - 1) * c.input_dilation[axis] + 1
            inside.append((starts >= 0) & (ends < length))
        both: Array = inside[0][:, None] & inside[1][None, :]
        return both

    def rounded(self, precision: str) -> Linear:
        """The same with operands of fewer bits."""
        if precision not in self._rounded:
            self._rounded[precision] = Linear(self.problem, self.convention, precision)
        return self._rounded[precision]

    def with_border(self, value: float) -> Linear:
        """The same with another constant beyond the edge, without computing it all again."""
        other = copy(self)
        other.__dict__.pop("magnitude", None)
        other._rounded = {}
        other.convention = self.convention.replace(padding_value=value)
        other.values = self.values + (value - self.convention.padding_value) * self.edge
        return other


def _magnitudes(array: Array) -> Array:
    sizes: Array = np.abs(array.astype(np.result_type(array, np.float64)))
    return sizes


def confirm(problem: Problem, convention: Convention, output: Array, usable: Array) -> Fit:
    """The best that ``convention`` can be made to explain of ``output`` (N,O,H,W)."""
    best: Fit | None = None
    for candidate in _borders(problem, convention, output, usable):
        if best is None or _rank(candidate) < _rank(best):
            best = candidate
        if not best.misses:
            break
    if best is None:
        raise AssertionError("the plain border is always tried")
    return best


def same_on_this_data(problem: Problem, fit: Fit) -> Iterator[Convention]:
    """Other padding modes and orders of few channels that would give the same output."""
    convention = fit.convention
    if max(map(max, convention.padding)) > 0 and max(convention.input_dilation) == 1:
        for mode in PADDING_MODES:
            if mode != convention.padding_mode:
                other = {"padding_mode": mode, "padding_value": 0.0}
                if _same(problem, fit, other):
                    yield convention.replace(**other)
    channels = arrange_image(problem.image, convention).shape[1]
    if 1 < channels <= ALL_ORDERS and not convention.padding_value:
        for order in permutations(range(channels)):
            if order != (convention.channel_order or tuple(range(channels))):
                kept = None if order == tuple(range(channels)) else order
                if _same(problem, fit, {"channel_order": kept}):
                    yield convention.replace(channel_order=kept)


def _same(problem: Problem, fit: Fit, changes: dict[str, Any]) -> bool:
    other = fit.linear.convention.replace(**changes)
    return not _rim_differs(fit.linear, other) and np.array_equal(
        Linear(problem, other).values, fit.linear.values
    )


def _rim_differs(linear: Linear, other: Convention) -> bool:
    """Whether a few elements, most of them of the output's rim, already tell two apart."""
    image = arrange_image(linear.problem.image, other)[0]
    bank, c = linear.bank, other
    inputs, per_group = bank.shape[1], len(bank) // c.groups
    outputs = linear.values.shape[1:]
    for o, i, j in product(*({0, n // 2, n - 1} for n in outputs)):
        region = window(image, c, bank.shape[2:], (i, j))
        products = region[o // per_group * inputs :][:inputs] * bank[o]
        difference = abs(products.sum() - linear.values[0, o, i, j])
        if difference > 1e-6 * np.abs(products).sum() + 1e-6 * abs(linear.values[0, o, i, j]):
            return True
    return False


def _rank(fit: Fit) -> tuple[int, int, int]:
    border = PADDING_MODES.index(fit.convention.padding_mode) + bool(fit.convention.padding_value)
    return (fit.misses, afterwards(fit.convention), border)


def afterwards(convention: Convention) -> int:
    """How much is done to the sums once they are made."""
    return (
        (convention.scale != 1.0)
        + (convention.bias is not None)
        + (convention.activation is not None)
    )


def _borders(
    problem: Problem, convention: Convention, output: Array, usable: Array
) -> Iterator[Fit]:
    """Fits with each way to continue the image that the hypothesis leaves open, simplest first."""
    linear = Linear(problem, convention)
    plain = solve(linear, output, usable)
    yield plain
    inside = linear.interior
    if convention.padding_mode != "constant" or inside.all():
        return
    within = usable & inside
    first = solve(linear, output, within) if within.sum() > 2 else plain
    agreed = first.mismatched[within].mean() if within.any() else 1.0
    if within.sum() > 2 and agreed > EXPLAINED:
        return
    if within.sum() > 2:
        yield judge(linear, first.convention, output, usable)
    yield from _constant(linear, first.convention, output, usable & ~inside, usable)
    if max(convention.input_dilation) == 1:
        yield from _jointly(linear, output, usable)
    if max(convention.input_dilation) == 1:
        for mode in PADDING_MODES[1:]:
            other = Linear(problem, convention.replace(padding_mode=mode))
            if within.sum() > 2:
                kept = first.convention.replace(padding_mode=mode)
                yield judge(other, kept, output, usable)
            yield solve(other, output, usable)


def _constant(
    linear: Linear, fitted: Convention, output: Array, border: Array, usable: Array
) -> Iterator[Fit]:
    """The border's constant, solved from the elements that see it."""
    edge = linear.edge
    telling = border & (np.abs(edge) > 0.25 * np.abs(edge).max(initial=0)) & (edge != 0)
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
        for number in _simple_numbers(value):
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
    if output.dtype.kind == "c" or linear.values.dtype.kind == "c":
        return
    telling = usable & _within_limits(output)
    if (output[usable] >= 0).all():
        telling &= output > 0
    for scaled, biased in product((False, True), repeat=2):
        value = _edge_value(linear, output, telling, scaled=scaled, biased=biased)
        if value is None:
            continue
        for number in _simple_numbers(value):
            fit = solve(linear.with_border(number), output, usable)
            fit = replace(fit, convention=fit.convention.replace(padding_value=number))
            if not fit.misses or number == value:
                yield fit
            if not fit.misses:
                return


def _edge_value(
    linear: Linear, output: Array, telling: Array, *, scaled: bool, biased: bool
) -> float | None:
    """What a border must hold, by least squares without the elements that fit worst."""
    arrays = [a.astype(np.float64) for a in (linear.values, linear.edge, output)]
    if biased:
        count = np.maximum(telling.sum(axis=(0, 2, 3), keepdims=True), 1)
        arrays = [a - (a * telling).sum(axis=(0, 2, 3), keepdims=True) / count for a in arrays]
    sums, edge, target = (a[telling] for a in arrays)
    columns = np.stack([sums, edge] if scaled else [edge], axis=-1)
    wanted = target if scaled else target - sums
    kept = np.ones(len(wanted), bool)
    for _ in range(3):
        if np.count_nonzero(kept) < 4:
            return None
        solved = np.linalg.lstsq(columns[kept], wanted[kept], rcond=None)[0]
        off = np.abs(columns @ solved - wanted)
        kept = off <= 3 * np.median(off[kept]) + TINY
    scale = float(solved[0]) if scaled else 1.0
    if not scale or np.median(off) > 0.02 * np.std(target) + 0.6 * (output.dtype.kind in "iu"):
        return None
    value = float(solved[-1]) / scale
    return value if math.isfinite(value) and abs(value) > 1e-9 else None


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
        best = _simplified(linear, best, output, usable)
    return best


def _preferred(fit: Fit, best: Fit, output: Array, usable: Array) -> bool:
    """Whether a more elaborate form explains more, or in a finer arithmetic, or leaves much less.

    Few bits explain a small bias away as rounding.
    """
    if fit.misses != best.misses:
        return fit.misses < best.misses
    if _unit(fit) != _unit(best):
        return _unit(fit) < _unit(best)
    return 8 * _left(fit, output, usable) < _left(best, output, usable)


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
    if fit.convention.arithmetic not in _FLOATING:
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
    rectified = bool((target[usable] >= 0).all() and (target[usable] == 0).any())
    if rectified:
        yield base.replace(activation="relu")
    telling = usable & _within_limits(output)
    for activation, seen in ((None, telling), ("relu", telling & (target > 0))):
        if activation == "relu" and not rectified:
            continue
        if np.count_nonzero(seen) < 3:
            continue
        kept = base.replace(activation=activation)
        whole = bool(np.array_equal(np.rint(target[seen]), target[seen]))
        for away in (0.0, 0.5) if whole else (0.0,):
            # Numbers that were truncated are half too near to zero.
            scale = _scale(sums, target + away * np.sign(target), seen)
            if scale is not None:
                for number in _simple_numbers(scale) if whole else [scale]:
                    yield kept.replace(scale=number)
        if _degrees_of_freedom(seen) < 3:
            continue
        yield kept.replace(bias=_bias(target - sums, seen))
        slope = _slope(sums, target, seen)
        if slope is not None:
            yield kept.replace(scale=slope, bias=_bias(target - slope * sums, seen))
            if whole:
                yield kept.replace(**_rounded_line(sums, target, seen, slope))


def _degrees_of_freedom(seen: Array) -> int:
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
    return _refined(y, t, float(np.median(t[large] / y[large])))


def _rounded_line(sums: Array, target: Array, seen: Array, guess: float) -> dict[str, Any]:
    """Scale and biases where the targets were rounded to integers: all of them within a half.

    How far apart a channel's residuals lie is a convex function of the scale; at its lowest every
    element is within a half of its channel's middle, if a line can do that at all.
    """
    channels = [(sums[:, o][seen[:, o]], target[:, o][seen[:, o]]) for o in range(sums.shape[1])]
    channels = [(y, t) for y, t in channels if y.size > 1]
    reach = max((float(np.ptp(y)) for y, _ in channels), default=0.0)

    def apart(scale: float) -> float:
        return max(float(np.ptp(t - scale * y)) for y, t in channels)

    low, high = (guess + way / reach for way in (-4, 4)) if reach else (guess, guess)
    for _ in range(60 if reach else 0):
        third = (high - low) / 3
        if apart(low + third) < apart(high - third):
            high -= third
        else:
            low += third
    scale = (low + high) / 2
    residual = target - scale * sums
    return {"scale": scale, "bias": _middles(residual, seen)}


def _middles(residual: Array, seen: Array) -> tuple[float, ...]:
    """Half way between each channel's ends: what is left of a rounded channel with its bias."""
    return tuple(
        float(residual[:, o][seen[:, o]].min() + residual[:, o][seen[:, o]].max()) / 2
        if seen[:, o].any()
        else 0.0
        for o in range(residual.shape[1])
    )


def _within_limits(output: Array) -> Array:
    """Elements that are at no end of an integer dtype."""
    if output.dtype.kind not in "iu":
        return np.ones(output.shape, bool)
    limits = np.iinfo(output.dtype)
    inside: Array = (output > limits.min) & (output < limits.max)
    return inside


def _refined(y: Array, t: Array, guess: float) -> float | None:
    if not math.isfinite(guess) or guess == 0:
        return None
    residual = np.abs(t - guess * y)
    inliers = residual <= 4 * np.median(residual) + TINY
    denominator = float(np.dot(y[inliers], y[inliers]))
    refined = float(np.dot(t[inliers], y[inliers])) / denominator if denominator else guess
    return refined if math.isfinite(refined) and refined != 0 else guess


def _bias(residual: Array, seen: Array) -> tuple[float, ...]:
    return tuple(
        float(np.median(residual[:, o][seen[:, o]])) if seen[:, o].any() else 0.0
        for o in range(residual.shape[1])
    )


def _simple_numbers(value: float) -> list[float]:
    """Numbers near ``value``, from the plainest to itself."""
    numbers = [float(round(value))] if abs(value) < 1e15 else []
    if 1e-9 < abs(value) < 1:
        numbers.append(1 / round(1 / value))
    numbers += [float(f"{value:.{digits}g}") for digits in range(1, 9)]
    numbers.append(value)
    close = [n for n in numbers if abs(n - value) <= 0.02 * abs(value) + 1e-9]
    return [n for n in dict.fromkeys(close) if n != 0]


def _simplified(linear: Linear, fit: Fit, output: Array, usable: Array) -> Fit:
    """The same explanation with plainer numbers, where they leave no more unexplained."""
    limit = PLAINER * _left(fit, output, usable)
    if fit.convention.scale != 1.0:
        for number in _simple_numbers(fit.convention.scale):
            trial = fit.convention.replace(scale=number)
            if trial.bias is not None:
                seen = usable & (output > 0) if trial.activation else usable
                middle = _bias if ":" not in trial.arithmetic else _middles
                seen = seen & _within_limits(output)
                trial = trial.replace(bias=middle(output - number * linear.values, seen))
            other = judge(linear, trial, output, usable)
            if other.misses <= fit.misses and _left(other, output, usable) <= limit:
                fit = other
                break
    if fit.convention.bias is not None:
        fit = _plainer_bias(linear, fit, output, usable)
    return fit


def _apart(residual: Array, bias: float, whole: bool) -> float:
    """How far a bias leaves the residuals: at most, where they were rounded; else usually."""
    left = np.abs(residual - bias)
    if whole:
        return max(float(left.max()) - 0.5, 0.0)
    return float(np.sqrt(np.mean(left**2)))


def _plainer_bias(linear: Linear, fit: Fit, output: Array, usable: Array) -> Fit:
    """Each channel's bias in the fewest digits that leave no more of the channel unexplained."""
    bias = np.array(fit.convention.bias)
    seen = usable & ~fit.mismatched
    if fit.convention.activation == "relu":
        seen &= output > 0
    sums = linear.values * fit.convention.scale
    plain = bias.copy()
    for o in range(len(bias)):
        residual = (output[:, o] - sums[:, o])[seen[:, o]]
        if not residual.size:
            plain[o] = 0.0
            continue
        whole = ":" in fit.convention.arithmetic
        limit = _apart(residual, float(bias[o]), whole)
        for number in (0.0, *_simple_numbers(float(bias[o]))):
            if _apart(residual, number, whole) <= (limit if whole else PLAINER * limit):
                plain[o] = number
                break
    numbers = tuple(map(float, plain))
    trial = fit.convention.replace(bias=numbers if any(numbers) else None)
    other = judge(linear, trial, output, usable)
    return other if other.misses <= fit.misses else fit


def judge(
    linear: Linear,
    convention: Convention,
    output: Array,
    usable: Array,
) -> Fit:
    """Every element under the finest arithmetic that explains most of them."""
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = finish(linear.values, convention.replace(arithmetic="exact"))
    seen = informative(wanted, usable)
    fits = []
    partly = False
    for arithmetic in _arithmetics(output):
        if partly and not _survives(output[usable], arithmetic):
            continue
        fit = _under(linear, convention.replace(arithmetic=arithmetic), wanted, output, usable)
        if fit is None or (partly and fit.misses):
            continue
        if not fit.misses:
            return fit
        share = float(fit.mismatched[seen].mean()) if seen.any() else 1.0
        if share < 1 - EXPLAINED and arithmetic in _FLOATING:
            # Coarser arithmetics would explain a defect away as rounding, unless it is seen that
            # every element was rounded to so few bits.
            partly = True
        fits.append(fit)
    if not fits:
        everything = np.zeros(output.shape)
        fits = [Fit(convention, linear, wanted, everything, usable.copy())]
    return min(fits, key=lambda fit: fit.misses)


def informative(wanted: Array, usable: Array) -> Array:
    """Elements whose value is not the commonest one: agreement on a background says nothing."""
    flat = wanted[usable]
    if flat.size == 0:
        return usable
    low, high = flat.real.min(), flat.real.max()
    middle = np.median(flat.real)
    common = np.isclose(wanted.real, middle, rtol=0, atol=1e-9 * float(high - low))
    if np.count_nonzero(common & usable) * 4 < np.count_nonzero(usable):
        return usable
    telling: Array = usable & ~common
    return telling if telling.any() else usable


def _arithmetics(output: Array) -> list[str]:
    """The arithmetics that an output of this dtype and these values can have, finest first."""
    kind = output.dtype.kind
    if kind in "biu":
        # Above 2^24 integers may have been summed as floats.
        sums = _FLOATING if max(-int(output.min()), int(output.max())) > 2**24 else ()
        return ["exact", *_integer_arithmetics(output), *sums]
    finite = output[np.isfinite(output)]
    names = ["exact"]
    if finite.size and kind == "f" and np.array_equal(np.rint(finite), finite):
        names += _integer_arithmetics(finite)
    if output.dtype not in (np.float16, np.float32, np.complex64):
        names.append("float64")
    if output.dtype != np.float16:
        names.append("float32")
    if kind == "c":
        return names
    if output.dtype == np.float16:
        return [*names, "float16"]
    stored = [a for a in ("bfloat16", "float16") if _survives(finite, a)]
    return [*names, *(stored or ["tf32", "float16", "bfloat16"])]


def _survives(values: Array, arithmetic: str) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.array_equal(round_to(values, arithmetic).astype(values.dtype), values))


def _integer_arithmetics(output: Array) -> list[str]:
    """The output's own integers, and others where the values give them away.

    Integers that wrapped fill their range, integers that saturated have elements at its end.
    """
    low, high = int(output.min(initial=0)), int(output.max(initial=0))
    own = output.dtype.name
    fitting = []
    for arithmetic in INTEGER_ARITHMETICS:
        how, _, name = arithmetic.partition(":")
        limits = np.iinfo(name)
        if low < limits.min or high > limits.max:
            continue
        ends = high == limits.max or (limits.min < 0 and low == limits.min)
        half = high > limits.max // 2 or low < limits.min // 2
        if name == own or (ends if how == "saturate" else half):
            fitting.append(arithmetic)
    return sorted(fitting, key=lambda a: a.partition(":")[2] != own)


def _under(
    linear: Linear, convention: Convention, wanted: Array, output: Array, usable: Array
) -> Fit | None:
    """How the output fares under one arithmetic; None where that cannot be what made it."""
    arithmetic = convention.arithmetic
    if arithmetic == "exact":
        if not linear.problem.arithmetic.exact:
            return None
        fit = Fit(convention, linear, wanted, np.zeros(output.shape), usable & (wanted != output))
        # Only a scale that is a power of two leaves sums exact: with another, rounding may differ.
        power = abs(math.frexp(convention.scale)[0]) == 0.5
        return fit if power or not fit.misses else None
    sums = linear.magnitude * abs(convention.scale)
    if convention.bias is not None:
        sums = sums + np.abs(np.reshape(convention.bias, (1, -1, 1, 1)))
    # The engine's own rounding, and that of scale and bias.
    own = gamma(2 * linear.terms + 8) * sums + TINY * linear.terms
    if arithmetic not in PRECISIONS:
        return _under_integers(linear, convention, wanted, own, sums, output, usable)
    if arithmetic in _FLOATING:
        threshold = own + gamma(linear.terms + 16, PRECISIONS[arithmetic]) * sums
        return _within(linear, convention, wanted, threshold, output, usable)
    return _under_few_bits(linear, convention, own, sums, output, usable)


def _within(
    linear: Linear,
    convention: Convention,
    wanted: Array,
    threshold: Array,
    output: Array,
    usable: Array,
) -> Fit:
    with np.errstate(over="ignore", invalid="ignore"):
        difference = np.abs(output.astype(np.result_type(output, np.float64)) - wanted)
    return Fit(convention, linear, wanted, threshold, usable & ~(difference <= threshold))


def _under_few_bits(
    linear: Linear,
    convention: Convention,
    own: Array,
    sums: Array,
    output: Array,
    usable: Array,
) -> Fit | None:
    """Below single precision: operands rounded, then summed in single or in the same few bits.

    Sums in single precision are the usual hardware, and a sharp test: the operands are rounded here
    too. An accumulator of few bits is allowed sqrt(n) units of S, four times over (its statistical
    bound: Higham and Mary, 2019); the worst case n * u * S would explain anything.
    """
    arithmetic = convention.arithmetic
    unit = PRECISIONS[arithmetic]
    wanted = finish(linear.rounded(arithmetic).values, convention.replace(arithmetic="exact"))
    is_stored = _survives(output[usable], arithmetic)
    stored = unit * np.abs(wanted) * 1.01 if is_stored else 0.0
    # Rounding the operands can change S by two units of it.
    single = own + gamma(linear.terms + 16, PRECISIONS["float32"]) * sums * (1 + 3 * unit) + stored
    sharp = _within(linear, convention, wanted, single, output, usable)
    if not sharp.misses or not is_stored:
        return sharp
    rough = single + (2 + 4 * math.sqrt(linear.terms)) * unit * sums
    fit = _within(linear, convention, wanted, rough, output, usable)
    return fit if not fit.misses and _tells(fit, output, usable) else sharp


def _tells(fit: Fit, output: Array, usable: Array) -> bool:
    """Whether what is left is small against the output's own spread: else it explains nothing."""
    seen = output[usable].astype(np.float64)
    left = seen - fit.predicted[usable]
    return float(np.sqrt(np.mean(left**2))) <= LOOSE * float(np.std(seen))


def _under_integers(
    linear: Linear,
    convention: Convention,
    wanted: Array,
    own: Array,
    sums: Array,
    output: Array,
    usable: Array,
) -> Fit:
    how, _, name = convention.arithmetic.partition(":")
    limits = np.iinfo(name)
    target = output.astype(np.float64)
    # An accumulator of single precision may tip a value over the middle between two integers.
    slack = own + 2.0**-22 * sums * (wanted != np.rint(wanted))
    if how == "saturate":
        off = np.abs(np.clip(wanted, limits.min, limits.max) - target)
        threshold = np.where(np.rint(wanted) == wanted, 0.0, 0.5 + slack)
        predicted = np.clip(np.rint(wanted), limits.min, limits.max)
        if np.array_equal(predicted[usable], target[usable]):
            threshold = np.zeros(target.shape)
            off = np.abs(predicted - target)
    else:
        span = float(limits.max) - float(limits.min) + 1
        predicted = round_to(wanted, convention.arithmetic).astype(np.float64)
        whole = np.trunc(wanted)
        off = np.abs(target - predicted)
        off = np.minimum(off, span - off)
        near = np.abs(wanted - np.rint(wanted)) <= slack
        threshold = np.where(near & (whole != wanted), 1.0, 0.0)
    return Fit(convention, linear, predicted, threshold, usable & (off > threshold))
