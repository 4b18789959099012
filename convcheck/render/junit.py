"""The report as JUnit XML, which CI systems list among their tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from convcheck.render import table
from convcheck.render.report import Style
from convcheck.render.terminal import path_text
from convcheck.render.words import explanation, verdict_line, verdict_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convcheck.checks.audit import AuditResult
    from convcheck.checks.model import ModelResult
    from convcheck.checks.verify import VerifyResult
    from convcheck.render.report import Report


@dataclass(frozen=True)
class TestCase:
    """One line of a CI system's list. ``outcome`` is one of ``OUTCOMES``."""

    name: str
    outcome: str = "passed"
    kind: str = ""
    message: str = ""
    text: str = ""
    replay: str = ""
    """The command that runs it alone."""


OUTCOMES = ("passed", "failure", "error", "skipped")


def render(report: Report) -> str:
    """One suite: ``failure`` is a claim that does not hold, ``error`` a target that crashed."""
    cases = list(_CASES.get(report.command, _claim)(report))
    counts = [f'tests="{len(cases)}"']
    counts += [
        f'{plural}="{sum(case.outcome == outcome for case in cases)}"'
        for plural, outcome in (
            ("failures", "failure"),
            ("errors", "error"),
            ("skipped", "skipped"),
        )
    ]
    totals = f'{" ".join(counts)} time="{report.seconds:.3f}"'
    suite = f"convcheck {report.command}"
    each = f"{report.seconds / max(len(cases), 1):.3f}"
    # The list as a whole has no count of what was skipped in the schema of Jenkins.
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="convcheck" {" ".join(counts[:3])} time="{report.seconds:.3f}">',
        f"  <testsuite name={quoteattr(suite)} {totals}>",
    ]
    for case in cases:
        lines += _case(case, f"convcheck.{report.command}", each)
    lines.append(f"    <system-out>{_text(_table(report))}</system-out>")
    return "\n".join([*lines, "  </testsuite>", "</testsuites>", ""])


def _case(case: TestCase, classname: str, seconds: str) -> list[str]:
    opening = f'    <testcase name={_attribute(case.name)} classname="{classname}" time="{seconds}"'
    inside = []
    if case.outcome == "skipped":
        inside.append(f"<skipped message={_attribute(case.message)}/>")
    elif case.outcome != "passed":
        what = f"message={_attribute(case.message)} type={_attribute(case.kind)}"
        text = "\n".join(part for part in (case.text, case.replay) if part)
        inside.append(f"<{case.outcome} {what}>{_text(text)}</{case.outcome}>")
    if case.replay:
        inside.append(f"<system-out>{_text(case.replay)}</system-out>")
    if not inside:
        return [f"{opening}/>"]
    return [f"{opening}>", *(f"      {element}" for element in inside), "    </testcase>"]


def _claim(report: Report) -> Iterator[TestCase]:
    """The one claim of a command, with all that its report says where it does not hold."""
    name = " ".join(path_text(operand.path) for operand in report.operands.values())
    if report.exit_code:
        message = table.render(report, Style(quiet=True)).strip()
        yield TestCase(
            name, "failure", report.verdict, message, _table(report), report.replay or ""
        )
    else:
        yield TestCase(name, replay=report.replay or "")


def _random(report: Report) -> Iterator[TestCase]:
    """Each drawn case, by the command that draws it again."""
    cases = [(report.replay or "", report.result)] if report.trials is None else report.trials.cases
    for replay, result in cases:
        if result.exit_code:
            message = f"{verdict_name(result)}: {verdict_line(result)}"
            why = "\n".join([message, *explanation(result)])
            text = _table(report) if report.trials is None else why
            yield TestCase(replay, "failure", result.verdict, message, text, replay)
        else:
            yield TestCase(replay, replay=replay)


def _audit(report: Report) -> Iterator[TestCase]:
    """Each mistake that was made on purpose; one that stays unseen is a failure."""
    result: AuditResult = report.result
    replay = report.replay or ""
    for deviation in result.deviations:
        if deviation.seen:
            yield TestCase(deviation.name, replay=replay)
            continue
        why = f"{deviation.what}: not seen, because {deviation.reason}"
        # As many as --min-score asks for are seen: a build that goes by this file passes, too.
        outcome = "failure" if report.exit_code else "skipped"
        yield TestCase(deviation.name, outcome, "blind spot", why, why, replay)


def _verify(report: Report) -> Iterator[TestCase]:
    """The cases that passed as one, each finding, and each reason for which cases were skipped."""
    from convcheck.render import verify_words

    result: VerifyResult = report.result
    name = result.target
    replay = report.campaign.again if report.campaign else ""
    if result.passed:
        takes = () if result.model is None else result.model.takes
        domain = f" (it runs for: {', '.join(takes)})" if takes else ""
        yield TestCase(f"{name}: {result.passed} cases pass{domain}", replay=replay)
    for finding in result.findings:
        outcome = "error" if finding.kind in {"crash", "hang"} else "failure"
        case = f"{name}: {verify_words.named(report, finding.case)}"
        alone = verify_words.replay(report, finding)
        yield TestCase(
            case, outcome, verify_words.kind(finding), finding.detail, finding.detail, alone
        )
    for reason, count in result.skipped.items():
        yield TestCase(f"{name}: {count} cases skipped", "skipped", message=reason, replay=replay)
    if report.exit_code and not result.findings:
        line = verify_words.verdict_line(result)
        outcome = "error" if result.verdict == "nothing-ran" else "failure"
        yield TestCase(name, outcome, result.verdict, line, _table(report), replay)


def _model(report: Report) -> Iterator[TestCase]:
    """Each layer; kinds that are not judged are skipped."""
    from convcheck.render import model_table

    result: ModelResult = report.result
    replay = report.replay or ""
    for row in result.rows:
        if row.verdict == "holds":
            yield TestCase(row.name, replay=replay)
        else:
            lines = model_table.why(row)
            yield TestCase(row.name, "failure", row.verdict, lines[0], "\n".join(lines), replay)
    for kind, count in result.others.items():
        outcome = "failure" if result.strict else "skipped"
        why = f"layers of the kind {kind} are not judged"
        yield TestCase(f"{count} {kind}", outcome, "not judged", why, why, replay)


_CASES = {"model": _model, "random": _random, "audit": _audit, "verify": _verify}


def _table(report: Report) -> str:
    return "\n" + table.render(report, Style(width=None, color=False))


def _text(content: str) -> str:
    """Character data; XML has no escape for what it does not allow, so that is spelt out."""
    return escape("".join(c if _allowed(c) else repr(c)[1:-1] for c in content))


def _attribute(content: str) -> str:
    return quoteattr("".join(c if _allowed(c) else repr(c)[1:-1] for c in content))


def _allowed(character: str) -> bool:
    return character in "\t\n" or (character.isprintable() and character not in "\ufffe\uffff")
