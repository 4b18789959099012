"""Which elements of an output are looked at, and in what order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convcheck.checks.identify.samples import (
    PART,
    Sample,
    a_part,
    choose_samples,
    in_pairs,
    pairs,
)

COUNT = 20


def drawn(shape: tuple[int, ...], **keys: Any) -> np.ndarray:
    """(4, draws): every place that is drawn for COUNT samples, in order."""
    numbers = np.arange(np.prod(shape), dtype=float).reshape(shape)
    seen: list[np.ndarray] = []

    def usable(values: np.ndarray) -> np.ndarray:
        seen.append(values)
        return np.isfinite(values)

    choose_samples(numbers, COUNT, usable, **keys)
    return np.array(np.unravel_index(seen[-1].astype(int), shape))


@pytest.mark.parametrize("axis", [2, 3])
def test_samples_are_drawn_outwards_an_eighth_at_a_time(axis: int) -> None:
    places = drawn((1, 1, 600, 400))[axis]
    assert len(places) == 40 * COUNT
    middle = {2: 300, 3: 200}[axis]
    shares = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1, 1)
    for share, some in zip(shares, np.split(places, 8), strict=True):
        assert -share * middle <= (some - middle).min() < 0.9 * -share * middle
        assert share * middle >= (some - middle).max() > 0.9 * share * middle


@pytest.mark.parametrize("axis", [2, 3])
def test_samples_of_everywhere_are_spread_evenly(axis: int) -> None:
    for some in np.split(drawn((1, 1, 600, 600), everywhere=True)[axis], 8):
        assert some.min() < 60
        assert some.max() > 540
        assert len(np.unique(some)) > 80  # they do not heap at the edges


def test_the_elements_of_a_short_axis_are_drawn_alike() -> None:
    for size in (1, 2, 3):
        rows = drawn((1, 1, size, 9))[2]
        assert np.bincount(rows).min() > 0.2 * len(rows) > 0
        assert len(np.bincount(rows)) == size
    # The first eighth is the middle, with its neighbours where there is just one.
    for size, middle in ((3, {0, 1, 2}), (4, {1, 2}), (5, {1, 2, 3})):
        assert set(drawn((1, 1, size, 9))[2][: 5 * COUNT].tolist()) == middle


def test_what_repeats_a_value_is_taken_where_three_quarters_were_looked_at() -> None:
    shape = (2, 3, 900, 900)
    places = [tuple(place) for place in drawn(shape).T.tolist()]
    expected = list(dict.fromkeys([places[0], *places[30 * COUNT :]]))[:COUNT]
    samples = choose_samples(np.ones(shape, np.int8), COUNT, np.isfinite)
    assert [s.index for s in samples] == expected


def test_no_element_is_taken_twice() -> None:
    samples = choose_samples(np.ones((1, 1, 2, 3)), COUNT, np.isfinite)
    assert len({s.index for s in samples}) == len(samples) == 6


def channel(output: np.ndarray) -> int:
    keys = {"one_channel": True, "other": True}
    (found,) = {s.index[1] for s in choose_samples(output, 9, np.isfinite, **keys)}
    return found


def test_the_other_channel_is_an_even_one_of_the_other_half() -> None:
    output = np.random.default_rng(3).random((1, 12, 20, 20))
    output[:, 0] = np.nan  # 7 is chosen first, and 2, 4 and 6 are left
    assert channel(output) == 4
    output[:, 4] = np.nan
    assert channel(output) == 6
    output[:, 2:7:2] = np.nan  # none is left: the middle one of 1, 3, 5, 7, 8, 9, 10 and 11
    assert channel(output) == 8
    # Where none is odd the first choice is 6 of 0 to 10, and the other 2 of 0, 2 and 4.
    output = np.random.default_rng(3).random((1, 12, 20, 20))
    output[:, 1::2] = np.nan
    assert channel(output) == 2


def test_how_many_pairs_there_are() -> None:
    def count(*channels: int) -> int:
        # No other index may be taken for the channel: those of a pair differ.
        return pairs([Sample((i % 2, o, i, -i), 0.0) for i, o in enumerate(channels)])

    assert count() == count(3) == 0
    assert count(3, 3) == count(3, 3, 3) == 1
    assert count(3, 3, 5, 5) == count(3, 3, 3, 3) == count(3, 3, 5, 5, 1) == 2
    assert count(3, 3, 5, 5, 3, 3) == 3
    assert count(3, 5) == count(3, 5, 5, 5) == 0
    assert count(3, 3, 3, 5) == count(3, 3, 5, 3) == count(3, 3, 5, 3, 3, 3) == 1
    assert count(3, 3, 5, 5, 1, 2, 4, 4) == count(3, 3, 5, 5, 1, 2, 4, 6) == 2


def test_those_that_are_alone_come_after_the_pairs() -> None:
    places = [(0, o, i, i) for i, o in enumerate((1, 2, 1, 3, 1, 3))]
    samples = [Sample(place, 0.0) for place in places]
    assert [s.index for s in in_pairs(samples)] == [places[i] for i in (0, 2, 3, 5)]
    every = in_pairs(samples, alone=True)
    assert [s.index for s in every] == [places[i] for i in (0, 2, 3, 5, 1, 4)]
    assert pairs(every) == 2


def test_an_output_of_a_part_is_counted_whole() -> None:
    """A little more is thinned out on both axes."""
    assert PART == 1024 * 1024
    whole = np.broadcast_to(np.int8(0), (1, 1, 1024, 1024))
    assert a_part(whole).shape == whole.shape
    more = np.broadcast_to(np.int8(0), (1, 1, 1025, 1024))
    assert a_part(more).shape == (1, 1, 513, 512)
    none = np.zeros((1, 0, 5, 5))
    assert a_part(none).shape == none.shape
