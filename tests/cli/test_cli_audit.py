"""``convcheck audit`` as its users meet it: the score, the blind spots, the case that it writes."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from command import FIXTURES, called, environment, in_process, listing, run, shown

from convcheck.convention import Convention
from convcheck.engine import convolve

SCHEMA = json.loads(resources.files("convcheck").joinpath("schemas/audit.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
BANK = [str(FIXTURES / "bank" / f"{name}.npy") for name in ("image", "filters")]
SYMMETRIC = [str(FIXTURES / "symmetric" / f"{name}.npy") for name in ("image", "filters")]
FILES = ("image.npy", "filters.npy", "out.npy")


def document(text: str) -> dict[str, Any]:
    found = json.loads(text, parse_constant=pytest.fail)
    VALIDATOR.validate(found)
    return found


# --- verdicts and exit codes --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "verdict", "code"),
    [
        ([*BANK], "sees-all", 0),
        ([*BANK, "--as", "flipped", "--min-score", "1"], "sees-all", 0),
        ([*SYMMETRIC], "blind-spots", 1),
        ([*SYMMETRIC, "--min-score", "0.5"], "blind-spots", 0),
        ([*SYMMETRIC, "--min-score", "0.99"], "blind-spots", 1),
    ],
)
def test_the_exit_code_is_the_verdict(arguments: list[str], verdict: str, code: int) -> None:
    ended = called("audit", *arguments, "--json")
    assert (ended.code, ended.err) == (code, "")
    found = document(ended.out)
    assert (found["verdict"], found["exit_code"]) == (verdict, code)
    assert [given["path"] for given in found["inputs"].values()] == arguments[:2]
    blind = [d["name"] for d in found["deviations"] if not d["seen"]]
    assert found["blind_spots"] == blind
    assert (found["seen"], found["total"]) == (
        len(found["deviations"]) - len(blind),
        len(found["deviations"]),
    )
    assert found["score"] == pytest.approx(found["seen"] / found["total"], abs=1e-6)
    assert ("flip I" in blind) == (verdict == "blind-spots")


@pytest.mark.parametrize(
    ("slug", "flip"),
    [
        ("correlation", []),
        ("convolution", ["H", "W"]),
        ("per-channel", ["H", "W"]),
        ("flipped", ["I", "H", "W"]),
        ('{"stride": 2, "padding": [[0, 1], [0, 1]]}', []),
    ],
)
def test_what_the_data_is_to_test(
    slug: str, flip: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(in_process(capsys, "audit", *BANK, "--as", slug, "--json").out)
    assert found["convention"]["flip"] == flip
    names = [d["name"] for d in found["deviations"]]
    assert ("padding sides of rows" in names) == ("padding" in slug)
    assert found["in_words"].startswith("The right result is the ")


# --- the case that it writes --------------------------------------------------------------------


def test_fix_writes_a_case_that_sees_more(tmp_path: Path) -> None:
    folder = tmp_path / "a new" / "case"
    asked = ["--as", '{"padding":[[0,1],[0,1]],"padding_mode":"edge"}']
    ended = run("audit", *SYMMETRIC, *asked, "--fix", folder, "--json")
    assert (ended.code, ended.err) == (1, "")  # the verdict is on what was given
    found = document(ended.out)
    proposal = found["proposal"]
    assert proposal["saved"] == str(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    image, filters, output = (np.load(folder / name) for name in FILES)
    assert list(image.shape) == proposal["image_shape"]
    assert list(filters.shape) == proposal["filters_shape"]
    convention = Convention.from_dict(found["convention"])
    assert np.array_equal(output, convolve(image, filters, convention))
    again = document(run("audit", *(folder / f for f in FILES[:2]), *asked, "--json").out)
    assert (again["seen"], again["total"]) == (proposal["seen"], proposal["total"])
    assert again["score"] > found["score"]


def test_the_command_that_is_shown_writes_the_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, source in zip(("-i.npy", "w 1.npy"), SYMMETRIC, strict=True):
        Path(name).write_bytes(Path(source).read_bytes())
    keys = '{"stride": [2, 1], "padding": 1}'
    shown = in_process(capsys, "audit", "--as", keys, "--", "-i.npy", "w 1.npy").out
    (line,) = [line for line in shown.splitlines() if line.startswith("  convcheck audit ")]
    assert not Path("case").exists()
    words = shlex.split(line)
    assert words[:2] == ["convcheck", "audit"]
    ended = in_process(capsys, *words[1:])
    assert (ended.code, ended.err) == (1, "")
    assert "Written to case: image.npy, filters.npy, and out.npy" in " ".join(ended.out.split())
    assert sorted(path.name for path in Path("case").iterdir()) == sorted(FILES)


@pytest.mark.parametrize(
    ("image", "filters", "options", "letters"),
    [
        ((3, 40), (4, 3, 5), [], "W"),
        ((2, 3, 6), (4, 3, 3), [], "W"),
        ((2, 6, 9, 8), (3, 2, 2, 3, 2), [], "DHW"),
        ((3, 7, 9), (3, 3, 2), [], "HW"),
        ((4, 7, 9), (3, 3, 2), ["--rank", "3"], "DHW"),
        ((3, 3, 9), (4, 3, 2), ["--rank", "1"], "W"),
        ((4, 7, 9), (3, 3, 2), ["--as", '{"image_layout": "DHW"}'], "DHW"),
    ],
)
def test_any_number_of_spatial_axes(
    image: tuple[int, ...],
    filters: tuple[int, ...],
    options: list[str],
    letters: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rng = np.random.default_rng(1)
    for name, shape in zip(FILES, (image, filters), strict=False):
        np.save(tmp_path / name, rng.integers(-9, 10, shape))
    given = [str(tmp_path / name) for name in FILES[:2]]
    found = document(in_process(capsys, "audit", *given, *options, "--json").out)
    assert found["verdict"] == "sees-all"
    assert found["convention"]["filter_layout"].strip("OI") == letters
    assert f"flip {letters[0]}" in [d["name"] for d in found["deviations"]]


def test_the_case_is_written_for_the_number_of_axes_that_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("image.npy", np.ones((3, 7, 9)))
    np.save("filters.npy", np.ones((3, 3, 2)))
    shown = in_process(capsys, "audit", "image.npy", "filters.npy", "--rank", "3").out
    (line,) = [line for line in shown.splitlines() if line.startswith("  convcheck audit ")]
    assert in_process(capsys, *shlex.split(line)[1:]).code == 1
    assert np.load("case/out.npy").ndim == 4  # (C, D, H, W)


def test_nothing_is_written_where_nothing_is_unseen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = in_process(capsys, "audit", *BANK, "--fix", str(tmp_path / "case"), "--json")
    assert ended.code == 0
    assert "nothing was written" in ended.err
    found = document(ended.out)
    assert found["proposal"] is None
    assert len(found["warnings"]) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_data_that_was_given_is_not_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, source in zip(FILES, SYMMETRIC, strict=False):
        (tmp_path / name).write_bytes(Path(source).read_bytes())
    monkeypatch.chdir(tmp_path)
    before = listing(tmp_path)
    ended = in_process(capsys, "audit", "./image.npy", "filters.npy", "--fix", str(tmp_path))
    assert (ended.code, ended.out) == (2, "")
    assert "would be written over" in ended.err
    assert listing(tmp_path) == before


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (BANK[:1], ["Missing argument 'W'"]),
        (["-", "-"], ["IMG and W are both '-'"]),
        ([BANK[0], "no.npy"], ["W: no.npy does not exist"]),
        (["line.npy", BANK[1]], ["IMG and W do not have the axes of one convolution"]),
        ([*BANK, "--rank", "4"], ["--rank", "4 is not in the range"]),
        ([*BANK, "--rank", "1"], ["IMG and W", "the same 1 spatial axis"]),
        (["holes.npy", BANK[1]], ["IMG holds values that are not finite"]),
        (["two.npy", BANK[1]], ["channels"]),
        ([*BANK, "--as", "flipt"], ["'flipt'", "did you mean 'flipped'?"]),
        ([*BANK, "--as", '{"strides": 2}'], ["no key 'strides'", "did you mean 'stride'?"]),
        ([*BANK, "--as", '{"image_layout": "NHWC"}'], ["axes"]),
        ([*BANK, "--min-score", "1.5"], ["--min-score", "1.5 is not in the range"]),
        ([*BANK, "--min-score", "nan"], ["--min-score", "nan"]),
        ([*BANK, "--min-score", "all"], ["'all' is not a valid float"]),
        ([*SYMMETRIC, "--fix", "line.npy"], ["--fix", "line.npy", "could not be made"]),
    ],
    ids=lambda v: " ".join(v)[-50:],
)
def test_bad_input_gets_a_clear_error_and_nothing_else(
    arguments: list[str],
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("line.npy", np.ones(7))
    np.save("two.npy", np.ones((2, 7, 9)))
    np.save("holes.npy", np.full((3, 7, 9), np.nan))
    before = listing(tmp_path)
    ended = in_process(capsys, "audit", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("convcheck: error: ")
    for word in words:
        assert word in ended.err
    assert listing(tmp_path) == before


def test_bad_input_in_a_process() -> None:
    ended = run("audit", *BANK, "--as", "flipt")
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("image", "filters", "reason"),
    [(0.0, None, "IMG is all zeros"), (None, 0.0, "W is all zeros"), (None, 2.0, "W is constant")],
)
def test_an_array_of_one_number_sees_little(
    image: float | None,
    filters: float | None,
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, source, value in zip(FILES, BANK, (image, filters), strict=False):
        array = np.load(source)
        np.save(tmp_path / name, array if value is None else np.full_like(array, value))
    ended = in_process(capsys, "audit", *(str(tmp_path / name) for name in FILES[:2]), "--json")
    assert ended.code == 1
    found = document(ended.out)
    (flip,) = [d for d in found["deviations"] if d["name"] == "flip H+W"]
    assert not flip["seen"]
    assert flip["reason"].startswith(reason)
    assert found["proposal"]["seen"] == found["proposal"]["total"]


@pytest.mark.parametrize("option", ["-v", "--json"])
def test_no_scipy(option: str) -> None:
    script = (
        "import sys; sys.modules['scipy'] = None; from convcheck.cli import main\n"
        f"main({['audit', *SYMMETRIC, option]!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    assert ("mistakes made on purpose" in done.stderr) == (option == "-v")


# --- layout -------------------------------------------------------------------------------------


def test_the_whole_report_to_the_letter(tmp_path: Path) -> None:
    np.save(tmp_path / "img.npy", np.load(SYMMETRIC[0]))
    np.save(tmp_path / "w.npy", np.load(SYMMETRIC[1]))
    ended = run("audit", "img.npy", "w.npy", cwd=tmp_path)
    assert ended == (
        1,
        """\
blind-spots: this data sees 16 of 18 mistakes.

IMG  3x5x6 float32  img.npy
W    3x2x3 float32  w.npy
The right result is the cross-correlation of IMG, read as CHW, with W, read as
IHW, no padding (VALID).

These mistakes leave the output as it is, so a test with this data would pass:

 mistake                                  why this data cannot see it
 ──────────────────────────────────────────────────────────────────────────────
 flip I                                   every filter is symmetric: reversing
 the filters reversed along I             its channels gives the same filter

 channels reversed                        IMG or W is alike across the channels
 the image's channels read in reverse     that trade places
 order

To see every mistake (18 of 18):
- random integers from -9 to 9 in place of the numbers
This writes such a case, and what a right implementation makes of it, to a
folder:
  convcheck audit --fix case img.npy w.npy
""",
        "",
    )


def test_the_examples_of_the_help_run(tmp_path: Path) -> None:
    for name, source in zip(("img.npy", "w.npy"), BANK, strict=True):
        (tmp_path / name).write_bytes(Path(source).read_bytes())
    text = called("audit", "--help").out.partition("Usage:")[0]
    examples = [line.strip() for line in text.splitlines() if line.startswith("  convcheck ")]
    assert len(examples) == 4
    for example in examples:
        assert shown(example, tmp_path).code == 0, example


@pytest.mark.parametrize("columns", [40, 70, 80])
def test_no_line_is_too_wide(columns: int) -> None:
    from convcheck.checks.audit import audit
    from convcheck.render import table
    from convcheck.render.report import Operand, Report, Style

    image, filters = np.load(SYMMETRIC[0]), np.ones((2, 3, 2, 3))
    found = audit(image, filters, {"padding": [[0, 1], [1, 1]]}, min_score=0.123456789)
    given = Report(
        command="audit",
        image=Operand("img.npy", image.shape, "float32"),
        filters=Operand("w.npy", filters.shape, "float64"),
        result=found,
        exit_code=found.exit_code,
    )
    text = table.render(given, Style(width=columns, unicode=False))
    assert text.isascii()
    assert [n for n in text.splitlines() if len(n) > columns and not n.startswith("  ")] == []
    flat = " ".join(text.split())
    assert "many as --min-score 0.123456789 asks for" in flat
    assert "every kernel is the same number throughout" in flat or columns > 40
    for deviation in found.blind_spots:
        assert deviation.name in text
    quiet = table.render(given, Style(width=columns, quiet=True))
    assert re.fullmatch(r"blind-spots: this data sees \d+ of \d+ mistakes, .*\n", quiet)


def test_a_batch_normalization_is_part_of_the_layer(tmp_path: Path) -> None:
    numbers = {"mean": [0.5, 2], "var": [1.5, 3], "gamma": [1.0, -2], "beta": [0.0, 1]}
    np.savez(tmp_path / "bn.npz", **numbers)
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.integers(-9, 9, (3, 7, 6)))
    np.save(tmp_path / "w.npy", rng.integers(-9, 9, (2, 3, 3, 3)))
    files = [str(tmp_path / name) for name in ("x.npy", "w.npy")]
    ended = called("audit", *files, "--bn", f"{tmp_path / 'bn.npz'},1e-3", "--json")
    named = {d["name"]: d for d in document(ended.out)["deviations"]}
    assert ended.code == 0
    assert named["epsilon"]["what"] == "an ε of 1e-05 in place of 0.001"
    ended = called("audit", *files, "--bn", f"{tmp_path / 'none.npz'}")
    assert ended.code == 2
