"""The sums of a convention, as a whole and area by area, over one, two and three spatial axes."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest

from convcheck.checks.areas import Area, areas, grid, handed_out, shape_of
from convcheck.checks.sums import Linear, Problem, Sent
from convcheck.checks.tiles import TILE_BYTES, Tile
from convcheck.convention import Convention, round_to
from convcheck.convention.channels import read_output
from convcheck.engine import convolve, finish, magnitude
from convcheck.errors import InputError

DRAWN_FROM = 5
RNG = np.random.default_rng(DRAWN_FROM)

WAYS: dict[str, tuple[dict[str, Any], tuple[int, ...], tuple[int, ...]]] = {
    "1-D": ({"image_layout": "CW", "padding": 2, "stride": 2, "flip": ["W"]}, (3, 23), (4, 3, 4)),
    "1-D, a batch, wrap": (
        {"image_layout": "NWC", "output_layout": "NWC", "padding": 3, "padding_mode": "wrap"},
        (3, 23, 2),
        (4, 2, 3),
    ),
    "2-D": ({"padding": [[2, 1], [-1, 3]], "dilation": [1, 2]}, (3, 9, 11), (4, 3, 3, 2)),
    "2-D, two modes": (
        {"padding": 2, "padding_mode": ["constant", "reflect"], "padding_value": 3},
        (3, 9, 11),
        (4, 3, 3, 2),
    ),
    "2-D, transposed": (
        {"input_dilation": [2, 3], "padding": [[2, 3], [1, 2]], "padding_value": -2,
         "flip": ["H", "W"], "filter_layout": "IOHW"},
        (3, 7, 6),
        (3, 4, 3, 3),
    ),
    "2-D, gaps and edges": (
        {"input_dilation": 2, "padding": 3, "padding_mode": "edge"}, (2, 5, 4), (3, 2, 3, 3)),
    "2-D, groups": (
        {"groups": 2, "channel_order": [3, 1, 0, 2], "output_order": [0, 2, 4, 1, 3, 5],
         "image_offset": [1, 2, 3, 4], "image_scale": [1, 2, 4, 0.5], "padding": 1},
        (4, 9, 7),
        (6, 2, 3, 2),
    ),
    "2-D, quantised": (
        {"image_offset": 128, "filter_offset": [3, -1, 0, 7], "padding": 1, "padding_value": 5,
         "scale": 0.125, "bias": 3, "storage": {"dtype": "uint8", "zero_point": 7}},
        (3, 9, 7),
        (4, 3, 3, 2),
    ),
    "2-D, mean and std": (
        {"image_offset": [0.485, 0.456, 0.406], "image_scale": [4.367, 4.464, 4.444],
         "padding": 1, "padding_value": 0.1},
        (3, 9, 7),
        (4, 3, 3, 2),
    ),
    "3-D": (
        {"image_layout": "NCDHW", "output_layout": "NDHWC", "padding": [[1, 0], [2, 1], [0, 0]],
         "stride": [1, 2, 1], "flip": ["I", "D"]},
        (2, 3, 6, 7, 5),
        (4, 3, 2, 3, 2),
    ),
    "3-D, symmetric": (
        {"image_layout": "DHWC", "padding": 3, "padding_mode": "symmetric", "dilation": 2},
        (4, 5, 6, 2),
        (4, 2, 2, 1, 2),
    ),
}  # fmt: skip


def case(name: str) -> tuple[np.ndarray, np.ndarray, Convention]:
    keys, image_shape, bank_shape = WAYS[name]
    image, bank = RNG.integers(-9, 10, image_shape), RNG.integers(-9, 10, bank_shape)
    return image, bank, Convention(**keys)


def cut(shape: tuple[int, ...], most: int, each: int) -> list[Tile]:
    """An output (N,O,*S) in areas of at most so many elements an axis, each in one group."""
    parts = [[(a, min(most, n - a)) for a in range(0, n, most)] for n in shape]
    parts[1] = [
        (group + k, min(most, each - k))
        for group in range(0, shape[1], each)
        for k in range(0, each, most)
    ]
    return [Tile(*zip(*corner, strict=True)) for corner in product(*parts)]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", WAYS)
def test_the_sums_are_those_that_the_convention_makes_its_output_of(name: str) -> None:
    image, bank, c = case(name)
    output = convolve(image, bank, c)
    problem = Problem.of(image, bank, output)
    sums = Linear(problem, c)
    assert shape_of(problem, c) == sums.values.shape == read_output(output, c).shape
    np.testing.assert_allclose(
        finish(sums.values, c), read_output(output, c), rtol=0, atol=1e-12 * sums.magnitude.max()
    )
    if sums.arithmetic.exact:
        assert np.array_equal(finish(sums.values, c), read_output(output, c))
    plain = c.replace(scale=1.0, bias=None, activation=None, storage=None)
    sizes = read_output(magnitude(image, bank, plain), plain)
    np.testing.assert_allclose(sums.magnitude, sizes, rtol=1e-12)
    assert sums.terms == math.prod(sums.bank.shape[1:])


@pytest.mark.parametrize("name", WAYS)
def test_areas_hold_the_same_numbers(name: str) -> None:
    image, bank, c = case(name)
    output = convolve(image, bank, c)
    problem = Problem.of(image, bank, output)
    whole = Linear(problem, c)
    for most in (2, 5):
        for tile in cut(whole.values.shape, most, whole.values.shape[1] // c.groups):
            part = Area(problem, c, tile)
            for key in ("values", "magnitude", "squares", "edge"):
                expected = part.cut(getattr(whole, key))
                np.testing.assert_allclose(getattr(part, key), expected, rtol=1e-12, err_msg=key)
            assert np.array_equal(part.interior, whole.interior[part.shown])
            assert part.border == whole.border


@pytest.mark.parametrize("name", WAYS)
def test_what_bounds_are_relative_to_is_never_too_small(name: str) -> None:
    image, bank, c = case(name)
    rng = np.random.default_rng(3)
    image, bank = (rng.standard_normal(a.shape).astype(np.float32) for a in (image, bank))
    plain = c.replace(image_offset=0, image_scale=1, filter_offset=0, padding_value=0, storage=None)
    output = convolve(image, bank, plain)
    whole = Linear(Problem.of(image, bank, output), plain)
    assert np.all(whole.reach >= whole.magnitude)
    for tile in cut(whole.values.shape, 5, whole.values.shape[1] // c.groups):
        part = Area(whole.problem, plain, tile)
        assert np.all(part.reach >= part.magnitude)


@pytest.mark.parametrize("name", WAYS)
def test_inside_is_where_no_border_shows(name: str) -> None:
    image, bank, c = case(name)
    ones = Problem.of(np.zeros_like(image), np.ones_like(bank), image)
    plain = c.replace(
        padding_mode="constant", padding_value=1.0, image_offset=0, image_scale=1, filter_offset=0
    )
    met = Linear(ones, plain)
    assert np.array_equal(met.interior, met.values[0, 0] == 0)
    assert met.border == np.count_nonzero(met.values[0, 0])
    assert np.array_equal(Linear(Problem.of(image, bank, image), c).interior, met.interior)


@pytest.mark.parametrize("name", ["2-D, quantised", "2-D, mean and std", "2-D, two modes"])
@pytest.mark.parametrize("value", [0.0, -4.0, 0.3])
def test_another_border_needs_no_other_sums(name: str, value: float) -> None:
    image, bank, c = case(name)
    problem = Problem.of(image, bank, np.zeros(1))
    moved, made = (
        Linear(problem, c).with_border(value),
        Linear(problem, c.replace(padding_value=value)),
    )
    for key in ("values", "magnitude", "squares"):
        np.testing.assert_allclose(
            getattr(moved, key), getattr(made, key), rtol=1e-12, atol=1e-12 * made.magnitude.max()
        )


def test_squares_are_of_every_product() -> None:
    image, bank = RNG.standard_normal((2, 7)), RNG.standard_normal((3, 2, 4))
    sums = Linear(Problem.of(image, bank, image), Convention(image_layout="CW"))
    windows = np.lib.stride_tricks.sliding_window_view(image, 4, 1)
    expected = ((windows[None] * bank[:, :, None]) ** 2).sum((1, 3))
    np.testing.assert_allclose(sums.squares[0], expected, rtol=1e-12)


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "tf32"])
def test_operands_of_few_bits(precision: str) -> None:
    image, bank = RNG.standard_normal((3, 7, 8)), RNG.standard_normal((2, 3, 3, 3))
    sums = Linear(Problem.of(image, bank, image), Convention(padding=1, arithmetic="float32"))
    narrow = [round_to(a, precision).astype(np.float64) for a in (image, bank)]
    np.testing.assert_allclose(
        sums.rounded(precision).values[0],
        convolve(*narrow, Convention(padding=1)),
        rtol=1e-12,
        atol=1e-13,
    )
    assert np.array_equal(sums.values[0], convolve(image, bank, Convention(padding=1)))


@pytest.mark.parametrize(
    ("keys", "exact"),
    [
        ({}, True),
        ({"image_offset": 128, "filter_offset": (3, -1)}, True),
        ({"image_scale": 0.25, "image_offset": 0.5}, True),
        ({"image_offset": 0.485}, False),
        ({"image_scale": 0.1}, False),
        ({"filter_offset": 0.1}, False),
        ({"padding_value": 0.1, "padding": 1}, False),
        ({"padding_value": 2.5, "padding": 1}, True),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32"])
def test_sums_are_exact_where_the_numbers_after_the_steps_allow_it(
    keys: dict[str, Any], exact: bool, dtype: str
) -> None:
    image = RNG.integers(0, 100, (3, 7, 8)).astype(dtype)
    bank = RNG.integers(0, 100, (2, 3, 3, 3)).astype(dtype)
    assert Problem.of(image, bank, image).arithmetic_of(Convention(**keys)).exact == exact


def test_integers_beyond_float64_stay_integers_when_they_are_moved() -> None:
    image = RNG.integers(2**50, 2**51, (1, 4, 5))
    bank = RNG.integers(0, 9, (1, 1, 2, 2))
    c = Convention(image_offset=3)
    sums = Linear(Problem.of(image, bank, image), c)
    assert sums.arithmetic.exact
    assert np.array_equal(sums.values[0], convolve(image - 3, bank))


def test_a_problem_arrives_as_it_was_sent() -> None:
    image, bank, c = case("3-D")
    problem = Problem.of(image, bank, convolve(image, bank, c))
    there = Sent.of(problem).opened()
    assert np.array_equal(Linear(there, c).values, Linear(problem, c).values)


def _first(problem: Problem, convention: Convention, tile: Tile, more: int) -> tuple[Any, ...]:
    return tile.first, tile.sizes, more


@pytest.mark.parametrize("name", ["1-D", "2-D, groups", "3-D"])
def test_every_element_is_in_one_area(name: str) -> None:
    image, bank, c = case(name)
    problem = Problem.of(image, bank, convolve(image, bank, c))
    shape = shape_of(problem, c)
    count = np.zeros(shape, int)
    for area in areas(problem, c, shape):
        area.cut(count)[...] += 1
    assert (count == 1).all()
    for first, sizes, more in handed_out(_first, problem, c, 7):
        count[tuple(slice(a, a + n) for a, n in zip(first, sizes, strict=True))] += more
    assert (count == 8).all()


@pytest.mark.parametrize(
    ("spatial", "lengths", "kernel"),
    [("W", (5_000_000,), (31,)), ("HW", (4000, 3000), (5, 3)), ("DHW", (200, 220, 240), (3, 3, 3))],
)
def test_an_area_takes_no_more_memory_however_large_the_output(
    spatial: str, lengths: tuple[int, ...], kernel: tuple[int, ...]
) -> None:
    c = Convention(image_layout="C" + spatial, groups=2)
    plan = grid(c, 16, (12, 8, *kernel), (2, 12, *lengths))
    assert plan.bytes_each <= TILE_BYTES
    assert sum(math.prod(tile.sizes) for tile in plan.tiles) == 24 * math.prod(lengths)
    for tile in plan.tiles:
        assert tile.first[1] // 6 == (tile.first[1] + tile.sizes[1] - 1) // 6 or tile.sizes[1] == 12


@pytest.mark.parametrize(
    "keys",
    [{"channel_order": [1, 0]}, {"output_order": [1, 0]}, {"image_offset": [1, 2]}, {"stride": 0}],
    ids=str,
)
def test_what_does_not_fit_is_refused(keys: dict[str, Any]) -> None:
    image, bank = np.ones((3, 5, 5)), np.ones((4, 3, 2, 2))
    with pytest.raises(InputError):
        shape_of(Problem.of(image, bank, image), Convention(**keys))
