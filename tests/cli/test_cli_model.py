"""convcheck model, from the command line: every format, exit codes, the schema."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import numpy as np
import pytest
from ports import MISTAKES, drawn, written

from convcheck import cli

SCHEMA = json.loads(resources.files("convcheck").joinpath("schemas/model.json").read_text())


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traces")
    layers = drawn(np.random.default_rng(0))
    written(folder / "a.npz", layers, {})
    name, keys, arrays, epsilon = layers[2]
    made = MISTAKES["kernel reversed"][1](keys, arrays, epsilon)
    written(folder / "b.npz", layers, {name: made})
    return folder


def test_json_is_as_the_schema_says(traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["model", str(traces / "a.npz"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, SCHEMA)
    assert found["verdict"] == "holds"
    assert cli.run(["model", str(traces / "a.npz"), str(traces / "b.npz"), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, SCHEMA)
    [row] = [row for row in found["layers"] if row["verdict"] != "holds"]
    assert row["name"] == row["partner"] == "middle"
    assert [cause["key"] for cause in row["causes"]] == ["flip"]


def test_a_test_case_a_layer(traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(traces / "a.npz"), str(traces / "b.npz")]
    assert cli.run(["model", *files, "--format", "junit"]) == 1
    cases = ET.fromstring(capsys.readouterr().out.encode()).findall(".//testcase")
    failed = [case.get("name") for case in cases if case.find("failure") is not None]
    assert (len(cases), failed) == (5, ["middle"])


def test_a_layer_alone_that_departs_says_why(
    traces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["model", str(traces / "b.npz")]) == 1
    said = capsys.readouterr().out
    assert said.startswith("departs: the layer middle is the first that does not hold")
    assert "w[:, :, ::-1, ::-1]" in said


@pytest.mark.parametrize("form", ["table", "markdown", "html", "svg"])
def test_every_format_says_which_layer(
    form: str, traces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(traces / "a.npz"), str(traces / "b.npz")]
    assert cli.run(["model", *files, "--format", form]) == 1
    said = capsys.readouterr().out
    assert "middle" in said
    if form == "html":
        assert "http" not in said.replace("http://www.w3.org", "")
        assert "<input" in said


def test_one_wrong_element_is_a_departure_and_its_place_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "t", drawn(np.random.default_rng(0)), {})
    place = tmp_path / "t" / "head.output.npy"
    out = np.load(place)
    out[0, 1, 2, 3] += 0.01
    np.save(place, out)
    assert cli.run(["model", str(tmp_path / "t")]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "head departs (1 of" in said
    assert "at (0, 1, 2, 3)" in said


def test_bits_are_those_of_what_holds(traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["model", str(traces / "a.npz"), str(traces / "b.npz"), "--json"]) == 1
    for row in json.loads(capsys.readouterr().out)["layers"]:
        assert (row["agreement_bits"] is None) == (row["verdict"] != "holds")


def test_a_model_of_one_layer_is_spoken_of_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "t", drawn(np.random.default_rng(0))[:1], {})
    assert cli.run(["model", str(tmp_path / "t"), "-q"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("holds: the one convolution does what its attributes say")
    [place] = (tmp_path / "t").glob("*.output.npy")
    np.save(place, np.load(place) + 1)
    assert cli.run(["model", str(tmp_path / "t"), "-q"]) == 1
    assert capsys.readouterr().out.startswith("departs: the one convolution, ")
