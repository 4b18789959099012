"""What a target is claimed to do: slugs, JSON and the rules of padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zoo
import zoo_wrong
from few import one_in
from verified import put

import convcheck
from convcheck.campaign import cases
from convcheck.checks.verify import (
    claim,
    put_to_test,
)
from convcheck.errors import InputError
from convcheck.render.verify_words import name
from convcheck.serving import Inline
from convcheck.target import adapted

SOME = {w.name: w for w in zoo_wrong.ZOO}


def test_a_slug_claims_the_whole_operation_and_json_its_own_keys() -> None:
    swapped = SOME["kernel transposed"].function
    assert put(swapped, 10, expect="correlation").verdict == "fail"
    assert put(swapped, 10, expect='{"flip": []}').verdict == "pass"
    assert put(swapped, 10, expect='{"filter_layout": "OIWH"}').verdict == "pass"


def same(before: int) -> Any:
    """A cross-correlation that pads as SAME, the odd row after, or before."""

    def conv(x: Any, w: Any, stride: int = 1) -> Any:
        totals = [
            max((-(-n // stride) - 1) * stride + f - n, 0)
            for n, f in zip(x.shape[2:], w.shape[2:], strict=True)
        ]
        pads = [((t + before) // 2, t - (t + before) // 2) for t in totals]
        return zoo.conv(np.pad(x, ((0, 0), (0, 0), *pads)), w, stride)

    return conv


def full(x: Any, w: Any) -> Any:
    pads = ((n - 1, n - 1) for n in w.shape[2:])
    return zoo.conv(np.pad(x, ((0, 0), (0, 0), *pads)), w)


PADS = {
    "same-upper": same(0),
    "same-lower": same(1),
    "valid": lambda x, w, stride=1: zoo.conv(x, w, stride),
    "full": full,
}


@pytest.mark.parametrize("claimed", one_in(2, PADS))
@pytest.mark.parametrize("does", one_in(3, PADS))
def test_a_padding_rule_is_a_claim(claimed: str, does: str) -> None:
    result = put(PADS[does], 25, expect=f"correlation,{claimed}", smaller=False)
    assert result.verdict == ("pass" if does == claimed else "fail")
    if does != claimed:
        said = {"valid": "it does not pad by itself", "full": "it pads as full"}
        other = does.upper().replace("-", "_")
        assert result.does == said.get(does, f"it pads as {other}")


@pytest.mark.parametrize("does", one_in(4, PADS))
def test_a_padding_rule_is_claimed_in_several_ways(does: str) -> None:
    rule = does.upper().replace("-", "_")
    for expect in (does, f'{{"padding": "{rule}", "flip": []}}'):
        assert put(PADS[does], 15, expect=expect, smaller=False).verdict == "pass", expect
    assert put(PADS[does], 15, expect=f"per-channel,{does}", smaller=False).failed


def test_a_padding_rule_comes_on_top_of_what_is_asked_for() -> None:
    assert put(zoo.conv, 60, expect="valid").verdict == "pass"
    assert put(zoo.conv, 60, expect="same-upper").verdict == "fail"


def test_a_transposed_convolution_has_no_padding_rule() -> None:
    result = put(zoo.transposed, 60, layout="NCHW/IOHW", expect="same-upper")
    assert result.verdict == "fail"
    assert result.model is not None
    assert result.model.transposed


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("same", "did you mean 'same-upper'"),
        ("same-uper", "did you mean 'same-upper'"),
        ("corelation,valid", "did you mean 'correlation'"),
        ("valid,full", "two things at once"),
        ("correlation,flipped", "two things at once"),
        ("correlation,", "no convention is named ''"),
        ('{"padding": "SAME"}', "SAME_UPPER, SAME_LOWER, VALID, FULL"),
        ('{"padding": "VALID", "flips": []}', "no key 'flips'"),
    ],
)
def test_what_is_no_claim(text: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        claim(text)
    error = caught.value
    assert says in f"{error.what} {error.expected} {error.hint}"


def test_a_parameter_that_takes_words_is_not_passed_numbers() -> None:
    def worded(x: Any, w: Any, stride: int = 1, padding: str = "valid") -> Any:
        if padding not in ("same", "valid"):
            raise ValueError(f"padding must be 'same' or 'valid', not {padding!r}")
        return same(0)(x, w, stride) if padding == "same" else zoo.conv(x, w, stride)

    result = put(worded, 30, expect="valid")
    assert (result.verdict, result.model.parameters) == ("pass", ("stride",))
    call = "f(x, w, stride, padding='same')"
    assert convcheck.verify(worded, cases=30, call=call, expect="same-upper").verdict == "pass"


def test_half_the_kernel_on_both_sides_is_a_rule_of_its_own() -> None:
    def conv(x, w):
        high, wide = (n // 2 for n in w.shape[2:])
        return zoo.conv(np.pad(x, ((0, 0), (0, 0), (high, high), (wide, wide))), w)

    result = put(conv, 60)
    assert result.verdict == "pass", result.findings
    assert name(result).endswith("zero padding, half the kernel on both sides, float64")
    larger = [case for case in cases(0, 150) if case.number >= 60]
    runner, claimed = Inline(adapted(conv, "f"), ()), claim("correlation,same-upper")
    result = put_to_test(runner, larger, expect=claimed, smaller=False, patience=0.0)
    assert result.does == "it pads as half the kernel on both sides"
