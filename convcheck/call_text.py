"""``--call``: how somebody's implementation is called, as a small grammar that is read, never run.

``f(x, w, {'stride': stride, 'pad': padding})``, ``f(w, zeros(K), stride).forward(x)[0]``: one
call of the target, then what is taken out of its result. Its arguments are the arrays, the
parameters, sizes, constants, sums and products of numbers, and tuples, lists and dicts of these.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PARAMETERS = ("stride", "padding", "dilation", "groups")
"""What an implementation may be passed beside its arrays."""
DEFAULTS = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
DX, DW, DB = GRADIENTS = ("dX", "dW", "db")
"""The gradients with respect to the image, to the filters, and to the bias."""
ARRAYS = ("x", "w")
UPSTREAM = "dout"
"""The output's gradient, which a backward pass takes."""
SIZES = ("N", "C", "K")
"""Images of the batch, channels of an image, filters."""
MADE = ("zeros", "ones", "empty")
"""Arrays that a call may want besides, a bias or an output."""
METHODS = ("forward", "apply", "call", "run", "compute", "convolve", "conv", "predict", "numpy")
FIELDS = ("output", "out", "result", "data", "value", "y")
"""What may be called, or taken, of what the target gives."""
MOST = 1 << 24
"""Numbers of an array that is made for a call."""
_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


@dataclass(frozen=True)
class Call:
    """A call as ``--call`` writes it."""

    body: ast.expr
    names: frozenset[str]

    def run(self, function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
        """What the target gives for these values, and what is taken of it."""
        return _run(self.body, function, {**DEFAULTS, **values})


def parse_call(text: str) -> Call:
    """Read a call; it is read, never run.

    Raises:
        InputError: anything else.
    """
    unfit = InputError(
        f"--call {text!r} cannot be read",
        expected="a call such as f(x, w, strides=(stride, stride)) of x, w, "
        + ", ".join(PARAMETERS)
        + ", constants and tuples of these; dicts, sums as in dilation - 1, zeros(K) for K "
        "filters, .forward(x) and [0] of the result",
    )
    try:
        with warnings.catch_warnings():  # of odd escapes and the like
            warnings.simplefilter("ignore")
            node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise unfit from None
    names: set[str] = set()
    if not _is_result(node, names) or not set(ARRAYS) <= names:
        raise unfit
    return Call(node, frozenset(names))


def _is_result(node: ast.expr, names: set[str]) -> bool:
    """Whether it is a call of the target, or something of what such a call gives."""
    if isinstance(node, ast.Subscript):
        return _is_index(node.slice) and _is_result(node.value, names)
    if isinstance(node, ast.Attribute):
        return node.attr in FIELDS and _is_result(node.value, names)
    if not isinstance(node, ast.Call) or any(k.arg is None for k in node.keywords):
        return False
    if not all(_is_plain(e, names) for e in (*node.args, *(k.value for k in node.keywords))):
        return False
    called = node.func
    if isinstance(called, ast.Name):
        return called.id not in (*MADE, *ARRAYS, UPSTREAM)
    if isinstance(called, ast.Attribute):
        return called.attr in METHODS and _is_result(called.value, names)
    return isinstance(called, ast.Call) and _is_result(called, names)


def _is_index(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node = node.operand
    return isinstance(node, ast.Constant) and type(node.value) in (int, str)


def _is_plain(node: ast.expr, names: set[str]) -> bool:
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Name):
        names.add(node.id)
        return node.id in (*ARRAYS, UPSTREAM, *PARAMETERS, *SIZES)
    if isinstance(node, ast.Tuple | ast.List):
        return all(_is_plain(e, names) for e in node.elts)
    if isinstance(node, ast.Dict):
        keyed = all(isinstance(k, ast.Constant) and isinstance(k.value, str) for k in node.keys)
        return keyed and all(_is_plain(value, names) for value in node.values)
    if isinstance(node, ast.Call):
        made = isinstance(node.func, ast.Name) and node.func.id in MADE and not node.keywords
        return made and len(node.args) == 1 and _is_shape(node.args[0], names)
    return _is_number(node, names)


def _is_shape(node: ast.expr, names: set[str]) -> bool:
    each = node.elts if isinstance(node, ast.Tuple | ast.List) else [node]
    return all(_is_number(e, names) for e in each)


def _is_number(node: ast.expr, names: set[str]) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) in (int, float, complex)
    if isinstance(node, ast.Name):
        names.add(node.id)
        return node.id in (*PARAMETERS, *SIZES)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub) and _is_number(node.operand, names)
    return (
        isinstance(node, ast.BinOp)
        and type(node.op) in _OPERATORS
        and _is_number(node.left, names)
        and _is_number(node.right, names)
    )


def _run(node: ast.expr, function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Subscript):
        return _run(node.value, function, values)[ast.literal_eval(node.slice)]
    if isinstance(node, ast.Attribute):
        return getattr(_run(node.value, function, values), node.attr)
    if not isinstance(node, ast.Call):
        raise TypeError("what was read as a call is none")
    called = node.func
    if isinstance(called, ast.Name):
        target: Any = function
    elif isinstance(called, ast.Attribute):
        target = getattr(_run(called.value, function, values), called.attr)
    else:
        target = _run(called, function, values)
    args = [_value(e, values) for e in node.args]
    return target(*args, **{str(k.arg): _value(k.value, values) for k in node.keywords})


def _value(node: ast.expr | None, values: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return values.get(node.id)
    if isinstance(node, ast.Tuple | ast.List):
        each = [_value(e, values) for e in node.elts]
        return tuple(each) if isinstance(node, ast.Tuple) else each
    if isinstance(node, ast.Dict):
        return {
            _value(k, values): _value(v, values)
            for k, v in zip(node.keys, node.values, strict=True)
        }
    if isinstance(node, ast.UnaryOp):
        return -_value(node.operand, values)
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, values), _value(node.right, values)
        try:
            return _OPERATORS[type(node.op)](left, right)
        except (ArithmeticError, TypeError) as error:  # by zero, of what is no real number
            raise InputError(f"--call: {ast.unparse(node)} has no value", got=str(error)) from None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _made(node.func.id, _value(node.args[0], values))
    raise AssertionError("it was read as plain")


def _made(name: str, shape: Any) -> Any:
    import numpy as np

    sizes = list(shape) if isinstance(shape, tuple | list) else [shape]
    whole = all(type(size) is int and 0 <= size <= MOST for size in sizes)
    if not whole or math.prod(sizes) > MOST:
        raise InputError(f"--call: {name}{tuple(sizes)} is no array that can be made")
    return getattr(np, name)(sizes)
