"""Integers that wrapped: the scales, biases and borders that leave each right modulo 2^bits."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.judging import EXPLAINED
from convcheck.checks.identify.looks import arithmetics
from convcheck.checks.identify.numerals import plainest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convcheck.checks.sums import Linear
    from convcheck.convention import Convention
Array = NDArray[Any]

SOME = 512
"""Elements at the border that are enough to say what is beyond it."""
TINIER = 1e-9
"""What the last digits may change of where a bias can lie."""


PADS = (-2.0, -1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 127.0, 128.0, 255.0)
"""What integers are padded with beside zeros: small numbers, and the middle or end of bytes."""
BEYOND = tuple(sorted([*range(-255, 256), *(n / 2 for n in range(-15, 16, 2))], key=abs))
"""All that may be beyond the edge, the smallest first."""
PART = 64
"""Elements by which these are looked through with every scale."""
LEAST = 4
"""So many of them must be left where each channel's first has been taken from the others."""


def usual_scales(terms: int, kernel: Sequence[int]) -> tuple[float, ...]:
    """The scales of integer arithmetic: shifts, pixels as fractions, and means."""
    numbers = (1, 2, 4, 8, 16, 255, 256, math.prod(kernel), terms)
    return tuple(1 / n for n in dict.fromkeys(numbers))


def rare_scales() -> tuple[float, ...]:
    """Others that people multiply wrapped integers by: small numbers, parts, and decimals."""
    parts = (3, 5, 6, 7, 9, 10, 12, 20, 25, 32, 64, 100, 128)
    return (-1, 2, -2, 3, 4, 5, 8, -0.5, -0.25, 0.75, 1.5, *(1 / n for n in parts))


def wound(value: Any, modulus: float) -> Any:
    """The number nearest to zero that is equal to ``value`` modulo ``modulus``."""
    return (value + modulus / 2) % modulus - modulus / 2


def wrapped_forms(linear: Linear, output: Array, usable: Array) -> Iterator[Convention]:
    """Integers that wrapped: one of the usual scales, and biases as they are modulo 2^bits."""
    moduli = _moduli(linear)
    base = linear.convention
    # Where there is nothing to sum every channel holds its bias, whatever the convention.
    telling = usable & (linear.values != 0)
    telling |= usable & ~telling.any(axis=(0, 2, 3), keepdims=True)
    rare = _rare(output, telling)
    others = int(np.maximum(rare.sum(axis=(0, 2, 3)) - 1, 0).sum())
    usual = usual_scales(linear.terms, linear.bank.shape[2:])
    fractions = not np.array_equal(np.rint(linear.values), linear.values)
    for scale, modulus in product(dict.fromkeys((*usual, *rare_scales())), moduli):
        residual = output - scale * linear.values
        steps = wound(residual[rare], modulus)
        if scale != 1 and _truncated(steps) > EXPLAINED * steps.size:
            yield base.replace(scale=scale)
        bias, given = [], 0
        for o, some in enumerate(np.moveaxis(rare, 1, 0)):
            told = residual[:, o][some if some.any() else telling[:, o]]
            first = told[0] if told.size else 0.0
            steps = wound(told - first, modulus)
            if some.any():
                given += _truncated(steps[1:])
            middle = first + (steps.min(initial=0) + steps.max(initial=0)) / 2
            bias.append(float(wound(middle, modulus)))
        if given <= EXPLAINED * others:
            continue
        yield base.replace(scale=scale, bias=tuple(bias))
        if scale != 1 or fractions:
            cut = cut_biases(scale * linear.values, output, usable, modulus)
            yield base.replace(scale=scale, bias=cut)


def cut_biases(sums: Array, wanted: Array, usable: Array, modulus: float) -> tuple[float, ...]:
    """The bias of each channel modulo ``modulus``, by its usable elements, (N,O,H,W) all three."""
    return tuple(
        _cut_bias(sums[:, o][seen], wanted[:, o][seen], modulus)
        for o, seen in enumerate(np.moveaxis(usable, 1, 0))
    )


def _cut_bias(sums: Array, wanted: Array, modulus: float) -> float:
    """The bias modulo ``modulus`` that most elements leave, whose fractions were cut off.

    Each leaves an interval of 1: above, if the number was positive, else below; a zero one of 2.
    """
    most, bias = 0, 0.0
    if not sums.size:
        return bias
    residual = wanted - sums
    middle = residual[0] + np.median(wound(residual - residual[0], modulus))
    for turn in (0, modulus, -modulus):
        near = sums + wound(middle, modulus) + turn
        cut = np.rint(near + wound(wanted - near, modulus))
        least, end = np.sort(cut - (cut <= 0) - sums), np.sort(cut + (cut >= 0) - sums)
        counts = np.arange(1, least.size + 1) - np.searchsorted(end, least - TINIER)
        at = int(np.argmax(counts))
        low, high = float(least[at]), float(end[at + 1 - counts[at]])
        # The very ends, which are plainest at times, may be out.
        for number in (plainest(low - TINIER, high + TINIER), (low + high) / 2):
            right = int(np.count_nonzero(wound(np.trunc(sums + number) - wanted, modulus) == 0))
            if right > most:
                most, bias = right, number
    return bias


def _rare(output: Array, telling: Array) -> Array:
    """The telling elements that are not what most of their channel are, if any say something.

    Zeros are zeros under every scale that is small enough.
    """
    rare = telling.copy()
    for o, seen in enumerate(np.moveaxis(telling, 1, 0)):
        numbers, counts = np.unique(output[:, o][seen], return_counts=True)
        rare[:, o] &= ~np.isin(output[:, o], numbers[2 * counts > counts.sum()])
    return rare if (rare.sum(axis=(0, 2, 3)) > 1).any() else telling


def _truncated(steps: Array) -> int:
    """How many differences truncation can have made."""
    return int(np.count_nonzero(np.abs(steps) < 2))


def wrapped_border(
    linear: Linear, fitted: Convention, output: Array, border: Array
) -> float | None:
    """The number beyond the edge of integers that wrapped: the one that most of them agree with."""
    modulus = 2.0 ** np.iinfo(fitted.arithmetic.partition(":")[2]).bits
    bias = 0 if fitted.bias is None else np.reshape(fitted.bias, (1, -1, 1, 1))
    telling = np.flatnonzero(border & (linear.edge != 0))[:SOME]
    sums = (fitted.scale * linear.values + bias).ravel()[telling]
    rise, wanted = fitted.scale * linear.edge.ravel()[telling], output.ravel()[telling]
    if not telling.size:
        return None
    bordered = sums + np.array(BEYOND)[:, None] * rise
    agreed = (np.abs(wound(wanted - bordered, modulus)) < 2).mean(axis=1)
    # A small scale leaves several near: most of their fractions must be cut off right as well.
    given = (wound(wanted - np.trunc(bordered), modulus) == 0).mean(axis=1)
    kept = np.flatnonzero(agreed > EXPLAINED)
    return float(BEYOND[kept[np.argmax(given[kept])]]) if kept.size else None


def wrapped_borders(linear: Linear, output: Array, usable: Array) -> Iterator[float]:
    """The number beyond the edge that each usual scale asks for, where most agree on it.

    Whatever the biases are: elements are compared to the first of their channel.
    """
    telling = np.flatnonzero(usable & (linear.edge != 0))
    telling = telling[:: max(1, telling.size // PART)]
    channels = np.unravel_index(telling, output.shape)[1]
    _, first, which = np.unique(channels, return_index=True, return_inverse=True)
    sums, edge, wanted = (
        some - some[first[which]]
        for some in (
            a.ravel()[telling].astype(np.float64) for a in (linear.values, linear.edge, output)
        )
    )
    told = edge != 0
    if np.count_nonzero(told) < LEAST:
        return
    scales = usual_scales(linear.terms, linear.bank.shape[2:])
    for scale, modulus in product(scales, _moduli(linear)):
        rest = wanted[told] - scale * sums[told]
        off = np.abs(wound(rest - scale * np.array(BEYOND)[:, None] * edge[told], modulus))
        # Where a small scale leaves several near, the middle of what is left says which.
        best = int(np.argmin(np.minimum(off, 2).mean(axis=1)))
        if (off[best] < 2).mean() > EXPLAINED:
            yield float(BEYOND[best])


def _moduli(linear: Linear) -> list[float]:
    """2^bits of the integers that an output may have wrapped in."""
    return [
        2.0 ** np.iinfo(name.partition(":")[2]).bits
        for name in arithmetics(linear.problem)
        if name.startswith("wrap:")
    ]
