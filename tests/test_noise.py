"""The size of rounding errors as it is, and the bits of results beside a prediction."""

from __future__ import annotations

import math

import numpy as np
import pytest
from few import slow
from scipy.stats import norm

from convcheck.convention import ACTIVATIONS, Activation
from convcheck.noise import (
    ALGORITHM,
    DIRECT,
    SHARE,
    TAIL,
    UNEVEN,
    Noise,
    interval_bits,
    rarest,
    tail_bits,
)
from convcheck.score import MARGIN

ONE = np.ones(1)


def bits(low: float, high: float, predicted: float, sigma: float, **options: bool) -> float:
    arrays = (np.full(1, v) for v in (low, high, predicted, sigma))
    return float(interval_bits(*arrays, **options)[0])


@pytest.mark.parametrize("sigma", [1e-9, 0.01, 1.0, 3e7])
@pytest.mark.parametrize(
    ("low", "high"), [(-1, 1), (-0.5, 0.5), (0, 1), (-3, -1), (1.5, 2.5), (2.9, 3.5), (-9, 2)]
)
def test_bits_are_those_of_the_normal_distributions_share(
    sigma: float, low: float, high: float
) -> None:
    expected = -math.log2(norm.cdf(high) - norm.cdf(low))
    found = bits(7 + low * sigma, 7 + high * sigma, 7, sigma)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4) or sigma < 1e-6


def test_bits_of_what_is_far_out_grow_by_as_much_for_each_typical_error() -> None:
    for sign in (1, -1):
        found = [
            bits(*sorted((sign * away, sign * (away + 0.01))), 0, 1) for away in (4, 6, 20, 60)
        ]
        assert np.diff(found) == pytest.approx([2 * TAIL, 14 * TAIL, 40 * TAIL], rel=1e-3)


@pytest.mark.parametrize("terms", [8, 24, slow(128)])
@pytest.mark.parametrize("kind", ["normal", "heavy"])
def test_large_errors_of_running_sums_are_no_rarer_than_said(terms: int, kind: str) -> None:
    rng = np.random.default_rng(terms)
    count = 200_000
    x, w = (rng.standard_normal((terms, count)).astype(np.float32) for _ in range(2))
    if kind == "heavy":
        x *= np.abs(rng.standard_normal(x.shape).astype(np.float32))
    products = x.astype(float) * w
    total = np.zeros(count, np.float32)
    for k in range(terms):
        total += (x[k] * w[k]).astype(np.float32)
    sums, squares = products.sum(axis=0), np.sqrt((products**2).sum(axis=0))
    sigma = Noise(2.0**-24, 1.0, terms).of_sums(sums, squares, np.abs(products).sum(axis=0))
    error = np.abs(total - sums) / sigma
    error /= np.sqrt(np.mean(error**2))
    for bits_of in (14.0, 16.0):
        above = np.mean(error > rarest(bits_of))
        assert above <= 4 * 2.0**-bits_of  # either side, and a factor of 2
    assert not np.any(error > rarest(math.log2(count) + MARGIN))


def test_how_rare_and_how_large_go_together() -> None:
    assert tail_bits(np.array(rarest(20.0))) == pytest.approx(20.0)
    assert rarest(1.0) == 0


def test_a_prediction_that_leaves_nothing_open_costs_nothing() -> None:
    assert bits(2.5, 3.5, 3.0, 0.0) == 0
    assert bits(-np.inf, np.inf, 3.0, 1.0) == 0
    assert bits(-np.inf, 3.0, 3.0, 1.0) == pytest.approx(1.0, abs=1e-6)
    # What cannot be is beyond all bits that a number has.
    assert bits(2.5, 3.5, 4.0, 0.0) > 1e5
    assert bits(2.5, 3.5, np.nan, 1.0) > 1e5


def test_a_claim_that_allows_more_costs_more() -> None:
    found = [bits(-0.5, 0.5, 0.0, 2.0**k) for k in range(-3, 12)]
    assert found == sorted(found)
    assert found[-1] - found[-2] == pytest.approx(1.0, abs=0.01)


def test_of_uneven_errors_some_are_larger() -> None:
    plain, uneven = bits(-0.5, 0.5, 0.0, 1.0), bits(-0.5, 0.5, 0.0, 1.0, uneven=True)
    assert plain < uneven < plain + 0.2
    wide = bits(9.5, 10.5, 0.0, UNEVEN)
    assert bits(9.5, 10.5, 0.0, 1.0, uneven=True) == pytest.approx(
        wide - math.log2(SHARE), abs=0.01
    )


# ---- the typical error


def test_the_error_of_a_running_sum_is_about_what_it_is_said_to_be() -> None:
    rng = np.random.default_rng(0)
    for terms in (27, 576):
        x, w = (rng.standard_normal((4000, terms)).astype(np.float32) for _ in range(2))
        total = np.zeros(4000, np.float32)
        for k in range(terms):
            total += x[:, k] * w[:, k]
        products = x.astype(float) * w.astype(float)
        sums, squares = products.sum(axis=1), np.sqrt((products**2).sum(axis=1))
        noise = Noise(2.0**-24, 1.0, terms)
        sigma = noise.of_sums(sums, squares, np.abs(products).sum(axis=1))
        growth = np.sqrt(np.mean(((total - sums) / sigma) ** 2))
        assert 0.1 < growth < DIRECT


def test_the_error_of_sums() -> None:
    noise = Noise(2.0**-24, 0.5, 100)
    found = noise.of_sums(np.array([-3.0]), np.array([5.0]), np.array([20.0]))
    assert found[0] == pytest.approx(2.0**-24 * 0.5 * 0.5 * 10 * 8)
    # No less than double precision has, in which sums are made here.
    exact = Noise(0.0, 0.5, 100).of_sums(np.array([-3.0]), np.array([5.0]), np.array([20.0]))
    assert exact[0] == pytest.approx(2.0**-53 * 0.5 * 10 * 8)


def test_sums_that_lose_nothing_have_no_error() -> None:
    noise = Noise(2.0**-24, 0.5, 100, lossless=2.0**24)
    magnitude = np.array([2.0**24, 2.0**24 + 1])
    found = noise.of_sums(np.ones(2), np.ones(2), magnitude)
    assert found[0] == 0
    assert found[1] > 0


def test_each_step_after_the_sums_rounds_once() -> None:
    noise = Noise(2.0**-11, 0.5, 9)
    sums, own = np.array([3.0]), np.array([0.01])

    def of(scale: float, bias: float) -> float:
        return float(noise.of_steps(sums, own, np.array(scale), np.array(bias))[0])

    assert of(1, 0) == 0.01
    assert of(-2, 0) == pytest.approx(math.hypot(0.02, 2.0**-12 * 6))
    assert of(1, 5) == pytest.approx(math.hypot(0.01, 2.0**-12 * (5 + 3)))
    assert of(0.5, 5) == pytest.approx(math.hypot(0.005, 2.0**-12 * (1.5 + 5 + 1.5)))


def test_what_single_precision_holds_is_not_rounded() -> None:
    noise = Noise(2.0**-24, 0.5, 9)
    sums, own = np.array([3.0, 3.0 + 2.0**-40]), np.zeros(2)
    found = noise.of_steps(sums, own, np.array(1.0), np.array(5.0))
    assert found[0] == 0
    assert found[1] == pytest.approx(2.0**-25 * 8)


@pytest.mark.parametrize("name", [n for n, kind in ACTIVATIONS.items() if not kind.parameters])
def test_errors_go_through_an_activation_by_its_slope(name: str) -> None:
    noise, step = Noise(2.0**-30, 0.5, 9), 1e-3
    made = np.array([-4.0, -1.0, -0.3, 0.4, 1.5, 2.5])
    apply = Activation(name).apply
    result, error = noise.activated(Activation(name), made, np.full(6, step))
    np.testing.assert_array_equal(result, apply(made))
    slope = np.abs(apply(made + 1e-6) - apply(made - 1e-6)) / 2e-6
    np.testing.assert_allclose(error, slope * step, rtol=1e-2, atol=1e-7)


def test_where_an_activation_is_flat_nothing_is_left_of_an_error() -> None:
    noise = Noise(2.0**-24, 0.5, 9)
    _, error = noise.activated(Activation("relu"), np.array([-3.0, 3.0]), np.array([0.1, 0.1]))
    assert error[0] == 0
    assert error[1] == pytest.approx(0.1)
    # Evaluating one that is curved has an error of its own.
    _, error = noise.activated(Activation("tanh"), np.array([0.5]), np.zeros(1))
    assert error[0] > 2.0**-25


def test_which_noise_is_uneven() -> None:
    assert not Noise(2.0**-24, DIRECT, 9).uneven
    assert Noise(2.0**-24, ALGORITHM, 9).uneven
