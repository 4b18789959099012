"""Killed, out of memory, deserted by scipy, or two at once: nothing is lost and nothing is left."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
from command import CONVCHECK, QUESTION, environment

from convcheck import cli
from convcheck.checks import compare as home

KILLED = """
import io, os, signal, sys
from pathlib import Path
from convcheck import cli, writing

moment, *arguments = sys.argv[1:]

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

class Half(io.FileIO):
    def write(self, data):
        super().write(bytes(data)[: len(data) // 2])
        die()

kept = Path.open
def half(self, mode="r", *args, **kwargs):
    return Half(str(self), "xb") if mode == "xb" else kept(self, mode, *args, **kwargs)

if moment == "before it is made":
    writing.secrets.token_hex = die
elif moment == "half written":
    Path.open = half
elif moment == "before it is on the disk":
    os.fsync = die
elif moment == "before it takes its name":
    Path.replace = die
cli.main(arguments)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    ["before it is made", "half written", "before it is on the disk", "before it takes its name"],
)
@pytest.mark.parametrize("command", ["compare", "random"])
def test_who_is_killed_leaves_the_old_file_whole(moment: str, command: str, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    old = {"report.json": b"old", "image.npy": b"old", "filters.npy": b"old"}
    for name, content in old.items():
        (tmp_path / "here" / name).write_bytes(content)
    arguments = ["random", "--shape", "3x5x5", "--save", "here"]
    if command == "compare":
        arguments = ["compare", *QUESTION, "-o", "here/report.json"]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, moment, *arguments],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    for name, content in old.items():
        assert (tmp_path / "here" / name).read_bytes() == content


@pytest.mark.slow
def test_runs_at_once_in_one_folder_do_not_disturb_each_other(tmp_path: Path) -> None:
    command = [*CONVCHECK, "random", "--shape", "3x40x50", "--seed"]
    runs = [
        subprocess.Popen(
            [*command, str(seed), "--save", "case", "-o", "report.json"],
            cwd=tmp_path,
            env=environment(),
            stderr=subprocess.PIPE,
        )
        for seed in range(4)
    ]
    for run in runs:
        _, said = run.communicate(timeout=120)
        assert (run.returncode, said) == (0, b"")
    assert json.loads((tmp_path / "report.json").read_text())["exit_code"] == 0
    assert np.load(tmp_path / "case" / "image.npy").shape == (3, 40, 50)
    assert np.load(tmp_path / "case" / "filters.npy").shape == (1, 3, 2, 2)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"report.json", "case", "case/image.npy", "case/filters.npy"}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="needs Linux's /proc")
def test_workers_end_with_who_started_them() -> None:
    case = ["--shape", "64x600x600", "--filters", "64x64x3x3", "--values", "normal"]
    with subprocess.Popen(
        [*CONVCHECK, "random", *case, "--jobs", "2", "--memory", "1GiB"],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as parent:
        workers: list[Path] = []
        deadline = time.monotonic() + 60
        while len(workers) < 3 and time.monotonic() < deadline:  # two, and what tracks them
            time.sleep(0.2)
            task = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
            workers = [Path("/proc", child) for child in task.read_text().split()]
        assert len(workers) >= 3
        time.sleep(1)
        parent.kill()
    while any(map(_runs, workers)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(map(_runs, workers))


def _runs(process: Path) -> bool:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_out_of_memory_in_a_tile_says_what_would_fit(
    jobs: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise MemoryError

    monkeypatch.setattr(home, "run", fail)
    case = ["--shape", "3x900x900", "--filters", "4x3x5x5", "--seed", "1"]
    assert cli.run(["random", *case, "--jobs", jobs, "--memory", "1GiB"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("convcheck: error: out of memory in a tile\n  found:    plan: ")
    figures = re.findall(r"of up to (\d+) MiB.*expected: (\d+) MiB for each", err, re.DOTALL)
    tile, each = map(int, figures[0])
    assert each == 64 + tile
    assert (f"--jobs 1: that takes {each} MiB in all" in err) == (jobs == "2")
    assert (f"free {each} MiB" in err) == (jobs == "1")


def test_out_of_memory_before_there_is_a_plan(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise MemoryError

    monkeypatch.setattr(home, "image_and_bank", fail)
    assert cli.run(["compare", *QUESTION]) == 2
    assert "out of memory" in capsys.readouterr().err


def test_a_scipy_that_raises_is_no_mismatch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no FFT today")

    monkeypatch.setattr(scipy.signal, "convolve", fail)
    assert cli.run(["compare", *QUESTION, "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "scipy.signal.convolve itself failed, so there is nothing to judge against" in err
    assert "RuntimeError: no FFT today" in err


def test_a_scipy_that_warns_is_not_heard(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """An FFT of huge numbers overflows, and newer scipys comment on that."""
    np.save(tmp_path / "x.npy", np.full((2, 40, 40), 1e304) * np.arange(1, 41))
    np.save(tmp_path / "w.npy", np.full((1, 2, 3, 3), 1.1))
    paths = [str(tmp_path / name) for name in ("x.npy", "w.npy")]
    assert cli.run(["compare", *paths, "--method", "fft"]) == 2
    err = capsys.readouterr().err
    assert "values that are not finite for finite data" in err
    assert "Warning" not in err
