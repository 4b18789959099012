"""Conventions in words: literal sentences, every key of the vocabulary, every kind of padding."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import convcheck
from convcheck.convention import (
    ACTIVATIONS,
    INTEGERS,
    KEYS,
    PADDING_MODES,
    PRECISIONS,
    Activation,
    Convention,
    Storage,
)
from convcheck.convention.storage import FLOATS, OVERFLOWS, ROUNDINGS
from convcheck.render.convention_words import short_json
from convcheck.words import describe, differences, headline, mended

PLAIN = "OUT is the cross-correlation of IMG, read as CHW, with W, read as OIHW"
ALL_AXES = "channels, rows and columns"
NOT_PADDED = f"{PLAIN}, no padding"
OTHER_VALUES = {
    "image_layout": "HWC",
    "filter_layout": "HWIO",
    "output_layout": "NHWC",
    "image_memory": "HWC",
    "filter_memory": "HWIO",
    "channel_order": (2, 1, 0),
    "output_order": (1, 0),
    "flip": ("H", "W"),
    "conjugate": True,
    "image_offset": (1, 2, 3),
    "image_scale": 0.5,
    "filter_offset": 128,
    "input_dilation": (2, 2),
    "padding": ((1, 2), (3, -1)),
    "padding_mode": "edge",
    "padding_value": 7,
    "dilation": (3, 1),
    "stride": (2, 3),
    "groups": 4,
    "scale": 0.5,
    "bias": (1, 2),
    "activation": "relu",
    "arithmetic": "float16",
    "storage": {"dtype": "uint8"},
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
            {"channel_order": (1, 0, 2), "filter_layout": "OIWH"},
            (
                "OUT is the cross-correlation of IMG, read as CHW with its channels in the order "
                "1, 0, 2, with W, read as OIWH with the kernel's rows and columns swapped, "
                "no padding"
            ),
        ),
        (
            {"image_offset": (123.675, 116.28, 103.53), "image_scale": 1 / 58},
            (
                "OUT is the cross-correlation of IMG, read as CHW, its channels minus 123.675, "
                "116.28 and 103.53, times 1/58, with W, read as OIHW, no padding"
            ),
        ),
        (
            {"image_offset": 128, "filter_offset": (1,) * 64, "conjugate": True},
            (
                "OUT is the cross-correlation of IMG, read as CHW, minus 128, with W, "
                "read as OIHW, minus a number for each output channel, conjugated, no padding"
            ),
        ),
        ({"output_order": (2, 0, 1)}, f"{NOT_PADDED}, output channels in the order 2, 0, 1"),
        ({"output_order": (0, 1, 2)}, NOT_PADDED),
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
        ({"scale": (1, 2)}, f"{NOT_PADDED}, times a scale for each output channel"),
        ({"bias": -3}, f"{NOT_PADDED}, plus a bias of -3"),
        (
            {"scale": (1, 2), "bias": (3, 4), "activation": {"clip": [0, 4.5]}},
            (
                f"{NOT_PADDED}, with a scale and a bias for each output channel, as batch "
                "normalization has when it is not folded, then cut off below 0 and above 4.5"
            ),
        ),
        (
            {"storage": {"dtype": "uint8", "zero_point": 121}},
            f"{NOT_PADDED}, stored as uint8 with zero point 121, halves to even, saturated",
        ),
        (
            {"storage": {"dtype": "int32", "rounding": "toward_zero", "overflow": "wrap"}},
            f"{NOT_PADDED}, stored as int32, rounded toward zero, wrapped",
        ),
        (
            {"arithmetic": "float32", "storage": {"dtype": "bfloat16"}},
            f"{NOT_PADDED}, in float32, stored as bfloat16",
        ),
        ({"arithmetic": "tf32"}, f"{NOT_PADDED}, in TF32"),
        ({"output_layout": "HWC"}, f"{NOT_PADDED}, written as HWC"),
        (
            {"image_layout": "HWC", "output_layout": "HWC"},
            NOT_PADDED.replace("read as CHW", "read as HWC"),
        ),
        (
            {"image_layout": "CW"},
            "OUT is the 1-D cross-correlation of IMG, read as CW, with W, read as OIW, no padding",
        ),
        (
            {"image_layout": "CW", "flip": "per-channel", "stride": 2},
            (
                "OUT is the 1-D per-channel convolution (kernel reversed) of IMG, read as CW, "
                "with W, read as OIW, stride 2, no padding"
            ),
        ),
        (
            {"image_layout": "CW", "flip": "flipped"},
            (
                "OUT is the N-D convolution, as scipy.signal.convolve (channels and taps of the "
                "filters reversed), of IMG, read as CW, with W, read as OIW, no padding"
            ),
        ),
        (
            {"image_layout": "CDHW", "flip": "per-channel", "dilation": (1, 2, 3)},
            (
                "OUT is the 3-D per-channel convolution (kernel planes, rows and columns "
                "reversed) of IMG, read as CDHW, with W, read as OIDHW, "
                "dilation 1 in depth, 2 down and 3 across, no padding"
            ),
        ),
        (
            {"image_layout": "CDHW", "flip": ("D",), "input_dilation": 2},
            (
                "OUT is the 3-D cross-correlation, with the filters' planes reversed, with zeros "
                "between the image's samples (input dilation 2), of IMG, read as CDHW, with W, "
                "read as OIDHW, no padding"
            ),
        ),
    ],
)
def test_sentences(changes: dict[str, object], sentence: str) -> None:
    base: dict[str, object] = {"output_layout": changes.get("image_layout", "CHW")}
    assert describe(Convention(**base | changes)) == sentence


def test_the_headline() -> None:
    convention = Convention("NWC", "WIO", "NWC", activation="relu", output_order=(1, 0))
    assert headline(convention, "zero padding, SAME_UPPER", "float32") == (
        "the 1-D cross-correlation, NWC, WIO, zero padding, SAME_UPPER, then ReLU, "
        "output channels in the order 1, 0, float32"
    )


def test_the_example() -> None:
    convention = Convention(
        image_layout="NHWC",
        filter_layout="HWIO",
        output_layout="NHWC",
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


def test_names_of_the_arrays() -> None:
    assert describe(Convention(), image="x.npy", filters="w.npy", output="y.npy") == (
        "y.npy is the cross-correlation of x.npy, read as CHW, with w.npy, read as OIHW, no padding"
    )


RESHAPED = "reshaped where it should have been transposed"


def test_a_memory_that_was_read_as_another_layout() -> None:
    c = Convention(filter_memory="HWIO")
    assert describe(c) == (
        "OUT is the cross-correlation of IMG, read as CHW, with W, stored as OIHW, W's memory read "
        f"as HWIO ({RESHAPED}), no padding"
    )
    assert mended(c, (3, 9, 9), (4, 3, 5, 2)) == [
        "To mend it: W.transpose(2, 3, 1, 0) in place of W.reshape(5, 2, 3, 4)."
    ]
    c = Convention(image_layout="HWC", image_memory="CHW")
    assert describe(c) == (
        f"OUT is the cross-correlation of IMG, stored as HWC, IMG's memory read as CHW ({RESHAPED})"
        ", with W, read as OIHW, no padding"
    )
    assert mended(c, (12, 14, 3), (4, 3, 5, 2)) == [
        "To mend it: IMG.transpose(2, 0, 1) in place of IMG.reshape(3, 12, 14)."
    ]
    assert "CHW, OIHW with its memory read as HWIO, no padding, float32" in headline(
        Convention(filter_memory="HWIO"), "no padding", "float32"
    )
    same = Convention(image_memory="CHW", filter_memory="OIHW")
    assert describe(same) == NOT_PADDED
    assert mended(same, (3, 9, 9), (4, 3, 5, 2)) == []


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
        ({"bias": (1,)}, {}, ["a bias for each output channel instead of no bias"]),
        ({}, {"bias": 1}, ["no bias instead of a bias of 1"]),
        ({"bias": (2,)}, {"bias": (1,)}, ["another bias"]),
        ({"scale": (2, 3)}, {}, ["scale for each output channel instead of 1"]),
        ({"image_offset": 2}, {}, ["the image minus 2 instead of 0"]),
        ({"image_scale": (1, 2)}, {}, ["the image times 1 and 2 instead of 1"]),
        ({"conjugate": True}, {}, ["the filters conjugated instead of as stored"]),
        (
            {"padding_mode": ("edge", "wrap")},
            {},
            ["padding mode edge and wrap instead of constant"],
        ),
        ({}, {"activation": "relu"}, ["activation: none instead of ReLU"]),
        ({}, {"channel_order": (1, 0)}, ["channels in the order as stored instead of 1, 0"]),
        (
            {"filter_memory": "HWIO", "image_memory": "CHW"},
            {},
            ["the filters' memory read as HWIO instead of as stored"],
        ),
        (
            {"filter_layout": "OIWH"},
            {},
            ["the filters read as OIWH instead of OIHW"],
        ),
        (
            {"storage": {"dtype": "uint8", "overflow": "wrap"}},
            {},
            ["stored as uint8, halves to even, wrapped instead of as computed"],
        ),
        ({"arithmetic": "float32"}, {}, ["in float32 instead of exact arithmetic"]),
        (
            {"image_layout": "CW", "stride": 2},
            {"stride": 2},
            [
                "the image read as CW instead of CHW",
                "the filters read as OIW instead of OIHW",
                "the output written as CW instead of CHW",
            ],
        ),
        (
            {"groups": 2, "dilation": 2},
            {"padding_mode": "wrap"},
            ["padding mode constant instead of wrap", "dilation 2 instead of 1",
             "groups: 2 instead of 1"],
        ),
        ({}, {}, []),
    ],
)  # fmt: skip
def test_differences(a: dict[str, object], b: dict[str, object], clauses: list[str]) -> None:
    assert differences(Convention(**a), Convention(**b)) == clauses


def conventions(spatial: str) -> st.SearchStrategy[Convention]:
    rank = len(spatial)

    def each(low: int, high: int) -> st.SearchStrategy[tuple[int, ...]]:
        return st.tuples(*[st.integers(low, high)] * rank)

    def layouts(others: str) -> st.SearchStrategy[str]:
        letters = st.sets(st.sampled_from(others)).map(sorted)
        return letters.flatmap(lambda some: st.permutations([*some, *spatial])).map("".join)

    finite = st.floats(allow_nan=False, allow_infinity=False)
    numbers = finite | st.lists(finite, min_size=1, max_size=6).map(tuple)
    orders = st.none() | st.permutations(range(4)).map(tuple)
    return st.builds(
        Convention,
        image_layout=layouts("NC"),
        filter_layout=layouts("OI"),
        output_layout=layouts("NC"),
        channel_order=orders,
        output_order=orders,
        flip=st.sets(st.sampled_from("I" + spatial)).map(tuple),
        conjugate=st.booleans(),
        image_offset=numbers,
        image_scale=numbers,
        filter_offset=numbers,
        input_dilation=each(1, 4),
        padding=st.tuples(*[st.tuples(st.integers(-4, 9), st.integers(-4, 9))] * rank),
        padding_mode=st.tuples(*[st.sampled_from(PADDING_MODES)] * rank),
        padding_value=finite,
        dilation=each(1, 4),
        stride=each(1, 8),
        groups=st.integers(1, 6),
        scale=numbers,
        bias=st.none() | numbers,
        activation=st.none() | st.sampled_from([*ACTIVATIONS]).map(activation),
        arithmetic=st.sampled_from([*PRECISIONS]),
        storage=st.none()
        | st.builds(
            Storage,
            st.sampled_from([*INTEGERS, *FLOATS]),
            st.integers(-9, 200),
            st.sampled_from(ROUNDINGS),
            st.sampled_from(OVERFLOWS),
        ),
    )


def activation(name: str) -> Activation:
    return Activation(name, (0.25, 4.0)[: len(ACTIVATIONS[name].parameters)])


CONVENTIONS = [conventions(spatial) for spatial in ("W", "HW", "DHW")]
PAIRS = st.one_of(*[st.tuples(one, one) for one in CONVENTIONS])
SHAPES = st.lists(st.integers(0, 9), max_size=5)


# The first draw builds the strategies of three ranks, which takes a while on a busy machine.
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(PAIRS, SHAPES, SHAPES)
def test_words_for_anything(
    pair: tuple[Convention, Convention], image_shape: list[int], filter_shape: list[int]
) -> None:
    a, b = pair
    said = describe(a, image_shape=image_shape, filter_shape=filter_shape)
    assert said.startswith("OUT is the ")
    assert "  " not in said
    assert ", ," not in said
    assert len(differences(a, b)) == sum(getattr(a, key) != getattr(b, key) for key in KEYS)


@pytest.mark.parametrize(
    ("convention", "text"),
    [
        (
            Convention(),
            '{"image_layout":"CHW","filter_layout":"OIHW","output_layout":"CHW","flip":[]}',
        ),
        (
            Convention("CW", stride=2, activation={"leaky_relu": 0.5}),
            (
                '{"image_layout":"CW","filter_layout":"OIW","output_layout":"CW","flip":[],'
                '"stride":[2],"activation":{"leaky_relu":0.5}}'
            ),
        ),
    ],
)
def test_the_json_to_copy_has_what_is_not_the_default(convention: Convention, text: str) -> None:
    assert short_json(convention) == text


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_has_its_words(name: str) -> None:
    convention = Convention(activation=activation(name))
    assert describe(convention) == f"{NOT_PADDED}, then {activation(name).words}"


def test_no_activation_is_named_but_in_its_table() -> None:
    """What knew one by name would know nothing of the next."""
    package = Path(convcheck.__file__).parent
    files = [path for part in ("calls", "words") for path in (package / part).glob("*.py")]
    assert len(files) > 10
    for path in files:
        quoted = set(re.findall(r"""["'](\w+)["']""", path.read_text(encoding="utf-8")))
        assert not quoted & set(ACTIVATIONS), path


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {
                "image_offset": [123.675, 116.28, 103.53],
                "image_scale": [1 / 58.395, 1 / 57.12, 1 / 57.375],
            },
            "preprocessed by ImageNet's mean and deviation, on pixels over 255,",
        ),
        (
            {"image_offset": [103.939, 116.779, 123.68]},
            "preprocessed by ImageNet's mean, as Caffe takes it off, BGR,",
        ),
        (
            {"image_offset": [1, 2, 3], "image_scale": [1 / 58.395, 0.5, 1]},
            "its channels minus 1, 2 and 3, its channels times 1/58.395, 1/2 and 1,",
        ),
        (
            {
                "image_layout": "CNHW",
                "filter_layout": "IOHW",
                "output_layout": "CNHW",
                "dilation": 2,
            },
            "the gradient with respect to the filters of a convolution with stride 2: IMG is",
        ),
        (
            {"filter_layout": "IOHW", "flip": ["H", "W"], "padding": 2},
            "the gradient with respect to the image of a cross-correlation with W as OIHW",
        ),
    ],
)
def test_what_has_a_name_is_called_by_it(keys: dict[str, Any], said: str) -> None:
    assert said in describe(Convention(**keys))
