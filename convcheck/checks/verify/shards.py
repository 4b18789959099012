"""A campaign's cases put to the target: one by one here, or in shards handed out to workers."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count, islice
from statistics import median
from typing import TYPE_CHECKING

from convcheck import pool
from convcheck.campaign import Wanted
from convcheck.checks.verify.examination import Examined, examine
from convcheck.checks.verify.tally import TOO_LARGE, Seen, Tally
from convcheck.errors import InputError
from convcheck.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from convcheck.campaign import Case
    from convcheck.checks.verify.model import Model, Runner
    from convcheck.target import Target

LEAST, MOST = 25, 500
"""Cases of a shard, which costs a start of the target: few at first, so that something is soon
known, and twice as many in every round after that."""
SLOW, ALLOWED = 0.5, 4.0
"""Seconds beyond which a case is a slow one, and those that all slow ones together may take."""
TELLING = 5
"""The largest cases so far, which say how long a larger one takes."""
TRIES = 3
"""Calls of which one must be answered on a worker as it was here: a target may fail at random."""


@dataclass(frozen=True)
class Team:
    """Who takes the shards, and opens the target for each.

    ``folder`` is where the target is, on workers that have such a folder.
    """

    workers: pool.Workers
    target: Target
    timeout: float
    folder: str


def here(
    runner: Runner, model: Model, cases: Iterable[Case | Wanted], pace: Pace | None = None
) -> Iterator[Seen]:
    """Every case, one after the other; of the slow ones as many as there is time for.

    ``pace`` is what is known of cases before these.
    """
    pace = pace or Pace()
    for drawn in cases:
        wanted = drawn.case if isinstance(drawn, Wanted) else drawn
        case, begun = model.project(wanted), time.perf_counter()
        if isinstance(drawn, Wanted):
            unfit = drawn.unfit or model.unfit(wanted, case)
            if unfit is not None:
                yield Seen(case, Examined(skipped=unfit), 0.0)
                continue
        if pace.slow(case):
            yield Seen(case, Examined(skipped=TOO_LARGE), 0.0)
            continue
        examined = examine(runner, model, case)
        seconds = time.perf_counter() - begun
        if examined.outcome is not None and examined.outcome.output is not None:
            pace.add(case, seconds)
        yield Seen(case, examined, seconds)


class Pace:
    """How long a target takes, by the multiplications of a case."""

    def __init__(self) -> None:
        self._largest: list[tuple[int, float]] = []
        self._seconds: list[float] = []
        self._spent = 0.0

    def slow(self, case: Case) -> bool:
        """Whether a case would take too long, by the largest ones before it."""
        if len(self._largest) < TELLING:
            return False
        call = median(self._seconds)  # which a start, a compiler or a file takes in any case
        rate = median(max(0.0, seconds - call) / cost for cost, seconds in self._largest)
        return rate * case.cost > max(SLOW, ALLOWED - self._spent)

    def add(self, case: Case, seconds: float) -> None:
        """Count a case that was answered."""
        self._spent += seconds if seconds > SLOW else 0.0
        self._seconds.append(seconds)
        self._largest = sorted([*self._largest, (case.cost, seconds)])[-TELLING:]


def spread(
    team: Team,
    model: Model,
    control: Case | None,
    cases: Iterable[Case | Wanted],
    *,
    fail_fast: bool,
) -> Iterator[Seen]:
    """Every case, in the order in which they come, whoever has done them and when."""
    executor = team.workers.executor(team.workers.jobs, math.inf)
    jobs = team.workers.jobs
    given = team.target, team.timeout, team.folder, model, control, fail_fast
    tasks = ((index, part, *given) for index, part in enumerate(_parts(cases, jobs)))
    early: dict[int, list[Seen]] = {}
    turn = 0
    for index, part in pool.run(shard, tasks, executor=executor, jobs=jobs):
        early[index] = part
        while turn in early:
            yield from early.pop(turn)
            turn += 1


@contextmanager
def team(
    target: Target, timeout: float, jobs: int | None, dask: str | None, folder: str
) -> Iterator[Team | None]:
    """Who runs the cases: nobody but this process, unless more are asked for."""
    if dask is None and (jobs or 1) == 1:
        yield None
        return
    with pool.workers(jobs, dask) as workers:
        yield Team(workers, target, timeout, folder)


def _parts(cases: Iterable[Case | Wanted], jobs: int) -> Iterator[list[Case | Wanted]]:
    left = iter(cases)
    sizes = (min(LEAST << turn // jobs, MOST) for turn in count())
    while part := list(islice(left, next(sizes))):
        yield part


def shard(
    index: int,
    cases: Sequence[Case | Wanted],
    target: Target,
    timeout: float,
    folder: str,
    model: Model,
    control: Case | None,
    fail_fast: bool,
) -> tuple[int, list[Seen]]:
    """Some cases on a worker, as far as the campaign can want them, without the arrays."""
    runner = Worker(target, timeout, folder)
    tally, kept = Tally(), []
    try:
        _check(runner, model, control, folder)
        for seen in here(runner, model, cases):
            before = len(tally.evidence)
            tally.count(seen)
            kept.append(_lean(seen, evidence=len(tally.evidence) > before))
            if tally.ending(fail_fast=fail_fast):
                break
    finally:
        runner.close()
    return index, kept


def _lean(seen: Seen, *, evidence: bool) -> Seen:
    outcome = seen.examined.outcome
    if outcome is None:
        return seen
    outcome = replace(outcome, output=outcome.output if evidence else None, again=None)
    return replace(seen, examined=replace(seen.examined, outcome=outcome))


def _check(runner: Worker, model: Model, control: Case | None, folder: str) -> None:
    """Raise where a worker has no such target: what it has not would be taken for crashes."""
    expected = f"the target on every worker: installed there, or in {folder}"
    hint = "put it there; or run it on this machine, without --dask ADDRESS"
    try:
        runner.parameters()
    except InputError as error:
        raise InputError(
            f"the worker on {_host()} cannot open the target that this machine can",
            got=f"{error.what}: {error.got}" if error.got else error.what,
            expected=expected,
            hint=hint,
        ) from None
    if control is None:
        return
    for _ in range(TRIES):
        outcome = runner.run(model.request(control, repeat=False))
        if outcome.output is not None:
            return
    raise InputError(
        f"the target gives no answer on {_host()} to a call that it answers on this machine",
        got=f"{outcome.kind}: {outcome.detail}",
        expected=expected,
        hint=hint,
    )


def _host() -> str:
    import socket

    return socket.gethostname()
