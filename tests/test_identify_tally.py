"""How an output fares under a convention, counted in plain loops; area by area it is the same."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from test_identify_large import in_areas

from convcheck.checks.areas import shape_of
from convcheck.checks.identify import IdentifyResult, identify
from convcheck.checks.identify.fit import confirm, judged
from convcheck.checks.identify.thin import Thin, same_sums, some_places
from convcheck.checks.sums import Linear, Problem
from convcheck.convention import Convention
from convcheck.engine import convolve
from convcheck.errors import ExitCode, InputError

if TYPE_CHECKING:
    from convcheck.checks.identify.tally import Tally

RNG = np.random.default_rng(23)
DRAWN_FROM = 24
NCHW = {"image_layout": "NCHW", "output_layout": "NOHW"}


def ints(*shape: int) -> np.ndarray:
    return RNG.integers(-9, 10, shape).astype(float)


X, W = ints(2, 3, 9, 8), ints(4, 3, 3, 3)
ONE = 1 - float(convolve(X, W, Convention(**NCHW))[0, 0, 0, 0])  # the first element becomes 1
MADE: dict[str, Convention] = {
    "plain": Convention(**NCHW, padding=1),
    "bias": Convention(**NCHW, padding=[[1, 0], [0, 1]], scale=0.5, bias=[1, -2, 3, 4]),
    "relu": Convention(**NCHW, bias=[ONE, -90, -90, -90], activation="relu"),
    "relu, few zeros": Convention(**NCHW, bias=[ONE, 20, 90, 50], activation="relu"),
    "saturated": Convention(**NCHW, arithmetic="saturate:uint8"),
    "wrapped": Convention(**NCHW, padding=1, arithmetic="wrap:int8"),
}
DAMAGE: dict[str, list[tuple[Any, float]]] = {
    "none": [],
    "one element": [((1, 2, 3, 4), 50)],
    "two of a channel": [((0, 2, 3, 4), 50), ((1, 2, 1, 1), -70)],
    "at the rim": [((0, 1, 0, 0), 50), ((1, 1, 0, 2), 60)],
    "a column": [(np.s_[:, :, :, 2], 7)],
    "ones": [],
    "a channel, NaN": [(np.s_[:, 3], 11), ((0, 0, 0, 0), math.nan)],
}


def case(name: str, damage: str) -> tuple[Convention, np.ndarray]:
    c = MADE[name]
    y = convolve(X, W, c).astype(np.float64)
    if damage == "ones":
        y[:, :, 1], y[:, :, 2] = 1, 1 if name == "saturated" else -1
        y[0, 0, 0, 0] = 0
    for place, by in DAMAGE[damage]:
        # Integers stay in the range of their type.
        y[place] = y[place] + by if c.arithmetic == "exact" else abs(by)
    return c, y


def furthest_off(told: Tally, off: np.ndarray) -> None:
    """For each channel, what is furthest above and below, and where."""
    assert told.furthest is not None
    assert told.furthest.shape == (4, 2, 4)
    for o, (side, sign) in product(range(4), enumerate((1, -1))):
        by, *place = told.furthest[o, side]
        assert by == max((sign * off[:, o]).max(), 0)
        assert min(place) >= 0
        if by:
            assert sign * off[:, o][tuple(map(int, place))] == by


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", MADE)
def test_a_tally_counts_what_is_there(name: str, damage: str) -> None:
    c, y = case(name, damage)
    fit = judged(Problem.of(X, W, y), c, y)
    told, right = fit.tally, convolve(X, W, c).astype(np.float64)
    usable = np.isfinite(y)
    wrong = usable & (y != right)
    middle = right == np.median(right[usable])
    common = 4 * (usable & middle).sum() >= usable.sum()
    seen = usable & ~middle if common else usable
    telling = seen
    if c.activation == "relu":
        telling = telling & ((y != 0) | (right != 0))
    if ":" in c.arithmetic:
        limits = np.iinfo(c.arithmetic.partition(":")[2])
        for end in (limits.min, limits.max):
            telling = telling & ((y != end) | (right != end))
    assert fit.misses == told.misses == wrong.sum()
    assert fit.usable == told.comparison.total == usable.sum()
    assert told.comparison.mismatched == wrong.sum()
    sizes = abs(c.scale) * convolve(np.abs(X), np.abs(W), Convention(**NCHW, padding=c.padding))
    sizes += np.abs(np.reshape(c.bias or (0, 0, 0, 0), (1, -1, 1, 1)))
    if wrong.any():
        apart = np.where(wrong, np.abs(y - right) / sizes, 0).max()
        assert told.comparison.agreement_bits == pytest.approx(max(0, -math.log2(apart)))
    assert told.comparison.max_abs_diff == np.abs(np.where(wrong, y - right, 0)).max()
    assert (told.seen, told.astray) == (seen.sum(), (seen & wrong).sum())
    assert (told.telling, told.given) == (telling.sum(), (telling & ~wrong).sum())
    assert fit.convention == c
    assert fit.shape == y.shape
    if not wrong.any():
        assert (told.wrong, told.furthest, told.inside, told.values) == (
            (),
            None,
            False,
            frozenset(),
        )
        return
    for axis, marks in enumerate(told.wrong):
        others = tuple(a for a in range(4) if a != axis)
        assert np.array_equal(marks, wrong.any(axis=others))
    furthest_off(told, np.where(wrong, y - right, 0))
    rows, columns = (np.arange(n) for n in y.shape[2:])
    height, width = X.shape[2:]
    (top, _), (left, _) = c.padding
    inside = ((rows - top >= 0) & (rows - top + 3 <= height))[:, None] & (
        (columns - left >= 0) & (columns - left + 3 <= width)
    )[None]
    assert told.inside == (wrong & inside).any()
    assert fit.border == inside.size - inside.sum()
    assert len(told.values) == min(2, len(np.unique(y[wrong])))
    assert told.values <= set(y[wrong])


def test_between_samples_agreement_on_a_channels_bias_says_nothing() -> None:
    x, w = RNG.integers(1, 9, (2, 6, 7)), RNG.integers(1, 9, (4, 2, 1, 1))
    c = Convention(input_dilation=2, bias=[1, -2, 3, 40])
    y = convolve(x, w, c)
    y[1, 0, 0] += 5
    told = judged(Problem.of(x, w, y), c, y[None]).tally
    assert (told.seen, told.astray) == (4 * 6 * 7, 1)
    assert (told.telling, told.given) == (4 * 6 * 7, 4 * 6 * 7 - 1)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", MADE)
def test_a_tally_of_areas_is_that_of_the_whole(
    name: str, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    c, y = case(name, damage)
    whole = judged(Problem.of(X, W, y), c, y)
    for order, sizes in ((1, (1, 3, 4, 99)), (-1, (2, 2, 99, 5))):
        with monkeypatch.context() as patch:
            in_areas(patch, sizes, order)
            parts = judged(Problem.of(X, W, y), c, y)
        assert parts.convention == whole.convention
        assert (parts.shape, parts.border) == (whole.shape, whole.border)
        assert parts.bits == pytest.approx(whole.bits)
        for key in ("comparison", "misses", "seen", "astray", "telling", "given", "inside"):
            assert getattr(parts.tally, key) == getattr(whole.tally, key), key
        for one, other in zip(parts.tally.wrong, whole.tally.wrong, strict=True):
            assert np.array_equal(one, other)
        assert len(parts.tally.values) == len(whole.tally.values)
        if whole.misses:
            # Of several that are as far off the first, whichever area is judged first.
            assert np.array_equal(parts.tally.furthest, whole.tally.furthest)
            off = y - convolve(X, W, c)
            furthest_off(parts.tally, np.where(np.isfinite(off), off, 0))


ARITHMETICS = {
    "float32": "float32",
    "bfloat16": "float32",
    "float16": "float16",
    "float64": "float64",
    "wrap:int8": "int8",
    "saturate:int16": "int16",
}


@pytest.mark.parametrize("damaged", [0, 2, 40])
@pytest.mark.parametrize("name", ARITHMETICS)
def test_the_arithmetic_of_areas_is_that_of_the_whole(
    name: str, damaged: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_numbers = ":" in name
    x = RNG.integers(-999, 999, (2, 20, 21)) if whole_numbers else RNG.standard_normal((2, 20, 21))
    w = RNG.integers(-99, 99, (3, 2, 3, 2)) if whole_numbers else RNG.standard_normal((3, 2, 3, 2))
    c = Convention(arithmetic=name)
    y = convolve(x, w, c).astype(ARITHMETICS[name])[None]
    y.flat[: 7 * damaged : 7] += np.array(101, y.dtype)
    told = Convention()
    whole = judged(Problem.of(x, w, y[0]), told, y)
    in_areas(monkeypatch, (1, 2, 7, 9))
    parts = judged(Problem.of(x, w, y[0]), told, y)
    assert parts.convention == whole.convention
    if not damaged:
        assert (whole.misses, whole.convention.arithmetic) == (0, name)
    assert parts.misses == whole.misses >= damaged


def test_what_no_arithmetic_gives_is_all_amiss(monkeypatch: pytest.MonkeyPatch) -> None:
    c, y = case("plain", "none")
    drawn = y + 1000 + RNG.random(y.shape)
    assert judged(Problem.of(X, W, drawn), c, drawn).misses == y.size
    in_areas(monkeypatch, (1, 3, 4, 2))
    assert judged(Problem.of(X, W, drawn), c, drawn).misses == y.size


def test_how_much_it_says_that_an_element_is_right() -> None:
    """The bits of an element: its spread in the steps that the numbers allow."""
    x, w = ints(3, 30, 31), ints(4, 3, 3, 3)
    y = convolve(x, w)
    spread = np.std(y)

    def bits(x: np.ndarray, w: np.ndarray, y: np.ndarray, c: Convention) -> float:
        return judged(Problem.of(x, w, y), c, y[None]).bits

    assert bits(x, w, y, Convention()) == pytest.approx(math.log2(3.5 * spread))
    half = Convention(scale=-0.5)
    assert bits(x, w, -y / 2, half) == pytest.approx(math.log2(3.5 * spread))
    quarter = Convention(scale=0.25, arithmetic="saturate:int8")
    rounded = convolve(x, w, quarter)
    seen = bits(x, w, rounded.astype(np.int8), quarter)
    assert seen == pytest.approx(math.log2(3.5 * np.std(rounded)), abs=0.1)
    assert bits(x, 0 * w, 0 * y, Convention()) == 0
    fine = bits(RNG.random(x.shape), RNG.random(w.shape), y, Convention())
    assert 40 < fine < 60
    # Sums of numbers of one size may all lose as much.
    x, w = (0.1 * (1 - 2 * RNG.integers(0, 2, a.shape)) for a in (x, w))
    y = convolve(x, w)
    fit = judged(Problem.of(x, w, y), Convention(), y[None])
    step = 2 * fit.tally.comparison.threshold
    assert fit.bits == pytest.approx(math.log2(3.5 * np.std(y) / step), abs=0.2)


# --- some rows and columns of a large output ----------------------------------------------------


def test_some_places_are_the_ends_and_some_between() -> None:
    for size in (1, 5, 16, 17, 40, 1000):
        rows, columns = some_places((1, 1, size, 12), 3, 10)
        assert np.array_equal(columns, np.arange(12))
        assert np.array_equal(rows, np.unique(rows))
        assert len(rows) == min(size, 16)
        assert {0, size - 1} <= set(rows.tolist()) <= set(range(size))
        if size > 16:
            assert {1, 2, size - 2, size - 3} <= set(rows.tolist())
        if size > 30:
            assert len(np.unique(np.diff(rows[3:-3]))) > 2  # at no even distance


def test_a_thin_output_is_a_part_of_it() -> None:
    x, w = ints(5, 3, 60, 50), ints(4, 3, 3, 2)
    c = Convention(**NCHW, padding=1, flip=["W"])
    y = convolve(x, w, c)
    problem = Problem.of(x, w, y)
    thin = Thin(problem, c, y.shape)
    assert thin.batch == [0, 2, 4]
    assert np.array_equal(thin.values, y[[0, 2, 4]][:, :, thin.places[0]][..., thin.places[1]])
    assert np.array_equal(thin.cut(y), thin.values)
    assert thin.border == Linear(problem, c).border
    assert thin.worth_while is (8 * thin.values.size < y.size)
    other = thin.again(c.replace(flip=()))
    assert other.batch == thin.batch
    assert np.array_equal(other.places[0], thin.places[0])
    assert np.array_equal(other.values, other.cut(convolve(x, w, c.replace(flip=()))))
    large = Thin(problem, c, (400, 4, 600, 600))
    assert large.worth_while
    furthest = np.zeros((4, 2, 4))
    furthest[1, 0] = (5.0, 3, 33, 44)
    furthest[2, 1] = (9.0, 1, 20, 21)
    furthest[3, 1] = (0.0, 2, 7, 7)
    wide = thin.wider(furthest)
    assert wide.batch == [0, 1, 2, 3, 4]
    assert {33, 20} <= set(wide.places[0].tolist())
    assert {44, 21} <= set(wide.places[1].tolist())
    for old, new in zip(thin.places, wide.places, strict=True):
        assert set(old.tolist()) <= set(new.tolist())
    assert np.array_equal(wide.values, wide.cut(y))
    assert thin.wider(None).batch == thin.batch


def test_a_part_that_grows_keeps_to_its_room() -> None:
    """What is furthest off comes first where not all can be taken."""
    shape = (9, 64, 5000, 5000)
    x = np.broadcast_to(np.int8(1), (9, 1, 5002, 5002))
    problem = Problem.of(x, np.ones((64, 1, 3, 3)), np.broadcast_to(np.int8(0), shape))
    thin = Thin(problem, Convention(**NCHW), shape)
    furthest = np.zeros((64, 2, 4))
    furthest[..., 0] = np.arange(1, 129).reshape(64, 2)
    furthest[..., 1] = 1
    furthest[..., 2] = 20 + 30 * np.arange(128).reshape(64, 2)
    furthest[..., 3] = 4000 - 30 * np.arange(128).reshape(64, 2)
    wide = thin.wider(furthest)
    side = math.isqrt((1 << 19) // (3 * 64))
    kept = set(wide.places[0].tolist())
    assert len(kept) <= side
    far = (20 + 30 * np.arange(128)[::-1]).tolist()
    taken = [place in kept for place in far]
    assert taken.index(False) >= 10
    assert all(taken[: side // 4])
    assert wide.batch == [0, 1, 4, 8]
    again = wide.wider(furthest)
    assert len(again.places[0]) <= side
    assert len(again.batch) <= 8


def test_the_same_sums_are_the_same_to_the_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    x = ints(3, 7, 7)
    x[1] = x[2]
    w = ints(4, 3, 3, 3)
    w[..., 0] = w[..., 2]
    problem = Problem.of(x, w, convolve(x, w))
    others = [
        Convention(**dict(zip(("flip", "channel_order", "padding", "stride"), keys, strict=True)))
        for keys in product([(), ("W",), ("H",)], [None, (0, 2, 1), (1, 0, 2)], [0, 1], [1, (1, 2)])
    ] + [Convention(dilation=5), Convention(groups=3), Convention(padding_value=2.0)]
    one = Convention()
    expected = []
    for other in others:
        try:
            if np.array_equal(convolve(x, w, other), convolve(x, w, one)):
                expected.append(other)
        except InputError:
            continue
    assert list(same_sums(problem, one, others)) == expected
    assert len(expected) == 5
    with pytest.raises(InputError):
        shape_of(problem, Convention(dilation=5))
    in_areas(monkeypatch, (1, 3, 2, 4))
    assert list(same_sums(problem, one, others)) == expected
    # A single element away from all that is looked at first is a difference too.
    for at in ((k, k) for k in range(16)):
        image = ints(1, 16, 16)
        almost = np.concatenate([image, image])
        almost[(1, *at)] += 1
        swapped = Convention(channel_order=[1, 0])
        problem = Problem.of(almost, ints(2, 2, 1, 1), image)
        assert list(same_sums(problem, Convention(), [swapped])) == []


# --- what is said of arrays that fit nothing ----------------------------------------------------


@pytest.mark.parametrize(
    ("shapes", "hint"),
    [
        (((3, 11, 13), (4, 5, 2, 2), (4, 8, 7)), "no axis of W is as long as an axis of IMG"),
        (((3, 9, 8), (4, 3, 2, 2), (5, 6, 7)), "no axis of W is as long as an axis of OUT"),
        (((3, 9, 8), (3, 2, 2), (4, 8, 7)), "W is one filter and gives one output channel"),
        (((3, 11, 13), (4, 3, 2, 2), (3, 5, 7)), "check which file is which"),
        (((2, 11, 13), (5, 2, 7), (8, 7)), "check which file is which"),
        (((3, 9, 8), (2, 2), (4, 8, 7)), "check which file is which"),
        (((3, 9, 8), (1, 5, 2, 2), (4, 8, 7)), "no axis of W is as long as an axis of OUT"),
        (((2, 3, 9, 8), (4, 3, 2, 2), (3, 4, 8, 7)), "check which file is which"),
    ],
    ids=str,
)
def test_shapes_that_nothing_connects_say_what_is_amiss(shapes: Any, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        identify(*(ints(*shape) for shape in shapes))
    assert caught.value.what == "no convention connects these shapes"
    assert hint in str(caught.value.hint)
    for name, shape in zip(("IMG", "W", "OUT"), shapes, strict=True):
        assert f"{name} {'x'.join(map(str, shape))}" in str(caught.value.got)


def test_sizes_that_nothing_gives_say_what_is_searched() -> None:
    with pytest.raises(InputError) as caught:
        identify(ints(3, 9, 8), ints(4, 3, 2, 2), ints(4, 99, 98))
    assert caught.value.what.startswith("no stride, dilation or padding")
    assert (
        "misses it by no more than 6, at a stride or an input dilation of at most 8, or as long as "
        "a kernel of up to 32, and a dilation of at most 4" in str(caught.value.expected)
    )
    assert "IMG 3x9x8, W 4x3x2x2, OUT 4x99x98" in str(caught.value.got)


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("axes", [1, 5])
def test_arrays_have_two_to_four_axes(which: int, axes: int) -> None:
    arrays = [ints(3, 9, 8), ints(4, 3, 2, 2), ints(4, 8, 7)]
    arrays[which] = ints(*[2] * axes)
    with pytest.raises(InputError) as caught:
        identify(*arrays)
    assert caught.value.what == f"{('IMG', 'W', 'OUT')[which]} has the wrong number of axes"
    assert caught.value.got == f"shape {'x'.join('2' * axes)}, {axes} axes"


def test_an_output_without_a_finite_number_is_refused() -> None:
    x, w = ints(3, 9, 8), ints(4, 3, 2, 2)
    nothing = np.full((4, 8, 7), np.nan)
    with pytest.raises(InputError, match="judge the rest with --ignore-nonfinite"):
        identify(x, w, nothing)
    with pytest.raises(InputError, match="OUT holds no finite value") as caught:
        identify(x, w, nothing, ignore_nonfinite=True)
    assert caught.value.got == "224 of 224 elements are NaN or infinite"
    with pytest.raises(InputError, match="IMG"):
        identify(x * np.nan, w, nothing, ignore_nonfinite=True)


@pytest.mark.parametrize(
    ("verdict", "strict", "met", "code"),
    [
        ("identified", False, None, 0),
        ("identified", True, None, 0),
        ("identified", False, True, 0),
        ("identified", False, False, 1),
        ("ambiguous", False, None, 0),
        ("ambiguous", False, False, 1),
        ("ambiguous", True, None, 1),
        ("ambiguous", True, True, 1),
        ("near-match", False, None, 1),
        ("near-match", False, True, 1),
        ("unexplained", False, None, 1),
    ],
)
def test_the_exit_code(verdict: str, strict: bool, met: bool | None, code: int) -> None:
    plain = IdentifyResult("identified", (), None, 1, 0.0, (), None, None, None, False, ())
    result = replace(plain, verdict=verdict, strict=strict, expect_met=met)
    assert result.exit_code == ExitCode(code)


def test_an_answer_is_confirmed_over_all_of_a_large_output() -> None:
    """A part of it says first what is done to the sums; what is amiss elsewhere counts."""
    x, w = ints(3, 130, 131), ints(4, 3, 3, 2)
    c = Convention(scale=0.5, bias=[1, -2, 3, 4])
    y = convolve(x, w, c)
    y[2, 64, 65] += 9
    problem = Problem.of(x, w, y)
    fit = confirm(problem, Convention(), y[None])
    assert fit is not None
    assert fit.convention == c
    assert fit.misses == 1
    assert confirm(problem, Convention(flip=["H"]), y[None]) is None
