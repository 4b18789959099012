"""A convention as TensorFlow says it, as far as its CPU kernels take it."""

from __future__ import annotations

from convcheck.calls.geometry import DENSE, SHARED, Geometry
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
    unsaid,
    widths,
)


def tensorflow_code(g: Geometry, dtype: str) -> str:
    """``conv2d``, ``depthwise_conv2d`` or ``conv2d_transpose``."""
    c = g.convention
    depthwise = g.groups > 1
    if ":" in c.arithmetic or dtype.startswith("complex"):
        return CANNOT
    if depthwise and (not g.depthwise or c.stride[0] != c.stride[1]):
        return CANNOT
    if c.dilation != (1, 1) and c.stride != (1, 1):
        return CANNOT
    lines = ["import tensorflow as tf", f"x = {image_code(g, 'NHWC', dtype)}"]
    if g.spreads:
        call = _transposed(g)
        bank = cast(flipped(moved("filters", g.filter_axes, "HWOI"), "HWOI", mirrored(c)), dtype)
    else:
        prepared = _prepared(g, depthwise=depthwise)
        if prepared is None:
            return CANNOT
        lines += [f"x = {prepared[0]}"] if prepared[0] != "x" else []
        dilations = str(list(c.dilation)) if c.dilation != (1, 1) else None
        function = "depthwise_conv2d" if depthwise else "conv2d"
        options = arguments(padding=prepared[1], dilations=dilations)
        call = f"tf.nn.{function}(x, w, strides={[1, *c.stride, 1]}{options})"
        bank = _depthwise_bank(g, dtype) if depthwise else filter_code(g, "HWIO", dtype)
    if call is None:
        return CANNOT
    array = f"tf.constant({{}}, tf.{dtype})"
    text = finished(g, call, "NHWO", array=array, relu="tf.nn.relu({})")
    text = f"{grouped(text)}.numpy()"
    ready = rounded(g, text, dtype) or text
    arranged = result(ready, "NHWO", c.output_layout)
    return joined([*lines, f"w = {bank}", f"out = {arranged}", *unsaid(c)])


def _prepared(g: Geometry, *, depthwise: bool) -> tuple[str, str] | None:
    """The image as the call takes it, and the call's padding; None where TensorFlow has none."""
    if not any(map(any, g.padding)):
        return "x", '"VALID"'
    if not g.fills and all(axis.is_same() for axis in g.axes):
        return "x", '"SAME"'
    c = g.convention
    if not (g.fills or g.crops or depthwise) and c.dilation == (1, 1):
        return "x", str([[0, 0], *map(list, g.padding), [0, 0]])
    text = "x"
    if any(map(any, g.added)):
        room = {"constant": None, "reflect": -1, "symmetric": 0}
        for axis, pads in zip(g.axes, g.added, strict=True):
            if c.padding_mode not in room:
                return None
            spare = room[c.padding_mode]
            if spare is not None and max(pads) > axis.size + spare:
                return None
        said = f'"{c.padding_mode.upper()}"' if c.padding_mode != "constant" else None
        value = number(c.padding_value) if said is None and c.padding_value else None
        text = f"tf.pad(x, {widths(g, 'NHWC')}{arguments(mode=said, constant_values=value)})"
    return cropped(g, text, "NHWC"), '"VALID"'


def _depthwise_bank(g: Geometry, dtype: str) -> str:
    """The bank as (H, W, channels, multiplier): output i * multiplier + m reads channel i."""
    text = flipped(moved("filters", g.filter_axes, "HWIO"), "HWIO", g.convention.flip)
    if g.bank == SHARED:
        text += f".repeat({g.groups}, axis=2)"
    elif g.bank == DENSE:
        text += f".reshape({g.kernel[0]}, {g.kernel[1]}, {g.channels}, {g.per_group})"
    return cast(text, dtype)


def _transposed(g: Geometry) -> str | None:
    """conv2d_transpose, which undoes the padding SAME or VALID of a convolution."""
    c = g.convention
    gap = c.input_dilation[0]
    plain = c.stride == c.dilation == (1, 1) and c.input_dilation == (gap, gap) and g.groups == 1
    if not plain or g.fills:
        return None
    for mode in ("VALID", "SAME"):
        if all(_undoes(mode, a.size, a.out, a.taps, gap, a.before) for a in g.axes):
            shape = [g.batch, g.axes[0].out, g.axes[1].out, g.outputs]
            strides = [1, gap, gap, 1]
            return f'tf.nn.conv2d_transpose(x, w, {shape}, strides={strides}, padding="{mode}")'
    return None


def _undoes(mode: str, size: int, out: int, taps: int, stride: int, before: int) -> bool:
    """Whether a convolution of ``out`` samples gives ``size``, padded as the result is cropped."""
    if mode == "VALID":
        return out >= taps and (out - taps) // stride + 1 == size and before == taps - 1
    total = max((size - 1) * stride + taps - out, 0)
    return -(-out // stride) == size and before == taps - 1 - total // 2
