"""The report as Markdown, for a pull request or a CI system's summary."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from convcheck.render import figures, table
from convcheck.render.export import title
from convcheck.render.report import Style
from convcheck.render.terminal import path_text, to_string
from convcheck.render.words import (
    explanation,
    number,
    oracle_call,
    reading,
    size,
    verdict_line,
    verdict_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from convcheck.checks.audit import AuditResult
    from convcheck.checks.compare import CompareResult
    from convcheck.render.report import Report

MARKS = {True: "✅", False: "❌"}


def render(report: Report, quiet: bool = False) -> str:
    """A heading with the verdict, then what the table says."""
    lines = [f"### {MARKS[not report.exit_code]} {title(report)}", ""]
    if not quiet:
        lines += _operands(report)
        lines += _BODIES.get(report.command, _as_it_is)(report)
        if report.warnings:
            lines += [*(f"- ⚠️ {prose(warning)}" for warning in report.warnings), ""]
        again = report.campaign.again if report.campaign else report.replay
        if report.seed is not None and again is not None:
            lines += [f"Seed {report.seed}. To run this again:", "", *fence([again])]
    return "\n".join(lines).rstrip("\n") + "\n"


def prose(text: str) -> str:
    """Text in which nothing is markup, on one line."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return re.sub(r"([\\`*_{}\[\]<>#|~@&!])", r"\\\1", shown)


def code(text: str) -> str:
    """A code span, in a table too."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text).replace("|", "\\|")
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    gap = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{ticks}{gap}{shown}{gap}{ticks}"


def fence(lines: Iterable[str]) -> list[str]:
    """A block of code, whatever is in it."""
    shown = ["".join(c if c.isprintable() else repr(c)[1:-1] for c in line) for line in lines]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    ticks = "`" * max(3, longest + 1)
    return [f"{ticks}text", *shown, ticks, ""]


def paragraphs(lines: Iterable[str]) -> Iterator[str]:
    """A report's sentences; those that begin with two spaces are code."""
    block: list[str] = []
    for line in [*lines, ""]:
        if line.startswith("  "):
            block.append(line[2:])
            continue
        if block:
            yield from fence(block)
            block = []
        yield from ([prose(line), ""] if line else [])


def _operands(report: Report) -> list[str]:
    rows = [
        f"| {name} | {'×'.join(map(str, given.shape))} | {given.dtype} | "
        f"{code(path_text(given.path))} |"
        for name, given in report.operands.items()
        if given.shape  # verify draws its own arrays, inspect lists them
    ]
    return rows and ["| array | shape | dtype | from |", "|---|---|---|---|", *rows, ""]


def _compare(report: Report) -> Iterator[str]:
    result: CompareResult = report.result
    yield " ".join([f"Judged against {code(oracle_call(result))}.", *map(prose, reading(result))])
    yield ""
    yield "| decomposition | verdict | elements that differ | largest difference | threshold |"
    yield "|---|---|---|---|---|"
    for row in result.decompositions:
        seen = row.comparison
        worst = "none"
        if seen.max_abs_diff > 0:
            index = ", ".join(map(str, seen.worst_index))
            worst = (
                f"{size(seen.max_abs_diff)} at ({index}): {number(seen.actual)}, "
                f"scipy {number(seen.expected)}"
            )
        verdict = "**MATCHES**" if row.matches else "DIFFERS"
        yield (
            f"| **{row.name}** {code(row.formula)} | {verdict} | "
            f"{seen.mismatched} of {seen.total} | {worst} | {size(seen.threshold)} |"
        )
    yield ""
    yield from paragraphs([f"{verdict_name(result)}: {verdict_line(result)}", *explanation(result)])
    if report.trials is not None:
        yield from paragraphs(table.trial_lines(report.trials))
    yield from fence_figures(report)


def fence_figures(report: Report) -> list[str]:
    """What --explain and --picture show, as they show it."""
    style = Style()
    parts = figures.render(report, style)
    return fence(to_string(parts, style).strip("\n").split("\n")) if parts else []


def _identify(report: Report) -> Iterator[str]:
    from convcheck.render import identify_table

    yield from paragraphs(identify_table.lines(report))
    yield from fence_figures(report)


def _diff(report: Report) -> Iterator[str]:
    from convcheck.checks.diff.words import sentences

    yield from paragraphs(sentences(report.result))
    yield from fence_figures(report)


def _model(report: Report) -> Iterator[str]:
    from convcheck.render import model_table

    yield "| layer | kind | convention | verdict | bits |"
    yield "|---|---|---|---|---|"
    for row in report.result.rows:
        name, *cells = model_table.cells(row)
        yield "| " + " | ".join([code(name), *map(prose, cells[:4])]) + " |"
    yield ""
    yield from paragraphs(model_table.sentences(report.result))


def _audit(report: Report) -> Iterator[str]:
    from convcheck.render import audit_table

    result: AuditResult = report.result
    yield prose(audit_table.verdict_line(result))
    yield ""
    if result.blind_spots:
        yield "| mistake | what it is | why this data cannot see it |"
        yield "|---|---|---|"
        for spot in result.blind_spots:
            yield f"| **{prose(spot.name)}** | {prose(spot.what)} | {prose(str(spot.reason))} |"
        yield ""
    remedy = audit_table.remedy(report, result)
    changes = [line for line in remedy if line.startswith("- ")]
    at = len(remedy) if not changes else remedy.index(changes[0])
    yield from paragraphs(remedy[:at])
    yield from (f"- {prose(change[2:])}" for change in changes)
    yield ""
    yield from paragraphs(remedy[at + len(changes) :])


def _verify(report: Report) -> Iterator[str]:
    from convcheck.render import verify_table

    yield from paragraphs(verify_table.lines(report))


def _as_it_is(report: Report) -> list[str]:
    return fence(table.render(report, Style()).strip("\n").split("\n"))


_BODIES = {
    "compare": _compare,
    "random": _compare,
    "identify": _identify,
    "audit": _audit,
    "diff": _diff,
    "verify": _verify,
    "model": _model,
}
