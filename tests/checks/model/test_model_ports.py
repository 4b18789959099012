"""One mistake in a port: the right layer and the right cause; none in a port that has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ports import MISTAKES, campaign, clean, drawn, written

from convcheck.checks.model import check_model
from convcheck.errors import ExitCode


def test_every_kind_of_mistake_is_found() -> None:
    assert len(MISTAKES) >= 15
    assert campaign(len(MISTAKES)) == []


@pytest.mark.slow
def test_many_ports() -> None:
    wrong = campaign(250, seed=1)
    assert not [line for line in wrong if line.startswith("layer")]
    assert len(wrong) <= 0.05 * 250, wrong


@pytest.mark.parametrize("count", [2, pytest.param(60, marks=pytest.mark.slow)])
def test_clean_ports_are_not_accused(count: int) -> None:
    assert clean(count, seed=2) == []


def test_a_layer_without_a_partner_departs(tmp_path: Path) -> None:
    layers = drawn(np.random.default_rng(0))
    a = written(tmp_path / "a.npz", layers, {})
    b = written(tmp_path / "b.npz", layers[:-1], {})
    result = check_model(a, b)
    assert [(row.name, row.verdict) for row in result.departing] == [("head", "unpaired")]
    assert result.exit_code == ExitCode.FAILED


def test_what_the_input_cannot_tell_is_said_and_strict_fails(tmp_path: Path) -> None:
    layers = drawn(np.random.default_rng(0))
    name, keys, arrays, epsilon = layers[0]
    small = {**arrays, "gamma": 1e-3 * arrays["gamma"], "beta": np.abs(0.1 * arrays["beta"])}
    a = written(tmp_path / "a.npz", [(name, keys, small, epsilon)], {})
    port = (name, {**keys, "activation": "relu6"}, small, epsilon)
    b = written(tmp_path / "b.npz", [port], {})
    result = check_model(a, b)
    assert result.exit_code == ExitCode.OK
    assert [[cause.key for cause in row.causes] for row in result.untold] == [["activation"]]
    assert check_model(a, b, strict=True).exit_code == ExitCode.FAILED
