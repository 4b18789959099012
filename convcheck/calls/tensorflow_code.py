"""A convention as TensorFlow says it, as far as its CPU kernels take it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convcheck.calls.operands import (
    Bank,
    cropped,
    dense,
    filter_lines,
    image_lines,
    mirrored,
    pad_lines,
    spread_image,
    widths,
)
from convcheck.calls.results import Library, result_lines
from convcheck.calls.text import CANNOT, arguments, brief, number, program, spread_lines
from convcheck.convention.channels import DENSE, SHARED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from convcheck.calls.geometry import Geometry
    from convcheck.convention import Axis, Pair


def tensorflow_code(g: Geometry, dtype: str) -> str:
    """``conv2d_transpose`` where it fits, ``depthwise_conv2d`` or ``conv2d`` otherwise.

    So in 1-D and 3-D, where there is no ``depthwise_conv2d`` and no explicit padding; a conv3d
    has neither groups nor, on a CPU, dilation: its filters get the zeros.
    """
    c, rank, axes = g.convention, len(g.axes), "N" + g.spatial + "C"
    if dtype.startswith("complex") or (rank == 3 and g.groups > 1):
        return CANNOT
    lines = image_lines(g, axes, dtype)
    call = _transposed(g)
    if call is not None:
        lines += filter_lines(g, dtype, lambda b: b.read(g.spatial + "OI"), mirrored(c))
    else:
        padding, prepared = _prepared(g, axes)
        lines += spread_image(g, axes) + prepared
        depthwise = _is_depthwise(g)
        lines += filter_lines(g, dtype, lambda b: _bank(g, b, depthwise=depthwise))
        dilation = c.dilation
        if rank == 3 and brief(dilation, 1):
            sizes = {"O": g.outputs, "I": g.inputs}
            sizes |= {name: axis.extent for name, axis in zip(g.spatial, g.axes, strict=True)}
            lines += spread_lines("w", g.spatial + "IO", sizes, dilation)
            dilation = (1,) * rank
        dilations = _steps(dilation, ends=False) if brief(dilation, 1) else None
        name = "depthwise_conv2d" if depthwise else f"conv{rank}d"
        strides = arguments(
            **{"stride" if rank == 1 else "strides": _steps(c.stride), "padding": padding}
        )
        call = f"tf.nn.{name}(x, w{strides}{arguments(dilations=dilations)})"
    library = Library("tensorflow", f"tf.constant({{}}, tf.{dtype})", "{y}.numpy()")
    return program([*lines, *result_lines(g, call, axes, dtype, library)])


def _steps(values: Sequence[int], *, ends: bool = True) -> str:
    """Strides as TensorFlow is given them: a number in 1-D, else with those of N and C."""
    if len(values) == 1:
        return str(values[0])
    return str([1, *values, 1] if ends else list(values))


def _prepared(g: Geometry, axes: str) -> tuple[str, list[str]]:
    """The call's padding, and a statement that does what it cannot."""
    if not any(map(any, g.padding)):
        return '"VALID"', []
    if not g.fills and all(axis.is_same() for axis in g.axes):
        return '"SAME"', []
    if len(g.axes) == 2 and not (g.fills or g.crops):
        return _explicit(g.padding), []
    room = {"constant": None, "reflect": -1, "symmetric": 0}
    mode = g.modes[0] if len(g.modes) == 1 else None
    spare = room.get(mode) if mode else None
    beyond = any(
        spare is not None and max(pads) > axis.spread + spare
        for axis, pads in zip(g.axes, g.added, strict=True)
    )
    if mode not in room or beyond:
        return '"VALID"', pad_lines(g, axes)
    value = g.convention.padding_value
    said = f'"{mode.upper()}"' if mode != "constant" else None
    filled = number(value) if mode == "constant" and value else None
    text = f"tf.pad(x, {widths(g, axes, mode)}{arguments(mode=said, constant_values=filled)})"
    return '"VALID"', [f"x = {cropped(g, text, axes)}"]


def _explicit(padding: Iterable[Pair]) -> str:
    return str([[0, 0], *map(list, padding), [0, 0]])


def _is_depthwise(g: Geometry) -> bool:
    """Whether depthwise_conv2d does it.

    It takes one stride, and gives another result where it is to dilate too.
    """
    c = g.convention
    strided = max(c.stride) > 1 and max(c.dilation) > 1
    return g.depthwise and len(g.axes) == 2 and len(set(c.stride)) == 1 and not strided


def _bank(g: Geometry, bank: Bank, *, depthwise: bool) -> str:
    """The bank as the kernel's axes, I, O; conv2d sees the groups from its shape.

    A depthwise bank ends in channels, multiplier: output i * multiplier + m reads channel i.
    """
    axes = g.spatial + "IO"
    if not depthwise:
        return dense(g, bank, axes)
    text = bank.read(axes)
    if bank.kind == SHARED:
        text += f".repeat({g.groups}, axis=2)"
    elif bank.kind == DENSE:
        text += f".reshape({g.kernel[0]}, {g.kernel[1]}, {g.channels}, {g.per_group})"
    return text


def _transposed(g: Geometry) -> str | None:
    """conv2d_transpose, which undoes the padding of a convolution; None where it does not fit."""
    c, rank = g.convention, len(g.axes)
    if {*c.stride, *c.dilation} != {1} or not g.spreads or g.groups > 1 or g.fills:
        return None
    pads = []
    for axis in g.axes:
        over = axis.taps - 1 - axis.before, axis.taps - 1 - axis.after
        if over[0] < 0 or over[1] <= -axis.input_dilation:
            return None
        pads.append((over[0], max(over[1], 0)))
    names = [m for m in ("VALID", "SAME") if all(_undoes(m, axis) for axis in g.axes)]
    if not names and rank != 2:
        return None
    padding = f'"{names[0]}"' if names else _explicit(pads)
    shape = [g.batch, *(axis.out for axis in g.axes), g.outputs]
    strides = _steps(c.input_dilation)
    return f"tf.nn.conv{rank}d_transpose(x, w, {shape}, strides={strides}, padding={padding})"


def _undoes(mode: str, axis: Axis) -> bool:
    """Whether a convolution of the result gives the image, padded as the result is cropped."""
    gap = axis.input_dilation
    if mode == "VALID":
        return (axis.out - axis.taps) // gap + 1 == axis.size and axis.before == axis.taps - 1
    total = max((axis.size - 1) * gap + axis.taps - axis.out, 0)
    return -(-axis.out // gap) == axis.size and axis.before == axis.taps - 1 - total // 2
