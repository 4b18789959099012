"""What fits in other orders of the channels too, and what fits by luck alone."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from test_identify_exploration import ALIKE, COMMON, DRAWN, RARE, Script, searched

from convcheck.checks.identify import exploration
from convcheck.checks.identify.exploration import is_luck, untold
from convcheck.checks.identify.fit import judged
from convcheck.checks.sums import Problem
from convcheck.convention import Convention
from convcheck.engine import convolve, to_axes

if TYPE_CHECKING:
    from collections.abc import Callable

    from convcheck.checks.identify.tally import Confirmed

# --- other orders -------------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "confirmed"), [(1, 1), (2, 1 + 2)])
def test_every_order_of_two_channels_is_tried_and_none_of_one(
    channels: int, confirmed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = DRAWN[: channels * 420].reshape(channels, 21, 20)
    w = DRAWN[5000 : 5000 + 24 * channels].reshape(6, channels, 2, 2)
    plain = Convention()
    output = convolve(x, w, plain)
    output[0, :5] += 1000
    script = Script(monkeypatch, (COMMON, [{plain: ALIKE}]), (RARE, [{}]))
    seen = searched(output, x, w)
    assert len(script.asked) == 1
    assert len(script.confirmed) == confirmed
    assert all(fit.misses for fit in seen.fits)


X, W = DRAWN[:1680].reshape(4, 21, 20), DRAWN[5000:5032].reshape(4, 2, 2, 2)
SILENT = Convention(groups=2, bias=(0.0, 0.0, -9999.0, -9999.0), activation="relu")


def orders(
    monkeypatch: pytest.MonkeyPatch, convention: Convention, change: Callable[[Any], None]
) -> set[tuple[int, ...] | None]:
    """The orders that give the output as well, once something was done to it."""
    monkeypatch.setattr(exploration, "confirm", as_it_is)
    output = convolve(X, W, convention)
    change(output)
    problem = Problem.of(X, W, output)
    fit = judged(problem, convention, to_axes(output, "OHW", "NOHW"))
    return {found.convention.channel_order for found in untold(problem, [fit])}


def as_it_is(problem: Problem, convention: Convention, output: np.ndarray) -> Confirmed:
    """The bias is known: nothing is solved for."""
    bias = SILENT.bias if convention.groups > 1 else None
    return judged(problem, convention.replace(bias=bias, activation="relu"), output)


def nothing(_: np.ndarray) -> None:
    """Leave it as it is."""


def test_a_group_of_which_relu_left_nothing_reads_any_channels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert orders(monkeypatch, SILENT, nothing) == {None, (0, 1, 3, 2)}


def a_trace(output: np.ndarray) -> None:
    output[2:, 0, 0] = 0.5


def test_a_group_that_shows_something_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert orders(monkeypatch, SILENT, a_trace) == set()
    shown = SILENT.replace(bias=(0.0,) * 4)
    assert orders(monkeypatch, shown, nothing) == set()
    # One silent channel is enough to look.
    loud = SILENT.replace(bias=(0.0, 0.0, 0.0, -9999.0))
    monkeypatch.setattr(exploration, "_reordered", lambda _, fit: [fit])
    assert orders(monkeypatch, loud, nothing) == {None}


def test_without_relu_or_groups_there_is_nothing_to_look_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exploration, "_reordered", lambda _, fit: [fit])
    assert orders(monkeypatch, SILENT.replace(activation=None), nothing) == set()
    w = DRAWN[5000:5064].reshape(4, 4, 2, 2)
    whole = SILENT.replace(groups=1)
    output = convolve(X, w, whole)
    fit = judged(Problem.of(X, w, output), whole, output[None])
    assert list(untold(Problem.of(X, w, output), [fit])) == []


# --- luck ---------------------------------------------------------------------------------------


def a_fit(bits: float = 1.0, **keys: Any) -> Any:
    convention = Convention(**{"arithmetic": "saturate:uint8", **keys})
    return SimpleNamespace(convention=convention, bits=bits)


def at_limits(lowest: int, highest: int, inside: int) -> np.ndarray:
    return np.repeat([0, 255, 7], [lowest, highest, inside]).astype(np.uint8)


@pytest.mark.parametrize(
    ("output", "keys", "said"),
    [
        # Each number within the limits says its bits.
        (at_limits(0, 0, 5), {"bits": 2.0}, 10),
        # In how many ways 4 of 16 can be the highest.
        (at_limits(12, 4, 0), {}, math.log2(1820)),
        (at_limits(4, 12, 0), {}, math.log2(1820)),
        (at_limits(12, 4, 3), {"bits": 2.0}, math.log2(1820) + 6),
        # What was solved for says nothing.
        (at_limits(12, 4, 3), {"scale": 0.5}, math.log2(1820) + 2),
        (at_limits(12, 4, 3), {"scale": 0.5, "bias": (2.0, 0.0, 1.0)}, math.log2(1820)),
        (at_limits(12, 4, 3), {"bias": (2.0,) * 5}, math.log2(1820)),
        (at_limits(12, 4, 0), {"bias": (2.0,) * 5}, math.log2(1820)),
    ],
)
def test_so_many_hypotheses_give_it_by_luck(
    output: np.ndarray, keys: dict[str, Any], said: float
) -> None:
    enough = 2**said
    assert is_luck(a_fit(**keys), output, math.ceil(enough * 1.001))
    assert not is_luck(a_fit(**keys), output, math.floor(enough * 0.999))


def test_luck_is_of_what_saturates() -> None:
    output = at_limits(1, 1, 0)
    assert is_luck(a_fit(), output, 10**6)
    for arithmetic in ("exact", "wrap:uint8", "float32"):
        assert not is_luck(a_fit(arithmetic=arithmetic), output, 10**6)
    # Of no hypotheses, or one, nothing is luck.
    everything = at_limits(1, 0, 0)
    for few in (0, 1):
        assert not is_luck(a_fit(), everything, few)
    assert is_luck(a_fit(), everything, 2)


# --- nearly -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("misses", "astray", "found"), [(20, 5, True), (21, 5, False), (20, 6, False), (0, 0, True)]
)
def test_a_tenth_of_all_may_be_wrong_and_a_tenth_of_what_tells(
    misses: int, astray: int, found: bool
) -> None:
    tally = SimpleNamespace(astray=astray, seen=50)
    fit: Any = SimpleNamespace(misses=misses, shape=(1, 4, 5, 10), tally=tally)
    assert exploration._nearly(fit, 0.1) is found
