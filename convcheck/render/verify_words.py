"""The sentences of verify's report."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from convcheck.checks.verify.claims import ranked
from convcheck.checks.verify.model import PADDINGS
from convcheck.render.convention_words import compact
from convcheck.render.words import enumerate_words, size
from convcheck.words import describe, differences, headline, padding_words

if TYPE_CHECKING:
    from convcheck.campaign import Case
    from convcheck.checks.verify import Finding, Model, VerifyResult
    from convcheck.render.report import Report

_RULES = {
    "explicit": "",
    "centred": "centred on the kernel's middle",
    "centred, the extra row before": "centred on the kernel's middle, rounded down",
    "full": "FULL",
}


def name(result: VerifyResult) -> str:
    """What the target is, in one clause."""
    model, convention = result.model, result.convention
    if model is not None and model.gradients:
        given = enumerate_words(model.gradients)
        if convention is None:
            return f"{result.target}, {given}: of no convolution that convcheck knows"
        of = headline(convention, _padding(model), "").removesuffix(", ")
        return f"{result.target}: {given} of {of}"
    if model is None or convention is None:
        if result.interrupted:
            return f"{result.target}: interrupted before it was learnt what it does"
        return f"{result.target} follows no convention that convcheck knows"
    if model.transposed:
        convention = convention.replace(padding=0)
    # The dtype that it gives says the arithmetic.
    said = headline(convention.replace(arithmetic="exact"), _padding(model), model.gives)
    if model.transposed:
        kind = said.partition(", ")[0]
        said = said.replace(kind, "the transposed convolution (the gradient of a layer)", 1)
    if model.depthwise:
        said = said.replace("the ", "the depthwise ", 1)
    return f"{result.target} is {said}"


def _padding(model: Model) -> str:
    rule = _RULES.get(model.rule, model.rule)
    base = model.base
    padded = any(map(any, base.padding))
    said = [padding_words(base)]
    if not (rule or padded or "padding" in model.parameters or model.transposed):
        said = ["no padding"]
    said += [rule] if rule else []
    said += [f"padded {_every([_pair(*pair) for pair in base.padding])}"] if padded else []
    for key in ("stride", "dilation"):
        steps = getattr(base, key)
        said += [f"{key} {_every([*map(str, steps)])}"] if set(steps) != {1} else []
    return ", ".join(said)


def _pair(before: int, after: int) -> str:
    return str(before) if before == after else f"{before} before and {after} after"


def _every(axes: list[str]) -> str:
    """What is said of each axis: once, where it is the same of all."""
    return axes[0] if len(set(axes)) == 1 else f"({', '.join(axes)})"


def _rule(model: Model) -> str:
    if model.transposed:
        return "of a transposed convolution"
    usual = next((name for name, rule in PADDINGS.items() if rule == model.rule), None)
    return usual or _RULES.get(model.rule, model.rule)


def verdict_line(result: VerifyResult) -> str:
    """How it fared, in one sentence."""
    cut = "interrupted, partial: " if result.interrupted else ""
    if result.verdict == "unexplained":
        return f"{cut}unexplained: nothing explains what it gives."
    if result.verdict == "nothing-ran":
        return f"{cut}nothing-ran: no case could be judged."
    if result.verdict == "pass":
        if result.ran == 1:
            return f"{cut}pass: the one case that ran passes."
        return f"{cut}pass: all {cases(result.ran)} that ran pass."
    fails = "fails" if result.failed == 1 else "fail"
    return f"{cut}fail: {result.failed} of the {cases(result.ran)} that ran {fails}."


def understood(result: VerifyResult) -> list[str]:
    """How it was called."""
    model = result.model
    if model is None:
        return []
    kind = "depthwise filters" if model.depthwise else "filters"
    passed = enumerate_words(model.parameters) or "none"
    return [
        (
            f"Called with an image {model.layouts[0]} and {kind} {model.layouts[1]}; parameters "
            f"passed: {passed}; dtypes: {', '.join(model.dtypes)}."
        ),
        *([f"It runs for: {', '.join(model.takes)}."] if model.takes else []),
    ]


def skips(result: VerifyResult) -> list[str]:
    """How many cases were skipped, and why."""
    if not result.skipped:
        return []
    total = sum(result.skipped.values())
    lines = [
        f"{cases(total)} skipped:",
        *(f"- {cases(count)}: {reason}" for reason, count in result.skipped.items()),
    ]
    if result.verdict == "nothing-ran":
        lines.append("Say how it is called with --call, such as 'f(x, w, strides=stride)'.")
    return lines


def expectation(report: Report, result: VerifyResult) -> list[str]:
    """What --expect asked for, and what the target is instead."""
    campaign = report.campaign
    if campaign is None or campaign.expect is None:
        return []
    lines = ["Judged by what was expected:", f"  {compact(campaign.expect)}"]
    if result.convention is not None and result.failed:
        claimed = ranked(campaign.expect, result.convention.spatial)
        rule = claimed.pop("padding") if isinstance(claimed.get("padding"), str) else None
        clauses = differences(result.convention, result.convention.replace(**claimed))
        if rule is not None and result.model is not None:
            found = _rule(result.model)
            clauses += [] if found == rule else [f"the padding {found} instead of {rule}"]
        if clauses:
            lines.append(f"It has {'; '.join(clauses)}.")
    return lines


def failing(result: VerifyResult) -> list[str]:
    """When it fails and what it does there; what dtypes do to integers apart from that."""
    lines = [f"Integers: {rule} ({cases(n)} wrong by it)." for rule, n in result.integers.items()]
    if len(result.causes) > 1:
        return lines
    if result.when is not None:
        lines.append(f"When: {result.when}.")
    if result.does is not None:
        lines.append(f"What it does there: {result.does}.")
    return lines


def causes(report: Report, result: VerifyResult) -> list[str]:
    """Several causes, each with its count, what it does, and its smallest case."""
    if len(result.causes) < 2:
        return []
    lines = ["", "Why it fails:"]
    for count, cause in enumerate(result.causes, 1):
        failures = f"{len(cause.cases)} {'others' if count > 1 else 'failures'}"
        if len(cause.cases) == 1:
            failures = "1 other" if count > 1 else "1 failure"
        if cause.when is None:
            failures = f"{cause.gradient}: {failures}" if cause.gradient else failures
            lines.append(
                f"{count}. {failures} have nothing in common that chance would not explain."
            )
            continue
        lines.append(f"{count}. {failures}: {cause.when}.")
        if cause.does is not None:
            lines.append(f"   There {cause.does}.")
        if cause.smallest is not None:
            lines.append(f"   The smallest: {named(report, cause.smallest.case)}.")
            lines.append(f"  {replay(report, cause.smallest)}")
    return lines


def named(report: Report, case: Case) -> str:
    """A case on one line, with the problem of the workload that it is."""
    workload = report.campaign.workload if report.campaign else None
    problem = None if workload is None else workload.problem(case)
    return case_words(case) if problem is None else f"{problem.words}: {case_words(case)}"


def replay(report: Report, finding: Finding) -> str:
    """The command that runs one case again."""
    return f"{report.replay} {shlex.join(['--replay', finding.case.id])}"


def kind(finding: Finding) -> str:
    """What a finding is, and of which gradient."""
    of = f"{finding.case.gradient}: " if finding.case.gradient else ""
    return f"{of}{finding.kind}"


def case_words(case: Case) -> str:
    """A case on one line; parameters at their defaults go without saying."""
    image = "x".join(map(str, (case.batch, case.channels, *case.sizes)))
    filters = "x".join(map(str, (case.filters, case.channels // case.groups, *case.taps)))
    clauses = [f"image {image}, filters {filters}"]
    for key, plain in (("stride", 1), ("padding", 0), ("dilation", 1), ("groups", 1)):
        if getattr(case, key) != plain:
            clauses.append(f"{key} {getattr(case, key)}")
    clauses.append(f"{case.dtype}, filters {case.filters_dtype}" if case.mixed else case.dtype)
    order = {"F": "Fortran order", "strided": "strided views", "readonly": "read-only"}
    clauses += [order[case.order]] if case.order in order else []
    return ", ".join([*clauses, f"values: {case.values}"])


def nearest(result: VerifyResult) -> list[str]:
    """What comes nearest where nothing explains the target."""
    miss = result.nearest
    if miss is None:
        return []
    said = describe(miss.convention, output="The nearest miss")
    right = f"{miss.right} of the {miss.total} elements"
    correlated = f"correlation {size(miss.correlation)}"
    return [f"{said}. This is not an answer: it gives {right} ({correlated})."]


def how(report: Report) -> list[str]:
    """How it was come by."""
    result: VerifyResult = report.result
    return [
        f"{cases(result.ran)} run, {sum(result.skipped.values())} skipped",
        f"time: {report.seconds:.2g} s",
    ]


def cases(count: int) -> str:
    """A count of cases."""
    return "1 case" if count == 1 else f"{count} cases"
