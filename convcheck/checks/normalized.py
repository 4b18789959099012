"""A convolution with a batch normalization after it, and the usual mistakes of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from convcheck.checks.identify.norm_lines import GIVEN, ROWS, Line
from convcheck.convention.deviations import Deviation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convcheck.checks.identify.norm import BatchNorm
    from convcheck.convention import Convention

DEFAULTS = 1e-5, 1e-3
"""PyTorch's ε, and Keras'."""


class _Given(NamedTuple):
    norm: BatchNorm
    statistics: tuple[NDArray[Any], NDArray[Any]] | None = None


def normalized(c: Convention, norm: BatchNorm) -> tuple[Convention, tuple[Deviation, ...]]:
    """The convention whose scale and bias take the batch normalization in, and mistaken ones.

    A mistake is an ε of the other library, or arrays that are left out or used in another way.
    Statistics of the batch, which depend on the data, are not among them.
    """
    given = _Given(norm)
    right = _after(c, ROWS[GIVEN].make(given, norm.eps))
    other = DEFAULTS[norm.eps == DEFAULTS[0]]
    mistakes = [
        Deviation(
            "epsilon",
            f"an ε of {other:g} in place of {norm.eps:g}",
            _after(c, ROWS[GIVEN].make(given, other)),
        )
    ]
    for name, row in ROWS.items():
        line = row.make(given, norm.eps)
        if name != GIVEN and line is not None:
            mistakes.append(Deviation(f"batch norm {name}", row.words, _after(c, line)))
    return right, tuple(m for m in mistakes if m.convention != right)


def _after(c: Convention, line: Line | None) -> Convention:
    if line is None:
        return c
    bias = line.bias + line.scale * np.asarray(0.0 if c.bias is None else c.bias)
    return c.replace(scale=tuple(line.scale * np.asarray(c.scale)), bias=tuple(bias))
