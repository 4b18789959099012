"""One hypothesis over the whole output: what is beyond the edge, and what else does the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from test_identify_large import in_areas

from convcheck.checks.identify import fit as fitting
from convcheck.checks.identify.fit import confirm, judged, same_on_this_data
from convcheck.checks.sums import Problem
from convcheck.convention import PADDING_MODES, Convention
from convcheck.engine import convolve

if TYPE_CHECKING:
    from convcheck.checks.identify.tally import Confirmed

NCHW = {"image_layout": "NCHW", "output_layout": "NOHW"}
RNG = np.random.default_rng(41)
DRAWN_FROM = 42


def ints(*shape: int) -> np.ndarray:
    return RNG.integers(-9, 10, shape).astype(float)


def told(
    x: np.ndarray, w: np.ndarray, made: Convention, damage: Any = (), **hypothesis: Any
) -> Confirmed:
    """What is confirmed of an output, given all of the convention but what is solved for."""
    output = convolve(x, w, made)
    for place, value in damage:
        output[place] = value
    plain = {"scale": 1.0, "bias": None, "activation": None, "arithmetic": "exact"}
    asked = made.replace(**plain, padding_mode="constant", padding_value=0.0).replace(**hypothesis)
    fit = confirm(Problem.of(x, w, output), asked, output)
    assert fit is not None
    return fit


BEYOND: dict[str, dict[str, Any]] = {
    "zeros": {},
    "a constant": {"padding_value": 3.0},
    "no whole number": {"padding_value": -0.8125},
    **{mode: {"padding_mode": mode} for mode in PADDING_MODES[1:]},
}
AFTER: dict[str, dict[str, Any]] = {
    "plain": {},
    "scale": {"scale": 0.25},
    "bias": {"bias": (5.0, -2.0, 40.0)},
    "both": {"scale": -0.5, "bias": (5.0, -2.0, 40.0)},
    "relu": {"bias": (5.0, -2.0, 40.0), "activation": "relu"},
}


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("beyond", BEYOND)
def test_what_stands_beyond_the_edge(beyond: str, after: str) -> None:
    x, w = ints(1, 2, 11, 10), ints(3, 2, 3, 3)
    made = Convention(**NCHW, padding=2, **BEYOND[beyond], **AFTER[after])
    fit = told(x, w, made)
    assert fit.misses == 0
    assert fit.convention == made


@pytest.mark.parametrize("after", ["plain", "scale", "bias", "both"])
@pytest.mark.parametrize("beyond", ["a constant", "no whole number", "edge", "wrap"])
def test_where_every_window_reaches_over_the_edge(beyond: str, after: str) -> None:
    x, w = ints(2, 2, 7, 9), ints(3, 2, 9, 3)
    made = Convention(**NCHW, padding=((4, 4), (0, 0)), **BEYOND[beyond], **AFTER[after])
    fit = told(x, w, made)
    assert fit.misses == 0
    assert fit.convention == made
    # What is not finite says nothing.
    fit = told(x, w, made, [((0, 1, 2, 3), np.nan), ((1, 0, 0, 2), np.inf)])
    assert fit.misses == 0
    assert fit.convention == made


def test_windows_that_stay_inside_are_asked_about_no_edge() -> None:
    x, w = ints(1, 2, 9, 8), ints(3, 2, 3, 3)
    made = Convention(**NCHW)
    fit = told(x, w, made, [((0, 1, 2, 3), 500.0), ((0, 2, 0, 0), 500.0)])
    assert (fit.convention, fit.misses) == (made, 2)


@pytest.mark.parametrize("damaged", [1, 5])
def test_a_wrong_border_of_zeros_is_no_other_border(damaged: int) -> None:
    x, w = ints(1, 2, 12, 12), ints(3, 2, 3, 3)
    places = [((0, 1, 0, 2 * k), 900.0 + k) for k in range(damaged)]
    fit = told(x, w, Convention(**NCHW, padding=1), places)
    assert fit.convention.padding_value == 0
    assert fit.convention.padding_mode == "constant"
    assert fit.misses == damaged


@pytest.mark.parametrize(("elsewhere", "mode"), [(0, "edge"), (150, "edge"), (200, "constant")])
def test_a_border_that_gives_a_few_elements_more(elsewhere: int, mode: str) -> None:
    """One pixel of the rim says of nine elements what is beyond; much else is wrong."""
    x, w = ints(1, 1, 20, 20), ints(3, 1, 3, 3)
    x[..., [0, -1]] = x[..., [0, -1], :] = 0
    x[0, 0, 0, 7] = 9
    w[:, :, 0] = np.abs(w[:, :, 0]) + 1
    made = Convention(**NCHW, padding=1, padding_mode="edge")
    plain = convolve(x, w, made.replace(padding_mode="constant"))
    assert np.count_nonzero(plain != convolve(x, w, made)) == 9
    places = [((0, k % 3, 3 + k // 15, 3 + k // 3 % 5), 900.0 + k) for k in range(elsewhere)]
    fit = told(x, w, made, places)
    assert fit.convention.padding_mode == mode
    assert fit.misses == elsewhere + (9 if mode == "constant" else 0)


def test_two_elements_are_too_few_to_give_up_a_border_for() -> None:
    x, w = ints(1, 1, 7, 9), ints(1, 1, 7, 8)
    made = Convention(**NCHW, padding=((3, 3), (0, 0)), padding_value=3.0)
    fit = told(x, w, made, [((0, 0, 3, 0), 5000.0), ((0, 0, 3, 1), -900.0)])
    assert (fit.convention, fit.misses) == (made, 2)


def test_zeros_between_samples_have_zeros_beyond_the_edge() -> None:
    """No library repeats pixels there; a constant would still be a constant."""
    x, w = ints(1, 2, 6, 6), ints(3, 2, 3, 3)
    made = Convention(**NCHW, input_dilation=2, padding=2)
    assert told(x, w, made).convention == made
    wrong = [((0, slice(None), 0), 77.0)]
    fit = told(x, w, made, wrong)
    assert fit.convention.padding_mode == "constant"
    assert fit.misses == 3 * 13


@pytest.mark.parametrize("factor", [1.0, 1 / 64])
def test_a_zero_point_by_an_output_of_few_levels(factor: float) -> None:
    x, w = RNG.integers(0, 256, (1, 1, 14, 9)), RNG.integers(-128, 128, (3, 1, 2, 4))
    made = Convention(
        **NCHW,
        padding=1,
        padding_value=117,
        scale=factor / 256,
        bias=(31.0, 79.0, 120.0),
        arithmetic="saturate:uint8",
    )
    fit = told(x, w, made)
    assert fit.misses == 0
    assert abs(fit.convention.padding_value - 117) <= 2 / factor


@pytest.mark.parametrize("mode", ["edge", "reflect"])
def test_a_border_of_complex_numbers(mode: str) -> None:
    x, w = ints(1, 2, 9, 8) + 1j * ints(1, 2, 9, 8), ints(3, 2, 3, 3)
    made = Convention(**NCHW, padding=1, padding_mode=mode)
    fit = told(x, w, made)
    assert (fit.convention, fit.misses) == (made, 0)


def test_few_positive_numbers_inside_say_nothing_against_a_border() -> None:
    """Two are too few to solve for the bias, without which all six inside are wrong."""
    x, w = np.abs(ints(1, 1, 7, 9)), np.abs(ints(1, 1, 7, 4))
    made = Convention(**NCHW, padding=3, padding_value=12.0, activation="relu")
    inside = np.sort(convolve(x, w, made)[0, 0, 3, 3:9])
    made = made.replace(bias=(-float(inside[3]),))
    fit = told(x, w, made)
    assert (fit.convention, fit.misses) == (made, 0)


def test_a_constant_in_few_digits_of_rounded_numbers() -> None:
    """An estimate that rounding leaves a little off gives all but a few elements."""
    x, w = ints(2, 2, 7, 9), ints(3, 2, 9, 3)
    made = Convention(
        **NCHW,
        padding=((4, 4), (0, 0)),
        padding_value=2.25,
        scale=0.25,
        arithmetic="saturate:int16",
    )
    fit = told(x, w, made)
    assert fit.misses == 0
    assert fit.convention.padding_value == 2.25


# --- others that do the same --------------------------------------------------------------------


def same(x: np.ndarray, w: np.ndarray, c: Convention) -> list[tuple[Any, ...]]:
    problem = Problem.of(x, w, convolve(x, w, c))
    found = list(same_on_this_data(problem, c))
    expected = {"padding_value": 0.0} if c.padding_mode == "constant" else {}
    for other in found:
        assert np.array_equal(convolve(x, w, other), problem.output)
        assert other == c.replace(
            padding_mode=other.padding_mode, channel_order=other.channel_order, **expected
        )
    return [(other.padding_mode, other.channel_order) for other in found]


def test_borders_that_this_image_cannot_tell_apart() -> None:
    x, w = ints(2, 6, 7), ints(3, 2, 3, 3)
    x[:, :2], x[:, -2:], x[:, :, :2], x[:, :, -2:] = 0, 0, 0, 0
    others = [(mode, None) for mode in PADDING_MODES]
    for mode in PADDING_MODES:
        c = Convention(padding=1, padding_mode=mode)
        assert same(x, w, c) == [o for o in others if o[0] != mode]
        assert same(x, w, c.replace(padding=((0, 1), (-1, 0)))) == [
            o for o in others if o[0] != mode
        ]
    # No window meets a border, or zeros between the samples keep the modes away.
    assert same(x, w, Convention(padding=((0, -1), (0, 0)))) == []
    assert same(x, w, Convention(padding=1, input_dilation=2)) == []
    assert same(x, w, Convention(padding=1, padding_value=3)) == []
    assert same(ints(2, 6, 7), w, Convention(padding=1)) == []


def test_a_border_of_the_images_own_constant() -> None:
    x, w = np.full((1, 6, 7), 3.0), ints(3, 1, 3, 3)
    x[0, 3, 3] = 9
    c = Convention(padding=1, padding_value=3)
    assert same(x, w, c) == [(mode, None) for mode in PADDING_MODES[1:]]


def test_orders_of_channels_that_are_alike() -> None:
    one = ints(1, 6, 7)
    w = ints(3, 3, 3, 3)
    x = np.concatenate([one, one, one])
    orders = [(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    assert same(x, w, Convention()) == [("constant", order) for order in orders]
    assert same(x, w, Convention(channel_order=(1, 0, 2))) == [
        ("constant", order) for order in (None, *orders) if order != (1, 0, 2)
    ]
    x[2] += 1
    assert same(x, w, Convention()) == [("constant", (1, 0, 2))]
    assert same(x, w, Convention(padding=1, padding_value=3)) == []
    # Four channels have 24 orders; five too many to try.
    assert len(same(np.concatenate([one] * 4), ints(2, 4, 2, 2), Convention())) == 23
    assert same(np.concatenate([one] * 5), ints(2, 5, 2, 2), Convention()) == []
    assert same(one, ints(2, 1, 2, 2), Convention()) == []
    two = np.concatenate([one, one])
    assert same(two, ints(2, 2, 2, 2), Convention()) == [("constant", (1, 0))]
    layout = {"image_layout": "HWC"}
    assert same(two.transpose(1, 2, 0), ints(2, 2, 2, 2), Convention(**layout)) == [
        ("constant", (1, 0))
    ]


# --- a part of it first -------------------------------------------------------------------------


def test_a_part_says_what_the_whole_confirms() -> None:
    """Large enough for a part to be looked at first."""
    x, w = ints(1, 2, 130, 131), ints(3, 2, 3, 3)
    for beyond in ("zeros", "no whole number", "edge"):
        made = Convention(**NCHW, padding=1, **BEYOND[beyond], **AFTER["both"])
        fit = told(x, w, made, [((0, 1, 60, 61), 5000.0)])
        assert (fit.convention, fit.misses) == (made, 1)


def test_what_the_part_did_not_show_is_estimated_from_the_whole() -> None:
    """A channel of which a few elements are left, none of them at the part's places."""
    x, w = ints(1, 2, 130, 131), ints(3, 2, 3, 3)
    made = Convention(**NCHW, bias=(5.0, -2.0, -500.0), activation="relu")
    problem = Problem.of(x, w, convolve(x, w, made))
    highest = (convolve(x, w, Convention(**NCHW))[0, 2]).max()
    made = made.replace(bias=(5.0, -2.0, -float(highest) + 12))
    output = convolve(x, w, made)
    assert 0 < (output[0, 2] > 0).sum() < 40
    problem = Problem.of(x, w, output)
    fit = confirm(problem, Convention(**NCHW), output)
    assert fit is not None
    assert (fit.convention, fit.misses) == (made, 0)


def test_areas_are_estimated_again_with_what_was_furthest_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, w = ints(1, 2, 130, 131), ints(3, 2, 3, 3)
    highest = convolve(x, w, Convention(**NCHW))[0, 2].max()
    made = Convention(**NCHW, bias=(5.0, -2.0, 12 - float(highest)), activation="relu")
    output = convolve(x, w, made)
    rounded = Convention(
        **NCHW, scale=0.137, bias=(90.5, 40.25, 128.0), arithmetic="saturate:uint8"
    )
    bytes_ = convolve(x, w, rounded)
    in_areas(monkeypatch, None)
    fit = confirm(Problem.of(x, w, output), Convention(**NCHW), output)
    assert fit is not None
    assert (fit.convention, fit.misses) == (made, 0)
    fit = confirm(Problem.of(x, w, bytes_), Convention(**NCHW), bytes_)
    assert fit is not None
    assert fit.misses == 0
    # A damaged channel has no bias of its own, whatever a few of its elements would have.
    output = convolve(x, w, Convention(**NCHW))
    output[0, 2] = 300 * RNG.standard_normal(output.shape[2:])
    fit = confirm(Problem.of(x, w, output), Convention(**NCHW), output)
    assert fit is not None
    assert (fit.convention.scale, fit.convention.bias) == (1, None)
    assert fit.misses == output[0, 2].size


def test_what_damage_tells_is_no_better_than_what_was_told_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is furthest off of a damaged channel is damage."""
    rng = np.random.default_rng(5)
    x, w = rng.integers(-9, 10, (1, 2, 90, 91)), rng.integers(-9, 10, (3, 2, 3, 3))
    made = Convention(**NCHW, scale=0.137, bias=(90.5, 40.25, 128.0), arithmetic="saturate:uint8")
    output = convolve(x, w, made)
    wrong = rng.random(output.shape) < 0.5
    wrong[:, :2] = False
    output = np.where(wrong, rng.integers(0, 256, output.shape), output).astype(np.uint8)
    in_areas(monkeypatch, None)
    fit = confirm(Problem.of(x, w, output), Convention(**NCHW), output)
    assert fit is not None
    assert fit.misses <= 1.01 * wrong.sum()


@pytest.mark.parametrize(("left", "taken"), [(49, True), (50, False), (90, False)])
def test_more_numbers_must_halve_what_is_left(
    left: int, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = SimpleNamespace(convention=Convention())
    biased = SimpleNamespace(convention=Convention(bias=(1.0,)))
    misses = {plain.convention: 100, biased.convention: left}

    def held(_: Any, fit: Any, __: Any) -> Any:
        tally = SimpleNamespace(furthest=None)
        return SimpleNamespace(
            convention=fit.convention, misses=misses[fit.convention], tally=tally
        )

    thin: Any = SimpleNamespace(wider=lambda _: thin, cut=lambda _: np.zeros(1))
    monkeypatch.setattr(fitting, "hold", held)
    monkeypatch.setattr(fitting, "solve", lambda *_: biased)
    best = fitting._in_areas(thin, plain, np.zeros(1))
    assert (best.convention == biased.convention) is taken


@pytest.mark.parametrize(
    ("misses", "asked", "kept"),
    [
        ([100, 100, 100, 100, 9], 3, 0),
        ([100, 90, 80, 39, 38, 37, 36, 1], 6, 6),
        ([100, 50, 49, 48, 1], 3, 3),
        ([100, 34, 33, 32, 31, 0], 4, 4),
        ([100, 90, 0, 0], 2, 2),
        ([0, 0], 0, 0),
        ([100, 110, 101, 100, 1], 3, 0),
        ([2, 2, 1, 1, 0], 3, 2),
    ],
)
def test_three_estimates_in_a_row_that_halve_nothing_are_the_last(
    misses: list[int], asked: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what is left unexplained; the best of all is kept, and of equal ones the first."""
    number = iter(range(99))

    def next_one(*_: Any) -> Any:
        return SimpleNamespace(convention=Convention(scale=2.0 + next(number)))

    def held(_: Any, fit: Any, __: Any) -> Any:
        at = int(fit.convention.scale) - 2
        tally = SimpleNamespace(furthest=at)
        return SimpleNamespace(convention=fit.convention, misses=misses[at], tally=tally)

    seen: list[int] = []
    thin: Any = SimpleNamespace(wider=lambda at: seen.append(at) or thin, cut=lambda _: np.zeros(1))
    monkeypatch.setattr(fitting, "hold", held)
    monkeypatch.setattr(fitting, "solve", next_one)
    best = fitting._in_areas(thin, next_one(), np.zeros(1))
    assert seen == list(range(asked))
    assert best.convention.scale == 2 + kept


def test_what_was_tried_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    scales = iter([2.0, 3.0, 2.0])
    tally = SimpleNamespace(furthest=None)

    def next_one(*_: Any) -> Any:
        return SimpleNamespace(convention=Convention(scale=next(scales), arithmetic="float32"))

    def held(_: Any, fit: Any, __: Any) -> Any:
        return SimpleNamespace(convention=fit.convention, misses=9, tally=tally)

    thin: Any = SimpleNamespace(wider=lambda _: thin, cut=lambda _: np.zeros(1))
    monkeypatch.setattr(fitting, "hold", held)
    monkeypatch.setattr(fitting, "solve", next_one)
    assert fitting._in_areas(thin, next_one(), np.zeros(1)).convention.scale == 2
    assert not list(scales)


@pytest.mark.parametrize("large", [False, True])
def test_only_what_is_too_large_is_judged_in_areas(
    large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a whole it would take more memory than it may, in areas more time."""
    x, w = ints(1, 2, 24, 25), ints(3, 2, 3, 3)
    output = convolve(x, w, Convention(**NCHW))
    if large:
        in_areas(monkeypatch, (1, 3, 17, 41))
    other = "Linear" if large else "hold"
    monkeypatch.setattr(fitting, other, lambda *_: pytest.fail(f"{other} is not for this"))
    problem = Problem.of(x, w, output)
    assert judged(problem, Convention(**NCHW), output).misses == 0
    fit = confirm(problem, Convention(**NCHW), output)
    assert fit is not None
    assert fit.misses == 0


@pytest.mark.parametrize(("share", "given_up"), [(0.9, False), (1.0, True)])
def test_what_fails_nearly_everywhere_is_given_up(share: float, given_up: bool) -> None:
    x, w = ints(1, 2, 130, 131), ints(3, 2, 3, 3)
    output = convolve(x, w, Convention(**NCHW))
    wrong = RNG.random(output.shape) < share
    output = np.where(wrong, 1e6 * RNG.standard_normal(output.shape), output)
    fit = confirm(Problem.of(x, w, output), Convention(**NCHW), output)
    assert (fit is None) is given_up


def test_no_more_than_nearly_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = ints(1, 2, 130, 131), ints(3, 2, 3, 3)
    output = 1e6 * RNG.standard_normal(convolve(x, w, Convention(**NCHW)).shape)
    monkeypatch.setattr(fitting, "HOPELESS", 1.0)
    fit = confirm(Problem.of(x, w, output), Convention(**NCHW), output)
    assert fit is not None
    assert fit.misses == output.size


@pytest.mark.parametrize(("beyond", "after"), [("zeros", "both"), ("a constant", "relu")])
def test_areas_confirm_what_the_whole_does(
    beyond: str, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, w = ints(2, 2, 24, 25), ints(3, 2, 3, 3)
    made = Convention(**NCHW, padding=1, **BEYOND[beyond], **AFTER[after])
    in_areas(monkeypatch, (1, 3, 17, 41))
    for damage in ([], [((1, 1, 20, 21), 5000.0), ((0, 2, 0, 0), 4000.0)]):
        fit = told(x, w, made, damage)
        assert (fit.convention, fit.misses) == (made, len(damage))
        again = judged(Problem.of(x, w, convolve(x, w, made)), fit.convention, convolve(x, w, made))
        assert again.misses == 0


@pytest.mark.parametrize(
    ("keys", "filters", "said"),
    [
        ({}, (3, 2, 7, 7), []),
        ({}, (9, 9, 2, 8), [((1, d), ((0, 0), (0, 7 * (d - 1)))) for d in (2, 3, 4)]),
        (
            {"dilation": [1, 3], "padding": [[1, 2], [3, 4]]},
            (3, 2, 2, 9),
            [((1, d), ((1, 2), (3, 4 + 8 * (d - 3)))) for d in (1, 2, 4)],
        ),
        (
            {"filter_layout": "HW", "kernel_transposed": True},
            (2, 9),
            [((d, 1), ((0, 8 * (d - 1)), (0, 0))) for d in (2, 3, 4)],
        ),
    ],
)
def test_long_kernels_at_other_dilations_begin_where_they_begin(
    keys: dict[str, Any], filters: tuple[int, ...], said: list[Any]
) -> None:
    convention = Convention(**keys)
    found = list(fitting._dilated(convention, filters))
    assert [(c.dilation, c.padding) for c in found] == said
    for c in found:
        assert c == convention.replace(dilation=c.dilation, padding=c.padding)
