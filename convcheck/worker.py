"""A process of its own for the target, so that it can crash or hang without taking convcheck along.

Requests and answers are a line of JSON, followed by one .npy where there is an array. NumPy is only
imported when the first array comes back: by then the process is importing its target.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convcheck.errors import InputError
from convcheck.target import CommandTarget, Target, ending

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convcheck.campaign import Case

    Array = NDArray[Any]

START_TIMEOUT = 120.0
"""Seconds for the worker to import its target."""


@dataclass(frozen=True)
class Request:
    """One call: a case in a layout, and the parameters that are passed."""

    case: Case
    image_layout: str
    filter_layout: str
    parameters: tuple[str, ...]
    repeat: bool = True
    upstream: tuple[int, ...] = ()
    """The shape of the output, whose gradient goes in where the case asks for a gradient."""

    def arrays(self, case: Case) -> tuple[Array, ...]:
        """The image and the filters of a case like the request's, and the output's gradient."""
        image, filters = case.arrays(self.image_layout, self.filter_layout)
        more = (case.upstream(self.upstream),) if case.gradient else ()
        return image, filters, *more


@dataclass(frozen=True)
class Outcome:
    """What a call did: ``ok``, ``rejected``, ``crash``, ``hang`` or ``changes its input``.

    ``again`` is what a second call with the same arrays gave, where that was something else.
    ``died``: the process did not survive the call. ``precision``: the output's, where it is one
    that NumPy has no dtype for. ``where``: the line of the target's own that raised.
    """

    kind: str
    detail: str = ""
    output: Array | None = field(default=None, repr=False)
    again: Array | None = field(default=None, repr=False)
    changed_input: bool = False
    overwritten: bool = False
    """Whether a later call, with other numbers of the same shapes, has changed the output."""
    died: bool = False
    precision: str | None = None
    where: str = ""


class Worker:
    """Calls in a process of their own, which is started again after a crash or a hang.

    The process works in ``folder`` where there is one, in this process's folder where not.
    """

    def __init__(self, target: Target, timeout: float, folder: str | None = None) -> None:
        self.target = target
        self.folder = folder if folder is not None and Path(folder).is_dir() else None
        self.timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._buffer = bytearray()
        self._parameters: tuple[str, ...] | None = None
        self.unpassed: tuple[str, ...] = ()
        self.kind = "numpy"
        self.backward = False

    def parameters(self) -> tuple[str, ...] | None:
        """The parameters that the target takes; None where only a call can tell."""
        if not self._ready:
            self._start()
        return self._parameters

    def begin(self) -> None:
        """Let the process import its target, while its first call is yet to come."""
        kind = "command" if isinstance(self.target, CommandTarget) else "callable"
        given = json.dumps({"kind": kind, **asdict(self.target)})
        self._process = subprocess.Popen(  # noqa: S603 - convcheck itself
            [sys.executable, "-c", "from convcheck.serving import serve; serve()", given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.folder,
            start_new_session=True,  # Ctrl-C is for the campaign, which then ends the worker
        )
        self._buffer = bytearray()

    def run(self, request: Request) -> Outcome:
        """Call the target; a crash or a hang costs the process and is told.

        The case has ``timeout`` seconds for all its calls; a command bounds each of its own.
        """
        if not self._ready:
            self._start()
        process = self._process
        commanded = isinstance(self.target, CommandTarget)
        limit = 2 * self.timeout + 2 if commanded else self.timeout
        if process is None or process.stdin is None:
            raise AssertionError("the worker is there, and its stdin is a pipe")
        message = {**asdict(request), "case": asdict(request.case)}
        try:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
            answer = self._line(limit)
            if answer is None:
                self.close()
                return Outcome("hang", f"no answer within {self.timeout:g} s", died=True)
            told = json.loads(answer)
            for name in told.pop("arrays"):
                told[name] = self._array()
            return Outcome(**told)
        except (BrokenPipeError, EOFError, ValueError):
            code = self._ended()
            return Outcome("crash", f"the process ended with {_ending(code)}", died=True)

    def _array(self) -> Array:
        import numpy as np

        size = int(self._line(self.timeout) or 0)
        found: Array = np.load(BytesIO(self._take(size, self.timeout)), allow_pickle=False)
        return found

    def _start(self) -> None:
        if self._process is None:
            self.begin()
        try:
            hello = self._line(START_TIMEOUT)
        except EOFError:
            hello = None
        told: dict[str, Any] = json.loads(hello) if hello else {"error": "it did not start"}
        if not hello:
            told["more"] = {"got": f"the process ended with {_ending(self._ended())}"}
        if "error" in told:
            self.close()
            raise InputError(told["error"], **told.get("more", {}))
        found = told["parameters"]
        self._parameters = None if found is None else tuple(found)
        self.unpassed = tuple(told["unpassed"])
        self.kind = told["kind"]
        self.backward = told["backward"]
        self._ready = True

    def _line(self, timeout: float) -> bytes | None:
        until = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            if not self._fill(until):
                return None
        return bytes(self._cut(self._buffer.index(b"\n") + 1))

    def _take(self, size: int, timeout: float) -> bytes:
        until = time.monotonic() + timeout
        while len(self._buffer) < size:
            if not self._fill(until):
                raise EOFError
        return bytes(self._cut(size))

    def _cut(self, size: int) -> bytearray:
        taken = self._buffer[:size]
        del self._buffer[:size]
        return taken

    def _fill(self, until: float) -> bool:
        if self._process is None or self._process.stdout is None:
            raise EOFError
        stream = self._process.stdout
        ready, _, _ = select.select([stream], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            return False
        chunk = os.read(stream.fileno(), 1 << 20)
        if not chunk:
            raise EOFError
        self._buffer += chunk
        return True

    def _ended(self) -> int:
        code = 0
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                code = self._process.wait(timeout=2)
        self.close()
        return code

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._ready = False
        if self._process is None:
            return
        process, self._process = self._process, None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # with whatever the target has started
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else ending(code)
