"""A constant beyond the image's edge: what it is solved from, alone and with all the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_identify_border import NCHW, RNG, inside, ints

from convcheck.checks.identify import fit as fitting
from convcheck.checks.identify.judging import judge
from convcheck.checks.sums import Linear, Problem
from convcheck.convention import Convention
from convcheck.engine import convolve

DRAWN_FROM = 42


def constants(
    made: Convention, x: np.ndarray, w: np.ndarray, spoilt: Any = None
) -> list[tuple[float, int]]:
    """The constants that are found beyond the edge, and how many elements each leaves."""
    output = convolve(x, w, made)
    problem = Problem.of(x, w, output)
    linear = Linear(problem, made.replace(padding_value=0.0))
    if spoilt is not None:
        at = ~linear.interior & spoilt(np.abs(linear.edge))
        output[at] += 100 * RNG.standard_normal(np.count_nonzero(at))
    usable = np.ones(output.shape, bool)
    fitted = judge(linear, made.replace(padding_value=0.0), output, usable & linear.interior)
    found = fitting._constant(linear, fitted.convention, output, usable)
    return [(fit.convention.padding_value, fit.misses) for fit in found]


def test_a_constant_is_found_once() -> None:
    x, w = ints(1, 2, 9, 8), ints(3, 2, 3, 3)
    for value in (3.0, -0.8125, 1 / 3):
        made = Convention(**NCHW, padding=1, padding_value=value, scale=2.0)
        assert constants(made, x, w) == [(pytest.approx(value, rel=1e-12), 0)]


def test_a_constant_is_what_those_say_that_see_most_of_it() -> None:
    """Of three filters one sees a tenth of what the others do, which is spoilt."""
    x, w = ints(1, 2, 9, 8), np.abs(ints(3, 2, 3, 3)) + 9
    w[1:] /= 16
    made = Convention(**NCHW, padding=1, padding_value=2.5)
    count = 2 * 26
    found = constants(made, x, w, lambda edge: edge < 0.25 * edge.max())
    assert [value for value, _ in found] == [2.5] * len(found)
    assert found
    assert found[0][1] >= count


def test_a_constant_needs_two_elements_that_see_it() -> None:
    x, w = ints(1, 1, 1, 9), np.array([3.0, 5.0, -2.0])[None, None, None]
    made = Convention(**NCHW, padding=((0, 0), (1, 1)), padding_value=2.5)
    assert constants(made, x, w) == [(2.5, 0)]
    assert constants(made.replace(padding=((0, 0), (1, 0))), x, w) == []


def test_a_quarter_of_the_most_is_too_little_to_see_of_a_constant() -> None:
    x, w = ints(1, 1, 6, 7), np.array([8.0, 2.0, -2.0])[:, None, None, None]
    made = Convention(**NCHW, padding=1, padding_value=2.5)
    found = constants(made, x, w, lambda edge: edge == 2)
    assert [value for value, _ in found] == [2.5] * len(found)
    assert found


# --- what else is beside a constant -------------------------------------------------------------


def beside(
    made: Convention, known: dict[str, Any], x: np.ndarray, w: np.ndarray, *wrong: Any
) -> list[tuple[float, int]]:
    """The constants that are found where something is known of the numbers."""
    output = convolve(x, w, made)
    usable = np.ones(output.shape, bool)
    for place, number in wrong:
        output[place] = number
        usable[place] = bool(np.isfinite(number))
    plain = made.replace(padding_value=0.0, scale=1.0, bias=None)
    linear = Linear(Problem.of(x, w, output), plain)
    with np.errstate(over="ignore", invalid="ignore"):
        found = list(fitting._constant(linear, plain.replace(**known), output, usable))
    return [(fit.convention.padding_value, fit.misses) for fit in found]


def test_a_constant_is_looked_for_without_the_numbers_too() -> None:
    """What was solved from the few elements inside may be wrong, or not needed."""
    x, w = ints(1, 2, 9, 8), ints(3, 2, 3, 3)
    made = Convention(**NCHW, padding=1, padding_value=2.5)
    assert beside(made, {"scale": 1e-3, "bias": (900.0, -900.0, 0.0)}, x, w) == [(2.5, 0)]
    assert beside(made, {}, x, w) == [(2.5, 0)]
    known = {"scale": -0.5, "bias": (5.0, -2.0, 40.0)}
    assert beside(made.replace(**known), known, x, w) == [(2.5, 0)]


def test_what_is_not_finite_says_nothing_of_a_constant() -> None:
    x, w = ints(1, 2, 9, 8), ints(3, 2, 3, 3)
    made = Convention(**NCHW, padding=1, padding_value=2.5)
    wrong = [((0, 1, 0, 3), np.nan), ((0, 2, 8, 0), np.inf)]
    assert beside(made, {}, x, w, *wrong) == [(2.5, 0)]


@pytest.mark.parametrize("size", [1e-3, 1e3])
def test_a_constant_beside_kernels_of_any_size(size: float) -> None:
    x, w = ints(1, 2, 9, 8), ints(3, 2, 3, 3) * size
    made = Convention(**NCHW, padding=1, padding_value=2.5)
    found = beside(made, {}, x, w)
    assert found[-1] == (2.5, 0)


def test_a_constant_of_which_relu_left_little() -> None:
    """Two thirds of what sees it are zero, and all else is below one."""
    x, w = ints(1, 1, 9, 30), np.full((1, 1, 2, 1), 2.0**-10)
    x[0, 0, 0, 10:] = -4
    made = Convention(**NCHW, padding=((1, 0), (0, 0)), padding_value=2.5, activation="relu")
    output = convolve(x, w, made)
    assert 10 > (output[0, 0, 0] > 0).sum() > 2
    assert output.max() < 1
    assert beside(made, {"activation": "relu"}, x, w)[-1] == (2.5, 0)


def test_a_constant_beyond_all_numbers_is_none() -> None:
    x, w = ints(1, 1, 9, 8), np.full((1, 1, 3, 3), 1e-300)
    made = Convention(**NCHW, padding=1)
    places = [((0, 0, i, j), 1e30) for i in range(9) for j in range(8)]
    assert beside(made, {}, x, w, *places) == []


def test_a_constant_whose_sums_overflow_explains_nothing() -> None:
    """Nor is there a bias beside it."""
    x, w = 1e-160 * ints(1, 1, 7, 9), 1e153 * ints(1, 1, 3, 3)
    output = 2e307 * RNG.standard_normal((1, 1, 7, 9))
    problem = Problem.of(x, w, output)
    c = Convention(**NCHW, flip=("H", "W"), dilation=(4, 2), padding=((6, 2), (4, 0)))
    linear, usable = Linear(problem, c), np.ones(output.shape, bool)
    with np.errstate(over="ignore", invalid="ignore"):
        assert fitting.confirm(problem, c, output).misses > 31  # type: ignore[union-attr]
        fit = fitting._bordered(linear, -5e161, output, usable)
        assert fit.misses == output.size


@pytest.mark.parametrize(
    ("value", "off", "found"),
    [(4.0, 0.5, True), (4.0, 0.5625, False), (1.0, 0.1875, True), (1.0, 0.21875, False)],
)
def test_half_of_what_sees_a_constant_must_be_within_a_tenth_of_it(
    value: float, off: float, found: bool
) -> None:
    """And a tenth of one more; of an image of zeros by a kernel of one it is all that is seen."""
    x, w = np.zeros((1, 1, 1, 9)), np.ones((1, 1, 1, 1))
    made = Convention(**NCHW, padding=((0, 0), (2, 3)), padding_value=value)
    seen = (0, 1, 11, 12, 13)
    steps = (-off, -off, 0, off, off)
    wrong = [((0, 0, 0, at), value + step) for at, step in zip(seen, steps, strict=True)]
    expected = [(value, 4)] * 2 if found else []
    assert beside(made, {}, x, w, *wrong) == expected


def test_the_scale_is_solved_again_with_the_border_of_rounded_numbers() -> None:
    """Inside alone it is as good as rounding leaves it; sums of the border are larger."""
    x, w = np.abs(ints(1, 1, 6, 30)), np.abs(ints(1, 1, 3, 3)) + 1
    made = Convention(
        **NCHW, padding=2, padding_value=100.0, scale=0.137, arithmetic="saturate:int16"
    )
    known = {"scale": 0.1365, "arithmetic": "saturate:int16"}
    found = beside(made, known, x, w)
    assert found[-1][1] == 0


def test_numbers_are_solved_again_of_rounded_ones_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """And where these leave anything."""
    x, w = ints(1, 2, 9, 8), ints(3, 2, 3, 3)
    monkeypatch.setattr(fitting, "solve", lambda *_: pytest.fail("nothing is solved again"))
    made = Convention(**NCHW, padding=1, padding_value=2.5)
    damage = ((0, 1, 4, 4), 999.5)
    assert beside(made, {}, x, w, damage) == [(2.5, 1)] * 2
    rounded = made.replace(arithmetic="saturate:int16")
    assert beside(rounded, {"arithmetic": "saturate:int16"}, x, w) == [(2.5, 0)]


@pytest.mark.parametrize("damaged", [False, True])
def test_a_constant_of_integers_that_wrapped(damaged: bool) -> None:
    """Modulo 2^8 no quotient tells it, but most elements agree on one number; or on none."""
    x, w = RNG.integers(0, 256, (1, 1, 9, 8)), RNG.integers(-9, 10, (2, 1, 3, 3))
    made = Convention(**NCHW, padding=1, padding_value=77.0, arithmetic="wrap:uint8")
    wrong = []
    if damaged:
        wrong = [(np.s_[0, :, i], RNG.integers(0, 256, (2, 8))) for i in range(9)]
    output = convolve(x, w, made)
    for place, numbers in wrong:
        output[place] = numbers
    plain = made.replace(padding_value=0.0)
    linear = Linear(Problem.of(x, w, output), plain)
    fits = list(fitting._constant(linear, plain, output, np.ones(output.shape, bool)))
    found = [(fit.convention.padding_value, fit.misses) for fit in fits]
    assert ((77.0, 0) in found) is not damaged
    if damaged:
        assert found == []


# --- with all the rest --------------------------------------------------------------------------


def test_a_constant_in_few_digits_is_looked_for_where_most_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(22)  # of numbers for which one way alone comes near
    x, w = (rng.integers(-9, 10, shape).astype(float) for shape in ((2, 2, 8, 10), (4, 2, 9, 3)))
    made = Convention(**NCHW, padding=((4, 4), (0, 0)), padding_value=2.25, scale=0.25)
    made = made.replace(arithmetic="saturate:int16")
    output = convolve(x, w, made)
    linear = Linear(Problem.of(x, w, output), made.replace(padding_value=0.0))
    every = np.ones(output.shape, bool)
    value = fitting._edge_value(linear, output, every, scaled=True, biased=False)
    assert value not in (None, 2.25)
    some = fitting._bordered(linear, value, output, every).misses
    assert 0 < some < output.size / 2 == 256
    for share, plain in ((some, False), (some + 1, True)):
        monkeypatch.setattr(fitting, "EXPLAINED", share / 512)
        found = [fit.convention.padding_value for fit in fitting._jointly(linear, output, every)]
        assert (2.25 in found) is plain


@pytest.mark.parametrize("share", [0.6, 0.75])
def test_zeros_that_relu_left_say_nothing_of_a_border(share: float) -> None:
    x, w = ints(2, 2, 7, 9), ints(3, 2, 9, 3)
    made = Convention(**NCHW, padding=((4, 4), (0, 0)), padding_value=2.25)
    bias = -float(np.quantile(convolve(x, w, made), share).round())
    made = made.replace(bias=(bias, bias + 1, bias - 1), activation="relu")
    output = convolve(x, w, made)
    linear = Linear(Problem.of(x, w, output), made.replace(padding_value=0.0))
    found = list(fitting._jointly(linear, output, np.ones(output.shape, bool)))
    assert (found[-1].convention, found[-1].misses) == (made, 0)


def jointly(made: Convention, x: np.ndarray, w: np.ndarray, kind: Any = float) -> list[Any]:
    output = convolve(x, w, made).astype(kind)
    linear = Linear(Problem.of(x, w, output), made.replace(padding_value=0.0))
    found = fitting._jointly(linear, output, np.ones(output.shape, bool))
    return [(fit.convention.padding_value, fit.misses) for fit in found]


def test_no_more_is_solved_for_than_is_needed() -> None:
    x, w = ints(2, 2, 7, 9), ints(3, 2, 9, 3)
    made = Convention(**NCHW, padding=((4, 4), (0, 0)), padding_value=2.25)
    assert jointly(made, x, w) == [(2.25, 0)]
    assert jointly(made.replace(scale=0.5), x, w) == [(2.25, 0)]
    # Few bits would say as much of a number that is not quite right.
    assert len(jointly(made.replace(padding_value=2.2), x, w, np.float16)) > 1


def test_fewer_unknowns_are_asked_for_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the constant: nothing, then biases, a scale, and both."""
    asked: list[dict[str, bool]] = []
    monkeypatch.setattr(fitting, "_edge_value", lambda *_, **keys: asked.append(keys))
    linear, output, usable = inside(9, ())
    assert list(fitting._jointly(linear, output, usable)) == []
    assert [(keys["scaled"], keys["biased"]) for keys in asked] == [
        *((False, False), (False, True), (True, False), (True, True)),
    ]


@pytest.mark.parametrize("kind", [np.uint8, float])
def test_which_elements_tell_of_a_constant(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """None that is no number, none at the end of an integer's range, none that ReLU left zero."""
    told_by: list[np.ndarray] = []
    monkeypatch.setattr(fitting, "_edge_value", lambda *a, **_: told_by.append(a[2]))
    linear, output, usable = inside(9, ())
    output = np.full(output.shape, 40.0)
    output.flat[:4] = [0, 255, 1, 0.5]
    output = output.astype(kind)
    usable.flat[8] = False
    assert list(fitting._jointly(linear, output, usable)) == []
    silent = [0, 1, 8] if kind is np.uint8 else [0, 8]
    if kind is np.uint8:
        silent.append(3)  # a half is none there
    assert sorted(np.flatnonzero(~told_by[0]).tolist()) == sorted(silent)


# --- by least squares ---------------------------------------------------------------------------


def rounds(
    off: np.ndarray, monkeypatch: pytest.MonkeyPatch, spread: float = 0.0
) -> tuple[list[int], float | None]:
    """From how many elements a constant of 2 is solved each time, being off by so much; and it."""
    count = len(off)
    x, w = np.zeros((1, 1, 1, 2)), np.ones((1, 1, 1, 1))
    c = Convention(**NCHW, padding=((0, 0), (count - 2, 0)))
    edge = 1 + spread * (np.arange(count) // 2)
    output = (2.0 * edge + off).reshape(1, 1, 1, count)
    linear = Linear(Problem.of(x, w, output), c)
    linear.__dict__["edge"] = edge.reshape(output.shape)
    sizes: list[int] = []
    solve = np.linalg.lstsq

    def solving(columns: Any, wanted: Any, **keys: Any) -> Any:
        sizes.append(len(wanted))
        return solve(columns, wanted, **keys)

    every = np.ones(output.shape, bool)
    with monkeypatch.context() as patched:
        patched.setattr(np.linalg, "lstsq", solving)
        value = fitting._edge_value(linear, output, every, scaled=False, biased=False)
    return sizes, value


def both_ways(*sizes: float) -> np.ndarray:
    """As much above as below, so that the middle stays where it is."""
    return np.array([sign * size for size in sizes for sign in (1, -1)])


def test_what_fits_worst_is_left_out_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is off by three times the middle of them, and the same again of what is left."""
    sizes, value = rounds(both_ways(*[1e-3] * 6, *[2.9e-3] * 3, 3.1e-3, 50.0), monkeypatch)
    assert sizes == [22, 18, 18]
    assert value == pytest.approx(2, abs=1e-3)
    sizes, value = rounds(both_ways(*[1e-3] * 6, *[4e-3] * 5, *[50.0] * 4), monkeypatch)
    assert sizes == [30, 22, 12]
    assert value == pytest.approx(2, abs=1e-3)


@pytest.mark.parametrize(("share", "kept"), [(0.8, 24), (1.2, 22)])
def test_what_rounding_takes_is_nothing_that_fits_badly(
    share: float, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to 2^-40 of the output's spread, where all else is met to the last digits."""
    off = np.zeros(24)
    off[6:8] = share * np.std(10 * np.arange(12)) * 2.0**-40 * np.array([1, -1])
    sizes, value = rounds(off, monkeypatch, 5.0)
    assert sizes == [24, kept, kept]
    assert value == pytest.approx(2, rel=1e-9)


@pytest.mark.parametrize(("count", "said"), [(3, False), (4, True), (5, True)])
def test_four_elements_are_the_fewest_that_say_what_a_border_holds(
    count: int, said: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, value = rounds(np.zeros(count), monkeypatch, 5.0)
    assert (value is not None) is said
    assert bool(sizes) is said


def test_without_an_image_there_is_no_scale() -> None:
    linear, output, usable = inside(9, ())
    none = np.zeros(linear.values.shape)
    linear.__dict__["values"] = none
    output = 2.0 * linear.edge
    keys = {"biased": False}
    assert fitting._edge_value(linear, output, usable, scaled=True, **keys) is None
    value = fitting._edge_value(linear, output, usable, scaled=False, **keys)
    assert value == pytest.approx(2)


def test_a_border_of_zeros_is_no_constant() -> None:
    """However little rounding leaves of it."""
    linear, _, usable = inside(9, ())
    for scaled, biased in ((False, False), (True, False), (True, True)):
        output = 3.0 * linear.values if scaled else 1.0 * linear.values
        assert fitting._edge_value(linear, output, usable, scaled=scaled, biased=biased) is None


NONE_OF_ONE = np.ones((1, 3, 7, 7), bool)
NONE_OF_ONE[:, 1] = False
ONE_OF_TWO = np.zeros((1, 3, 7, 7), bool)
ONE_OF_TWO[0, 0, :3, 0] = ONE_OF_TWO[0, 1, 0, 0] = ONE_OF_TWO[0, 2, 0, 0] = True


@pytest.mark.parametrize("telling", [NONE_OF_ONE, ONE_OF_TWO], ids=["none", "one"])
def test_a_channel_says_nothing_beside_its_bias_if_no_two_elements_are_seen(
    telling: np.ndarray,
) -> None:
    x, w = ints(1, 2, 7, 9), ints(3, 2, 9, 3)
    made = Convention(**NCHW, padding=((4, 4), (0, 0)), padding_value=-2.75)
    output = convolve(x, w, made.replace(bias=(7.0, 700.0, -900.0)))
    linear = Linear(Problem.of(x, w, output), made.replace(padding_value=0.0))
    value = fitting._edge_value(linear, output, telling, scaled=False, biased=True)
    assert value == pytest.approx(-2.75, rel=1e-9)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
def test_what_a_border_must_hold(scaled: bool, biased: bool) -> None:
    x, w = ints(2, 2, 7, 9), ints(3, 2, 9, 3)
    made = Convention(**NCHW, padding=((4, 4), (0, 0)), padding_value=-2.75)
    made = made.replace(scale=0.5 if scaled else 1.0, bias=(5.0, -2.0, 40.0) if biased else None)
    output = convolve(x, w, made)
    linear = Linear(Problem.of(x, w, output), made.replace(padding_value=0.0))
    telling = RNG.random(output.shape) < 0.9
    output[~telling] = 1e4
    value = fitting._edge_value(linear, output, telling, scaled=scaled, biased=biased)
    assert value == pytest.approx(-2.75, rel=1e-9)
    # So it is where few windows reach over the edge, and the others fit to the last digit.
    few = made.replace(padding=1)
    beside = convolve(x, w[:, :, :3], few)
    inside = Linear(Problem.of(x, w[:, :, :3], beside), few.replace(padding_value=0.0))
    every = np.ones(beside.shape, bool)
    value = fitting._edge_value(inside, beside, every, scaled=scaled, biased=biased)
    assert value == pytest.approx(-2.75, rel=1e-9)
    # Where it is not so, nothing is said.
    for other in ({"scaled": False, "biased": biased}, {"scaled": scaled, "biased": False}):
        if other != {"scaled": scaled, "biased": biased}:
            assert fitting._edge_value(linear, output, telling, **other) is None


def test_a_border_is_estimated_within_a_fiftieth() -> None:
    """Of floats; integers may be off by as much as rounding takes, besides."""
    x, w = ints(2, 2, 7, 9), ints(3, 2, 9, 3)
    made = Convention(**NCHW, padding=((4, 4), (0, 0)), padding_value=-2.75)
    right = convolve(x, w, made)
    ways = RNG.choice([-1.0, 1.0], right.shape)
    every = np.ones(right.shape, bool)
    for size in (0.01, 1.0, 100.0):
        for off, said in ((0.015, True), (0.03, False)):
            output = size * right
            output += off * ways * np.std(output)
            linear = Linear(Problem.of(size * x, w, output), made.replace(padding_value=0.0))
            value = fitting._edge_value(linear, output, every, scaled=False, biased=False)
            assert (value is not None) is said
            if said:
                assert value == pytest.approx(size * -2.75, rel=0.2)
    for kind, said in ((np.int32, True), (float, False)):
        few = np.rint(right / 128 + 0.5 * ways).astype(kind)
        linear = Linear(Problem.of(x, w / 128, few), made.replace(padding_value=0.0))
        value = fitting._edge_value(linear, few, every, scaled=False, biased=False)
        assert (value is not None) is said
    rough = np.rint(right / 128).astype(np.int32) + ways.astype(np.int32)
    linear = Linear(Problem.of(x, w / 128, rough), made.replace(padding_value=0.0))
    assert fitting._edge_value(linear, rough, every, scaled=False, biased=False) is None
