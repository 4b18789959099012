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


def test_a_pair_is_judged_under_what_a_says_and_that_is_its_convention(tmp_path: Path) -> None:
    layers = drawn(np.random.default_rng(0))
    name, keys, arrays, epsilon = layers[2]
    port = (name, {**keys, "padding": 0}, arrays, epsilon)
    a = written(tmp_path / "a.npz", layers[2:3], {})
    b = written(tmp_path / "b.npz", [port], {})
    [row] = check_model(a, b).rows
    assert row.verdict == "departs"
    assert row.convention is not None
    assert row.convention.padding == ((1, 1), (1, 1))
    assert "pad 1" in row.words
    assert row.comparison is None  # the output has another shape than A's layer gives


def test_bits_are_those_of_a_layer_that_holds_and_is_rounded(tmp_path: Path) -> None:
    layers = drawn(np.random.default_rng(0))
    name, keys, arrays, epsilon = layers[2]
    wrong = MISTAKES["kernel reversed"][1](keys, arrays, epsilon)
    result = check_model(written(tmp_path / "a.npz", layers, {name: wrong}))
    bits = {row["name"]: row["agreement_bits"] for row in result.to_dict()["layers"]}
    assert bits.pop(name) is None
    assert all(value is not None and 20 < value <= 53 for value in bits.values()), bits


def test_integers_are_right_or_not_and_have_no_bits(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "input": rng.integers(-9, 10, (1, 2, 8, 8)).astype(np.int8),
        "weight": rng.integers(-9, 10, (3, 2, 3, 3)).astype(np.int8),
    }
    keys = {"filter_layout": "OIHW", "image_layout": "NCHW", "output_layout": "NCHW"}
    keys |= {"arithmetic": "exact", "storage": {"dtype": "int32", "overflow": "wrap"}}
    [row] = check_model(written(tmp_path / "a.npz", [("q", keys, arrays, None)], {})).rows
    assert row.verdict == "holds"
    assert row.bits is None
