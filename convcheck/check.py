"""The one judgement of an output under a convention: element by element, by what rounding can do.

What an output is beside what a convention gives is the same question for every command. An element
is given where its residual is a rounding error: no larger than the proven bound, and no rarer than
such errors are; else it is an exception. Parts of an output are judged alone and their judgements
merge, so that large and small go one way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.areas import Area, areas, handed_out, is_large, shape_of
from convcheck.checks.sums import Linear, Problem
from convcheck.comparison import FULL_BITS, Comparison, number
from convcheck.comparison import merge as merge_comparisons
from convcheck.convention import PRECISIONS, Storage
from convcheck.convention.channels import read_filters, read_output, stored_image, write_output
from convcheck.engine import beside
from convcheck.errors import InputError
from convcheck.noise import DIRECT, SINGLE, UNEVEN, Noise, interval_bits, rarest
from convcheck.rounding import gamma
from convcheck.score import MARGIN
from convcheck.traits import Traits, traits

if TYPE_CHECKING:
    from convcheck.checks.tiles import Tile
    from convcheck.convention import Convention

Array = NDArray[Any]


@dataclass(frozen=True)
class Claim:
    """How results were made: operands rounded to ``precision`` first, sums in ``unit``, storage.

    ``arithmetic`` is what a convention calls it.
    """

    precision: str | None
    unit: float
    storage: Storage | None
    arithmetic: str
    parts: Array | None = None
    """What the bias is the rounded sum of, absolute, for each output channel; None of a plain one.

    A batch normalization's bias may be small where its mean and beta are not.
    """


class Numbers(NamedTuple):
    """A scale and a bias beside every element, as numpy broadcasts them."""

    scale: Array
    bias: Array


@dataclass(frozen=True)
class Judged:
    """Some elements under a convention: predictions before storage, residuals, and what is wrong.

    ``bits`` is what each takes beside its prediction, ``threshold`` the residual that rounding
    explains; ``beyond`` marks residuals that a direct sum could not have.
    """

    predicted: Array
    residual: Array
    threshold: Array
    bits: Array
    wrong: Array
    beyond: Array


@dataclass(frozen=True)
class Tally:
    """The judgement of a part of an output, or of all of it: parts merge in any order.

    ``met`` marks along every axis of N, O and the spatial ones where exceptions lie, ``inside``
    whether any lies where no window reaches over the edge; ``value`` is the one that all of them
    have, NaN included, or None. The last three are sums of bits.
    """

    comparison: Comparison
    met: tuple[Array, ...]
    inside: bool
    value: float | None
    beyond: int
    literal: float
    exceptions: float
    residual: float

    @property
    def wrong(self) -> int:
        """How many elements are exceptions."""
        return self.comparison.mismatched


def merge(parts: Iterable[Tally]) -> Tally:
    """The tally of all parts together."""
    every = list(parts)
    worse = [part for part in every if part.wrong]
    values = {part.value for part in worse}
    nans = bool(values) and all(v is not None and math.isnan(v) for v in values)
    same = len(values) == 1 or nans
    return Tally(
        comparison=merge_comparisons([part.comparison for part in every]),
        met=tuple(np.logical_or.reduce(axis) for axis in zip(*(p.met for p in every), strict=True)),
        inside=any(part.inside for part in every),
        value=next(iter(values)) if same else None,
        beyond=sum(part.beyond for part in every),
        literal=math.fsum(part.literal for part in every),
        exceptions=math.fsum(part.exceptions for part in every),
        residual=math.fsum(part.residual for part in every),
    )


def judge(
    sums: Array,
    squares: Array,
    magnitude: Array,
    values: Array,
    c: Convention,
    numbers: Numbers,
    claim: Claim,
    noise: Noise,
    traits: Traits,
    *,
    proven: bool = False,
    parts: Array | None = None,
) -> Judged:
    """Elements beside ``activation(scale * sums + bias)``, stored as claimed.

    Args:
        sums: what the convention sums, in float64.
        squares: the roots of the sums of squared products.
        magnitude: the sums of absolute products.
        values: the output, of the same shape.
        c: the convention, for its activation.
        numbers: its scale and bias beside the elements.
        claim: how the output was made.
        noise: the typical error of that.
        traits: those of the whole output.
        proven: the bound alone says what is wrong, however rare such an error is.
        parts: what the claim says of them, beside the elements.
    """
    scale, bias = numbers
    predicted = scale * sums + bias
    own = noise.of_sums(sums, squares, magnitude)
    sigma = noise.of_steps(sums, own, scale, bias)
    # The proven bound of a direct sum, and what the steps after it can do beside.
    slope = np.abs(scale) * slope_of(c)
    bound = np.where(own > 0, slope * gamma(noise.terms + 2, noise.unit) * magnitude, 0.0)
    made = predicted
    if c.activation is not None:
        predicted, sigma = noise.activated(c.activation, predicted, sigma)
    after = INLIER * np.maximum(sigma - slope * own, 0)
    given = () if c.activation is None else c.activation.values
    if proven and noise.unit == SINGLE and any(float(np.float32(v)) != v for v in given):
        # A slope such as 0.1 is rounded as a number, and then its product is.
        sloped = np.where(predicted != made, np.abs(predicted), 0.0)
        after = np.maximum(after, 2 * noise.unit * sloped)
    bound = bound + after
    if parts is not None:
        bound = bound + NORMALIZING * noise.unit * slope_of(c) * (parts + np.abs(scale) * magnitude)
    if claim.storage is not None and claim.storage.multiplier != "real":
        predicted = claim.storage.multiplied(predicted, scale)
        sigma, bound = np.where(own > 0, sigma, 0.0), np.where(own > 0, bound, 0.0)
    low, high, meant = interval(values, predicted, claim.storage, traits)
    residual = np.maximum(np.maximum(low - meant, meant - high), 0.0)
    residual = np.where(np.isfinite(values), residual, np.inf)
    beyond = residual > bound
    if proven:
        return Judged(predicted, residual, bound, np.zeros(residual.shape), beyond, beyond)
    bits = interval_bits(low, high, meant, sigma, uneven=noise.uneven)
    if claim.storage is not None:
        bits = np.where((sigma == 0) & ~beyond, 0.0, bits)  # at a tie, which its rule decides
    # By luck there is none so rare among all elements of a thousand such outputs.
    room = math.log2(traits.size) + MARGIN
    threshold = sigma * rarest(room)
    threshold = UNEVEN * threshold if noise.uneven else np.minimum(threshold, bound)
    wrong = residual > threshold
    return Judged(predicted, residual, threshold, np.where(wrong, 0.0, bits), wrong, beyond)


def slope_of(c: Convention) -> float:
    """The largest slope of a convention's activation."""
    return 1.0 if c.activation is None else c.activation.steepest


NORMALIZING = 8.0
"""Roundings of a batch normalization: of its root, its factor, its products and its sums.

Where it is folded into the filters each product has those of the factor, so the sums' magnitude
counts, not the sums.
"""
INLIER = 8.0
"""Typical errors of the steps after the sums that are no rounding error any more."""


def judge_part(
    linear: Linear,
    given: Array,
    c: Convention,
    claim: Claim,
    noise: Noise,
    traits: Traits,
    *,
    proven: bool = False,
) -> Judged:
    """A part of an output (N,O,*S), by the sums of the same part."""
    part = getattr(linear, "part", None)
    outputs = slice(None) if part is None else part[1]
    beside = (-1, *(1 for _ in range(c.rank)))

    def numbers(value: Any) -> Array:
        found = np.asarray(value, float)
        return found[outputs].reshape(beside) if found.ndim else found

    bias = 0.0 if c.bias is None else c.bias
    return judge(
        linear.values,
        noise.flatness * linear.reach,
        linear.reach,
        given.astype(np.result_type(given, np.float64)),
        c,
        Numbers(numbers(c.scale), numbers(bias)),
        claim,
        noise,
        traits,
        proven=proven,
        parts=None if claim.parts is None else numbers(claim.parts),
    )


def tally(
    linear: Linear,
    given: Array,
    found: Judged,
    claim: Claim,
    traits: Traits,
    shape: Sequence[int],
    first: Sequence[int],
) -> Tally:
    """The tally of a part of an output of ``shape`` (N,O,*S) that begins at ``first``."""
    wrong = found.wrong
    literal = traits.bits(given.astype(np.result_type(given, np.float64)))
    met = []
    for axis, (size, begin) in enumerate(zip(shape, first, strict=True)):
        marks = np.zeros(size, bool)
        others = tuple(a for a in range(wrong.ndim) if a != axis)
        marks[begin : begin + wrong.shape[axis]] = wrong.any(axis=others)
        met.append(marks)
    values = given[wrong]
    one = (
        values.size
        and values.dtype.kind != "c"
        and bool((values == values[0]).all() or np.isnan(values.astype(np.float64)).all())
    )
    return Tally(
        comparison=_comparison(given, found, claim, linear.reach, first),
        met=tuple(met),
        inside=bool(wrong[..., linear.interior].any()),
        value=float(values[0]) if one else None,
        beyond=int(np.count_nonzero(found.beyond & ~wrong)),
        literal=float(literal.sum()),
        exceptions=float(literal[wrong].sum()),
        residual=float(found.bits[~wrong].sum()),
    )


def _comparison(
    given: Array, found: Judged, claim: Claim, magnitude: Array, first: Sequence[int]
) -> Comparison:
    wrong, residual = found.wrong, found.residual
    with np.errstate(invalid="ignore"):
        away = np.nan_to_num(np.abs(given - found.predicted), nan=np.inf, posinf=np.inf)
    ranked = np.where(wrong, away, -1.0) if wrong.any() else residual
    worst = np.unravel_index(int(np.argmax(ranked)), residual.shape)
    predicted = found.predicted[worst]
    if claim.storage is not None and wrong[worst]:
        predicted = claim.storage.apply(np.asarray(predicted)[None])[0]
    # Of a wrong element how far it is off, not how far beyond what would be stored so.
    apart = float(away[worst] if wrong[worst] else residual[worst])
    if wrong[worst] and math.isfinite(apart):
        apart = float(np.abs(given[worst].astype(np.result_type(given, np.float64)) - predicted))
    scale = np.maximum(np.maximum(magnitude, found.threshold), 2.0**-1074)
    if claim.parts is not None:  # where the sums are small the bias is what there is to agree on
        scale = np.maximum(scale, np.abs(found.predicted))
    largest = float((residual / scale)[~wrong].max(initial=0.0))
    agreement = -math.log2(largest) if largest > 0 else FULL_BITS
    return Comparison(
        mismatched=int(np.count_nonzero(wrong)),
        total=int(wrong.size),
        max_abs_diff=apart,
        worst_index=tuple(int(i) + int(o) for i, o in zip(worst, first, strict=True)),
        actual=number(given[worst]),
        expected=number(predicted),
        threshold=float(found.threshold[worst]),
        agreement_bits=min(FULL_BITS, agreement),  # no less than 0: the scale is no smaller
    )


def hold(
    problem: Problem,
    c: Convention,
    claim: Claim,
    noise: Noise,
    traits: Traits,
    *,
    proven: bool = False,
) -> tuple[Tally, Array | None]:
    """All of an output under a convention, part by part; and what is wrong, if it can be held.

    The mask is in OUT's own layout. Where arrays are large, the problem's workers judge the parts.
    """
    given = read_output(problem.output, c)
    if is_large(problem):
        return merge(handed_out(_part, problem, c, claim, noise, traits, proven)), None
    wrong = np.zeros(given.shape, bool)
    parts = []
    for linear, first in _parts(problem, c, given.shape, claim.precision):
        part: Any = tuple(slice(a, a + n) for a, n in zip(first, linear.values.shape, strict=True))
        found = judge_part(linear, given[part], c, claim, noise, traits, proven=proven)
        wrong[part] = found.wrong
        parts.append(tally(linear, given[part], found, claim, traits, given.shape, first))
    return merge(parts), write_output(wrong, c)


ONCE = 1 << 18
"""Elements of an output that are judged at once."""


def _parts(
    problem: Problem, c: Convention, shape: tuple[int, ...], precision: str | None
) -> Iterator[tuple[Linear, tuple[int, ...]]]:
    """The sums of an output, and where they begin: all of them, or area by area."""
    if math.prod(shape) <= ONCE:
        yield Linear(problem, c, precision), (0,) * len(shape)
    else:
        for area in areas(problem, c, shape, precision=precision):
            yield area, area.tile.first


def _part(
    problem: Problem,
    c: Convention,
    tile: Tile,
    claim: Claim,
    noise: Noise,
    traits: Traits,
    proven: bool,
) -> Tally:
    area = Area(problem, c, tile, claim.precision)
    given = read_output(problem.output, c)
    part = area.cut(given)
    found = judge_part(area, part, c, claim, noise, traits, proven=proven)
    return tally(area, part, found, claim, traits, given.shape, tile.first)


@dataclass(frozen=True)
class Check:
    """An output under one convention: how it compares, and which elements are wrong.

    Indices and ``wrong`` are OUT's own; ``wrong`` is None where OUT is too large to be held.
    """

    comparison: Comparison
    wrong: Array | None

    @property
    def matches(self) -> bool:
        """Whether every element is within what rounding can do."""
        return self.comparison.matches


def check(
    image: Array,
    filters: Array,
    output: Array,
    convention: Convention,
    *,
    parts: Array | None = None,
) -> Check:
    """Judge an output under a convention by the proven bounds of its arithmetic alone.

    ``parts`` are the sizes of the numbers that a batch normalization's bias was made of, for each
    output channel; such a bias is off by more than its own last digit.

    Raises:
        InputError: arrays that the convention does not fit.
    """
    c = convention
    output = np.asarray(output)
    problem = Problem.of(np.asarray(image), np.asarray(filters), output)
    shape = shape_of(problem, c)
    given = read_output(output, c)
    if given.shape != shape:
        raise InputError(
            "the output does not have the convention's shape",
            got=f"{given.shape} as N, C and spatial axes",
            expected=str(shape),
        )
    beside(c.scale, "scale", given)
    beside(0.0 if c.bias is None else c.bias, "bias", given)
    few = c.arithmetic in ("tf32", "bfloat16", "float16")
    unit = 2.0**-24 if few else max(PRECISIONS[c.arithmetic], 2.0**-53)
    stored = c.storage
    if stored is None and c.arithmetic in ("bfloat16", "float16"):
        stored = Storage(c.arithmetic)
    claim = Claim(c.arithmetic if few else None, unit, stored, c.arithmetic, parts)
    work = problem.arithmetic_of(c)
    terms = math.prod(read_filters(problem.filters, c, shape_channels(problem, c)).shape[1:])
    lossless = 0.0 if few or not work.exact else work.quantum / unit
    noise = Noise(unit, DIRECT, terms, lossless)
    with np.errstate(all="ignore"):
        found, wrong = hold(problem, c, claim, noise, traits(given), proven=True)
    return Check(stored_comparison(found.comparison, c), wrong)


def shape_channels(problem: Problem, c: Convention) -> int:
    """The channels of a problem's image."""
    return int(stored_image(problem.image, c).shape[1])


def stored_comparison(comparison: Comparison, c: Convention) -> Comparison:
    """The same with the worst element's place as OUT has it."""
    n, o, *place = comparison.worst_index
    if c.output_order is not None:
        o = c.output_order.index(o)
    letters = dict(zip("NC" + c.spatial, (n, o, *place), strict=True))
    return replace(comparison, worst_index=tuple(letters[a] for a in c.output_layout))


def interval(
    values: Array, predicted: Array, storage: Storage | None, traits: Traits
) -> tuple[Array, Array, Array]:
    """Between which numbers each result was before it was stored, and the prediction beside them.

    Where nothing is lost a result is one number. Of integers that wrapped, the prediction is the
    one of all that are stored alike that is nearest.
    """
    finite = np.where(np.isfinite(values), values, 0)
    if storage is None and finite.dtype.kind == "c":
        away, half = np.abs(finite - predicted), traits.grain(finite)
        return away - half, away + half, np.zeros(away.shape)
    half = 0.5 * (1 + 2.0**-20) * traits.grain(finite)
    if storage is None:
        return finite - half, finite + half, predicted
    low, high = storage.interval(finite)
    if not storage.is_integer:
        # Near zero few bits are finer than the numbers of which a result is the difference.
        low, high = np.minimum(low, finite - half), np.maximum(high, finite + half)
    least, most = storage.limits
    impossible = (finite < least) | (finite > most)
    low, high = np.where(impossible, np.inf, low), np.where(impossible, -np.inf, high)
    if storage.is_integer and storage.overflow == "wrap":
        size = 2.0 ** np.iinfo(storage.dtype).bits
        predicted = predicted - size * np.rint((predicted - 0.5 * (low + high)) / size)
    # At an end of the interval the rule of ties decides, unless rounding errors do.
    tie = (predicted == low) | (predicted == high)
    if np.any(tie):
        kept = storage.apply(np.where(tie, predicted, 0.0)).astype(np.float64)
        lost = tie & (kept != finite)
        away = 2.0**-30 * np.maximum(np.abs(predicted), 1)
        low = np.where(lost & (predicted == low), low + away, low)
        high = np.where(lost & (predicted == high), high - away, high)
    return low, high, predicted
