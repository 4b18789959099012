"""The command line on a terminal: interrupts, colour, characters and width."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from command import (
    CONVCHECK,
    QUESTION,
    STEERING,
    called,
    environment,
    in_process,
    run,
)
from few import slow

from convcheck.cli import base
from convcheck.render.words import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# --- interrupts ---------------------------------------------------------------------------------


def read_some(descriptor: int, until: bytes = b"", seconds: float = 30) -> bytes:
    """What a terminal gets, up to ``until`` or the end."""
    data, deadline = b"", time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # how Linux says that nobody holds the other end any more
            return data
        data += chunk
        if not chunk or (until and until in data):
            return data
    raise AssertionError(f"still waiting after {data!r}")


@pytest.fixture
def terminal() -> Iterator[Callable[[int], tuple[int, int]]]:
    """Open pseudo-terminals of a width: (what the test reads, what the program writes to)."""
    opened: list[int] = []

    def make(columns: int) -> tuple[int, int]:
        master, slave = pty.openpty()
        opened.append(master)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        return master, slave

    yield make
    for master in opened:
        os.close(master)


def test_ctrl_c_ends_with_130_and_leaves_no_bar(tmp_path: Path, terminal: Any) -> None:
    master, slave = terminal(80)
    process = subprocess.Popen(
        [*CONVCHECK, "random", "--shape", "3x5x5", "--trials", "100000"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=slave,
    )
    os.close(slave)
    seen = read_some(master, until=b"cases")  # the progress bar is up, the work has begun
    process.send_signal(signal.SIGINT)
    seen += read_some(master)
    assert process.wait(timeout=10) == 130
    assert process.stdout is not None
    assert process.stdout.read() == b""
    process.stdout.close()
    assert b"convcheck: interrupted" in seen
    assert b"Traceback" not in seen
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_sees_how_far_a_search_is(tmp_path: Path, terminal: Any) -> None:
    rng = np.random.default_rng(1)
    for name, shape in (("img", (4, 15, 18)), ("w", (4, 4, 4, 3)), ("out", (4, 12, 16))):
        np.save(tmp_path / f"{name}.npy", rng.standard_normal(shape))
    master, slave = terminal(100)
    process = subprocess.Popen(
        [*CONVCHECK, "identify", "img.npy", "w.npy", "out.npy"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=slave,
    )
    os.close(slave)
    seen = read_some(master, until=b"/s ")
    process.send_signal(signal.SIGINT)
    seen += read_some(master)
    out, _ = process.communicate(timeout=10)
    assert (process.returncode, out) == (130, b"")
    assert re.search(rb"million conventions.*\d+/\d+.*/s ", seen)
    flat = b" ".join(seen.split())
    assert re.search(rb"convcheck: interrupted; partial: [\d,]+ conventions were considered", flat)


def test_ctrl_c_off_a_terminal() -> None:
    script = (
        "import convcheck.cases as cases, os, signal, sys\n"
        "true = cases.draw\n"
        "def draw(*shapes, seed, **options):\n"
        "    if seed == 20: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return true(*shapes, seed=seed, **options)\n"
        "cases.draw = draw\n"
        "from convcheck.cli import main\n"
        "main(['random', '--shape', '3x5x5', '--trials', '100000', '--seed', '1'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (130, b"")
    said = b"convcheck: interrupted; partial: 19 of 100000 cases were done"
    assert done.stderr.strip() == said


@pytest.mark.parametrize("module", ["click", "dataclasses"])
def test_ctrl_c_while_modules_are_imported(tmp_path: Path, module: str) -> None:
    """Before the command line is there, and in an exec(), after which -m ends by the signal."""
    (tmp_path / "program.py").write_text(
        "import sys\n"
        "from convcheck.__main__ import main\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}: exec('raise KeyboardInterrupt')\n"
        "sys.meta_path.insert(0, Finder())\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "program", "random", "--shape", "3x5x5"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
    )
    assert (done.returncode, done.stdout) == (130, b"")
    assert done.stderr == b"\nconvcheck: interrupted\n"


# --- colour and characters ----------------------------------------------------------------------

ESCAPE = "\x1b["


def on_terminal(terminal: Any, columns: int, *arguments: str, **changes: str) -> tuple[str, int]:
    master, slave = terminal(columns)
    process = subprocess.Popen(
        [*CONVCHECK, *arguments],
        env=environment(**changes),
        stdout=slave,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    os.close(slave)
    out = read_some(master).decode().replace("\r\n", "\n")
    return out, process.wait(timeout=30)


@pytest.mark.parametrize(
    ("changes", "option", "pipe", "tty"),
    [
        ({}, "auto", False, True),
        ({"FORCE_COLOR": "1"}, "auto", True, True),
        ({"NO_COLOR": "1"}, "auto", False, False),
        ({"NO_COLOR": ""}, "auto", False, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, "auto", False, False),
        ({"NO_COLOR": "1"}, "always", True, True),
        ({"FORCE_COLOR": "1"}, "never", False, False),
        ({"TERM": "dumb"}, "auto", False, False),
        ({"TERM": "dumb"}, "always", True, True),
    ],
)
def test_who_decides_on_colour(
    changes: dict[str, str], option: str, pipe: bool, tty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in STEERING:
        monkeypatch.delenv(name, raising=False)
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    assert base.wants_color(option, terminal=False) is pipe
    assert base.wants_color(option, terminal=True) is tty


def test_colour_never_gets_into_json() -> None:
    assert ESCAPE not in called("random", "--shape", "3x5x5", "--json", "--color", "always").out


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"LANG": "C"},
        slow({"LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}),
        slow({"PYTHONIOENCODING": "latin-1"}),
    ],
    ids=str,
)
def test_plain_characters_where_the_locale_has_no_others(changes: dict[str, str]) -> None:
    ended = run("compare", *QUESTION, **changes)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.isascii()
    assert "sum_c conv2d(x[c], w[k,C-1-c])" in ended.out
    ended = run("compare", "no\u2026such", QUESTION[1], **changes)
    assert ended.code == 2
    assert "Traceback" not in ended.err
    assert ended.err.isascii() or "PYTHONIOENCODING" in changes


NAMES = [
    (b"with space", b"[red]x[bold]"),
    (b"new\nline", b"tab\t\x1b[31mred"),
    ("λ…".encode(), b":-) :smile: \\"),
    (b"byte\xff\xfe", b"--x"),
]


@pytest.mark.parametrize("names", [*map(slow, NAMES[:-1]), NAMES[-1]])
def test_names_show_as_they_are(names: tuple[bytes, bytes], tmp_path: Path) -> None:
    for source, name in zip(QUESTION, names, strict=True):
        shutil.copyfile(source, tmp_path / os.fsdecode(name))
    shown = [
        "".join(c if c.isprintable() else ascii(c)[1:-1] for c in os.fsdecode(name))
        for name in names
    ]
    ended = run("compare", "--", *names, cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    first, second, *_ = ended.out.splitlines()
    assert first == f"IMG    3x5x5 float32  {shown[0]}"
    assert second == f"W      3x2x2 float32  {shown[1]}"
    ended = run("compare", "--", *[name + b".no" for name in names], cwd=tmp_path)
    assert ended.code == 2
    assert f"IMG: {shown[0]}.no does not exist" in ended.err
    assert ESCAPE not in ended.err


def test_names_in_json_are_the_names(tmp_path: Path) -> None:
    image = os.fsdecode(NAMES[3][0])
    shutil.copyfile(QUESTION[0], tmp_path / image)
    with chdir(tmp_path):
        ended = called("compare", image, QUESTION[1], "--json")
    assert os.fsencode(json.loads(ended.out)["inputs"]["image"]["path"]) == NAMES[3][0]


@pytest.mark.parametrize(
    ("columns", "dtype"),
    [
        (60, "complex128"),
        slow(60, "float64"),
        slow(80, "complex128"),
        slow(120, "complex128"),
    ],
)
def test_every_number_is_whole_and_no_line_too_wide(
    columns: int,
    dtype: str,
    terminal: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rng = np.random.default_rng(5)
    image = rng.standard_normal((3, 9, 9)) * 1e-123
    filters = rng.standard_normal((2, 3, 2, 3)) / 3
    if dtype == "complex128":
        image, filters = image * (1 + 0.1j), filters * (2 - 3j)
    paths = [str(tmp_path / name) for name in ("image.npy", "filters.npy")]
    np.save(paths[0], image)
    np.save(paths[1], filters)
    arguments = ["compare", *paths, "--method", "direct"]
    found = json.loads(in_process(capsys, *arguments, "--json").out)
    out, code = on_terminal(terminal, columns, *arguments, NO_COLOR="1")
    assert code == 0
    lines = out.splitlines()
    wide = [line for line in lines if len(line) > columns and not line.startswith("  ")]
    assert wide == []
    assert any(line.startswith("  correlation") for line in lines)
    assert "…" not in out
    for row in found["decompositions"]:
        if (
            row["max_abs_diff"] == 0
        ):  # the flipped one, where the machine's kernels round as scipy does
            assert row["matches"]
            continue
        for key in ("actual", "expected"):
            value = row[key]
            if isinstance(value, dict):
                value = complex(value["real"], value["imag"])
            assert any(number(value) in line for line in lines), key
        assert any(f"at ({', '.join(map(str, row['worst_index']))})" in line for line in lines)
        for size in (row["max_abs_diff"], row["threshold"]):
            assert any(f"{size:.3g}" in line for line in lines)
