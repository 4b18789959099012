"""Somebody's implementation: how to find it, what it takes, and how to call it."""

from __future__ import annotations

import ast
import importlib
import inspect
import shlex
import signal
import subprocess
import sys
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convcheck.errors import InputError
from convcheck.kinds import converter, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

PARAMETERS = ("stride", "padding", "dilation", "groups")
"""What an implementation may be passed beside its arrays."""


@dataclass(frozen=True)
class CallableTarget:
    """``package.module:callable``; ``call`` is its own way to name the arguments."""

    name: str
    arrays: str | None = None
    passes: tuple[str, ...] | None = None
    call: str | None = None

    def open(self) -> Callable[[Array, Array, Mapping[str, int]], Any]:
        """Import the callable; gives a function of numpy arrays and parameters."""
        return adapted(_import(self.name), self.name, self.arrays, self.call)

    def kind(self) -> str:
        """The kind of arrays that it is called with."""
        return self.arrays or kind_of(self.name, _import(self.name))

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
    arguments = parse_call(call) if call else None

    def run(image: Array, filters: Array, parameters: Mapping[str, int]) -> Any:
        x, w = into(image), into(filters)
        if arguments is not None:
            args, kwargs = arguments.bind({"x": x, "w": w, **parameters})
        else:
            args, kwargs = [x, w], dict(parameters)
        return function(*args, **kwargs)

    return run


def parameters_of(
    function: Callable[..., Any], passes: tuple[str, ...] | None = None, call: str | None = None
) -> tuple[str, ...] | None:
    """The parameters that a callable takes; None where only a call can tell."""
    if passes is not None:
        return passes
    if call is not None:
        return tuple(p for p in PARAMETERS if p in parse_call(call).names)
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
                values = {**files, **{p: str(parameters.get(p, _DEFAULTS[p])) for p in PARAMETERS}}
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
_DEFAULTS = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}


@dataclass(frozen=True)
class Call:
    """A call as ``--call`` writes it: which argument gets which value."""

    positional: tuple[ast.expr, ...]
    named: tuple[tuple[str, ast.expr], ...]
    names: frozenset[str]

    def bind(self, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments with their values put in."""
        return (
            [_value(e, values) for e in self.positional],
            {key: _value(e, values) for key, e in self.named},
        )


def parse_call(text: str) -> Call:
    """Read ``f(x, w, strides=stride)``: names of arrays and parameters, constants, tuples of them.

    It is read, never run.

    Raises:
        InputError: anything else.
    """
    unfit = InputError(
        f"--call {text!r} cannot be read",
        expected="a call such as f(x, w, strides=(stride, stride)) of x, w, "
        + ", ".join(PARAMETERS)
        + ", constants and tuples of these",
    )
    try:
        with warnings.catch_warnings():  # of odd escapes and the like
            warnings.simplefilter("ignore")
            node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise unfit from None
    if not isinstance(node, ast.Call) or any(k.arg is None for k in node.keywords):
        raise unfit
    expressions = [*node.args, *(k.value for k in node.keywords)]
    names: set[str] = set()
    for expression in expressions:
        if not _is_plain(expression, names):
            raise unfit
    if not {"x", "w"} <= names:
        raise unfit
    named = tuple((str(k.arg), k.value) for k in node.keywords)
    return Call(tuple(node.args), named, frozenset(names))


def _is_plain(node: ast.expr, names: set[str]) -> bool:
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Name):
        names.add(node.id)
        return node.id in ("x", "w", *PARAMETERS)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = getattr(node.operand, "value", None)
        return type(value) in (int, float, complex)
    return isinstance(node, ast.Tuple | ast.List) and all(_is_plain(e, names) for e in node.elts)


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return values.get(node.id, _DEFAULTS.get(node.id))
    if isinstance(node, ast.Tuple):
        return tuple(_value(e, values) for e in node.elts)
    if isinstance(node, ast.List):
        return [_value(e, values) for e in node.elts]
    return ast.literal_eval(node)


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
    if not callable(found):
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
