"""Independent work done here, in processes of this machine, or on a cluster: one way for all.

Whatever has the interface of ``concurrent.futures`` will do. Only as much is handed out as the
workers can hold, so that memory stays flat however much there is to do.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, TypeVar

from convcheck.errors import ConvcheckError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor, Future

    from convcheck.cluster import Cluster

R = TypeVar("R")

WORTH_WORKERS = 1.0
"""Seconds that work must last for processes to be started unasked: they take one to be ready."""
PATIENCE = 1.0
"""Seconds that a pool has to let go of work that is not wanted."""
RETRIES = 2
"""How often work is handed out again whose worker has died."""


class WorkersDiedError(ConvcheckError):
    """Workers died again and again, most often because the machine was out of memory."""


def run(
    function: Callable[..., R],
    tasks: Iterable[tuple[Any, ...]],
    *,
    executor: Executor | Processes | Cluster | None = None,
    jobs: int = 1,
) -> Iterator[R]:
    """``function(*task)`` for every task, in the order in which they are done."""
    if executor is None:
        for task in tasks:
            yield function(*task)
        return
    from concurrent.futures import FIRST_COMPLETED, wait

    waiting = iter(tasks)
    open_: dict[Future[R], tuple[tuple[Any, ...], int]] = {}
    again: deque[tuple[tuple[Any, ...], int]] = deque()

    def fill() -> None:
        while len(open_) < 2 * jobs:
            task, tries = again.popleft() if again else (next(waiting, None), 0)
            if task is None:
                return
            open_[executor.submit(function, *task)] = (task, tries)

    try:
        fill()
        while open_:
            done, _ = wait(open_, return_when=FIRST_COMPLETED)
            for future in done:
                task, tries = open_.pop(future)
                try:
                    result = future.result()
                except ConvcheckError:
                    raise
                except Exception as error:
                    if not _worker_died(error) or tries >= RETRIES:
                        raise _explained(error) from error
                    again.append((task, tries + 1))
                    continue
                yield result
            fill()
    finally:
        for future in open_:
            future.cancel()


def _worker_died(error: Exception) -> bool:
    return type(error).__name__ in ("BrokenProcessPool", "KilledWorker")


def _explained(error: Exception) -> Exception:
    if not _worker_died(error):
        return error
    return WorkersDiedError(
        "workers died while they were at work",
        got=str(error) or type(error).__name__,
        hint="allow less at once: --jobs 1, or a smaller --memory",
    )


class Processes:
    """Worker processes with one BLAS thread each; a pool whose worker died is made anew."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._pool = self._made()

    def _made(self) -> Any:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        return ProcessPoolExecutor(
            self.jobs, mp_context=get_context("spawn"), initializer=_end_with_parent
        )

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """Hand out one call."""
        with one_blas_thread(), _interrupts_held():
            try:
                return self._pool.submit(fn, *args, **kwargs)  # type: ignore[no-any-return]
            except RuntimeError as error:
                if not _worker_died(error):
                    raise
                self._pool = self._made()
                return self._pool.submit(fn, *args, **kwargs)  # type: ignore[no-any-return]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers, at once where the work is no longer wanted."""
        processes = list((self._pool._processes or {}).values())
        manager = getattr(self._pool, "_executor_manager_thread", None)
        self._pool.shutdown(wait=wait and not cancel_futures, cancel_futures=cancel_futures)
        if not cancel_futures:
            return
        # Until its thread has let go of what is cancelled: it would fail, loudly, to say so twice.
        until = monotonic() + PATIENCE
        while _holds_cancelled(manager) and monotonic() < until:
            sleep(0.005)
        for process in processes:
            process.terminate()


def _holds_cancelled(manager: Any) -> bool:
    if manager is None:  # nothing has been handed out
        return False
    with suppress(RuntimeError):  # it changes meanwhile
        items = (getattr(manager, "pending_work_items", None) or {}).values()
        return manager.is_alive() and any(item.future.cancelled() for item in items)
    return True


def _end_with_parent() -> None:
    """In a worker: end when the parent is gone, however it was ended, not wait for it for ever."""
    from multiprocessing import parent_process
    from threading import Thread

    parent = parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()


class Workers:
    """The workers of one run, started when they are first needed.

    ``make`` starts as many as it is told, where they are no :class:`Processes`; ``remote`` ones
    take no memory of this machine. They are not ``worth`` their start for less seconds of work.
    """

    def __init__(
        self,
        jobs: int,
        make: Callable[[int], Cluster] | None = None,
        *,
        remote: bool = False,
        worth: float = 0.0,
    ) -> None:
        self.jobs = jobs
        self.remote = remote
        self.cluster = make is not None
        self._worth = worth
        self._make = make
        self._executor: Executor | Processes | Cluster | None = None

    def executor(self, jobs: int, seconds: float) -> Executor | Processes | Cluster | None:
        """What takes the work of ``jobs`` workers; None where it is done in this process."""
        if self._executor is None and self._make is not None:
            self._executor = self._make(jobs)
        elif self._executor is None and jobs > 1 and seconds >= self._worth:
            self._executor = Processes(jobs)
        return self._executor

    def close(self) -> None:
        """End the workers, whatever they are doing."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None


@contextmanager
def workers(jobs: int | None, dask: str | None) -> Iterator[Workers]:
    """Who does the work: ``jobs`` processes, of all cores where it is None, or a dask cluster's.

    They are started when they are first needed, and always ended.
    """
    if dask is None:
        made = Workers(jobs or cores(), worth=0 if jobs else WORTH_WORKERS)
    else:
        from convcheck.cluster import LOCAL, Cluster

        if dask == LOCAL:
            made = Workers(jobs or cores(), lambda fitting: Cluster(LOCAL, fitting))
        else:
            # Reached now: a cluster that is not there is said before anything is computed.
            cluster = Cluster(dask)
            made = Workers(cluster.jobs, lambda _: cluster, remote=True)
            made.executor(cluster.jobs, 0)
    try:
        yield made
    finally:
        made.close()


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS and Windows have no affinity to ask for


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Whoever loads BLAS here, or starts a process that will, gets one thread of it.

    A product that is split over threads is added up in another order, so that its last bits would
    depend on the machine; and workers would fight for the cores.
    """
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    kept = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Processes that are started here never see Ctrl-C: it is for the parent, which ends them.

    They inherit the mask, so that not even an interrupt while they start makes them print.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def interrupts_put_off() -> Iterator[None]:
    """Interrupts wait until the end of it: what is half made could not be ended in order."""
    kept: dict[int, Any] = {}
    came: list[int] = []
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and callable(signal.getsignal(number)):
            with suppress(ValueError):  # only the first thread hears of them
                kept[number] = signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    for number in came[:1]:
        kept[number](number, None)
