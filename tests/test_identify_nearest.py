"""Where an output departs from a convention, in words, and what comes nearest to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from test_identify_large import in_areas

from convcheck.checks.identify.fit import judged
from convcheck.checks.identify.identification import identify
from convcheck.checks.identify.nearest import miss_of, nearest, where
from convcheck.checks.identify.readings import readings
from convcheck.checks.identify.search import Found
from convcheck.checks.sums import Problem
from convcheck.convention import Convention
from convcheck.engine import convolve

RNG = np.random.default_rng(12)
DRAWN_FROM = 13


def ints(*shape: int) -> np.ndarray:
    return RNG.integers(-9, 10, shape).astype(float)


# --- where the differences lie ------------------------------------------------------------------

PAD = Convention(image_layout="NCHW", output_layout="NOHW", padding=1)
EVERY = np.s_[:]
PLACES: dict[str, list[Any]] = {
    "one element, in output channel 1, at row 2, column 3": [np.s_[0, 1, 2, 3]],
    "row 8": [np.s_[:, :, 8]],
    "row 0 of output channel 2": [np.s_[:, 2, 0]],
    "row 3 of output channel 2 of image 1 of the batch": [np.s_[1, 2, 3]],
    "column 5": [np.s_[:, :, :, 5]],
    "column 5 (168 of its 216 elements)": [np.s_[:, :, 2:, 5]],
    "row 5 (146 of its 192 elements)": [np.s_[:, :, 5, :6], np.s_[:, 0, 5, 7:]],
    "all of output channel 3": [np.s_[:, 3]],
    "all of output channel 3 of image 0 of the batch": [np.s_[0, 3]],
    "all of image 1 of the batch": [np.s_[1]],
    "all of every second output channel, from 1": [np.s_[:, 1::2]],
    "all of every third output channel, from 0": [np.s_[:, ::3]],
    "all of every 4th output channel, from 3": [np.s_[:, 3::4]],
    "all of output channels 0, 1, 2, 4": [np.s_[:, [0, 1, 2, 4]]],
    "all of output channels 0, 5": [np.s_[:, [0, 5]]],
    "all of output channels 2, 4, 6, 8, 10": [np.s_[:, 2::2]],
    "all of output channels 4, 6, 8": [np.s_[:, 4:9:2]],
    "all of output channels 2, 3, 4, 5, 6, 7, 8, 9": [np.s_[:, 2:10]],
    "all of 9 of 12 output channels": [np.s_[:, 1:10]],
    "all of output channel 3 (102 of its 144 elements)": [np.s_[:, 3, :6], np.s_[:, 3, 6:, 7]],
    "the border, where windows reach over the image's edge": [
        np.s_[:, :, [0, -1]],
        np.s_[:, :, :, [0, -1]],
    ],
    "the border, where windows reach over the image's edge of output channel 2 (32 of its 60"
    " elements)": [np.s_[:, 2, [0, -1]]],
    "rows 4 to 8": [np.s_[:, :, 4:]],
    "rows 4 to 5 of output channel 0": [np.s_[:, 0, 4:6]],
    "columns 2 to 3": [np.s_[:, :, :, 2:4]],
    "a tile, rows 2 to 4 and columns 3 to 6 of output channel 0": [np.s_[:, 0, 2:5, 3:7]],
    "a tile, rows 2 to 3 and columns 3 to 6 (188 of its 192 elements)": [
        np.s_[:, :, 2, 3:7],
        np.s_[0, :, 3, 3:7],
        np.s_[1, 1:, 3, 3:7],
    ],
    "4 elements of output channel 2": [np.s_[:, 2, 1, 1], np.s_[:, 2, 7, 6]],
    "3 elements of output channels 0, 2, 11": [
        np.s_[0, 2, 1, 1],
        np.s_[1, 0, 4, 6],
        np.s_[0, 11, 7, 2],
    ],
    "24 of 1728 elements, in no single place": [np.s_[0, :, 3, 4], np.s_[1, :, 6, 6]],
}


@pytest.mark.parametrize("words", PLACES)
@pytest.mark.parametrize("kind", ["zeroed", "drawn"])
def test_where_an_output_departs_is_said_in_words(words: str, kind: str) -> None:
    x, w = ints(2, 3, 9, 8) + 30, ints(12, 3, 3, 3) + 30  # no sum is zero
    y = convolve(x, w, PAD)
    assert y.shape == (2, 12, 9, 8)
    wrong = np.zeros(y.shape, bool)
    for part in PLACES[words]:
        wrong[part] = True
    made = np.where(wrong, 0 if kind == "zeroed" else y + 1 + np.arange(y.size).reshape(y.shape), y)
    fit = judged(Problem.of(x, w, made), PAD, made)
    assert fit.misses == wrong.sum()
    zero = ", where OUT is 0 throughout" if kind == "zeroed" and wrong.sum() > 1 else ""
    assert where(fit) == words + zero


SMALL: list[tuple[tuple[int, ...], Any, str]] = [
    ((2, 9, 8), np.s_[0], "all of output channel 0"),
    ((2, 9, 8), np.s_[0, 3:5, 6], "column 6 of output channel 0 (2 of its 9 elements)"),
    ((1, 9, 8), np.s_[0, 2:4, 1:4], "rows 2 to 3 and columns 1 to 3"),
    ((1, 2, 8), np.s_[0, 1], "row 1"),
    ((1, 9, 2), np.s_[0, :, 0], "column 0"),
    ((1, 1, 8), np.s_[0, 0, 2:4], "columns 2 to 3"),
    ((1, 9, 1), np.s_[0, 2:4, 0], "rows 2 to 3"),
    ((1, 9, 8), ([0] * 6, [2, 2, 2, 3, 3, 3], [1, 2, 5, 1, 4, 5]), "(6 of its 10 elements)"),
    ((12, 9, 8), np.s_[:, 2:6:2, 1:5], "96 of 864 elements, in no single place"),
]


@pytest.mark.parametrize(("shape", "wrong", "words"), SMALL, ids=str)
def test_where_small_outputs_depart(shape: tuple[int, ...], wrong: Any, words: str) -> None:
    x, w = ints(1, *shape[1:]) + 30, ints(shape[0], 1, 1, 1) + 30
    made = convolve(x, w)
    part = made.copy()
    part[wrong] = 0
    if "no single" in words:
        part[:, 2:6, 1:5] = made[:, 2:6, 1:5] * ((np.indices((4, 4)).sum(axis=0)) % 2)
    fit = judged(Problem.of(x, w, part), Convention(), part[None])
    said = where(fit)
    assert words in said
    assert said.endswith(", where OUT is 0 throughout")


def test_images_of_a_batch_are_named() -> None:
    x, w = ints(10, 3, 5, 6) + 30, ints(2, 3, 3, 3) + 30
    y = convolve(x, w, PAD)
    for which, words in {
        (2,): "image 2",
        (1, 9): "images 1, 9",
        (0, 1, 2, 3, 5, 6, 7, 9): "images 0, 1, 2, 3, 5, 6, 7, 9",
        tuple(range(1, 10)): "9 of 10 images",
    }.items():
        made = y.copy()
        made[[*which]] += 1 + np.arange(60).reshape(2, 5, 6)
        assert where(judged(Problem.of(x, w, made), PAD, made)) == f"all of {words} of the batch"
    made = y + 1
    assert "batch" not in where(judged(Problem.of(x, w, made), PAD, made))


# --- the nearest miss ---------------------------------------------------------------------------


def test_a_miss_is_measured_as_numpy_measures_it() -> None:
    x, w = ints(2, 3, 9, 8), ints(4, 3, 3, 2)
    c = Convention(image_layout="NCHW", output_layout="NOHW")
    sums = convolve(x, w, c)
    y = -2.5 * sums + 7 + 30 * RNG.standard_normal(sums.shape)
    y[1, 2, 3, 4] = np.nan
    problem = Problem.of(x, w, y)
    (reading,) = (r for r in readings(x, w, y) if r.base == c)
    miss = miss_of(problem, Found(reading, c, 1.0))
    seen = np.isfinite(y)
    assert miss.total == seen.sum() == y.size - 1
    assert miss.mismatched == miss.total
    assert miss.correlation == pytest.approx(abs(np.corrcoef(sums[seen], y[seen])[0, 1]))
    assert miss.scale == pytest.approx(np.polyfit(sums[seen], y[seen], 1)[0])
    assert miss.max_abs_diff == np.abs(sums - y)[seen].max()
    assert "channel" not in miss.where
    small = miss_of(
        Problem.of(1e-9 * x, w, 1e-9 * y),
        Found(replace(reading, image=1e-9 * x, output=1e-9 * y), c, 1.0),
    )
    assert small.correlation == pytest.approx(miss.correlation)
    assert small.scale == pytest.approx(miss.scale)


def test_a_miss_of_areas_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = ints(2, 3, 30, 31), ints(4, 3, 3, 2)
    c = Convention(image_layout="NCHW", output_layout="NOHW")
    sums = convolve(x, w, c)
    y = -2.5 * sums + 5 * np.arange(31 - 1) ** 2 + 40 * RNG.standard_normal(sums.shape)
    (reading,) = (r for r in readings(x, w, y) if r.base == c)
    whole = miss_of(Problem.of(x, w, y), Found(reading, c, 1.0))
    in_areas(monkeypatch, (1, 3, 7, 11))
    parts = miss_of(Problem.of(x, w, y), Found(reading, c, 1.0))
    for key in ("correlation", "scale", "max_abs_diff"):
        assert getattr(parts, key) == pytest.approx(getattr(whole, key))
    for key in ("convention", "mismatched", "total", "where"):
        assert getattr(parts, key) == getattr(whole, key)


def test_a_miss_is_what_single_precision_could_not_have_made() -> None:
    x, w = ints(3, 9, 8), ints(4, 3, 3, 2)
    sums = convolve(x, w)
    sizes = convolve(np.abs(x), np.abs(w))
    y = sums.copy()
    y[1, 2, 3] += sizes[1, 2, 3] * 2.0**-20
    y[1, 2, 4] -= sizes[1, 2, 4] * 0.75 * 2.0**-20
    y[2, 4] += sizes[2, 4] * 2.0**-19
    (reading,) = (r for r in readings(x, w, y) if r.base == Convention())
    miss = miss_of(Problem.of(x, w, y), Found(reading, Convention(), 1.0))
    assert (miss.mismatched, miss.total) == (7, y.size)
    assert miss.where.startswith("row 4 of output channel 2; every output channel fits")
    near = miss_of(
        Problem.of(x, w, sums), Found(replace(reading, output=sums[None]), Convention(), 1.0)
    )
    assert near.mismatched == 0
    assert near.where.startswith("nowhere, within single precision")
    assert near.correlation == pytest.approx(1)


LINES = "every output channel fits with a factor and a constant of its own"


@pytest.mark.parametrize("bad", [0, 4, 5])
def test_a_line_for_each_channel_is_said(bad: int) -> None:
    """Most of every channel: up to a tenth may be off."""
    x, w = ints(3, 9, 8), ints(4, 3, 3, 2)
    factors, constants = np.array([1, -2, 0.5, 3]), np.array([4, 0, -3, 99])
    y = factors[:, None, None] * convolve(x, w) + constants[:, None, None]
    y[2].flat[:bad] += 2e-3
    (reading,) = (r for r in readings(x, w, y) if r.base == Convention())
    miss = miss_of(Problem.of(x, w, y), Found(reading, Convention(), 1.0))
    assert (LINES in miss.where) == (bad < 5)
    for array in (y, 1j * y):
        drawn = array + RNG.standard_normal(y.shape)
        found = Found(replace(reading, output=drawn[None]), Convention(), 1.0)
        assert LINES not in miss_of(Problem.of(x, w, drawn), found).where


def test_a_line_for_each_channel_meets_zeros_where_the_image_is_zero() -> None:
    x, w = ints(3, 9, 8), ints(4, 3, 3, 2)
    x[:, :6] = 0
    y = np.array([1, -2, 0.7, 3.3])[:, None, None] * convolve(x, w)
    (reading,) = (r for r in readings(x, w, y) if r.base == Convention())
    found = Found(reading, Convention(), 1.0)
    assert LINES in miss_of(Problem.of(x, w, y), found).where
    y[:, :2] += 1e-6
    found = replace(found, reading=replace(reading, output=y[None]))
    assert LINES not in miss_of(Problem.of(x, w, y), found).where


def test_what_is_constant_correlates_with_nothing() -> None:
    x, w = ints(3, 9, 8), ints(4, 3, 3, 2)
    # The mean of so many of a number may be another one.
    constant = [(x, np.full((4, 7, 7), number)) for number in (5.0, 0.9, 1.7, 2.9)]
    for image, output in (*constant, (0 * x, ints(4, 7, 7))):
        (reading,) = (r for r in readings(image, w, output) if r.base == Convention())
        miss = miss_of(Problem.of(image, w, output), Found(reading, Convention(), 1.0))
        assert (miss.correlation, miss.scale) == (0, pytest.approx(0, abs=1e-30))


@pytest.mark.parametrize("keys", [{}, {"flip": ["H"], "stride": [1, 2]}, {"padding": 1}], ids=str)
def test_what_correlates_best_is_found(keys: dict) -> None:
    x, w = ints(3, 12, 11), ints(4, 3, 3, 2)
    made = convolve(x, w, Convention(**keys))
    y = 3 * made + 0.2 * made.std() * RNG.standard_normal(made.shape)
    found = nearest(list(readings(x, w, y)))
    assert found is not None
    assert found.convention == Convention(**keys)
    assert nearest([]) is None
    assert nearest(list(readings(x, w, y[:, :1, :1] * np.nan))) is None


def test_three_elements_say_what_correlates() -> None:
    x, w = ints(3, 12, 11), ints(4, 3, 3, 2)
    y = convolve(x, w)
    (reading,) = (r for r in readings(x, w, y) if r.base == Convention())
    for count in (2, 3):
        some = np.full(y.shape, np.nan)
        some[0, 5, 4 : 4 + count] = y[0, 5, 4 : 4 + count]
        few = replace(reading, output=some[None])
        assert (nearest([few]) is None) is (count == 2)
        found = nearest([replace(reading, output=some[None] * np.nan), reading, reading])
        assert found is not None
        assert found.reading is reading
    again = replace(reading)
    found = nearest([reading, again])
    assert found is not None
    assert found.reading is reading


@pytest.mark.parametrize(
    ("rows", "columns", "said"), [(1, 3, False), (2, 2, True), (1, 4, True), (1, 5, True)]
)
def test_a_line_of_four_elements_is_said(rows: int, columns: int, said: bool) -> None:
    """Three would be on one by chance; and a constant is known no more exactly than it is."""
    x, w = ints(3, rows, columns), ints(4, 3, 1, 1)
    y = 0.001 * convolve(x, w) + np.array([1e6, 2e6, -1e6, 7e6])[:, None, None]
    (reading,) = (r for r in readings(x, w, y) if r.base == Convention())
    assert (LINES in miss_of(Problem.of(x, w, y), Found(reading, Convention(), 1.0)).where) is said


def test_a_miss_loses_nothing_where_numbers_are_far_from_zero() -> None:
    x, w = 1e7 + ints(3, 9, 8), 10 + ints(1, 3, 3, 2)
    sums = convolve(x, w)
    y = -2.5 * sums + 30 * RNG.standard_normal(sums.shape)
    (reading,) = (r for r in readings(x, w, y) if r.base == Convention())
    miss = miss_of(Problem.of(x, w, y), Found(reading, Convention(), 1.0))
    expected = abs(np.corrcoef(sums.ravel(), y.ravel())[0, 1])
    assert miss.correlation == pytest.approx(expected, rel=1e-9)


def test_one_of_ten_elements_is_a_tenth() -> None:
    """More than nine tenths of a channel must be on its line."""
    x, w = ints(3, 2, 5), ints(4, 3, 1, 1)
    sums, sizes = convolve(x, w), convolve(np.abs(x), np.abs(w))
    (reading,) = (r for r in readings(x, w, sums) if r.base == Convention())
    tenths = 0
    for off in 2.0 ** np.arange(-12, -4, 0.25):
        y = 3 * sums
        y[2, 0, 2] += off
        slope, constant = np.polyfit(sums[2].ravel(), y[2].ravel(), 1)
        room = 2.0**-18 * (abs(slope) * sizes[2] + abs(constant))
        wrong = int(np.count_nonzero(np.abs(y[2] - slope * sums[2] - constant) > room))
        tenths += wrong == 1
        found = Found(replace(reading, output=y[None]), Convention(), 1.0)
        miss = miss_of(Problem.of(x, w, y), found)
        assert (LINES in miss.where) is (wrong == 0)
    assert tenths


@pytest.mark.parametrize(("images", "verdict"), [(2, "near-match"), (3, "unexplained")])
def test_a_batch_of_which_only_the_first_image_is_right(images: int, verdict: str) -> None:
    """Half of an output is near; less is the nearest miss, and what is wrong is named."""
    x, w = RNG.standard_normal((images, 2, 7, 7)), RNG.standard_normal((3, 2, 3, 3))
    c = Convention(image_layout="NCHW", output_layout="NOHW", padding=1, stride=2)
    y = convolve(x, w, c)
    y[1:] = y[0]
    result = identify(x, w, y)
    assert result.verdict == verdict
    words = "image 1" if images == 2 else "images 1, 2"
    if result.nearest is None:
        assert result.candidates[0].where == f"all of {words} of the batch"
        assert result.candidates[0].convention.replace(arithmetic="exact") == c
    else:
        assert result.nearest.where == f"all of {words} of the batch"
        assert result.nearest.convention == c
        assert result.nearest.mismatched == y[1:].size


def test_the_first_image_alone_is_looked_at_in_a_batch() -> None:
    x, w = RNG.standard_normal((2, 2, 9, 8)), RNG.standard_normal((3, 2, 3, 3))
    c = Convention(image_layout="NCHW", output_layout="NOHW")
    y = convolve(x, w, c)
    y[1] = RNG.standard_normal(y[1].shape)
    found = [r for r in readings(x, w, y) if r.base == c]
    alone = nearest(found, first_image=True)
    assert alone is not None
    assert alone.convention == c
    assert alone.reading is found[0]
    assert alone.votes == pytest.approx(1)
    best = nearest(found)
    assert best is not None
    assert best.votes < 0.99
    one = [replace(r, image=x[:1], output=y[:1]) for r in found]
    assert nearest(one, first_image=True) is None
    assert nearest([*one, *found], first_image=True) == alone
