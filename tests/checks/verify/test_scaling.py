"""A factor or a number added after the sums: learnt from outputs, or not."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import zoo
from few import rows_in
from verified import put

from convcheck.render.verify_words import name


@pytest.mark.parametrize(
    ("after_sums", "says"),
    rows_in(
        2,
        [
            (lambda y: y / 9, "times 1/9, float64"),
            (lambda y: y * np.sqrt(0.5), "times 0.7071067811865476, float64"),
            (lambda y: y + 1 / 3, "plus a bias of 1/3, float64"),
            (lambda y: np.maximum(y / 9, 0), "times 1/9, then ReLU, float64"),
        ],
    ),
)
def test_a_factor_or_a_number_added_is_learnt_to_the_last_digit(after_sums: Any, says: str) -> None:
    result = put(lambda x, w: after_sums(zoo.conv(x, w)), 100)
    assert result.verdict == "pass", result.findings
    assert name(result).endswith(says)


def test_a_factor_of_a_float32_layer_is_learnt_from_its_float64() -> None:
    def conv(x, w):
        y = zoo.conv(x, w) * np.sqrt(0.5)
        return y.astype(np.float32) if x.dtype == np.float32 else y

    assert put(conv, 100).verdict == "pass"


def test_a_factor_that_only_most_outputs_have_is_still_a_finding() -> None:
    def conv(x, w):
        y = zoo.conv(x, w) / 9
        y[..., -1] *= 1 + 1e-3 * (w.shape[3] == 2)
        return y

    result = put(conv, 60)
    assert result.does == "all that is wrong lies in the last column"
    assert name(result).endswith("times 1/9, float64")


def test_a_factor_of_nothing_is_not_learnt() -> None:
    def counts(x: Any, w: Any, _calls: Any = itertools.count()) -> Any:  # noqa: B008
        return np.full_like(zoo.conv(x, w), next(_calls), dtype=float)

    result = put(counts, 10, layout="NCHW")
    assert result.verdict == "unexplained"
