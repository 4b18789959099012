"""When a target is wrong: the condition that its failures have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zoo
from scipy import signal
from verified import put

from convcheck.campaign import cases
from convcheck.checks.verify.conditions import condition, cover
from convcheck.target import PARAMETERS


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
    result = put(function, 200, smaller=False)
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


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ((lambda c: c.stride > 1, lambda c: c.kernel_height == 1), ["stride > 1", "one row"]),
        (
            (lambda c: c.stride > 1, lambda c: c.dtype in ("int8", "uint8")),
            ["stride > 1", "8 bits"],
        ),
        (
            (lambda c: c.padding == 1, lambda c: c.width > 16, lambda c: c.groups > 1),
            ["padding is odd", "columns of the image", "groups > 1"],
        ),
        ((lambda c: c.stride == 2 and c.padding == 0,), ["stride is 2"]),
        ((lambda c: c.width % 4 == 1,), ["the width is 1 more than a multiple of 4"]),
        ((lambda c: c.dilation != 2,), ["dilation is not 2"]),
    ],
)
def test_several_causes_are_told_apart(parts: tuple[Any, ...], says: list[str]) -> None:
    drawn = [*cases(0, 300)]
    failed = [c for c in drawn if any(holds(c) for holds in parts)]
    found = cover(failed, [c for c in drawn if c not in failed])
    assert len(found) == len(says), [one.words for one in found]
    words = [one.words for one in found]
    assert all(any(said in one for one in words) for said in says), words
    for one in found:
        inside = [c for c in drawn if one.holds(c)]
        assert (one.failing, one.holding) == (sum(c in failed for c in inside), len(inside))


@pytest.mark.parametrize(
    ("rank", "part", "says"),
    [
        (1, lambda c: c.width > 64, "more than 64 samples of the image"),
        (1, lambda c: c.kernel_width == 1, "the kernel has one tap"),
        (3, lambda c: c.width > 64, "columns of the image"),
        (3, lambda c: c.kernel_depth == 1, "the kernel has one plane"),
    ],
)
def test_a_condition_over_other_axes_has_their_words(rank: int, part: Any, says: str) -> None:
    layouts = ("NCW", "OIW") if rank == 1 else ("NCDHW", "OIDHW")
    drawn = [c.projected(*layouts, PARAMETERS) for c in cases(0, 300)]
    failed = [c for c in drawn if part(c)]
    (only,) = cover(failed, [c for c in drawn if not part(c)])
    assert says in only.words
    assert only.failing == only.holding == len(failed)


def test_chance_makes_no_causes() -> None:
    rng = np.random.default_rng(1)
    told = 0
    for count in (3, 12, 40, 100) * 10:
        chosen = set(rng.choice(len(CASES), count, replace=False).tolist())
        failed = [c for i, c in enumerate(CASES) if i in chosen]
        told += bool(cover(failed, [c for i, c in enumerate(CASES) if i not in chosen]))
    assert told <= 4


def two_faults(x: Any, w: Any, stride: int = 1) -> Any:
    rows, columns = ((n - f) // stride + 1 for n, f in zip(x.shape[2:], w.shape[2:], strict=True))
    return zoo.conv(x, w)[:, :, :rows, :columns] + (w.shape[2] == 1)


def products(x: Any, w: Any, stride: int = 1, padding: int = 0) -> Any:
    """The products in the arrays' dtype, and the padding on one side."""
    x = np.pad(x, ((0, 0), (0, 0), (0, 2 * padding), (0, 2 * padding)))
    v = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
    v = v[:, :, ::stride, ::stride]
    wide = np.float64 if x.dtype.kind == "f" else np.int64
    kept = v[:, None] * w[None, :, :, None, None]
    return kept.sum((2, 5, 6), dtype=wide) if kept.dtype != np.float16 else zoo.conv(x, w, stride)


def test_each_cause_says_what_it_does() -> None:
    result = put(two_faults, 300)
    known = [cause for cause in result.causes if cause.when is not None]
    assert len(known) == 2, [(c.when, c.does) for c in result.causes]
    whens = ["stride > 1", "the kernel has one row"]
    does = ["its windows are one sample apart along rows and columns", "it adds 1"]
    for cause, when, done in zip(known, whens, does, strict=True):
        assert when in (cause.when or "")
        assert done in (cause.does or "")
        assert cause.smallest is not None
        assert cause.condition is not None
        assert cause.condition.holds(cause.smallest.case)
    assert sum(len(cause.cases) for cause in result.causes) == result.failed
    assert result.smallest is not None
    assert result.smallest.finding == known[0].smallest


def test_what_one_cause_does_is_not_said_of_another() -> None:
    kept: dict[Any, Any] = {}

    def function(x: Any, w: Any) -> Any:
        y = zoo.conv(x, w).astype(float)
        again = kept.setdefault(y.shape, y)
        again[...] = y + (w.shape[2] == 1)
        return again

    does = {cause.kinds: cause.does for cause in put(function, 150).causes}
    assert does[("wrong values",)] == "it adds 1"
    assert does[("overwritten by a later call",)] is None


@pytest.mark.parametrize("rank", [1, 2])
def test_what_is_wrong_beyond_a_column_is_said_so(rank: int) -> None:
    def function(x: Any, w: Any) -> Any:
        if x.ndim != rank:
            raise ValueError("other axes")
        y = signal.correlate(x.astype(float), w.astype(float), "valid", method="direct")
        y[..., 64:] = 0
        return y

    result = put(function, 120, smaller=False)
    assert f"the {'samples' if rank == 1 else 'columns'} from 64 on" in (result.does or "")


def test_what_a_dtype_does_is_no_cause_and_hides_none() -> None:
    result = put(products, 300)
    (only,) = result.causes
    assert "padding > 0" in (only.when or "")
    assert "after the image" in (only.does or "")
    assert {*result.integers} == {f"each product wraps at {d}" for d in ("uint8", "int8", "int16")}
    assert len(only.cases) + sum(result.integers.values()) == result.failed


def test_one_cause_is_one() -> None:
    (only,) = put(
        lambda x, w, stride=1: zoo.conv(x, w[:, :, ::-1] if stride > 1 else w, stride)
    ).causes
    assert (only.when or "").startswith("it is wrong")
    assert "stride > 1" in (only.when or "")
    assert put(zoo.conv, 20).causes == ()
