"""How a sample's value may follow from a convention's sum, one judge for each way."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.block import Judge
from convcheck.checks.identify.bounds import Bounds, inside
from convcheck.checks.identify.lines import FEW, enough, linear, needed, of_pairs, plane
from convcheck.checks.identify.looks import is_rectified, levels
from convcheck.checks.identify.samples import Sample, a_part, origins, pairs, rises, targets
from convcheck.checks.identify.wrapped import PADS, TINIER, rare_scales, usual_scales, wound
from convcheck.convention import PRECISIONS
from convcheck.engine import round_to
from convcheck.rounding import gamma

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from convcheck.checks.identify.readings import Reading

Array = NDArray[Any]

LINKS = 4
"""Pairs of samples that hypotheses about several channels are looked at with first."""
MEASURE = 16
"""Samples by which a whole space is ranked; the best are ranked again by all of them."""


def plain(samples: Sequence[Sample], reading: Reading) -> Judge:
    """The sums themselves, in single precision or rounded to integers."""
    exact = not _narrow(samples, reading)
    limits = None
    if reading.output.dtype.kind in "iu":
        info = np.iinfo(reading.output.dtype)
        limits = (float(info.min), float(info.max))
    tolerance = np.full(len(samples), _fine(reading))
    return _near(targets(samples), tolerance, exact=exact, limits=limits)


def coarse(samples: Sequence[Sample], reading: Reading) -> Judge:
    """Near the target by the measure of the output's spread: operands of few bits."""
    exact = not _narrow(samples, reading)
    return _near(targets(samples), _coarse_tolerance(samples, reading), exact=exact)


def modular(samples: Sequence[Sample], reading: Reading) -> Judge:
    """The sums and a bias, truncated and modulo 2^8, 2^16 or 2^32: integers that wrapped."""
    return _modular(samples, reading, (1.0,))


def modular_scaled(samples: Sequence[Sample], reading: Reading) -> Judge:
    """The same after one of the usual scales."""
    return _modular(samples, reading, usual_scales(reading.terms, reading.filters.shape[2:]))


def modular_rare(samples: Sequence[Sample], reading: Reading) -> Judge:
    """The same after one of many other scales."""
    return _modular(samples, reading, rare_scales())


def _modular(samples: Sequence[Sample], reading: Reading, scales: Sequence[float]) -> Judge:
    """Differences from one of two samples of the same output channel: its bias drops out."""
    wanted = targets(samples)
    # Truncated numbers are off by less than one; integers by none, or by a bias that is no integer.
    tolerance = (1 if scales == (1.0,) and reading.whole else 2) + 2.0**-18
    moduli, count = _moduli(reading.output), len(samples)
    rounds = _links(samples) if moduli else []
    first = tuple(sorted({s for links in rounds for link in links for s in link}))
    firsts = origins(samples)

    def fits(value: Array, target: Any, modulus: float) -> Array:
        turns = (value - target) / modulus
        turns -= np.rint(turns)
        close: Array = np.abs(turns, out=turns) <= tolerance / modulus
        return close

    # What is equal modulo 2^16 is so modulo 2^8, and bytes are compared fast. Rounded down, numbers
    # no further apart than the tolerance are no further apart than its whole part.
    room = np.uint8(tolerance)
    wide = np.int32 if reading.reach * max(map(abs, scales)) < 2**31 else np.int64

    def seen(s: int, values: Array) -> Array:
        return np.stack([_byte(scale * values, wide) - _byte(wanted[s]) for scale in scales])

    def quick(values: Mapping[int, Array]) -> Array:
        passed = np.zeros(values[first[0]].shape[1:], bool)
        for scale, links in product(range(len(scales)), rounds):
            passed |= _nearly_all_near({s: values[s][scale] for s in first}, links, room)
        return passed

    def votes(values: Array) -> Array:
        some = wanted[: len(values), None]
        best = np.zeros(values.shape[1:], np.int64)
        # The other origins are right in any case.
        others = len(np.unique(firsts[0][: len(values)])) - 1
        told = len(values) - others
        # Luck gives a few of a hundred, and more of small channels; an unknown border may leave no
        # more than a quarter right.
        share = 2 if others else 4
        least = needed(told) if told < 2 * FEW else max(5, told // share)
        for which, scale, modulus in product(firsts, scales, moduli):
            origin = which[: len(values)]
            steps = scale * (values - values[origin])
            good = fits(steps, some - wanted[origin, None], modulus)
            right = np.count_nonzero(good, axis=0) - others
            best = np.maximum(best, np.where(right >= least, right, 0))
        return best

    exact = not _narrow(samples, reading)
    return Judge(first, min(2 * FEW, count), quick, votes, exact, seen)


def modular_bordered(samples: Sequence[Sample], reading: Reading) -> Judge:
    """One of the usual scales, around a border of one of the numbers that integers are padded with.

    For what has hardly a window clear of the border. All samples are of one output channel.
    """
    wanted, count = targets(samples), len(samples)
    scales = usual_scales(reading.terms, reading.filters.shape[2:])
    moduli = _moduli(reading.output)
    rounds = [[(origin, s) for s in (2, 3, 4, 5, 6)] for origin in (0, 1)]
    few = 2 * FEW
    first = tuple(way for s in range(7) for way in (s, ~s)) if moduli and count > few else ()

    # Numbers modulo 256 are looked at in 256ths, in 16 bits; a border by its halves.
    def seen(s: int, values: Array) -> Array:
        shift = 128.0 if s < 0 else 256.0
        level = 0.0 if s < 0 else 256 * wanted[s]
        return np.stack(
            [np.floor(shift * c * values - level).astype(np.int64) for c in scales]
        ).astype(np.uint16)

    def quick(values: Mapping[int, Array]) -> Array:
        passed = np.zeros(values[0].shape[1:], bool)
        for at, number in product(range(len(scales)), PADS):
            halves = int(2 * number)
            more = np.uint16(halves % 2**16)
            codes = {s: values[s][at] + more * values[~s][at] for s in range(7)}
            room = np.uint16(2 * 256 + 2 + abs(halves))
            for links in rounds:
                passed |= _nearly_all_near(codes, links, room)
        return passed

    def votes(values: Array) -> Array:
        v, e = np.split(values, 2)
        best = np.zeros(v.shape[1:], np.int64)
        for origin, scale, number, modulus in product((0, 1), scales, PADS, moduli):
            steps = scale * (v - v[origin] + number * (e - e[origin]))
            steps -= (wanted[: len(v)] - wanted[origin])[:, None]
            right = np.abs(wound(steps, modulus)) <= 2 + TINIER
            best = np.maximum(best, enough(right & (np.abs(e).max(axis=0) > 0)))
        return best

    return Judge(first, few, quick, votes, not _narrow(samples, reading), seen)


def _links(samples: Sequence[Sample]) -> list[list[tuple[int, int]]]:
    """What is compared at first, in two rounds: other samples to one of the same output channel.

    Of several channels it is one round of pairs, those of the most different values: sums on a
    small scale give all that are alike.
    """
    if len({sample.index[1] for sample in samples}) < 2:
        others = ((0, (1, 2, 3)), (1, (4, 2, 3))) if len(samples) > 4 else ()
        return [[(origin, s) for s in some] for origin, some in others]
    apart = np.abs(wound(rises(samples), 256))
    order = np.argsort(-apart, kind="stable")[:LINKS].tolist()
    return [[(2 * p, 2 * p + 1) for p in order]] if len(order) == LINKS else []


def _nearly_all_near(
    codes: Mapping[int, Array], links: Sequence[tuple[int, int]], room: Any
) -> Array:
    """Whether both of all links but one are within ``room`` of one another, as codes that wrap."""
    good = np.zeros(codes[links[0][0]].shape, np.int8)
    for origin, s in links:
        good += codes[s] - codes[origin] + room <= 2 * room
    enough_of_them: Array = good >= len(links) - 1
    return enough_of_them


def _moduli(output: Array) -> list[float]:
    """What an output may have wrapped at, by its range."""
    low, high = float(output.min()), float(output.max())
    return [2.0**b for b in (8, 16, 32) if low >= -(2.0 ** (b - 1)) and high < 2.0**b]


def _byte(value: Any, kind: type = np.int64) -> Any:
    """A number rounded down, modulo 256."""
    return np.floor(value).astype(kind).astype(np.uint8)


def scaled(samples: Sequence[Sample], reading: Reading) -> Judge:
    """Multiples of the sums, one factor for all."""
    slack, fine = _absolute(samples, reading), _fine_sums(reading)
    return linear(targets(samples), slack, fine, centred=False, exact=not _narrow(samples, reading))


def affine(samples: Sequence[Sample], reading: Reading) -> Judge:
    """One line of the sums: a scale and a bias. All samples are of one output channel."""
    slack, fine = _absolute(samples, reading), _fine_sums(reading)
    return linear(targets(samples), slack, fine, centred=True, exact=not _narrow(samples, reading))


def coarse_affine(samples: Sequence[Sample], reading: Reading) -> Judge:
    """The same with operands of few bits."""
    slack = _coarse_tolerance(samples, reading)
    return linear(targets(samples), slack, 0.0, centred=True, exact=not _narrow(samples, reading))


def parallel(samples: Sequence[Sample], reading: Reading) -> Judge:
    """A scale, and a bias for each output channel: the samples are pairs, each of one channel."""
    slack, fine = 2 * _absolute(samples, reading), 2 * _fine_sums(reading)
    exact = not _narrow(samples, reading)
    return of_pairs(linear(rises(samples), slack, fine, centred=False, exact=exact), pairs(samples))


def coarse_parallel(samples: Sequence[Sample], reading: Reading) -> Judge:
    """The same with operands of few bits."""
    slack = _coarse_tolerance(samples, reading)
    count, exact = pairs(samples), not _narrow(samples, reading)
    slack = slack[: 2 * count : 2] + slack[1 : 2 * count : 2]
    return of_pairs(linear(rises(samples), slack, 0.0, centred=False, exact=exact), count)


def bordered(samples: Sequence[Sample], reading: Reading) -> Judge:
    """A line of the sums and of what a border of ones adds to them: an unknown constant beyond it.

    All samples are of one output channel. Scale, bias and constant are three unknowns, so that four
    samples already say whether there can be any.
    """
    slack, exact = 2 * _absolute(samples, reading), not _narrow(samples, reading)
    return plane(targets(samples), slack, centred=True, exact=exact)


def bordered_scaled(samples: Sequence[Sample], reading: Reading) -> Judge:
    """The same without a bias, which fewer samples tell."""
    slack, exact = 2 * _absolute(samples, reading), not _narrow(samples, reading)
    return plane(targets(samples), slack, centred=False, exact=exact)


def bordered_parallel(samples: Sequence[Sample], reading: Reading) -> Judge:
    """A bias for each output channel as well: the samples are pairs, each of one channel."""
    slack, exact = 4 * _absolute(samples, reading), not _narrow(samples, reading)
    return of_pairs(plane(rises(samples), slack, centred=False, exact=exact), pairs(samples))


def between(samples: Sequence[Sample], reading: Reading) -> Judge:
    """A scale, and a bias for each output channel, by what saturated and rectified elements say."""
    wanted, output = targets(samples), reading.output
    rectified = is_rectified(output, np.isfinite(output))
    limits = (-math.inf, math.inf)
    if output.dtype.kind in "iu":
        limits = (np.iinfo(output.dtype).min, np.iinfo(output.dtype).max)
    bounds = Bounds.rounded(wanted, limits, rectified=rectified)
    return inside(bounds, [s.index[1] for s in samples], exact=not _narrow(samples, reading))


def correlated(samples: Sequence[Sample], reading: Reading) -> Judge:
    """The hypotheses that beat all before them in correlation with the samples."""
    wanted = targets(samples)
    if wanted.dtype.kind == "f":
        # A few wild elements must not decide it.
        middle = float(np.median(wanted))
        room = 8 * float(np.median(np.abs(wanted - middle)))
        wanted = np.clip(wanted, middle - room, middle + room) if room else wanted
    some = tuple(range(min(MEASURE, len(samples))))
    best = [0.0, 0.0]

    def score(values: Array, which: Any) -> Array:
        t = wanted[which] - wanted[which].mean()
        v = values - values.mean(axis=0)
        power = np.einsum("m...,m...->...", v, v.conj()).real * float(np.vdot(t, t).real)
        product = np.abs(np.einsum("m...,m->...", v, t.conj()))
        scores: Array = product / np.sqrt(np.where(power > 0, power, np.inf))
        return scores

    def quick(values: Mapping[int, Array]) -> Array:
        scores = score(np.stack([values[s] for s in some]), list(some))
        best[0] = max(best[0], float(scores.max()))
        # By some samples alone the best is not known: the next best are looked at as well.
        kept = min(20, scores.size)
        limit = max(0.9 * best[0], float(np.partition(scores.ravel(), -kept)[-kept]))
        passed: Array = scores >= limit
        return passed

    def votes(values: Array) -> Array:
        if len(values) < len(wanted):
            return np.ones(values.shape[1:])
        scores = score(values, slice(None))
        out = np.zeros(scores.shape)
        at = int(np.argmax(scores))
        if scores[at] > best[1]:
            best[1] = out[at] = float(scores[at])
        return out

    return Judge(some, len(some), quick, votes, not _narrow(samples, reading))


def _near(
    wanted: Array,
    tolerance: Array,
    *,
    exact: bool,
    limits: tuple[float, float] | None = None,
) -> Judge:
    """Values within the tolerance of the targets, after saturating at ``limits``.

    Targets of few different values are often met by chance: more of them are asked for, and more of
    those must fit.
    """
    few, share = min(FEW, len(wanted)), needed
    first = tuple(range(few))
    if 2 * len(np.unique(wanted)) < len(wanted):
        few, share = min(4 * FEW, len(wanted)), _nearly_all
        first = tuple(range(min(2 * FEW, few)))
    least = len(first) - (few - share(few))  # the others may all be right

    def fits(value: Array, target: Any, room: Any) -> Array:
        if limits is not None:
            value = np.clip(value, *limits)
        close: Array = np.abs(value - target) <= room
        return close

    def seen(s: int, values: Array) -> Array:
        return fits(values, wanted[s], 2 * tolerance[s]).astype(np.int8)

    def quick(values: Mapping[int, Array]) -> Array:
        counts = np.zeros(values[0].shape, np.int8)
        for s in first:
            counts += values[s]
        return counts >= least

    def votes(values: Array) -> Array:
        count = len(values)
        good = fits(values, wanted[:count, None], tolerance[:count, None])
        total = np.count_nonzero(good, axis=0)
        return np.where(total >= share(count), total, 0)

    return Judge(first, few, quick, votes, exact, seen)


def _nearly_all(samples: int) -> int:
    return -(-9 * samples // 10)


def _narrow(samples: Sequence[Sample], reading: Reading) -> bool:
    """Whether sums may be looked at in single precision first.

    Integers must stay exact; other sums lose no more than the output's own rounding is allowed.
    """
    reach = reading.reach
    limit = 2.0**22 if reading.whole else 1e30
    return 1e-30 < reach < limit and max(abs(s.value) for s in samples) < 1e30


def _fine(reading: Reading) -> float:
    """What single precision can change in a sum, and rounding to integers where there is any."""
    tolerance = _fine_sums(reading)
    if reading.output.dtype.kind in "biu":
        tolerance = 1e-6 if _integers(reading) else tolerance + 0.5
    return tolerance


def _fine_sums(reading: Reading) -> float:
    """What single precision loses at worst or, with many terms, 8 times what it usually does.

    The worst case of thousands of terms would let everything through (Higham and Mary, 2019).
    """
    unit, terms = 2.0**-24, reading.terms + 16
    return min(gamma(terms, unit), 8 * math.sqrt(terms) * unit) * reading.reach


def _integers(reading: Reading) -> bool:
    return all(a.dtype.kind in "biu" for a in (reading.image, reading.filters))


def _coarse_tolerance(samples: Sequence[Sample], reading: Reading) -> Array:
    some = a_part(reading.output)
    finite = some[np.isfinite(some)].astype(np.float64)
    allowed: Array = 2.0**-7 * np.abs(targets(samples)) + 2.0**-5 * float(np.std(finite))
    return allowed


def _absolute(samples: Sequence[Sample], reading: Reading) -> float:
    """The rounding of the outputs themselves; truncation to integers costs up to one."""
    rounded = 1.05 if reading.output.dtype.kind in "biu" else 0.0
    unit = max(2.0**-20, _stored_unit(targets(samples)))
    return rounded + unit * max(abs(s.value) for s in samples)


def _stored_unit(values: Array) -> float:
    """The unit roundoff of the few bits that show to have been all that was kept of each value."""
    if values.dtype.kind == "f":
        for arithmetic in ("bfloat16", "float16"):
            unit = PRECISIONS[arithmetic]
            kept = round_to(values, arithmetic).astype(values.dtype)
            if np.array_equal(kept, values) and levels(values) > 1 / unit:
                return unit
    return 0.0
