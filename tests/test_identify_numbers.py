"""Numbers in few digits, and what integers at a limit or beyond it say of scale and biases."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.optimize import linprog
from test_identify_judging import ALONE, sums_are

from convcheck.checks.identify.bounds import Bounds, inside, lines, plainest_bias
from convcheck.checks.identify.numerals import length, plainest, simple_numbers
from convcheck.checks.identify.wrapped import (
    _cut_bias,
    rare_scales,
    usual_scales,
    wound,
    wrapped_border,
    wrapped_forms,
)
from convcheck.checks.sums import Linear, Problem
from convcheck.convention import Convention
from convcheck.engine import convolve

if TYPE_CHECKING:
    from collections.abc import Sequence

INF = math.inf

# --- plain numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        (2.0, [2]),
        (-3.05, [-3, -3.05]),
        (1.99, [2, 1.99]),
        (1.9, [1.9]),
        (0.1111, [1 / 9, 0.11, 0.111, 0.1111]),
        (-0.25, [-0.25]),
        (0.999, [1, 0.999]),
        (1 / 3, [1 / 3, *(round(1 / 3, n) for n in range(2, 9))]),
        (123456.0, [123456, 120000 + 3000, 123500, 123460]),
        (0.123456789, [1 / 8, *(round(0.123456789, n) for n in range(3, 9)), 0.123456789]),
        (3e15, [3e15]),
        (1e300, [1e300]),
        (1e-9, [1e-9]),
        (-1e-12, [-1e-12]),
        (999999999999999.25, [999999999999999, 1e15, 999999999999999.25]),
        (1000000000000000.75, [1e15, 1000000000000000.75]),
        (0.788, [0.8, 0.79, 0.788]),
        (0.0, []),
    ],
    ids=str,
)
def test_plain_numbers_near_one(value: float, numbers: list[float]) -> None:
    """A whole number, one over a whole number, then digit by digit: two hundredths off at most."""
    expected = [n for n in numbers if abs(n - value) <= 0.02 * abs(value) + 1e-9]
    assert simple_numbers(value) == pytest.approx(expected, rel=1e-12)
    assert len(expected) == len(numbers)


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        (-1, 2, 0.0),
        (-0.5, 0.5, 0.0),
        # As many digits as a float64 has, and the middle where the powers of ten have no more.
        (1.1548017705091154, 1.1548017705091158, 1.1548017705091154),
        (94.76397347560601, 94.76397347560605, 94.76397347560604),
        (0.0, 5.0, 0.0),
        (-5.0, 0.0, 0.0),
        (119.6, 120.0, 120.0),
        (120.0, 120.4, 120.0),
        (0.29, 1.0, 0.3),
        (0.1231, 0.1234, 0.1231),
        (1 / 3, 0.33339, 1 / 3),
        (1.11e-298, 1.25e-298, 1.2e-298),
        (0.31, 0.34, 0.31),
        (0.332, 0.3334, 0.332),
        (0.3331, 0.3334, 1 / 3),
        (-0.34, -0.31, -0.31),
        (0.9, 12, 0.9),
        (119.6, 120.4, 120.0),
        (1e300, 1.1e300, 1e300),
        (1.23456789e-298, 1.2345679e-298, 1.234567895e-298),
        (5e-324, 5e-324, 5e-324),
    ],
)
def test_the_plainest_number_of_a_range(least: float, most: float, expected: float) -> None:
    assert plainest(least, most) == expected


@pytest.mark.parametrize(
    ("number", "characters"),
    [
        *((0.0, 1), (40.0, 2), (-40.0, 3), (0.5, 3), (0.25, 3), (0.04, 4), (1 / 9, 3)),
        *((-1 / 9, 4), (1 / 128, 5), (2 / 3, len(repr(2 / 3))), (0.49994, 7), (1.0, 1)),
        *((1e-9, 5), (1e-10, 5), (3e-9, 5), (1 / 3e8, 11), (1.5, 3), (-1.0, 2)),
    ],
)
def test_how_many_characters_a_number_takes(number: float, characters: int) -> None:
    assert length(number) == characters


# --- between what numbers an element was --------------------------------------------------------


def a_row(*values: float) -> np.ndarray:
    return np.array(values, float)[None, None, None]


@pytest.mark.parametrize(
    ("arithmetic", "activation", "low", "high"),
    [
        ("saturate:int8", None, [-INF, -5.5, -0.5, 6.5, 126.5], [-127.5, -4.5, 0.5, 7.5, INF]),
        ("saturate:int8", "relu", [-INF, -5.5, -INF, 6.5, 126.5], [-127.5, -4.5, 0.5, 7.5, INF]),
        ("wrap:int8", None, [-129, -6, -1, 7, 127], [-128, -5, 1, 8, 128]),
        ("wrap:int8", "relu", [-129, -6, -INF, 7, 127], [-128, -5, 1, 8, 128]),
    ],
)
def test_between_what_numbers_an_element_was(
    arithmetic: str, activation: str | None, low: list[float], high: list[float]
) -> None:
    target = a_row(-128, -5, 0, 7, 127, 3)
    usable = target != 3
    c = ALONE.replace(arithmetic=arithmetic, activation=activation)
    bounds = Bounds.of(c, target, usable)
    assert bounds.low.ravel().tolist() == [*low, -INF]
    assert bounds.high.ravel().tolist() == [*high, INF]
    # What lies beyond the limits was cut off too.
    beyond = Bounds.rounded(a_row(-200, 200), (-128, 127), rectified=False)
    assert (beyond.low.ravel().tolist(), beyond.high.ravel().tolist()) == (
        [-INF, 199.5],
        [-199.5, INF],
    )


def test_what_was_cut_off_near_zero() -> None:
    bounds = Bounds.truncated(a_row(-1, 0, 1), rectified=False)
    assert (bounds.low.ravel().tolist(), bounds.high.ravel().tolist()) == ([-2, -1, 1], [-1, 1, 2])


# --- the lines that lie within bounds -----------------------------------------------------------


def ends_of_scale(sums: np.ndarray, bounds: Bounds, *, biased: bool) -> tuple[float, float] | None:
    """The least and the most that the scale can be, by linear programming."""
    channels = sums.shape[1]
    rows, limits = [], []
    for (_, o, _, _), value in np.ndenumerate(sums):
        place = np.eye(channels)[o] * biased
        rows += [[value, *place], [-value, *-place]]
    for low, high in zip(bounds.low.ravel(), bounds.high.ravel(), strict=True):
        limits += [high, -low]
    known = np.isfinite(limits)
    found = []
    for sign in (1, -1):
        answer = linprog(
            [sign, *[0] * channels],
            np.array(rows)[known],
            np.array(limits)[known],
            bounds=[(None, None)] * (1 + channels),
        )
        if answer.status == 2:
            return None
        found.append(sign * answer.fun if answer.status == 0 else -sign * INF)
    return found[0], found[1]


def holds(sums: np.ndarray, scale: float, bias: Sequence[float] | None, bounds: Bounds) -> bool:
    values = scale * sums + np.reshape(bias or [0.0], (1, -1, 1, 1))
    room = 1e-9 * (1 + np.abs(values))
    return bool(((values >= bounds.low - room) & (values <= bounds.high + room)).all())


MADE: dict[str, dict[str, Any]] = {
    "plain": {},
    "a shift": {"scale": 0.25},
    "a scale": {"scale": 0.137},
    "a scale below zero": {"scale": -0.3},
    "large": {"scale": 30.0},
    "biases": {"bias": (90.0, -40.0, 7.0)},
    "both": {"scale": 0.137, "bias": (90.5, -40.25, 7.0)},
    "nearly nothing": {"scale": 1e-4, "bias": (3.0, -3.25, 0.75)},
}


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("arithmetic", ["saturate:int8", "saturate:uint8", "wrap:int16"])
@pytest.mark.parametrize("name", MADE)
def test_the_lines_that_lie_within_bounds(name: str, arithmetic: str, wrong: bool) -> None:
    """As many as linear programming says that there are, from the least scale to the most."""
    rng = np.random.default_rng(len(name))
    sums = rng.integers(-200, 201, (2, 3, 2, 3)).astype(float)
    c = Convention(groups=3, arithmetic=arithmetic, **MADE[name])
    output = np.stack([convolve(one, np.ones((3, 1, 1, 1)), c) for one in sums]).astype(float)
    if wrong:
        at = np.argmax(np.abs(output) * (output < 127) * (output > 0))
        output.flat[at] -= 3
    bounds = Bounds.of(c, output, np.ones(output.shape, bool))
    found = list(lines(sums, bounds))
    for scale, bias in found:
        assert scale
        assert bias is None or any(bias)
        assert holds(sums, scale, bias, bounds)
    scales = [scale for scale, _ in found]
    alone = [scale for scale, bias in found if bias is None]
    for biased, some in ((False, alone), (True, scales)):
        ends = ends_of_scale(sums, bounds, biased=biased)
        assert bool(some) is (ends is not None)
        if ends is None:
            continue
        least, most = ends
        assert (1.0 in some) is (least <= 1 <= most)
        if math.isfinite(least + most) and abs(least + most) > 1e-9:
            middle = (least + most) / 2
            assert any(s == pytest.approx(middle, rel=1e-6, abs=1e-9) for s in some)
        # The plainest of its sign, no less than half of 1 or of all that it can be.
        if most > 1e-6:
            assert plainest(max(least, min(most, 1.0) / 2), most) in map(pytest.approx, some)
        if least < -1e-6:
            assert -plainest(max(-most, min(-least, 1.0) / 2), -least) in map(pytest.approx, some)


@pytest.mark.parametrize(
    ("sums", "low", "high", "found"),
    [
        # Every scale from -5 to 3.
        ([1.0], [-5.0], [3.0], [(1, None), (0.5, None), (-0.5, None), (-1, None)]),
        # None but zero, which is no scale; with a bias, any at all.
        ([1.0], [0.0], [0.0], []),
        ([1.0], [-INF], [INF], [(1, None), (0.5, None), (-0.5, None)]),
        ([0.0], [0.5], [INF], []),
        ([0.0], [-INF], [-0.5], []),
        ([0.0, 1.0], [0.0, 2.0], [0.0, 2.0], [(2, None), (2, None)]),
        # No less than 1, and no more; beyond 1 of what is open to one side.
        ([1.0], [1.0], [1.0], [(1, None)]),
        ([1.0], [0.0], [1.0], [(1, None), (0.5, None)]),
        ([1.0], [1.0], [INF], [(1, None)]),
        ([1.0], [-INF], [-4.0], [(-4, None)]),
        ([2.0, 5.0], [3.0, 9.0], [3.0, 9.0], [(2, (-1,))]),
        (
            [2.0, 5.0],
            [3.5, 8.5],
            [4.5, 9.5],
            [(1.8, None), (1.825, None), (2, (-0.5,)), (5 / 3, (0.2,))],
        ),
        ([2.0, 2.0], [3.0, 9.0], [3.0, 9.0], []),
        # What is open ends at twice what numbers so far apart can be multiplied by.
        (
            [1.0, 3.0],
            [-INF, 10.0],
            [5.0, INF],
            [(4, None), (25 / 6, None), (3, (1,)), (4.25, None)],
        ),
        (
            [0.0, 2.0**-60, 4.0],
            [-INF, -INF, 10.0],
            [5.0, INF, INF],
            [(3, None), (2, (2,)), ((1.25 + 12 * 2.0**38) / 2, None)],
        ),
        ([0.0, 0.5], [-INF, 10.0], [0.0, INF], [(20, None), (20, None), (32, None)]),
        # Of numbers that are all alike.
        (
            [0.0, 1.0, 2.0],
            [-0.5] * 3,
            [0.5] * 3,
            [(0.2, None), (-0.2, None), (0.3, (-0.1,)), (-0.3, (0.1,))],
        ),
    ],
)
def test_lines_from_plain_to_precise(
    sums: list[float], low: list[float], high: list[float], found: list[Any]
) -> None:
    given = list(lines(a_row(*sums), Bounds(a_row(*low), a_row(*high))))
    assert [scale for scale, _ in given] == pytest.approx([scale for scale, _ in found], rel=1e-12)
    for (_, bias), (_, expected) in zip(given, found, strict=True):
        assert bias == (None if expected is None else pytest.approx(expected, abs=0.4))


def test_the_plainest_biases_within_bounds() -> None:
    sums = np.zeros((2, 2, 1, 2)) + np.array([1.0, 2.0])
    low, high = np.full(sums.shape, -INF), np.full(sums.shape, INF)
    assert plainest_bias(sums, 3.0, Bounds(low, high)) is None
    low[1, 0, 0, 1], high[0, 0, 0, 0] = 6.31, 3.34
    assert plainest_bias(sums, 3.0, Bounds(low, high)) == (pytest.approx(0.32, abs=0.011), 0)
    assert plainest_bias(sums, 2.0, Bounds(low, high)) == ()
    low[0, 1, 0, 0] = high[0, 1, 0, 0] = 10.0
    assert plainest_bias(sums, 3.0, Bounds(low, high))[1] == 7
    high[1, 1, 0, 0] = 9.75
    assert plainest_bias(sums, 3.0, Bounds(low, high)) == ()


# --- the hypotheses of which a line lies within bounds ------------------------------------------

CHANNELS = [0, 1, 0, 1, 0, 1, 0, 1, 2]


def votes_and_quick(judge: Any, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return judge.votes(values), judge.alive({s: values[s] for s in judge.first})


@pytest.mark.parametrize("scale", [0.137, -0.3, 0.6])
@pytest.mark.parametrize("seed", range(3))
def test_hypotheses_that_a_line_takes_into_bounds(seed: int, scale: float) -> None:
    """As linear programming has it, of a bias for each channel and any scale but zero."""
    rng = np.random.default_rng(seed)
    right = rng.integers(-200, 201, len(CHANNELS)).astype(float)
    bias = np.array((60.0, -40.0, 7.0))[CHANNELS]
    output = np.clip(np.rint(scale * right + bias), -128, 127)
    bounds = Bounds.rounded(output, (-128, 127), rectified=False)
    values = right[:, None] + rng.integers(-4, 5, (len(CHANNELS), 150)) * rng.integers(0, 9, 150)
    values[:, 0] = right
    judge = inside(bounds, CHANNELS, exact=True)
    votes, quick = votes_and_quick(judge, values.reshape(-1, 10, 15))
    votes, quick = votes.ravel(), quick.ravel()
    room = Bounds(bounds.low - 1e-3, bounds.high + 1e-3)
    expected = []
    for each in values.T:
        laid_out = np.zeros((1, 3, 1, 4))
        wide = Bounds(np.full((1, 3, 1, 4), -INF), np.full((1, 3, 1, 4), INF))
        for s, channel in enumerate(CHANNELS):
            at = (0, channel, 0, CHANNELS[:s].count(channel))
            laid_out[at], wide.low[at], wide.high[at] = each[s], room.low[s], room.high[s]
        ends = ends_of_scale(laid_out, wide, biased=True)
        expected.append(ends is not None and ends != (0, 0))
    assert votes[0] == len(CHANNELS)
    assert votes.tolist() == [len(CHANNELS) * good for good in expected]
    assert 0 < np.count_nonzero(votes) < 100
    assert not (votes.astype(bool) & ~quick).any()
    assert (judge.few, judge.exact) == (len(CHANNELS), True)


def test_the_elements_that_say_most_come_first() -> None:
    """The ends and the middle of a channel, and one at each limit; the telling channel first."""
    output = np.array([127.0, 127, -128, 9, 5, 1, 2, 3, -128, 60, 70, 80])
    channels = [0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2]
    bounds = Bounds.rounded(output, (-128, 127), rectified=False)
    judge = inside(bounds, channels, exact=False)
    assert judge.first == (5, 3, 1, 2, 7, 9, 11, 10)
    assert (judge.few, judge.exact) == (12, False)
    # The votes need all of them.
    scales = np.full((12, 1), 1.0) * output[:, None]
    assert judge.votes(scales).tolist() == [12]
    scales[4] += 9
    assert judge.alive({s: scales[s] for s in judge.first}).tolist() == [True]
    assert judge.votes(scales).tolist() == [0]


@pytest.mark.parametrize(
    ("low", "high", "values", "right"),
    [
        # Scales beyond 1 of either sign; none takes what goes up and down along.
        ([-0.5, 9.5, 19.5], [0.5, 10.5, 20.5], [0, 5, 10], True),
        ([-0.5, 9.5, 19.5], [0.5, 10.5, 20.5], [0, -5, -10], True),
        ([-0.5, 9.5, 19.5], [0.5, 10.5, 20.5], [0, 5, -5], False),
        ([10, -INF, -INF], [INF, 0, 0], [0, 5, -5], False),
        ([10, -INF, -INF], [INF, 0, 0], [0, 0, 5], False),
        ([10, -INF, -INF], [INF, 0, 0], [0, 0, -5], False),
        ([10, -INF, -INF], [INF, 0, 0], [0, 5, 9], True),
    ],
)
def test_whether_there_is_a_scale(
    low: list[float], high: list[float], values: list[float], right: bool
) -> None:
    judge = inside(Bounds(np.array(low), np.array(high)), [0, 0, 0], exact=True)
    assert judge.votes(np.array(values, float)[:, None]).tolist() == [3 * right]


def test_all_elements_at_a_limit_are_held_against_one_another() -> None:
    output = np.repeat([-128.0, 127.0], [20, 2])
    judge = inside(Bounds.rounded(output, (-128, 127), rectified=False), [0] * 22, exact=True)
    values = np.repeat(np.repeat([-300.0, 300.0], [20, 2])[:, None], 2, axis=1)
    values[[20, 1], 1] = 0, 1
    assert judge.votes(values).tolist() == [22, 0]


@pytest.mark.parametrize(
    ("output", "channels", "first"),
    [
        ([1.0, 2.0, 3.0], [0, 0, 0], (0, 2, 1)),
        ([127.0, 127.0, 5.0, 3.0], [0, 0, 0, 0], (3, 2, 0)),
        ([1.0, 2.0], [0, 0], ()),
        ([1.0, 2.0, 3.0], [0, 1, 2], ()),
        ([127.0, 127.0, 127.0], [0, 0, 0], ()),
        ([127.0, -128.0, 5.0, 3.0], [0, 0, 1, 2], (2, 3, 0, 1)),
    ],
)
def test_too_few_elements_say_nothing(
    output: list[float], channels: list[int], first: tuple[int, ...]
) -> None:
    bounds = Bounds.rounded(np.array(output), (-128, 127), rectified=False)
    assert inside(bounds, channels, exact=True).first == first


def test_of_many_elements_some_are_held_against_all() -> None:
    """A ninth of them say what the others can be."""
    right = np.arange(72.0)
    values = np.stack([right, *(right + 40 * (right == n) for n in (71, 9, 10))], axis=1)
    bounds = Bounds.rounded(right, (-128, 127), rectified=False)
    assert inside(bounds, [0] * 72, exact=True).votes(values).tolist() == [72, 0, 0, 0]


# --- integers that wrapped ----------------------------------------------------------------------


def test_what_wrapped_integers_are_multiplied_by() -> None:
    inverse = (1, 2, 4, 8, 16, 255, 256, 9, 18)
    assert usual_scales(18, (3, 3)) == tuple(1 / n for n in inverse)
    assert usual_scales(4, (2, 2)) == tuple(1 / n for n in inverse[:-2])
    parts = {1 / n for n in (3, 5, 6, 7, 9, 10, 12, 20, 25, 32, 64, 100, 128)}
    assert set(rare_scales()) == {-2, -1, 2, 3, 4, 5, 8, -0.5, -0.25, 0.75, 1.5} | parts


@pytest.mark.parametrize("modulus", [256.0, 65536.0])
def test_the_number_nearest_to_zero(modulus: float) -> None:
    for value in np.arange(-700, 700, 0.5):
        near = wound(value, modulus)
        assert -modulus / 2 <= near < modulus / 2
        assert (value - near) % modulus == 0


def wrapped(sums: np.ndarray, kind: str = "uint8", **keys: Any) -> np.ndarray:
    """The sums (1,O,1,n) by a scale and biases, cut off, then wrapped."""
    c = Convention(groups=sums.shape[1], arithmetic=f"wrap:{kind}", **keys)
    return convolve(sums[0], np.ones((sums.shape[1], 1, 1, 1)), c).astype(kind)[None]


def forms(sums: Any, output: Any, usable: Any = None) -> list[tuple[float, Any]]:
    linear = sums_are(sums, output)
    usable = np.ones(output.shape, bool) if usable is None else usable
    found = list(wrapped_forms(linear, linear.problem.output, usable))
    assert all(c == linear.convention.replace(scale=c.scale, bias=c.bias) for c in found)
    return [(c.scale, c.bias) for c in found]


FAR = np.random.default_rng(3).integers(-90000, 90000, (1, 3, 1, 80)).astype(float)


def test_whole_biases_of_integers_that_wrapped() -> None:
    usable = np.ones(FAR.shape, bool)
    output = wrapped(FAR, bias=(5.0, -99.0, 200.0))
    assert forms(FAR, output) == [(1, (5, -99, -56))]
    # What is not usable is not looked at, and a channel of which nothing is has none.
    output[..., ::3] += 100
    usable[..., ::3] = usable[:, 2] = False
    assert forms(FAR, output, usable) == [(1, (5, -99, 0))]
    assert forms(FAR, wrapped(FAR)) == [(1, (0, 0, 0))]


@pytest.mark.parametrize("scale", [0.25, -0.5, 0.75, 1 / 100])
def test_a_scale_of_integers_that_wrapped(scale: float) -> None:
    """Alone, then with a bias that each channel's elements leave between them, then as cut off."""
    (first, *rest) = forms(FAR, wrapped(FAR, scale=scale))
    assert first == (scale, None)
    assert [s for s, _ in rest] == [scale, scale]
    assert np.abs([bias for _, bias in rest]).max() <= 1
    # With biases a scale alone gives nothing.
    found = forms(FAR, wrapped(FAR, scale=scale, bias=(5.5, -99.25, 60.0)))
    assert [s for s, _ in found] == [scale, scale]
    for _, bias in found:
        assert bias == pytest.approx((5.5, -99.25, 60.0), abs=1)


def test_a_scale_is_worth_a_look_where_most_elements_agree() -> None:
    """Of all that is usable for a scale; on the average of the channels for biases."""
    output = wrapped(FAR, scale=0.25)
    damaged = output.copy()
    damaged[:, 1:] = np.random.default_rng(4).integers(0, 256, damaged[:, 1:].shape)
    assert forms(FAR, damaged) == []
    damaged[:, 1] = output[:, 1]
    assert [scale for scale, _ in forms(FAR, damaged)] == [0.25] * 3
    rest = wrapped(FAR, scale=0.25, bias=(0.0, 90.0, 90.0))
    assert [bias is None for _, bias in forms(FAR, rest)] == [False, False]
    rest[:, 2] = damaged[:, 2]
    assert [bias is None for _, bias in forms(FAR, rest)] == [False, False]
    rest[:, 1] = damaged[:, 2]
    assert forms(FAR, rest) == []


def test_what_truncation_can_have_made_is_less_than_two() -> None:
    """From the sums of one sign to those of the other."""
    apart = (np.arange(FAR.shape[-1]) % 2).astype(np.uint8)
    assert forms(FAR, wrapped(FAR) + 2 * apart) == []
    sums = a_row(10003, -10003, -9007, -8011, -7003)
    found = forms(sums, wrapped(sums, scale=0.25))
    assert [scale for scale, _ in found] == [0.25] * 3
    assert np.median(sums / 4 - np.trunc(sums / 4)) == -0.75
    assert found[1][1] == (0,)


def test_where_nothing_is_summed_a_bias_is_no_evidence() -> None:
    """Between the samples of a transposed convolution every channel holds its bias."""
    sums = a_row(*[0] * 20, 41101, 100153, -36137, 17011)
    output = np.full(sums.shape, 5, np.uint8)
    assert forms(sums, output) == []
    # Of a filter of zeros it is all that there is.
    assert (1.0, (5.0,)) in forms(0 * sums, output)
    sums = FAR[:, :2].reshape(1, 2, 2, 80 // 2).copy()
    sums[:, 1] = 0
    output = np.mod(sums + np.reshape([7, 9], (1, 2, 1, 1)), 256).astype(np.uint8)
    assert forms(sums, output)[0] == (1.0, (7.0, 9.0))
    # One and minus one are sums as others are.
    for one in (1, -1):
        sums = a_row(*[one] * 4, 41101, 100153, -36137, 17011)
        output = np.mod(sums + 7, 256).astype(np.uint8)
        output[..., -3:] += np.arange(30, 120, 30, dtype=np.uint8)
        assert forms(sums, output)[0][0] == 1.0


@pytest.mark.parametrize(
    ("right", "sizes", "said"),
    [
        # Beside the first of each channel, which the others are held against.
        ((3, 2, 2), (5, 5, 5), True),
        ((2, 2, 2), (5, 5, 5), False),
        ((2, 0), (4, 1), True),
        ((1, 0), (4, 1), False),
    ],
)
def test_more_than_half_of_the_others_must_follow(
    right: tuple[int, ...], sizes: tuple[int, ...], said: bool
) -> None:
    sums = FAR[:, : len(sizes), :, : max(sizes)]
    output = np.mod(sums + 7, 256).astype(np.uint8)
    usable = np.zeros(sums.shape, bool)
    for o, (given, size) in enumerate(zip(right, sizes, strict=True)):
        usable[:, o, :, :size] = True
        wrong = slice(1 + given, size)
        output[:, o, :, wrong] += 20 + 30 * np.arange(size - 1 - given, dtype=np.uint8)
    assert (1.0 in dict(forms(sums, output, usable))) is said


def test_where_hardly_another_number_is_left_all_are_asked() -> None:
    sums = np.array([[1, 1, 1, 1, 60], [2, 2, 2, 2, 90]], float)[None, :, None]
    output = np.array([[8, 8, 8, 8, 200], [9, 9, 9, 9, 30]], np.uint8)[None, :, None]
    assert 1.0 in dict(forms(sums, output))
    # Two others do not follow from one another, and zeros are no evidence beside them.
    sums, output = a_row(1, 1, 1, 1, 1, 60, 90), a_row(8, 8, 8, 8, 8, 200, 30).astype(np.uint8)
    assert 1.0 not in dict(forms(sums, output))


@pytest.mark.parametrize(("off", "said"), [(0.0, True), (1.5, True), (2.5, False)])
def test_a_scale_alone_is_off_by_what_was_cut_off(off: float, said: bool) -> None:
    """More than half of the elements must be off by less than two."""
    output = np.array([100, 20, 30, 240], np.uint8)[None, None, None]
    sums = 2 * (output.astype(float) + 256 * np.array([7, -3, 5, 1]))
    sums[..., :3] += 2 * off
    sums[..., 3] += 90
    assert ((0.5, None) in forms(sums, output)) is said
    sums[..., 2] += 90
    assert (0.5, None) not in forms(sums, output)


def test_what_most_elements_are_is_no_evidence_of_wrapped_integers() -> None:
    """Zeros are zeros under any scale that is small enough."""
    sums = a_row(*range(-30, 31))
    output = np.zeros(sums.shape, np.uint8)
    output[..., [3, 20, 40, 55]] = 9, 200, 47, 121
    assert forms(sums, output) == []
    # The numbers beside them are, where they follow from one another.
    output[..., :8] = np.mod(sums[..., :8], 256)
    output[..., 20:] = 0
    assert (1.0, (0.0,)) in forms(sums, output)


@pytest.mark.parametrize(
    ("sums", "output", "bias"),
    [
        # 5 and a fraction, by 4.8 alone: from 0.2 to 1.2; by 1.6 beside it at most to 0.4.
        ([9.6, 3.2, 9.6], [5, 1, 5], 0.2),
        # Below zero what is less than a whole number is cut off from the other side.
        ([-9.6, -9.6, -3.2], [251, 251, 255], -0.2),
        ([-10.0, -10.5, 12.0], [251, 251, 6], 0.0),
        # One that is wrong.
        ([9.6, 3.2, 9.6, 40.0], [5, 1, 5, 99], 0.2),
        # The sums' signs are right with a bias that is as far from zero as it was.
        ([-300.5, -300.5, 240.0, -303.2], [50, 50, 64, 48], 200.3),
        ([300.5, 300.5, -800.0, 303.2], [206, 206, 168, 208], -200.3),
        ([9.9999, 3.99985], [5, 1], 0.00005),
    ],
)
def test_a_bias_by_what_was_cut_off(sums: list[float], output: list[int], bias: float) -> None:
    found = forms(a_row(*sums), np.array(output, np.uint8)[None, None, None])
    cut = [b for scale, b in found if scale == 0.5][-1]
    assert cut == (pytest.approx(bias, abs=1e-9),)


@pytest.mark.parametrize("seed", [0, 1, 3, 6, 7, 8, 18, 103, 151])
def test_a_bias_of_wrapped_integers_by_what_came_near_zero(seed: int) -> None:
    """Cut off towards zero, numbers on either side of it tell a bias from one a turn away."""
    rng = np.random.default_rng(seed)
    count, high = int(rng.integers(4, 20)), int(rng.choice([20, 90, 900]))
    sums, bias = rng.integers(-high, high + 1, count) / 9, float(rng.integers(-9, 10)) / 2
    wanted = np.mod(np.trunc(sums + bias), 256)
    found = _cut_bias(sums, wanted, 256.0)
    assert abs(found - bias) < 0.25
    assert np.array_equal(np.mod(np.trunc(sums + found), 256), wanted)


def test_a_bias_of_wrapped_integers_is_never_missed() -> None:
    """Whatever is next to zero, or at the very end of what a bias can be."""
    rng = np.random.default_rng(47)
    for _ in range(500):
        count, high = int(rng.integers(4, 20)), int(rng.choice([20, 40, 90, 900]))
        sums = rng.integers(-high, high + 1, count) / rng.choice([2, 4, 9])
        wanted = np.mod(np.trunc(sums + rng.integers(-9, 10) / 2), 256)
        found = _cut_bias(sums, wanted, 256.0)
        assert np.array_equal(np.mod(np.trunc(sums + found), 256), wanted)


@pytest.mark.parametrize("seed", [2, 4, 5, 8, 64, 181, 1267])
def test_a_bias_of_wrapped_integers_some_of_which_are_wrong(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, high, parts = int(rng.integers(2, 14)), rng.choice([4, 20, 90]), rng.choice([2, 4, 9])
    bad = int(rng.choice([0, count // 3]))
    sums = rng.integers(-high, high + 1, count) / parts
    wanted = np.mod(np.trunc(sums + float(rng.integers(-9, 10)) / 2), 256)
    wanted[:bad] = rng.integers(0, 256, bad)
    found = _cut_bias(sums, wanted, 256.0)
    assert np.count_nonzero(np.mod(np.trunc(sums + found), 256) == wanted) >= count - bad


def test_a_bias_by_hardly_an_element() -> None:
    assert _cut_bias(np.zeros(0), np.zeros(0), 256.0) == 0
    assert np.trunc(10 + _cut_bias(np.array([10.0]), np.array([7.0]), 256.0)) == 7
    # What came near zero altogether is a turn away from it.
    sums = np.array([-5.3, -4.9])
    assert (np.mod(np.trunc(sums + _cut_bias(sums, np.zeros(2), 256.0)), 256) == 0).all()
    # One that is nearly zero with the bias tells its side of it.
    sums, wanted = np.array([-3.75, 0.75, -4.0, -1.75]), np.array([255.0, 2, 255, 0])
    assert (np.mod(np.trunc(sums + _cut_bias(sums, wanted, 256.0)), 256) == wanted).all()
    # Of a channel with one element to tell; nothing is said where nothing is usable.
    usable = np.ones(FAR.shape, bool)
    usable[:, 1, :, 1:] = False
    assert forms(FAR, wrapped(FAR, bias=(5.0, -99.0, 20.0)), usable) == [(1, (5, -99, 20))]
    assert forms(FAR, wrapped(FAR, scale=0.25), usable & False) == []


def test_half_of_the_elements_are_too_few_for_a_scale() -> None:
    output = wrapped(FAR[:, :2], scale=0.25)
    output[:, 1] += 128
    assert [bias is None for _, bias in forms(FAR[:, :2], output)] == [False, False]


def test_the_mean_over_a_kernel_is_one_of_the_usual_scales() -> None:
    rng = np.random.default_rng(5)
    x, w = rng.integers(-999, 1000, (1, 2, 9, 8)), rng.integers(-99, 100, (1, 2, 7, 2))
    c = ALONE.replace(scale=1 / 14, arithmetic="wrap:uint8")
    output = convolve(x, w, c).astype(np.uint8)
    linear = Linear(Problem.of(x, w, output), ALONE)
    found = [c.scale for c in wrapped_forms(linear, output, np.ones(output.shape, bool))]
    assert set(found) == {1 / 14}


def test_usual_scales() -> None:
    scales = (1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 255, 1 / 256, 1 / 6, 1 / 18)
    assert usual_scales(18, (3, 2)) == scales
    assert usual_scales(4, (2, 2)) == scales[:-2]


# --- the border of integers that wrapped --------------------------------------------------------


def border(
    number: float,
    *,
    tap: float = 3.0,
    kind: str = "int16",
    spoilt: float = 0.0,
    taps: int = 1,
    amiss: float = 0.0,
    **keys: Any,
) -> float | None:
    """What is found beyond the edge, of windows that lie there altogether and others."""
    rng = np.random.default_rng(8)
    x, w = rng.integers(-9, 10, (1, 2, 6, 7)), np.full((2, 2, 1, taps), tap / 2)
    c = ALONE.replace(**{"padding": 1, "arithmetic": f"wrap:{kind}", **keys})
    output = convolve(x, w, c.replace(padding_value=number)).astype(kind)
    linear = Linear(Problem.of(x, w, output), c)
    beyond = np.broadcast_to(~linear.interior, output.shape)
    wrong = beyond & (rng.random(output.shape) < spoilt)
    if spoilt == 0.5:
        wrong = beyond & (np.cumsum(beyond).reshape(beyond.shape) % 2 == 0)
    output[wrong] += rng.integers(9, 30000, np.count_nonzero(wrong)).astype(kind)
    output[~beyond] += 50
    if amiss:
        c = c.replace(bias=tuple(bias + amiss for bias in c.bias or ()))
    return wrapped_border(linear, c, output, beyond)


@pytest.mark.parametrize("keys", [{}, {"bias": (40.0, -90.0)}, {"scale": 2.0, "bias": (7.0, 9.0)}])
@pytest.mark.parametrize("number", [0.0, 1.0, -3.0, 117.0, 255.0, -255.0, 0.5, 7.5, -7.5])
def test_the_border_of_integers_that_wrapped(number: float, keys: dict[str, Any]) -> None:
    assert border(number, tap=4.0, **keys) == number
    assert border(number, tap=4.0, spoilt=0.3, **keys) == number


@pytest.mark.parametrize("number", [256.0, -256.0, 8.5, -8.5])
def test_no_other_number_is_tried_for_a_border(number: float) -> None:
    assert border(number, tap=5.0) is None


@pytest.mark.parametrize("number", [-1.5, -2.0, 3.0, 2.5, 0.5])
def test_of_numbers_that_are_near_the_one_whose_fractions_were_cut_off_right(number: float) -> None:
    sides: dict[str, Any] = {"taps": 2, "padding": ((0, 0), (1, 1)), "scale": 1 / 9}
    assert border(number, tap=12.0, **sides) == number
    assert border(number, tap=12.0, **sides, bias=(3.5, -8.0), kind="uint8") == number


def test_most_of_a_border_of_integers_that_wrapped_agrees() -> None:
    assert border(20.0, tap=16.0, kind="uint8", scale=0.25) == 20
    assert border(117.0, spoilt=0.7) is None
    assert border(117.0, spoilt=0.5) is None
    assert border(117.0, taps=2, padding=((0, 0), (1, 1))) == 117
    assert border(117.0, tap=300.0) == 117
    # Of numbers that were cut off a bias is known to one.
    assert border(20.0, tap=16.0, scale=0.25, bias=(7.75, 9.5), amiss=0.9) == 20
    assert border(117.0, spoilt=1.0) is None
    assert border(117.0, tap=0.0) is None
