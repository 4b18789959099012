"""Why an output departs from a convention: single mistakes first, the long search last."""

from __future__ import annotations

from itertools import permutations
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.check import check
from convcheck.checks.model.result import Cause
from convcheck.convention.deviations import deviations
from convcheck.convention.steps import Activation
from convcheck.errors import InputError
from convcheck.words.differs import differences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convcheck.convention import Convention

Array = NDArray[Any]

BUDGET = 5.0
"""Seconds that each of the two searches may take."""
_SLOPES = (0.01, 0.1, 0.2, 0.3)


def searched(
    image: Array,
    filters: Array,
    output: Array,
    c: Convention,
    parts: Array | None,
    *,
    names: tuple[str, str],
) -> tuple[Cause, ...]:
    """What the output's own convention does otherwise than ``c``; empty where none is found."""
    begun = perf_counter()
    with np.errstate(all="ignore"):
        for what, other in candidates(image, filters, c):
            if perf_counter() - begun > BUDGET:
                break
            try:
                found = check(image, filters, output, other, parts=parts)
            except InputError:
                continue
            if found.matches:
                return _said(c, other, image, filters, names, what)
        for order in permutations(range(filters.ndim)):
            moved = filters.transpose(order).reshape(filters.shape)
            if perf_counter() - begun > BUDGET or order == tuple(range(filters.ndim)):
                continue
            if check(image, moved, output, c, parts=parts).matches:
                back = ", ".join(str(int(i)) for i in np.argsort(order))
                words = f"{names[1]}'s weights were reshaped where they should have been transposed"
                return (
                    Cause("filter_memory", words, f"w.transpose({back}) in place of w.reshape"),
                )
    return _identified(image, filters, output, c, names)


def candidates(image: Array, filters: Array, c: Convention) -> Iterator[tuple[str, Convention]]:
    """Single mistakes of a convention, those that ports make most often first."""
    for axes in _paddings(c):
        yield "other padding", c.replace(padding=axes)
    for name in (None, "relu", "relu6", "silu", "gelu", "gelu_tanh", "sigmoid", "tanh"):
        activation = None if name is None else Activation(name)
        if activation != c.activation:
            yield f"the activation {name}", c.replace(activation=activation)
    for slope in _SLOPES:
        yield f"a slope of {slope:g}", c.replace(activation=Activation("leaky_relu", (slope,)))
    try:
        for found in deviations(c, image, filters):
            yield found.what, found.convention
    except InputError:
        return
    for value in ("bfloat16", "float16", "tf32"):
        if value != c.arithmetic:
            yield f"arithmetic of {value}", c.replace(arithmetic=value)


def _paddings(c: Convention) -> Iterator[tuple[tuple[int, int], ...]]:
    pads = c.padding
    turned = tuple((b, a) for a, b in pads)
    even = tuple(((a + b) // 2, a + b - (a + b) // 2) for a, b in pads)
    odd = tuple((b, a) for a, b in even)
    after = tuple((0, a + b) for a, b in pads)
    before = tuple((a + b, 0) for a, b in pads)
    for some in dict.fromkeys((turned, even, odd, after, before)):
        if some != pads:
            yield some


def _said(
    expected: Convention,
    found: Convention,
    image: Array,
    filters: Array,
    names: tuple[str, str],
    what: str,
) -> tuple[Cause, ...]:
    said = differences(expected, found, image.shape, filters.shape, names=names)
    causes = tuple(Cause(d.key, d.words, d.fix) for d in said)
    return causes or (Cause("other", what),)


def _identified(
    image: Array, filters: Array, output: Array, c: Convention, names: tuple[str, str]
) -> tuple[Cause, ...]:
    from convcheck.checks.identify import identify

    try:
        result = identify(image, filters, output, budget=BUDGET)
    except InputError:
        return ()
    if result.verdict not in ("identified", "ambiguous"):
        return ()
    return _said(c, result.candidates[0].convention, image, filters, names, "another convention")
