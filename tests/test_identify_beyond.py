"""What is beyond the edge of integers that wrapped, where hardly a window is clear of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from convcheck.checks.identify.fit import confirm
from convcheck.checks.identify.judges import modular_bordered
from convcheck.checks.identify.readings import Reading, readings
from convcheck.checks.identify.samples import choose_samples
from convcheck.checks.identify.stages import passes, survey
from convcheck.checks.identify.wrapped import BEYOND, PADS, wrapped_borders
from convcheck.checks.sums import Linear, Problem
from convcheck.convention import Convention
from convcheck.engine import convolve, to_axes

RNG = np.random.default_rng(71)
X, W = RNG.integers(-9, 10, (4, 5, 11)), RNG.integers(-9, 10, (3, 4, 4, 3))
AROUND = Convention(dilation=2, padding=((3, 3), (2, 2)), arithmetic="wrap:uint8")
"""Every window of X reaches over its edge."""


def made(convention: Convention) -> tuple[Problem, np.ndarray]:
    output = convolve(X, W, convention)
    return Problem.of(X, W, output), to_axes(output, convention.output_layout, "NOHW")


def unsaid(convention: Convention) -> Convention:
    """What a search says of it."""
    return convention.replace(scale=1.0, bias=None, arithmetic="exact", padding_value=0.0)


def reading(problem: Problem) -> Reading:
    plain = unsaid(AROUND).replace(dilation=1, padding=0)
    (one,) = (r for r in readings(X, W, problem.output) if r.base == plain)
    return one


@pytest.mark.parametrize(
    "after",
    [
        {"padding_value": 3.0},
        {"padding_value": -1.5, "scale": 0.25},
        {"padding_value": 128.0, "scale": 1 / 12},
        {"padding_value": -9.0, "bias": (3.0, 150.0, -7.0)},
        {"padding_value": 77.0, "arithmetic": "wrap:int16", "scale": 16.0},
    ],
)
def test_the_number_beyond_the_edge_is_solved_for(after: dict[str, object]) -> None:
    truth = AROUND.replace(**after)
    problem, output = made(truth)
    fit = confirm(problem, unsaid(truth), output)
    if truth.scale > 1:  # none of the usual scales
        assert fit is not None
        assert fit.misses
        return
    assert fit is not None
    assert not fit.misses
    found = fit.convention
    assert (found.padding_value, found.arithmetic) == (truth.padding_value, truth.arithmetic)
    assert found.scale == truth.scale


def test_each_scale_asks_for_its_own_number_or_none() -> None:
    truth = AROUND.replace(padding_value=3.0, scale=0.25)
    problem, output = made(truth)
    usable = np.ones(output.shape, bool)
    assert list(wrapped_borders(Linear(problem, unsaid(truth)), output, usable)) == [3.0]
    # By another convention there is none.
    for other in ({"flip": ("H",)}, {"padding": ((2, 4), (2, 2))}):
        linear = Linear(problem, unsaid(truth).replace(**other))
        assert list(wrapped_borders(linear, output, usable)) == []
    # Three elements and those that they are compared to say nothing yet.
    problem, output = made(AROUND.replace(padding_value=3.0))
    for few in (3, 4):
        usable[:] = False
        usable[0, 0, : few + 1, 0] = True
        found = list(wrapped_borders(Linear(problem, unsaid(truth)), output, usable))
        assert (3.0 in found) is (few == 4)


def test_all_that_may_be_beyond_the_edge() -> None:
    assert sorted(BEYOND) == sorted({*range(-255, 256), *(n / 2 for n in range(-15, 16, 2))})
    assert set(PADS) <= set(BEYOND)
    assert list(map(abs, BEYOND)) == sorted(map(abs, BEYOND))


@pytest.mark.parametrize(
    ("scale", "number", "order"),
    [
        (1.0, 3.0, None),
        (0.25, -1.5, None),
        (1 / 12, 255.0, None),
        (0.25, 3.0, (2, 0, 3, 1)),
    ],
)
def test_the_search_comes_upon_it(
    scale: float, number: float, order: tuple[int, ...] | None
) -> None:
    truth = AROUND.replace(padding_value=number, scale=scale, channel_order=order)
    problem, _ = made(truth)
    (one,) = (
        one
        for one in passes(problem)[1]
        if one.judges == (modular_bordered,) and one.shuffled is (order is not None)
        if not one.undilated
    )
    (surveyed,) = survey(one, [reading(problem)], 1e9).found
    assert unsaid(truth) in [hypothesis.convention for hypothesis in surveyed]
    assert len(surveyed) < 20


def test_only_what_may_have_wrapped_has_such_a_pass() -> None:
    for convention, some in (
        (AROUND, True),
        (AROUND.replace(arithmetic="saturate:uint8"), True),
        (AROUND.replace(arithmetic="exact"), False),
    ):
        asked = [one for one in passes(made(convention)[0])[1] if modular_bordered in one.judges]
        assert bool(asked) is some
        assert [one.shuffled for one in asked if not one.undilated] == [False, True] * some
        assert [one.shuffled for one in asked if one.undilated] == [False, True] * some
        assert all(one.bordered and one.one_channel and one.everywhere for one in asked)


def judged(off: float = 0.0, wrong: int = 0, number: float = 3.0) -> tuple[bool, float]:
    """Whether sums are worth another look, and their votes, so many of them wrong by ``off``."""
    truth = AROUND.replace(padding_value=number, arithmetic="exact")
    problem, output = made(truth)
    wrapped = (output % 256).astype(np.uint8)
    samples = choose_samples(wrapped, 60, np.isfinite, one_channel=True, everywhere=True)
    judge = modular_bordered(samples, replace(reading(problem), output=wrapped))
    linear = Linear(problem, unsaid(truth))
    at = tuple(np.array([s.index for s in samples]).T)
    sums, edges = linear.values[at].astype(float), linear.edge[at].astype(float)
    sums[2 : 2 + wrong] += off
    seen = {s: sums[s : s + 1] if s >= 0 else edges[~s : ~s + 1] for s in judge.first}
    votes = judge.votes(np.concatenate([sums, edges])[:, None])
    return bool(judge.alive(seen)[0]), float(votes[0])


def test_all_but_one_of_the_first_must_fit() -> None:
    count = 55
    assert judged() == (True, count)
    assert judged(2.0, 4) == (True, count)
    assert judged(64.0, 1) == (True, count - 1)
    assert judged(64.0, 2) == (False, count - 2)
    assert judged(64.0, 40)[1] == 0


def test_other_numbers_beyond_the_edge_are_not_looked_for() -> None:
    assert judged(number=255.0)[0]
    alive, votes = judged(number=50.0)
    assert not alive
    assert votes == 0
