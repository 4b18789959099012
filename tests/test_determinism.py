"""The same input, the same report, byte for byte, whatever the machine is like and busy with."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command import CONVCHECK, FIXTURES, QUESTION, environment

pytestmark = pytest.mark.slow
SURROUNDINGS = [
    {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    {"PYTHONHASHSEED": "4242", "OPENBLAS_NUM_THREADS": "4", "OMP_NUM_THREADS": "3"}
    | {"MKL_NUM_THREADS": "2", "TZ": "Asia/Kathmandu", "COLUMNS": "200"},
]
IDENTIFIED = [str(FIXTURES / "identify" / f"{name}.npy") for name in ("image", "filters", "out")]
BLIND = [str(FIXTURES / "symmetric" / f"{name}.npy") for name in ("image", "filters")]


def report(arguments: list[str], cwd: Path, **changes: str) -> tuple[int, bytes]:
    done = subprocess.run(
        [*CONVCHECK, *arguments],
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        timeout=120,
    )
    assert done.stderr == b""
    timeless = re.sub(rb'("elapsed_s": |time=")[\d.e-]+', rb"\g<1>0", done.stdout)
    return done.returncode, timeless


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", *QUESTION, "--explain", "--picture", "--all-flips", "--json"],
        ["random", "--shape", "5x60x70", "--values", "normal", "--seed", "7", "--json"],
        ["random", "--shape", "3x9x8", "--trials", "20", "--seed", "3", "--format", "junit"],
        ["identify", *IDENTIFIED, "--json"],
        ["audit", *BLIND, "--json"],
        ["verify", "mine:conv", "--cases", "12", "--json"],
        ["verify", "mine:wrong", "--cases", "12", "--json"],
        ["verify", "mine:wrong", "--cases", "12", "--format", "junit"],
    ],
    ids=lambda arguments: f"{arguments[0]} {arguments[-1]}",
)
def test_a_report_is_the_same_in_all_surroundings(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    reports = {report(arguments, tmp_path, **changes) for changes in SURROUNDINGS}
    assert len(reports) == 1
    code, said = reports.pop()
    assert code in {0, 1}
    assert len(said) > 100


MINE = """
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

def conv(x, w):
    windows = sliding_window_view(x, w.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, w)

def wrong(x, w):
    return conv(x, w[..., ::-1] if w.shape[0] > 2 else w)
"""


def test_a_large_comparison_is_the_same_whatever_the_jobs_and_the_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    np.save(tmp_path / "x.npy", rng.standard_normal((3, 400, 500)).astype(np.float32))
    np.save(tmp_path / "w.npy", rng.standard_normal((6, 3, 5, 4)).astype(np.float32))
    reports = set()
    for jobs, memory, changes in zip(("1", "3"), ("100MiB", "4GiB"), SURROUNDINGS, strict=True):
        work = ["--jobs", jobs, "--memory", memory, "--json"]
        reports.add(report(["compare", "x.npy", "w.npy", *work], tmp_path, **changes))
    assert len(reports) == 1
    _, said = reports.pop()
    found = json.loads(said)
    assert found["verdict"] == "match"
    assert found["reference"]["method"] == "fft"
