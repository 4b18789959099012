"""Workers that die, workers that are interrupted, and disks that are full."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import SYMMETRIC

from convcheck import compare, pool
from convcheck.cli import work
from convcheck.errors import InputError, MissingExtraError
from convcheck.pool import Processes, Workers, WorkersDiedError, run

ROOT = Path(__file__).resolve().parent.parent
CONVCHECK = (sys.executable, "-m", "convcheck")
LARGE = ("--shape", "3x1500x1500", "--filters", "16x3x5x5", "--seed", "1")


def environment(**changes: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "TERM": "xterm"} | changes


def square(number: int) -> int:
    return number * number


def die_once(marker: str, number: int) -> int:
    """The first call of all kills its worker."""
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return number
    os.kill(os.getpid(), signal.SIGKILL)
    return -1


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(_: int) -> None:
    raise InputError("not this one")


# --- run ----------------------------------------------------------------------------------------


def test_every_task_gives_one_result_here_and_elsewhere() -> None:
    tasks = [(n,) for n in range(50)]
    expected = sorted(square(n) for n in range(50))
    assert sorted(run(square, tasks)) == expected
    with ThreadPoolExecutor(3) as executor:
        assert sorted(run(square, tasks, executor=executor, jobs=3)) == expected


def test_no_more_is_handed_out_than_the_workers_can_hold() -> None:
    class Slow:
        """Takes work and never does it."""

        def __init__(self) -> None:
            self.given: list[Future[Any]] = []

        def submit(self, function: Any, *args: Any) -> Future[Any]:
            future: Future[Any] = Future()
            self.given.append(future)
            return future

    slow = Slow()
    read = []

    def tasks() -> Any:
        for n in range(1000):
            read.append(n)
            yield (n,)

    results = run(square, tasks(), executor=slow, jobs=2)  # type: ignore[arg-type]
    answer = threading.Timer(0.05, lambda: slow.given[0].set_result("first"))
    answer.start()
    assert next(results) == "first"
    assert len(read) == 4
    results.close()  # type: ignore[attr-defined]
    assert all(future.cancelled() for future in slow.given[1:])


def test_an_error_of_the_work_itself_is_not_tried_again() -> None:
    with ThreadPoolExecutor(1) as executor, pytest.raises(InputError, match="not this one"):
        list(run(refuse, [(1,)], executor=executor))


@pytest.mark.slow
def test_a_worker_that_dies_costs_a_retry_and_no_result(tmp_path: Path) -> None:
    workers = Workers(2)
    try:
        tasks = [(str(tmp_path / "died"), n) for n in range(20)]
        found = run(die_once, tasks, executor=workers.executor(2, 1), jobs=2)
        assert sorted(found) == list(range(20))
    finally:
        workers.close()
    assert (tmp_path / "died").exists()


@pytest.mark.slow
def test_workers_that_always_die_end_the_run_with_what_to_do() -> None:
    workers = Workers(1, worth=0)
    processes = Processes(1)
    try:
        with pytest.raises(WorkersDiedError) as caught:
            list(run(die, [(1,)], executor=processes))
    finally:
        processes.shutdown(wait=False, cancel_futures=True)
        workers.close()
    assert "--jobs 1" in str(caught.value)


@pytest.mark.slow
def test_a_worker_that_is_killed_during_a_comparison_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    image, filters = rng.integers(0, 9, (3, 500, 500)), rng.integers(-9, 9, (8, 3, 3, 3))
    alone = compare(image, filters)
    workers = Workers(2)
    killed = []

    class Killer:
        def begin(self, plan: Any) -> None:
            assert plan.jobs == 2

        def searched(self, hypotheses: int, most: int) -> None:
            raise AssertionError("nothing is searched")

        def advance(self) -> None:
            if not killed:
                made = workers.executor(2, 1)
                assert isinstance(made, Processes)
                victim = next(iter(made._pool._processes))
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)

    try:
        together = compare(image, filters, workers=workers, progress=Killer())
    finally:
        workers.close()
    assert killed
    assert repr(together) == repr(alone)


def test_small_work_starts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(pool, "Processes", fail)
    image, filters = np.ones((3, 20, 20)), np.ones((2, 3, 3, 3))
    compare(image, filters, workers=Workers(8))  # one tile
    large = np.ones((3, 300, 300)), np.ones((2, 3, 3, 3))
    compare(*large, workers=Workers(8, worth=1.0))  # several, done in no time


# --- Ctrl-C -------------------------------------------------------------------------------------


def read_until(descriptor: int, word: bytes, seconds: float = 60) -> bytes:
    seen, end = b"", time.monotonic() + seconds
    while word not in seen and time.monotonic() < end:
        try:
            some = os.read(descriptor, 1 << 16)
        except OSError:
            break
        if not some:
            break
        seen += some
    return seen


@pytest.mark.slow
@pytest.mark.parametrize(("jobs", "form"), [("1", "json"), ("2", "table")])
def test_ctrl_c_is_answered_with_the_part_that_was_done(jobs: str, form: str) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
    process = subprocess.Popen(
        [*CONVCHECK, "random", *LARGE, "--jobs", jobs, "--format", form],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    seen = read_until(master, b"/s ")  # the bar knows a rate: some tiles are done
    assert b"tiles" in seen
    started = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    out, _ = process.communicate(timeout=30)
    took = time.monotonic() - started
    rest = read_until(master, b"\0never")
    os.close(master)
    assert process.returncode == 130
    assert took < 5  # a second on a machine that does nothing else
    assert b"Traceback" not in rest
    if form == "json":
        found = json.loads(out)
        assert (found["partial"], found["exit_code"]) == (True, 130)
        assert 0 < found["decompositions"][0]["total"] < 16 * 1496 * 1496
    else:
        assert b"partial: interrupted after" in out
        assert b"match:" not in out


# --- the options --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [("256MiB", 256 << 20), ("1GiB", 1 << 30), ("1.5g", 3 << 29), ("512 MB", 512 << 20)],
)
def test_sizes(text: str, size: int) -> None:
    assert work._bytes(None, None, text) == size  # type: ignore[arg-type]


def ended(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CONVCHECK, *arguments], env=environment(), capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("option", [("--memory", "lots"), ("--memory", "0"), ("--jobs", "0")])
def test_options_that_make_no_sense(option: tuple[str, str]) -> None:
    done = ended("random", "--shape", "3x5x5", *option)
    assert (done.returncode, done.stdout) == (2, "")
    assert option[1] in done.stderr


def test_dask_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from convcheck.cluster import Cluster

    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "dask", None)
    with pytest.raises(MissingExtraError) as caught:
        Cluster("local")
    assert caught.value.hint == "pip install 'convcheck[dask]'"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_leaves_the_old_report_whole(tmp_path: Path) -> None:
    done = ended("audit", *SYMMETRIC, "-o", "/dev/full")
    assert done.returncode == 2
    assert "No space left" in done.stderr
    report = tmp_path / "report.json"
    report.write_text("the old one")
    limited = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "from convcheck.cli import main\n"
        f"main(['audit', *{SYMMETRIC!r}, '--json', '-o', {str(report)!r}])\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", limited],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert report.read_text() == "the old one"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
