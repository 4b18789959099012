"""A cluster of dask.distributed as one more executor: the extra ``convcheck[dask]``."""

from __future__ import annotations

import logging
import tempfile
from typing import TYPE_CHECKING, Any, TypeVar

from convcheck._version import __version__
from convcheck.errors import ConvcheckError, MissingExtraError
from convcheck.pool import interrupts_put_off

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

R = TypeVar("R")

LOCAL = "local"
"""The address of a cluster that is made here, and ends with the run."""
PATIENCE = 2.0
"""Seconds until a scheduler that does not answer counts as unreachable."""


class ClusterError(ConvcheckError):
    """A scheduler that cannot be reached, or that has nobody to do the work."""


def _version() -> str:
    return __version__


class Cluster:
    """What ``concurrent.futures`` has, done by dask's workers.

    Work that a dead worker had is done again by another: dask sees to that. All data travels with
    the call, so workers need no folder that they share with this machine.
    """

    def __init__(self, address: str, jobs: int = 1) -> None:
        try:
            import dask
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise MissingExtraError("--dask needs dask.distributed", "dask") from error
        # What goes wrong is said once, by us, and not by every part of a cluster that ends.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"})
        self._own: Any = None
        self._files = tempfile.TemporaryDirectory(
            prefix="convcheck-dask-", ignore_cleanup_errors=True
        )
        if address == LOCAL:
            place = dask.config.set({"temporary-directory": self._files.name})
            with interrupts_put_off(), place:
                self._own = LocalCluster(
                    n_workers=jobs,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                    local_directory=self._files.name,
                )
        try:
            self._client = Client(self._own or address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:  # TimeoutError among them
            raise ClusterError(
                f"no dask scheduler answers at {address}",
                got=str(error).strip().splitlines()[-1][:200] or type(error).__name__,
                expected="the address that 'dask scheduler' prints, such as tcp://10.0.0.1:8786",
                hint="check that it runs and can be reached, or take --dask local",
            ) from error
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        self.jobs = sum(worker["nthreads"] for worker in workers.values())
        if self.jobs == 0:
            self._close()
            raise ClusterError(
                f"the dask scheduler at {address} has no workers", hint=f"dask worker {address}"
            )
        if self._own is None:
            self._check(address)
        self._executor = self._client.get_executor(pure=False)  # pure: every tile would be hashed

    def _check(self, address: str) -> None:
        """Raise where the workers are not of this very convcheck: they could judge otherwise."""
        expected = f"convcheck {__version__} on every worker"
        try:
            found = set(self._client.run(_version).values())
        except Exception as error:
            self._close()
            told = str(error.__cause__ or error).strip() or type(error).__name__
            raise ClusterError(
                f"the dask workers at {address} cannot run convcheck",
                got=told.splitlines()[0],
                expected=expected,
                hint="pip install 'convcheck[dask]' there, as it is installed here",
            ) from error
        if found != {__version__}:
            self._close()
            raise ClusterError(
                f"the dask workers at {address} have another convcheck",
                got=", ".join(sorted(found)),
                expected=expected,
                hint=f"pip install 'convcheck[dask]=={__version__}' there",
            )

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """Hand out one call."""
        return self._executor.submit(fn, *args, **kwargs)  # type: ignore[no-any-return]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let go of the cluster; one of our own ends."""
        self._executor.shutdown(wait=wait and not cancel_futures)
        self._close()

    def _close(self) -> None:
        self._client.close(timeout=1)
        if self._own is not None:
            self._own.close(timeout=5)
        self._files.cleanup()
