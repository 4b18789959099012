"""``convcheck merge`` as its users meet it: exit codes, the same bytes, what is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from few import slow

from convcheck.cli import run as command

ROOT = Path(__file__).resolve().parents[2]
MODULE = """
from zoo import conv

def right(x, w, stride=1):
    return conv(x, w, stride)

def even(x, w):
    return conv(x, w[:, :, ::-1, ::-1] if w.shape[2] % 2 == 0 else w)

def some(x, w):
    if sum(x.shape + w.shape) % 3 == 0:
        raise NotImplementedError("not supported")
    return conv(x, w)
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "zoo.py").write_text((ROOT / "tests" / "zoo.py").read_text())
    (tmp_path / "mine.py").write_text(MODULE)
    return tmp_path


def run(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "convcheck", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | more,
        capture_output=True,
        text=True,
        timeout=100,
    )


def shards(folder: Path, of: int, *arguments: str) -> list[str]:
    names = [f"{part}.json" for part in range(1, of + 1)]
    for part, name in enumerate(names, 1):
        run(folder, "verify", *arguments, "--shard", f"{part}/{of}", "-o", name)
    return names


def shard(asked: list[str], part: str, name: str) -> str:
    """The same in this process."""
    command([*asked, "--shard", part, "-o", name])
    return name


def timeless(text: str) -> str:
    return re.sub(r'"elapsed_s": [\d.e-]+', '"elapsed_s": 0', text)


@pytest.mark.parametrize(
    ("arguments", "of", "code"),
    [
        (["mine:right", "--cases", "9", "--layout", "NCHW"], 2, 0),
        slow(["mine:even", "--cases", "40"], 3, 1),
        slow(["mine:even", "--cases", "9", "--seed", "4", "--expect", "flipped,valid"], 2, 1),
        slow(["mine:some", "--cases", "60"], 4, 0),
        slow(["mine:even", "--cases", "20", "--fail-fast"], 3, 1),
    ],
    ids=str,
)
def test_the_report_is_that_of_the_whole_to_the_byte(
    arguments: list[str], of: int, code: int, here: Path
) -> None:
    whole = run(here, "verify", *arguments, "--json")
    merged = run(here, "merge", *reversed(shards(here, of, *arguments)), "--json")
    assert (merged.returncode, merged.stderr) == (code, "")
    assert timeless(merged.stdout) == timeless(whole.stdout)
    if code == 0 and of == 2:
        return
    table = run(here, "merge", *(f"{n}.json" for n in range(1, of + 1)))
    assert table.stdout == run(here, "verify", *arguments).stdout


def test_where_cases_fail_the_target_says_why_if_it_is_there(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(here)
    asked = ["verify", "mine:even", "--cases", "5", "--layout", "NCHW"]
    names = [shard(asked, f"{part}/2", f"{part}.json") for part in (1, 2)]
    capsys.readouterr()
    assert command(["merge", *names, "--save", "kept", "-o", "whole.json"]) == 1
    assert capsys.readouterr() == ("", "")
    found = json.loads((here / "whole.json").read_text())
    assert found["smallest"]
    assert found["saved"] == "kept"
    assert (here / "kept" / "image.npy").exists()
    assert command(["merge", *names, "--no-call", "--json"]) == 1
    out, err = capsys.readouterr()
    left = json.loads(out)
    assert "are left out: --no-call" in err
    assert (left["smallest"], left["does"]) == (None, None)
    assert [f["id"] for f in left["findings"]] == [f["id"] for f in found["findings"]]
    (here / "mine.py").unlink()
    assert command(["merge", *names]) == 1
    out, err = capsys.readouterr()
    assert "are left out: the module 'mine' cannot be imported" in err
    assert "What failed:" in out


def test_what_cannot_be_merged_is_exit_2(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(here)
    names = ["1.json"]
    shard(["verify", "mine:right", "--cases", "2", "--layout", "NCHW"], "1/2", names[0])
    (here / "text.json").write_text("no JSON")
    (here / "bytes.json").write_bytes(b"\xff\xfe\x00")
    for given, says in (
        (names, "a shard is missing: 2/2"),
        ([*names, *names], "shard 1/2 is there twice"),
        (["text.json"], "REPORT: text.json is no JSON"),
        (["bytes.json"], "REPORT: bytes.json is no text"),
        (["none.json"], "REPORT: none.json could not be read"),
        ([], "Missing argument"),
        ([*names, "-o", names[0]], "is an input, which would be written over"),
    ):
        assert command(["merge", *given]) == 2, given
        out, err = capsys.readouterr()
        assert (out, says in err) == ("", True), err
