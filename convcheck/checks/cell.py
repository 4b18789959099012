"""One element of an output worked out, number by number, under the convention that was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.calls.geometry import Axis, measure
from convcheck.checks.explain import Block, as_blocks
from convcheck.checks.patch import patch, source
from convcheck.comparison import number
from convcheck.engine import arrange_filters, round_to, to_axes
from convcheck.errors import InputError
from convcheck.rounding import choose_arithmetic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.checks.agreement import Agreement, InAreas
    from convcheck.comparison import Number
    from convcheck.convention import Convention

Array = NDArray[Any]

FEW_BITS = ("tf32", "bfloat16", "float16")
"""Arithmetics that hardware multiplies in: identify rounds the operands, not the sum."""


@dataclass(frozen=True)
class Cell:
    """One element of OUT worked out under a convention.

    ``at`` is its (n, k, y, x) and ``index`` its place in OUT as stored. ``rows`` and ``columns``
    say what of IMG lies under each of the filter's: a number, or ``pad``, or ``gap`` for a zero
    that was put between two samples. For each channel: ``image_parts`` and ``filter_parts`` are
    the subscripts of what meets, ``channels`` and ``partners`` their channels as stored, then the
    numbers. ``steps`` are what is done to the sum, in order: its name, its number, the result.
    """

    convention: Convention
    role: str
    at: tuple[int, int, int, int]
    index: tuple[int, ...]
    rows: tuple[int | str, ...]
    columns: tuple[int | str, ...]
    image_parts: tuple[str, ...]
    filter_parts: tuple[str, ...]
    channels: tuple[int, ...]
    partners: tuple[int, ...]
    window: tuple[Block, ...]
    stored: tuple[Block, ...]
    applied: tuple[Block, ...]
    products: tuple[Block, ...]
    sums: tuple[Number, ...]
    total: Number
    steps: tuple[tuple[str, Number | str | None, Number], ...]
    given: Number
    threshold: float
    agrees: bool

    @property
    def value(self) -> Number:
        """What the convention gives."""
        return self.steps[-1][2] if self.steps else self.total


def worst_cell(seen: Agreement | InAreas, axes: tuple[Axis, Axis]) -> tuple[int, ...]:
    """The element that is most wrong, else the one that differs most, else one at the border."""
    is_wrong, difference, place = max(map(_worst, seen.parts()))
    if not is_wrong and not difference:
        # All are alike: one whose window reaches the padding, if there is one, has most to show.
        return (0, 0, *(_first_at_the_border(axis) for axis in axes))
    return tuple(-i for i in place)


def _worst(part: Agreement) -> tuple[bool, float, tuple[int, ...]]:
    """Whether it is wrong, by how much it differs, and where: negative, so that the first wins."""
    wrong = bool(part.wrong.any())
    of = np.where(part.wrong, part.difference, -1.0) if wrong else part.difference
    at = np.unravel_index(int(np.argmax(of)), of.shape)
    place = tuple(-int(i) - a for i, a in zip(at, part.first, strict=True))
    return wrong, float(of[at]), place


def _first_at_the_border(axis: Axis) -> int:
    starts = (i * axis.stride - axis.before for i in range(axis.out))
    outside = (i for i, start in enumerate(starts) if not 0 <= start <= axis.spread - axis.extent)
    return next(outside, 0)


def work_out(
    image: Array, filters: Array, output: Array, seen: Agreement | InAreas, at: Sequence[int] | None
) -> Cell:
    """The element ``at`` (k, y, x) or (n, k, y, x), by default the worst, number by number.

    Raises:
        InputError: the output has no such element.
    """
    image, filters, output = np.asarray(image), np.asarray(filters), np.asarray(output)
    c = seen.convention
    if at is None:
        n, k, y, left = worst_cell(seen, measure(c, image.shape, filters.shape).axes)
    else:
        n, k, y, left = _check(at, seen)
    x = to_axes(image, c.image_layout, "NCHW")
    one = seen.alone((n, k, y, left))
    # Where each number of the applied bank is in the stored one.
    home = arrange_filters(np.arange(filters.size).reshape(filters.shape), c, x.shape[1])
    arithmetic = choose_arithmetic(x, filters.reshape(1, -1))
    inputs = home.shape[1]
    first = k // (len(home) // c.groups) * inputs
    spots = [
        start * step + np.arange(taps) * reach
        for start, step, taps, reach in zip(
            (y, left), c.stride, home.shape[2:], c.dilation, strict=True
        )
    ]
    order = c.channel_order or range(x.shape[1])
    channels = [order[i] for i in range(first, first + inputs)]
    ys, xs = (
        source(c, axis, x.shape[2 + axis], spot - c.padding[axis][0])
        for axis, spot in enumerate(spots)
    )
    window = np.concatenate(
        [patch(x[n : n + 1, i : i + 1], ys, xs, c, arithmetic.cast)[0] for i in channels]
    )
    applied = arithmetic.cast(filters.ravel()[home[k]])
    products: Array = np.multiply(window, applied)
    sums = products.sum(axis=(1, 2))
    met = [_part(filters, c.filter_layout, int(flat[0, 0])) for flat in home[k]]
    letters = c.output_layout
    index = tuple({"N": n, "O": k, "H": y, "W": left}[letter] for letter in letters)
    rows, columns = (
        _labels(spot, before, gap, size)
        for spot, (before, _), gap, size in zip(
            spots, c.padding, c.input_dilation, x.shape[2:], strict=True
        )
    )
    return Cell(
        convention=c,
        role=seen.role,
        at=(n, k, y, left),
        index=index,
        rows=rows,
        columns=columns,
        image_parts=tuple(_subscripts(c.image_layout, {"N": n, "C": i}) for i in channels),
        filter_parts=tuple(part for part, _, _ in met),
        channels=tuple(channels),
        partners=tuple(partner for _, partner, _ in met),
        window=as_blocks(window),
        stored=as_blocks(arithmetic.cast(np.stack([kernel for _, _, kernel in met]))),
        applied=as_blocks(applied),
        products=as_blocks(products),
        sums=tuple(s.item() for s in sums),
        total=sums.sum().item(),
        steps=_steps(sums.sum(), c, k, one.predicted[0, 0, 0, 0]),
        given=number(output[index]),
        threshold=float(one.threshold[0, 0, 0, 0]),
        agrees=not bool(one.wrong[0, 0, 0, 0]),
    )


def _check(at: Sequence[int], seen: Agreement | InAreas) -> tuple[int, ...]:
    shape = seen.shape
    whole = (0, *at) if len(at) == 3 else tuple(at)
    if not all(0 <= i < size for i, size in zip(whole, shape, strict=True)):
        names = "nkyx" if shape[0] > 1 or len(at) == 4 else "kyx"
        sizes = dict(zip("nkyx", shape, strict=True))
        raise InputError(
            "the output has no such cell",
            got=f"({', '.join('nkyx'[-len(at) :])}) = ({', '.join(map(str, at))})",
            expected=", ".join(f"{axis} from 0 to {sizes[axis] - 1}" for axis in names),
            hint=f"--at {','.join(str(n // 2) for n in shape[1:])} is in the middle",
        )
    return whole


def _labels(spots: Array, before: int, gap: int, size: int) -> tuple[int | str, ...]:
    """What of the image lies under each tap along one axis."""

    def label(spot: int) -> int | str:
        place = spot - before
        if not 0 <= place <= (size - 1) * gap:
            return "pad"
        return "gap" if place % gap else place // gap

    return tuple(label(int(spot)) for spot in spots)


def _part(filters: Array, layout: str, flat: int) -> tuple[str, int, Array]:
    """The stored kernel that holds an element: its subscripts, its channel, its numbers (H, W)."""
    place = dict(zip(layout, (int(i) for i in np.unravel_index(flat, filters.shape)), strict=True))
    fixed = {letter: i for letter, i in place.items() if letter not in "HW"}
    kernel: Any = filters[tuple(fixed.get(letter, slice(None)) for letter in layout)]
    if layout.index("H") > layout.index("W"):
        kernel = kernel.T
    return _subscripts(layout, fixed), place.get("I", 0), kernel


def _subscripts(layout: str, fixed: dict[str, int]) -> str:
    """[0, :, :, 2]; nothing where the whole array is meant."""
    inside = ", ".join(str(fixed.get(letter, ":")) for letter in layout)
    return f"[{inside}]" if any(letter in fixed for letter in layout) else ""


def _steps(
    total: Any, convention: Convention, k: int, predicted: Any
) -> tuple[tuple[str, Number | str | None, Number], ...]:
    """What the convention does to a sum, in its order."""
    c = convention
    steps: list[tuple[str, Number | str | None, Number]] = []
    value = np.atleast_1d(total)
    if c.scale != 1.0:
        value = value * c.scale
        steps.append(("scale", c.scale, value[0].item()))
    if c.bias is not None:
        value = value + c.bias[k]
        steps.append(("bias", c.bias[k], value[0].item()))
    if c.activation == "relu":
        value = np.maximum(value, 0)
        steps.append(("relu", None, value[0].item()))
    if c.arithmetic in FEW_BITS:
        steps.append(("operands", c.arithmetic, predicted.item()))
    elif c.arithmetic != "exact":
        value = round_to(value, c.arithmetic)
        steps.append(("arithmetic", c.arithmetic, value[0].item()))
    return tuple(steps)
