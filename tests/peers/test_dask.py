"""The same report from a real cluster of processes, one of which is killed meanwhile."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convcheck import cluster, compare, convolve
from convcheck.campaign import cases
from convcheck.checks.verify import Team, put_to_test
from convcheck.cluster import Cluster, ClusterError
from convcheck.pool import Workers
from convcheck.target import CallableTarget
from convcheck.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("distributed")

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = [
    pytest.mark.slow,
    # Sockets and loops of a cluster that ends are left to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path}


@pytest.fixture(scope="module")
def scheduler() -> Iterator[Any]:
    from distributed import LocalCluster

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = environment()["PYTHONPATH"]  # the workers have to find convcheck
    try:
        with LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
        ) as made:
            yield made
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def test_a_worker_that_is_killed_changes_nothing(scheduler: Any) -> None:
    rng = np.random.default_rng(1)
    image, filters = rng.standard_normal((3, 700, 700)), rng.standard_normal((8, 3, 3, 3))
    alone = compare(image, filters)
    killed: list[int] = []

    class Killer:
        def begin(self, plan: Any) -> None:
            assert len(plan.tiles) > 4

        def searched(self, hypotheses: int, most: int) -> None:
            raise AssertionError("nothing is searched")

        def advance(self) -> None:
            if not killed:
                victim = next(iter(scheduler.workers.values())).pid
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)

    made = Cluster(scheduler.scheduler_address)
    workers = Workers(made.jobs, lambda _: made, remote=True)
    try:
        together = compare(image, filters, workers=workers, progress=Killer())
    finally:
        workers.close()
    assert killed
    # BLAS may have several threads here and has one there: the reports agree but for last digits.
    assert [d.comparison.mismatched for d in together.decompositions] == [
        d.comparison.mismatched for d in alone.decompositions
    ]
    assert together.verdict == alone.verdict == "match"


def ended(*options: str) -> subprocess.CompletedProcess[bytes]:
    case = ["--shape", "3x300x310", "--filters", "4x3x5x5", "--values", "normal", "--seed", "1"]
    return subprocess.run(
        [sys.executable, "-m", "convcheck", "random", *case, "--json", *options],
        env=environment(),
        capture_output=True,
        timeout=120,
    )


def test_the_report_is_the_same_to_the_byte(scheduler: Any) -> None:
    reports = set()
    for options in (["--jobs", "1"], ["--dask", scheduler.scheduler_address], ["--dask", "local"]):
        done = ended(*options)
        assert (done.returncode, done.stderr) == (0, b"")
        reports.add(done.stdout)
    assert len(reports) == 1


def test_identify_hands_out_files_alone(scheduler: Any, tmp_path: Path) -> None:
    """The workers open them; what is in an archive would be sent with every tile."""
    rng = np.random.default_rng(1)
    image, filters = (
        rng.integers(0, 256, (3, 600, 500), np.uint8),
        rng.integers(-9, 9, (8, 3, 3, 3)),
    )
    output = convolve(image, filters)
    output[5, 30:40, 100:120] += 7
    names = ("img", "w", "out")
    stored = dict(zip(names, (image, filters, output), strict=True))
    for name, array in stored.items():
        np.save(tmp_path / name, array)
    np.savez(tmp_path / "all", **stored)

    def identified(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "convcheck", "identify", *words, "--json", "-v"],
            env=environment(),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )

    files = [f"{name}.npy" for name in names]
    reports = set()
    for options in (["--jobs", "1"], ["--dask", scheduler.scheduler_address], ["--dask", "local"]):
        done = identified(*files, *options)
        assert done.returncode == 1, done.stderr[-2000:]
        assert ("1 worker," in done.stderr) == (options[0] == "--jobs")
        reports.add(re.sub(r'"elapsed_s": [^,]*,|"replay": [^\n]*', "", done.stdout))
    assert len(reports) == 1
    assert '"near-match"' in reports.pop()
    done = identified(*(f"all.npz::{name}" for name in names), "--dask", "local")
    assert done.returncode == 2
    assert "save each to a .npy file" in done.stderr


def test_a_scheduler_that_is_not_there_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.monotonic()
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    with pytest.raises(ClusterError, match="no dask scheduler answers") as caught:
        Cluster("tcp://127.0.0.1:1")
    assert caught.value.exit_code == 2
    assert time.monotonic() - started < 20
    with pytest.raises(ClusterError, match="no dask scheduler answers"):
        Cluster("nonsense://here")


def test_verify_hands_out_its_cases_and_outlives_a_worker(scheduler: Any) -> None:
    target = CallableTarget("scipy.ndimage:correlate")
    killed: list[int] = []

    def kill(_: int) -> None:
        if not killed:
            victim = next(iter(scheduler.workers.values())).pid
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    def fared(team: Team | None) -> tuple[Any, ...]:
        runner = Worker(target, 10.0)
        try:
            told = put_to_test(
                runner,
                cases(0, 150),
                layout="HW",
                expect={"stride": (1, 1), "padding_mode": "edge"},
                patience=0.0,
                team=team,
                progress=kill if team else None,
            )
        finally:
            runner.close()
        return told.passed, told.failed, told.findings, told.when, dict(told.skipped), told.notes

    alone = fared(None)
    assert alone[0]
    assert alone[1]
    made = Cluster(scheduler.scheduler_address)
    workers = Workers(made.jobs, lambda _: made, remote=True)
    try:
        assert fared(Team(workers, target, 10.0, str(Path.cwd()))) == alone
    finally:
        workers.close()
    assert killed


def test_workers_of_another_convcheck_are_refused(
    scheduler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "__version__", "0.0.0.dev1")
    with pytest.raises(ClusterError, match="have another convcheck"):
        Cluster(scheduler.scheduler_address)
