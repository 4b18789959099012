"""A convention as NumPy and SciPy say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convcheck.calls.operands import dense, filter_lines, image_lines, pad_lines, spread_image
from convcheck.calls.results import result_lines
from convcheck.calls.text import indexed, program

if TYPE_CHECKING:
    from convcheck.calls.geometry import Geometry


def scipy_code(g: Geometry, dtype: str) -> str:
    """``scipy.signal`` filter by filter, or NumPy's windows where the filters are dilated."""
    axes = ("NC" if "N" in g.convention.image_layout else "C") + g.spatial
    dilated = any(axis.dilation > 1 for axis in g.axes)
    mode = None if dilated else _scipy_mode(g)
    lines = image_lines(g, axes, dtype) + spread_image(g, axes)
    if mode is None:
        lines += pad_lines(g, axes)
    code, call = _windows(g, axes, dtype) if dilated else _signal(g, axes, dtype, mode)
    return program([*lines, *code, *result_lines(g, call, axes, dtype)])


def _scipy_mode(g: Geometry) -> str | None:
    """The mode of scipy.signal on planes that pads so; None for one that has to be padded."""
    if g.crops or g.fills or g.groups > 1 or g.convention.flip not in {(), tuple(g.spatial)}:
        return None
    if not any(map(any, g.padding)):
        return None
    if g.is_padded(*((a.extent - 1, a.extent - 1) for a in g.axes)):
        return "full"
    if g.is_padded(*((a.taps // 2, (a.taps - 1) // 2) for a in g.axes)):
        return "same"
    return None


def _signal(g: Geometry, axes: str, dtype: str, mode: str | None) -> tuple[list[str], str]:
    """Statements, and one call of scipy.signal for each filter, or for each plane of it."""
    flip, kernel = g.convention.flip, tuple(g.spatial)
    function, rest = "correlate", flip
    if g.groups == 1 and flip in {kernel, ("I", *kernel)}:
        function, rest = "convolve", ()
    # correlate conjugates its second operand.
    conjugated = g.convention.conjugate != (function == "correlate")
    bank = filter_lines(
        g, dtype, lambda bank: dense(g, bank, "OI" + g.spatial), rest, conjugated=conjugated
    )
    options = f'"{mode or "valid"}", method="direct"'
    image = "one" if "N" in axes else "x"
    if g.groups > 1 and g.inputs == g.per_group == 1:
        one = f"signal.{function}(c, f[0], {options}) for c, f in zip({image}, w)"
    elif g.groups > 1:
        start = f"i // {g.per_group} * {g.inputs}" if g.per_group > 1 else f"i * {g.inputs}"
        part = f"{image}[{start}:][:{g.inputs}]"
        one = f"signal.{function}({part}, f, {options})[0] for i, f in enumerate(w)"
    elif mode or flip == kernel:
        planes = f"signal.{function}(c, k, {options}) for c, k in zip({image}, f)"
        one = f"sum({planes}) for f in w"
    else:
        one = f"signal.{function}({image}, f, {options})[0] for f in w"
    every = f"[[{one}] for one in x]" if "N" in axes else f"[{one}]"
    steps = {
        name: f"::{a.stride}" for name, a in zip(g.spatial, g.axes, strict=True) if a.stride > 1
    }
    return bank, indexed(f"np.array({every})", axes, steps)


def _windows(g: Geometry, axes: str, dtype: str) -> tuple[list[str], str]:
    """Statements that make a view of all windows, and one sum of products."""
    batch, group = "n" if "N" in axes else "", ""
    lines = filter_lines(g, dtype, lambda bank: dense(g, bank, "OI" + g.spatial))
    rank = len(g.axes)
    if g.groups > 1:
        group = "g"
        kernel = ", ".join(map(str, g.kernel))
        lead = "len(x), " if batch else ""
        lines += [
            f"x = x.reshape({lead}{g.groups}, {g.inputs}, *x.shape[-{rank}:])",
            f"w = w.reshape({g.groups}, {g.per_group}, {g.inputs}, {kernel})",
        ]
    steps = [a.stride for a in g.axes] + [a.dilation for a in g.axes]
    every = ", ".join(f"::{step}" if step > 1 else ":" for step in steps)
    extents = tuple(axis.extent for axis in g.axes)
    window, along = (extents[0], -1) if rank == 1 else (extents, tuple(range(-rank, 0)))
    view = f"np.lib.stride_tricks.sliding_window_view(x, {window}, {along})"
    lines.append(f"v = {view}[..., {every}]")
    places, taps = g.spatial.lower(), "ijk"[:rank]
    operands = f"{batch}{group}c{places}{taps},{group}oc{taps}->{batch}{group}o{places}"
    product = f'np.einsum("{operands}", v, w)'
    if group:
        lead = "len(v), " if batch else ""
        outs = ", ".join(str(axis.out) for axis in g.axes)
        product += f".reshape({lead}{g.outputs}, {outs})"
    return lines, product
