"""What must not be claimed: MINE that is no relation of REF is unexplained, whatever comes near."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from few import one_in
from numpy.typing import NDArray

import convcheck

Array = NDArray[Any]
N = np.random.default_rng(5).standard_normal((1, 4, 9, 8))
A = np.random.default_rng(3).standard_normal((1, 4, 9, 8))
DROPPED = np.random.default_rng(4).random(A.shape) < 0.3

NOT: dict[str, Callable[[Array], Array]] = {
    "noise of a tenth": lambda a: a + 0.1 * N,
    "noise of a thousandth": lambda a: a + 1e-3 * N,
    "noise that multiplies": lambda a: a * (1 + 0.05 * N),
    "another image": lambda _: N,
    "its elements shuffled": lambda a: (
        np.random.default_rng(1).permutation(a.ravel()).reshape(a.shape)
    ),
    "each row shuffled": lambda a: np.random.default_rng(1).permuted(a, axis=-1),
    "its elements sorted": lambda a: np.sort(a.ravel()).reshape(a.shape),
    "a residual of itself": lambda a: a + 0.5 * np.roll(a, 1, axis=-1),
    "a residual of another": lambda a: a + N,
    "dropout": lambda a: np.where(DROPPED, 0, a),
    "dropout that scales": lambda a: np.where(DROPPED, 0, a / 0.7),
    "a blur": lambda a: (a + np.roll(a, 1, -1) + np.roll(a, 1, -2)) / 3,
    "half a pixel on": lambda a: 0.5 * (a + np.roll(a, 1, -1)),
    "a power": lambda a: np.sign(a) * np.abs(a) ** 1.7,
    "a square": lambda a: a * a,
    "a softmax": lambda a: np.exp(a) / np.exp(a).sum(-1, keepdims=True),
    "running sums": lambda a: a.cumsum(-1),
    "a gradient": lambda a: np.gradient(a, axis=-1),
    "a mask that multiplies": lambda a: a * N,
    "salt": lambda a: np.where(np.random.default_rng(2).random(a.shape) < 0.1, 5.0, a),
    "signs at random": lambda a: np.where(DROPPED, -a, a) + 1.0,
    "a rounding by chance": lambda a: (
        np.floor(4 * a + np.random.default_rng(2).random(a.shape)) / 4
    ),
    "the larger of neighbors": lambda a: np.maximum(a, np.roll(a, 1, -1)),
    "a blend": lambda a: 0.5 * a + 0.5 * N,
}


@pytest.mark.parametrize("name", one_in(2, list(NOT)))
def test_nothing_is_claimed_of(name: str) -> None:
    ref = A.astype(np.float32)
    found = convcheck.diff(ref, NOT[name](A).astype(np.float32))
    assert found.verdict == "unexplained", str(found)
    assert (found.exit_code, found.relations) == (1, ())
    assert found.spread is not None
    assert "no relation" in str(found)


@pytest.mark.parametrize(
    ("ref", "mine"),
    [
        ([[1.0] * 4] * 3, [[2.0] * 4] * 3),
        ([1.5, 2.25], [7.0, -3.125]),
        ([3.0], [4.0]),
        (np.arange(12.0).reshape(3, 4), np.zeros((3, 4))),
    ],
    ids=["constants", "two elements", "one element", "a constant MINE"],
)
def test_the_data_cannot_tell(ref: Any, mine: Any) -> None:
    found = convcheck.diff(ref, mine)
    assert (found.verdict, found.exit_code) == ("ambiguous", 1)
    assert found.reasons


def test_numbers_that_are_all_the_same_are_no_rounding() -> None:
    small = np.linspace(-0.4, 0.4, 60).reshape(6, 10)
    assert convcheck.diff(small, np.zeros((6, 10), np.int8)).exit_code == 1


def test_large_numbers_elsewhere_excuse_nothing() -> None:
    rng = np.random.default_rng(0)
    ref = rng.standard_normal((2, 30, 30)).astype(np.float32)
    ref[1] *= np.float32(1e-7)
    mine = ref.copy()
    mine[1] = rng.standard_normal((30, 30)) * 1e-7
    found = convcheck.diff(ref, mine)
    assert found.verdict == "near-match"
    assert found.relations[0].wrong is not None
    assert found.relations[0].wrong.index == "1, :, :"


def test_noise_is_not_excused_by_few_bits_of_one_of_the_two() -> None:
    noisy = (A * (1 + 3e-3 * N)).astype(np.float32)
    assert convcheck.diff(A.astype(np.float16), noisy).exit_code == 1
    assert convcheck.diff(A.astype(np.float16), A.astype(np.float32)).exit_code == 0
