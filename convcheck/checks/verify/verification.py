"""Run an implementation over many cases, name what it does, and find the smallest case it fails."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convcheck.campaign import Case, each
from convcheck.checks.verify.conclusion import VerifyResult, Why, result
from convcheck.checks.verify.derivatives import probe_gradients
from convcheck.checks.verify.explaining import PATIENCE
from convcheck.checks.verify.learning import Probe
from convcheck.checks.verify.probing import BUDGET, probe
from convcheck.checks.verify.record import Record
from convcheck.checks.verify.shards import Pace, Team, here, spread
from convcheck.checks.verify.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from convcheck.campaign import Wanted
    from convcheck.checks.verify.model import Model, Runner


def put_to_test(
    runner: Runner,
    cases: Iterable[Case | Wanted],
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
    more: Callable[[int], Iterable[Case]] | None = None,
    record: bool = False,
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
        more: says of a case's number which others are tried in its place where it is refused.
        record: keep how each case went, so that the reports of shards can be merged.
        gradients: whether its gradients are judged, of every case each, and not its output.

    Raises:
        InputError: a target that cannot be called at all.
    """
    begun = time.perf_counter()
    campaign = Tally(progress or (lambda _: None))
    learnt, why, interrupted = Probe(None), Why(), False
    kept = Record() if record else None
    pace = Pace()
    try:
        learn = probe_gradients if gradients else probe
        learnt = learn(runner, layout, expect or {}, budget)
        if kept is not None:
            kept.learnt = learnt
        if learnt.model is not None:
            if learnt.model.gradients:
                drawn = (case for case in cases if isinstance(case, Case))
                cases = each(drawn, learnt.model.gradients)
            if team is None:
                seen = here(runner, learnt.model, cases, pace)
            else:
                seen = spread(team, learnt.model, learnt.control, cases, fail_fast=fail_fast)
            try:
                campaign.take(seen if kept is None else kept.kept(seen), fail_fast=fail_fast)
                if more is not None:
                    others = Others(runner, learnt.model, more, pace)
                    others.take(campaign, kept, fail_fast=fail_fast)
            finally:
                if beside:
                    campaign.add(learnt.findings)
            why.look(runner, learnt.model, campaign, patience=patience, smaller=smaller)
    except KeyboardInterrupt:
        interrupted = True
    elapsed = time.perf_counter() - begun
    return result(
        *(target, learnt, campaign, why), interrupted=interrupted, elapsed=elapsed, record=kept
    )


@dataclass(frozen=True)
class Others:
    """The cases that may take the place of those that the target refuses."""

    runner: Runner
    model: Model
    more: Callable[[int], Iterable[Case]]
    pace: Pace

    def take(self, campaign: Tally, kept: Record | None, *, fail_fast: bool) -> None:
        """Count other cases for those that were refused, if most of what was asked for ran.

        A shard whose cases are kept runs them in any case: whether they count, the whole says.
        """
        if campaign.ending(fail_fast=fail_fast) is not None:
            return
        counted = campaign if campaign.mostly_ran else Tally()
        if counted is not campaign:
            if kept is None:
                return
            counted.hangs, counted.deaths = campaign.hangs, campaign.deaths
        for number in tuple(campaign.refused):
            for seen in here(self.runner, self.model, self.more(number), self.pace):
                if seen.examined.skipped is None:
                    counted.take([seen], fail_fast=fail_fast)
                    if kept is not None:
                        kept.add(seen, instead=number)
                    break
            if counted.ending(fail_fast=fail_fast) is not None:
                return
