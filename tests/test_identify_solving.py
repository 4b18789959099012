"""Scale, bias and activation from the output itself, and what stands beyond the edge."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from test_identify_judging import ALONE, sums_are

from convcheck.checks.identify import solving
from convcheck.checks.identify.judging import under
from convcheck.checks.identify.solving import afterwards, solve
from convcheck.checks.identify.wrapped import cut_biases
from convcheck.checks.sums import Linear, Problem
from convcheck.convention import Convention
from convcheck.engine import convolve, finish

if TYPE_CHECKING:
    from convcheck.checks.identify.judging import Fit

RNG = np.random.default_rng(31)
DRAWN_FROM = 32


def drawn(channels: int = 1, count: int = 60, high: int = 500) -> np.ndarray:
    """Whole numbers, none twice in a channel and none zero."""
    every = np.delete(np.arange(-high, high), high)
    return np.stack([RNG.choice(every, count, replace=False) for _ in range(channels)]).astype(
        float
    )[None, :, None]


def solved(sums: Any, output: Any) -> Fit:
    linear = sums_are(sums, output)
    y = linear.problem.output
    return solve(linear, y, np.isfinite(y))


def made(sums: np.ndarray, **keys: Any) -> np.ndarray:
    return finish(sums.copy(), ALONE.replace(**keys))


# --- what is done to the sums -------------------------------------------------------------------


def test_how_much_is_done_afterwards() -> None:
    assert afterwards(Convention()) == 0
    assert afterwards(Convention(scale=0.0)) == 1
    assert afterwards(Convention(bias=(0,))) == 1
    assert afterwards(Convention(activation="relu", arithmetic="float32")) == 1
    assert afterwards(Convention(activation="relu", scale=2, bias=(1,))) == 3


FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "a factor": {"scale": 0.5},
    "a factor below zero": {"scale": -3.0},
    "a mean": {"scale": 1 / 9},
    "no plain factor": {"scale": 0.7310585786300049},
    "biases": {"bias": (5.0, -2.0, 0.25)},
    "a bias of one channel": {"bias": (0.0, 0.0, -7.0)},
    "no plain biases": {"bias": (1265 / 8192, 5851 / 8192, -27307 / 8192)},
    "a factor and biases": {"scale": 0.25, "bias": (5.0, -2.0, 300.0)},
    "a factor below zero, and biases": {"scale": -1.5, "bias": (-5.0, 2.0, 3.0)},
}


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("bias", [None, (4.0, -18.5, 16.0)], ids=str)
@pytest.mark.parametrize("kind", ["uint8", "int16"])
def test_a_line_that_all_but_fits_what_was_cut_off(
    kind: str, bias: tuple[float, ...] | None, activation: str | None
) -> None:
    """A plain scale near the line's, and the biases that most elements leave, give everything."""
    sums = drawn(3)
    truth = {"scale": 1 / 18, "bias": bias, "activation": activation, "arithmetic": f"wrap:{kind}"}
    output = made(sums, **truth).astype(kind)
    linear = sums_are(sums, output)
    usable = np.isfinite(output)

    def fares(**keys: Any) -> Fit:
        c = linear.convention.replace(**{**truth, **keys})
        wanted = finish(linear.values, c.replace(arithmetic="exact"))
        fit = under(linear, c, wanted, linear.problem.output, usable)
        assert fit is not None
        return fit

    near = fares(scale=1.003 / 18)
    assert 0 < near.misses < 60
    found = solving._recut(linear, near, linear.problem.output, usable)
    assert found.misses == 0
    assert found.convention.scale == 1 / 18
    assert np.array_equal(made(sums, **{**truth, "bias": found.convention.bias}), output)
    for other in (fares(scale=0.5), fares(arithmetic=f"saturate:{kind}", scale=1.003 / 18)):
        assert solving._recut(linear, other, linear.problem.output, usable) is other


@pytest.mark.parametrize("seed", range(4))
def test_damage_leaves_rounded_bytes_their_plain_numbers(seed: int) -> None:
    """Neither what is wrong nor what saturated says where a bias lies."""
    rng = np.random.default_rng(seed)
    sums = rng.choice(np.arange(-2000.0, 4000.0), (1, 1, 1, 300), replace=False)
    bias = 10.0 if seed % 2 else 10.4
    output = made(sums, scale=1 / 16, bias=(bias,), arithmetic="saturate:uint8")
    output[..., :40] = rng.integers(0, 256, 40)
    fit = solved(sums, output.astype(np.uint8))
    assert (fit.convention.scale, fit.convention.bias) == (1 / 16, (bias,))
    assert 30 < fit.misses <= 40


def test_a_plainer_bias_leaves_no_more_unexplained() -> None:
    """Not one that is plainer still, and is wrong of what rounding says most of."""
    rng = np.random.default_rng(0)
    sums = rng.choice(np.arange(-2000.0, 4000.0), (1, 1, 1, 300), replace=False)
    keys: dict[str, Any] = {"scale": 1 / 16, "arithmetic": "saturate:uint8"}
    output = made(sums, **keys, bias=(50.4,)).astype(np.uint8)
    output[..., :40] = rng.integers(0, 256, 40)
    linear = sums_are(sums, output)
    y, usable = linear.problem.output, np.ones(sums.shape, bool)
    convention = linear.convention.replace(**keys, bias=(50.40625,))
    fit = under(linear, convention, finish(sums.copy(), convention), y, usable)
    assert fit is not None
    assert fit.misses
    assert solving._plainer_bias(linear, fit, y, usable).convention.bias == (50.4,)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_biases_that_few_bits_hide(name: str) -> None:
    """A mean of what was rounded is a little off, and channels that ReLU left empty say nothing."""
    rng = np.random.default_rng(4)
    sums = rng.standard_normal((1, 3, 9, 20)) * np.array([0.1, 0.2, 1.35]).reshape(1, 3, 1, 1)
    bias = (-0.8706601619720459, -1.2366082668304443, -0.1705639362335205)
    output = made(sums, bias=bias, activation="relu", arithmetic=name).astype(np.float32)
    assert [bool((output[:, o] > 0).any()) for o in range(3)] == [False, False, True]
    fit = solved(sums, output)
    assert (fit.misses, fit.convention.scale, fit.convention.arithmetic) == (0, 1, name)
    assert fit.convention.bias is not None
    assert fit.convention.bias[2] == pytest.approx(bias[2], rel=2e-4 if name == "float16" else 2e-3)


def test_inequalities_say_a_bias_though_some_is_not_given() -> None:
    """Where each element has a range; a single wrong one leaves none."""
    sums = np.append(np.arange(-90.0, 0), [3.0, 5]).reshape(1, 1, 1, 92)
    keys: dict[str, Any] = {"activation": "relu", "arithmetic": "saturate:int8"}
    output = made(sums, **keys, bias=(-2.5,))
    linear = sums_are(sums, output)
    y, usable = linear.problem.output, np.ones(sums.shape, bool)
    c = linear.convention.replace(**keys, bias=(-1.25,))
    fit = under(linear, c, finish(sums.copy(), c.replace(arithmetic="exact")), y, usable)
    assert fit is not None
    assert fit.misses
    found = solving._plainer_bias(linear, fit, y, usable)
    assert found.misses == 0
    y[0, 0, 0, 40] = 9
    assert solving._plainer_bias(linear, fit, y, usable).misses


def test_as_far_as_rounding_may_be_is_near_a_plainer_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    linear = sums_are([8.0, -8.0], [12.25, -4.25])
    y, bias = linear.problem.output, 4 + 2.0**-20
    fit: Any = SimpleNamespace(
        convention=linear.convention.replace(bias=(bias,), arithmetic="float32"),
        linear=linear,
        threshold=np.full(y.shape, 0.25),
        mismatched=np.zeros(y.shape, bool),
        misses=0,
    )
    monkeypatch.setattr(solving, "judge", lambda _, c, *__: SimpleNamespace(convention=c, misses=0))
    found = solving._plainer_bias(linear, fit, y, np.ones(y.shape, bool))
    assert found.convention.bias == (4.0,)
    fit.threshold -= 2.0**-10
    found = solving._plainer_bias(linear, fit, y, np.ones(y.shape, bool))
    assert found.convention.bias == (bias,)


def cut(truth: float, **keys: Any) -> tuple[Linear, Fit, np.ndarray, np.ndarray]:
    """Sums whose fractions are cut off by a scale, and a fit with other numbers."""
    sums = np.arange(1.0, 241).reshape(1, 1, 1, 240)
    output = made(sums, scale=truth, arithmetic="wrap:uint8").astype(np.uint8)
    linear = sums_are(sums, output)
    c = linear.convention.replace(arithmetic="saturate:uint8", **keys)
    fit: Any = SimpleNamespace(convention=c, predicted=output + 0.25, misses=0)
    return linear, fit, linear.problem.output, np.ones(sums.shape, bool)


def test_the_first_plainer_scale_that_was_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    linear, fit, output, usable = cut(0.312, scale=0.3124999)
    found = solving._cut_off(linear, fit, output, usable)
    assert (found.convention.scale, found.convention.arithmetic) == (0.312, "wrap:uint8")
    assert found.misses == 0
    # One more character at most where halves were cut off, and not another number.
    for scale, plainer in ((0.3125, True), (0.312, False), (0.31, False)):
        linear, fit, output, usable = cut(0.312, scale=scale)
        fit.predicted[:] = output  # type: ignore[index]
        assert (solving._cut_off(linear, fit, output, usable) is not fit) is plainer
    linear, fit, output, usable = cut(0.312, scale=0.3124999)
    monkeypatch.setattr(solving, "under", lambda *_: SimpleNamespace(misses=1))
    assert solving._cut_off(linear, fit, output, usable) is fit


def test_no_scale_is_looked_for_where_most_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    linear, fit, output, usable = cut(0.312, scale=0.3124999)
    kept = SimpleNamespace(convention=fit.convention.replace(arithmetic="wrap:uint8"), misses=120)
    asked: list[int] = []
    monkeypatch.setattr(solving, "cut_biases", lambda *_: asked.append(1) or (0.0,))
    assert solving._recut(linear, kept, output, usable).convention.scale == 0.312  # type: ignore[arg-type]
    kept.misses = 121
    assert solving._recut(linear, kept, output, usable) is kept  # type: ignore[arg-type,comparison-overlap]
    assert asked == [1] * len(asked) != []


@pytest.mark.parametrize("activation", [None, "relu"])
def test_zeros_that_relu_left_say_nothing_of_a_cut(activation: str | None) -> None:
    """Of sums that wrapped and are not rectified a zero says as much as another number."""
    sums = np.arange(-300.0, 300).reshape(1, 1, 1, 600)
    keys: dict[str, Any] = {"scale": 0.3, "activation": activation, "arithmetic": "wrap:uint8"}
    output = made(sums, **keys, bias=(0.7,)).astype(np.uint8)
    linear = sums_are(sums, output)
    c = linear.convention.replace(**(keys | {"scale": 0.3004}), bias=(0.65,))
    fit: Any = SimpleNamespace(convention=c, misses=20)
    seen: list[np.ndarray] = []
    usable = np.arange(600).reshape(sums.shape) >= 5
    y = linear.problem.output

    def biases(sums: Any, output: Any, told: np.ndarray, modulus: float) -> Any:
        seen.append(told)
        return cut_biases(sums, output, told, modulus)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solving, "cut_biases", biases)
        found = solving._recut(linear, fit, y, usable)
    assert found.misses == 0
    expected = usable & (y != 0) if activation else usable
    assert all(np.array_equal(told, expected) for told in seen)
    assert seen


@pytest.mark.parametrize("damaged", [0, 3])
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("name", FORMS)
def test_what_was_done_is_found(name: str, activation: str | None, damaged: int) -> None:
    sums, c = drawn(3), Convention(**FORMS[name], activation=activation)
    output = made(sums, **FORMS[name], activation=activation)
    if damaged:
        output[0, 1, 0, [5, 17, 31][:damaged]] += [1000, 20, 3000]
    fit = solved(sums, output)
    assert fit.misses == damaged
    assert fit.convention.activation == activation
    assert fit.convention.scale == pytest.approx(c.scale, rel=1e-12)
    if c.bias is None:
        assert fit.convention.bias is None
    else:
        assert fit.convention.bias == pytest.approx(c.bias, rel=1e-9)
    if not name.startswith("no plain"):
        assert (fit.convention.scale, fit.convention.bias) == (c.scale, c.bias)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", FORMS)
def test_what_was_done_is_found_of_numbers_that_are_rounded(name: str, dtype: Any) -> None:
    sums, c = RNG.standard_normal((2, 3, 4, 9)), Convention(**FORMS[name])
    fit = solved(sums, made(sums, **FORMS[name]).astype(dtype))
    assert fit.misses == 0
    assert fit.convention.arithmetic == np.dtype(dtype).name
    assert fit.convention.scale == pytest.approx(c.scale, rel=1e-6)
    assert fit.convention.bias == (c.bias if c.bias is None else pytest.approx(c.bias, rel=1e-5))
    if not name.startswith("no plain"):
        assert (fit.convention.scale, fit.convention.bias) == (c.scale, c.bias)


@pytest.mark.parametrize("name", FORMS)
def test_what_is_not_finite_says_nothing(name: str) -> None:
    sums, c = RNG.standard_normal((2, 3, 4, 9)), Convention(**FORMS[name])
    output = made(sums, **FORMS[name]).astype(np.float32)
    output[0, :, 1, ::2], output[1, 1, 2], output[1, 2, 3] = np.nan, np.inf, -np.inf
    fit = solved(sums, output)
    assert fit.misses == 0
    if not name.startswith("no plain"):
        assert (fit.convention.scale, fit.convention.bias) == (c.scale, c.bias)


def test_biases_beside_sums_that_are_all_alike() -> None:
    """No two of a channel say what a scale would be."""
    sums = np.full((1, 2, 1, 6), 5.0)
    fit = solved(sums, made(sums, bias=(7.0, 4.0)))
    assert (fit.convention.scale, fit.convention.bias, fit.misses) == (1, (7, 4), 0)


@pytest.mark.parametrize("bad", [0.33, 0.4])
def test_where_a_third_is_wrong_most_still_agree(bad: float) -> None:
    sums = drawn(2, 300)
    output = made(sums, scale=0.75, bias=(11.0, -6.0))
    wrong = RNG.random(output.shape) < bad
    output = np.where(wrong, 900 * RNG.standard_normal(output.shape), output)
    fit = solved(sums, output)
    assert fit.convention.scale == 0.75
    assert fit.convention.bias == (11, -6)
    assert np.array_equal(fit.mismatched, wrong)


def test_a_complex_output_is_what_it_is() -> None:
    sums = drawn(2) * (1 + 2j)
    assert solved(sums, sums).misses == 0
    fit = solved(sums, 2 * sums)
    assert (fit.convention.scale, fit.misses) == (1, sums.size - np.count_nonzero(sums == 0))
    fit = solved(sums.real.copy(), 2 * sums)
    assert fit.convention.scale == 1


@pytest.mark.parametrize(
    ("count", "keys", "found"),
    [
        ((1, 2), {"scale": 2.0}, False),
        ((1, 3), {"scale": 2.0}, True),
        ((1, 4), {"bias": (7.0,)}, False),
        ((1, 5), {"bias": (7.0,)}, True),
        ((2, 2), {"bias": (7.0, 3.0)}, False),
        ((2, 3), {"bias": (7.0, 3.0)}, True),
        ((4, 2), {"bias": (7.0, 3.0, 1.0, 2.0)}, True),
        ((3, 2), {"bias": (7.0, 3.0, 1.0)}, False),
    ],
)
def test_numbers_are_solved_for_where_there_are_enough_to_say_them(
    count: tuple[int, int], keys: dict[str, Any], found: bool
) -> None:
    """Three elements for a scale; three more than the biases, and one, for these."""
    sums = drawn(*count)
    fit = solved(sums, made(sums, **keys))
    assert (fit.misses == 0) is found
    assert (fit.convention == ALONE.replace(groups=count[0], **keys)) is found


@pytest.mark.parametrize(("more", "scale"), [(22, 1), (23, 2)])
def test_a_number_that_is_solved_for_must_give_a_tenth_more(more: int, scale: float) -> None:
    """Of 140 zeros, 20 elements as they are and some doubled."""
    sums = np.concatenate([np.zeros(140), np.arange(1.0, 21), np.arange(30.0, 30 + more)])
    output = np.concatenate([sums[:160], 2 * sums[160:]])
    fit = solved(sums, output)
    assert fit.convention.scale == scale
    assert fit.misses == (more if scale == 1 else 20)


def test_a_bias_that_few_bits_would_explain_away() -> None:
    """What it gives is exact; without it everything is off by as much as few bits may lose."""
    sums = 1 + np.arange(120) / 128
    assert solved(sums, sums).convention.arithmetic == "exact"
    fit = solved(sums, sums + 2.0**-6)
    assert fit.misses == 0
    assert fit.convention.arithmetic == "exact"
    assert fit.convention.bias == (2.0**-6,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_bias_that_the_bound_of_a_long_sum_would_hide(dtype: Any) -> None:
    x, w = RNG.standard_normal((1, 1, 30, 30)), RNG.standard_normal((1, 1, 20, 20))
    unit = np.finfo(dtype).eps / 2
    bias = 100 * unit * 256
    right = convolve(x, w, ALONE)
    for made_of, found in ((right, None), (right + bias, pytest.approx((bias,), rel=0.2))):
        output = made_of.astype(dtype)
        linear = Linear(Problem.of(x, w, output), ALONE)
        fit = solve(linear, output, np.ones(output.shape, bool))
        assert fit.misses == 0
        assert fit.convention.bias == found


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize(("seed", "silent"), [(1, 0), (2, 0), (3, 0), (1, 1), (2, 2)])
def test_biases_are_as_black_areas_have_them(
    seed: int, silent: int, activation: str | None
) -> None:
    """What is estimated from large sums is off by more than a bias alone can lose."""
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((1, 3, 24, 25)), rng.standard_normal((4, 3, 3, 3))
    x[..., :8, :8] *= 1e-9 * silent
    bias = tuple(map(float, 0.01 * np.abs(rng.standard_normal(4))))
    output = convolve(x, w, ALONE.replace(scale=1 + silent, bias=bias, activation=activation))
    output[0, 2, 11, 12] += 1
    output[0, :silent] = np.nan
    linear = Linear(Problem.of(x, w, output), ALONE)
    fit = solve(linear, output, np.isfinite(output))
    assert np.argwhere(fit.mismatched).tolist() == [[0, 2, 11, 12]]
    assert fit.convention.bias is not None
    assert fit.convention.bias[silent:] == pytest.approx(bias[silent:], rel=1e-13)


@pytest.mark.parametrize(
    ("before", "after", "taken"), [(1, 0, True), (30, 28, False), (22, 20, False), (30, 27, True)]
)
def test_a_bias_as_the_smallest_sum_has_it(
    before: int, after: int, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where that explains a tenth more; what is not usable says nothing."""
    sums = np.append([0.0, 0.5], 900 + np.arange(20.0))
    output = sums + 0.01
    output[0] += 1e-6
    linear = sums_are(sums, output)
    y = linear.problem.output
    c = ALONE.replace(bias=(0.01 + 1e-7,))
    fit: Any = SimpleNamespace(
        convention=c, linear=linear, threshold=np.full(y.shape, 1e-3), misses=before
    )
    monkeypatch.setattr(
        solving, "judge", lambda _, c, *__: SimpleNamespace(convention=c, misses=after)
    )
    found = solving._sharpened(linear, fit, y, np.arange(22) > np.zeros(y.shape))
    assert (found is not fit) is taken
    assert found.convention.bias == ((0.51 - 0.5,) if taken else c.bias)
    # As near to the other number as rounding may be is near.
    linear = sums_are([1.0, 8, 9], [1.25 + 2.0**-9, 8.25, 9.25])
    y, fit.linear = linear.problem.output, linear
    fit.convention, fit.threshold = ALONE.replace(bias=(0.25,)), np.full(y.shape, 2.0**-9)
    found = solving._sharpened(linear, fit, y, y > 0)
    assert found.convention.bias == (0.25 + 2.0**-9 * taken,)


def test_no_more_is_asked_where_all_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    both = (ALONE, ALONE.replace(scale=2.0))
    forms = (c if c.scale == 1 else pytest.fail("no other") for c in both)
    monkeypatch.setattr(solving, "_forms", lambda *_: forms)
    sums = drawn()
    assert solved(sums, sums).misses == 0


def test_plainer_numbers_are_looked_for_where_most_is_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sums = RNG.standard_normal((1, 1, 1, 64))
    output = made(sums, scale=0.3).astype(np.float32)
    output[0, 0, 0, 5] += 1
    for share, plain in ((0.9 / 64, False), (1 / 64, False), (1.1 / 64, True)):
        monkeypatch.setattr(solving, "EXPLAINED", share)
        fit = solved(sums, output)
        assert fit.misses == 1
        assert (fit.convention.scale == 0.3) is plain


# --- what is left ------------------------------------------------------------------------------


def in_float32(sums: np.ndarray, output: np.ndarray, x: np.ndarray, w: np.ndarray) -> Fit:
    linear = Linear(Problem.of(x, w, output), ALONE.replace(arithmetic="float32"))
    c = linear.convention.replace(arithmetic="float32")
    fit = under(linear, c, sums, output, np.ones(output.shape, bool))
    assert fit is not None
    return fit


@pytest.mark.parametrize("size", [0.01, 1.0, 50.0])
@pytest.mark.parametrize(("terms", "times"), [(16, 0.9), (16, 1.1), (400, 0.95), (400, 1.05)])
def test_what_is_more_than_sums_usually_lose(terms: int, times: float, size: float) -> None:
    """Two units of S by the root of the number of terms, in root mean square."""
    x, w = np.full((1, 1, 1, terms + 3), size), np.ones((1, 1, 1, terms))
    sums = convolve(x, w, ALONE)
    usual = 2 * math.sqrt(terms) * 2.0**-24 * terms * size
    output = sums + times * usual * np.array([2.0, 0, 0, 0])
    usable = np.ones(output.shape, bool)
    fit = in_float32(sums, output, x, w)
    assert fit.misses == 0
    assert solving.left(fit, output, usable) == pytest.approx(times * usual, rel=1e-6)
    assert solving._suspicious(fit, output, usable) is (times > 1)
    # Of sums that are scaled it is as much more or less.
    for scale in (0.5, -2.0):
        scaled = replace(fit, convention=fit.convention.replace(scale=scale))
        assert solving._suspicious(scaled, output, usable) is (times > abs(scale))
    # Integers and what is exact lose nothing by rounding of this kind.
    exact = replace(fit, convention=fit.convention.replace(arithmetic="exact"))
    assert not solving._suspicious(exact, output, usable)
    # What is not given, or not asked for, is no part of what is left; nothing at all is endless.
    usable[..., 0] = False
    assert solving.left(fit, output, usable) == 0
    assert solving.left(fit, output, usable & False) == math.inf


def test_sums_of_nothing_lose_nothing() -> None:
    x, w = np.zeros((1, 1, 1, 9)), np.ones((1, 1, 1, 2))
    sums = convolve(x, w, ALONE)
    assert not solving._suspicious(in_float32(sums, sums, x, w), sums, sums == 0)


def test_how_far_a_bias_leaves_the_residuals() -> None:
    residual = np.array([1.0, 2.0, 5.0])
    assert solving._apart(residual, 1.0, whole=False) == pytest.approx(math.sqrt(17 / 3))
    assert solving._apart(residual, 2.0, whole=True) == 2.5
    assert solving._apart(residual[:2], 1.75, whole=True) == 0.25
    assert solving._apart(residual[:2], 1.5, whole=True) == 0
    assert solving._apart(np.array([1.4, 1.6]), 1.5, whole=True) == 0


def a_fit(convention: Convention, left: Any, mismatched: Any = False, predicted: Any = 1.0) -> Any:
    """Of an output of zeros and ones, so far off."""
    left = np.broadcast_to(left, (1, 2, 1, 4))
    wrong = np.broadcast_to(mismatched, left.shape)
    misses = int(np.count_nonzero(wrong))
    return SimpleNamespace(
        convention=convention, predicted=predicted + left, mismatched=wrong, misses=misses
    )


@pytest.mark.parametrize(("left", "preferred"), [(8.5, True), (7.5, False)])
def test_what_leaves_an_eighth_is_preferred(left: float, preferred: bool) -> None:
    output = np.ones((1, 2, 1, 4))
    usable = output > 0
    more, plain = a_fit(Convention(bias=(1.0,)), 1.0), a_fit(Convention(), left)
    assert solving._preferred(more, plain, output, usable) is preferred


def test_which_arithmetics_are_fine() -> None:
    units = {"exact": 0.0, "float64": 0.0, "float32": 0.0, "wrap:int8": 0.0, "tf32": 2.0**-11}
    for name, unit in units.items():
        fit = a_fit(Convention(arithmetic=name), 0.0)
        assert solving._unit(fit) == unit
        assert solving.is_fine(fit) is (unit == 0)


def test_what_is_not_given_and_what_relu_emptied() -> None:
    empty = np.array([0.0, 1.0]).reshape(1, 2, 1, 1)
    wrong = np.arange(4) + 10 * empty == 12
    for keys, some, unsaid in (
        ({}, wrong, 1),
        ({"activation": "relu"}, wrong, 5),
        ({"activation": "relu"}, False, 0),
    ):
        fit = a_fit(Convention(**keys), 0.0, some, empty)
        assert solving._unsaid(fit) == unsaid


@pytest.mark.parametrize("name", ["float32", "saturate:uint8"])
def test_what_is_looked_for_in_fewer_digits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scale that is not 1, with biases in the middle of what rounding leaves them to be."""
    asked: list[Any] = []
    ways: tuple[tuple[str, Any], ...] = (
        ("simple_numbers", lambda number: asked.append(number) or [number]),
        ("medians", lambda residual, _: asked.append("medians") or (7.0,)),
        ("middles", lambda residual, _: asked.append("middles") or (7.0,)),
    )
    for way, found in ways:
        monkeypatch.setattr(solving, way, found)
    monkeypatch.setattr(solving, "_plainer_bias", lambda _, fit, *__: fit)
    sums = np.arange(20.0)
    middle = "medians" if name == "float32" else "middles"
    for scale, bias, expected in (
        (2.0, None, [2.0]),
        (1.0, (7.0,), []),
        (2.0, (7.0,), [2.0, middle]),
    ):
        output = scale * sums + (bias or (0.0,))[0]
        linear = sums_are(sums, output.astype(np.uint8 if name != "float32" else np.float32))
        y = linear.problem.output
        c = linear.convention.replace(scale=scale, bias=bias, arithmetic=name)
        fit = under(linear, c, finish(linear.values, c.replace(arithmetic="exact")), y, y >= 0)
        assert fit is not None
        asked.clear()
        assert solving._simplified(linear, fit, y, y >= 0).convention.bias == bias
        assert asked == expected


def test_plainer_numbers_may_leave_nothing_too() -> None:
    sums = np.arange(0.0, 60, 2)
    linear = sums_are(sums, (sums / 2).astype(np.uint8))
    y = linear.problem.output
    c = linear.convention.replace(scale=0.5000001, arithmetic="saturate:uint8")
    fit = under(linear, c, finish(linear.values, c.replace(arithmetic="exact")), y, y >= 0)
    assert fit is not None
    assert solving._simplified(linear, fit, y, y >= 0).convention.scale == 0.5


def plainer(sums: Any, output: Any, bias: float, name: str) -> tuple[float, ...] | None:
    """What a bias becomes in fewer digits."""
    linear = sums_are(sums, output)
    y = linear.problem.output
    usable = np.isfinite(y)
    c = linear.convention.replace(bias=(bias,), arithmetic=name)
    fit = under(linear, c, finish(linear.values, c.replace(arithmetic="exact")), y, usable)
    assert fit is not None
    return solving._plainer_bias(linear, fit, y, usable).convention.bias


def test_a_plainer_bias_leaves_a_quarter_more_at_most() -> None:
    sums = 1e6 + np.arange(40.0)
    for bias, found in ((7.014, 7.01), (7.006, 7.0)):
        output = sums + bias + 0.01 * (-1.0) ** np.arange(40)
        assert plainer(sums, output, bias, "float32") == (found,)


def test_just_a_quarter_more_is_not_too_much() -> None:
    sums = 1e6 + np.arange(40.0)
    output = sums + 1 + (3 + 4 * (-1.0) ** np.arange(40)) / 1024
    assert plainer(sums, output, 1 + 3 / 1024, "float32") == (1,)


def test_a_channel_that_says_nothing_is_no_end_of_plainer_biases() -> None:
    sums = RNG.standard_normal((2, 3, 4, 9))
    output = made(sums, bias=(5.0, 0.3, -0.7)).astype(np.float32)
    output[:, 0] = np.nan
    assert solved(sums, output).convention.bias == (0, 0.3, -0.7)


def test_a_plainer_bias_of_integers_gives_all_that_the_other_did() -> None:
    sums = np.arange(9.0)
    assert plainer(sums, (sums + 90).astype(np.uint8), 90.3137, "saturate:uint8") == (90,)
    # The bounds are wider than a number that was estimated shows.
    assert plainer([0.19, 0.01], np.array([1, 0], np.uint8), 0.45, "saturate:uint8") == (0.4,)
    # Of what lies at the very end of its bounds truncation makes another number.
    output = np.array([7, 8], np.uint8)
    assert plainer([0.0, 0.5], output, 7.7, "wrap:uint8") == (7.7,)


def test_whole_numbers_alone_may_have_been_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for way in ("untruncated", "rounded_line"):
        plain = getattr(solving, way)
        monkeypatch.setattr(
            solving, way, lambda *a, way=way, plain=plain: asked.append(way) or plain(*a)
        )
    sums = np.arange(-30.0, 30)
    for output, found in ((sums * 3, {"untruncated", "rounded_line"}), (sums * 0.3, set())):
        linear = sums_are(sums, output)
        y = linear.problem.output
        list(solving._forms(linear, y, np.ones(y.shape, bool)))
        assert set(asked) == found
        asked.clear()


def test_which_elements_are_at_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(solving, "rounded_line", lambda *a: given.append(a[-1]) or {})
    sums = np.append([-400.0, -300, 300, 400], np.arange(-90.0, 90))
    linear = sums_are(sums, np.clip(sums, -128, 127).astype(np.int8))
    y = linear.problem.output
    list(solving._forms(linear, y, (sums != 300).reshape(y.shape) & (sums != -300)))
    lowest, highest = given[0]
    assert (sums[lowest.ravel()].tolist(), sums[highest.ravel()].tolist()) == ([-400], [400])


@pytest.mark.parametrize("rectified", [False, True])
def test_lines_within_bounds_are_rectified_where_the_output_is(rectified: bool) -> None:
    sums = np.arange(-3.0, 9)
    linear = sums_are(sums, np.maximum(sums, 0).astype(np.int8))
    y = linear.problem.output
    found = solving._bounded(linear, y.astype(float), y >= 0, rectified=rectified)
    assert {c.activation for c in found} - {None} == ({"relu"} if rectified else set())


@pytest.mark.parametrize(
    ("keys", "wanted", "told"),
    [
        ({}, [-3, 0, 2], [True, True, True]),
        ({"activation": "relu"}, [-3, 0, 2], [False, False, True]),
        ({"scale": 0.5, "arithmetic": "saturate:int8"}, [-3, 0, 2], [True, True, True]),
        ({"scale": 1.0, "arithmetic": "wrap:int8"}, [-3, 0, 2], [True, True, True]),
        ({"scale": 0.5, "arithmetic": "wrap:int8"}, [-3.5, 0, 2.5], [True, False, True]),
        ({"scale": 2.0, "arithmetic": "wrap:int8"}, [-3.5, 0, 2.5], [True, False, True]),
    ],
)
def test_what_numbers_were_before_they_were_integers(
    keys: dict[str, Any], wanted: list[float], told: list[bool]
) -> None:
    output = np.array([-3, 0, 2], np.int8)
    found, seen = solving._told(ALONE.replace(**keys), output, np.ones(3, bool))
    assert (found.tolist(), seen.tolist()) == (wanted, told)


@pytest.mark.parametrize(("count", "asked"), [(512, True), (513, False)])
def test_of_few_elements_those_at_a_limit_are_asked_too(count: int, asked: bool) -> None:
    sums = 1.0 + np.arange(count) % 250
    output = np.append(sums, [255.0] * 9).astype(np.uint8)
    linear = sums_are(np.append(sums, [300.0] * 9), output)
    y = linear.problem.output
    forms = list(solving._forms(linear, y, np.ones(y.shape, bool)))
    assert any(c.arithmetic == "saturate:uint8" for c in forms) is asked


# --- rectified ----------------------------------------------------------------------------------


def test_a_channel_of_which_relu_left_nothing_has_a_bias_low_enough() -> None:
    sums = drawn(3)
    highest = sums[0, 1].max()
    output = made(sums, bias=(5.0, -600.0, 2.0), activation="relu")
    fit = solved(sums, output)
    assert fit.misses == 0
    assert fit.convention.bias == (5, -highest, 2)
    # One that its sums leave without a positive number anyway needs none.
    sums[0, 1] = -np.abs(sums[0, 1])
    fit = solved(sums, made(sums, bias=(5.0, -600.0, 2.0), activation="relu"))
    assert fit.convention.bias == (5, 0, 2)
    # And of a channel that is empty alone no bias is made up.
    sums[0, 1] = -sums[0, 1]
    output = made(sums, activation="relu")
    output[0, 1] = 0
    fit = solved(sums, output)
    assert fit.convention.bias is None
    assert fit.misses == np.count_nonzero(sums[0, 1])
    # Where most are empty, hardly anything would be said without one.
    output[0, 2] = 0
    fit = solved(sums, output)
    assert fit.misses == 0
    assert fit.convention.bias == (0, -sums[0, 1].max(), -sums[0, 2].max())


def test_all_that_relu_left_says_what_was_done() -> None:
    sums = drawn(2) / 700
    fit = solved(sums, made(sums, scale=-0.75, activation="relu"))
    assert (fit.convention.scale, fit.convention.activation, fit.misses) == (-0.75, "relu", 0)


@pytest.mark.parametrize("bias", [0.0, 40.0])
def test_what_relu_took_is_no_evidence_where_the_rest_does_not_fit(bias: float) -> None:
    sums = drawn(4)
    output = made(sums, activation="relu", bias=(0.0, 0.0, 0.0, bias))
    output[0, 1] = 0
    output[0, 2] = np.abs(RNG.standard_normal(60))
    fit = solved(sums, output)
    assert fit.convention.bias is None
    assert fit.convention.activation == "relu"
    assert not fit.mismatched[0, 0].any()
    assert fit.mismatched[0, 1].sum() == np.count_nonzero(sums[0, 1] > 0)


# --- integers -----------------------------------------------------------------------------------

INTEGERS: dict[str, tuple[str, dict[str, Any]]] = {
    "saturated": ("uint8", {"arithmetic": "saturate:uint8"}),
    "saturated, a shift": ("uint8", {"arithmetic": "saturate:uint8", "scale": 0.25}),
    "saturated, a factor": ("int8", {"arithmetic": "saturate:int8", "scale": 0.3}),
    "saturated, biases": ("uint8", {"arithmetic": "saturate:uint8", "bias": (90.0, 40.0, 7.0)}),
    "saturated, a factor and biases": (
        "uint8",
        {"arithmetic": "saturate:uint8", "scale": 0.137, "bias": (90.5, 40.25, 128.0)},
    ),
    "rectified": ("int8", {"arithmetic": "saturate:int8", "scale": 0.3, "activation": "relu"}),
    "wrapped": ("uint8", {"arithmetic": "wrap:uint8"}),
    "wrapped, below zero": ("int8", {"arithmetic": "wrap:int8", "bias": (0.0, -99.0, 55.0)}),
    "wrapped, a shift": ("uint8", {"arithmetic": "wrap:uint8", "scale": 0.25}),
    "wrapped, a shift and biases": (
        "uint8",
        {"arithmetic": "wrap:uint8", "scale": 0.125, "bias": (0.5, 3.5, -7.5)},
    ),
    "wrapped far": ("int16", {"arithmetic": "wrap:int16", "bias": (1e4, -2e4, 3.0)}),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", INTEGERS)
def test_what_was_done_to_integers_is_found(name: str, seed: int) -> None:
    dtype, keys = INTEGERS[name]
    RNG.bit_generator.state = np.random.default_rng(seed).bit_generator.state
    sums = drawn(3, high=30000 if dtype == "int16" else 500)
    c = ALONE.replace(**keys)
    right = Convention(**keys)
    output = convolve(sums[0], np.ones((3, 1, 1, 1)), right.replace(groups=3)).astype(dtype)
    fit = solved(sums, output[None])
    assert fit.misses == 0
    assert fit.convention.arithmetic == c.arithmetic
    assert fit.convention.scale == pytest.approx(c.scale, rel=0.02)
    if c.bias is None:
        assert fit.convention.bias is None
    else:
        assert fit.convention.bias == pytest.approx(c.bias, abs=1)
    if c.arithmetic.startswith("wrap"):
        assert fit.convention.scale == c.scale


WRAPPED = {
    "of one sign": (90.5, 66.25, -70.5),
    "of either sign": (40.5, -20.25, 0.5),
    "as far again": (200.5, 300.25, -277.5),
    "whole": (64.0, -64.0, 200.0),
}


@pytest.mark.parametrize("damaged", [0, 5])
@pytest.mark.parametrize("scale", [1 / 8, 1 / 16])
@pytest.mark.parametrize("name", WRAPPED)
def test_biases_whose_fractions_were_cut_off(name: str, scale: float, damaged: int) -> None:
    """Whatever the signs of the numbers were: of positive ones the part above is lost."""
    sums = drawn(3, 200, high=9000) + (np.arange(200) % 3 == 0) / 2
    c = Convention(groups=3, scale=scale, bias=WRAPPED[name], arithmetic="wrap:uint8")
    output = convolve(sums[0], np.ones((3, 1, 1, 1)), c).astype(np.uint8)[None]
    wrong = np.zeros(output.shape, bool)
    wrong[0, 1, 0, : 7 * damaged : 7] = True
    output[wrong] += 100
    fit = solved(sums, output)
    assert np.array_equal(fit.mismatched, wrong)
    assert fit.convention.scale == scale
    assert fit.convention.arithmetic == "wrap:uint8"
    off = np.array(fit.convention.bias) - WRAPPED[name]
    assert np.abs(off - 256 * np.rint(off / 256)).max() <= 1


@pytest.mark.parametrize("seed", [1, 8])
def test_a_factor_of_rounded_numbers_needs_no_bias(seed: int) -> None:
    """The middle of the ratios is not near enough; that of least squares is."""
    rng = np.random.default_rng(seed)
    sums = rng.integers(-500, 500, (1, 3, 1, 100)).astype(float)
    c = Convention(groups=3, scale=float(rng.uniform(0.1, 0.25)), arithmetic="saturate:int8")
    fit = solved(sums, convolve(sums[0], np.ones((3, 1, 1, 1)), c).astype(np.int8)[None])
    assert (fit.misses, fit.convention.bias) == (0, None)
    assert fit.convention.scale == pytest.approx(c.scale, abs=1e-4)


def test_a_factor_of_numbers_whose_fractions_were_cut_off() -> None:
    sums = drawn(2, 200)
    c = Convention(groups=2, scale=0.28713, arithmetic="wrap:int16")
    fit = solved(sums, convolve(sums[0], np.ones((2, 1, 1, 1)), c).astype(np.int16)[None])
    assert fit.misses == 0
    assert fit.convention.arithmetic == "wrap:int16"
    assert fit.convention.scale == pytest.approx(c.scale, abs=1e-3)


def test_a_wrong_element_among_integers() -> None:
    dtype, keys = INTEGERS["saturated, biases"]
    sums = drawn(3)
    right = convolve(sums[0], np.ones((3, 1, 1, 1)), Convention(groups=3, **keys)).astype(dtype)
    wrong = right.copy()
    wrong[1, 0, 9] = 255 - wrong[1, 0, 9]
    wrong[2, 0, 11] ^= 64
    fit = solved(sums, wrong[None])
    assert fit.misses == np.count_nonzero(wrong != right)
    assert math.isfinite(sum(fit.convention.bias or ()))


def test_sums_that_overflow_leave_nothing_to_solve_for() -> None:
    """As beside a border's constant that is none."""
    sums = drawn(3)
    linear = sums_are(sums, 2 * sums + np.reshape((5.0, -3.0, 900.0), (1, 3, 1, 1)))
    output = linear.problem.output
    linear.__dict__["values"] = np.where(np.arange(60) < 50, linear.values, np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        fit = solve(linear, output, np.ones(output.shape, bool))
    assert afterwards(fit.convention) == 0
    assert fit.misses > 175
