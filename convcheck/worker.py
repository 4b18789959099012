"""A process of its own for the target, so that it can crash or hang without taking convcheck along.

Requests and answers are a line of JSON, followed by one .npy where there is an array.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.campaign import Case
from convcheck.errors import ConvcheckError, InputError
from convcheck.target import CallableTarget, CommandTarget, Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Array = NDArray[Any]

START_TIMEOUT = 120.0
"""Seconds for the worker to import its target."""
UNSUPPORTED = (
    "not implemented",
    "unsupported",
    "not supported",
    "not available for",
    "no kernel",
    "expected scalar type",
    "buffer source array is read-only",
    "only support",
    "must be one of",
)
"""What libraries say of a parameter, a dtype or an array that they do not take."""
WRITES = ("assignment destination is read-only", "output array is read-only")
"""What numpy says to code that writes to a read-only array."""


@dataclass(frozen=True)
class Request:
    """One call: a case in a layout, and the parameters that are passed."""

    case: Case
    image_layout: str
    filter_layout: str
    parameters: tuple[str, ...]
    repeat: bool = True


@dataclass(frozen=True)
class Outcome:
    """What a call did: ``ok``, ``rejected``, ``crash``, ``hang`` or ``changes its input``.

    ``again`` is what a second call with the same arrays gave, where that was something else.
    ``died``: the process did not survive the call.
    """

    kind: str
    detail: str = ""
    output: Array | None = field(default=None, repr=False)
    again: Array | None = field(default=None, repr=False)
    changed_input: bool = False
    died: bool = False


def call(function: Any, request: Request) -> Outcome:
    """Call an opened target once, and again on fresh arrays to see whether it says the same."""
    image, filters = request.case.arrays(request.image_layout, request.filter_layout)
    kept = image.copy(), filters.copy()
    parameters = {p: getattr(request.case, p) for p in request.parameters}
    again = None
    try:
        output = np.array(function(image, filters, parameters))
        changed = not (_same(image, kept[0]) and _same(filters, kept[1]))
        if request.repeat:
            if changed:
                image, filters = request.case.arrays(request.image_layout, request.filter_layout)
            second = np.array(function(image, filters, parameters))
            again = None if _same(output, second) else second
    except subprocess.TimeoutExpired as error:
        return Outcome("hang", f"no answer within {error.timeout:g} s")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - what the target raises is an answer
        return _raised(error)
    for array in (output, again):
        if array is not None and array.dtype.kind not in "biufc":
            return Outcome("crash", f"gave {array.dtype} instead of numbers")
    return Outcome("ok", "", output, again, changed)


def _raised(error: BaseException) -> Outcome:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the target's own class, which may fail in its own way
        text = ""
    name = type(error).__name__
    said = f"{name}: {text}".strip().splitlines()[0][:300] if text.strip() else name
    if any(word in text for word in WRITES):
        return Outcome("changes its input", f"it writes to a read-only array: {said}")
    rejects = (
        isinstance(error, NotImplementedError)
        or (isinstance(error, TypeError) and _is_of_the_call(error))
        or any(word in text.lower() for word in UNSUPPORTED)
    )
    # Python's own words for an expression that makes no sense are no refusal.
    if "unsupported operand" in text:
        rejects = False
    return Outcome("rejected" if rejects else "crash", said)


def _is_of_the_call(error: TypeError) -> bool:
    """Whether arguments were refused, rather than the target's own code being at fault."""
    frames, trace = 0, error.__traceback__
    while trace is not None:
        frames, trace = frames + 1, trace.tb_next
    # call() and the target's wrapper; the callable itself was not entered, or is no Python.
    return frames <= 2 or any(w in str(error).lower() for w in ("dtype", "argument", "casting"))


def _same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


class Inline:
    """Calls in this process: for callables that are given as objects."""

    def __init__(self, function: Any, parameters: tuple[str, ...] | None = None) -> None:
        self._function = function
        self._parameters = parameters

    def parameters(self) -> tuple[str, ...] | None:
        """The parameters that the function takes; None where only a call can tell."""
        return self._parameters

    def run(self, request: Request) -> Outcome:
        """Call the function; nothing can stop it."""
        return call(self._function, request)

    def close(self) -> None:
        """Nothing to end."""


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
        self._buffer = b""
        self._parameters: tuple[str, ...] | None = None

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
            [sys.executable, "-c", "from convcheck.worker import serve; serve()", given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.folder,
            start_new_session=True,  # Ctrl-C is for the campaign, which then ends the worker
        )
        self._buffer = b""

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
            return Outcome("crash", f"the process ended with {_signal_name(code)}", died=True)

    def _array(self) -> Array:
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
            told["more"] = {"got": f"the process ended with {_signal_name(self._ended())}"}
        if "error" in told:
            self.close()
            raise InputError(told["error"], **told.get("more", {}))
        found = told["parameters"]
        self._parameters = None if found is None else tuple(found)
        self._ready = True

    def _line(self, timeout: float) -> bytes | None:
        until = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            if not self._fill(until):
                return None
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _take(self, size: int, timeout: float) -> bytes:
        until = time.monotonic() + timeout
        while len(self._buffer) < size:
            if not self._fill(until):
                raise EOFError
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
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


def _signal_name(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _end_with(parent: int) -> None:
    """End with the campaign, however that was ended: a target that hangs would run for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def serve() -> None:
    """The worker's loop: answer requests until there are no more, or nobody wants the answers."""
    with suppress(BrokenPipeError):
        _serve()


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    requests = os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)  # what the target prints must not mix with the answers
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # nor may it read the requests
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    given = json.loads(sys.argv[1])
    kind = given.pop("kind")
    try:
        target = _target(kind, given)
        function = target.open()
        parameters = target.parameters()
    except ConvcheckError as error:
        more = {"got": error.got, "expected": error.expected, "hint": error.hint}
        _send(answers, {"error": error.what, "more": more})
        return
    _send(answers, {"parameters": parameters})
    own = os.getpid()
    for line in requests:
        asked = json.loads(line)
        asked["case"] = Case(**asked["case"])
        asked["parameters"] = tuple(asked["parameters"])
        try:
            outcome = call(function, Request(**asked))
        except BaseException as error:  # noqa: BLE001 - no Ctrl-C reaches this process
            outcome = _raised(error)
        if os.getpid() != own:
            os._exit(0)  # the target has forked, and both came back: one of them answers
        told = dict(vars(outcome))
        arrays = {k: told.pop(k) for k in ("output", "again")}
        _send(answers, told, {k: a for k, a in arrays.items() if a is not None})


def _target(kind: str, given: Mapping[str, Any]) -> Target:
    if kind == "command":
        return CommandTarget(**given)
    passes: Sequence[str] | None = given["passes"]
    return CallableTarget(**{**given, "passes": None if passes is None else tuple(passes)})


def _send(stream: Any, told: dict[str, Any], arrays: Mapping[str, Array] | None = None) -> None:
    if arrays is not None:
        told = {**told, "arrays": list(arrays)}
    stream.write(json.dumps(told).encode() + b"\n")
    for array in (arrays or {}).values():
        file = BytesIO()
        np.save(file, array, allow_pickle=False)
        body = file.getvalue()
        stream.write(str(len(body)).encode() + b"\n" + body)
    stream.flush()
