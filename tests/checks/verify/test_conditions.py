"""When a target is wrong: the condition that its failures have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zoo
from verified import put

from convcheck.campaign import cases
from convcheck.checks.verify.conditions import condition


@pytest.mark.parametrize(
    ("function", "when"),
    [
        (
            lambda x, w, stride=1: zoo.conv(x, w, min(stride, *w.shape[2:])),
            "whenever the stride is larger than a side of the kernel",
        ),
        (
            lambda x, w, groups=1: zoo.conv(x, w, 1, 0, 1, groups) + (groups > 2),
            "only when groups > 2",
        ),
        (
            lambda x, w: zoo.conv(x, w.astype("u1").view("i1") if w.dtype == "u1" else w),
            "the numbers are integers larger than 10",
        ),
    ],
)
def test_when_it_is_wrong(function: Any, when: str) -> None:
    result = put(function, 120, smaller=False)
    assert when in (result.when or ""), result.when


CASES = [*cases(0, 200)]


@pytest.mark.parametrize(
    ("holds", "says"),
    [
        (lambda c: c.stride > 1, "whenever stride > 1 (all"),
        (lambda c: c.stride > 1 and c.padding % 2, "whenever stride > 1 and padding is odd (all"),
        (lambda c: c.dilation > 1, "whenever dilation > 1"),
        (lambda c: c.filters > 16, "filters"),
        (lambda c: c.order == "F", "whenever the memory order is Fortran's"),
        (lambda c: c.width % 8, "whenever the width is no multiple of 8"),
        (lambda _: True, "in every case"),
        (lambda c: c.values != "zeros", "in nearly every case"),
    ],
)
def test_a_condition_is_found(holds: Any, says: str) -> None:
    failed = [c for c in CASES if holds(c)]
    found = condition(failed, [c for c in CASES if not holds(c)])
    assert found is not None
    assert says in found.sentence


def test_a_case_inside_the_condition_may_pass() -> None:
    inside = [c for c in CASES if c.stride > 1]
    lucky = inside[::12]
    failed = [c for c in inside if c not in lucky]
    found = condition(failed, [c for c in CASES if c not in failed])
    assert found is not None
    assert f"only when stride > 1 ({len(failed)} of the {len(inside)} such" in found.sentence


def test_coincidence_is_no_condition() -> None:
    assert condition([], CASES) is None
    assert condition(CASES[:1], CASES[1:]) is None
    rng = np.random.default_rng(0)
    told = 0
    for _ in range(40):
        chosen = set(rng.choice(len(CASES), 12, replace=False).tolist())
        failed = [c for i, c in enumerate(CASES) if i in chosen]
        told += condition(failed, [c for i, c in enumerate(CASES) if i not in chosen]) is not None
    assert told <= 4
