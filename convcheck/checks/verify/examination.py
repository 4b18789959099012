"""One case put to an implementation: a finding, a reason to skip it, or a pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from convcheck.checks.verify.integers import overflowing
from convcheck.checks.verify.judgement import Judgement, judge, overflow
from convcheck.engine import output_shape
from convcheck.errors import ConvcheckError

if TYPE_CHECKING:
    from convcheck.campaign import Case
    from convcheck.checks.verify.model import Model, Runner
    from convcheck.convention import Convention
    from convcheck.worker import Outcome

Array = NDArray[Any]

KINDS = (
    "crash",
    "hang",
    "wrong shape",
    "missing gradient",
    "not finite",
    "wrong values",
    "integer overflow",
    "changes its input",
    "non-deterministic",
    "kept from an earlier call",
    "overwritten by a later call",
)
"""What a finding can be."""
OVERFLOW = "integer overflow"
"""The kind that is a rule of a dtype: said once, and apart from the others."""
IN_TURNS = KINDS[-2:]
"""Those that only cases in turns can show."""


@dataclass(frozen=True)
class Finding:
    """One case that the target fails: which of ``KINDS`` it is, and the case that shows it."""

    kind: str
    detail: str
    case: Case


@dataclass(frozen=True)
class Examined:
    """How one case went: a finding, or why it was skipped, or neither: it passes."""

    finding: Finding | None = None
    skipped: str | None = None
    note: str | None = None
    outcome: Outcome | None = None
    overflow: tuple[str, str] | None = None
    """Whether it wraps or saturates, and the dtype, where the case tells the one from the other."""


def examine(runner: Runner, model: Model, case: Case, *, repeat: bool = True) -> Examined:
    """Put one case to the target and judge what it gives."""
    try:
        arrays = model.arrays(case)
        output_shape(arrays[0].shape, arrays[1].shape, model.convention(case))
    except ConvcheckError as error:
        return Examined(skipped=f"no convolution: {error.what}")
    return examined(model, case, runner.run(model.request(case, repeat=repeat)), arrays)


def examined(
    model: Model, case: Case, outcome: Outcome, arrays: tuple[Array, Array] | None = None
) -> Examined:
    """Judge what the target gave for one case, whose arrays are drawn where they are not given."""
    # To refuse what it need not take is no fault, in whatever words.
    refused = outcome.kind == "crash" and not outcome.died
    if outcome.kind == "rejected" or (refused and case.mixed):
        return Examined(skipped=outcome.detail, outcome=outcome)
    if refused and case.holds_nan:
        return Examined(skipped=f"refuses NaN and infinities: {outcome.detail}", outcome=outcome)
    if outcome.output is None:
        return Examined(Finding(outcome.kind, outcome.detail, case), outcome=outcome)
    if case.holds_nan and outcome.output.dtype.kind in "biu":
        return Examined(skipped="NaN and infinities: it gives integers, which hold none")
    image, filters = arrays or model.arrays(case)
    try:
        convention = model.convention(case)
        first = judge(image, filters, outcome.output, convention)
        if not first.passed and case.in_turns and _kept(model, case, image, filters, outcome):
            return Examined(Finding(IN_TURNS[0], KEPT, case), outcome=outcome)
        kind, detail = _kind(first, image, filters, outcome, convention)
    except ConvcheckError as error:
        return Examined(skipped=f"not expressible: {error.what}", outcome=outcome)
    if kind != "pass":
        return Examined(Finding(kind, detail, case), outcome=outcome)
    note = first.note
    if outcome.again is not None:
        note = (
            "two calls with the same arrays differ; where both are right, by no more than rounding "
            "explains"
        )
    way = None
    if first.note is not None and outcome.output.dtype.kind in "iu":
        way = overflow(image, filters, outcome.output, convention)
    return Examined(note=note, outcome=outcome, overflow=way)


KEPT = "it computes with the image or the filters of an earlier call of the same shapes"


def _kept(model: Model, case: Case, image: Array, filters: Array, outcome: Outcome) -> bool:
    """Whether a wrong output is right with the image or the filters of the call before."""
    if outcome.output is None:
        return False
    before = model.arrays(case.other)
    return any(
        judge(x, w, outcome.output, model.convention(case)).passed
        for x, w in ((image, before[1]), (before[0], filters), before)
    )


def _kind(
    first: Judgement, image: Array, filters: Array, outcome: Outcome, convention: Convention
) -> tuple[str, str]:
    second, output = first, outcome.output
    if outcome.again is not None:
        second = judge(image, filters, outcome.again, convention)
    if first.passed != second.passed:
        which, wrong = ("second", second) if first.passed else ("first", first)
        return (
            "non-deterministic",
            f"of two calls with the same arrays the {which} one is wrong: {wrong.detail}",
        )
    if not first.passed:
        rule = None
        if first.kind == "wrong values" and outcome.again is None and output is not None:
            rule = overflowing(image, filters, output, convention)
        if rule is not None:
            return OVERFLOW, rule
        more = "; a second call with the same arrays gave something else"
        return first.kind, first.detail + (more if outcome.again is not None else "")
    if outcome.overwritten:
        detail = "a later call overwrites the result: other numbers of the same shapes changed it"
        return IN_TURNS[1], detail
    if outcome.changed_input:
        return "changes its input", "an input array was written to"
    return "pass", ""
