"""Two results and a proven bound in, one frozen judgement out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Array = NDArray[Any]
Number = int | float | complex

FULL_BITS = 53.0
"""The agreement that is reported where nothing differs at all."""


@dataclass(frozen=True)
class Comparison:
    """How two results of the same shape differ, beyond what rounding can explain.

    ``worst_index`` is the element with the largest difference: among those that differ beyond
    their threshold if there are any, among all otherwise; ``actual``, ``expected`` and
    ``threshold`` are the values there. ``agreement_bits`` is -log2(max |difference| / S), where an
    S below the threshold, as an FFT can have it, counts as the threshold. The command ``compare``
    has it of the worst element alone, as it makes no other S.
    """

    mismatched: int
    total: int
    max_abs_diff: float
    worst_index: tuple[int, ...]
    actual: Number
    expected: Number
    threshold: float
    agreement_bits: float

    @property
    def matches(self) -> bool:
        """Whether every element agrees, and there is one."""
        return self.total > 0 and self.mismatched == 0

    def _rank(self) -> tuple[bool, float, tuple[int, ...]]:
        return (self.mismatched > 0, self.max_abs_diff, tuple(-i for i in self.worst_index))


def number(element: Any) -> Number:
    """An element of an array as a number of Python's: a long double as the nearest float."""
    kind = element.dtype.kind
    if kind in "fc":
        return complex(element) if kind == "c" else float(element)
    whole: int = element.item()
    return whole


def compare(
    actual: Array,
    expected: Array,
    threshold: Array | float,
    magnitude: Array,
    origin: Sequence[int] = (),
) -> Comparison:
    """Judge every element of ``actual`` against ``expected``: equal within ``threshold``, or not.

    ``magnitude`` is S, what the agreement in bits is measured by. ``origin`` is where a part begins
    in the whole result, so that indices mean the same in every part.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(actual - expected).astype(np.float64)
    beyond = ~(difference <= threshold)  # not >, which is false for NaN: a NaN is no agreement
    difference = np.where(np.isnan(difference), np.inf, difference)
    mismatched = int(np.count_nonzero(beyond))
    ranked = np.where(beyond, difference, -1.0) if mismatched else difference
    worst = np.unravel_index(int(np.argmax(ranked)), difference.shape)
    start = origin or (0,) * difference.ndim
    return Comparison(
        mismatched=mismatched,
        total=difference.size,
        max_abs_diff=float(difference[worst]),
        worst_index=tuple(int(i) + int(o) for i, o in zip(worst, start, strict=True)),
        actual=number(actual[worst]),
        expected=number(expected[worst]),
        threshold=float(np.broadcast_to(threshold, difference.shape)[worst]),
        agreement_bits=_agreement(difference, magnitude, threshold),
    )


def merge(parts: Iterable[Comparison]) -> Comparison:
    """The judgement of the whole from those of its parts, in any order and any grouping."""
    parts = list(parts)
    return replace(
        max(parts, key=Comparison._rank),
        mismatched=sum(p.mismatched for p in parts),
        total=sum(p.total for p in parts),
        agreement_bits=min(p.agreement_bits for p in parts),
    )


def _agreement(difference: Array, magnitude: Array, threshold: Array | float) -> float:
    if not difference.any():
        return FULL_BITS
    scale = np.maximum(np.maximum(magnitude, threshold), 2.0**-1074)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        ratio = float(np.max(difference / scale))
    if ratio == 0:  # it underflowed
        return FULL_BITS
    return min(FULL_BITS, max(0.0, -math.log2(ratio)))
