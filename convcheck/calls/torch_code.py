"""A convention as PyTorch says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convcheck.calls.text import (
    CANNOT,
    arguments,
    brief,
    cropped,
    filter_code,
    finished,
    grouped,
    image_code,
    indexed,
    joined,
    number,
    result,
    rounded,
    spread_lines,
    transposed_bank,
    unsaid,
)

if TYPE_CHECKING:
    from convcheck.calls.geometry import Geometry

_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def torch_code(g: Geometry, dtype: str) -> str:
    """``conv_transpose2d`` where its padding fits, ``conv2d`` otherwise."""
    c = g.convention
    transposed = _transposed(g)
    padded = "x" if transposed else _padded(g)
    if ":" in c.arithmetic or padded is None:
        return CANNOT
    lines = ["import torch, torch.nn.functional as F"]
    image = image_code(g, "NCHW", dtype)
    if g.spreads and not transposed:
        lines = ["import numpy as np, torch, torch.nn.functional as F", f"x = {image}"]
        lines += spread_lines(g, "NCHW")
        image = "x"
    lines.append(f"x = torch.from_numpy({image})")
    if padded != "x":
        lines.append(f"x = {padded}")
    tensor = f"torch.tensor({{}}, dtype=torch.{dtype})"
    bias = None
    if c.bias is not None and c.scale == 1:
        bias = tensor.format("[" + ", ".join(map(number, c.bias)) + "]")
    options = arguments(
        bias=bias,
        groups=g.groups if g.groups > 1 else None,
        dilation=brief(c.dilation, 1),
    )
    if transposed:
        bank, function = transposed_bank(g, dtype), "conv_transpose2d"
        options = arguments(stride=brief(c.input_dilation)) + transposed[0] + options
    else:
        bank, function = filter_code(g, "OIHW", dtype), "conv2d"
        own = (g.axes[0].before, g.axes[1].before) if padded == "x" and _symmetric(g) else (0, 0)
        options = arguments(stride=brief(c.stride, 1), padding=brief(own, 0)) + options
    lines.append(f"w = torch.from_numpy({bank})")
    call = f"F.{function}(x, w{options})" + (transposed[1] if transposed else "")
    text = finished(g, call, "NOHW", array=tensor, relu="F.relu({})", bias=bias is None)
    text = f"{grouped(text)}.numpy()"
    ready = rounded(g, text, dtype) or text
    lines.append(f"out = {result(ready, 'NOHW', c.output_layout)}")
    return joined([*lines, *unsaid(c)])


def _symmetric(g: Geometry) -> bool:
    """Whether conv2d's own padding, as much after as before, makes the same windows."""
    if g.fills or any(axis.before < 0 for axis in g.axes):
        return False
    return g.is_padded(*((axis.before, axis.before) for axis in g.axes))


def _padded(g: Geometry) -> str | None:
    """The image as conv2d takes it; None for a padding that PyTorch does not have."""
    if _symmetric(g):
        return "x"
    text = "x"
    if any(map(any, g.added)):
        mode = g.convention.padding_mode
        # PyTorch's reflection stays inside the image, and its circle goes round once.
        room = {"reflect": -1, "wrap": 0}
        for axis, pads in zip(g.axes, g.added, strict=True):
            if mode not in _MODES or (mode in room and max(pads) > axis.spread + room[mode]):
                return None
        (top, bottom), (left, right) = g.added
        value = g.convention.padding_value
        said = f'"{_MODES[mode]}"' if mode != "constant" else None
        filled = number(value) if mode == "constant" and value else None
        options = arguments(mode=said, value=filled)
        text = f"F.pad(x, {(left, right, top, bottom)}{options})"
    return cropped(g, text, "NCHW")


def _transposed(g: Geometry) -> tuple[str, str] | None:
    """Padding arguments of conv_transpose2d, and a slice of its result; None if it does not fit."""
    if not g.spreads or g.fills or g.convention.stride != (1, 1):
        return None
    padding, more, parts = [], [], {}
    for name, axis in zip("HW", g.axes, strict=True):
        p, extra = axis.undone
        if p < 0 or extra >= max(axis.gap, axis.dilation):
            return None
        if extra < 0:
            parts[name] = f":{axis.out}"
        padding.append(p)
        more.append(max(extra, 0))
    said = arguments(
        padding=brief((padding[0], padding[1]), 0), output_padding=brief((more[0], more[1]), 0)
    )
    return said, indexed("", "NOHW", parts)
