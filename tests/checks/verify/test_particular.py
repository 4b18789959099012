"""What few draws come to: sizes of real networks, NaN, two dtypes, results that do not last."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pytest
import zoo
from few import one_in, rows_in
from verified import put
from zoo import conv

from convcheck.campaign import Case, case, cases, parse_id
from convcheck.checks.verify import judge
from convcheck.convention import Convention
from convcheck.engine import convolve
from convcheck.particular import PARTICULAR


def test_every_campaign_of_300_has_them() -> None:
    drawn = [*cases(0, 300)]
    assert all(c.fits for c in drawn)
    assert all(parse_id(c.id) == c for c in drawn)
    assert sum(c.width > 64 for c in drawn) >= 8
    assert sum(c.width > 128 for c in drawn) >= 4
    assert sum(c.holds_nan for c in drawn) >= 4
    assert sum(c.mixed for c in drawn) >= 3
    assert any(c.padding > max(c.taps) for c in drawn)
    assert any(c.stride > max(c.taps) for c in drawn)
    for network in (
        {"kernel_height": 7, "stride": 2},
        {"kernel_height": 11, "stride": 4},
        {"kernel_height": 1, "kernel_width": 1, "channels": 256},
        {"channels": 16, "groups": 16, "filters": 16},
        {"height": 224, "width": 224},
        {"batch": 8},
    ):
        assert any(all(getattr(c, k) == v for k, v in network.items()) for c in drawn), network


def test_the_large_ones_are_few_and_last() -> None:
    costs = [Case(0, 0, **keys).cost for keys in PARTICULAR]
    assert sum(costs[:22]) < 1_000_000
    assert sum(costs) < 9_000_000


@pytest.mark.parametrize("known", one_in(3, ["taps", "einsum", "im2col", "fourier", "single"]))
def test_right_ones_pass_a_whole_campaign(known: str) -> None:
    result = put(zoo.RIGHT[known], 300)
    assert result.verdict == "pass", result.findings
    assert not result.skipped
    spread = any("one NaN spreads to all" in note for note in result.notes)
    assert spread is (known == "fourier")


def by_shape(x, w, stride=1, _kept={}):  # noqa: B006 - it is to last
    w = _kept.setdefault((x.shape, w.shape), w.copy())
    return conv(x, w, stride)


def reused(x, w, _kept={}):  # noqa: B006 - likewise
    y = conv(x, w).astype(np.float64)
    kept = _kept.setdefault(y.shape, y)
    kept[...] = y
    return kept


def swallowing(x, w):
    return conv(np.where(np.isnan(x), 0, x), w)


def clipping(x, w):
    return conv(np.where(np.isinf(x), 0, x), w)


def narrow(x, w):
    y = conv(x, w)
    return y.astype(np.int32).astype(np.int64) if y.dtype.kind == "i" else y


def one_dtype(x, w):
    return conv(x, w.astype(x.dtype))


def wide(x, w):
    y = conv(x, w)
    y[..., 128:] = 0
    return y


@pytest.mark.parametrize(
    ("function", "kind", "says"),
    rows_in(
        3,
        [
            (by_shape, "kept from an earlier call", "an earlier call"),
            (reused, "overwritten by a later call", "a later call overwrites"),
            (swallowing, "wrong values", "the image holds NaN and infinities"),
            (clipping, "wrong values", "the image holds NaN and infinities"),
            (narrow, "integer overflow", "sums wrap at int32"),
            (one_dtype, "wrong values", "two dtypes"),
            (wide, "wrong values", "columns of the image"),
        ],
    ),
)
def test_what_only_they_show(function: Any, kind: str, says: str) -> None:
    result = put(function, 300, smaller=False)
    assert result.verdict == "fail"
    assert {f.kind for f in result.findings} == {kind}
    assert says in (result.when or "") + "".join(f.detail for f in result.findings)


def picky(x, w):
    if not np.isfinite(x).all():
        raise ValueError("the image is not finite")
    if x.dtype != w.dtype:
        raise ValueError("two dtypes")
    return conv(x, w)


def test_what_refuses_them_is_not_accused() -> None:
    result = put(picky, 300)
    assert result.verdict == "pass"
    assert {*result.skipped} == {
        "refuses NaN and infinities: ValueError: the image is not finite",
        "ValueError: two dtypes",
    }


def test_integers_hold_no_nan() -> None:
    result = put(lambda x, w: np.rint(conv(np.nan_to_num(x), w)).astype(np.int64), 20)
    assert not any(f.case.holds_nan for f in result.findings)


NAN = np.ones((2, 1, 5, 6))
NAN[0, 0, 1, 1] = np.nan
ONES = np.ones((1, 1, 2, 2))


def test_nan_comes_out_where_a_window_meets_it() -> None:
    plain = Convention("NCHW", "OIHW", "NCHW")
    right = convolve(np.nan_to_num(NAN), ONES, plain)
    assert not judge(NAN, ONES, right, plain).passed
    met = right.copy()
    met[0, 0, :2, :2] = np.nan
    assert judge(NAN, ONES, met, plain).passed
    assert judge(NAN, ONES, met, plain).note is None
    spoiled = met.copy()
    spoiled[1, 0, 3, 3] += 1
    assert judge(NAN, ONES, spoiled, plain).kind == "wrong values"
    spread = met.copy()
    spread[0, 0, 0] = np.inf
    assert "beyond the windows" in (judge(NAN, ONES, spread, plain).note or "")
    crossed = met.copy()
    crossed[1, 0, 0, 0] = np.nan
    assert judge(NAN, ONES, crossed, plain).kind == "not finite"


@pytest.mark.slow
def test_a_slow_target_ends() -> None:
    def slow(x, w, stride=1, padding=0):
        time.sleep(4e-7 * Case(0, 0, *x.shape, *w.shape[::2][:1], *w.shape[2:]).cost)
        return conv(x, w, stride, padding)

    begun = time.perf_counter()
    result = put(slow, 300)
    assert result.verdict == "pass", result.findings
    assert {*result.skipped} <= {"too large for a target that is so slow"}
    assert sum(result.skipped.values()) < 60
    assert time.perf_counter() - begun < 40


def test_a_case_and_the_one_in_between_differ() -> None:
    for number in itertools.islice(itertools.count(3, 4), 20):
        drawn = case(0, number)
        assert drawn.in_turns
        if drawn.values != "zeros":
            one, other = drawn.arrays()[1], drawn.other.arrays()[1]
            assert one.shape == other.shape
            assert one.size < 3 or not np.array_equal(one, other)
