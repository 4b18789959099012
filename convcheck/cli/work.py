"""How the work is done: options, workers, the plan in words, and a bar to look at meanwhile."""

from __future__ import annotations

import re
from threading import Lock, Timer
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self, TypedDict

import click

from convcheck.cli.base import F, check_inputs, stderr_is_terminal, with_options, write_stderr

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from convcheck.checks.tiles import Plan
    from convcheck.errors import InputError
    from convcheck.pool import Workers

BAR_AFTER = 1.0
"""Seconds of work before it is worth a bar."""
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,18})?) ?([kmgt]?)(?:i?b)?", re.ASCII | re.IGNORECASE)


class Work(TypedDict):
    """What the options say about how the work is done."""

    jobs: int | None
    memory: int | None
    dask: str | None


def _bytes(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    found = _SIZE.fullmatch(value.strip())
    if found is None or float(found[1]) == 0:
        raise click.BadParameter(
            f"{value!r} is not a size: expected one such as 256MiB or 1GiB.", ctx=ctx, param=param
        )
    return int(float(found[1]) * _UNITS[found[2].lower()])


def work_options(function: F) -> F:
    """--jobs, --memory, --dask."""
    return with_options(
        function,
        [
            click.option(
                "--jobs",
                type=click.IntRange(min=1),
                metavar="N",
                help="How many processes compute a large case; all cores by default.",
            ),
            click.option(
                "--memory",
                callback=_bytes,
                metavar="SIZE",
                help="What they may take together, beside the inputs; 256MiB by default.",
            ),
            click.option(
                "--dask",
                metavar="ADDRESS|local",
                help="Compute a large case on the workers of a dask scheduler.",
            ),
        ],
    )


def team_options(function: F) -> F:
    """--jobs and --dask, for work that is a campaign's cases."""
    return with_options(
        function,
        [
            click.option(
                "--jobs",
                type=click.IntRange(min=1),
                metavar="N",
                help="How many processes put cases to the target; 1 by default.",
            ),
            click.option(
                "--dask",
                metavar="ADDRESS|local",
                help="Put cases to the target on the workers of a dask scheduler, which must have "
                "the target too.",
            ),
        ],
    )


def workers(work: Work) -> AbstractContextManager[Workers]:
    """Who does the work, as the options say."""
    from convcheck import pool

    return pool.workers(work["jobs"], work["dask"])


class Bar:
    """How far the work is: a bar with rate and time left, once it has lasted a second.

    It shows what was told last: so many cases or tiles, or millions of a search's conventions.
    """

    def __init__(self, unit: str, total: int | None = None, *, verbose: bool = False) -> None:
        self._unit = unit
        self._total = total or 0
        self._counted = total is not None
        self._verbose = verbose
        self._done = self._searched = 0
        self._told: tuple[str, float, float] | None = (unit, 0, total) if total else None
        self._entered = 0.0
        self._begun: dict[str, float] = {}
        self._shown: Any = None
        self._lock = Lock()
        self._plan: Plan | None = None
        self._timer = Timer(BAR_AFTER, self._show)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._entered = perf_counter()
        if stderr_is_terminal():
            self._timer.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._told = None  # a timer that is just going off has nothing to show any more
            if self._shown is not None:
                self._shown.stop()
        if isinstance(error, MemoryError) and self._plan is not None:
            raise _out_of_memory(self._plan) from error
        if isinstance(error, KeyboardInterrupt) and not error.args and self._far:
            raise KeyboardInterrupt(self._far) from None

    @property
    def _far(self) -> str:
        """What whoever interrupts is told; nothing where nothing was done."""
        if self._done:
            return f"partial: {self._done} of {self._total} {self._unit} were done"
        return f"partial: {self._searched} conventions were considered" if self._searched else ""

    def begin(self, plan: Plan) -> None:
        """Before the first tile of a comparison, or of the next: there may be several."""
        self._plan = plan
        if not self._counted:
            self._total = self._done + len(plan.tiles)
            self._tell(self._unit, self._done, self._total)
        if self._verbose:
            write_stderr(f"convcheck: {plan_words(plan)}\n")
            self._verbose = False

    def advance(self) -> None:
        """After each tile, or case."""
        check_inputs()  # or hours go by before it is said
        self._done += 1
        self._tell(self._unit, self._done, self._total)

    def searched(self, hypotheses: int, most: int) -> None:
        """After each part of a search."""
        check_inputs()
        self._searched = hypotheses
        self._tell("million conventions", hypotheses / 1e6, most / 1e6)

    def _tell(self, unit: str, done: float, total: float) -> None:
        self._told = unit, done, total
        begun = self._begun.setdefault(unit, perf_counter() if done == 0 else self._entered)
        if self._shown is not None:
            rate = f"{done / (perf_counter() - begun):.3g}/s" if done else ""
            self._shown.update(0, description=unit, completed=done, total=total, rate=rate)
        elif self._timer.finished.is_set():
            self._show()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        with self._lock:
            if self._shown is not None or self._told is None or self._told[2] < 2:
                return
            unit, done, total = self._told
            shown = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed:.0f}/{task.total:.0f}"),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            task = shown.add_task(unit, total=total, rate="")
            shown.update(task, completed=done)
            shown.start()
            self._shown = shown


def _out_of_memory(plan: Plan) -> InputError:
    """A tile that did not fit in what the machine, or a limit, has left: with a plan that would."""
    from convcheck.checks.tiles import PROCESS_BYTES
    from convcheck.errors import InputError

    each = _mebibytes(PROCESS_BYTES + plan.bytes_each)
    return InputError(
        "out of memory in a tile",
        got=plan_words(plan),
        expected=f"{each} for each process",
        hint=f"--jobs 1: that takes {each} in all"
        if plan.jobs > 1
        else f"free {each}, or raise the limit that it ran into: ulimit -v",
    )


def plan_words(plan: Plan) -> str:
    """A plan in a line."""
    tiles = "1 tile" if len(plan.tiles) == 1 else f"{len(plan.tiles)} tiles"
    workers = "1 worker" if plan.jobs == 1 else f"{plan.jobs} workers"
    short = ""
    if plan.jobs < min(plan.asked, len(plan.tiles)):
        short = f" ({plan.asked} were asked for: that takes a larger --memory)"
    return (
        f"plan: {tiles} of up to {_mebibytes(plan.bytes_each)}, {workers}{short}, "
        f"at most {_mebibytes(plan.memory)} beside the inputs, {_duration(plan.seconds)}"
    )


def _mebibytes(count: int) -> str:
    return f"{-(-count >> 20)} MiB"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "less than a second"
    return f"about {seconds:.0f} s" if seconds < 120 else f"about {seconds / 60:.0f} min"
