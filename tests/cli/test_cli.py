"""The command line as its users meet it: real processes, streams, signals and terminals."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from command import (
    CONVCHECK,
    FIXTURES,
    PLAIN_REPORT,
    QUESTION,
    SYMMETRIC,
    Ended,
    called,
    environment,
    in_process,
    listing,
    run,
    shell,
    shown,
)
from few import slow

from convcheck import __version__
from convcheck.convention import Convention
from convcheck.engine import convolve

SCHEMA = json.loads(resources.files("convcheck").joinpath("schemas/compare.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


# --- endings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        slow(["compare", *QUESTION], 0),  # that of many tests below
        slow(["compare", *QUESTION, "--expect", "per-channel"], 1),
        (["audit", *SYMMETRIC], 1),
        slow(["compare", *SYMMETRIC, "--strict"], 1),
        slow(["random", "--shape", "1x4x4", "--strict", "--seed", "1"], 0),
    ],
)
def test_the_exit_code_is_the_verdict(arguments: list[str], code: int) -> None:
    ended = run(*arguments)
    assert (ended.code, ended.err) == (code, "")
    assert ended.out


@pytest.mark.parametrize(
    ("failure", "code", "words"),
    [
        (
            "ZeroDivisionError('x')",
            3,
            ["internal error: ZeroDivisionError: x", "bug", "CONVCHECK_D"],
        ),
        ("MemoryError('12 GiB')", 2, ["out of memory: 12 GiB", "smaller"]),
        ("KeyboardInterrupt()", 130, ["interrupted"]),
        slow("SystemExit(5)", 0, []),
        slow("RecursionError()", 3, ["internal error: RecursionError"]),
    ],
)
def test_whatever_is_raised_ends_with_a_code_of_ours(
    failure: str, code: int, words: list[str]
) -> None:
    script = (
        "import convcheck.tensors as t, convcheck.cli as c\n"
        f"def load(*_): raise {failure}\n"
        "t.load = load\n"
        f"c.main(['compare', {QUESTION[0]!r}, {QUESTION[1]!r}])\n"
    )
    for debug in ("", "1"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=environment(CONVCHECK_DEBUG=debug),
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout) == (code, "")
        assert ("Traceback" in done.stderr) == (code == 3 and bool(debug))
        assert all(word in done.stderr for word in words)


def test_an_oracle_that_fails_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    def convolve(*_: Any, **__: Any) -> Any:
        raise ValueError("no")

    monkeypatch.setattr("scipy.signal.convolve", convolve)
    ended = called("random", "--shape", "3x5x5")
    assert (ended.code, ended.out) == (2, "")
    assert "scipy.signal.convolve itself failed" in ended.err
    assert "found:    ValueError: no" in ended.err


# --- bad input ----------------------------------------------------------------------------------


def header(shape: str, descr: str = "'<f4'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that are no image and no filters."""
    folder = tmp_path_factory.mktemp("bad")
    rng = np.random.default_rng(0)
    good = rng.integers(0, 9, (3, 5, 6)).astype(np.float32)

    def save(name: str, array: Any) -> None:
        np.save(folder / name, array, allow_pickle=True)

    save("image.npy", good)
    save("filters.npy", good[None, :, :2, :3])
    whole = (folder / "image.npy").read_bytes()
    (folder / "cut.npy").write_bytes(whole[:200])
    (folder / "cut-header.npy").write_bytes(whole[:40])
    (folder / "empty.npy").write_bytes(b"")
    (folder / "huge.npy").write_bytes(header("(99999, 99999, 99999)") + bytes(100))
    (folder / "endless.npy").write_bytes(header("(9" + "9" * 30 + ", 3, 3)") + bytes(100))
    (folder / "text.npy").write_text("1 2 3\n4 5 6\n")
    (folder / "picture.npy").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    (folder / "a-folder.npy").mkdir()
    save("object.npy", np.array([{"a": 1}, None], object))
    save("structured.npy", np.zeros(3, [("r", "u1"), ("g", "u1")]))
    save("strings.npy", np.array(["a", "b"]))
    save("dates.npy", np.zeros(3, "datetime64[s]"))
    np.savez(folder / "several.npz", image=good, other=good)
    np.savez(folder / "one.npz", image=good)
    with zipfile.ZipFile(folder / "none.npz", "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    save("line.npy", good[0, 0])
    save("batch.npy", good[None])
    save("hollow.npy", good[:, :0])
    save("hwc.npy", np.ascontiguousarray(good.transpose(1, 2, 0)))
    save("hwio.npy", np.zeros((2, 2, 3, 4), np.float32))
    save("two.npy", good[None, :2, :2, :3])
    save("large.npy", rng.random((1, 3, 6, 7)))
    save("wide.npy", rng.random((1, 3, 2, 7)))
    holes = good.copy()
    holes[1, 2, 3] = np.nan
    holes[2, 0, 0] = np.inf
    save("holes.npy", holes)
    save("heavy.npy", good.astype(float) * 1e307)
    return folder


W = "filters.npy"
BAD_INPUT: list[tuple[list[str], list[str]]] = [
    (["compare", "imgae.npy", W], ["IMG: imgae.npy does not exist", "did you mean image.npy"]),
    (["compare", "image.npy", "no/such.npy"], ["W: no/such.npy does not exist"]),
    (["compare", "a-folder.npy", W], ["IMG: a-folder.npy is a directory"]),
    (["compare", "empty.npy", W], ["IMG: empty.npy is empty", "0 bytes"]),
    (["compare", "cut.npy", W], ["IMG: cut.npy is cut off", "360 bytes"]),
    (["compare", "cut-header.npy", W], ["IMG: cut-header.npy is cut off inside its header"]),
    (["compare", "huge.npy", W], ["IMG: huge.npy is cut off", "(99999, 99999, 99999)"]),
    (["compare", "endless.npy", W], ["IMG: endless.npy has an .npy header that cannot be right"]),
    (["compare", "object.npy", W], ["IMG: object.npy holds pickled Python objects", "unpickled"]),
    (["compare", "structured.npy", W], ["IMG: structured.npy holds a structured array"]),
    (["compare", "strings.npy", W], ["IMG: strings.npy holds strings"]),
    (["compare", "image.npy", "dates.npy"], ["W: dates.npy holds dates"]),
    (["compare", "several.npz", W], ["IMG: several.npz holds 2 arrays", "several.npz::image"][:1]),
    (["compare", "several.npz::imgae", W], ["no array named imgae", "did you mean ::image"]),
    (["compare", "several.npz::", W], ["no array named ''", "did you mean ::image"]),
    (["compare", "none.npz", W], ["IMG: none.npz is a zip archive without arrays", "readme.txt"]),
    (["compare", "text.npy", W], ["IMG: text.npy is text", "numpy.loadtxt"]),
    (["compare", "picture.npy", W], ["IMG: picture.npy is a PNG image"]),
    (["compare", "", W], ["names no file"]),
    (["compare", "line.npy", W], ["numbers of axes that do not go together", "shape 6, 1 axis"]),
    (["compare", "batch.npy", W], ["IMG 1x3x5x6", "save img[0]", "--rank 3"]),
    (["compare", "batch.npy", W, "--rank", "2"], ["1x3x5x6, 4 axes", "save img[0]"]),
    (["compare", "image.npy", W, "--rank", "1"], ["3x5x6, 3 axes", "(C, W)", "--rank"]),
    (["compare", "image.npy", W, "--rank", "4"], ["4 is not in the range"]),
    (["compare", "hollow.npy", W], ["IMG is empty", "3x0x6"]),
    (["compare", "hwc.npy", W], ["looks like (H, W, C)", "img.transpose(2, 0, 1)"]),
    (["compare", "image.npy", "hwio.npy"], ["HWIO", "w.transpose(3, 2, 0, 1)"]),
    (["compare", "image.npy", "two.npy"], ["IMG 3x5x6", "--rank 3", "OHWI"]),
    (["compare", "image.npy", "two.npy", "--rank", "2"], ["has 3, W 1x2x2x3 has 2"]),
    (["compare", "image.npy", "large.npy"], ["W is larger than IMG", "silently swap"]),
    (["compare", "image.npy", "wide.npy"], ["W is larger than IMG", "refuses this pair"]),
    (["compare", "holes.npy", W], ["IMG holds", "2 of 90", "index (1, 2, 3): nan", "nan_to_num"]),
    (["compare", "heavy.npy", "heavy.npy"], ["overflow float64", "divide the data"]),
    (["compare", "-", "-"], ["Only one array can come from stdin: IMG and W are both '-'"]),
    (["compare", "-", W], ["IMG: - (standard input) is empty"]),
    (["compare", "image.npy"], ["Missing argument 'W'"]),
    (["compare", "image.npy", W, "more"], ["unexpected extra argument", "more"]),
    (["compare", "image.npy", W, "-o", "no/such/file"], ["cannot write no/such/file", "mkdir"]),
    (["compare", "image.npy", W, "-o", "a-folder.npy"], ["cannot write a-folder.npy", "directory"]),
    (["compare", "image.npy", W, "-o", ""], ["cannot write"]),
    (["compare", "image.npy", W, "-o", "/proc/report"], ["cannot write /proc/report"]),
    (["compare", "image.npy", W, "--strct"], ["No such option", "--strct", "--strict"]),
    (["compare", "image.npy", W, "--expect", "fliped"], ["'fliped'", "did you mean 'flipped'?"]),
    (["compare", "image.npy", W, "--method", "dirct"], ["'dirct'", "did you mean 'direct'?"]),
    (["compare", "image.npy", W, "--format", "jsn"], ["'jsn'", "did you mean 'json'?"]),
    (["compare", "image.npy", W, "--color", "red"], ["'red'", "'never'"]),
    (["audit", "image.npy", W, "--as", '{"kernel_transposed": true}'], ['"OIWH"', "to do"]),
    (["audit", "image.npy", W, "--as", '{"arithmetic": "wrap:int8"}'], ['"storage"', '"wrap"']),
    (["audit", "image.npy", W, "--as", "convolusion"], ["did you mean 'convolution'?"]),
    (
        ["identify", "image.npy", W, "image.npy", "--expect", '{"output_layout": "NHWO"}'],
        ["'NHWC'", "to do"],
    ),
    (["identify", "image.npy", W, "image.npy", "--expect", "{stride: 2}"], ["is not JSON"]),
    (["compar", "image.npy", W], ["No such command 'compar'", "Did you mean 'compare'?"]),
    (["random"], ["Missing option '--shape'"]),
    (["random", "--shape", "3x5"], ["'3x5' has 2 axes: expected CxHxW, such as 3x5x5"]),
    (["random", "--shape", "5"], ["'5' has 1 axis"]),
    (["random", "--shape", "3xAx5"], ["'3xAx5' is not a shape"]),
    (["random", "--shape", "0x5x5"], ["'0x5x5' has an axis of length 0"]),
    (["random", "--shape", "-1x5x5"], ["'-1x5x5' is not a shape"]),
    (["random", "--shape=3x5x5x"], ["'3x5x5x' is not a shape"]),
    (["random", "--shape", "99999999x99999999x99999999"], ["memory", "17,347,234 EiB", "at most"]),
    (["random", "--shape", "9" * 18 + "x1x1"], ["larger than the image"]),
    (["random", "--shape", "9" * 5000 + "x1x1"], ["is larger than any memory"]),
    (["random", "--shape", "3x5x5", "--filters", "2x2x2"], ["filters of 2, an image of 3"]),
    (["random", "--shape", "3x5x5", "--filters", "3x6x6"], ["6x6", "5x5", "larger"]),
    (["random", "--shape", "3x5x5", "--filters", "2x2"], ["'2x2' has 2 axes", "[Kx]CxFhxFw"]),
    (["random", "--shape", "3x5x5", "--filters", "3x2x2", "--count", "2"], ["leave out the other"]),
    (["random", "--shape", "3x5x5", "--count", "0"], ["0 is not in the range"]),
    (["random", "--shape", "3x5x5", "--trials", "0"], ["0 is not in the range"]),
    (["random", "--shape", "3x5x5", "--seed", "-1"], ["-1 is not in the range"]),
    (["random", "--shape", "3x5x5", "--seed", "one"], ["'one' is not a valid integer."]),
    (["random", "--shape", "3x5x5", "--dtype", "flot32"], ["'flot32'", "did you mean 'float32'?"]),
    (["random", "--shape", "3x5x5", "--dtype", "int8", "--values", "normal"], ["normal values"]),
    (["random", "--shape", "3x5x5", "--save", "image.npy"], ["image.npy", "folder"]),
]


@pytest.fixture(scope="module")
def before(bad: Path) -> set[tuple[str, int]]:
    """What the folder held before any of them."""
    return listing(bad)


# Real processes for one of each command, and where streams and devices have a say.
PROCESSES = [
    number
    for number, (arguments, _) in enumerate(BAD_INPUT)
    if {"-", "-o"} & {*arguments} or arguments[0] not in {c[0][0] for c in BAD_INPUT[:number]}
]


@pytest.fixture(scope="module")
def refusals(bad: Path, before: set[tuple[str, int]]) -> dict[int, Ended]:
    """How those ended that are real processes, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        ended = pool.map(lambda number: run(*BAD_INPUT[number][0], cwd=bad), PROCESSES)
        return dict(zip(PROCESSES, ended, strict=True))


@pytest.mark.parametrize(
    "number", range(len(BAD_INPUT)), ids=lambda number: " ".join(BAD_INPUT[number][0])[:60]
)
def test_bad_input_gets_a_clear_error_and_nothing_else(
    number: int,
    bad: Path,
    before: set[tuple[str, int]],
    refusals: dict[int, Ended],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments, words = BAD_INPUT[number]
    monkeypatch.chdir(bad)
    ended = refusals[number] if number in refusals else in_process(capsys, *arguments)
    assert listing(bad) == before
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("convcheck: error: ")
    assert "Traceback" not in ended.err
    for word in words:
        assert word in ended.err
    # What was found or given, and what to do about it.
    assert re.search(r"^  (found|expected|usage): ", ended.err, re.MULTILINE)
    assert re.search(r"^  (to do|usage): ", ended.err, re.MULTILINE)


def test_a_header_larger_than_the_file_takes_no_memory(bad: Path) -> None:
    script = f"ulimit -v 4000000; $convcheck compare {bad}/huge.npy {bad}/filters.npy"
    ended = shell(script)
    assert ended.code == 2
    assert "cut off" in ended.err


# --- streams ------------------------------------------------------------------------------------


def test_o_writes_the_report_and_nothing_to_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "report"
    target.write_text("old")
    assert called("compare", *QUESTION, "-o", str(target)) == (0, "", "")
    assert target.read_text(encoding="utf-8") == PLAIN_REPORT
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert called("compare", *QUESTION, "--json", "-o", str(target)) == (0, "", "")
    VALIDATOR.validate(json.loads(target.read_bytes()))
    assert [p.name for p in tmp_path.iterdir()] == ["report"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "image.npy", "w.npz::b", "-o", "image.npy"],
        ["compare", "image.npy", "w.npz::b", "-o", "./w.npz"],
        ["identify", "image.npy", "w.npz::b", "image.npy", "-o", "link.npy"],
        ["audit", "link.npy", "w.npz::b", "-o", "image.npy"],
        ["inspect", "w.npz", "-o", "w.npz"],
    ],
)
def test_o_is_never_written_over_an_input(arguments: list[str], tmp_path: Path) -> None:
    image, filters = (np.load(path) for path in QUESTION)
    np.save(tmp_path / "image.npy", image)
    np.savez(tmp_path / "w.npz", a=image, b=filters)
    (tmp_path / "link.npy").symlink_to("image.npy")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with chdir(tmp_path):
        ended = called(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert f"{arguments[-1]!r} is an input, which would be written over" in ended.err
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_o_to_devices() -> None:
    ended = run("audit", *SYMMETRIC, "-o", "/dev/full")
    assert (ended.code, ended.out) == (2, "")
    assert "cannot write /dev/full" in ended.err
    assert "No space left" in ended.err
    given = ["compare", *QUESTION, "-o", "/dev/null", "--expect", "correlation"]
    assert called(*given) == (1, "", "")


@pytest.mark.parametrize(
    "arguments",
    [
        slow(f"compare {' '.join(QUESTION)}"),
        f"audit {' '.join(SYMMETRIC)}",
        *("-h", "random --help", "--version"),
    ],
)
def test_a_full_stdout_is_an_error(arguments: str) -> None:
    ended = shell(f"$convcheck {arguments} > /dev/full")
    assert ended.code == 2
    assert "stdout could not be written" in ended.err


def test_quiet_is_one_line_and_verbose_says_on_stderr_how_it_was_done() -> None:
    ended = called("compare", *QUESTION, "-q", "-v")
    assert (ended.code, ended.out) == (
        0,
        "match: flipped matches scipy.signal.convolve to the last digit, all 16 elements.\n",
    )
    assert f"convcheck: convcheck {__version__}, numpy {np.__version__}, scipy " in ended.err
    assert "both sides computed in float64: every sum is exact" in ended.err
    assert "scipy's method: direct" in ended.err
    assert re.search(r"time: [0-9.e-]+ s", ended.err)
    assert ended.err.startswith("convcheck: plan: 1 tile of up to ")
    assert len(ended.err.splitlines()) == 5


def test_warnings_go_to_stderr() -> None:
    ended = called("compare", *(f"{FIXTURES}/wraps/{name}.npy" for name in ("image", "filters")))
    assert ended.code == 0
    assert ended.err.startswith("convcheck: warning: scipy.signal.convolve on the arrays as they")
    assert "on 9 of 30 elements" in ended.err


def test_an_array_from_stdin_and_from_an_npz(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, filters = (np.load(path) for path in QUESTION)
    np.savez(tmp_path / "both.npz", x=image, w=filters)
    np.savez(tmp_path / "lone.npz", image)
    expected = PLAIN_REPORT.replace(QUESTION[1], "both.npz::w")
    stdin = Path(QUESTION[0]).read_bytes()
    ended = run("compare", "-", "both.npz::w", cwd=tmp_path, stdin=stdin)
    assert ended == (0, expected.replace(QUESTION[0], "-"), "")
    with chdir(tmp_path):
        ended = in_process(capsys, "compare", "lone.npz", "both.npz::w")
    assert ended == (0, expected.replace(QUESTION[0], "lone.npz"), "")


@pytest.mark.parametrize(
    "arguments",
    [
        slow(["compare", *QUESTION, "--expect", "correlation"]),
        ["audit", *SYMMETRIC],
        ["--help"],
    ],
)
def test_a_reader_who_has_gone_is_no_error(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*CONVCHECK, *arguments], env=environment(), stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode == (0 if "--help" in arguments else 1)


def test_head_ends_quietly() -> None:
    ended = shell(f"$convcheck audit {' '.join(SYMMETRIC)} | head -1; exit ${{PIPESTATUS[0]}}")
    assert (ended.code, ended.err) == (1, "")
    assert len(ended.out.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        slow(f"compare {' '.join(QUESTION)}", 0),
        (f"audit {' '.join(SYMMETRIC)}", 1),
        slow(f"compare {' '.join(QUESTION)} -v --expect correlation", 1),
        ("compare no.npy no.npy", 2),
        slow("--help", 0),
    ],
)
def test_closed_streams(arguments: str, code: int) -> None:
    ended = shell(f"$convcheck {arguments} >&- <&-")
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith("convcheck: ") == (code == 2 or "-v" in arguments.split())
    assert "Traceback" not in ended.err
    assert shell(f"$convcheck {arguments} >&- 2>&- <&-") == (code, "", "")


def test_closed_stdin_is_said() -> None:
    ended = shell(f"$convcheck compare - {QUESTION[1]} <&-")
    assert (ended.code, ended.out) == (2, "")
    assert "standard input" in ended.err


# --- layout -------------------------------------------------------------------------------------


def test_the_whole_report_to_the_letter(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert in_process(capsys, "compare", *QUESTION).out == PLAIN_REPORT


@pytest.mark.parametrize("by_shell", [False, slow(True)])
def test_the_examples_of_the_help_run(by_shell: bool, tmp_path: Path) -> None:
    image, filters = (np.load(path) for path in QUESTION)
    np.save(tmp_path / "img.npy", image)
    np.save(tmp_path / "w.npy", filters)
    np.savez(tmp_path / "data.npz", image=image, filters=filters)
    np.save(tmp_path / "out.npy", convolve(image, filters, Convention(filter_layout="IHW")))
    (tmp_path / "make.py").write_text(
        "import sys, pathlib; sys.stdout.buffer.write(pathlib.Path('img.npy').read_bytes())\n"
    )
    examples = {
        line.strip()
        for command in ([], ["compare"], ["random"])
        for line in called(*command, "--help").out.partition("Usage:")[0].splitlines()[1:]
        if re.search(r"convcheck (compare|random) ", line) and "64x56x56" not in line
    }
    assert len(examples) > 5
    for example in examples:
        if bool({*example} & {*"|<>&"}) != by_shell:
            continue
        ended = shown(example, tmp_path)
        assert (ended.code, ended.err) == (0, ""), example


def test_no_command_is_a_usage_error_that_shows_the_help() -> None:
    ended = run()
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == run("--help").out


def test_help_and_version_load_nothing_slow() -> None:
    for arguments in (["--help"], ["--version"], ["compare", "--help"], ["random", "--help"]):
        script = (
            "import sys, click\n"
            "before = set(sys.modules)\n"
            "import convcheck.cli as c\n"
            f"code = c.run({arguments!r})\n"
            "slow = {'numpy', 'scipy', 'rich', 'pathlib'} & set(sys.modules) - before\n"
            "sys.exit(f'{code} {slow}' if slow or code else 0)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment(), capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert run("--version").out == f"convcheck {__version__}\n"


# --- JSON ---------------------------------------------------------------------------------------


def test_the_schema_is_a_schema_and_lets_nothing_else_in(
    capsys: pytest.CaptureFixture[str],
) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    found = json.loads(in_process(capsys, "compare", *QUESTION, "--json").out)
    VALIDATOR.validate(found)
    for change in (
        {"schema_version": 1},
        {"rank": 4},
        {"extra": 1},
        {"verdict": "maybe"},
        {"exit_code": 3},
        {"seed": 1},
        {"command": "random"},
        {"decompositions": found["decompositions"][:2]},
        {"matching": ["fliped"]},
        {"reference": found["reference"] | {"method": "auto"}},
    ):
        assert not VALIDATOR.is_valid(found | change), change
    for key in found:
        assert not VALIDATOR.is_valid({k: v for k, v in found.items() if k != key}), key
    for part in (found["inputs"], found["decompositions"][0], found["reference"]):
        part["more"] = 1
        assert not VALIDATOR.is_valid(found)
        del part["more"]


@pytest.mark.parametrize(
    "arguments",
    [
        *[
            ["compare", *[f"{FIXTURES}/{n}/{f}.npy" for f in ("image", "filters")]]
            for n in ("bank", "complex")
        ],
        ["compare", *QUESTION, "--all-flips", "--expect", "correlation", "--strict"],
        ["random", "--shape", "1x4x4", "--dtype", "int64", "--trials", "3", "--strict"],
        [
            "random",
            "--shape",
            "3x5x5",
            "--values",
            "normal",
            "--dtype",
            "complex128",
            "--method",
            "fft",
        ],
        ["random", "--shape", "3x5x5", "--dtype", "longdouble", "--trials", "2", "--all-flips"],
    ],
)
def test_real_outputs_hold_to_the_schema(
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = in_process(capsys, *arguments, "--json")

    def refuse(constant: str) -> None:
        raise AssertionError(f"JSON has no {constant}")

    found = json.loads(ended.out, parse_constant=refuse)
    VALIDATOR.validate(found)
    assert found["exit_code"] == ended.code
    assert found["command"] == arguments[0]
    assert found["matching"] == [d["name"] for d in found["decompositions"] if d["matches"]]
    assert found["indistinguishable"] == [group["names"] for group in found["blindness"]]
    assert ended.out == json.dumps(found, indent=2) + "\n"


def test_json_of_the_published_question() -> None:
    found = json.loads(called("compare", *QUESTION, "--format", "json").out)
    VALIDATOR.validate(found)
    assert found["verdict"] == "match"
    assert found["reference"] == {
        "name": "scipy.signal.convolve",
        "method": "direct",
        "shape": [1, 4, 4],
        "dtype": "float64",
        "exact": True,
    }
    assert found["decompositions"][0] == {
        "name": "per-channel",
        "formula": "Σ_c conv2d(x[c], w[k,c])",
        "flip": ["H", "W"],
        "matches": False,
        "mismatched": 15,
        "total": 16,
        "max_abs_diff": 58.0,
        "worst_index": [0, 1, 0],
        "actual": 256.0,
        "expected": 198.0,
        "threshold": 0.0,
        "agreement_bits": 2.142,
    }
