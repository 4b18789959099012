"""A convention as JAX says it."""

from __future__ import annotations

from convcheck.calls.geometry import DENSE, Geometry
from convcheck.calls.text import (
    CANNOT,
    arguments,
    cast,
    filter_code,
    finished,
    flipped,
    image_code,
    joined,
    padded,
    plain,
    result,
    rounded,
    spread_lines,
    unsaid,
)


def jax_code(g: Geometry, dtype: str) -> str:
    """``conv_general_dilated``, which takes the arrays as they are stored."""
    c = g.convention
    if ":" in c.arithmetic:
        return CANNOT
    image_axes = c.image_layout if "C" in c.image_layout else "C" + c.image_layout
    image_axes = image_axes if "N" in image_axes else "N" + image_axes
    result_axes = {"HWO": "NHWO", "NHWO": "NHWO"}.get(c.output_layout, "NOHW")
    lines = ["import jax", 'jax.config.update("jax_enable_x64", True)']
    lines.append(f"x = {image_code(g, image_axes, dtype)}")
    gaps = str(c.input_dilation) if g.spreads else None
    if g.fills:
        if g.spreads:
            lines[0] = "import jax, numpy as np"
            lines += spread_lines(g, image_axes)
            gaps = None
        lines.append(f"x = {padded(g, 'x', image_axes, 'jax.numpy.pad')}")
    bank, filter_axes = _bank(g, dtype)
    names = (image_axes, filter_axes, result_axes.replace("O", "C"))
    options = arguments(
        lhs_dilation=gaps,
        rhs_dilation=str(c.dilation) if c.dilation != (1, 1) else None,
        dimension_numbers="(" + ", ".join(f'"{name}"' for name in names) + ")",
        feature_group_count=g.groups if g.groups > 1 else None,
    )
    lines.append(f"w = {bank}")
    call = f"jax.lax.conv_general_dilated(x, w, {c.stride}, {_padding(g)}{options})"
    if not plain(c):
        lines.append(f"y = {call}")
        call = "y"
    text = finished(g, call, result_axes, array="jax.numpy.array({})", relu="jax.nn.relu({})")
    ready = rounded(g, text, dtype) or text
    lines.append(f"out = {result(ready, result_axes, c.output_layout)}")
    return joined([*lines, *unsaid(c)])


def _bank(g: Geometry, dtype: str) -> tuple[str, str]:
    """The filters as they are stored where JAX can read them so, and their axes."""
    stored = g.filter_axes
    # JAX takes strides and padding in the order of the filters' axes: H comes first throughout.
    if g.bank != DENSE or len(stored) != 4 or stored.index("H") > stored.index("W"):
        axes = "OIHW" if g.bank != DENSE or len(stored) != 4 else _rows_first(stored)
        return filter_code(g, axes, dtype), axes
    return cast(flipped("filters", stored, g.convention.flip), dtype), stored


def _rows_first(axes: str) -> str:
    return axes.translate(str.maketrans("HW", "WH"))


def _padding(g: Geometry) -> str:
    if g.fills:
        crops = str(tuple((min(a, 0), min(b, 0)) for a, b in g.padding))
        return crops if g.crops else '"VALID"'
    if g.spreads:
        return str(g.padding)  # JAX has no name for the padding of spread samples
    if not any(map(any, g.padding)):
        return '"VALID"'
    if all(axis.is_same() for axis in g.axes):
        return '"SAME"'
    if all(axis.is_same(lower=True) for axis in g.axes):
        return '"SAME_LOWER"'
    return str(g.padding)
