"""The judgement of two results: what differs, where most, and the same from any parts."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convcheck.comparison import FULL_BITS, Comparison, compare, merge

SETTINGS = settings(derandomize=True, deadline=None, max_examples=150)


def judge(actual: Any, expected: Any, threshold: Any = 0.0, magnitude: Any = 1.0) -> Comparison:
    actual, expected = np.array(actual), np.array(expected)
    return compare(actual, expected, threshold, np.broadcast_to(magnitude, actual.shape))


def test_equal_to_the_last_digit() -> None:
    seen = judge([[1.0, 2.0]], [[1.0, 2.0]])
    assert seen.matches
    assert (seen.mismatched, seen.total, seen.max_abs_diff) == (0, 2, 0.0)
    assert seen.worst_index == (0, 0)
    assert seen.agreement_bits == FULL_BITS


def test_within_the_threshold_is_a_match_and_says_how_near() -> None:
    seen = judge([1.0, 2.5], [1.0, 2.0], [0.5, 0.5], 4.0)
    assert seen.matches
    assert (seen.max_abs_diff, seen.worst_index, seen.actual, seen.expected) == (
        0.5,
        (1,),
        2.5,
        2.0,
    )
    assert seen.agreement_bits == 3.0


def test_beyond_the_threshold_is_none_by_any_step() -> None:
    assert judge([2.5], [2.0], [0.5]).matches
    assert not judge([np.nextafter(2.5, 3)], [2.0], [0.5]).matches


def test_the_worst_is_the_worst_of_those_beyond_their_threshold() -> None:
    """A large difference that rounding explains hides no small one that it does not."""
    seen = judge([109.0, 1.5, 1.25, 0.0], [100.0, 1.0, 1.0, 0.0], [10.0, 0.1, 0.1, 0.1])
    assert not seen.matches
    assert (seen.mismatched, seen.worst_index, seen.max_abs_diff) == (2, (1,), 0.5)
    assert (seen.actual, seen.expected, seen.threshold) == (1.5, 1.0, 0.1)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (math.nan, 1.0),
        (1.0, math.nan),
        (math.nan, math.nan),
        (math.inf, math.inf),
        (math.inf, 1.0),
        (complex(math.nan, 0), 0j),
        (complex(0, math.nan), complex(0, math.nan)),
    ],
)
@pytest.mark.parametrize("threshold", [0.0, 1e300])
def test_what_is_not_finite_never_agrees(actual: Any, expected: Any, threshold: float) -> None:
    seen = judge([0.0, actual, 0.0], [0.0, expected, 0.0], threshold)
    assert (seen.matches, seen.mismatched, seen.worst_index) == (False, 1, (1,))
    assert seen.max_abs_diff == math.inf
    assert seen.agreement_bits == 0.0


def test_nan_does_not_agree_within_an_infinite_threshold() -> None:
    assert not judge([math.nan], [1.0], math.inf).matches


def test_types_are_pythons_own() -> None:
    seen = judge([[1]], [[2]])
    assert [type(v) for v in (seen.actual, seen.expected)] == [int, int]
    assert type(judge([1j], [2j]).actual) is complex
    assert type(judge(np.float32([1]), np.float32([2])).actual) is float
    assert all(type(i) is int for i in seen.worst_index)


def test_large_integers_are_not_blurred() -> None:
    seen = judge(np.array([2**61 + 1]), np.array([2**61]))
    assert (seen.mismatched, seen.max_abs_diff, seen.actual) == (1, 1.0, 2**61 + 1)


def test_agreement_in_bits_is_that_of_the_worst_element() -> None:
    assert judge([1.0, 1.0], [1.0, 0.5], magnitude=2.0).agreement_bits == 2.0
    seen = compare(np.array([8.0, 1.0]), np.array([9.0, 0.5]), 0.0, np.array([1024.0, 2.0]))
    assert seen.agreement_bits == 2.0
    assert judge([3.0], [0.0], magnitude=1.0).agreement_bits == 0.0
    assert judge([1e-300], [0.0], magnitude=0.0).agreement_bits == 0.0
    assert judge([1e308], [0.0], magnitude=0.0).agreement_bits == 0.0
    # (1 - 1) + 5e-324 and (1 + 5e-324) - 1: what is left of the difference underflows.
    assert judge([5e-324], [0.0], 1e-15, magnitude=2.0).agreement_bits == 53.0


def test_an_element_that_cannot_tell_is_measured_by_its_threshold() -> None:
    """A transform's noise where the exact sum is 0 is no disagreement."""
    assert judge([2.0**-60], [0.0], 2.0**-50, 0.0).agreement_bits == 10.0


@SETTINGS
@given(st.data())
def test_parts_in_any_order_and_grouping_make_the_whole(data: st.DataObject) -> None:
    small = st.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan])
    rows = data.draw(st.integers(1, 7))
    shape = (rows, 3)
    actual, expected, threshold = (
        np.array(data.draw(st.lists(values, min_size=rows * 3, max_size=rows * 3))).reshape(shape)
        for values in (small, small, st.sampled_from([0.0, 0.3, 2.0]))
    )
    magnitude = np.full(shape, 2.0)
    whole = compare(actual, expected, threshold, magnitude)
    cuts = sorted(data.draw(st.sets(st.integers(1, rows))) | {0, rows})
    parts = [
        compare(actual[a:b], expected[a:b], threshold[a:b], magnitude[a:b], (a, 0))
        for a, b in pairwise(cuts)
    ]
    parts = data.draw(st.permutations(parts))
    middle = data.draw(st.integers(0, len(parts)))
    grouped = [merge(group) for group in (parts[:middle], parts[middle:]) if group]
    for merged in (merge(parts), merge(grouped), merge(reversed(grouped))):
        assert repr(merged) == repr(whole)


@SETTINGS
@given(st.lists(st.tuples(*[st.floats(-1e3, 1e3)] * 2, st.floats(0, 1e3)), min_size=1, max_size=30))
def test_counts_are_those_of_a_plain_loop(elements: list[tuple[float, float, float]]) -> None:
    actual, expected, threshold = (np.array(column) for column in zip(*elements, strict=True))
    seen = compare(actual, expected, threshold, np.ones(len(elements)))
    beyond = [abs(a - e) for a, e, t in elements if abs(a - e) > t]
    assert seen.mismatched == len(beyond)
    assert seen.matches == (not beyond)
    assert seen.max_abs_diff == max(beyond or [abs(a - e) for a, e, _ in elements])
    a, e, t = elements[seen.worst_index[0]]
    assert (seen.actual, seen.expected, seen.threshold) == (a, e, t)


def test_nothing_compared_is_no_match() -> None:
    assert judge([1.0], [1.0]).matches
    assert not replace(judge([1.0], [1.0]), total=0).matches


def test_a_mismatch_outranks_a_larger_difference_that_rounding_explains() -> None:
    """Of the parts: the worst is where they differ, however small the difference is."""
    explained = judge([100.0], [0.0], threshold=200.0, magnitude=1.0)
    differs = judge([1.0], [0.0], threshold=0.5, magnitude=1.0)
    for parts in ((explained, differs), (differs, explained)):
        whole = merge(parts)
        assert (whole.max_abs_diff, whole.threshold, whole.mismatched) == (1.0, 0.5, 1)


def test_the_smallest_difference_of_all_is_no_agreement() -> None:
    assert judge([5e-324], [0.0], magnitude=0.0).agreement_bits == 0.0


def test_a_judgement_is_not_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        judge([1.0], [1.0]).mismatched = 0  # type: ignore[misc]


def test_an_origin_is_of_as_many_axes() -> None:
    with pytest.raises(ValueError, match="zip"):
        compare(np.ones((2, 2)), np.ones((2, 2)), 0.0, np.ones((2, 2)), origin=(1,))
