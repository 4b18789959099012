"""What made an output is named: layouts, windows, borders, steps, arithmetic and storage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from identified import found, made, normal, photo, whole
from plain_convolution import rounded
from scipy import ndimage, signal

import convcheck
from convcheck.convention import Convention

FACTORS = [0.25, 1.75, -0.6, 3.0]


def holds(convention: Convention, keys: dict[str, Any]) -> None:
    """Every key as it is named; numbers to one in a thousand."""
    have = convention.to_dict()
    for key, value in keys.items():
        if key in ("scale", "bias", "image_scale", "image_offset"):
            assert np.allclose(have[key], value, rtol=1e-3), (key, have[key], value)
        elif isinstance(value, dict):
            assert have[key] == {**(have[key] or {}), **value}, (key, have[key], value)
        else:
            assert have[key] == value, (key, have[key], value)


WINDOWS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rows flipped": {"flip": ["H"]},
    "per-channel": {"flip": ["H", "W"]},
    "blue first": {"channel_order": [2, 1, 0]},
    "rotated channels": {"channel_order": [1, 2, 0]},
    "stride": {"stride": [2, 3]},
    "dilation": {"dilation": [2, 1]},
    "a far dilation": {"dilation": [5, 5], "padding": [[5, 5], [5, 5]]},
    "padding": {"padding": [[1, 1], [1, 1]]},
    "one-sided": {"padding": [[0, 1], [2, 0]]},
    "cropped": {"padding": [[-1, 0], [0, -2]]},
    "reflected": {"padding": [[1, 1], [1, 1]], "padding_mode": "reflect"},
    "symmetric": {"padding": [[2, 2], [1, 2]], "padding_mode": "symmetric"},
    "repeated": {"padding": [[1, 1], [1, 1]], "padding_mode": "edge"},
    "wrapped": {"padding": [[1, 1], [1, 1]], "padding_mode": "wrap"},
    "circular across alone": {
        "padding": [[1, 1], [1, 1]],
        "padding_mode": ["constant", "wrap"],
    },
    "a constant of 7": {"padding": [[1, 1], [1, 1]], "padding_value": 7},
    "transposed": {"input_dilation": [2, 2], "padding": [[2, 2], [2, 2]], "flip": ["H", "W"]},
    "outputs in another order": {"output_order": [2, 0, 1, 3]},
}


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_and_channels(name: str) -> None:
    keys = WINDOWS[name]
    image, filters = normal(3, 14, 15), normal(4, 3, 3, 3, seed=1)
    output = made(image, filters, **keys)
    holds(found(image, filters, output), {"scale": 1.0, "activation": None} | keys)


STEPS: dict[str, dict[str, Any]] = {
    "a scale": {"scale": 1 / 9},
    "biases": {"bias": [0.5, -1.25, 3.0, 0.0]},
    "batch normalisation": {"scale": FACTORS},
    "batch normalisation and ReLU": {"scale": FACTORS, "bias": [0.3] * 4, "activation": "relu"},
    "ReLU": {"activation": "relu"},
    "ReLU6": {"activation": "relu6"},
    "leaky ReLU": {"activation": {"leaky_relu": 0.2}},
    "clip": {"activation": {"clip": [-2.0, 4.0]}},
    "SiLU": {"activation": "silu"},
    "GELU": {"activation": "gelu"},
    "tanh": {"activation": "tanh"},
    "the sigmoid": {"activation": "sigmoid"},
    "ELU": {"activation": "elu"},
    "the absolute value": {"activation": "abs"},
}


@pytest.mark.parametrize("name", STEPS)
def test_what_layers_do_after_the_sums(name: str) -> None:
    keys = STEPS[name]
    image, filters = normal(3, 13, 12, seed=2), normal(4, 3, 3, 3, seed=3) / 2
    holds(found(image, filters, made(image, filters, **keys)), keys)


def test_silu_where_it_bends() -> None:
    image, filters = normal(3, 13, 12, seed=2), normal(4, 3, 3, 3, seed=3) / 4
    holds(found(image, filters, made(image, filters, activation="silu")), {"activation": "silu"})


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "silu", "hard_swish"])
def test_a_channel_that_lies_below_the_lowest_point(activation: str) -> None:
    """Its results increase where their arguments fall, and are all near zero."""
    image, filters = normal(3, 13, 12, seed=2), normal(4, 3, 3, 3, seed=3) / 8
    keys = {"activation": activation, "bias": (0.5, -2.5, 0.0, 1.0)}
    holds(found(image, filters, made(image, filters, **keys)), keys)


def test_a_key_that_nothing_asks_for_has_its_default() -> None:
    image, filters = whole(3, 9, 10), whole(4, 3, 2, 3, seed=1)
    assert found(image, filters, made(image, filters)) == Convention()


@pytest.mark.parametrize(
    ("image", "filters", "keys"),
    [
        ((9, 11, 3), (3, 2, 3, 4), {"image_layout": "HWC", "filter_layout": "HWIO"}),
        ((2, 9, 11, 3), (3, 2, 3, 4), {"image_layout": "NHWC", "filter_layout": "HWIO"}),
        ((2, 3, 9, 11), (4, 3, 2, 3), {"image_layout": "NCHW", "filter_layout": "OIHW"}),
        ((3, 11, 9), (4, 3, 3, 2), {"filter_layout": "OIWH"}),
        ((9, 11), (2, 3), {"image_layout": "HW", "filter_layout": "HW", "output_layout": "HW"}),
        ((9, 11, 3), (2, 3, 3, 2), {"image_layout": "HWC", "filter_layout": "HWIM", "groups": 3}),
        ((6, 9, 11), (4, 3, 2, 3), {"groups": 2}),
        ((5, 40), (4, 5, 3), {"image_layout": "CW", "filter_layout": "OIW", "stride": [2]}),
        (
            (4, 50),
            (5, 4, 3),
            {
                "image_layout": "CW",
                "filter_layout": "OIW",
                "dilation": [6],
                "padding": [[12, 0]],
            },
        ),
        (
            (2, 300, 1),
            (32, 1, 9),
            {"image_layout": "NWC", "filter_layout": "WIO", "stride": [12]},
        ),
        (
            (2, 5, 7, 8),
            (3, 2, 2, 3, 3),
            {
                "image_layout": "CDHW",
                "filter_layout": "OIDHW",
                "padding": [[0, 0], [1, 1], [1, 1]],
            },
        ),
    ],
    ids=lambda v: v.get("image_layout", "CHW") if isinstance(v, dict) else str(v),
)
def test_layouts_of_one_two_and_three_axes(
    image: tuple[int, ...], filters: tuple[int, ...], keys: dict[str, Any]
) -> None:
    keys = {"output_layout": keys.get("image_layout", "CHW")} | keys
    x, w = normal(*image, seed=4), normal(*filters, seed=5)
    holds(found(x, w, made(x, w, **keys)), keys)


def test_the_gradient_of_the_filters_is_a_convolution_of_swapped_axes() -> None:
    """By its definition: the loss is the sum of gradient times output."""
    x, g = normal(2, 3, 11, 9, seed=6), normal(2, 4, 5, 4, seed=7)
    gradient = np.zeros((4, 3, 3, 3))
    for u, v in np.ndindex(3, 3):
        met = x[:, :, u : u + 9 : 2, v : v + 7 : 2]
        gradient[:, :, u, v] = np.tensordot(g, met, ((0, 2, 3), (0, 2, 3)))
    keys = {"image_layout": "CNHW", "filter_layout": "IOHW", "stride": [1, 1], "dilation": [2, 2]}
    holds(found(x, g, gradient), keys)


# ---- arithmetic and storage


def test_single_precision_is_named_and_integers_that_lose_nothing_are_exact() -> None:
    x, w = (a.astype(np.float32) for a in (normal(3, 11, 12), normal(4, 3, 3, 3, seed=1)))
    assert found(x, w, made(x, w).astype(np.float32)).arithmetic == "float32"
    x, w = (a.astype(np.float32) for a in (whole(3, 11, 12), whole(4, 3, 3, 3, seed=1)))
    assert found(x, w, made(x, w).astype(np.float32)).arithmetic == "exact"


@pytest.mark.parametrize("arithmetic", ["tf32", "bfloat16"])
def test_operands_of_few_bits(arithmetic: str) -> None:
    x, w = normal(32, 9, 8).astype(np.float32), normal(4, 32, 3, 3, seed=1).astype(np.float32) / 16
    few = [rounded(a, arithmetic).astype(np.float32) for a in (x, w)]
    convention = found(x, w, made(*few).astype(np.float32))
    assert (convention.arithmetic, convention.scale) == (arithmetic, 1.0)


def test_an_fft_leaves_noise_and_is_no_near_match() -> None:
    x, w = normal(2, 33, 37).astype(np.float32), normal(3, 2, 5, 4, seed=1).astype(np.float32)
    y = [sum(signal.fftconvolve(a, b, "valid") for a, b in zip(x, k, strict=True)) for k in w]
    assert found(x, w, np.float32(y)).flip == ("H", "W")


def test_a_layer_stored_in_bytes() -> None:
    x, w = photo(3, 20, 22), whole(4, 3, 3, 3, seed=1, most=90, dtype=np.int8)
    acc = made(x.astype(np.int64) - 117, w) + np.array([900, -1500, 20, 2500])[:, None, None]
    convention = found(x, w, np.rint(acc * 0.0011 + 125).astype(np.uint8))
    assert convention.scale == pytest.approx(0.0011, rel=1e-3)
    holds(
        convention,
        {"storage": {"dtype": "uint8", "rounding": "half_even", "overflow": "saturate"}},
    )


def test_sums_of_bytes_that_wrapped() -> None:
    x, w = photo(3, 12, 13), whole(4, 3, 3, 3, seed=1)
    y = made(x, w).astype(np.uint8)
    holds(found(x, w, y), {"scale": 1.0, "storage": {"dtype": "uint8", "overflow": "wrap"}})


@pytest.mark.slow
def test_the_fractions_of_a_mean_filter_are_cut_off() -> None:
    """As ndimage stores the weighted sums of bytes."""
    x, w = photo(21, 22, seed=8), np.full((3, 3), 1 / 9)
    convention = found(x, w, ndimage.convolve(x, w))
    assert convention.bias is None
    holds(convention, {"storage": {"dtype": "uint8", "rounding": "toward_zero"}})


def test_gains_of_five_percent_are_numbers_though_bfloat16_hides_much_of_them() -> None:
    x, w = normal(16, 12, 13).astype(np.float32), normal(4, 16, 3, 3, seed=1).astype(np.float32)
    gains = [1.04, 0.97, 1.0, 0.93]
    y = rounded(made(x, w / 8, scale=gains).astype(np.float32), "bfloat16")
    convention = found(x, w / 8, y)
    assert np.allclose(convention.scale, gains, rtol=2e-3)
    holds(convention, {"storage": {"dtype": "bfloat16"}})


def test_tanh_of_a_fraction_of_the_sums_in_bfloat16() -> None:
    x, w = normal(16, 12, 13).astype(np.float32), normal(4, 16, 3, 3, seed=1).astype(np.float32)
    y = rounded(np.tanh(0.25 * made(x, w / 8)).astype(np.float32), "bfloat16")
    convention = found(x, w / 8, y)
    assert convention.scale == pytest.approx(0.25, rel=1e-2)
    holds(convention, {"activation": "tanh", "storage": {"dtype": "bfloat16"}})


def test_complex_filters_that_scipy_conjugates() -> None:
    image = normal(12, 13) + 1j * normal(12, 13, seed=1)
    kernel = normal(3, 4) + 1j * normal(3, 4, seed=1)
    assert found(image, kernel, signal.correlate(image, kernel, "valid")).conjugate
    plain = signal.convolve(image, kernel, "valid")
    convention = found(image, kernel, plain)
    assert (convention.conjugate, convention.flip) == (False, ("H", "W"))


def test_channels_that_were_cut_off_nearly_throughout_are_said() -> None:
    """Their own numbers are a guess, which the data could not have told."""
    image, filters = normal(3, 12, 13), normal(4, 3, 3, 3, seed=1)
    sums = convcheck.convolve(image, filters, Convention())
    top = np.sort(sums[2].ravel())[-3]
    scales, biases = np.array([1.3, 0.7, 1.9, 0.4]), np.array([2.0, 1.0, 0.0, 0.5])
    biases[2] = -1.9 * top
    output = np.maximum(sums * scales[:, None, None] + biases[:, None, None], 0)
    result = convcheck.identify(image, filters, output)
    assert any("output channel 2 fewer than 8 elements" in warning for warning in result.warnings)
    fine = np.maximum(sums * scales[:, None, None] + 2.0, 0)
    assert not convcheck.identify(image, filters, fine).warnings
