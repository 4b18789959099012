"""What the JSON of every command has in common."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from convcheck.render.report import SCHEMA_VERSION, Operand, Report

if TYPE_CHECKING:
    from convcheck.comparison import Number

_NAMES = {"IMG": "image", "W": "filters", "OUT": "output", "REF": "ref", "MINE": "mine"}


def head(report: Report) -> dict[str, Any]:
    """The first keys of every document."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": report.command,
        "verdict": report.verdict,
        "exit_code": int(report.exit_code),
        "inputs": {_NAMES[name]: operand(given) for name, given in report.operands.items()},
    }


def operand(given: Operand) -> dict[str, Any]:
    """Where an array came from, its shape and its dtype."""
    return {"path": given.path, "shape": list(given.shape), "dtype": given.dtype}


def number(value: Number) -> Any:
    """A number, or the two parts of a complex one; null for what JSON has no number for."""
    if isinstance(value, complex):
        return {"real": number(value.real), "imag": number(value.imag)}
    return value if math.isfinite(value) else None
