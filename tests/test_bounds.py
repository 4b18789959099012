"""No right result is beyond its bound: a short attack every time, the long one as a campaign."""

from __future__ import annotations

from typing import Any

import bounds
import pytest

from convcheck import winograd


def test_no_right_result_is_beyond_its_bound() -> None:
    tally = bounds.attack(800, seed=1)
    assert tally.beyond == []
    assert len(tally.ratios) > 12
    assert tally.skipped < 0.05 * tally.results
    # Every kind comes near enough that a bound of a hundredth would be noticed.
    for kind, ratios in tally.ratios.items():
        assert max(ratios) > (0.002 if "FFT" in kind else 0.01), kind


@pytest.mark.campaign
def test_none_of_a_hundred_thousand_is_beyond_its_bound() -> None:
    assert bounds.attack(100_000).beyond == []


def test_a_bound_that_is_too_narrow_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Any = winograd.winograd_bound
    monkeypatch.setattr(
        bounds, "winograd_bound", lambda *args, **given: 0.01 * real(*args, **given)
    )
    assert len(bounds.attack(500, seed=2).beyond) > 10
