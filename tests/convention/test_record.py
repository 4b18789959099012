"""The record: what it accepts, what it refuses, and that JSON loses nothing of it."""

from __future__ import annotations

import itertools
import json
from dataclasses import fields
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema.validators import validator_for

from convcheck.convention import (
    CORRELATION,
    FLIPPED,
    INTEGERS,
    KEYS,
    NAMED,
    PADDING_MODES,
    PER_CHANNEL,
    PRECISIONS,
    VOCABULARY,
    Activation,
    Convention,
    Storage,
    convention_schema,
    named,
    normalized,
    parse_partial,
)
from convcheck.convention.record import SCHEMA
from convcheck.errors import InputError

SETTINGS = settings(derandomize=True, deadline=None, max_examples=200)


@cache
def schema() -> Any:
    """What the schema takes; made once, when it is first asked."""
    found = convention_schema()
    return validator_for(found)(found)


# The keys are fixed: users' files hold them.
FIXED_DEFAULTS = {
    "image_layout": "CHW",
    "filter_layout": "OIHW",
    "output_layout": "CHW",
    "image_memory": None,
    "filter_memory": None,
    "channel_order": None,
    "output_order": None,
    "flip": [],
    "conjugate": False,
    "image_offset": 0.0,
    "image_scale": 1.0,
    "filter_offset": 0.0,
    "input_dilation": [1, 1],
    "padding": [[0, 0], [0, 0]],
    "padding_mode": "constant",
    "padding_value": 0.0,
    "dilation": [1, 1],
    "stride": [1, 1],
    "groups": 1,
    "scale": 1.0,
    "bias": None,
    "activation": None,
    "arithmetic": "exact",
    "storage": None,
}

sizes = st.integers(1, 9)
numbers = st.floats(allow_nan=False, allow_infinity=False)
numbers_or_one_a_channel = numbers | st.lists(numbers, min_size=1, max_size=4)
orders = st.none() | st.integers(1, 5).flatmap(lambda n: st.permutations(range(n)))


def layouts(rank: int, others: str) -> st.SearchStrategy[str]:
    """Every order of the spatial axes and of some of the others."""
    axes = "DHW"[3 - rank :]
    some = st.lists(st.sampled_from(others), unique=True)
    return some.flatmap(lambda kept: st.permutations([*axes, *kept])).map("".join)


@st.composite
def mappings(draw: st.DrawFn) -> dict[str, object]:
    """Some keys of a convention over any number of spatial axes, with JSON's own types."""
    rank = draw(st.integers(1, 3))
    each = st.lists(sizes, min_size=rank, max_size=rank)
    pads = st.lists(st.integers(-9, 9), min_size=2, max_size=2)
    return draw(
        st.fixed_dictionaries(
            {"image_layout": layouts(rank, "NC")},
            optional={
                "filter_layout": layouts(rank, "OI") | layouts(rank, "IM"),
                "output_layout": layouts(rank, "NC"),
                "channel_order": orders,
                "output_order": orders,
                "flip": st.lists(st.sampled_from("I" + "DHW"[3 - rank :]), unique=True),
                "conjugate": st.booleans(),
                "image_offset": numbers_or_one_a_channel,
                "image_scale": numbers_or_one_a_channel,
                "filter_offset": numbers_or_one_a_channel,
                "stride": each,
                "dilation": each,
                "input_dilation": each,
                "padding": st.lists(pads, min_size=rank, max_size=rank),
                "padding_mode": st.sampled_from(PADDING_MODES)
                | st.lists(st.sampled_from(PADDING_MODES), min_size=rank, max_size=rank),
                "padding_value": numbers,
                "groups": sizes,
                "scale": numbers_or_one_a_channel,
                "bias": st.none() | numbers_or_one_a_channel,
                "activation": st.sampled_from(
                    [None, "relu", "silu", {"leaky_relu": 0.1}, {"clip": [-1.0, 2.0]}]
                ),
                "arithmetic": st.sampled_from([*PRECISIONS]),
                "storage": st.none()
                | st.fixed_dictionaries(
                    {
                        "dtype": st.sampled_from([*INTEGERS, "bfloat16", "float16"]),
                        "zero_point": st.integers(-200, 200),
                        "rounding": st.sampled_from(["half_even", "toward_zero", "down"]),
                        "overflow": st.sampled_from(["saturate", "wrap"]),
                        "multiplier": st.sampled_from(["real", "float32", "fixed_twice"]),
                    }
                ),
            },
        )
    )


def test_the_keys_and_their_defaults_are_the_fixed_ones() -> None:
    assert Convention().to_dict() == FIXED_DEFAULTS
    assert tuple(FIXED_DEFAULTS) == KEYS


def test_the_names_are_the_fixed_ones() -> None:
    assert {name: list(c.flip) for name, c in NAMED.items()} == {
        "per-channel": ["H", "W"],
        "flipped": ["I", "H", "W"],
        "correlation": [],
    }
    assert (
        Convention(),
        Convention(flip=("H", "W")),
        Convention(flip=("I", "H", "W")),
    ) == (CORRELATION, PER_CHANNEL, FLIPPED)


@pytest.mark.parametrize("axes", ["W", "HW", "DHW"])
def test_every_order_of_axes_is_a_layout(axes: str) -> None:
    for order in map("".join, itertools.permutations("OI" + axes)):
        assert Convention(filter_layout=order).spatial == axes
    for order in map("".join, itertools.permutations("NC" + axes)):
        c = Convention(image_layout=order, output_layout=order)
        assert (c.rank, c.filter_layout) == (len(axes), "OI" + axes)
    for layout in (axes, "O" + axes, "I" + axes, axes + "IM"):
        assert Convention(filter_layout=layout).rank == len(axes)


def test_the_rank_follows_from_what_is_given() -> None:
    assert Convention().spatial == "HW"
    assert Convention(image_layout="CW") == Convention("CW", "OIW", "CW", stride=(1,))
    assert Convention(stride=(2, 2, 2)).image_layout == "CDHW"
    assert Convention(padding=((1, 2),)).filter_layout == "OIW"
    assert Convention(filter_layout="DHWIO", padding=2).padding == ((2, 2),) * 3
    for keys in (
        {"image_layout": "CW", "filter_layout": "OIHW"},
        {"stride": (1, 2), "padding": ((1, 1), (1, 1), (1, 1))},
        {"image_layout": "NC"},
        {"image_layout": "chw"},
        {"stride": []},
        {"dilation": [1, 2, 3, 4]},
    ):
        with pytest.raises(InputError, match="do not agree on the number of spatial axes"):
            Convention(**keys)


@SETTINGS
@given(mappings())
def test_json_there_and_back_loses_nothing(mapping: dict[str, object]) -> None:
    convention = Convention.from_dict(mapping)
    plain = json.loads(json.dumps(convention.to_dict(), allow_nan=False))
    assert Convention.from_dict(plain) == convention
    assert Convention.from_dict(plain).to_dict() == plain
    assert hash(Convention.from_dict(plain)) == hash(convention)
    # What was given is what is there, in the record's own types.
    for key, value in mapping.items():
        given_value = json.loads(json.dumps(value))
        if key == "flip":
            given_value = [axis for axis in "IDHW" if axis in given_value]
        if key == "padding_mode" and len(set(given_value)) == 1:
            given_value = given_value[0]
        assert plain[key] == given_value
    schema().validate(plain)


@pytest.mark.parametrize(
    ("keys", "layouts"),
    [
        ({"filter_memory": "HWIO"}, ("CHW", "OIHW")),
        ({"filter_memory": "HWI"}, ("CHW", "IHW")),
        ({"filter_memory": "WIM"}, ("CW", "IMW")),
        ({"image_memory": "NDHWC"}, ("NCDHW", "OIDHW")),
        ({"image_memory": "HWC", "filter_layout": "HWIO"}, ("CHW", "HWIO")),
        ({"image_layout": "HWC", "image_memory": "CHW"}, ("HWC", "OIHW")),
        ({"image_layout": "HWC", "image_memory": "HWC"}, ("HWC", "OIHW")),
    ],
)
def test_a_memory_has_the_letters_of_its_layout(
    keys: dict[str, str], layouts: tuple[str, str]
) -> None:
    c = Convention.from_dict(keys)
    assert (c.image_layout, c.filter_layout) == layouts
    assert {key: getattr(c, key) for key in keys} == keys
    schema().validate(c.to_dict())


@pytest.mark.parametrize(
    "keys",
    [
        {"filter_layout": "OIHW", "filter_memory": "HWI"},
        {"filter_layout": "OIHW", "filter_memory": "HWIM"},
        {"image_layout": "NCHW", "image_memory": "HWC"},
    ],
    ids=str,
)
def test_a_memory_of_other_letters_is_refused(keys: dict[str, str]) -> None:
    with pytest.raises(InputError, match="_memory has other axes than its"):
        Convention.from_dict(keys)
    with pytest.raises(InputError, match="number of spatial axes"):
        Convention.from_dict({**keys, "output_layout": "CDHW"})


def test_short_forms() -> None:
    assert Convention(stride=2, dilation=3, input_dilation=4, padding=1) == Convention(
        stride=(2, 2), dilation=(3, 3), input_dilation=(4, 4), padding=((1, 1), (1, 1))
    )
    assert Convention(flip=["W", "I"]).flip == ("I", "W")
    assert Convention(flip=["W", "W"]).flip == ("W",)
    assert Convention(stride=np.array([2, 3]), bias=np.array([1.5, 2])).to_dict()["bias"] == [
        1.5,
        2,
    ]
    assert Convention(stride=2.0).stride == (2, 2)
    assert type(Convention(stride=np.int64(2)).stride[0]) is int


def test_replace_checks_too() -> None:
    assert Convention().replace(stride=2) == Convention(stride=2)
    with pytest.raises(InputError, match="stride"):
        Convention().replace(stride=0)


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Convention().groups = 2  # type: ignore[misc]


NO_COUNT = [0, -1, 1.5, "2", "", None, True, float("nan"), float("inf"), 0.5]
ONE_A_CHANNEL = ("image_offset", "image_scale", "filter_offset", "scale")
HOSTILE = [
    *[(key, v) for key in ("stride", "dilation", "input_dilation") for v in NO_COUNT],
    *[(key, v) for key in ("stride", "dilation") for v in ([1, 0], [[1], [1]])],
    *[("groups", v) for v in [*NO_COUNT, [1], {}]],
    *[("padding", v) for v in ("1", None, True, [1, 1], [[1], [1]], [[1, 1], [1, 1.5]])],
    *[("padding", v) for v in ([[1, 1, 1], [1, 1]], {"top": 1}, ["11", "11"], float("nan"))],
    *[("padding_mode", v) for v in ("zeros", "", None, 0, ["constant", "zeros"], "CONSTANT")],
    *[("padding_value", v) for v in ("1", None, True, [1], 1j, float("nan"), 10**400)],
    *[(key, v) for key in ONE_A_CHANNEL for v in ("1", None, True, [], [None], [[1]], 1j)],
    *[(key, [1.0, float("inf")]) for key in ONE_A_CHANNEL],
    *[("flip", v) for v in ("HW", "H", None, ["C"], ["D"], ["h"], [1], [["H"]], 1, [None])],
    *[
        (key, v)
        for key in ("channel_order", "output_order")
        for v in ("10", [0, 0], [1, 2], [0, 2], [-1, 0], [0.5], [True], 1, [[0]], [])
    ],
    *[("conjugate", v) for v in (0, 1, "true", None, [])],
    *[("bias", v) for v in ("1", [float("nan")], ["1"], [None], [[1]], [True], [])],
    *[("arithmetic", v) for v in ("float8", "wrap", "wrap:int64", None, 64, "", "int8")],
    *[("storage", v) for v in ("uint8", {}, {"dtype": "uint7"}, {"dtype": "tf32"}, 3, [])],
    *[("storage", {"dtype": "uint8", **v}) for v in ({"zero_point": 0.5}, {"rounding": "up"})],
    *[("storage", {"dtype": "uint8", **v}) for v in ({"overflow": "clip"}, {"limit": 3})],
    *[("image_layout", v) for v in (None, ["C", "H", "W"], 3, "CHWO", "CHH", "CH")],
    *[("filter_layout", v) for v in ("OIH", "OIHWW", None, "MOHW")],
    *[("output_layout", v) for v in ("OHW", "OWH", None)],
    *[("image_memory", v) for v in ("OHW", "CHH", 3, "", ["C", "H", "W"])],
    *[("filter_memory", v) for v in ("OIH", "MOHW", "", True)],
]


@pytest.mark.parametrize(("key", "value"), HOSTILE, ids=lambda v: repr(v)[:30])
def test_what_the_vocabulary_lacks_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        Convention.from_dict({key: value})
    assert key in caught.value.what
    assert caught.value.expected


def test_an_unknown_key_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InputError) as caught:
        Convention.from_dict({"strides": [2, 2]})
    assert "'strides'" in caught.value.what
    assert caught.value.hint == "did you mean 'stride'?"
    with pytest.raises(InputError) as caught:
        Convention.from_dict({3: 1})
    assert caught.value.hint is None


@pytest.mark.parametrize("value", [None, 3, "flipped", [1], [["stride", 2]]])
def test_only_a_mapping_is_a_convention(value: object) -> None:
    with pytest.raises(InputError, match="JSON object"):
        Convention.from_dict(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flipped", {"flip": "flipped"}),
        ("per-channel", {"flip": "per-channel"}),
        ("convolution", {"flip": "per-channel"}),
        (" correlation\n", {"flip": "correlation"}),
        ("cross-correlation", {"flip": "correlation"}),
        ("{}", {}),
        (' {"stride": 2, "flip": []}', {"stride": 2, "flip": []}),
        ('{"padding": [[0, 1], [0, 1]]}', {"padding": [[0, 1], [0, 1]]}),
        ('{"groups": 1}', {"groups": 1}),
    ],
)
def test_a_slug_or_an_object_names_some_keys(text: str, expected: dict[str, object]) -> None:
    assert parse_partial(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "fliped",
            "[1]",
            "3",
            "null",
            "Flipped",
            '"flipped"',
            "{",
            '{"stride": 2',
            "{'a': 1}",
        ),
        *('{"stride": 0}', '{"stide": 2}', '{"scale": NaN}', '{"scale": 1e999}', "{" * 100_000),
        *("__import__('os')", '{"a": ' * 5_000),
    ],
    ids=lambda text: repr(text)[:30],
)
def test_other_text_names_none(text: str) -> None:
    with pytest.raises(InputError):
        parse_partial(text)


def test_a_slip_gets_a_suggestion() -> None:
    with pytest.raises(InputError) as caught:
        parse_partial("fliped")
    assert caught.value.hint == "did you mean 'flipped'?"


def test_what_an_activation_may_be_is_said() -> None:
    with pytest.raises(InputError) as caught:
        Convention(activation="swish")  # type: ignore[arg-type]
    assert str(caught.value.expected).startswith("null or one of relu, relu6, ")
    assert str(caught.value.expected).endswith('{"leaky_relu": "slope"}, {"clip": ["low", "high"]}')


def test_what_is_wrong_with_a_count() -> None:
    with pytest.raises(InputError) as caught:
        Convention(stride=0)
    assert caught.value.expected == "a whole number of at least 1"
    with pytest.raises(InputError) as caught:
        Convention(padding=0.5)  # type: ignore[arg-type]
    assert caught.value.expected == "a whole number"


@pytest.mark.parametrize(
    ("slug", "flips"),
    [
        ("correlation", ["", "", ""]),
        ("per-channel", ["W", "HW", "DHW"]),
        ("flipped", ["IW", "IHW", "IDHW"]),
    ],
)
def test_a_decomposition_over_any_number_of_axes(slug: str, flips: list[str]) -> None:
    for rank, flip in enumerate(flips, 1):
        assert named(slug, rank).flip == tuple(flip)
        assert normalized({"flip": slug}, rank) == {"flip": tuple(flip)}


def test_keys_in_the_records_own_types() -> None:
    found = normalized({"stride": 2, "padding": 1, "activation": "relu", "bias": [1]}, 3)
    assert found == {
        "stride": (2, 2, 2),
        "padding": ((1, 1),) * 3,
        "activation": Activation("relu"),
        "bias": (1.0,),
    }
    stored = normalized({"storage": {"dtype": "int8"}}, 1)["storage"]
    assert stored == Storage("int8", 0, "half_even", "saturate")
    with pytest.raises(InputError, match="stride"):
        normalized({"stride": (1, 1)}, 3)


@pytest.mark.parametrize(
    ("keys", "hint"),
    [
        ({"kernel_transposed": True}, '{"filter_layout": "OIWH"}'),
        ({"output_layout": "NOHW"}, "'NCHW'"),
        ({"arithmetic": "wrap:uint8"}, '"rounding": "toward_zero", "overflow": "wrap"'),
        ({"arithmetic": "saturate:int8"}, '"rounding": "half_even", "overflow": "saturate"'),
    ],
)
def test_what_schema_1_had_is_named_with_its_successor(keys: dict[str, object], hint: str) -> None:
    with pytest.raises(InputError) as caught:
        Convention.from_dict(keys)
    assert hint in str(caught.value.hint)


def test_replace_changes_and_checks_what_is_named_alone() -> None:
    one = Convention(stride=2, scale=0.5)
    other = one.replace(arithmetic="float16", padding=1, flip=["W", "H"])
    assert other == Convention(
        stride=2, scale=0.5, arithmetic="float16", padding=1, flip=("H", "W")
    )
    assert hash(other) != hash(one)
    assert one == Convention(stride=2, scale=0.5)
    for key, value in [("dilation", 0), ("scale", float("nan")), ("padding_mode", "zeros")]:
        with pytest.raises(InputError, match=f"the convention's {key} is unfit"):
            one.replace(**{key: value})


def test_the_closest_of_several_is_suggested() -> None:
    with pytest.raises(InputError) as caught:
        Convention.from_dict({"padding_mod": "wrap"})  # padding_value and padding are close too
    assert caught.value.hint == "did you mean 'padding_mode'?"
    with pytest.raises(InputError) as caught:
        parse_partial("corelation")  # cross-correlation and convolution are close too
    assert caught.value.hint == "did you mean 'correlation'?"


def test_channels_are_counted_from_zero() -> None:
    with pytest.raises(InputError) as caught:
        Convention(channel_order=(-1, 0))
    assert "permutation" in caught.value.expected


def test_what_is_summed_is_the_same_without_the_steps_after() -> None:
    c = Convention(
        stride=2,
        padding=1,
        padding_mode=("reflect", "wrap"),
        image_offset=3.0,
        scale=0.5,
        bias=1.0,
        activation="relu",  # type: ignore[arg-type]
        arithmetic="float32",
        storage=Storage("int8"),
    )
    assert c.linear == Convention(
        stride=2, padding=1, padding_mode=("reflect", "wrap"), image_offset=3.0
    )
    assert (c.spatial, c.rank, c.padding_modes) == ("HW", 2, ("reflect", "wrap"))
    assert Convention(image_layout="CDHW").padding_modes == ("constant",) * 3
    assert SCHEMA == 2


def test_the_vocabulary_has_the_records_defaults() -> None:
    plain = Convention()
    for field in fields(Convention):
        layout = field.name in ("image_layout", "filter_layout", "output_layout")
        expected = getattr(plain, field.name) if layout else field.default
        assert VOCABULARY[field.name].default == expected


STORED = Storage().to_dict()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((key, value) for key in ("stride", "dilation") for value in ([], [1] * 4, [0], 1)),
        ("input_dilation", [0, 1]),
        *(("padding", value) for value in ([], [[1]], [[1, 1, 1]], [[0.5, 1]], [[1, 1]] * 4)),
        *(("padding_mode", value) for value in ([], ["zeros"], ["wrap"] * 4)),
        *((key, []) for key in ("image_offset", "image_scale", "filter_offset", "scale", "bias")),
        *((key, v) for key in ("channel_order", "output_order") for v in ([], [-1], [0.5])),
        *(("flip", value) for value in (["H", "H"], ["C"], None)),
        *(("groups", value) for value in (0, 1.5, [1])),
        *(("image_layout", value) for value in ("", "OHW", "NCDHWW", None)),
        *(("filter_memory", value) for value in ("", "NHW")),
        ("activation", "clip"),
        *(("activation", {"clip": value}) for value in (1, [1], [1, 2, 3])),
        *(("activation", {"leaky_relu": value}) for value in ([1], "1")),
        *(("activation", value) for value in ({}, {"leaky_relu": 1, "clip": [1, 2]})),
        ("storage", {"dtype": "uint8"}),
        ("storage", STORED | {"limit": 3}),
        ("storage", STORED | {"zero_point": 0.5}),
        ("conjugate", 0),
        ("arithmetic", "int8"),
        ("stripe", [1]),
    ],
    ids=str,
)
def test_the_schema_refuses_what_is_never_written(key: str, value: object) -> None:
    plain = Convention().to_dict()
    assert schema().is_valid(plain)
    assert not schema().is_valid(plain | {key: value})


@pytest.mark.parametrize(
    "keys",
    [
        {"stride": [1], "padding": [[-1, 0]], "padding_mode": ["wrap"]},
        {"stride": [1] * 3, "padding": [[1, 1]] * 3, "padding_mode": ["wrap"] * 3},
        {"bias": [1], "channel_order": [0], "image_offset": [0.5], "flip": ["I", "D", "H", "W"]},
        {"image_layout": "W", "filter_layout": "OIDHW", "output_layout": "NCDHW"},
        {"activation": {"clip": [0, 1]}},
        {"activation": {"leaky_relu": -1}},
        {"storage": STORED},
    ],
    ids=str,
)
def test_the_schema_takes_what_is_written(keys: dict[str, object]) -> None:
    schema().validate(Convention().to_dict() | keys)


def test_a_schema_has_every_key_and_needs_it() -> None:
    plain = Convention().to_dict()
    for key in KEYS:
        assert not schema().is_valid({k: v for k, v in plain.items() if k != key})
