"""A convention as PyTorch says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convcheck.calls.operands import (
    cropped,
    dense,
    filter_lines,
    image_lines,
    mirrored,
    pad_lines,
    spread_image,
    transposed,
)
from convcheck.calls.results import Library, result_lines
from convcheck.calls.text import arguments, beside, brief, indexed, is_all, number, program

if TYPE_CHECKING:
    from convcheck.calls.geometry import Geometry

_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def torch_code(g: Geometry, dtype: str) -> str:
    """``conv_transpose2d`` where its padding fits, ``conv2d`` otherwise; so in 1-D and 3-D."""
    c, axes, rank = g.convention, "NC" + g.spatial, len(g.axes)
    library = Library("torch", f"torch.tensor({{}}, dtype=torch.{dtype})", "{y}.numpy()")
    undone = _transposed(g)
    lines = image_lines(g, axes, dtype)
    pad = []
    if not undone:
        lines += spread_image(g, axes)
        if not _symmetric(g):
            pad = _padded(g, axes)
            lines += [] if pad else pad_lines(g, axes)
    lines = [*_tensor(lines), *pad]
    inside = c.bias if isinstance(c.bias, tuple) and is_all(c.scale, 1) else None
    options = arguments(
        bias=beside(inside, "C", "C", library.array) if inside else None,
        groups=g.groups if g.groups > 1 else None,
        dilation=brief(c.dilation, 1),
    )
    if undone:
        bank = filter_lines(g, dtype, lambda bank: transposed(g, bank), mirrored(c))
        function = f"conv_transpose{rank}d"
        options = arguments(stride=brief(c.input_dilation)) + undone[0] + options
    else:
        bank = filter_lines(g, dtype, lambda bank: dense(g, bank, "OI" + g.spatial))
        function = f"conv{rank}d"
        own = [axis.before for axis in g.axes] if _symmetric(g) else [0] * rank
        options = arguments(stride=brief(c.stride, 1), padding=brief(own, 0)) + options
    lines += _tensor(bank)
    call = f"F.{function}(x, w{options})" + (undone[1] if undone else "")
    return program([*lines, *result_lines(g, call, axes, dtype, library, bias=inside is None)])


def _tensor(lines: list[str]) -> list[str]:
    """Statements of which the last one makes a tensor of its array."""
    name, text = lines[-1].split(" = ", 1)
    return [*lines[:-1], f"{name} = torch.from_numpy({text})"]


def _symmetric(g: Geometry) -> bool:
    """Whether the call's own padding, as much after as before, makes the same windows."""
    if g.fills or any(axis.before < 0 for axis in g.axes):
        return False
    return g.is_padded(*((axis.before, axis.before) for axis in g.axes))


def _padded(g: Geometry, axes: str) -> list[str]:
    """A statement that pads and crops by PyTorch's own means; none where it has none."""
    if len(g.modes) != 1 or g.modes[0] not in _MODES:
        return []
    mode = g.modes[0]
    # PyTorch's reflection stays inside the image, and its circle goes round once.
    room = {"reflect": -1, "wrap": 0}
    for axis, pads in zip(g.axes, g.added, strict=True):
        if mode in room and max(pads) > axis.spread + room[mode]:
            return []
    value = g.convention.padding_value
    said = f'"{_MODES[mode]}"' if mode != "constant" else None
    filled = number(value) if mode == "constant" and value else None
    sides = tuple(pad for pads in reversed(g.added) for pad in pads)
    return [f"x = {cropped(g, f'F.pad(x, {sides}{arguments(mode=said, value=filled)})', axes)}"]


def _transposed(g: Geometry) -> tuple[str, str] | None:
    """Padding arguments of conv_transpose, and a slice of its result; None if it does not fit."""
    if not g.spreads or g.fills or set(g.convention.stride) != {1}:
        return None
    padding, more, parts = [], [], {}
    for name, axis in zip(g.spatial, g.axes, strict=True):
        p, extra = axis.undone
        if p < 0 or extra >= max(axis.input_dilation, axis.dilation):
            return None
        if extra < 0:
            parts[name] = f":{axis.out}"
        padding.append(p)
        more.append(max(extra, 0))
    said = arguments(padding=brief(padding, 0), output_padding=brief(more, 0))
    return said, indexed("", "NC" + g.spatial, parts)
