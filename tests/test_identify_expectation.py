"""What an answer is expected to be: in other words, and in other numbers that give OUT as well."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convcheck.checks.identify import expectation, identify
from convcheck.checks.identify.fit import judged
from convcheck.checks.sums import Problem
from convcheck.convention import Convention, parse_partial
from convcheck.engine import convolve, round_to

RNG = np.random.default_rng(1)
X, W = RNG.standard_normal((4, 9, 11)), RNG.standard_normal((6, 4, 3, 2))
BYTES, TAPS = RNG.integers(0, 256, (3, 9, 10)), RNG.integers(0, 256, (4, 3, 3, 3))
BIAS = tuple(RNG.standard_normal(6).tolist())


def met(x: Any, w: Any, output: Any, expect: str) -> bool | None:
    result = identify(x, w, output, expect=parse_partial(expect))
    assert result.verdict == "identified"
    return result.expect_met


def said(values: Any) -> str:
    return "[" + ",".join(map(repr, values)) + "]"


def test_the_numbers_that_a_layer_was_given() -> None:
    """Those that are solved for have no more digits than rounding left."""
    x, w = X.astype(np.float32), W.astype(np.float32)
    output = convolve(x, w, Convention(padding=1, bias=BIAS)).astype(np.float32)
    assert met(x, w, output, f'{{"bias":{said(BIAS)}}}')
    assert met(x, w, output, f'{{"bias":{said(BIAS)},"scale":1.0,"padding":1}}')
    wrong = (*BIAS[:5], BIAS[5] + 1e-4)
    assert not met(x, w, output, f'{{"bias":{said(wrong)}}}')
    assert not met(x, w, output, f'{{"bias":{said(BIAS)},"activation":"relu"}}')
    assert not met(x, w, output, f'{{"bias":{said(BIAS)},"padding":0}}')
    output = convolve(x, w, Convention(scale=1 / 3.7)).astype(np.float32)
    assert met(x, w, output, f'{{"scale":{1 / 3.7!r}}}')
    assert met(x, w, output, f'{{"scale":{1 / 3.7!r},"bias":[0,0,0,0,0,0]}}')
    assert not met(x, w, output, '{"scale":0.27028}')
    assert not met(x, w, output, f'{{"scale":{1 / 3.7!r},"arithmetic":"float64"}}')
    output = convolve(X, W, Convention(scale=0.123456789))
    assert not met(X, W, output, '{"scale":0.12345679}')


def test_numbers_of_complex_outputs_and_of_those_that_are_finite_in_part() -> None:
    x, w = X[:3] * (1 + 0.5j), W[:, :3] + 0j
    output = convolve(x, w)
    assert met(x, w, output, '{"bias":[0,0,0,0,0,0],"scale":1.0}')
    assert not met(x, w, output, '{"scale":1.000001}')
    x, w = X.astype(np.float32), W.astype(np.float32)
    output = convolve(x, w, Convention(bias=BIAS)).astype(np.float32)
    output[0, 1, 2] = np.nan
    result = identify(x, w, output, ignore_nonfinite=True, expect={"bias": BIAS})
    assert result.expect_met


def test_the_numbers_of_rounded_bytes() -> None:
    """Many scales and biases give them: those that were expected are among them, or are not."""
    scale = 0.02 * 0.01 / 1.7
    c = Convention(padding=1, stride=2, scale=scale, bias=[3] * 4, arithmetic="saturate:uint8")
    output = convolve(BYTES, TAPS, c).astype(np.uint8)
    x, w = BYTES.astype(np.uint8), TAPS.astype(np.uint8)
    assert met(x, w, output, f'{{"scale":{scale!r},"bias":[3,3,3,3]}}')
    assert met(x, w, output, '{"bias":[3,3,3,3]}')
    assert met(x, w, output, f'{{"scale":{scale!r}}}')
    assert not met(x, w, output, f'{{"scale":{scale!r},"bias":[3,3,3,4]}}')
    assert not met(x, w, output, '{"bias":[3,3,3,9]}')
    assert not met(x, w, output, f'{{"scale":{1.1 * scale!r}}}')


def test_sums_that_lost_nothing_are_any_arithmetics_that_holds_them() -> None:
    x, w = RNG.integers(-3, 4, (2, 8, 9)), RNG.integers(-3, 4, (3, 2, 2, 3))
    output = convolve(x, w)
    assert met(x, w, output, '{"arithmetic":"float16"}')
    assert met(x, w, output, '{"arithmetic":"wrap:int8"}')
    assert not met(x, w, 100 * output, '{"arithmetic":"wrap:int8"}')
    rounded = round_to(convolve(X, W), "float32").astype(np.float32)
    assert not met(X, W, rounded, '{"arithmetic":"float64"}')


@pytest.mark.parametrize("sizes", [(2, 2), (3, 3), (2, 6)])
def test_few_samples_are_met_by_a_stride_rather_than_by_zeros_between(
    sizes: tuple[int, int],
) -> None:
    """A padded kernel of one tap with a stride, on an image that is hardly larger than that."""
    x, w = RNG.integers(-9, 10, (8, *sizes)), RNG.integers(-9, 10, (16, 8, 1, 1))
    output = convolve(x, w, Convention(stride=2, padding=1))
    result = identify(x, w, output)
    assert result.verdict == "identified"
    assert [c.convention.input_dilation for c in result.candidates] == [(1, 1)]
    for expect in ('{"stride":2,"padding":1}', '{"stride":2}', '{"padding":1}'):
        assert met(x, w, output, expect)
    assert not met(x, w, output, '{"padding":0}')


def test_a_single_window_is_under_any_stride() -> None:
    x, w = RNG.standard_normal((8, 2, 2)), RNG.standard_normal((16, 8, 3, 3))
    output = convolve(x, w, Convention(stride=2, padding=1))
    assert output.shape == (16, 1, 1)
    for expect in ('{"stride":2}', '{"padding":1}', '{"stride":2,"padding":1}'):
        assert met(x, w, output, expect)
    for expect in ('{"padding":0}', '{"stride":1,"padding":1}', '{"dilation":2}'):
        assert not met(x, w, output, expect)


# --- how near is near ---------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [None, (0.0, 40.0, -7.5, 3.0)])
def test_the_scale_that_a_bias_leaves(bias: tuple[float, ...] | None) -> None:
    made = Convention(scale=0.00037, bias=bias, arithmetic="saturate:uint8")
    output = convolve(BYTES, TAPS, made)
    problem = Problem.of(BYTES, TAPS, output)
    asked = made.replace(scale=0.9)
    whole = output[None]
    first, other = expectation._numbers(problem, asked, whole, {"bias": bias})
    assert first == asked
    assert other.scale == pytest.approx(0.00037, rel=0.01)
    assert np.array_equal(convolve(BYTES, TAPS, other), output)
    # Where both are expected there is nothing to solve for, and none takes noise into its bounds.
    both = {"bias": bias, "scale": 0.9}
    assert [*expectation._numbers(problem, asked, whole, both)] == [asked]
    noise = RNG.permuted(output, axis=2)
    problem = Problem.of(BYTES, TAPS, noise)
    assert [*expectation._numbers(problem, asked, noise[None], {"bias": bias})] == [asked]


@pytest.mark.parametrize(
    ("off", "apart", "given"), [(3.5, 0, True), (4.5, 0, False), (4.5, 1.2, True), (5, 1.2, False)]
)
def test_four_roundings_are_near(off: float, apart: float, given: bool) -> None:
    """Of the largest number of OUT, whatever a sum of so many terms may lose at worst."""
    x, w = RNG.standard_normal((64, 8, 8)), RNG.standard_normal((2, 64, 3, 3))
    sums = convolve(x, w)
    unit, least = 2.0**-24 * np.abs(sums).max(), np.abs(sums).argmin()
    output = sums.astype(np.float32)
    output.ravel()[least] = sums.ravel()[least] + off * unit
    problem = Problem.of(x, w, output)
    c = Convention(arithmetic="float32")
    assert expectation._gives(problem, c, output[None], float(apart * unit)) is given
    assert not expectation._gives(problem, c.replace(arithmetic="tf32"), output[None], 9 * unit)
    farthest = judged(problem, c, output[None]).tally.comparison.max_abs_diff
    assert expectation._gives(problem, c, output[None], farthest / 4)
    # As near as double precision is, and so no single precision.
    output = sums * (1 + 2.0**-52)
    problem = Problem.of(x, w, output)
    assert not expectation._gives(problem, c, output[None], 0)
    assert expectation._gives(problem, c.replace(arithmetic="float64"), output[None], 0)
