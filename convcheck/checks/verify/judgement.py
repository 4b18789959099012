"""What a target gave for one case, judged by a convention and by what a dtype cannot hold."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcheck.check import check
from convcheck.checks.inputs import shape_text
from convcheck.comparison import Comparison, Number
from convcheck.comparison import compare as compare_outputs
from convcheck.convention import INTEGERS, PRECISIONS, Convention, Storage
from convcheck.convention.storage import FLOATS, OVERFLOWS
from convcheck.engine import convolve, magnitude, operands, output_shape
from convcheck.rounding import FFT_STAGE, gamma, norm

Array = NDArray[Any]

FEW = 8
"""So few elements do not show how far off an FFT leaves them all."""
ALIKE = 64.0
"""How many times further off than any other an element may be that an FFT made with them."""

WORD = 4
"""Bytes of the narrowest integer that sums of narrower ones are kept in; what is more is lost."""


@dataclass(frozen=True)
class Judgement:
    """``kind`` is ``pass``, ``wrong values``, ``wrong shape`` or ``not finite``.

    ``wrong`` marks the wrong elements; it is None where the shape is wrong. ``note`` says what is
    worth knowing of an output that passes: that it wrapped, say.
    """

    kind: str
    detail: str = ""
    comparison: Comparison | None = None
    wrong: Array | None = None
    note: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the output is what the convention gives."""
        return self.kind == "pass"

    @property
    def share(self) -> float:
        """Which part of the elements is right."""
        return 0.0 if self.wrong is None else 1 - float(np.mean(self.wrong))


def judge(image: Array, filters: Array, output: Array, convention: Convention) -> Judgement:
    """Whether ``output`` is what ``convention`` gives, element by element.

    A convention in exact arithmetic is meant in the coarsest of the three dtypes. Beyond what
    :func:`convcheck.check.check` allows it are right: integers that wrap or saturate in the image's
    dtype, in that of a product or in one of 32 bits and more, what is not finite because its dtype
    holds nothing so large, numbers that a processor flushes to zero, and elements that are no
    further off than an FFT leaves all the others.

    Raises:
        InputError: arrays that the convention does not fit.
    """
    expected = output_shape(image.shape, filters.shape, convention)
    if output.shape != expected:
        given = f"gave {shape_text(output.shape)}, expected {shape_text(expected)}"
        return Judgement("wrong shape", given)
    if image.dtype.kind in "fc" and not np.isfinite(image).all():
        return _not_finite(image, filters, output, convention)
    if output.dtype.kind in "biu" and convention.arithmetic == "exact":
        return _integers(image, filters, output, convention)
    return _floats(image, filters, output, convention)


def _integers(image: Array, filters: Array, output: Array, convention: Convention) -> Judgement:
    """Integers are exact; sums may wrap or saturate in the dtype that is given for such arrays."""
    seen = check(image, filters, output, convention)
    name = output.dtype.name
    usual = output.dtype in (image.dtype, np.result_type(image, filters))
    if not seen.matches and (usual or output.dtype.itemsize >= WORD) and name in INTEGERS:
        for how in OVERFLOWS:
            stored = convention.replace(storage=Storage(name, overflow=how))
            other = check(image, filters, output, stored)
            if other.matches:
                given = image.dtype.name
                given += "" if filters.dtype == image.dtype else f" and {filters.dtype}"
                note = f"{how}s at {name} for {given} input"
                return Judgement("pass", comparison=other.comparison, wrong=other.wrong, note=note)
        exact = np.asarray(convolve(image, filters, convention))
        beyond = np.abs(exact.astype(np.float64)) >= 2.0**31
        if beyond.all() and output.dtype.itemsize < WORD:
            # What a float of that size becomes in so narrow an integer no language says.
            note = f"gives {name} where no result fits into 32 bits, for {image.dtype} input"
            return Judgement("pass", wrong=np.zeros(output.shape, bool), note=note)
    return _judgement(seen.comparison, seen.wrong)


def _floats(image: Array, filters: Array, output: Array, convention: Convention) -> Judgement:
    seen = check(image, filters, output, in_precision_of(convention, image, filters, output))
    if seen.matches:
        return _judgement(seen.comparison, seen.wrong)
    exact = convention.replace(arithmetic="exact")
    expected, sums = convolve(image, filters, exact), _sums(image, filters, convention)
    rounding = Rounding.of(image, filters, output.dtype, convention)
    note, finite = None, np.isfinite(output)
    lost = ~finite & ~_may_overflow(output, expected, sums, convention, rounding.factor)
    wide = output.astype(np.result_type(output, np.float64))
    if not finite.all():
        note = f"overflows {output.dtype} where the result is larger than it holds"
        wide = np.where(finite, wide, expected)
    with np.errstate(over="ignore"):
        off = np.abs(wide - expected)
        bound = rounding.bound(off, sums)
    # What check allows is right, however little is allowed for here.
    doubted = np.ones(output.shape, bool) if seen.wrong is None else seen.wrong
    wrong = doubted & (~(off <= bound) | lost)
    if lost.any():
        detail = (
            f"{np.count_nonzero(lost)} of {output.size} elements are NaN or infinite where the "
            "result is not"
        )
        return Judgement("not finite", detail, wrong=wrong)
    bound = np.where(doubted, bound, np.maximum(bound, off))
    return _judgement(compare_outputs(wide, expected, bound, sums), wrong, note)


def _not_finite(image: Array, filters: Array, output: Array, convention: Convention) -> Judgement:
    """NaN and infinities come out wherever a window meets one; all else is as without them.

    That they come out elsewhere too is no mistake within one image of a batch: an FFT, a tile of
    Winograd's algorithm and a mask of zeros spread them. No sum leads to another image's output.
    """
    lost = ~np.isfinite(image)
    calm = np.where(lost, 0, image)
    plain = convention.replace(activation=None, storage=None, arithmetic="exact")
    # The windows that meet one are those whose sums follow what stands in its place.
    others = np.random.default_rng(0).integers(1 << 20, 1 << 30, image.shape)
    instead = np.where(lost, others, image).astype(np.result_type(image, np.float64))
    met = convolve(instead, filters, plain) != convolve(calm.astype(instead.dtype), filters, plain)
    finite = np.isfinite(output)
    kept = met & finite
    if kept.any() and convention.activation is None:
        detail = (
            f"{np.count_nonzero(kept)} of the {np.count_nonzero(met)} elements whose window meets "
            "a NaN or an infinity are finite"
        )
        return Judgement("wrong values", detail, wrong=kept)
    spread = ~met & ~finite
    if "N" in convention.image_layout and "N" in convention.output_layout:
        meets = np.moveaxis(met, convention.output_layout.index("N"), 0)
        beyond = np.moveaxis(spread, convention.output_layout.index("N"), 0)
        crossed = sum(int(o.sum()) for m, o in zip(meets, beyond, strict=True) if not m.any())
        if crossed:
            detail = f"{crossed} elements are NaN or infinite in images of the batch that hold none"
            return Judgement("not finite", detail, wrong=spread)
    with np.errstate(over="ignore"):
        right = np.asarray(convolve(calm, filters, convention)).astype(output.dtype)
    seen = judge(calm, filters, np.where(met | spread, right, output), convention)
    if not seen.passed or not spread.any():
        return seen
    where = "to all of its output" if not finite.any() else "beyond the windows that meet it"
    return replace(seen, note=f"one NaN spreads {where}")


def _judgement(seen: Comparison, wrong: Array | None, note: str | None = None) -> Judgement:
    if seen.mismatched == 0:
        return Judgement("pass", comparison=seen, wrong=wrong, note=note)
    actual, expected = map(_shortly, (seen.actual, seen.expected))
    detail = (
        f"{seen.mismatched} of {seen.total} elements differ, the most at {seen.worst_index}: "
        f"{actual} instead of {expected}, threshold {seen.threshold:.3g}"
    )
    return Judgement("wrong values", detail, seen, wrong)


def _shortly(value: Number) -> Number:
    """The number, a whole one without its zero."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def in_precision_of(convention: Convention, *arrays: Array) -> Convention:
    """The convention in the coarsest of the arrays' dtypes, stored in the last one's.

    One that says its arithmetic is left as it is.
    """
    floats = [a.dtype for a in arrays if a.dtype.kind in "fc"]
    if convention.arithmetic != "exact" or not floats:
        return convention
    names = {2: "float16", 4: "float32"}
    narrow = min(d.itemsize // (2 if d.kind == "c" else 1) for d in floats)
    found = convention.replace(arithmetic=names.get(narrow, "float64"))
    given = arrays[-1].dtype.name
    if convention.storage is None and given in FLOATS:
        return found.replace(storage=Storage(given))
    return found


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
        unit = max(unit, PRECISIONS[convention.arithmetic])
        smallest = max([2.0**-1074, *(float(np.finfo(d).smallest_normal) for d in dtypes)])
        x, w = operands(image, filters, convention.replace(arithmetic="exact"))
        terms = math.prod(w.shape[1:])
        factor = gamma(terms + 16, unit)
        if not math.isfinite(factor):
            factor = 4 * math.sqrt(terms) * unit
        stages = math.log2(2 * image.size + 2)
        size = (3 * FFT_STAGE * stages + 8) * norm(x) * norm(w) * _largest(convention.scale)
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


def _may_overflow(
    output: Array, expected: Array, sums: Array, convention: Convention, factor: float
) -> Array:
    """Where partial sums in some order can have left what is not finite in the output's dtype."""
    if output.dtype.kind not in "fc":
        return np.zeros(output.shape, bool)
    most = float(np.finfo(output.dtype).max)
    c = convention
    # The numbers before the scale may be larger than those after it.
    least = float(np.min(np.abs(c.scale)))
    sums = (sums / min(least or 1.0, 1.0)) * (1 + factor)
    if np.any(np.asarray(c.scale) != 1) or c.activation is not None or output.dtype.kind == "c":
        return sums >= most
    above, below = (sums + expected) / 2 >= most, (sums - expected) / 2 >= most
    return np.where(np.isnan(output), above & below, np.where(output > 0, above, below))


def _sums(image: Array, filters: Array, convention: Convention) -> Array:
    """S of what is before the activation."""
    sums = magnitude(image, filters, convention.replace(arithmetic="exact"))
    sums = sums * _largest(convention.scale)
    return sums if convention.bias is None else sums + _largest(convention.bias)


def _largest(numbers: Any) -> float:
    return float(np.max(np.abs(numbers)))


def overflow(
    image: Array, filters: Array, output: Array, convention: Convention
) -> tuple[str, str] | None:
    """Whether integers that are right and not exact wrapped or saturated, and in which dtype.

    None where both would have given the same.
    """
    name = output.dtype.name
    ways = [
        how
        for how in OVERFLOWS
        if check(
            image, filters, output, convention.replace(storage=Storage(name, overflow=how))
        ).matches
    ]
    return (ways[0], name) if len(ways) == 1 else None
