"""The counts and findings of a run, filled case by case so that Ctrl-C loses none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convcheck.checks.verify.examination import OVERFLOW, Finding
from convcheck.checks.verify.explaining import KEPT as EVIDENCE
from convcheck.checks.verify.explaining import Evidence
from convcheck.convention.storage import OVERFLOWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from convcheck.campaign import Case
    from convcheck.checks.verify.examination import Examined

KEPT = 10
"""Findings that are reported in full."""
REMEMBERED = 4000
"""Cases that are kept to tell failing ones from passing ones; memory stays flat beyond them."""
TOO_LARGE = "too large for a target that is so slow"
REASONS = 20
"""Different reasons for a skip that are told apart."""
HANGS = 3
DEATHS = 25
"""Lost processes after which a campaign ends: each costs a time limit, or a new start."""
STARTING = 60.0
"""Seconds that new starts may take together, once as many processes were lost as may hang."""


@dataclass(frozen=True)
class Seen:
    """One case, how it went, and the seconds that it took."""

    case: Case
    examined: Examined
    seconds: float


class Tally:
    """How a campaign goes, and when it has gone on for long enough."""

    def __init__(self, progress: Callable[[int], None] = lambda _: None) -> None:
        self.progress = progress
        self.passed: list[Case] = []
        self.passed_count = 0
        self.failed: dict[str, list[Case]] = {}
        self.failed_count = 0
        self.findings: list[Finding] = []
        self.evidence: list[Evidence] = []
        self.skipped: dict[str, int] = {}
        self.refused: list[int] = []
        """The numbers of the cases that were skipped, but of those that would take too long."""
        self.notes: dict[str, None] = {}
        self.overflows: dict[str, dict[str, Case]] = {}
        self.integers: dict[str, int] = {}
        """How often integers overflow by a rule of their dtype."""
        self.hangs = self.deaths = 0
        self.starting = 0.0
        self.lost = False

    def take(self, cases: Iterable[Seen], *, fail_fast: bool) -> None:
        """Count cases until there are no more, or enough of them failed."""
        for seen in cases:
            self.count(seen)
            self.progress(self.failed_count)
            ending = self.ending(fail_fast=fail_fast)
            if ending is not None:
                self.notes[ending] = None
                return

    def ending(self, *, fail_fast: bool) -> str | None:
        """Why no more cases are to be run; None where they are.

        What is counted only grows: a part of a campaign that ends by itself ends the whole.
        """
        if fail_fast and self.failed_count:
            return "ended at the first failing case"
        if self.hangs >= HANGS:
            return f"ended early: {self.hangs} cases hung"
        if self.deaths >= DEATHS:
            return f"ended early: the process was lost {self.deaths} times"
        if self.deaths >= HANGS and self.starting >= STARTING:
            return (
                f"ended early: the process was lost {self.deaths} times, and to start it "
                f"again took {self.starting:.0f} s"
            )
        return None

    def count(self, one: Seen) -> None:
        """Count one case."""
        case, seen = one.case, one.examined
        if self.lost:
            self.starting += one.seconds
        self.lost = seen.outcome is not None and seen.outcome.died
        if seen.outcome is not None:
            self.hangs += seen.outcome.kind == "hang"
            self.deaths += seen.outcome.died
        if seen.skipped is not None:
            known = seen.skipped in self.skipped or len(self.skipped) < REASONS
            reason = seen.skipped if known else "other reasons"
            self.skipped[reason] = self.skipped.get(reason, 0) + 1
            if seen.skipped != TOO_LARGE:
                self.refused.append(case.number)
        elif seen.finding is not None:
            self._failed(seen.finding, seen)
        else:
            self.passed_count += 1
            if len(self.passed) < REMEMBERED:
                self.passed.append(case)
        if seen.overflow is not None:
            how, dtype = seen.overflow
            self.overflows.setdefault(dtype, {}).setdefault(how, case)
        if seen.note:
            self.notes.setdefault(seen.note)

    @property
    def mostly_ran(self) -> bool:
        """Whether cases were refused, and most of what was asked for ran."""
        return 0 < len(self.refused) <= self.passed_count + self.failed_count

    def add(self, findings: Iterable[Finding]) -> None:
        """Count what was found before the campaign, of the kinds that no case of it has shown.

        These cases were not drawn: nothing can be said from them about when the target fails.
        """
        others = [finding for finding in findings if finding.kind not in self.failed]
        self.failed_count += len(others)
        self.findings += others[: KEPT - len(self.findings)]
        if others:
            one = len(others) == 1
            self.notes[
                f"{len(others)} of the failures {'was' if one else 'were'} met in calls to learn "
                f"what it does, beside the cases asked for"
            ] = None

    def mixed(self) -> None:
        """Count it as wrong where a dtype wraps in one case and saturates in another.

        Either alone passes: the second of the two is the one that is found.
        """
        for dtype, ways in self.overflows.items():
            if len(ways) < len(OVERFLOWS):
                continue
            (first, before), (second, case) = ways.items()
            detail = (
                f"it {second}s at {dtype}, while it {first}s in the case {before.id}; each "
                "passes alone"
            )
            self.passed_count -= 1
            self.failed_count += 1
            if len(self.findings) < KEPT:
                self.findings.append(Finding("wrong values", detail, case))

    def _failed(self, finding: Finding, seen: Examined) -> None:
        self.failed_count += 1
        if finding.kind == OVERFLOW:
            self.integers[finding.detail] = self.integers.get(finding.detail, 0) + 1
        said_before = self.integers.get(finding.detail, 0) > 1
        alike = self.failed.setdefault(finding.kind, [])
        if len(alike) < REMEMBERED:
            alike.append(finding.case)
        if len(self.findings) < KEPT and not said_before:
            self.findings.append(finding)
        output = seen.outcome.output if seen.outcome else None
        if (
            output is not None
            and finding.kind in ("wrong values", "wrong shape")
            and len(self.evidence) < EVIDENCE
        ):
            self.evidence.append((finding.case, output))
