"""The judge does not lie: a short attack every time, the long one with ``-m campaign``."""

from __future__ import annotations

import lies
import numpy as np
import pytest

from convcheck.checks.one_tile import Case
from convcheck.rounding import Arithmetic


@pytest.mark.slow
def test_the_judge_does_not_lie() -> None:
    tally = lies.attack(1500, seed=1)
    assert tally.lies == []
    assert tally.refused < 0.1 * tally.comparisons
    assert tally.altered > tally.comparisons
    assert tally.witnessed > 100
    assert {method for method, _ in tally.ratios} == {"direct", "fft"}
    assert all(max(ratios) <= 1 for ratios in tally.ratios.values())


@pytest.mark.campaign
def test_the_judge_does_not_lie_in_a_hundred_thousand() -> None:
    tally = lies.attack(100_000)
    assert tally.lies == []


@pytest.mark.slow
def test_a_bound_that_is_too_narrow_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Arithmetic.bound
    monkeypatch.setattr(Arithmetic, "bound", lambda *args: 0.01 * real(*args))
    # Which sums are rounded depends on the machine's kernels: where few cases are witnessed, one
    # kind of lie may stay away.
    monkeypatch.setattr(lies, "WITNESS_EVERY", 1)
    told = lies.attack(300, seed=2).lies
    for says in (
        "a false mismatch",
        "is called a mismatch, and is exactly equal",
        "is further from the truth than its threshold",
        "the oracle is further from the truth",
    ):
        assert any(says in lie for lie in told), says


@pytest.mark.slow
@pytest.mark.parametrize("says", ["still matches, altered", "is further away than two thresholds"])
def test_a_judge_that_is_too_kind_is_caught(says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Case.limits

    def kind(case: Case) -> tuple[np.ndarray, ...]:
        with np.errstate(over="ignore"):
            return tuple(1e20 * limit for limit in real.func(case))

    monkeypatch.setattr(Case, "limits", property(kind))
    assert any(says in lie for lie in lies.attack(300, seed=2).lies)
