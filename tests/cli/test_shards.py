"""``--shard``: as it is said, or as the variables of a CI system say it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from convcheck.cli.shards import SYSTEMS, parsed
from convcheck.cli.verify import verify

PARAM = next(p for p in verify.params if p.name == "shard")
SLURM = {"SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_COUNT": "4"}
SAID = [
    ({"BUILDKITE_PARALLEL_JOB": "0", "BUILDKITE_PARALLEL_JOB_COUNT": "3"}, (1, 3)),
    ({"BUILDKITE_PARALLEL_JOB": "2", "BUILDKITE_PARALLEL_JOB_COUNT": "3"}, (3, 3)),
    ({"CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "5"}, (1, 5)),
    ({"CI_NODE_INDEX": "5", "CI_NODE_TOTAL": "5"}, (5, 5)),
    ({"CI_NODE_TOTAL": "1"}, (1, 1)),
    ({"CIRCLE_NODE_INDEX": "0", "CIRCLE_NODE_TOTAL": "1"}, (1, 1)),
    ({"CIRCLE_NODE_INDEX": "3", "CIRCLE_NODE_TOTAL": "8"}, (4, 8)),
    (SLURM | {"SLURM_ARRAY_TASK_ID": "3"}, (1, 4)),
    (SLURM | {"SLURM_ARRAY_TASK_ID": "6"}, (4, 4)),
    (SLURM | {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_STEP": "2"}, (3, 4)),
    # A runner of GitLab that a cluster has started: its job is not one of several.
    (SLURM | {"SLURM_ARRAY_TASK_ID": "4", "CI_NODE_TOTAL": "1"}, (2, 4)),
]
UNSAID = [
    ({}, "nothing says which of several jobs this is"),
    ({"CI_NODE_TOTAL": "4"}, "found CI_NODE_TOTAL=4; expected CI_NODE_INDEX and CI_NODE_TOTAL"),
    ({"CI_NODE_INDEX": "0", "CI_NODE_TOTAL": "4"}, "the variables of GitLab name no shard"),
    ({"CIRCLE_NODE_INDEX": "4", "CIRCLE_NODE_TOTAL": "4"}, "CIRCLE_NODE_INDEX=4"),
    ({"BUILDKITE_PARALLEL_JOB": "x", "BUILDKITE_PARALLEL_JOB_COUNT": "4"}, "of Buildkite"),
    ({"CI_NODE_INDEX": "-1", "CI_NODE_TOTAL": "4"}, "CI_NODE_INDEX=-1"),
    (SLURM | {"SLURM_ARRAY_TASK_ID": "6", "SLURM_ARRAY_TASK_STEP": "2"}, "a SLURM array"),
    (SLURM | {"SLURM_ARRAY_TASK_ID": "4", "SLURM_ARRAY_TASK_STEP": "0"}, "a SLURM array"),
]


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for system in SYSTEMS:
        for name in system[1:]:
            monkeypatch.delenv(name, raising=False)


def said(value: str | None) -> tuple[int, int] | None:
    return parsed(click.Context(verify), PARAM, value)


@pytest.mark.parametrize(("environment", "shard"), SAID, ids=str)
def test_auto_is_what_the_environment_says(
    environment: dict[str, str], shard: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert said("auto") == shard
    assert said(None) is None, "without --shard it is the whole"
    assert said("2/7") == (2, 7), "what is said counts"


@pytest.mark.parametrize(("environment", "what"), UNSAID, ids=str)
def test_what_names_no_shard_is_refused(
    environment: dict[str, str], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(click.BadParameter, match=what):
        said("auto")


@pytest.mark.parametrize("value", ["1", "0/4", "5/4", "1/x", "²/4", "Auto", "1/1000000000"])
def test_what_is_no_shard_is_refused(value: str) -> None:
    with pytest.raises(click.BadParameter, match="is no shard such as 1/4"):
        said(value)


@pytest.mark.parametrize("count", range(1, 6))
def test_the_jobs_of_a_system_are_together_the_whole(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for system in SYSTEMS:
        with monkeypatch.context() as patch:
            patch.setenv(system.jobs, str(count))
            first = 1 if system.name == "GitLab" else 0
            if not system.first.isdecimal():
                patch.setenv(system.first, str(first))
            found = []
            for index in range(first, first + count):
                patch.setenv(system.job, str(index))
                found.append(said("auto"))
        assert found == [(part, count) for part in range(1, count + 1)], system.name


@pytest.mark.parametrize(
    ("more", "code"), [({"CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "3"}, 0), ({}, 2)]
)
def test_a_process_takes_its_shard_from_its_environment(
    more: dict[str, str], code: int, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(
        "from scipy.ndimage import correlate\ndef f(x, w): return correlate(x, w)\n"
    )
    words = ["verify", "mine:f", "--cases", "5", "--layout", "HW", "--shard", "auto", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "convcheck", *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])} | more,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == code, done.stderr
    if code == 0:
        document = json.loads(done.stdout)
        assert document["shard"] == {"part": 2, "of": 3}
        assert document["cases"] == 2
    else:
        assert "nothing says which of several jobs this is" in done.stderr
