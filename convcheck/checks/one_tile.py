"""One tile judged: every row made by sums or by FFT, and held against the oracle.

A row is one flip of the filters. Rows are made block by block, and a block is judged while the
cache holds it. Hardly any needs its S: a threshold lies between what the oracle alone may be off
by and that plus the bound of the largest S that the data allow, and only where a difference falls
between the two is the S of every element made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck import fourier
from convcheck.checks.tiles import band, keep_freed_memory
from convcheck.comparison import Comparison, compare, merge
from convcheck.engine import correlate
from convcheck.reference import Oracle
from convcheck.rounding import gamma, largest_magnitude

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from convcheck.checks.tiles import Tile
    from convcheck.fourier import Flip
    from convcheck.rounding import Arithmetic

Array = NDArray[Any]


@dataclass(frozen=True)
class Part:
    """What a tile contributes to the comparison; parts merge in any order.

    ``apart`` are the pairs of rows that the tile tells apart, ``wrapped`` the elements beyond the
    dtype that scipy would have computed in.
    """

    rows: tuple[Comparison, ...]
    apart: frozenset[tuple[str, str]]
    wrapped: int
    exact: bool

    def __add__(self, other: Part) -> Part:
        return Part(
            tuple(_merged(*pair) for pair in zip(self.rows, other.rows, strict=True)),
            self.apart | other.apart,
            self.wrapped + other.wrapped,
            self.exact and other.exact,
        )


def _merged(one: Comparison, other: Comparison) -> Comparison:
    """Both together; the agreement in bits is that of the worst element, as of each."""
    whole = merge((one, other))
    worst = one if one.worst_index == whole.worst_index else other
    return replace(whole, agreement_bits=worst.agreement_bits)


def judge_tile(
    part: Array,
    bank: Array,
    tile: Tile,
    arithmetic: Arithmetic,
    method: str,
    rows: Mapping[str, Flip],
    limits: tuple[int, int] | None,
) -> Part:
    """Judge every decomposition on one tile: ``part`` is what it needs of the image (C,*S).

    ``bank`` is (K,C,*F), and ``rows`` say by name which axes of a filter (C,*F) are reversed.
    """
    keep_freed_memory()
    case = Case.of(part, bank, arithmetic, method, distinct(rows, bank.shape))
    judged, apart = case.judge(case.blocks(), tile.first)
    which = {name: case.flips.index(plain(flip, bank.shape)) for name, flip in rows.items()}
    return Part(
        rows=tuple(judged[which[name]] for name in rows),
        apart=frozenset((a, b) for a, b in combinations(rows, 2) if {which[a], which[b]} in apart),
        wrapped=_count_outside(case.expected, limits),
        exact=case.exact,
    )


def distinct(rows: Mapping[str, Flip], bank: Sequence[int]) -> tuple[Flip, ...]:
    """The flips of the rows that differ for a bank (K,C,*F): what is alike is made once."""
    return tuple(dict.fromkeys(plain(flip, bank) for flip in rows.values()))


def plain(flip: Flip, bank: Sequence[int]) -> Flip:
    """The flip without axes of one, which reversing does not change."""
    return tuple(axis for axis in flip if bank[1 + axis] > 1)


@dataclass(frozen=True)
class Case:
    """One tile's operands (C,*S) and (K,C,*F), and what the oracle made of them (K,*out).

    ``floors`` are how far each filter's results can be off, and None where the oracle sums: then
    the bound of a sum holds for it too. ``bounds`` are how far the rows can be off where they are
    made by FFT, and None where they are summed. The oracle's own row is ``home``.
    """

    x: Array
    w: Array
    expected: Array
    floors: Array | None
    bounds: Array | None
    arithmetic: Arithmetic
    flips: tuple[Flip, ...]

    @classmethod
    def of(
        cls, x: Array, w: Array, arithmetic: Arithmetic, method: str, flips: tuple[Flip, ...]
    ) -> Case:
        """Ask the oracle, and choose how the rows are made.

        By FFT they are where that is sooner and no less sharp than the oracle.
        """
        x, w = np.ascontiguousarray(arithmetic.cast(x)), arithmetic.cast(w)
        expected, found = Oracle(x, arithmetic, method).each(w)
        floors = None if found is None else np.array(found)
        sharp = arithmetic.exact or floors is not None
        bounds = None
        if sharp and x.dtype == np.float64 and fourier.wins(x.shape, w.shape, len(flips)):
            bounds = fourier.bound(x, w, arithmetic)
        return cls(x, w, expected, floors, bounds, arithmetic, flips)

    @property
    def exact(self) -> bool:
        """Whether neither the oracle nor a sum is off at all."""
        return self.arithmetic.exact and (self.floors is None or not self.floors.any())

    @property
    def home(self) -> int:
        """The row that the oracle computes: every axis is reversed."""
        return self.flips.index(plain(tuple(range(self.w.ndim - 1)), self.w.shape))

    @cached_property
    def banks(self) -> Array:
        """The filters of every row (R,K,C,*F)."""
        return np.stack([np.flip(self.w, tuple(1 + axis for axis in flip)) for flip in self.flips])

    @cached_property
    def magnitudes(self) -> Array:
        """What S is made of, beside the filters."""
        return np.abs(self.x).astype(np.float64, copy=False)

    @cached_property
    def limits(self) -> tuple[Array, Array, Array]:
        """Of each filter (K): no less than any error of a row, and than any threshold; the least.

        No S is more than the largest sample times all of the filter.
        """
        if self.bounds is not None:
            errors = self.bounds
        else:
            taps = self.w[0].size
            weights = np.abs(self.w).reshape(len(self.w), taps).sum(axis=1, dtype=np.float64)
            reach = weights * (largest_magnitude(self.x) * (1 + 8 * gamma(taps + 8)))
            errors = self.arithmetic.bound(reach, taps)
        if self.floors is None:
            return errors, 2 * errors, np.zeros(len(self.w))
        return errors, errors + self.floors, self.floors

    def blocks(self) -> Iterator[Block]:
        """All that the rows are made of, in parts."""
        count, *sizes = self.expected.shape
        whole = tuple(slice(0, n) for n in sizes)
        if self.bounds is not None:
            made = fourier.flips(self.x, self.w, self.flips, self.arithmetic)
            for k, values in enumerate(made):
                yield Block(self, (slice(k, k + 1), *whole), values[:, None])
            return
        step = band(self.w[0].size + len(self.flips) * count, sizes)
        for first in range(0, sizes[0], step):
            part = slice(first, min(first + step, sizes[0]))
            where = (slice(0, count), part, *whole[1:])
            yield Block(self, where, self.correlate(self.x, self.banks, where))

    def correlate(self, x: Array, banks: Array, where: Sequence[slice]) -> Array:
        """The sums of filters (R,K,C,*F), which are those of the first slice, at some elements."""
        kernel = banks.shape[3:]
        part = (slice(s.start, s.stop + f - 1) for s, f in zip(where[1:], kernel, strict=True))
        ones = (1,) * len(kernel)
        flat = banks.reshape(-1, *banks.shape[2:])
        values: Array = correlate(x[(None, slice(None), *part)], flat, ones, ones)[0]
        return values.reshape(*banks.shape[:2], *values.shape[1:])

    def judge(
        self, blocks: Iterable[Block], origin: Sequence[int]
    ) -> tuple[list[Comparison], set[frozenset[int]]]:
        """Every row, and the pairs of rows that are told apart; the tile begins at ``origin``."""
        rows = [_Row(self, row) for row in range(len(self.flips))]
        pairs = set(combinations(range(len(self.flips)), 2))
        open_pairs = set(pairs)
        for block in blocks:
            open_pairs = {pair for pair in open_pairs if not block.differ(*pair)}
            for row in rows:
                row.add(block)
        return [row.judged(origin) for row in rows], set(map(frozenset, pairs - open_pairs))


class Block:
    """Some elements of every row: ``values`` (R,k,*sizes), which lie ``where`` in the tile."""

    def __init__(self, case: Case, where: tuple[slice, ...], values: Array) -> None:
        self.case, self.where, self.values = case, where, values
        self.limits = tuple(limit[where[0], None] for limit in case.limits)
        self._magnitudes: dict[int, Array] = {}

    def magnitude(self, row: int) -> Array:
        """S of each element of a row (k,*sizes)."""
        if row not in self._magnitudes:
            weights = np.abs(self.case.banks[row : row + 1, self.where[0]]).astype(np.float64)
            (self._magnitudes[row],) = self.case.correlate(
                self.case.magnitudes, weights, self.where
            )
        return self._magnitudes[row]

    def error(self, row: int) -> Array:
        """What each element of a row can be off by, of a shape that fits (k,*sizes)."""
        if self.case.bounds is not None:
            return self._each(self.case.bounds)
        return self.case.arithmetic.bound(self.magnitude(row), self.case.w[0].size)

    def threshold(self, row: int) -> Array:
        """How far each element of a row (k,*sizes) and the oracle's can be apart."""
        floors = self.case.floors
        other = self.error(self.case.home) if floors is None else self._each(floors)
        return np.broadcast_to(self.error(row) + other, self.values.shape[1:])

    def _each(self, filters: Array) -> Array:
        """A number of each filter (K), for those of this block."""
        return filters[self.where[0]].reshape(-1, *(1 for _ in self.where[1:]))

    def beyond(self, row: int, difference: Array) -> Array:
        """Which of the differences (k,n) are beyond their threshold."""
        _, high, low = self.limits
        beyond: Array = difference > high
        if (high > low).any() and np.count_nonzero(beyond) != np.count_nonzero(difference > low):
            # Not >, which is false where a threshold is NaN: nothing agrees by that.
            beyond = ~(difference <= self.threshold(row).reshape(difference.shape))
        return beyond

    def differ(self, a: int, b: int) -> bool:
        """Whether rounding cannot explain all differences between two rows."""
        difference = _apart(self.values[a], self.values[b])
        most = difference.max(axis=1, keepdims=True)
        if not (most <= 2 * self.limits[0]).all():
            return True
        if not most.any() or self.case.bounds is not None:
            return False
        limit = (self.error(a) + self.error(b)).reshape(difference.shape)
        return not (difference <= limit).all()


class _Row:
    """What is known of a row: how many elements are beyond their threshold, and the worst."""

    def __init__(self, case: Case, row: int) -> None:
        self.case, self.row = case, row
        self.mismatched = 0
        self.worst: tuple[bool, float, tuple[int, ...]] = (False, -1.0, ())
        """As judgements are ranked: the first of the largest differences."""
        self.actual: Any = None

    def add(self, block: Block) -> None:
        """Judge a block."""
        values = block.values[self.row]
        difference = _apart(values, self.case.expected[block.where])
        _, high, low = block.limits
        most, beyond = difference.max(axis=1, keepdims=True), None
        if np.isnan(most).any():  # NaN agrees with nothing
            difference = np.where(np.isnan(difference), np.inf, difference)
            most = difference.max(axis=1, keepdims=True)
        count = difference.size if (most > low).any() else 0
        if count and not (difference.min(axis=1, keepdims=True) > high).all():
            beyond = block.beyond(self.row, difference)
            count = int(np.count_nonzero(beyond))
        self.mismatched += count
        if (count > 0, float(most.max())) < self.worst[:2]:
            return
        place = int(difference.argmax())
        if count and beyond is not None and not beyond.flat[place]:
            difference = np.where(beyond, difference, -1)
            place = int(difference.argmax())
        at = np.unravel_index(place, values.shape)
        index = tuple(int(i) + part.start for i, part in zip(at, block.where, strict=True))
        worst = (count > 0, float(difference.flat[place]), tuple(-i for i in index))
        if worst > self.worst:
            self.worst, self.actual = worst, values[at]

    def judged(self, origin: Sequence[int]) -> Comparison:
        """The judgement; the tile begins at ``origin``."""
        case = self.case
        k, *place = index = tuple(-i for i in self.worst[2])
        around = (slice(i, i + f) for i, f in zip(place, case.w.shape[2:], strict=True))
        window = np.abs(case.x[(slice(None), *around)]).astype(np.float64)
        # Not by BLAS, whose sums depend on how many threads it has.
        size, home = (
            float((window * np.abs(case.banks[row, k])).sum()) for row in (self.row, case.home)
        )
        if case.bounds is not None:
            error, other = case.bounds[k], 0.0
        else:
            error, other = case.arithmetic.bound(np.array([size, home]), case.w[0].size)
        threshold = error + (other if case.floors is None else case.floors[k])
        seen = compare(
            np.array([self.actual], case.expected.dtype),
            case.expected[index][None],
            threshold,
            np.array([max(size, home)]),
        )
        return replace(
            seen,
            mismatched=self.mismatched,
            total=case.expected.size,
            worst_index=tuple(i + int(o) for i, o in zip(index, origin, strict=True)),
        )


def _apart(a: Array, b: Array) -> Array:
    """How far they are apart, filter by filter (k,n)."""
    difference: Array = a - b
    sizes = np.abs(difference, out=None if difference.dtype.kind == "c" else difference)
    return sizes.reshape(len(sizes), -1)


def _count_outside(values: Array, limits: tuple[int, int] | None) -> int:
    if limits is None:
        return 0
    if values.min() >= limits[0] and values.max() <= limits[1]:
        return 0
    return int(np.count_nonzero((values < limits[0]) | (values > limits[1])))
