"""What a hypothesis leaves open: what stands beyond the edge, and who is written where."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention import PADDING_MODES
from convcheck.score import plainest

if TYPE_CHECKING:
    from convcheck.checks.identify.elements import Elements, Sums
    from convcheck.checks.identify.space import Pass
    from convcheck.convention import Convention

Array = NDArray[Any]


def variants(c: Convention, elements: Elements, one: Pass) -> Iterator[tuple[Convention, Sums]]:
    """The convention, and those that differ where its samples could not tell, with their sums.

    The samples lie towards the middle: what is beyond the edge shows on the other elements alone.
    """
    sums = elements.sums(c)
    y = elements.values()
    real = y.dtype.kind != "c" and sums.values.dtype.kind != "c"
    if one.outputs or (real and _some_channels(sums, y, elements)):
        ordered = _ordered(c, elements)
        if ordered != c:
            yield ordered, elements.sums(ordered)
    if one.outputs:
        return
    yield c, sums
    padded = [max(pads) > 0 for pads in c.padding]
    if not real or not any(padded) or one.circular or max(c.input_dilation) > 1:
        return
    y = y.astype(np.float64)
    if _fits(sums.values, y, sums.inside, ~sums.inside):
        return
    modes = [PADDING_MODES if on else ("constant",) for on in padded]
    for mode in product(*modes):
        if len(set(mode) - {"constant"}) == 1:
            other = c.replace(padding_mode=mode)
            there = elements.sums(other)
            if _fits(there.values, y, sums.inside, ~sums.inside):
                yield other, there
                return
    constant = _constant(sums.values, sums.edge, y, sums.inside)
    if constant is not None and c.padding_value == 0:
        bordered = c.replace(padding_value=constant)
        yield bordered, elements.sums(bordered)


def _line(p: Array, y: Array) -> tuple[float, float]:
    """Scale and bias of most elements, by medians; of one channel or of many."""
    rng = np.random.default_rng(0)
    i, j = rng.integers(len(p), size=(2, 256))
    run = p[j] - p[i]
    far = np.abs(run) > 0
    if not far.any():
        return 1.0, 0.0
    slopes = (y[j] - y[i])[far] / run[far]
    order = np.argsort(slopes)
    weights = np.cumsum(np.abs(run[far])[order])
    a = float(slopes[order[int(np.searchsorted(weights, 0.5 * weights[-1]))]])
    return a, float(np.median(y - a * p))


def _fits(p: Array, y: Array, inside: Array, border: Array) -> bool:
    """Whether elements at the border are on the line of the others, about as those are."""
    good = np.isfinite(y)
    inner, outer = good & inside, good & border
    if not outer.any():
        return True
    if np.count_nonzero(inner) < 4:
        inner = good
    a, b = _line(p[inner], y[inner])
    away = np.abs(y - a * p - b)
    typical = np.median(away[inner]) + 1e-9 * np.median(np.abs(y[good]))
    return bool(np.median(away[outer]) <= 8 * typical + 1e-12)


def _constant(p: Array, edge: Array, y: Array, inside: Array) -> float | None:
    """The constant beyond the edge that most elements at the border ask for."""
    good = np.isfinite(y)
    inner = good & inside
    if np.count_nonzero(inner) < 4:
        return None
    a, b = _line(p[inner], y[inner])
    some = good & ~inside & (np.abs(edge) > 1e-9 * np.abs(edge).max(initial=0.0))
    if not some.any() or a == 0:
        return None
    asked = np.sort(((y - b) / a - p)[some] / edge[some])
    middle = float(np.median(asked))
    near = asked[np.abs(asked - middle) <= 0.02 * abs(middle) + 1e-9]
    if len(near) < 0.3 * len(asked) or middle == 0:
        return None
    low, high = np.quantile(near, [0.25, 0.75])
    width = max(float(high - low), 1e-7 * abs(middle))
    return plainest(middle - width, middle + width)


def _some_channels(sums: Sums, y: Array, elements: Elements) -> bool:
    """Whether some output channels follow their sums closely, and others not at all."""
    if elements.reading.output.shape[1] == 1:
        return False
    followed = [_followed(sums.values[m], y[m]) for m in _channels(elements, y)]
    return max(followed) > FOLLOWS and min(followed) < 0.5


FOLLOWS = 0.99
"""r squared of an output channel and the sums that it is made of."""


def _channels(elements: Elements, y: Array) -> list[Array]:
    finite = np.isfinite(y)
    return [
        np.flatnonzero((elements.index[:, 1] == o) & finite)
        for o in range(elements.reading.output.shape[1])
    ]


def _followed(p: Array, y: Array) -> float:
    if len(p) < 4 or np.ptp(p) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(p, y)[0, 1] ** 2)


def _ordered(c: Convention, elements: Elements) -> Convention:
    """The order of the output's channels: for each the filter whose sums it follows best."""
    reading = elements.reading
    count = reading.output.shape[1]
    y = elements.values().astype(np.float64)
    plain = c.replace(output_order=None)
    members = _channels(elements, y)
    tight = np.zeros((count, count))
    for shift in range(count):
        order = tuple((o + shift) % count for o in range(count))
        p = elements.sums(plain.replace(output_order=order)).values
        for o, these in enumerate(members):
            tight[o, order[o]] = _followed(p[these], y[these])
    from scipy.optimize import linear_sum_assignment

    _, chosen = linear_sum_assignment(-tight)
    order = tuple(int(k) for k in chosen)
    return plain.replace(output_order=None if list(order) == sorted(order) else order)
