"""Finite numbers of any size, one column of them wrong: an answer, whatever it is, and no error."""

from __future__ import annotations

import numpy as np
import pytest
from few import one_in

from convcheck import identify
from convcheck.testing import case

IDS = [f"0:{number}:groups=1" for number in (68, 15, 29, 33, 75, 44, 52, 80)]

VERDICTS = {"identified", "ambiguous", "near-match", "unexplained"}


@pytest.mark.parametrize("column", ["the one before", "the largest", "the smallest"])
@pytest.mark.parametrize("name", one_in(8, IDS))
def test_one_column_wrong_is_no_error(name: str, column: str) -> None:
    drawn = case(name, parameters=("stride", "padding"))
    right = drawn.expected().astype(np.float32)
    limits = np.finfo(np.float32)
    values = {"the largest": limits.max, "the smallest": limits.smallest_subnormal}
    output = right.copy()
    output[..., -1] = values.get(column, right[..., -2])
    assert np.isfinite(output).all()
    found = identify(*drawn.arrays(), output, budget=0.7)
    assert found.verdict in VERDICTS
    if column == "the largest":  # the others may be within rounding
        with pytest.raises(AssertionError, match="the output is not the one that was claimed"):
            drawn.check(output)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["0:68:groups=1", "0:75:groups=1"])
def test_nor_in_a_long_search(name: str) -> None:
    drawn = case(name, parameters=("stride", "padding"))
    output = drawn.expected().astype(np.float32)
    for wrong in (output[..., -2].copy(), np.finfo(np.float32).max):
        output[..., -1] = wrong
        assert identify(*drawn.arrays(), output, budget=6.0).verdict in VERDICTS
