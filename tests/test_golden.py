"""Every command in every format, to the letter: the files of tests/golden.

When an output changes on purpose, ``python tests/test_golden.py`` writes them anew, and with
``compare random`` after it those of these commands alone; look at the difference before you commit
it.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from few import one_in, slow

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from convcheck import cli  # noqa: E402 - run as a script, it must find the tree that it is in
from convcheck.cli import base  # noqa: E402
from convcheck.convention import Convention  # noqa: E402
from convcheck.engine import convolve  # noqa: E402
from convcheck.render.report import Report, Style  # noqa: E402

GOLDEN = ROOT / "tests" / "golden"
QUESTION = ["fixtures/question/image.npy", "fixtures/question/filters.npy"]
INPUTS = "tests/golden/inputs"
SYMMETRIC = ["fixtures/symmetric/image.npy", "fixtures/symmetric/filters.npy"]
IDENTIFY = [f"fixtures/identify/{name}.npy" for name in ("image", "filters", "out")]
# Small integers throughout, so that no machine rounds them otherwise.
COMMANDS = {
    "compare": ["compare", *QUESTION, "--explain", "--picture"],
    "compare-mismatch": ["compare", *QUESTION, "--expect", "per-channel", "--all-flips"],
    "random": ["random", "--shape", "2x6x7", "--kernel", "2x3", "--count", "2", "--seed", "5"],
    "random-signal": ["random", "--shape", "3x18", "--kernel", "4", "--seed", "2", "--explain"],
    "random-volume": [
        *("random", "--shape", "2x4x5x6", "--kernel", "2x2x3", "--seed", "2"),
        *("--explain", "--picture", "--impulse"),
    ],
    "random-impulse": ["random", "--shape", "3x5x5", "--seed", "3", "--impulse"],
    "random-trials": ["random", "--shape", "3x5x5", "--seed", "1", "--trials", "3"],
    "identify": ["identify", *IDENTIFY, "--explain", "--picture"],
    "identify-unexpected": ["identify", *IDENTIFY, "--expect", "flipped"],
    "identify-near": [
        "identify",
        f"{INPUTS}/image.npy",
        IDENTIFY[1],
        f"{INPUTS}/damaged.npy",
        "--picture",
        "--at",
        "1,6,0",
    ],
    "diff": ["diff", f"{INPUTS}/right.npy", f"{INPUTS}/damaged.npy", "--picture"],
    "diff-explained": [
        *("diff", f"{INPUTS}/right.npy", f"{INPUTS}/moved.npy"),
        *(f"{INPUTS}/image.npy", IDENTIFY[1]),
    ],
    "audit": ["audit", *SYMMETRIC],
    "inspect": ["inspect", QUESTION[0]],
    "verify": ["verify", "scipy.ndimage:correlate", "--cases", "30"],
    "verify-wrong": ["verify", "tests.golden.inputs.target:conv", "--cases", "300"],
}
STYLES = {
    "60.txt": Style(width=60),
    "80.txt": Style(width=80),
    "120.txt": Style(width=120),
    "80.colour.txt": Style(width=80, color=True),
    "pipe.txt": Style(),
    "ascii.txt": Style(unicode=False),
    "quiet.txt": Style(quiet=True),
}
FORMATS = {"json": "json", "md": "markdown", "xml": "junit", "html": "html", "svg": "svg"}
FILES = [
    (command, name)
    for command in COMMANDS
    for name in (*STYLES, *FORMATS)
    # Pages and pictures are large, and are made of the table: one for each command will do.
    if name not in {"html", "svg"} or "-" not in command
]


@cache
def reported(command: str) -> Report:
    """What the command found, without how long it took."""
    kept: list[Report] = []

    def keep(report: Report, options: dict[str, Any]) -> int:
        kept.append(report)
        return report.exit_code

    arguments = COMMANDS[command]
    with (
        mock.patch(f"convcheck.cli.{arguments[0]}.emit", keep),
        mock.patch("convcheck.cli.verify.save_smallest", return_value=("convcheck-case", ())),
    ):
        code = cli.run(arguments)
    assert code in (0, 1)
    (report,) = kept
    # How long a search takes and where it looks may change; what it finds may not.
    for vain in ("elapsed", "hypotheses"):
        if hasattr(report.result, vain):
            report = replace(report, result=replace(report.result, **{vain: 0}))
    return replace(report, seconds=0.0)


def rendered(command: str, name: str) -> str:
    if name in STYLES:
        return base._render(reported(command), "table", STYLES[name])
    return base._render(reported(command), FORMATS[name], Style())


def golden(command: str, name: str) -> str:
    return (GOLDEN / f"{command}.{name}").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def in_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in the reports are those of a reader in the repository's folder."""
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(("command", "name"), FILES)
def test_a_report_is_exactly_this(command: str, name: str) -> None:
    assert rendered(command, name) == golden(command, name)


def test_there_is_no_file_too_many() -> None:
    expected = {f"{command}.{name}" for command, name in FILES}
    assert {path.name for path in GOLDEN.iterdir()} - {"inputs"} == expected


# --- the same through a real process ------------------------------------------------------------

STEERING = {
    *("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TERM", "LANG", "LC_ALL", "LC_CTYPE"),
    *("PYTHONIOENCODING", "PYTHONUTF8", "CLICOLOR", "CLICOLOR_FORCE"),
}
# The quickest of those with colours: whether a terminal is there is no matter of the command.
AUDIT = COMMANDS["audit"]
UTF8 = {"LANG": "C.UTF-8", "TERM": "xterm-256color"}


def environment(**steering: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in STEERING}
    return {**kept, "PYTHONPATH": str(ROOT), **steering}


def piped(arguments: list[str], **steering: str) -> str:
    """What goes into a pipe."""
    done = subprocess.run(
        [sys.executable, "-m", "convcheck", *arguments],
        env=environment(**steering),
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (arguments is AUDIT, b"")
    return done.stdout.decode()


def typed(arguments: list[str], columns: int, **steering: str) -> str:
    """What is shown on a terminal of so many columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "convcheck", *arguments],
        env=environment(**steering),
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(slave)
        shown = b""
        with suppress(OSError):  # EIO is how a terminal says that the other side has gone
            while part := os.read(master, 1 << 16):
                shown += part
        os.close(master)
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == (arguments is AUDIT)
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", one_in(2, [120, 60]))
def test_a_terminal_shows_the_file_of_its_width(columns: int) -> None:
    assert typed(AUDIT, columns, **UTF8, NO_COLOR="1") == golden("audit", f"{columns}.txt")


@pytest.mark.parametrize(
    ("steering", "name"),
    [
        ({}, "80.colour.txt"),
        slow({"NO_COLOR": "1"}, "80.txt"),
        # Who decides is told without a terminal too: tests/cli/test_terminal.py.
        slow({"NO_COLOR": "1", "FORCE_COLOR": "1"}, "80.txt"),
        slow({"NO_COLOR": ""}, "80.colour.txt"),
        slow({"TERM": "dumb"}, "80.txt"),
        slow({"TERM": "dumb", "FORCE_COLOR": "1"}, "80.colour.txt"),
    ],
)
def test_colour_on_a_terminal(steering: dict[str, str], name: str) -> None:
    assert typed(AUDIT, 80, **{**UTF8, **steering}) == golden("audit", name)


def test_colour_in_a_pipe() -> None:
    assert piped(AUDIT, **UTF8) == golden("audit", "pipe.txt")
    forced = piped(AUDIT, **UTF8, FORCE_COLOR="1")
    # Off a terminal a report is 80 columns wide too.
    assert forced == golden("audit", "80.colour.txt")


@pytest.mark.parametrize(
    "steering",
    [
        {"LC_ALL": "C"},
        slow({"LANG": "C"}),
        slow({"LANG": "POSIX"}),
        slow({**UTF8, "PYTHONIOENCODING": "ascii"}),
    ],
)
def test_plain_characters_where_no_others_are_spoken(steering: dict[str, str]) -> None:
    assert piped(AUDIT, **steering) == golden("audit", "ascii.txt")


@pytest.mark.parametrize("command", one_in(4, ["inspect", "verify", "random-impulse", "identify"]))
def test_every_command_knows_plain_characters(command: str) -> None:
    shown = piped(COMMANDS[command], LC_ALL="C")
    assert shown == golden(command, "ascii.txt")
    assert shown.isascii()


def write_inputs() -> None:
    """An output, the same but for one column of one filter, and with its padding on the other side.

    Of a larger image than the fixture's, whose few elements would be searched for many seconds.
    """
    image = np.random.default_rng(4).integers(-9, 10, (1, 14, 16, 3)).astype(np.float32)
    layouts = {"image_layout": "NHWC", "filter_layout": "HWIO", "output_layout": "NHWC"}
    layer = Convention(**layouts, stride=2, padding=[[0, 1], [0, 1]])
    right = convolve(image, np.load(IDENTIFY[1]), layer).astype(np.float32)
    moved = convolve(image, np.load(IDENTIFY[1]), layer.replace(padding=[[1, 0], [1, 0]]))
    damaged = right.copy()
    damaged[0, :, 1, 2] += 40
    np.save(f"{INPUTS}/image.npy", image)
    np.save(f"{INPUTS}/damaged.npy", damaged)
    np.save(f"{INPUTS}/right.npy", right)
    np.save(f"{INPUTS}/moved.npy", moved.astype(np.float32))


if __name__ == "__main__":
    os.chdir(ROOT)
    chosen = [c for c in COMMANDS if not sys.argv[1:] or COMMANDS[c][0] in sys.argv[1:]]
    write_inputs()
    for path in GOLDEN.glob("*.*"):
        if path.name.partition(".")[0] in {*chosen} or not sys.argv[1:]:
            path.unlink()
    for command, name in [file for file in FILES if file[0] in chosen]:
        (GOLDEN / f"{command}.{name}").write_text(rendered(command, name), encoding="utf-8")
