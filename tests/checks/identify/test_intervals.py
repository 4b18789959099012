"""Unknown numbers from intervals: what most elements allow, defects left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convcheck.checks.identify.intervals import (
    Range,
    factor,
    line_of,
    meeting,
    plain_numbers,
    slope,
    weighted_median,
)
from convcheck.score import number_bits, plainest

SETTINGS = settings(derandomize=True, deadline=None, max_examples=200)
INF = np.inf


@pytest.mark.parametrize(
    ("intervals", "found"),
    [
        ([], (-INF, INF, 0)),
        ([(1, 2)], (1, 2, 1)),
        ([(1, 3), (2, 4), (2.5, 9)], (2.5, 3, 3)),
        ([(1, 2), (2, 3)], (2, 2, 2)),
        ([(0, 1), (5, 6), (5.5, 7)], (5.5, 6, 2)),
        ([(1, 2), (-INF, INF)], (1, 2, 1)),
        ([(1, 2), (-INF, 1.5)], (1, 1.5, 2)),
        ([(1, INF), (2, INF)], (2, INF, 2)),
        ([(3, 2), (1, 2)], (1, 2, 1)),
    ],
)
def test_where_most_of_the_intervals_meet(
    intervals: list[tuple[float, float]], found: tuple[float, float, int]
) -> None:
    low, high = np.array(intervals, float).reshape(-1, 2).T
    assert meeting(low, high) == Range(*found)


@SETTINGS
@given(st.lists(st.tuples(st.integers(-20, 20), st.integers(0, 9)), min_size=1, max_size=12))
def test_nothing_is_met_by_more(drawn: list[tuple[int, int]]) -> None:
    low = np.array([a for a, _ in drawn], float)
    high = low + np.array([w for _, w in drawn])
    found = meeting(low, high)
    counts = [np.count_nonzero((low <= x) & (x <= high)) for x in np.arange(-20, 30, 0.5)]
    assert found.met == max(counts)
    middle = 0.5 * (found.low + found.high)
    assert np.count_nonzero((low <= middle) & (middle <= high)) == found.met


def test_a_factor_is_what_most_elements_allow() -> None:
    p = np.array([1.0, -2.0, 4.0, 0.0, 3.0])
    y = 0.25 * p
    y[4] = 9.0
    found = factor(p, y - 0.01, y + 0.01)
    assert found.low <= 0.25 <= found.high
    assert found.met == 3
    assert found.high - found.low == pytest.approx(2 * 0.01 / 4)
    assert plainest(found.low, found.high) == 0.25
    negative = factor(p, -y - 0.01, -y + 0.01)
    assert (negative.low, negative.high) == (-found.high, -found.low)
    assert factor(np.zeros(3), y[:3], y[:3]).met == 0


def test_a_slope_is_not_moved_by_a_third_of_the_elements() -> None:
    rng = np.random.default_rng(0)
    p = rng.standard_normal(90)
    z = 3.5 * p + 7
    z[::3] += rng.standard_normal(30) * 50
    assert slope(p, z, np.random.default_rng(1)) == pytest.approx(3.5, rel=0.05)
    assert slope(np.ones(5), z[:5], np.random.default_rng(1)) == 0


def test_a_line_is_what_lets_most_elements_through() -> None:
    rng = np.random.default_rng(2)
    p = rng.uniform(-100, 100, 80)
    y = np.rint(0.3 * p + 11.4)
    y[::4] += 30
    found = line_of(p, y - 0.5, y + 0.5, 0.31, 0.05)
    assert found.low <= 0.3 <= found.high
    assert found.high - found.low < 0.02
    assert found.met == 60


@pytest.mark.parametrize(
    ("values", "weights", "median"),
    [
        ([1, 2, 3], [1, 1, 1], 2),
        ([3, 1, 2], [1, 1, 1], 2),
        ([1, 2, 3], [1, 1, 9], 3),
        ([1, 2, 3], [9, 1, 1], 1),
        ([5], [2], 5),
    ],
)
def test_a_weighted_median(values: list[float], weights: list[float], median: float) -> None:
    assert weighted_median(np.array(values, float), np.array(weights, float)) == median


def test_plain_numbers_come_in_order() -> None:
    found = plain_numbers(8.0)
    assert found[:2] == [1.0, -1.0]
    assert {0.5, 2.0, -3.0, 1 / 3, 10.0} <= set(found)
    lengths = [number_bits(v) for v in found]
    assert lengths == sorted(lengths)
    assert max(lengths) <= 8
    assert len(set(found)) == len(found)
