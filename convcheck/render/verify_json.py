"""verify's report as a JSON object; ``schemas/verify.json`` says what it holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from convcheck._version import __version__
from convcheck.checks.verify import stored
from convcheck.render import verify_words as words
from convcheck.render.report import SCHEMA_VERSION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convcheck.checks.verify import Cause, Finding, Model, Smallest, VerifyResult
    from convcheck.render.report import Report


def document(report: Report) -> dict[str, Any]:
    """The object; ``interrupted`` says that it is partial."""
    result: VerifyResult = report.result
    campaign = report.campaign
    if campaign is None:
        raise AssertionError("a report of verify has a campaign")
    part, of = campaign.shard
    found: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "command": report.command,
        "verdict": result.verdict,
        "exit_code": int(report.exit_code),
        "target": result.target,
        "convention": None if result.convention is None else result.convention.to_dict(),
        "in_words": words.name(result),
        "parameters": None if result.model is None else _parameters(result.model),
        "domain": [] if result.model is None else list(result.model.takes),
        "expect": None if campaign.expect is None else _plain(campaign.expect),
        "ran": result.ran,
        "passed": result.passed,
        "failed": result.failed,
        "skipped": dict(result.skipped),
        "integers": dict(result.integers),
        "findings": [_finding(f, report) for f in result.findings],
        "when": result.when,
        "does": result.does,
        "causes": [_cause(cause, report) for cause in result.causes],
        "smallest": None if result.smallest is None else _smallest(result.smallest, report),
        "nearest": next(iter(words.nearest(result)), None),
        "saved": report.saved,
        "notes": list(result.notes),
        "seed": report.seed,
        "cases": campaign.cases,
        "shard": {"part": part, "of": of},
        "interrupted": result.interrupted,
        "elapsed_s": round(result.elapsed, 6),
        "warnings": list(report.warnings),
    }
    workload = campaign.workload
    if workload is not None:
        found["workload"] = workload.file
    if result.record is not None and not result.interrupted:
        found["merge"] = {
            "version": __version__,
            "command": report.replay,
            "asked": campaign.asked,
            "fail_fast": campaign.fail_fast,
            "workload": None if workload is None else workload.digest,
            **stored.to_json(result.record),
        }
    return found


def _parameters(model: Model) -> dict[str, Any]:
    return {
        "passed": list(model.parameters),
        "layout": model.layout,
        "padding_rule": model.rule,
        "transposed": model.transposed,
        "gradients": list(model.gradients),
        "dtypes": list(model.dtypes),
    }


def _finding(finding: Finding, report: Report) -> dict[str, Any]:
    workload = report.campaign.workload if report.campaign else None
    problem = None if workload is None else workload.problem(finding.case)
    said = {} if problem is None else {"problem": {"name": problem.name, "line": problem.line}}
    return {
        **said,
        "kind": finding.kind,
        "gradient": finding.case.gradient or None,
        "detail": finding.detail,
        "id": finding.case.id,
        "replay": words.replay(report, finding),
        "case": asdict(finding.case),
    }


def _cause(cause: Cause, report: Report) -> dict[str, Any]:
    condition = cause.condition
    return {
        "kinds": list(cause.kinds),
        "gradient": cause.gradient or None,
        "failures": len(cause.cases),
        "when": cause.when,
        "failing": None if condition is None else condition.failing,
        "holding": None if condition is None else condition.holding,
        "does": cause.does,
        "smallest": None if cause.smallest is None else _finding(cause.smallest, report),
    }


def _smallest(smallest: Smallest, report: Report) -> dict[str, Any]:
    return {
        **_finding(smallest.finding, report),
        "image_shape": list(smallest.image.shape),
        "filters_shape": list(smallest.filters.shape),
        "actual_shape": _shape(smallest.actual),
        "expected_shape": _shape(smallest.expected),
    }


def _shape(array: NDArray[Any] | None) -> list[int] | None:
    return None if array is None else list(array.shape)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple) else value
