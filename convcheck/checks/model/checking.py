"""All layers of one model, or of two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from convcheck.checks.model.judging import judge
from convcheck.checks.model.result import ModelResult, Row
from convcheck.errors import InputError

if TYPE_CHECKING:
    from convcheck.trace.layer import Trace


def check_model(
    model: Trace,
    other: Trace | None = None,
    *,
    strict: bool = False,
    progress: Callable[[], None] | None = None,
) -> ModelResult:
    """Judge every layer of a model; where there is another one, each of its layers beside it.

    Raises:
        InputError: a model without convolutions, or a layer whose arrays do not fit.
    """
    for one in (model, other):
        if one is not None and not one.layers:
            raise InputError(
                f"MODEL: {one.source} has no convolution that could be judged",
                got=", ".join(f"{n} {kind}" for kind, n in one.others.items()) or "no layers",
                expected="Conv, ConvTranspose, ConvInteger or QLinearConv",
            )
    if other is None:
        rows: list[Row] = []
        for layer in model.layers:
            rows.append(judge(layer))
            if progress is not None:
                progress()
        return ModelResult(tuple(rows), model.others, (model.source,), strict)
    from convcheck.checks.model.pairing import beside

    found = tuple(beside(model, other, progress))
    first = model.layers[0].name
    if all(row.drift is None for row in found if row.partner == first):
        found = tuple(replace(row, drift=None) for row in found)  # they were given other inputs
    return ModelResult(found, other.others, (model.source, other.source), strict)
