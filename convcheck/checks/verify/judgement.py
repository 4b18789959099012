"""One output against one convention, under the proven bound for the output's own dtype."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcheck.comparison import Comparison
from convcheck.comparison import compare as compare_outputs
from convcheck.convention import INTEGER_ARITHMETICS, PRECISIONS, Convention
from convcheck.engine import arrange_filters, convolve, magnitude, round_to, stored_image
from convcheck.rounding import FFT_STAGE, gamma, norm

Array = NDArray[Any]

FEW = 8
"""So few elements do not show how far off an FFT leaves them all."""
ALIKE = 64.0
"""How many times further off than any other an element may be that an FFT made with them."""


@dataclass(frozen=True)
class Judgement:
    """``kind`` is ``pass``, ``wrong values``, ``wrong shape`` or ``not finite``.

    ``note`` says what is worth knowing of an output that passes: that it wrapped, say.
    """

    kind: str
    detail: str = ""
    comparison: Comparison | None = None
    note: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the output is what the convention gives."""
        return self.kind == "pass"


def judge(image: Array, filters: Array, output: Array, convention: Convention) -> Judgement:
    """Whether ``output`` is what ``convention`` gives, element by element.

    An implementation may sum in any order, in the unit roundoff of the coarsest of its input's and
    output's dtypes and the convention's arithmetic. It may go through an FFT too, where the other
    elements are as far off as an FFT leaves them all.
    """
    expected = convolve(image, filters, convention)
    if output.shape != expected.shape:
        return Judgement(
            "wrong shape", f"gave {_shape(output.shape)}, expected {_shape(expected.shape)}"
        )
    sums = _sums(image, filters, convention)
    if output.dtype.kind in "biu" and convention.arithmetic == "exact":
        return _judge_integers(output, expected, sums, image.dtype)
    note, rounding = None, Rounding.of(image, filters, output.dtype, convention)
    finite = np.isfinite(output)
    if not finite.all():
        wrong = ~finite & ~_may_overflow(output, expected, sums, convention, rounding.factor)
        if wrong.any():
            bad = int(np.count_nonzero(wrong))
            return Judgement(
                "not finite",
                f"{bad} of {output.size} elements are NaN or infinite where the result is not",
            )
        note = f"overflows {output.dtype} where the result is larger than it holds"
        output = np.where(finite, output, expected)
    wide = output.astype(np.result_type(output, np.float64))
    with np.errstate(over="ignore"):
        bound = rounding.bound(np.abs(wide - expected), sums)
    return _from(compare_outputs(wide, expected, bound, sums), note)


def _from(seen: Comparison, note: str | None = None) -> Judgement:
    if seen.mismatched == 0:
        return Judgement("pass", comparison=seen, note=note)
    return Judgement(
        "wrong values",
        f"{seen.mismatched} of {seen.total} elements differ, the most at {seen.worst_index}: "
        f"{seen.actual} instead of {seen.expected}, threshold {seen.threshold:.3g}",
        seen,
    )


@dataclass(frozen=True)
class Rounding:
    """What an element may be off by.

    In sums of any order ``factor`` times S, and ``least`` where numbers below the smallest normal
    one are flushed to zero, in any of the terms. Through an FFT ``spectral``, all elements alike:
    at the precision of the arrays, or at single precision where that is finer; and in float64.
    """

    factor: float
    least: float
    spectral: tuple[float, float]

    @classmethod
    def of(
        cls, image: Array, filters: Array, output: np.dtype[Any], convention: Convention
    ) -> Rounding:
        """That of an implementation that takes and gives these dtypes."""
        dtypes = [d for d in (image.dtype, filters.dtype, output) if d.kind in "fc"]
        unit = max([2.0**-53, *(float(np.finfo(d).eps) / 2 for d in dtypes)])
        unit = max(unit, PRECISIONS.get(convention.arithmetic, 0.0))
        smallest = max([2.0**-1074, *(float(np.finfo(d).smallest_normal) for d in dtypes)])
        channels = stored_image(image, convention).shape[1]
        terms = math.prod(arrange_filters(filters, convention, channels).shape[1:])
        factor = gamma(terms + 16, unit)
        if not math.isfinite(factor):
            factor = 4 * math.sqrt(terms) * unit
        stages = math.log2(2 * image.size + 2)
        size = (3 * FFT_STAGE * stages + 8) * norm(image) * norm(filters) * abs(convention.scale)
        # No FFT computes in half precision; its result may be rounded to it, which the sums cover.
        return cls(factor, 2 * terms * smallest, (min(unit, 2.0**-24) * size, 2.0**-53 * size))

    def bound(self, off: Array, sums: Array) -> Array:
        """What explains elements that are so far off, S of each being ``sums``.

        That of an FFT is not much wider than the others' errors show, as an FFT spreads its own
        over them all. So none that nobody ran excuses a few elements of plain sums.
        """
        bound: Array = self.factor * sums + self.least
        others = off[off <= bound]
        if others.size == off.size:
            return bound
        room, finest = self.spectral
        if others.size >= FEW:
            room = min(room, max(finest, ALIKE * float(others.max())))
        return np.maximum(bound, room)


def _judge_integers(output: Array, expected: Array, sums: Array, given: np.dtype[Any]) -> Judgement:
    """Integers are exact; in a dtype as narrow as the input's, sums may wrap or saturate."""
    wide = output.astype(np.result_type(expected.dtype, np.float64))
    seen = compare_outputs(wide, expected, 0.0, sums)
    if seen.mismatched == 0 or output.dtype != given:
        return _from(seen)
    for arithmetic in INTEGER_ARITHMETICS:
        how, _, name = arithmetic.partition(":")
        if name != output.dtype.name:
            continue
        rounded = round_to(expected, arithmetic)
        if np.array_equal(rounded, output):
            return Judgement(
                "pass",
                comparison=compare_outputs(wide, rounded.astype(wide.dtype), 0.0, sums),
                note=f"{how}s at {name} for {given} input",
            )
    return _from(seen)


def _may_overflow(
    output: Array, expected: Array, sums: Array, convention: Convention, factor: float
) -> Array:
    """Where partial sums in some order can have left what is not finite in the output's dtype."""
    if output.dtype.kind not in "fc":
        return np.zeros(output.shape, bool)
    most = float(np.finfo(output.dtype).max)
    c = convention
    # The numbers before the scale may be larger than those after it.
    sums = (sums / min(abs(c.scale) or 1.0, 1.0)) * (1 + factor)
    if c.scale != 1 or c.activation is not None or output.dtype.kind == "c":
        return sums >= most
    above, below = (sums + expected) / 2 >= most, (sums - expected) / 2 >= most
    return np.where(np.isnan(output), above & below, np.where(output > 0, above, below))


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def wrong(image: Array, filters: Array, output: Array, convention: Convention) -> Array | None:
    """Which elements are wrong; None where the shape is."""
    expected = convolve(image, filters, convention)
    if output.shape != expected.shape:
        return None
    rounding = Rounding.of(image, filters, output.dtype, convention)
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(output - expected)
        seen: Array = ~(off <= rounding.bound(off, _sums(image, filters, convention)))
    return seen


def _sums(image: Array, filters: Array, convention: Convention) -> Array:
    """S of what is before the activation."""
    sums = magnitude(image, filters, convention) * abs(convention.scale)
    if convention.bias is not None:
        sums = sums + float(np.max(np.abs(convention.bias)))
    return sums
