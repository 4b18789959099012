"""Sums by FFT: right within their bound, exact where that is small, and taken where they pay."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from typing import Any

import lies
import numpy as np
import pytest
from few import one_in
from scipy.fft import next_fast_len

from convcheck import compare, fourier
from convcheck.checks.sums import Linear, Problem
from convcheck.convention import Convention
from convcheck.engine import convolve, correlate
from convcheck.rounding import Arithmetic, choose_arithmetic, fft_bound, norm

INEXACT = Arithmetic(np.dtype(float), exact=False, quantum=0.0, input_roundings=0)


def rows_of(w: Any) -> list[tuple[int, ...]]:
    """Every flip of a bank's filters (C,*F)."""
    axes = range(w.ndim - 1)
    return [flip for size in range(w.ndim) for flip in combinations(axes, size)]


def by_sums(x: Any, w: Any) -> Any:
    banks = [np.flip(w, tuple(1 + axis for axis in flip)) for flip in rows_of(w)]
    ones = (1,) * (x.ndim - 1)
    return np.stack([correlate(x[None], bank, ones, ones)[0] for bank in banks])


@pytest.mark.parametrize(
    ("image", "bank"),
    [
        ((1, 1, 1), (1, 1, 1, 1)),
        ((3, 9, 7), (2, 3, 4, 1)),
        ((2, 8, 12), (3, 2, 8, 12)),
        ((5, 13, 11), (1, 5, 2, 6)),
        ((1, 17, 23), (4, 1, 3, 5)),
        ((3, 19), (2, 3, 6)),
        ((2, 5, 6, 7), (2, 2, 3, 2, 4)),
    ],
)
def test_every_flip_is_exact_for_integers(image: Any, bank: Any) -> None:
    rng = np.random.default_rng(3)
    x, w = (rng.integers(-99, 100, shape).astype(float) for shape in (image, bank))
    arithmetic = choose_arithmetic(x, w)
    found = fourier.sums(x, w, rows_of(w), arithmetic)
    assert found is not None
    values, bounds = found
    assert not bounds.any()
    assert not np.signbit(values[values == 0]).any()
    assert np.array_equal(values, by_sums(x, w))
    # As they are, they are within the bound.
    found = fourier.sums(x, w, rows_of(w), INEXACT)
    assert found is not None
    assert (found[1] < 0.01).all()
    assert (np.abs(found[0] - values).max(axis=tuple(range(2, w.ndim))) <= found[1]).all()


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e140])
@pytest.mark.parametrize("towering", [False, True])
def test_the_bound_holds_and_says_something(scale: float, towering: bool) -> None:
    rng = np.random.default_rng(4)
    x, w = rng.standard_normal((3, 6, 7)), rng.standard_normal((2, 3, 3, 4)) * scale
    if towering:
        x[1] *= 1e9
    rows = rows_of(w)
    found = fourier.sums(x, w, rows, INEXACT)
    assert found is not None
    values, bounds = found
    norms = np.linalg.norm(x) * np.sqrt((w / scale * w / scale).sum(axis=(1, 2, 3)))
    assert (bounds > 0).all()
    assert (bounds <= 1e-12 * norms * scale).all()
    for row, flip in enumerate(rows):
        bank = np.flip(w, tuple(1 + axis for axis in flip))
        for k, i, j in np.ndindex(2, 4, 4):
            parts = zip(x[:, i : i + 3, j : j + 4].flat, bank[k].flat, strict=True)
            true = sum(Fraction(a) * Fraction(b) for a, b in parts)
            assert abs(Fraction(values[row, k, i, j]) - true) <= Fraction(bounds[k])


@pytest.mark.parametrize(
    ("image", "bank", "rows", "says"),
    [
        ((3, 500, 500), (4, 3, 3, 3), 3, False),
        ((3, 500, 500), (4, 3, 7, 7), 3, False),
        ((3, 500, 500), (4, 3, 31, 31), 3, True),
        ((1, 800, 800), (1, 1, 21, 21), 3, True),
        ((64, 56, 56), (64, 64, 3, 3), 8, False),
        ((3, 64, 64), (4, 3, 63, 63), 3, False),  # a few outputs
        ((1, 1, 1), (1, 1, 1, 1), 1, False),
    ],
)
def test_where_it_is_taken(image: Any, bank: Any, rows: int, says: bool) -> None:
    assert fourier.wins(image, bank, rows) is says


def test_it_is_taken_where_it_is_sooner_by_half() -> None:
    rng = np.random.default_rng(12)
    told = set()
    for _ in range(4000):
        count, channels, rows = (int(n) for n in rng.integers(1, (9, 5, 9)))
        height, width = (int(n) for n in rng.integers(30, 90, 2))
        tall, wide = (int(n) for n in rng.integers(3, 24, 2))
        sums = (0.05 * rows * count + 0.8) * channels * tall * wide
        sums *= (height - tall + 1) * (width - wide + 1)
        planes = channels + count * channels / 2 + count * rows
        short, long = (
            1.5 * 0.4 * planes * points * np.log2(points)
            for points in (
                height * width,
                next_fast_len(height, real=True) * next_fast_len(width, real=True),
            )
        )
        bank = (count, channels, tall, wide)
        assert fourier.wins((channels, height, width), bank, rows) is bool(sums > long)
        told.add((sums > short, sums > long))
    assert told == {(False, False), (True, False), (True, True)}


def test_the_bound_by_its_definition() -> None:
    rng = np.random.default_rng(13)
    x, w = rng.standard_normal((3, 7, 11)), rng.standard_normal((2, 3, 2, 2))
    for roundings in (0, 2):
        expected = [fft_bound(norm(x), norm(k), 3 * 8 * 12, roundings=roundings + 3) for k in w]
        found = fourier.bound(x, w, replace(INEXACT, input_roundings=roundings))
        assert found is not None
        assert found.tolist() == expected


@pytest.mark.parametrize("shape", [((40,), (9,)), ((30, 31), (7, 9)), ((9, 8, 10), (3, 4, 5))])
@pytest.mark.parametrize("scale", [1.0, 1e-200])
@pytest.mark.parametrize("complex_data", [False, True])
def test_s_by_fft_is_never_too_small(shape: Any, scale: float, complex_data: bool) -> None:
    rng = np.random.default_rng(15)
    image, kernel = shape
    x, w = rng.standard_normal((3, *image)) * scale, rng.standard_normal((2, 3, *kernel))
    x[:, :4] *= 1e-9  # where S is far below the transform's bound
    if complex_data:
        x = x * (1 + 1j)
    ones = (1,) * len(image)
    true = correlate(np.abs(x)[None], np.abs(w), ones, ones)[0]
    found = fourier.magnitude(x, w)
    assert found is not None
    assert (found >= true * (1 - 1e-12)).all()
    bounds = fourier.bound(np.abs(x), np.abs(w), replace(INEXACT, input_roundings=2))
    assert bounds is not None
    assert (found - true <= 2.001 * bounds.reshape(-1, *ones)).all()
    assert fourier.magnitude(x / scale * 1e160, w * 1e160) is None


def test_one_multiple_of_the_quantum_must_be_near() -> None:
    """Of integers so large that the bound reaches half a unit, an FFT says nothing."""
    rng = np.random.default_rng(16)
    x, w = rng.integers(-9, 10, (1, 60, 60)), rng.integers(-9, 10, (2, 1, 9, 9))
    said = []
    for power in range(0, 40, 2):
        numbers = x * 2.0**power + 1
        arithmetic = choose_arithmetic(numbers, w * 1.0)
        assert arithmetic.exact
        rough = fourier.bound(numbers, w * 1.0, INEXACT)
        found = fourier.sums(numbers, w * 1.0, [()], arithmetic)
        assert rough is not None
        assert (found is not None) == (rough.max() < 0.49)
        said.append(found is not None)
        if found is not None:
            assert np.array_equal(found[0][0], correlate(numbers[None], w, (1, 1), (1, 1))[0])
    assert {True, False} == set(said)


def test_transforms_that_could_overflow_are_not_taken() -> None:
    rng = np.random.default_rng(8)
    x, w = rng.standard_normal((3, 90, 95)) * 1e150, rng.standard_normal((1, 3, 31, 31)) * 1e150
    assert fourier.sums(x, w, [()], INEXACT) is None
    assert compare(x * 1e-150, w, method="fft").verdict == "match"
    assert fourier.sums(x, w * 1e-150, [()], INEXACT) is not None


@pytest.mark.parametrize("method", ["auto", "direct", "fft"])
@pytest.mark.parametrize("all_flips", [False, True])
def test_exact_data_give_the_same_report(
    method: str, all_flips: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(5)
    for x, w in (
        (rng.integers(0, 256, (3, 30, 41), np.uint8), rng.integers(-9, 9, (2, 3, 5, 4))),
        (rng.integers(-9, 9, (1, 30, 41)) / 8, rng.integers(-9, 9, (2, 1, 5, 4))),
        (rng.integers(-9, 9, (2, 20, 21)), np.ones((1, 2, 3, 3))),
    ):
        reports = []
        for wins in (False, True):
            monkeypatch.setattr(fourier, "wins", lambda *_, wins=wins: wins)
            reports.append(compare(x, w, method=method, all_flips=all_flips))
        assert reports[0].exact
        assert reports[0] == reports[1]


def test_a_large_kernel_is_judged_the_same_by_fft(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    x, w = rng.standard_normal((3, 90, 95)), rng.standard_normal((2, 3, 31, 31))
    assert fourier.wins(x.shape, w.shape, 3)
    by_fft = compare(x, w)
    monkeypatch.setattr(fourier, "wins", lambda *_: False)
    by_sums = compare(x, w)
    for one, other in zip(by_fft.decompositions, by_sums.decompositions, strict=True):
        a, b = one.comparison, other.comparison
        assert (a.mismatched, a.total, a.matches) == (b.mismatched, b.total, b.matches)
        if not a.matches:
            assert a.worst_index == b.worst_index
            assert a.agreement_bits == pytest.approx(b.agreement_bits, abs=1e-6)
    assert by_fft.verdict == by_sums.verdict == "match"
    assert replace(by_fft, decompositions=()) == replace(by_sums, decompositions=())


@pytest.mark.slow
def test_a_sharper_oracle_is_not_judged_by_fft(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums that the user asked for are held to the bound of sums."""
    rng = np.random.default_rng(7)
    x, w = rng.standard_normal((3, 90, 95)), rng.standard_normal((2, 3, 31, 31))
    assert fourier.wins(x.shape, w.shape, 3)
    seen = compare(x, w, method="direct")
    monkeypatch.setattr(fourier, "wins", lambda *_: False)
    assert compare(x, w, method="direct") == seen


@pytest.mark.parametrize("more", [{}, {"padding": 3}, {"padding": 2, "padding_value": 0.25}])
@pytest.mark.parametrize("batch", one_in(2, [(), (2,)]))
def test_the_engine_gives_the_same(
    batch: Any, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(10)
    x, w = 2 * rng.integers(0, 99, (*batch, 3, 40, 45)), rng.integers(-99, 99, (2, 3, 25, 25))
    layouts = {"image_layout": "NCHW", "output_layout": "NCHW"} if batch else {}
    convention = Convention(**layouts, **more)
    made = []
    for wins in (True, False):
        monkeypatch.setattr(fourier, "wins", lambda *_, wins=wins: wins)
        linear = Linear(Problem.of(x, w, np.zeros(1)), convention)
        made.append((convolve(x, w, convention), linear.values, linear.magnitude, linear.edge))
    for by_fft, by_sums in zip(*made, strict=True):
        assert np.array_equal(by_fft, by_sums)
        assert not np.signbit(by_fft[by_fft == 0]).any()


@pytest.mark.slow
def test_the_judge_does_not_lie_by_fft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fourier, "wins", lambda *_: True)
    tally = lies.attack(600, seed=3)
    assert tally.lies == []
    assert tally.altered > tally.comparisons


def test_a_bound_of_the_fft_that_is_too_narrow_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fourier, "wins", lambda *_: True)
    real = fourier.flips
    rng = np.random.default_rng(9)

    def off(image: Any, bank: Any, *rest: Any) -> Any:
        for values, kernel in zip(real(image, bank, *rest), bank, strict=True):
            far = 1e-9 * norm(image) * norm(kernel)
            yield values + rng.choice([-1, 1], values.shape) * far

    monkeypatch.setattr(fourier, "flips", off)
    assert lies.attack(100, seed=3).lies
