"""Numbers as they are stored."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convcheck.convention import INTEGERS, PRECISIONS, Storage, representable, round_to
from convcheck.convention.storage import ROUNDINGS, float_interval, round_half, spacing

SETTINGS = settings(derandomize=True, deadline=None, max_examples=100)
INF = np.inf


def test_unit_roundoffs_to_the_letter() -> None:
    """Half the distance from 1 to the next number: 2 to minus the bits of a significand."""
    bits = {"float64": 53, "float32": 24, "tf32": 11, "float16": 11, "bfloat16": 8}
    assert dict(PRECISIONS) == {"exact": 0.0} | {name: 0.5**n for name, n in bits.items()}


def test_what_is_not_said_of_a_storage() -> None:
    plain = Storage()
    assert plain.to_dict() == {
        "dtype": "uint8",
        "zero_point": 0,
        "rounding": "half_even",
        "overflow": "saturate",
        "multiplier": "real",
    }
    with pytest.raises(FrozenInstanceError):
        plain.zero_point = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("dtype", "limits"),
    [
        ("uint8", (0, 255)),
        ("int8", (-128, 127)),
        ("uint32", (0, 2**32 - 1)),
        ("int64", (-(2.0**63), 2.0**63)),
        ("float16", (-INF, INF)),
    ],
)
def test_the_limits_of_a_dtype(dtype: str, limits: tuple[float, float]) -> None:
    assert Storage(dtype).limits == limits
    assert Storage(dtype).is_integer == (dtype != "float16")


HALVES = [-2.5, -1.75, -1.5, -0.5, 0.25, 0.5, 1.5, 1.75, 2.5, 3.0]


@pytest.mark.parametrize(
    ("rounding", "whole"),
    [
        ("half_even", [-2, -2, -2, 0, 0, 0, 2, 2, 2, 3]),
        ("half_away", [-3, -2, -2, -1, 0, 1, 2, 2, 3, 3]),
        ("half_up", [-2, -2, -1, 0, 0, 1, 2, 2, 3, 3]),
        ("toward_zero", [-2, -1, -1, 0, 0, 0, 1, 1, 2, 3]),
        ("down", [-3, -2, -2, -1, 0, 0, 1, 1, 2, 3]),
    ],
)
def test_numbers_are_rounded_once_the_zero_point_is_added(rounding: str, whole: list[int]) -> None:
    stored = Storage("int8", rounding=rounding)
    assert stored.apply(np.array(HALVES)).tolist() == whole
    moved = Storage("int8", 7, rounding).apply(np.array(HALVES) - 7)
    assert (moved.dtype, moved.tolist()) == (np.int8, whole)
    # The largest number below a half is no half, nor is an odd number of 53 bits.
    below = np.nextafter(0.5, 0)
    assert round_half(np.array([below, 2.0**52 + 1]), rounding).tolist() == [0, 2.0**52 + 1]


def test_what_was_multiplied_is_rounded_before_the_zero_point_is_added() -> None:
    for multiplier, expected in (("real", -1), ("fixed", 0)):
        stored = Storage("int8", -3, "half_away", multiplier=multiplier)
        assert stored.apply(np.array([2.5])).tolist() == [expected]
    assert Storage("float32", multiplier="fixed").multiplied(np.array([0.3]), 1.0) == [0.3]


@pytest.mark.parametrize(
    ("dtype", "overflow", "values", "expected"),
    [
        ("uint8", "saturate", [-3.0, 255.4, 256.0, INF, -INF], [0, 255, 255, 255, 0]),
        ("int8", "saturate", [-129.0, -128.0, 127.0, 128.0], [-128, -128, 127, 127]),
        ("uint8", "wrap", [-3.0, 256.0, 511.0], [253, 0, 255]),
        ("int8", "wrap", [-129.0, 128.0, 300.0], [127, -128, 44]),
        ("int64", "saturate", [2.0**63, -(2.0**70), 2.0**62], [2**63 - 1, -(2**63), 2**62]),
        ("int64", "saturate", [np.nextafter(2.0**63, 0)], [2**63 - 1024]),
        ("int64", "wrap", [2.0**63, 2.0**64 + 4096], [-(2**63), 4096]),
        ("int64", "wrap", [-(2.0**62) - 1024], [-(2**62) - 1024]),
    ],
    ids=str,
)
def test_what_a_dtype_does_not_hold(
    dtype: str, overflow: str, values: list[float], expected: list[int]
) -> None:
    found = Storage(dtype, overflow=overflow).apply(np.array(values))
    assert (found.dtype.name, found.tolist()) == (dtype, expected)


@pytest.mark.parametrize(
    ("overflow", "values", "expected"),
    [
        ("saturate", [2**53 + 1, -(2**53) - 1], [2**53 + 4, -(2**53) + 2]),
        ("wrap", [2**53 + 1], [2**53 + 4]),
    ],
)
def test_integers_are_stored_to_the_last_bit(
    overflow: str, values: list[int], expected: list[int]
) -> None:
    assert Storage("int64", 3, overflow=overflow).apply(np.array(values)).tolist() == expected
    narrow = Storage("uint8", 3, overflow=overflow).apply(np.array([300, -9, 252, 253]))
    assert narrow.dtype == np.uint8
    assert narrow.tolist() == ([255, 0, 255, 255] if overflow == "saturate" else [47, 250, 255, 0])


@pytest.mark.parametrize("dtype", INTEGERS)
def test_floats_wrap_to_the_last_bit(dtype: str) -> None:
    whole = [-24892, 5, -1, 2**63, -(2**63), 2**64 - 2048, 10**19, -(10**19), 2**70 + 2**40]
    size, least = 2 ** (8 * np.dtype(dtype).itemsize), int(np.iinfo(dtype).min)
    stored = Storage(dtype, rounding="toward_zero", overflow="wrap").apply(np.array(whole, float))
    assert stored.dtype == dtype
    assert stored.tolist() == [(n - least) % size + least for n in whole]


@pytest.mark.parametrize(
    ("keys", "stored", "low", "high"),
    [
        ({"dtype": "int8"}, [-1, 0, 1, 2], [-1.5, -0.5, 0.5, 1.5], [-0.5, 0.5, 1.5, 2.5]),
        ({"dtype": "int8", "rounding": "down"}, [-1, 0, 2], [-1, 0, 2], [0, 1, 3]),
        (
            {"dtype": "int8", "rounding": "toward_zero"},
            [-2, -1, 0, 1, 2],
            [-3, -2, -1, 1, 2],
            [-2, -1, 1, 2, 3],
        ),
        ({"dtype": "int8"}, [-128, -127, 127], [-INF, -127.5, 126.5], [-127.5, -126.5, INF]),
        ({"zero_point": 3}, [0, 5, 255], [-INF, 1.5, 251.5], [-2.5, 2.5, INF]),
        ({"zero_point": 3, "overflow": "wrap"}, [0, 255], [-3.5, 251.5], [-2.5, 252.5]),
        (
            {"dtype": "bfloat16", "zero_point": 1},
            [1.0, 3.0],
            [-(2.0**-8), 2 - 2.0**-7],
            [2.0**-8, 2 + 2.0**-7],
        ),
    ],
    ids=str,
)
def test_which_numbers_are_stored_so(
    keys: dict[str, Any], stored: list[float], low: list[float], high: list[float]
) -> None:
    found = Storage(**keys).interval(np.array(stored))
    assert [end.tolist() for end in found] == [low, high]


def test_a_float_has_a_zero_point_too() -> None:
    assert Storage("float16", 3).apply(np.array([1.0, 0.1])).tolist() == [4.0, np.float16(3.1)]
    assert Storage("float16").apply(np.array([0.1])).tolist() == [np.float16(0.1)]


@SETTINGS
@given(st.sampled_from(ROUNDINGS), st.integers(-560, 560), st.integers(-9, 9))
def test_what_was_stored_lies_in_the_interval(rounding: str, quarters: int, point: int) -> None:
    stored, y = Storage("int8", point, rounding), quarters / 4
    low, high = stored.interval(stored.apply(np.array([y])))
    assert low[0] <= y <= high[0]


# ---- precisions

BITS = {"float32": 24, "tf32": 11, "float16": 11, "bfloat16": 8}


@SETTINGS
@given(st.sampled_from(sorted(BITS)), st.floats(1.0, 1000.0), st.sampled_from([1, -1]))
def test_a_number_is_rounded_to_the_nearest_even(precision: str, y: float, sign: int) -> None:
    for number in (sign * y, sign * float(np.float32(y))):
        mantissa, exponent = np.frexp(number)
        expected = np.ldexp(
            np.rint(np.ldexp(mantissa, BITS[precision])), exponent - BITS[precision]
        )
        for dtype in (np.float64, np.float32):
            if dtype(number) == number:
                assert round_to(np.array([number], dtype), precision)[0] == expected


@pytest.mark.parametrize(
    ("precision", "number", "expected"),
    [
        # A tie goes to even, and what is a hair from it does not, however fine the hair.
        ("bfloat16", 1 + 2.0**-8, 1.0),
        ("bfloat16", 1 + 3 * 2.0**-8, 1 + 2.0**-6),
        ("bfloat16", 1 + 2.0**-8 + 2.0**-50, 1 + 2.0**-7),
        ("bfloat16", 1 + 3 * 2.0**-8 - 2.0**-50, 1 + 2.0**-7),
        ("bfloat16", -1 - 2.0**-8 - 2.0**-50, -1 - 2.0**-7),
        ("tf32", 1 + 2.0**-11, 1.0),
        ("tf32", 1 + 2.0**-11 + 2.0**-50, 1 + 2.0**-10),
        ("tf32", 1 + 3 * 2.0**-11 - 2.0**-50, 1 + 2.0**-10),
        ("float16", 65520.0, INF),
        ("float16", 2.0**-24, 2.0**-24),
        ("bfloat16", 3.4e38, INF),
        ("bfloat16", 1e39, INF),
        ("bfloat16", -INF, -INF),
        ("bfloat16", 2.0**-133, 2.0**-133),
        ("float32", 1e39, INF),
        ("exact", 0.1, 0.1),
        ("float64", 0.1, 0.1),
    ],
)
def test_what_becomes_of_a_number(precision: str, number: float, expected: float) -> None:
    assert round_to(np.array([number]), precision)[0] == expected
    both = round_to(np.array([complex(number, -number)]), precision)[0]
    assert (both.real, both.imag) == (expected, -expected)
    assert np.isnan(round_to(np.array([np.nan]), precision)[0])


def test_complex_numbers_are_stored_in_both_parts() -> None:
    z = np.array([0.1 + 0.2j])
    assert round_to(z, "float64").dtype == np.complex128
    assert round_to(z, "float64")[0] == 0.1 + 0.2j
    for precision in ("float32", "tf32", "bfloat16", "float16"):
        assert round_to(z, precision).dtype == np.complex64


@pytest.mark.parametrize(
    ("numbers", "precision", "holds"),
    [
        ([0.1], "exact", True),
        ([0.1], "float32", False),
        ([0.1], "float64", True),
        ([0.5, np.nan, INF], "float16", True),
        ([0.5, 1 + 2.0**-8], "bfloat16", False),
        ([1 + 2.0**-10], "tf32", True),
        ([1 + 2.0**-11], "tf32", False),
    ],
)
def test_whether_a_precision_has_all_numbers(
    numbers: list[float], precision: str, holds: bool
) -> None:
    assert representable(np.array(numbers), precision) is holds


@pytest.mark.parametrize(
    ("precision", "at_one", "least"),
    [
        ("float64", -52, -1074),
        ("float32", -23, -149),
        ("tf32", -10, -136),
        ("float16", -10, -24),
        ("bfloat16", -7, -133),
    ],
)
def test_how_far_numbers_are_apart(precision: str, at_one: int, least: int) -> None:
    numbers = np.array([1.0, -1.5, 2.0, 0.75, 0.0, 2.0 ** (least + 1)])
    apart: Any = [2.0**at_one] * 2 + [2.0 ** (at_one + 1), 2.0 ** (at_one - 1)] + [2.0**least] * 2
    assert spacing(numbers, precision).tolist() == apart
    low, high = float_interval(np.array([1.0, -1.5]), precision)
    half = 2.0 ** (at_one - 1)
    assert low.tolist() == [1 - half, -1.5 - half]
    assert high.tolist() == [1 + half, -1.5 + half]
