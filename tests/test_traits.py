"""What an output shows before any search: its format, its integers, where it was cut off."""

from __future__ import annotations

import numpy as np
import pytest

from convcheck.traits import PART, a_part, ends, telling, traits

RNG = np.random.default_rng(0)
SHAPE = (1, 4, 8, 9)


def normal() -> np.ndarray:
    return np.random.default_rng(1).standard_normal(SHAPE)


@pytest.mark.parametrize(
    ("output", "own", "narrow"),
    [
        (normal(), "float64", ()),
        (normal().astype(np.float32), "float32", ()),
        (normal().astype(np.float32).astype(np.float64), "float32", ()),
        (normal().astype(np.float16), "float32", ("float16",)),
        (normal().astype(np.float16).astype(np.float32), "float32", ("float16",)),
        (np.rint(4 * normal()), "float32", ("bfloat16", "float16")),
        (np.rint(4 * normal()).astype(np.int32), "integer", ()),
        (normal() + 1j * normal(), "float64", ()),
        ((normal() + 1j * normal()).astype(np.complex64), "float32", ()),
        (normal().astype(np.longdouble), "float64", ()),
    ],
    ids=lambda v: str(v.dtype) if isinstance(v, np.ndarray) else str(v),
)
def test_the_coarsest_format_that_holds_all(
    output: np.ndarray, own: str, narrow: tuple[str, ...]
) -> None:
    found = traits(output)
    assert (found.format, found.narrow) == (own, narrow)
    assert found.is_complex == (output.dtype.kind == "c")
    assert found.unit == {"float64": 2.0**-53, "float32": 2.0**-24, "integer": 2.0**-53}[own]
    assert found.size == output.size
    assert found.finite


@pytest.mark.parametrize(
    ("output", "whole", "integer"),
    [
        (np.arange(288).reshape(SHAPE).astype(np.uint8), True, "uint8"),
        (np.arange(288).reshape(SHAPE).astype(np.int16), True, "int16"),
        (np.arange(288).reshape(SHAPE).astype(float), True, "uint16"),
        (np.arange(288).reshape(SHAPE) % 200 - 0.0, True, "uint8"),
        (np.arange(288).reshape(SHAPE) % 200 - 100.0, True, "int8"),
        (np.arange(288).reshape(SHAPE) - 150.0, True, "int16"),
        (np.arange(288).reshape(SHAPE) * 2.0**30, True, "int64"),
        (np.arange(288).reshape(SHAPE) + 0.5, False, None),
        (normal() > 0, True, "uint8"),
    ],
    ids=str,
)
def test_which_integers_it_holds(output: np.ndarray, whole: bool, integer: str | None) -> None:
    found = traits(output)
    assert (found.whole, found.integer) == (whole, integer)


def test_what_was_cut_off() -> None:
    y = normal()
    assert ends(y) == (-np.inf, np.inf)
    assert ends(np.maximum(y, 0)) == (0, np.inf)
    assert ends(np.clip(y, -0.5, 0.75)) == (-0.5, 0.75)
    assert ends(y + 1j) == (-np.inf, np.inf)
    # A few elements may be equal by chance, and a constant was not cut off at both ends.
    twice = y.copy()
    twice.flat[:2] = y.min()
    assert ends(twice) == (-np.inf, np.inf)
    assert ends(np.full(SHAPE, 3.0)) == (-np.inf, np.inf)
    assert ends(np.full(SHAPE, np.nan)) == (-np.inf, np.inf)
    # The ends of a narrow dtype are ends in any case, those of int64 none.
    bytes_ = (np.arange(288).reshape(SHAPE) % 100 + 50).astype(np.uint8)
    assert traits(bytes_).limits == (0, 255)
    assert traits(bytes_.astype(np.int64)).limits == (-np.inf, np.inf)
    at_zero = np.maximum(bytes_.astype(np.int64) - 100, 0)
    assert traits(at_zero).limits == (0, np.inf)


def test_what_tells() -> None:
    values = np.array([0.0, 0.5, 6.0, 7.0, np.nan, np.inf])
    assert telling(values, (0.0, 6.0)).tolist() == [False, True, False, False, False, False]
    assert telling(values, (-np.inf, np.inf)).tolist() == [True] * 4 + [False] * 2
    assert telling(np.array([1j, np.nan]), (-np.inf, np.inf)).tolist() == [True, False]


def test_the_least_the_greatest_and_the_spread() -> None:
    y = normal()
    found = traits(y)
    assert (found.least, found.most) == (y.min(), y.max())
    assert found.spread == pytest.approx(y.std())
    y[0, 0, 0, 0], y[0, 1, 0, 0] = np.nan, -np.inf
    damaged = traits(y)
    assert not damaged.finite
    assert damaged.least == y[np.isfinite(y)].min()
    rectified = np.maximum(normal(), 0)
    assert traits(rectified).spread == pytest.approx(rectified[rectified > 0].std())


def test_how_far_numbers_of_its_kind_are_apart() -> None:
    values = np.array([1.0, -1.5, 2.0, 3.99, 0.25])
    double = traits(normal())
    assert (double.steps(values) / 2.0**-52).tolist() == [1, 1, 2, 2, 0.25]
    single = traits(normal().astype(np.float32))
    assert (single.steps(values) / 2.0**-23).tolist() == [1, 1, 2, 2, 0.25]
    assert traits(np.rint(9 * normal())).steps(values).tolist() == [1.0] * 5


def test_a_large_output_is_counted_by_a_part_that_is_spread_over_it() -> None:
    output = np.broadcast_to(np.arange(2000.0)[:, None], (1, 2, 2000, 1500))
    part = a_part(output)
    assert PART / 4 <= part.size <= 4 * PART
    assert part.base is not None
    assert part.min() == 0
    assert part.max() > 1900
    assert a_part(normal()).shape == SHAPE
    # One element that is no integer is seen all the same.
    whole = np.zeros((1, 1, 900, 900), np.float32)
    whole[0, 0, 451, 333] = 0.5
    assert not traits(whole).whole
