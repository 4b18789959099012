"""A convention as JAX says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convcheck.calls.operands import (
    Bank,
    dense,
    filter_lines,
    image_lines,
    padded,
    spread_image,
)
from convcheck.calls.results import Library, result_lines
from convcheck.calls.text import arguments, brief, program
from convcheck.convention.channels import DENSE

if TYPE_CHECKING:
    from convcheck.calls.geometry import Geometry

_JAX = Library("jax", "jnp.array({})", "np.asarray({y})")


def jax_code(g: Geometry, dtype: str) -> str:
    """``conv_general_dilated``, which takes the arrays as they are stored."""
    c = g.convention
    image_axes, result_axes = _all("NC", c.image_layout), _all("NC", c.output_layout)
    lines = ['jax.config.update("jax_enable_x64", True)', *image_lines(g, image_axes, dtype)]
    if g.fills:
        lines += spread_image(g, image_axes)
        lines.append(f"x = {padded(g, 'x', image_axes, 'jnp.pad')}")
    filter_axes = _filter_axes(g)

    def arranged(bank: Bank) -> str:
        return bank.read(filter_axes) if bank.kind == DENSE else dense(g, bank, filter_axes)

    lines += filter_lines(g, dtype, arranged)
    names = (image_axes, filter_axes, result_axes)
    options = arguments(
        lhs_dilation=str(c.input_dilation) if g.spreads and not g.fills else None,
        rhs_dilation=str(c.dilation) if brief(c.dilation, 1) else None,
        dimension_numbers="(" + ", ".join(f'"{name}"' for name in names) + ")",
        feature_group_count=g.groups if g.groups > 1 else None,
    )
    call = f"jax.lax.conv_general_dilated(x, w, {c.stride}, {_padding(g)}{options})"
    return program([*lines, *result_lines(g, call, result_axes, dtype, _JAX)])


def _all(others: str, layout: str) -> str:
    """The layout with the axes that it lacks before the others."""
    return "".join(axis for axis in others if axis not in layout) + layout


def _filter_axes(g: Geometry) -> str:
    """The axes of the filters as JAX is given them: as they are stored, wherever it can be.

    JAX takes strides and padding in the order of the filters' spatial axes.
    """
    spatial = iter(g.spatial)
    stored = _all("OI", g.convention.filter_layout.replace("M", "O"))
    rows_first = "".join(next(spatial) if axis in g.spatial else axis for axis in stored)
    return rows_first if g.bank == DENSE else "OI" + g.spatial


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
