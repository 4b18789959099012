"""How an output may have been computed: the first way in the table that its errors keep within."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import fft
from winograd_software import Arithmetic, winograd

from convcheck.algorithms import Problem, algorithms, narrowest
from convcheck.engine import correlate
from convcheck.few_bits import BFLOAT16, FLOAT16, TF32
from convcheck.rounding import NORMAL, SINGLE, fft_bound, norm
from convcheck.winograd import POINTS, matrices

ONCE = (1, 1)


def problem(seed: int, channels: int = 1, groups: int = 1, **given: Any) -> tuple[Problem, Any]:
    """A problem of float32 arrays, and the exact sums."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, channels * groups, 40, 40)).astype(np.float32)
    w = rng.standard_normal((2 * groups, channels, 3, 3)).astype(np.float32)
    wide, bank = x.astype(np.float64), w.astype(np.float64)
    sizes = correlate(abs(wide), abs(bank), ONCE, ONCE, groups)
    given = {"stride": ONCE, "dilation": ONCE, **given}
    return Problem(x, w, sizes, groups=groups, **given), correlate(wide, bank, ONCE, ONCE, groups)


def named(errors: Any, of: Problem) -> str | None:
    algorithm = narrowest(errors, of)
    return algorithm.name if algorithm else None


@pytest.mark.parametrize("groups", [1, 2])
def test_a_direct_sum_is_one(groups: int) -> None:
    given, sums = problem(0, 3, groups)
    made = correlate(given.x, given.w, ONCE, ONCE, groups)
    assert made.dtype == np.float32
    assert named(made - sums, given) == "a direct sum in any order"


@pytest.mark.parametrize("m", [4, 6])
def test_winograd_is_named_by_its_tile(m: int) -> None:
    given, sums = problem(1)
    axes = [matrices(m, 3, POINTS[m + 2][0])] * 2
    made = winograd(given.x, given.w, axes, arithmetic=Arithmetic(np.float32))
    name = named(made - sums, given)
    assert name is not None
    # No wider than what it was; where its errors are small, a narrower one may explain them.
    names = [a.name for a in algorithms(given)]
    assert 0 < names.index(name) <= names.index(f"Winograd F({m},3)")
    assert narrowest(made - sums, given).failure == 0


def test_an_fft_is_the_last() -> None:
    given, sums = problem(2)
    given.x[..., 20:] *= 1e4  # an FFT spreads the errors of large numbers
    sums = correlate(given.x.astype(np.float64), given.w.astype(np.float64), ONCE, ONCE)
    sizes = correlate(abs(given.x).astype(np.float64), abs(given.w).astype(np.float64), ONCE, ONCE)
    given = Problem(given.x, given.w, sizes, ONCE, ONCE)
    image, bank = fft.rfft2(given.x[:, None]), fft.rfft2(given.w[None], (40, 40)).conj()
    made = fft.irfft2((image * bank).sum(axis=2))[..., :38, :38]
    assert made.dtype == np.float32
    assert named(made - sums, given) == "an FFT"
    made[0, 0, 0, 0] += 1e4
    assert named(made - sums, given) is None
    made[0, 0, 0, 0] = np.nan
    assert named(made - sums, given) is None


def test_the_bound_of_an_fft_is_that_of_all_its_channels() -> None:
    given, _ = problem(6, 3, 2)
    bound = algorithms(given)[-1].bound(given)
    for image, filters in np.ndindex(2, 4):
        first = 3 * (filters // 2)
        size = norm(given.x[image, first : first + 3]), norm(given.w[filters])
        expected = fft_bound(*size, 3 * 64 * 64, roundings=3, unit=SINGLE, underflow=NORMAL)
        assert bound[image, filters] == pytest.approx(expected)


@pytest.mark.slow
def test_every_bound_is_of_the_arithmetic_but_that_of_an_fft() -> None:
    """No library makes an FFT in halves."""
    single, _ = problem(8, 1)
    half = replace(single, arithmetic=FLOAT16)
    fine = {a.name: a.bound(single) for a in algorithms(single)}
    for algorithm in algorithms(half)[1:]:
        factor = 1 if algorithm.name == "an FFT" else 2**13
        assert algorithm.bound(half) == pytest.approx(factor * fine[algorithm.name], rel=0.5)


def test_a_window_of_the_outputs_has_the_bounds_that_it_has_in_the_whole() -> None:
    given, _ = problem(7, 2)
    window = (slice(10, 20), slice(0, 7))
    part = replace(given, magnitude=given.magnitude[..., *window], window=window)
    for whole, inner in zip(algorithms(given), algorithms(part), strict=True):
        assert inner.bound(part) == pytest.approx(whole.bound(given)[..., *window], rel=1e-9)


def test_what_is_strided_dilated_or_complex_is_no_winograd() -> None:
    given, _ = problem(3)
    assert any("Winograd" in a.name for a in algorithms(given))
    for other in (
        problem(3, stride=(2, 1))[0],
        problem(3, dilation=(1, 2))[0],
        Problem(given.x * 1j, given.w, given.magnitude, ONCE, ONCE),
        Problem(given.x, given.w * 1j, given.magnitude, ONCE, ONCE),
    ):
        assert [a.name for a in algorithms(other)] == ["a direct sum in any order", "an FFT"]


def test_a_probability_is_stated_where_one_is_used() -> None:
    assert [a.failure for a in algorithms(problem(4)[0])] == [0.0] * len(algorithms(problem(4)[0]))
    given, sums = problem(4, 40, arithmetic=BFLOAT16)
    first, second = algorithms(given)[:2]
    assert first.name == "a direct sum, most probably"
    assert 0 < first.failure < 1e-6
    assert second.failure == 0
    assert np.isinf(second.bound(given)).all()  # 360 terms in 8 bits
    assert narrowest(0 * sums, given) is not None


def test_operands_of_few_bits_have_their_own_bound() -> None:
    given, sums = problem(5, 8, operands=TF32)
    (only,) = algorithms(given)
    assert only.name == "a direct sum of operands in tf32"
    bits = np.uint32(0xFFFFE000)  # hardware cuts off what tf32 has no room for
    few = [
        (a.view(np.uint32) & bits).view(np.float32).astype(np.float64) for a in (given.x, given.w)
    ]
    made = correlate(*few, ONCE, ONCE).astype(np.float32)
    assert named(made - sums, given) == only.name
    assert named(4 * (made - sums), given) is None or named(64 * (made - sums), given) is None
    plain, _ = problem(5, 8)
    assert named(made - sums, plain) != "a direct sum in any order"


def test_every_bound_has_the_shape_of_the_output() -> None:
    for kernel in ((3,), (5,), (1, 3), (3, 5), (3, 3, 3), (2, 2)):
        rank = len(kernel)
        x, w = np.ones((2, 4, *(7,) * rank)), np.ones((6, 2, *kernel))
        sizes = correlate(x, w, (1,) * rank, (1,) * rank, 2)
        given = Problem(x, w, sizes, (1,) * rank, (1,) * rank, 2, FLOAT16, 1)
        ways = algorithms(given)
        assert len({a.name for a in ways}) == len(ways)
        for algorithm in ways:
            assert algorithm.bound(given).shape == sizes.shape
