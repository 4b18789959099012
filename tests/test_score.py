"""What explanations take in bits: literal tables, and the order that everything rests on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from convcheck.convention import Convention
from convcheck.score import (
    MARGIN,
    Literal,
    Score,
    choose_bits,
    key_bits,
    layout_bits,
    likeliest,
    number_bits,
    numbers_bits,
    order_bits,
    place_bits,
    plainest,
    usual_layouts,
)

SETTINGS = settings(derandomize=True, deadline=None, max_examples=200)


def test_the_total_and_the_gain() -> None:
    score = Score(keys=3, numbers=5, exceptions=7, residual=11, literal=100)
    assert (score.total, score.gain) == (26, 74)
    assert MARGIN == 10


# ---- keys


@pytest.mark.parametrize(
    ("keys", "bits"),
    [
        ({}, 0),
        ({"flip": ["H", "W"]}, 2),
        ({"flip": ["I", "H", "W"]}, 2),
        ({"flip": ["H"]}, 5),
        ({"flip": ["I", "W"]}, 5),
        ({"conjugate": True}, 2),
        ({"stride": 2}, 2 + 2),
        ({"stride": 4}, 2 + 4),
        ({"stride": [2, 1]}, 2 + 2 + 3),
        ({"stride": [2, 4]}, 2 + 4 + 3 + 2),
        ({"dilation": 2}, 3 + 2),
        ({"input_dilation": 2}, 3 + 2),
        ({"padding": 1}, 2 + 2),
        ({"padding": 3}, 2 + 4),
        ({"padding": [[1, 1], [3, 3]]}, 2 + 2 + 4 + 2),
        ({"padding": [[0, 1], [0, 1]]}, 2 + 2 + 2),
        ({"padding": [[0, 1], [0, 0]]}, 2 + 2 + 2 + 2),
        ({"padding": -1}, 2 + 2 + 2),
        ({"padding": 1, "padding_mode": "reflect"}, 4 + 3),
        ({"padding": 1, "padding_mode": "edge"}, 4 + 3),
        ({"padding": 1, "padding_mode": "symmetric"}, 4 + 4),
        ({"padding": 1, "padding_mode": "wrap"}, 4 + 4),
        ({"padding": 1, "padding_mode": ["constant", "wrap"]}, 4 + 4),
        ({"channel_order": [2, 1, 0]}, 4),
        ({"output_order": [2, 1, 0]}, 4),
        ({"activation": "relu"}, 4),
        ({"arithmetic": "float32"}, 0),
        ({"arithmetic": "float64"}, 0),
        ({"arithmetic": "tf32"}, 3),
        ({"storage": {"dtype": "uint8"}}, 3),
        ({"storage": {"dtype": "uint8", "rounding": "toward_zero"}}, 3 + 2),
        ({"storage": {"dtype": "uint8", "overflow": "wrap"}}, 3 + 3),
        ({"storage": {"dtype": "uint8", "zero_point": 1}}, 3 + 1),
        ({"storage": {"dtype": "uint8", "multiplier": "fixed"}}, 3 + 3),
        ({"padding": [[-1, -1], [3, 3]]}, 2 + 2 + 2 + 4 + 2),
        ({"padding": 1, "padding_value": 7}, 4 + 4 + 2 + 3.33),
        # Each number once, however many channels have it.
        ({"image_offset": 1}, 2 + 1),
        ({"image_offset": [1, 2, 1]}, 2 + 1 + 3),
        ({"image_scale": 2}, 2 + 3),
        ({"filter_offset": 0.5}, 2 + 4),
        ({"filter_memory": "OIHW"}, 0),
        ({"filter_memory": "HWIO"}, 6 + 1),
        ({"filter_memory": "WHIO"}, 6 + 9),
        ({"image_memory": "HWC", "output_layout": "HWC"}, 6 + 1),
        ({"image_memory": "HWC"}, 6 + 1 + 3),
        ({"image_memory": "WHC", "output_layout": "HWC"}, 6 + 9),
        # Numbers that are solved for are weighed with what the data leave of them.
        ({"scale": 0.123, "bias": [3, 4]}, 0),
    ],
    ids=str,
)
def test_what_it_takes_to_say_a_key(keys: dict[str, Any], bits: float) -> None:
    assert key_bits(Convention.from_dict(keys)) == pytest.approx(bits)


@pytest.mark.parametrize(
    ("image", "filters", "output", "groups", "bits"),
    [
        ("NCHW", "OIHW", "NCHW", 1, 0),
        ("CHW", "OIHW", "CHW", 2, 2),
        ("NHWC", "HWIO", "NHWC", 1, 1 + 1),
        ("HWC", "HWIO", "HWC", 1, 1 + 1),
        ("NHWC", "HWIO", "NCHW", 1, 1 + 1 + 3),
        ("CHW", "OIHW", "HWC", 1, 3),
        ("CHW", "IOHW", "CHW", 1, 2),
        ("CHW", "OHWI", "CHW", 1, 3),
        ("CHW", "OIWH", "CHW", 1, 9),
        ("CHW", "IHW", "HW", 1, 0),
        ("HW", "HW", "HW", 1, 0),
        ("NHW", "OHW", "NHW", 1, 2 + 1 + 3),
        ("CWH", "OIHW", "CWH", 1, 18),
        ("CW", "OIW", "CW", 1, 1),
        ("NCW", "OIW", "NCW", 1, 2),
        ("NCDHW", "OIDHW", "NCDHW", 1, 0),
        ("CDHW", "OIDHW", "CDHW", 1, 6),
        ("DHW", "DHW", "DHW", 1, 12),
        ("NHWC", "HWIM", "NHWC", 3, 1 + 2 + 2),
        ("CNHW", "IOHW", "CNHW", 1, 4 + 2 + 3),
        ("HW", "HWO", "CHW", 1, 3),
        ("CHW", "HWOI", "CHW", 1, 4),
        ("CHW", "IHWO", "CHW", 1, 5),
        ("HWC", "HWIO", "HW", 1, 1 + 1),
        ("CHW", "HWI", "HW", 1, 1),
        ("HWC", "HWIO", "WHC", 1, 1 + 1),
        ("CHW", "OIHW", "WHC", 1, 9),
        ("NCHW", "OHW", "NHW", 1, 1 + 3),
        ("DHWC", "DHWIO", "DHWC", 1, 1 + 1 + 6),
    ],
)
def test_what_it_takes_to_say_the_layouts(
    image: str, filters: str, output: str, groups: int, bits: float
) -> None:
    assert layout_bits(Convention(image, filters, output, groups=groups)) == bits


def test_the_layouts_that_software_has_the_plainest_first() -> None:
    assert usual_layouts("image", "HW") == ["NCHW", "CHW", "HW", "NHWC", "HWC", "NHW", "CNHW"]
    assert usual_layouts("filters", "W") == [
        *("OIW", "IW", "W", "OW", "WIO", "WI", "IOW", "WIM", "OWI", "WO", "WOI", "IWO"),
    ]


@pytest.mark.parametrize(
    ("order", "bits"),
    [
        (None, 0),
        ([0, 1, 2], 0),
        ([2, 1, 0], 4),
        ([1, 2, 0], 4),
        ([0, 2, 4, 1, 3, 5], 4),
        ([1, 3, 0, 4, 2], 4 + math.log2(120)),
    ],
)
def test_what_it_takes_to_say_an_order(order: list[int] | None, bits: float) -> None:
    assert order_bits(order) == pytest.approx(bits)


# ---- numbers


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        (0.0, 0),
        (1.0, 1),
        (-1.0, 2),
        (2.0, 3),
        (7.0, 2 + 3.33),
        (6.5, 2 + 2 * 3.33),
        (4096.0, 2 + 2 * math.log2(13)),
        (0.5, 2 + 2 * math.log2(2)),
        (0.25, 2 + 2 * math.log2(3)),
        (1 / 9, 2 + 2 * math.log2(9)),
        (1.25, 2 + 3 * 3.33),
        (-1.25, 3 + 3 * 3.33),
        (1e6, 2 + 3.33 + 6**0.5),
        (1.23456789012, 2 + 12 * 3.33),
        (1.234567890123, 52),
        (math.pi, 52),
        (-math.pi, 53),
        (3.0, 1 + 2 * math.log2(3)),
        (4.0, 5),
        (2.0**60, 2 + 2 * math.log2(61)),
        (2.0**-20, 2 + 2 * math.log2(21)),
        (0.07, 2 + 3.33 + 2**0.5),
        (1 / 3, 2 + 2 * math.log2(3)),
        (1 / 999_983, 2 + 2 * math.log2(999_983)),
        ((1 + 1e-10) / 9, 2 + 2 * math.log2(9)),  # as good as 1/9
        ((1 + 1e-8) / 9, 52),
        (1 + 2.0**-33, 52),
        (1 / 1_000_001, 5 + 7 * 3.33 + 6**0.5),
        (1 / 1_000_003, 5 + 7 * 3.33 + 6**0.5),
        (1 / 1.3, 5 + 2 * 3.33),
        (1 / 58.395, 5 + 5 * 3.33 + 1),
        # No number takes more than its own bits.
        (1234567890123.0, 52),
        (2.0**53 - 1, 52),
    ],
)
def test_the_length_of_a_number(value: float, bits: float) -> None:
    assert number_bits(value) == pytest.approx(bits)


@pytest.mark.parametrize(
    ("low", "high", "number"),
    [
        (-1e-9, 1e-9, 0.0),
        (0.9, 1.1, 1.0),
        (-1.1, -0.9, -1.0),
        (2.6, 3.4, 3.0),
        (0.1109, 0.1113, 1 / 9),
        (0.124, 0.126, 1 / 8),
        (0.29, 0.31, 0.3),
        (117.2, 118.9, 118.0),
        (1.23456, 1.23456, 1.23456),
        (-math.inf, 3.0, 0.0),
        (0.6, math.inf, 1.0),
        (2.5, 3.0, 3.0),
        (0.292, 0.31, 0.3),
        (0.1101, 1 / 9, 1 / 9),
        (0.0, 5.0, 0.0),
        (-5.0, 0.0, 0.0),
        (-3.4, -2.6, -3.0),
        (-math.inf, math.inf, 0.0),
        (math.inf, math.inf, 0.0),
        (math.nan, 1.0, 0.0),
        (2.0, 1.0, 0.0),
        (95.0, math.inf, 100.0),
        (34.0, math.inf, 40.0),  # no further than twice as far, and one
        (0.4, math.inf, 1.0),
        (-math.inf, -95.0, -100.0),
        (1.0, 1.3, 1.0),
        (1.0, 13.0, 1.0),
        (0.9, 1.0, 1.0),
        (1 / 58.3951, 1 / 58.3949, 1 / 58.395),
        (1 / 2.7000001, 1 / 2.6999999, 1 / 2.7),
        (1.234567890101, 1.2345678901102, 1.23456789011),
        # One over a number is looked for down to a millionth.
        (1 / 30000003, 1 / 29999997, 3.3333331e-8),
        (1 / 999999.70001, 1 / 999999.699999, 1 / 999999.7),
        # The plainest of all, not of the fewest digits alone; none is plain: the middle.
        (1 / 47, 0.4, 1 / 3),
        (1.2345678901221, 1.2345678901279, 1.234567890125),
        (0.001234567890101, 0.0012345678901102, 0.00123456789011),
    ],
)
def test_the_plainest_number_of_a_range(low: float, high: float, number: float) -> None:
    assert plainest(low, high) == pytest.approx(number, rel=1e-12)


@SETTINGS
@given(st.floats(-1e6, 1e6), st.floats(1e-9, 1e3))
def test_the_plainest_number_lies_within(low: float, width: float) -> None:
    found = plainest(low, low + width)
    assert low <= found <= low + width
    assert number_bits(found) <= 53
    mirrored = plainest(-low - width, -low)
    assert mirrored == -found or number_bits(mirrored) == pytest.approx(number_bits(-found), abs=1)


def test_a_number_that_is_plain_by_chance_is_not_taken() -> None:
    """A range of one part in a thousand has a number of ten bits."""
    assert likeliest(0.99, 1.01) == 1.0
    assert likeliest(-1, 1) == 0.0
    assert likeliest(1.23456, 1.23456) == 1.23456
    assert likeliest(0.1109, 0.1113) == pytest.approx(0.1111, abs=1e-4)
    low, high = 0.73411, 0.73421
    found = likeliest(low, high)
    assert low + 0.375 * (high - low) <= found <= high - 0.375 * (high - low)
    assert likeliest(0.5 - 1e-9, 0.5 + 2e-9) == 0.5
    # At the edge of a range, it takes three bits more than chance.
    assert likeliest(0.995, 1.0392) == 1.0
    assert likeliest(1 - 1 / 64, 1 + 3 / 64) == 1.0
    assert 1.028 < likeliest(0.995, 1.0834) < 1.05


def test_numbers_are_written_out_or_said_to_their_width() -> None:
    assert numbers_bits(np.array([1.0, 2.0]), np.zeros(2)) == 4
    odd = np.array([1.2345678, 2.3456789, 0.9876543, 1.7654321])
    wide, narrow = numbers_bits(odd, np.full(4, 0.1)), numbers_bits(odd, np.full(4, 1e-4))
    scale = np.median(odd)
    beyond = sum(2 * math.log2(max(v / scale, 1)) for v in odd)
    large = 2 + 2 * math.log2(2)  # that they are about 2 to the first
    assert wide == pytest.approx(large + 4 * (math.log2(scale / 0.1) + 1) + beyond)
    assert narrow == pytest.approx(wide + 4 * math.log2(1000))
    # One that towers over the others takes more than they.
    high = numbers_bits(odd * [1, 1, 1, 1000], np.full(4, 0.1))
    assert high > wide + 15
    # What nothing bounds takes its sign alone.
    assert numbers_bits(odd, np.full(4, np.inf)) == pytest.approx(large + 4 + beyond)
    assert numbers_bits(np.zeros(5), np.zeros(5)) == 0


def test_most_numbers_say_how_all_are_written() -> None:
    odd = np.array([0.41234567890123, 0.5432109876543, 0.6543210987654, 0.7321098765432])
    exact = numbers_bits(odd, np.zeros(4))
    scale = np.median(odd)
    assert exact == pytest.approx(4 + 4 * 53 + sum(2 * np.log2(np.maximum(odd / scale, 1))))
    # Of four numbers three are most, two are not; three alone are no more than their own lengths.
    three = numbers_bits(np.array([*odd[:3], 0.5]), np.zeros(4))
    assert three > 4 * 53
    two = np.array([*odd[:2], 0.5, 0.25])
    assert numbers_bits(two, np.zeros(4)) == pytest.approx(sum(map(number_bits, two)))
    assert numbers_bits(odd[:3], np.zeros(3)) == pytest.approx(3 * 52)
    # Six digits are plain enough, if the numbers are no smaller.
    digits = np.array([0.00123456, 0.00234567, 0.00345678, 0.00456789])
    assert 23 < number_bits(digits[0]) < 24
    assert numbers_bits(digits, np.zeros(4)) == pytest.approx(sum(map(number_bits, digits)))
    assert 24 < number_bits(digits[0] / 100) < 25
    assert numbers_bits(digits / 100, np.zeros(4)) > 4 * 53


def test_how_large_numbers_are_is_to_be_said_as_well() -> None:
    """A small bias that turns a few ties is not said in a bit because all of it is below a tie."""
    widths = np.full(3, 0.1)
    small = numbers_bits(np.array([0.0, 0.01, 0.01]), widths)
    assert small == pytest.approx(2 + 2 * math.log2(1 + 7) + 3)
    assert small > numbers_bits(np.array([0.0, 0.5, 0.5]), widths)


# ---- the output as it is, and where exceptions lie


@pytest.mark.parametrize(
    ("k", "n", "bits"),
    [
        (0, 7, math.log2(8)),
        (7, 7, math.log2(8)),
        (1, 7, math.log2(7) + math.log2(8)),
        (3, 7, math.log2(35) + math.log2(8)),
        (2, 100, math.log2(4950) + math.log2(101)),
    ],
)
def test_the_bits_of_a_choice(k: int, n: int, bits: float) -> None:
    assert choose_bits(k, n) == pytest.approx(bits)


def marks(*axes: tuple[int, list[int]]) -> list[np.ndarray]:
    found = [np.zeros(size, bool) for size, _ in axes]
    for axis, (_, at) in zip(found, axes, strict=True):
        axis[at] = True
    return found


def test_exceptions_that_fill_a_box_are_said_in_little() -> None:
    assert place_bits(0, marks((1, []), (4, []), (8, []), (9, []))) == 0
    every = [0, 1, 2, 3]
    row = place_bits(36, marks((1, [0]), (4, every), (8, [5]), (9, list(range(9)))))
    assert row == pytest.approx(2 + 2 * 3 + choose_bits(36, 36))
    tile = place_bits(6, marks((1, [0]), (4, [1]), (8, [2, 3]), (9, [4, 5, 6])))
    assert tile == pytest.approx(2 + 4 + 6 + 2 * math.log2(9) + choose_bits(6, 6))
    # Every second channel is a choice of channels.
    apart = place_bits(144, marks((1, [0]), (4, [0, 2]), (8, list(range(8))), (9, list(range(9)))))
    assert apart == pytest.approx(2 + choose_bits(2, 4) + choose_bits(144, 144))
    # One element is said as one of all, where that is shorter.
    one = place_bits(1, marks((1, [0]), (1, [0]), (8, [2]), (1, [0])))
    assert one == pytest.approx(min(choose_bits(1, 8), 2 + 6 + choose_bits(1, 1)))
    # Scattered ones take the choice itself.
    some = place_bits(3, marks((1, [0]), (4, [0, 3]), (8, [0, 7]), (9, [0, 8])))
    assert some == pytest.approx(choose_bits(3, 288))


def test_an_element_takes_the_bits_of_its_place_in_the_range() -> None:
    values = np.arange(1024.0)
    literal = Literal.of(values)
    steps = np.ones(3)
    middle = literal.bits(np.array([5.5, 900.25, -3.0]), steps)
    assert middle == pytest.approx(
        np.log2(1 + np.quantile(values, 0.995) - np.quantile(values, 0.005))
    )
    finer = literal.bits(np.array([5.5]), np.array([2.0**-10]))
    assert finer[0] == pytest.approx(middle[0] + 10, abs=0.01)
    # Zeros of a ReLU are many: each says as little as its share.
    many = Literal.of(np.concatenate([np.zeros(512), values[:512] + 0.5]))
    assert many.bits(np.zeros(1), steps[:1])[0] == pytest.approx(1.0)
    assert many.bits(np.array([0.5]), steps[:1])[0] > 8
    # Twice is often already, and each of several values has its own share.
    some = Literal.of(np.array([1.0, 2.0, 2.0, 5.0, 5.0, 5.0, 7.0, 9.0]))
    assert some.bits(np.array([2.0, 5.0]), np.full(2, 1e-9)) == pytest.approx(np.log2([4, 8 / 3]))
    assert Literal.of(np.full(9, 3.0)).bits(np.full(9, 3.0), np.ones(9)).max() == 0
    assert literal.bits(np.array([1.5]), np.array([2.0**-90]))[0] == 64
    # Infinities and NaN are no part of a range; complex numbers have that of their wider part.
    assert Literal.of(np.array([1.0, 3.0, np.inf, np.nan])).range == 2
    assert Literal.of(np.array([1 + 1j, 2 + 7j])).range == 6
    assert Literal.of(np.array([np.nan])).range == 0
    # A value that is there once is not said by its share; of more than 400 the outermost are few.
    once = Literal.of(np.arange(9) / 7)
    assert once.bits(np.array([3 / 7]), np.array([2.0**-20]))[0] > 20
    assert Literal.of(np.arange(400.0)).range == 399
    assert Literal.of(np.arange(401.0)).range == pytest.approx(0.99 * 400)


ANY = st.floats(allow_subnormal=True)


@SETTINGS
@example(value=8.98e307, other=8.99e307, width=0.0)
@example(value=5e-324, other=5e-324, width=0.0)
@given(value=ANY, other=ANY, width=ANY)
def test_no_number_is_too_odd_to_be_weighed(value: float, other: float, width: float) -> None:
    """Sums of finite numbers may overflow, and what follows from them is no number."""
    low, high = min(value, other), max(value, other)
    for bits in (
        number_bits(value),
        number_bits(likeliest(low, high)),
        numbers_bits(np.array([value, other]), np.array([abs(width), 0.0])),
    ):
        assert bits >= 0
    assert math.isinf(number_bits(math.nan))
    assert math.isinf(number_bits(math.inf))
    found = plainest(low, high)
    assert low <= found <= high or math.isnan(low + high) or math.isinf(low) or found == 0
