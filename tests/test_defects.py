"""``identify`` explains no defect away: a short attack every time, the long one as a campaign."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import defects
import numpy as np
import pytest

import convcheck


@pytest.mark.slow
def test_no_defect_is_explained_away() -> None:
    results = list(defects.attack(40, seed=1))
    assert [(words, v.said) for _, words, v in results if v.result in ("false", "error")] == []
    assert sum(v.result == "missed" for _, _, v in results) <= 1


@pytest.mark.campaign
def test_no_defect_is_explained_away_in_ten_thousand() -> None:
    assert defects.main(["10000"]) == 0


@pytest.mark.parametrize("name", defects.DEFECTS)
def test_a_defect_is_what_it_is_said_to_be(name: str) -> None:
    number = list(defects.DEFECTS).index(name)
    case, again = (defects.drawn(0, number) for _ in range(2))
    assert case.defect == name
    np.testing.assert_array_equal(case.made.output, again.made.output)
    assert case.made.output.dtype == case.original.dtype
    assert not (case.far & ~case.altered).any()
    if name.startswith(("none", "vocabulary")):
        assert not case.altered.any()
        return
    assert case.altered.any()
    if not name.startswith(("all", "elements dropped")):
        assert np.count_nonzero(case.altered) <= 0.4 * case.altered.size


def test_what_rounding_does_to_clean_outputs_is_not_far_off() -> None:
    for number in range(0, 100 * len(defects.DEFECTS), len(defects.DEFECTS)):
        case = defects.drawn(0, number)
        off = np.abs(case.made.output - case.made.exact)
        assert (off <= defects.FAR * case.made.typical_error).all(), case.words()


def told(verdict: str, keys: dict[str, Any], wrong: Any = None) -> Any:
    convention = SimpleNamespace(to_dict=lambda: keys)
    candidate = SimpleNamespace(convention=convention, wrong=wrong)
    return lambda *arrays: SimpleNamespace(verdict=verdict, candidates=[candidate])


def test_false_answers_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    number = list(defects.DEFECTS).index("an element far off")
    case = defects.drawn(3, number)
    truth, other = case.made.truth, case.made.truth | {"bias": [1e3] * 9, "scale": 1.01}
    answers = {
        "identified": (told("identified", truth), "false"),
        "another operation": (told("near-match", other), "false"),
        "the truth": (told("near-match", truth, case.altered), "right"),
    }
    for words, (identify, result) in answers.items():
        monkeypatch.setattr(convcheck, "identify", identify)
        assert defects.judged(case).result == result, words
    assert defects.judged(case).exceptions is True
    blames_all = told("near-match", truth, np.ones_like(case.altered))
    monkeypatch.setattr(convcheck, "identify", blames_all)
    assert defects.judged(case).exceptions is False
    clean = defects.drawn(3, 0)
    near = told("near-match", clean.made.truth, ~clean.altered)
    monkeypatch.setattr(convcheck, "identify", near)
    assert defects.judged(clean).result == "missed"


def test_what_a_near_match_says_of_a_channel_without_clean_elements_is_not_held_against_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    number = list(defects.DEFECTS).index("a channel twice")
    case = defects.drawn(0, number)
    count = defects.d.arranged(case.original, case.made.truth).shape[1]
    altered = defects.d.arranged(case.altered, case.made.truth)
    (defective,) = np.flatnonzero(altered.all(axis=(0, *range(2, altered.ndim))))
    bias = np.array(case.made.truth.get("bias") or [0.0] * count)
    for channel in range(count):
        made_up = bias + 1e3 * (np.arange(count) == channel)
        keys = case.made.truth | {"bias": made_up.tolist()}
        monkeypatch.setattr(convcheck, "identify", told("near-match", keys, case.altered))
        assert defects.judged(case).result == ("right" if channel == defective else "false")
