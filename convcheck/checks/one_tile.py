"""One tile judged: every row made by sums or by FFT, and held against the oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck import fourier
from convcheck.checks.screen import Screen, singly
from convcheck.checks.tiles import keep_freed_memory, together
from convcheck.comparison import Comparison, compare, merge
from convcheck.engine import correlate
from convcheck.reference import Oracle

if TYPE_CHECKING:
    from convcheck.checks.tiles import Tile
    from convcheck.rounding import Arithmetic

Array = NDArray[Any]
Rows = Mapping[str, tuple[str, ...]]


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
            tuple(merge(pair) for pair in zip(self.rows, other.rows, strict=True)),
            self.apart | other.apart,
            self.wrapped + other.wrapped,
            self.exact and other.exact,
        )


def judge_tile(
    part: Array,
    bank: Array,
    tile: Tile,
    arithmetic: Arithmetic,
    method: str,
    rows: Rows,
    limits: tuple[int, int] | None,
) -> Part:
    """Judge every decomposition on one tile: ``part`` is what it needs of the image."""
    keep_freed_memory()
    x, w = np.ascontiguousarray(arithmetic.cast(part)), arithmetic.cast(bank)
    expected, oracle_bounds = Oracle(x, arithmetic, method).each(w)
    floors = None if oracle_bounds is None else np.array(oracle_bounds)
    plain = _plain(rows, w.shape)
    flips = tuple(dict.fromkeys(plain.values()))
    which = {name: flips.index(flip) for name, flip in plain.items()}
    case = _Case(x, w, expected, floors, arithmetic, flips, which["flipped"])
    made = _by_fft(case) or _by_sums(case)
    judged, apart = _judged(case, made, tile.first)
    return Part(
        rows=tuple(judged[which[name]] for name in rows),
        apart=frozenset((a, b) for a, b in combinations(rows, 2) if {which[a], which[b]} in apart),
        wrapped=_count_outside(expected, limits),
        exact=case.exact,
    )


def _plain(rows: Rows, bank: tuple[int, ...]) -> Rows:
    """The rows without axes of one, which reversing does not change: what is alike is made once."""
    return {
        name: tuple(axis for axis in flip if bank[1 + "IHW".index(axis)] > 1)
        for name, flip in rows.items()
    }


def distinct(rows: Rows, bank: tuple[int, ...]) -> int:
    """How many of the rows are made for a bank (K,C,Fh,Fw)."""
    return len({*_plain(rows, bank).values()})


@dataclass(frozen=True)
class _Case:
    """One tile's operands, and what the oracle made of them.

    ``floors`` are how far each filter's results can be off, and None where the oracle sums: then
    the bound of a sum holds for it too. ``flips`` are those of the rows, the oracle's at ``home``.
    """

    x: Array
    w: Array
    expected: Array
    floors: Array | None
    arithmetic: Arithmetic
    flips: tuple[tuple[str, ...], ...]
    home: int

    @property
    def exact(self) -> bool:
        """Whether neither the oracle nor a sum is off at all."""
        return self.arithmetic.exact and (self.floors is None or not self.floors.any())

    @cached_property
    def banks(self) -> Array:
        """The filters of every row (R,K,C,Fh,Fw)."""
        return np.stack(
            [np.flip(self.w, tuple(1 + "IHW".index(a) for a in flip)) for flip in self.flips]
        )


@dataclass(frozen=True)
class _Made:
    """Every row of a tile: its values (R,K,h,w), and how to judge them.

    ``screen`` judges most of them, beside ``expected``, the oracle's as the screen wants it; what
    it leaves is judged by every S: ``sizes`` makes those of a part of the filters, and ``bounds``
    what values of that part can be off by that have such an S.
    """

    values: Array
    expected: Array
    screen: Screen | None
    sizes: Callable[[slice], Array]
    bounds: Callable[[Array, slice], Array]


def _by_sums(case: _Case) -> _Made:
    """By sums of products."""
    x, banks, expected, arithmetic = case.x, case.banks, case.expected, case.arithmetic
    narrow = singly(x, banks, expected, arithmetic) if case.exact else None
    if narrow is not None:
        x, banks, expected = narrow
    values, screen = _correlate(x, banks), None
    if (case.exact or case.floors is not None) and arithmetic.dtype.kind != "i":
        floors = np.zeros(len(case.w)) if case.floors is None else case.floors
        screen = Screen.of(x, banks, arithmetic, floors, case.home)
    terms = case.w[0].size
    return _Made(
        values,
        expected,
        screen,
        sizes=lambda part: _sizes(x, banks[:, part], values[:, part]),
        bounds=lambda sizes, _: arithmetic.bound(sizes, terms),
    )


def _by_fft(case: _Case) -> _Made | None:
    """By FFT where that is sooner and no less sharp than the oracle; None elsewhere."""
    x, w, floors, arithmetic, flips = case.x, case.w, case.floors, case.arithmetic, case.flips
    sharp = floors is not None or arithmetic.exact
    fitting = sharp and arithmetic.dtype == np.float64
    if not fitting or not fourier.wins(x.shape, w.shape, len(flips)):
        return None
    found = fourier.sums(x, w, flips, arithmetic)
    if found is None:
        return None
    values, bounds = found
    magnitudes, weights = np.abs(x), np.abs(w)
    near, off = fourier.rough(magnitudes, weights, [flips[case.home]])
    limits = bounds if floors is None else bounds + floors
    return _Made(
        values,
        case.expected,
        Screen.around(magnitudes, np.abs(case.banks), near[0], off, limits, case.home),
        sizes=lambda part: fourier.flips(magnitudes, weights[part], flips),
        bounds=lambda sizes, part: np.broadcast_to(bounds[part, None, None], sizes.shape),
    )


def _judged(
    case: _Case, made: _Made, origin: Sequence[int]
) -> tuple[list[Comparison], set[frozenset[int]]]:
    """Every row, and the pairs of rows that the tile tells apart; it begins at ``origin``."""
    pairs = list(combinations(range(len(case.flips)), 2))
    rows: list[Comparison | None] = [None] * len(case.flips)
    told: list[bool | None] = [None] * len(pairs)
    values, screen = made.values, made.screen
    if screen is not None:
        rows = [screen.judge(i, v, made.expected, origin) for i, v in enumerate(values)]
        told = [screen.apart(a, b, values) for a, b in pairs]
    if None in rows or None in told:
        count = len(case.w)
        step = together(count, direct=case.floors is None)
        parts = [slice(k, min(k + step, count)) for k in range(0, count, step)]
        whole = [_by_every_size(case, made, pairs, part, origin) for part in parts]
        every = [merge(row) for row in zip(*(rows for rows, _ in whole), strict=True)]
        rows = [row or other for row, other in zip(rows, every, strict=True)]
        any_part = [any(one) for one in zip(*(told for _, told in whole), strict=True)]
        told = [b if a is None else a for a, b in zip(told, any_part, strict=True)]
    apart = {frozenset(pair) for pair, known in zip(pairs, told, strict=True) if known}
    return [row for row in rows if row is not None], apart


def _by_every_size(
    case: _Case,
    made: _Made,
    pairs: list[tuple[int, int]],
    part: slice,
    origin: Sequence[int],
) -> tuple[list[Comparison], list[bool]]:
    """Every row, and which ``pairs`` of them differ, for a part of the filters, by all their S."""
    sizes, values = made.sizes(part), case.arithmetic.cast(made.values[:, part])
    bounds = [made.bounds(size, part) for size in sizes]
    own, home = sizes[case.home], bounds[case.home]
    if case.floors is not None:
        home = np.broadcast_to(case.floors[part, None, None], own.shape)
    at = (origin[0] + part.start, *origin[1:])
    rows = [
        judge(v, case.expected[part], bound + home, np.maximum(s, own), at)
        for v, s, bound in zip(values, sizes, bounds, strict=True)
    ]
    told = [_differ(values[a], values[b], bounds[a], bounds[b]) for a, b in pairs]
    return rows, told


def judge(
    values: Array, expected: Array, threshold: Array, sizes: Array, origin: Sequence[int]
) -> Comparison:
    """One row (K,h,w), filter by filter, as :func:`convcheck.comparison.compare` takes memory."""
    return merge(
        compare(*arrays, (origin[0] + k, *origin[1:]))
        for k, arrays in enumerate(
            zip(values[:, None], expected[:, None], threshold[:, None], sizes[:, None], strict=True)
        )
    )


def _differ(a: Array, b: Array, *bounds: Array) -> bool:
    """Whether rounding cannot explain all differences; mostly the first filter tells."""
    return any(
        bool(np.any(np.abs(one - other) > sum(limits)))
        for one, other, *limits in zip(a, b, *bounds, strict=True)
    )


def _correlate(x: Array, banks: Array) -> Array:
    """Every row (R,K,h,w) of filters (R,K,C,Fh,Fw): all share the engine's windows."""
    rows, count = banks.shape[:2]
    flat = banks.reshape(rows * count, *banks.shape[2:])
    values: Array = correlate(x[None], flat, (1, 1), (1, 1))[0]
    return values.reshape(rows, count, *values.shape[1:])


def _sizes(x: Array, banks: Array, values: Array) -> Array:
    """S of every row's elements."""
    if x.dtype.kind != "c" and x.min() >= 0 and banks.min() >= 0:
        return values.astype(np.float64)
    return _correlate(_magnitudes(x), _magnitudes(banks))


def _magnitudes(array: Array) -> Array:
    return np.abs(array).astype(np.float64, copy=False)


def _count_outside(values: Array, limits: tuple[int, int] | None) -> int:
    if limits is None:
        return 0
    if values.min() >= limits[0] and values.max() <= limits[1]:
        return 0
    return int(np.count_nonzero((values < limits[0]) | (values > limits[1])))
