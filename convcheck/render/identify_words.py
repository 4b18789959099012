"""The sentences of identify's report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from convcheck.checks.identify.batch_norm import USUAL
from convcheck.checks.identify.norm_lines import BIAS, BOTH, EPSILON_ROW, MORE, NOT_JUDGED, ROWS
from convcheck.convention import Convention
from convcheck.errors import InputError
from convcheck.render.convention_words import compact, sentence
from convcheck.render.words import number, size
from convcheck.words import differences

if TYPE_CHECKING:
    from convcheck.checks.identify import Candidate, IdentifyResult
    from convcheck.checks.identify.batch_norm import Normalized
    from convcheck.checks.identify.nearest import Miss
    from convcheck.render.report import Report


def verdict_line(report: Report) -> str:
    """The answer, in one sentence."""
    result: IdentifyResult = report.result
    return f"{report.verdict}: {_answer(report, result)}."


def _answer(report: Report, result: IdentifyResult) -> str:
    if result.verdict == "identified":
        return sentence(result.candidates[0].convention, report)
    if result.verdict == "ambiguous":
        # A crowd of them is cut short: what is listed fits, but it may not be all that does.
        count = len(result.candidates)
        fits = f"{count} different conventions" if count > 1 else "more than one convention"
        return f"OUT fits {fits}, and this data cannot tell which of them made it"
    if result.verdict == "near-match":
        candidate = result.candidates[0]
        seen = candidate.comparison
        return (
            f"but for {seen.mismatched} of its {_elements(seen.total)}, "
            f"{sentence(candidate.convention, report)}"
        )
    return "convcheck found no convention that makes OUT from IMG and W"


def claim(result: IdentifyResult) -> dict[str, Any] | None:
    """What --expect asked for as JSON has it, over as many spatial axes as what was found."""
    if result.expect is None:
        return None
    wanted = _wanted(result) or Convention.from_dict(dict(result.expect))
    keys = wanted.to_dict()
    return {key: keys[key] for key in result.expect}


def _wanted(result: IdentifyResult) -> Convention | None:
    """What was found with the expected keys; None where they do not go together."""
    best = result.candidates[0] if result.candidates else result.nearest
    if best is None or result.expect is None:
        return None
    try:
        return best.convention.replace(**result.expect)
    except InputError:
        return None


def expectation(result: IdentifyResult) -> list[str]:
    """What --expect asked for, and what is otherwise; a line of two spaces and JSON is code."""
    wanted = claim(result)
    if wanted is None:
        return []
    asked = f"  {compact(wanted)}"
    if result.expect_met:
        who = "" if result.verdict != "ambiguous" else " by at least one of them"
        return [f"As expected{who}:", asked]
    other = _wanted(result)
    if not result.candidates or other is None:
        return ["Expected:", asked]
    found = "; ".join(differences(result.candidates[0].convention, other))
    one = f"It has {found}." if len(result.candidates) == 1 else f"The first has {found}."
    return ["Expected:", asked, one]


def batch_norm(result: IdentifyResult) -> list[str]:
    """What became of the batch normalization that was given; a line of two spaces is numbers."""
    found = result.batch_norm
    if found is None:
        return []
    lines = [f"Batch normalization: {_normalized(found)}."]
    if found.bias is not None:
        told = [None if b is None else float(f"{b:.7g}") for b in found.bias]
        lines += ["The convolution's bias, for each output channel:", f"  {json.dumps(told)}"]
    if found.also:
        said = "; or ".join(_row(name) for name in found.also)
        lines.append(f"This data does not tell that from: {said}.")
    if found.left is not None and found.left[1] > WIDE * found.left[0]:
        least, most = (f"{end:.2g}" for end in found.left)
        lines.append(f"This data does not tell ε: any from {least} to {most} fits as well.")
    if found.found is not None and found.expected is not None:
        (a, b), (c, d) = ((f"{v:.7g}" for v in pair) for pair in (found.found, found.expected))
        off = "1 output channel is" if found.off == 1 else f"{found.off} output channels are"
        lines.append(
            f"{off} off, most of all channel {found.channel}: scale {a} and bias {b} in OUT, {c} "
            f"and {d} by what was given."
        )
    return lines


WIDE = 2.0
"""So many times as large as the least is the largest ε where data do not tell it."""


def _row(name: str) -> str:
    return ROWS[name].words if name in ROWS else MORE[name]


def _normalized(found: Normalized) -> str:
    if found.holds is None:
        return f"not judged, as {MORE[NOT_JUDGED]}"
    if found.eps is None:
        return "what was given is not what was done"
    if found.holds:
        return f"as given, with an ε of {found.eps:g}"
    row = BIAS if found.verdict == BOTH else found.verdict
    clauses = [] if row == EPSILON_ROW else [_row(row)]
    if found.eps != found.given:
        whose = f": {USUAL[found.eps]}" if found.eps in USUAL else ""
        clauses.append(f"with an ε of {found.eps:g}, not {found.given:g}{whose}")
    return f"not as given, but {', and '.join(clauses)}"


def score(result: IdentifyResult) -> str:
    """What the answer takes in bits, beside the next one and OUT as it is."""
    first, *others = (candidate.score for candidate in result.candidates)
    costs = f"{'The first' if others else 'It'} costs {first.total:.0f} bits"
    beside = f"; the next {others[0].total:.0f}" if others else ""
    return f"{costs}{beside}; OUT itself {first.literal:.0f}."


def evidence(candidate: Candidate) -> list[str]:
    """How many elements fit, how well, and which of them fits worst."""
    seen = candidate.comparison
    bits = f"{seen.agreement_bits:.1f} bits agree"
    fits = f"Elements that fit: {seen.total - seen.mismatched} of {seen.total}"
    if seen.max_abs_diff == 0:
        return [f"{fits}, to the last digit: {bits}."]
    index = ", ".join(map(str, seen.worst_index))
    worst = (
        f"Worst element, at ({index}): {number(seen.actual)} in OUT, {number(seen.expected)} by "
        f"this convention; {size(seen.max_abs_diff)} apart, where rounding explains up to "
        f"{size(seen.threshold)}."
    )
    if seen.mismatched:
        return [
            f"{fits}.",
            f"Where it does not fit: {candidate.where}.",
            f"{worst} In the others {bits}.",
        ]
    explained = "within what rounding explains"
    if candidate.algorithm is not None:
        explained = f"within the bound of {candidate.algorithm}"
    return [f"{fits}, {explained}: {bits}.", worst]


def nearest(miss: Miss, report: Report) -> list[str]:
    """The nearest miss, never to be taken for an answer."""
    said = sentence(miss.convention, report, output="The nearest miss")
    seen = miss.comparison
    given = seen.total - seen.mismatched
    return [
        f"{said}. This is not an answer.",
        (
            f"It gives {given} of the {_elements(seen.total)}. Where it differs: {miss.where}. The "
            f"largest difference is {size(seen.max_abs_diff)}."
        ),
        (
            f"Correlation with OUT: {size(miss.correlation)}, where 1 would be the same numbers "
            f"but for a factor and an offset; the factor that fits best: {size(miss.scale)}."
        ),
    ]


def how(report: Report) -> list[str]:
    """How the answer was come by."""
    result: IdentifyResult = report.result
    explain = "none explains"
    if result.verdict in {"identified", "ambiguous"}:
        count = len(result.candidates)
        explain = f"{count} {'explains' if count == 1 else 'explain'}"
    return [
        f"{result.hypotheses} hypotheses considered, {explain} OUT",
        *_parts(result),
        f"time: {result.elapsed:.2g} s",
    ]


def _parts(result: IdentifyResult) -> list[str]:
    """What the best explanation's bits are for."""
    if not result.candidates:
        return []
    score = result.candidates[0].score
    names = ("keys", "numbers", "exceptions", "residual")
    parts = ", ".join(f"{name} {getattr(score, name):.1f}" for name in names)
    return [f"bits: {parts}; {score.gain:.0f} fewer than OUT itself"]


def _elements(count: int) -> str:
    return "1 element" if count == 1 else f"{count} elements"
