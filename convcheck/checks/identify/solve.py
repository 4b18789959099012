"""The numbers of one hypothesis: scale, bias, activation, arithmetic and storage, by their score.

A claim says how results were stored and in what they were summed; with an activation, every element
of the output is an interval for ``scale * sum + bias``. What most of the intervals allow is solved
for (:mod:`intervals`), the plainest numbers of it are taken, and the forms are compared by what
they take in bits. Nothing here knows a framework or a case.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.check import Claim, Judged, Numbers, judge
from convcheck.checks.identify.intervals import (
    factor,
    line_of,
    meeting,
    plain_numbers,
    slope,
    weighted_median,
)
from convcheck.convention import ACTIVATIONS, PRECISIONS, Activation, Storage
from convcheck.convention.storage import spacing
from convcheck.noise import ALGORITHM, DIRECT, Noise
from convcheck.score import (
    Score,
    choose_bits,
    key_bits,
    likeliest,
    number_bits,
    numbers_bits,
    plainest,
)
from convcheck.traits import telling

if TYPE_CHECKING:
    from convcheck.checks.identify.elements import Elements, Sums
    from convcheck.convention import Convention
    from convcheck.traits import Traits

Array = NDArray[Any]

INLIER = 4.0
"""Typical errors on either side of a result that an element's interval has while it is fitted."""


@dataclass(frozen=True)
class Form:
    """One hypothesis with all of its numbers, and what it is worth on the sampled elements."""

    convention: Convention
    claim: Claim
    noise: Noise
    score: Score
    wrong: Array

    @property
    def total(self) -> float:
        """What it takes in bits."""
        return self.score.total

    @property
    def share(self) -> float:
        """How many of the sampled elements it gives."""
        return 1.0 - float(self.wrong.mean())


@dataclass(frozen=True)
class Ground:
    """The sampled elements of one hypothesis: sums, output, channels."""

    convention: Convention
    sums: Sums
    values: Array
    channels: Array
    terms: int
    lossless: float
    count: int
    literal: Array
    size: int


def claims(traits: Traits, fine: tuple[str, ...]) -> Iterator[Claim]:
    """The ways in which such an output may have been made, the plainest first.

    ``fine`` are the precisions that the operands have more bits than.
    """
    if traits.format == "integer" or (traits.whole and traits.integer is not None):
        yield Claim(None, 2.0**-53, None, "exact")
        dtype = str(traits.integer)
        for rounding in ("half_even", "toward_zero", "down"):
            yield Claim(None, 2.0**-24, Storage(dtype, 0, rounding, "saturate"), "exact")
        if traits.format == "integer" and traits.limits[0] > np.iinfo(dtype).min:
            zero = int(traits.limits[0])
            if np.isfinite(traits.limits[0]):
                yield Claim(None, 2.0**-24, Storage(dtype, zero, "half_even", "saturate"), "exact")
        if traits.format == "integer" and np.iinfo(dtype).bits <= 32:
            for rounding in ("toward_zero", "half_even"):
                yield Claim(None, 2.0**-53, Storage(dtype, 0, rounding, "wrap"), "exact")
    if traits.format == "integer":
        return
    own = traits.format
    yield Claim(None, PRECISIONS[own], None, "exact" if own == "float64" else own)
    for narrow in traits.narrow:
        # Results of few bits, of operands that have no more.
        yield Claim(narrow if narrow in fine else None, 2.0**-24, Storage(narrow), narrow)
        if narrow in fine:
            yield Claim(None, 2.0**-24, Storage(narrow), "exact")
    if own == "float32":
        for few in ("tf32", "bfloat16", "float16"):
            if few in fine and few not in traits.narrow:
                yield Claim(few, 2.0**-24, None, few)


def solve(
    elements: Elements,
    c: Convention,
    sums: Sums,
    traits: Traits,
    every: list[Claim],
    *,
    lossless: float,
    plain: bool = False,
) -> Form | None:
    """The form of a hypothesis that takes the fewest bits; None where nothing is to be solved.

    ``plain``: no number and no activation is looked for.
    """
    values = elements.values()
    if values.dtype.kind != "c":
        values = values.astype(np.float64)
    literal = traits.bits(values)
    best: Form | None = None
    for claim in every:
        some = sums if claim.precision is None else elements.sums(c, claim.precision)
        ground = Ground(
            c,
            some,
            values,
            elements.channels(c),
            elements.reading.terms,
            # Operands that were rounded are no longer multiples of what divides the data.
            lossless / claim.unit if claim.precision is None else 0.0,
            elements.reading.output.shape[1],
            literal,
            traits.size,
        )
        # Sums that are half of the output as they are have no other scale or bias.
        settled = best is not None and best.score.numbers == 0 and best.share >= HALF
        of_claim: Form | None = None
        for activation in _activations(traits, claim, plain=plain):
            numbers = None
            if of_claim is not None and of_claim.share >= MOSTLY:
                numbers = of_claim.convention.scale, of_claim.convention.bias
            elif settled:
                numbers = 1.0, None
            for form in _forms(ground, claim, activation, traits, numbers, plain=plain):
                if of_claim is None or form.total < of_claim.total:
                    of_claim = form
                if of_claim.score.numbers == 0 and _is_fine(of_claim):
                    break
            if of_claim is not None and _is_fine(of_claim):
                break
        if of_claim is not None:
            of_claim = _supported(of_claim, ground, traits)
            if best is None or of_claim.total < best.total:
                best = of_claim
        if best is not None and best.score.numbers == 0 and _is_fine(best):
            break
    return best


def _supported(form: Form, ground: Ground, traits: Traits) -> Form:
    """The form without numbers of channels that hardly any element is given by.

    A bias fits any one element, a scale beside it any two: evidence that is only exceptions is no
    evidence, and such a channel has what the others have, or nothing.
    """
    c = form.convention
    scales, biases = (np.asarray(v, float) for v in (c.scale, 0.0 if c.bias is None else c.bias))
    unknown = int(scales.ndim > 0) + int(biases.ndim > 0)
    if not unknown or not form.wrong.any():
        return form
    right = ~form.wrong & telling(ground.values, traits.limits)
    given, wrong = (
        np.bincount(ground.channels[marks], minlength=ground.count) for marks in (right, form.wrong)
    )
    idle = (given < 2 * unknown + 1) & (wrong > given)
    if not idle.any() or idle.all():
        return form
    scale: Any = c.scale
    if scales.ndim:
        scale = tuple(np.where(idle, np.median(scales[~idle]), scales).tolist())
    bias: Any = c.bias
    if biases.ndim:
        kept = np.where(idle, 0.0, biases)
        bias = tuple(kept.tolist()) if kept.any() else None
    return _assess(ground, form.claim, c.activation, scale, bias, traits)


HALF, MOSTLY = 0.5, 0.9
"""Shares of the elements that are given: with so many, numbers are not looked for again."""


def _is_fine(form: Form) -> bool:
    """Whether all is given, and hardly anything is left to be said of any element."""
    return not form.wrong.any() and form.score.residual <= 0.5 * max(form.score.literal, 1.0)


def _activations(traits: Traits, claim: Claim, *, plain: bool) -> Sequence[str | None]:
    """Those whose results reach as far as the output does; none at all first."""
    if plain or not np.isfinite(traits.least) or not np.isfinite(traits.most):
        return (None,)
    storage = claim.storage
    zero = storage.zero_point if storage is not None else 0
    loose = 0.5 if storage is not None and storage.is_integer else 0.0
    return (None, *_reaching(traits.least - zero, traits.most - zero, loose))


@lru_cache(256)
def _reaching(least: float, most: float, loose: float) -> tuple[str, ...]:
    """The activations that have results from ``least`` to ``most``."""
    ends = np.array([least, most])
    slack = 1e-6 * (1 + np.abs(ends)) + loose
    found = []
    for name, kind in ACTIVATIONS.items():
        preimage = kind.rough or kind.preimage
        with np.errstate(all="ignore"):
            low, high = preimage(ends - slack, ends + slack)
        if np.all(low <= high):
            found.append(name)
    return tuple(found)


def _forms(
    ground: Ground,
    claim: Claim,
    name: str | None,
    traits: Traits,
    known: tuple[Any, Any] | None,
    *,
    plain: bool,
) -> Iterator[Form]:
    """Forms with an activation; with the ``known`` scale and bias alone where there are some."""
    y = ground.values
    if y.dtype.kind == "c" or ground.sums.values.dtype.kind == "c":
        yield from _complex_forms(ground, claim, traits, plain=plain)
        return
    noise = Noise(claim.unit, 1.0, ground.terms, ground.lossless)
    own = noise.of_sums(ground.sums.values, ground.sums.squares, ground.sums.magnitude)
    activation = None if name is None or ACTIVATIONS[name].parameters else Activation(name)
    if name is None:
        yield _assess(ground, claim, None, 1.0, None, traits)
        if plain or known is not None:
            return
    if claim.storage is not None and claim.storage.overflow == "wrap":
        if name is None:
            yield from _wrapped_forms(ground, claim, claim.storage, traits)
        return
    slack = INLIER * (own + 0.5 * traits.unit * np.abs(y))
    low, high = _stored(y, claim, slack, traits)
    if name is not None:
        preimage = ACTIVATIONS[name].rough or ACTIVATIONS[name].preimage
        with np.errstate(all="ignore"):
            low, high = preimage(low, high)
    numbers = _numbers(ground, low, high) if known is None else {known, (1.0, None)}
    for scale, bias in numbers:
        v = _beside(scale, ground.channels) * ground.sums.values + _beside(
            0.0 if bias is None else bias, ground.channels
        )
        if known is None and np.mean((low <= v) & (v <= high)) < LEAST:
            continue
        if name is None:
            yield _assess(ground, claim, None, scale, bias, traits)
            continue
        used = activation
        if used is None:
            told = np.isfinite(y)
            values = ACTIVATIONS[name].read(y[told], v[told])
            if np.allclose(Activation(name, values).apply(v), v, rtol=1e-6):
                continue  # which is no activation at all
            width = [1e-3 * abs(x) for x in values]
            used = Activation(
                name, tuple(plainest(x - w, x + w) for x, w in zip(values, width, strict=True))
            )
            exact = Activation(name, values)
            forms = [_assess(ground, claim, a, scale, bias, traits) for a in (used, exact)]
            yield min(forms, key=lambda f: f.total)
            continue
        yield _assess(ground, claim, used, scale, bias, traits)


def _stored(y: Array, claim: Claim, slack: Array, traits: Traits) -> tuple[Array, Array]:
    """Between which numbers each result was before it was stored."""
    low, high = claim.storage.interval(y) if claim.storage is not None else (y, y)
    del traits
    return low - slack, high + slack


def _beside(numbers: Any, channels: Array) -> Array:
    """A number, or one a channel, beside the elements."""
    values = np.asarray(numbers, float)
    return values[channels] if values.ndim else values


def _numbers(ground: Ground, low: Array, high: Array) -> Iterator[tuple[Any, Any]]:
    """Scales and biases that most intervals allow: fewer numbers first."""
    p, channels, count = ground.sums.values, ground.channels, ground.count
    told = np.isfinite(low) & np.isfinite(high) & (low <= high)
    z = np.where(told, 0.5 * (low + high), 0.0)
    members = [np.flatnonzero(channels == o) for o in range(count)]
    rng = np.random.default_rng(0)
    # A bias for each channel beside the sums as they are.
    yield 1.0, _biases(p, low, high, members, np.ones(count))
    one = factor(p[told], low[told], high[told])
    if one.count:
        for a in _plain_or_exact(one.low, one.high, p, z, told):
            yield a, None
    slopes, weights = np.zeros(count), np.zeros(count)
    for o, these in enumerate(members):
        some = these[told[these]]
        if len(some) >= 2 and np.ptp(p[some]) > 0:
            slopes[o] = slope(p[some], z[some], rng)
            weights[o] = len(some)
    known = weights > 0
    if not known.any() or _share_on_lines(p, z, high - low, told, members, slopes) < LEAST:
        return
    shared = weighted_median(slopes[known], weights[known])
    for a in _refined(p, low, high, told, members, shared):
        yield a, _biases(p, low, high, members, np.full(count, a))
    if count > 1:
        scales = np.where(known, slopes, shared)
        alone = np.array(
            [
                _one_scale(p[m], low[m], high[m], told[m], s) if len(m) else s
                for m, s in zip(members, scales, strict=True)
            ]
        )
        yield tuple(alone), _biases(p, low, high, members, alone)
        ratios = [factor(p[m][told[m]], low[m][told[m]], high[m][told[m]]) for m in members]
        if all(r.count for r in ratios):
            yield tuple(likeliest(r.low, r.high) for r in ratios), None


LEAST = 0.1
"""A line that fewer of the elements are near is none, however its numbers are chosen."""


def _share_on_lines(
    p: Array, z: Array, room: Array, told: Array, members: list[Array], slopes: Array
) -> float:
    """How many of the telling elements are about on a line of their channel."""
    near = total = 0
    for a, these in zip(slopes, members, strict=True):
        some = these[told[these]]
        if len(some) >= 2:
            rest = z[some] - a * p[some]
            away = np.abs(rest - np.median(rest))
            loose = 2 * room[some] + 0.02 * np.median(np.abs(z[some] - np.median(z[some])))
            near += int(np.count_nonzero(away <= loose))
            total += len(some)
    return near / max(total, 1)


def _one_scale(p: Array, low: Array, high: Array, told: Array, start: float) -> float:
    """One channel's scale, whatever its bias."""
    if np.count_nonzero(told) < 3:
        return start
    found = next(iter(_refined(p, low, high, told, [np.arange(len(p))], start)), start)
    return float(found)


def _refined(
    p: Array, low: Array, high: Array, told: Array, members: list[Array], start: float
) -> Iterator[float]:
    """A slope near ``start`` in plain numbers, and as exactly as the elements tell it."""
    groups = [m[told[m]] for m in members if np.count_nonzero(told[m]) >= 2]
    groups = sorted(groups, key=len, reverse=True)[:8]
    if not groups or start == 0:
        return
    some = np.concatenate(groups)
    wide = float(np.median((high - low)[some])) / max(float(np.std(p[some])), 1e-300)
    around = 2 * wide + 1e-9 * abs(start)
    ranges = [line_of(p[g], low[g], high[g], start, around) for g in groups]
    a, b = max(r.low for r in ranges), min(r.high for r in ranges)
    if a > b:
        middle = float(np.median([0.5 * (r.low + r.high) for r in ranges]))
        spread = float(np.median([r.width for r in ranges]))
        a, b = middle - spread, middle + spread
    yield likeliest(a, b)
    sizes = [p[g] - p[g].mean() for g in groups]
    rises = [0.5 * (low[g] + high[g]) for g in groups]
    middle = 0.5 * (a + b)
    top = bottom = 0.0
    for x, t, g in zip(sizes, rises, groups, strict=True):
        rest = t - middle * p[g]
        near = np.abs(rest - np.median(rest)) <= 0.5 * (high[g] - low[g]) + 1e-300
        if np.count_nonzero(near) < 2:
            continue
        x = x[near] - x[near].mean()
        top += float(np.dot(x, t[near] - t[near].mean()))
        bottom += float(np.dot(x, x))
    if bottom > 0:
        fine, error = top / bottom, wide / np.sqrt(len(some))
        yield plainest(fine - error / 4, fine + error / 4)


def _plain_or_exact(low: float, high: float, p: Array, z: Array, told: Array) -> Iterator[float]:
    """The plainest factor that is allowed, and the one that fits best to as many digits as told."""
    yield likeliest(low, high)
    x, t = p[told], z[told]
    inside = np.abs(t - 0.5 * (low + high) * x) <= np.abs(x) * (high - low) + 1e-300
    power = float(np.dot(x[inside], x[inside]))
    if power > 0 and high > low:
        fine = float(np.dot(x[inside], t[inside])) / power
        error = (high - low) / np.sqrt(max(np.count_nonzero(inside), 1))
        yield plainest(max(low, fine - error), min(high, fine + error))


def _biases(
    p: Array, low: Array, high: Array, members: list[Array], scales: Array
) -> tuple[float, ...] | None:
    """A bias for each channel: one and the same where all allow it, else each channel's plainest."""
    found = [
        meeting(low[m] - a * p[m], high[m] - a * p[m]) for m, a in zip(members, scales, strict=True)
    ]
    a, b = max(r.low for r in found), min(r.high for r in found)
    if a <= b:
        same = likeliest(a, b)
        return None if same == 0 else (same,) * len(members)
    chosen = tuple(
        0.0 if r.low == -np.inf and r.high == np.inf else likeliest(r.low, r.high) for r in found
    )
    return chosen if any(chosen) else None


def _wrapped_forms(
    ground: Ground, claim: Claim, storage: Storage, traits: Traits
) -> Iterator[Form]:
    """Integers that wrapped: plain factors by their length, each with the biases that it leaves."""
    low, high = storage.interval(ground.values)
    size = 2.0 ** np.iinfo(storage.dtype).bits
    p, channels = ground.sums.values, ground.channels
    members = [np.flatnonzero(channels == o) for o in range(ground.count)]
    for a in plain_numbers(8.0):
        v = a * p
        if np.max(np.abs(v), initial=0.0) < size / 4:
            continue  # nothing to wrap
        gap = np.mod(low - v, size)
        biases = np.array([_circular(gap[m], (high - low)[m], size) for m in members])
        for bias in (np.zeros(ground.count), biases):
            room = np.mod(v + bias[channels] - low, size)
            if np.mean(room <= high - low) < LEAST:
                continue
            yield _assess(ground, claim, None, a, tuple(bias) if bias.any() else None, traits)


def _circular(gap: Array, width: Array, size: float) -> float:
    """The plainest offset that takes most numbers between two ends, modulo a size."""
    if not len(gap):
        return 0.0
    low = np.concatenate([gap - size, gap])
    found = meeting(low, low + np.concatenate([width, width]))
    return found.plainest


def _complex_forms(ground: Ground, claim: Claim, traits: Traits, *, plain: bool) -> Iterator[Form]:
    """Complex numbers: the sums as they are, or by one real factor."""
    yield _assess(ground, claim, None, 1.0, None, traits)
    if plain:
        return
    p, y = ground.sums.values, ground.values.astype(np.complex128)
    power = float(np.vdot(p, p).real)
    if power > 0:
        ratios = (y * np.conj(p)).real / np.maximum(np.abs(p) ** 2, 1e-300)
        order = np.argsort(ratios)
        share = np.cumsum((np.abs(p) ** 2)[order])
        a = float(ratios[order[int(np.searchsorted(share, 0.5 * share[-1]))]])
        for width in (1e-3, 1e-6, 1e-12):
            yield _assess(
                ground,
                claim,
                None,
                plainest(*sorted((a * (1 - width), a * (1 + width)))),
                None,
                traits,
            )


def _assess(
    ground: Ground,
    claim: Claim,
    activation: Activation | None,
    scale: Any,
    bias: Any,
    traits: Traits,
) -> Form:
    """What numbers are worth: which elements they give, how closely, and what it takes to say it."""
    scale = _plain_tuple(scale)
    keys: dict[str, Any] = {
        "scale": scale,
        "bias": bias,
        "activation": activation,
        "arithmetic": claim.arithmetic,
        "storage": claim.storage
        if claim.storage and claim.storage.dtype != claim.arithmetic
        else None,
    }
    c = ground.convention.replace(**keys)
    sizes = ground.sums.magnitude
    some = sizes > 0
    flatness = float(np.median(ground.sums.squares[some] / sizes[some])) if some.any() else 1.0
    tried = []
    for growth in _growths(ground, claim, c, traits):
        noise = Noise(claim.unit, growth, ground.terms, ground.lossless, flatness)
        found = judged(ground, claim, c, noise, traits)
        took = float(np.where(found.wrong, ground.literal, found.bits).sum())
        took += choose_bits(int(found.wrong.sum()), len(found.wrong))
        tried.append((took, noise, found))
    _, noise, found = min(tried, key=lambda one: one[0])
    bits, apart = found.bits, found.wrong
    share = ground.size / max(len(bits), 1)
    numbers = 0.0
    if scale != 1.0:
        values = np.atleast_1d(np.asarray(scale, float))
        numbers += numbers_bits(values, _widths(ground, noise, values, of_scale=True))
    if bias is not None:
        values = np.atleast_1d(np.asarray(bias, float))
        numbers += numbers_bits(values, _widths(ground, noise, values, of_scale=False))
    if activation is not None:
        numbers += sum(map(number_bits, activation.values))
    score = Score(
        keys=key_bits(c) + _storage_bits(claim, traits),
        numbers=numbers,
        exceptions=share
        * (float(ground.literal[apart].sum()) + choose_bits(int(apart.sum()), len(bits))),
        residual=share * float(bits[~apart].sum()),
        literal=share * float(ground.literal.sum()),
    )
    return Form(c, claim, noise, score, apart)


def _storage_bits(claim: Claim, traits: Traits) -> float:
    """What it takes to say that integers are stored, where the output's dtype does not say it."""
    stored = claim.storage is not None and claim.storage.is_integer
    return 6.0 if stored and traits.format != "integer" else 0.0


def _growths(ground: Ground, claim: Claim, c: Convention, traits: Traits) -> list[float]:
    """What of a running sum's error the residuals show, about; as much as the claim allows."""
    most = ALGORITHM if claim.storage is None else DIRECT
    noise = Noise(claim.unit, 1.0, ground.terms, ground.lossless)
    p = ground.sums.values
    own = noise.of_sums(p, ground.sums.squares, ground.sums.magnitude)
    lossy = (own > 0) & telling(ground.values, traits.limits)
    if not lossy.any() or claim.storage is not None:
        return [min(1.0, most)]
    scale = _beside(c.scale, ground.channels)
    made = scale * p + _beside(0.0 if c.bias is None else c.bias, ground.channels)
    error = np.abs(scale) * own
    if c.activation is not None:
        made, error = noise.activated(c.activation, made, error)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = float(np.nanmedian((np.abs(ground.values - made) / error)[lossy])) / 0.6745
    around = 2.0 ** np.clip(np.rint(np.log2(max(share, 2.0**-9))), -8, np.log2(most))
    return sorted({0.125, 0.5, *(min(float(around) * f, most) for f in (0.5, 1.0, 2.0))})


def _plain_tuple(scale: Any) -> Any:
    if isinstance(scale, tuple):
        values = tuple(float(a) for a in scale)
        return values[0] if len(set(values)) == 1 else values
    return float(scale)


def _widths(ground: Ground, noise: Noise, values: Array, *, of_scale: bool) -> Array:
    """To within what the elements tell numbers of this kind."""
    own = noise.of_sums(ground.sums.values, ground.sums.squares, ground.sums.magnitude)
    step = float(np.median(own)) + float(np.median(spacing_of(ground, noise)))
    each = max(len(ground.values) / len(values), 1.0)
    size = float(np.std(ground.sums.values)) if of_scale else 1.0
    return np.full(len(values), step / np.sqrt(each) / max(size, 1e-300))


def spacing_of(ground: Ground, noise: Noise) -> Array:
    """How far results are apart, at least."""
    del noise
    sizes = np.abs(ground.values).astype(np.float64)
    return spacing(np.maximum(sizes, 1e-30), "float32")


def judged(ground: Ground, claim: Claim, c: Convention, noise: Noise, traits: Traits) -> Judged:
    """The sampled elements beside what a convention with its numbers predicts."""
    return judge(
        ground.sums.values,
        ground.sums.squares,
        ground.sums.magnitude,
        ground.values,
        c,
        Numbers(
            _beside(c.scale, ground.channels),
            _beside(0.0 if c.bias is None else c.bias, ground.channels),
        ),
        claim,
        noise,
        traits,
    )


def fits(elements: Elements, form: Form, traits: Traits) -> bool:
    """Whether a form's convention gives all of some elements, with the numbers that it has."""
    c = form.convention
    sums = elements.sums(c, form.claim.precision)
    values = elements.values()
    values = values.astype(np.result_type(values, np.float64))
    ground = Ground(
        c,
        sums,
        values,
        elements.channels(c),
        form.noise.terms,
        form.noise.lossless,
        elements.reading.output.shape[1],
        traits.bits(values),
        traits.size,
    )
    return not judged(ground, form.claim, c, form.noise, traits).wrong.any()
