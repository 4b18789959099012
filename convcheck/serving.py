"""What the target's process does: calls the target, and answers what came of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.campaign import SPATIAL, Case
from convcheck.differentiated import Missing
from convcheck.errors import ConvcheckError
from convcheck.kinds import to_numpy
from convcheck.opened import note, opened, watch_files
from convcheck.refusals import refuses
from convcheck.target import Asked, CallableTarget, CommandTarget, Target
from convcheck.visible import visible
from convcheck.worker import HEADER, Outcome, Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import IO

resource: Any = None
with suppress(ImportError):  # Windows has none
    resource = import_module("resource")

Array = NDArray[Any]

MOST = 1 << 24
"""Numbers beyond which an output is that of no case, and is not sent."""
WRITES = ("assignment destination is read-only", "output array is read-only")
"""What numpy says to code that writes to a read-only array."""


def call(function: Any, request: Request) -> Outcome:
    """Call an opened target once, and again on fresh arrays to see whether it says the same.

    Of a case in turns other numbers of the same shapes are what it is called with before, which it
    may keep by mistake, and in between, which may overwrite what it gave.
    """
    case = request.case
    arrays = request.arrays(case)
    kept = [array.copy() for array in arrays]
    parameters = Asked({p: getattr(case, p) for p in request.parameters})
    parameters.gradient = case.gradient
    parameters.sizes = _sizes(request)
    in_turns = request.repeat and case.in_turns
    again, overwritten = None, False
    given: Any = None
    # NaN and infinities are meant: a library's warnings of them are not for the user.
    quiet = _quiet() if case.holds_nan else nullcontext()
    try:
        with quiet:
            if in_turns:
                _put(function, request.arrays(case.other), parameters)
            given = _put(function, arrays, parameters)
            output, precision = to_numpy(given)
            if output.size > MOST:
                return Outcome(
                    "wrong shape", f"gave {'x'.join(map(str, output.shape))}: far too much"
                )
            changed = not all(map(_same, arrays, kept))
            if in_turns and output.dtype.kind in "biufc":
                output = output.copy()
                _put(function, request.arrays(case.other), parameters)
                overwritten = not _same(output, to_numpy(given)[0])
            if request.repeat:
                if changed:
                    arrays = request.arrays(case)
                second, _ = to_numpy(_put(function, arrays, parameters))
                again = None if _same(output, second) else second
    except subprocess.TimeoutExpired as error:
        return Outcome("hang", f"no answer within {error.timeout:.3g} s")
    except Missing as error:
        return Outcome("missing gradient", str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - what the target raises is an answer
        return _raised(error, request.parameters)
    for array in (output, again):
        if array is not None and array.dtype.kind not in "biufc":
            what = f"{array.dtype} ({type(given).__name__})"
            return Outcome("crash", f"gave {what} instead of numbers")
    return Outcome("ok", "", output, again, changed, overwritten, precision=precision)


def _put(function: Any, arrays: Sequence[Array], parameters: Asked) -> Any:
    image, filters, *upstream = arrays
    return function(image, filters, parameters, *upstream)


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _sizes(request: Request) -> dict[str, Any]:
    """What a case's arrays have, and how large the output of a plain convolution is."""
    case = request.case
    plain = zip(case.sizes, case.taps, strict=True)
    outs = [
        (n + 2 * case.padding - case.dilation * (f - 1) - 1) // case.stride + 1 for n, f in plain
    ]
    spatial = dict(zip(SPATIAL[3 - case.rank :], outs, strict=True))
    lengths = {"N": case.batch, "C": case.filters, **spatial}
    shape = tuple(lengths[axis] for axis in request.image_layout)
    sizes = {"N": case.batch, "C": case.channels, "K": case.filters}
    return {**sizes, "taps": case.taps, "output": shape}


def _raised(error: BaseException, passed: tuple[str, ...]) -> Outcome:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the target's own class, which may fail in its own way
        text = ""
    name = type(error).__name__
    said = f"{name}: {_gist(text)}" if text.strip() else name
    where = _place(error)
    if any(word in text for word in WRITES):
        said = f"it writes to a read-only array: {said}"
        return Outcome("changes its input", visible(said), where=where)
    kind = "rejected" if refuses(error, text, passed) else "crash"
    return Outcome(kind, visible(said), where=where)


def _place(error: BaseException) -> str:
    """The innermost line that is the user's own, not a library's, nor convcheck's."""
    found = ""
    libraries = (sys.prefix, sys.base_prefix, str(Path(__file__).parent))
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if Path(file).is_absolute() and not file.startswith(libraries):
            found = f"{file}:{line}"
    return found


def _gist(text: str) -> str:
    """What a message says in a line: some libraries only lead up to it in the first."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text).strip()
    if plain.partition("\n")[0].endswith(":"):
        return plain.splitlines()[-1].strip()[:300]
    firsts = [part.strip().partition("\n")[0] for part in plain.split("\n\n", 2)[:2]]
    return " ".join(firsts)[:300]


def _same(a: Array, b: Array) -> bool:
    """Whether two arrays hold the same numbers: NaN is NaN, and -0.0 is not 0.0."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.tobytes() == b.tobytes():
        return True
    # Bytes alone do not tell: a long double has some that belong to no number.
    if a.dtype.kind == "c":
        return _same(a.real, b.real) and _same(a.imag, b.imag)
    if a.dtype.kind != "f":
        return False
    alike = (a == b) & (np.signbit(a) == np.signbit(b))
    return bool((alike | (np.isnan(a) & np.isnan(b))).all())


class Inline:
    """Calls in this process: for callables that are given as objects."""

    def __init__(
        self,
        function: Any,
        parameters: tuple[str, ...] | None = None,
        unpassed: tuple[str, ...] = (),
        kind: str = "numpy",
        *,
        backward: bool = False,
    ) -> None:
        self._function = function
        self._parameters = parameters
        self.unpassed = unpassed
        self.kind = kind
        self.backward = backward

    def parameters(self) -> tuple[str, ...] | None:
        """The parameters that the function takes; None where only a call can tell."""
        return self._parameters

    def run(self, request: Request) -> Outcome:
        """Call the function; nothing can stop it."""
        return call(self._function, request)

    def close(self) -> None:
        """Nothing to end."""


def serve() -> None:
    """The worker's loop: answer requests until there are no more, or no answer gets through.

    The campaign may be gone, or the target may have closed what it has not opened.
    """
    try:
        _serve()
    except OSError:
        with suppress(OSError, ValueError, AttributeError):
            sys.stdout.flush()
        os._exit(1)  # or Python would complain of the files that it can no longer close


def _serve() -> None:
    with os.fdopen(_high(1), "wb") as answers, os.fdopen(_high(0), "rb") as requests:
        _answer(answers, requests)


def _answer(answers: IO[bytes], requests: IO[bytes]) -> None:
    os.dup2(2, 1)  # what the target prints must not mix with the answers
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # nor may it read the requests
    first = requests.readline()
    if not first:
        os._exit(1)  # the campaign is gone
    given = json.loads(first)
    secret, kind = given.pop("secret"), given.pop("kind")
    own = os.getpid()
    _end_with(given.pop("lifeline"), given.pop("folder"))
    watch_files()
    try:
        target = _target(kind, given)
        if isinstance(target, CommandTarget):
            for word in target.words():
                note(word.rpartition("=")[2])
        function = _unharmed(target.open())
        hello = {
            "parameters": target.parameters(),
            "unpassed": target.unpassed(),
            "kind": target.kind(),
            "backward": target.backward(),
        }
    except ConvcheckError as error:
        more = {"got": error.got, "expected": error.expected, "hint": error.hint}
        _send(answers, secret, {"error": error.what, "more": more})
        return
    if os.getpid() != own:
        os._exit(0)  # a daemon that the target has made of itself: nobody asks it
    _send(answers, secret, hello)
    for line in requests:
        asked = json.loads(line)
        asked["case"] = Case(**asked["case"])
        asked["parameters"] = tuple(asked["parameters"])
        asked["upstream"] = tuple(asked["upstream"])
        try:
            outcome = call(function, Request(**asked))
        except BaseException as error:  # noqa: BLE001 - no Ctrl-C reaches this process
            outcome = _raised(error, asked["parameters"])
        if os.getpid() != own:
            os._exit(0)  # the target has forked, and both came back: one of them answers
        told = dict(vars(outcome))
        arrays = {k: told.pop(k) for k in ("output", "again")}
        _send(answers, secret, told, {k: a for k, a in arrays.items() if a is not None})


def _high(descriptor: int) -> int:
    """The same under a number that nobody closes who closes all that he knows of."""
    try:
        import fcntl

        number: int = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 512)
    except (ImportError, OSError):  # no such numbers here
        number = os.dup(descriptor)
    return number


def _end_with(lifeline: int, folder: str | None) -> None:
    """End when the campaign does, however that was ended, with the files of a program's cases.

    Nobody writes to ``lifeline``: it ends when the campaign does, or lets go. What the target forks
    ends so too, wherever it has gone: a thread waits in each.
    """
    if folder is not None:
        try:
            Path(folder).mkdir(0o700)
        except OSError:
            os._exit(1)
        tempfile.tempdir = folder
    own = os.getpid()
    known, lifeline = lifeline, _high(lifeline)
    os.close(known)

    def wait() -> None:
        with suppress(OSError):
            os.read(lifeline, 1)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        if os.getpid() == own:
            os.killpg(0, signal.SIGKILL)  # with the program that is being run
        os._exit(1)

    def begin() -> None:
        threading.Thread(target=wait, daemon=True).start()

    begin()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=begin)


def _unharmed(function: Any) -> Any:
    """The target, whose limits on its process and closed streams are its own, not ours."""
    streams = sys.stdout, sys.stderr
    limits = _limits()

    def run(*given: Any) -> Any:
        try:
            return function(*given)
        finally:
            for kind, (soft, _) in limits.items():
                now, most = resource.getrlimit(kind)
                if now != soft:
                    with suppress(ValueError, OSError):
                        wanted = soft if most == resource.RLIM_INFINITY else min(soft, most)
                        wanted = most if soft == resource.RLIM_INFINITY else wanted
                        resource.setrlimit(kind, (wanted, most))
            for name, stream in zip(("stdout", "stderr"), streams, strict=True):
                if getattr(getattr(sys, name), "closed", True):
                    setattr(sys, name, stream if not stream.closed else StringIO())

    return run


def _limits() -> dict[int, tuple[int, int]]:
    if resource is None:
        return {}
    kinds = {getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}
    return {kind: resource.getrlimit(kind) for kind in kinds}


def _target(kind: str, given: Mapping[str, Any]) -> Target:
    if kind == "command":
        return CommandTarget(**given)
    passes: Sequence[str] | None = given["passes"]
    return CallableTarget(**{**given, "passes": None if passes is None else tuple(passes)})


def _send(
    stream: IO[bytes],
    secret: str,
    told: dict[str, Any],
    arrays: Mapping[str, Array] | None = None,
) -> None:
    """One answer, with what the campaign alone has said before and after it: see ``worker``."""
    told = {**told, "files": opened(), "arrays": list(arrays or {})}
    body = [json.dumps(told).encode() + b"\n"]
    for array in (arrays or {}).values():
        file = BytesIO()
        np.save(file, array, allow_pickle=False)
        body.append(str(file.tell()).encode() + b"\n" + file.getvalue())
    length = sum(map(len, body))
    stream.write(HEADER.format(secret, length).encode())
    stream.writelines(body)
    stream.write(secret.encode())
    stream.flush()
