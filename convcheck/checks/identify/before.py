"""What is done to the operands before the sums: means, deviations and zero points.

With an offset m and a scale a of every channel of the image, and a zero point z of the filters, an
element is ``s * sum over c of a_c (P_c - z X_c - m_c (T_c - z N_c)) + b``: P are sums of products,
X of samples, T of the taps that meet samples, and N is how many do. Inside the image T and N are
the same for all elements of an output channel, so that the offset looks like a bias; towards the
edge it does not, and of many filters few biases are those of an offset. So the factors are read
off inside, then the offsets everywhere, both by least squares that leave out what does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.intervals import line_of
from convcheck.convention.preprocessing import PREPROCESSING
from convcheck.score import plainest

if TYPE_CHECKING:
    from convcheck.checks.identify.elements import Elements, Parts, Sums
    from convcheck.convention import Convention

Array = NDArray[Any]
Numbers = float | tuple[float, ...]

MANY = 2048
"""Elements that are looked at."""
APART = 16
"""Channels of the image, at most, of which each may have numbers of its own."""
WIDEST = 12
"""Output channels, those with the most elements, of which the factors are read off."""
LOOSE = 0.05
"""Of a channel's spread: what may be left of it."""
WORSE = 1.5
"""By how much more may be left by fewer numbers."""
LUCK = 2.0
"""Of the root of the elements: what more numbers have to save."""
ROUNDOFF = 1e-13
"""Of the largest sum: what is left where nothing else is."""
AROUND = 6
"""So many whole offsets on either side of an estimate are looked at."""
ERRORS = 4.0
"""Standard errors that a number may be off."""


def steps(c: Convention, elements: Elements, sums: Sums, told: Array) -> Iterator[Convention]:
    """The convention with steps before the sums, where they give more than it does alone.

    ``told`` marks the elements that say something.
    """
    image, output, bank = (getattr(elements.reading, n) for n in ("image", "output", "bank"))
    kept = np.flatnonzero(told)
    if "c" in (image.dtype.kind, output.dtype.kind, bank.dtype.kind) or not len(kept):
        return
    if len(kept) > MANY:
        kept = np.sort(np.random.default_rng(0).choice(kept, MANY, replace=False))
    some = replace(elements, index=elements.index[kept])
    y, channels, parts = some.values().astype(np.float64), some.channels(c), some.parts(c)
    apart = c.groups == 1 and 1 < parts.products.shape[1] <= APART
    shifted = bank.dtype.kind in "iu"
    factors = _factors(parts, y, channels, sums.inside[kept], apart=apart, shifted=shifted)
    if factors is None:
        return
    c = c.replace(image_scale=factors.image, filter_offset=factors.shift)
    whole = image.dtype.kind in "iu"
    for offset in _offsets(factors, parts, y, channels, apart=c.groups == 1, whole=whole):
        if np.any(offset) or factors.image != 1.0 or factors.shift:
            yield c.replace(image_offset=offset)


def usual(c: Convention, elements: Elements) -> Iterator[Convention]:
    """With what networks of pictures are usually given, where results follow that more closely.

    By their ranks, which no activation changes where results are large.
    """
    if c.groups > 1 or elements.reading.image.shape[1] != PICTURE:
        return
    kept = np.random.default_rng(0).permutation(len(elements.index))[:MANY]
    some = replace(elements, index=elements.index[kept])
    y, channels = some.values(), some.channels(c)
    if "c" in (y.dtype.kind, elements.reading.image.dtype.kind):
        return
    named = [dict(zip(STEPS, pair, strict=True)) for pair in PREPROCESSING.values()]
    named += [{k: v[::-1] if isinstance(v, tuple) else v for k, v in one.items()} for one in named]
    others = dict.fromkeys(c.replace(**one) for one in named)
    left = {one: _unordered(some.sums(one).values, y, channels) for one in (c, *others)}
    best = min(left, key=lambda one: left[one])
    if left[best] < CLOSER * left[c]:
        yield best


STEPS = ("image_offset", "image_scale")
PICTURE = 3
"""Channels of a picture."""
CLOSER = 0.25
"""Of what is left of the order of results: how much may be left by what is done to the image."""


def _unordered(p: Array, y: Array, channels: Array) -> float:
    """How far the larger half of an output channel is out of the order of its sums.

    Of the channels that are the least so: others may lie where their activation falls.
    """
    left = []
    for o in np.unique(channels):
        some = channels == o
        some &= y >= np.median(y[some])
        if np.count_nonzero(some) > PICTURE and np.ptp(p[some]) and np.ptp(y[some]):
            ranks = np.argsort(np.argsort([p[some], y[some]], kind="stable"))
            left.append(1 - float(np.corrcoef(*ranks)[0, 1]))
    return float(np.quantile(left, 0.25)) if left else 0.0


@dataclass(frozen=True)
class _Factors:
    """The factors of sums inside the image: ``image`` for its channels, ``output`` for OUT's.

    ``output`` is 0 for a channel of which nothing is known; ``errors`` are its own. ``shift`` is
    the filters' zero point, ``left`` the typical size of what is left of an element.
    """

    image: Numbers
    output: Array
    errors: Array
    shift: float
    left: float


def _factors(
    parts: Parts, y: Array, channels: Array, inside: Array, *, apart: bool, shifted: bool
) -> _Factors | None:
    members = [np.flatnonzero((channels == o) & inside) for o in range(int(channels.max()) + 1)]
    together = parts.products.sum(axis=1, keepdims=True)
    whole = np.array_equal(y, np.rint(y))
    both = np.column_stack([together, parts.samples]) if shifted else together
    plain = _fits(both, y, members, whole=whole)
    each = _fits(parts.products, y, members, whole=whole) if apart else {}
    output = np.zeros(len(members))
    if each and not (plain and _left(plain) <= WORSE * _left(each)):
        slopes, errors = _numbers(each)
        image, output[list(each)] = _of_channels(slopes, errors)
        return _Factors(image, output, 0 * output, 0.0, _left(each))
    if not plain:
        return None
    slopes, errors = _numbers(plain)
    shift = _zero_point(slopes, errors) if shifted and slopes[:, 0].all() else 0.0
    if shifted and not shift:
        plain = _fits(together, y, members, whole=whole)
        if not plain:
            return None
        slopes, errors = _numbers(plain)
    output[list(plain)] = slopes[:, 0]
    off = np.zeros(len(members))
    off[list(plain)] = errors[:, 0]
    return _Factors(1.0, output, off, shift, _left(plain))


def _zero_point(slopes: Array, errors: Array) -> float:
    """The whole number that all filters are off by, where there is one: (outputs, 2) factors."""
    points, error = -slopes[:, 1] / slopes[:, 0], errors[:, 1] / np.abs(slopes[:, 0])
    weights = 1 / np.maximum(error, 1e-9) ** 2
    point = float((points * weights).sum() / weights.sum())
    away = abs(point - round(point))
    return float(round(point)) if away + ERRORS / np.sqrt(weights.sum()) < 0.5 else 0.0


def _of_channels(slopes: Array, errors: Array) -> tuple[Numbers, Array]:
    """The image's scales that all output channels have, and what each has beside them.

    ``slopes`` and ``errors`` are (output channels, channels).
    """
    weights = 1 / np.maximum(errors, 1e-12 * np.abs(slopes).max()) ** 2
    same = (slopes * weights).sum(axis=0) / weights.sum(axis=0)
    away = np.abs(slopes - same) / np.maximum(errors, 1e-6 * np.abs(same))
    if np.median(away) < ERRORS:
        found = _plain(same, ERRORS / np.sqrt(weights.sum(axis=0)))
        return _one_or_each(found), np.ones(len(slopes))
    # With a scale for each output channel too only the ratios are known, unless they have a name.
    lengths = np.linalg.norm(slopes, axis=1, keepdims=True)
    _, _, across = np.linalg.svd(slopes / np.where(lengths > 0, lengths, 1.0))
    ratio = across[0] / across[0][np.argmax(np.abs(across[0]))]
    for _, named in PREPROCESSING.values():
        usual = np.asarray(named)
        for scales in (usual, usual[::-1]) if usual.ndim else ():
            if scales.shape == ratio.shape and np.allclose(scales / scales.max(), ratio, rtol=1e-3):
                return tuple(scales.tolist()), slopes @ scales / (scales @ scales)
    found = _plain(ratio, 1e-4 * np.abs(ratio))
    return found, slopes @ ratio / (ratio @ ratio)


def _offsets(
    factors: _Factors, parts: Parts, y: Array, channels: Array, *, apart: bool, whole: bool
) -> list[Numbers]:
    """Offsets of the image, one or one a channel; with biases only where it does not do without.

    ``apart`` allows the latter; ``whole``: an image of integers has a whole one.
    """
    s = factors.output[channels]
    known = s != 0
    if not known.any():
        return []
    a = np.broadcast_to(np.asarray(factors.image, float), parts.products.shape[1:])
    sums = parts.products @ a - factors.shift * parts.samples
    t = y / np.where(known, s, 1.0) - sums
    each = -parts.taps * a
    one = each.sum(axis=1, keepdims=True) + factors.shift * parts.count[:, None]
    room = WORSE * factors.left / float(np.median(np.abs(s[known])))
    apart = apart and not factors.shift and 1 < each.shape[1] <= APART
    outputs = len(np.unique(channels[known]))
    best: _Fit | None = None
    least = np.inf
    for biases in (0, outputs):
        for columns in (one, each) if apart else (one,):
            x, z = columns[known], t[known]
            if biases:
                x, z = (_centred(v, channels[known]) for v in (x, z))
            fit = _fit(x, z, room)
            if fit is None:
                continue
            # Schwarz's criterion: what is left, and so many numbers. How much is left is only
            # known to a part of the root of how many elements there are.
            size = max(fit.left, 1e-9 * room, ROUNDOFF * float(np.abs(sums).max()))
            cost = len(z) * np.log(size) + 0.5 * (x.shape[1] + biases) * np.log(len(z))
            cost += LUCK * np.sqrt(len(z)) * ((x.shape[1] > 1) + (biases > 0))
            if cost < least:
                best, least = fit, cost
    if best is None:
        return [0.0]
    near, error = np.rint(best.numbers), ERRORS * best.errors
    if not (whole and len(near) == 1 and abs(best.numbers[0] - near[0]) < 0.05 + error[0]):
        return [_one_or_each(_plain(best.numbers, error))]
    around = range(-min(int(error[0]), AROUND), min(int(error[0]), AROUND) + 1)
    every = [float(near[0]) + k for k in around]
    if len(every) == 1 or not np.array_equal(y, np.rint(y)):
        return [float(near[0])]
    # Results that were rounded: those offsets by which most of them can be on a line.
    products = parts.products.sum(axis=1) - factors.shift * parts.samples
    met = [_on_lines(products + m * one[:, 0], y, channels, factors) for m in every]
    order = sorted(range(len(every)), key=lambda i: (-met[i], abs(every[i] - near[0])))
    return [every[i] for i in order[:2]]


def _on_lines(p: Array, y: Array, channels: Array, factors: _Factors) -> int:
    """How many of rounded results are on a line of their output channel, whatever its numbers."""
    met = 0
    for o in np.flatnonzero(factors.output):
        some = channels == o
        slope, error = factors.output[o], factors.errors[o]
        met += line_of(p[some], y[some] - 0.5, y[some] + 0.5, slope, ERRORS * error).met
    return met


def _one_or_each(numbers: tuple[float, ...]) -> Numbers:
    """One number, where it is that of all channels."""
    return numbers[0] if len(set(numbers)) == 1 else numbers


def _plain(values: Array, errors: Array) -> tuple[float, ...]:
    """The plainest numbers that are no further from some than their errors."""
    return tuple(map(plainest, (values - errors).tolist(), (values + errors).tolist()))


def _centred(values: Array, channels: Array) -> Array:
    """Without the mean of each output channel."""
    found = np.array(values, float)
    for o in np.unique(channels):
        found[channels == o] -= found[channels == o].mean(axis=0)
    return found


@dataclass(frozen=True)
class _Fit:
    """Factors by least squares, their standard errors, and the typical size of what is left."""

    numbers: Array
    errors: Array
    left: float


def _numbers(fits: dict[int, _Fit]) -> tuple[Array, Array]:
    """The numbers and the errors of fits, (fits, columns)."""
    every = list(fits.values())
    return np.array([fit.numbers for fit in every]), np.array([fit.errors for fit in every])


def _left(fits: dict[int, _Fit]) -> float:
    return float(np.median([fit.left for fit in fits.values()]))


def _fits(columns: Array, y: Array, members: list[Array], *, whole: bool) -> dict[int, _Fit]:
    """The fits of the output channels that have the most elements, where they are any.

    Integers may have been rounded: half a unit may be left of them.
    """
    order = sorted(range(len(members)), key=lambda o: -len(members[o]))[:WIDEST]
    found = {}
    for o in order:
        x, z = columns[members[o]], y[members[o]]
        room = max(LOOSE * float(np.std(z)), 0.5 * whole) if len(z) else 0.0
        fit = _fit(x, z, room, level=True)
        if fit is not None:
            found[o] = fit
    return found


def _fit(x: Array, z: Array, room: float, *, level: bool = False) -> _Fit | None:
    """The factors by which most of ``z`` is a sum of the columns of ``x``, and a ``level``.

    None where more is left of it than ``room``.
    """
    width = x.shape[1] + level
    if len(z) < 3 * width + 2 or np.ptp(z) == 0:
        return None
    columns = np.column_stack([x, np.ones(len(z))]) if level else x
    sizes = np.sqrt((columns**2).mean(axis=0))
    if not sizes.all():
        return None
    columns = columns / sizes
    kept = np.ones(len(z), bool)
    for _ in range(6):
        numbers, _, rank, _ = np.linalg.lstsq(columns[kept], z[kept], rcond=1e-9)
        if rank < width or not np.isfinite(numbers).all():
            return None
        away = np.abs(z - columns @ numbers)
        left = float(np.median(away[kept])) / 0.6745
        before, kept = kept, away <= 4 * left + 1e-12 * np.abs(z).max()
        if np.array_equal(before, kept) or not kept.any():
            break
    if kept.mean() < 0.6 or left > room + 1e-12 * float(np.abs(z).max()):
        return None
    try:
        spread = np.linalg.inv(columns[kept].T @ columns[kept])
    except np.linalg.LinAlgError:  # what is kept no longer tells one column from another
        return None
    # Where nothing is left, the arithmetic of the fit itself is what they are off by.
    errors = left * np.sqrt(np.diag(spread)) + ROUNDOFF * float(np.abs(numbers).max())
    return _Fit((numbers / sizes)[: x.shape[1]], (errors / sizes)[: x.shape[1]], left)
