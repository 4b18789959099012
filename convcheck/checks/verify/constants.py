"""What a target has inside it: a padding, a stride, a dilation of its own, as its shapes show."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from convcheck.checks.verify.model import RULES
from convcheck.convention import Axis

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from convcheck.campaign import Case
    from convcheck.checks.verify.model import Model
    from convcheck.convention import Pair

Array = NDArray[Any]
Own = tuple[int, int, int]
"""A stride, a dilation, and how much is padded in all."""

STRIDES, DILATIONS, PADDED = 4, 3, 8
"""The largest constants that are looked for; of the padding before and after together."""
TELLING = 2
"""So many different sizes must say the same."""


def constants(
    model: Model, seen: Sequence[tuple[Case, Array]]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rules, and the keys beside them, that give the shapes of these outputs; plain ones first.

    A rule without a constant is not among them, nor is what a parameter of the target says.
    """
    base = model.base
    axes: list[list[Own]] = []
    for rule in RULES:
        axes = [_fitting(model, rule, axis, seen) for axis in base.spatial]
        # Of every axis the plainest, or the same of all.
        shared = [own for own in axes[0] if all(own in each for each in axes)]
        several = [[own] * base.rank for own in shared]
        if not shared and all(axes):
            several = [[each[0] for each in axes]]
        for own in several:
            if all(each == (1, 1, 0) for each in own):
                continue
            for padding in _paddings([total for _, _, total in own]):
                yield (
                    rule,
                    {
                        "stride": tuple(stride for stride, _, _ in own),
                        "dilation": tuple(dilation for _, dilation, _ in own),
                        "padding": padding,
                    },
                )


def _fitting(model: Model, rule: str, axis: str, seen: Sequence[tuple[Case, Array]]) -> list[Own]:
    """What gives the lengths of an axis, the fewest and smallest constants first."""
    lengths = Counter(_lengths(model, axis, seen))
    if len(lengths) < TELLING:
        return []
    strides = (1,) if "stride" in model.parameters else range(1, STRIDES + 1)
    dilations = (1,) if "dilation" in model.parameters else range(1, DILATIONS + 1)
    totals = range(PADDED + 1) if rule == "explicit" else (0,)
    found = []
    for stride, dilation, total in product(strides, dilations, totals):
        right = 0
        for (size, taps, length), count in lengths.items():
            one = Axis(size, taps, stride, dilation)
            before, after = RULES[rule](one)
            right += count * (one.outputs(before, after + total) == length)
        if right == lengths.total():
            found.append((stride, dilation, total))
    return sorted(found, key=lambda own: (own[1] > 1, own[0] > 1, own[2] > 0, sum(own)))


def _lengths(
    model: Model, axis: str, seen: Sequence[tuple[Case, Array]]
) -> Iterator[tuple[int, int, int]]:
    layout = model.base.output_layout
    at = model.base.spatial.index(axis)
    for case, output in seen:
        plain = case.stride == case.dilation == 1 and case.padding == 0
        if plain and output.ndim == len(layout):
            yield case.sizes[at], case.taps[at], output.shape[layout.index(axis)]


def _paddings(totals: Sequence[int]) -> list[tuple[Pair, ...]]:
    """How so much may be shared out: the same on both sides, one more on one, all on one."""
    shares = [
        tuple((n // 2, n - n // 2) for n in totals),
        tuple((n - n // 2, n // 2) for n in totals),
        tuple((0, n) for n in totals),
        tuple((n, 0) for n in totals),
    ]
    return list(dict.fromkeys(shares))
