"""An explanation as code: what equals what, and the expression that mends MINE."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from convcheck.checks.diff.lines import said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.checks.diff.judging import Held
    from convcheck.checks.diff.lines import Line
    from convcheck.checks.diff.placing import Placement, Reading
    from convcheck.checks.diff.values import Value

_MASKS = {"bfloat16": "0xFFFF0000", "tf32": "0xFFFFE000"}


def code(held: Held) -> str:
    """A line that is true: of the arrays ``ref`` and ``mine``, with NumPy as ``np``."""
    mine, ref = held.placement.code()
    dtype = (held.pair.ref if held.turned else held.pair.mine).dtype
    own = (held.pair.mine if held.turned else held.pair.ref).dtype
    if held.turned:
        return f"{ref} == {_value(held.value, mine, own, dtype, held.pair.ref.ndim)}"
    return f"{mine} == {_value(held.value, ref, own, dtype, held.pair.ref.ndim)}"


def fix(held: Held, shape: Sequence[int]) -> str | None:
    """The expression that makes an array of REF's shape of ``mine``; None where none does."""
    if held.wrong_count or held.plain:
        return None
    pair, value = held.pair, held.value
    mine = held.placement.code()[0]
    if pair.ref.size != math.prod(shape):
        return None  # something of REF is not in MINE
    if held.turned:
        mine = _value(value, mine, pair.mine.dtype, pair.ref.dtype, pair.ref.ndim)
    elif value.kind == "line" and value.line is not None and pair.mine.dtype.kind == "f":
        undone = _undone(value.line, mine, pair.ref.ndim)
        if undone is None:
            return None
        mine = undone
    elif value.kind not in ("same", "conjugated"):
        return None
    elif value.conjugate:
        mine = f"np.conj({mine})"
    return _unplaced(held.placement, mine, shape)


def _unplaced(placement: Placement, expression: str, shape: Sequence[int]) -> str | None:
    """An expression of MINE's axes with REF's, by the inverse of each step."""
    flips = [m.flipped for m in placement.maps]
    if any(m.flipped and m.kind != "reversed" for m in placement.maps):
        return None
    if any(flips):
        parts = ["::-1" if flip else ":" for flip in flips]
        while parts[-1] == ":":
            parts.pop()
        expression += f"[{', '.join(parts)}]"
    for axis, m in enumerate(placement.maps):
        if m.kind == "order":
            back = np.argsort(m.index).tolist()
            expression += f"[{', '.join([*[':'] * axis, str(back)])}]"
        elif m.kind == "roll":
            expression = f"np.roll({expression}, {m.shift}, axis={axis})"
    return _unread(placement.reading, expression, shape)


def _unread(reading: Reading, expression: str, shape: Sequence[int]) -> str:
    axes = reading.axes
    plain = axes == tuple(range(len(axes)))
    back = ", ".join(str(int(a)) for a in np.argsort(axes))
    whole = f".reshape({', '.join(map(str, shape))})"
    if reading.shape is None:
        moved = "" if plain else f".transpose({back})"
        return f"{expression}{moved}{whole if reading.squeezed else ''}"
    if reading.of == "ref":
        sizes = [n for n in shape if n > 1] if reading.squeezed else list(shape)
        stored = ", ".join(str(sizes[a]) for a in axes)
        moved = f".reshape({stored})" + ("" if plain else f".transpose({back})")
        return f"{expression}{moved}{whole if reading.squeezed else ''}"
    return f"{expression}.transpose({', '.join(map(str, axes))}){whole}"


def _value(value: Value, name: str, own: Any, dtype: Any, rank: int) -> str:
    """What a value makes of an array, as an expression."""
    made, kept = name, own
    if value.conjugate:
        made = f"np.conj({made})"
    if value.line is not None:
        made = _line(value.line, made, rank)
    if value.activation is not None:
        made = value.activation.code("numpy", f"({made})" if " " in made else made)
    if value.step is not None:
        step = repr(said(value.step))
        made = f"{step} * np.rint({made} / {step})"
    if value.cast is not None:
        return _cast(value, made, dtype)
    if value.wrapped is not None:
        return f"{made}.astype(np.{value.wrapped})"
    if dtype.kind in "iu" and value.kind != "same":
        limits = np.iinfo(dtype)
        return f"np.clip(np.rint({made}), {limits.min}, {limits.max}).astype(np.{dtype.name})"
    if dtype != kept and value.kind != "same":
        made = f"({made})" if " " in made else made
        return f"{made}.astype(np.{dtype.name})"
    return made


def _cast(value: Value, made: str, dtype: Any) -> str:
    if value.toward_zero:
        return f"({made}.view(np.uint32) & np.uint32({_MASKS[str(value.cast)]})).view(np.float32)"
    if value.cast in ("tf32", "bfloat16"):
        return f'convcheck.convention.round_to({made}, "{value.cast}")'
    return f"{made}.astype(np.{value.cast})" + (
        "" if dtype.name == value.cast else f".astype(np.{dtype.name})"
    )


def _line(line: Line, name: str, rank: int) -> str:
    made = name
    if (line.scale != 1).any():
        made = f"{made} * {_numbers(line, line.scale, name, rank)}"
    if (line.offset != 0).any():
        one = said(line.offset[0])
        minus = line.axis is None and one < 0
        shown = repr(-one) if minus else _numbers(line, line.offset, name, rank)
        made = f"{made} {'-' if minus else '+'} {shown}"
    return made


def _undone(line: Line, name: str, rank: int) -> str | None:
    if not line.scale.all():
        return None
    made = name
    if (line.offset != 0).any():
        one = said(line.offset[0])
        plus = line.axis is None and one < 0
        shown = repr(-one) if plus else _numbers(line, line.offset, "mine", rank)
        made = f"({made} {'+' if plus else '-'} {shown})"
    if (line.scale != 1).any():
        made = f"({made} / {_numbers(line, line.scale, 'mine', rank)})"
    return made


def _numbers(line: Line, values: Any, name: str, rank: int) -> str:
    if line.axis is None:
        return repr(said(values[0]))
    base = "mine" if name.startswith("mine") else "ref"
    shown = ", ".join(repr(said(v)) for v in values)
    after = rank - 1 - line.axis
    shape = f".reshape({', '.join(['-1', *['1'] * after])})" if after else ""
    return f"np.array([{shown}], {base}.dtype){shape}"
