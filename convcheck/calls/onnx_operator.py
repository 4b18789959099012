"""A convention as an operator of ONNX with its attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convcheck.calls.text import (
    CANNOT,
    cropped,
    filter_code,
    finished,
    image_code,
    joined,
    padded,
    result,
    rounded,
    spread_lines,
    transposed_bank,
    unsaid,
)

if TYPE_CHECKING:
    from convcheck.calls.geometry import Geometry


def operator(g: Geometry, dtype: str) -> dict[str, Any] | None:
    """The node: ``op_type``, ``attributes``, and the code before and after it.

    ``prepare`` makes the node's inputs ``x`` and ``w`` from ``image`` and ``filters``; ``finish``
    makes ``out`` from its output ``y``. None for integer arithmetic.
    """
    c = g.convention
    if ":" in c.arithmetic:
        return None
    rows, columns = g.axes
    attributes: dict[str, Any] = {
        "dilations": list(c.dilation),
        "group": g.groups,
        "kernel_shape": list(g.kernel),
    }
    image = image_code(g, "NCHW", dtype)
    transposed = _transposed(g)
    if transposed:
        prepare = [f"x = {image}"]
        bank = transposed_bank(g, dtype)
        attributes |= {**transposed, "strides": list(c.input_dilation)}
    else:
        own = not (g.fills or g.crops)
        pads = [rows.before, columns.before, rows.after, columns.after] if own else [0] * 4
        prepare = [f"x = {image}"]
        if g.spreads:
            prepare += spread_lines(g, "NCHW")
        if not own:
            prepare.append(f"x = {cropped(g, padded(g, 'x', 'NCHW'), 'NCHW')}")
        bank = filter_code(g, "OIHW", dtype)
        attributes |= {"pads": pads, "strides": list(c.stride)}
    text = finished(g, "y", "NOHW")
    ready = rounded(g, text, dtype) or text
    finish = [f"out = {result(ready, 'NOHW', c.output_layout)}", *unsaid(c)]
    return {
        "op_type": "ConvTranspose" if transposed else "Conv",
        "attributes": attributes,
        "prepare": joined([*prepare, f"w = {bank}"]),
        "finish": joined(finish),
    }


def onnx_code(g: Geometry, dtype: str) -> str:
    """The operator with its attributes, applied to ``x`` and ``w``, between its preparations."""
    node = operator(g, dtype)
    if node is None:
        return CANNOT
    attributes = ", ".join(f"{name}={value}" for name, value in node["attributes"].items())
    call = f"y = {node['op_type']}({attributes})(x, w)"
    lines = [node["prepare"], call, node["finish"]]
    if any("np." in line for line in lines):
        lines.insert(0, "import numpy as np")
    return joined(lines)


def _transposed(g: Geometry) -> dict[str, list[int]] | None:
    """Attributes of ConvTranspose for the padding; None where it has none that fit."""
    if not g.spreads or g.fills or g.convention.stride != (1, 1):
        return None
    begin, end, more = [], [], []
    for axis in g.axes:
        reach = axis.extent - 1
        extra = max(axis.after - reach, 0)
        if axis.before > reach or extra >= axis.gap:
            return None
        # As PyTorch says it, as much at both ends, where that is so.
        if 0 <= axis.after - axis.before < axis.gap:
            extra = axis.after - axis.before
        begin.append(reach - axis.before)
        end.append(reach - axis.after + extra)
        more.append(extra)
    return {"output_padding": more, "pads": [*begin, *end]}
