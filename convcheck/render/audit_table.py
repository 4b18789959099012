"""audit's report for a terminal or a log: the score, the blind spots, and what would see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from convcheck.render.convention_words import audit_command, sentence
from convcheck.render.terminal import (
    ASCII_BOX,
    PIPE_WIDTH,
    natural_width,
    operand_lines,
    path_text,
    text,
    to_string,
)
from convcheck.render.words import number

if TYPE_CHECKING:
    from rich.console import RenderableType

    from convcheck.checks.audit import AuditResult, Deviation
    from convcheck.render.report import Report, Style

READABLE = 60
"""Columns below which the blind spots are listed below each other, not in a table."""


def render(report: Report, style: Style) -> str:
    """The whole report, or its score alone where quiet was asked for."""
    result: AuditResult = report.result
    look = "bold yellow" if result.blind_spots else "bold green"
    look = "bold red" if report.exit_code else look
    verdict = text(verdict_line(result), style, look, whole=style.quiet)
    if style.quiet:
        return to_string([verdict], style)
    parts: list[RenderableType] = [verdict, Text(), *operand_lines(report.operands, style)]
    parts.append(text(f"{sentence(result.convention, report, 'The right result')}.", style))
    parts.append(Text())
    parts += _blind_spots(result, style)
    parts += [text(line, style) for line in remedy(report, result)]
    return to_string(parts, style)


def how(report: Report) -> list[str]:
    """How the score was come by."""
    result: AuditResult = report.result
    return [f"{result.total} mistakes made on purpose", f"time: {report.seconds:.2g} s"]


def verdict_line(result: AuditResult) -> str:
    """The answer, in one sentence."""
    line = f"{result.verdict}: this data sees {result.seen} of {result.total} mistakes"
    if result.min_score is not None:
        enough = "as" if result.score >= result.min_score else "not as"
        line += f", {enough} many as --min-score {number(result.min_score)} asks for"
    return f"{line}."


def _blind_spots(result: AuditResult, style: Style) -> list[RenderableType]:
    """The mistakes that stay unseen, those with the same reason together."""
    if not result.blind_spots:
        said = (
            "Every mistake of one kind changes the output, so a test with this data would show it."
        )
        return [text(said, style)]
    said = "These mistakes leave the output as it is, so a test with this data would pass:"
    parts: list[RenderableType] = [text(said, style)]
    width = style.width or PIPE_WIDTH
    reasons = dict.fromkeys(d.reason for d in result.blind_spots)
    grouped = [
        (reason, [d for d in result.blind_spots if d.reason == reason]) for reason in reasons
    ]
    if width < READABLE:
        for reason, alike in grouped:
            parts += [Text(), *(_cell(d, style, ": ") for d in alike)]
            parts.append(text(f"Why: {reason}.", style))
    else:
        parts.append(_table(grouped, width, style))
    return [*parts, Text()] if width < READABLE else parts


def _table(grouped: list[tuple[str | None, list[Deviation]]], width: int, style: Style) -> Table:
    table = Table(box=box.SIMPLE if style.unicode else ASCII_BOX, pad_edge=False, show_edge=True)
    for header in ("mistake", "why this data cannot see it"):
        table.add_column(header, overflow="fold")
    for reason, alike in grouped:
        for deviation in alike:
            why = reason if deviation is alike[0] else "likewise"
            table.add_row(
                _cell(deviation, style, "\n"),
                text(str(why), style),
                end_section=deviation is alike[-1],
            )
    # It may fold its sentences, at words: that is easier to read than a line beyond the edge.
    table.width = min(width, natural_width(table))
    return table


def _cell(deviation: Deviation, style: Style, between: str) -> Text:
    cell = text(f"{deviation.name}{between}{deviation.what}", style)
    cell.stylize("bold", 0, len(deviation.name))
    return cell


def remedy(report: Report, result: AuditResult) -> list[str]:
    """What would see more; a line of two spaces is a command."""
    proposal = result.proposal
    if proposal is None:
        if not result.blind_spots:
            return []
        return ["No small change of the data or of its shape was found that sees more."]
    every = "every mistake" if proposal.seen == proposal.total else "more"
    lines = [
        f"To see {every} ({proposal.seen} of {proposal.total}):",
        *(f"- {change}" for change in proposal.changes),
    ]
    if report.saved is not None:
        return [
            *lines,
            (
                f"Written to {path_text(report.saved)}: image.npy, filters.npy, and out.npy, which "
                "is what a right implementation makes of them."
            ),
        ]
    return [
        *lines,
        "This writes such a case, and what a right implementation makes of it, to a folder:",
        f"  {audit_command(report, result.convention, '--fix', 'case')}",
    ]
