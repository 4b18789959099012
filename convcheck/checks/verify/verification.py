"""Run an implementation over many cases, name what it does, and find the smallest case it fails."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from convcheck.campaign import PARAMETERS, Case
from convcheck.checks.verify.conditions import condition
from convcheck.checks.verify.examination import KINDS, Examined, Finding, examine
from convcheck.checks.verify.instead import KEPT as EVIDENCE
from convcheck.checks.verify.instead import PATIENCE, Evidence, instead
from convcheck.checks.verify.minimising import Smallest, minimise, shown
from convcheck.checks.verify.probing import Probe, probe
from convcheck.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from convcheck.checks.identify.nearest import Miss
    from convcheck.checks.verify.model import Model, Runner
    from convcheck.convention import Convention

Array = NDArray[Any]

KEPT = 10
"""Findings that are reported in full."""
REMEMBERED = 4000
"""Cases that are kept to tell failing ones from passing ones; memory stays flat beyond them."""
REASONS = 20
"""Different reasons for a skip that are told apart."""
HANGS = 3
DEATHS = 25
"""Lost processes after which a campaign ends: each costs a time limit, or a new start."""
STARTING = 60.0
"""Seconds that new starts may take together, once as many processes were lost as may hang."""


@dataclass(frozen=True)
class VerifyResult:
    """How an implementation fared: ``pass``, ``fail``, ``unexplained`` or ``nothing-ran``."""

    target: str
    model: Model | None
    convention: Convention | None
    """The convention that the target follows where every parameter is at its default."""
    nearest: Miss | None
    """The nearest miss, where no convention explains the target."""
    ran: int
    passed: int
    failed: int
    skipped: Mapping[str, int]
    findings: tuple[Finding, ...]
    when: str | None
    """When it is wrong, in words."""
    does: str | None
    """What it does there instead, in words."""
    smallest: Smallest | None
    notes: tuple[str, ...]
    interrupted: bool
    elapsed: float

    @property
    def verdict(self) -> str:
        """``pass``, ``fail``, ``unexplained`` or ``nothing-ran``."""
        if self.failed:
            return "fail"
        if self.interrupted and not self.passed:
            return "nothing-ran"
        if self.model is None:
            return "unexplained"
        return "pass" if self.passed else "nothing-ran"

    @property
    def exit_code(self) -> ExitCode:
        """0 where every case that ran passes; 2 where none ran."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        codes = {"pass": ExitCode.OK, "nothing-ran": ExitCode.NOT_JUDGED}
        return codes.get(self.verdict, ExitCode.FAILED)


def put_to_test(
    runner: Runner,
    cases: Iterable[Case],
    *,
    target: str = "the target",
    layout: str | None = None,
    expect: Mapping[str, Any] | None = None,
    fail_fast: bool = False,
    smaller: bool = True,
    patience: float = PATIENCE,
    progress: Callable[[int], None] | None = None,
) -> VerifyResult:
    """Probe an implementation, then judge it over ``cases``.

    Args:
        runner: calls the implementation.
        cases: what it is put to, the small ones first.
        target: its name in the report.
        layout: how arrays are handed over; found by trying where it is None.
        expect: keys of the convention that it must follow, instead of the one that it is found to.
        fail_fast: end at the first failing case.
        smaller: make the first failing case smaller.
        patience: seconds to spend on what it does where it fails.
        progress: called after every case with the number of failures so far.

    Raises:
        InputError: a target that cannot be called at all.
    """
    begun = time.perf_counter()
    campaign = _Campaign(progress or (lambda _: None))
    learnt = Probe(None)
    smallest, does, interrupted = None, None, False
    try:
        learnt = probe(runner, layout, expect or {})
        if learnt.model is not None:
            campaign.run(runner, learnt.model, cases, fail_fast=fail_fast)
            if campaign.findings:
                does = instead(learnt.model, campaign.evidence, patience=patience)
                smallest = _smallest(runner, learnt.model, campaign.findings[0], smaller=smaller)
    except KeyboardInterrupt:
        interrupted = True
    model = learnt.model
    mishap = () if learnt.mishap is None or campaign.failed_count else (learnt.mishap,)
    return VerifyResult(
        target=target,
        model=model,
        convention=_followed(learnt, campaign),
        nearest=learnt.nearest,
        ran=campaign.passed_count + campaign.failed_count,
        passed=campaign.passed_count,
        failed=campaign.failed_count,
        skipped=campaign.skipped,
        findings=tuple(campaign.findings),
        when=_when(campaign),
        does=does,
        smallest=smallest,
        notes=(*learnt.notes, *mishap, *campaign.notes),
        interrupted=interrupted,
        elapsed=time.perf_counter() - begun,
    )


def _smallest(runner: Runner, model: Model, finding: Finding, *, smaller: bool) -> Smallest:
    return shown(runner, model, minimise(runner, model, finding) if smaller else finding)


def _followed(learnt: Probe, campaign: _Campaign) -> Convention | None:
    """What the target does at the parameters' defaults, where it is known to do so."""
    model = learnt.model
    if model is None or (learnt.assumed and (campaign.failed_count or not campaign.passed_count)):
        return None
    plain = Case(seed=0, number=0, channels=2, filters=2, height=8, width=8)
    known = model if learnt.assumed else model.found()
    return known.convention(plain.projected(*model.layouts, PARAMETERS))


_VERBS = {
    "crash": "it crashes",
    "hang": "it hangs",
    "wrong shape": "its output has the wrong shape",
    "not finite": "its output is not finite",
    "wrong values": "it is wrong",
    "changes its input": "it changes its input",
    "non-deterministic": "it is not deterministic",
}


def _when(campaign: _Campaign) -> str | None:
    """When it fails; kinds that fail alike are one, others are said one by one."""
    kinds = [kind for kind in KINDS if kind in campaign.failed]
    every = [case for kind in kinds for case in campaign.failed[kind]]
    whole = condition(every, campaign.passed)
    if len(kinds) > 1 and whole is not None:
        return f"it fails {whole.sentence}"
    said = []
    for kind in kinds:
        found = condition(campaign.failed[kind], campaign.passed)
        if found is not None:
            said.append(f"{_VERBS[kind]} {found.sentence}")
    return "; ".join(said) or None


class _Campaign:
    """The counts and findings of a run, filled case by case so that Ctrl-C loses none."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self.progress = progress
        self.passed: list[Case] = []
        self.passed_count = 0
        self.failed: dict[str, list[Case]] = {}
        self.failed_count = 0
        self.findings: list[Finding] = []
        self.evidence: list[Evidence] = []
        self.skipped: dict[str, int] = {}
        self.notes: dict[str, None] = {}
        self.hangs = self.deaths = 0
        self.starting = 0.0
        self.lost = False

    def run(self, runner: Runner, model: Model, cases: Iterable[Case], *, fail_fast: bool) -> None:
        for drawn in cases:
            case = model.project(drawn)
            lost, begun = self.deaths, time.perf_counter()
            self._count(case, examine(runner, model, case))
            if self.lost:
                self.starting += time.perf_counter() - begun
            self.lost = self.deaths > lost
            self.progress(self.failed_count)
            if fail_fast and self.failed_count:
                self.notes["ended at the first failing case"] = None
                return
            if self.hangs >= HANGS:
                self.notes[f"ended early: {self.hangs} cases hung"] = None
                return
            if self.deaths >= DEATHS:
                self.notes[f"ended early: the process was lost {self.deaths} times"] = None
                return
            if self.deaths >= HANGS and self.starting >= STARTING:
                self.notes[
                    f"ended early: the process was lost {self.deaths} times, and to start it "
                    f"again took {self.starting:.0f} s"
                ] = None
                return

    def _count(self, case: Case, seen: Examined) -> None:
        if seen.outcome is not None:
            self.hangs += seen.outcome.kind == "hang"
            self.deaths += seen.outcome.died
        if seen.skipped is not None:
            known = seen.skipped in self.skipped or len(self.skipped) < REASONS
            reason = seen.skipped if known else "other reasons"
            self.skipped[reason] = self.skipped.get(reason, 0) + 1
        elif seen.finding is not None:
            self._failed(seen.finding, seen)
        else:
            self.passed_count += 1
            if len(self.passed) < REMEMBERED:
                self.passed.append(case)
        if seen.note:
            self.notes.setdefault(seen.note)

    def _failed(self, finding: Finding, seen: Examined) -> None:
        self.failed_count += 1
        alike = self.failed.setdefault(finding.kind, [])
        if len(alike) < REMEMBERED:
            alike.append(finding.case)
        if len(self.findings) < KEPT:
            self.findings.append(finding)
        output = seen.outcome.output if seen.outcome else None
        if (
            output is not None
            and finding.kind in ("wrong values", "wrong shape")
            and len(self.evidence) < EVIDENCE
        ):
            self.evidence.append((finding.case, output))
