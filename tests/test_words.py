"""Conventions in words: literal sentences, every key of the vocabulary, every kind of padding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convcheck.convention import (
    FILTER_LAYOUTS,
    FLIP_AXES,
    IMAGE_LAYOUTS,
    INTEGER_ARITHMETICS,
    KEYS,
    OUTPUT_LAYOUTS,
    PADDING_MODES,
    PRECISIONS,
    Convention,
)
from convcheck.words import describe, differences

PLAIN = "OUT is the cross-correlation of IMG, read as CHW, with W, read as OIHW"
ALL_AXES = "channels, rows and columns"
NOT_PADDED = f"{PLAIN}, no padding"
OTHER_VALUES = {
    "image_layout": "HWC",
    "filter_layout": "HWIO",
    "output_layout": "NHWO",
    "flip": ("H", "W"),
    "stride": (2, 3),
    "dilation": (3, 1),
    "input_dilation": (2, 2),
    "padding": ((1, 2), (3, -1)),
    "padding_mode": "edge",
    "padding_value": 7,
    "groups": 4,
    "channel_order": (2, 1, 0),
    "kernel_transposed": True,
    "scale": 0.5,
    "bias": (1, 2),
    "activation": "relu",
    "arithmetic": "float16",
}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, NOT_PADDED),
        (
            {"flip": ("H", "W")},
            (
                "OUT is the per-channel convolution (kernel rows and columns reversed) of IMG, "
                "read as CHW, with W, read as OIHW, no padding"
            ),
        ),
        (
            {"flip": ("I", "H", "W")},
            (
                "OUT is the N-D convolution, as scipy.signal.convolve (channels, rows and columns "
                "of the filters reversed), of IMG, read as CHW, with W, read as OIHW, no padding"
            ),
        ),
        (
            {"flip": ("H",)},
            (
                "OUT is the cross-correlation, with the filters' rows reversed, of IMG, "
                "read as CHW, with W, read as OIHW, no padding"
            ),
        ),
        (
            {"flip": ("H", "W"), "input_dilation": 2, "filter_layout": "IOHW"},
            (
                "OUT is the transposed convolution, stride 2 (zeros between the image's samples), "
                "of IMG, read as CHW, with W, read as IOHW, no padding"
            ),
        ),
        (
            {"input_dilation": (2, 1), "stride": 3},
            (
                "OUT is the cross-correlation, with zeros between the image's samples (input "
                "dilation 2 down and 1 across), of IMG, read as CHW, with W, read as OIHW, "
                "then stride 3, no padding"
            ),
        ),
        ({"groups": 4}, f"{PLAIN}, in 4 groups, no padding"),
        (
            {"groups": 4, "filter_layout": "HW"},
            (
                "OUT is the cross-correlation of IMG, read as CHW, with W, read as HW, "
                "one kernel shared by all 4 channels, no padding"
            ),
        ),
        (
            {"channel_order": (2, 1, 0)},
            (
                "OUT is the cross-correlation of IMG, read as CHW with its channels in reverse "
                "order (BGR for RGB), with W, read as OIHW, no padding"
            ),
        ),
        (
            {"channel_order": (1, 0, 2), "kernel_transposed": True},
            (
                "OUT is the cross-correlation of IMG, read as CHW with its channels in the order "
                "1, 0, 2, with W, read as OIHW with the kernel's rows and columns swapped, "
                "no padding"
            ),
        ),
        ({"channel_order": (0, 1, 2)}, NOT_PADDED),
        (
            {"stride": (2, 1), "dilation": 3},
            f"{PLAIN}, stride 2 down and 1 across, dilation 3, no padding",
        ),
        ({"scale": 1 / 9}, f"{NOT_PADDED}, times 1/9"),
        ({"scale": -1 / 4}, f"{NOT_PADDED}, times -1/4"),
        ({"scale": 2.5}, f"{NOT_PADDED}, times 2.5"),
        (
            {"bias": (1, 2), "activation": "relu", "arithmetic": "float32"},
            f"{NOT_PADDED}, plus a bias for each output channel, then ReLU, in float32",
        ),
        ({"arithmetic": "wrap:uint8"}, f"{NOT_PADDED}, truncated to uint8 modulo 256"),
        ({"arithmetic": "wrap:int32"}, f"{NOT_PADDED}, truncated to int32 modulo 2^32"),
        ({"arithmetic": "saturate:uint8"}, f"{NOT_PADDED}, rounded and saturated to uint8"),
        ({"arithmetic": "tf32"}, f"{NOT_PADDED}, in TF32"),
        ({"output_layout": "HWO"}, f"{NOT_PADDED}, written as HWO"),
    ],
)
def test_sentences(changes: dict[str, object], sentence: str) -> None:
    assert describe(Convention(**changes)) == sentence


@pytest.mark.parametrize(
    ("padding", "mode", "value", "words"),
    [
        (1, "constant", 0, "padded 1 on every side"),
        (-1, "constant", 0, "cropped by 1 on every side"),
        (((1, 1), (2, 2)), "constant", 0, "padded 1 above and below, 2 left and right"),
        (((2, 2), (0, 0)), "constant", 0, "padded 2 above and below"),
        (((0, 0), (-2, -2)), "constant", 0, "cropped by 2 on the left and right"),
        (((0, 1), (0, 1)), "constant", 0, "padded 0 before and 1 after"),
        (((1, 2), (0, 3)), "constant", 0, "padded 1 above, 2 below and 3 right"),
        (((-1, 0), (0, 0)), "constant", 0, "cropped by 1 at the top"),
        (((2, -1), (0, -3)), "constant", 0, ("padded 2 above and cropped by 1 at the bottom "
         "and 3 on the right")),
        (1, "constant", 128, "padded 1 on every side with the value 128"),
        (1, "reflect", 0, ("padded 1 on every side by reflection without repeating the edge "
         "(reflect)")),
        (1, "symmetric", 0, ("padded 1 on every side by reflection that repeats the edge "
         "(symmetric)")),
        (1, "edge", 0, "padded 1 on every side by repeating the edge (edge)"),
        (((1, 0), (1, 0)), "wrap", 0, ("padded 1 before and 0 after by going round to the other "
         "side (wrap, circular)")),
        (-1, "wrap", 0, "cropped by 1 on every side"),
    ],
)  # fmt: skip
def test_padding(padding: object, mode: str, value: float, words: str) -> None:
    convention = Convention(padding=padding, padding_mode=mode, padding_value=value)
    assert describe(convention) == f"{PLAIN}, {words}"


@pytest.mark.parametrize(
    ("size", "taps", "stride", "dilation", "padding", "words"),
    [
        (8, 3, 1, 1, (0, 0), "no padding (VALID)"),
        (8, 3, 1, 1, (1, 1), "padded 1 on every side (SAME)"),
        (8, 3, 2, 1, (0, 1), "padded 0 before and 1 after (SAME_UPPER)"),
        (8, 3, 2, 1, (1, 0), "padded 1 before and 0 after (SAME_LOWER)"),
        (8, 2, 1, 1, (0, 1), "padded 0 before and 1 after (SAME_UPPER)"),
        (8, 2, 1, 3, (1, 2), "padded 1 before and 2 after (SAME_UPPER)"),
        (8, 3, 1, 1, (2, 2), "padded 2 on every side (FULL)"),
        (9, 3, 2, 1, (2, 0), "padded 2 before and 0 after"),
        (8, 5, 2, 1, (1, 2), "padded 1 before and 2 after (SAME_UPPER)"),
        (8, 5, 2, 1, (0, 3), "padded 0 before and 3 after"),
        (9, 3, 4, 1, (1, 1), "padded 1 on every side (SAME)"),
        # A 1x1 kernel with stride 2 needs no padding for SAME; VALID is the plainer name.
        (8, 1, 2, 1, (0, 0), "no padding (VALID)"),
    ],
)
def test_the_usual_name_of_the_padding(
    size: int, taps: int, stride: int, dilation: int, padding: tuple[int, int], words: str
) -> None:
    convention = Convention(stride=stride, dilation=dilation, padding=(padding, padding))
    said = describe(convention, image_shape=(3, size, size), filter_shape=(4, 3, taps, taps))
    assert said.endswith(words)


def test_the_name_must_be_true_of_both_axes() -> None:
    convention = Convention(padding=((1, 1), (0, 0)))
    said = describe(convention, image_shape=(1, 8, 8), filter_shape=(1, 1, 3, 3))
    assert said.endswith("padded 1 above and below")


def test_the_example() -> None:
    convention = Convention(
        image_layout="NHWC",
        filter_layout="HWIO",
        output_layout="NHWO",
        stride=2,
        padding=((0, 1), (0, 1)),
    )
    said = describe(convention, image_shape=(1, 8, 8, 3), filter_shape=(3, 3, 3, 4))
    assert said == (
        "OUT is the cross-correlation of IMG, read as NHWC, with W, read as HWIO, stride 2, "
        "padded 0 before and 1 after (SAME_UPPER)"
    )


@pytest.mark.parametrize(
    ("groups", "layout", "channels", "shape", "words"),
    [
        (4, "OIHW", 4, (4, 1, 3, 3), "depthwise (in 4 groups)"),
        (4, "OIHW", 4, (8, 1, 3, 3), "depthwise with multiplier 2 (in 4 groups)"),
        (4, "HWIM", 4, (3, 3, 4, 2), "depthwise with multiplier 2 (in 4 groups)"),
        (2, "OIHW", 4, (6, 2, 3, 3), "in 2 groups"),
        (2, "IOHW", 4, (4, 3, 3, 3), "in 2 groups"),
    ],
)
def test_groups_of_known_shapes(
    groups: int, layout: str, channels: int, shape: tuple[int, ...], words: str
) -> None:
    convention = Convention(groups=groups, filter_layout=layout)
    said = describe(convention, image_shape=(channels, 8, 8), filter_shape=shape)
    assert f", {words}, " in said


def test_the_padding_of_a_transposed_convolution_as_its_caller_gave_it() -> None:
    convention = Convention(flip=("H", "W"), input_dilation=2, padding=((1, 2), (1, 2)))
    said = describe(convention, image_shape=(3, 8, 8), filter_shape=(4, 3, 3, 3))
    assert said.endswith("padded 1 before and 2 after (the caller's padding 1, output padding 1)")
    plain = describe(
        convention.replace(padding=2), image_shape=(3, 8, 8), filter_shape=(4, 3, 3, 3)
    )
    assert plain.endswith("padded 2 on every side (the caller's padding 0)")


def test_names_of_the_arrays() -> None:
    assert describe(Convention(), image="x.npy", filters="w.npy", output="y.npy") == (
        "y.npy is the cross-correlation of x.npy, read as CHW, with w.npy, read as OIHW, no padding"
    )


def test_shapes_that_do_not_fit_name_nothing() -> None:
    assert describe(Convention(), image_shape=(3, 2), filter_shape=(1, 1)) == NOT_PADDED


@pytest.mark.parametrize("key", KEYS)
def test_every_key_changes_the_sentence_and_is_a_difference(key: str) -> None:
    base = Convention(padding=1)
    other = base.replace(**{key: OTHER_VALUES[key]})
    assert describe(base) != describe(other)
    assert len(differences(base, other)) == len(differences(other, base)) == 1


@pytest.mark.parametrize(
    ("a", "b", "clauses"),
    [
        ({"stride": 2}, {}, ["stride 2 instead of 1"]),
        ({}, {"stride": (2, 1)}, ["stride 1 instead of 2 down and 1 across"]),
        (
            {"flip": ("H", "W")},
            {"flip": ("I", "H", "W")},
            [f"reversed axes of the filters: rows and columns instead of {ALL_AXES}"],
        ),
        ({}, {"padding": 1}, ["no padding instead of padded 1 on every side"]),
        ({"image_layout": "HWC"}, {}, ["the image read as HWC instead of CHW"]),
        ({"scale": 1 / 9}, {}, ["scale 1/9 instead of 1"]),
        ({"bias": (1,)}, {}, ["a bias instead of none"]),
        ({}, {"bias": (1,)}, ["no bias instead of one for each output channel"]),
        ({"bias": (2,)}, {"bias": (1,)}, ["another bias"]),
        ({}, {"activation": "relu"}, ["activation: none instead of ReLU"]),
        ({}, {"channel_order": (1, 0)}, ["channels in the order as stored instead of 1, 0"]),
        (
            {"kernel_transposed": True},
            {},
            ["the kernel's rows and columns swapped instead of as stored"],
        ),
        (
            {"arithmetic": "wrap:uint8"},
            {},
            ["truncated to uint8 modulo 256 instead of exact arithmetic"],
        ),
        (
            {"groups": 2, "dilation": 2},
            {"padding_mode": "wrap"},
            ["dilation 2 instead of 1", "padding mode constant instead of wrap",
             "groups: 2 instead of 1"],
        ),
        ({}, {}, []),
    ],
)  # fmt: skip
def test_differences(a: dict[str, object], b: dict[str, object], clauses: list[str]) -> None:
    assert differences(Convention(**a), Convention(**b)) == clauses


def pairs(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


CONVENTIONS = st.builds(
    Convention,
    image_layout=st.sampled_from(IMAGE_LAYOUTS),
    filter_layout=st.sampled_from(FILTER_LAYOUTS),
    output_layout=st.sampled_from(OUTPUT_LAYOUTS),
    flip=st.sets(st.sampled_from(FLIP_AXES)).map(tuple),
    stride=pairs(1, 8),
    dilation=pairs(1, 4),
    input_dilation=pairs(1, 4),
    padding=st.tuples(pairs(-4, 9), pairs(-4, 9)),
    padding_mode=st.sampled_from(PADDING_MODES),
    padding_value=st.floats(allow_nan=False, allow_infinity=False),
    groups=st.integers(1, 6),
    channel_order=st.none() | st.permutations(range(4)).map(tuple),
    kernel_transposed=st.booleans(),
    scale=st.floats(allow_nan=False, allow_infinity=False),
    bias=st.none() | st.lists(st.floats(-9, 9), max_size=4).map(tuple),
    activation=st.sampled_from([None, "relu"]),
    arithmetic=st.sampled_from([*PRECISIONS, *INTEGER_ARITHMETICS]),
)
SHAPES = st.lists(st.integers(0, 9), max_size=5)


@given(CONVENTIONS, CONVENTIONS, SHAPES, SHAPES)
def test_words_for_anything(
    a: Convention, b: Convention, image_shape: list[int], filter_shape: list[int]
) -> None:
    said = describe(a, image_shape=image_shape, filter_shape=filter_shape)
    assert said.startswith("OUT is the ")
    assert "  " not in said
    assert ", ," not in said
    assert len(differences(a, b)) == sum(getattr(a, key) != getattr(b, key) for key in KEYS)
