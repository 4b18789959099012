"""identify's report on results made by hand: every verdict, at every width, in both formats."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from typing import Any

import jsonschema
import numpy as np
import pytest

from convcheck.check import Claim
from convcheck.checks.identify import Candidate, IdentifyResult
from convcheck.checks.identify.nearest import Miss
from convcheck.checks.identify.solve import Form
from convcheck.comparison import Comparison
from convcheck.convention import Convention
from convcheck.errors import ExitCode
from convcheck.noise import Noise
from convcheck.render import export, json_report, junit, markdown, table
from convcheck.render.how import how
from convcheck.render.report import Operand, Report, Style
from convcheck.score import Score

SCHEMA = json.loads(resources.files("convcheck").joinpath("schemas/identify.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
FLAT = Convention(image_layout="HW", filter_layout="HW", output_layout="HW")
SCORE = Score(keys=12.25, numbers=3.5, exceptions=0.0, residual=198.4, literal=11264.0)
FORM = Form(
    FLAT, Claim(None, 2.0**-24, None, "float32"), Noise(2.0**-24, 0.5, 6), SCORE, np.ones(1)
)


def seen(mismatched: int = 0, total: int = 20, diff: float = 0.0, **more: Any) -> Comparison:
    values: dict[str, Any] = {"actual": 3.0, "expected": 3.0, "threshold": 0.0}
    return Comparison(mismatched, total, diff, (1, 2), agreement_bits=21.25, **{**values, **more})


def candidate(
    convention: Convention, comparison: Comparison, where: str | None = None, **more: Any
) -> Candidate:
    return Candidate(convention, comparison, **{"score": SCORE, "where": where, **more})


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
MISS = Miss(
    FLAT.replace(flip=["W"]), 0.25, -1.5e-9, seen(20, diff=1234.5), "every interior element", FORM
)
BY_HAND = {
    "identified": result(
        "identified",
        candidate(
            FLAT.replace(flip=["H", "W"], bias=[0.1] * 20, activation="relu", arithmetic="float32"),
            seen(diff=LONG, actual=LONG, expected=complex(0.1, -LONG), threshold=2 * LONG),
        ),
        expect={"flip": ("H", "W"), "padding": ((0, 0), (0, 0))},
        expect_met=True,
    ),
    "ambiguous": result(
        "ambiguous",
        *(
            candidate(FLAT.replace(stride=n), seen(), score=replace(SCORE, keys=12.25 + n))
            for n in range(1, 13)
        ),
        reasons=("W is constant",),
        remedy="use random integers",
        strict=True,
    ),
    "near-match": result(
        "near-match",
        candidate(FLAT, seen(1, diff=7.0, actual=-29.5, expected=-36.5), "row 1"),
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
    unmet = BY_HAND[verdict].expect_met is False
    assert text.startswith("not-as-expected: " if unmet else f"{verdict}: ")
    flat = " ".join(text.split())
    assert "a folder/[red]img.npy" in flat
    if verdict == "identified":
        assert f"{LONG!r} in OUT" in flat
        assert f"0.1-{LONG!r}j by this convention" in flat
        # A terminal is no place for a long list; a pipe has every number.
        cut = '"bias":[0.1,0.1,0.1, ... 20 numbers]'
        assert (cut in flat) == ("Long lists are cut" in flat) == (width is not None)
        assert (f'"bias":[{",".join(["0.1"] * 20)}]' in flat) == (width is None)
        assert 'As expected: {"flip":["H","W"],"padding":[[0,0],[0,0]]}' in flat
    for line in text.splitlines():
        if line.startswith('  {"image') and "..." not in line:
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
    assert "The first costs 215 bits; the next 216; OUT itself 11264." in ambiguous
    near = flat("near-match")
    assert near.startswith("not-as-expected: but for 1 of its 20 elements, OUT is")
    assert 'Expected: {"stride":[2,2]} It has stride 1 instead of 2.' in near
    assert "Where it does not fit: row 1. Worst element, at (1, 2): -29.5 in OUT, -36.5" in near
    assert "It costs 214 bits; OUT itself 11264." in near
    unexplained = flat("unexplained")
    assert "convcheck found no convention that makes OUT from IMG and W" in unexplained
    assert "This is not an answer. It gives 0 of the 20 elements." in unexplained
    assert "Where it differs: every interior element." in unexplained
    assert "Correlation with OUT: 0.25" in unexplained
    assert "zero point" not in unexplained
    same = "flips make no difference: the kernel is symmetric"
    sure = result("identified", candidate(FLAT, seen()), reasons=(same,))
    assert f"{same.capitalize()}." in table.render(report(sure), Style())
    strict = table.render(report(replace(sure, strict=True)), Style())
    assert "With --strict that is a failure" in strict
    sure = result("identified", candidate(FLAT, seen(diff=1e-9), algorithm="Winograd F(4,3)"))
    shown = table.render(report(sure), Style())
    assert "Elements that fit: 20 of 20, within the bound of Winograd F(4,3):" in shown
    bytewise = replace(report(BY_HAND["unexplained"]), filters=Operand("w.npy", (2, 3), "uint8"))
    assert "If W is quantized, subtract its zero point first" in table.render(bytewise, Style())
    bare = result("unexplained")
    assert "Nothing comes near it." in table.render(report(bare), Style())
    assert "none explains OUT" in how(report(bare))[1]


@pytest.mark.parametrize("verdict", BY_HAND)
def test_the_same_verdict_in_every_format(verdict: str) -> None:
    given = report(BY_HAND[verdict])
    said = json_report.to_dict(given)["verdict"]
    assert markdown.render(given).startswith(("### ✅ ", "### ❌ "))
    assert f"convcheck identify: {said}\n" in markdown.render(given)
    assert f"convcheck identify: {said}<" in export.html(given)
    if given.exit_code:
        assert f'message="{said}: ' in junit.render(given)
        assert f'type="{said}"' in junit.render(given)


def test_a_claim_is_said_as_json_has_it() -> None:
    """A slug and one number for all axes, over the axes of what was found; if need be alone."""
    line = Convention(image_layout="CW", filter_layout="OIW", output_layout="CW")
    for convention, expect, wanted in (
        (line, {"flip": "per-channel", "stride": 2}, {"flip": ["W"], "stride": [2]}),
        (FLAT, {"storage": {"dtype": "uint8"}}, {"storage": UINT8}),
        (FLAT, {"stride": [2]}, {"stride": [2]}),
        (None, {"flip": "correlation"}, {"flip": []}),
    ):
        found = [] if convention is None else [candidate(convention, seen())]
        verdict = "identified" if found else "unexplained"
        given = report(result(verdict, *found, expect=expect, expect_met=False))
        if convention is line:
            image, filters = Operand("x.npy", (3, 9), "int8"), Operand("w.npy", (2, 3, 3), "int8")
            given = replace(given, image=image, filters=filters)
        document = json_report.to_dict(given)
        VALIDATOR.validate(document)
        assert document["expect"] == wanted
        assert json.dumps(wanted, separators=(",", ":")) in table.render(given, Style())


UINT8 = {
    "dtype": "uint8",
    "zero_point": 0,
    "rounding": "half_even",
    "overflow": "saturate",
    "multiplier": "real",
}


@pytest.mark.parametrize("verdict", BY_HAND)
def test_json_by_hand_holds_to_the_schema(verdict: str) -> None:
    found = json.loads(json_report.render(report(BY_HAND[verdict])), parse_constant=pytest.fail)
    VALIDATOR.validate(found)
    unmet = BY_HAND[verdict].expect_met is False
    assert found["verdict"] == ("not-as-expected" if unmet else verdict)
    assert found["found"] == verdict
    for given in found["candidates"]:
        assert given["score"]["literal"] == 11264
        assert given["score"]["gain"] == 11264 - given["score"]["total"]
    assert found["exit_code"] == (ExitCode.OK if verdict == "identified" else ExitCode.FAILED)
    for part in (found, found["inputs"], *found["candidates"], found["nearest"] or {}):
        if part:
            part["more"] = 1
            assert not VALIDATOR.is_valid(found)
            del part["more"]


def test_an_overflow_is_null_in_json() -> None:
    endless = seen(1, diff=np.inf, actual=complex(np.inf, np.nan), expected=np.nan)
    found = result("near-match", candidate(FLAT, endless, "row 1"))
    parsed = json.loads(json_report.render(report(found)), parse_constant=pytest.fail)
    VALIDATOR.validate(parsed)
    assert parsed["candidates"][0]["actual"] == {"real": None, "imag": None}
    assert parsed["candidates"][0]["max_abs_diff"] is None
    assert "inf apart" in " ".join(table.render(report(found), Style()).split())
