"""The one judgement: what rounding explains is given, whatever is beyond it is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from identified import made, normal, photo, whole
from plain_convolution import rounded

from convcheck import Convention, convolve
from convcheck.check import Claim, Tally, check, hold, merge, stored_comparison
from convcheck.checks.sums import Problem
from convcheck.comparison import Comparison
from convcheck.convention import Storage
from convcheck.convention.channels import read_output
from convcheck.errors import InputError
from convcheck.noise import DIRECT, Noise
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
