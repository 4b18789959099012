"""Traces: what is written is read, one array at a time; what is missing is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ports import drawn, written

from convcheck import cli
from convcheck.checks.model import check_model

FORMS = ["t.npz", "t.safetensors", "folder"]


@pytest.mark.parametrize("form", FORMS)
def test_a_trace_is_read_as_it_was_written(form: str, tmp_path: Path) -> None:
    layers = drawn(np.random.default_rng(0))
    found = written(tmp_path / form, layers, {})
    assert [layer.name for layer in found.layers] == [name for name, *_ in layers]
    for layer, (_, keys, arrays, epsilon) in zip(found.layers, layers, strict=True):
        assert dict(layer.keys) == keys
        assert layer.epsilon == epsilon
        for role, array in arrays.items():
            assert np.array_equal(layer.array(role), array)
            assert layer.array(role).dtype == array.dtype
    assert check_model(found).verdict == "holds"


def test_a_name_is_never_a_path(tmp_path: Path) -> None:
    (_, *rest), *_ = drawn(np.random.default_rng(0))
    found = written(tmp_path / "folder", [("../net/../x", *rest)], {})
    assert found.layers[0].name == "../net/../x"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert check_model(found).verdict == "holds"


@pytest.mark.parametrize("role", ["input", "weight", "output"])
def test_a_part_that_is_missing_is_named(
    role: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "t", drawn(np.random.default_rng(0)), {})
    (tmp_path / "t" / f"middle.{role}.npy").unlink()
    assert cli.run(["model", str(tmp_path / "t")]) == 2
    said = capsys.readouterr().err
    assert f"the layer 'middle' has no {role}" in said


def test_arrays_that_do_not_fit_name_the_layer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "t", drawn(np.random.default_rng(0)), {})
    np.save(tmp_path / "t" / "middle.output.npy", np.zeros((1, 4, 3, 3), np.float32))
    assert cli.run(["model", str(tmp_path / "t")]) == 2
    assert "the layer 'middle'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"layers": [1]}',
        '{"layers": [], "version": 9}',
        '{"layers": [], "others": "x"}',
    ],
)
def test_a_spoiled_list_of_layers(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "t.npz", **{"trace.json": np.frombuffer(text.encode() or b" ", np.uint8)})
    assert cli.run(["model", str(tmp_path / "t.npz")]) == 2
    assert capsys.readouterr().err.startswith("convcheck: error: MODEL: ")


def test_an_archive_that_is_no_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "t.npz", x=np.zeros(3))
    assert cli.run(["model", str(tmp_path / "t.npz")]) == 2
    assert "is no trace" in capsys.readouterr().err


@pytest.mark.parametrize("role", ["bias", "mean", "gamma", "weight"])
@pytest.mark.parametrize("beside", [False, True])
def test_parts_that_do_not_fit_name_the_layer(
    role: str, beside: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "a", drawn(np.random.default_rng(0)), {})
    written(tmp_path / "t", drawn(np.random.default_rng(0)), {})
    shape = (2, 2, 2, 2) if role == "weight" else (3,)
    np.save(tmp_path / "t" / f"stem.{role}.npy", np.ones(shape, np.float32))
    first = [str(tmp_path / "a")] if beside else []
    assert cli.run(["model", *first, str(tmp_path / "t")]) == 2
    assert "'stem'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "keys",
    [{"stride": 0}, {"input_dilation": 2**70}, {"paddings": 1}, {"bias": [1.0]}, {"groups": 5}],
    ids=str,
)
def test_attributes_that_are_none_name_the_layer(
    keys: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "t", drawn(np.random.default_rng(0)), {})
    place = tmp_path / "t" / "trace.json.npy"
    index = json.loads(np.load(place).tobytes())
    index["layers"][0]["convention"] |= keys
    np.save(place, np.frombuffer(json.dumps(index).encode(), np.uint8))
    assert cli.run(["model", str(tmp_path / "t")]) == 2
    assert "'stem'" in capsys.readouterr().err
