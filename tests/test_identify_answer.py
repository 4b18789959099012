"""What identify answers, of arrays so small that it takes no time."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from convcheck.checks.audit import audit
from convcheck.checks.identify import IdentifyResult, exploration, identification, identify
from convcheck.checks.identify.classes import complexity
from convcheck.checks.identify.exploration import Exploration
from convcheck.checks.identify.fit import judged
from convcheck.checks.identify.stages import MANY
from convcheck.checks.sums import Problem
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


def test_a_stride_that_a_single_column_does_not_show() -> None:
    """Whatever it was, it may have left columns of the image unseen."""
    x, w = (RNG.integers(-9, 10, shape) for shape in ((3, 9, 8), (2, 3, 2, 1)))
    for stride, crop in ((8, 0), (7, 1), (6, 2)):
        truth = Convention(stride=[1, stride], padding=[[0, 0], [0, -crop]])
        output = convolve(x, w, truth)
        assert output.shape[-1] == 1
        result = identify(x, w, output)
        (candidate,) = result.candidates
        assert result.verdict == "identified"
        assert np.array_equal(convolve(x, w, candidate.convention), output)


@pytest.mark.parametrize("dilation", [1, 4])
def test_a_dilation_of_a_long_kernel_that_a_periodic_image_does_not_show(dilation: int) -> None:
    """Every fourth column is the next one where the columns repeat after three."""
    columns, w = (RNG.integers(-9, 10, shape) for shape in ((2, 9, 3), (3, 2, 2, 9)))
    x = np.tile(columns, (1, 1, 15))
    truth = Convention(dilation=[1, dilation])
    result = identify(x, w, convolve(x, w, truth))
    assert result.verdict == "ambiguous"
    assert {c.convention.dilation for c in result.candidates} >= {(1, 1), (1, 4)}


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


def test_a_channel_at_an_end_of_its_dtype_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Convention(bias=(0.0, 9000.0, 600.0), arithmetic="saturate:int16")
    made = made.replace(scale=1 / 4, bias=(0.0, 900.0, 20.0), arithmetic="saturate:uint8")
    output = convolve(X, W, made)
    assert (output[1] == 255).all()
    assert (output[0] == 0).any()
    output[0, 0, 0], output[2, 0, 0] = 0, 255
    explored = Exploration([replace(judged(Problem.of(X, W, output), made, output[None]))], None, 9)
    monkeypatch.setattr(identification, "explore", lambda *given, **keys: explored)
    monkeypatch.setattr(identification, "is_near", lambda *given: True)
    (warning,) = identify(X, W, output).warnings
    assert warning.startswith("output channel 1 of OUT is 255 throughout, an end of uint8")


def test_biases_that_are_as_good_as_a_border_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = X[:, :3], np.abs(W[:, :, [0, 1, 1, 0, 0, 1, 1]])
    made = Convention(padding=((2, 2), (0, 0)), padding_value=3.0)
    edges = w[:, :, [0, 1, 5, 6]].sum(axis=(1, 2, 3))
    bias = made.replace(padding_value=0.0, bias=tuple((3 * edges).tolist()))
    result = said_of(monkeypatch, convolve(x, w, made), bias, x=x, w=w)
    assert [c.convention for c in result.candidates] == [bias, made]
    assert result.verdict == "ambiguous"


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


# --- what is said of what was found -------------------------------------------------------------


def said_of(
    patch: pytest.MonkeyPatch,
    output: Any,
    *found: Convention,
    x: Any = X,
    w: Any = W,
    crowded: bool = False,
    **asked: Any,
) -> IdentifyResult:
    """What identify says where its search found no more than these, each of which fits."""
    problem = Problem.of(x, w, output)
    fits = [replace(judged(problem, c, output[None]), convention=c) for c in found]
    assert not any(fit.misses for fit in fits)
    explored = Exploration(fits, None, 10_000, crowded)
    patch.setattr(identification, "explore", lambda *given, **keys: explored)
    return identify(x, w, output, **asked)


PLAIN, FLIPPED = Convention(), Convention(flip=("H",))
EVEN = np.concatenate([W[:, :, :1], W[:, :, :1]], axis=2)
"""Filters that are the same upside down."""


def test_a_stride_is_plainer_than_zeros_between_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = X[:, :2, :2], W[:, :, :1, :1]
    spread = PLAIN.replace(input_dilation=2, padding=((-1, 0), (-1, 0)))
    result = said_of(monkeypatch, convolve(x, w, spread), spread, x=x, w=w)
    assert result.candidates[0].convention == PLAIN.replace(stride=2, padding=((1, 0), (1, 0)))
    x, asked = X[:, :4, :4], [PLAIN.replace(padding=1), PLAIN.replace(input_dilation=2)]
    monkeypatch.setattr(identification, "plainer", lambda problem, c: asked.append(c) or PLAIN)
    result = said_of(monkeypatch, convolve(x, w, asked[0]), asked[0], x=x, w=w)
    assert (len(asked), result.candidates[0].convention) == (2, asked[0])
    result = said_of(monkeypatch, convolve(x, w, asked[1]), asked[1], x=x, w=w)
    assert (asked[2:], result.candidates[0].convention) == (asked[1:2], PLAIN)


def test_whole_numbers_are_rather_exact_than_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    rounded, wrapped = (PLAIN.replace(arithmetic=name) for name in ("float32", "wrap:int32"))
    result = said_of(monkeypatch, convolve(X, W), rounded, PLAIN)
    assert [c.convention for c in result.candidates] == [PLAIN]
    result = said_of(monkeypatch, convolve(X, W), rounded, wrapped)
    assert [c.convention for c in result.candidates] == [wrapped]


def test_one_answer_of_data_that_say_nothing_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    result = said_of(monkeypatch, convolve(X, W), PLAIN, x=X)
    assert result.verdict == "identified"
    result = said_of(monkeypatch, convolve(X, W), PLAIN, x=X, crowded=True)
    assert result.verdict == "ambiguous"
    result = said_of(monkeypatch, ZEROS, PLAIN, x=0 * X)
    assert result.verdict == "ambiguous"


def test_a_number_for_each_channel_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scale of zero and a bias explain anything of that kind."""
    output = ZEROS + np.array([3.0, 4, 5])[:, None, None]
    assert identify(X, 0 * W, output).verdict == "ambiguous"
    assert said_of(monkeypatch, output).verdict == "unexplained"


SHIFTED = sorted(
    (Convention(padding=((p, -p), (q, -q))) for p, q in product(range(-3, 4), repeat=2)),
    key=complexity,
)


@pytest.mark.parametrize("count", [47, 48, 49])
def test_so_many_answers_are_listed_and_no_more(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of fewer, what else would do the same to these data is looked for."""
    asked: list[Convention] = []

    def listening(problem: Problem, convention: Convention) -> Any:
        asked.append(convention)
        return iter(())

    monkeypatch.setattr(identification, "same_on_this_data", listening)
    x = 0 * X[:, :, :4]
    result = said_of(monkeypatch, convolve(x, W), *SHIFTED[:count], x=x)
    assert [c.convention for c in result.candidates] == SHIFTED[: min(count, MANY)]
    more = "so many conventions give this output that only the plainest are listed"
    assert (more in result.reasons) is (count > MANY)
    assert asked == (SHIFTED[:count] if count < MANY else [])


def test_what_would_do_the_same_is_an_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = np.concatenate([X, X]), np.concatenate([W, W[::-1]], axis=1)
    result = said_of(monkeypatch, convolve(x, w), PLAIN, x=x, w=w)
    assert [c.convention for c in result.candidates] == [PLAIN, Convention(channel_order=(1, 0))]


def test_an_empty_channel_is_that_of_the_first_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    biases = [(3.0, -900.0, 5.0), (3.0, -800.0, 5.0)]
    found = [
        c.replace(bias=bias, activation="relu")
        for c, bias in zip((PLAIN, FLIPPED), biases, strict=True)
    ]
    result = said_of(monkeypatch, convolve(X, EVEN, found[0]), *found, w=EVEN)
    assert [c.convention for c in result.candidates] == found
    (warning,) = result.warnings
    assert warning.startswith(
        "output channel 1 of OUT is zero throughout: any bias of at most -900"
    )


def test_the_first_answer_is_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    output = convolve(X, EVEN)
    result = said_of(monkeypatch, output, FLIPPED, PLAIN, w=EVEN)
    assert [c.convention for c in result.candidates] == [PLAIN, FLIPPED]
    assert result.audit == audit(X, EVEN, PLAIN.to_dict(), propose=False)
    assert result.audit.convention == PLAIN


def test_of_several_answers_the_expected_must_give_the_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of one, it must be the same operation whatever the data."""
    x = np.broadcast_to(X[:, :, :1], X.shape)
    output, expect = convolve(x, EVEN), {"flip": ("H",)}
    shifted = Convention(padding=((0, 0), (1, -1)), padding_mode="edge")
    for found, met in (([PLAIN], False), ([PLAIN, shifted], True)):
        result = said_of(monkeypatch, output, *found, x=x, w=EVEN, expect=expect)
        assert FLIPPED not in [c.convention for c in result.candidates]
        assert result.expect_met is met


# --- exit codes and errors ----------------------------------------------------------------------


def test_small_numbers_are_no_empty_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    x, c = X / 1024, Convention(bias=(0.25, 0.25, 0.25), activation="relu")
    output = convolve(x, W, c)
    assert output.max() < 1
    assert said_of(monkeypatch, output, c, x=x).warnings == ()


def test_real_numbers_are_complex_beside_complex_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    explored: list[Problem] = []

    def listening(problem: Problem, *given: Any, **keys: Any) -> Exploration:
        explored.append(problem)
        return Exploration(hypotheses=1)

    monkeypatch.setattr(identification, "explore", listening)
    for x, w, kind in ((X, W, "f"), (X + 0j, W, "c"), (X, W + 0j, "c")):
        identify(x, w, convolve(X, W))
        assert explored.pop().output.dtype.kind == kind


def test_what_is_explained_as_expected_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    output = convolve(X, EVEN)
    for found, strict, expect, code in (
        ([PLAIN], False, None, 0),
        ([PLAIN], True, {"flip": ()}, 0),
        ([PLAIN], False, {"flip": ("H",)}, 1),
        ([PLAIN, FLIPPED], False, None, 0),
        ([PLAIN, FLIPPED], True, None, 1),
        ([PLAIN, FLIPPED], False, {"stride": (2, 2)}, 1),
        ([], False, None, 1),
    ):
        result = said_of(monkeypatch, output, *found, w=EVEN, strict=strict, expect=expect)
        assert result.exit_code == code


def test_arrays_have_two_to_four_axes() -> None:
    arrays = {"IMG": X, "W": W, "OUT": convolve(X, W)}
    for name, shape in product(arrays, [(12,), (2, 1, 1, 1, 2)]):
        found = f"shape .*, {len(shape)} axes"
        with pytest.raises(InputError, match=f"(?s){name} has the wrong number of axes.*{found}"):
            identify(*{**arrays, name: np.ones(shape)}.values())
    output = convolve(X, W[:1])
    assert identify(X[0], W[0, 0], output[0]).exit_code == 0
    assert identify(X[None], W[:1], output[None]).exit_code == 0


NEITHER = "no axis of W is as long as an axis of IMG"
NONE = "no axis of W is as long as an axis of OUT"
ONE = "W is one filter and gives one output channel"
CHECK = "check which file is which"
ROW = "for a 1-D convolution give each array one row"


@pytest.mark.parametrize(
    ("x", "w", "y", "hint"),
    [
        ((3, 9, 8), (5, 4, 2, 2), (5, 8, 7), NEITHER),
        ((3, 9, 8), (4, 2, 2), (8, 7), NEITHER),
        ((3, 9, 8), (5, 1, 2, 2), (6, 8, 7), NONE),
        ((3, 9, 8), (2, 4), (5, 8, 5), CHECK),
        ((3, 9, 8), (4, 3, 2, 2), (7, 8, 5), NONE),
        ((3, 9, 8), (4, 3, 2, 2), (7, 3, 9), CHECK),
        ((3, 9, 8), (3, 2, 2), (7, 8, 5), ONE),
        ((4, 3, 8), (3, 2, 2), (1, 6, 5), CHECK),
        ((4, 2, 8), (3, 2, 2), (5, 6), CHECK),
        ((1, 4, 50), (6, 4, 3), (1, 6, 48), ROW),
        ((4, 50), (6, 4, 3), (6, 48), ROW),
        ((4, 50), (6, 2, 3), (6, 48), ROW),
        ((4, 50), (6, 4, 3), (1, 6, 48), ROW),
        ((2, 4, 50), (6, 4, 3), (2, 6, 48), ROW),
        ((2, 4, 50), (6, 4, 3), (3, 6, 48), ONE),
        ((3, 4, 9), (5, 2, 2, 2), (3, 5, 7), NEITHER),
        ((1, 1, 4, 50), (6, 4, 3), (1, 6, 48), CHECK),
        ((4, 50), (6, 3, 5), (6, 48), NEITHER),
        ((4, 50), (5, 4, 3), (6, 48), CHECK),
    ],
    ids=str,
)
def test_which_sizes_keep_arrays_apart(
    x: tuple[int, ...], w: tuple[int, ...], y: tuple[int, ...], hint: str
) -> None:
    with pytest.raises(InputError, match="no convention connects these shapes") as error:
        identify(*map(np.ones, (x, w, y)))
    assert error.value.hint.startswith(hint)
    assert f"W {w[0]}x{w[1]}" in error.value.got


def test_a_1d_convolution_is_named_once_its_arrays_have_a_row() -> None:
    x, w = (RNG.integers(-9, 10, shape) for shape in ((1, 4, 50), (6, 4, 3)))
    y = np.stack([sum(np.correlate(*pair) for pair in zip(x[0], k, strict=True)) for k in w])[None]
    with pytest.raises(InputError, match="no convention connects these shapes") as error:
        identify(x, w, y)
    assert error.value.hint.endswith("in NumPy: IMG 1x4x1x50, W 6x4x1x3, OUT 1x6x1x48")
    result = identify(x[..., None, :], w[..., None, :], y[..., None, :])
    assert result.verdict == "identified"
    assert result.candidates[0].convention.flip == ()


@pytest.mark.parametrize(
    ("positive", "warned"),
    [(5, ("OUT has only 5 elements that were not cut off",)), (59, ("59 elements",)), (60, ())],
)
def test_where_little_is_left_what_made_it_may_be_missed(
    positive: int, warned: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identification, "explore", lambda *_, **__: Exploration(hypotheses=1))
    y = np.zeros((3, 8, 7))
    y.flat[RNG.choice(y.size, positive, replace=False)] = RNG.uniform(1, 2, positive)
    warnings = identify(X, W, y).warnings
    assert len(warnings) == len(warned)
    for part, whole in zip(warned, warnings, strict=True):
        assert part in whole
    few = np.arange(1.0, 37).reshape(3, 4, 3)
    assert identify(X[:, :5, :4], W, few).warnings[0].startswith("OUT has only 36 elements: with")


def test_shapes_with_a_single_reading_have_an_answer_too() -> None:
    shapes = ((2, 3, 11, 13), (5, 3, 2, 4), (2, 5, 10, 10))
    x, w, y = (RNG.integers(-9, 10, shape) for shape in shapes)
    assert len(list(identification.readings(x, w, y))) == 1
    assert identify(x, w, y).verdict == "unexplained"


def test_so_many_fits_are_asked_in_other_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    y = convolve(X, W, Convention())
    fit = judged(Problem.of(X, W, y), Convention(), y[None])
    fits = [replace(fit, convention=Convention(bias=(n, 0, 0))) for n in range(6)]
    monkeypatch.setattr(identification, "explore", lambda *_, **__: Exploration(fits, None, 1))
    asked: list[Any] = []
    monkeypatch.setattr(identification, "untold", lambda _, some: asked.extend(some) or [])
    identify(X, W, y)
    assert asked == fits[:4]


def test_a_size_that_no_stride_gives() -> None:
    with pytest.raises(InputError, match="no stride, dilation or padding") as error:
        identify(X, W, np.ones((3, 200, 300)))
    assert "OUT 3x200x300" in error.value.got
