"""A convention as NumPy and SciPy say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convcheck.calls.text import (
    cast,
    cropped,
    filter_code,
    finished,
    grouped,
    image_code,
    indexed,
    joined,
    padded,
    plain,
    result,
    rounded,
    spread_lines,
    unsaid,
)

if TYPE_CHECKING:
    from convcheck.calls.geometry import Geometry


def scipy_code(g: Geometry, dtype: str) -> str:
    """``scipy.signal`` filter by filter, or NumPy's windows where the filters are dilated."""
    axes = "NCHW" if "N" in g.convention.image_layout else "CHW"
    dilated = any(axis.dilation > 1 for axis in g.axes)
    mode = None if dilated else _scipy_mode(g)
    lines = ["import numpy as np"]
    if not dilated:
        lines.append("from scipy import signal")
    lines.append(f"x = {image_code(g, axes, dtype)}")
    if g.spreads:
        lines += spread_lines(g, axes)
    if mode is None:
        ready = cropped(g, padded(g, "x", axes), axes)
        lines += [f"x = {ready}"] if ready != "x" else []
    code, call = _windows(g, axes, dtype) if dilated else _signal(g, axes, dtype, mode)
    if not plain(g.convention):
        code, call = [*code, f"y = {call}"], "y"
    return joined([*lines, *code, *_ending(g, call, axes.replace("C", "O"), dtype)])


def _scipy_mode(g: Geometry) -> str | None:
    """The mode of scipy.signal on planes that pads so; None for one that has to be padded."""
    if g.crops or g.fills or g.groups > 1 or g.convention.flip not in {(), ("H", "W")}:
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
    flip = g.convention.flip
    function, rest = "correlate", flip
    if g.groups == 1 and flip in {("H", "W"), ("I", "H", "W")}:
        function, rest = "convolve", ()
    # correlate conjugates its second operand.
    conjugate = ".conj()" if dtype.startswith("complex") and function == "correlate" else ""
    bank = filter_code(g, "OIHW", dtype, rest) + conjugate
    options = f'"{mode or "valid"}", method="direct"'
    image = "x" if axes == "CHW" else "one"
    if g.groups > 1 and g.inputs == g.per_group == 1:
        one = f"signal.{function}(c, f[0], {options}) for c, f in zip({image}, w)"
    elif g.groups > 1:
        start = f"i // {g.per_group} * {g.inputs}" if g.per_group > 1 else f"i * {g.inputs}"
        part = f"{image}[{start}:][:{g.inputs}]"
        one = f"signal.{function}({part}, f, {options})[0] for i, f in enumerate(w)"
    elif mode or flip == ("H", "W"):
        planes = f"signal.{function}(c, k, {options}) for c, k in zip({image}, f)"
        one = f"sum({planes}) for f in w"
    else:
        one = f"signal.{function}({image}, f, {options})[0] for f in w"
    every = f"[{one}]" if axes == "CHW" else f"[[{one}] for one in x]"
    steps = {axis: f"::{a.stride}" for axis, a in zip("HW", g.axes, strict=True) if a.stride > 1}
    strided = indexed(f"np.array({every})", axes, steps)
    return [f"w = {bank}"], strided


def _windows(g: Geometry, axes: str, dtype: str) -> tuple[list[str], str]:
    """Statements that make a view of all windows, and one sum of products."""
    rows, columns = g.axes
    batch = "n" if "N" in axes else ""
    lines = [f"w = {filter_code(g, 'OIHW', dtype)}"]
    group = ""
    if g.groups > 1:
        group = "g"
        kernel = f"{rows.taps}, {columns.taps}"
        lead = "len(x), " if batch else ""
        lines += [
            f"x = x.reshape({lead}{g.groups}, {g.inputs}, *x.shape[-2:])",
            f"w = w.reshape({g.groups}, {g.per_group}, {g.inputs}, {kernel})",
        ]
    steps = [a.stride for a in g.axes] + [a.dilation for a in g.axes]
    every = ", ".join(f"::{step}" if step > 1 else ":" for step in steps)
    view = f"np.lib.stride_tricks.sliding_window_view(x, {(rows.extent, columns.extent)}, (-2, -1))"
    lines.append(f"v = {view}[..., {every}]")
    product = f'np.einsum("{batch}{group}chwij,{group}ocij->{batch}{group}ohw", v, w)'
    if group:
        lead = "len(v), " if batch else ""
        product += f".reshape({lead}{g.outputs}, {rows.out}, {columns.out})"
    return lines, product


def _ending(g: Geometry, call: str, axes: str, dtype: str) -> list[str]:
    c = g.convention
    text = finished(g, call, axes)
    ready = rounded(g, text, dtype)
    if ready is None:
        ready = _integers(c.arithmetic, text)
    return [f"out = {result(ready, axes, c.output_layout)}", *unsaid(c)]


def _integers(arithmetic: str, text: str) -> str:
    how, _, name = arithmetic.partition(":")
    if how == "wrap":
        return cast(cast(grouped(text), "int64"), name)
    bits = int(name.lstrip("uint"))
    low, high = (
        (0, 2**bits - 1) if name.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )
    return cast(f"np.clip(np.rint({text}), {low}, {high})", name)
