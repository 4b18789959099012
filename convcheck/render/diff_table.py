"""diff's report for a terminal or a log: the answer first, then what it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from convcheck.checks.diff.words import sentences
from convcheck.render import figures
from convcheck.render.terminal import cut_lists, operand_lines, text, to_string

if TYPE_CHECKING:
    from convcheck.checks.diff import DiffResult
    from convcheck.render.report import Report, Style

LOOKS = {"equal": "bold green", "rounding": "bold green", "ambiguous": "bold yellow"}


def render(report: Report, style: Style) -> str:
    """The whole report, or its verdict alone where quiet was asked for."""
    result: DiffResult = report.result
    first, *body = sentences(result)
    look = LOOKS.get(result.verdict, "bold red")
    verdict = text(first, style, look, whole=style.quiet)
    if style.quiet:
        return to_string([verdict], style)
    parts = [verdict, Text(), *operand_lines(report.operands, style)]
    shown = cut_lists(body) if style.width is not None else body
    if shown:
        parts += [Text(), *(text(line, style) for line in shown)]
    parts += figures.render(report, style)
    return to_string(parts, style)


def how(report: Report) -> list[str]:
    """How the answer was come by."""
    result: DiffResult = report.result
    return [
        *(
            f"relation {n}: {found.cost:.0f} bits, the elements themselves {found.literal:.0f}"
            for n, found in enumerate(result.relations, 1)
        ),
        f"time: {report.seconds:.2g} s",
    ]
