"""inspect's report as a JSON object; ``schemas/inspect.json`` says what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convcheck.render.json_parts import number
from convcheck.render.report import SCHEMA_VERSION

if TYPE_CHECKING:
    from convcheck.checks.inspect import Entry, InspectResult
    from convcheck.render.report import Report


def document(report: Report) -> dict[str, Any]:
    """The object, its arrays in the file's order."""
    result: InspectResult = report.result
    return {
        "schema_version": SCHEMA_VERSION,
        "command": report.command,
        "verdict": result.verdict,
        "exit_code": int(report.exit_code),
        "file": report.image.path,
        "arrays": [_entry(entry) for entry in result.entries],
        "warnings": list(report.warnings),
    }


def _entry(entry: Entry) -> dict[str, Any]:
    if entry.trouble is not None:
        return {"spec": entry.spec, "trouble": entry.trouble}
    return {
        "spec": entry.spec,
        "shape": list(entry.shape),
        "dtype": entry.dtype,
        "smallest": None if entry.smallest is None else number(entry.smallest),
        "largest": None if entry.largest is None else number(entry.largest),
        "nonfinite": entry.nonfinite,
        "guesses": list(entry.guesses),
        "notes": list(entry.notes),
    }
