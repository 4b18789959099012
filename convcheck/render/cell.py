"""One element of an output worked out under any convention; for a terminal of 80 columns."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from convcheck.checks.inputs import place_names
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
from convcheck.render.words import enumerate_words, filter_words, number, size, spatial_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.text import Text

    from convcheck.checks.cell import Cell
    from convcheck.convention import Numbers
    from convcheck.render.report import Style

AROUND = {"pad": ("(", ")"), "gap": ("[", "]")}
"""How numbers are marked that are not in the image."""
PLACES = 8
"""Rows or columns of a window that are named."""


def render(cell: Cell, style: Style) -> list[Text]:
    """What meets what, the sum, and what is done to it."""
    return indented(_lines(cell, room(style)), style)


def _lines(cell: Cell, width: int) -> Iterator[str]:
    c = cell.convention
    n, k, *place = cell.at
    batch = f", of image {n} of the batch" if "N" in c.output_layout else ""
    spatial = spatial_words(c.rank)
    where = [
        f"{word[:-1]} {letter} = {i}"
        for word, letter, i in zip(spatial, place_names(c.rank)[1:], place, strict=True)
    ]
    met = [f"{word} {_places(p)}" for word, p in zip(spatial, cell.places, strict=True)]
    yield ""
    yield f"One cell of OUT worked out by {cell.role}: OUT[{', '.join(map(str, cell.index))}]"
    yield f"It is filter k = {k}, {', '.join(where)}{batch}."
    yield f"Its window lies on {enumerate_words(met)} of IMG."
    if any("pad" in places for places in cell.places):
        yield "Numbers in (round) brackets are padding: they are not in IMG."
    if any("gap" in places for places in cell.places):
        yield "Numbers in [square] brackets are zeros put between the samples of IMG."
    yield from _before(cell)
    if is_rounded([*cell.window, *cell.stored]):
        yield ROUNDED
    shown = range(min(len(cell.window), CHANNELS))
    marks = _marks(cell)
    left = len(cell.window) - len(shown)
    rest = [more(left, "slice" if c.rank == 3 else "channel")] if left else []
    yield ""
    yield "The window, and the filter as it is stored:"
    yield from _stored(cell, shown, marks, width)
    yield from rest
    yield ""
    yield f"Window times filter, {_how(cell)}:"
    for i in shown:
        blocks = (cell.window[i], cell.applied[i], cell.products[i])
        pair = f"x[{cell.channels[i]}] {_filter_name(cell, i)}"
        yield from products(pair, blocks, cell.sums[i], width, marks(i))
    yield from rest
    yield f"  {sum_of(cell.sums, cell.total)}"
    for name, given, result in cell.steps:
        yield f"  {_step(name, given)} = {number(result)}"
    yield f"OUT has {number(cell.given)} there: {_verdict(cell)}."


def _before(cell: Cell) -> Iterator[str]:
    """What is done to the numbers before they meet."""
    c = cell.convention
    image = [
        f"{word} {_of_channels(value)}"
        for word, value, neutral in (("minus", c.image_offset, 0), ("times", c.image_scale, 1))
        if value != neutral
    ]
    if image:
        yield f"The window's numbers are IMG {', then '.join(image)}."
    if c.filter_offset != 0:
        yield f"The filter is W minus {_of_channels(c.filter_offset)}."
    if cell.rounded:
        yield f"Both are rounded to {c.arithmetic} before they meet."


def _of_channels(value: Numbers) -> str:
    return "a number for each channel" if isinstance(value, tuple) else number(value)


def _stored(cell: Cell, shown: range, marks: Callable[[int], Marks], width: int) -> Iterator[str]:
    """Each block of the and filter, side by side where there is room."""
    pairs = []
    for c in shown:
        window = square(cell.window[c], marks=marks(c))
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


def _marks(cell: Cell) -> Callable[[int], Marks]:
    """Around each number of a block of the window: nothing where it is one of the image's."""

    def around(*places: int | str) -> tuple[str, str]:
        kinds = {place for place in places if isinstance(place, str)}
        return AROUND["pad" if "pad" in kinds else "gap"] if kinds else ("", "")

    *slices, rows, columns = ((0,), (0,), *cell.places)[-max(2, len(cell.places)) :]

    def of(block: int) -> Marks:
        depth = [places[block % len(places)] for places in slices]
        return tuple(tuple(around(*depth, row, column) for column in columns) for row in rows)

    return of


def _places(places: tuple[int | str, ...]) -> str:
    words = [str(place) for place in places]
    if len(words) > PLACES:
        words = [*words[: PLACES - 2], CUT, words[-1]]
    return enumerate_words(words)


def _how(cell: Cell) -> str:
    c = cell.convention
    words = filter_words(c.rank)
    reversed_axes = [words[axis] for axis in c.flip]
    parts = [f"{enumerate_words(reversed_axes)} of the filter reversed"] if reversed_axes else []
    layout = c.filter_memory or c.filter_layout
    stored = [axis for axis in layout if axis in c.spatial]
    if stored != list(c.spatial):
        read = enumerate_words([words[axis] for axis in c.spatial])
        parts.insert(0, f"{read} where {layout} has them")
    if c.conjugate:
        parts.append("the filter conjugated")
    return " and ".join(parts) or "nothing reversed"


def _step(name: str, given: Any) -> str:
    if name == "activation":
        return f"activation ({given.words})"
    if name == "arithmetic":
        return f"in {given}"
    if name == "storage":
        zero = f" plus {given.zero_point}" if given.zero_point else ""
        return f"stored{zero} as {given.dtype}"
    return f"{'times the scale' if name == 'scale' else 'plus the bias'} {number(given)}"


def _verdict(cell: Cell) -> str:
    if cell.given != cell.given:  # NaN
        return "it is no number, where the convention gives one"
    apart = abs(cell.given - cell.value)
    if apart == 0:
        return "the same number"
    said = f"{size(apart)} apart, where rounding explains up to {size(cell.threshold)}"
    return f"the same but for rounding, {said}" if cell.agrees else f"it differs, {said}"
