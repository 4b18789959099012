"""The report for a terminal or a log: the diff table and the sentences under it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from convcheck.checks.inputs import place_names
from convcheck.render import figures
from convcheck.render.report import OTHERS, Operand, Report, Style, Trials
from convcheck.render.terminal import (
    ASCII_BOX,
    natural_width,
    operand_lines,
    path_text,
    text,
    to_string,
)
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
    from rich.console import RenderableType

    from convcheck.checks.compare import CompareResult, Decomposition

LOOKS = {
    "match": "bold green",
    "ambiguous": "bold yellow",
    "mismatch": "bold red",
    "partial": "bold red",
}


def render(report: Report, style: Style) -> str:
    """The whole report, or its verdict alone where quiet was asked for."""
    if report.command not in OTHERS:
        return _render(report, style)
    own: str = import_module(f"convcheck.render.{report.command}_table").render(report, style)
    return own


def _render(report: Report, style: Style) -> str:
    result: CompareResult = report.result
    said = verdict_name(result)
    verdict = text(
        f"{said}: {verdict_line(result)}",
        style,
        LOOKS[said],
        whole=style.quiet,
    )
    if style.quiet:
        return to_string([verdict], style)
    parts: list[RenderableType] = _heading(report, result, style)
    parts += [text(line, style) for line in reading(result)]
    table = _table(result, style)
    fits = style.width is None or natural_width(table) <= style.width
    parts.extend([table] if fits else _records(result, style))
    parts.append(verdict)
    parts.extend(text(line, style) for line in explanation(result))
    if report.trials is not None:
        parts.extend(text(line, style) for line in trial_lines(report.trials))
    parts.extend(figures.render(report, style))
    if report.seed is not None and report.replay is not None:
        parts.append(text(f"Seed {report.seed}. To run this again:", style))
        parts.append(text(f"  {report.replay}", style))
    return to_string(parts, style)


def _heading(report: Report, result: CompareResult, style: Style) -> list[RenderableType]:
    oracle = Operand(oracle_call(result), result.shape, result.dtype)
    return [*operand_lines({**report.operands, "scipy": oracle}, style)]


def _cells(row: Decomposition, style: Style) -> tuple[Text, Text, Text]:
    seen = row.comparison
    name = text(f"{row.name}\n{row.formula}", style)
    name.stylize("bold", 0, len(row.name))
    count = f"{'MATCHES' if row.matches else 'DIFFERS'}\n{seen.mismatched} of {seen.total}"
    worst = "none, every element is equal"
    if seen.max_abs_diff > 0:
        index = ", ".join(map(str, seen.worst_index))
        worst = (
            f"{size(seen.max_abs_diff)} at ({index})\n"
            f"{number(seen.actual)} here\n{number(seen.expected)} by scipy"
        )
    proof = f"threshold {size(seen.threshold)}, {seen.agreement_bits:.1f} bits agree"
    return (
        name,
        text(count, style, "green" if row.matches else "red"),
        text(f"{worst}\n{proof}", style),
    )


def _table(result: CompareResult, style: Style) -> Table:
    table = Table(box=box.SIMPLE if style.unicode else ASCII_BOX, pad_edge=False)
    place = f"({', '.join(place_names(result.rank))})"
    for header in ("decomposition", "differ", f"largest difference, at {place}"):
        table.add_column(Text(header), no_wrap=True, overflow="fold")  # a str would load emoji
    for row in result.decompositions:
        table.add_row(*_cells(row, style), end_section=True)
    return table


def _records(result: CompareResult, style: Style) -> list[RenderableType]:
    """The table's rows below each other, for a terminal that is too narrow for it."""
    parts: list[RenderableType] = [Text()]
    for row in result.decompositions:
        name, verdict, worst = _cells(row, style)
        parts.extend([name, Text(" ").join(verdict.split("\n")), worst, Text()])
    return parts


def trial_lines(trials: Trials) -> list[str]:
    """How the cases of ``--trials`` ended."""
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in trials.verdicts.items())
    lines = [f"{trials.count} cases: {verdicts}."]
    if trials.first_failure is not None:
        saved = path_text(trials.saved or "")
        lines.append(f"The first that fails is shown above and saved in {saved}. It alone again:")
        lines.append(f"  {trials.first_failure}")
    return lines
