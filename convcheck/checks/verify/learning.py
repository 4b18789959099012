"""Learn how an implementation, whose layout is known, takes its parameters, dtypes and padding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from convcheck.campaign import DTYPES, Case
from convcheck.checks.inputs import shape_text
from convcheck.checks.verify.claims import ranked
from convcheck.checks.verify.constants import constants
from convcheck.checks.verify.domain import scouted
from convcheck.checks.verify.examination import Finding, examined
from convcheck.checks.verify.judgement import judge
from convcheck.checks.verify.model import RULES, Model, Runner
from convcheck.checks.verify.scaling import Shown, solved
from convcheck.checks.verify.tally import HANGS
from convcheck.convention import PADDING_MODES
from convcheck.errors import InputError
from convcheck.target import PARAMETERS
from convcheck.worker import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from convcheck.checks.identify.nearest import Miss

Array = NDArray[Any]
Called = tuple[Case, Outcome]

BASE = Case(
    seed=0,
    number=0,
    batch=2,
    channels=3,
    height=9,
    width=11,
    filters=4,
    kernel_height=3,
    kernel_width=3,
)
VARIED: tuple[dict[str, int], ...] = (
    {},
    {"batch": 1, "height": 8, "width": 16, "kernel_width": 2},
    {"height": 10, "width": 13, "kernel_width": 5},
    {"batch": 1, "kernel_height": 2, "kernel_width": 3},
    {"height": 11, "width": 12, "kernel_height": 5},
    {"height": 12, "width": 14, "kernel_height": 1, "kernel_width": 3},
)
_EVEN: tuple[dict[str, int], ...] = (
    {"kernel_height": 4, "kernel_width": 5, "height": 12, "width": 14},
    {"height": 11, "width": 12, "kernel_height": 5, "kernel_width": 4},
)
"""What tells one padding rule from another."""


@dataclass(frozen=True)
class Probe:
    """What probing found: a model, or why there is none, and what comes nearest."""

    model: Model | None
    notes: tuple[str, ...] = ()
    nearest: Miss | None = None
    assumed: bool = False
    """Whether nothing explains the target, so that the model is that of what is expected."""
    findings: tuple[Finding, ...] = ()
    """What the target failed while it was learnt what it does."""
    control: Case | None = None
    """A case that the target answers."""


def learn(
    runner: Runner, model: Model, expect: Mapping[str, Any], mishaps: Sequence[Called] = ()
) -> Probe:
    """The model with its parameters, dtypes, padding rule and reading of stride.

    Whatever the target was called with for that, ``mishaps`` before it too, is judged by the model.
    """
    model = replace(model, parameters=taken(runner, model))
    alone = _alone(runner, model)
    model = replace(model, multiplies=not alone)
    model, calls = observed(runner, model)
    seen = _shown(model, calls)
    variants = (solved(variant, seen) for variant in _variants(model, seen))
    model, _ = first_best(variants, lambda m: _agreement(m, seen), len(seen))
    probed = model.dtypes
    others = [*of_dtypes(runner, model, sum(outcome.kind == "hang" for _, outcome in calls))]
    calls += others
    model = solved(model, _shown(model, [call for call in others if call[0].dtype == "float64"]))
    refused = {case.dtype for case, outcome in calls if outcome.kind == "rejected"}
    refused -= set(probed)
    dtypes = tuple(d for d in DTYPES if d not in refused)
    gives = model.precision or (seen[0][3].dtype.name if seen else "float32")
    expect = ranked(expect, model.base.spatial)
    if expect and "scale" in expect:  # a slug: see model.claim
        expect |= dict(zip(("image_layout", "filter_layout"), model.layouts, strict=True))
    model = replace(model, dtypes=dtypes, gives=gives, expect=expect)
    findings: dict[Case, Finding] = {}
    for call in (*calls, *mishaps):
        found = examined(model, *call).finding
        if found is not None:
            findings.setdefault(found.case, found)
    control = seen[0][0] if seen else None
    notes = [f"no case has several filters for a channel: {alone}"] if alone else []
    if runner.unpassed:
        names = " and ".join(runner.unpassed)
        notes += [f"no case passes {names}: --call says how to, as in 'f(x, w, strides=stride)'"]
    return Probe(model, tuple(notes), findings=tuple(findings.values()), control=control)


def observed(runner: Runner, model: Model) -> tuple[Model, list[Called]]:
    """The model with the limits of what the target takes, and calls within them."""
    calls = [*_observations(runner, model)]
    if any(outcome.kind == "rejected" for _, outcome in calls):
        base = next((case for case, outcome in calls if outcome.output is not None), None)
        limits = () if base is None else scouted(runner, model, base)
        more = tuple(limit for limit in limits if limit not in model.domain)
        if more:
            model = replace(model, domain=(*model.domain, *more))
            calls = [*_observations(runner, model)]
    return model, calls


def first_best(
    models: Iterable[Model], score: Callable[[Model], float], most: float
) -> tuple[Model, float]:
    """The first of the models with the highest score; one that has the most ends the search."""
    best: tuple[Model, float] | None = None
    for model in models:
        found = score(model)
        if best is None or found > best[1]:
            best = model, found
        if found >= most:
            break
    if best is None:
        raise AssertionError("there is a model at least")
    return best


def _shown(model: Model, calls: Sequence[Called]) -> list[Shown]:
    return [
        (case, *model.arrays(case), outcome.output)
        for case, outcome in calls
        if outcome.output is not None
    ]


def taken(runner: Runner, model: Model) -> tuple[str, ...]:
    """The parameters that the target takes."""
    known = runner.parameters()
    if known is not None:
        return known
    found: list[str] = []
    for parameter in PARAMETERS:
        case = replace(model, parameters=()).project(BASE)
        asked = replace(model, parameters=(*found, parameter))
        outcome = runner.run(asked.request(case, repeat=False))
        if outcome.kind == "ok":
            found.append(parameter)
    return tuple(found)


def _alone(runner: Runner, model: Model) -> str:
    """Why a depthwise target takes but one filter for a channel; nothing where it takes more."""
    case = model.project(replace(BASE, filters=2 * BASE.channels))
    if not model.depthwise or case.filters == case.channels:
        return ""
    outcome = runner.run(model.request(case, repeat=False))
    if outcome.output is None:
        return outcome.detail or outcome.kind
    given = f"of two it gives {shape_text(outcome.output.shape)}"
    return "" if case.filters in outcome.output.shape else given


def of_dtypes(runner: Runner, model: Model, hangs: int) -> Iterator[Called]:
    """Calls that show which dtypes are refused; to crash over one is a finding."""
    for dtype in DTYPES:
        # What is summed in too few bits shows where the numbers are large.
        values = "wide" if dtype.endswith("int8") else "ints"
        plain = replace(model, parameters=()).project(BASE)
        case = replace(plain, dtype=dtype, values=values)
        if dtype not in model.dtypes and hangs < HANGS:
            outcome = runner.run(model.request(case))
            yield case, outcome
            hangs += outcome.kind == "hang"


def _observations(runner: Runner, model: Model) -> Iterator[Called]:
    """What the target does in cases that tell what a model is to know; they are judged by it."""
    hangs = 0
    settings: list[dict[str, Any]] = [dict(v) for v in (*VARIED, *_EVEN)]
    settings.append({"channels": 2, "filters": 3, "order": "strided", "height": 10, "width": 12})
    for parameter, value in (("stride", 2), ("padding", 1), ("dilation", 2), ("groups", 2)):
        if parameter in model.parameters:
            size = {"height": 12, "width": 14}
            channels = {"channels": 4} if parameter == "groups" else {}
            settings.append({parameter: value, **size, **channels})
    if "padding" in model.parameters:  # of one row some modes are the same
        settings.append({"padding": 2, "height": 12, "width": 14})
    if "stride" in model.parameters:
        settings.append({"stride": 2, "height": 13, "width": 15, "kernel_height": 4})
        settings.append({"stride": 3, "height": 13, "width": 14})
    for setting in settings:
        case = model.project(replace(BASE, **setting))
        outcome = runner.run(model.request(case))
        yield case, outcome
        hangs += outcome.kind == "hang"
        if hangs >= HANGS:
            return


def _variants(model: Model, seen: Sequence[Shown]) -> Iterator[Model]:
    modes: Sequence[str] = PADDING_MODES[1:]
    if model.base.padding_mode == "constant":
        # What it pads with where it is asked to has not been seen before.
        modes = PADDING_MODES if "padding" in model.parameters else ("constant",)
    for transposed in dict.fromkeys((model.transposed, False, True)):
        for rule, mode in product(RULES if not transposed else ("explicit",), modes):
            base = model.base.replace(padding_mode=mode)
            yield replace(model, rule=rule, transposed=transposed, base=base)
    own = constants(model, [(case, output) for case, _, _, output in seen])
    for (rule, keys), mode in product([*own], modes):
        base = model.base.replace(padding_mode=mode, **keys)
        yield replace(model, rule=rule, transposed=False, base=base)


def _agreement(model: Model, seen: Sequence[Shown]) -> float:
    """How many observed outputs the model gives; where no model gives any, how nearly it does.

    Then every output is wrong in places, and the shapes decide.
    """
    count, near = 0, 0.0
    for case, image, filters, output in seen:
        try:
            judged = judge(image, filters, output, model.found().convention(case))
        except InputError:
            continue
        count += judged.passed
        near += judged.share
    return count or near / (len(seen) + 1)
