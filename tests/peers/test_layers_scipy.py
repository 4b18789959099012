"""Complex arrays by SciPy, conjugated or not, identified from their arrays alone.

Beside each stands one that is made a little otherwise, which must not be called the same.
"""

from __future__ import annotations

import numpy as np
import pytest
from explained import explain, not_claimed
from few import one_in
from scipy import signal

DRAWN_FROM = 29
RNG = np.random.default_rng(DRAWN_FROM)

Array = np.ndarray

SIZES = {1: ((60,), (5,)), 2: ((13, 15), (3, 4)), 3: ((7, 8, 9), (2, 3, 2))}


def complex_normal(shape: tuple[int, ...], dtype: type = np.complex128) -> Array:
    return (RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)).astype(dtype)


@pytest.mark.parametrize("dtype", one_in(2, [np.complex128, np.complex64]))
@pytest.mark.parametrize("mode", one_in(2, ["valid", "same", "full"]))
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_correlate_conjugates(rank: int, mode: str, dtype: type) -> None:
    size, taps = SIZES[rank]
    x, w = complex_normal(size, dtype), complex_normal(taps, dtype)
    explain(x, w, signal.correlate(x, w, mode, method="direct"), conjugate=True, flip=())
    not_claimed(x, w, signal.correlate(x, w.conj(), mode, method="direct"), conjugate=True)


@pytest.mark.parametrize("dtype", one_in(2, [np.complex128, np.complex64]))
@pytest.mark.parametrize("mode", one_in(2, ["valid", "same", "full"]))
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_convolve_does_not(rank: int, mode: str, dtype: type) -> None:
    size, taps = SIZES[rank]
    x, w = complex_normal(size, dtype), complex_normal(taps, dtype)
    letters = tuple("DHW"[3 - rank :])
    y = signal.convolve(x, w, mode, method="direct")
    explain(x, w, y, conjugate=False, flip=letters)
    not_claimed(x, w, signal.convolve(x, w.conj(), mode, method="direct"), conjugate=False)


@pytest.mark.parametrize("part", one_in(2, ["both", "image"]))
def test_the_image_conjugated_alone_is_neither(part: str) -> None:
    x, w = complex_normal((13, 15)), complex_normal((3, 4))
    y = signal.correlate(x.conj(), w if part == "image" else w.conj(), "same")
    not_claimed(x, w, y, conjugate=True)
    not_claimed(x, w, y, conjugate=False)


@pytest.mark.parametrize("boundary", one_in(2, ["wrap", "symm", "fill"]))
def test_correlate2d(boundary: str) -> None:
    x, w = complex_normal((13, 15)), complex_normal((3, 5))
    mode = {"wrap": "wrap", "symm": "symmetric", "fill": "constant"}[boundary]
    y = signal.correlate2d(x, w, "same", boundary)
    explain(x, w, y, conjugate=True, flip=(), padding_mode=mode, padding=((1, 1), (2, 2)))
    other = signal.correlate2d(x, w, "same", "wrap" if boundary != "wrap" else "symm")
    not_claimed(x, w, other, conjugate=True, padding_mode=mode)


def test_a_matched_filter() -> None:
    """A chirp looked for in a signal that holds it, as radar and sonar do."""
    t = np.arange(64) / 64
    chirp = np.exp(1j * np.pi * 30 * t**2)
    x = 0.2 * complex_normal((700,))
    x[300:364] += chirp
    explain(x, chirp, signal.correlate(x, chirp, "valid", method="direct"), conjugate=True, flip=())
    other = signal.correlate(x, chirp[::-1], "valid", method="direct")
    not_claimed(x, chirp, other, conjugate=True, flip=())
