"""Sums by FFT: right within their bound, exact where that is small, and taken where they pay."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import lies
import numpy as np
import pytest
from scipy.fft import next_fast_len

from convcheck import compare, fourier
from convcheck.checks import one_tile
from convcheck.checks.sums import Linear, Problem
from convcheck.convention import Convention
from convcheck.engine import convolve, correlate
from convcheck.errors import InputError
from convcheck.rounding import Arithmetic, fft_bound, norm

ROWS = [(), ("H",), ("W",), ("H", "W"), ("I",), ("I", "H"), ("I", "W"), ("I", "H", "W")]


def by_sums(x: Any, w: Any) -> Any:
    banks = [np.flip(w, tuple(1 + "IHW".index(axis) for axis in flip)) for flip in ROWS]
    return np.stack([correlate(x[None], bank, (1, 1), (1, 1))[0] for bank in banks])


@pytest.mark.parametrize(
    ("image", "bank"),
    [
        ((1, 1, 1), (1, 1, 1, 1)),
        ((3, 9, 7), (2, 3, 4, 1)),
        ((2, 8, 12), (3, 2, 8, 12)),
        ((5, 13, 11), (1, 5, 2, 6)),
        ((1, 17, 23), (4, 1, 3, 5)),
    ],
)
def test_every_flip_is_exact_for_integers(image: Any, bank: Any) -> None:
    rng = np.random.default_rng(3)
    x, w = (rng.integers(-99, 100, shape).astype(float) for shape in (image, bank))
    values = fourier.flips(x, w, ROWS)
    assert (fourier.bound(x, w, 0) < 0.01).all()
    assert np.array_equal(np.rint(values), by_sums(x, w))


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e140])
@pytest.mark.parametrize("towering", [False, True])
def test_the_bound_holds_and_says_something(scale: float, towering: bool) -> None:
    rng = np.random.default_rng(4)
    x, w = rng.standard_normal((3, 6, 7)), rng.standard_normal((2, 3, 3, 4)) * scale
    if towering:
        x[1] *= 1e9
    values, bounds = fourier.flips(x, w, ROWS), fourier.bound(x, w, 0)
    norms = np.linalg.norm(x) * np.sqrt((w / scale * w / scale).sum(axis=(1, 2, 3)))
    assert (bounds > 0).all()
    assert (bounds <= 1e-12 * norms * scale).all()
    for row, flip in enumerate(ROWS):
        bank = np.flip(w, tuple(1 + "IHW".index(axis) for axis in flip))
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
        assert fourier.bound(x, w, roundings).tolist() == expected


def test_sizes_in_single_precision_have_the_bound_of_it() -> None:
    rng = np.random.default_rng(15)
    x, w = np.abs(rng.standard_normal((3, 7, 11))), np.abs(rng.standard_normal((2, 3, 2, 2)))
    for scale in (1.0, 2.0**-70):
        near, off = fourier.rough(x * scale, w * scale, ROWS)
        assert near.dtype == np.float32
        points = 3 * 8 * 12
        rounded = {"roundings": 2 + 3, "unit": 2.0**-24, "underflow": 2.0**-149}
        expected = [fft_bound(norm(x * scale), norm(k * scale), points, **rounded) for k in w]
        assert off.tolist() == expected
        assert (
            np.abs(near - fourier.flips(x * scale, w * scale, ROWS)) <= off[:, None, None]
        ).all()
    near, _ = fourier.rough(x * 1e30, w * 1e30, ROWS)
    assert not np.isfinite(near).any()


@pytest.mark.parametrize(("bound", "exact"), [(0.97, True), (0.98, False), (1.2, False)])
def test_one_multiple_of_the_quantum_must_be_near(
    bound: float, exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fourier, "bound", lambda *_: np.array([0.1, bound]))
    monkeypatch.setattr(fourier, "flips", lambda *_: np.array([[[-0.9]], [[3.1]]])[None])
    arithmetic = Arithmetic(np.dtype(float), exact=True, quantum=2.0, input_roundings=0)
    found = fourier.sums(np.ones((1, 1, 1)), np.ones((2, 1, 1, 1)), [()], arithmetic)
    assert (found is not None) is exact
    if found is not None:
        values, bounds = found
        assert values.ravel().tolist() == [0, 4]
        assert not np.signbit(values).any()
        assert bounds.tolist() == [0, 0]


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


def test_a_large_kernel_is_judged_by_fft_and_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    x, w = rng.standard_normal((3, 90, 95)), rng.standard_normal((2, 3, 31, 31))
    calls = []
    real = fourier.flips
    monkeypatch.setattr(fourier, "flips", lambda *args: calls.append(1) or real(*args))
    by_fft = compare(x, w)
    assert calls
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


def test_a_sharper_oracle_is_not_judged_by_fft(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums that the user asked for are held to the bound of sums."""
    rng = np.random.default_rng(7)
    x, w = rng.standard_normal((3, 90, 95)), rng.standard_normal((2, 3, 31, 31))
    monkeypatch.setattr(fourier, "flips", None)
    assert compare(x, w, method="direct").verdict == "match"


def test_transforms_that_overflow_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fourier, "wins", lambda *_: True)
    monkeypatch.setattr(fourier, "flips", lambda *args: np.full((3, 1, 6, 7), np.inf))
    rng = np.random.default_rng(8)
    x, w = rng.standard_normal((3, 8, 9)), rng.standard_normal((1, 3, 3, 3))
    assert compare(x, w, method="fft").verdict == "match"


@pytest.mark.parametrize("more", [{}, {"padding": 3}, {"padding": 2, "padding_value": 0.25}])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_the_engine_gives_the_same(
    batch: Any, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(10)
    x, w = 2 * rng.integers(0, 99, (*batch, 3, 40, 45)), rng.integers(-99, 99, (2, 3, 25, 25))
    layouts = {"image_layout": "NCHW", "output_layout": "NOHW"} if batch else {}
    convention = Convention(**layouts, **more)
    made = []
    for wins in (True, False):
        monkeypatch.setattr(fourier, "wins", lambda *_, wins=wins: wins)
        linear = Linear(Problem.of(x, w, np.zeros(1)), convention)
        made.append((convolve(x, w, convention), linear.values, linear.magnitude, linear.edge))
    for by_fft, by_sums in zip(*made, strict=True):
        assert np.array_equal(by_fft, by_sums)
        assert not np.signbit(by_fft[by_fft == 0]).any()


def test_the_engine_takes_it_for_large_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(11)
    x, w = rng.integers(0, 99, (1, 200, 200)), rng.integers(-99, 99, (1, 1, 41, 41))
    calls = []
    real = fourier.flips
    monkeypatch.setattr(fourier, "flips", lambda *args: calls.append(1) or real(*args))
    convolve(x, w)
    assert len(calls) == 1
    convolve(x + 0.1, w)  # whose sums an FFT would not make exact
    convolve(x, w, Convention(stride=2))
    convolve(x * 10**6, w * 10**6 + 1)  # nor these
    assert len(calls) == 1
    with pytest.raises(InputError, match="larger than the padded image"):
        convolve(x[:, :40], w)


def test_an_image_that_is_not_exact_takes_its_batch_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(14)
    x, w = rng.integers(0, 99, (3, 2, 9, 9)), rng.integers(-9, 9, (2, 2, 3, 3))
    nchw = Convention("NCHW", output_layout="NOHW")
    expected = convolve(x, w, nchw)
    asked = []
    monkeypatch.setattr(fourier, "wins", lambda *shapes: asked.append(shapes) or True)
    real, answers = fourier.sums, [True, False, True]
    monkeypatch.setattr(fourier, "sums", lambda *a: real(*a) if answers.pop() else None)
    assert np.array_equal(convolve(x, w, nchw), expected)
    assert not answers
    assert asked == [((2, 9, 9), (2, 2, 3, 3), 1)]


@pytest.mark.slow
def test_the_judge_does_not_lie_by_fft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fourier, "wins", lambda *_: True)
    tally = lies.attack(600, seed=3)
    assert tally.lies == []
    assert tally.altered > tally.comparisons


def test_a_bound_of_the_fft_that_is_too_narrow_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fourier, "wins", lambda *_: True)
    real = one_tile.fourier.flips
    rng = np.random.default_rng(9)

    def off(image: Any, bank: Any, rows: Any) -> Any:
        values = real(image, bank, rows)
        norms = np.linalg.norm(image) * np.linalg.norm(bank.reshape(len(bank), -1), axis=1)
        return values + rng.choice([-1, 1], values.shape) * 1e-9 * norms[:, None, None]

    monkeypatch.setattr(fourier, "flips", off)
    assert lies.attack(100, seed=3).lies
