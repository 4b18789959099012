"""The one judgement: what rounding explains is given, whatever is beyond it is wrong."""

from __future__ import annotations

import math
import sys
from dataclasses import FrozenInstanceError, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from identified import made, normal, photo, whole
from plain_convolution import rounded

from convcheck import Convention, convolve
from convcheck.check import (
    Claim,
    Judged,
    Numbers,
    Tally,
    check,
    hold,
    interval,
    judge,
    judge_part,
    merge,
    stored_comparison,
)
from convcheck.checks.sums import Problem
from convcheck.comparison import Comparison
from convcheck.convention import Storage
from convcheck.convention.channels import read_output
from convcheck.errors import InputError
from convcheck.noise import ALGORITHM, DIRECT, Noise
from convcheck.rounding import choose_arithmetic
from convcheck.traits import traits

SETTINGS = settings(derandomize=True, deadline=None, max_examples=60)
X, W = whole(3, 9, 10), whole(4, 3, 3, 2, seed=1)

CONVENTIONS: list[dict[str, Any]] = [
    {},
    {"flip": ["I", "H", "W"], "stride": [2, 1]},
    {"padding": 2, "padding_mode": "reflect", "dilation": [1, 2]},
    {"padding": 1, "padding_value": 7, "scale": 0.5, "bias": [1, 2, -3, 4]},
    {"image_offset": [1, 2, 3], "image_scale": 0.25, "filter_offset": 3},
    {"activation": "relu", "bias": 3.0},
    {"activation": {"leaky_relu": 0.1}},
    {"activation": "silu", "scale": 1 / 64},
    {"output_order": [2, 0, 3, 1], "output_layout": "HWC"},
    {"storage": {"dtype": "uint8", "zero_point": 7, "overflow": "wrap"}},
    {"storage": {"dtype": "int8", "rounding": "toward_zero"}, "scale": 1 / 7},
    {"storage": {"dtype": "uint8", "zero_point": 128, "rounding": "half_away"}, "scale": 1 / 2},
]


@pytest.mark.parametrize("keys", CONVENTIONS, ids=str)
def test_what_a_convention_gives_is_right_and_an_element_beside_it_wrong(
    keys: dict[str, Any],
) -> None:
    c = Convention.from_dict(keys)
    output = convolve(X, W, c)
    found = check(X, W, output, c)
    assert found.matches
    assert found.wrong is not None
    assert not found.wrong.any()
    assert (found.comparison.mismatched, found.comparison.total) == (0, output.size)
    place = tuple(int(n) // 2 for n in output.shape)
    output[place] += 3
    found = check(X, W, output, c)
    assert not found.matches
    assert np.argwhere(found.wrong).tolist() == [list(place)]
    assert found.comparison.mismatched == 1
    assert found.comparison.worst_index == place
    assert found.comparison.actual == output[place]


@pytest.mark.parametrize("arithmetic", ["float32", "tf32", "bfloat16", "float16"])
def test_results_of_an_arithmetic_are_within_its_bound(arithmetic: str) -> None:
    x, w = normal(5, 9, 8), normal(4, 5, 3, 3, seed=1)
    few = [rounded(a.astype(np.float32), arithmetic).astype(np.float64) for a in (x, w)]
    y = rounded(made(*few).astype(np.float32), "float32" if arithmetic == "tf32" else arithmetic)
    y = y.astype(np.float32)
    c = Convention(arithmetic=arithmetic)
    assert check(x.astype(np.float32), w.astype(np.float32), y, c).matches
    y[1, 2, 3] *= 1 + 2.0**-5
    assert not check(x.astype(np.float32), w.astype(np.float32), y, c).matches


@pytest.mark.parametrize("slope", [0.1, 0.01, 0.3])
def test_a_slope_in_single_precision_has_its_rounding_where_the_sums_have_none(
    slope: float,
) -> None:
    x, w = np.zeros((1, 9, 8), np.float32), np.ones((64, 1, 3, 3), np.float32)
    bias = -np.abs(normal(64)).astype(np.float32)
    y = np.broadcast_to((np.float32(slope) * bias)[:, None, None], (64, 7, 6)).copy()
    c = Convention(
        bias=tuple(bias.tolist()),
        activation={"leaky_relu": slope},  # type: ignore[arg-type]
        arithmetic="float32",
    )
    assert check(x, w, y, c).matches
    y[3, 2, 1] *= 1 + 2.0**-20
    assert check(x, w, y, c).comparison.mismatched == 1


def test_exact_integers_have_no_room_at_all() -> None:
    x, w = photo(16, 14, 14).astype(np.float32), whole(4, 16, 5, 5, dtype=np.float32)
    y = made(x, w).astype(np.float32)
    c = Convention(arithmetic="float32")
    assert check(x, w, y, c).comparison.threshold == 0
    y[0, 1, 4] += 1
    assert check(x, w, y, c).comparison.mismatched == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_wrong(value: float) -> None:
    y = convolve(X, W)
    y[2, 1, 0] = value
    found = check(X, W, y, Convention())
    assert np.argwhere(found.wrong).tolist() == [[2, 1, 0]]
    assert found.comparison.mismatched == 1


@pytest.mark.parametrize(
    ("rounding", "right"),
    [
        ("half_even", [0, 2, 2, -2, 0]),
        ("half_away", [1, 2, 3, -2, -1]),
        ("half_up", [1, 2, 3, -1, 0]),
        ("toward_zero", [0, 1, 2, -1, 0]),
        ("down", [0, 1, 2, -2, -1]),
    ],
)
def test_ties_go_by_one_rule(rounding: str, right: list[int]) -> None:
    x, w = np.array([[0.5, 1.5, 2.5, -1.5, -0.5]]), np.ones((1, 1))
    layouts = {"image_layout": "HW", "filter_layout": "HW", "output_layout": "HW"}
    c = Convention(**layouts, storage={"dtype": "int8", "rounding": rounding})
    assert check(x, w, np.array([right], np.int8), c).matches
    for i in range(5):
        other = np.array([right], np.int8)
        other[0, i] += 1 if rounding in ("toward_zero", "down", "half_even") else -1
        if other[0, i] == right[i]:
            continue
        assert np.flatnonzero(check(x, w, other, c).wrong).tolist() == [i]


def test_what_saturated_may_have_been_anything_beyond() -> None:
    x, w = np.array([[300.0, -5.0, 255.2, 254.4]]), np.ones((1, 1))
    layouts = {"image_layout": "HW", "filter_layout": "HW", "output_layout": "HW"}
    c = Convention(**layouts, storage={"dtype": "uint8"})
    assert check(x, w, np.array([[255, 0, 255, 254]], np.uint8), c).matches
    found = check(x, w, np.array([[254, 1, 254, 255]], np.uint8), c)
    assert found.comparison.mismatched == 4


def test_complex_results_are_within_a_circle() -> None:
    x, w = normal(2, 8, 9) + 1j * normal(2, 8, 9, seed=1), normal(3, 2, 2, 2) * (1 - 2j)
    y = made(x, w)
    assert check(x, w, y, Convention()).matches
    y[1, 2, 3] += 1e-9j
    assert check(x, w, y, Convention()).comparison.mismatched == 1


def test_an_output_of_another_shape_is_refused() -> None:
    with pytest.raises(InputError, match="does not have the convention's shape"):
        check(X, W, convolve(X, W)[:, 1:], Convention())
    with pytest.raises(InputError):
        check(X, W, convolve(X, W), Convention(image_layout="HWC"))
    with pytest.raises(InputError, match="bias does not fit"):
        check(X, W, convolve(X, W), Convention(bias=(1.0,) * (len(W) + 1)))


@SETTINGS
@given(st.integers(0, 10**6))
def test_any_order_of_summation_is_right(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((4, 7, 8)) * 10.0 ** rng.integers(-3, 4, (4, 1, 1))).astype(np.float32)
    w = rng.standard_normal((2, 4, 3, 2)).astype(np.float32)
    y = np.zeros((2, 5, 7), np.float32)
    for c, u, v in rng.permutation(np.argwhere(np.ones((4, 3, 2)))):
        y += w[:, c, u, v, None, None] * x[c, u : u + 5, v : v + 7]
    assert check(x, w, y, Convention(arithmetic="float32")).matches


# ---- a part and the whole


def judged(
    output: np.ndarray,
    c: Convention,
    *,
    memory: int | None = None,
    image: Any = X,
    filters: Any = W,
) -> Tally:
    problem = Problem.of(image, filters, output, memory=memory)
    noise = Noise(2.0**-53, DIRECT, 18, 2.0**53)
    claim = Claim(None, 2.0**-53, c.storage, "exact")
    return hold(problem, c, claim, noise, traits(read_output(output, c)))[0]


def test_a_tally_says_where_exceptions_lie_and_what_they_are() -> None:
    y = convolve(X, W).astype(float)
    y[2, 1:3, 4] = 77.5
    tally = judged(y, Convention())
    assert [np.flatnonzero(m).tolist() for m in tally.met] == [[0], [2], [1, 2], [4]]
    assert (tally.wrong, tally.value, tally.inside) == (2, 77.5, True)
    assert tally.exceptions > 0
    assert tally.literal > tally.exceptions
    y[2, 1, 4] = 78.5
    assert judged(y, Convention()).value is None
    y[2, 1:3, 4] = np.nan
    assert np.isnan(judged(y, Convention()).value)
    assert judged(convolve(X, W), Convention()).value is None


def test_exceptions_at_the_border_are_not_inside() -> None:
    c = Convention(padding=1)
    y = convolve(X, W, c)
    y[:, 0] += 5
    assert not judged(y, c).inside
    y[1, 4, 4] += 5
    assert judged(y, c).inside


def test_parts_merge_in_any_order() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (3, 700, 800)).astype(np.uint8)
    w = rng.integers(-9, 10, (4, 3, 3, 3))
    y = convolve(x, w)
    y[1, 300:310, 5:9] = 7
    c = Convention()
    whole_ = judged(y, c, memory=8 << 30, image=x, filters=w)
    parts = judged(y, c, memory=96 << 20, image=x, filters=w)
    assert whole_.wrong == parts.wrong == 40
    assert (whole_.value, whole_.inside) == (parts.value, parts.inside) == (7.0, True)
    for one, other in zip(whole_.met, parts.met, strict=True):
        np.testing.assert_array_equal(one, other)
    for name in ("literal", "exceptions", "residual"):
        assert getattr(parts, name) == pytest.approx(getattr(whole_, name))
    assert parts.comparison.worst_index == whole_.comparison.worst_index
    assert parts.comparison.total == y.size


def test_a_large_output_is_judged_area_by_area(monkeypatch: pytest.MonkeyPatch) -> None:
    y = convolve(X, W)
    y[1, 2, 3] += 3
    at_once = check(X, W, y, Convention())
    monkeypatch.setattr(sys.modules["convcheck.check"], "ONCE", 16)
    by_areas = check(X, W, y, Convention())
    assert by_areas.comparison == at_once.comparison
    assert np.argwhere(by_areas.wrong).tolist() == [[1, 2, 3]]


def tally(wrong: int, value: float | None, at: int) -> Tally:
    comparison = Comparison(
        mismatched=wrong,
        total=10,
        max_abs_diff=float(wrong),
        worst_index=(0, 0, at, 0),
        actual=0.0,
        expected=0.0,
        threshold=0.0,
        agreement_bits=30.0 + at,
    )
    marks = np.arange(4) == at if wrong else np.zeros(4, bool)
    return Tally(comparison, (marks,), bool(at % 2) and wrong > 0, value, 1, 10.0, 2.0 * wrong, 3.0)


def test_tallies_are_added() -> None:
    parts = [tally(2, 5.0, 1), tally(0, None, 2), tally(1, 5.0, 3)]
    found = merge(parts)
    assert found.wrong == 3
    assert found.comparison.total == 30
    assert (found.value, found.inside, found.beyond) == (5.0, True, 3)
    assert (found.literal, found.exceptions, found.residual) == (30, 6, 9)
    assert found.met[0].tolist() == [False, True, False, True]
    assert merge(parts[::-1]).met[0].tolist() == found.met[0].tolist()
    assert merge([tally(1, 5.0, 1), tally(1, 6.0, 2)]).value is None
    assert merge([tally(1, 5.0, 1), tally(1, None, 2)]).value is None
    assert np.isnan(merge([tally(1, np.nan, 1), tally(1, np.nan, 2)]).value)
    assert merge([tally(0, None, 1), tally(0, None, 2)]).value is None


def test_places_are_those_of_the_output_as_stored() -> None:
    plain = tally(1, 5.0, 1).comparison
    one = replace(plain, worst_index=(0, 2, 5, 6))
    c = Convention(image_layout="NCHW", output_layout="NHWC", output_order=[1, 2, 0])
    assert stored_comparison(one, c).worst_index == (0, 5, 6, 1)
    assert stored_comparison(one, Convention()).worst_index == (2, 5, 6)


def test_integers_that_wrapped_are_the_nearest_of_all_that_are_stored_alike() -> None:
    c = Convention(storage=Storage("uint8", overflow="wrap"))
    y = made(X, W, storage={"dtype": "uint8", "overflow": "wrap"})
    assert check(X, W, y, c).matches
    y[0, 0, 0] ^= 128
    found = check(X, W, y, c)
    assert found.comparison.mismatched == 1
    assert found.comparison.max_abs_diff == 128


# ---- one element, to the letter

U = 2.0**-24
SINGLES = traits(normal(1, 1, 8, 128).astype(np.float32))  # 1024 numbers of a spread of about 1
LEAKY = Convention(activation={"leaky_relu": 3.0})
IN_FLOAT32 = Storage("int8", multiplier="float32")


def one(
    value: Any,
    sums: float = 3.0,
    magnitude: float = 4.0,
    *,
    c: Convention | None = None,
    scale: float = 1.0,
    storage: Storage | None = None,
    growth: float = DIRECT,
    lossless: float = 0.0,
    **proven: bool,
) -> Judged:
    """One element whose sum has 16 products: its typical error is 5 U where the sum is 3."""
    return judge(
        np.array([sums]),
        np.array([2.0]),
        np.array([magnitude]),
        np.array([value]),
        c or Convention(),
        Numbers(np.array(scale), np.array(0.0)),
        Claim(None, U, storage, "float32"),
        Noise(U, growth, 16, lossless),
        SINGLES,
        **proven,
    )


LARGEST = (20 - 2.4) / 1.75  # typical errors: one of 2^20, of 1024 elements and the margin
SCALED = math.hypot(0.5, 0.15)


@pytest.mark.parametrize(
    ("keys", "threshold", "proven"),
    [
        # gamma_18 of a sum of absolute products of 4, and less where it is of 1.
        ({}, 5 * LARGEST, 72),
        ({"magnitude": 1.0}, 18, 18),
        ({"magnitude": 4.0, "lossless": 4.0}, 0, 0),
        # A scale is one rounding more, of 0.15 U; 8 of what that adds are explained.
        ({"scale": 0.1}, SCALED * LARGEST, 7.2 + 8 * (SCALED - 0.5)),
        ({"scale": -0.1}, SCALED * LARGEST, 7.2 + 8 * (SCALED - 0.5)),
        # An activation is no steeper than it is.
        ({"c": LEAKY, "sums": -3.0}, 15 * LARGEST, 216),
        ({"c": Convention(activation="relu"), "sums": -3.0}, 0, 72),
        # Integers by a multiplier: what is exact has no room, what is not has that of the sum.
        ({"scale": 0.1, "storage": IN_FLOAT32, "lossless": 4.0}, 0, 0),
        (
            {"scale": 0.1, "storage": IN_FLOAT32},
            SCALED * LARGEST,
            7.2 + 8 * (SCALED - 0.5),
        ),
        # Winograd's errors are uneven, and have a bound of their own.
        ({"growth": ALGORITHM}, 16 * 640 * LARGEST, 72),
    ],
    ids=str,
)
def test_what_rounding_explains(keys: dict[str, Any], threshold: float, proven: float) -> None:
    assert one(3.0, **keys).threshold[0] / U == pytest.approx(threshold, rel=1e-5)
    assert one(3.0, **keys, proven=True).threshold[0] / U == pytest.approx(proven, rel=1e-5)


def test_a_part_has_its_own_channels_numbers() -> None:
    c = Convention(scale=0.5, bias=(10.0, 20.0, 30.0, 40.0))
    part = (slice(0, 1), slice(1, 3), slice(0, 1), slice(0, 1))
    sums = np.full((1, 2, 1, 1), 3.0)
    linear: Any = SimpleNamespace(values=sums, reach=np.full(sums.shape, 4.0), part=part)
    claim, noise = Claim(None, U, None, "float32"), Noise(U, DIRECT, 16, flatness=0.5)
    found = judge_part(linear, sums, c, claim, noise, SINGLES)
    assert found.predicted.ravel().tolist() == [21.5, 31.5]
    # Of all of an output: the first two, and what is typical is half of what can be.
    linear = SimpleNamespace(values=sums, reach=np.full(sums.shape, 4.0))
    found = judge_part(linear, sums, c.replace(scale=1.0, bias=(0, 5)), claim, noise, SINGLES)
    assert found.predicted.ravel().tolist() == [3, 8]
    assert found.threshold[0, 0, 0, 0] / U == pytest.approx(5 * LARGEST, rel=1e-5)


def test_results_are_not_changed() -> None:
    found = check(X, W, convolve(X, W), Convention())
    for result, name in (
        (found, "wrong"),
        (one(3.0), "wrong"),
        (tally(1, 5.0, 1), "value"),
        (Claim(None, U, None, "exact"), "unit"),
    ):
        with pytest.raises(FrozenInstanceError):
            setattr(result, name, None)


def test_what_is_beyond_what_rounding_explains() -> None:
    # Stored results may be half of 4 U off; what is left of 50 U and 72 U is explained.
    inside, rare, far = one(3 + 48 * U), one(3 + 56 * U), one(3 + 80 * U)
    assert inside.residual[0] / U == pytest.approx(46, rel=1e-5)
    assert [bool(each.wrong[0]) for each in (inside, rare, far)] == [False, True, True]
    assert [bool(each.beyond[0]) for each in (inside, rare, far)] == [False, False, True]
    assert inside.bits[0] > 0
    assert rare.bits[0] == far.bits[0] == 0
    proven = one(3 + 56 * U, proven=True)
    assert (proven.wrong[0], proven.beyond[0], proven.bits[0]) == (False, False, 0)
    # Half of a result's spacing is 0.4 typical errors: 31 of 100 results are as near.
    assert one(3.0).bits[0] == pytest.approx(-math.log2(0.3108), abs=1e-3)
    assert one(3.0, storage=Storage("float32")).bits[0] == one(3.0).bits[0]
    uneven = one(3 + 1000 * U, growth=ALGORITHM)
    assert (uneven.wrong[0], uneven.beyond[0]) == (False, True)
    assert uneven.bits[0] > 0
    for value in (np.inf, -np.inf, np.nan):
        assert one(value).residual[0] == np.inf
        assert one(value).wrong[0]
        assert one(value).beyond[0]


def test_a_tie_takes_no_bits_and_its_rule_decides() -> None:
    ties = {"storage": Storage("int8"), "lossless": 4.0}
    for sums, kept, lost in ((2.5, 2, 3), (3.5, 4, 3), (-2.5, -2, -3), (0.5, 0, 1)):
        right, wrong = one(float(kept), sums, **ties), one(float(lost), sums, **ties)
        assert (right.residual[0], right.bits[0], right.wrong[0]) == (0, 0, False)
        assert wrong.residual[0] == max(abs(sums), 1) * 2.0**-30
        assert wrong.wrong[0]
    assert one(3.0, 2.6, **ties).bits[0] == 0


def test_the_multiplier_is_that_of_the_storage() -> None:
    made_ = one(1.0, scale=0.3, storage=IN_FLOAT32, lossless=4.0)
    assert made_.predicted[0] == np.float32(3) * np.float32(0.3)
    assert not made_.wrong[0]
    assert one(1.0, scale=0.3, storage=Storage("int8")).predicted[0] == 3.0 * 0.3


# ---- between which numbers a result was


def between(
    value: Any, predicted: Any, storage: Storage | None = None, of: Any = SINGLES
) -> list[Any]:
    return [a[0] for a in interval(np.array([value]), np.array([predicted]), storage, of)]


def test_a_result_is_within_half_a_spacing() -> None:
    half = 2 * U * (1 + 2.0**-20)  # of float32 from 2 to 4
    assert between(3.0, 7.0) == [3 - half, 3 + half, 7.0]
    assert between(np.nan, 7.0)[0] == pytest.approx(0, abs=2 * U)
    # Of complex numbers either part is half of 8 U off.
    assert between(3 + 4j, 0j) == [5 - 8 * U, 5 + 8 * U, 0]


@pytest.mark.parametrize(
    ("value", "predicted", "storage", "expected"),
    [
        (5.0, 5.2, Storage("uint8"), [4.5, 5.5, 5.2]),
        (0.0, -9.0, Storage("uint8"), [-np.inf, 0.5, -9.0]),
        (255.0, 300.0, Storage("uint8"), [254.5, np.inf, 300.0]),
        # What the integers do not hold was nothing.
        (256.0, 256.0, Storage("uint8"), [np.inf, -np.inf, 256.0]),
        (-1.0, -1.0, Storage("uint8"), [np.inf, -np.inf, -1.0]),
        # Of what wrapped the nearest is meant.
        (44.0, 300.0, Storage("uint8", overflow="wrap"), [43.5, 44.5, 44.0]),
        (44.0, -211.75, Storage("uint8", overflow="wrap"), [43.5, 44.5, 44.25]),
        (44.0, 812.0, Storage("uint8", overflow="wrap"), [43.5, 44.5, 44.0]),
        (44.0, 100.0, Storage("uint8", overflow="wrap"), [43.5, 44.5, 100.0]),
        # A tie that goes elsewhere is lost by what float64 may be off; one that stays is not.
        (2.0, 2.5, Storage("int8"), [1.5, 2.5, 2.5]),
        (3.0, 2.5, Storage("int8"), [2.5 + 2.5 * 2.0**-30, 3.5, 2.5]),
        (-3.0, -2.5, Storage("int8"), [-3.5, -2.5 - 2.5 * 2.0**-30, -2.5]),
        (3.0, 2.5, Storage("int8", rounding="half_up"), [2.5, 3.5, 2.5]),
        (2.0, 2.5, Storage("int8", rounding="half_up"), [1.5, 2.5 - 2.5 * 2.0**-30, 2.5]),
        # A bfloat16 near 1 is half of 2^-7 from its neighbours, above; 2^-8 below.
        (1.5, 1.5, Storage("bfloat16"), [1.5 - 2.0**-8, 1.5 + 2.0**-8, 1.5]),
    ],
    ids=str,
)
def test_between_which_numbers_a_result_was_before_it_was_stored(
    value: float, predicted: float, storage: Storage, expected: list[float]
) -> None:
    assert between(value, predicted, storage) == expected


def test_what_is_nearly_zero_is_as_coarse_as_what_it_is_a_difference_of() -> None:
    wide = traits((1.2 * 2.0**20 * normal(1, 1, 8, 128)).astype(np.float32))
    half = 2.0**-16 * (1 + 2.0**-20)  # of float32 near 2^8, as coarse as 2^-12 of the spread is
    assert between(0.0, 0.0, Storage("float32"), wide)[:2] == [-half, half]
    # What is coarser by itself stays so.
    assert between(2.0**20, 0.0, Storage("bfloat16"), wide)[:2] == [2.0**20 - 4096, 2.0**20 + 4096]


# ---- what a comparison says


def test_of_several_the_worst_is_named() -> None:
    y = convolve(X, W)
    right = y.copy()
    y[0, 0, 0] += 5
    y[1, 2, 3] -= 9
    y[2, 0, 0] += 7
    found = check(X, W, y, Convention()).comparison
    assert (found.worst_index, found.max_abs_diff, found.mismatched) == ((1, 2, 3), 9, 3)
    assert (found.actual, found.expected) == (y[1, 2, 3], right[1, 2, 3])
    near = right.astype(float)
    near[1, 2, 3] += 0.25
    found = check(X, W, near, Convention()).comparison
    assert (found.worst_index, found.max_abs_diff) == ((1, 2, 3), 0.25)
    # What the dtype does not hold is wrong, though a sum is as large.
    c = Convention(storage={"dtype": "uint8"})
    found = check(np.full((1, 1, 2), [3, 256]), np.ones((1, 1, 1, 1)), [[[3, 256]]], c).comparison
    assert (found.worst_index, found.expected) == ((0, 0, 1), 255)
    for value in (np.nan, np.inf, -np.inf):
        broken = y.astype(float)
        broken[2, 0, 0] = value
        found = check(X, W, broken, Convention()).comparison
        assert (found.worst_index, found.max_abs_diff) == ((2, 0, 0), np.inf)
        assert found.expected == right[2, 0, 0]


def test_of_an_integer_how_far_it_is_from_what_would_be_stored() -> None:
    x, w = np.array([[300.0, 254.4, 17.4]]), np.ones((1, 1))
    layouts = {"image_layout": "HW", "filter_layout": "HW", "output_layout": "HW"}
    c = Convention(**layouts, storage={"dtype": "uint8"})
    found = check(x, w, np.array([[250, 254, 17]], np.uint8), c).comparison
    assert (found.actual, found.expected, found.max_abs_diff) == (250, 255, 5)
    assert found.worst_index == (0, 0)
    found = check(x, w, np.array([[255, 254, 20]], np.uint8), c).comparison
    assert (found.actual, found.expected, found.max_abs_diff) == (20, 17, 3)
    # Of a right one, how far it was from any number that would be stored so.
    found = check(x, w, np.array([[255, 254, 17]], np.uint8), c).comparison
    assert (found.max_abs_diff, found.agreement_bits) == (0, 53)


def test_how_many_bits_agree() -> None:
    x, w = np.full((1, 6, 7), 0.1), np.full((1, 1, 2, 2), 0.7)
    x[:, :3, :3] = 0  # sums of nothing agree in full
    c = Convention(arithmetic="float32")
    y = made(x, w)
    assert check(x, w, y, c).comparison.agreement_bits > 50
    y[0, 4, 4] *= 1 + 2.0**-22
    found = check(x, w, y, c).comparison
    assert found.mismatched == 0
    assert found.agreement_bits == pytest.approx(22, abs=1e-3)
    assert found.worst_index == (0, 4, 4)
    assert found.max_abs_diff == pytest.approx(0.28 * 2.0**-22, rel=1e-3)
    y[0, 3, 4] += 1  # what is wrong counts for nothing
    assert check(x, w, y, c).comparison.agreement_bits == pytest.approx(22, abs=1e-3)


@pytest.mark.parametrize(
    ("arithmetic", "unit"),
    [("exact", 2.0**-53), ("float64", 2.0**-53), ("float32", U), ("tf32", U), ("bfloat16", U)],
)
def test_the_bound_of_a_check_is_the_proven_one(arithmetic: str, unit: float) -> None:
    x, w = np.full((2, 3, 3), 0.1, np.float32), np.full((3, 2, 2, 2), 0.7, np.float32)
    few = [rounded(a, arithmetic).astype(float) if unit == U else a for a in (x, w)]
    size = 8 * float(few[0][0, 0, 0]) * float(few[1][0, 0, 0, 0])
    c = Convention(arithmetic=arithmetic)
    y = convolve(x, w, c).astype(float)
    found = check(x, w, y, c).comparison.threshold
    work = choose_arithmetic(x, w)
    exact = work.exact and arithmetic in ("exact", "float64")
    assert found == pytest.approx(0 if exact else 10 * unit * size, rel=1e-3)


def test_few_bits_have_a_bound_whatever_the_data() -> None:
    x, w = np.ones((1, 3, 3)), np.ones((1, 1, 2, 2))
    y = made(x, w)
    for arithmetic, units in (("tf32", 24), ("float32", 0)):
        found = check(x, w, y, Convention(arithmetic=arithmetic)).comparison
        assert found.threshold / U == pytest.approx(units, rel=1e-3)


def test_an_error_within_the_bound_is_right_however_rare() -> None:
    x, w = np.full((1, 12, 12), 0.1), np.full((1, 1, 10, 10), 0.7)
    c = Convention(arithmetic="float32")
    y = made(x, w)
    y[0, 1, 2] *= 1 + 60 * U  # of a bound of 102 and a typical error of 5
    assert check(x, w, y, c).matches
    noise, claim = Noise(U, DIRECT, 100), Claim(None, U, None, "float32")
    assert hold(Problem.of(x, w, y), c, claim, noise, traits(y[None]))[0].wrong == 1


def test_sums_up_to_the_units_own_number_lose_nothing() -> None:
    w, c = np.array([[[[4097.0, 1.0]]]]), Convention(arithmetic="float32")
    for quantum in (1.0, 0.25):
        for last, exact in ((1.0, True), (2.0, False)):  # 2^24, and one more
            x = quantum * np.array([[[4095.0, last]]])
            assert (check(x, w, made(x, w), c).comparison.threshold == 0) == exact


def test_what_is_refused_is_said() -> None:
    with pytest.raises(InputError) as caught:
        check(X, W, convolve(X, W)[:, 1:], Convention())
    assert caught.value.got == "(1, 4, 6, 9) as N, C and spatial axes"
    assert caught.value.expected == "(1, 4, 7, 9)"


def test_only_real_exceptions_have_a_value() -> None:
    x = X[:2] + 1j
    y = made(x, W[:, :2])
    y[1, 2, 3] = 1j
    assert judged(y, Convention(), image=x, filters=W[:, :2]).value is None
    assert judged(y, Convention(), image=x, filters=W[:, :2]).wrong == 1


def test_a_tally_counts_what_no_direct_sum_could_have() -> None:
    problem = Problem.of(X, W, convolve(X, W))
    y = convolve(X, W).astype(float)[None]
    y[0, 1, 2, 3] += 2.0**-40
    y[0, 2, 2, 3] += 1
    c, claim = Convention(), Claim(None, 2.0**-53, None, "exact")
    for growth, wrong, beyond in ((DIRECT, 2, 0), (ALGORITHM, 1, 1)):
        noise = Noise(2.0**-53, growth, 18)
        found = hold(problem, c, claim, noise, traits(y))[0]
        assert (found.wrong, found.beyond) == (0, 0)
        other = Problem.of(X, W, y[0])
        found = hold(other, c, claim, noise, traits(y))[0]
        assert (found.wrong, found.beyond) == (wrong, beyond)
