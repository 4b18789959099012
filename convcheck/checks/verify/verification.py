"""Run an implementation over many cases, name what it does, and find the smallest case it fails."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from convcheck.campaign import Case, each
from convcheck.checks.verify.causes import Cause, causes, evidence, told
from convcheck.checks.verify.derivatives import probe_gradients
from convcheck.checks.verify.examination import OVERFLOW
from convcheck.checks.verify.explaining import PATIENCE, explained
from convcheck.checks.verify.integers import merged
from convcheck.checks.verify.learning import Probe
from convcheck.checks.verify.minimising import ALONE, Smallest, minimise, passes_alone, shown
from convcheck.checks.verify.probing import BUDGET, probe
from convcheck.checks.verify.remarks import remarks
from convcheck.checks.verify.shards import TOO_LARGE, Pace, Team, here, spread
from convcheck.checks.verify.tally import Seen, Tally
from convcheck.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from convcheck.checks.identify.nearest import Miss
    from convcheck.checks.verify.examination import Finding
    from convcheck.checks.verify.model import Model, Runner
    from convcheck.convention import Convention

Array = NDArray[Any]


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
    integers: Mapping[str, int]
    """By which rules of a dtype integers overflow, and in how many cases."""
    findings: tuple[Finding, ...]
    when: str | None
    """When it is wrong, in words."""
    does: str | None
    """What it does there instead, in words; where there are several causes, what the first does."""
    causes: tuple[Cause, ...]
    """Why it fails; the failures that nothing explains are the last, without a condition."""
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
    beside: bool = True,
    patience: float = PATIENCE,
    budget: float = BUDGET,
    team: Team | None = None,
    progress: Callable[[int], None] | None = None,
    more: Iterable[Case] = (),
    gradients: bool = False,
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
        beside: tell what the target failed beside ``cases``, while it was learnt what it does.
        patience: seconds to spend on what it does where it fails.
        budget: seconds to search for one output of a target that follows no usual convention.
        team: who runs the cases; this process where it is None.
        progress: called after every case with the number of failures so far.
        more: cases in place of those that the target refuses.
        gradients: whether its gradients are judged, of every case each, and not its output.

    Raises:
        InputError: a target that cannot be called at all.
    """
    begun = time.perf_counter()
    campaign = Tally(progress or (lambda _: None))
    learnt = Probe(None)
    smallest, does, interrupted = None, None, False
    found: list[Cause] = []
    pace = Pace()
    try:
        learn = probe_gradients if gradients else probe
        learnt = learn(runner, layout, expect or {}, budget)
        if learnt.model is not None:
            cases = each(cases, learnt.model.gradients)
            more = each(more, learnt.model.gradients)
            if team is None:
                seen = here(runner, learnt.model, cases, pace)
            else:
                seen = spread(team, learnt.model, learnt.control, cases, fail_fast=fail_fast)
            try:
                campaign.take(seen, fail_fast=fail_fast)
                others = here(runner, learnt.model, more, pace)
                _replaced(campaign, others, fail_fast=fail_fast)
            finally:
                if beside:
                    campaign.add(learnt.findings)
            found = causes(campaign)
            if campaign.findings:
                campaign.findings.sort(key=lambda finding: finding.kind == OVERFLOW)
                first = campaign.findings[0]
                if len(found) > 1:
                    given = (runner, learnt.model, found, campaign, patience)
                    found = told(*given, smaller=smaller)
                    does = found[0].does
                else:
                    does = explained(learnt.model, evidence(campaign), patience=patience)
                # That of a cause is within its condition, and stays so.
                known = found[0].smallest if found else None
                if known is None:
                    known = minimise(runner, learnt.model, first) if smaller else first
                smallest = shown(runner, learnt.model, known)
                if len(found) == 1:
                    found = [replace(found[0], does=does, smallest=known)]
                if smaller and passes_alone(runner, learnt.model, smallest.finding):
                    campaign.notes[ALONE] = None
            campaign.mixed()
            campaign.notes.update(dict.fromkeys(remarks(campaign, learnt.model)))
    except KeyboardInterrupt:
        interrupted = True
    model = learnt.model
    return VerifyResult(
        target=target,
        model=model,
        convention=_followed(learnt, campaign),
        nearest=learnt.nearest,
        ran=campaign.passed_count + campaign.failed_count,
        passed=campaign.passed_count,
        failed=campaign.failed_count,
        skipped=campaign.skipped,
        integers=merged(campaign.integers),
        findings=tuple(campaign.findings),
        when="; ".join(cause.when for cause in found if cause.when is not None) or None,
        does=does,
        causes=tuple(found),
        smallest=smallest,
        notes=(*learnt.notes, *campaign.notes),
        interrupted=interrupted,
        elapsed=time.perf_counter() - begun,
    )


def _replaced(campaign: Tally, others: Iterable[Seen], *, fail_fast: bool) -> None:
    """Other cases for those that the target refused, while most of what it is asked runs."""
    wanted = campaign.skipped_count - campaign.skipped.get(TOO_LARGE, 0)
    ran = campaign.passed_count + campaign.failed_count
    if not wanted or ran < wanted or campaign.ending(fail_fast=fail_fast) is not None:
        return
    for seen in islice(others, 2 * wanted):
        if seen.examined.skipped is None:
            campaign.take([seen], fail_fast=fail_fast)
            wanted -= 1
        if not wanted or campaign.ending(fail_fast=fail_fast) is not None:
            return


def _followed(learnt: Probe, campaign: Tally) -> Convention | None:
    """What the target does at the parameters' defaults, where it is known to do so."""
    model = learnt.model
    if model is None or (learnt.assumed and (campaign.failed_count or not campaign.passed_count)):
        return None
    channels = len(model.base.channel_order or "OI")  # of fewer an order says too little
    plain = Case(seed=0, number=0, channels=channels, filters=2, height=8, width=8)
    known = model if learnt.assumed or model.gradients else model.found()
    return known.forward(model.project(plain))
