"""verify's cases handed out to workers: the report is the one of a run without them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from few import slow

import convcheck
from convcheck.campaign import case, cases
from convcheck.checks.verify import Team, VerifyResult, put_to_test, shards
from convcheck.checks.verify.model import Model
from convcheck.convention import Convention
from convcheck.errors import InputError
from convcheck.pool import Workers
from convcheck.target import CallableTarget, CommandTarget, Target
from convcheck.worker import Worker

TESTS = Path(__file__).resolve().parents[2]
MODULE = """
import ctypes
import numpy as np

def conv(x, w, stride=1):
    v = np.lib.stride_tricks.sliding_window_view(x.astype(float), w.shape[2:], axis=(2, 3))
    return np.einsum("nchwab,ocab->nohw", v[:, :, ::stride, ::stride], w.astype(float))

def even(x, w):
    return conv(x, w[:, :, ::-1, ::-1] if w.shape[2] % 2 == 0 else w)

def dies(x, w, stride=1):
    if w.shape[0] == 3:
        ctypes.string_at(0)
    return conv(x, w, stride)

def hangs(x, w):
    while w.shape[0] == 3:
        pass
    return conv(x, w)
"""
MODEL = Model("NCHW", Convention("NCHW", "OIHW", "NCHW"))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "sharded.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(target: Target, count: int, *, team: bool, **more: Any) -> VerifyResult:
    workers = Workers(2, ThreadPoolExecutor)  # type: ignore[arg-type]
    runner = Worker(target, 1.0)
    shared = Team(workers, target, 1.0, str(Path.cwd())) if team else None
    try:
        return put_to_test(
            runner,
            cases(0, count),
            layout="NCHW",
            team=shared,
            patience=0.0,
            smaller=False,
            **more,
        )
    finally:
        workers.close()
        runner.close()


def said(result: VerifyResult) -> dict[str, Any]:
    told = {k: v for k, v in vars(result).items() if k not in ("smallest", "elapsed")}
    assert result.smallest is not None
    return told | {"smallest": asdict(result.smallest.finding)}


@pytest.mark.parametrize(
    ("name", "fail_fast"),
    [
        slow("even", False),
        ("even", True),
        slow("dies", False),
        slow("hangs", True),
    ],
)
def test_nobody_sees_who_did_it(name: str, fail_fast: bool) -> None:
    target = CallableTarget(f"sharded:{name}")
    alone, together = (put(target, 60, team=team, fail_fast=fail_fast) for team in (False, True))
    assert alone.failed
    assert said(together) == said(alone)


@pytest.mark.slow
def test_the_report_of_processes_is_the_same_to_the_byte() -> None:
    reports = set()
    for more in ([], ["--jobs", "2"]):
        done = subprocess.run(
            [sys.executable, "-m", "convcheck", "verify", "sharded:even", "--json", *more],
            env=os.environ | {"PYTHONPATH": str(TESTS.parent)},
            capture_output=True,
            timeout=100,
        )
        assert (done.returncode, done.stderr) == (1, b"")
        reports.add(json.dumps(json.loads(done.stdout) | {"elapsed_s": 0}))
    assert len(reports) == 1


@pytest.mark.parametrize(
    ("target", "what", "got"),
    [
        (CallableTarget("sharded:even"), "cannot open the target", "No module named 'sharded'"),
        (
            CommandTarget(f"{sys.executable} conv.py {{image}} {{filters}} {{output}}", 5.0),
            "gives no answer on .* to a call that it answers on this machine",
            "can't open file",
        ),
    ],
)
def test_a_worker_without_the_target_is_no_finding(
    target: Target,
    what: str,
    got: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    with pytest.raises(InputError, match=what) as caught:
        shards.shard(0, [case(0, 0)], target, 5.0, "/no/such/folder", MODEL, case(0, 0), False)
    assert got in str(caught.value)
    assert "installed there, or in /no/such/folder" in str(caught.value)


def test_a_target_that_fails_at_random_is_not_taken_for_one_that_is_not_there(
    here: Path,
) -> None:
    (here / "moody.py").write_text(
        "from sharded import conv\n"
        "calls = 0\n"
        "def f(x, w):\n"
        "    global calls\n"
        "    calls += 1\n"
        "    if calls == 1: raise ValueError('not now')\n"
        "    return conv(x, w)\n"
    )
    _, seen = shards.shard(
        0, [case(0, 0)], CallableTarget("moody:f"), 5.0, str(here), MODEL, case(0, 0), False
    )
    assert [one.examined.finding for one in seen] == [None]


def test_from_python_the_answer_is_the_same_by_several_processes() -> None:
    alone, shared = (convcheck.verify("sharded:even", cases=60, jobs=jobs) for jobs in (1, 2))
    assert alone.verdict == "fail"
    assert replace(shared, elapsed=alone.elapsed, smallest=None) == replace(alone, smallest=None)
    assert shared.smallest is not None
    assert alone.smallest is not None
    assert shared.smallest.finding == alone.smallest.finding


@pytest.mark.parametrize("more", [{"jobs": 2}, {"dask": "local"}, {"jobs": 0}])
def test_from_python_what_cannot_be_handed_out_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"in this process alone|no count"):
        convcheck.verify(lambda x, w: x, cases=1, **more)
