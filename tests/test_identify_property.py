"""identify, on drawn conventions: what it names gives the output, by another reading as well."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import identify_software
import numpy as np
import pytest
import reference_reading
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from identify_cases import Case, draw, same_function

from convcheck.checks.identify import identify
from convcheck.convention import PRECISIONS

SMALL = 150
"""Output elements up to which the reading in plain loops is quick enough."""


def outcome(case: Case) -> str:
    """The verdict, after everything that an explanation must be was asked of it."""
    result = identify(case.image, case.filters, case.output)
    if result.verdict not in ("identified", "ambiguous"):
        return result.verdict
    named = [c.convention for c in result.candidates]
    truth = case.convention
    # That several constants beyond the edge do as well is told by two of them; and like scales and
    # biases they are no further known than rounding leaves them.
    rounded = ":" in truth.arithmetic
    known = result.verdict == "identified" and not rounded
    constant = [c for c in named if c.padding_mode == "constant" and (rounded or c.padding_value)]
    alike = [c.replace(padding_value=truth.padding_value) for c in constant]
    searched = named if known else [*named, *alike]
    found = [c for c in searched if same_function(c, truth, case.image, case.filters)]
    plainest = any("only the plainest are listed" in reason for reason in result.reasons)
    assert found or plainest, (truth, named)
    for convention in named[:1]:
        arithmetic = convention.arithmetic
        if case.output.size > SMALL or "f" not in case.output.dtype.kind + "iu":
            continue
        exact = reference_reading.convolve(case.image, case.filters, convention)
        assert exact.shape == case.output.shape
        # By 1/9 the scale itself is rounded, and so is each product with it.
        digital = Fraction(convention.scale).denominator < 2**20
        if ":" in arithmetic or (arithmetic == "exact" and digital):
            if ":" in arithmetic:
                rounded = [reference_reading.round_to(v, arithmetic) for v in exact.ravel()]
            else:
                rounded = [float(v) for v in exact.ravel()]
            assert rounded == case.output.ravel().tolist(), convention
        else:
            size = float(np.abs(case.output).max())
            unit = 64 * max(PRECISIONS[arithmetic], PRECISIONS["float64"])
            away = max(
                abs(float(v) - float(y))
                for v, y in zip(exact.ravel(), case.output.ravel(), strict=True)
            )
            assert away <= unit * size, convention
    return result.verdict


@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**6), st.sampled_from(["ints", "normal", "normal32"]))
@example(203051, "normal")  # all zeros after ReLU
@example(203051, "ints")
def test_nothing_is_named_that_is_not_so(seed: int, data: str) -> None:
    outcome(draw(seed, data=data))


@pytest.mark.parametrize(
    ("seed", "data", "verdict"),
    [
        (71051, "normal32", "identified"),  # a result of few bits, of sums of all
        (14070, "normal32", "identified"),  # the same around an unknown border
        (72067, "ints", "identified"),  # a border of scaled numbers that wrapped
        (71259, "normal", "identified"),  # and with the channels in another order
        (71002, "normal32", "ambiguous"),  # biases that a border's constant is as well
        (
            92565,
            "normal",
            "identified",
        ),  # a constant where the edge repeated gives most in few bits
        (92330, "ints", "identified"),  # a constant that few bits would explain as rounding
        (71028, "ints", "ambiguous"),  # a border that rounding leaves open
        (14059, "normal32", "ambiguous"),  # a border of which ReLU left nothing
        (92089, "normal32", "ambiguous"),  # all zeros, so that only the plainest are listed
        (90009, "ints", "ambiguous"),  # filters that copy single elements
        (73010, "ints", "identified"),  # numbers that wrapped, of channels of eight elements
    ],
)
def test_a_border_that_hardly_shows(seed: int, data: str, verdict: str) -> None:
    assert outcome(draw(seed, data=data)) == verdict


@pytest.mark.parametrize("seed", range(12))
def test_what_software_makes_is_found(seed: int) -> None:
    assert outcome(identify_software.draw(seed)) in ("identified", "ambiguous")


@pytest.mark.campaign
def test_hundreds_that_software_makes() -> None:
    missed = [
        seed
        for seed in range(10**6, 10**6 + 1000)
        if outcome(identify_software.draw(seed)) not in ("identified", "ambiguous")
    ]
    assert len(missed) <= 2, missed


@pytest.mark.parametrize("data", ["ints", "normal32"])
def test_nearly_all_are_found(data: str) -> None:
    verdicts = Counter(outcome(draw(seed, data=data)) for seed in range(100, 107))
    assert verdicts["identified"] + verdicts["ambiguous"] >= 6, verdicts


@pytest.mark.campaign
@pytest.mark.parametrize("data", ["ints", "normal", "normal32"])
def test_thousands(data: str) -> None:
    verdicts = Counter(outcome(draw(seed, data=data)) for seed in range(10**6, 10**6 + 2000))
    assert verdicts["identified"] + verdicts["ambiguous"] >= 0.95 * 2000, verdicts
