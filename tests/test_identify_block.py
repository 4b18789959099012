"""Hypotheses side by side: what is held at once, and how few of them are looked at one by one."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convcheck.checks.identify import block, search
from convcheck.checks.identify.axes import Axis, Table, table
from convcheck.checks.identify.block import Block, Judge
from convcheck.checks.identify.readings import Reading
from convcheck.checks.identify.samples import Sample
from convcheck.checks.identify.search import Search
from convcheck.convention import Convention

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RNG = np.random.default_rng(61)
DRAWN_FROM = 62
SIZE = (40, 60)
EINSUM = np.einsum
PLACES = [(0, 0, 9, 11), (0, 1, 2, 30), (0, 0, 12, 7)]


def axis(which: int, kernel: int, starts: int) -> Table:
    """So many first windows in a row, and as many again for the kernel reversed."""
    places = [place[2 + which] for place in PLACES]
    return table([Axis(1, 1, 1, 0, starts)], places, SIZE[which], kernel)


def drawn(
    *, options: int = 1, channels: int = 2, kernel: tuple[int, int] = (2, 3), starts: Any = (5, 4)
) -> Block:
    """A block of random numbers, ``starts`` rows by columns and twice that for a kernel."""
    image = RNG.integers(-9, 10, (1, channels, *SIZE)).astype(float)
    bank = RNG.integers(-9, 10, (len(PLACES), options, channels, *kernel)).astype(float)
    rows, columns = (axis(which, kernel[which], starts[which]) for which in (0, 1))
    return Block(image, [Sample(place, 0.0) for place in PLACES], bank, rows, columns)


def value(one: Block, s: int, r: int, c: int, k: int) -> float:
    """A sample under a hypothesis, tap by tap."""
    rows, columns = one.rows.source(s)[r], one.columns.source(s)[c]
    met = one.image[0][:, rows][:, :, columns]
    return float((met * one.bank[s, k]).sum())


def judge(
    first: tuple[int, ...] = (0, 1),
    few: int = 2,
    *,
    quick: Callable[[Any], Any] = lambda values: values > np.inf,
    votes: Callable[[Any], Any] = lambda values: np.ones(values.shape[1]),
    exact: bool = True,
) -> Judge:
    """One that accepts of the first sample's values what it is told to."""
    return Judge(first, few, lambda values: quick(values[first[0]]), votes, exact)


def asked(monkeypatch: pytest.MonkeyPatch, name: str) -> list[tuple[Any, ...]]:
    """With what a method of the block is called from now on."""
    calls: list[tuple[Any, ...]] = []
    method = getattr(Block, name)

    def called(self: Block, *given: Any) -> Any:
        calls.append(given)
        return method(self, *given)

    monkeypatch.setattr(Block, name, called)
    return calls


# --- all of them --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "channels", "kernel", "first"),
    [
        (3, 2, (2, 5), (0, 1)),  # the sums of the columns' taps take most: 3 x 5, twice
        (2, 2, (3, 7), (0, 1, 2)),
        (2, 5, (4, 2), (0, 1)),  # what the windows meet does: 5 x 4
        (1, 18, (2, 3), (1,)),
    ],
)
def test_half_made_sums_take_the_room_that_they_have(
    options: int, channels: int, kernel: tuple[int, int], first: Any, monkeypatch: Any
) -> None:
    """As many rows as go into it at a time, and no more."""
    one = drawn(options=options, channels=channels, kernel=kernel, starts=(9, 4))
    places = 4 - 1 + kernel[1]  # the columns that any of four windows meets
    row = places * max(options * kernel[1] * len(first), channels * kernel[0])
    for many in (1, 5, 17):
        for room in (many * row, many * row + row - 1):
            monkeypatch.setattr(block, "ROOM", room)
            with monkeypatch.context() as patched:
                calls = asked(patched, "_half")
                assert not list(one.survivors([judge(first)]))
            tall = [len(part) for s, part, _ in calls if s == first[0]]
            assert sum(tall) == len(one.rows) == 18
            assert set(tall[:-1]) == {many}
            assert {s for s, *_ in calls} == set(first)
    # However little that is, one is looked at.
    monkeypatch.setattr(block, "ROOM", row - 1)
    calls = asked(monkeypatch, "_half")
    assert not list(one.survivors([judge(first)]))
    assert {len(part) for _, part, _ in calls} == {1}


@pytest.mark.parametrize("options", [1, 3])
def test_so_many_hypotheses_are_looked_at_together(
    options: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = drawn(options=options, starts=(5, 8))
    column = options * 10
    for chunk, many in ((3 * column, 3), (4 * column - 1, 3), (column, 1), (1, 1), (99999, 16)):
        monkeypatch.setattr(block, "CHUNK", chunk)
        wide: list[int] = []

        def quick(values: Any, wide: list[int] = wide) -> Any:
            assert values.shape[1] == column
            wide.append(len(values))
            return values > np.inf

        assert not list(one.survivors([judge(quick=quick)]))
        assert sum(wide) == 16
        assert set(wide[:-1]) <= {many}
        assert wide[0] == many


def test_values_are_of_single_precision_unless_a_judge_needs_more() -> None:
    for exact, name in ((None, "float32"), (False, "float32"), (True, "float64")):
        kinds: list[str] = []

        def quick(values: Mapping[int, Any], kinds: list[str] = kinds) -> Any:
            kinds.extend(v.dtype.name for v in values.values())
            return values[0] > np.inf

        keys = {} if exact is None else {"exact": exact}
        one = Judge((0, 1), 2, quick, lambda values: values[0], **keys)
        other = judge(exact=False)
        assert not list(drawn().survivors([other, one]))
        assert set(kinds) == {name}
    # Complex numbers stay what they are.
    complex_ = drawn()
    complex_.bank = complex_.bank * 1j
    kinds.clear()
    assert not list(complex_.survivors([Judge((0,), 2, quick, lambda values: values[0])]))
    assert kinds == ["complex128"]


def test_a_judge_of_the_border_has_a_sample_from_beyond_it() -> None:
    for first, bordered in (((0, 1), False), ((0, ~0), True), ((1, 2), False), ((1, ~1), True)):
        assert judge(first).bordered is bordered


@pytest.mark.parametrize("channels", [2, 16, 17])
@pytest.mark.parametrize("room", [20, 500, 1 << 22])
def test_every_hypothesis_has_the_value_of_its_taps(
    channels: int, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In however many parts, and by either way to the sums."""
    monkeypatch.setattr(block, "ROOM", room)
    monkeypatch.setattr(block, "CHUNK", 50)
    one = drawn(options=2, channels=channels)
    seen: list[Any] = []

    def votes(values: Any) -> Any:
        seen.extend(values.T.tolist())
        return np.arange(len(seen) - values.shape[1], len(seen)) + 1.0

    found = list(one.survivors([judge(few=3, quick=lambda v: v < np.inf, votes=votes)]))
    assert len({place[1:4] for place in found}) == len(found) == one.size == 10 * 8 * 2
    for which, r, c, k, number in found:
        assert which == 0
        assert seen[int(number) - 1] == [value(one, s, r, c, k) for s in range(3)]


def test_windows_that_strides_share_are_summed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are many: what a judge sees of them it sees as often, and each has its own."""
    monkeypatch.setattr(block, "ALIKE", 65)
    strided = [Axis(1, 1, stride, 0, 11) for stride in (1, 2, 3)]
    shared, shown = drawn(), []
    places = [place[2] for place in PLACES]
    shared.rows = table(strided, places, SIZE[0], 2)

    def seen(s: int, values: Any) -> Any:
        shown.append((s, values.size))
        return values - s

    def quick(values: Any) -> Any:
        assert values[0].shape == values[1].shape
        return values[0] == values[1] + 1

    def votes(values: Any) -> Any:
        return values[0] == values[1]

    one = Judge((0, 1), 2, quick, votes, exact=True, seen=seen)
    found = {place[1:3] for place in shared.survivors([one])}
    assert found == {
        (r, c)
        for r, c in product(range(66), range(8))
        if value(shared, 0, r, c, 0) == value(shared, 1, r, c, 0)
    }
    # From the ninth place on by strides of 1, 2 and 3: 9 to 19, 18 to 28, 27 to 37; from the second
    # 2 to 12, 4 to 14, 6 to 16.
    assert shown == [(0, 2 * 29 * 8), (1, 2 * 15 * 8)]
    # Of few it is not worth while to look for those.
    shown.clear()
    monkeypatch.setattr(block, "ALIKE", 66)
    shared._met.clear()
    assert {place[1:3] for place in shared.survivors([one])} == found
    assert shown == [(0, 66 * 8), (1, 66 * 8)]


# --- one by one ---------------------------------------------------------------------------------


def test_the_first_samples_decide_which_are_looked_at_with_all() -> None:
    """A hypothesis without votes is out; however small a vote, it is one."""
    one = drawn()
    asked_of: list[tuple[int, ...]] = []

    def votes(values: Any) -> Any:
        asked_of.append(values.shape)
        return np.where(values[0] > 0, 2.0**-40, 0.0)

    right = {(r, c) for r, c in product(range(10), range(8)) if value(one, 0, r, c, 0) > 0}
    found = list(one.survivors([judge(few=2, quick=lambda v: v < np.inf, votes=votes)]))
    assert {place[1:3] for place in found} == right
    assert {place[4] for place in found} == {2.0**-40}
    assert asked_of == [(2, 80), (3, len(right))]
    # Where the first are all, that is said once; of nothing that is left nothing is asked.
    asked_of.clear()
    assert len(list(one.survivors([judge(few=3, quick=lambda v: v < np.inf, votes=votes)]))) > 0
    assert asked_of == [(3, 80)]
    asked_of.clear()
    none = judge(few=2, quick=lambda v: v < np.inf, votes=lambda v: votes(-np.abs(v)))
    assert not list(one.survivors([none]))
    assert asked_of == [(2, 80)]


def test_so_many_single_hypotheses_have_their_values_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = drawn()
    for room, many in ((3 * 7, 7), (3 * 8 - 1, 7), (3, 1), (2, 1)):
        shown: list[int] = []

        def votes(values: Any, shown: list[int] = shown) -> Any:
            shown.append(values.shape[1])
            return np.ones(values.shape[1])

        places = np.arange(10), np.arange(10) % 8, np.zeros(10, int)
        monkeypatch.setattr(block, "ROOM", room)
        assert len(list(one._settle(judge(few=3, votes=votes), *places))) == 10
        assert shown == [min(many, 10 - first) for first in range(0, 10, many)]


def test_few_that_are_left_have_a_block_of_their_own() -> None:
    """Where they are a sixteenth of the rows by the columns, or less."""
    one = drawn(starts=(17, 8))
    assert (len(one.rows), len(one.columns)) == (34, 16)
    for rows, columns, apart in (
        ((3, 9), (1, 4, 5, 7, 8, 9, 12, 15), True),
        ((3, 9), range(16), True),
        (range(2, 34, 2), (1, 4), True),
        ((3, 9, 11, 17, 30), (1, 4, 5, 7, 8, 9, 12), False),
        (range(34), (5,), True),
        (range(31, 20, -1), (5, 2, 4), True),
        (range(31, 19, -1), (5, 2, 4), False),
        ((5,), range(16), True),
        ((7,), (2, 6), True),
    ):
        r, c = (np.array(a) for a in zip(*product(rows, columns), strict=True))
        few, at, beside = one._narrowed(r, c)
        assert (few is not one) is apart
        assert np.array_equal(few.rows.start[at], one.rows.start[r])
        assert np.array_equal(few.rows.reversed[at], one.rows.reversed[r])
        assert np.array_equal(few.columns.start[beside], one.columns.start[c])
        if few is not one:
            assert (len(few.rows), len(few.columns)) == (len(rows), len(columns))
        found = list(one._settle(judge(), r, c, 0 * r))
        assert [place[:2] for place in found] == list(zip(r.tolist(), c.tolist(), strict=True))


def taken(one: Block, count: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether so many single hypotheses have their values from sums over the channels' taps."""
    r = np.arange(count) % len(one.rows)
    c, k = r % len(one.columns), r % one.bank.shape[1]
    with monkeypatch.context() as patched:
        calls: list[Any] = []
        directly = Block._directly
        patched.setattr(Block, "_directly", lambda *given: [calls.append(0), directly(*given)][1])
        values = one._single(1, r, c, k)
    each = zip(r.tolist(), c.tolist(), k.tolist(), strict=True)
    assert values.tolist() == [value(one, 1, *place) for place in each]
    return not calls


@pytest.mark.parametrize(
    ("options", "channels", "kernel"), [(2, 3, (2, 3)), (1, 2, (3, 2)), (3, 6, (1, 4))]
)
def test_single_hypotheses_are_summed_by_whichever_way_takes_less(
    options: int, channels: int, kernel: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either a sum over the channels for each tap at each place, or all taps of each."""
    one = drawn(options=options, channels=channels, kernel=kernel)
    taps = kernel[0] * kernel[1]
    (tall, wide) = (starts - 1 + size for starts, size in zip((5, 4), kernel, strict=True))
    map_ = options * taps * tall * wide
    least = -(-map_ // (channels * taps))
    assert taken(one, least, monkeypatch)
    assert not taken(one, least - 1, monkeypatch)
    # Nor is it made where there is no room for it.
    monkeypatch.setattr(block, "ROOM", map_)
    assert taken(one, 10 * least, monkeypatch)
    monkeypatch.setattr(block, "ROOM", map_ - 1)
    assert not taken(one, 10 * least, monkeypatch)


def test_what_is_met_of_single_hypotheses_is_held_a_part_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = drawn(options=2, channels=3)
    taps, many = 3 * 2 * 3, 7
    for room in (many * taps, many * taps + taps - 1):
        held: list[Any] = []

        def summed(how: str, met: Any, weights: Any, held: list[Any] = held) -> Any:
            held.append(met.shape)
            return EINSUM(how, met, weights)

        monkeypatch.setattr(block, "ROOM", room)
        with monkeypatch.context() as patched:
            patched.setattr(np, "einsum", summed)
            r = np.arange(10)
            values = one._single(0, r, r % 8, r % 2)
        assert held == [(1, 7, 3, 2, 3), (1, 3, 3, 2, 3)]
        assert values.tolist() == [value(one, 0, i, i % 8, i % 2) for i in range(10)]


def test_samples_of_few_single_hypotheses_are_summed_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a border of ones adds to them too; where they are more, sample by sample."""
    one = drawn(options=2, channels=3)
    one.rows = replace(one.rows, start=one.rows.start - 10)  # the second sample's reach beyond
    r, c, k = np.arange(10), np.arange(10) % 8, np.arange(10) % 2
    which = [0, 1, 2, ~0, ~1, ~2]
    each = np.array([one._single(s, r, c, k) for s in which])
    assert each[4].any()
    assert not each[5].any()
    calls: list[int] = []
    directly = Block._directly
    monkeypatch.setattr(
        Block, "_directly", lambda *given: [calls.append(len(given[1])), directly(*given)][1]
    )
    for most, at_once in ((6 * 10 * 18, True), (6 * 10 * 18 - 1, False)):
        monkeypatch.setattr(block, "CHUNK", most)
        assert np.array_equal(one._values(which, r, c, k), each)
        assert (6 in calls) is at_once
        calls.clear()


def test_many_channels_are_summed_before_the_taps(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than sixteen, where there is room for a map of each tap."""
    for channels, room, before in ((16, 0, False), (17, 0, True), (17, -1, False)):
        one = drawn(options=2, channels=channels)
        size = 2 * 2 * 3 * (5 - 1 + 2) * (4 - 1 + 3)
        monkeypatch.setattr(block, "ROOM", size + room)
        with monkeypatch.context() as patched:
            calls = asked(patched, "_maps")
            sums, which = one._sums(0, slice(2, 7), np.dtype(float))
        assert bool(calls) is before
        expected = [
            [[value(one, 0, r, c, k) for r in range(2, 7)] for k in (0, 1)] for c in range(8)
        ]
        assert sums[..., which].tolist() == expected


# --- the parts of a search ----------------------------------------------------------------------


def cut(
    rows: Table, columns: Table, channels: int, room: int, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[list[int], list[int]]]:
    """The first windows of the parts that a search looks at one after the other."""
    monkeypatch.setattr(search, "REGION", room)
    base = Convention(image_layout="NCHW", output_layout="NOHW")
    image = np.zeros((7, channels, *SIZE))
    reading = Reading(base, image, np.zeros((1, channels, 2, 2)), np.zeros((7, 1, 9, 9)))
    found = Search(reading, [])._parts(rows, columns)
    return [(r.start.tolist(), c.start.tolist()) for r, c in found]


def test_parts_meet_no_more_of_an_image_than_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many the longer side is halved: what both parts meet is less."""
    for tall, wide, longer in ((4, 3, 0), (3, 4, 1), (4, 4, 0), (1, 4, 1), (4, 1, 0), (2, 2, 0)):
        rows, columns = axis(0, 1, tall), axis(1, 1, wide)
        met = 3 * tall * wide
        whole = (list(range(tall)), list(range(wide)))
        assert cut(rows, columns, 3, met, monkeypatch) == [whole]
        halves = cut(rows, columns, 3, met - 1, monkeypatch)
        kept = 1 - longer
        assert [half[kept] for half in halves] == [whole[kept]] * 2
        first, second = (half[longer] for half in halves)
        assert first + second == whole[longer]
        assert 0 <= len(first) - len(second) <= 1


def test_single_options_are_not_cut_whatever_they_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel meets what it meets; the other side is cut then."""
    high, low = (axis(0, kernel, 1).part(np.arange(1)) for kernel in (9, 1))
    for rows in (high, low):
        for columns in (axis(1, 1, 3), axis(1, 30, 3).part(np.arange(3))):
            found = cut(rows, columns, 2, 1, monkeypatch)
            assert found == [([0], [start]) for start in range(3)]
    for columns in (axis(1, 1, 1), axis(1, 30, 1).part(np.arange(1))):
        found = cut(axis(0, 1, 3), columns, 2, 1, monkeypatch)
        assert found == [([start], [0]) for start in range(3)]


def test_what_a_block_meets_of_a_large_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """In however many parts, all pairs are looked at once."""
    rows, columns = axis(0, 3, 6), axis(1, 2, 5)
    for room in (1, 30, 100, 10**6):
        found = cut(rows, columns, 2, room, monkeypatch)
        pairs = [pair for r, c in found for pair in product(r, c)]
        assert sorted(pairs) == sorted(product(rows.start.tolist(), columns.start.tolist()))
        for r, c in found:
            tall, wide = max(r) - min(r) + 3, max(c) - min(c) + 2
            assert len(r) * len(c) == 1 or 2 * tall * wide <= room
