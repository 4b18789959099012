"""However a run is ended: nothing is left of it, and nothing is complained of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import CONVCHECK, environment
from few import one_in, slow

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="needs Linux's /proc")
PROGRAM = """
import sys, time
import numpy as np
from scipy.ndimage import correlate
x, w, out = sys.argv[1:4]
np.save(out, correlate(np.load(x).astype(float), np.load(w).astype(float), mode="constant"))
open("called", "w").close()
time.sleep(0.2)
"""
TARGETS = """
import os, time
from scipy.ndimage import correlate

def right(x, w):
    open("called", "w").close()
    return correlate(x.astype(float), w.astype(float), mode="constant")

def daemon(x, w):
    open("called", "w").close()
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    os.closerange(0, 300)
    time.sleep(600)
"""
COMMAND = f"{sys.executable} program.py {{image}} {{filters}} {{output}}"
RUNS = {
    "program": ["verify", "--command", COMMAND, "--layout", "HW"],
    "programs": ["verify", "--command", COMMAND, "--layout", "HW", "--jobs", "2"],
    "workers": ["verify", "ended:right", "--layout", "HW", "--jobs", "2", "--cases", "9000"],
    "daemon": ["verify", "ended:daemon", "--layout", "HW", "--timeout", "30"],
}
SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL]


def mine(folder: Path) -> list[str]:
    """The processes that the run has left: they know its folder for temporary files."""
    mark = os.fsencode(f"TMPDIR={folder}")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                stat = (process / "stat").read_text().rpartition(")")[2].split()[0]
                found += [process.name] if stat != "Z" else []
        except OSError:
            continue
    return found


def gone(folder: Path) -> bool:
    until = time.monotonic() + 15
    while time.monotonic() < until:
        if not mine(folder) and not list(folder.iterdir()):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("number", one_in(4, SIGNALS), ids=lambda s: s.name)
@pytest.mark.parametrize("name", ["program", slow("programs"), slow("workers"), slow("daemon")])
@pytest.mark.parametrize("after", [0.1, slow(0.0), slow(1.0)])
def test_whoever_is_ended_leaves_nothing(
    name: str, number: signal.Signals, after: float, tmp_path: Path
) -> None:
    temporary, work = tmp_path / "tmp", tmp_path / "work"
    temporary.mkdir()
    work.mkdir()
    (work / "program.py").write_text(PROGRAM)
    (work / "ended.py").write_text(TARGETS)
    # Of a job in the background a shell has SIGINT ignored, and so would be ours.
    kept = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        [*CONVCHECK, *RUNS[name]],
        cwd=work,
        env=environment(TMPDIR=str(temporary), PYTHONDONTWRITEBYTECODE="1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        signal.signal(signal.SIGINT, kept)
        until = time.monotonic() + 30
        while not (work / "called").exists() and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(after)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode in {-number, 130}
    assert gone(temporary), (mine(temporary), list(temporary.iterdir()))
    if number != signal.SIGKILL:  # which lets nobody say anything, nor keep others from it
        # A campaign that has begun says it in its report.
        assert said.decode().strip().partition(";")[0] in {"", "convcheck: interrupted"}
    assert {path.name for path in work.iterdir()} <= {"program.py", "ended.py", "called"}


@pytest.mark.slow
@pytest.mark.parametrize("where", ["", "f = daemon(0, 0)"], ids=["called", "imported"])
def test_a_target_that_makes_a_daemon_of_itself_leaves_no_process(
    where: str, tmp_path: Path
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    (tmp_path / "ended.py").write_text(f"{TARGETS}\n{where}\n")
    done = subprocess.run(
        [*CONVCHECK, "verify", "ended:daemon", "--layout", "HW", "--timeout", "2"],
        cwd=tmp_path,
        env=environment(TMPDIR=str(temporary)),
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 2, done
    assert b"convcheck: error: " in done.stderr
    assert gone(temporary), mine(temporary)
