"""The ways to make a scale and a bias for each channel of a batch normalization's four arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from convcheck.checks.identify.norm import BatchNorm

Array = NDArray[Any]


class Given(Protocol):
    """A batch normalization, and mean and variance of each channel's sums, where they are held."""

    @property
    def norm(self) -> BatchNorm: ...  # noqa: D102

    @property
    def statistics(self) -> tuple[Array, Array] | None: ...  # noqa: D102


class Line(NamedTuple):
    """A scale and a bias for each channel, and the parts that the bias is the sum of."""

    scale: Array
    bias: Array
    parts: Array


def _line(mean: Array, root: Array, gamma: Array, beta: Array) -> Line:
    scale = gamma / root
    # Statistics of a batch are rounded relative to how far the numbers spread, too.
    parts = np.abs(beta) + np.abs(mean * scale) + np.abs(gamma)
    return Line(scale, beta - mean * scale, parts)


Make = Callable[[Any, float], "Line | None"]


@dataclass(frozen=True)
class Row:
    """A way to make scale and bias of the four arrays and an ε: its name and its words."""

    make: Make
    words: str


def _root(g: Given, eps: float) -> Array:
    found: Array = np.sqrt(g.norm.var + eps)
    return found


def as_given(g: Given, eps: float) -> Line:
    """The line of the four arrays as they are, and an ε."""
    n = g.norm
    return _line(n.mean, _root(g, eps), n.gamma, n.beta)


def without(*names: str) -> Make:
    """A line without some of the arrays, which do nothing there."""

    def make(g: Given, eps: float) -> Line:
        neutral = {"mean": 0.0, "gamma": 1.0, "beta": 0.0}
        mean, gamma, beta = (
            np.full(len(g.norm.mean), value) if key in names else getattr(g.norm, key)
            for key, value in neutral.items()
        )
        return _line(mean, _root(g, eps), gamma, beta)

    return make


def _beside_the_root(g: Given, eps: float) -> Line:
    n = g.norm
    return _line(n.mean, np.sqrt(n.var) + eps, n.gamma, n.beta)


def _by_variance(g: Given, eps: float) -> Line:
    n = g.norm
    return _line(n.mean, n.var + eps, n.gamma, n.beta)


def _of_deviation(g: Given, eps: float) -> Line:
    n = g.norm
    return _line(n.mean, np.sqrt(n.var**2 + eps), n.gamma, n.beta)


def _swapped(g: Given, eps: float) -> Line:
    n = g.norm
    return _line(n.mean, _root(g, eps), n.beta, n.gamma)


def _of_the_batch(g: Given, eps: float) -> Line | None:
    if g.statistics is None:
        return None
    mean, var = g.statistics
    return _line(mean, np.sqrt(var + eps), g.norm.gamma, g.norm.beta)


GIVEN, EPSILON_ROW, BIAS, BOTH = "as-given", "other-epsilon", "bias", "bias-and-epsilon"
NONE, NOT_JUDGED = "not-this", "not-judged"
ROWS = {
    GIVEN: Row(as_given, "as given"),
    "no-beta": Row(without("beta"), "β was left out"),
    "no-gamma": Row(without("gamma"), "γ was left out"),
    "no-gamma-no-beta": Row(without("gamma", "beta"), "γ and β were left out"),
    "no-mean": Row(without("mean"), "the mean was left out"),
    "epsilon-beside-root": Row(
        _beside_the_root, "divided by sqrt(var) + ε in place of sqrt(var + ε)"
    ),
    "no-root": Row(_by_variance, "divided by var + ε, without the root"),
    "deviation": Row(_of_deviation, "VAR is a deviation, whose square was the variance"),
    "gamma-beta-swapped": Row(_swapped, "γ and β are in each other's place"),
    "batch-statistics": Row(
        _of_the_batch,
        "mean and variance are those of this batch, as in training, not the running ones",
    ),
}
"""The ways to make scale and bias of what was given, in the order in which they are tried."""
MORE = {
    EPSILON_ROW: "with another ε",
    BIAS: "the convolution has a bias of its own before it, which is missing in what was given",
    BOTH: "the same with another ε",
    NONE: "none of these",
    NOT_JUDGED: "OUT is not explained",
}
"""The verdicts beside those: numbers that are solved for, and none."""
