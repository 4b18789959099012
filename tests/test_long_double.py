"""Numbers of more than 64 bits, in every command and format."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from command import in_process

from convcheck.comparison import number
from convcheck.engine import convolve

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(4)
X, W = RNG.integers(-9, 10, (3, 8, 9)), RNG.integers(-9, 10, (2, 3, 2, 3))
Y = convolve(X, W)


@pytest.fixture
def long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name, array in (("x", X), ("w", W), ("y", Y)):
        np.save(f"{name}.npy", array.astype(request.param))


@pytest.mark.parametrize("long", ["longdouble", "clongdouble"], indirect=True)
@pytest.mark.parametrize(
    "arguments",
    [
        ["identify", "x.npy", "w.npy", "y.npy"],
        ["identify", "x.npy", "w.npy", "y.npy", "--explain"],
        ["compare", "x.npy", "w.npy", "--explain"],
        ["audit", "x.npy", "w.npy"],
        ["inspect", "x.npy"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("how", ["table", "json", "markdown", "junit", "html"])
@pytest.mark.usefixtures("long")
def test_every_format_takes_them(
    arguments: list[str], how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = in_process(capsys, *arguments, "--format", how)
    if ended.code == 2:  # a format that the command has not
        assert "format" in ended.err
        assert how not in ("table", "json")
        return
    assert (ended.code in (0, 1), ended.err) == (True, "")
    if how == "json":
        told = json.loads(ended.out)
        if arguments[0] == "inspect":
            assert told["exit_code"] == 0


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        (np.longdouble(0.5), 0.5),
        (np.clongdouble(1 - 2j), 1 - 2j),
        (np.float32(0.25), 0.25),
        (np.complex64(3j), 3j),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),
    ],
)
def test_a_number_of_pythons(element: Any, expected: complex) -> None:
    found = number(element)
    assert type(found) is type(expected)
    assert found == expected
