"""The single deviations of a convention, and the convention that shapes are usually meant in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convcheck.convention import KEYS, Convention, Storage, deviations, usual_convention
from convcheck.convention.deviations import axis_name
from convcheck.engine import convolve
from convcheck.errors import InputError

RNG = np.random.default_rng(3)
W = np.zeros((4, 3, 3, 2))


def names(keys: dict[str, Any], image: tuple[int, ...], filters: tuple[int, ...]) -> set[str]:
    c = usual_convention(image, filters, keys)
    return {d.name for d in deviations(c, np.zeros(image), np.zeros(filters))}


WAYS: dict[str, tuple[dict[str, Any], tuple[int, ...], tuple[int, ...]]] = {
    "1-D": ({"padding": 1, "stride": 2}, (3, 23), (4, 3, 3)),
    "1-D, one channel": ({}, (19,), (4,)),
    "2-D": ({"padding": [[0, 1], [1, 1]]}, (3, 9, 11), (4, 3, 3, 2)),
    "2-D, one channel": ({}, (9, 11), (3, 3)),
    "2-D, pointwise": ({}, (3, 9, 8), (4, 3, 1, 1)),
    "2-D, groups": ({"groups": 2, "bias": [1, 2, 3, 4, 5, 6]}, (2, 4, 7, 8), (6, 2, 3, 3)),
    "2-D, depthwise": ({"groups": 4, "padding": 1}, (4, 7, 8), (4, 1, 3, 3)),
    "2-D, quantised": (
        {"image_offset": 1, "filter_offset": 2, "scale": 0.5, "padding": 1,
         "storage": {"dtype": "int8", "zero_point": 3}},
        (3, 9, 8),
        (4, 3, 3, 3),
    ),
    "2-D, activation": ({"activation": {"leaky_relu": 0.1}}, (3, 9, 8), (4, 3, 3, 3)),
    "3-D": ({"padding": 1, "padding_value": 2}, (2, 5, 6, 7), (3, 2, 2, 3, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_each_differs_in_one_thing_and_has_a_name_of_its_own(name: str) -> None:
    keys, image, filters = WAYS[name]
    c = usual_convention(image, filters, keys)
    found = list(deviations(c, np.zeros(image), np.zeros(filters)))
    assert len({d.name for d in found}) == len({d.convention for d in found}) == len(found) > 2
    for deviation in found:
        changed = {k for k in KEYS if getattr(deviation.convention, k) != getattr(c, k)}
        # Another mode of padding has no constant of its own.
        assert len(changed) == 1 or changed == {"padding_mode", "padding_value"}, deviation
        assert deviation.what


@pytest.mark.parametrize("name", WAYS)
def test_random_numbers_show_every_one(name: str) -> None:
    """What the shapes could never show is none: each changes the output on numbers of any kind."""
    keys, image_shape, filter_shape = WAYS[name]
    c = usual_convention(image_shape, filter_shape, keys)
    image, filters = RNG.integers(-9, 10, image_shape), RNG.integers(-9, 10, filter_shape)
    right = convolve(image, filters, c)
    for deviation in deviations(c, image, filters):
        try:
            wrong = convolve(image, filters, deviation.convention)
        except InputError:
            continue
        assert not np.array_equal(right, wrong), deviation


def test_what_one_channel_and_one_tap_cannot_show_is_no_mistake() -> None:
    said = names({}, (9, 11), (3, 3))
    assert not any("channel" in name or "outputs" in name or "I" in name for name in said)
    assert {"flip H", "flip W", "flip H+W", "kernel rows and columns swapped"} <= said
    said = names({"flip": ["W"]}, (3, 9, 8), (4, 3, 1, 3))
    assert {name for name in said if "flip" in name} == {"flip nothing", "flip I", "flip I+W"}
    assert "dilation of rows" not in said
    assert "dilation of columns" in said
    said = names({}, (3, 9, 8), (4, 3, 1, 1))
    assert not any("kernel" in name or "dilation" in name for name in said)


def test_a_reshape_is_listed_where_it_reads_other_elements() -> None:
    said = {n for n in names({}, (3, 9, 8), (4, 3, 3, 2)) if "reshaped" in n}
    filters = {
        f"filters reshaped to {layout}" for layout in ("HWIO", "IOHW", "OHWI", "HWOI", "IHWO")
    }
    assert said == {"image reshaped to HWC"} | filters
    # Of filters of equal sizes a plain layout is what a reshape reads.
    assert not any("reshaped" in n for n in names({}, (9, 8), (3, 3)))
    said = {n for n in names({}, (3, 9, 8), (3, 3, 3, 3)) if "reshaped" in n}
    assert said == {"image reshaped to HWC"}
    assert {"image as CWH", "image reshaped to HWC"} <= names(
        {"groups": 2}, (4, 7, 8), (6, 2, 3, 3)
    )
    words = {d.name: d.what for d in deviations(Convention(), np.zeros((3, 9, 8)), W)}
    for operand, layout in (("image", "HWC"), ("filters", "HWIO")):
        of = {"image": "the image's", "filters": "the filters'"}[operand]
        told = f"{of} memory read as {layout}: reshaped, not transposed"
        assert words[f"{operand} reshaped to {layout}"] == told
    assert words["image as CWH"] == "the image read as CWH"
    # A reshape that is the convention is a mistake where it is left out.
    c = Convention(filter_memory="HWIO")
    found = {d.name: d for d in deviations(c, np.zeros((3, 9, 8)), np.zeros((4, 3, 3, 2)))}
    assert found["filters as OIHW"].convention == Convention()
    assert "filters reshaped to HWIO" not in found
    swapped = found["kernel rows and columns swapped"].convention
    assert (swapped.filter_layout, swapped.filter_memory) == ("OIWH", "WHIO")


@pytest.mark.parametrize(
    ("keys", "more"),
    [
        ({"image_offset": 3}, {"no image offset", "image offset off by one"}),
        ({"image_offset": 0.5, "image_scale": 2}, {"no image offset", "no image scale"}),
        ({"filter_offset": [1, 0, 0, 2]}, {"no filter offset", "filter offset off by one"}),
        ({"scale": 2}, {"no scale"}),
        ({"bias": 1}, {"no bias"}),
        ({"activation": {"leaky_relu": 0.1}}, {"no activation", "activation's slope"}),
        ({"activation": {"clip": [0, 4]}},
         {"no activation", "activation's low", "activation's high"}),
        ({"activation": "sigmoid"}, {"no activation", "activation hard_sigmoid"}),
        ({"storage": {"dtype": "uint8", "zero_point": 5}},
         {"zero point off by one", "overflow wrap", "rounding half_away", "rounding half_up",
          "rounding toward_zero", "rounding down"}),
    ],
    ids=lambda value: "+".join(sorted(value)),
)  # fmt: skip
def test_a_step_that_is_set_can_be_left_out_or_mistaken(
    keys: dict[str, Any], more: set[str]
) -> None:
    shapes = (3, 9, 8), (4, 3, 3, 2)
    assert names(keys, *shapes) - names({}, *shapes) == more


def test_zeros_around_an_image_whose_offset_comes_after() -> None:
    """The usual mistake with a zero point: padding with the number 0 instead of the zero point."""
    c = Convention(image_offset=128, padding=1)
    image, filters = RNG.integers(0, 256, (3, 5, 6)), RNG.integers(-9, 10, (2, 3, 3, 3))
    (early,) = [
        d.convention for d in deviations(c, image, filters) if d.name == "padded before the offset"
    ]
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
    expected = convolve(padded, filters, Convention(image_offset=128))
    assert np.array_equal(convolve(image, filters, early), expected)


TOLD: list[tuple[dict[str, Any], dict[str, tuple[str, dict[str, Any]]]]] = [
    (
        {"padding": [[0, 1], [3, 1]], "stride": [1, 2]},
        {
            "padding sides of rows": (
                "padding of 1 before and 0 after the rows, not the reverse",
                {"padding": ((1, 0), (3, 1))},
            ),
            "padding sides of columns": (
                "padding of 1 before and 3 after the columns, not the reverse",
                {"padding": ((0, 1), (1, 3))},
            ),
            "phase of columns": (
                "every window one further on along the columns",
                {"padding": ((0, 1), (2, 2))},
            ),
            "stride of rows": ("a stride of 2 instead of 1 along the rows", {"stride": (2, 2)}),
            "stride of columns": (
                "a stride of 3 instead of 2 along the columns",
                {"stride": (1, 3)},
            ),
            "dilation of columns": (
                "a dilation of 2 instead of 1 along the columns",
                {"dilation": (1, 2)},
            ),
            "border wrap": (
                "the border continued by wrap instead of constant",
                {"padding_mode": "wrap"},
            ),
            "border of zeros": ("", {}),
        },
    ),
    (
        {"stride": [2, 1], "padding": [[0, 0], [1, 0]], "padding_mode": "reflect"},
        {
            "phase of rows": (
                "every window one further on along the rows",
                {"padding": ((-1, 1), (1, 0))},
            ),
            "phase of columns": (
                "every window one further on along the columns",
                {"padding": ((0, 0), (0, 1))},
            ),
            "border constant": (
                "the border continued by constant instead of reflect",
                {"padding_mode": "constant"},
            ),
            "border reflect": ("", {}),
        },
    ),
    ({"input_dilation": 2, "padding": 1}, {"border edge": ("", {})}),
    ({"padding": [[0, 0], [0, -1]]}, {"border edge": ("", {}), "phase of rows": ("", {})}),
    (
        {"image_offset": 2, "image_scale": 0.25, "padding": 1, "padding_value": 3},
        {
            "border edge": (
                "the border continued by edge instead of constant",
                {"padding_mode": "edge", "padding_value": 0.0},
            ),
            "border of zeros": ("a border of 0 instead of 3", {"padding_value": 0.0}),
            "padded before the offset": (
                "zeros put around the image before its offset is taken off",
                {"padding_value": -0.5},
            ),
            "no image offset": ("the image offset left out", {"image_offset": 0.0}),
            "image offset off by one": ("the image offset one too large", {"image_offset": 3.0}),
            "no image scale": ("the image scale left out", {"image_scale": 1.0}),
            "image scale off by one": ("", {}),
        },
    ),
    (
        {"image_offset": 2, "padding": 1, "padding_value": -2},
        {"padded before the offset": ("", {})},
    ),
    (
        {"image_offset": [1, 2, 3], "padding": 1},
        {
            "padded before the offset": ("", {}),
            "image offset off by one": (
                "the image offset one too large",
                {"image_offset": (2.0, 3.0, 4.0)},
            ),
        },
    ),
    (
        {"scale": 2, "bias": 1, "activation": {"clip": [0, 4]}},
        {
            "no scale": ("the sums not scaled", {"scale": 1.0}),
            "no bias": ("the bias left out", {"bias": None}),
            "no activation": ("cut off below 0 and above 4 left out", {"activation": None}),
            "activation's low": (
                "a low of 1 instead of 0",
                {"activation": ("clip", (1.0, 4.0))},
            ),
            "activation's high": (
                "a high of 8 instead of 4",
                {"activation": ("clip", (0.0, 8.0))},
            ),
        },
    ),
    (
        {"activation": "silu"},
        {
            "activation gelu": ("GELU instead of SiLU (swish)", {"activation": ("gelu", ())}),
            "activation hard_swish": (
                "the hard swish instead of SiLU (swish)",
                {"activation": ("hard_swish", ())},
            ),
            "activation silu": ("", {}),
            "activation sigmoid": ("", {}),
        },
    ),
]


@pytest.mark.parametrize(("keys", "told"), TOLD, ids="+".join)
def test_what_each_is_and_says(
    keys: dict[str, Any], told: dict[str, tuple[str, dict[str, Any]]]
) -> None:
    c = Convention(**keys)
    found = {d.name: d for d in deviations(c, np.zeros((3, 9, 8)), np.zeros((4, 3, 3, 2)))}
    for name, (what, changes) in told.items():
        if not changes:
            assert name not in found
            continue
        assert found[name].what == what
        other = found[name].convention
        changed = {k: getattr(other, k) for k in KEYS if getattr(other, k) != getattr(c, k)}
        assert changed == changes


def test_how_integers_are_stored_can_be_mistaken() -> None:
    stored = Storage("int8", 3, "half_away", "saturate", "fixed")
    c = Convention(scale=0.5, storage=stored)
    found = {
        d.name: d.convention.storage
        for d in deviations(c, np.zeros((3, 9, 8), int), np.zeros((4, 3, 3, 2), int))
        if d.convention.storage != stored
    }
    assert found == {
        "zero point off by one": replace(stored, zero_point=4),
        **{
            f"rounding {way}": replace(stored, rounding=way)
            for way in ("half_even", "half_up", "toward_zero", "down")
        },
        **{
            f"multiplier {way}": replace(stored, multiplier=way)
            for way in ("real", "float32", "fixed_twice")
        },
        "overflow wrap": replace(stored, overflow="wrap"),
    }
    # Whole numbers are not rounded, and floats are stored in one way.
    image, filters = np.zeros((3, 9, 8), int), np.zeros((4, 3, 3, 2), int)
    for keys in ({"scale": 2.0, "bias": (1, 2, 3, 4)}, {"image_offset": 1.0}):
        plain = Convention(storage=Storage("uint8"), **keys)  # type: ignore[arg-type]
        said = {d.name for d in deviations(plain, image, filters)}
        assert "overflow wrap" in said
        assert not any("rounding" in n or "multiplier" in n or "zero point" in n for n in said)
        floats = {d.name for d in deviations(plain, image + 0.0, filters)}
        assert "rounding down" in floats
    float16 = Convention(storage=Storage("float16", 3))
    assert not any(
        d.convention.storage != float16.storage for d in deviations(float16, image, filters)
    )


def test_orders_of_channels_that_can_be_mistaken() -> None:
    c = Convention(groups=2, channel_order=(3, 1, 2, 0), output_order=(0, 1, 3, 2, 4, 5))
    arrays = np.zeros((4, 7, 8)), np.zeros((6, 2, 3, 3))
    found = {d.name: d.convention for d in deviations(c, *arrays)}
    assert found["channels reversed"].channel_order == (0, 2, 1, 3)
    assert found["channels rotated"].channel_order == (1, 2, 0, 3)
    assert found["group order"].channel_order == (3, 2, 1, 0)
    assert found["outputs reversed"].output_order == (5, 4, 2, 3, 1, 0)
    assert found["outputs interleaved"].output_order == (0, 2, 1, 4, 3, 5)
    assert "channels rotated" in names({}, (3, 7, 8), (2, 3, 3, 3))
    said = names({}, (2, 7, 8), (2, 2, 3, 3))
    assert {"channels reversed", "outputs reversed"} <= said
    assert not {"channels rotated", "group order", "outputs interleaved"} & said
    assert not {"group order", "outputs interleaved"} & names(
        {"groups": 4}, (4, 7, 8), (4, 1, 3, 3)
    )


def test_filters_of_complex_numbers_are_conjugated_or_not() -> None:
    image, filters = np.zeros((1, 5, 5)), np.zeros((1, 1, 2, 2), complex)
    for conjugate, what in (
        (False, "the filters conjugated"),
        (True, "the filters not conjugated"),
    ):
        c = Convention(conjugate=conjugate)
        (found,) = [d for d in deviations(c, image, filters) if d.name == "conjugate"]
        assert (found.what, found.convention.conjugate) == (what, not conjugate)
    assert "conjugate" not in names({}, (1, 5, 5), (1, 1, 2, 2))


def test_which_axes_are_called_what() -> None:
    assert [axis_name(a, 3) for a in "DHW"] == ["depth", "rows", "columns"]
    assert [axis_name(a, 2) for a in "HW"] == ["rows", "columns"]
    assert axis_name("W", 1) == "samples"


# --- the usual layouts --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "filters", "layouts"),
    [
        ((7, 9), (3, 3), ("HW", "HW", "CHW")),
        ((3, 7, 9), (3, 3, 3), ("CHW", "IHW", "CHW")),
        ((3, 7, 9), (4, 3, 3, 3), ("CHW", "OIHW", "CHW")),
        ((2, 3, 7, 9), (4, 3, 3, 3), ("NCHW", "OIHW", "NCHW")),
        ((40,), (5,), ("W", "W", "CW")),
        ((3, 40), (4, 3, 5), ("CW", "OIW", "CW")),
        ((3, 40), (3, 5), ("HW", "HW", "CHW")),
        ((8, 3, 40), (4, 3, 5), ("NCW", "OIW", "NCW")),
        ((2, 6, 9, 8), (3, 2, 2, 3, 2), ("CDHW", "OIDHW", "CDHW")),
        ((6, 9, 8), (2, 3, 2), ("DHW", "DHW", "CDHW")),
        ((5, 2, 6, 9, 8), (3, 2, 2, 3, 2), ("NCDHW", "OIDHW", "NCDHW")),
        # Of what does not fit, two axes; or one, where there are no two.
        ((5, 7, 9), (4, 3, 3, 3), ("CHW", "OIHW", "CHW")),
        ((7, 9), (3,), ("CW", "W", "CW")),
        ((9,), (3, 3), ("W", "IW", "CW")),
    ],
)
def test_the_shapes_say_how_many_axes_there_are(
    image: tuple[int, ...], filters: tuple[int, ...], layouts: tuple[str, ...]
) -> None:
    c = usual_convention(image, filters)
    assert (c.image_layout, c.filter_layout, c.output_layout) == layouts


@pytest.mark.parametrize(
    ("keys", "rank", "layouts"),
    [
        ({}, 1, ("NCW", "OIW")),
        ({}, 3, ("DHW", "DHW")),
        ({"stride": [2]}, None, ("NCW", "OIW")),
        ({"padding": [[1, 1], [0, 1], [2, 2]]}, None, ("DHW", "DHW")),
        ({"image_layout": "NWC"}, None, ("NWC", "OIW")),
        ({"filter_layout": "HWI", "image_layout": "HWC"}, None, ("HWC", "HWI")),
    ],
    ids=str,
)
def test_what_is_asked_for_comes_first(
    keys: dict[str, Any], rank: int | None, layouts: tuple[str, str]
) -> None:
    c = usual_convention((3, 3, 3), (3, 3, 3), keys, rank)
    assert (c.image_layout, c.filter_layout) == layouts
    assert all(getattr(c, key) == getattr(c.replace(**{key: v}), key) for key, v in keys.items())


@pytest.mark.parametrize(
    ("image", "filters", "keys", "rank", "words"),
    [
        ((7,), (4, 3, 3, 3), {}, None, "1, 2 or 3 spatial axes"),
        ((2, 3, 7, 7, 7, 7), (3, 3), {}, None, "1, 2 or 3 spatial axes"),
        ((3, 7, 9), (4, 3, 3, 3), {}, 1, "1 spatial axis"),
        ((3, 7, 9), (4, 3, 3, 3), {"stride": 0}, None, "stride"),
        ((3, 7, 9), (4, 3, 3, 3), {"stride": [1, 2, 3, 4]}, None, "stride"),
    ],
)
def test_what_cannot_be_read_is_said(
    image: tuple[int, ...],
    filters: tuple[int, ...],
    keys: dict[str, Any],
    rank: int | None,
    words: str,
) -> None:
    with pytest.raises(InputError) as error:
        usual_convention(image, filters, keys, rank)
    assert words in f"{error.value} {error.value.expected}"


def test_what_is_said_is_said_of_two_axes_and_of_both_arrays() -> None:
    with pytest.raises(InputError) as error:
        usual_convention((3, 7, 9), (4, 3, 3, 3), {"stride": [1, 2, 3, 4]})
    assert "[H, W]" in str(error.value.expected)
    for shapes, rank, got in (
        (((), (3, 3)), None, "IMG scalar and W 3x3"),
        (((3, 7, 9), (4, 3, 3, 3)), 1, "IMG 3x7x9 and W 4x3x3x3"),
    ):
        with pytest.raises(InputError, match="do not have the axes of one convolution") as error:
            usual_convention(*shapes, rank=rank)
        assert error.value.got == got
    with pytest.raises(InputError) as error:
        usual_convention((3,), (3,), rank=2)
    assert str(error.value.expected).endswith("S the same 2 spatial axes in both")


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_arrays_that_fit_are_read_with_two_axes_or_as_they_are(data: Any) -> None:
    rank = data.draw(st.integers(1, 3))
    channels, outputs = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    batch = data.draw(st.sampled_from([(), (2,)]))
    image = (*batch, channels, *(data.draw(st.integers(4, 6)) for _ in range(rank)))
    filters = (outputs, channels, *(data.draw(st.integers(1, 4)) for _ in range(rank)))
    c = usual_convention(image, filters)
    assert c.rank in (2, rank) or rank == 3
    convolve(np.ones(image), np.ones(filters), c.replace(padding=4))
