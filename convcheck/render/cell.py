"""One element of an output worked out under any convention; for a terminal of 80 columns."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from convcheck.render.explain import (
    CHANNELS,
    CUT,
    ROUNDED,
    Marks,
    indented,
    is_rounded,
    more,
    products,
    room,
    square,
    sum_of,
)
from convcheck.render.words import enumerate_words, number, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text

    from convcheck.checks.cell import Cell
    from convcheck.render.report import Style

AROUND = {"pad": ("(", ")"), "gap": ("[", "]")}
"""How numbers are marked that are not in the image."""
PLACES = 8
"""Rows or columns of a window that are named."""


def render(cell: Cell, style: Style) -> list[Text]:
    """What meets what, the sum, and what is done to it."""
    return indented(_lines(cell, room(style)), style)


def _lines(cell: Cell, width: int) -> Iterator[str]:
    n, k, y, x = cell.at
    batch = f", of image {n} of the batch" if "N" in cell.convention.output_layout else ""
    yield ""
    yield f"One cell of OUT worked out by {cell.role}: OUT[{', '.join(map(str, cell.index))}]"
    yield f"It is filter k = {k}, row y = {y}, column x = {x}{batch}."
    yield (
        f"Its window lies on rows {_places(cell.rows)} and columns {_places(cell.columns)} of IMG."
    )
    if "pad" in cell.rows + cell.columns:
        yield "Numbers in (round) brackets are padding: they are not in IMG."
    if "gap" in cell.rows + cell.columns:
        yield "Numbers in [square] brackets are zeros put between the samples of IMG."
    if is_rounded([*cell.window, *cell.stored]):
        yield ROUNDED
    shown = range(min(len(cell.window), CHANNELS))
    marks = _marks(cell)
    yield ""
    yield "The window, and the filter as it is stored:"
    yield from _stored(cell, shown, marks, width)
    if len(cell.window) > len(shown):
        yield more(len(cell.window) - len(shown))
    yield ""
    yield f"Window times filter, {_how(cell)}:"
    for c in shown:
        blocks = (cell.window[c], cell.applied[c], cell.products[c])
        pair = f"x[{cell.channels[c]}] {_filter_name(cell, c)}"
        yield from products(pair, blocks, cell.sums[c], width, marks)
    if len(cell.window) > len(shown):
        yield more(len(cell.window) - len(shown))
    yield f"  {sum_of(cell.sums, cell.total)}"
    for name, given, result in cell.steps:
        yield f"  {_step(name, given)} = {number(result)}"
    yield f"OUT has {number(cell.given)} there: {_verdict(cell)}."


def _stored(cell: Cell, shown: range, marks: Marks, width: int) -> Iterator[str]:
    """Each channel's window and filter, side by side where there is room."""
    pairs = []
    for c in shown:
        window = square(cell.window[c], marks=marks)
        image = f"x[{cell.channels[c]}] = IMG{cell.image_parts[c]}"
        stored = f"{_filter_name(cell, c)} = W{cell.filter_parts[c]}"
        pairs.append((_named(image, window), _named(stored, square(cell.stored[c]))))
    beside = all(len(f"  {a[0]}    {b[0]}") <= width for a, b in pairs)
    for left, right in pairs:
        if beside:
            # A kernel that is swapped has as many rows as the window has columns.
            blank = " " * len(left[0])
            for a, b in zip_longest(left, right):
                yield f"  {a or blank}    {b or ''}".rstrip()
        else:
            yield from (f"  {line}" for line in (*left, *right))


def _named(name: str, rows: list[str]) -> list[str]:
    return [f"{name if i == 0 else '':{len(name)}}  {row}" for i, row in enumerate(rows)]


def _filter_name(cell: Cell, c: int) -> str:
    return f"w[{cell.partners[c]}]"


def _marks(cell: Cell) -> Marks:
    """Around each number of the window: nothing where it is one of the image's."""

    def around(row: int | str, column: int | str) -> tuple[str, str]:
        kinds = {place for place in (row, column) if isinstance(place, str)}
        return AROUND["pad" if "pad" in kinds else "gap"] if kinds else ("", "")

    return tuple(tuple(around(row, column) for column in cell.columns) for row in cell.rows)


def _places(places: tuple[int | str, ...]) -> str:
    words = [str(place) for place in places]
    if len(words) > PLACES:
        words = [*words[: PLACES - 2], CUT, words[-1]]
    return enumerate_words(words)


def _how(cell: Cell) -> str:
    c = cell.convention
    reversed_axes = [{"I": "channels", "H": "rows", "W": "columns"}[axis] for axis in c.flip]
    parts = [f"{enumerate_words(reversed_axes)} of the filter reversed"] if reversed_axes else []
    if c.kernel_transposed:
        parts.insert(0, "rows and columns of the filter swapped")
    return " and ".join(parts) or "nothing reversed"


def _step(name: str, given: object) -> str:
    if name == "relu":
        return "ReLU, which makes what is below 0 a 0:"
    if name == "operands":
        return f"with IMG and W rounded to {given} before all that"
    if name == "arithmetic":
        return f"in {given}"
    shown = number(given) if isinstance(given, (int, float, complex)) else str(given)
    return f"times the scale {shown}" if name == "scale" else f"plus the bias {shown}"


def _verdict(cell: Cell) -> str:
    if cell.given != cell.given:  # NaN
        return "it is not judged"
    apart = abs(cell.given - cell.value)
    if apart == 0:
        return "the same number"
    said = f"{size(apart)} apart, where rounding explains up to {size(cell.threshold)}"
    return f"the same but for rounding, {said}" if cell.agrees else f"it differs, {said}"
