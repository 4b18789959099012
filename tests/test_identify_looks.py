"""What an output looks like: by ReLU, by the ends of its dtype, by the bits of its numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from convcheck.checks.identify import looks
from convcheck.checks.sums import Problem


@pytest.mark.parametrize(
    ("zeros", "below", "above", "rectified"),
    [
        (0, 0, 100, False),
        (1, 0, 99, True),
        (100, 0, 0, True),
        (1, 5, 94, False),
        (2, 5, 93, True),
        (1, 5, 45, False),
        (40, 20, 40, True),
        (41, 20, 39, False),
        (20, 20, 60, True),
        (18, 21, 61, False),
        (50, 0, 50, True),
    ],
)
def test_what_looks_rectified(zeros: int, below: int, above: int, rectified: bool) -> None:
    """A fiftieth of zeros, at most a fifth of negative numbers, twice as many positive ones."""
    output = np.repeat([0.0, -0.5, 0.75], [zeros, below, above])
    assert looks.is_rectified(output, np.ones(output.shape, bool)) is rectified
    beside = np.append(output, [-1.0] * 50 + [0.0] * 50)
    assert looks.is_rectified(beside, np.arange(beside.size) < output.size) is rectified
    assert not looks.is_rectified(output + 0j, np.ones(output.shape, bool))
    assert not looks.is_rectified(output, np.zeros(output.shape, bool))


def test_the_ends_of_a_dtype() -> None:
    lowest, highest = looks.ends(np.array([-128, -127, 126, 127], np.int8))
    assert lowest.tolist() == [True, False, False, False]
    assert highest.tolist() == [False, False, False, True]
    assert looks.within_limits(np.array([0, 1, 254, 255], np.uint8)).tolist() == [
        False,
        True,
        True,
        False,
    ]
    assert looks.within_limits(np.array([True, False])).all()
    assert looks.within_limits(np.array([-128.0, 127.0])).all()


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([-5, 300], []),
        ([0, 255], ["wrap:uint8", "saturate:uint8"]),
        ([0, 254], ["wrap:uint8"]),
        ([0, 128], ["wrap:uint8"]),
        ([0, 127], ["wrap:int8", "saturate:int8"]),
        ([-128, 0], ["wrap:int8", "saturate:int8"]),
        ([-64, 63], []),
        ([0, 63], []),
        ([-65, 0], ["wrap:int8"]),
        ([0, 64], ["wrap:int8"]),
        ([0, 40000], ["wrap:uint16"]),
        ([0, 65535], ["wrap:uint16", "saturate:uint16"]),
        ([-32768, 9], ["wrap:int16", "saturate:int16"]),
        ([-20000, 65535], []),
        ([0, 2**31], ["wrap:uint32"]),
        ([-(2**31), 9], ["wrap:int32", "saturate:int32"]),
        ([0, math.nan, math.inf, 200], ["wrap:uint8"]),
        ([2**40], []),
    ],
    ids=str,
)
def test_which_integers_the_values_give_away(values: list[float], names: list[str]) -> None:
    """Those that wrapped fill more than half of the range, those that saturated reach its end."""
    assert looks.integer_arithmetics(np.array(values, float)) == names


def test_the_outputs_own_integers_come_first() -> None:
    own = ["wrap:int16", "saturate:int16"]
    assert looks.integer_arithmetics(np.array([-5, 300], np.int16)) == own
    assert looks.integer_arithmetics(np.array([0, 200], np.int16)) == [*own, "wrap:uint8"]
    assert looks.integer_arithmetics(np.array([-5, 300], np.int64)) == []


FEW = ["tf32", "float16", "bfloat16"]


@pytest.mark.parametrize(
    ("values", "dtype", "names"),
    [
        ([0.5, 1 / 3], "float64", ["exact", "float64", "float32", *FEW]),
        ([0.5, 1 / 3], "float32", ["exact", "float32", *FEW]),
        ([0.5, 1.25], "float64", ["exact", "float64", "float32", "bfloat16"]),
        ([0.5, 1 + 2**-10], "float32", ["exact", "float32", "float16"]),
        ([0.5, 2.0**30], "float32", ["exact", "float32", "bfloat16"]),
        ([0.5, 0.25], "float16", ["exact", "float16"]),
        ([1.0, 200.0], "float16", ["exact", "wrap:uint8", "float16"]),
        ([1.0, math.nan, 200.0], "float16", ["exact", "wrap:uint8", "float16"]),
        ([1.0, 200.0], "float32", ["exact", "wrap:uint8", "float32", "bfloat16"]),
        ([1.0, 200.0], "complex64", ["exact", "float32"]),
        ([1.0, 200.0], "complex128", ["exact", "float64", "float32"]),
        ([1, 200], "int64", ["exact", "wrap:uint8"]),
        ([1, 2**24], "int64", ["exact"]),
        ([1, 2**24 + 1], "int64", ["exact", "float64", "float32"]),
        ([-(2**24) - 1, 1], "int64", ["exact", "float64", "float32"]),
        ([1, 99], "uint8", ["exact", "wrap:uint8", "saturate:uint8", "wrap:int8"]),
        ([0, 1], "bool", ["exact"]),
    ],
    ids=str,
)
def test_the_arithmetics_that_an_output_can_have(
    values: list[float], dtype: str, names: list[str]
) -> None:
    output = np.array(values).astype(dtype)
    problem = Problem.of(np.ones((1, 1)), np.ones((1, 1)), output)
    assert looks.arithmetics(problem) == names
    assert looks.arithmetics(problem) is looks.arithmetics(problem)


def test_what_is_stored_in_few_bits() -> None:
    def stored(values: list[float], arithmetic: str) -> bool:
        problem = Problem.of(np.ones((1, 1)), np.ones((1, 1)), np.array(values))
        assert looks.is_stored(problem, arithmetic) is looks.is_stored(problem, arithmetic)
        return looks.is_stored(problem, arithmetic)

    assert stored([1.0, -0.5, math.nan, math.inf], "bfloat16")
    assert not stored([1.0, 1 + 2.0**-8, math.nan], "bfloat16")
    assert stored([1.0, 1 + 2.0**-8], "float16")
    assert not stored([1.0, 1e6], "float16")


def test_how_many_steps_numbers_are_apart_from_zero() -> None:
    assert looks.levels(np.array([0.0, 3, -12])) == 12
    assert looks.levels(np.array([0.5, 1.25])) == 5
    assert looks.levels(np.array([8, -24])) == 24
    assert looks.levels(np.array([1.0, np.inf])) == math.inf
    assert looks.levels(np.array([1.0, np.nan])) == math.inf
    assert looks.levels(np.zeros(3)) == 0
