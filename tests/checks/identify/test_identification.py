"""The answer as a whole: verdict, exit code, expectation, what is unexplained, what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from identified import made, normal, photo, whole
from plain_convolution import rounded

from convcheck import Convention, ExitCode, IdentifyResult, identify
from convcheck.checks.identify.claims import claims
from convcheck.checks.identify.elements import Elements, drawn
from convcheck.checks.identify.forms import Ground
from convcheck.checks.identify.layouts import readings
from convcheck.checks.identify.solve import solve
from convcheck.errors import InputError
from convcheck.traits import traits

X, W = whole(3, 9, 10), whole(4, 3, 3, 2, seed=1)
Y = made(X, W)


def test_one_answer() -> None:
    result = identify(X, W, made(X, W, stride=[1, 2]))
    assert isinstance(result, IdentifyResult)
    (candidate,) = result.candidates
    assert (result.verdict, result.exit_code) == ("identified", ExitCode.OK)
    assert candidate.convention == Convention(stride=(1, 2))
    assert candidate.wrong is not None
    assert not candidate.wrong.any()
    assert (candidate.where, candidate.comparison.mismatched) == (None, 0)
    assert (result.reasons, result.remedy, result.nearest, result.audit) == ((), None, None, None)
    assert (result.expect, result.expect_met, result.strict, result.warnings) == (
        *(None, None, False),
        (),
    )
    assert result.hypotheses > 100
    assert 0 < result.elapsed < 60


def test_an_answer_says_what_it_takes_in_bits() -> None:
    plain, near = (identify(X, W, y).candidates[0].score for y in (Y, Y + 5 * (Y.max() == Y)))
    assert (plain.keys, plain.numbers, plain.exceptions, plain.residual) == (0, 0, 0, 0)
    assert plain.literal > 8 * Y.size
    assert plain.gain == plain.literal
    assert near.exceptions > 8
    assert near.total == near.keys + near.numbers + near.exceptions + near.residual


@pytest.mark.parametrize(
    ("verdict", "strict", "met", "code"),
    [
        ("identified", False, None, 0),
        ("identified", True, None, 0),
        ("identified", False, True, 0),
        ("identified", False, False, 1),
        ("ambiguous", False, None, 0),
        ("ambiguous", False, False, 1),
        ("ambiguous", True, None, 1),
        ("ambiguous", True, True, 1),
        ("near-match", False, None, 1),
        ("near-match", False, True, 1),
        ("unexplained", False, None, 1),
    ],
)
def test_the_exit_code(verdict: str, strict: bool, met: bool | None, code: int) -> None:
    plain = IdentifyResult("identified", (), None, 1, 0.0, (), None, None, None, False, ())
    result = replace(plain, verdict=verdict, strict=strict, expect_met=met)
    assert result.exit_code == ExitCode(code)


# ---- what nothing explains


def test_another_image_is_the_nearest_to_nothing() -> None:
    result = identify(X, W, made(whole(3, 9, 10, seed=9), W))
    assert (result.verdict, result.exit_code, result.candidates) == ("unexplained", 1, ())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["noise", "the channel before"])
def test_noise_on_all_elements_stored_in_few_bits(kind: str) -> None:
    """A room that is wide enough for a tenth of the spread would explain anything."""
    x, w = normal(8, 9, 8).astype(np.float32), (normal(3, 8, 3, 3, seed=1) / 6).astype(np.float32)
    y = made(x, w)
    noise = y.std() * normal(*y.shape, seed=2) if kind == "noise" else np.roll(y, 1, axis=0)
    noisy = (y + 0.1 * noise).astype(np.float32)
    assert identify(x, w, rounded(noisy, "bfloat16")).verdict == "unexplained"


def test_a_hundredth_of_the_elements_by_luck() -> None:
    """Millions of hypotheses give zeros, and one number, somewhere."""
    rng = np.random.default_rng(3)
    x, w = photo(1, 12, 12).astype(np.int32), whole(1, 1, 3, 3, dtype=np.int8)
    y = np.zeros((1, 10, 10), np.int32)
    y.flat[rng.integers(100)] = rng.integers(1, 200)
    assert identify(x, w, y).verdict == "unexplained"


@pytest.mark.slow
def test_a_few_elements_by_luck() -> None:
    rng = np.random.default_rng(3)
    x, w, y = (rng.integers(-3, 4, s) for s in ((2, 4, 3), (1, 2, 3, 1), (1, 2, 3)))
    result = identify(x, w, y)
    assert (result.verdict, result.exit_code) == ("unexplained", ExitCode.FAILED)


@pytest.mark.slow
def test_a_gaussian_cut_at_other_taps_is_not_in_single_precision() -> None:
    from scipy.ndimage import gaussian_filter1d

    taps = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
    x = np.random.default_rng(0).random(60) * 255
    y = gaussian_filter1d(x, 1.5, truncate=8.0)
    assert identify(x, taps / taps.sum(), y).verdict == "unexplained"


@pytest.mark.slow
def test_the_nearest_miss_is_no_answer() -> None:
    x, w = normal(3, 9, 10), normal(4, 3, 3, 2, seed=1)
    y = made(x, w, padding=1)
    result = identify(x, w, y + 0.3 * y.std() * normal(*y.shape, seed=2))
    assert (result.verdict, result.candidates) == ("unexplained", ())
    assert result.nearest is not None
    assert result.nearest.convention.padding == ((1, 1), (1, 1))
    assert 0.9 < result.nearest.correlation < 0.99
    assert result.nearest.scale == pytest.approx(1.0, abs=0.05)
    assert result.nearest.comparison.mismatched > 0.9 * y.size


# ---- what was expected


EXPECTED: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({}, {"stride": (1, 1)}, True),
    ({}, {"groups": 3}, False),
    ({}, {"flip": ["H", "W"]}, False),
    ({"flip": ["I", "H", "W"]}, {"flip": ["I", "H", "W"]}, True),
    ({"flip": ["I", "H", "W"]}, {"flip": "flipped"}, True),
    ({"flip": ["I", "H", "W"]}, {"flip": ["H", "W"], "channel_order": [2, 1, 0]}, True),
    ({"channel_order": [2, 1, 0]}, {"flip": ["I"], "channel_order": None}, True),
    ({"channel_order": [2, 1, 0]}, {"flip": [], "channel_order": None}, False),
    ({"stride": 2, "padding": [[1, 0], [0, 0]]}, {"padding": [[1, 1], [0, 0]]}, False),
    ({"filter_layout": "OIWH"}, {"filter_layout": "OIWH"}, True),
    ({"filter_layout": "OIWH"}, {"filter_layout": "OIHW"}, False),
    ({"scale": 0.5}, {"scale": 0.5, "flip": []}, True),
    ({"scale": 0.5}, {"scale": 1.0}, False),
    ({"bias": [1.0, -2.0, 3.0, 4.0]}, {"bias": [1.0, -2.0, 3.0, 4.0]}, True),
    ({"bias": [1.0, -2.0, 3.0, 4.0]}, {"bias": [1.0, -2.0, 3.0, 5.0]}, False),
    ({"activation": "relu"}, {"activation": "relu"}, True),
    ({"activation": "relu"}, {"activation": None}, False),
]


@pytest.mark.parametrize(("keys", "expect", "met"), EXPECTED, ids=str)
def test_what_is_expected_may_be_said_in_other_words(
    keys: dict[str, Any], expect: dict[str, Any], met: bool
) -> None:
    result = identify(X, W, made(X, W, **keys), expect=expect)
    assert (result.verdict, result.expect_met) == ("identified", met)
    assert result.exit_code == (ExitCode.OK if met else ExitCode.FAILED)


def test_a_flip_of_one_channel_is_none() -> None:
    x, w = X[:1], W[:, :1]
    y = made(x, w, flip=["H", "W"])
    assert identify(x, w, y, expect={"flip": ["I", "H", "W"]}).expect_met
    assert not identify(x, w, y, expect={"flip": ["I", "H"]}).expect_met


def test_an_expectation_of_other_axes_is_not_met() -> None:
    assert identify(X, W, Y, expect={"stride": [2, 2, 2]}).expect_met is False


def test_a_near_match_never_passes_whatever_was_expected() -> None:
    y = Y.copy()
    y[1, 2, 3] += 7
    result = identify(X, W, y, expect={"stride": 1})
    assert (result.verdict, result.exit_code) == ("near-match", ExitCode.FAILED)


# ---- what is refused


@pytest.mark.parametrize(
    ("shapes", "hint"),
    [
        (((3, 11, 13), (4, 5, 2, 2), (4, 8, 7)), "no axis of W is as long as an axis of IMG"),
    ],
    ids=str,
)
def test_shapes_that_nothing_connects_say_what_is_amiss(
    shapes: tuple[tuple[int, ...], ...], hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        identify(*(whole(*shape) for shape in shapes))
    assert caught.value.what == "no convention connects these shapes"
    assert hint in str(caught.value.hint)
    for name, shape in zip(("IMG", "W", "OUT"), shapes, strict=True):
        assert f"{name} {'x'.join(map(str, shape))}" in str(caught.value.got)


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("axes", [0, 6])
def test_arrays_have_one_to_five_axes(which: int, axes: int) -> None:
    arrays = [X, W, Y]
    arrays[which] = np.ones([2] * axes)
    with pytest.raises(InputError) as caught:
        identify(*arrays)
    assert caught.value.what == f"{('IMG', 'W', 'OUT')[which]} has the wrong number of axes"
    assert caught.value.expected is not None
    assert "1 to 5 axes" in caught.value.expected


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_operands_are_finite(which: int, value: float) -> None:
    arrays = [X.astype(float), W.astype(float), Y]
    arrays[which] = arrays[which].copy()
    arrays[which].flat[3] = value
    with pytest.raises(InputError, match=("IMG", "W")[which]):
        identify(*arrays)


def test_an_output_without_a_finite_number() -> None:
    with pytest.raises(InputError, match="OUT holds no finite value") as caught:
        identify(X, W, np.full(Y.shape, np.nan))
    assert caught.value.got == f"{Y.size} of {Y.size} elements are NaN or infinite"


@pytest.mark.parametrize("output", [Y.astype(str), Y.astype(object), Y[:, :0]], ids=str)
def test_an_output_that_holds_no_numbers(output: np.ndarray) -> None:
    with pytest.raises(InputError, match="OUT"):
        identify(X, W, output)


# ---- how long it takes


def test_a_search_that_is_cut_short_says_so() -> None:
    result = identify(X, W, normal(*Y.shape, seed=5), budget=0.05)
    assert result.verdict == "unexplained"
    (warning,) = result.warnings
    assert warning.startswith("the search ended early: of ")


def test_the_clock_is_looked_at_while_numbers_are_solved_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    y = np.rint(255 * ((Y - Y.min()) / np.ptp(Y)) ** 2.2).astype(np.uint8)
    reading, every = readings(X, W, y)[0], list(claims(traits(y[None]), ()))
    elements = Elements(reading, drawn(reading.output.shape, 4096))
    asked: list[float] = []
    form = Ground.form
    for ends in (0.0, np.inf):

        def counted(*arguments: Any, ends: float = ends) -> Any:
            asked.append(ends)
            return form(*arguments)

        monkeypatch.setattr(Ground, "form", counted)
        c, sums, shown = Convention(), elements.sums(Convention()), traits(y[None])
        with np.errstate(all="ignore"):
            assert solve(elements, c, sums, shown, every, quantum=0.0, ends=ends)
    assert 1 <= asked.count(0.0) <= 4 < asked.count(np.inf)


def test_the_same_arrays_have_the_same_answer() -> None:
    y = made(X, W, scale=[1.0, 2.0, 0.5, 3.0], activation="relu")
    one, other = (replace(identify(X, W, y), elapsed=0.0) for _ in range(2))
    assert [c.convention for c in one.candidates] == [c.convention for c in other.candidates]
    assert (one.verdict, one.hypotheses) == (other.verdict, other.hypotheses)


def test_how_arrays_lie_in_memory_is_no_part_of_the_answer() -> None:
    x, w, y = (np.asfortranarray(a) for a in (X, W, Y))
    for array in (x, w, y):
        array.flags.writeable = False
    (candidate,) = identify(x, w[::-1][::-1], y).candidates
    assert candidate.convention == Convention()
    (candidate,) = identify(X.astype(">i2"), W.astype(">f4"), Y.astype(">f8")).candidates
    assert candidate.convention == Convention()
