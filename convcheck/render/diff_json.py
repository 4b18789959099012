"""diff's report as a JSON object; ``schemas/diff.json`` says what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convcheck.render.figures_json import figures
from convcheck.render.json_parts import head

if TYPE_CHECKING:
    from convcheck.render.report import Report


def document(report: Report) -> dict[str, Any]:
    """The object, its relations the cheapest first."""
    return {
        **head(report),
        **report.result.to_dict(),
        "warnings": list(report.warnings),
        **figures(report),
    }
