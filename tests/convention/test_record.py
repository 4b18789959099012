"""The record: what it accepts, what it refuses, and that JSON loses nothing of it."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convcheck.convention import (
    CORRELATION,
    FILTER_LAYOUTS,
    FLIPPED,
    IMAGE_LAYOUTS,
    INTEGER_ARITHMETICS,
    KEYS,
    NAMED,
    OUTPUT_LAYOUTS,
    PADDING_MODES,
    PER_CHANNEL,
    PRECISIONS,
    Convention,
    parse_partial,
)
from convcheck.errors import InputError

SETTINGS = settings(derandomize=True, deadline=None, max_examples=200)

# The keys are fixed: users' files hold them.
FIXED_DEFAULTS = {
    "image_layout": "CHW",
    "filter_layout": "OIHW",
    "output_layout": "OHW",
    "flip": [],
    "stride": [1, 1],
    "dilation": [1, 1],
    "input_dilation": [1, 1],
    "padding": [[0, 0], [0, 0]],
    "padding_mode": "constant",
    "padding_value": 0.0,
    "groups": 1,
    "channel_order": None,
    "kernel_transposed": False,
    "scale": 1.0,
    "bias": None,
    "activation": None,
    "arithmetic": "exact",
}

sizes = st.integers(1, 9)
numbers = st.floats(allow_nan=False, allow_infinity=False)
conventions = st.fixed_dictionaries(
    {},
    optional={
        "image_layout": st.sampled_from(IMAGE_LAYOUTS),
        "filter_layout": st.sampled_from(FILTER_LAYOUTS),
        "output_layout": st.sampled_from(OUTPUT_LAYOUTS),
        "flip": st.lists(st.sampled_from("IHW"), unique=True),
        "stride": st.tuples(sizes, sizes),
        "dilation": st.tuples(sizes, sizes),
        "input_dilation": st.tuples(sizes, sizes),
        "padding": st.tuples(*[st.tuples(*[st.integers(-9, 9)] * 2)] * 2),
        "padding_mode": st.sampled_from(PADDING_MODES),
        "padding_value": numbers,
        "groups": sizes,
        "channel_order": st.none() | st.integers(1, 5).flatmap(lambda n: st.permutations(range(n))),
        "kernel_transposed": st.booleans(),
        "scale": numbers,
        "bias": st.none() | st.lists(numbers, max_size=4),
        "activation": st.sampled_from([None, "relu"]),
        "arithmetic": st.sampled_from([*PRECISIONS, *INTEGER_ARITHMETICS]),
    },
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


def test_every_order_of_the_filter_axes_is_a_layout() -> None:
    orders = {"".join(order) for order in itertools.permutations("OIHW")}
    assert set(FILTER_LAYOUTS) == orders | {"IHW", "HW", "HWIM"}


@SETTINGS
@given(conventions)
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
            given_value = [axis for axis in "IHW" if axis in given_value]
        assert plain[key] == given_value


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
HOSTILE = [
    *[(key, v) for key in ("stride", "dilation", "input_dilation") for v in NO_COUNT],
    *[(key, v) for key in ("stride", "dilation") for v in ([], [1], [1, 2, 3], [1, 0], [[1], [1]])],
    *[("groups", v) for v in [*NO_COUNT, [1], {}]],
    *[("padding", v) for v in ("1", None, True, [1, 1], [[1, 1]], [[1], [1]], [[1, 1], [1, 1.5]])],
    *[("padding", v) for v in ([[1, 1, 1], [1, 1]], {"top": 1}, ["11", "11"], float("nan"))],
    *[("padding_mode", v) for v in ("zeros", "", None, 0, ["constant"], "CONSTANT")],
    *[(key, v) for key in ("padding_value", "scale") for v in ("1", None, True, [1], 1j)],
    *[
        (key, v)
        for key in ("padding_value", "scale")
        for v in (float("nan"), -float("inf"), 10**400)
    ],
    *[("flip", v) for v in ("HW", "H", None, ["C"], ["h"], [1], [["H"]], 1, [None])],
    *[
        ("channel_order", v)
        for v in ("10", [0, 0], [1, 2], [0, 2], [-1, 0], [0.5], [True], 1, [[0]])
    ],
    *[("kernel_transposed", v) for v in (0, 1, "true", None, [])],
    *[("bias", v) for v in ("1", 1.0, [float("nan")], ["1"], [None], [[1]], [True])],
    *[("activation", v) for v in ("ReLU", "", False, 0, ["relu"])],
    *[
        ("arithmetic", v)
        for v in ("float8", "wrap", "wrap:int64", "saturate:float32", None, 64, "")
    ],
    *[("image_layout", v) for v in ("HCW", "", None, "chw", ["C", "H", "W"], 3, "CHWN")],
    *[("filter_layout", v) for v in ("OIH", "OIHWW", None, "MIHW", "")],
    *[("output_layout", v) for v in ("CHW", "OWH", None, "")],
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
        ("flipped", {"flip": ("I", "H", "W")}),
        ("per-channel", {"flip": ("H", "W")}),
        ("convolution", {"flip": ("H", "W")}),
        (" correlation\n", {"flip": ()}),
        ("cross-correlation", {"flip": ()}),
        ("{}", {}),
        (' {"stride": 2, "flip": []}', {"stride": (2, 2), "flip": ()}),
        ('{"padding": [[0, 1], [0, 1]]}', {"padding": ((0, 1), (0, 1))}),
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


def test_unit_roundoffs_to_the_letter() -> None:
    """Half the distance from 1 to the next number: 2 to minus the bits of a significand."""
    bits = {"float64": 53, "float32": 24, "tf32": 11, "float16": 11, "bfloat16": 8}
    assert dict(PRECISIONS) == {"exact": 0.0} | {name: 0.5**n for name, n in bits.items()}


def test_what_is_wrong_with_a_count() -> None:
    with pytest.raises(InputError) as caught:
        Convention(stride=0)
    assert caught.value.expected == "a whole number of at least 1"
    with pytest.raises(InputError) as caught:
        Convention(padding=0.5)  # type: ignore[arg-type]
    assert caught.value.expected == "a whole number"


def test_the_integer_arithmetics_to_the_letter() -> None:
    kinds = {"uint8", "int8", "uint16", "int16", "uint32", "int32"}
    assert set(INTEGER_ARITHMETICS) == {f"{how}:{k}" for how in ("wrap", "saturate") for k in kinds}


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
