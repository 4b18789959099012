"""What is done before the sums, in NumPy: the image and the filters as the calls take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convcheck.calls.text import (
    beside,
    cast,
    flipped,
    grouped,
    indexed,
    is_all,
    moved,
    number,
    ordered,
    plus,
    spread_lines,
    subtracted,
)
from convcheck.convention.channels import DENSE, SHARED, TRANSPOSED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convcheck.calls.geometry import Geometry
    from convcheck.convention import Convention


_WIDE = ("float64", "complex128", "int64")
"""Dtypes that stay what they are beside an array of numbers."""


def image_lines(g: Geometry, axes: str, dtype: str) -> list[str]:
    """Statements that make ``x`` of ``image``: axes, channels, offset, scale, precision."""
    c = g.convention
    text = ordered(moved(g.image, c.image_layout, axes), axes, c.channel_order)
    lines = []
    if not (is_all(c.image_offset, 0) and is_all(c.image_scale, 1)):
        lines, text = [f"x = {cast(text, dtype)}"], "x"
        if not is_all(c.image_offset, 0):
            text = subtracted(text, c.image_offset, axes, "C")
        if not is_all(c.image_scale, 1):
            text = f"{grouped(text)} * {beside(c.image_scale, axes, 'C', ratio=True)}"
    ready = narrowed(text, c, dtype, known=bool(lines) and dtype in _WIDE)
    return [*lines, f"x = {ready}"]


def narrow(c: Convention, dtype: str) -> str | None:
    """NumPy's dtype of the arithmetic, where it has one and holds less than ``dtype``."""
    if dtype.startswith("complex"):
        name = {"float32": "complex64"}.get(c.arithmetic)
    else:
        name = c.arithmetic if c.arithmetic in ("float32", "float16") else None
    return None if name == dtype else name


def narrowed(text: str, c: Convention, dtype: str, *, known: bool = False) -> str:
    """An operand in the arithmetic's precision, held in ``dtype``, which it is ``known`` to be."""
    precision = narrow(c, dtype)
    if precision is not None:
        return cast(cast(text, precision), dtype)
    return text if known else cast(text, dtype)


def spread_image(g: Geometry, axes: str) -> list[str]:
    """Statements that put the zeros between the samples of the array ``x``."""
    if not g.spreads:
        return []
    sizes = {"N": g.batch, "C": g.channels}
    sizes |= {name: axis.spread for name, axis in zip(g.spatial, g.axes, strict=True)}
    return spread_lines("x", axes, sizes, g.convention.input_dilation)


def widths(g: Geometry, axes: str, mode: str) -> str:
    """What a mode adds before and after each axis, for a function such as ``numpy.pad``."""
    added = {
        name: pads
        for name, pads, axis in zip(g.spatial, g.added, g.axes, strict=True)
        if axis.mode == mode
    }
    return "(" + ", ".join(str(added.get(axis, (0, 0))) for axis in axes) + ")"


def padded(g: Geometry, text: str, axes: str, function: str = "np.pad") -> str:
    """An array padded as the convention says, nothing cropped."""
    c = g.convention
    for mode in g.modes:
        how = f', mode="{mode}"'
        if mode == "constant":
            how = f", constant_values={number(c.padding_value)}" if c.padding_value else ""
        text = f"{function}({text}, {widths(g, axes, mode)}{how})"
    return text


def cropped(g: Geometry, text: str, axes: str) -> str:
    """A padded array without what negative padding takes away."""
    parts = {}
    for axis, (before, after) in zip(g.spatial, g.padding, strict=True):
        if before < 0 or after < 0:
            parts[axis] = f"{-before if before < 0 else ''}:{after if after < 0 else ''}"
    return indexed(text, axes, parts)


def pad_lines(g: Geometry, axes: str, function: str = "np.pad") -> list[str]:
    """A statement that pads and crops the array ``x``, where there is anything to do."""
    text = cropped(g, padded(g, "x", axes, function), axes)
    return [f"x = {text}"] if text != "x" else []


@dataclass(frozen=True)
class Bank:
    """Filters as an expression: the letters of their axes, those to be reversed, their kind."""

    text: str
    axes: str
    flips: Sequence[str]
    kind: str

    def read(self, target: str) -> str:
        """The bank with its axes in the order ``target``, reversed."""
        return flipped(moved(self.text, self.axes, target), target, self.flips)


def filter_lines(
    g: Geometry,
    dtype: str,
    arrange: Callable[[Bank], str],
    flips: Sequence[str] | None = None,
    *,
    conjugated: bool | None = None,
) -> list[str]:
    """Statements that make ``w`` of ``filters`` in the arrangement that a call takes.

    ``flips`` are the axes to be reversed and ``conjugated`` whether the numbers are: the
    convention's unless said.
    """
    c = g.convention
    stored = c.filter_layout.replace("M", "O")
    bank = Bank(g.filters, stored, c.flip if flips is None else flips, g.bank)
    lines, known = [], False
    if isinstance(c.filter_offset, tuple) and not is_all(c.filter_offset, 0):
        axes = "OI" + g.spatial
        text = subtracted(cast(dense(g, bank, axes), dtype), c.filter_offset, axes, "O")
        lines, known = [f"w = {text}"], dtype in _WIDE
        bank = Bank("w", axes, (), DENSE)
    text = arrange(bank)
    if not isinstance(c.filter_offset, tuple) and c.filter_offset:
        text, known = plus(cast(text, dtype), -c.filter_offset), True
    text = narrowed(text, c, dtype, known=known)
    if (c.conjugate if conjugated is None else conjugated) and dtype.startswith("complex"):
        text = f"{grouped(text)}.conj()"
    return [*lines, f"w = {text}"] if text != "w" else lines


def dense(g: Geometry, bank: Bank, axes: str) -> str:
    """The bank with O over all outputs and I over one group's inputs, its axes in order."""
    if bank.kind == TRANSPOSED:
        text = bank.read("IO" + g.spatial)
        if g.inputs > 1:
            text += f".reshape({_listed(g.groups, g.inputs, g.per_group, *g.kernel)})"
            text += ".swapaxes(1, 2)"
        text += f".reshape({_listed(g.outputs, g.inputs, *g.kernel)})"
        return moved(text, "OI" + g.spatial, axes)
    text = bank.read(axes)
    return text + f".repeat({g.groups}, axis={axes.index('O')})" if bank.kind == SHARED else text


def transposed(g: Geometry, bank: Bank) -> str:
    """The bank as transposed convolutions want it: channels, outputs of one group, kernel."""
    if bank.kind == TRANSPOSED or g.groups == 1:
        return bank.read("IO" + g.spatial)
    text = bank.read("OI" + g.spatial)
    if bank.kind == SHARED:
        return text + f".repeat({g.groups}, axis=0)"
    text += f".reshape({_listed(g.groups, g.per_group, g.inputs, *g.kernel)}).swapaxes(1, 2)"
    return text + f".reshape({_listed(g.channels, g.per_group, *g.kernel)})"


def mirrored(c: Convention) -> tuple[str, ...]:
    """The flips that remain for an operator that reverses every axis of the kernel itself."""
    return tuple(a for a in "I" + c.spatial if (a in c.flip) != (a in c.spatial))


def _listed(*sizes: int) -> str:
    return ", ".join(map(str, sizes))
