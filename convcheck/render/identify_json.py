"""identify's report as a JSON object; ``schemas/identify.json`` says what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convcheck.render.convention_words import calls, sentence
from convcheck.render.figures_json import figures
from convcheck.render.identify_words import batch_norm, claim
from convcheck.render.json_parts import head, number

if TYPE_CHECKING:
    from convcheck.checks.audit import AuditResult
    from convcheck.checks.identify import Candidate, IdentifyResult
    from convcheck.checks.identify.batch_norm import Normalized
    from convcheck.checks.identify.nearest import Miss
    from convcheck.render.report import Report
    from convcheck.score import Score


def document(report: Report) -> dict[str, Any]:
    """The object, its candidates best first."""
    result: IdentifyResult = report.result
    return {
        **head(report),
        "found": result.verdict,
        "candidates": [_candidate(c, report) for c in result.candidates],
        "nearest": None if result.nearest is None else _nearest(result.nearest, report),
        "hypotheses": result.hypotheses,
        "elapsed_s": round(result.elapsed, 6),
        "expect": claim(result),
        "expect_met": result.expect_met,
        "batch_norm": None if result.batch_norm is None else _batch_norm(result),
        "strict": result.strict,
        "reasons": list(result.reasons),
        "remedy": result.remedy,
        "audit": None if result.audit is None else _audit(result.audit),
        "warnings": list(report.warnings),
        **figures(report),
    }


def _batch_norm(result: IdentifyResult) -> dict[str, Any]:
    found: Normalized = result.batch_norm  # type: ignore[assignment]
    return {
        "verdict": found.verdict,
        "holds": found.holds,
        "in_words": batch_norm(result),
        "eps_given": found.given,
        "eps": found.eps,
        "eps_left": None if found.left is None else list(found.left),
        "convolution_bias": None if found.bias is None else list(found.bias),
        "also": list(found.also),
        "channels_off": found.off,
        "channel": found.channel,
        "found": _line(found.found),
        "expected": _line(found.expected),
    }


def _line(pair: tuple[float, float] | None) -> dict[str, Any] | None:
    return None if pair is None else dict(zip(("scale", "bias"), map(number, pair), strict=True))


def _audit(audit: AuditResult) -> dict[str, Any]:
    return {
        "seen": audit.seen,
        "total": audit.total,
        "score": round(audit.score, 6),
        "blind_spots": [{"name": d.name, "reason": d.reason} for d in audit.blind_spots],
    }


def _candidate(candidate: Candidate, report: Report) -> dict[str, Any]:
    seen = candidate.comparison
    return {
        "convention": candidate.convention.to_dict(),
        "in_words": sentence(candidate.convention, report),
        "calls": calls(candidate.convention, report),
        "mismatched": seen.mismatched,
        "total": seen.total,
        "worst_index": list(seen.worst_index),
        "max_abs_diff": number(seen.max_abs_diff),
        "actual": number(seen.actual),
        "expected": number(seen.expected),
        "threshold": number(seen.threshold),
        "agreement_bits": round(seen.agreement_bits, 3),
        "algorithm": candidate.algorithm,
        "where": candidate.where,
        "score": _score(candidate.score),
    }


def _score(score: Score) -> dict[str, Any]:
    """The bits of each part, the sum and what the output takes as it is."""
    names = ("keys", "numbers", "exceptions", "residual", "total", "literal", "gain")
    return {name: round(getattr(score, name), 3) for name in names}


def _nearest(miss: Miss, report: Report) -> dict[str, Any]:
    seen = miss.comparison
    return {
        "convention": miss.convention.to_dict(),
        "in_words": sentence(miss.convention, report, output="The nearest miss"),
        "mismatched": seen.mismatched,
        "total": seen.total,
        "max_abs_diff": number(seen.max_abs_diff),
        "correlation": number(miss.correlation),
        "scale": number(miss.scale),
        "where": miss.where,
    }
