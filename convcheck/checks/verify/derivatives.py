"""Learn how a target gives gradients: of a convolution that it does, or as a backward pass."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convcheck.call_text import DW, DX, GRADIENTS
from convcheck.campaign import DTYPES
from convcheck.checks.verify.claims import ranked
from convcheck.checks.verify.judgement import judge
from convcheck.checks.verify.learning import (
    BASE,
    VARIED,
    Probe,
    first_best,
    observed,
    of_dtypes,
    taken,
)
from convcheck.checks.verify.model import LAYOUTS, Model, Runner, layouts
from convcheck.checks.verify.probing import BUDGET, probe
from convcheck.convention import Convention
from convcheck.errors import InputError
from convcheck.gradients import check_forward

if TYPE_CHECKING:
    from collections.abc import Mapping

PROBES = 3
"""Cases that tell a backward pass's layout, for dX and for dW each."""


def probe_gradients(
    runner: Runner, layout: str | None, expect: Mapping[str, Any], budget: float = BUDGET
) -> Probe:
    """Learn a model of the gradients that a target gives.

    They are judged by those of the convolution that it is found to do; of a backward pass by those
    of the cross-correlation with the padding that is passed, unless something else is expected.

    Raises:
        InputError: it cannot be called at all, or it does what has no gradient that is known.
    """
    runner.parameters()
    if getattr(runner, "backward", False):
        return _backward(runner, layout, expect)
    learnt = probe(runner, layout, expect, budget)
    if learnt.model is None:
        return learnt
    model = learnt.model
    check_forward(model.forward(model.project(BASE)))
    dtypes = tuple(dtype for dtype in model.dtypes if "float" in dtype)
    model, notes = _given(runner, replace(model, gradients=GRADIENTS, dtypes=dtypes))
    control = None if learnt.control is None else model.project(learnt.control)
    return replace(learnt, model=model, notes=(*learnt.notes, *notes), findings=(), control=control)


def _backward(runner: Runner, layout: str | None, expect: Mapping[str, Any]) -> Probe:
    models, refused = [], []
    for name in [n for group in layouts(runner.kind) for n in group if layout in (None, n)]:
        image, filters = LAYOUTS[name]
        plain = Model(name, Convention(image, filters, image), gradients=(DX, DW))
        if plain.depthwise or not _known(plain):
            continue
        plain = replace(plain, expect=ranked(expect, plain.base.spatial))
        model = replace(plain, parameters=taken(runner, plain))
        outcome = runner.run(model.request(model.project(BASE), repeat=False))
        if outcome.output is None and outcome.kind != "missing gradient":
            refused.append(outcome.detail)
        else:
            models.append(model)
    if not models:
        raise InputError(
            "the backward pass could not be called in any layout",
            got=refused[0] if refused else f"the layout {layout}, whose gradients are not known",
            expected="a callable of the output's gradient, an image and filters, such as "
            "backward(dout, x, w), which returns dx, dw and perhaps db",
            hint="say how with --call, as in 'f(dout, (x, w, zeros(K), stride, padding))'",
        )
    most = float(PROBES * len((DX, DW)))
    model, _ = first_best(models, lambda one: _agreement(runner, one), most)
    model, calls = observed(runner, model)
    refused_dtypes = {
        case.dtype for case, outcome in of_dtypes(runner, model, 0) if outcome.kind == "rejected"
    }
    dtypes = tuple(dtype for dtype in DTYPES if dtype not in refused_dtypes)
    model, notes = _given(runner, replace(model, dtypes=dtypes))
    if runner.unpassed:
        names = " and ".join(runner.unpassed)
        notes = (*notes, f"no case passes {names}: --call says how to")
    control = next((case for case, outcome in calls if outcome.output is not None), None)
    return Probe(model, notes, control=control)


def _known(model: Model) -> bool:
    try:
        check_forward(model.base)
    except InputError:
        return False
    return True


def _agreement(runner: Runner, model: Model) -> float:
    """How many gradients are right, and which part of those that are not."""
    score = 0.0
    for which in (DX, DW):
        for setting in VARIED[:PROBES]:
            case = model.project(replace(BASE, gradient=which, **setting))  # type: ignore[arg-type]
            output = runner.run(model.request(case, repeat=False)).output
            if output is not None:
                judged = judge(*model.arrays(case), output, model.convention(case))
                score += judged.share
    return score


def _given(runner: Runner, model: Model) -> tuple[Model, tuple[str, ...]]:
    """The model with the gradients that the target gives."""
    notes, found = [], []
    for which in GRADIENTS:
        asked = replace(model, gradients=(which,))
        outcome = runner.run(asked.request(asked.project(BASE), repeat=False))
        if outcome.kind == "rejected":
            notes.append(f"{which} is not held: {outcome.detail.partition(': ')[2]}")
        else:
            found.append(which)
    if not found:
        raise InputError(
            "the target gives no gradient",
            got=notes[0],
            expected="gradients of floating-point arrays",
        )
    return replace(model, gradients=tuple(found)), tuple(notes)
