"""A defect is not explained away: what is left is placed, and the rest has its plain numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from few import one_in
from identified import made, normal, photo, whole
from plain_convolution import rounded

from convcheck import Convention, ExitCode, identify
from convcheck.engine import convolve

Array = np.ndarray


def near(image: Array, filters: Array, output: Array, wrong: Array) -> Convention:
    """The convention of a near match that marks exactly the elements that are wrong."""
    result = identify(image, filters, output)
    assert (result.verdict, result.exit_code) == ("near-match", ExitCode.FAILED), result.candidates
    (candidate,) = result.candidates
    assert candidate.wrong is not None
    np.testing.assert_array_equal(candidate.wrong, wrong)
    assert candidate.comparison.mismatched == np.count_nonzero(wrong)
    assert candidate.comparison.total == output.size
    return candidate.convention


def one_off(output: Array, by: float, place: tuple[int, ...]) -> tuple[Array, Array]:
    """The output with one element that is off, and where."""
    spoiled, wrong = output.copy(), np.zeros(output.shape, bool)
    spoiled[place] += np.asarray(by).astype(output.dtype)
    wrong[place] = True
    return spoiled, wrong


@pytest.mark.parametrize("by", one_in(2, [1, -2, 10, 1000, 1e-3]))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_element_of_exact_integers(by: float, dtype: type) -> None:
    """Not "times 1.002, in float16", nor a bias that all but it have by chance."""
    image, filters = whole(3, 11, 12, dtype=dtype), whole(4, 3, 3, 3, seed=1, dtype=dtype)
    output, wrong = one_off(made(image, filters).astype(dtype), by, (2, 3, 5))
    convention = near(image, filters, output, wrong)
    assert (convention.scale, convention.bias, convention.activation) == (1.0, None, None)
    assert convention.arithmetic in ("exact", "float32")


@pytest.mark.parametrize(
    ("biases", "by"), [([12.0, -5.0, 0.0, 17.0], 2), ([1.0, 0.0, 14.0, 15.0], -1)]
)
def test_one_element_beside_whole_biases(biases: list[float], by: int) -> None:
    image = whole(1, 2, 9, 12, dtype=np.float32)
    filters = whole(4, 2, 3, 3, seed=1, most=2, dtype=np.float32)
    keys = {"image_layout": "NCHW", "output_layout": "NCHW", "bias": biases}
    output, wrong = one_off(made(image, filters, **keys).astype(np.float32), by, (0, 1, 4, 4))
    convention = near(image, filters, output, wrong)
    assert np.allclose(convention.bias or 0.0, biases)
    assert convention.scale == 1.0


def test_one_element_of_a_rectified_layer_of_bytes() -> None:
    image = photo(8, 21, 15).astype(np.float32)
    filters = whole(8, 8, 3, 4, seed=1, dtype=np.float32)
    output = made(image, filters, stride=[2, 1], activation="relu").astype(np.float32)
    place = tuple(np.argwhere(output[1] > 0)[9])
    output, wrong = one_off(output, 1, (1, *place))
    convention = near(image, filters, output, wrong)
    assert (convention.activation, convention.scale) == (("relu", ()), 1.0)
    assert convention.bias is None


@pytest.mark.slow
def test_the_only_positive_element_of_a_rectified_channel() -> None:
    """It is no evidence of its channel's bias."""
    image, filters = photo(4, 9, 14).astype(np.float32), whole(4, 4, 1, 5, seed=1)
    filters[1] = -np.abs(filters[1]) - 1
    filters = filters.astype(np.float32)
    output = made(image, filters, activation="relu").astype(np.float32)
    assert not output[1].any()
    output, wrong = one_off(output, 1, (1, 4, 4))
    assert near(image, filters, output, wrong).bias is None


def test_one_element_among_many_channels_is_far_off_though_within_the_worst_case() -> None:
    image = normal(256, 7, 7).astype(np.float32)
    filters = (normal(4, 256, 3, 3, seed=1) / 48).astype(np.float32)
    output = made(image, filters, padding=1).astype(np.float32)
    output, wrong = one_off(output, 0.01, (1, 3, 3))
    assert near(image, filters, output, wrong).arithmetic == "float32"


@pytest.mark.slow
def test_one_byte_of_a_layer_with_a_zero_point() -> None:
    image = photo(2, 11, 10)
    filters = whole(3, 2, 1, 1, seed=1, most=90, dtype=np.int8)
    acc = made(image, filters)
    output, wrong = one_off(np.clip(np.rint(acc / 64 + 128), 0, 255).astype(np.uint8), 3, (1, 4, 4))
    assert near(image, filters, output, wrong).scale == pytest.approx(1 / 64)


def test_one_integer_is_no_tie_that_fell_the_other_way() -> None:
    image, filters = whole(1, 2, 5, 4, dtype=np.int32), whole(3, 2, 2, 3, seed=1, dtype=np.int32)
    keys = {"image_layout": "NCHW", "output_layout": "NCHW"}
    output, wrong = one_off(made(image, filters, **keys).astype(np.int32), -1, (0, 0, 1, 1))
    assert near(image, filters, output, wrong).bias is None


def test_one_element_of_a_bfloat16_layer() -> None:
    image, filters = normal(16, 12, 13).astype(np.float32), normal(4, 16, 3, 3, seed=1) / 8
    output = rounded(made(image, filters.astype(np.float32)).astype(np.float32), "bfloat16")
    off = output.copy()
    off[0, 7, 0:1] = rounded(output[0, 7, 0:1] + 0.4 * output.std(), "bfloat16")
    convention = near(image, filters.astype(np.float32), off, off != output)
    assert (convention.scale, convention.bias) == (1.0, None)


def test_a_tile_that_was_summed_in_bfloat16() -> None:
    image, filters = 8 * whole(3, 10, 13, dtype=np.float32), 8 * whole(4, 3, 3, 3, seed=1)
    exact = made(image, filters).astype(np.float32)
    output = exact.copy()
    output[:, 2:6, 3:8] = rounded(exact[:, 2:6, 3:8], "bfloat16")
    assert (output != exact).sum() == 5
    convention = near(image, filters.astype(np.float32), output, output != exact)
    assert (convention.scale, convention.bias) == (1.0, None)


def test_relu_in_one_channel_alone() -> None:
    image, filters = whole(3, 10, 13), whole(4, 3, 3, 3, seed=1)
    exact = made(image, filters)
    output = exact.copy()
    output[1] = np.maximum(output[1], 0)
    convention = near(image, filters, output, output != exact)
    assert (convention.activation, convention.bias) == (None, None)


PLACES: dict[str, Any] = {  # and those of test_damage_is_placed, in test_identify_hostile.py
    "column 5": np.s_[:, :, 5],
    "rows 0 to 2": np.s_[:, :3],
    "one element, in output channel 1, at row 2, column 3": np.s_[1, 2, 3],
}


@pytest.mark.parametrize("words", one_in(3, reversed(PLACES)))
@pytest.mark.parametrize("zeroed", one_in(2, [False, True]))
def test_where_it_departs_is_said(words: str, zeroed: bool) -> None:
    image, filters = normal(3, 10, 12), normal(4, 3, 3, 3, seed=1)
    output = made(image, filters, padding=1)
    part = output[PLACES[words]]
    output[PLACES[words]] = 0 if zeroed else part + normal(*np.shape(part), seed=3)
    result = identify(image, filters, output)
    assert result.verdict == "near-match"
    (candidate,) = result.candidates
    assert candidate.where is not None
    assert candidate.where.startswith(words)
    whole_place = "element" in words or not zeroed
    assert ("where OUT is 0 throughout" in candidate.where) == (not whole_place)
    assert candidate.comparison.mismatched == np.size(part)
    assert candidate.convention.padding == ((1, 1), (1, 1))


def test_the_border_is_a_place() -> None:
    image, filters = normal(3, 10, 14), normal(4, 3, 3, 3, seed=1)
    output = made(image, filters, padding=1)
    inside = output[:, 1:-1, 1:-1].copy()
    output[:] = 0
    output[:, 1:-1, 1:-1] = inside
    result = identify(image, filters, output)
    assert result.verdict == "near-match"
    assert (result.candidates[0].where or "").startswith(
        "the border, where windows reach over the image's edge"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_an_exception_like_others(value: float) -> None:
    image, filters = normal(3, 10, 11), normal(4, 3, 3, 3, seed=1)
    output = made(image, filters)
    wrong = np.zeros(output.shape, bool)
    wrong[2, 3], wrong[0, 1, 1] = True, True
    output[wrong] = value
    near(image, filters, output, wrong)


@pytest.mark.slow
def test_a_row_of_nan_is_said() -> None:
    image, filters = normal(3, 10, 11), normal(4, 3, 3, 3, seed=1)
    output = made(image, filters)
    output[:, 3] = np.nan
    result = identify(image, filters, output)
    assert result.candidates[0].where == "row 3, where OUT is nan throughout"


def test_a_column_that_repeats_the_one_before() -> None:
    image, filters = normal(3, 14, 15).astype(np.float32), normal(5, 3, 3, 2, seed=1)
    output = made(image, filters.astype(np.float32)).astype(np.float32)
    output[..., -1] = output[..., -2]
    result = identify(image, filters.astype(np.float32), output)
    assert result.verdict == "near-match"
    assert result.candidates[0].where == "column 13"


def test_where_is_said_of_one_and_of_three_axes() -> None:
    image, filters = normal(4, 60), normal(5, 4, 3, seed=1)
    keys = {"image_layout": "CW", "filter_layout": "OIW", "output_layout": "CW"}
    output = made(image, filters, **keys)
    output[:, 17] += 3
    assert identify(image, filters, output).candidates[0].where == "sample 17"
    image, filters = normal(2, 5, 7, 8), normal(3, 2, 2, 3, 3, seed=1)
    keys = {"image_layout": "CDHW", "filter_layout": "OIDHW", "output_layout": "CDHW"}
    output = made(image, filters, **keys)
    output[1, 2, 3, 4] += 3
    assert identify(image, filters, output).candidates[0].where == (
        "one element, in output channel 1, at depth 2, row 3, column 4"
    )


@pytest.mark.parametrize("seed", [1, 3])
def test_a_channel_put_in_another_s_place(seed: int) -> None:
    """It is wrong in the plain order, though another order is as good and most samples meet it."""
    rng = np.random.default_rng(seed)
    image, filters = rng.standard_normal((3, 9, 6)), rng.standard_normal((3, 3))
    convention = Convention(filter_layout="HW", groups=3, activation="tanh")
    output = convolve(*(a.astype(np.float32) for a in (image, filters)), convention)
    output = output.astype(np.float32)
    output[0] = output[2]
    wrong = np.zeros(output.shape, bool)
    wrong[0] = True
    args = image.astype(np.float32), filters.astype(np.float32), output, wrong
    assert near(*args).channel_order is None
