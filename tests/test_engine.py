"""The engine against scipy's 2-D functions and against a second reading of the vocabulary."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import reference_reading
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import convolve2d, correlate2d

from convcheck import engine
from convcheck.convention import (
    FILTER_LAYOUTS,
    FLIPPED,
    IMAGE_LAYOUTS,
    INTEGER_ARITHMETICS,
    PADDING_MODES,
    PER_CHANNEL,
    PRECISIONS,
    Convention,
)
from convcheck.errors import InputError

SETTINGS = settings(derandomize=True, deadline=None, max_examples=150)


def digits(*shape: int, seed: int = 0, low: int = -4, high: int = 10) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.float64)


def agree(image: np.ndarray, filters: np.ndarray, convention: Convention) -> np.ndarray:
    """The engine's result, which is the second reading's to the last digit."""
    got = engine.convolve(image, filters, convention)
    read = reference_reading.convolve(image, filters, convention)
    expected = np.vectorize(
        lambda v: reference_reading.round_to(v, convention.arithmetic), otypes=[object]
    )(read)
    assert got.shape == read.shape
    assert got.tolist() == expected.tolist()
    assert engine.output_shape(image.shape, filters.shape, convention) == got.shape
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


def test_a_large_picture_goes_through_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    image, filters = digits(3, 13, 9), digits(2, 3, 3, 2, seed=1)
    for convention in (Convention(), Convention(stride=(2, 1), dilation=(3, 2), padding=1)):
        whole = engine.convolve(image, filters, convention)
        for block in (1, 100, 500):
            monkeypatch.setattr(engine, "BLOCK", block)
            assert np.array_equal(engine.convolve(image, filters, convention), whole)


@pytest.mark.parametrize("block", [1, 40, 200, 1000, 1 << 20])
@pytest.mark.parametrize(
    ("channels", "shape", "settings"),
    [
        (6, (12, 1, 3, 2), {"groups": 6}),
        (6, (6, 2, 3, 2), {"groups": 3, "stride": 2, "dilation": (1, 2)}),
        (6, (4, 6, 1, 1), {}),
        (6, (4, 6, 1, 1), {"padding": ((-1, 0), (0, -2))}),
        (6, (4, 6, 1, 1), {"stride": (1, 2)}),
        (6, (4, 6, 1, 1), {"stride": 2}),
        (6, (4, 3, 1, 1), {"groups": 2}),
    ],
    ids=[
        "depthwise",
        "groups",
        "1x1",
        "1x1 cropped",
        "1x1 with a stride",
        "1x1 with two",
        "1x1 in groups",
    ],
)
def test_every_route_gives_the_same(
    block: int,
    channels: int,
    shape: tuple[int, ...],
    settings: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "BLOCK", block)
    images = digits(2, channels, 7, 8)
    agree(
        images,
        digits(*shape, seed=1),
        Convention(image_layout="NCHW", output_layout="NOHW", **settings),
    )


def test_one_and_three_dimensions() -> None:
    line = engine.correlate(digits(1, 2, 9), digits(3, 2, 4, seed=1), (2,), (1,))
    for k in range(3):
        expected = sum(
            np.correlate(digits(1, 2, 9)[0, c], digits(3, 2, 4, seed=1)[k, c], "valid")[::2]
            for c in range(2)
        )
        assert np.array_equal(line[0, k], expected)
    block, kernel = digits(1, 1, 4, 5, 6), digits(1, 1, 2, 3, 2, seed=1)
    got = engine.correlate(block, kernel, (1, 1, 1), (1, 1, 1))[0, 0]
    for place in np.ndindex(got.shape):
        window = block[0, 0][tuple(slice(p, p + f) for p, f in zip(place, (2, 3, 2), strict=True))]
        assert got[place] == (window * kernel[0, 0]).sum()


# --- against the second reading, key by key -----------------------------------------------------

X, W = digits(3, 6, 7), digits(4, 3, 2, 3, seed=1)

CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((3, 6, 7), (4, 3, 2, 3), {}),
    "1x1": ((3, 1, 1), (2, 3, 1, 1), {}),
    "flip I": ((3, 6, 7), (4, 3, 2, 3), {"flip": ["I"]}),
    "flip H": ((3, 6, 7), (4, 3, 2, 3), {"flip": ["H"]}),
    "flip W": ((3, 6, 7), (4, 3, 2, 3), {"flip": ["W"]}),
    "HWC": ((6, 7, 3), (4, 3, 2, 3), {"image_layout": "HWC"}),
    "CWH": ((3, 7, 6), (4, 3, 2, 3), {"image_layout": "CWH"}),
    "HW": ((6, 7), (4, 1, 2, 3), {"image_layout": "HW"}),
    "NCHW": ((2, 3, 6, 7), (4, 3, 2, 3), {"image_layout": "NCHW", "output_layout": "NOHW"}),
    "NHWC": ((2, 6, 7, 3), (4, 3, 2, 3), {"image_layout": "NHWC", "output_layout": "NHWO"}),
    "HWIO": ((3, 6, 7), (2, 3, 3, 4), {"filter_layout": "HWIO"}),
    "IHW, one filter": ((3, 6, 7), (3, 2, 3), {"filter_layout": "IHW", "output_layout": "HW"}),
    "HW, one kernel": ((1, 6, 7), (2, 3), {"filter_layout": "HW", "output_layout": "HWO"}),
    "one kernel for all": ((3, 6, 7), (2, 3), {"filter_layout": "HW", "groups": 3}),
    "HWIM": ((3, 6, 7), (2, 3, 3, 2), {"filter_layout": "HWIM", "groups": 3}),
    "HWIM flipped": (
        (3, 6, 7),
        (2, 3, 3, 2),
        {"filter_layout": "HWIM", "groups": 3, "flip": ["I", "W"], "kernel_transposed": True},
    ),
    "depthwise": ((3, 6, 7), (3, 1, 2, 3), {"groups": 3}),
    "groups": ((4, 6, 7), (6, 2, 2, 3), {"groups": 2}),
    "groups flipped": ((4, 6, 7), (6, 2, 2, 3), {"groups": 2, "flip": ["I", "H"]}),
    "transposed bank": (
        (4, 3, 4),
        (4, 3, 2, 3),
        {
            "groups": 2,
            "filter_layout": "IOHW",
            "input_dilation": 2,
            "padding": 2,
            "flip": ["H", "W"],
        },
    ),
    "transposed bank, I flipped": ((4, 6, 7), (3, 4, 2, 3), {"groups": 2, "flip": ["I"]}),
    "stride": ((3, 6, 7), (4, 3, 2, 3), {"stride": [2, 3]}),
    "dilation": ((3, 6, 7), (4, 3, 2, 3), {"dilation": [3, 2]}),
    "input_dilation": ((3, 3, 4), (4, 3, 2, 3), {"input_dilation": [2, 3], "padding": 1}),
    "padding": ((3, 6, 7), (4, 3, 2, 3), {"padding": [[0, 1], [2, 3]]}),
    "a padding value": (
        (3, 6, 7),
        (4, 3, 2, 3),
        {"padding": [[1, 0], [2, 1]], "padding_value": 2.5},
    ),
    "cropped": ((3, 6, 7), (4, 3, 2, 3), {"padding": [[-1, -2], [0, -3]]}),
    "padded and cropped": ((3, 6, 7), (4, 3, 2, 3), {"padding": [[2, -2], [-3, 1]]}),
    "swapped kernel": ((3, 6, 7), (4, 3, 2, 3), {"kernel_transposed": True}),
    "swapped and flipped": ((3, 6, 7), (4, 3, 2, 3), {"kernel_transposed": True, "flip": ["H"]}),
    "BGR": ((3, 6, 7), (4, 3, 2, 3), {"channel_order": [2, 1, 0]}),
    "rotated channels": ((3, 6, 7), (4, 3, 2, 3), {"channel_order": [1, 2, 0], "flip": ["I"]}),
    "scale, bias, relu": (
        (3, 6, 7),
        (4, 3, 2, 3),
        {"scale": 0.25, "bias": [-9.5, 0, 3, 20], "activation": "relu"},
    ),
    "a negative scale": ((3, 6, 7), (4, 3, 2, 3), {"scale": -1.5}),
}


@pytest.mark.parametrize("name", CASES)
def test_one_key_at_a_time(name: str) -> None:
    image_shape, filters_shape, keys = CASES[name]
    agree(digits(*image_shape), digits(*filters_shape, seed=1), Convention.from_dict(keys))


@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("padding", [[[1, 2], [3, 0]], [[9, 7], [8, 11]], [[3, -2], [-1, 2]]])
def test_padding_modes_however_far_they_reach(mode: str, padding: Any) -> None:
    convention = Convention(padding=padding, padding_mode=mode)
    agree(digits(2, 3, 4), digits(1, 2, 2, 2, seed=1), convention)
    agree(digits(2, 1, 2), digits(1, 2, 1, 2, seed=1), convention.replace(padding=((2, 3), (3, 2))))


def test_the_modes_are_numpys() -> None:
    line = np.arange(1.0, 5)[None, None]
    for mode in PADDING_MODES:
        convention = Convention(padding=((0, 0), (6, 9)), padding_mode=mode)
        got = engine.convolve(line, np.ones((1, 1, 1, 1)), convention)
        assert np.array_equal(got[0, 0], np.pad(line[0, 0], (6, 9), mode=mode))


@pytest.mark.parametrize("arithmetic", [*PRECISIONS, *INTEGER_ARITHMETICS])
def test_arithmetic_at_the_end(arithmetic: str) -> None:
    # Halves are rounded to even or truncated, and the sums leave every integer's range.
    image, filters = (
        digits(2, 9, 9, low=-300, high=300),
        digits(3, 2, 2, 2, seed=1, low=-90, high=90),
    )
    convention = Convention(arithmetic=arithmetic, scale=0.5)
    if arithmetic == "float16":
        image /= 8
    got = agree(image, filters, convention)
    if ":" in arithmetic:
        assert got.dtype == np.dtype(arithmetic.partition(":")[2])
    if arithmetic.endswith("32") and ":" in arithmetic:
        agree(image * 2**20, filters, convention)


def test_integers_that_wrap_as_numpys_own_do() -> None:
    image, filters = digits(1, 5, 6, low=0, high=256), digits(1, 1, 2, 3, seed=1, low=0, high=256)
    narrow = correlate2d(image[0].astype(np.uint8), filters[0, 0].astype(np.uint8), "valid")
    got = engine.convolve(image, filters, Convention(arithmetic="wrap:uint8"))
    assert np.array_equal(got[0], narrow)


# --- against the second reading, at random ------------------------------------------------------


@st.composite
def problems(draw: Any) -> tuple[np.ndarray, np.ndarray, Convention]:
    integer = st.integers
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    inputs, outputs = draw(integer(1, 3)), draw(integer(1, 2))
    channels = groups * inputs
    kernel = [draw(integer(1, 3)), draw(integer(1, 3))]
    image_layout = draw(st.sampled_from([n for n in IMAGE_LAYOUTS if "C" in n or channels == 1]))
    bank = draw(st.sampled_from(["plain", "plain", "transposed", "special"]))
    filter_layout = draw(st.sampled_from([n for n in FILTER_LAYOUTS if set(n) == set("OIHW")]))
    sizes = {"O": groups * outputs, "I": inputs, "H": kernel[0], "W": kernel[1]}
    if bank == "transposed":
        sizes |= {"O": outputs, "I": channels}
    elif bank == "special":
        filter_layout = draw(st.sampled_from(["IHW", "HW", "HWIM"]))
        sizes |= {"I": channels, "M": outputs}
        if filter_layout == "HW":
            groups = channels
        elif filter_layout == "IHW":
            groups = 1
        else:
            groups = channels
    swapped = draw(st.booleans())
    if swapped:
        kernel.reverse()
    dilation = [draw(integer(1, 2)), draw(integer(1, 2))]
    gaps = [draw(integer(1, 3)), draw(integer(1, 2))]
    space, padding = [], []
    for f, d, gap in zip(kernel, dilation, gaps, strict=True):
        size = draw(integer(1, 5))
        before = draw(integer(-2, 4))
        extent, spread = d * (f - 1) + 1, (size - 1) * gap + 1
        after = draw(
            integer(max(extent, 1) - spread - before, max(extent, 1) - spread - before + 4)
        )
        space.append(size)
        padding.append((before, after))
    batch = draw(integer(1, 2)) if "N" in image_layout else 1
    total = {"HW": 1, "HWIM": channels * outputs, "IHW": 1}.get(filter_layout, sizes["O"])
    if filter_layout == "HW":
        total = groups
    elif bank == "transposed" and groups > 1:
        total = groups * outputs
    layouts = ["NOHW", "NHWO"] + (["OHW", "HWO"] if batch == 1 else [])
    layouts += ["HW"] if batch == total == 1 else []
    numbers = st.sampled_from([0.0, 1.0, -0.5, 3.0])
    convention = Convention(
        image_layout=image_layout,
        filter_layout=filter_layout,
        output_layout=draw(st.sampled_from(layouts)),
        flip=tuple(draw(st.lists(st.sampled_from("IHW"), unique=True))),
        stride=(draw(integer(1, 3)), draw(integer(1, 3))),
        dilation=tuple(dilation),
        input_dilation=tuple(gaps),
        padding=tuple(padding),
        padding_mode=draw(st.sampled_from(PADDING_MODES)),
        padding_value=draw(numbers),
        groups=groups,
        channel_order=draw(st.none() | st.permutations(range(channels)).map(tuple)),
        kernel_transposed=swapped,
        scale=draw(st.sampled_from([1.0, 0.5, -2.0])),
        bias=draw(st.none() | st.lists(numbers, min_size=total, max_size=total).map(tuple)),
        activation=draw(st.sampled_from([None, None, "relu"])),
        arithmetic=draw(st.sampled_from([*PRECISIONS, *INTEGER_ARITHMETICS])),
    )
    image = {"N": batch, "C": channels, "H": space[0], "W": space[1]}
    rng = np.random.default_rng(draw(integer(0, 2**32)))
    dtype = draw(st.sampled_from(["float64", "float32", "int8", "int64"]))
    return (
        rng.integers(-9, 10, [image[axis] for axis in image_layout]).astype(dtype),
        rng.integers(-9, 10, [sizes[axis] for axis in filter_layout]).astype(dtype),
        convention,
    )


@SETTINGS
@given(problems())
def test_any_convention(problem: tuple[np.ndarray, np.ndarray, Convention]) -> None:
    image, filters, convention = problem
    got = agree(image, filters, convention)
    sizes = engine.magnitude(image, filters, convention)
    absolute = convention.replace(padding_value=abs(convention.padding_value))
    plain = absolute.replace(scale=1.0, bias=None, activation=None, arithmetic="exact")
    read = reference_reading.convolve(abs(image), abs(filters), plain)
    assert sizes.tolist() == read.astype(float).tolist()
    # How an array lies in memory is no part of a convention.
    image.flags.writeable = filters.flags.writeable = False
    backwards = np.ascontiguousarray(image[::-1])[::-1]
    assert np.array_equal(engine.convolve(backwards, np.asfortranarray(filters), convention), got)


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
        ((3, 6, 7), (4, 3, 2, 3), {"bias": [1.0]}, "bias"),
        ((4, 6, 7), (3, 2, 2, 3), {"groups": 2}, "channels"),
        ((3, 6, 7), (4, 3, 2, 3), {"groups": 2}, "channels"),
        ((3, 6, 7), (4, 3, 2, 3), {"output_layout": "HW"}, "layout HW"),
        ((2, 3, 6, 7), (4, 3, 2, 3), {"image_layout": "NCHW"}, "layout OHW"),
        ((3, 6, 7), (2, 3, 3, 2), {"filter_layout": "HWIM"}, "HWIM"),
        ((3, 6, 7), (2, 3), {"filter_layout": "HW"}, "channels"),
    ],
)
def test_shapes_that_a_convention_does_not_fit(
    image_shape: Any, filters_shape: Any, keys: dict[str, Any], words: str
) -> None:
    convention = Convention.from_dict(keys)
    with pytest.raises(InputError) as caught:
        engine.convolve(np.ones(image_shape), np.ones(filters_shape), convention)
    assert words in str(caught.value)


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


def test_integers_wrap_as_integers() -> None:
    """The trunc of older numpys would make floats of them, and round them."""
    large = np.array([2**53 + 1, -(2**53) - 1, 7])
    assert engine.round_to(large, "wrap:int32").tolist() == [1, -1, 7]
    assert engine.round_to(large, "saturate:int32").tolist() == [2**31 - 1, -(2**31), 7]


@pytest.mark.parametrize(
    ("image_shape", "filters_shape", "keys", "got"),
    [
        (
            (3, 6, 7),
            (4, 3, 2, 3),
            {"channel_order": [1, 0]},
            "2 channels in channel_order, 3 in the image",
        ),
        (
            (5, 6, 7),
            (4, 3, 2, 2),
            {},
            (
                "filters (4, 3, 2, 2) read as OIHW, 4 filters of 3 channels; groups: 1; "
                "an image of 5 channels"
            ),
        ),
        ((3, 6, 7), (4, 3, 2, 3), {"bias": [1, 2]}, "2 numbers for 4 output channels"),
        ((3, 6, 7), (4, 3, 2, 3), {"output_layout": "HW"}, "4 along O"),
        ((3, 6), (4, 3, 2, 3), {}, "shape (3, 6)"),
        ((3, 6, 7), (4, 3, 2, 3), {"padding": [[0, 0], [-3, -4]]}, "(-3, -4) on an axis of 7"),
        (
            (3, 6, 7),
            (4, 3, 2, 3),
            {"dilation": [6, 2]},
            "a filter that spans (7, 5), a padded image of (6, 7)",
        ),
    ],
)
def test_what_does_not_fit_is_said_to_the_letter(
    image_shape: Any, filters_shape: Any, keys: dict[str, Any], got: str
) -> None:
    with pytest.raises(InputError) as caught:
        engine.convolve(np.ones(image_shape), np.ones(filters_shape), Convention.from_dict(keys))
    assert caught.value.got == got


def test_channels_that_hwim_would_add_up() -> None:
    for layout, words in (("HWIM", "does not add channels up"), ("HWIO", "as many channels")):
        with pytest.raises(InputError) as caught:
            engine.arrange_filters(np.ones((2, 3, 3, 2)), Convention(filter_layout=layout), 4)
        assert words in str(caught.value.expected)


@pytest.mark.parametrize(
    ("shape", "dtype", "sizes", "limit"),
    [
        ((1, 1, 1, 1), "float64", (1 << 14, 1 << 15), "4,294,967,296"),
        ((1, 1, 1, 1), "uint8", (1 << 14, 1 << 15), "4,294,967,296"),
        ((1, 1, 1, 1), "complex128", (1 << 14, 1 << 14), "4,294,967,296"),
        ((2, 3, 1, 1), "float64", (89_478_485, 1), "4,294,967,296"),
        ((1, 1, 1 << 15, 1 << 15), "float64", (1 << 16, 1 << 16), "34,359,738,368"),
    ],
)
def test_how_far_an_image_may_be_blown_up(shape: Any, dtype: str, sizes: Any, limit: str) -> None:
    """To 4 GiB, or 4 times its own size; no memory is taken to say so."""
    x = np.broadcast_to(np.zeros((), dtype), shape)
    engine._check_growth(x, sizes, "the padding")
    with pytest.raises(InputError, match="the padding") as caught:
        engine._check_growth(x, (sizes[0] + 1, sizes[1]), "the padding")
    assert caught.value.expected == f"at most {limit} bytes"
    assert f"{sizes[0] + 1}x{sizes[1]} samples a channel" in str(caught.value.got)


def test_integers_padded_by_what_is_none() -> None:
    ones = np.ones((1, 1, 1, 1), np.int64)
    padded = engine.pad(ones, Convention(padding=((0, 0), (1, 0)), padding_value=2.5))
    assert padded.tolist() == [[[[2.5, 1.0]]]]
    padded = engine.pad(ones, Convention(padding=((0, 0), (1, 0)), padding_value=2.0))
    assert (padded.dtype, padded.tolist()) == (np.int64, [[[[2, 1]]]])


def test_complex_magnitudes_and_precisions() -> None:
    image, filters = np.full((1, 1, 1), 3 + 4j), np.full((1, 1, 1, 1), 1j)
    assert engine.magnitude(image, filters, Convention()).tolist() == [[[5.0]]]
    assert engine.magnitude(image, filters, Convention()).dtype == np.float64
    assert engine.magnitude(image.real, filters.real, Convention()).dtype == np.float64
    third = np.array([(1 + 2j) / 3])
    for name, dtype in (("float64", np.complex128), ("float32", np.complex64)):
        rounded = engine.round_to(third, name)
        assert rounded.dtype == dtype
        assert rounded.tolist() == third.astype(dtype).tolist()
    assert engine.round_to(third, "bfloat16").tolist() == [0.333984375 + 0.66796875j]


def test_what_needs_no_work_is_not_copied() -> None:
    x = np.ones((1, 1, 2, 2))
    assert engine.spread(x, (1, 1)) is x
    assert np.shares_memory(engine.pad(x, Convention(padding=((0, -1), (0, 0)))), x)


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.0, -1.0])
def test_every_scale_is_applied(scale: float) -> None:
    agree(X, W, Convention(scale=scale))


def test_integers_that_are_not_scaled_stay_integers() -> None:
    sums = np.full((1, 1, 1, 1), 2**53 + 1)
    assert engine.finish(sums, Convention()).dtype == np.int64
    assert engine.finish(sums, Convention(activation="relu")).tolist() == sums.tolist()


@pytest.mark.parametrize(
    ("channels", "size", "elements"),
    [
        (1, (99, 99), 97 * 9),  # one row's windows, which are nearly a block
        (4, (99, 99), 97 * 9),  # and of one group alone
        (12, (99, 5), 1000),  # many rows of a group; all of its rows are more than a block
    ],
)
def test_windows_take_no_more_memory_than_a_block(
    channels: int, size: tuple[int, int], elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BLOCK", 1000)
    x, w = np.ones((1, channels, *size)), np.ones((channels, 1, 3, 3))
    engine.correlate(x, w, (1, 1), (1, 1), channels)
    tracemalloc.start()
    try:
        y = engine.correlate(x, w, (1, 1), (1, 1), channels)
        assert tracemalloc.get_traced_memory()[1] < y.nbytes + 1.5 * elements * 8 + 4000
    finally:
        tracemalloc.stop()


def test_an_axis_too_few_or_too_many_is_no_silent_success() -> None:
    x, w = np.ones((1, 1, 3, 3)), np.ones((1, 1, 1, 1))
    for call in (
        lambda: engine.spread(x, (2,)),
        lambda: engine.pad(x[..., 0], Convention()),
        lambda: engine.correlate(x, w, (1,), (1, 1)),
        lambda: engine.correlate(x, w, (1, 1), (1,)),
        lambda: engine.correlate(x, w[..., 0], (1, 1), (1,)),
        lambda: engine.arrange_output(x[..., 0], Convention()),
    ):
        with pytest.raises(ValueError, match="zip"):
            call()


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
