"""identify's report for a terminal or a log: the answer first, then what it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from convcheck.calls import CANNOT
from convcheck.render import figures
from convcheck.render.convention_words import audit_command, calls, sentence, short_json
from convcheck.render.identify_words import (
    batch_norm,
    evidence,
    expectation,
    nearest,
    score,
    verdict_line,
)
from convcheck.render.terminal import cut_list, cut_lists, operand_lines, text, to_string
from convcheck.words import differences, mended

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convcheck.checks.identify import IdentifyResult
    from convcheck.convention import Convention
    from convcheck.render.report import Report, Style

LISTED = 8
"""How many of the conventions that cannot be told apart are listed; JSON has them all."""
LIBRARIES = {
    "scipy": "NumPy and SciPy",
    "torch": "PyTorch",
    "onnx": "ONNX, where Conv(...) and its like stand for the operator",
    "jax": "JAX",
    "tensorflow": "TensorFlow",
}


def render(report: Report, style: Style) -> str:
    """The whole report, or its verdict alone where quiet was asked for."""
    result: IdentifyResult = report.result
    look = "bold green" if result.verdict == "identified" else "bold yellow"
    look = "bold red" if report.exit_code else look
    verdict = text(verdict_line(report), style, look, whole=style.quiet)
    if style.quiet:
        return to_string([verdict], style)
    parts = [verdict, *(text(line, style) for line in expectation(result))]
    if result.batch_norm is not None:
        numbers = batch_norm(result)
        shown = [cut_list(line) for line in numbers] if style.width is not None else numbers
        parts += [text(line, style) for line in shown]
    parts.append(Text())
    parts += operand_lines(report.operands, style)
    parts.append(Text())
    body = list(_BODIES[result.verdict](report, result))
    cut = cut_lists(body) if style.width is not None else body
    parts += [text(line, style) for line in cut]
    parts += figures.render(report, style)
    return to_string(parts, style)


def lines(report: Report) -> list[str]:
    """The report's sentences, without its operands; a line of two spaces is code."""
    result: IdentifyResult = report.result
    said = [verdict_line(report), *expectation(result), *batch_norm(result), ""]
    return [*said, *_BODIES[result.verdict](report, result)]


def _one(report: Report, result: IdentifyResult) -> Iterator[str]:
    candidate = result.candidates[0]
    yield from evidence(candidate)
    yield score(result)
    yield from mended(candidate.convention, report.image.shape, report.filters.shape)
    yield from (f"{reason[:1].upper()}{reason[1:]}." for reason in result.reasons)
    if result.reasons and result.strict:
        yield "With --strict that is a failure: other filters would tell."
    yield from _said(candidate.convention)
    yield from _code(candidate.convention, report)


def _ambiguous(report: Report, result: IdentifyResult) -> Iterator[str]:
    first = result.candidates[0].convention
    listed = result.candidates[:LISTED]
    for count, candidate in enumerate(listed, 1):
        if count > 1:
            yield ""
        yield f"{count}. {sentence(candidate.convention, report)}."
        yield from mended(candidate.convention, report.image.shape, report.filters.shape)
        if count > 1:
            yield f"Unlike 1: {'; '.join(differences(candidate.convention, first))}."
        yield f"  {short_json(candidate.convention)}"
    yield ""
    yield score(result)
    if len(result.candidates) > len(listed):
        yield f"And {len(result.candidates) - len(listed)} more, which --json lists."
    yield from (f"Why: {reason}." for reason in result.reasons)
    if result.remedy is not None:
        yield f"To tell them apart: {result.remedy}."
    yield "Each gives all of OUT; --json has the code for each."
    if result.audit is not None:
        blind = [spot.name for spot in result.audit.blind_spots]
        more = [f"{len(blind) - LISTED} more"] if len(blind) > LISTED else []
        yield (
            f"Audit: this data sees {result.audit.seen} of {result.audit.total} mistakes that an "
            f"implementation could make. Unseen: {', '.join([*blind[:LISTED], *more])}. The whole "
            "of it, and what data would do:"
        )
    yield f"  {audit_command(report, first)}"
    if result.strict:
        yield "With --strict an answer that is not the only one is a failure."


def _unexplained(report: Report, result: IdentifyResult) -> Iterator[str]:
    if result.nearest is None:
        yield "Nothing comes near it."
    else:
        yield from nearest(result.nearest, report)
        yield f"  {short_json(result.nearest.convention)}"
    yield ""
    yield (
        "To do: check that OUT was made from these two arrays, by one convolution, with nothing "
        "after it but a scale, a bias, an activation and rounding."
    )
    if report.filters.dtype == "uint8":
        yield "If W is quantized, subtract its zero point first: it is not looked for."


def _said(convention: Convention) -> Iterator[str]:
    yield ""
    yield "The convention as JSON, which --expect takes too; what it leaves out is the default:"
    yield f"  {short_json(convention)}"


def _code(convention: Convention, report: Report) -> Iterator[str]:
    yield ""
    yield "As code, where image and filters are IMG and W as NumPy arrays:"
    for library, code in calls(convention, report).items():
        if code == CANNOT:
            yield f"{LIBRARIES[library]}: {CANNOT}"
            continue
        yield f"{LIBRARIES[library]}:"
        yield from (f"  {line}" for line in code.split("\n"))


_BODIES = {
    "identified": _one,
    "ambiguous": _ambiguous,
    "near-match": _one,
    "unexplained": _unexplained,
}
