"""Pieces of NumPy code that all the calls are put together from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convcheck.calls.geometry import SHARED, TRANSPOSED, Geometry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from convcheck.convention import Convention

CANNOT = "cannot be said in one call"


def moved(text: str, axes: str, target: str) -> str:
    """An array with its axes in the order ``target``: those it lacks get length 1."""
    present = [axis for axis in target if axis in axes]
    order = [axes.index(axis) for axis in present]
    if order != sorted(order):
        text += f".transpose({', '.join(map(str, order))})"
    return indexed(text, target, {axis: "None" for axis in target if axis not in axes})


def indexed(text: str, axes: str, parts: Mapping[str, str]) -> str:
    """An array indexed by ``parts`` along the axes that they name, whole along the others."""
    items = [parts.get(axis, ":") for axis in axes]
    while items and items[-1] == ":":
        items.pop()
    return f"{text}[{', '.join(items)}]" if items else text


def laid_out(text: str, axes: str, layout: str) -> str:
    """A result in the output's layout; an axis that the layout lacks has length 1."""
    text = indexed(text, axes, {axis: "0" for axis in axes if axis not in layout})
    return moved(text, "".join(axis for axis in axes if axis in layout), layout)


def result(text: str, axes: str, layout: str) -> str:
    """The expression of a result in the output's layout, in brackets only where it has to be."""
    whole = laid_out(grouped(text), axes, layout)
    return text if whole == grouped(text) else whole


def cast(text: str, dtype: str) -> str:
    """An array in another dtype."""
    return f'{text}.astype("{dtype}")'


def image_code(g: Geometry, axes: str, dtype: str) -> str:
    """The image with its axes and channels in order."""
    c = g.convention
    text = moved("image", c.image_layout, axes)
    order = c.channel_order
    if order is not None and order != tuple(range(len(order))):
        backwards = order == tuple(reversed(range(len(order))))
        text = indexed(text, axes, {"C": "::-1" if backwards else str(list(order))})
    return cast(text, dtype)


def spread_lines(g: Geometry, axes: str) -> list[str]:
    """Statements that put the zeros between the samples of the array ``x``."""
    rows, columns = g.axes
    sizes = {"N": g.batch, "C": g.channels, "H": rows.spread, "W": columns.spread}
    steps = {axis: f"::{a.gap}" for axis, a in zip("HW", g.axes, strict=True) if a.gap > 1}
    shape = ", ".join(str(sizes[axis]) for axis in axes)
    lines = [f"spread = np.zeros(({shape}), x.dtype)", indexed("spread", axes, steps) + " = x"]
    return [*lines, "x = spread"]


def widths(g: Geometry, axes: str) -> str:
    """What is added before and after each axis, for a function such as ``numpy.pad``."""
    added = dict(zip("HW", g.added, strict=True))
    return "(" + ", ".join(str(added.get(axis, (0, 0))) for axis in axes) + ")"


def padded(g: Geometry, text: str, axes: str, function: str = "np.pad") -> str:
    """An array padded as the convention says, nothing cropped."""
    c = g.convention
    if not any(map(any, g.added)):
        return text
    if c.padding_mode != "constant":
        return f'{function}({text}, {widths(g, axes)}, mode="{c.padding_mode}")'
    value = f", constant_values={number(c.padding_value)}" if c.padding_value else ""
    return f"{function}({text}, {widths(g, axes)}{value})"


def cropped(g: Geometry, text: str, axes: str) -> str:
    """A padded array without what negative padding takes away."""
    parts = {}
    for axis, (before, after) in zip("HW", g.padding, strict=True):
        if before < 0 or after < 0:
            parts[axis] = f"{-before if before < 0 else ''}:{after if after < 0 else ''}"
    return indexed(text, axes, parts)


def filter_code(g: Geometry, axes: str, dtype: str, flip: Sequence[str] | None = None) -> str:
    """The bank with O over all outputs and I over one group's inputs, its axes in order.

    ``flip`` are the axes to be reversed: the convention's unless said. Where the bank has to be
    regrouped, ``axes`` must be OIHW.
    """
    flips = g.convention.flip if flip is None else flip
    sizes = f"{g.outputs}, {g.inputs}, {g.kernel[0]}, {g.kernel[1]}"
    if g.bank == TRANSPOSED:
        text = flipped(moved("filters", g.filter_axes, "IOHW"), "IOHW", flips)
        if g.inputs > 1:
            parts = f"{g.groups}, {g.inputs}, {g.per_group}, {g.kernel[0]}, {g.kernel[1]}"
            text += f".reshape({parts}).swapaxes(1, 2)"
        return cast(f"{text}.reshape({sizes})", dtype)
    text = flipped(moved("filters", g.filter_axes, axes), axes, flips)
    if g.bank == SHARED:
        text += f".repeat({g.groups}, axis={axes.index('O')})"
    return cast(text, dtype)


def flipped(text: str, axes: str, flips: Sequence[str]) -> str:
    """An array reversed along some axes."""
    return indexed(text, axes, dict.fromkeys(flips, "::-1"))


def mirrored(convention: Convention) -> tuple[str, ...]:
    """The flips that remain for an operator that reverses the kernel's rows and columns itself."""
    flips = convention.flip
    return tuple(axis for axis in "IHW" if (axis in flips) != (axis in "HW"))


def transposed_bank(g: Geometry, dtype: str) -> str:
    """The bank as transposed convolutions want it: (channels, outputs of one group, H, W)."""
    flips = mirrored(g.convention)
    if g.bank == TRANSPOSED or g.groups == 1:
        return cast(flipped(moved("filters", g.filter_axes, "IOHW"), "IOHW", flips), dtype)
    text = flipped(moved("filters", g.filter_axes, "OIHW"), "OIHW", flips)
    kh, kw = g.kernel
    if g.bank == SHARED:
        text += f".repeat({g.groups}, axis=0)"
    else:
        text += f".reshape({g.groups}, {g.per_group}, {g.inputs}, {kh}, {kw})"
        text += f".swapaxes(1, 2).reshape({g.channels}, {g.per_group}, {kh}, {kw})"
    return cast(text, dtype)


def finished(
    g: Geometry,
    text: str,
    axes: str,
    *,
    array: str = "np.array({})",
    relu: str = "np.maximum({}, 0)",
    bias: bool = True,
) -> str:
    """Scale, bias and activation on a result with these axes."""
    c = g.convention
    if c.scale != 1:
        text = f"{text} * {fraction(c.scale)}"
    if c.bias is not None and bias:
        numbers = array.format("[" + ", ".join(map(number, c.bias)) + "]")
        text = f"{text} + {indexed(numbers, 'OHW', _broadcast(axes))}"
    return relu.format(text) if c.activation == "relu" else text


def plain(convention: Convention) -> bool:
    """Whether nothing is done to the sums of products: no scale, bias or activation."""
    return (convention.scale, convention.bias, convention.activation) == (1, None, None)


def _broadcast(axes: str) -> dict[str, str]:
    return {} if axes.endswith("O") else {"H": "None", "W": "None"}


def rounded(g: Geometry, text: str, dtype: str) -> str | None:
    """The text in the convention's precision; None where it is integer arithmetic."""
    arithmetic = g.convention.arithmetic
    if ":" in arithmetic:
        return None
    if dtype.startswith("complex"):
        arithmetic = {"float32": "complex64", "float16": "complex64"}.get(arithmetic, "")
    return cast(grouped(text), arithmetic) if arithmetic in NARROW else text


NARROW = ("float32", "float16", "complex64")
"""The precisions that NumPy has a dtype for, less than what the calls work in."""


def unsaid(convention: Convention) -> list[str]:
    """A comment where the last rounding has no dtype to be said in."""
    if convention.arithmetic in ("tf32", "bfloat16"):
        return [f"# the result before it is rounded to {convention.arithmetic}"]
    return []


def grouped(text: str) -> str:
    """Brackets round a sum or a product, so that a method or an index takes the whole of it."""
    depth = 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == " " and depth == 0:
            return f"({text})"
    return text


def number(value: float) -> str:
    """The number, read back exactly."""
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def fraction(value: float) -> str:
    """The number, as 1 / 9 where it is one over a whole number."""
    whole = round(1 / value) if value and abs(1 / value) < 1e9 else 0
    if abs(whole) > 1 and 1 / whole == value:
        return f"(1 / {whole})"
    return number(value)


def joined(lines: Sequence[str]) -> str:
    """Statements as one text."""
    return "\n".join(lines)


def arguments(**named: Any) -> str:
    """Keyword arguments with values that are not None, after a comma."""
    return "".join(f", {name}={value}" for name, value in named.items() if value is not None)


def brief(pair: tuple[int, int], unless: int | None = None) -> str | None:
    """Two numbers as one where they are equal; None where both are ``unless``."""
    if pair == (unless, unless):
        return None
    return str(pair[0]) if pair[0] == pair[1] else str(pair)
