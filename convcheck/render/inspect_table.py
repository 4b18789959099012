"""inspect's report for a terminal or a log: a line an array."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from convcheck.render.terminal import ASCII_BOX, natural_width, path_text, text, to_string
from convcheck.render.words import shape_text, size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from convcheck.checks.inspect import Entry, InspectResult
    from convcheck.render.report import Report, Style

MOST = 500
"""Arrays that a table has room for; nobody reads as many."""
_HEADERS = ("array", "shape", "dtype", "smallest to largest", "looks like")


def render(report: Report, style: Style) -> str:
    """The table, then what is to be said of single arrays."""
    result: InspectResult = report.result
    count = len(result.entries)
    line = f"{result.verdict}: {count} array{'s' * (count != 1)} in {path_text(report.image.path)}"
    verdict = text(line, style, "bold red" if report.exit_code else "bold green", whole=True)
    if style.quiet:
        return to_string([verdict], style)
    parts: list[RenderableType] = [verdict]
    read = [entry for entry in result.entries if entry.trouble is None]
    if read:
        table = Table(box=box.SIMPLE if style.unicode else ASCII_BOX, pad_edge=False)
        for header in _HEADERS:
            table.add_column(Text(header), no_wrap=True, overflow="fold")
        for entry in read[:MOST]:
            table.add_row(*(text(cell, style) for cell in _cells(entry)))
        fits = style.width is None or natural_width(table) <= style.width
        parts += [table] if fits else [Text(), *(text(_said(e), style) for e in read[:MOST])]
        if len(read) > MOST:
            parts.append(text(f"and {len(read) - MOST} more: --json lists them all", style))
    told = 0
    for entry in result.entries:
        if entry.trouble is not None and (told := told + 1) <= MOST:
            parts.append(text(entry.trouble, style, "red"))
    if told > MOST:
        parts.append(text(f"and {told - MOST} more that cannot be read", style, "red"))
    return to_string(parts, style)


def how(report: Report) -> list[str]:
    """How long it took."""
    return [f"time: {report.seconds:.2g} s"]


def _cells(entry: Entry) -> tuple[str, str, str, str, str]:
    found = "no finite numbers" if entry.smallest is None else _range(entry)
    if entry.dtype.startswith("complex"):
        found = "complex"
    if entry.nonfinite:
        found += f", {entry.nonfinite} not finite"
    guesses = " or ".join(entry.guesses) or "neither image nor filters"
    return (path_text(entry.spec), shape_text(entry.shape) or "scalar", entry.dtype, found, guesses)


def _range(entry: Entry) -> str:
    low, high = entry.smallest, entry.largest
    if isinstance(low, complex) or isinstance(high, complex) or low is None or high is None:
        return ""
    return f"{size(low)} to {size(high)}"


def _said(entry: Entry) -> str:
    name, *facts = _cells(entry)
    return f"{name}: {', '.join(facts)}"
