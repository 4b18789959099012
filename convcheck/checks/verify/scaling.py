"""What an implementation does to its sums: a factor, or a number added, to the last digit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention import PRECISIONS
from convcheck.engine import convolve, output_shape
from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.campaign import Case
    from convcheck.checks.verify.model import Model

Array = NDArray[Any]
Shown = tuple["Case", Array, Array, Array]
"""A case, its image and filters, and what the target made of them."""

NEAR = 1e-4
"""By no more than this, relatively, what is known roughly is made exact."""
ROUNDINGS = 64
"""Of the output's dtype: what the middle one of many estimates may be off by."""


def solved(model: Model, seen: Sequence[Shown]) -> Model:
    """The model with its factor, or the one number that it adds, as these outputs have it."""
    scale, bias = model.base.scale, model.base.bias
    if isinstance(scale, tuple) or isinstance(bias, tuple) or (scale == 1) == (bias is None):
        return model
    sums, outputs = _sums(model, seen)
    # The middle one: outputs may be wrong in places, which is what is sought.
    if bias is None and np.any(sums):
        told = float(np.median(outputs[sums != 0] / sums[sums != 0]))
        if abs(told - scale) <= NEAR * abs(scale):
            plain = plainest(told, abs(told) * _slack(model, seen))
            return replace(model, base=model.base.replace(scale=plain))
    if bias is not None and sums.size:
        told = float(np.median(outputs - sums))
        size = float(np.median(np.abs(outputs)))
        if abs(told - bias) <= NEAR * abs(bias):
            plain = plainest(told, size * _slack(model, seen))
            return replace(model, base=model.base.replace(bias=plain))
    return model


def plainest(value: float, near: float) -> float:
    """The number of few digits, or one over a whole number, that is so near; else the value."""
    for plain in (float(f"{value:.6g}"), 1 / round(1 / value) if 0 < abs(value) < 1 else value):
        if abs(plain - value) <= near:
            return plain
    return value


def _slack(model: Model, seen: Sequence[Shown]) -> float:
    dtypes = {output.dtype for *_, output in seen if output.dtype.kind == "f"}
    units = [PRECISIONS[model.precision or "float64"], *(float(np.finfo(d).eps) for d in dtypes)]
    return ROUNDINGS * max(units)


def _sums(model: Model, seen: Sequence[Shown]) -> tuple[Array, Array]:
    """The bare sums and what became of them, wherever that is finite and not cut to 0."""
    pairs = [(np.empty(0), np.empty(0))]
    for case, image, filters, output in seen:
        bare = (
            model.found()
            .convention(case)
            .replace(scale=1, bias=None, activation=None, arithmetic="exact")
        )
        try:
            if output_shape(image.shape, filters.shape, bare) == output.shape:
                kept = np.isfinite(output) & ((output > 0) | (model.base.activation is None))
                sums = np.asarray(convolve(image, filters, bare))[kept]
                pairs.append((sums.astype(np.float64), output[kept].astype(np.float64)))
        except InputError:
            continue
    sums, outputs = (np.concatenate(column) for column in zip(*pairs, strict=True))
    return sums, outputs
