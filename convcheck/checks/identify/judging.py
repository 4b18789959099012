"""How an output fares under a convention with all its numbers, by the arithmetic that fits best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.looks import FLOATING, arithmetics, is_stored
from convcheck.convention import PRECISIONS
from convcheck.engine import finish, round_to
from convcheck.rounding import TINY, fft_bound, gamma, norm

if TYPE_CHECKING:
    from convcheck.checks.sums import Linear
    from convcheck.convention import Convention
Array = NDArray[Any]

EXPLAINED = 0.5
"""The share of the telling elements that a convention must give to be worth naming."""
LEAST = {"float64": TINY, "float32": 2.0**-149, "tf32": 2.0**-149} | {
    "float16": 2.0**-24,
    "bfloat16": 2.0**-133,
}
"""How far the numbers next to zero are apart."""
ALIKE = 8.0
"""How far from the others, in root mean squares, an element can be that an FFT made with them."""
MANY_OFF, MOST = 8, 0.75
"""So many elements, and so much of those with small sums, must be off to be off by an FFT."""
RARE, EVEN = 32, 0.1
"""One in so many elements must be rounded roughly, and the median lose so much of the root mean
square of all, to show an accumulator of few bits."""
HOW = ("operands", "result", "sums")
"""What an arithmetic of few bits rounds: the operands and the result, the result alone, or each sum
on its way as well."""
LOOSE = 0.12
"""Residual over spread of the output beyond which a coarse arithmetic explains nothing."""


@dataclass(frozen=True)
class Fit:
    """A convention with everything solved for, and how each element of the output fares.

    ``linear`` has the sums that its numbers apply to: of rounded operands, where these were.
    """

    convention: Convention
    linear: Linear
    predicted: Array
    threshold: Array
    mismatched: Array

    @property
    def misses(self) -> int:
        """How many elements the convention does not give."""
        return int(np.count_nonzero(self.mismatched))


def judge(
    linear: Linear,
    convention: Convention,
    output: Array,
    usable: Array,
) -> Fit:
    """Every element under the finest arithmetic that explains most of them."""
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = finish(linear.values, convention.replace(arithmetic="exact"))
    fits = []
    partly = False
    for arithmetic in arithmetics(linear.problem):
        if partly and not is_stored(linear.problem, arithmetic):
            break  # nor does it look rounded to any that follows
        fit = under(linear, convention.replace(arithmetic=arithmetic), wanted, output, usable)
        if fit is not None and fit.misses:
            fit = with_room(fit, fft_room(fit, output, usable), output, usable)
        if fit is None or (partly and fit.misses):
            continue
        if not fit.misses:
            return fit
        rises = wanted - level(convention)
        seen = Ground.of(rises, usable).telling(rises, usable)
        if convention.activation == "relu":
            # What is cut off is the same in every arithmetic.
            positive = seen & (wanted > 0)
            seen = positive if positive.any() else seen
        share = float(fit.mismatched[seen].mean())
        if share < 1 - EXPLAINED and arithmetic in FLOATING:
            # Coarser arithmetics would explain a defect away as rounding, unless it is seen that
            # every element was rounded to so few bits.
            partly = True
        fits.append(fit)
    if not fits:
        everything = np.zeros(output.shape)
        fits = [Fit(convention, linear, wanted, everything, usable.copy())]
    return min(fits, key=lambda fit: fit.misses)


def level(convention: Convention) -> Array:
    """What each output channel holds where there is nothing to sum: (1,O,1,1)."""
    c = convention if ":" in convention.arithmetic else convention.replace(arithmetic="exact")
    return finish(np.zeros((1, len(c.bias or (0,)), 1, 1)), c).astype(np.float64)


@dataclass(frozen=True)
class Ground:
    """The commonest value of an output, where there is one: agreement on it says nothing.

    Values are counted from each channel's :func:`level`: between the samples of an image that was
    spread out every channel holds its own bias.
    """

    value: float = 0.0
    room: float | None = None

    @classmethod
    def of(cls, wanted: Array, usable: Array) -> Ground:
        """That of what a convention gives."""
        flat = wanted[usable].real
        if flat.size == 0:
            return cls()
        middle = float(np.median(flat))
        found = cls(middle, 1e-9 * float(flat.max() - flat.min()))
        telling = int(np.count_nonzero(found.telling(flat, np.ones(flat.shape, bool))))
        enough = (flat.size - telling) * 4 >= flat.size
        return found if enough and telling else cls()

    def telling(self, wanted: Array, usable: Array) -> Array:
        """The usable elements of another value; all of them, where none is that common."""
        if self.room is None:
            return usable
        other: Array = usable & ~(np.abs(wanted.real - self.value) <= self.room)
        return other


def under(
    linear: Linear,
    convention: Convention,
    wanted: Array,
    output: Array,
    usable: Array,
    *,
    how: str | None = None,
) -> Fit | None:
    """How the output fares under one arithmetic; None where that cannot be what made it.

    ``how`` says what of a sum is of few bits, one of :data:`HOW`, where that is known.
    """
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
    if arithmetic in FLOATING:
        threshold = own + gamma(linear.terms + 16, PRECISIONS[arithmetic]) * sums
        threshold += LEAST[arithmetic] * linear.terms
        return _within(linear, convention, wanted, threshold, output, usable)
    return _under_few_bits(linear, convention, own, sums, output, usable, how)


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
    # A bound beyond all numbers would explain anything.
    given = (difference <= threshold) & np.isfinite(threshold)
    return Fit(convention, linear, wanted, threshold, usable & ~given)


def fft_room(fit: Fit, output: Array, usable: Array) -> float:
    """How far an FFT may have put every element alike; 0 where none can have made this output.

    Its error goes by the largest sums, so where S is small it is beyond what a sum can lose. That
    alone would excuse any small defect there, so an FFT must show elsewhere too.
    """
    linear, c = fit.linear, fit.convention
    # What ReLU cut off shows nothing of what was lost.
    told = usable & (output > 0) if c.activation == "relu" else usable
    given = told & ~fit.mismatched
    if c.arithmetic not in FLOATING or not given.any():
        return 0.0
    off = output.astype(np.result_type(output, np.float64)) - fit.predicted
    left = np.abs(off)
    image, memo = linear.problem.image, linear.problem.memo
    if "norm" not in memo:
        memo["norm"] = norm(image)

    def bound(arithmetic: str) -> float:
        unit = PRECISIONS[arithmetic]
        return abs(c.scale) * fft_bound(memo["norm"], linear.heaviest, 4 * image.size, unit=unit)

    usual = float(np.sqrt(np.mean(left[given] ** 2)))
    room = min(bound(c.arithmetic), ALIKE * usual)
    if c.arithmetic != "float64":
        room = max(room, bound("float64"))  # numpy's FFT computes in float64 whatever it is given
    near = fit.mismatched & (left <= room)
    beyond, enough = np.count_nonzero(near), EXPLAINED * np.count_nonzero(given)
    if fit.misses - beyond > enough:
        return 0.0
    doubtful = np.count_nonzero(given & (left > fit.threshold / 8))
    if fit.misses <= enough and doubtful >= 2 * beyond + 2:
        return room
    # Where a sum would lose much less, all are off: a defect is somewhere.
    small = told & (fit.threshold < room / (2 * ALIKE))
    if np.count_nonzero(near & small) >= max(MANY_OFF, MOST * np.count_nonzero(small)):
        return room if _is_noise(off[near]) else 0.0
    # Sums of integers would lose nothing at all.
    if _loses_nothing(fit) and np.count_nonzero(left[given]) > np.count_nonzero(given) / 2:
        return room if _is_noise(off[given]) else 0.0
    return 0.0


def _is_noise(off: Array) -> bool:
    """Whether numbers lie on all sides of zero, as rounding leaves them, and no offset does."""
    return float(np.std(off)) >= 0.5 * float(np.sqrt(np.mean(np.abs(off) ** 2)))


def _loses_nothing(fit: Fit) -> bool:
    """Whether sums in any order are exact in the arithmetic that a fit is held to."""
    work, c = fit.linear.problem.arithmetic, fit.convention
    if not work.exact or c.scale != 1 or c.bias is not None:
        return False
    return float(fit.linear.magnitude.max()) * PRECISIONS[c.arithmetic] <= work.quantum


def with_room(fit: Fit, room: float, output: Array, usable: Array) -> Fit:
    """The same where every element may be off by ``room`` too."""
    if not room:
        return fit
    threshold = np.maximum(fit.threshold, room)
    return _within(fit.linear, fit.convention, fit.predicted, threshold, output, usable)


def _under_few_bits(
    linear: Linear,
    convention: Convention,
    own: Array,
    sums: Array,
    output: Array,
    usable: Array,
    how: str | None,
) -> Fit | None:
    """Below single precision: the way of :data:`HOW` that is given, or the first that fits.

    Sums in single precision are the usual hardware, and a sharp test: the operands are rounded here
    too. An accumulator of few bits is allowed sqrt(n) units of S, four times over (its statistical
    bound: Higham and Mary, 2019); the worst case n * u * S would explain anything.
    """
    arithmetic = convention.arithmetic
    unit = PRECISIONS[arithmetic]
    few = is_stored(linear.problem, arithmetic)
    # Rounding the operands can change S by two units of it.
    single = own + gamma(linear.terms + 16, PRECISIONS["float32"]) * sums * (1 + 3 * unit)

    def fares(operands: Linear, more: Array | float = 0.0) -> Fit:
        wanted = finish(operands.values, convention.replace(arithmetic="exact"))
        stored = np.maximum(unit * np.abs(wanted) * 1.01, LEAST[arithmetic]) if few else 0.0
        return _within(operands, convention, wanted, single + stored + more, output, usable)

    if how == "result":
        return fares(linear)
    operands = linear.rounded(arithmetic)
    sharp = fares(operands)
    if how == "operands" or not few:
        return sharp
    if how is None:
        sharp = min(fares(linear), sharp, key=lambda fit: (fit.misses, left(fit, output, usable)))
        if not sharp.misses:
            return sharp
    loose = (2 + 4 * math.sqrt(linear.terms)) * unit * sums + LEAST[arithmetic] * linear.terms
    fit = fares(operands, loose)
    if how or (not fit.misses and is_rough(fit, sharp, output, usable)):
        return fit
    return sharp


def left(fit: Fit, output: Array, usable: Array) -> float:
    """The root mean square of what a fit leaves unexplained, where it explains at all."""
    seen = usable & ~fit.mismatched
    off = np.abs(output[seen] - fit.predicted[seen])
    return float(np.sqrt(np.mean(off**2))) if off.size else math.inf


def is_rough(fit: Fit, sharp: Fit, output: Array, usable: Array) -> bool:
    """Whether what few bits lost shows all over an output, as an accumulator of theirs loses it.

    ``sharp`` is how it fares where only operands and results are rounded. Where hardly an element
    is beyond that, or most lose next to nothing beside the others, those others are a defect.
    """
    if not tells(fit, output, usable) or RARE * sharp.misses < np.count_nonzero(usable):
        return False
    # Zeros are what ReLU left, or what black areas sum up to: they lose nothing.
    seen = usable & (output != 0)
    left = np.abs(output[seen].astype(np.float64) - fit.predicted[seen])
    lost = left / np.broadcast_to(fit.threshold, output.shape)[seen]
    return float(np.median(lost)) >= EVEN * float(np.sqrt(np.mean(lost**2)))


def tells(fit: Fit, output: Array, usable: Array) -> bool:
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
    # Integers stay as they are: some versions of NumPy would take them through float64.
    integers = wanted.dtype.kind in "iu"
    nearest = wanted if integers else np.rint(wanted)
    slack = own + 2.0**-22 * sums * (wanted != nearest)
    if how == "saturate":
        off = np.abs(np.clip(wanted, limits.min, limits.max) - target)
        threshold = np.where(nearest == wanted, 0.0, 0.5 + slack)
        predicted = np.clip(nearest, limits.min, limits.max)
        if np.array_equal(predicted[usable], target[usable]):
            threshold = np.zeros(target.shape)
            off = np.abs(predicted - target)
    else:
        span = float(limits.max) - float(limits.min) + 1
        predicted = round_to(wanted, convention.arithmetic).astype(np.float64)
        whole = wanted if integers else np.trunc(wanted)
        off = np.abs(target - predicted)
        off = np.minimum(off, span - off)
        near = np.abs(wanted - nearest) <= slack
        threshold = np.where(near & (whole != wanted), 1.0, 0.0)
    wrong = usable & (off > threshold)
    # What the accumulator may have tipped over the middle is a whole integer apart.
    tipped = np.fmax(threshold, np.abs(predicted - target))
    return Fit(convention, linear, predicted, np.where(wrong, threshold, tipped), wrong)
