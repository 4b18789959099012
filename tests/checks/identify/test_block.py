"""Hypotheses side by side: each has the value of its taps, however many are summed together."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from few import one_in

from convcheck.checks.identify.axes import Table, Way, table
from convcheck.checks.identify.block import Block, Judge, parts

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray
SIZE = (40, 60)
PLACES = [(9, 11), (2, 30), (12, 7)]


def axis(which: int, kernel: int, starts: int, *, first: int = 0, strides: Any = (1,)) -> Table:
    """So many first windows in a row for every stride, and as many again reversed."""
    every = [Way(1, 1, stride, first, starts) for stride in strides]
    return table(every, [place[which] for place in PLACES], SIZE[which], kernel)


def drawn(
    *,
    options: int = 1,
    channels: int = 2,
    kernel: tuple[int, int] = (2, 3),
    starts: Any = (5, 4),
    seed: int = 0,
    **more: Any,
) -> tuple[Block, Array]:
    """A block of random integers, ``starts`` rows by columns and twice that for a kernel."""
    rng = np.random.default_rng(seed)
    image = rng.integers(-9, 10, (channels, *SIZE)).astype(float)
    bank = rng.integers(-9, 10, (len(PLACES), options, channels, *kernel)).astype(float)
    rows, columns = (axis(which, kernel[which], starts[which], **more) for which in (0, 1))
    return Block([image] * len(PLACES), bank, rows, columns), image


def value(one: Block, image: Array, s: int, r: int, c: int, k: int) -> float:
    """A sample under a hypothesis, tap by tap; zeros beyond the edge."""
    padded = np.pad(image, ((0, 0), (0, 1), (0, 1)))
    rows, columns = one.rows.source(s)[r], one.columns.source(s)[c]
    return float((padded[:, rows][:, :, columns] * one.bank[s, k]).sum())


def judge(
    first: tuple[int, ...] = (0, 1),
    few: int = 2,
    *,
    quick: Callable[[Any], Any] = lambda values: np.ones(values.shape, bool),
    votes: Callable[[Any], Any] = lambda values: np.ones(values.shape[1]),
    exact: bool = True,
) -> Judge:
    """One that accepts of the first sample's values what it is told to."""
    return Judge(first, few, lambda values: quick(values[first[0]]), votes, exact)


@pytest.mark.parametrize("channels", [1, 2, 16, 17, 40])
@pytest.mark.parametrize("options", [1, 3])
def test_every_hypothesis_has_the_value_of_its_taps(channels: int, options: int) -> None:
    one, image = drawn(options=options, channels=channels)
    seen: list[Any] = []

    def votes(values: Any) -> Any:
        seen.extend(values.T.tolist())
        return np.arange(len(seen) - values.shape[1], len(seen)) + 1.0

    found = list(one.survivors(judge(few=3, votes=votes)))
    assert len({place[:3] for place in found}) == len(found) == one.size == 10 * 8 * options
    for r, c, k, number in found:
        assert seen[int(number) - 1] == [value(one, image, s, r, c, k) for s in range(3)]


def test_windows_that_reach_over_the_edge_meet_zeros() -> None:
    one, image = drawn(first=-12, starts=(6, 5))
    right = {
        (r, c)
        for r, c in product(range(len(one.rows)), range(len(one.columns)))
        if value(one, image, 2, r, c, 0) > 0
    }
    assert one.rows.touches.any()
    found = one.survivors(judge((2,), few=1, quick=lambda v: v > 0))
    assert {place[:2] for place in found} == right


@pytest.mark.parametrize("strides", one_in(2, [(1, 2), (1, 2, 3, 4, 5, 6, 7)]))
def test_windows_that_strides_share_are_those_of_each(strides: tuple[int, ...]) -> None:
    """Of many options those with the same window are summed once."""
    one, image = drawn(starts=(11, 12), strides=strides)
    found = {p[:2] for p in one.survivors(judge(quick=lambda v: v == np.rint(v / 7) * 7))}
    right = {
        (r, c)
        for r, c in product(range(len(one.rows)), range(len(one.columns)))
        if value(one, image, 0, r, c, 0) % 7 == 0
    }
    assert found == right


def test_the_first_samples_decide_and_then_the_few_and_then_all() -> None:
    """A hypothesis without votes is out; however small a vote, it is one."""
    one, image = drawn()
    asked: list[int] = []

    def votes(values: Any) -> Any:
        asked.append(len(values))
        return np.where(values[0] > 0, 2.0**-40, 0.0)

    positive = {
        (r, c) for r, c in product(range(10), range(8)) if value(one, image, 0, r, c, 0) > 0
    }
    found = list(one.survivors(judge(few=2, votes=votes)))
    assert {place[:2] for place in found} == positive
    assert {place[3] for place in found} == {2.0**-40}
    assert asked == [2, 3]
    none = judge(quick=lambda v: np.zeros(v.shape, bool))
    assert list(one.survivors(none)) == []


@pytest.mark.parametrize(("exact", "kind"), [(False, np.float32), (True, np.float64)])
def test_values_are_of_single_precision_unless_a_judge_needs_more(exact: bool, kind: type) -> None:
    one, _ = drawn()
    kinds = set()

    def quick(values: Any) -> Any:
        kinds.add(values.dtype)
        return values > np.inf

    list(one.survivors(judge(exact=exact, quick=quick)))
    assert kinds == {np.dtype(kind)}


def test_complex_numbers_stay_what_they_are() -> None:
    one, image = drawn()
    turned = Block(one.planes, one.bank * (1 + 2j), one.rows, one.columns)
    seen: list[complex] = []

    def votes(values: Any) -> Any:
        seen.extend(values[0].tolist())
        return np.ones(values.shape[1])

    list(turned.survivors(judge(few=3, votes=votes)))
    expected = [value(one, image, 0, r, c, 0) for r, c in product(range(10), range(8))]
    assert sorted(v.real for v in seen) == sorted(expected)
    assert all(v.imag == 2 * v.real for v in seen)


def test_large_blocks_are_looked_at_in_parts() -> None:
    one, image = drawn(starts=(30, 45), options=2, strides=(1, 2))
    assert one.size == 120 * 180 * 2
    found = {p[:3] for p in one.survivors(judge(quick=lambda v: v > 330))}
    right = set()
    for r, c in product(range(0, 120, 7), range(0, 180, 11)):
        for k in range(2):
            if value(one, image, 0, r, c, k) > 330:
                right.add((r, c, k))
    assert right == {p for p in found if p[0] % 7 == 0 and p[1] % 11 == 0}


@pytest.mark.parametrize(
    ("count", "most", "found"),
    [
        (0, 3, []),
        (5, 9, [(0, 5)]),
        (5, 2, [(0, 2), (2, 4), (4, 5)]),
        (2, 0, [(0, 1), (1, 2)]),
    ],
)
def test_so_many_at_a_time(count: int, most: int, found: list[tuple[int, int]]) -> None:
    assert [(p.start, p.stop) for p in parts(count, most)] == found
