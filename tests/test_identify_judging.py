"""How an output fares under each arithmetic: by bounds written out, and by cases to the letter."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from convcheck.checks.identify import judging
from convcheck.checks.identify.judging import Fit, Ground, judge, under
from convcheck.checks.sums import Linear, Problem
from convcheck.convention import PRECISIONS, Convention
from convcheck.engine import finish, round_to
from convcheck.rounding import TINY, fft_bound, gamma, norm

ALONE = Convention(image_layout="NCHW", output_layout="NOHW")


def sums_are(sums: Any, output: Any = None) -> Linear:
    """The sums (N,O,H,W) themselves: every channel by a kernel of one, each a group."""
    x = np.asarray(sums)
    x = x.reshape(1, 1, 1, -1) if x.ndim == 1 else x
    y = x if output is None else np.asarray(output).reshape(x.shape)
    channels = x.shape[1]
    c = ALONE.replace(groups=channels)
    return Linear(Problem.of(x, np.ones((channels, 1, 1, 1), x.dtype), y), c)


def fares(sums: Any, output: Any, *, how: str | None = None, **keys: Any) -> Fit | None:
    linear = sums_are(sums, output)
    c = linear.convention.replace(**keys)
    wanted = finish(linear.values, c.replace(arithmetic="exact"))
    y = linear.problem.output
    return under(linear, c, wanted, y, np.isfinite(y), how=how)


def given(sums: Any, output: Any, **keys: Any) -> list[bool]:
    """Which elements an arithmetic gives."""
    fit = fares(sums, output, **keys)
    assert fit is not None
    return [not wrong for wrong in fit.mismatched.ravel().tolist()]


def best(sums: Any, output: Any, **keys: Any) -> Fit:
    linear = sums_are(sums, output)
    y = linear.problem.output
    return judge(linear, linear.convention.replace(**keys), y, np.isfinite(y))


# --- the commonest value ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("common", "others", "telling"),
    [(8, 8, 8), (4, 12, 12), (3, 13, 16), (16, 0, 16), (15, 1, 1)],
)
def test_a_value_that_a_quarter_has_is_common(common: int, others: int, telling: int) -> None:
    half = np.arange(others) - others // 2 + (np.arange(others) >= others // 2)
    values = np.concatenate([np.zeros(common), half])
    usable = np.ones(values.shape, bool)
    ground = Ground.of(values, usable)
    marked = ground.telling(values, usable)
    assert int(marked.sum()) == telling
    if telling == others:
        assert not marked[:common].any()
    beside = np.append(values, [7.0] * 99)
    only = np.arange(beside.size) < values.size
    assert Ground.of(beside, only) == ground
    assert int(ground.telling(beside, only).sum()) == telling


def test_what_is_common_has_room_for_rounding() -> None:
    values = np.array([5.0, 5 + 1e-9, 5 - 1e-9, 5 + 9e-9, 6, 4, 3, 9.0])
    usable = np.ones(values.shape, bool)
    ground = Ground.of(values, usable)
    assert ground.room == pytest.approx(6e-9, rel=1e-6, abs=0)
    assert ground.telling(values, usable).tolist() == [False] * 3 + [True] * 5
    assert Ground.of(values[:0], usable[:0]) == Ground()
    assert Ground.of(values + 3j, usable) == ground
    # As far as the room goes is within it.
    edge = np.array([1.5, 2.5, 2.5 + 1e-9])
    assert Ground(2.0, 0.5).telling(edge, edge > 0).tolist() == [False, False, True]


def test_what_a_channel_holds_where_there_is_nothing_to_sum() -> None:
    """As integers store it; of other numbers few bits are the sums' affair."""
    biased = ALONE.replace(bias=(300.0, -4.0, 7.1))
    assert judging.level(biased.replace(arithmetic="saturate:uint8")).tolist() == [
        [[[255.0]], [[0.0]], [[7.0]]]
    ]
    assert judging.level(biased.replace(arithmetic="bfloat16")).ravel().tolist() == [300, -4, 7.1]
    assert judging.level(ALONE).tolist() == [[[[0.0]]]]


# --- under one arithmetic -----------------------------------------------------------------------


def test_exact_sums_are_met_to_the_last_bit() -> None:
    right = [1.0, 2.5, -3.0]
    assert given(right, [1.0, 2.5, -3 - 2.0**-51]) == [True, True, False]
    assert fares([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]) is None
    # With a scale that is no power of two an element may be off by its rounding.
    for scale in (0.5, -0.25, 4.0):
        made = scale * np.array(right)
        assert given(right, made + np.array([0, 0, 1e-9]), scale=scale) == [True, True, False]
    for scale in (0.3, -3.0):
        made = scale * np.array(right)
        fit = fares(right, made, scale=scale)
        assert fit is not None
        assert fit.misses == 0
        assert not fit.threshold.any()
        assert fares(right, made + np.array([0, 0, 1e-9]), scale=scale) is None


@pytest.mark.parametrize("name", ["float64", "float32"])
@pytest.mark.parametrize(
    "keys", [{}, {"scale": -0.3}, {"bias": (-7.0,)}, {"scale": 3.0, "bias": (0.7,)}], ids=str
)
def test_what_a_sum_may_lose(name: str, keys: dict[str, Any]) -> None:
    """The engine's own rounding, and as many units as there are terms for the other's."""
    x = np.linspace(-0.9, 1.7, 12).reshape(1, 2, 1, 6)
    w = np.array([[[[0.3, -0.7]], [[0.1, 1.3]]]])
    linear = Linear(Problem.of(x, w, np.zeros((1, 1, 1, 5))), ALONE)
    c = ALONE.replace(arithmetic=name, **keys)
    wanted = finish(linear.values, c.replace(arithmetic="exact"))
    sizes = np.array(
        [
            sum(abs(x[0, i, 0, at + t] * w[0, i, 0, t]) for i in (0, 1) for t in (0, 1))
            for at in range(5)
        ]
    )
    sums = abs(c.scale) * sizes + abs((c.bias or (0.0,))[0])
    room = (gamma(2 * 4 + 8) + gamma(4 + 16, PRECISIONS[name])) * sums
    for factor, fits in ((0.98, True), (1.05, False)):
        for sign in (-1, 1):
            output = wanted + sign * factor * room
            fit = under(linear, c, wanted, output, np.arange(5) != 2)
            assert fit is not None
            assert fit.threshold.ravel() == pytest.approx(room, rel=1e-6, abs=0)
            assert fit.mismatched.ravel().tolist() == [not fits and at != 2 for at in range(5)]


@pytest.mark.parametrize("name", ["float64", "float32", "bfloat16"])
def test_a_bound_beyond_all_numbers_explains_nothing(name: str) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        assert given([1e300, -2e300, 3.0], [5.0, 7.0, 3e10], scale=1e10, arithmetic=name) == [
            *(False, False, True),
        ]


def test_what_underflow_may_take_of_each_term() -> None:
    linear = Linear(
        Problem.of(np.zeros((1, 1, 1, 6)), np.ones((1, 1, 1, 4)), np.zeros((1, 1, 1, 3))), ALONE
    )
    output = np.array([8.0, 9.0, -8.0])[None, None, None] * TINY
    c = ALONE.replace(arithmetic="float64")
    fit = under(linear, c, linear.values, output, np.ones(output.shape, bool))
    assert fit is not None
    assert fit.mismatched.ravel().tolist() == [False, True, False]


def test_integers_that_saturate() -> None:
    keys = {"arithmetic": "saturate:uint8"}
    assert given([300.0, 255, 0, -4, 7], [255, 255, 0, 0, 7], **keys) == [True] * 5
    assert given([300.0, 255, 0, -4, 7], [254, 254, 1, 1, 8], **keys) == [False] * 5
    assert given([-300, 300, 5], [-128, 127, 5], arithmetic="saturate:int8") == [True] * 3
    # Halves go either way, and what single precision can make a half of.
    right = [2.5, 3.5, 2.4, 2.5 - 5e-7, 2.5 - 7e-7, 255.4, 9.0]
    assert given(right, [3, 3, 3, 3, 3, 255, 9], **keys) == [
        *(True, True, False, True, False, True, True)
    ]
    fit = fares(right, [2, 4, 2, 3, 2, 255, 9], **keys)
    assert fit is not None
    assert fit.predicted.ravel().tolist() == [2, 4, 2, 2, 2, 255, 9]
    assert fit.threshold.ravel()[[0, 1, 2, 3, 6]] == pytest.approx([0.5, 0.5, 0.5, 1, 0], abs=1e-5)
    # Nothing is allowed where nothing need be.
    fit = fares(right, [2, 4, 2, 2, 2, 255, 9], **keys)
    assert fit is not None
    assert not fit.threshold.any()
    assert not fit.mismatched.any()


def test_integers_that_wrap() -> None:
    keys = {"arithmetic": "wrap:uint8"}
    assert given([300.0, 256, -4, 7.9, 255], [44, 0, 252, 7, 255], **keys) == [True] * 5
    assert given([300.0, 256, -4, 7.9, 255], [45, 255, 251, 8, 0], **keys) == [False] * 5
    assert given([200, -129, 5], [-56, 127, 5], arithmetic="wrap:int8") == [True] * 3
    # What single precision can make a whole number of is truncated to either.
    right = [6 - 1e-6, 6 + 1e-6, 6 - 2e-6, 6 + 2e-6, 256 - 1e-5, 6.0]
    assert given(right, [6, 5, 6, 5, 0, 5], **keys) == [True, True, False, False, True, False]
    fit = fares([6 - 1e-6, 8.0], [6, 8], **keys)
    assert fit is not None
    assert fit.predicted.ravel().tolist() == [5, 8]
    assert fit.threshold.ravel().tolist() == [1, 0]
    # A whole integer apart is as far as the ends of the range are: that is what is allowed.
    fit = fares([256 - 1e-5, 300.0], [0, 44], **keys)
    assert fit is not None
    assert fit.threshold.ravel().tolist() == [255, 0]


def test_what_is_as_near_to_a_whole_number_as_may_be() -> None:
    wanted = np.array([[[[5.75, 5.5, 6.25, 6.0]]]])
    linear = sums_are(wanted)
    c = ALONE.replace(arithmetic="wrap:int16")
    output = np.array([[[[6.0, 6.0, 5.0, 5.0]]]])
    sums, usable = np.full(output.shape, 2.0**20), np.ones(output.shape, bool)
    fit = judging._under_integers(linear, c, wanted, 0 * sums, sums, output, usable)
    assert fit.mismatched.ravel().tolist() == [False, True, False, True]


def test_large_integers_are_no_floats_on_the_way() -> None:
    right = np.array([2**53 + 1, -(2**53) - 1, 2**53 + 3])
    linear = sums_are(right)
    assert linear.values.dtype == np.int64
    for name in ("wrap:int32", "wrap:uint32", "saturate:int32"):
        made = round_to(right, name).astype(np.int64)
        assert given(right, made, arithmetic=name) == [True] * 3
        assert given(right, made + np.array([0, 1, 0]), arithmetic=name) == [True, False, True]


# --- few bits -----------------------------------------------------------------------------------

RNG = np.random.default_rng(3)
DRAWN = RNG.standard_normal(400)
COARSE = round_to(DRAWN, "bfloat16").astype(np.float64)
UNIT = 2.0**-8


def test_operands_of_few_bits_summed_in_single_precision() -> None:
    fit = fares(DRAWN, COARSE, arithmetic="bfloat16")
    assert fit is not None
    assert fit.misses == 0
    assert np.array_equal(fit.predicted.ravel(), COARSE)
    # Stored in few bits too: one rounding more, and no more than that.
    room = 1.01 * UNIT * np.abs(COARSE)
    assert fit.threshold.ravel() == pytest.approx(room, rel=1e-3, abs=0)
    # Not stored: the sums themselves.
    drawn = COARSE * (1 + 2.0**-20)
    fit = fares(DRAWN, drawn, arithmetic="bfloat16", how="sums")
    assert fit is not None
    assert fit.misses == 0
    single = gamma(17, 2.0**-24) * np.abs(DRAWN) * (1 + 3 * UNIT)
    assert fit.threshold.ravel() == pytest.approx(single, rel=1e-3, abs=0)


def test_an_accumulator_of_few_bits() -> None:
    """Four times what it usually loses, where that is little against the output's spread."""
    far = round_to(COARSE + 5 * UNIT * np.abs(COARSE), "bfloat16").astype(np.float64)
    misses = {}
    for how in ("operands", None, "sums"):
        fit = fares(DRAWN, far, arithmetic="bfloat16", how=how)
        assert fit is not None
        misses[how] = fit.misses
    assert misses["operands"] > 300
    assert misses[None] == misses["sums"] == 0
    assert fit.threshold.ravel() == pytest.approx(
        (1.01 + 6) * UNIT * np.abs(COARSE), rel=1e-2, abs=0
    )
    further = round_to(COARSE + 9 * UNIT * np.abs(COARSE), "bfloat16").astype(np.float64)
    for how, sharp in ((None, True), ("sums", False)):
        fit = fares(DRAWN, further, arithmetic="bfloat16", how=how)
        assert fit is not None
        assert fit.misses > 300
        assert bool(fit.threshold.max() < 2 * UNIT * np.abs(COARSE).max()) is sharp
    # By the root of the number of terms.
    x = np.abs(COARSE[:40]).reshape(1, 1, 1, 40)
    output = np.zeros((1, 1, 1, 25))
    linear = Linear(Problem.of(x, np.ones((1, 1, 1, 16)), output), ALONE)
    c = ALONE.replace(arithmetic="bfloat16")
    fit = under(linear, c, linear.values, output, output == 0, how="sums")
    assert fit is not None
    room = (1.01 + 2 + 4 * 4) * UNIT * linear.values.ravel()
    assert fit.threshold.ravel() == pytest.approx(room, rel=1e-2, abs=0)
    # All of one size: what is left is as large as what there is to tell.
    alike = 100 + DRAWN / 10
    made = round_to(alike + 0.8, "bfloat16").astype(np.float64)
    fit = fares(alike, made, arithmetic="bfloat16")
    assert fit is not None
    assert fit.misses > 0
    fit = fares(alike, made, arithmetic="bfloat16", how="sums")
    assert fit is not None
    assert fit.misses == 0


def test_next_to_zero_few_bits_are_as_far_apart_as_they_are() -> None:
    fit = fares(np.zeros(40), np.zeros(40), arithmetic="bfloat16", how="sums")
    assert fit is not None
    assert fit.threshold.ravel() == pytest.approx(2 * 2.0**-133, rel=1e-9, abs=0)
    x, w, output = np.zeros((1, 1, 1, 9)), np.ones((1, 1, 1, 4)), np.zeros((1, 1, 1, 6))
    linear = Linear(Problem.of(x, w, output), ALONE)
    c = ALONE.replace(arithmetic="bfloat16")
    fit = under(linear, c, output, output, output == 0, how="sums")
    assert fit is not None
    assert fit.threshold.ravel() == pytest.approx((1 + 4) * 2.0**-133, rel=1e-9, abs=0)


@pytest.mark.parametrize("size", [1, 2.0**-6])
def test_zeros_that_relu_left_are_no_sign_of_more_bits(size: float) -> None:
    """Most of them are given in any arithmetic; of the others none is in those of more bits."""
    x, w = size * DRAWN.reshape(1, 1, 1, 400), np.array([1, 0.3]).reshape(1, 1, 1, 2)
    few = [round_to(a, "bfloat16").astype(np.float64) for a in (x, w)]
    sums = few[0][..., :-1] * few[1][..., 0] + few[0][..., 1:] * few[1][..., 1]
    output = np.maximum(sums - size, 0)
    assert 0.7 < (output == 0).mean() < 0.9
    linear = Linear(Problem.of(x, w, output), ALONE)
    c = ALONE.replace(bias=(-size,), activation="relu")
    fit = judge(linear, c, output, np.isfinite(output))
    assert (fit.misses, fit.convention.arithmetic) == (0, "bfloat16")


def test_an_accumulator_of_few_bits_shows_all_over() -> None:
    """A few elements that are off are a defect, however little that is beside S."""
    x, w = COARSE.reshape(1, 1, 1, 400), np.array([1, 2.0**-5]).reshape(1, 1, 1, 2)
    sums = COARSE[:-1] + COARSE[1:] / 32  # of more bits, so that each is rounded
    c, count = ALONE.replace(arithmetic="bfloat16"), np.arange(399)
    for far, misses in ((count < 12, 12), (count < 13, 0), (count % 4 == 0, 0), (count >= 0, 0)):
        made = round_to(sums + 4 * UNIT * np.abs(sums) * far, "bfloat16").astype(np.float64)
        output = made.reshape(1, 1, 1, 399)
        linear = Linear(Problem.of(x, w, output), ALONE)
        fit = under(linear, c, linear.values, output, np.isfinite(output))
        assert fit is not None
        assert fit.misses == misses
    # Whole numbers lost nothing, but for a channel that is off by one number.
    whole = np.rint(40 * DRAWN)
    made = whole + 4 * (np.arange(400) % 4 == 0)
    fit = fares(whole, made, arithmetic="bfloat16")
    assert fit is not None
    assert fit.misses > 50
    # What ReLU left lost nothing either, and says nothing.
    rectified = round_to(np.maximum(COARSE * (1 + 5 * UNIT), 0), "bfloat16").astype(np.float64)
    fit = fares(DRAWN, rectified, arithmetic="bfloat16", activation="relu")
    assert fit is not None
    assert fit.misses == 0


def test_what_is_left_is_measured_as_numpy_measures_it() -> None:
    output = DRAWN.reshape(1, 1, 20, 20)
    usable, off = output < 1.5, RNG.standard_normal(output.shape)
    fit = Fit(ALONE, sums_are(output), output + off, 0 * output, usable & (output > 1))
    seen = output <= 1
    assert judging.left(fit, output, usable) == pytest.approx(
        np.linalg.norm(off[seen]) / seen.sum() ** 0.5
    )
    assert judging.left(replace(fit, mismatched=usable), output, usable) == np.inf


@pytest.mark.parametrize(
    ("misses", "count", "lost", "rough"),
    [(10, 320, 0.145, True), (10, 330, 0.145, False), (10, 320, 0.138, False), (10, 320, 2, True)],
)
def test_how_much_of_an_output_must_be_rough(
    misses: int, count: int, lost: float, rough: bool
) -> None:
    """One element in 32, and a median of a tenth of the root mean square; zeros say nothing."""
    output = np.append(DRAWN[:321], np.zeros(40)).reshape(1, 1, 1, 361)
    usable = np.arange(361).reshape(output.shape) >= 361 - count  # 40 of them are zeros
    linear = sums_are(output)
    off = 1e-3 * np.where(np.arange(361) % 2 == 0, 2, lost).reshape(output.shape) * (output != 0)
    off[0, 0, 0, -81] = 1e-3 * lost  # so that the smaller of them are more
    off[~usable] = 5
    fit = Fit(ALONE, linear, output + off, np.full(output.shape, 1e-3), ~usable & False)
    sharp: Any = SimpleNamespace(misses=misses)
    assert judging.is_rough(fit, sharp, output, usable) is rough


def test_what_is_left_tells_by_the_outputs_spread() -> None:
    output = np.tile([10.0, 14.0], 50).reshape(1, 1, 10, 10)
    everywhere = np.ones(output.shape, bool)
    for off, says in ((0.238, True), (0.241, False)):
        linear = sums_are(output)
        fit = Fit(ALONE, linear, output + off, 0 * output, ~everywhere)
        assert judging.tells(fit, output, everywhere) is says
        fit = replace(fit, predicted=np.where(np.arange(10) < 9, output + off, 999))
        assert judging.tells(fit, output, everywhere & (np.arange(10) < 9)) is says
    # Numbers that are all alike have no spread, and nothing is left where they are met.
    alike = 0 * output + 3
    assert judging.tells(replace(fit, predicted=alike), alike, everywhere)


# --- what an FFT leaves -------------------------------------------------------------------------


def fft_like(doubtful: int, beyond: int, *, size: float = 1.1, units: int = 8) -> Fit:
    """Sums of one size, some of them off by much of what they may be; small ones off as much."""
    sums, off = np.full(60, size), units * 2.0**-53
    sums[:beyond] = 1e-3 / 3
    output = sums.copy()
    output[: beyond + doubtful] += off
    fit = fares(sums, output, arithmetic="float64")
    assert fit is not None
    assert fit.misses == beyond
    return fit


@pytest.mark.parametrize(
    ("doubtful", "beyond", "found"), [(6, 2, True), (5, 2, False), (8, 3, True), (7, 3, False)]
)
def test_an_fft_leaves_more_doubtful_than_wrong(doubtful: int, beyond: int, found: bool) -> None:
    fit = fft_like(doubtful, beyond)
    output = fit.linear.problem.output
    everywhere = np.ones(output.shape, bool)
    room = judging.fft_room(fit, output, everywhere)
    assert (room > 0) is found
    if not found:
        assert judging.with_room(fit, room, output, everywhere) is fit
        return
    left = np.abs(output - fit.predicted)[~fit.mismatched]
    assert room == pytest.approx(8 * math.sqrt(np.mean(left**2)), rel=1e-6, abs=0)
    roomy = judging.with_room(fit, room, output, everywhere)
    assert roomy.misses == 0
    assert np.array_equal(roomy.threshold, np.maximum(fit.threshold, room))
    # One that an FFT cannot explain stays wrong.
    output[..., 0] += 1e-9
    assert judging.with_room(fit, room, output, everywhere).misses == 1
    # Of integers there is nothing to round, and few bits are rounded by other rules.
    for name in ("exact", "wrap:int8", "bfloat16"):
        other = replace(fit, convention=fit.convention.replace(arithmetic=name))
        assert judging.fft_room(other, output, everywhere) == 0


def test_what_is_doubtful_is_off_by_an_eighth_of_what_it_may_be() -> None:
    for size, units, found in ((1.1, 4, True), (1.9, 6, False)):
        fit = fft_like(6, 2, size=size, units=units)
        share = units / (size * (gamma(10) + gamma(17)) / 2.0**-53)
        assert (share > 1 / 8) is found
        assert 1 / 9 < share < 1 / 7
        output = fit.linear.problem.output
        assert (judging.fft_room(fit, output, np.ones(output.shape, bool)) > 0) is found


def test_an_fft_is_no_excuse_where_much_is_wrong() -> None:
    for doubtful, beyond, found in ((40, 20, False), (42, 18, True)):
        fit = fft_like(doubtful, beyond)
        output = fit.linear.problem.output
        room = judging.fft_room(fit, output, np.ones(output.shape, bool))
        assert (room > 0) is (found and doubtful >= 2 * beyond + 2)


@pytest.mark.parametrize(("far", "found"), [(17, True), (18, False)])
def test_an_fft_is_no_excuse_where_much_is_far_off(far: int, found: bool) -> None:
    """At most half as much as is given, whether an FFT could have made it or not."""
    fit = fft_like(12, 3)
    output = fit.linear.problem.output.copy()
    output[..., 60 - far :] += 1
    wrong = fit.mismatched.copy()
    wrong[..., 60 - far :] = True
    room = judging.fft_room(replace(fit, mismatched=wrong), output, np.ones(output.shape, bool))
    assert (room > 0) is found


def test_as_far_as_the_room_and_as_the_eighth_go() -> None:
    step = 2.0**-50
    output = np.ones((1, 1, 1, 60))
    left, threshold = np.full(output.shape, step), np.full(output.shape, 8 * step)
    left[..., :2], threshold[..., 2:7] = 8 * step, 7 * step
    c = ALONE.replace(arithmetic="float64")
    fit = Fit(c, sums_are(output), output - left, threshold, left > step)
    everywhere = np.ones(output.shape, bool)
    # Five are doubtful, and two could be by an FFT.
    assert judging.fft_room(fit, output, everywhere) == 0
    threshold[..., 7] = 7 * step
    assert judging.fft_room(fit, output, everywhere) == 8 * step


DRAWN_NOISE = np.random.default_rng(8).standard_normal(60)
NOISE = 1e-14 * (DRAWN_NOISE + 0.1 * np.sign(DRAWN_NOISE))  # none is lost beside 1


def room_of(sums: Any, off: Any, lost: float = 64e-14, **keys: Any) -> float:
    """The room for an FFT where the sums are so much off, and could lose so much for each one."""
    sums, c = np.asarray(sums, float), ALONE.replace(**{"arithmetic": "float64", **keys})
    linear = sums_are(sums)
    predicted, threshold = linear.values, lost * np.abs(linear.values)
    output = predicted + np.reshape(off, predicted.shape)
    if c.activation:
        predicted, output = np.maximum(predicted, 0), np.maximum(output, 0)
    wrong = np.abs(output - predicted) > threshold
    assert wrong.any()
    fit = Fit(c, linear, predicted, threshold, wrong)
    return judging.fft_room(fit, output, np.ones(output.shape, bool))


def test_a_small_defect_is_not_excused() -> None:
    sums = np.append(np.ones(59), 0)
    assert room_of(sums, NOISE, bias=(1.0,)) == 0


@pytest.mark.parametrize(
    ("black", "off", "found"),
    [
        (20, 20, True),
        (20, 15, True),
        (20, 14, False),
        (8, 8, True),
        (7, 7, False),
        (50, 50, True),  # most of the image
    ],
)
def test_where_an_image_is_black_an_fft_is_off_everywhere(
    black: int, off: int, found: bool
) -> None:
    """A defect is somewhere."""
    biased = (1.0,)  # or that sums of integers lose nothing would say as much
    sums = np.repeat([1.0, 0.0], [60 - black, black])
    noise = np.where(np.arange(60) < 60 - black + off, NOISE, 0)
    assert (room_of(sums, noise, bias=biased) > 0) is found
    # Nor is it what was added to all of them.
    assert room_of(sums, np.where(sums == 0, 1e-14, NOISE), bias=biased) == 0


@pytest.mark.parametrize(("share", "found"), [(0.49, True), (0.5, False), (0.51, False)])
def test_what_could_lose_half_of_what_others_are_off_is_no_evidence(
    share: float, found: bool
) -> None:
    sums = np.repeat([64.0, share], [40, 20])
    off = np.append(NOISE[:40], np.tile([2e-14, -2e-14], 10))
    usual = float(np.sqrt(np.mean(((64 + NOISE[:40]) - 64) ** 2)))
    assert (room_of(sums, off, usual, bias=(1.0,)) > 0) is found


@pytest.mark.parametrize(("far", "found"), [(19, True), (20, False)])
def test_an_fft_is_seen_though_a_third_is_far_off(far: int, found: bool) -> None:
    sums = np.append(np.zeros(3), np.ones(57))
    off = np.where(np.arange(60) < 60 - far, NOISE, 1)
    room = room_of(sums, off)
    assert room > 0 if found else room == 0


def test_relu_leaves_half_of_an_ffts_noise() -> None:
    sums = np.repeat([1.0, 0.0, -1.0], 20)
    keys: Any = {"activation": "relu", "bias": (1.0,)}
    assert room_of(sums, NOISE, **keys) > 0
    assert room_of(sums, np.where(sums == 0, 1e-14, NOISE), **keys) == 0


@pytest.mark.parametrize("inexact", [29, 30])
def test_sums_of_integers_would_lose_nothing(inexact: int) -> None:
    """So it was an FFT, if but one element is beyond what it can lose."""
    sums = np.append(np.ones(59), 0)
    noise = np.where(np.arange(60) < inexact, NOISE, 0)
    noise[-1] = NOISE[-1]
    assert (room_of(sums, noise) > 0) is (inexact == 30)
    if inexact == 30:
        assert room_of(sums, noise, scale=0.5) == 0
        assert room_of(sums, noise, bias=(1.0,)) == 0
        assert room_of(sums * 1.1, noise + 0 * sums, arithmetic="float32") == 0, "of no integers"
        added = room_of(sums, 1e-14 + NOISE / 10)
        assert added == 0, "what was added to all of them"
    even = np.append(np.ones(58), [0, 0])
    half = np.where(np.arange(60) < 29, 0, NOISE)
    assert room_of(even, half) == 0
    half[28] = NOISE[28]
    assert room_of(even, half) > 0


def test_what_is_noise() -> None:
    assert judging._is_noise(np.array([1.0, 1.0, 1.0, 0.0]))
    assert not judging._is_noise(np.array([1.0, 1.0, 1.0, 1.0, 0.0]))
    assert judging._is_noise(np.array([1e-200, -1e-200]))


def test_how_large_sums_of_integers_lose_nothing() -> None:
    c = ALONE.replace(arithmetic="float32")
    for largest, exact in ((2.0**24, True), (2.0**24 + 2, False)):
        linear = sums_are([1.0, largest])
        none = np.zeros(linear.values.shape)
        assert judging._loses_nothing(Fit(c, linear, none, none, none > 0)) is exact


def test_an_fft_in_double_precision_of_what_is_stored_in_single() -> None:
    sums = np.append(np.ones(40), np.zeros(20))
    noise = np.where(sums == 0, NOISE, 0)
    assert room_of(sums, noise) == 0
    room = room_of(sums, noise, arithmetic="float32")
    assert room == pytest.approx(fft_bound(norm(sums), 1.0, 240, unit=2.0**-53), rel=1e-6)
    assert room_of(sums, 1e3 * noise, arithmetic="float32") == 0


@pytest.mark.parametrize("scale", [1.0, -0.5])
def test_an_ffts_room_is_within_its_bound(scale: float) -> None:
    """However far off the elements are that fit."""
    sums = np.full(60, 1.1)
    sums[:2] = 1e-3 / 3
    linear = sums_are(sums)
    c = ALONE.replace(scale=scale, arithmetic="float64")
    wanted = scale * linear.values
    fit = Fit(c, linear, wanted, np.full(wanted.shape, 1.0), np.zeros(wanted.shape, bool))
    output = wanted + 0.5
    heaviest, size = norm(np.ones(1)), norm(sums)
    bound = abs(scale) * fft_bound(size, heaviest, 4 * 60, unit=2.0**-53)
    assert judging.fft_room(fit, output, np.ones(wanted.shape, bool)) == pytest.approx(
        bound, rel=1e-6, abs=0
    )


# --- the finest that explains most --------------------------------------------------------------


def test_the_finest_arithmetic_that_explains_all() -> None:
    whole = np.arange(-40.0, 40)
    assert best(whole, whole).convention.arithmetic == "exact"
    assert best(DRAWN, DRAWN).convention.arithmetic == "float64"
    single = DRAWN.astype(np.float32)
    assert best(DRAWN, single).convention.arithmetic == "float32"
    assert best(DRAWN, single.astype(np.float64)).convention.arithmetic == "float32"
    assert best(DRAWN, COARSE).convention.arithmetic == "bfloat16"
    assert best(whole, np.clip(whole, 0, 255)).misses > 0
    assert best(4 * whole, np.clip(4 * whole, -128, 127)).convention.arithmetic == "saturate:int8"


@pytest.mark.parametrize("size", [1e-3, 30.0])
def test_a_defect_is_not_explained_away_as_coarseness(size: float) -> None:
    for dtype in (np.float64, np.float32):
        output = DRAWN.astype(dtype)
        output[7] += np.array(size * output[7], dtype)
        fit = best(DRAWN, output)
        assert fit.convention.arithmetic == np.dtype(dtype).name
        assert np.flatnonzero(fit.mismatched).tolist() == [7]


def test_a_defect_among_few_bits() -> None:
    output = COARSE.copy()
    output[7] = 30
    fit = best(DRAWN, output)
    assert fit.convention.arithmetic == "bfloat16"
    assert np.flatnonzero(fit.mismatched).tolist() == [7]


@pytest.mark.parametrize("count", [199, 202])
def test_most_of_the_telling_elements_must_be_given(count: int) -> None:
    """Where half of them are wrong, a coarser arithmetic that explains all is taken."""
    sums = np.concatenate([np.zeros(200), DRAWN])
    output = sums.copy()
    output[200 : 200 + count] = output[200 : 200 + count].astype(np.float32)
    fit = best(sums, output)
    assert fit.convention.arithmetic == ("float64" if count < 200 else "float32")
    assert fit.misses == (count if count < 200 else 0)


@pytest.mark.parametrize("count", [198, 202])
def test_what_tells_is_counted_from_each_channels_bias(count: int) -> None:
    """Where there is nothing to sum an element is its channel's bias, which says nothing."""
    sums = np.concatenate([np.zeros((2, 100)), DRAWN.reshape(2, 200)], axis=1)[None, :, None]
    bias = np.array((5.0, -3.0)).reshape(1, 2, 1, 1)
    output = sums + bias
    output[..., 100 : 100 + count // 2] = output[..., 100 : 100 + count // 2].astype(np.float32)
    fit = best(sums, output, bias=(5.0, -3.0))
    assert fit.convention.arithmetic == ("float64" if count < 200 else "float32")
    assert fit.misses == (count if count < 200 else 0)


def test_what_none_explains_is_wrong_throughout() -> None:
    """Integers that no arithmetic of the vocabulary makes of sums that are none."""
    fit = best(DRAWN, np.arange(400) - 200)
    assert fit.misses >= 399
    fit = best([0.1, 0.2, 0.3], np.array([7, 8, 9]))
    assert fit.misses == 3
    assert not fit.threshold.any()


def test_of_two_that_fail_the_one_that_fails_less() -> None:
    output = np.clip(np.arange(-400.0, 400, 10), -128, 127)
    output[40] = 77
    fit = best(np.arange(-400.0, 400, 10), output)
    assert fit.convention.arithmetic == "saturate:int8"
    assert fit.misses == 1


def test_an_fft_is_seen_whatever_else_is_wrong() -> None:
    fit = fft_like(12, 3)
    output = fit.linear.problem.output
    seen = judge(fit.linear, fit.convention, output, np.ones(output.shape, bool))
    assert (seen.misses, seen.convention.arithmetic) == (0, "float64")


@pytest.mark.parametrize("rounded", ["operands", "result"])
def test_what_of_a_sum_is_of_few_bits(rounded: str) -> None:
    """The operands and the result, or the result alone: that of the two which leaves less."""
    x, w = DRAWN.reshape(1, 1, 1, 400), np.array([1, 0.3]).reshape(1, 1, 1, 2)
    sums = {
        "operands": round_to(x, "bfloat16") @ np.eye(400)[:, :399]
        + round_to(x, "bfloat16")[..., 1:] * float(round_to(w, "bfloat16")[0, 0, 0, 1]),
        "result": x[..., :-1] + x[..., 1:] * 0.3,
    }
    output = round_to(sums[rounded], "bfloat16").astype(np.float64)
    linear = Linear(Problem.of(x, w, output), ALONE)
    c = ALONE.replace(arithmetic="bfloat16")

    def under_it(how: str | None) -> Fit:
        fit = under(linear, c, linear.values, output, np.isfinite(output), how=how)
        assert fit is not None
        return fit

    fit = under_it(None)
    assert fit.misses == 0
    assert np.allclose(fit.predicted, sums[rounded], rtol=1e-12, atol=1e-12)
    assert np.array_equal(fit.linear.values, fit.predicted)
    # One rounding, and next to nothing of the sums.
    room = 1.01 * UNIT * np.abs(sums[rounded]) + 2.0**-16
    assert (fit.threshold <= room).all()
    for how in ("operands", "result"):
        assert (under_it(how).misses == 0) is (how == rounded)
        assert np.array_equal(under_it(how).predicted, fit.predicted) is (how == rounded)
    # Of an output with more bits only the operands can have been rounded.
    finer = sums[rounded] * (1 + 2.0**-20)
    linear = Linear(Problem.of(x, w, finer), ALONE)
    fit = under(linear, c, linear.values, finer, np.isfinite(finer))  # type: ignore[assignment]
    assert (fit.misses == 0) is (rounded == "operands")
