"""verify on implementations that are known to be wrong, and on others known to be right."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
import zoo
import zoo_wrong
from few import one_in, rows_in
from verified import put

from convcheck.errors import ExitCode
from convcheck.render.verify_words import name

if TYPE_CHECKING:
    from convcheck.checks.verify import VerifyResult

SOME = {w.name: w for w in zoo_wrong.ZOO}


@cache
def fared(wrong: str) -> VerifyResult:
    """How a wrong implementation fared; its campaign ends soon, so this is quick."""
    return put(SOME[wrong].function, expect=SOME[wrong].expect, count=200, smaller=False)


def test_the_zoo_is_large_enough() -> None:
    assert len(zoo_wrong.ZOO) == len(SOME) >= 50
    assert len(zoo.RIGHT) >= 14
    assert sum(bool(w.when) for w in zoo_wrong.ZOO) >= 30


@pytest.mark.parametrize("known", one_in(10, SOME))
def test_a_wrong_implementation_is_found(known: str) -> None:
    wrong, result = SOME[known], fared(known)
    assert result.verdict == "fail"
    assert result.exit_code == ExitCode.FAILED
    assert result.failed + result.passed == result.ran
    if wrong.kind is not None:
        assert wrong.kind in {f.kind for f in result.findings}
    for said in wrong.named:
        assert said in name(result)
    # What a dtype does to integers is said apart.
    conditions = "; ".join([*([result.when] if result.when else []), *result.integers])
    for said in wrong.when:
        assert said in conditions, conditions


@pytest.mark.parametrize("known", one_in(3, zoo.RIGHT))
def test_a_right_implementation_is_not_accused(known: str) -> None:
    result = put(zoo.RIGHT[known], 80)
    assert result.verdict == "pass", (result.findings, result.notes)
    assert result.exit_code == ExitCode.OK
    assert result.passed + sum(result.skipped.values()) == 80
    assert result.smallest is result.when is result.does is None


@pytest.mark.parametrize(
    ("known", "says"),
    [
        ("taps", "f is the cross-correlation, NCHW, OIHW, zero padding, float64"),
        ("fourier", "f is the cross-correlation, NCHW, OIHW, no padding"),
        ("sum of scipy's", "per-channel convolution"),
        ("channels last", "cross-correlation, NHWC, HWIO, no padding"),
        ("same", "SAME_UPPER"),
        ("transposed", "the transposed convolution"),
        ("relu", "ReLU"),
        ("ndimage reflect", "symmetric"),
    ],
)
def test_a_right_implementation_is_named(known: str, says: str) -> None:
    assert says in name(put(zoo.RIGHT[known], 3))


@pytest.mark.parametrize(
    ("wrong", "does"),
    rows_in(
        4,
        [
            ("SAME on the wrong side where it is odd", "it pads as SAME_LOWER"),
            ("even kernels", "it reverses the kernel's rows and columns"),
            ("rows flipped", "it reverses the kernel's rows"),
            ("1x1 fast path forgets the stride", "it leaves the stride out"),
            ("dilation ignored", "it leaves the dilation out"),
            ("more than 16 filters", "the output channels from 16 on"),
            ("last column forgotten where the width is odd", "the last column"),
            ("first image of the batch for all", "the images of the batch after the first"),
        ],
    ),
)
def test_what_it_does_instead_is_said(wrong: str, does: str) -> None:
    assert does in (fared(wrong).does or "")
