"""The report as JSON: everything the table says, with a version and never a NaN."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

from convcheck.reference import NAME
from convcheck.render.figures_json import figures
from convcheck.render.json_parts import head, number
from convcheck.render.report import OTHERS

if TYPE_CHECKING:
    from convcheck.checks.compare import CompareResult, Decomposition
    from convcheck.render.report import Report


def render(report: Report) -> str:
    """One JSON object, indented, ending in a newline."""
    return json.dumps(to_dict(report), indent=2, allow_nan=False) + "\n"


def to_dict(report: Report) -> dict[str, Any]:
    """The object that :func:`render` writes; ``convcheck/schemas`` says what it holds."""
    if report.command not in OTHERS:
        return _document(report)
    own: dict[str, Any] = import_module(f"convcheck.render.{report.command}_json").document(report)
    return own


def _document(report: Report) -> dict[str, Any]:
    result: CompareResult = report.result
    document: dict[str, Any] = {
        **head(report),
        "rank": result.rank,
        "partial": result.interrupted,
        "expect": result.expect,
        "strict": result.strict,
        "reference": {
            "name": NAME,
            "method": result.method,
            "shape": list(result.shape),
            "dtype": result.dtype,
            "exact": result.exact,
        },
        "decompositions": [_decomposition(row) for row in result.decompositions],
        "matching": list(result.matching),
        "same_operation": [
            {"names": list(same.names), "because": same.because} for same in result.same_operation
        ],
        "indistinguishable": [list(blind.names) for blind in result.indistinguishable],
        "blindness": [
            {"names": list(b.names), "reason": b.reason, "remedy": b.remedy}
            for b in result.indistinguishable
        ],
        "warnings": list(report.warnings),
    }
    document |= figures(report)
    if report.seed is not None:
        document |= {"seed": report.seed, "replay": report.replay}
    if report.trials is not None:
        trials = report.trials
        document["trials"] = {
            "count": trials.count,
            **trials.verdicts,
            "first_failure": trials.first_failure,
            "saved": trials.saved,
        }
    return document


def _decomposition(row: Decomposition) -> dict[str, Any]:
    seen = row.comparison
    return {
        "name": row.name,
        "formula": row.formula,
        "flip": list(row.flip),
        "matches": row.matches,
        "mismatched": seen.mismatched,
        "total": seen.total,
        "max_abs_diff": number(seen.max_abs_diff),
        "worst_index": list(seen.worst_index),
        "actual": number(seen.actual),
        "expected": number(seen.expected),
        "threshold": number(seen.threshold),
        "agreement_bits": round(seen.agreement_bits, 3),
    }
