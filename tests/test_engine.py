"""The engine against scipy's 2-D functions and against plain loops over the vocabulary."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_convolution import before_storage, rounded, stored
from scipy.signal import convolve2d, correlate2d

import convcheck
from convcheck import engine
from convcheck.convention import (
    FLIPPED,
    PADDING_MODES,
    PER_CHANNEL,
    PRECISIONS,
    Convention,
)
from convcheck.errors import InputError

SETTINGS = settings(derandomize=True, deadline=None, max_examples=100)


def digits(*shape: int, seed: int = 0, low: int = -4, high: int = 10) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.float64)


def agree(image: np.ndarray, filters: np.ndarray, keys: dict[str, Any]) -> np.ndarray:
    """The engine's result, which is that of the plain loops to the last digit."""
    convention = Convention.from_dict(keys)
    got = engine.convolve(image, filters, convention)
    read = before_storage(image, filters, keys)
    # Sums of TF32 operands are single precision's.
    kept = {"tf32": "float32"}.get(convention.arithmetic, convention.arithmetic)
    expected = stored(rounded(read.astype(np.float64), kept), keys.get("storage"))
    np.testing.assert_array_equal(got, expected)
    assert engine.output_shape(image.shape, filters.shape, convention) == got.shape
    if keys.get("storage"):
        assert got.dtype == keys["storage"]["dtype"]
    return got


# --- against scipy ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("convention", "one"),
    [
        (
            PER_CHANNEL,
            lambda x, w: sum(convolve2d(a, b, "valid") for a, b in zip(x, w, strict=True)),
        ),
        (
            FLIPPED,
            lambda x, w: sum(convolve2d(a, b, "valid") for a, b in zip(x, w[::-1], strict=True)),
        ),
        (
            Convention(),
            lambda x, w: sum(correlate2d(a, b, "valid") for a, b in zip(x, w, strict=True)),
        ),
    ],
    ids=["per-channel", "flipped", "correlation"],
)
@pytest.mark.parametrize(
    "shapes", [((1, 1, 1), (1, 1, 1, 1)), ((3, 7, 9), (4, 3, 2, 3)), ((5, 4, 11), (2, 5, 4, 5))]
)
def test_the_named_conventions_are_scipys_2d_sums(
    convention: Convention, one: Any, shapes: Any
) -> None:
    image, filters = digits(*shapes[0]), digits(*shapes[1], seed=1)
    expected = np.stack([one(image, w) for w in filters])
    assert np.array_equal(engine.convolve(image, filters, convention), expected)
    measured = image + 0.1, filters / 3
    expected = np.stack([one(measured[0], w) for w in measured[1]])
    assert np.allclose(engine.convolve(*measured, convention), expected, rtol=0, atol=1e-11)


def test_complex_numbers_are_not_conjugated() -> None:
    image = digits(2, 4, 5) + 1j * digits(2, 4, 5, seed=1)
    filters = digits(3, 2, 2, 3, seed=2) - 1j * digits(3, 2, 2, 3, seed=3)
    expected = [
        sum(convolve2d(a, b, "valid") for a, b in zip(image, w, strict=True)) for w in filters
    ]
    got = engine.convolve(image, filters, PER_CHANNEL)
    assert got.dtype == np.complex128
    assert np.array_equal(got, np.stack(expected))


# --- against plain loops, key by key ------------------------------------------------------------

X, W = digits(3, 6, 7), digits(4, 3, 2, 3, seed=1)
STORED = {"dtype": "uint8", "zero_point": 0, "rounding": "half_even", "overflow": "saturate"}

CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((3, 6, 7), (4, 3, 2, 3), {}),
    "1x1": ((3, 1, 1), (2, 3, 1, 1), {}),
    "1x1 with a stride": ((6, 7, 8), (4, 6, 1, 1), {"stride": [1, 2]}),
    "1x1 in groups, cropped": (
        (6, 7, 8),
        (4, 3, 1, 1),
        {"groups": 2, "padding": [[-1, 0], [0, -2]]},
    ),
    "flip I": ((3, 6, 7), (4, 3, 2, 3), {"flip": ["I"]}),
    "flip H": ((3, 6, 7), (4, 3, 2, 3), {"flip": ["H"]}),
    "flip W": ((3, 6, 7), (4, 3, 2, 3), {"flip": ["W"]}),
    "HWC": ((6, 7, 3), (4, 3, 2, 3), {"image_layout": "HWC"}),
    "CWH": ((3, 7, 6), (4, 3, 2, 3), {"image_layout": "CWH"}),
    "NHWC": ((2, 6, 7, 3), (4, 3, 2, 3), {"image_layout": "NHWC", "output_layout": "NHWC"}),
    "batch last": ((3, 6, 7, 2), (4, 3, 2, 3), {"image_layout": "CHWN", "output_layout": "WNCH"}),
    "HWIO": ((3, 6, 7), (2, 3, 3, 4), {"filter_layout": "HWIO"}),
    "OIWH": ((3, 6, 7), (4, 3, 3, 2), {"filter_layout": "OIWH", "flip": ["H"]}),
    "OIHW taken as HWIO": ((3, 6, 7), (4, 3, 2, 3), {"filter_memory": "HWIO", "flip": ["I", "W"]}),
    "HWC taken as CHW": ((6, 7, 3), (4, 3, 2, 3), {"image_layout": "HWC", "image_memory": "CHW"}),
    "IHW, one filter": ((3, 6, 7), (3, 2, 3), {"filter_layout": "IHW", "output_layout": "HW"}),
    "HW, one kernel": (
        (6, 7),
        (2, 3),
        {"image_layout": "HW", "filter_layout": "HW", "output_layout": "HWC"},
    ),
    "one kernel for all": ((3, 6, 7), (2, 3), {"filter_layout": "HW", "groups": 3}),
    "HWIM": ((3, 6, 7), (2, 3, 3, 2), {"filter_layout": "HWIM", "groups": 3, "flip": ["I", "W"]}),
    "depthwise": ((3, 6, 7), (3, 1, 2, 3), {"groups": 3}),
    "groups": ((4, 6, 7), (6, 2, 2, 3), {"groups": 2}),
    "groups flipped": ((4, 6, 7), (6, 2, 2, 3), {"groups": 2, "flip": ["I", "H"]}),
    "transposed": (
        (4, 3, 4),
        (4, 3, 2, 3),
        {
            "filter_layout": "IOHW",
            "input_dilation": [2, 2],
            "padding": [[2, 2], [2, 3]],
            "flip": ["H", "W"],
        },
    ),
    "transposed in groups": ((4, 3, 4), (4, 3, 2, 3), {"groups": 2, "filter_layout": "IOHW"}),
    "stride": ((3, 6, 7), (4, 3, 2, 3), {"stride": [2, 3]}),
    "dilation": ((3, 6, 7), (4, 3, 2, 3), {"dilation": [3, 2]}),
    "input_dilation": (
        (3, 3, 4),
        (4, 3, 2, 3),
        {"input_dilation": [2, 3], "padding": [[1, 1], [1, 1]]},
    ),
    "padding": ((3, 6, 7), (4, 3, 2, 3), {"padding": [[0, 1], [2, 3]]}),
    "a padding value": (
        (3, 6, 7),
        (4, 3, 2, 3),
        {"padding": [[1, 0], [2, 1]], "padding_value": 2.5},
    ),
    "cropped": ((3, 6, 7), (4, 3, 2, 3), {"padding": [[-1, -2], [0, -3]]}),
    "padded and cropped": ((3, 6, 7), (4, 3, 2, 3), {"padding": [[2, -2], [-3, 1]]}),
    "a mode for each axis": (
        (3, 6, 7),
        (4, 3, 2, 3),
        {"padding": [[2, 1], [1, 3]], "padding_mode": ["reflect", "wrap"]},
    ),
    "BGR": ((3, 6, 7), (4, 3, 2, 3), {"channel_order": [2, 1, 0]}),
    "rotated channels": ((3, 6, 7), (4, 3, 2, 3), {"channel_order": [1, 2, 0], "flip": ["I"]}),
    "outputs in another order": ((3, 6, 7), (4, 3, 2, 3), {"output_order": [2, 0, 3, 1]}),
    "image offset and scale": (
        (3, 6, 7),
        (4, 3, 2, 3),
        {"image_offset": [1, 2, 3], "image_scale": [0.5, 0.25, 2], "channel_order": [2, 0, 1]},
    ),
    "the offset comes before the padding": (
        (3, 6, 7),
        (4, 3, 2, 3),
        {"image_offset": 3, "padding": [[1, 1], [1, 1]], "padding_value": 5},
    ),
    "zero points of the filters": ((3, 6, 7), (4, 3, 2, 3), {"filter_offset": [1, 2, 3, 4]}),
    "scale, bias, relu": (
        (3, 6, 7),
        (4, 3, 2, 3),
        {"scale": 0.25, "bias": [-9.5, 0, 3, 20], "activation": "relu"},
    ),
    "a scale for each channel": ((3, 6, 7), (4, 3, 2, 3), {"scale": [0.5, 2, -1, 0], "bias": 3}),
    "stored in bytes": ((3, 6, 7), (4, 3, 2, 3), {"scale": 0.5, "storage": STORED}),
    "stored with a zero point": (
        (3, 6, 7),
        (4, 3, 2, 3),
        {"output_order": [1, 0, 3, 2], "storage": {**STORED, "zero_point": 100}},
    ),
    "1-D": (
        (3, 20),
        (4, 3, 5),
        {"image_layout": "CW", "filter_layout": "OIW", "output_layout": "CW", "stride": [2]},
    ),
    "3-D": (
        (2, 4, 5, 6),
        (3, 2, 2, 3, 2),
        {
            "image_layout": "CDHW",
            "filter_layout": "OIDHW",
            "output_layout": "DHWC",
            "flip": ["I", "D"],
            "stride": [1, 2, 1],
            "padding": [[1, 0], [0, 1], [2, 2]],
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_key_at_a_time(name: str) -> None:
    image_shape, filters_shape, keys = CASES[name]
    agree(digits(*image_shape), digits(*filters_shape, seed=1), keys)


@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("padding", [[[1, 2], [3, 0]], [[9, 7], [8, 11]], [[3, -2], [-1, 2]]])
def test_padding_modes_however_far_they_reach(mode: str, padding: Any) -> None:
    keys = {"padding": padding, "padding_mode": mode}
    agree(digits(2, 3, 4), digits(1, 2, 2, 2, seed=1), keys)
    agree(digits(2, 1, 2), digits(1, 2, 1, 2, seed=1), keys | {"padding": [[2, 3], [3, 2]]})


@pytest.mark.parametrize("arithmetic", PRECISIONS)
def test_arithmetic_at_the_end(arithmetic: str) -> None:
    image = digits(2, 9, 9, low=-30, high=30)
    filters = digits(3, 2, 2, 2, seed=1, low=-90, high=90)
    agree(image, filters, {"arithmetic": arithmetic, "scale": 0.5})


@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
@pytest.mark.parametrize("rounding", ["half_even", "half_away", "half_up", "toward_zero", "down"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32"])
def test_storage_at_the_end(dtype: str, rounding: str, overflow: str) -> None:
    image = digits(2, 9, 9, low=-300, high=300)
    filters = digits(3, 2, 2, 2, seed=1, low=-90, high=90)
    storage = {"dtype": dtype, "zero_point": 3, "rounding": rounding, "overflow": overflow}
    agree(image, filters, {"scale": 0.5, "storage": storage})
    agree(image * 2**10, filters, {"storage": storage})


def test_operands_of_few_bits_are_rounded_first() -> None:
    image, filters = np.array([[[1 + 2.0**-12]]]), np.array([[[[3.0]]]])
    for arithmetic, result in (("tf32", 3.0), ("float16", 3.0), ("float64", 3 + 3 * 2.0**-12)):
        made = engine.convolve(image, filters, Convention(arithmetic=arithmetic))
        assert made.tolist() == [[[result]]]


def test_conjugated_filters() -> None:
    image, filters = digits(2, 5, 6) * (1 + 2j), digits(3, 2, 2, 3, seed=1) * (2 - 1j)
    made = engine.convolve(image, filters, Convention(conjugate=True))
    assert np.array_equal(made, engine.convolve(image, filters.conj()))


# --- against plain loops, at random -------------------------------------------------------------


@st.composite
def problems(draw: Any) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """An image, filters and keys over any number of spatial axes that fit one another."""
    integer = st.integers
    rank = draw(integer(1, 3))
    axes = "DHW"[3 - rank :]
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    inputs, outputs = draw(integer(1, 3)), draw(integer(1, 2))
    channels = groups * inputs
    bank = draw(st.sampled_from(["plain", "plain", "transposed", "one", "depthwise"]))
    kernel, space, padding = [], [], []
    dilation = draw(st.lists(integer(1, 2), min_size=rank, max_size=rank))
    gaps = draw(st.lists(integer(1, 2), min_size=rank, max_size=rank))
    for d, gap in zip(dilation, gaps, strict=True):
        f, size = draw(integer(1, 3)), draw(integer(1, 5))
        before = draw(integer(-2, 4))
        extent, spread = d * (f - 1) + 1, (size - 1) * gap + 1
        least = extent - spread - before
        kernel.append(f)
        space.append(size)
        padding.append([before, draw(integer(least, least + 4))])
    sizes = {"O": groups * outputs, "I": inputs, "M": outputs}
    sizes |= dict(zip(axes, kernel, strict=True))
    letters, total = "OI", groups * outputs
    if bank == "transposed" and groups > 1:
        sizes |= {"O": outputs, "I": channels}
    elif bank == "one":
        letters, total, groups = "", channels, channels
    elif bank == "depthwise":
        letters, groups, total = "IM", channels, channels * outputs
        sizes |= {"I": channels}
    batch = draw(integer(1, 2))
    others = ["NC", "C"] if batch == 1 else ["NC"]

    def layout(some: str) -> str:
        others = [letter for letter in some if letter not in axes]
        return "".join(draw(st.permutations([*axes, *others])))

    numbers = st.sampled_from([0.0, 1.0, -0.5, 3.0])
    each = st.lists(numbers, min_size=total, max_size=total)
    keys: dict[str, Any] = {
        "image_layout": layout(draw(st.sampled_from(others))),
        "filter_layout": layout(letters),
        "output_layout": layout(draw(st.sampled_from(others))),
        "flip": draw(st.lists(st.sampled_from("I" + axes), unique=True)),
        "stride": draw(st.lists(integer(1, 3), min_size=rank, max_size=rank)),
        "dilation": dilation,
        "input_dilation": gaps,
        "padding": padding,
        "padding_mode": draw(
            st.lists(st.sampled_from(PADDING_MODES), min_size=rank, max_size=rank)
        ),
        "padding_value": draw(numbers),
        "groups": groups,
        "channel_order": draw(st.none() | st.permutations(range(channels))),
        "output_order": draw(st.none() | st.permutations(range(total))),
        "image_offset": draw(st.sampled_from([0, 2, list(range(channels))])),
        "image_scale": draw(st.sampled_from([1, 0.5])),
        "filter_offset": draw(st.sampled_from([0, 1, list(range(total))])),
        "scale": draw(st.sampled_from([1.0, 0.5, -2.0]) | each),
        "bias": draw(st.none() | numbers | each),
        "activation": draw(
            st.sampled_from([None, None, "relu", "relu6", "abs", {"clip": [-5.0, 9.0]}])
        ),
        "storage": draw(st.sampled_from([None, None, STORED, {**STORED, "overflow": "wrap"}])),
    }
    for operand in ("image", "filter"):
        if draw(integer(0, 3)) == 0:
            keys[f"{operand}_memory"] = layout(keys[f"{operand}_layout"])
    image = {"N": batch, "C": channels} | dict(zip(axes, space, strict=True))
    rng = np.random.default_rng(draw(integer(0, 2**32)))
    dtype = draw(st.sampled_from(["float64", "float32", "int8", "int64"]))
    return (
        rng.integers(-9, 10, [image[axis] for axis in keys["image_layout"]]).astype(dtype),
        rng.integers(-9, 10, [sizes[axis] for axis in keys["filter_layout"]]).astype(dtype),
        keys,
    )


def test_memory_is_the_reshaped_array() -> None:
    image, filters = digits(3, 9, 8), digits(4, 3, 2, 5)
    made = engine.convolve(image, filters, Convention(filter_memory="HWIO", padding=1))
    reshaped = filters.reshape(2, 5, 3, 4).transpose(3, 2, 0, 1)
    assert np.array_equal(made, engine.convolve(image, reshaped, Convention(padding=1)))
    # It is C order of the array that counts, not how it happens to lie in memory.
    other = np.asfortranarray(filters)
    again = engine.convolve(image, other, Convention(filter_memory="HWIO", padding=1))
    assert np.array_equal(made, again)
    same = Convention(image_memory="CHW", filter_memory="OIHW")
    assert np.array_equal(
        engine.convolve(image, filters, same), engine.convolve(image, filters, Convention())
    )


@pytest.mark.parametrize(
    "keys",
    [
        {"filter_layout": "HWIM", "filter_memory": "HWIO"},
        {"image_layout": "CHW", "image_memory": "NCHW"},
    ],
    ids=str,
)
def test_a_memory_that_is_none_of_the_layout_is_refused(keys: dict[str, str]) -> None:
    c = Convention()
    for key, value in keys.items():
        c = c.replace(**{key: value})
    with pytest.raises(InputError, match="_memory has other axes"):
        engine.convolve(digits(3, 6, 7), digits(4, 3, 2, 3), c)


@SETTINGS
@given(problems())
def test_any_convention(problem: tuple[np.ndarray, np.ndarray, dict[str, Any]]) -> None:
    image, filters, keys = problem
    got = agree(image, filters, keys)
    # How an array lies in memory is no part of a convention.
    image.flags.writeable = filters.flags.writeable = False
    backwards = np.ascontiguousarray(image[::-1])[::-1]
    made = engine.convolve(backwards, np.asfortranarray(filters), Convention.from_dict(keys))
    assert np.array_equal(made, got)


@SETTINGS
@given(problems())
def test_magnitudes_are_the_sums_of_absolute_values(problem: Any) -> None:
    image, filters, keys = problem
    plain = {"scale": 1.0, "bias": None, "activation": None, "storage": None}
    offsets = {"image_offset": 0, "image_scale": 1, "filter_offset": 0}
    keys = keys | offsets
    sizes = engine.magnitude(image, filters, Convention.from_dict(keys))
    absolute = keys | plain | {"padding_value": abs(keys["padding_value"])}
    np.testing.assert_array_equal(sizes, before_storage(abs(image), abs(filters), absolute))


def test_views_of_any_stride() -> None:
    image, filters = digits(3, 6, 7), digits(4, 3, 2, 3, seed=1)
    expected = engine.convolve(image, filters, FLIPPED)
    wide = np.zeros((3, 12, 14))
    wide[:, ::2, ::2] = image
    hwc = np.ascontiguousarray(image.transpose(1, 2, 0))
    for same in (wide[:, ::2, ::2], image[:, ::-1].copy()[:, ::-1], hwc.transpose(2, 0, 1)):
        assert not same.flags.c_contiguous
        assert np.array_equal(engine.convolve(same, filters, FLIPPED), expected)
    one = np.broadcast_to(image[:1], image.shape)
    assert np.array_equal(
        engine.convolve(one, filters, FLIPPED), engine.convolve(one.copy(), filters, FLIPPED)
    )


def test_neither_operand_is_changed() -> None:
    image, filters = digits(3, 6, 7), digits(4, 3, 2, 3, seed=1)
    before = image.copy(), filters.copy()
    engine.convolve(image, filters, Convention(flip=["I"], padding=-1, scale=2, activation="relu"))
    assert np.array_equal(image, before[0])
    assert np.array_equal(filters, before[1])


# --- what does not fit --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image_shape", "filters_shape", "keys", "words"),
    [
        ((3, 6, 7), (4, 2, 2, 3), {}, "channels"),
        ((3, 6), (4, 3, 2, 3), {}, "layout CHW"),
        ((3, 6, 7), (3, 2, 3), {}, "layout OIHW"),
        ((3, 0, 7), (4, 3, 2, 3), {}, "layout CHW"),
        ((3, 6, 7), (4, 3, 7, 3), {}, "larger"),
        ((3, 6, 7), (4, 3, 2, 3), {"dilation": 6}, "larger"),
        ((3, 6, 7), (4, 3, 2, 3), {"padding": -3}, "crop"),
        ((3, 6, 7), (4, 3, 2, 3), {"channel_order": [1, 0]}, "channel_order"),
        ((3, 6, 7), (4, 3, 2, 3), {"output_order": [1, 0]}, "output_order"),
        ((3, 6, 7), (4, 3, 2, 3), {"image_offset": [1, 0]}, "image_offset"),
        ((3, 6, 7), (4, 3, 2, 3), {"filter_offset": [1, 0]}, "filter_offset"),
        ((3, 6, 7), (4, 3, 2, 3), {"bias": [1.0]}, "bias"),
        ((3, 6, 7), (4, 3, 2, 3), {"scale": [1.0, 2.0]}, "scale"),
        ((4, 6, 7), (3, 2, 2, 3), {"groups": 2}, "channels"),
        ((3, 6, 7), (4, 3, 2, 3), {"groups": 2}, "channels"),
        ((3, 6, 7), (4, 3, 2, 3), {"output_layout": "HW"}, "layout HW"),
        ((2, 3, 6, 7), (4, 3, 2, 3), {"image_layout": "NCHW"}, "layout CHW"),
        ((3, 6, 7), (2, 3, 3, 2), {"filter_layout": "HWIM"}, "HWIM"),
        ((3, 6, 7), (2, 3), {"filter_layout": "HW"}, "channels"),
    ],
)
def test_shapes_that_a_convention_does_not_fit(
    image_shape: Any, filters_shape: Any, keys: dict[str, Any], words: str
) -> None:
    convention = Convention(**keys)
    with pytest.raises(InputError) as caught:
        engine.convolve(np.ones(image_shape), np.ones(filters_shape), convention)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "got"),
    [
        ({"bias": [1, 2]}, "2 numbers for 4 output channels"),
        ({"image_scale": [1, 2]}, "2 numbers for 3 channels"),
        ({"output_layout": "HW"}, "4 along C"),
        ({"padding": [[0, 0], [-3, -4]]}, "(-3, -4) on an axis of 7"),
        ({"dilation": [6, 2]}, "a filter that spans (7, 5), a padded image of (6, 7)"),
    ],
)
def test_what_does_not_fit_is_said_to_the_letter(keys: dict[str, Any], got: str) -> None:
    with pytest.raises(InputError) as caught:
        engine.convolve(X, W, Convention.from_dict(keys))
    assert caught.value.got == got


def test_windows_take_no_memory_that_grows_with_the_picture() -> None:
    peaks = []
    for size in (600, 1200):
        x, w = np.ones((1, 4, size, size)), np.ones((4, 4, 3, 3))
        tracemalloc.start()
        try:
            y = engine.correlate(x, w, (1, 1), (1, 1))
            peaks.append(tracemalloc.get_traced_memory()[1] - y.nbytes)
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
    assert peaks[1] < 16 << 20


def test_a_large_picture_is_what_its_parts_are() -> None:
    image, filters = digits(3, 300, 290), digits(2, 3, 3, 2, seed=1)
    for keys in ({}, {"stride": 2, "dilation": 2}):
        c = Convention(**keys)
        whole = engine.convolve(image, filters, c)
        corner = engine.convolve(image[:, :40, :40], filters, c)
        assert np.array_equal(whole[:, : corner.shape[1], : corner.shape[2]], corner)
        assert np.array_equal(
            whole, before_storage(image, filters, {k: [v, v] for k, v in keys.items()})
        )


def test_integers_that_are_not_scaled_stay_integers() -> None:
    image, filters = np.full((1, 1, 1), 2**53 + 1), np.ones((1, 1, 1, 1), np.int64)
    made = engine.convolve(image, filters, Convention(activation="relu"))
    assert (made.dtype, made.tolist()) == (np.int64, [[[2**53 + 1]]])


def test_complex_magnitudes() -> None:
    image, filters = np.full((1, 1, 1), 3 + 4j), np.full((1, 1, 1, 1), 1j)
    found = engine.magnitude(image, filters, Convention())
    assert (found.dtype, found.tolist()) == (np.float64, [[[5.0]]])


@pytest.mark.parametrize("value", [2.0**62, -(2.0**63), 1e30, 0.5])
def test_a_border_that_large_integers_cannot_add(value: float) -> None:
    image, filters = np.full((1, 2, 2), 2**53 + 2), np.full((1, 1, 1, 3), 3)
    padded = engine.convolve(
        image, filters, Convention(padding=[[0, 0], [2, 0]], padding_value=value)
    )
    assert padded[0, 0] == pytest.approx(
        [6 * value + 3.0 * (2**53 + 2), 3 * value + 6.0 * (2**53 + 2)]
    )
    exact = engine.convolve(image, filters, Convention(padding=[[0, 0], [2, 0]], padding_value=7))
    assert exact[0, 0].tolist() == [42 + 3 * (2**53 + 2), 21 + 6 * (2**53 + 2)]


def test_what_would_be_too_large_is_counted_before_it_is_made() -> None:
    x, far = np.ones((1, 1, 2, 2)), (1 << 20) - 1
    for make, words in (
        (lambda: engine.pad(x, Convention(padding=((0, far), (far, 0)))), "the padding"),
        (lambda: engine.spread(x, (far + 1, far + 1)), "the zeros between its samples"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            make()
        side = far + 2
        assert caught.value.got == f"{side * side * 8:,} bytes, {side}x{side} samples a channel"


@pytest.mark.parametrize("value", [1, -1])
def test_the_border_alone_may_need_integers(value: int) -> None:
    """An image of zeros says nothing of how large the sums are."""
    x, w = np.zeros((1, 1, 1), np.int64), np.array([[[[2**60 + 1, 3]]]])
    made = engine.convolve(x, w, Convention(padding=[[0, 0], [1, 0]], padding_value=value))
    assert int(made[0, 0, 0]) == value * (2**60 + 1)


@pytest.mark.parametrize("value", [2.0**62, 2.0**63, -(2.0**63), 2.0**64, 2.0**70])
def test_a_border_that_no_integer_holds(value: float) -> None:
    x, w = np.ones((1, 1, 1), np.int64), np.ones((1, 1, 1, 2), np.int64)
    made = engine.convolve(x, w, Convention(padding=[[0, 0], [1, 0]], padding_value=value))
    assert made[0, 0, 0] == value


def test_a_border_leaves_integers_exact() -> None:
    x, w = np.full((1, 1, 1), 2**60 + 1), np.ones((1, 1, 1, 2), np.int64)
    made = engine.convolve(x, w, Convention(padding=[[0, 0], [1, 0]], padding_value=1000))
    assert int(made[0, 0, 0]) == 2**60 + 1001


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ("correlation", {}),
        ("flipped", {"flip": "flipped"}),
        ('{"stride": 2, "padding": 1}', {"stride": 2, "padding": 1}),
        ({"stride": np.int64(2), "flip": "per-channel"}, {"stride": 2, "flip": "per-channel"}),
        ({"stride": [2, 1], "bias": np.ones(4)}, {"stride": (2, 1), "bias": (1.0,) * 4}),
    ],
)
def test_a_convention_as_people_write_it(given: Any, keys: dict[str, Any]) -> None:
    image, filters = np.arange(2.0 * 3 * 7 * 8).reshape(2, 3, 7, 8), np.ones((4, 3, 2, 3))
    wanted = Convention("NCHW", "OIHW", "NCHW").replace(**keys)
    right = engine.convolve(image, filters, wanted)
    assert np.array_equal(convcheck.convolve(image, filters, given), right)
    assert np.array_equal(convcheck.convolve(image[0].tolist(), filters, given), right[0])


@pytest.mark.parametrize("given", [{"strid": 2}, {"stride": object()}, "corelation", "{"])
def test_a_convention_that_there_is_not(given: Any) -> None:
    with pytest.raises(convcheck.InputError):
        convcheck.convolve(np.ones((3, 5, 5)), np.ones((1, 3, 2, 2)), given)
