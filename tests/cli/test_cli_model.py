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
    assert said.startswith("departs: the layer middle alone of 5 convolutions does not hold")
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


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "holds: the one convolution does what its attributes say, within proven bounds"),
        (2, "holds: all 2 convolutions do what their attributes say, within proven bounds"),
    ],
)
def test_one_layer_and_many_are_said_in_the_words_for_them(
    count: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "a.npz", drawn(np.random.default_rng(0))[:count], {})
    file = str(tmp_path / "a.npz")
    assert cli.run(["model", file, "--quiet"]) == 0
    assert capsys.readouterr().out.strip() == said
    assert cli.run(["model", file, file, "--quiet"]) == 0
    assert "A's do" in capsys.readouterr().out


def onnx_model(folder: Path, *after: tuple[str, str, str]) -> str:
    """An ONNX model of a convolution, and nodes after it by their operator, name and domain."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    make = onnx.helper
    image = make.make_tensor_value_info("x", 1, [1, 2, 8, 8])
    weight = np.random.default_rng(0).standard_normal((1, 2, 3, 3)).astype(np.float32)
    nodes = [make.make_node("Conv", ["x", "w"], ["t0"], name="first")]
    for n, (operator, name, domain) in enumerate(after):
        nodes.append(make.make_node(operator, [f"t{n}"], [f"t{n + 1}"], name=name, domain=domain))
    out = make.make_tensor_value_info(f"t{len(after)}", 1, None)
    stored = [onnx.numpy_helper.from_array(weight, "w")]
    graph = make.make_graph(nodes, "g", [image], [out], stored)
    opsets = [make.make_opsetid("", 13), make.make_opsetid("mine", 1)]
    path = folder / "net.onnx"
    onnx.save(make.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return str(path)


@pytest.mark.parametrize(
    ("domain", "where"), [("", "ai.onnx, opset 13"), ("mine", "mine, opset 1")]
)
def test_an_operator_that_is_unknown_is_named_with_its_layer(
    domain: str, where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = onnx_model(tmp_path, ("Odd", "the.odd/one", domain))
    assert cli.run(["model", made]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"the layer 'the.odd/one' of the operator Odd ({where})" in said


@pytest.mark.parametrize("number", [0, 1])
def test_an_input_of_one_number_is_warned_of_and_fails_strictly(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = onnx_model(tmp_path)
    np.save(tmp_path / "x.npy", np.full((1, 2, 8, 8), number, np.float32))
    model = ["model", made, "--strict"]
    assert cli.run(model) == 0
    capsys.readouterr()
    assert cli.run([*model, "--json", "--input", str(tmp_path / "x.npy")]) == 1
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, SCHEMA)
    assert "every number is" in " ".join(found["warnings"])
    assert found["layers"][0]["unseen"]
    assert cli.run([*model, "--input", str(tmp_path / "x.npy")]) == 1
    said = capsys.readouterr()
    assert "warning: --input" in said.err
    assert "This input could not have shown in first " in " ".join(said.out.split())


def test_the_page_sorts_a_layer_that_departs_first_and_says_where_nothing_is_found(
    traces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(traces / "a.npz"), str(traces / "b.npz")]
    assert cli.run(["model", *files, "--format", "html"]) == 1
    said = capsys.readouterr().out
    rows = [part.split("</details>")[0] for part in said.split("<details ")[1:]]
    assert [row for row in rows if 'data-b="0"' in row] == [row for row in rows if " open" in row]
    assert '<p id="none" role="status" hidden>' in said
