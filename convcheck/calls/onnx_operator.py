"""A convention as an operator of ONNX with its attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convcheck.calls.operands import (
    dense,
    filter_lines,
    image_lines,
    mirrored,
    pad_lines,
    spread_image,
    transposed,
)
from convcheck.calls.results import Library, result_lines
from convcheck.calls.text import program

if TYPE_CHECKING:
    from convcheck.calls.geometry import Geometry

_ONNX = Library("numpy", operators="onnx")


def operator(g: Geometry, dtype: str) -> dict[str, Any]:
    """The node: ``op_type``, ``attributes``, and the code before and after it.

    ``prepare`` makes the node's inputs ``x`` and ``w`` from ``image`` and ``filters``; ``finish``
    makes ``out`` from its output ``y``.
    """
    attributes, before, after = _node(g, dtype)
    kind = "ConvTranspose" if "output_padding" in attributes else "Conv"
    return {
        "op_type": kind,
        "attributes": attributes,
        "prepare": program(before),
        "finish": program(after),
    }


def onnx_code(g: Geometry, dtype: str) -> str:
    """The operator with its attributes, applied to ``x`` and ``w``, between its preparations."""
    attributes, before, after = _node(g, dtype)
    kind = "ConvTranspose" if "output_padding" in attributes else "Conv"
    said = ", ".join(f"{name}={value}" for name, value in attributes.items())
    return program([*before, f"y = {kind}({said})(x, w)", *after])


def _node(g: Geometry, dtype: str) -> tuple[dict[str, Any], list[str], list[str]]:
    """The attributes, and the statements before and after the node."""
    c, axes = g.convention, "NC" + g.spatial
    attributes: dict[str, Any] = {
        "dilations": list(c.dilation),
        "group": g.groups,
        "kernel_shape": list(g.kernel),
    }
    lines = image_lines(g, axes, dtype)
    undone = _transposed(g)
    if undone:
        lines += filter_lines(g, dtype, lambda bank: transposed(g, bank), mirrored(c))
        attributes |= {**undone, "strides": list(c.input_dilation)}
    else:
        own = not (g.fills or g.crops)
        lines += spread_image(g, axes) + ([] if own else pad_lines(g, axes))
        lines += filter_lines(g, dtype, lambda bank: dense(g, bank, "OI" + g.spatial))
        pads = [pad for end in zip(*g.padding, strict=True) for pad in end]
        attributes |= {"pads": pads if own else [0] * len(pads), "strides": list(c.stride)}
    return attributes, lines, result_lines(g, "y", axes, dtype, _ONNX)


def _transposed(g: Geometry) -> dict[str, list[int]] | None:
    """Attributes of ConvTranspose for the padding; None where it has none that fit."""
    if not g.spreads or g.fills or set(g.convention.stride) != {1}:
        return None
    begin, end, more = [], [], []
    for axis in g.axes:
        reach, gap = axis.extent - 1, axis.input_dilation
        extra = max(axis.after - reach, 0)
        if axis.before > reach or extra >= gap:
            return None
        # As PyTorch says it, as much at both ends, where that is so.
        if 0 <= axis.after - axis.before < gap:
            extra = axis.after - axis.before
        begin.append(reach - axis.before)
        end.append(reach - axis.after + extra)
        more.append(extra)
    return {"output_padding": more, "pads": [*begin, *end]}
