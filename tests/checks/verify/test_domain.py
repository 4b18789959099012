"""Targets that take some calls alone: their refusals are their domain, and the cases lie in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from few import one_in
from verified import put
from zoo import conv

from convcheck.campaign import case, further, parse_id
from convcheck.checks.verify.domain import Limit, within

if TYPE_CHECKING:
    from convcheck.checks.verify import VerifyResult


def only(says: str, holds: Any, error: Any = NotImplementedError) -> Any:
    def function(x, w, stride=1, padding=0, dilation=1):
        if not holds(x, w, stride, padding, dilation):
            raise error(f"only {says}")
        return conv(x, w, stride, padding, dilation)

    return function


DOMAINS: dict[str, Any] = {
    "square images": lambda x, w, *_: x.shape[2] == x.shape[3],
    "images with sides that are even": lambda x, w, *_: x.shape[2] % 2 == x.shape[3] % 2 == 0,
    "images with sides that are multiples of 8": lambda x, w, *_: (
        not any(n % 8 for n in x.shape[2:])
    ),
    "16x16 images": lambda x, w, *_: x.shape[2:] == (16, 16),
    "3x3 kernels": lambda x, w, *_: w.shape[2:] == (3, 3),
    "5x5 kernels": lambda x, w, *_: w.shape[2:] == (5, 5),
    "square kernels": lambda x, w, *_: w.shape[2] == w.shape[3],
    "kernels with sides that are odd": lambda x, w, *_: w.shape[2] % 2 == w.shape[3] % 2 == 1,
    "one image at a time": lambda x, w, *_: len(x) == 1,
    "one channel": lambda x, w, *_: x.shape[1] == 1,
    "3 channels": lambda x, w, *_: x.shape[1] == 3,
    "one filter": lambda x, w, *_: len(w) == 1,
    "stride 1": lambda x, w, stride, *_: stride == 1,
    "padding 0": lambda x, w, stride, padding, dilation: padding == 0,
    "dilation 1": lambda x, w, stride, padding, dilation: dilation == 1,
    "contiguous arrays": lambda x, w, *_: x.flags.c_contiguous and w.flags.c_contiguous,
    "uint8": lambda x, w, *_: x.dtype == np.uint8,
}


def takes(result: VerifyResult) -> list[str]:
    return [] if result.model is None else [*result.model.takes]


@pytest.mark.parametrize("says", one_in(5, DOMAINS))
def test_a_limit_is_learnt_and_every_case_lies_within_it(says: str) -> None:
    result = put(only(says, DOMAINS[says]), 60, more=further(0, 60))
    assert result.verdict == "pass", (result.findings[:2], result.notes)
    assert takes(result) == [says]
    assert result.ran >= 57


def test_several_limits_at_once() -> None:
    both = [DOMAINS[says] for says in ("square images", "3x3 kernels", "one image at a time")]
    result = put(only("these", lambda *given: all(one(*given) for one in both), ValueError), 60)
    assert result.verdict == "pass", (result.findings[:2], result.notes)
    assert takes(result) == ["square images", "3x3 kernels", "one image at a time"]
    assert result.ran >= 57


def test_what_it_takes_is_judged_all_the_same() -> None:
    def function(x, w, stride=1):
        if w.shape[2:] != (3, 3):
            raise NotImplementedError("3x3 kernels only")
        return conv(x, w, stride) + (stride > 1)

    result = put(function, 60)
    assert result.verdict == "fail"
    assert "stride > 1" in (result.when or "")
    assert takes(result) == ["3x3 kernels"]
    assert result.smallest is not None
    found = result.smallest.finding.case
    assert parse_id(found.id) == found
    assert result.model is not None
    assert result.model.project(found) == found


def test_a_crash_is_no_limit() -> None:
    def function(x, w):
        if x.shape[3] % 4 == 3:
            raise IndexError("index 9 is out of bounds")
        return conv(x, w)

    result = put(function, 40, smaller=False)
    assert result.verdict == "fail"
    assert takes(result) == []


def test_what_is_refused_by_no_limit_is_drawn_again() -> None:
    refused = only("few", lambda x, w, *_: (x.shape[1] + len(w)) % 5 > 0)
    result = put(refused, 60, more=further(0, 60))
    assert result.verdict == "pass"
    assert result.skipped
    assert result.ran == 60


def test_no_limits_change_nothing() -> None:
    drawn = case(0, 40)
    assert within(drawn, ()) == drawn
    three = Limit("3x3 kernels", equal=(("kernel_height", 3), ("kernel_width", 3)))
    assert within(drawn, (three,)).taps == (3, 3)


def test_a_layout_and_a_claim_are_enough() -> None:
    def function(x, w):
        if (x.shape[2] * w.shape[2] + len(w)) % 3 == 1:
            raise NotImplementedError("not yet")
        return conv(x, w)

    result = put(function, 60, "correlation", layout="NCHW", more=further(0, 60))
    assert result.verdict == "pass", result.findings[:2]
    assert put(lambda x, w: 2 * function(x, w), 60, "correlation", layout="NCHW").failed
