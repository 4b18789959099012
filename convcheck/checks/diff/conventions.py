"""What identify says of REF and of MINE, and what differs between the two conventions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from convcheck.checks.diff.result import DiffResult, Side
from convcheck.checks.identify import identify
from convcheck.errors import InputError
from convcheck.words import describe
from convcheck.words.differs import Difference, differences

if TYPE_CHECKING:
    from convcheck.checks.identify import IdentifyResult

Array = NDArray[Any]

EXPLAINED = ("identified", "ambiguous")
WIDE = ("exact", "float64", "float32")
TRIED = 8
"""Candidates of each that are held beside each other, where the data cannot tell."""


def conventions(
    result: DiffResult,
    outputs: tuple[Array, Array],
    operands: tuple[Array, Array],
    budget: float | None,
) -> DiffResult:
    """The result with the convention of each, and the verdict that these give."""
    found = [
        _identified(operands, output, name, budget)
        for output, name in zip(outputs, ("REF", "MINE"), strict=True)
    ]
    shapes = operands[0].shape, operands[1].shape
    sides = [
        Side(one, _words(one, name, shapes))
        for one, name in zip(found, ("REF", "MINE"), strict=True)
    ]
    apart = _fewest(found[0], found[1], shapes)
    reasons = [*result.reasons]
    verdict = result.verdict
    both = all(one.verdict in EXPLAINED for one in found)
    if both:
        # What each is made by says more than how the one could be made of the other.
        rounding = all(_is_rounding(d, found) for d in apart)
        verdict = "rounding" if rounding else "explained"
        reasons = []
    else:
        apart = ()
    if apart and any(one.verdict == "ambiguous" for one in found):
        reasons.append(
            "this data leaves more than one convention; these are the two with the least between"
        )
    warnings = tuple(dict.fromkeys(w for one in found for w in one.warnings))
    return replace(
        result,
        verdict=verdict,
        relations=() if verdict == "rounding" != result.verdict else result.relations,
        reasons=tuple(reasons),
        reference=sides[0],
        mine=sides[1],
        differences=apart,
        warnings=(*result.warnings, *warnings),
    )


def _identified(
    operands: tuple[Array, Array], output: Array, name: str, budget: float | None
) -> IdentifyResult:
    """Identify's answer, which speaks of the output by its name here."""
    try:
        found = identify(*operands, output, budget=budget)
    except InputError as error:
        said = (None if s is None else s.replace("OUT", name) for s in (error.got, error.hint))
        got, hint = said
        raise InputError(
            error.what.replace("OUT", name), got=got, expected=error.expected, hint=hint
        ) from None
    return replace(found, warnings=tuple(w.replace("OUT", name) for w in found.warnings))


def _is_rounding(difference: Difference, found: list[IdentifyResult]) -> bool:
    """Whether a difference is that of two precisions which rounding is counted in."""
    wide = all(one.candidates[0].convention.arithmetic in WIDE for one in found)
    return difference.key == "arithmetic" and wide


def _words(found: IdentifyResult, name: str, shapes: tuple[Any, Any]) -> str:
    if not found.candidates:
        return f"No convention was found that makes {name} from IMG and W"
    first = found.candidates[0]
    said = describe(first.convention, output=name, image_shape=shapes[0], filter_shape=shapes[1])
    if found.verdict == "near-match":
        return f"But for {first.where}, {said}"
    if found.verdict == "ambiguous":
        return f"{said} (one of {len(found.candidates)} conventions that fit)"
    return said


def _fewest(
    one: IdentifyResult, other: IdentifyResult, shapes: tuple[Any, Any]
) -> tuple[Difference, ...]:
    """What differs between the two candidates that have the least between them."""
    pairs = [
        differences(a.convention, b.convention, *shapes)
        for a in one.candidates[:TRIED]
        for b in other.candidates[:TRIED]
    ]
    return min(pairs, key=len, default=())
