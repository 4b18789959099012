"""identify's report on results made by hand: every verdict, at every width, in both formats."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from typing import Any

import jsonschema
import numpy as np
import pytest

from convcheck.checks.identify import Candidate, IdentifyResult
from convcheck.checks.identify.nearest import Miss
from convcheck.comparison import Comparison
from convcheck.convention import Convention
from convcheck.errors import ExitCode
from convcheck.render import json_report, table
from convcheck.render.how import how
from convcheck.render.report import Operand, Report, Style

SCHEMA = json.loads(resources.files("convcheck").joinpath("schemas/identify.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
FLAT = Convention(image_layout="HW", filter_layout="HW", output_layout="HW")


def seen(mismatched: int = 0, total: int = 20, diff: float = 0.0, **more: Any) -> Comparison:
    values: dict[str, Any] = {"actual": 3.0, "expected": 3.0, "threshold": 0.0}
    return Comparison(mismatched, total, diff, (1, 2), agreement_bits=21.25, **{**values, **more})


def result(verdict: str, *candidates: Candidate, **more: Any) -> IdentifyResult:
    values: dict[str, Any] = {
        "nearest": None,
        "hypotheses": 1000,
        "elapsed": 0.25,
        "reasons": (),
        "remedy": None,
        "expect": None,
        "expect_met": None,
        "strict": False,
        "warnings": (),
    }
    return IdentifyResult(verdict=verdict, candidates=candidates, **{**values, **more})


def report(found: IdentifyResult) -> Report:
    return Report(
        command="identify",
        image=Operand("a folder/[red]img.npy", (6, 7), "float32"),
        filters=Operand("w.npy", (2, 3), "float32"),
        output=Operand("out.npy", (5, 5), "float32"),
        result=found,
        exit_code=found.exit_code,
    )


LONG = 1.2345678901234567e-105
MISS = Miss(FLAT.replace(flip=["W"]), 0.25, -1.5e-9, 20, 20, 1234.5, "every interior element")
BY_HAND = {
    "identified": result(
        "identified",
        Candidate(
            FLAT.replace(flip=["H", "W"], bias=[0.1], activation="relu", arithmetic="float32"),
            seen(diff=LONG, actual=LONG, expected=complex(0.1, -LONG), threshold=2 * LONG),
        ),
        expect={"flip": ("H", "W"), "padding": ((0, 0), (0, 0))},
        expect_met=True,
    ),
    "ambiguous": result(
        "ambiguous",
        *(Candidate(FLAT.replace(stride=n), seen()) for n in range(1, 13)),
        reasons=("W is constant",),
        remedy="use random integers",
        strict=True,
    ),
    "near-match": result(
        "near-match",
        Candidate(FLAT, seen(1, diff=7.0, actual=-29.5, expected=-36.5), "row 1"),
        expect={"stride": (2, 2)},
        expect_met=False,
    ),
    "unexplained": result("unexplained", nearest=MISS, expect={"flip": ()}, expect_met=False),
}


@pytest.mark.parametrize("verdict", BY_HAND)
@pytest.mark.parametrize("width", [None, 40, 80])
def test_every_number_is_whole_and_no_line_too_wide(verdict: str, width: int | None) -> None:
    given = report(BY_HAND[verdict])
    text = table.render(given, Style(width=width, unicode=False))
    assert text.isascii()
    for line in text.splitlines():
        assert len(line) <= (width or 80) or line.startswith("  "), line
    assert text.startswith(verdict)
    flat = " ".join(text.split())
    assert "a folder/[red]img.npy" in flat
    if verdict == "identified":
        assert f"{LONG!r} in OUT" in flat
        assert f"0.1-{LONG!r}j by this convention" in flat
        assert '"bias":[0.1]' in flat
        assert 'As expected: {"flip":["H","W"],"padding":[[0,0],[0,0]]}' in flat
    for line in text.splitlines():
        if line.startswith('  {"image'):
            Convention.from_dict(json.loads(line))


def test_the_sentences_of_every_verdict() -> None:
    def flat(verdict: str) -> str:
        return " ".join(table.render(report(BY_HAND[verdict]), Style()).split())

    ambiguous = flat("ambiguous")
    assert "OUT fits 12 different conventions, and this data cannot tell which" in ambiguous
    assert "Unlike 1: stride 8 instead of 1." in ambiguous
    assert "stride 9" not in ambiguous
    assert "And 4 more, which --json lists." in ambiguous
    assert "Why: W is constant." in ambiguous
    assert '"output_layout":"HW"}\' \'a folder/[red]img.npy\' w.npy' in ambiguous
    assert "With --strict" in ambiguous
    near = flat("near-match")
    assert near.startswith("near-match, and not as expected: but for 1 of its 20 elements, OUT is")
    assert 'Expected: {"stride":[2,2]} It has stride 1 instead of 2.' in near
    assert "Where it does not fit: row 1. Worst element, at (1, 2): -29.5 in OUT, -36.5" in near
    unexplained = flat("unexplained")
    assert "convcheck found no convention that makes OUT from IMG and W" in unexplained
    assert "This is not an answer. It gives 0 of the 20 elements." in unexplained
    assert "Where it differs: every interior element." in unexplained
    assert "Correlation with OUT: 0.25" in unexplained
    assert "zero point" not in unexplained
    bytewise = replace(report(BY_HAND["unexplained"]), filters=Operand("w.npy", (2, 3), "uint8"))
    assert "If W is quantised, subtract its zero point first" in table.render(bytewise, Style())
    bare = result("unexplained")
    assert "Nothing comes near it." in table.render(report(bare), Style())
    assert "none explains OUT" in how(report(bare))[1]


@pytest.mark.parametrize("verdict", BY_HAND)
def test_json_by_hand_holds_to_the_schema(verdict: str) -> None:
    found = json.loads(json_report.render(report(BY_HAND[verdict])), parse_constant=pytest.fail)
    VALIDATOR.validate(found)
    assert found["exit_code"] == (ExitCode.OK if verdict == "identified" else ExitCode.FAILED)
    for part in (found, found["inputs"], *found["candidates"], found["nearest"] or {}):
        if part:
            part["more"] = 1
            assert not VALIDATOR.is_valid(found)
            del part["more"]


def test_an_overflow_is_null_in_json() -> None:
    endless = seen(1, diff=np.inf, actual=complex(np.inf, np.nan), expected=np.nan)
    found = result("near-match", Candidate(FLAT, endless, "row 1"))
    parsed = json.loads(json_report.render(report(found)), parse_constant=pytest.fail)
    VALIDATOR.validate(parsed)
    assert parsed["candidates"][0]["actual"] == {"real": None, "imag": None}
    assert parsed["candidates"][0]["max_abs_diff"] is None
    assert "inf apart" in " ".join(table.render(report(found), Style()).split())
