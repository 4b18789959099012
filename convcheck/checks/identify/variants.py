"""What a hypothesis leaves open: what stands beyond the edge, and who is written where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.before import steps, usual
from convcheck.checks.identify.elements import Elements
from convcheck.checks.identify.intervals import meeting, slope
from convcheck.convention import PADDING_MODES
from convcheck.score import plainest
from convcheck.traits import telling

if TYPE_CHECKING:
    from convcheck.checks.identify.elements import Sums
    from convcheck.checks.identify.passes import Pass
    from convcheck.convention import Convention

Array = NDArray[Any]


def variants(
    c: Convention, elements: Elements, one: Pass, limits: tuple[float, float]
) -> Iterator[tuple[Convention, Sums]]:
    """The convention, and those that differ where its samples could not tell, with their sums.

    The samples lie towards the middle: what is beyond the edge shows on the other elements alone.
    """
    if one.outputs:
        c = c.replace(output_order=None)
    sums = elements.sums(c)
    y = elements.values()
    if y.dtype.kind == "c" or sums.values.dtype.kind == "c":
        yield c, sums
        yield from _other_border(c, elements, sums, y)
        return
    y = y.astype(np.float64)
    first = [(c, sums)]
    members = _telling(elements, sums, y, limits)
    if one.outputs or _some_channels(sums, members, y):
        ordered = _ordered(c, elements, members, y)
        if ordered != c:
            c, sums = ordered, elements.sums(ordered)
            first = [(c, sums), *first]
    padded = [max(pads) > 0 for pads in c.padding]
    lines = _Lines.of(elements, sums, y, limits) if any(padded) and not one.circular else None
    share = 1.0 if lines is None else lines.share(sums.values[lines.border])
    told = telling(y, limits)
    # Where most activations are a line.
    upper = told & (y >= _medians(y, elements.index[:, 1], told))
    stepped: Iterable[tuple[Array, Convention]] = ()
    if not one.circular:
        stepped = chain(
            ((upper, before) for before in usual(c, elements)),
            ((some, before) for some in (told, upper) for before in steps(c, elements, sums, some)),
        )
    if lines is None or share >= MOST:
        if share >= MOST:
            yield from first
        for some, before in stepped:
            yield from _either_way(c, before, elements, y, some)
        return
    around = Elements(elements.reading, elements.index[lines.border])

    def met(other: Convention) -> float:
        return lines.share(around.sums(other).values)

    known = dict(first)
    ranked: list[tuple[float, Convention]] = []
    for some, before in stepped:
        pair = _either_way(c, before, elements, y, some)
        known |= dict(pair)
        there = max(_own_share(elements, own, y, limits) for _, own in pair)
        ranked += [(there, other) for other, _ in pair]
    if max(c.input_dilation) == 1:
        ranked += _bordered(c, elements, lines, padded, met)
    best = max((there for there, _ in ranked), default=share)
    if share >= best - lines.luck:  # what stands there as a rule does as well
        share = max(share, best)
    ranked = [*((share, other) for other, _ in first), *ranked]
    for _, other in sorted(ranked, key=lambda one: -one[0]):
        yield other, known[other] if other in known else elements.sums(other)


def _own_share(elements: Elements, sums: Sums, y: Array, limits: tuple[float, float]) -> float:
    """How many of the border's elements are on the lines of these sums."""
    lines = _Lines.of(elements, sums, y, limits)
    return 0.0 if lines is None else lines.share(sums.values[lines.border])


def _either_way(
    c: Convention, before: Convention, elements: Elements, y: Array, some: Array
) -> list[tuple[Convention, Sums]]:
    """An offset of the image, and the border of one number that does the same.

    Without biases what is off is the border, not the image: it comes first then.
    """
    value, sums = before.image_offset, elements.sums(before)
    if isinstance(value, tuple) or not value or not np.any(c.padding):
        return [(before, sums)]
    border = c.replace(padding_value=value, padding_mode="constant")
    pair = [(before, sums), (border, elements.sums(border))]
    return pair[::-1] if _in_proportion(pair[1][1].values[some], y[some]) else pair


def _bordered(
    c: Convention,
    elements: Elements,
    lines: _Lines,
    padded: Sequence[bool],
    met: Callable[[Convention], float],
) -> Iterator[tuple[float, Convention]]:
    """Other borders, with the share of the border that is on its lines with each."""
    if c.padding_mode != "constant":  # which its samples need not tell from zeros
        c = c.replace(padding_mode="constant")
        yield met(c), c
    share = met(c)
    if c.padding_value == 0:
        values = lines.constants(elements.sums(c))
        others = [c.replace(padding_value=value) for value in values]
        shares = [met(other) for other in others]
        if elements.reading.image.dtype.kind in "iu":
            # Of what does as well, but for luck, the whole numbers come first.
            best = max(shares, default=0.0)
            shares = [best if s >= best - lines.luck else s for s in shares]
        for there, other in zip(shares, others, strict=True):
            yield there, other
            if c.image_offset == 0:
                yield there, c.replace(image_offset=other.padding_value, padding_value=0.0)
    modes = _best_modes(c, padded, met)
    if modes[0] > share:
        yield modes


def _best_modes(
    c: Convention, padded: Sequence[bool], share: Callable[[Convention], float]
) -> tuple[float, Convention]:
    """The modes that most of the border asks for: one for all axes, then one axis after another."""

    def best(every: Iterable[Sequence[str]]) -> tuple[float, Convention]:
        some = [c.replace(padding_mode=tuple(modes)) for modes in every]
        return max(((share(other), other) for other in some), key=lambda one: one[0])

    found = best([mode if on else "constant" for on in padded] for mode in PADDING_MODES[1:])
    for axis in np.flatnonzero(padded) if sum(padded) > 1 else ():
        modes = found[1].padding_modes
        some = best([*modes[:axis], mode, *modes[axis + 1 :]] for mode in PADDING_MODES)
        found = some if some[0] > found[0] else found
    return found


def _other_border(
    c: Convention, elements: Elements, sums: Sums, y: Array
) -> Iterator[tuple[Convention, Sums]]:
    """Of complex numbers, the borders by which more elements are about their sums."""
    padded = [max(pads) > 0 for pads in c.padding]
    if not any(padded) or sums.inside.all() or max(c.input_dilation) > 1:
        return
    loose = 0.1 * NEAR * float(np.std(y))
    most = np.count_nonzero(np.abs(sums.values - y) <= loose)
    every = product(*(PADDING_MODES if on else ("constant",) for on in padded))
    for modes in sorted(every, key=lambda some: len(set(some))):  # one for all axes first
        other = c.replace(padding_mode=modes)
        if other == c:
            continue
        found = elements.sums(other)
        met = np.count_nonzero(np.abs(found.values - y) <= loose)
        if met > most:
            most = met
            yield other, found


def _medians(y: Array, channels: Array, told: Array) -> Array:
    """The median of what tells of every element's channel."""
    found = np.zeros(int(channels.max(initial=0)) + 1)
    for o in np.unique(channels[told]):
        found[o] = np.median(y[told & (channels == o)])
    return found[channels]


def _in_proportion(p: Array, y: Array) -> bool:
    """Whether results are about a multiple of their sums, without a bias."""
    power = float(np.dot(p, p))
    if not power:
        return False
    away = np.abs(y - float(np.dot(p, y)) / power * p)
    return float(np.median(away)) <= 0.1 * NEAR * float(np.std(y))


MOST = 0.98
"""So many elements at the border on their channels' lines leave nothing open there."""
NEAR = 0.02
"""Of a channel's spread: how near to its line an element is on it, while borders are compared."""


@dataclass(frozen=True)
class _Lines:
    """The lines of the output channels, from elements whose windows lie inside the image.

    ``bends`` has their sums, results, and what those are off: an activation bends a line.
    ``border`` are the elements of the others that tell, ``y`` the output there.
    """

    slopes: Array
    offsets: Array
    bends: dict[int, tuple[Array, Array, Array]]
    room: Array
    border: Array
    channels: Array
    y: Array

    @classmethod
    def of(
        cls, elements: Elements, sums: Sums, y: Array, limits: tuple[float, float]
    ) -> _Lines | None:
        """The lines by medians; None where no element at the border tells anything."""
        told = telling(y, limits)
        rng = np.random.default_rng(0)
        count = elements.reading.output.shape[1]
        rounded = 0.5 * np.array_equal(y, np.rint(y))
        slopes, offsets, room = np.ones(count), np.zeros(count), np.zeros(count)
        bends = {}
        channels = elements.index[:, 1]
        for o in range(count):
            some = np.flatnonzero((channels == o) & told & sums.inside)
            if len(some) < 3 or np.ptp(sums.values[some]) == 0:
                continue
            slopes[o] = slope(sums.values[some], y[some], rng)
            some = some[np.argsort(sums.values[some])]
            rest = y[some] - slopes[o] * sums.values[some]
            offsets[o] = np.median(rest)
            bends[o] = sums.values[some], y[some], rest - offsets[o]
            loose = np.median(np.abs(rest[1:-1] - 0.5 * (rest[:-2] + rest[2:])))
            room[o] = max(NEAR * float(np.std(y[some])) + 2 * float(loose), rounded) + 1e-12
        border = np.flatnonzero(told & ~sums.inside & np.isin(channels, list(bends)))
        if not len(border):
            return None
        return cls(slopes, offsets, bends, room, border, channels[border], y[border])

    def _away(self, p: Array) -> Array:
        c = self.channels
        away: Array = self.y - self.slopes[c] * p - self.offsets[c] - self._bent(0, p)
        return away

    def _bent(self, by: int, at: Array) -> Array:
        """How far the border's elements are off their lines, by their sums or their results."""
        off = np.zeros(at.shape)
        for o, bend in self.bends.items():
            some, order = self.channels == o, np.argsort(bend[by])
            off[some] = np.interp(at[some], bend[by][order], bend[2][order])
        return off

    @property
    def luck(self) -> float:
        """How far two shares may be apart that are the same but for luck: two standard errors."""
        return 1 / float(np.sqrt(len(self.border)))

    def share(self, p: Array) -> float:
        """How many of the border's elements are on their lines, by their sums."""
        return float(np.mean(np.abs(self._away(p)) <= self.room[self.channels]))

    def constants(self, sums: Sums) -> list[float]:
        """The constants beyond the edge that most of the border's elements ask for."""
        c, y = self.channels, self.y
        edge = self.slopes[c] * sums.edge[self.border]
        some = np.abs(edge) > 1e-6 * np.abs(edge).max(initial=0.0)
        if not some.any():
            return []
        away = y - self.slopes[c] * sums.values[self.border] - self.offsets[c] - self._bent(1, y)
        asked = away[some] / edge[some]
        loose = self.room[c][some] / np.abs(edge[some])
        found = meeting(asked - loose, asked + loose)
        if found.met < 0.3 * len(asked):
            return []
        middle = 0.5 * (found.low + found.high)
        near = asked[np.abs(asked - middle) <= 2 * loose]
        exact = float(np.median(near)) if len(near) else middle
        whole = np.rint(exact) + np.array([0.0, -1.0, 1.0])
        # A curve between its elements is only about known.
        around = [sorted((exact * (1 - w), exact * (1 + w))) for w in (1e-6, 1e-2)]
        plain = [plainest(*ends) for ends in ((found.low, found.high), *around)]
        return [float(v) for v in dict.fromkeys((*whole, *plain)) if v != 0]


FOLLOWS, FOLLOWED = 0.95, 0.5
"""r squared of an output channel's ranks and those of the sums that it is made of: of some channel,
and of all that follow anything."""


def _some_channels(sums: Sums, members: list[Array], y: Array) -> bool:
    """Whether some output channels follow their sums closely, and others not at all."""
    followed = [_followed(sums.values[m], y[m]) for m in members]
    return len(members) > 1 and max(followed) > FOLLOWS and min(followed) < FOLLOWED


def _followed(p: Array, y: Array) -> float:
    """By ranks, which hardly any activation changes where results are large."""
    if len(p) < 4 or np.ptp(p) == 0 or np.ptp(y) == 0:
        return 0.0
    ranks = np.argsort(np.argsort([p, y], kind="stable"))
    whole = float(np.corrcoef(*ranks)[0, 1] ** 2)
    if whole > FOLLOWS:
        return whole
    return max(whole, float(np.corrcoef(*ranks[:, y >= np.median(y)])[0, 1] ** 2))


def _telling(elements: Elements, sums: Sums, y: Array, limits: tuple[float, float]) -> list[Array]:
    """Of each stored output channel the elements that tell, as far as there are any inside."""
    told = telling(y, limits)
    found = []
    for o in range(elements.reading.output.shape[1]):
        some = (elements.index[:, 1] == o) & told
        within = np.flatnonzero(some & sums.inside)
        found.append(within if len(within) >= 8 else np.flatnonzero(some))
    return found


def _ordered(c: Convention, elements: Elements, members: list[Array], y: Array) -> Convention:
    """The order of the output's channels: for each the filter whose sums it follows best."""
    count = len(members)
    tight = np.zeros((count, count))
    for shift in range(count):
        order = tuple((o + shift) % count for o in range(count))
        p = elements.sums(c.replace(output_order=order)).values
        for o, these in enumerate(members):
            tight[o, order[o]] = _followed(p[these], y[these])
    from scipy.optimize import linear_sum_assignment

    # Of two channels that follow one filter as closely, the one that is in its place.
    _, chosen = linear_sum_assignment(-tight - 1e-6 * np.eye(count))
    order = tuple(int(k) for k in chosen)
    moved = np.flatnonzero(chosen != np.arange(count))
    if np.mean(tight[moved, chosen[moved]] > FOLLOWED) <= 0.5 if len(moved) else True:
        return c.replace(output_order=None)
    return c.replace(output_order=order)
