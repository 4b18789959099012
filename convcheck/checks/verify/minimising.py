"""The smallest case that still fails in the same way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.campaign import SAME
from convcheck.checks.verify.examination import Finding, examine
from convcheck.engine import convolve
from convcheck.errors import ConvcheckError
from convcheck.target import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from convcheck.campaign import Case
    from convcheck.checks.verify.model import Model, Runner

Array = NDArray[Any]

CALLS = 150
"""Cases that may be tried to make a failing one smaller."""
SLOW_CALLS = 4
"""Likewise where each of them may cost a time limit, or a new process."""

ALONE = (
    "the case that is shown passes where it is the first call of a process: what the target gives "
    "depends on the calls before it, or on chance"
)


@dataclass(frozen=True)
class Smallest:
    """The first failing case, as small as it still fails, with its arrays."""

    finding: Finding
    image: Array = field(repr=False)
    filters: Array = field(repr=False)
    actual: Array | None = field(repr=False)
    expected: Array | None = field(repr=False)
    upstream: Array | None = field(default=None, repr=False)
    """The output's gradient, where a gradient was asked for."""


def minimise(
    runner: Runner,
    model: Model,
    finding: Finding,
    within: Callable[[Case], bool] = lambda _: True,
) -> Finding:
    """Smaller and plainer cases while they fail in the same way and stay ``within`` a cause."""
    best, calls, slow = finding, 0, 0
    tried = {finding.case}
    improved = True
    while improved:
        improved = False
        for smaller in _smaller(best.case):
            case = model.project(smaller)
            if case in tried or not case.fits or weight(case) >= weight(best.case):
                continue
            if not within(case):
                continue
            if calls >= CALLS or slow >= SLOW_CALLS:
                return best
            tried.add(case)
            calls += 1
            seen = examine(runner, model, case)
            if seen.outcome is not None:
                slow += seen.outcome.died or seen.outcome.kind == "hang"
            if seen.finding is not None and seen.finding.kind == best.kind:
                best, improved = seen.finding, True
                break
    return best


def shown(runner: Runner, model: Model, finding: Finding) -> Smallest:
    """A finding with what went in, what came out, and what should have."""
    case = finding.case
    image, filters, *upstream = model.request(case).arrays(case)
    actual = None
    if finding.kind not in ("crash", "hang"):
        outcome = runner.run(model.request(case))
        actual = outcome.output
        # Of a target that says this now and that now, the wrong answer is the one to look at.
        if finding.kind == "non-deterministic" and "second" in finding.detail:
            actual = outcome.again if outcome.again is not None else actual
    try:
        expected = np.asarray(convolve(*model.arrays(case), model.convention(case)))
    except ConvcheckError:
        expected = None
    return Smallest(finding, image, filters, actual, expected, next(iter(upstream), None))


def passes_alone(runner: Runner, model: Model, finding: Finding) -> bool:
    """Whether a target that is started anew passes the case: then its replay will pass too."""
    if finding.kind == "hang":
        return False  # it would cost the time limit once more
    runner.close()
    return examine(runner, model, finding.case).finding is None


def weight(case: Case) -> tuple[int, int]:
    """How far a case is from the plainest and smallest."""
    plain = sum(getattr(case, p) != (0 if p == "padding" else 1) for p in PARAMETERS)
    plain += (case.order != "C") + (case.values != "ints") + (case.dtype != "float32")
    plain += case.mixed
    return (plain, case.size)


def _smaller(case: Case) -> Iterator[Case]:
    for changes in _changes(case):
        yield replace(case, **changes)


def _changes(case: Case) -> Iterator[dict[str, Any]]:
    for parameter in PARAMETERS:
        value = getattr(case, parameter)
        least = 0 if parameter == "padding" else 1
        if value > least:
            for fewer in dict.fromkeys((least, value - 1)):
                changes = {parameter: fewer}
                if parameter == "groups":
                    banks = {"channels": case.channels, "filters": case.filters}
                    changes |= {key: size // value * fewer for key, size in banks.items()}
                yield changes
    plainest = {"order": "C", "values": "ints", "filters_dtype": SAME, "dtype": "float32"}
    for key, plain in plainest.items():
        if getattr(case, key) != plain:
            yield {key: plain}
    sizes = ("height", "width", "depth", "kernel_height", "kernel_width", "kernel_depth")
    for key in ("batch", "channels", "filters", *sizes):
        value = getattr(case, key)
        step = case.groups if key in ("channels", "filters") else 1
        for smaller in dict.fromkeys((step, value // 2 // step * step, value - step)):
            if step <= smaller < value:
                yield {key: smaller}
