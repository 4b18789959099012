"""A process of its own for the target, so that it can crash or hang without taking convcheck along.

A request is a line of JSON. An answer is one too, followed by an .npy for each array; before it
stands how long it is, and before and after it a secret, without which it is no answer: the target
can write into the same pipe. NumPy is only imported when the first array comes back: by then the
process is importing its target.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convcheck import used
from convcheck.errors import InputError
from convcheck.target import CommandTarget, Target, ending
from convcheck.visible import visible

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convcheck.campaign import Case

    Array = NDArray[Any]

START_TIMEOUT = 120.0
"""Seconds for the worker to import its target."""


HEADER = "{} {:016d}\n"
"""What stands before an answer: the secret, and the bytes that follow, in a fixed length."""
FOREIGN = "it wrote into the pipe through which its process answers convcheck"


# Where this package is, should it be nowhere that Python looks: an archive, for one.
_SERVE = (
    "import sys; home = sys.argv.pop(); sys.path += [] if home in sys.path else [home]; "
    "from convcheck.serving import serve; serve()"
)


class ForeignAnswerError(Exception):
    """An answer that is none of ours."""


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
        self._lifeline: int | None = None
        self._files: str | None = None
        self._secret = ""
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
        commanded = isinstance(self.target, CommandTarget)
        self._secret = secrets.token_hex(16)
        if commanded:
            # Named here, so that it can be removed here: its maker may be killed.
            self._files = str(Path(tempfile.gettempdir(), f"convcheck-{secrets.token_hex(8)}"))
        lifeline, self._lifeline = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - convcheck itself
                [sys.executable, "-c", _SERVE, str(Path(__file__).parents[1])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=self.folder,
                pass_fds=[lifeline],
                start_new_session=True,  # Ctrl-C is for the campaign, which then ends the worker
            )
        finally:
            os.close(lifeline)
        self._buffer = bytearray()
        about: dict[str, Any] = {
            "kind": "command" if commanded else "callable",
            "secret": self._secret,
        }
        about |= {"lifeline": lifeline, "folder": self._files, **asdict(self.target)}
        with suppress(BrokenPipeError):  # it has ended already, which is said when it is asked
            self._say(about)

    def _say(self, message: dict[str, Any]) -> None:
        if self._process is None or self._process.stdin is None:
            raise AssertionError("the worker is there, and its stdin is a pipe")
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def run(self, request: Request) -> Outcome:
        """Call the target; a crash or a hang costs the process and is told.

        The case has ``timeout`` seconds for all its calls; a command bounds each of its own.
        """
        if not self._ready:
            self._start()
        limit = self.timeout
        if isinstance(self.target, CommandTarget):
            limit = 2 * self.timeout + 2
        try:
            self._say({**asdict(request), "case": asdict(request.case)})
            answer = self._answer(limit)
            if answer is None:
                self.close()
                return Outcome("hang", f"no answer within {self.timeout:g} s", died=True)
            return self._outcome(answer)
        except ForeignAnswerError:
            self.close()
            return Outcome("crash", FOREIGN, died=True)
        except (BrokenPipeError, EOFError):
            code = self._ended()
            return Outcome("crash", f"the process ended with {_ending(code)}", died=True)

    def _outcome(self, answer: bytes) -> Outcome:
        import numpy as np

        line, _, rest = answer.partition(b"\n")
        told = json.loads(line)
        self._note(told.pop("files"))
        for name in told.pop("arrays"):
            size, _, rest = rest.partition(b"\n")
            told[name] = np.load(BytesIO(rest[: int(size)]), allow_pickle=False)
            rest = rest[int(size) :]
        told |= {key: visible(told[key]) for key in ("detail", "where")}
        return Outcome(**told)

    def _note(self, files: list[str]) -> None:
        """What the target's process reads, the run reads."""
        for file in files:
            used.read(str(Path(self.folder or "", file)))

    def _answer(self, timeout: float) -> bytes | None:
        """The next answer; None where there is none in time."""
        until = time.monotonic() + timeout
        empty = HEADER.format(self._secret, 0).encode()
        head = self._take(len(empty), until)
        if head is None:
            return None
        secret, _, length = head.partition(b" ")
        if secret != self._secret.encode() or not length.strip().isdigit():
            raise ForeignAnswerError
        body = self._take(int(length) + len(secret), until + self.timeout)
        if body is None:
            raise EOFError
        if not body.endswith(secret):
            raise ForeignAnswerError
        return body.removesuffix(secret)

    def _start(self) -> None:
        if self._process is None:
            self.begin()
        told: dict[str, Any] = {"error": "it did not start"}
        try:
            hello = self._answer(START_TIMEOUT)
            if hello is None:
                told["more"] = {"got": f"no answer within {START_TIMEOUT:g} s"}
            else:
                told = json.loads(hello)
        except ForeignAnswerError:
            told["more"] = {"got": f"{FOREIGN}, while it was imported"}
        except EOFError:
            told["more"] = {"got": f"the process ended with {_ending(self._ended())}"}
        if "error" in told:
            self.close()
            raise InputError(told["error"], **told.get("more", {}))
        self._note(told["files"])
        found = told["parameters"]
        self._parameters = None if found is None else tuple(found)
        self.unpassed = tuple(told["unpassed"])
        self.kind = told["kind"]
        self.backward = told["backward"]
        self._ready = True

    def _take(self, size: int, until: float) -> bytes | None:
        while len(self._buffer) < size:
            if not self._fill(until):
                return None
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _fill(self, until: float) -> bool:
        if self._process is None or self._process.stdout is None:
            raise EOFError
        stream = self._process.stdout
        ended = False
        while not select.select([stream], [], [], min(max(0.0, until - time.monotonic()), 0.5))[0]:
            if ended:  # though what it has forked may hold the pipe open
                raise EOFError
            if time.monotonic() >= until:
                return False
            ended = self._process.poll() is not None
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
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # with whatever the target has started
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()
        lifeline, self._lifeline = self._lifeline, None
        if lifeline is not None:
            os.close(lifeline)
        files, self._files = self._files, None
        if files is not None:
            shutil.rmtree(files, ignore_errors=True)


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else ending(code)
