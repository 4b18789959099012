"""What is done after the sums: scale, bias and activation as a library says them, then NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convcheck.calls.operands import narrow
from convcheck.calls.text import (
    added,
    beside,
    cast,
    grouped,
    is_all,
    laid_out,
    ordered,
    plus,
)

if TYPE_CHECKING:
    from convcheck.calls.geometry import Geometry
    from convcheck.convention import Convention, Storage

_ROUNDED = {
    "half_even": "np.rint({y})",
    "half_away": "np.copysign(np.floor(np.abs({y}) + 0.5), {y})",
    "half_up": "np.floor({y} + 0.5)",
    "toward_zero": "np.trunc({y})",
    "down": "np.floor({y})",
}


@dataclass(frozen=True)
class Library:
    """How a library says what is done to sums.

    ``activations`` is its name in the table of activations, ``array`` makes its array of a list,
    ``back`` makes NumPy's array of its own. ``operators`` is the name of the activations that are
    said in a comment.
    """

    activations: str
    array: str = "np.array({})"
    back: str = "{y}"
    operators: str | None = None


NUMPY = Library("numpy")


def plain(c: Convention) -> bool:
    """Whether nothing is done to the sums of products: no scale, bias or activation."""
    return is_all(c.scale, 1) and is_all(c.bias, 0) and c.activation is None


def result_lines(
    g: Geometry, call: str, axes: str, dtype: str, library: Library = NUMPY, *, bias: bool = True
) -> list[str]:
    """Statements that make ``out`` of what ``call`` gives, an array of these axes.

    Without ``bias``, the call has added it.
    """
    c = g.convention
    text, lines = call, []
    bias = bias and not is_all(c.bias, 0)
    if not is_all(c.scale, 1) or bias:
        lines, text = [f"y = {text}"] if text != "y" else [], "y"
    if not is_all(c.scale, 1):
        text += f" * {beside(c.scale, axes, 'C', library.array, ratio=True)}"
    if bias and c.bias is not None:
        text = added(text, c.bias, axes, "C", library.array)
    if c.activation is not None:
        named = f"  # {c.activation.code(library.operators, 'y')}" if library.operators else ""
        lines += [f"y = {text}"] if text != "y" else []
        lines += [f"y = {c.activation.code(library.activations, 'y')}{named}"]
        text = "y"
    text = library.back.format(y=grouped(text) if library.back.startswith("{y}.") else text)
    precision = None
    if c.storage is None:  # which says itself how results are rounded
        precision = narrow(c, "complex128" if dtype.startswith("complex") else "float64")
    text = text if precision is None else cast(text, precision)
    if c.storage is not None:
        if c.storage.is_integer and precision is not None:
            text = cast(text, "float64")  # in which halves are not lost
        # Integers need no rounding, of which it might lose some.
        whole = dtype.startswith("int") and plain(c)
        if c.storage.is_integer and c.storage.multiplier != "real":
            lines += [f"y = {text}"] if text != "y" else []
            scale = beside(c.scale, axes, "C", ratio=True)
            lines, text = lines + _multiplied(c.storage.multiplier, scale), "y"
        more, text = _stored(c.storage, text, whole=whole)
        lines += more
    stored = laid_out(ordered(grouped(text), axes, c.output_order), axes, c.output_layout)
    out = text if stored == grouped(text) else stored
    return [*lines, f"out = {out}", *_unsaid(c, dtype)]


def _multiplied(way: str, scale: str) -> list[str]:
    """Statements that make ``y``, accumulators times the scale, anew as integer arithmetic does."""
    if way == "float32":
        held = f'np.round(y / {scale}, 6).astype("float32")'
        return [f'y = ({held} * np.array({scale}, "float32")).astype("float64")']
    lines = [
        f"m, e = np.frexp({scale})",
        "q = np.rint(m * 2.0**31).astype(np.int64)",
        f"y = np.rint(y / {scale}).astype(np.int64)",
    ]
    if way == "fixed_twice":
        return [*lines, "y = np.ldexp((y * q + 2**30 >> 31).astype(float), e)"]
    return [
        *lines,
        "y, e = y * q, np.int64(29) - e",
        "y = (y >> e | (y & (np.int64(1) << e) - 1 != 0)) / 4  # its last bit: anything dropped",
    ]


def _stored(s: Storage, text: str, *, whole: bool) -> tuple[list[str], str]:
    """Statements before an expression that stores ``text``, and that expression."""
    early = s.multiplier == "real" or not s.is_integer
    if s.zero_point and early:
        text = plus(grouped(text), s.zero_point)
    if not s.is_integer:
        return [], text if s.dtype == "bfloat16" else cast(text, s.dtype)
    lines = [] if text == "y" else [f"y = {text}"]
    rounded = "y" if whole else _ROUNDED[s.rounding].format(y="y")
    if s.zero_point and not early:
        rounded = plus(rounded, s.zero_point)
    if s.overflow == "wrap":
        whole_numbers = cast(rounded, "int64")
        return lines, whole_numbers if s.dtype == "int64" else cast(whole_numbers, s.dtype)
    limits = np.iinfo(s.dtype)
    return lines, cast(f"np.clip({rounded}, {limits.min}, {limits.max})", s.dtype)


def _unsaid(c: Convention, dtype: str) -> list[str]:
    """A comment where a rounding has no dtype of NumPy to be said in."""
    lines = []
    lacking = c.arithmetic in ("tf32", "bfloat16")
    if lacking or (c.arithmetic == "float16" and dtype.startswith("complex")):
        lines.append(f"# neither the operands nor the result are rounded to {c.arithmetic} here")
    if c.storage is not None and c.storage.dtype == "bfloat16":
        lines.append("# the result before it is rounded to bfloat16")
    return lines
