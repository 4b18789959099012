"""One element of an output worked out under any convention; for a terminal of 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convcheck.render.explain import CHANNELS, CUT, Marks, more, products, square, sum_of
from convcheck.render.terminal import text
from convcheck.render.words import enumerate_words, number, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text

    from convcheck.checks.agreement import Cell
    from convcheck.render.report import Style

AROUND = {"pad": ("(", ")"), "gap": ("[", "]")}
"""How numbers are marked that are not in the image."""
PLACES = 8
"""Rows or columns of a window that are named."""


def render(cell: Cell, style: Style) -> list[Text]:
    """What meets what, the sum, and what is done to it."""
    return [text(f"  {line}" if line else "", style) for line in _lines(cell)]


def _lines(cell: Cell) -> Iterator[str]:
    n, k, y, x = cell.at
    batch = f"image {n} of the batch, " if n or "N" in cell.convention.output_layout else ""
    yield ""
    yield f"One cell of OUT worked out by {cell.role}: OUT[{', '.join(map(str, cell.index))}]"
    yield f"It is {batch}filter k = {k}, row y = {y}, column x = {x} of the output."
    yield (
        f"Its window lies on rows {_places(cell.rows)} and columns {_places(cell.columns)} of IMG."
    )
    if "pad" in cell.rows + cell.columns:
        yield "Numbers in (round) brackets are padding: they are not in IMG."
    if "gap" in cell.rows + cell.columns:
        yield "Numbers in [square] brackets are zeros put between the samples of IMG."
    shown = range(min(len(cell.window), CHANNELS))
    marks = _marks(cell)
    yield ""
    yield "The window, and the filter as it is stored:"
    left = max(len(f"x[{cell.channels[c]}] = IMG{cell.image_parts[c]}") for c in shown)
    right = max(len(_stored_name(cell, c)) for c in shown)
    for c in shown:
        window = square(cell.window[c], marks=marks)
        stored = square(cell.stored[c])
        tall = max(len(window), len(stored))
        for i in range(tall):
            a = window[i] if i < len(window) else " " * len(window[0])
            b = stored[i] if i < len(stored) else ""
            names = (f"x[{cell.channels[c]}] = IMG{cell.image_parts[c]}", _stored_name(cell, c))
            here = names if i == 0 else ("", "")
            yield f"  {here[0]:{left}}  {a}    {here[1]:{right}}  {b}".rstrip()
    if len(cell.window) > len(shown):
        yield more(len(cell.window) - len(shown))
    yield ""
    yield f"Window times filter, {_how(cell)}:"
    for c in shown:
        blocks = (cell.window[c], cell.applied[c], cell.products[c])
        pair = f"x[{cell.channels[c]}] {_filter_name(cell, c)}"
        yield from products(pair, blocks, cell.sums[c], marks)
    if len(cell.window) > len(shown):
        yield more(len(cell.window) - len(shown))
    yield f"  {sum_of(cell.sums, cell.total)}"
    for name, given, result in cell.steps:
        yield f"  {_step(name, given)} = {number(result)}"
    yield f"OUT has {number(cell.given)} there: {_verdict(cell)}."


def _filter_name(cell: Cell, c: int) -> str:
    return f"w[{cell.partners[c]}]"


def _stored_name(cell: Cell, c: int) -> str:
    return f"{_filter_name(cell, c)} = W{cell.filter_parts[c]}"


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
