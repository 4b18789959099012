"""Layers as software makes them: a short attack every time, the long one as a campaign."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

import layers

import convcheck

pytestmark = pytest.mark.filterwarnings("ignore:.*quantized:UserWarning")


@pytest.mark.slow
def test_layers_are_identified() -> None:
    results = [(case.words, verdict) for case, verdict in layers.attack(12, seed=5)]
    assert [(words, v.said) for words, v in results if v.result == "false"] == []
    assert sum(v.result == "missed" for _, v in results) <= 3


@pytest.mark.campaign
def test_no_layer_of_a_thousand_is_called_another() -> None:
    assert layers.main(["1000"]) == 0


def test_a_case_is_a_function_of_its_number() -> None:
    one, other = (layers.drawn(5, 1) for _ in range(2))
    np.testing.assert_array_equal(one.output, other.output)
    assert one.words == other.words


def test_false_answers_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(c for c in (layers.drawn(5, n) for n in range(20)) if "floats: plain" in c.kind)
    truth = convcheck.identify(case.image, case.filters, case.output)
    assert layers.judged(case).result == "right"
    convention = truth.candidates[0].convention
    scale = (np.asarray(convention.scale) * 1.01).tolist()
    other = convention.replace(scale=scale)
    for verdict, result in (("identified", "false"), ("ambiguous", "missed")):
        said = SimpleNamespace(verdict=verdict, candidates=[SimpleNamespace(convention=other)])
        monkeypatch.setattr(convcheck, "identify", lambda *_, said=said: said)
        assert layers.judged(case).result == result
