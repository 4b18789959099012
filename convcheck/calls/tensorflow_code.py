"""A convention as TensorFlow says it, as far as its CPU kernels take it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convcheck.calls.geometry import DENSE, SHARED, TRANSPOSED, Axis, Geometry
from convcheck.calls.text import (
    CANNOT,
    arguments,
    cast,
    cropped,
    filter_code,
    finished,
    flipped,
    grouped,
    image_code,
    joined,
    mirrored,
    moved,
    number,
    result,
    rounded,
    spread_lines,
    unsaid,
    widths,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def tensorflow_code(g: Geometry, dtype: str) -> str:
    """``conv2d_transpose`` where it fits, ``depthwise_conv2d`` or ``conv2d`` otherwise."""
    c = g.convention
    if ":" in c.arithmetic or dtype.startswith("complex"):
        return CANNOT
    lines = ["import tensorflow as tf", f"x = {image_code(g, 'NHWC', dtype)}"]
    call = _transposed(g)
    if call is not None:
        bank = cast(flipped(moved("filters", g.filter_axes, "HWOI"), "HWOI", mirrored(c)), dtype)
    else:
        if g.spreads:
            lines[0] = "import numpy as np, tensorflow as tf"
            lines += spread_lines(g, "NHWC")
        prepared = _prepared(g)
        if prepared is None:
            return CANNOT
        lines += [f"x = {prepared[0]}"] if prepared[0] != "x" else []
        dilations = str(list(c.dilation)) if c.dilation != (1, 1) else None
        function, bank = _conv2d(g, dtype)
        options = arguments(padding=prepared[1], dilations=dilations)
        call = f"tf.nn.{function}(x, w, strides={[1, *c.stride, 1]}{options})"
    array = f"tf.constant({{}}, tf.{dtype})"
    text = finished(g, call, "NHWO", array=array, relu="tf.nn.relu({})")
    text = f"{grouped(text)}.numpy()"
    ready = rounded(g, text, dtype) or text
    arranged = result(ready, "NHWO", c.output_layout)
    return joined([*lines, f"w = {bank}", f"out = {arranged}", *unsaid(c)])


def _prepared(g: Geometry) -> tuple[str, str] | None:
    """The image as the call takes it, and the call's padding; None where TensorFlow has none."""
    if not any(map(any, g.padding)):
        return "x", '"VALID"'
    if not g.fills and all(axis.is_same() for axis in g.axes):
        return "x", '"SAME"'
    if not (g.fills or g.crops):
        return "x", _explicit(g.padding)
    text = "x"
    if any(map(any, g.added)):
        c = g.convention
        room = {"constant": None, "reflect": -1, "symmetric": 0}
        for axis, pads in zip(g.axes, g.added, strict=True):
            if c.padding_mode not in room:
                return None
            spare = room[c.padding_mode]
            if spare is not None and max(pads) > axis.spread + spare:
                return None
        said = f'"{c.padding_mode.upper()}"' if c.padding_mode != "constant" else None
        value = number(c.padding_value) if said is None and c.padding_value else None
        text = f"tf.pad(x, {widths(g, 'NHWC')}{arguments(mode=said, constant_values=value)})"
    return cropped(g, text, "NHWC"), '"VALID"'


def _explicit(padding: Iterable[tuple[int, int]]) -> str:
    return str([[0, 0], *map(list, padding), [0, 0]])


def _conv2d(g: Geometry, dtype: str) -> tuple[str, str]:
    """The function and its bank. conv2d sees the groups from the bank's shape."""
    c = g.convention
    # depthwise_conv2d takes one stride, and gives another result where it is to dilate too.
    strided = c.stride != (1, 1) and c.dilation != (1, 1)
    if g.depthwise and c.stride[0] == c.stride[1] and not strided:
        return "depthwise_conv2d", _depthwise_bank(g, dtype)
    if g.bank == TRANSPOSED:
        return "conv2d", moved(filter_code(g, "OIHW", dtype), "OIHW", "HWIO")
    return "conv2d", filter_code(g, "HWIO", dtype)


def _depthwise_bank(g: Geometry, dtype: str) -> str:
    """The bank as (H, W, channels, multiplier): output i * multiplier + m reads channel i."""
    text = flipped(moved("filters", g.filter_axes, "HWIO"), "HWIO", g.convention.flip)
    if g.bank == SHARED:
        text += f".repeat({g.groups}, axis=2)"
    elif g.bank == DENSE:
        text += f".reshape({g.kernel[0]}, {g.kernel[1]}, {g.channels}, {g.per_group})"
    return cast(text, dtype)


def _transposed(g: Geometry) -> str | None:
    """conv2d_transpose, which undoes the padding of a convolution; None where it does not fit."""
    c = g.convention
    plain = c.stride == c.dilation == (1, 1) and g.spreads and g.groups == 1
    if not plain or g.fills:
        return None
    pads = []
    for axis in g.axes:
        over = axis.taps - 1 - axis.before, axis.taps - 1 - axis.after
        if over[0] < 0 or over[1] <= -axis.gap:
            return None
        pads.append((over[0], max(over[1], 0)))
    padding = _explicit(pads)
    for mode in ("VALID", "SAME"):
        if all(_undoes(mode, axis) for axis in g.axes):
            padding = f'"{mode}"'
            break
    shape = [g.batch, g.axes[0].out, g.axes[1].out, g.outputs]
    strides = [1, *c.input_dilation, 1]
    return f"tf.nn.conv2d_transpose(x, w, {shape}, strides={strides}, padding={padding})"


def _undoes(mode: str, axis: Axis) -> bool:
    """Whether a convolution of the result gives the image, padded as the result is cropped."""
    if mode == "VALID":
        return (axis.out - axis.taps) // axis.gap + 1 == axis.size and axis.before == axis.taps - 1
    total = max((axis.size - 1) * axis.gap + axis.taps - axis.out, 0)
    return -(-axis.out // axis.gap) == axis.size and axis.before == axis.taps - 1 - total // 2
