"""No file is lost: what a run reads it never writes, a case is whole, no old report stays."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import QUESTION, SYMMETRIC, called, run, shell

TARGETS = """
import numpy as np
from scipy.ndimage import correlate

def right(x, w):
    return correlate(x.astype(float), w.astype(float), mode="constant")

def wrong(x, w):
    return right(x, w) + (x.shape[-1] > 4)

def biased(x, w):
    return right(x, w) + np.load("image.npy").flat[0] + (x.shape[-1] > 4)

def crashes(x, w):
    if x.shape[-1] > 16:
        raise ZeroDivisionError("by zero")
    return right(x, w)
"""
VERIFY = ("verify", "--layout", "HW", "--cases", "40", "--fail-fast")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with somebody's data and somebody's code."""
    for name, source in zip(("image.npy", "filters.npy"), SYMMETRIC, strict=True):
        (tmp_path / name).write_bytes(Path(source).read_bytes())
    (tmp_path / "mine.py").write_text(TARGETS)
    (tmp_path / "conv.py").write_text(
        "import sys, numpy as np, mine\n"
        "x, w, out = sys.argv[1:4]\n"
        "np.save(out, mine.right(np.load(x), np.load(w)))\n"
    )
    (tmp_path / "case").mkdir()
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in str(path)
    }


def refused(ended: Any, name: str) -> None:
    assert ended.code == 2, ended
    assert f"{name!r} is an input, which would be written over" in ended.err


@pytest.mark.parametrize("fix", [".", "case/..", "link"])
def test_fix_spares_what_it_is_to_mend(fix: str, here: Path) -> None:
    (here / "link").symlink_to(".")
    before = contents(here)
    with chdir(here):
        refused(
            called("audit", "image.npy", "filters.npy", "--fix", fix), str(Path(fix, "filters.npy"))
        )
    assert contents(here) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "$convcheck audit - away.npy --fix . < image.npy",
        "cat image.npy | $convcheck audit - away.npy --fix .",
        "cat image.npy | $convcheck compare - away.npy -o image.npy",
        "$convcheck compare - away.npy -o image.npy < image.npy",
        "$convcheck compare image.npy away.npy -o /dev/stdout >> image.npy",
    ],
)
def test_what_comes_through_a_pipe_is_spared_too(line: str, here: Path) -> None:
    (here / "filters.npy").rename(here / "away.npy")
    before = contents(here)
    ended = shell(line, cwd=here)
    assert ended.code == 2, ended
    assert "is an input, which would be written over" in ended.err
    assert contents(here) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "options", "name"),
    [
        (("mine:right",), ("-o", "mine.py"), "mine.py"),
        (("mine:biased",), ("-o", "./image.npy"), "./image.npy"),
        (("mine:biased",), ("--save", "."), "image.npy"),
        (
            (
                "--command",
                f"{shlex.quote(sys.executable)} conv.py {{image}} {{filters}} {{output}}",
            ),
            ("-o", "conv.py"),
            "conv.py",
        ),
    ],
)
def test_verify_spares_its_target(
    target: tuple[str, ...], options: tuple[str, ...], name: str, here: Path
) -> None:
    before = contents(here)
    refused(run(*VERIFY, *target, *options, cwd=here), name)
    assert contents(here) == before


def test_verify_spares_its_workload(here: Path) -> None:
    (here / "layers.txt").write_text("mb1ic2ih5oc2oh3kh3ph0n\n")
    before = contents(here)
    with chdir(here):
        asked = ("verify", "mine:right", "--workload", "layers.txt", "-o", "layers.txt")
        refused(called(*asked), "layers.txt")
    assert contents(here) == before


@pytest.mark.slow
def test_a_second_case_replaces_the_first_whole(here: Path) -> None:
    """A crash has no output: that of an earlier case does not stay beside it."""
    first = run(*VERIFY, "mine:wrong", "--save", "case", cwd=here)
    assert first.code == 1
    names = {"image.npy", "filters.npy", "actual.npy", "expected.npy"}
    assert set(contents(here / "case")) == names
    second = run(*VERIFY, "mine:crashes", "--save", "case", cwd=here)
    assert second.code == 1
    assert set(contents(here / "case")) == names - {"actual.npy"}
    assert {path.name for path in here.iterdir() if path.name.startswith(".")} == set()


def test_a_case_of_another_command_is_not_mixed_with(here: Path) -> None:
    with chdir(here):
        assert called("audit", *SYMMETRIC, "--fix", "case").code == 1
        before = contents(here)
        ended = called("random", "--shape", "3x5x5", "--save", "case")
        assert ended.code == 2
        assert "--save: the folder 'case' holds a out.npy, which is of another case" in ended.err
        assert contents(here) == before
        assert called("audit", *SYMMETRIC, "--fix", "case").code == 1


@pytest.mark.slow
def test_a_folder_with_other_files_keeps_them(here: Path) -> None:
    (here / "case" / "notes.txt").write_text("mine")
    with chdir(here):
        for seed in ("1", "2"):
            drawn = ("random", "--shape", "3x5x5", "--seed", seed, "--save", "case")
            assert called(*drawn, "-o", "case/report.json").code == 0
    assert set(contents(here / "case")) == {"notes.txt", "report.json", "image.npy", "filters.npy"}


@pytest.mark.slow
def test_a_case_into_the_folder_that_one_is_in(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        drawn = ("random", "--shape", "3x5x5", "--seed", seed, "--save", ".")
        assert run(*drawn, cwd=tmp_path).code == 0
        assert set(contents(tmp_path)) == {"image.npy", "filters.npy"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
@pytest.mark.parametrize(
    "command",
    [
        "audit big.npy w.npy --fix case",
        "random --shape 3x20x20 --seed 1 --save case",
        f"{' '.join(VERIFY)} mine:wrong --save case",
    ],
)
def test_a_full_disk_leaves_no_half_of_a_case(command: str, old: bool, here: Path) -> None:
    """The first files fit, a later one does not: as `ulimit -f` has it, in units of 1024 bytes."""
    image = np.ones((3, 30, 30), np.float32)
    np.save(here / "big.npy", image)
    np.save(here / "w.npy", np.ones((1, 3, 2, 2), np.float32))
    if not old:
        (here / "case").rmdir()
    else:
        done = shell(f"$convcheck {command}", cwd=here)
        assert done.code in {0, 1}, done
    before = contents(here)
    ended = shell(f"ulimit -f 0; $convcheck {command}", cwd=here)
    assert ended.code == 2, ended
    assert "File too large" in ended.err
    assert contents(here) == before
    assert (here / "case").exists() == old


REPORTS = ["x.json", "x.xml", "x.md", "x.html", "x.svg", "x.txt"]


@pytest.mark.parametrize("name", REPORTS)
def test_no_old_report_stays_where_there_is_no_new_one(name: str, tmp_path: Path) -> None:
    for wrong in (["no.npy"], [QUESTION[1], "--no-such-option"], [QUESTION[1], "--rank", "9"]):
        with chdir(tmp_path):
            assert called("compare", *QUESTION, "-o", name).code == 0
            assert called("compare", QUESTION[0], *wrong, f"-o{name}").code == 2
        assert not (tmp_path / name).exists()


def test_what_is_no_report_stays(here: Path) -> None:
    before = contents(here)
    with chdir(here):
        assert called("verify", "mine:right", "--no-such-option", "-o", "mine.py").code == 2
        assert called("compare", "no.npy", "filters.npy", "-o", "image.npy").code == 2
    assert contents(here) == before


def test_a_report_that_is_an_input_stays(tmp_path: Path) -> None:
    with chdir(tmp_path):
        assert called("compare", *QUESTION, "-o", "1.json").code == 0
        before = contents(tmp_path)
        os.link("1.json", "2.json")
        for wrong in (["2.json"], ["--no-such-option", "1.json"], ["1.json", "no.json"]):
            assert called("merge", *wrong, "-o", "1.json").code == 2
            assert contents(tmp_path)["1.json"] == before["1.json"]
