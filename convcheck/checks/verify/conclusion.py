"""What a campaign says of its target: why it fails, the smallest case of it, and the result."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from convcheck.campaign import Case
from convcheck.checks.verify.causes import Cause, causes, evidence, told
from convcheck.checks.verify.examination import OVERFLOW
from convcheck.checks.verify.explaining import PATIENCE, explained
from convcheck.checks.verify.integers import merged
from convcheck.checks.verify.minimising import ALONE, Smallest, minimise, passes_alone, shown
from convcheck.checks.verify.remarks import remarks
from convcheck.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convcheck.checks.identify.nearest import Miss
    from convcheck.checks.verify.examination import Finding
    from convcheck.checks.verify.learning import Probe
    from convcheck.checks.verify.model import Model, Runner
    from convcheck.checks.verify.record import Record
    from convcheck.checks.verify.tally import Tally
    from convcheck.convention import Convention

Array = NDArray[Any]


@dataclass(frozen=True)
class Nearest:
    """What comes nearest to an output that nothing explains: ``right`` of ``total`` elements."""

    convention: Convention
    right: int
    total: int
    correlation: float

    @classmethod
    def of(cls, miss: Miss | None) -> Nearest | None:
        """The nearest miss of a search."""
        if miss is None:
            return None
        seen = miss.comparison
        return cls(miss.convention, seen.total - seen.mismatched, seen.total, miss.correlation)


@dataclass(frozen=True)
class VerifyResult:
    """How an implementation fared: ``pass``, ``fail``, ``unexplained`` or ``nothing-ran``."""

    target: str
    model: Model | None
    convention: Convention | None
    """The convention that the target follows where every parameter is at its default."""
    nearest: Nearest | None
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
    record: Record | None = field(default=None, repr=False, compare=False)
    """How each case went, where that was asked for: what shards are merged from."""

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


@dataclass
class Why:
    """Why a target fails, as far as it is known."""

    causes: list[Cause] = field(default_factory=list)
    does: str | None = None
    smallest: Smallest | None = None

    def look(
        self,
        runner: Runner | None,
        model: Model,
        campaign: Tally,
        *,
        patience: float = PATIENCE,
        smaller: bool = True,
    ) -> None:
        """Look into the failures, calling the target again where there is a ``runner``."""
        self.causes = causes(campaign)
        campaign.findings.sort(key=lambda finding: finding.kind == OVERFLOW)
        if campaign.findings and runner is not None:
            self._call(runner, model, campaign, patience, smaller)
        campaign.mixed()
        campaign.notes.update(dict.fromkeys(remarks(campaign, model)))

    def _call(
        self, runner: Runner, model: Model, campaign: Tally, patience: float, smaller: bool
    ) -> None:
        first = campaign.findings[0]
        if len(self.causes) > 1:
            given = (runner, model, self.causes, campaign, patience)
            self.causes = told(*given, smaller=smaller)
            self.does = self.causes[0].does
        else:
            self.does = explained(model, evidence(campaign), patience=patience)
        # That of a cause is within its condition, and stays so.
        known = self.causes[0].smallest if self.causes else None
        if known is None:
            known = minimise(runner, model, first) if smaller else first
        self.smallest = shown(runner, model, known)
        if len(self.causes) == 1:
            self.causes = [replace(self.causes[0], does=self.does, smallest=known)]
        if smaller and passes_alone(runner, model, self.smallest.finding):
            campaign.notes[ALONE] = None


def result(
    target: str,
    learnt: Probe,
    campaign: Tally,
    why: Why,
    *,
    interrupted: bool = False,
    elapsed: float = 0.0,
    record: Record | None = None,
) -> VerifyResult:
    """What was learnt, counted and explained, frozen."""
    return VerifyResult(
        target=target,
        model=learnt.model,
        convention=_followed(learnt, campaign),
        nearest=Nearest.of(learnt.nearest),
        ran=campaign.passed_count + campaign.failed_count,
        passed=campaign.passed_count,
        failed=campaign.failed_count,
        skipped=campaign.skipped,
        integers=merged(campaign.integers),
        findings=tuple(campaign.findings),
        when="; ".join(cause.when for cause in why.causes if cause.when is not None) or None,
        does=why.does,
        causes=tuple(why.causes),
        smallest=why.smallest,
        notes=(*learnt.notes, *campaign.notes),
        interrupted=interrupted,
        elapsed=elapsed,
        record=record,
    )


def _followed(learnt: Probe, campaign: Tally) -> Convention | None:
    """What the target does at the parameters' defaults, where it is known to do so."""
    model = learnt.model
    if model is None or (learnt.assumed and (campaign.failed_count or not campaign.passed_count)):
        return None
    channels = len(model.base.channel_order or "OI")  # of fewer an order says too little
    plain = Case(seed=0, number=0, channels=channels, filters=2, height=8, width=8)
    known = model if learnt.assumed or model.gradients else model.found()
    return known.forward(model.project(plain))
