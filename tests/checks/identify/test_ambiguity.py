"""What data cannot tell: which other conventions give the output, why, and what would tell."""

from __future__ import annotations

import numpy as np
import pytest
from identified import made, normal, whole

from convcheck import Convention, ExitCode, convolve, identify
from convcheck.checks.identify.ambiguity import degenerate, only_copies, same_operation
from convcheck.checks.sums import Problem

X, W = whole(3, 9, 10), whole(4, 3, 3, 2, seed=1)


def problem(image: np.ndarray, filters: np.ndarray) -> Problem:
    return Problem.of(image, filters, made(image, filters))


BLIND = {
    "two channels alike": (np.concatenate([X[:2], X[:1]]), W, {}),
    "an image with a rim of zeros": (
        np.pad(whole(3, 6, 7), ((0, 0), (1, 1), (1, 1))),
        whole(4, 3, 3, 3),
        {"padding": 1},
    ),
}


@pytest.mark.parametrize("name", BLIND)
def test_blind_data_have_no_winner(name: str) -> None:
    image, filters, keys = BLIND[name]
    output = made(image, filters, **keys)
    result = identify(image, filters, output)
    assert (result.verdict, result.exit_code) == ("ambiguous", ExitCode.OK)
    assert len(result.candidates) > 1
    assert result.reasons
    assert result.remedy is not None
    assert "convcheck random" in result.remedy
    assert result.audit is not None
    for candidate in result.candidates:
        assert np.array_equal(convolve(image, filters, candidate.convention), output)
    assert identify(image, filters, output, strict=True).exit_code == ExitCode.FAILED


def test_an_output_that_is_constant_says_nothing() -> None:
    result = identify(X, W, np.full((4, 7, 9), 3.0))
    assert result.verdict in ("ambiguous", "unexplained")
    assert any("OUT is constant" in said for said in (*result.reasons, *result.warnings))


def test_numbers_from_an_image_of_zeros_are_unexplained() -> None:
    result = identify(0 * X, W, made(X, W))
    assert result.verdict == "unexplained"
    assert any("IMG is all zeros" in warning for warning in result.warnings)


def test_one_operation_on_these_shapes_is_one_answer() -> None:
    """A flip of one channel and none are the same whatever the numbers: no ambiguity."""
    x, w = X[:1], W[:, :1]
    for keys in ({"flip": ["H", "W"]}, {"flip": ["I", "H", "W"]}):
        result = identify(x, w, made(x, w, **keys), strict=True)
        assert (result.verdict, result.exit_code) == ("identified", ExitCode.OK)
    # Of an output of one row no stride of rows is open.
    x, w = normal(3, 4, 13), normal(4, 3, 3, 2, seed=1)
    result = identify(x, w, made(x, w, stride=[3, 3]))
    assert result.verdict == "identified"
    assert result.candidates[0].convention.stride == (1, 3)


# ---- the parts


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({}, {"flip": ("H",)}, False),
        ({"flip": ("I",)}, {"channel_order": (2, 1, 0)}, True),
        ({"scale": 2.0}, {"bias": (1.0, 2.0, 3.0, 4.0)}, True),
        ({"stride": 2}, {"stride": (2, 1)}, False),
        ({"padding": 1}, {"padding": 1, "padding_mode": "edge"}, False),
        ({"stride": (2, 1)}, {"stride": (2, 1), "padding": ((0, 1), (0, 0))}, True),
        ({"stride": (2, 1)}, {"stride": (2, 1), "padding": ((1, 0), (0, 0))}, False),
        ({"padding": 1}, {"padding": ((1, 1), (1, 0))}, False),
    ],
)
def test_whether_the_sums_are_the_same_whatever_the_image(
    one: dict, other: dict, same: bool
) -> None:
    arrays = problem(X, W)
    a, b = (Convention(**keys) for keys in (one, other))
    assert same_operation(arrays, a, b) == same
    assert same_operation(arrays, b, a) == same


def test_what_filters_alone_make_the_same_is_the_same_operation() -> None:
    arrays = problem(X, W + W[:, :, ::-1])
    assert same_operation(arrays, Convention(), Convention(flip=("H",)))
    assert not same_operation(arrays, Convention(), Convention(flip=("W",)))


def test_which_filters_only_copy() -> None:
    w = np.zeros((2, 3, 3, 3))
    w[0, 1, 1, 1], w[1, 2, 0, 2] = 1, -3
    assert only_copies(problem(X, w), Convention())
    w[1, 0, 0, 0] = 2
    assert not only_copies(problem(X, w), Convention())
    assert not only_copies(problem(X, np.ones((2, 3, 1, 1))), Convention())


def test_arrays_that_say_nothing_are_named() -> None:
    assert degenerate(problem(X, W)) == []
    (said,) = degenerate(Problem.of(0 * X, W, made(X, W)))
    assert said == "IMG is all zeros, and says nothing about order or place"
    assert degenerate(Problem.of(X, W, np.full((4, 7, 9), 2))) == [
        "OUT is constant, and says nothing about order or place"
    ]
    # Filters of ones still tell one place from another, and one number alone is not "constant".
    assert degenerate(Problem.of(X, np.ones_like(W), made(X, W))) == []
    one = np.ones((1, 1))
    assert degenerate(Problem.of(one, one, one)) == []
