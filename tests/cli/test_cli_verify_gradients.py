"""``convcheck verify --gradients`` as its users meet it."""

from __future__ import annotations

import json
import os
import shlex
from importlib import resources
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from convcheck.cli import run

SCHEMA = json.loads(resources.files("convcheck").joinpath("schemas/verify.json").read_text())
TESTS = Path(__file__).resolve().parents[1]
MODULE = """
from zoo_backward import ZOO, backward
def wrong(dout, x, w, b, stride=1, padding=0):
    one = next(w for w in ZOO if w.name == "the stride forgotten in dW")
    return one.function(dout, x, w, b, stride, padding)
def blind(x, w):
    return x
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)
    return tmp_path


def test_a_wrong_gradient_is_a_finding_a_document_and_a_replay(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["verify", "mine:wrong", "--gradients", "--cases", "30"]
    code = run([*words, "--format", "json", "--save", "found"])
    told = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(SCHEMA).validate(told)
    assert code == 1
    assert {finding["gradient"] for finding in told["findings"]} == {"dW"}
    assert told["parameters"]["gradients"] == ["dX", "dW", "db"]
    assert told["when"].startswith("dW: it is wrong")
    assert told["does"] == "it leaves the stride out"
    arrays = {path.stem: np.load(path) for path in (here / "found").glob("*.npy")}
    assert set(arrays) == {"image", "filters", "dout", "actual", "expected"}
    assert arrays["expected"].shape == arrays["filters"].shape
    replay = shlex.split(told["smallest"]["replay"])
    assert "--gradients" in replay
    replay.remove("--gradients")  # which the case says too
    assert run([*replay[1:], "--save", "again"]) == 1
    assert "dW: wrong values" in capsys.readouterr().out


def test_what_has_no_gradient_says_what_to_do(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", "mine:blind", "--gradients"]) == 2
    said = capsys.readouterr().err
    assert "nothing tells the gradients" in said
    assert "backward(dout, x, w)" in said
    assert "to do" in said
