"""diff through the command line: exit codes, streams, formats, what it refuses."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from command import in_process, run

from convcheck.convention import Convention
from convcheck.engine import convolve

SCHEMA = json.loads(resources.files("convcheck").joinpath("schemas/diff.json").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Arrays that relate in every way that the command tells apart."""
    made = tmp_path_factory.mktemp("diff")
    rng = np.random.default_rng(0)
    ref = rng.standard_normal((1, 4, 9, 8)).astype(np.float32)
    wrong = ref.copy()
    wrong[0, 2, :, 3] += 1
    broken = ref.copy()
    broken[0, 1, 4, 2], broken[0, 1, 4, 3] = np.nan, np.inf
    arrays: dict[str, Any] = {
        "ref": ref,
        "half": ref.astype(np.float16),
        "nhwc": ref.transpose(0, 2, 3, 1),
        "wrong": wrong,
        "broken": broken,
        "noise": ref + 0.1 * rng.standard_normal(ref.shape).astype(np.float32),
        "ones": np.ones((3, 4)),
        "twos": 2 * np.ones((3, 4)),
        "none": np.zeros((0, 3)),
    }
    image = rng.integers(-9, 10, (1, 2, 9, 8)).astype(np.float32)
    filters = rng.integers(-9, 10, (3, 2, 3, 3)).astype(np.float32)
    layer = Convention(image_layout="NCHW", output_layout="NCHW", padding=[[1, 0], [1, 0]])
    arrays |= {"img": image, "w": filters, "before": convolve(image, filters, layer)}
    arrays["after"] = convolve(image, filters, layer.replace(padding=[[0, 1], [0, 1]]))
    for name, array in arrays.items():
        np.save(made / f"{name}.npy", array)
    return made


CODES = [
    ("ref ref", 0, "equal"),
    ("ref half", 0, "rounding"),
    ("ref nhwc", 1, "explained"),
    ("ref wrong", 1, "near-match"),
    ("ref broken", 1, "near-match"),
    ("ref noise", 1, "unexplained"),
    ("ones twos", 1, "ambiguous"),
    ("ones ones", 0, "equal"),
    ("ones ones --strict", 1, "equal"),
    ("before after img w", 1, "explained"),
    ("before before img w", 0, "equal"),
]


@pytest.mark.parametrize(("given", "code", "verdict"), CODES)
def test_the_exit_code_and_the_json_say_the_same(
    given: str, code: int, verdict: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = in_process(capsys, "diff", *_files(given, folder), "--json")
    document = json.loads(ended.out)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert (ended.code, document["exit_code"], document["verdict"]) == (code, code, verdict)
    assert "NaN" not in ended.out
    assert "Infinity" not in ended.out


def _files(given: str, folder: Path) -> list[str]:
    return [word if word.startswith("-") else str(folder / f"{word}.npy") for word in given.split()]


def test_the_codes_are_those_of_the_process(folder: Path) -> None:
    for given, code in (("ref half", 0), ("ref nhwc", 1), ("ref none", 2)):
        ended = run("diff", *_files(given, folder), "-q")
        assert ended.code == code
        assert ended.out.count("\n") == (code != 2)
        assert ended.err.startswith("convcheck: error: MINE") == (code == 2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("ref none", "MINE has no elements"),
        ("ref nowhere", "MINE"),
        ("ref ref img", "IMG needs W"),
        ("before after img none", "W"),
        ("ref half ones w", "REF"),
    ],
)
def test_what_cannot_be_judged(
    given: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = in_process(capsys, "diff", *_files(given, folder))
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert "Traceback" not in ended.err


def test_the_one_thing_that_differs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = in_process(capsys, "diff", *_files("before after img w", folder))
    assert ended.out.startswith("explained: MINE pads 1 after where REF pads 1 before.\n")
    assert "ZeroPadding2D(((1, 0), (1, 0))), then padding='valid' (Keras)" in ended.out


def test_what_is_not_finite_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = in_process(capsys, "diff", *_files("ref broken", folder))
    assert "NaN or infinite: 0 in REF, 2 in MINE; 2 of them" in " ".join(ended.out.split())
    assert "MINE[:, 1, 4, 2:4]" in ended.out


@pytest.mark.parametrize("form", ["table", "markdown", "junit", "html", "svg"])
def test_every_format_has_the_verdict_and_the_picture(
    form: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = _files("ref wrong", folder)
    ended = in_process(capsys, "diff", *files, "--format", form, "--picture")
    assert ended.code == 1
    assert "near-match" in ended.out
    assert "MINE - REF" in ended.out.replace("&#160;", " ").replace("\\", "")


def test_a_report_is_not_written_over_an_input(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "ref.npy").read_bytes()
    files = _files("ref half", folder)
    assert in_process(capsys, "diff", *files, "-o", files[0]).code == 2
    assert (folder / "ref.npy").read_bytes() == before
