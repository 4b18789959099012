"""model's report for a terminal or a log: the verdict, why, and a line a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from convcheck.render.terminal import ASCII_BOX, natural_width, path_text, text, to_string
from convcheck.render.words import size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from convcheck.checks.model import ModelResult, Row
    from convcheck.render.report import Report, Style

_HEADERS = ("layer", "kind", "convention", "verdict", "bits", "time")


def render(report: Report, style: Style) -> str:
    """The verdict and why, then the table."""
    result: ModelResult = report.result
    look = "bold red" if report.exit_code else "bold green"
    first, *more = sentences(result)
    verdict = text(first, style, look, whole=style.quiet)
    if style.quiet:
        return to_string([verdict], style)
    parts: list[RenderableType] = [verdict, *(text(line, style) for line in more)]
    table = Table(box=box.SIMPLE if style.unicode else ASCII_BOX, pad_edge=False)
    for header in _HEADERS:
        table.add_column(Text(header), no_wrap=True, overflow="fold")
    for row in result.rows:
        table.add_row(
            *(text(cell, style) for cell in cells(row)),
            style="red" if row.verdict != "holds" else "",
        )
    fits = style.width is None or natural_width(table) <= style.width
    lines = [", ".join(cell for cell in cells(row) if cell) for row in result.rows]
    parts += [table] if fits else [Text(), *(text(line, style) for line in lines)]
    return to_string(parts, style)


def how(report: Report) -> list[str]:
    """Which layers took longest."""
    rows = sorted(report.result.rows, key=lambda row: -row.seconds)[:5]
    return [
        *(f"{path_text(row.name)}: {row.seconds:.2g} s" for row in rows),
        f"time: {report.seconds:.2g} s",
    ]


def cells(row: Row) -> tuple[str, ...]:
    """A layer's line."""
    name = row.name if row.partner is None else f"{row.partner} = {row.name}"
    bits = "" if row.bits is None else f"{row.bits:.1f}"
    verdict = row.verdict.upper() if row.verdict != "holds" else row.verdict
    return (path_text(name), row.kind, row.words, verdict, bits, f"{row.seconds:.2f} s")


def verdict_line(result: ModelResult) -> str:
    """The answer in a sentence."""
    count, bad = len(result.rows), result.departing
    alone = len(result.models) == 1
    if not bad and count == 1:
        said = "does what its attributes say" if alone else "does what A's does"
        return f"holds: the one convolution {said}, within proven bounds"
    if not bad:
        said = "do what their attributes say" if alone else "do what A's do"
        return f"holds: all {count} convolutions {said}, within proven bounds"
    which = path_text(bad[0].name)
    if count == 1:
        return f"departs: the one convolution {which} does not hold"
    if len(bad) == 1:
        return f"departs: the layer {which} alone of {count} convolutions does not hold"
    return (
        f"departs: the layer {which} is the first that does not hold; "
        f"{len(bad)} of {count} convolutions do not"
    )


def sentences(result: ModelResult) -> list[str]:
    """The verdict, then why each departing layer departs, then what was not judged."""
    lines = [verdict_line(result)]
    for row in result.departing:
        lines += ["", *why(row)]
    for row in result.untold:
        said = "; ".join(cause.words for cause in row.causes)
        name = path_text(row.name)
        lines += ["", f"{name} holds on this input, which could not tell: {said}."]
    lines += unseen(result)
    if result.others:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(result.others.items()))
        lines += ["", f"Not judged: {path_text(kinds)}."]
    drifts = [row for row in result.rows if row.drift]
    if drifts and not result.departing:
        last = max(drifts, key=lambda row: row.drift or 0.0)
        name = path_text(last.name)
        said = (
            f"The outputs drift apart by {last.drift:.2g} of their size at most (layer {name}). "
            "Every layer's own part of that is within what its arithmetic can do."
        )
        lines += ["", said]
    return lines


def unseen(result: ModelResult) -> list[str]:
    """Which mistakes the layers' inputs could not have shown, a line each."""
    layers: dict[tuple[str, bool], list[str]] = {}
    for row in result.rows:
        for one in row.unseen:
            layers.setdefault((one.words, one.any_input), []).append(path_text(row.name))
    lines = []
    for (words, always), (first, *rest) in layers.items():
        where = f"{first} and {len(rest)} more" if rest else first
        which = "No input could show" if always else "This input could not have shown"
        lines += ["", f"{which} in {where} {words}."]
    return lines


def why(row: Row) -> list[str]:
    """What is to be said of a layer that departs."""
    name = path_text(row.name)
    if row.verdict == "unpaired":
        return [f"{name}: {row.causes[0].words if row.causes else 'has no partner'}."]
    c = row.comparison
    wrong = f" ({c.mismatched} of {c.total} elements)" if c is not None else ""
    if not row.causes:
        said = (
            f"{name} departs{wrong}{_worst(row)}: no cause was found; its arrays, given to "
            "'convcheck identify --effort thorough', may tell more."
        )
        return [said]
    lines = []
    for cause in row.causes:
        lines.append(f"{name} departs{wrong}: {cause.words}.")
        if cause.fix:
            lines += ["To mend it:", f"  {cause.fix}"]
    return lines


def _worst(row: Row) -> str:
    """Where it is furthest off."""
    c = row.comparison
    if c is None or not c.mismatched:
        return ""
    return f", furthest by {size(c.max_abs_diff)} at {c.worst_index}"
