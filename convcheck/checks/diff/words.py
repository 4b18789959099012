"""The sentences of diff's report, the answer first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convcheck.words.plain import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convcheck.checks.diff.result import DiffResult, Relation

_NAMES = {"mine": ("MINE", "REF"), "ref": ("REF", "MINE")}


def sentences(result: DiffResult) -> list[str]:
    """The whole answer; a line that begins with two spaces is code."""
    return [f"{result.verdict}: {_answer(result)}.", *_body(result)]


def _answer(result: DiffResult) -> str:
    first = result.relations[0] if result.relations else None
    if result.verdict == "equal":
        return _equal(result)
    if result.verdict == "rounding":
        return _rounding(result, first)
    if result.verdict == "explained" and result.differences:
        return "; ".join(difference.words for difference in result.differences)
    if result.verdict in ("explained", "near-match") and first is not None:
        return relation(first)
    if result.verdict == "ambiguous":
        return "MINE is not REF, and this data cannot tell how it comes from it"
    return "MINE differs from REF, and convcheck found no relation that holds"


def _equal(result: DiffResult) -> str:
    same = result.dtypes[0] == result.dtypes[1]
    dtypes = "" if same else f", in {result.dtypes[1]} in place of {result.dtypes[0]}"
    count = result.spread.elements if result.spread is not None else 0
    every = "the one element" if count == 1 else f"all {count} elements"
    return f"MINE is REF to the last digit, {every}{dtypes}"


def _rounding(result: DiffResult, first: Relation | None) -> str:
    if first is None or result.reference is not None:
        return "REF and MINE are the same convolution, each within what rounding can explain"
    made, other = _NAMES[first.made]
    if first.steps:
        return f"{made} is {other} {listed(first.steps)}, all {first.elements} elements"
    return (
        f"MINE is REF but for rounding: {first.rounded} of {first.elements} elements differ, none "
        f"by more than {first.ulps:.2g} units in the last place of {first.format}"
    )


def relation(found: Relation) -> str:
    """An explanation in one sentence."""
    made, other = _NAMES[found.made]
    steps = f" {'; '.join(found.steps)}" if found.steps else ""
    said = f"{made} is {other},{steps}" if steps else f"{made} is {other}"
    if found.wrong is not None:
        said += f" but for {found.wrong.words}"
    if found.ulps:
        said += f", within {found.ulps:.2g} units in the last place of {found.format}"
    return said


def _body(result: DiffResult) -> Iterator[str]:
    many = len(result.relations) > 1
    for count, found in enumerate(result.relations, 1):
        if many:
            yield f"{count}. {relation(found)}."
        if found.steps:
            yield f"  {found.code}"
        if not many and found.outside:
            yield (
                f"{found.elements} elements of MINE have one in REF; {found.outside} have none, "
                "and nothing is said of them."
            )
        if not many and found.fix is not None:
            yield "To mend it:"
            yield f"  mine = {found.fix}"
    yield from (f"Why: {reason}." for reason in result.reasons)
    for side in (result.reference, result.mine):
        if side is not None:
            yield f"{side.in_words}."
    if result.differences:
        yield "What differs:" if len(result.differences) > 1 else "The one thing that differs:"
        for difference in result.differences:
            yield f"- {difference.words}."
            yield from (f"  {line}" for line in difference.fix.split("\n"))
    yield from _distribution(result)
    if result.unseen:
        yield f"Unseen: REF is unchanged by {listed(result.unseen)}, so it would not show them."


def _distribution(result: DiffResult) -> Iterator[str]:
    spread = result.spread
    if spread is None or result.verdict == "equal":
        return
    yield (
        f"As they are, {spread.equal} of {spread.elements} elements are equal. "
        "|MINE - REF|, the median, 99 % and the largest:"
    )
    rows = [("absolute", spread.absolute), ("relative", spread.relative)]
    rows.append((f"ULP of {spread.format}", spread.ulp))
    width = max(len(name) for name, _ in rows)
    for name, values in rows:
        if values is not None:
            yield f"  {name:{width}}  {'  '.join(f'{v:<9.3g}' for v in values).rstrip()}"
    if spread.worst is not None and spread.values is not None:
        at = ", ".join(map(str, spread.worst))
        yield f"Largest at [{at}]: {spread.values[0]:.9g} in REF, {spread.values[1]:.9g} in MINE."
    if result.agreement_bits is not None:
        yield f"{result.agreement_bits:.1f} bits agree."
    if any(spread.nonfinite):
        ref, mine = spread.nonfinite
        yield (
            f"NaN or infinite: {ref} in REF, {mine} in MINE; {spread.clash} of them are not the "
            "same in both."
        )
