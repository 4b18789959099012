"""What is explained by luck, what is near enough to search no further, and what nothing tells."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from convcheck.checks.identify import exploration
from convcheck.checks.identify.exploration import is_luck, is_near, untold
from convcheck.checks.identify.fit import judged
from convcheck.checks.sums import Problem
from convcheck.convention import Convention


@pytest.mark.parametrize(
    ("misses", "astray", "near"), [(10, 5, True), (11, 5, False), (10, 6, False), (0, 0, True)]
)
def test_a_share_of_all_and_of_what_tells_may_be_wrong(
    misses: int, astray: int, near: bool
) -> None:
    """A tenth here, of a hundred elements of which half are not their channel's ground."""
    tally = SimpleNamespace(astray=astray, seen=50)
    fit: Any = SimpleNamespace(misses=misses, shape=(1, 2, 5, 10), tally=tally)
    assert exploration._nearly(fit, 0.1) is near


def limited(lowest: int, highest: int, inside: int) -> np.ndarray:
    """Bytes, so many of them at the limits."""
    return np.repeat(np.array([0, 255, 9], np.uint8), [lowest, highest, inside])


@pytest.mark.parametrize(
    ("counts", "keys", "bits", "ways"),
    [
        # Of three inside two are what scale and bias were solved from; 15 ways, and 5 bits.
        ((4, 2, 3), {"scale": 0.5, "bias": (0.0, 7.0)}, 5.0, 15 * 2**5),
        ((4, 2, 3), {}, 2.0, 15 * 2**6),
        ((2, 4, 3), {"bias": (0.0, 7.0)}, 2.0, 15 * 2**4),
        ((4, 2, 1), {"scale": 0.5, "bias": (7.0,)}, 5.0, 15),
        ((4, 2, 0), {}, 5.0, 15),
    ],
)
def test_so_many_hypotheses_give_a_saturated_output_by_luck(
    counts: tuple[int, int, int], keys: dict[str, Any], bits: float, ways: int
) -> None:
    """More than there are ways to be at either limit, times the numbers between them."""
    c = Convention(arithmetic="saturate:uint8", **keys)
    fit: Any = SimpleNamespace(convention=c, bits=bits)
    assert not is_luck(fit, limited(*counts), ways - 1)
    assert is_luck(fit, limited(*counts), ways + 1)
    # What did not saturate says what a number says.
    for arithmetic in ("exact", "wrap:uint8", "float32"):
        fit.convention = c.replace(arithmetic=arithmetic)
        assert not is_luck(fit, limited(*counts), 10**9)


def test_as_many_hypotheses_as_there_are_ways_are_no_luck() -> None:
    fit: Any = SimpleNamespace(convention=Convention(arithmetic="saturate:uint8"), bits=2.0)
    assert not is_luck(fit, limited(0, 0, 3), 64)
    assert is_luck(fit, limited(0, 0, 3), 65)
    # Of one way there is one, and no hypothesis is none.
    assert not is_luck(fit, limited(5, 0, 0), 0)
    assert not is_luck(fit, limited(5, 0, 0), 1)
    assert is_luck(fit, limited(5, 0, 0), 2)


@pytest.mark.parametrize(
    ("last", "keys", "asked"),
    [
        ([0, 0], {}, True),
        ([0, 0.5], {}, False),
        ([3, 4], {}, False),
        ([0, 0], {"activation": None}, False),
        ([0, 0], {"groups": 1}, False),
        ([0, 0], {"groups": 3}, True),
    ],
)
def test_other_orders_are_asked_for_where_relu_left_nothing_of_a_group(
    last: list[float], keys: dict[str, Any], asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = np.full((3, 2, 2), 5.0)
    output[2] = last
    problem = Problem.of(np.ones((2, 3, 3)), np.ones((2, 1, 2, 2)), output)
    fit: Any = SimpleNamespace(convention=Convention(groups=2, activation="relu").replace(**keys))
    monkeypatch.setattr(exploration, "_altered", lambda *given: [given])
    assert list(untold(problem, [fit, fit])) == ([(problem, fit)] * 2 if asked else [])


@pytest.mark.parametrize(
    "keys",
    [
        {"arithmetic": "saturate:uint8", "bias": (-900, -900, -900)},
        # The first bias alone would be 255, but its sums lift it to what is 0 again.
        {"arithmetic": "wrap:uint8", "bias": (255.9, 256.1, 256.1), "scale": 1e-3},
        {"activation": "relu", "bias": (-900, -900, -900)},
    ],
)
def test_zeros_that_are_right_are_no_near_match(keys: dict[str, Any]) -> None:
    """All but six elements of 300 are given, and none that says more than on which side it is."""
    rng = np.random.default_rng(7)
    x, w = rng.integers(5, 10, (2, 11, 11)), rng.integers(5, 10, (3, 2, 2, 2))
    output = np.zeros((1, 3, 10, 10), np.int64 if "activation" in keys else np.uint8)
    output.flat[[3, 50, 120, 177, 230, 299]] = [47, 121, 28, 16, 9, 200]
    fit = judged(Problem.of(x, w, output[0]), Convention(**keys), output)
    assert (fit.misses, fit.tally.given) == (6, 0)
    assert not is_near(fit, 10**6)
