"""One output cell worked out, for a terminal of 80 columns; --impulse's picture too."""

from __future__ import annotations

from itertools import combinations
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from convcheck.checks.inputs import place_names
from convcheck.render.terminal import PIPE_WIDTH, text
from convcheck.render.words import enumerate_words, filter_words, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.text import Text

    from convcheck.checks.explain import Block, Explanation, Impulse, Working
    from convcheck.comparison import Number
    from convcheck.render.report import Style

CHANNELS = 4
ROWS = 4
NUMBERS = 4
SLICES = 4
"""What is shown of a window at most: blocks, which are channels or their slices; rows, numbers."""
CUT = "…"
Marks = tuple[tuple[tuple[str, str], ...], ...]
"""What stands before and after each number of a block."""
INDENT = "  "
MOST = 120
"""Columns beyond which a line is no longer read at a glance."""


def render(explanation: Explanation, style: Style) -> list[Text]:
    """The window and the filter, then each decomposition's products, sums and total."""
    return indented(_lines(explanation, room(style)), style)


def _lines(found: Explanation, limit: int) -> Iterator[str]:
    k, *place = found.at
    rank = len(found.taps)
    names = ", ".join(place_names(rank))
    reach = ", ".join(f"{i}:{i + n}" for i, n in zip(place, found.taps, strict=True))
    yield ""
    yield f"One output cell worked out: ({names}) = ({', '.join(map(str, found.at))})"
    yield (
        f"The window is x[:, {reach}]; the filter is "
        f"{'w' if len(found.filters_shape) < rank + 2 else f'w[{k}]'}, as it is stored:"
    )
    if rank == 3:
        yield "Both are shown slice by slice: x[c,d] is slice d of the window's channel c."
    if is_rounded([*found.window, *found.stored]):
        yield ROUNDED
    yield ""
    yield from _stacked(
        [
            (f"x[{_name(found, i)}]", f"w[{_name(found, i)}]", found.window[i], found.stored[i])
            for i in _shown(found)
        ]
    )
    yield from _rest(found)
    for working in found.workings:
        yield ""
        yield from _working(found, working, limit)
    yield ""
    yield from _why(found)


ROUNDED = "Numbers are rounded here, to be read; the totals are given in full."


def is_rounded(blocks: Sequence[Block]) -> bool:
    """Whether some number is not shown in full."""
    return any(short(value) != number(value) for block in blocks for row in block for value in row)


def _name(found: Explanation, block: int) -> str:
    """The channel of a block, or in 3-D channel and slice."""
    channel, depth = divmod(block, found.slices)
    return f"{channel},{depth}" if len(found.taps) == 3 else str(channel)


def _stacked(blocks: list[tuple[str, str, Block, Block]]) -> Iterator[str]:
    """Each block of the window beside the filter's block of the same number."""
    for image_name, filter_name, window, stored in blocks:
        left, right = square(window), square(stored)
        for i, (a, b) in enumerate(zip(left, right, strict=True)):
            names = (image_name, filter_name) if i == 0 else ("", "")
            yield f"  {names[0]:6} {a}      {names[1]:6} {b}".rstrip()


def _rest(found: Explanation) -> Iterator[str]:
    left = len(found.window) - len(_shown(found))
    if left:
        yield more(left, "slice" if len(found.taps) == 3 else "channel")


def _working(found: Explanation, working: Working, width: int) -> Iterator[str]:
    words = filter_words(len(found.taps))
    reversed_axes = [words[axis] for axis in working.flip]
    how = f"{', '.join(reversed_axes)} reversed" if reversed_axes else "nothing reversed"
    yield f"{working.name}: {how}"
    for i in _shown(found):
        blocks = (found.window[i], working.applied[i], working.products[i])
        names = f"x[{_name(found, i)}] w[{_name(found, working.partners[i])}]"
        yield from products(names, blocks, working.sums[i], width)
    yield from _rest(found)
    agrees = "as scipy" if found.matches(working) else f"scipy: {number(found.reference)}"
    total = f"  {sum_of(working.sums, working.total)}"
    if len(total) + len(agrees) + 5 <= width:
        yield f"{total}   ({agrees})"
    else:
        yield from (total, f"  ({agrees})")


def products(
    names: str,
    blocks: tuple[Block, Block, Block],
    total: Number,
    width: int,
    marks: Marks | None = None,
) -> Iterator[str]:
    """A block of the window times the filter there, number by number, and what they add up to."""
    for most, tight in ((NUMBERS, False), (NUMBERS, True), (3, True), (2, True)):
        squares = [
            square(block, most, tight=tight, marks=mark)
            for block, mark in zip(blocks, (marks, None, None), strict=True)
        ]
        long = len(f"  {names}   ×  = ") + sum(len(rows[0]) for rows in squares)
        if long <= width:
            break
    last = f"   sum {short(total)}"
    for i, (a, b, p) in enumerate(zip(*squares, strict=True)):
        said = (names, "×", "=") if i == 0 else (" " * len(names), " ", " ")
        end = last if i == len(squares[0]) - 1 and long + len(last) <= width else ""
        yield f"  {said[0]}  {a} {said[1]} {b} {said[2]} {p}{end}".rstrip()
    if long + len(last) > width:
        yield f"  {'':{len(names)}}  sum {short(total)}"


def indented(lines: Iterable[str], style: Style) -> list[Text]:
    """The lines as they are shown: sentences wrapped; rows of numbers, indented ones, never."""
    limit = room(style)
    shown = (
        part
        for line in lines
        for part in ([line] if not line or line.startswith(" ") else wrap(line, limit))
    )
    return [text(f"{INDENT}{line}" if line else "", style) for line in shown]


def room(style: Style) -> int:
    """The columns of a line: no fewer than 80 columns give where no terminal says otherwise."""
    return min(style.width or PIPE_WIDTH, MOST) - len(INDENT)


def sum_of(sums: Sequence[Number], total: Number) -> str:
    """What the blocks' sums add up to."""
    terms = [short(value) for value in sums[:CHANNELS]] + [CUT] * (len(sums) > CHANNELS)
    equal = f"{' + '.join(terms).replace('+ -', '- ')} = " if len(sums) > 1 else ""
    return f"total {equal}{number(total)}"


def _why(found: Explanation) -> Iterator[str]:
    """The arithmetic of N-D convolution along the channel axis."""
    channels = len(found.window) // found.slices
    last = channels - 1
    yield "Why scipy pairs channel c with C-1-c: an N-D convolution adds the products"
    yield "x[i] w[j] whose indices add up to the same number, i + j = n, on every axis."
    if channels == 1:
        _, *spatial = filter_words(len(found.taps)).values()
        rest = enumerate_words(spatial)
        yield f"With one channel there is nothing to pair: only {rest} are reversed."
        return
    yield "Filter and image have C channels each, so one n alone uses all of them, and"
    yield f"'valid' keeps only that: n = C-1 = {last}. So image channel c meets channel C-1-c:"
    pairs = [f"{c} + {last - c}" for c in range(channels)]
    if channels > 5:
        pairs = [*pairs[:3], CUT, pairs[-1]]
    yield f"  {' = '.join(pairs)} = {last}"


def _shown(found: Explanation) -> range:
    return range(min(len(found.window), CHANNELS))


def square(
    block: Block, most: int = NUMBERS, *, tight: bool = False, marks: Marks | None = None
) -> list[str]:
    """Rows of numbers in columns; what is left out is marked, never dropped in silence.

    ``marks`` says what stands around each number, such as ``()``.
    """
    cut_row, cut_column = len(block) > ROWS, len(block[0]) > most
    rows = [
        [
            short(value, tight=tight).join(marks[i][j] if marks else ("", ""))
            for j, value in enumerate(row[: most - cut_column])
        ]
        + [CUT] * cut_column
        for i, row in enumerate(block[: ROWS - cut_row])
    ]
    if cut_row:
        rows.append([CUT] * len(rows[0]))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        " ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]


def more(left: int, what: str = "channel") -> str:
    """How many channels, or slices of them, are not shown."""
    return f"  {CUT} and {left} {what}{'s' * (left > 1)} more"


def short(value: Number, *, tight: bool = False) -> str:
    """A number in a few characters; totals are given in full."""
    if isinstance(value, complex):
        sign = "-" if value.imag < 0 else "+"
        return f"{short(value.real, tight=tight)}{sign}{short(abs(value.imag), tight=tight)}j"
    exact = number(value)
    return exact if len(exact) <= 5 else f"{value:.{2 if tight else 3}g}"


def render_impulse(impulse: Impulse, style: Style) -> list[Text]:
    """The filter that comes out of an image of zeros with a single 1."""
    return indented(_impulse_lines(impulse), style)


def _impulse_lines(impulse: Impulse) -> Iterator[str]:
    one = ", ".join(map(str, impulse.at))
    yield ""
    yield f"IMG is 0 but for a single 1, x[{one}]. The filter comes out around it:"
    if len(impulse.origin) == 3:
        yield "The slices of a channel, or of the output, stand below each other."
    yield ""
    for channel in range(min(len(impulse.stored), CHANNELS)):
        yield from _named(f"w[{channel}] as stored", impulse.stored[channel])
    if len(impulse.stored) > CHANNELS:
        yield more(len(impulse.stored) - CHANNELS)
    if len(impulse.origin) < 3:  # after slices there is an empty line already
        yield ""
    yield f"out[{', '.join(f'{i}:' for i in impulse.origin)}], by"
    for name, blocks in impulse.outputs.items():
        yield from _named(name, blocks, _origin(blocks, impulse))
    yield from _named("scipy", impulse.reference, _origin(impulse.reference, impulse))


def _named(name: str, blocks: Sequence[Block], note: str = "") -> Iterator[str]:
    for depth, block in enumerate(blocks[:SLICES]):
        for i, row in enumerate(square(block)):
            first = depth == 0 and i == 0
            yield f"  {name if first else '':20} {row}{f'   {note}' if note and first else ''}"
        if len(blocks) > 1:
            yield ""
    if len(blocks) > SLICES:
        yield more(len(blocks) - SLICES, "slice")


def _origin(blocks: tuple[Block, ...], impulse: Impulse) -> str:
    """Which channel of the filter this is, and how it lies."""
    words = filter_words(len(impulse.origin))
    letters = "DHW"[-len(impulse.origin) :]
    made = np.array(blocks)
    for channel, stored in enumerate(impulse.stored):
        kernel = np.array(stored)
        for count in (0, len(letters), *range(1, len(letters))):
            for axes in combinations(letters, count):
                # A block has rows in 1-D too, one; the slices are along the first axis.
                turned = np.flip(kernel, tuple("DHW".index(axis) for axis in axes))
                if np.array_equal(turned, made):
                    how = f"its {enumerate_words([words[axis] for axis in axes])} reversed"
                    how = "reversed" if count == len(letters) else how
                    return f"w[{channel}], {how if count else 'as stored'}"
    return ""
