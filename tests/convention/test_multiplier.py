"""The ways in which integer arithmetic applies a scale, beside their published arithmetic."""

import json

import numpy as np
import pytest
import quantised_arithmetic as published

import convcheck
from convcheck.calls import equivalent_calls
from convcheck.convention import Convention, Storage
from convcheck.convention.multiplier import fixed_point, multiplied, shifted
from convcheck.errors import InputError
from convcheck.words import describe

WAYS = [
    ("fixed_twice", "half_away", published.tflite_twice),
    ("fixed_twice", "half_away", published.cmsis_nn_requantize),
    ("fixed_twice", "half_away", published.qnnpack_q31),
    ("fixed", "half_up", published.tflite_once),
    ("float32", "half_even", published.fbgemm_float32),
]
SCALES = [0.25, 2.0**-9, 0.001953, 0.0078124, 0.3, 1 / 3, 2.0**-14, 0.99999]


@pytest.mark.parametrize(("way", "rounding", "arithmetic"), WAYS)
@pytest.mark.parametrize("scale", SCALES)
def test_as_published(way, rounding, arithmetic, scale) -> None:
    rng = np.random.default_rng(3)
    # Around every tie, and wherever it happens.
    ties = np.rint((np.arange(-140, 140) + 0.5) / scale)[:, None] + np.arange(-2, 3)
    held = np.concatenate([ties.ravel(), rng.integers(-(2**20), 2**20, 4000)]).astype(np.int64)
    scale = float(np.float32(scale))
    s = Storage("int32", 3, rounding, "saturate", way)
    assert np.array_equal(s.apply(s.multiplied(held * scale, scale)), arithmetic(held, scale) + 3)


@pytest.mark.parametrize(("way", "rounding", "arithmetic"), WAYS)
def test_convolve(way, rounding, arithmetic) -> None:
    """A layer with a scale a channel, a bias among the sums, a zero point and a clamp."""
    rng = np.random.default_rng(1)
    image = rng.integers(-128, 128, (3, 12, 11)).astype(np.int8)
    filters = rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    scales = np.float32(rng.uniform(0.0005, 0.002, 4)).astype(float)
    bias = rng.integers(-3000, 3000, 4)
    made = Convention(
        scale=tuple(scales),
        bias=tuple(bias * scales),
        storage=Storage("int8", -7, rounding, "saturate", way),
    )
    sums = convcheck.convolve(image, filters, Convention()).astype(np.int64)
    held = sums + bias[:, None, None]
    wanted = np.stack([arithmetic(a, s) for a, s in zip(held, scales, strict=True)])
    out = convcheck.convolve(image, filters, made)
    assert out.dtype == np.int8
    assert np.array_equal(out, np.clip(wanted - 7, -128, 127))
    scope = {"image": image, "filters": filters}
    exec(equivalent_calls(made, image.shape, filters.shape, dtype="int64")["scipy"], scope)
    assert scope["out"].dtype == np.int8
    assert np.array_equal(scope["out"], out)


def test_rounded_twice_is_not_once() -> None:
    """A tie that the first rounding makes."""
    s = 2.0**-10 * (1 + 2.0**-12)
    twice, once = (Storage("int8", 0, r, "saturate", w) for w, r, _ in (WAYS[0], WAYS[3]))
    held = np.arange(-100000, 100000)
    apart = twice.apply(twice.multiplied(held * s, s)) != once.apply(once.multiplied(held * s, s))
    assert 0 < apart.sum() < 200


def test_words_and_json() -> None:
    s = {"dtype": "int8", "multiplier": "fixed_twice", "rounding": "half_away"}
    c = Convention.from_dict({"scale": 0.001, "storage": s})
    assert "multiplied in fixed point and rounded twice" in describe(c)
    assert Convention.from_dict(json.loads(json.dumps(c.to_dict()))) == c
    with pytest.raises(InputError, match="multiplier"):
        Convention.from_dict({"storage": {**s, "multiplier": "thrice"}})


def test_limits() -> None:
    """Scales that no shift reaches, and none at all."""
    for way in ("float32", "fixed", "fixed_twice"):
        s = Storage("int32", 0, "half_up", "saturate", way)
        for scale in (0.0, 2.0**-40, 1.0, 3.0, 2.0**20):
            y = np.array([-5.0, 0, 7]) * scale
            assert np.array_equal(s.apply(s.multiplied(y, scale)), np.rint(y))


@pytest.mark.parametrize(
    ("scale", "q", "e"),
    [
        (0.5, 2**30, 0),
        (-0.5, -(2**30), 0),
        (1.0, 2**30, 1),
        (0.75, 3 * 2**29, 0),
        (1 / 3, 1431655765, -1),  # a third of 2^32, rounded
        (0.0, 0, 0),
        # What rounds up to 1 is a half of 2.
        (1 - 2.0**-40, 2**30, 1),
        (-1 + 2.0**-40, -(2**30), 1),
        (1 - 2.0**-31, 2**31 - 1, 0),
        # The furthest shifts, to the right and to the left.
        (2.0**-32, 2**30, -31),
        (2.0**-33, 0, -31),
        (2.0**28, 2**30, 29),
        (2.0**40, 2**30, 29),
    ],
)
def test_a_scale_in_fixed_point(scale: float, q: int, e: int) -> None:
    """The scale is q of 2^-31, by 2^e."""
    assert [int(n) for n in fixed_point(scale)] == [q, e]


def test_an_accumulator_is_the_integer_that_it_is_near_to() -> None:
    for scale in (1.0, -0.5):
        for y, expected in (
            (3.0, 3.0),
            (3 + 2.0**-18, 3.0),
            (3 - 2.0**-18, 3.0),
            (3 + 2.0**-17, 3 + 2.0**-17),
            (3.25, 3.25),
            (-7.5, -7.5),
        ):
            found = multiplied(np.array([y * scale]), scale, "float32")
            assert found.tolist() == [expected * scale]
    assert multiplied(np.array([0.1]), 0.3, "real").tolist() == [0.1]
    # In float32, as it is multiplied: 16777217 is no number of it.
    assert multiplied(np.array([2.0**24 + 1]), 1.0, "float32").tolist() == [2.0**24]


@pytest.mark.parametrize("way", ["fixed", "fixed_twice"])
def test_an_accumulator_has_32_bits(way: str) -> None:
    most, least = 2**31 - 1, -(2**31)
    y = 0.5 * np.array([2.0**31 - 1, 2.0**33, -(2.0**31), -(2.0**33)])
    ends = np.array([0.5 * most, 0.5 * most, 0.5 * least, 0.5 * least])
    found = multiplied(y, 0.5, way)
    # Rounded twice, a half of an odd number is rounded the first time, upwards.
    assert found.tolist() == (np.ceil(ends) if way == "fixed_twice" else ends).tolist()


def test_what_is_shifted_to_the_left_saturates_first() -> None:
    held = np.array([2**30, -(2**30), 5])
    q, e = fixed_point(3.0)
    assert shifted(held, q, e, "fixed").tolist() == [3 * 2**30, -3 * 2**30, 15]
    assert shifted(held, q, e, "fixed_twice").tolist() == [3 * 2**29 - 1, -3 * 2**29, 15]


def test_what_is_left_over_is_kept_for_rounding() -> None:
    q, e = fixed_point(2.0**-4)
    # 1/16, 1/2, and one more of the smallest: no tie.
    found = shifted(np.array([1, 8, 9, 12, -8, -9]), q, e, "fixed")
    assert np.rint(found).tolist() == [0, 0, 1, 1, 0, -1]
    assert np.floor(found + 0.5).tolist() == [0, 1, 1, 1, 0, -1]
    assert found[1] == 0.5
    assert 0.5 < found[2] <= 0.75
