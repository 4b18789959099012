"""What stands beyond the image's edge: which borders are tried, and how a constant is found."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from test_identify_fit import NCHW, RNG, ints, told

from convcheck.checks.identify import fit as fitting
from convcheck.checks.identify.bounds import Bounds
from convcheck.checks.identify.identification import identify
from convcheck.checks.identify.judging import Fit, judge
from convcheck.checks.identify.numerals import length
from convcheck.checks.sums import Linear, Problem
from convcheck.convention import PADDING_MODES, Convention
from convcheck.engine import convolve

DRAWN_FROM = 42


# --- which of them explains most ----------------------------------------------------------------


def borders(*tried: tuple[int, dict[str, Any]]) -> Any:
    """Fits that leave so many elements under such conventions, and which of them were asked for."""
    asked: list[int] = []

    def each(*_: Any) -> Any:
        for at, (misses, keys) in enumerate(tried):
            asked.append(at)
            yield SimpleNamespace(convention=Convention(**keys), misses=misses, at=at)

    return each, asked


def chosen(monkeypatch: pytest.MonkeyPatch, *tried: tuple[int, dict[str, Any]]) -> tuple[int, int]:
    """Which fit is the best of them, and how many were asked for."""
    each, asked = borders(*tried)
    monkeypatch.setattr(fitting, "_borders", each)
    monkeypatch.setattr(fitting, "_zero_points", lambda *_: [])
    monkeypatch.setattr(fitting, "_plainest_border", lambda *_: None)
    best: Any = fitting._best(*[SimpleNamespace()] * 3)  # type: ignore[list-item]
    return best.at, len(asked)


@pytest.mark.parametrize("border", [{"padding_mode": "edge"}, {"padding_value": 3.0}])
def test_a_border_other_than_zeros_must_leave_a_twentieth_less(
    border: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chosen(monkeypatch, (100, {}), (96, border)) == (0, 2)
    assert chosen(monkeypatch, (100, {}), (95, border)) == (1, 2)
    # Among themselves they leave less or more; of equal ones the first is taken.
    wrap = {"padding_mode": "wrap"}
    assert chosen(monkeypatch, (100, {}), (90, border), (89, wrap)) == (2, 3)
    assert chosen(monkeypatch, (100, {}), (90, border), (90, wrap), (91, wrap)) == (1, 4)
    # Nothing that is left is nothing, whatever the border.
    assert chosen(monkeypatch, (1, {}), (0, border)) == (1, 2)


def test_of_borders_that_leave_as_much_the_finer_and_the_plainer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few, scaled = {"arithmetic": "bfloat16"}, {"scale": 2.0}
    assert chosen(monkeypatch, (9, few), (9, scaled)) == (1, 2)
    assert chosen(monkeypatch, (9, scaled), (9, few)) == (0, 2)
    assert chosen(monkeypatch, (9, scaled), (9, {})) == (1, 2)
    assert chosen(monkeypatch, (9, {}), (9, scaled)) == (0, 2)


def test_no_border_is_asked_for_after_one_that_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But for one that few bits explain: they hide a constant, or that it is not quite right."""
    few, rest = {"arithmetic": "bfloat16"}, [(5, {"padding_mode": "wrap"})] * 2
    constant = {"padding_value": 3.0}
    assert chosen(monkeypatch, (0, {}), *rest) == (0, 1)
    assert chosen(monkeypatch, (0, few), *rest) == (0, 3)
    assert chosen(monkeypatch, (0, few), (0, constant), *rest) == (1, 2)
    # A constant that few bits explain is no better than the bias that they explain.
    biased = few | {"bias": (1.0,)}
    assert chosen(monkeypatch, (0, biased), (0, constant | few), *rest) == (0, 4)
    assert chosen(monkeypatch, (0, constant), *rest) == (0, 1)
    assert chosen(monkeypatch, (0, constant | few), *rest) == (0, 3)
    assert chosen(monkeypatch, (1, {}), *rest) == (0, 3)
    assert chosen(monkeypatch, (9, {}), (0, {"padding_mode": "edge"}), *rest) == (1, 2)


@pytest.mark.parametrize(
    ("misses", "value", "arithmetic", "tried"),
    [
        (1, 3.0, "saturate:uint8", True),
        (0, 3.0, "saturate:uint8", False),
        (1, 0.0, "saturate:uint8", False),
        (1, 3.0, "float32", False),
        (0, 0.0, "wrap:uint8", False),
    ],
)
def test_a_zero_point_is_for_rounded_numbers_that_a_constant_all_but_gives(
    misses: int, value: float, arithmetic: str, tried: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: dict[str, Any] = {"padding_value": value, "arithmetic": arithmetic}
    each, _ = borders((misses, keys))
    better = SimpleNamespace(convention=Convention(**keys), misses=0)
    worse = SimpleNamespace(convention=Convention(**keys), misses=2)
    monkeypatch.setattr(fitting, "_borders", each)
    monkeypatch.setattr(fitting, "_zero_points", lambda *_: [worse, better])
    monkeypatch.setattr(fitting, "_plainest_border", lambda *_: None)
    shorter = SimpleNamespace(convention=Convention(**keys | {"padding_value": 1.0}), misses=0)
    asked: list[float] = []
    monkeypatch.setattr(
        fitting, "_bordered", lambda _, value, *rest: asked.append(value) or shorter
    )
    best: Any = fitting._best(*[SimpleNamespace()] * 3)  # type: ignore[list-item]
    assert (best is better) is tried
    assert asked == ([value] if ":" in arithmetic and value and not misses else [])
    keys["padding_value"] = 2.75
    each, _ = borders((0, keys))
    monkeypatch.setattr(fitting, "_borders", each)
    best = fitting._best(*[SimpleNamespace()] * 3)  # type: ignore[list-item]
    assert (best is shorter) is (":" in arithmetic)
    assert asked[-1:] == ([3.0] if ":" in arithmetic else [])


# --- which of them are tried --------------------------------------------------------------------


def inside(count: int, values: Any, kind: Any = float, rim: Any = 3.0) -> tuple[Any, ...]:
    """Sums of which so many lie inside the image, and an output that has these there."""
    x, w = ints(1, 1, 7, 7 + count), np.abs(ints(1, 1, 7, 8)) + 1
    c = Convention(**NCHW, padding=((3, 3), (0, 0)))
    output = convolve(x, w, c.replace(padding_value=rim)).astype(kind)
    linear = Linear(Problem.of(x, w, output), c)
    assert linear.interior.sum() == count == output.shape[3]
    output[0, 0, 3, : len(values)] = values
    return linear, output, np.ones(output.shape, bool)


def tried(*given: Any) -> int:
    """How many fits are made."""
    return len(list(fitting._borders(*given)))


def test_a_border_is_asked_about_where_half_of_what_is_inside_is_given() -> None:
    wrong = 1e6 * RNG.standard_normal(20)
    assert tried(*inside(20, wrong[:10])) > 1
    assert tried(*inside(20, wrong[:11])) == 1
    linear, output, usable = inside(20, wrong[:11])
    usable[0, 0, 3, 5:7] = False
    output[0, 0, 3, 5:7] = np.nan
    assert tried(linear, output, usable) > 1


def test_three_elements_more_than_numbers_are_needed_to_give_a_border_up() -> None:
    """Of one channel, whose line takes two."""
    wrong = 1e6 * RNG.standard_normal(5)
    assert tried(*inside(4, wrong[:4])) > 1
    assert tried(*inside(5, wrong)) == 1
    # Of what is rectified only what is above zero says so, however little.
    above = [1e6, 3e5, 0.5, 1e5, 7e5]
    for values, given_up in (
        ([*above, 0.0], True),
        ([*above[:4], 0.0, 0.0], False),
        ([*above[:4], 0.0, -0.5], False),
    ):
        linear, output, usable = inside(6, values, rim=300.0)
        assert fitting.is_rectified(output, usable)
        assert (tried(linear, output, usable) == 1) is given_up


def test_three_elements_inside_are_the_fewest_that_numbers_are_solved_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    solve = fitting.solve
    for count, asked in ((2, False), (3, True)):
        counts: list[int] = []

        def solving(linear: Any, output: Any, usable: Any, counts: list[int] = counts) -> Any:
            counts.append(int(usable.sum()))
            return solve(linear, output, usable)

        linear, output, usable = inside(count, ())
        monkeypatch.setattr(fitting, "solve", solving)
        next(fits := fitting._borders(linear, output, usable))
        assert counts == [usable.sum()]
        next(fits)
        assert (count in counts) is asked


def test_a_hypothesis_with_a_border_of_its_own_is_tried_with_it_alone() -> None:
    x, w = ints(1, 1, 9, 8), ints(2, 1, 3, 3)
    for keys, alone in (
        ({"padding": 1, "padding_mode": "edge"}, True),
        ({"padding": 0}, True),
        ({"padding": 1}, False),
    ):
        c = Convention(**NCHW, **keys)
        output = convolve(x, w, c)
        linear = Linear(Problem.of(x, w, output), c)
        fits = list(fitting._borders(linear, output, np.ones(output.shape, bool)))
        modes = [fit.convention.padding_mode for fit in fits]
        # Each with the numbers that are solved for inside, and with its own.
        expected = [mode for mode in PADDING_MODES for _ in range(2)]
        assert modes == ([c.padding_mode] if alone else expected)


def test_what_is_beyond_an_edge_is_solved_for_between_zeros_too() -> None:
    x, w = ints(1, 1, 6, 6), ints(2, 1, 3, 3)
    for gap in (1, 2, 3):
        c = Convention(**NCHW, padding=2, input_dilation=gap)
        output = convolve(x, w, c.replace(padding_value=3.0))
        linear = Linear(Problem.of(x, w, output), c)
        fits = list(fitting._borders(linear, output, np.ones(output.shape, bool)))
        assert {fit.convention.padding_mode for fit in fits} == set(PADDING_MODES)
        assert fits[2].convention.padding_value == 3
        assert fits[2].misses == 0


# --- zero points --------------------------------------------------------------------------------


def test_zero_points_are_for_integers_beside_a_border(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = ints(1, 2, 9, 8), ints(3, 2, 3, 3)
    monkeypatch.setattr(fitting, "_zero_points", lambda *_: pytest.fail("none is asked for"))
    fit = told(x, w, Convention(**NCHW, padding=1), [((0, 1, 2, 3), 500.0)])
    assert fit.misses == 1
    fit = told(x, w, Convention(**NCHW, padding=1, padding_value=3.0), [((0, 1, 2, 3), 500.0)])
    assert (fit.convention.padding_value, fit.misses) == (3, 1)
    made = Convention(**NCHW, padding=1, padding_value=3.0, arithmetic="saturate:int16")
    assert told(x, w, made).misses == 0


def test_the_whole_numbers_that_are_tried_for_a_zero_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, w = ints(1, 2, 9, 8), ints(3, 2, 3, 3)
    made = Convention(**NCHW, padding=1)
    output = convolve(x, w, made)
    usable = np.ones(output.shape, bool)
    output[0, 0, 0] += 500
    linear = Linear(Problem.of(x, w, output), made)
    near = judge(linear, made, output, usable)
    near = replace(near, convention=made.replace(padding_value=116.6))
    tried: list[float] = []
    monkeypatch.setattr(fitting, "_bordered", lambda _, n, *__: tried.append(n) or near)
    assert near.misses
    assert list(fitting._zero_points(linear, near, output, usable)) == [near] * 17
    assert sorted(tried) == list(range(109, 126))
    assert [abs(number - 117) for number in tried[::2]] == list(range(9))
    # Up to the first that gives all, and none where the most is not given.
    right = replace(near, mismatched=near.mismatched & False)
    monkeypatch.setattr(fitting, "_bordered", lambda *_: right)
    assert list(fitting._zero_points(linear, near, output, usable)) == [right]
    half = np.arange(output.size).reshape(output.shape) % 2 == 0
    many = replace(near, mismatched=half)
    assert list(fitting._zero_points(linear, many, output, usable)) == [right]
    many.mismatched[..., -1, -1] = True
    assert list(fitting._zero_points(linear, many, output, usable)) == []


# --- numbers that do as well --------------------------------------------------------------------


def bordered(made: Convention, *, high: int = 60) -> tuple[Fit | None, float]:
    """The plainest border of what is made, from a fit with another that gives it as well."""
    rng = np.random.default_rng(7)
    x, w = rng.integers(0, high, (1, 2, 6, 9)), rng.integers(-4, 5, (3, 2, 3, 3))
    output = convolve(x, w, made)
    linear = Linear(Problem.of(x, w, output), made.replace(padding_value=0.0))
    near = made.padding_value * (1 + 2.0**-40)
    usable = np.ones(output.shape, bool)
    fit = judge(linear.with_border(near), made.replace(padding_value=near), output, usable)
    assert fit.misses == 0
    return fitting._plainest_border(linear, fit, output, usable), near


@pytest.mark.parametrize("bias", [None, (7.0, -3.0, 0.5)])
@pytest.mark.parametrize("value", [-1.5, 40.0, 12.25])
def test_the_plainest_constant_of_rounded_numbers(
    value: float, bias: tuple[float, ...] | None
) -> None:
    made = Convention(**NCHW, padding=((1, 1), (1, 1)), padding_value=value, bias=bias)
    fit, near = bordered(made.replace(scale=1 / 9, arithmetic="saturate:int8"))
    assert fit is not None
    assert fit.misses == 0
    assert length(fit.convention.padding_value) <= length(value) < length(near)
    assert abs(fit.convention.padding_value - value) < 0.5
    assert fit.convention.replace(padding_value=value, arithmetic="exact", scale=1.0) == made
    # What wrapped says nothing by its order.
    fit, _ = bordered(made.replace(scale=1 / 9, arithmetic="wrap:int16"))
    assert fit is None


def test_a_constant_of_which_relu_left_nothing() -> None:
    """Every number that is large enough does as well, so that two of them are named."""
    rng = np.random.default_rng(8)
    x, w = rng.integers(1, 9, (1, 1, 9, 9)), np.abs(rng.integers(1, 9, (1, 1, 3, 3)))
    made = Convention(
        **NCHW, padding=((2, 0), (0, 0)), padding_value=-50.0, scale=0.5, activation="relu"
    )
    for image, one in ((x, made), (x.astype(np.float32), made)):
        output = convolve(image, w, one)
        assert (output[:, :, :2] == 0).all()
        result = identify(image, w, output)
        assert result.verdict == "ambiguous"
        named = [c.convention for c in result.candidates]
        assert len({c.padding_value for c in named}) > 1
        for c in named:
            assert np.array_equal(convolve(image, w, c), output)


@pytest.mark.parametrize("kind", [float, np.float32])
def test_a_border_that_every_window_meets_alike_is_as_good_as_a_bias(kind: type) -> None:
    rng = np.random.default_rng(9)
    x, w = (rng.standard_normal(shape).astype(kind) for shape in ((1, 2, 3, 30), (4, 2, 7, 3)))
    made = Convention(**NCHW, padding=((2, 2), (0, 0)), padding_value=3.0)
    result = identify(x, w, convolve(x, w, made).astype(kind))
    assert result.verdict == "ambiguous"
    named = [c.convention for c in result.candidates]
    assert any(c.padding_value == 3 and c.bias is None for c in named)
    assert any(c.padding_value == 0 and c.bias is not None for c in named)
    # Biases of their own are no border, and one of them is no plainer as one.
    for bias in ((0.5, -0.25, 4.0, 1.0), (0.5, 0.0, 0.0, 0.0)):
        own = made.replace(padding_value=0.0, bias=bias)
        result = identify(x, w, convolve(x, w, own).astype(kind))
        assert result.verdict == "identified"
        assert result.candidates[0].convention.replace(arithmetic="exact") == own


@pytest.mark.parametrize(("misses", "value", "asked"), [(0, 3.0, 1), (1, 3.0, 0), (0, 0.0, 0)])
def test_a_plainer_number_is_asked_for_where_a_constant_gives_all(
    misses: int, value: float, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    each, _ = borders((misses, {"padding_value": value}))
    plainer = SimpleNamespace(misses=0)
    calls: list[Any] = []
    found = [plainer, None]
    monkeypatch.setattr(fitting, "_borders", each)
    monkeypatch.setattr(
        fitting, "_plainest_border", lambda *given: calls.append(given) or found[len(calls) - 1]
    )
    bests: list[Any] = [
        fitting._best(*[SimpleNamespace()] * 3)  # type: ignore[list-item]
        for _ in found
    ]
    assert len(calls) == 2 * asked
    assert [best is plainer for best in bests] == [bool(asked), False]
    assert bests[1].misses == misses


RELU, BYTES = {"activation": "relu"}, {"arithmetic": "saturate:uint8"}
NEAR: list[tuple[dict[str, Any], list[float]]] = [
    (RELU, [7.5, 8.5]),
    (BYTES, [7.5, 8.5]),
    ({"arithmetic": "wrap:uint8"}, [7.5, 8.5]),
    ({"padding_value": 0.0} | BYTES, [-0.5, 0.5]),
    ({"padding_value": 0.0} | RELU, []),
    ({}, []),
    ({"padding_mode": "edge"} | BYTES, []),
    ({"padding": 0} | BYTES, []),
]


@pytest.mark.parametrize(("keys", "near"), NEAR, ids=str)
@pytest.mark.parametrize("right", [None, 0, 1])
@pytest.mark.parametrize("worse", [{}, {"bias": (1.0, 2.0)}, {"fine": False}], ids=str)
def test_numbers_near_a_constant_are_tried_where_it_may_be_open(
    keys: dict[str, Any],
    near: list[float],
    right: int | None,
    worse: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first that gives everything is told, if it needs no more than the other.

    A thirty-second of the image's range is too near to be another.
    """
    x, w = ints(1, 1, 4, 5), ints(2, 1, 3, 3)
    x[0, 0, 0, :2] = -7, 9
    x = np.clip(x, -7, 9)
    c = Convention(**NCHW).replace(**{"padding": 1, "padding_value": 8.0} | keys)
    problem = Problem.of(x, w, convolve(x, w, c))
    tried: list[float] = []

    def bordered(linear: Linear, value: float, output: np.ndarray, usable: np.ndarray) -> Any:
        assert output.shape == usable.shape == (1, 2, *problem.output.shape[2:])
        assert (linear.convention.stride, usable.all()) == (c.stride, True)
        tried.append(value)
        good = len(tried) - 1 == right
        return SimpleNamespace(
            convention=c.replace(padding_value=value, bias=worse.get("bias") if good else None),
            misses=0 if good else 1,
            fine=worse.get("fine", True),
        )

    def of(fit: Any, output: np.ndarray, usable: np.ndarray) -> Any:
        return fit

    monkeypatch.setattr(fitting, "_bordered", bordered)
    monkeypatch.setattr(fitting, "is_fine", lambda fit: fit.fine)
    monkeypatch.setattr(fitting.Confirmed, "of", of)
    told: Any = SimpleNamespace(convention=c, fine=True)
    found = [each.convention.padding_value for each in fitting.beyond_the_edge(problem, told)]
    taken = right is not None and right < len(near) and not {"bias", "fine"} & {*worse}
    assert tried == (near[: right + 1] if taken and right is not None else near)
    assert found == (near[right : right + 1] if taken and right is not None else [])


@pytest.mark.parametrize(
    ("keys", "asked"),
    [
        ({}, True),
        ({"padding_mode": "edge"}, False),
        ({"padding": 0}, False),
        ({"padding": ((2, 2), (1, 1))}, False),  # what is met differs from column to column
        ({"bias": (0.5, 0.0)}, False),  # one number is no plainer than the other
        ({"padding_value": 4.0}, False),
        ({"padding_value": 4.0, "bias": None}, False),
        ({"large": True}, False),
        ({"complex": True}, False),
    ],
    ids=str,
)
def test_biases_are_tried_as_a_constant_where_every_window_meets_as_much(
    keys: dict[str, Any], asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = dict(keys)
    x, w = ints(2, 1, 3, 7), np.abs(ints(2, 1, 7, 3)) + 1
    made = Convention(**NCHW, padding=((2, 2), (0, 0)), scale=2.0)
    told = Linear(Problem.of(x, w, x), made).edge[0, :, 0, 0]
    if keys.get("padding") == 0:
        w = w[:, :, :3]
    large, complex_ = (keys.pop(name, False) for name in ("large", "complex"))
    c = made.replace(**{"bias": tuple((-6.0 * told).tolist())} | keys)
    output = convolve(x, w, c)
    problem = Problem.of(x, w, output + 0j if complex_ else output)
    fit: Any = SimpleNamespace(convention=c)
    calls: list[Convention] = []
    monkeypatch.setattr(fitting, "is_large", lambda _: large)
    monkeypatch.setattr(fitting, "judge", lambda *given: (calls.append(given[1]), judge(*given))[1])
    found = [each.convention for each in fitting.beyond_the_edge(problem, fit)]
    assert found == ([c.replace(bias=None, padding_value=-3.0, arithmetic="exact")] * asked)
    assert bool(calls) is asked or keys == {"bias": (0.5, 0.0)}


def test_a_number_that_is_no_plainer_than_a_bias_is_not_tried() -> None:
    x, w = ints(1, 1, 3, 7), np.zeros((1, 1, 7, 3))
    w[0, 0, 3], w[0, 0, 0, 1] = 1, 1  # a single tap beyond the edge
    c = Convention(**NCHW, padding=((2, 2), (0, 0)))
    for bias, tried in ((-3.0, False), (-3.25, False), (-1 / 3, False)):
        fit: Any = SimpleNamespace(convention=c.replace(bias=(bias,)))
        problem = Problem.of(x, w, convolve(x, w, fit.convention))
        assert bool([*fitting.beyond_the_edge(problem, fit)]) is tried
    fit = SimpleNamespace(convention=c.replace(scale=1 / 8, bias=(-3 / 8,)))
    problem = Problem.of(x, w, convolve(x, w, fit.convention))
    (found,) = fitting.beyond_the_edge(problem, fit)
    assert found.convention == c.replace(scale=1 / 8, padding_value=-3.0, arithmetic="exact")


def test_whether_windows_meet_the_border_alike() -> None:
    for edge, even in (
        ([[3, 3], [5, 5]], True),
        ([[3, 3.5], [5, 5]], False),
        ([[3, 3 + 2.0**-39], [5, 5]], True),
        ([[3, 3 + 2.0**-37], [5, 5]], False),
        ([[0, 0], [0, 0]], True),
        ([[1, 1], [-1, -1]], True),
    ):
        assert fitting._is_even(np.array(edge, float).reshape(1, 2, 1, 2)) is even


def test_the_bounds_of_what_was_measured() -> None:
    output, room = np.array([-1.0, 0, 0.25, 2]), np.array([0.5, 1, 0.125, 0])
    bounds = Bounds.measured(output, room, rectified=False)
    assert bounds.low.tolist() == [-1.5, -1, 0.125, 2]
    assert bounds.high.tolist() == [-0.5, 1, 0.375, 2]
    bounds = Bounds.measured(output, room, rectified=True)
    assert bounds.low.tolist() == [-np.inf, -np.inf, 0.125, 2]
    assert bounds.high.tolist() == [-0.5, 1, 0.375, 2]


def test_only_a_plainer_number_takes_a_constants_place() -> None:
    rng = np.random.default_rng(7)
    x, w = rng.integers(0, 60, (1, 2, 6, 9)), rng.integers(-4, 5, (3, 2, 3, 3))
    made = Convention(
        **NCHW, padding=1, padding_value=3.0, scale=1 / 64, arithmetic="saturate:int8"
    )
    output = convolve(x, w, made)
    linear = Linear(Problem.of(x, w, output), made.replace(padding_value=0.0))
    usable = np.ones(output.shape, bool)
    for value, plainer in ((3.25, True), (3.0, False), (2.0, False)):
        fit = judge(linear.with_border(value), made.replace(padding_value=value), output, usable)
        found = fitting._plainest_border(linear, fit, output, usable)
        assert (found is not None) is plainer
        assert found is None or length(found.convention.padding_value) == 1
