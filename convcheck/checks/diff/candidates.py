"""Which placements are worth a look: those in which the ranks of REF and MINE go together.

Ranks, not numbers: what a factor, an offset or an activation does to numbers it hardly does to
their order, and a few wild elements do nothing to it. Nothing is claimed by a correlation; it says
what is tried first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice, product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.diff.placing import (
    Map,
    Placement,
    Reading,
    moved,
    ordered,
    readings,
    reverse,
    same,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Array = NDArray[Any]

SAMPLE = 2048
"""Elements by which placements are compared."""
TABLE = 4096
KEPT = 6
"""Placements of each kind that are held to all elements."""
READINGS = 6
"""Readings in which shifts and orders are looked for."""
ORDERED = 1024
"""Indices of an axis whose order is looked for at most."""
FFT = 1 << 18
"""Elements of which shifts are looked for at most."""
STEPS = 8
LEAST = 0.6
"""Of the shorter along each axis: so much of it must be found in the other."""
TOGETHER, LUCK = 0.5, 5.0
"""Correlation from which on ranks go together, and that of luck, for one element."""


@dataclass(frozen=True)
class Candidate:
    """A placement and how well ranks go together in it, from 0 to 1."""

    placement: Placement
    correlation: float
    sampled: int

    @property
    def likely(self) -> bool:
        """Whether ranks go together by more than luck."""
        return self.correlation >= max(TOGETHER, LUCK / math.sqrt(self.sampled))


def ranks(array: Array) -> Array:
    """Where each element stands among all, from -1/2 to 1/2; 0 where it is no number."""
    real = array.real if array.dtype.kind == "c" else array
    values = real.astype(np.float64)
    finite = np.isfinite(values)
    some = values[finite]
    if not some.size:
        return np.zeros(array.shape, np.float32)
    if some.size > TABLE:
        some = some[np.random.default_rng(0).integers(0, some.size, TABLE)]
    table = np.sort(some)
    kept = np.where(finite, values, 0.0)
    low, high = np.searchsorted(table, kept, "left"), np.searchsorted(table, kept, "right")
    found = (low + high) / (2.0 * len(table)) - 0.5
    return np.where(finite, found, 0.0).astype(np.float32)


def correlation(a: Array, b: Array) -> float:
    """The correlation of two samples; 0 where one does not vary."""
    x, y = a - a.mean(), b - b.mean()
    size = math.sqrt(float((x * x).sum()) * float((y * y).sum()))
    return float((x * y).sum()) / size if size > 0 else 0.0


class Looking:
    """REF and MINE, by rank and by the rank of their magnitude, and the placements to try."""

    def __init__(self, ref: Array, mine: Array) -> None:
        self.ref, self.mine = ref, mine
        self.by = [(ranks(ref), ranks(mine))]
        if ref.dtype.kind in "if" and mine.dtype.kind in "iuf" and (ref < 0).any():
            self.by.append((ranks(np.abs(ref)), ranks(mine)))
            self.by.append((ranks(ref), ranks(np.abs(mine))))
        self.readings = list(readings(ref.shape, mine.shape))
        self.looked = 0

    def stages(self) -> Iterator[list[Candidate]]:
        """The candidates of each stage, by rising cost."""
        yield self._stayed()
        yield self._flipped()
        yield self._shifted()
        yield self._strided()
        yield self._reordered()

    def _best(self, found: list[Candidate]) -> list[Candidate]:
        self.looked += len(found)
        # An axis of two that is reversed and rolled is as it was: one placement has many ways.
        found = list({candidate.placement: candidate for candidate in found}.values())
        # What is plainer goes first among those that are alike.
        order = sorted(found, key=lambda c: (-round(c.correlation, 2), c.placement.bits))
        return order[:KEPT]

    def _target(self, reading: Reading, array: Array) -> Array:
        return array.squeeze() if reading.squeezed else array

    def _fitting(self) -> list[tuple[Reading, tuple[int, ...]]]:
        """The readings that have MINE's shape, and that."""
        found = []
        for reading in self.readings:
            shape = self._target(reading, self.mine).shape
            if self._shape(reading) == shape:
                found.append((reading, shape))
        return found

    def _shape(self, reading: Reading) -> tuple[int, ...]:
        if reading.shape is not None:
            return reading.shape
        sizes = self._target(reading, self.ref).shape
        return tuple(sizes[i] for i in reading.axes)

    def _stayed(self) -> list[Candidate]:
        return self._best(
            [
                c
                for reading, shape in self._fitting()
                if reading.plain
                for c in self._sampled(reading, shape, [()])
            ]
        )

    def _flipped(self) -> list[Candidate]:
        found: list[Candidate] = []
        for reading, shape in self._fitting():
            long = [a for a, n in enumerate(shape) if n > 1]
            sets: list[tuple[int, ...]] = [()]
            if reading.shape is None:
                sets = [
                    tuple(a for a, flip in zip(long, some, strict=True) if flip)
                    for some in product((False, True), repeat=len(long))
                ]
            found += self._sampled(reading, shape, sets)
        return self._best(found)

    def _sampled(
        self, reading: Reading, shape: tuple[int, ...], flips: Sequence[tuple[int, ...]]
    ) -> Iterator[Candidate]:
        """A reading with each set of axes reversed, by a sample of the elements."""
        at = self._places(shape)
        seen = [(reading.read(a), self._target(reading, b)[at]) for a, b in self.by]
        for some in flips:
            there = tuple(shape[a] - 1 - at[a] if a in some else at[a] for a in range(len(shape)))
            most = max(abs(correlation(a[there], b)) for a, b in seen)
            maps = tuple(reverse(n) if a in some else same(n) for a, n in enumerate(shape))
            yield Candidate(Placement(reading, maps), most, len(at[0]))

    def _places(self, shape: tuple[int, ...]) -> tuple[Array, ...]:
        size = math.prod(shape)
        if size <= SAMPLE:
            picked = np.arange(size)
        else:
            picked = np.random.default_rng(1).integers(0, size, SAMPLE)
        return tuple(np.unravel_index(picked, shape))

    def _near(self) -> list[Reading]:
        """The readings as which the shapes are most alike."""

        def unlike(reading: Reading) -> tuple[int, float]:
            target = self._target(reading, self.mine).shape
            own = self._shape(reading)
            return sum(n != m for n, m in zip(own, target, strict=True)), reading.bits

        some = sorted((r for r in self.readings if r.shape is None), key=unlike)
        return [r for r in some if r.plain or unlike(r)[0] == unlike(some[0])[0]][:READINGS]

    def _shifted(self) -> list[Candidate]:
        """Shifts and windows, by the peaks of a correlation; axes reversed too."""
        found: list[Candidate] = []
        for reading in self._near():
            shape = self._target(reading, self.mine).shape
            own = self._shape(reading)
            long = [a for a in range(len(shape)) if own[a] > 1 and shape[a] > 1]
            for some in product((False, True), repeat=len(long)):
                flips = [a for a, flip in zip(long, some, strict=True) if flip]
                found += self._peaks(reading, flips)
        return self._best(found)

    def _peaks(
        self,
        reading: Reading,
        flips: Sequence[int],
        steps: Sequence[int] | None = None,
        phases: Sequence[int] | None = None,
        *,
        inverse: bool = False,
    ) -> list[Candidate]:
        from scipy import fft

        a, b = reading.read(self.by[0][0]), self._target(reading, self.by[0][1])
        own, shape = a.shape, b.shape
        a = np.flip(a, tuple(flips))
        if steps is not None and phases is not None:
            parts = tuple(slice(p, None, s) for p, s in zip(phases, steps, strict=True))
            a, b = (a, b[parts]) if inverse else (a[parts], b)
        a, b = _cut(a, b)
        size = [max(n, m) for n, m in zip(a.shape, b.shape, strict=True)]
        product_ = fft.rfftn(a - a.mean(), size) * np.conj(fft.rfftn(b - b.mean(), size))
        across = np.abs(fft.irfftn(product_, size))
        found: list[Candidate] = []
        flat = across.reshape(-1)
        count = min(3, flat.size)
        for peak in np.argpartition(flat, -count)[-count:]:
            at = [int(i) for i in np.unravel_index(int(peak), across.shape)]
            found += self._around(reading, flips, at, size, own, shape, steps, phases, inverse)
        return found

    def _around(
        self,
        reading: Reading,
        flips: Sequence[int],
        at: Sequence[int],
        size: Sequence[int],
        own: Sequence[int],
        shape: Sequence[int],
        steps: Sequence[int] | None,
        phases: Sequence[int] | None,
        inverse: bool,
    ) -> Iterator[Candidate]:
        """The shifts that a peak may stand for: round the axis, or to either side."""
        choices: list[list[Map]] = []
        for axis, (o, n) in enumerate(zip(at, size, strict=True)):
            step = 1 if steps is None else steps[axis]
            phase = 0 if phases is None else phases[axis]
            flip = axis in flips
            options = []
            for shift in {o, o - n}:
                if inverse:
                    # REF's i is MINE's step * (i - shift) + phase.
                    options.append(
                        moved(
                            own[axis],
                            shape[axis],
                            phase - step * shift,
                            step=step,
                            flipped=flip,
                            inverse=True,
                        )
                    )
                else:
                    options.append(
                        moved(own[axis], shape[axis], step * shift + phase, step=step, flipped=flip)
                    )
            if own[axis] == shape[axis] and o and step == 1:
                least = o if 2 * o <= n else o - n
                options.append(moved(own[axis], shape[axis], least, flipped=flip, roll=True))
            choices.append([m for m in dict.fromkeys(options) if m.found.any()])
        for maps in islice(product(*choices), 64):
            placement = Placement(reading, maps)
            lengths = zip(placement.shape, own, shape, strict=True)
            steps_ = [1] * len(own) if steps is None else steps
            if any(
                kept < LEAST * min(n / (1 if inverse else step), m / (step if inverse else 1))
                for (kept, n, m), step in zip(lengths, steps_, strict=True)
            ):
                continue
            pair = placement.pair(*self.by[0])
            places = self._places(pair.ref.shape)
            most = abs(correlation(pair.ref[places], pair.mine[places]))
            yield Candidate(placement, most, len(places[0]))

    def _strided(self) -> list[Candidate]:
        """One array is every so manieth element of the other, from some phase on."""
        found: list[Candidate] = []
        for reading in self._near():
            own, shape = self._shape(reading), self._target(reading, self.mine).shape
            for inverse in (False, True):
                large, small = (shape, own) if inverse else (own, shape)
                steps = [max(1, round(n / m)) for n, m in zip(large, small, strict=True)]
                if max(steps) == 1 or max(steps) > STEPS:
                    continue
                for phases in islice(product(*map(range, steps)), 64):
                    found += self._peaks(reading, (), steps, phases, inverse=inverse)
        return self._best(found)

    def _reordered(self) -> list[Candidate]:
        """The indices of one axis in another order, by which slices go together."""
        found: list[Candidate] = []
        for reading, shape in self._fitting()[: 4 * READINGS]:
            if reading.shape is not None:
                continue
            for axis, length in enumerate(shape):
                if not 2 <= length <= ORDERED or self.mine.size // length < 2:
                    continue
                flips: list[tuple[int, ...]] = [()]
                others = [a for a, n in enumerate(shape) if n > 1 and a != axis]
                flips += [(a,) for a in others] + ([tuple(others[-2:])] if others[1:] else [])
                for some in flips:
                    candidate = self._ordered(reading, shape, axis, some)
                    if candidate is not None:
                        found.append(candidate)
        return self._best(found)

    def _ordered(
        self, reading: Reading, shape: tuple[int, ...], axis: int, flips: tuple[int, ...]
    ) -> Candidate | None:
        slices = []
        rest = math.prod(shape) // shape[axis]
        picked = np.arange(rest)
        if rest > SAMPLE // 4:
            picked = np.random.default_rng(2).integers(0, rest, SAMPLE // 4)
        for of_ref, array in ((True, self.by[0][0]), (False, self.by[0][1])):
            x = reading.read(array) if of_ref else self._target(reading, array)
            x = np.flip(x, flips) if of_ref else x
            rows = np.moveaxis(x, axis, 0).reshape(shape[axis], -1)[:, picked].astype(np.float64)
            rows -= rows.mean(axis=1, keepdims=True)
            size = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
            slices.append(np.divide(rows, size, out=np.zeros_like(rows), where=size > 0))
        table = np.abs(slices[1] @ slices[0].T)  # MINE's by REF's
        order = _assigned(table)
        if order is None:
            return None
        mean = float(table[np.arange(len(order)), order].mean())
        maps = [reverse(n) if a in flips else same(n) for a, n in enumerate(shape)]
        maps[axis] = ordered(order.tolist())
        return Candidate(Placement(reading, tuple(maps)), mean, len(picked) * shape[axis])


def _assigned(table: Array) -> Array | None:
    """Each row's column, every column once: the best of each, else the best of all together."""
    order: Array = table.argmax(axis=1)
    if len(np.unique(order)) == len(order):
        return order
    if len(order) > 128 or table.max(axis=1).mean() < 0.3:
        return None
    from scipy.optimize import linear_sum_assignment

    found: Array = linear_sum_assignment(-table)[1]
    return found


def _cut(a: Array, b: Array) -> tuple[Array, Array]:
    """The arrays with less along their first axes of equal length, where they are large."""
    axis = 0
    while max(a.size, b.size) > FFT and axis < a.ndim:
        n, m = a.shape[axis], b.shape[axis]
        if n == m > 1:
            keep = max(1, int(n * FFT / max(a.size, b.size)))
            part = (slice(None),) * axis + (slice(0, keep),)
            a, b = a[part], b[part]
        axis += 1
    return a, b
