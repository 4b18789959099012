"""The few elements of an output that hypotheses are tried on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Array = NDArray[Any]

PART = 1 << 20
"""Elements of an output that are enough to count what it is made of."""


@dataclass(frozen=True)
class Sample:
    """One element of the output, N,O,H,W."""

    index: tuple[int, int, int, int]
    value: complex | float


def choose_samples(
    output: Array,
    count: int,
    usable: Callable[[Array], Array],
    *,
    one_channel: bool = False,
    everywhere: bool = False,
    other: bool = False,
) -> list[Sample]:
    """Elements that say much: of different values, in different channels, towards the middle.

    Near the middle a window lies inside the image, so that the border's treatment does not matter;
    ``usable`` marks the values of the elements that may be chosen; ``everywhere`` is for outputs
    whose very middle is damaged, ``other`` for those of which the channel that is chosen may be.
    """
    rng = np.random.default_rng(len(output.shape) + math.prod(output.shape))
    n, o, h, w = output.shape
    fixed = _telling_channel(usable(a_part(output)), other=other) if one_channel else None
    draws = 40 * count
    # Outwards from the middle, an eighth of the size at a time.
    reach = np.repeat([0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0, 1.0], 5 * count)
    if everywhere:
        reach[:] = 1.0
    channels = np.full(draws, fixed) if fixed is not None else rng.integers(o, size=draws)
    rows, columns = (_near_middle(rng, size, reach) for size in (h, w))
    places = np.stack([rng.integers(n, size=draws), channels, rows, columns])
    seen = usable(output[tuple(places)])
    chosen: dict[tuple[int, int, int, int], complex | float] = {}
    values: set[complex | float] = set()
    for attempt in np.flatnonzero(seen):
        place = tuple(places[:, attempt].tolist())
        if place in chosen:
            continue
        value = _number(output[place])
        if value not in values or attempt >= 30 * count:
            chosen[place] = value
            values.add(value)
        if len(chosen) == count:
            break
    return [Sample(place, value) for place, value in chosen.items()]


def in_pairs(samples: Sequence[Sample], *, alone: bool = False) -> list[Sample]:
    """The samples two by two, each pair of one output channel; those ``alone`` after them."""
    single: dict[int, Sample] = {}
    paired = []
    for sample in samples:
        channel = sample.index[1]
        other = single.pop(channel, None)
        if other is None:
            single[channel] = sample
        else:
            paired += [other, sample]
    return [*paired, *single.values()] if alone else paired


def pairs(samples: Sequence[Sample]) -> int:
    """How many pairs there are at the beginning."""
    channels = np.array([sample.index[1] for sample in samples[: len(samples) // 2 * 2]])
    apart = np.flatnonzero(channels[::2] != channels[1::2])
    return int(apart[0]) if apart.size else len(channels) // 2


def rises(samples: Sequence[Sample]) -> Array:
    """By how much the second sample of each pair is the larger."""
    wanted, count = targets(samples), pairs(samples)
    steps: Array = wanted[1 : 2 * count : 2] - wanted[: 2 * count : 2]
    return steps


def origins(samples: Sequence[Sample]) -> list[Array]:
    """For each sample the first of its output channel, and the second if there is one."""
    channels = [sample.index[1] for sample in samples]
    members = {o: [s for s, channel in enumerate(channels) if channel == o] for o in channels}
    return [np.array([members[o][:nth][-1] for o in channels]) for nth in (1, 2)]


def a_part(output: Array) -> Array:
    """The output (N,O,H,W), or of a large one so many rows and columns, evenly spaced, as a view.

    What is counted in it is about the same share of the whole.
    """
    height = output.shape[2]
    step = max(1, math.ceil(math.sqrt(output.size / PART)))
    rows = min(step, height)
    return output[:, :, ::rows, :: math.ceil(step * step / rows)]


def _telling_channel(usable: Array, *, other: bool) -> int:
    """A channel of the middle among those with the most usable elements; an odd one, if any.

    Where only every second or fourth channel is wrong, it is usually not an odd one; the ``other``
    is even, and of the other half.
    """
    counts = usable.sum(axis=(0, 2, 3))
    best = np.flatnonzero(counts >= 0.9 * counts.max())
    odd = best[best % 2 == 1]
    chosen = odd if odd.size else best
    if other:
        even = best[(best % 2 == 0) & (best < chosen[len(chosen) // 2])]
        chosen = even if even.size else best
    return int(chosen[len(chosen) // 2])


def targets(samples: Sequence[Sample]) -> Array:
    """The samples' values."""
    return np.array([s.value for s in samples])


def _number(value: Any) -> complex | float:
    return complex(value) if np.iscomplexobj(value) else float(value)


def _near_middle(rng: np.random.Generator, size: int, reach: Array) -> Array:
    drawn = size / 2 + np.maximum(1.0, reach * size / 2) * rng.uniform(-1, 1, reach.shape)
    # Of a single element they reach over both ends; what is above -1 becomes 0 in any case.
    return np.minimum(drawn, size - 1).astype(np.int64)
