"""What identify answers, of arrays so small that it takes no time."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from convcheck.checks.identify import IdentifyResult, exploration, identify
from convcheck.convention import Convention
from convcheck.engine import convolve
from convcheck.errors import InputError

RNG = np.random.default_rng(71)
X, W = (RNG.integers(-9, 10, shape).astype(float) for shape in ((1, 10, 9), (3, 1, 2, 1)))


def of(keys: dict[str, Any], damage: Any = (), *, x: Any = X, w: Any = W, **asked: Any) -> Any:
    output = convolve(x, w, Convention(**keys))
    for place, value in damage:
        output[place] = value
    return identify(x, w, output, **asked)


def test_one_answer() -> None:
    result = of({"stride": [1, 2]})
    assert isinstance(result, IdentifyResult)
    (candidate,) = result.candidates
    assert (result.verdict, result.strict, result.expect, result.expect_met) == (
        *("identified", False, None, None),
    )
    assert candidate.convention == Convention(stride=[1, 2])
    assert (candidate.where, candidate.comparison.mismatched) == (None, 0)
    assert (result.reasons, result.remedy, result.nearest, result.audit) == ((), None, None, None)
    assert result.warnings == ()
    assert result.hypotheses > 1000
    assert 0 < result.elapsed < 60
    assert of({}, strict=True).strict


def test_a_near_match_says_where() -> None:
    result = of({"padding": 1}, [((1, 2, 3), 999.0)])
    (candidate,) = result.candidates
    assert result.verdict == "near-match"
    assert candidate.where == "one element, in output channel 1, at row 2, column 3"
    assert candidate.comparison.mismatched == 1
    assert candidate.comparison.worst_index == (1, 2, 3)
    assert (result.nearest, result.reasons) == (None, ())


def test_the_finest_arithmetic_and_the_least_done_are_named() -> None:
    """Each of what fits exactly would fit coarser arithmetics too."""
    for keys in ({"arithmetic": "float32"}, {"scale": 0.5}, {"bias": (1, 2, 3)}):
        x = X / 7 if "arithmetic" in keys else X
        result = of(keys, x=x)
        assert result.verdict == "identified"
        assert result.candidates[0].convention == Convention(**keys)


def test_what_fits_several_is_ambiguous() -> None:
    x, w = np.concatenate([X, X]), np.concatenate([W, W[::-1]], axis=1)
    result = of({}, x=x, w=w, expect={"channel_order": (1, 0)})
    assert result.verdict == "ambiguous"
    assert result.expect_met
    assert result.candidates[0].convention == Convention()
    assert any("reordering the channels" in reason for reason in result.reasons)
    assert result.remedy
    assert result.audit is not None
    missed = of({}, x=x, w=w, expect={"flip": ("H",)})
    assert missed.expect_met is False
    assert missed.exit_code == 1


def test_of_one_answer_the_operation_must_be_the_expected_one() -> None:
    """An axis that kernels have but once is reversed or not."""
    assert of({}, expect={"flip": ()}).expect_met
    assert of({}, expect={"flip": ("W",)}).expect_met
    assert of({}, expect={"flip": ("H",)}).expect_met is False


def test_a_channel_that_relu_left_empty_is_said() -> None:
    bias = (3.0, -900.0, 5.0)
    result = of({"bias": bias, "activation": "relu"})
    found = result.candidates[0].convention.bias
    assert result.verdict == "identified"
    assert found[1] < -50
    (warning,) = result.warnings
    assert warning == (
        f"output channel 1 of OUT is zero throughout: any bias of at most {found[1]:g} "
        "makes it so under ReLU, and so does a channel that was never written"
    )
    assert of({"bias": (3.0, 9.0, 5.0), "activation": "relu"}).warnings == ()
    assert of({"activation": "relu"}).warnings == ()


def test_what_is_not_finite_is_counted() -> None:
    damage = [((1, 2, 3), np.nan), ((2, 0, 0), np.inf)]
    result = of({}, damage, ignore_nonfinite=True)
    assert result.verdict == "identified"
    assert result.warnings == (
        "2 of 243 elements of OUT are NaN or infinite, the first at 1,2,3; the others are judged",
    ) or re.match(r"2 of 243 .* the first at \S.*1.*2.*3.*; the others", result.warnings[0])
    with pytest.raises(InputError, match="OUT"):
        of({}, damage)
    assert of({}, ignore_nonfinite=True).warnings == ()
    with pytest.raises(InputError, match="empty"):
        identify(X, W, np.zeros((3, 0, 4)), ignore_nonfinite=True)


def test_complex_filters_of_a_real_output() -> None:
    result = identify(X, W + 0j, convolve(X, W))
    assert result.verdict == "identified"
    assert result.candidates[0].convention == Convention()
    assert identify(X + 0j, W, convolve(X, W)).verdict == "identified"


def test_a_search_that_ends_early_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exploration, "ENOUGH", 4_000)
    early = "the search ended early: not all rare conventions were tried"
    drawn = RNG.standard_normal((3, 9, 9))
    result = identify(X, W, drawn)
    assert result.verdict == "unexplained"
    assert result.warnings == (early,)
    assert result.candidates == ()
    assert result.nearest is not None
    assert of({}).warnings == ()


ZEROS = np.zeros((3, 9, 9))


@pytest.mark.parametrize(
    ("x", "w", "output", "words"),
    [
        (0 * X, W, ZEROS, "IMG is all zeros"),
        (X, 0 * W, ZEROS, "W is all zeros"),
        (X, W, ZEROS + 3, "OUT is constant"),
    ],
    ids=["image", "filters", "output"],
)
def test_data_that_say_nothing(x: Any, w: Any, output: Any, words: str) -> None:
    result = identify(x, w, output)
    assert result.verdict == "ambiguous"
    assert any(words in reason for reason in result.reasons)
    assert any("only the plainest are listed" in reason for reason in result.reasons)
    assert result.nearest is None


def test_numbers_from_nothing() -> None:
    result = identify(0 * X, W, convolve(X, W))
    assert (result.verdict, result.nearest) == ("unexplained", None)
    assert any("IMG is all zeros" in warning for warning in result.warnings)


def test_filters_of_ones_still_tell_one_place_from_another() -> None:
    result = identify(X, np.ones_like(W), RNG.standard_normal((3, 9, 9)))
    assert result.verdict == "unexplained"
    assert result.nearest is not None
