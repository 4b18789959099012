"""verify's report for a terminal or a log: what the target is, how it fared, where it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from convcheck.render import verify_words as words
from convcheck.render.terminal import path_text, text, to_string

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convcheck.checks.verify import VerifyResult
    from convcheck.render.report import Report, Style


def render(report: Report, style: Style) -> str:
    """The whole report, or its verdict alone where quiet was asked for."""
    result: VerifyResult = report.result
    look = "bold green" if result.exit_code == 0 else "bold red"
    verdict = text(words.verdict_line(result), style, look, whole=style.quiet)
    if style.quiet:
        return to_string([verdict], style)
    parts = [text(f"{words.name(result)}.", style, "bold"), verdict]
    parts += [text(line, style) for line in _body(report, result)]
    parts = [Text() if not part.plain else part for part in parts]
    return to_string(parts, style)


def lines(report: Report) -> list[str]:
    """The report's sentences; a line of two spaces is code."""
    result: VerifyResult = report.result
    return [f"{words.name(result)}.", words.verdict_line(result), *_body(report, result)]


def _body(report: Report, result: VerifyResult) -> Iterator[str]:
    yield ""
    yield from words.understood(result)
    yield from words.expectation(report, result)
    yield from words.skips(result)
    for note in result.notes:
        yield f"Note: {note}."
    yield from words.nearest(result)
    yield from words.failing(result)
    yield from words.causes(report, result)
    if result.findings:
        yield from _findings(report, result)
    if result.smallest is not None:
        yield from _smallest(report, result)
    yield from _cases(report)


def _findings(report: Report, result: VerifyResult) -> Iterator[str]:
    shown = len(result.findings)
    yield ""
    few = result.failed == shown
    yield "What failed:" if few else f"The first {shown} of {result.failed} failures:"
    for count, finding in enumerate(result.findings, 1):
        yield f"{count}. {words.kind(finding)}: {words.named(report, finding.case)}"
        yield f"   {finding.detail}"
        yield f"  {words.replay(report, finding)}"


def _smallest(report: Report, result: VerifyResult) -> Iterator[str]:
    smallest = result.smallest
    if smallest is None:
        return
    yield ""
    yield f"The smallest case that fails so: {words.named(report, smallest.finding.case)}."
    yield f"There: {words.kind(smallest.finding)}: {smallest.finding.detail.rstrip('.')}."
    if report.saved is not None:
        arrays = {
            "image": smallest.image,
            "filters": smallest.filters,
            "dout": smallest.upstream,
            "actual": smallest.actual,
            "expected": smallest.expected,
        }
        names = [f"{name}.npy" for name, array in arrays.items() if array is not None]
        yield f"Saved in {path_text(report.saved)}: {', '.join(names)}."
    yield "It alone again:"
    yield f"  {words.replay(report, smallest.finding)}"


def _cases(report: Report) -> Iterator[str]:
    campaign = report.campaign
    if campaign is None or campaign.only is not None:
        return
    part, of = campaign.shard
    shard = "" if of == 1 else f", shard {part}/{of}"
    listed = "" if campaign.workload is None else f" of {path_text(campaign.workload.file)}"
    yield f"Seed {report.seed}{shard}, {words.cases(campaign.cases)}{listed} asked for."
