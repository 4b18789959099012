"""Why an implementation fails: one cause or several, each with its condition and what it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convcheck.call_text import GRADIENTS
from convcheck.checks.verify.conditions import Condition, cover
from convcheck.checks.verify.examination import IN_TURNS, KINDS, OVERFLOW, Finding, examine
from convcheck.checks.verify.explaining import explained
from convcheck.checks.verify.minimising import minimise, weight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from convcheck.campaign import Case
    from convcheck.checks.verify.explaining import Evidence
    from convcheck.checks.verify.model import Model, Runner
    from convcheck.checks.verify.tally import Tally

LOOKED_AT = 4
"""Causes of which it is said what the target does there."""
CALLS = 8
"""Cases that are called again to tell."""

_VERBS = {
    "crash": "it crashes",
    "hang": "it hangs",
    "wrong shape": "its output has the wrong shape",
    "missing gradient": "it is missing",
    "not finite": "its output is not finite",
    "wrong values": "it is wrong",
    "changes its input": "it changes its input",
    "non-deterministic": "it is not deterministic",
    "kept from an earlier call": "it computes with what an earlier call was given",
    "overwritten by a later call": "a later call overwrites its result",
}


@dataclass(frozen=True)
class Cause:
    """Failures with one condition in common; those that have none are the last, without one."""

    kinds: tuple[str, ...]
    condition: Condition | None
    cases: tuple[Case, ...]
    """Those that no cause before it explains."""
    does: str | None = None
    smallest: Finding | None = None

    @property
    def when(self) -> str | None:
        """What fails and when, in words."""
        if self.condition is None:
            return None
        verb = _VERBS[self.kinds[0]] if len(self.kinds) == 1 else "it fails"
        among = ", of those with other calls around" if set(self.kinds) <= set(IN_TURNS) else ""
        of = f"{self.gradient}: " if self.gradient else ""
        verb = verb.replace("its output", "it") if of else verb
        return f"{of}{verb} {self.condition.sentence}{among}"

    @property
    def gradient(self) -> str:
        """Which gradient is wrong, if one was asked for."""
        return self.cases[0].gradient


def causes(campaign: Tally) -> list[Cause]:
    """The causes; kinds of failures that have one in common are one, those of one gradient alone.

    How integers overflow is not among them: a dtype's rule explains it.
    """
    found: list[Cause] = []
    for which in ("", *GRADIENTS):
        failed = {
            kind: [case for case in campaign.failed[kind] if case.gradient == which]
            for kind in KINDS
            if kind in campaign.failed and kind != OVERFLOW
        }
        passed = [case for case in campaign.passed if case.gradient == which]
        found += _causes({kind: cases for kind, cases in failed.items() if cases}, passed)
    return sorted(found, key=lambda cause: cause.condition is None)


def _causes(failed: Mapping[str, list[Case]], everywhere: Sequence[Case]) -> list[Cause]:
    kinds = [*failed]
    every = [case for cases in failed.values() for case in cases]
    if len(kinds) > 1:
        found = cover(every, everywhere)
        if len(found) == 1 and all(map(found[0].holds, every)):
            return [Cause(tuple(kinds), found[0], tuple(every))]
    said: list[Cause] = []
    rest: list[tuple[str, Case]] = []
    for kind in kinds:
        passed = everywhere
        if kind in IN_TURNS:
            passed = [case for case in passed if case.in_turns]
        left = failed[kind]
        for condition in cover(left, passed):
            said.append(Cause((kind,), condition, tuple(filter(condition.holds, left))))
            left = [case for case in left if not condition.holds(case)]
        rest += [(kind, case) for case in left]
    if rest:
        others = tuple(dict.fromkeys(kind for kind, _ in rest))
        said.append(Cause(others, None, tuple(case for _, case in rest)))
    return said


def evidence(campaign: Tally) -> list[Evidence]:
    """Wrong outputs that a cause alone can explain.

    Where integers overflow by a rule of their dtype, a cause and the rule may both be at work in
    one output: those of floats say more.
    """
    floats = [pair for pair in campaign.evidence if _floats(pair[0])]
    return floats if campaign.integers and floats else campaign.evidence


def _floats(case: Case) -> bool:
    return "int" not in case.dtype


def told(
    runner: Runner,
    model: Model,
    found: Sequence[Cause],
    campaign: Tally,
    patience: float,
    *,
    smaller: bool,
) -> list[Cause]:
    """The causes, each with what the target does there and the smallest case of it."""
    said = []
    plain = evidence(campaign)
    for count, cause in enumerate(found):
        if count >= LOOKED_AT or cause.condition is None:
            said.append(cause)
            continue
        within = _within(cause, [other for other in found if other is not cause])
        shown = [case for case in cause.cases if within(case)]
        inside = [pair for pair in plain if pair[0] in shown]
        if campaign.integers:
            shown = [*filter(_floats, shown)] or shown
        inside += _called(runner, model, cause, shown[: max(0, CALLS - len(inside))])
        does = explained(model, inside, patience=patience / len(found))
        smallest = _smallest(runner, model, cause, within) if smaller else None
        said.append(Cause(cause.kinds, cause.condition, cause.cases, does, smallest))
    return said


def _within(cause: Cause, others: Sequence[Cause]) -> Callable[[Case], bool]:
    """Whether a case shows this cause and no other one, as far as any does."""
    mine = cause.condition
    same = [other for other in others if other.gradient == cause.gradient]
    conditions = [other.condition for other in same if other.condition is not None]

    def holds(case: Case) -> bool:
        return case.gradient == cause.gradient and (mine is None or mine.holds(case))

    def alone(case: Case) -> bool:
        return holds(case) and not any(other.holds(case) for other in conditions)

    return alone if any(map(alone, cause.cases)) else holds


def _called(
    runner: Runner, model: Model, cause: Cause, shown: Sequence[Case]
) -> Iterator[Evidence]:
    """What the target gives for cases of a cause of which too few outputs are kept."""
    if {"wrong values", "wrong shape"} & set(cause.kinds):
        for case in shown:
            output = runner.run(model.request(case, repeat=False)).output
            if output is not None:
                yield case, output


def _smallest(
    runner: Runner, model: Model, cause: Cause, within: Callable[[Case], bool]
) -> Finding | None:
    if "hang" in cause.kinds:
        return None  # it would cost the time limit once more
    case = min(filter(within, cause.cases), key=weight, default=None)
    seen = None if case is None else examine(runner, model, case).finding
    return None if seen is None else minimise(runner, model, seen, within)
