"""What a target has inside it: a padding, a stride, a dilation, modes, rules, dtypes' limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from few import rows_in, slow
from numpy.lib.stride_tricks import sliding_window_view
from verified import put
from zoo import conv

from convcheck.checks.verify.integers import overflowing
from convcheck.convention import Convention
from convcheck.render.verify_words import name


def _padded(x: Any, pads: Any, mode: str = "constant") -> Any:
    return np.pad(x, ((0, 0), (0, 0), *pads), mode=mode)


def downsampling(x, w):
    return conv(_padded(x, [(1, 1), (1, 1)]), w, stride=2)


def one_sided(x, w):
    """As Keras has it before a stride."""
    return conv(_padded(x, [(0, 1), (0, 1)]), w, stride=2)


def dilated(x, w, padding=0):
    return conv(x, w, padding=padding, dilation=2)


def uneven(x, w):
    return conv(_padded(x, [(2, 2), (1, 1)]), w)


def mirrored(x, w, stride=1):
    return conv(_padded(x, [(2, 2), (2, 2)], "reflect"), w, stride)


def _explicit(mode: str) -> Any:
    def function(x, w, stride=1, padding=0):
        return conv(_padded(x, [(padding, padding)] * 2, mode), w, stride)

    return function


@pytest.mark.parametrize(
    ("function", "says"),
    rows_in(
        3,
        [
            (downsampling, "zero padding, padded 1, stride 2, float64"),
            (one_sided, "padded 0 before and 1 after, stride 2"),
            (dilated, "zero padding, dilation 2"),
            (uneven, "padded (2, 1)"),
            (mirrored, "(reflect), padded 2"),
            *((_explicit(mode), f"({mode}") for mode in ("reflect", "symmetric", "edge", "wrap")),
        ],
    ),
)
def test_a_constant_inside_a_target_is_its_convention(function: Any, says: str) -> None:
    result = put(function, 60)
    assert result.verdict == "pass", (name(result), result.findings[:2])
    assert says in name(result)


@pytest.mark.parametrize("rule", [slow("SAME_UPPER"), "FULL", "no padding"])
def test_a_rule_is_named_although_every_output_has_a_wrong_element(rule: str) -> None:
    def function(x, w):
        pads = [{"SAME_UPPER": n - 1, "FULL": 2 * n - 2}.get(rule, 0) for n in w.shape[2:]]
        y = conv(_padded(x, [(p // 2, p - p // 2) for p in pads]), w)
        y[:, 0, -1, 0] += 1000
        return y

    result = put(function, 20, smaller=False)
    assert result.failed >= result.ran - 1
    assert rule in name(result)


def test_a_padding_that_is_wrong_in_one_case_is_no_constant() -> None:
    def function(x, w):
        return conv(_padded(x, [(2, 2), (2, 2)]) if w.shape[3] > 3 else x, w)

    assert put(function, 40, smaller=False).verdict == "fail"


def _windows(x: Any, w: Any) -> Any:
    return sliding_window_view(x, w.shape) * w


def products(x, w):
    return _windows(x, w).sum((2, 3), dtype=np.int64 if x.dtype.kind in "iu" else None)


def sums(x, w):
    y = _windows(x.astype(np.float64), w.astype(np.float64)).sum((2, 3))
    return y.astype(np.int64).astype(x.dtype).astype(np.int64) if x.dtype.kind in "iu" else y


@pytest.mark.parametrize(
    ("function", "rule"),
    rows_in(2, [(products, "each product wraps at int8"), (sums, "sums wrap at int8")]),
)
def test_what_a_dtype_does_to_integers_is_said_once(function: Any, rule: str) -> None:
    result = put(function, 150)
    assert result.verdict == "fail"
    assert result.integers[rule] >= 1
    assert sum(result.integers.values()) == result.failed
    assert {f.kind for f in result.findings} == {"integer overflow"}
    assert len(result.findings) < 6
    assert result.when is None


@pytest.mark.parametrize(
    ("image", "filters", "dtype", "rule"),
    [
        ("uint8", "float32", "uint8", "sums wrap at uint8"),  # floats that are whole
        ("uint8", "int8", "int16", "sums wrap at int16"),
        ("uint8", "int8", "int8", "sums wrap at int8"),
        ("uint8", "uint8", "int16", "sums wrap at int16"),  # what adds up has a sign
        ("int16", "int16", "uint8", None),  # which would lose the image itself
        ("float32", "float32", "int16", None),
    ],
)
def test_rules_are_those_of_either_operand(
    image: str, filters: str, dtype: str, rule: str | None
) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(90, 120, (1, 8, 6, 7)).astype(image)
    w = rng.integers(90, 120, (2, 8, 3, 3)).astype(filters)
    wrapped = conv(x.astype(np.int64), w.astype(np.int64)).astype(dtype).astype(np.int64)
    convention = Convention("NCHW", "OIHW", "NCHW")
    assert overflowing(x, w, wrapped, convention) == rule


@pytest.mark.parametrize(("dtype", "kept"), [("int8", -128), ("uint8", 128)])
def test_products_wrap_at_the_dtype_of_either_operand(dtype: str, kept: int) -> None:
    x, w = np.full((1, 1, 4, 4), 255, np.uint8), np.full((1, 1, 3, 3), -128, np.int8)
    convention = Convention("NCHW", "OIHW", "NCHW")
    y = np.full((1, 1, 2, 2), 9 * kept)
    assert overflowing(x, w, y, convention) == f"each product wraps at {dtype}"
    assert overflowing(x, w, y + 1, convention) is None


@pytest.mark.slow
def test_what_a_dtype_does_hides_nothing_else() -> None:
    def function(x, w, stride=1):
        y = products(x, w)[::stride, ::stride]
        return y + (stride > 1)

    result = put(function, 150, smaller=False)
    assert "stride > 1" in (result.when or "")
    assert result.integers
    assert result.findings[0].kind == "wrong values"
