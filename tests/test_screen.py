"""The screen says what judging every element by its own S says, or nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convcheck import fourier
from convcheck.checks import one_tile
from convcheck.checks.screen import Screen, singly
from convcheck.checks.tiles import Tile
from convcheck.comparison import Comparison
from convcheck.comparison import compare as judge
from convcheck.reference import Oracle
from convcheck.rounding import SINGLE, choose_arithmetic, gamma

HOME = 1
KINDS = ("normal", "digits", "bytes", "complex", "sparse", "towering", "flat", "tiny")


def numbers(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> Any:
    normal, digits = rng.standard_normal(shape), rng.integers(-9, 10, shape).astype(float)
    return {
        "normal": normal,
        "digits": digits,
        "bytes": np.abs(digits) * 28,
        "complex": normal + 1j * digits,
        "sparse": np.where(rng.random(shape) < 0.8, 0.0, normal),
        "towering": normal * 10.0 ** rng.integers(-9, 9, shape),
        "flat": np.ones(shape),
        "tiny": normal * 1e-30,
    }[kind]


def rounded(seen: Comparison) -> Comparison:
    """All but what the order of a sum changes in the last digits."""
    return replace(
        seen,
        threshold=float(f"{seen.threshold:.9g}"),
        agreement_bits=round(seen.agreement_bits, 6),
    )


def prepared(rng: np.random.Generator, kind: str, other: str) -> tuple[Any, ...]:
    """A tile, its filters under three flips, scipy's results and their bounds."""
    channels, count = (int(n) for n in rng.integers(1, 4, 2))
    x = numbers(rng, (channels, 9, 11), kind)
    w = numbers(rng, (count, channels, *map(int, rng.integers(1, 4, 2))), other)
    return screened(x, w)


def screened(x: Any, w: Any) -> tuple[Any, ...]:
    """The same for an image and a bank that are given."""
    arithmetic = choose_arithmetic(x, w)
    x, w = arithmetic.cast(x), arithmetic.cast(w)
    expected, bounds = Oracle(x, arithmetic, "fft").each(w)
    banks = np.stack([w[..., ::-1, ::-1], w[:, ::-1, ::-1, ::-1], w])
    assert bounds is not None
    return x, banks, expected, np.array(bounds), arithmetic


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(KINDS), st.sampled_from(KINDS), st.integers(0, 10**6))
def test_a_screened_row_is_judged_as_by_every_s(kind: str, other: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, banks, expected, floors, arithmetic = prepared(rng, kind, other)
    terms = banks[0, 0].size
    sizes = one_tile._correlate(np.abs(x), np.abs(banks))
    bounds = [arithmetic.bound(size, terms) for size in sizes]
    narrow = None if floors.any() else singly(x, banks, expected, arithmetic)
    if narrow is not None:
        x, banks, expected = narrow
    screen = Screen.of(x, banks, arithmetic, floors, HOME)
    if screen is None:
        return
    values = one_tile._correlate(x, banks)
    place = tuple(int(rng.integers(n)) for n in expected.shape)
    true = arithmetic.cast(expected)
    for row in range(3):
        threshold = bounds[row] + floors[:, None, None]
        scale = np.maximum(sizes[row], sizes[HOME])
        for step in (0, 0.5, 0.999, 1.001, 1.5, 4, 1e6):
            altered = arithmetic.cast(values[row]).copy()
            # Sums that are exact differ by whole quanta.
            altered[place] += step * threshold[place] or round(step) * arithmetic.quantum
            seen = screen.judge(row, altered.astype(values.dtype), expected, (5, 6, 7))
            if seen is not None:
                full = judge(
                    altered.astype(values.dtype).astype(true.dtype),
                    true,
                    threshold,
                    scale,
                    (5, 6, 7),
                )
                assert rounded(seen) == rounded(full)
    for a, b in combinations(range(3), 2):
        known = screen.apart(a, b, values)
        if known is not None:
            assert known == one_tile._differ(values[a], values[b], bounds[a], bounds[b])


FLIPS = [("H", "W"), ("I", "H", "W"), ()]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(KINDS), st.sampled_from(KINDS), st.integers(0, 10**6))
def test_so_is_a_row_by_fft(kind: str, other: str, seed: int) -> None:
    if "complex" in (kind, other):
        return
    rng = np.random.default_rng(seed)
    x, w = numbers(rng, (2, 19, 22), kind), numbers(rng, (2, 2, 5, 7), other)
    x, banks, expected, floors, arithmetic = screened(x, w)
    found = fourier.sums(x, w, FLIPS, arithmetic)
    assert found is not None
    values, bounds = found
    limits = bounds + floors
    sizes = one_tile._correlate(np.abs(x), np.abs(banks))
    (near,), off = fourier.rough(np.abs(x), np.abs(w), FLIPS[HOME : HOME + 1])
    assert near.dtype == np.float32
    assert (np.abs(near - sizes[HOME]) <= off[:, None, None]).all()
    screen = Screen.around(np.abs(x), np.abs(banks), near, off, limits, HOME)
    if screen is None:
        return
    place = tuple(int(rng.integers(n)) for n in expected.shape)
    threshold = np.broadcast_to(limits[:, None, None], expected.shape)
    for row in range(3):
        for step in (0, 0.5, 0.999, 1.001, 1e6):
            altered = values[row].copy()
            altered[place] += step * limits[place[0]] or round(step) * arithmetic.quantum
            seen = screen.judge(row, altered, expected, (5, 6, 7))
            if seen is not None:
                scale = np.maximum(sizes[row], sizes[HOME])
                full = judge(altered, expected, threshold, scale, (5, 6, 7))
                assert rounded(seen) == rounded(full)


def test_what_is_too_far_off_is_no_s() -> None:
    rng = np.random.default_rng(4)
    x, banks = (
        np.abs(rng.standard_normal((3, 40, 50))),
        np.abs(rng.standard_normal((3, 2, 3, 9, 9))),
    )
    near = one_tile._correlate(x, banks)[HOME].astype(np.float32)
    off, limits = np.full(2, 1e-3 * near.min()), np.array([1e-12, 0.0])

    def around(**other: Any) -> Screen | None:
        given = {"near": near, "off": off, "limits": limits} | other
        return Screen.around(x, banks, home=HOME, **given)

    screen = around()
    assert screen is not None
    assert 1e-3 < screen.slack < 1.1e-3
    assert around(off=np.array([0, 0.1 * near.min()])) is None
    assert around(off=np.array([0, np.nan])) is None
    assert around(near=np.where(near > near.min(), near, np.float32(0))) is None
    assert around(near=np.where(near > near.min(), near, np.float32(np.nan))) is None
    assert around(limits=np.array([2.0**41, 0])) is None
    assert around(limits=np.array([2.0**-61, 0])) is None
    assert Screen.around(x * 2.0**41, banks, near, off, limits, HOME) is None


@pytest.mark.parametrize("black", [0, 40])
@pytest.mark.parametrize("kind", ["normal", "digits", "bytes", "complex"])
def test_ordinary_data_is_never_in_doubt(kind: str, black: int) -> None:
    """Not where much of the image is black either: there a transform's noise is all there is."""
    rng = np.random.default_rng(3)
    x = numbers(rng, (3, 70, 80), kind)
    x[:, :black] = 0
    x, banks, expected, floors, arithmetic = screened(x, rng.standard_normal((4, 3, 5, 4)))
    screen = Screen.of(x, banks, arithmetic, floors, HOME)
    assert screen is not None
    values = one_tile._correlate(x, banks)
    seen = [screen.judge(row, values[row], expected, (0, 0, 0)) for row in range(3)]
    assert [one is not None and one.matches for one in seen] == [False, True, False]
    assert all(screen.apart(a, b, values) for a, b in combinations(range(3), 2))


def test_what_single_precision_mistakes_is_looked_at_again() -> None:
    """The element with the largest |difference| / S is another than it seems to be."""
    x, banks, _, floors, arithmetic = screened(np.ones((1, 1, 4)), np.full((1, 1, 1, 1), 0.1))
    screen = Screen.of(x, banks, arithmetic, floors, HOME)
    assert screen is not None
    near = screen.near.copy()
    near[..., 0] *= 1 - screen.slack / 4
    near[..., 1] *= 1 + screen.slack / 4
    values = np.array([[[0.1 + 0.01, 0.1 + 0.01 * (1 + screen.slack / 8), 0.1, 0.1]]])
    seen = replace(screen, near=near).judge(0, values, np.full((1, 1, 4), 0.1), (0, 0, 0))
    assert seen is not None
    assert seen.agreement_bits == -math.log2((values[0, 0, 1] - 0.1) / 0.1)


def test_rows_that_rounding_may_have_parted_are_in_doubt() -> None:
    x, banks, _, floors, arithmetic = prepared(np.random.default_rng(3), "normal", "normal")
    screen = Screen.of(x, banks, arithmetic, floors, HOME)
    assert screen is not None
    values = one_tile._correlate(x, banks)
    values[2] = values[0]
    assert screen.apart(0, 2, values) is False
    values[2, -1, 0, 0] = np.nextafter(values[2, -1, 0, 0], np.inf)
    assert screen.apart(0, 2, values) is None


def test_what_is_not_finite_is_in_doubt() -> None:
    x, banks, expected, floors, arithmetic = prepared(np.random.default_rng(3), "normal", "normal")
    screen = Screen.of(x, banks, arithmetic, floors, HOME)
    assert screen is not None
    values = one_tile._correlate(x, banks)[HOME]
    values[0, 1, 2] = np.nan
    assert screen.judge(HOME, values, expected, (0, 0, 0)) is None


def test_single_precision_is_for_sums_that_are_exact_in_it() -> None:
    x, w = np.full((1, 3, 3), 4.0), np.full((1, 1, 1, 2, 2), 2.0)
    expected = np.full((1, 2, 2), 32.0)

    def narrow(x: Any, w: Any, expected: Any) -> Any:
        return singly(x, w, expected, choose_arithmetic(x, w[0]))

    made = narrow(x, w, expected)
    assert {array.dtype for array in made} == {np.dtype(np.float32)}
    assert narrow(x * 0.125, w * 0.25, expected / 32) is not None
    assert narrow(x * 2.0**18 + 1, w, expected) is None  # 2^22 quanta and 8
    assert narrow(x + 2.0**-30, w, expected) is None  # sums that 24 bits cannot hold
    assert narrow(x * 0.1, w, expected) is None  # no multiples of anything
    assert narrow(x * 1j, w, expected) is None
    # Results that the oracle got wrong: they would look right, rounded.
    assert narrow(x, w, expected + 2.0**-30) is None
    assert narrow(x, w, expected + 2.0**40) is None
    assert narrow(x, w, expected - 2.0**40) is None


@pytest.mark.parametrize("kind", ["normal", "digits", "complex"])
@pytest.mark.parametrize("method", ["fft", "direct"])
def test_what_is_in_doubt_is_judged_the_same_in_any_parts(
    kind: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(8)
    x, w = numbers(rng, (2, 21, 22), kind), numbers(rng, (5, 2, 11, 12), kind)
    arithmetic, tile = choose_arithmetic(x, w), Tile((3, 4, 5), (5, 11, 11))
    rows = {"per-channel": FLIPS[0], "flipped": FLIPS[1], "correlation": FLIPS[2]}
    monkeypatch.setattr(one_tile.Screen, "of", lambda *_: None)
    monkeypatch.setattr(one_tile.Screen, "around", lambda *_: None)
    seen = []
    for step in (1, 2, 3, 5):
        monkeypatch.setattr(one_tile, "together", lambda *_, step=step, **__: step)
        part = one_tile.judge_tile(x, w, tile, arithmetic, method, rows, None)
        assert [row.matches for row in part.rows] == [False, True, False]
        assert len(part.apart) == 3
        assert all(4 <= row.worst_index[1] < 15 for row in part.rows)
        seen.append(replace(part, rows=tuple(map(rounded, part.rows))))
    assert all(one == seen[0] for one in seen[1:])


def test_ties_are_looked_at_some_at_once_and_then_no_longer() -> None:
    """Thousands of elements with the largest |difference| / S: all S are made instead."""
    rng = np.random.default_rng(2)
    x, banks, expected, floors, arithmetic = screened(
        np.ones((1, 90, 90)), rng.standard_normal((1, 1, 3, 3))
    )
    screen = Screen.of(x, banks, arithmetic, floors, HOME)
    assert screen is not None
    few, many = expected.copy(), expected + 1e-3
    few[0, :10, :20] += 1e-3
    assert screen.judge(HOME, many, expected, (0, 0, 0)) is None
    seen = screen.judge(HOME, few, expected, (0, 0, 0))
    size = np.abs(banks[HOME]).sum()
    assert seen is not None
    assert seen.mismatched == 200
    assert seen.agreement_bits == pytest.approx(-math.log2(1e-3 / size))


def test_how_far_a_rough_s_may_be_off() -> None:
    x, banks, expected, floors, arithmetic = prepared(np.random.default_rng(3), "normal", "normal")
    screen = Screen.of(x, banks, arithmetic, floors, HOME)
    assert screen is not None
    assert screen.slack == 4 * gamma(banks[0, 0].size + 8, SINGLE)
    assert screen.near.shape == expected.shape
    # An oracle that is not off at all, though its sums round, leaves no least threshold.
    assert Screen.of(x, banks, arithmetic, 0 * floors, HOME) is None
    digits, narrow, _, none, whole = prepared(np.random.default_rng(3), "digits", "digits")
    exact = Screen.of(digits.astype(np.float32), narrow.astype(np.float32), whole, none, HOME)
    assert exact is not None
    assert exact.slack == 0
    many = np.ones((1, 700, 700))
    assert Screen.of(many, np.ones((3, 1, 1, 700, 700)), arithmetic, floors[:1], HOME) is None


def test_the_largest_ratio_is_found_beside_a_filter_that_agrees() -> None:
    x, banks, expected, floors, arithmetic = screened(
        np.ones((1, 6, 6)), np.stack([np.full((1, 2, 2), w) for w in (0.1, 0.3, 0.7)])
    )
    screen = Screen.of(x, banks, arithmetic, floors, HOME)
    assert screen is not None
    values = expected.copy()
    values[1, 2, 3] += 0.25
    seen = screen.judge(HOME, values, expected, (0, 0, 0))
    assert seen is not None
    assert (seen.mismatched, seen.worst_index) == (1, (1, 2, 3))
    assert seen.agreement_bits == pytest.approx(-math.log2(0.25 / 1.2))
