"""The first estimates of scale and biases: what they rest on, and what they are spared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convcheck.checks.identify.estimates import (
    _rises,
    degrees_of_freedom,
    densest,
    medians,
    middles,
    nearest_scale,
    nearest_slope,
    rounded_line,
    untruncated,
)

SHAPE = (2, 3, 4, 5)
BIAS = (90.5, -40.25, 7.0)


def drawn(seed: int) -> tuple[np.random.Generator, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng, rng.integers(-500, 501, SHAPE).astype(float)


def column(bias: Any) -> np.ndarray:
    return np.reshape(bias, (1, -1, 1, 1))


# --- which elements say something ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "left"),
    [((0, 0, 0), -1), ((1, 1, 1), -1), ((0, 1, 2), 0), ((0, 1, 5), 3), ((3, 4, 5), 8)],
)
def test_every_channel_gives_one_to_its_bias(counts: tuple[int, ...], left: int) -> None:
    seen = np.zeros(SHAPE, bool)
    for o, count in enumerate(counts):
        seen[1, o].flat[:count] = True
    assert degrees_of_freedom(seen) == left


def test_truncated_numbers_are_half_further_from_zero() -> None:
    target = np.array([-3.0, -1.0, 0.0, 1.0, 2.0])
    seen = np.array([True, True, True, True, False])
    wanted, told = untruncated(target, seen)
    assert wanted.tolist() == [-3.5, -1.5, 0, 1.5, 2.5]
    assert told.tolist() == [True, True, False, True, False]


def test_what_is_beyond_all_numbers_is_no_bias() -> None:
    """As where a sum and what was made of it are at opposite ends of float64."""
    residual = np.full(SHAPE, 7.0)
    residual[:, 1] = np.inf
    every = np.ones(SHAPE, bool)
    assert medians(residual, every) == (7, 0, 7)
    residual[:, 1] = 1.7e308
    with np.errstate(over="ignore"):
        assert middles(residual, every) == (7, 0, 7)


# --- numbers that were not rounded --------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.75, 1.0, -1.0, -3.0, 1e-200, 1e200])
@pytest.mark.parametrize("seed", range(3))
def test_a_scale_alone(scale: float, seed: int) -> None:
    """Three tenths of the elements are wrong, and all that are not asked for."""
    rng, sums = drawn(seed)
    target, seen = scale * sums, rng.random(SHAPE) < 0.7
    target[~seen] = 1e6
    wrong = seen & (rng.random(SHAPE) < 0.3)
    target[wrong] = scale * rng.integers(-500, 501, np.count_nonzero(wrong))
    found = nearest_scale(sums, target, seen)
    assert found == pytest.approx(scale, rel=1e-12)


def test_a_scale_is_that_of_the_larger_sums() -> None:
    """What was added to small ones hides it."""
    sums = np.array([1.0, 1, 1, 1, 1, 50, 60, 70, 80])
    target = 3 * sums
    target[:4] += 20
    seen = np.ones(sums.shape, bool)
    assert nearest_scale(sums, target, seen) == pytest.approx(3, rel=1e-12)


def test_a_scale_where_most_sums_are_zero() -> None:
    sums = np.array([0.0, 0, 0, 0, 0, -1, 4, 5])
    seen = np.ones(sums.shape, bool)
    assert nearest_scale(sums, 7 * sums, seen) == pytest.approx(7, rel=1e-15)
    assert nearest_scale(0 * sums, 7 * sums, seen) is None
    # Neither zero is a scale, nor what is beyond all numbers.
    with np.errstate(over="ignore"):
        assert nearest_scale(1e-300 * sums, 1e300 * sums, seen) is None
    assert nearest_scale(sums, 0 * sums, seen) is None


def test_a_scale_is_refined_by_all_that_are_near() -> None:
    """The middle of the ratios is 2; the squares say what all have in common."""
    sums = np.array([100.0, 100, 100, 100, 100, 3, 50])
    target = np.array([198.0, 199, 200, 201, 203, 600, -900])
    seen = np.ones(sums.shape, bool)
    assert nearest_scale(sums, target, seen) == pytest.approx(1001 / 500, rel=1e-12)
    # To a scale of one, of either sign, too.
    target = np.array([996.0, 998, 1001, 1002, 1003])
    for scale in (1, -1):
        assert nearest_scale(np.full(5, 1000.0), scale * target, seen[:5]) == scale
    # Where squares are beyond all numbers the middle is kept.
    with np.errstate(all="ignore"):
        assert nearest_scale(np.full(5, 1e200), np.full(5, 2e200), seen[:5]) == 2
    # Those whose numbers cancel keep the middle.
    sums, target = np.array([1.0, 1.0, -1.0, -1.0]), np.array([3.0, 3.0, 3.0, 3.0])
    assert nearest_scale(sums[[0, 1, 2]], target[[0, 1, 2]], seen[:3]) == 3


@pytest.mark.parametrize("scale", [0.75, 1.0, -1.0, -3.0])
@pytest.mark.parametrize("bad", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_a_scale_beside_biases(scale: float, bad: float, seed: int) -> None:
    rng, sums = drawn(seed)
    target, seen = scale * sums + column(BIAS), rng.random(SHAPE) < 0.9
    target[~seen] = 1e6
    wrong = seen & (rng.random(SHAPE) < bad)
    target[wrong] = rng.integers(-500, 501, np.count_nonzero(wrong))
    assert nearest_slope(sums, target, seen) == pytest.approx(scale, rel=1e-9)


def test_a_scale_beside_biases_needs_two_sums_of_a_channel() -> None:
    _, sums = drawn(0)
    seen = np.zeros(SHAPE, bool)
    assert nearest_slope(sums, 3 * sums, seen) is None
    seen[0, :, 1, 2] = True
    assert nearest_slope(sums, 3 * sums, seen) is None
    seen[1, 2, 3, 4] = True
    assert nearest_slope(sums, 3 * sums + column(BIAS), seen) == pytest.approx(3, rel=1e-12)
    assert nearest_slope(0 * sums, 3 * sums + column(BIAS), seen) is None
    # Most differences are zero: the others say it.
    sums[:] = 5
    sums[1, 1, 3] = [7, 8, 9, 11, 13]
    seen[:] = True
    assert nearest_slope(sums, 3 * sums + column(BIAS), seen) == pytest.approx(3, rel=1e-12)


def test_a_scale_beside_biases_of_an_output_that_repeats_itself() -> None:
    """As a circular one does at a stride of half its period."""
    _, sums = drawn(1)
    sums[1] = sums[0]
    assert nearest_slope(sums, 0.25 * sums + column(BIAS), sums == sums) == pytest.approx(0.25)


def test_which_two_elements_are_compared() -> None:
    sums, seen = rows([3, 1, 2, 0, 9]), rows([1, 1, 1, 1, 0]) > 0
    assert [a.tolist() for a in _rises(sums, 2 * sums, seen)] == [[-1, -1], [-2, -2]]
    found = _rises(sums, 2 * sums, seen, ordered=True)
    assert [a.tolist() for a in found] == [[2, 2], [4, 4]]


@pytest.mark.parametrize(
    ("values", "middle"),
    [
        ([4.0], 4),
        ([4.0, 9.0], 4),
        ([9.0, 4.0, 5.0], 4),
        # Two that are nearer each other by chance, and five of which each has two near it.
        ([0, 1e-9, 5.02, 5.01, 5.0, 4.99, 4.98, 20, 40, 60, 80, 100, 120, 140, 160, 180], 5),
        ([-9, -7, -4, 0, 5, 11, 11.5, 12, 30, 50, 70, 90], 11),
        ([0, 10, 20, 30, 41, 53, 66, 80, 95, 111, 128, 129, 130, 131, 132, 140], 130),
    ],
)
def test_what_most_agree_on(values: list[float], middle: float) -> None:
    assert densest(np.array(values, float)) == middle


def test_a_bias_is_what_most_elements_leave() -> None:
    residual = np.zeros(SHAPE) + column(BIAS)
    seen = np.ones(SHAPE, bool)
    residual[1] += 100
    seen[1, :, 1:] = False
    assert medians(residual, seen) == BIAS
    seen[:, 1] = False
    assert medians(residual, seen) == (90.5, 0, 7)


# --- numbers that were rounded ------------------------------------------------------------------


def none() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)


def rows(*channels: Any) -> np.ndarray:
    """(1,O,1,n) of a row for each channel."""
    return np.array(channels)[None, :, None]


def test_the_middle_of_what_a_bias_can_be() -> None:
    residual = rows([3.0, 3.5, 3.25, 99], [7.0, 7.0, 7.0, 99], [-1, 0, 1, 99], [5.0, 6, 7, 99])
    seen = np.ones(residual.shape, bool)
    seen[..., 3] = seen[:, 3] = False
    assert middles(residual, seen) == (3.25, 7, 0, 0)


@pytest.mark.parametrize(
    ("at_lowest", "at_highest", "middle"),
    [
        ([], [], 3.25),
        ([3.0], [], 3.25),
        ([2.75], [], 3.125),
        ([9.0], [], 3.25),
        ([], [3.5], 3.25),
        ([], [3.75], 3.375),
        ([], [-9.0], 3.25),
        ([2.75, 2.5], [3.5], 3.0),
        ([2.5], [], 3.0),
        # What leaves no bias at all is wrong.
        ([2.375], [], 3.25),
        ([1.75], [], 3.25),
        ([], [4.25], 3.25),
        ([2.75], [3.875], 3.25),
    ],
)
def test_elements_at_a_limit_bound_a_bias_from_one_side(
    at_lowest: list[float], at_highest: list[float], middle: float
) -> None:
    residual = rows(
        [3.0, 3.5, 3.25, *at_lowest, *at_highest], [8.0] * (3 + len(at_lowest + at_highest))
    )
    places = np.arange(residual.shape[-1])
    seen = np.zeros(residual.shape, bool) | (places < 3)
    lowest = np.zeros(residual.shape, bool) | ((places >= 3) & (places < 3 + len(at_lowest)))
    highest = np.zeros(residual.shape, bool) | (places >= 3 + len(at_lowest))
    assert middles(residual, seen, (lowest, highest)) == (middle, 8)


@pytest.mark.parametrize("off", [-3.5, 0.0, 0.7, 3.5])
@pytest.mark.parametrize("seed", range(4))
def test_a_line_through_rounded_numbers(seed: int, off: float) -> None:
    """With a guess that is ``off`` at the ends of the sums, every element is within a half."""
    rng, sums = drawn(seed)
    scale = float(rng.uniform(-0.4, 0.4))
    target = np.rint(scale * sums + column(BIAS))
    seen = rng.random(SHAPE) < 0.8
    target[~seen] = 1e6
    guess = scale + off / max(np.ptp(sums[:, o][seen[:, o]]) for o in range(3))
    found = rounded_line(sums, target, seen, guess, none())
    left = np.abs(target - found["scale"] * sums - column(found["bias"]))
    assert left[seen].max() <= 0.5
    assert found["scale"] == pytest.approx(scale, abs=2e-3)


def test_the_line_that_leaves_the_least() -> None:
    """A channel of two says the scale, and one of one nothing; rounding allows no other."""
    sums = rows([999.0, 999, 999], [5.0, 999, 999], [0.0, 100, 999])
    seen = rows([False] * 3, [True, False, False], [True, True, False])
    target = rows([-999.0, -999, -999], [7.0, -999, -999], [10.0, 60, -999])
    limits = (~seen & False, ~seen & False)
    found = rounded_line(sums, target, seen, 0.49, limits)
    assert found["scale"] == pytest.approx(0.5, abs=1e-9)
    assert found["bias"] == pytest.approx((0, 4.5, 10), abs=1e-6)
    # Where no channel has two, or any at all, the guess is all there is.
    found = rounded_line(sums, target, seen & False, 0.49, limits)
    assert found == {"scale": 0.49, "bias": (0, 0, 0)}
    seen[0, 2, 0, 1] = False
    found = rounded_line(sums, target, seen, 0.49, limits)
    assert found["scale"] == 0.49
    assert found["bias"] == pytest.approx((0, 7 - 5 * 0.49, 10))
    # An element that was cut off at the lowest says that the bias is no larger.
    lowest = rows([False] * 3, [False, True, False], [False] * 3)
    target[0, 1, 0, 1] = sums[0, 1, 0, 1] * 0.49 + 7 - 5 * 0.49 - 0.5
    found = rounded_line(sums, target, seen, 0.49, (lowest, limits[1]))
    assert found["bias"] == pytest.approx((0, 7 - 5 * 0.49 - 0.25, 10))
