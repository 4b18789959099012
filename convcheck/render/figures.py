"""What was asked for beside a report's table: --explain, --impulse, --picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convcheck.render import cell, explain, picture, strip

if TYPE_CHECKING:
    from rich.text import Text

    from convcheck.render.report import Report, Style


def render(report: Report, style: Style) -> list[Text]:
    """The figures below each other; nothing where none was asked for."""
    parts: list[Text] = []
    if report.explanation is not None:
        parts += explain.render(report.explanation, style)
    if report.cell is not None:
        parts += cell.render(report.cell, style)
    if report.impulse is not None:
        parts += explain.render_impulse(report.impulse, style)
    if report.windows is not None:
        parts += strip.render(report.windows, style)
    if report.picture is not None:
        parts += picture.render(report.picture, style)
    return parts
