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

    An implementation may sum in any order, or through an FFT: an element may be off by the larger
    of the two bounds, in the unit roundoff of the coarsest of its input's and output's dtypes
    and the convention's arithmetic.
    """
    expected = convolve(image, filters, convention)
    if output.shape != expected.shape:
        return Judgement(
            "wrong shape", f"gave {_shape(output.shape)}, expected {_shape(expected.shape)}"
        )
    note, dtype = None, output.dtype
    finite = np.isfinite(output)
    if not finite.all():
        bad = int(np.count_nonzero(~finite))
        if not _must_overflow(expected[~finite], dtype):
            return Judgement("not finite", f"{bad} of {output.size} elements are NaN or infinite")
        note = f"overflows {dtype} where the result is larger than it holds"
        output = np.where(finite, output, expected)
    sums = magnitude(image, filters, convention) * abs(convention.scale)
    if convention.bias is not None:
        sums = sums + float(np.max(np.abs(convention.bias)))
    if output.dtype.kind in "biu" and convention.arithmetic == "exact":
        return _judge_integers(output, expected, sums, image.dtype)
    bound = _bound(image, filters, dtype, sums, convention)
    seen = compare_outputs(output.astype(np.result_type(output, np.float64)), expected, bound, sums)
    return _from(seen, note)


def _from(seen: Comparison, note: str | None = None) -> Judgement:
    if seen.mismatched == 0:
        return Judgement("pass", comparison=seen, note=note)
    return Judgement(
        "wrong values",
        f"{seen.mismatched} of {seen.total} elements differ, the most at {seen.worst_index}: "
        f"{seen.actual} instead of {seen.expected}, threshold {seen.threshold:.3g}",
        seen,
    )


def _bound(
    image: Array, filters: Array, output: np.dtype[Any], sums: Array, convention: Convention
) -> Array:
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
    # No FFT computes in half precision; its result may be rounded to it, which the sums cover.
    finer = min(unit, 2.0**-24)
    spectral = (3 * FFT_STAGE * stages + 8) * finer * norm(image) * norm(filters)
    # Numbers below the smallest normal one may be flushed to zero, in any of the terms.
    return np.maximum(factor * sums, spectral * abs(convention.scale)) + 2 * terms * smallest


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


def _must_overflow(expected: Array, dtype: np.dtype[Any]) -> bool:
    """Whether each of these results is beyond the dtype, or within rounding of it."""
    if dtype.kind not in "fc":
        return False
    return bool((np.abs(expected) > float(np.finfo(dtype).max) / 8).all())


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def wrong(image: Array, filters: Array, output: Array, convention: Convention) -> Array | None:
    """Which elements are wrong; None where the shape is."""
    expected = convolve(image, filters, convention)
    if output.shape != expected.shape:
        return None
    sums = magnitude(image, filters, convention) * abs(convention.scale)
    if convention.bias is not None:
        sums = sums + float(np.max(np.abs(convention.bias)))
    bound = _bound(image, filters, output.dtype, sums, convention)
    with np.errstate(invalid="ignore", over="ignore"):
        seen: Array = ~(np.abs(output - expected) <= bound)
    return seen
