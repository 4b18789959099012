"""audit's report as a JSON object; ``schemas/audit.json`` says what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convcheck.render.convention_words import sentence
from convcheck.render.json_parts import head

if TYPE_CHECKING:
    from convcheck.checks.audit import AuditResult, Deviation, Proposal
    from convcheck.render.report import Report


def document(report: Report) -> dict[str, Any]:
    """The object, its deviations in the order in which they were tried."""
    result: AuditResult = report.result
    return {
        **head(report),
        "convention": result.convention.to_dict(),
        "in_words": sentence(result.convention, report, output="The right result"),
        "seen": result.seen,
        "total": result.total,
        "score": round(result.score, 6),
        "min_score": result.min_score,
        "deviations": [_deviation(d) for d in result.deviations],
        "blind_spots": [d.name for d in result.blind_spots],
        "proposal": None if result.proposal is None else _proposal(result.proposal, report),
        "warnings": list(report.warnings),
    }


def _deviation(deviation: Deviation) -> dict[str, Any]:
    return {
        "name": deviation.name,
        "what": deviation.what,
        "convention": deviation.convention.to_dict(),
        "seen": deviation.seen,
        "reason": deviation.reason,
    }


def _proposal(proposal: Proposal, report: Report) -> dict[str, Any]:
    return {
        "changes": list(proposal.changes),
        "seen": proposal.seen,
        "total": proposal.total,
        "image_shape": list(proposal.image.shape),
        "filters_shape": list(proposal.filters.shape),
        "saved": report.saved,
    }
