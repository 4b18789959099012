"""What fits in other orders of the channels too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from test_identify_exploration import ALIKE, COMMON, DRAWN, RARE, Script, searched

from convcheck.checks.identify import exploration
from convcheck.checks.identify.exploration import untold
from convcheck.checks.identify.fit import judged
from convcheck.checks.sums import Problem
from convcheck.convention import Convention
from convcheck.engine import convolve, to_axes

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from convcheck.checks.identify.tally import Confirmed


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
    monkeypatch.setattr(exploration, "_altered", lambda _, fit: [fit])
    assert orders(monkeypatch, loud, nothing) == {None}


def test_without_relu_or_groups_there_is_nothing_to_look_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exploration, "_altered", lambda _, fit: [fit])
    assert orders(monkeypatch, SILENT.replace(activation=None), nothing) == set()
    w = DRAWN[5000:5064].reshape(4, 4, 2, 2)
    whole = SILENT.replace(groups=1)
    output = convolve(X, w, whole)
    fit = judged(Problem.of(X, w, output), whole, output[None])
    assert list(untold(Problem.of(X, w, output), [fit])) == []
