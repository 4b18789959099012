"""model's report as a JSON object; ``schemas/model.json`` says what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convcheck.render.report import SCHEMA_VERSION

if TYPE_CHECKING:
    from convcheck.render.report import Report


def document(report: Report) -> dict[str, Any]:
    """The object, its layers in the order in which they ran."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": report.command,
        "verdict": report.result.verdict,
        "exit_code": int(report.exit_code),
        **report.result.to_dict(),
        "warnings": list(report.warnings),
    }
