"""Somebody's implementation: how to find it, what it takes, and how to call it."""

from __future__ import annotations

import importlib
import inspect
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from convcheck.call_text import DEFAULTS, PARAMETERS, SIZES, parse_call
from convcheck.differentiated import gradients_of, is_backward
from convcheck.errors import InputError
from convcheck.kinds import converter, kind_of
from convcheck.layers import called, is_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

OUT = ("out", "output", "result", "dst")
"""What implementations call an array that they write their result to."""


__all__ = ["PARAMETERS", "CallableTarget", "CommandTarget", "Target", "adapted", "parse_call"]


class Asked(dict[str, int]):
    """A case's parameters, and its sizes: ``N``, ``C`` and ``K``, the kernel's, the output's."""

    sizes: Mapping[str, Any] = MappingProxyType({})
    gradient: str = ""
    """Which gradient is asked for, if any."""


@dataclass(frozen=True)
class CallableTarget:
    """``package.module:callable``; ``call`` is its own way to name the arguments."""

    name: str
    arrays: str | None = None
    passes: tuple[str, ...] | None = None
    call: str | None = None
    gradients: bool = False
    """Whether it is called for gradients."""

    def open(self) -> Callable[[Array, Array, Mapping[str, int]], Any]:
        """Import the callable; gives a function of numpy arrays and parameters."""
        function = _import(self.name)
        if self.gradients:
            return differentiated(function, self.name, self.arrays, self.call)
        return adapted(function, self.name, self.arrays, self.call)

    def kind(self) -> str:
        """The kind of arrays that it is called with."""
        return self.arrays or kind_of(self.name, _import(self.name))

    def backward(self) -> bool:
        """Whether it is a backward pass: what it is called for are gradients alone."""
        return self.gradients and is_backward(_import(self.name), self.call)

    def parameters(self) -> tuple[str, ...] | None:
        """The parameters that it takes; None where only a call can tell."""
        return parameters_of(_import(self.name), self.passes, self.call)

    def unpassed(self) -> tuple[str, ...]:
        """What it takes that looks like a parameter, and that it is not called with."""
        if self.passes is not None or self.call is not None:
            return ()  # as the user wants it
        return unpassed_of(_import(self.name))


def adapted(
    function: Callable[..., Any], name: str, arrays: str | None = None, call: str | None = None
) -> Callable[[Array, Array, Mapping[str, int]], Any]:
    """A callable of its own kind of arrays, as a function of numpy arrays and parameters."""
    into = converter(arrays or kind_of(name, function))
    read = parse_call(call) if call else None
    layer = read is None and is_layer(function)
    taken = {} if read is not None else _signature(function)
    tuples = {p: _tuple_of(taken[p]) for p in PARAMETERS if p in taken}
    out = next((p for p in OUT if p in taken and taken[p].default is taken[p].empty), None)

    def run(image: Array, filters: Array, parameters: Mapping[str, int]) -> Any:
        x, w = into(image), into(filters)
        if read is not None:
            sizes = {k: v for k, v in getattr(parameters, "sizes", {}).items() if k in SIZES}
            return read.run(function, {"x": x, "w": w, **sizes, **parameters})
        given = Asked({p: tuples.get(p, _plainly)(v) for p, v in parameters.items()})
        given.sizes = getattr(parameters, "sizes", given.sizes)
        if layer:
            return called(function, x, w, given)
        if out is None:
            return function(x, w, **given)
        written = _room(image, filters, given.sizes.get("output"))
        found = function(x, w, **{out: written}, **given)
        return written if found is None else found

    return run


def differentiated(
    function: Callable[..., Any], name: str, arrays: str | None = None, call: str | None = None
) -> Callable[..., Any]:
    """As :func:`adapted`; where an output's gradient is given besides, it gives a gradient."""

    def forward(*given: Any) -> Any:
        return adapted(function, name, arrays, call)(*given)

    return gradients_of(function, arrays or kind_of(name, function), call, forward)


def _plainly(value: int) -> Any:
    return value


def _tuple_of(parameter: inspect.Parameter) -> Callable[[int], Any]:
    """What makes a number one of each axis, where the parameter's default has so many."""
    default = parameter.default
    if isinstance(default, tuple | list) and default:
        kind, count = type(default), len(default)
        return lambda value: kind([value] * count)
    return _plainly


def _room(image: Array, filters: Array, shape: Sequence[int] | None) -> Array:
    """Where a target that wants one writes its output, wide enough for what integers come to."""
    import numpy as np

    kind = np.result_type(image, filters)
    return np.zeros(shape or (), kind if kind.kind in "fc" else np.int64)


def _signature(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def parameters_of(
    function: Callable[..., Any], passes: tuple[str, ...] | None = None, call: str | None = None
) -> tuple[str, ...] | None:
    """The parameters that a callable takes; None where only a call can tell."""
    if passes is not None:
        return passes
    if call is not None:
        return tuple(p for p in PARAMETERS if p in parse_call(call).names)
    if is_layer(function) and not inspect.isclass(function):
        return ()  # they were given to its constructor
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    kinds = {p.kind for p in signature.parameters.values()}
    if inspect.Parameter.VAR_KEYWORD in kinds:
        return None
    taken = {name: p.default for name, p in signature.parameters.items()}
    # padding="valid" takes words, not numbers: --call can say them.
    return tuple(p for p in PARAMETERS if p in taken and not isinstance(taken[p], str))


def unpassed_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names in the signature that look like parameters, but are not passed by themselves."""
    try:
        names = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return ()
    passed = parameters_of(function) or ()
    stems = ("stride", "pad", "dilat", "group")
    return tuple(n for n in names if n not in passed and any(s in n.lower() for s in stems))


@dataclass(frozen=True)
class CommandTarget:
    """Any program: it reads .npy files, and writes one."""

    template: str
    timeout: float

    @property
    def name(self) -> str:
        """The command as it was given."""
        return self.template

    def words(self) -> list[str]:
        """The command's words, checked to name the three files."""
        try:
            words = shlex.split(self.template)
        except ValueError as error:
            raise InputError("the command cannot be read", got=str(error)) from None
        missing = [p for p in ("image", "filters", "output") if f"{{{p}}}" not in self.template]
        if missing or not words:
            raise InputError(
                "the command does not name its files",
                got=self.template,
                expected="{image}, {filters} and {output} among its words",
            )
        return words

    def parameters(self) -> tuple[str, ...]:
        """The parameters whose placeholders the command has."""
        return tuple(p for p in PARAMETERS if f"{{{p}}}" in self.template)

    def kind(self) -> str:
        """NumPy's, as files."""
        return "numpy"

    def backward(self) -> bool:
        """No: it writes one output."""
        return False

    def unpassed(self) -> tuple[str, ...]:
        """Nothing: what a program could be given besides is not known."""
        return ()

    def open(self) -> Callable[[Array, Array, Mapping[str, int]], Array]:
        """A function of numpy arrays and parameters that runs the program."""
        words = self.words()

        def run(image: Array, filters: Array, parameters: Mapping[str, int]) -> Array:
            import tempfile

            import numpy as np

            from convcheck.tensors import load
            from convcheck.writing import save

            with tempfile.TemporaryDirectory(prefix="convcheck-") as folder:
                files = {k: str(Path(folder, f"{k}.npy")) for k in ("image", "filters", "output")}
                save(files["image"], np.ascontiguousarray(image))
                save(files["filters"], np.ascontiguousarray(filters))
                values = {**files, **{p: str(parameters.get(p, DEFAULTS[p])) for p in PARAMETERS}}
                filled = [_fill(word, values) for word in words]
                errors = Path(folder, "stderr")
                with errors.open("wb") as stderr:  # a pipe could be kept open by what it starts
                    done = subprocess.run(  # noqa: S603 - the user named it to be run
                        filled,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=stderr,
                        timeout=self.timeout,
                        check=False,
                    )
                if done.returncode:
                    raise RuntimeError(f"ended with {ending(done.returncode)}{_last_line(errors)}")
                try:
                    return np.array(load("OUT", files["output"]).array)
                except InputError as error:
                    told = error.what.replace(files["output"], "{output}")
                    raise RuntimeError(told.removeprefix("OUT: ")) from None

        return run


def ending(code: int) -> str:
    """An exit code, or the signal that ended a process, by its name."""
    with suppress(ValueError):
        return signal.Signals(-code).name
    return str(code)


def _last_line(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").strip().splitlines()
    return f": {lines[-1]}" if lines else ""


Target = CallableTarget | CommandTarget


def _fill(word: str, values: Mapping[str, str]) -> str:
    for key, value in values.items():
        word = word.replace(f"{{{key}}}", value)
    return word


def _import(name: str) -> Callable[..., Any]:
    module_name, _, path = name.partition(":")
    if not path or not module_name:
        raise InputError(
            f"{name!r} is no target",
            expected="package.module:callable, such as torch.nn.functional:conv2d",
        )
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise InputError(
            f"the module {module_name!r} cannot be imported",
            got=str(error),
            expected="a module that this environment or the current directory has",
        ) from None
    except BaseException as error:  # noqa: BLE001 - a module may raise anything, and exit
        raise InputError(
            f"the module {module_name!r} fails when it is imported",
            got=f"{type(error).__name__}: {error}",
        ) from None
    parts = path.split(".")
    for count, part in enumerate(parts, 1):
        if not hasattr(found, part):
            # A module is no target, though one may be on the way to it.
            known = _callables(found) if count == len(parts) else dir(found)
            raise InputError(f"{module_name!r} has no {path!r}", hint=_close(part, known))
        found = getattr(found, part)
    if not callable(found) and not is_layer(found):
        raise InputError(f"{name!r} is not callable", got=type(found).__name__)
    return found  # type: ignore[no-any-return]


def _callables(owner: Any) -> list[str]:
    names = []
    for name in dir(owner):
        with suppress(Exception):  # what is imported when it is looked at may be missing
            if callable(getattr(owner, name)):
                names.append(name)
    return names


def _close(name: str, known: Sequence[str]) -> str | None:
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else None
