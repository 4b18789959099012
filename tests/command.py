"""The command as its users run it, in a process of its own or without one, for any test."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from convcheck import cli

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[1]
FIXTURES = ROOT / "fixtures"
QUESTION = (str(FIXTURES / "question/image.npy"), str(FIXTURES / "question/filters.npy"))
SYMMETRIC = tuple(str(FIXTURES / f"symmetric/{name}.npy") for name in ("image", "filters"))
STEERING = (
    *("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TERM", "CONVCHECK_DEBUG"),
    *("LANG", "LC_ALL", "LC_CTYPE", "PYTHONUTF8", "PYTHONIOENCODING"),
)
CONVCHECK = (sys.executable, "-m", "convcheck")


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in STEERING}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    fixed = {"PYTHONPATH": path, "PYTHONWARNINGS": "error", "LANG": "C.UTF-8", "TERM": "xterm"}
    return kept | fixed | changes


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def run(*arguments: Any, cwd: Path | None = None, stdin: bytes = b"", **changes: str) -> Ended:
    done = subprocess.run(
        [*CONVCHECK, *arguments],
        cwd=cwd or ROOT,
        env=environment(**changes),
        input=stdin,
        capture_output=True,
        timeout=60,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def shell(script: str, cwd: Path | None = None, **changes: str) -> Ended:
    """A line of bash in which ``$convcheck`` is the command."""
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=cwd or ROOT,
        env=environment(convcheck=" ".join(CONVCHECK), **changes),
        capture_output=True,
        timeout=60,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def in_process(capsys: pytest.CaptureFixture[str], *arguments: str) -> Ended:
    """The same without a process, for what is no matter of streams and signals."""
    code = cli.run(arguments)
    return Ended(code, *capsys.readouterr())


def called(*arguments: str) -> Ended:
    """As in_process, in plain characters: for what a module asks once, whatever captures."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.run(arguments)
    return Ended(code, out.getvalue(), err.getvalue())


def shown(line: str, folder: Path) -> Ended:
    """A line of the help or of a page as its reader runs it: by a shell, where it needs one."""
    if {*line} & {*"|<>&"}:
        line = re.sub(r"\bconvcheck ", "$convcheck ", line)
        return shell(line.replace("python ", f"{sys.executable} "), cwd=folder)
    program, *arguments = shlex.split(line)
    assert program == "convcheck"
    with chdir(folder):
        return called(*arguments)


def listing(folder: Path) -> set[tuple[str, int]]:
    return {(str(p), p.lstat().st_mtime_ns) for p in folder.rglob("*")}


PLAIN_REPORT = f"""\
IMG    3x5x5 float32  {QUESTION[0]}
W      3x2x2 float32  {QUESTION[1]}
scipy  1x4x4 float64  scipy.signal.convolve(x, w, 'valid', method='direct')

 decomposition                   differ     largest difference, at (k, y, x)
 ───────────────────────────────────────────────────────────────────────────
 per-channel                     DIFFERS    58 at (0, 1, 0)
 Σ_c conv2d(x[c], w[k,c])        15 of 16   256 here
                                            198 by scipy
                                            threshold 0, 2.1 bits agree

 flipped                         MATCHES    none, every element is equal
 Σ_c conv2d(x[c], w[k,C-1-c])    0 of 16    threshold 0, 53.0 bits agree

 correlation                     DIFFERS    66 at (0, 3, 3)
 Σ_c correlate2d(x[c], w[k,c])   16 of 16   306 here
                                            372 by scipy
                                            threshold 0, 2.5 bits agree

match: flipped matches scipy.signal.convolve to the last digit, all 16 elements.
Why: scipy's N-D convolution reverses every axis of the filter: rows, columns
and the channel axis too. So image channel c meets filter channel C-1-c (here 0
with 2, 1 with 1, 2 with 0).
If you wanted another row, call instead:
  per-channel  scipy.signal.convolve(x, w[::-1], 'valid')
  correlation  scipy.signal.correlate(x, w, 'valid')
"""
