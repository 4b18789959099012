"""A map of the difference in half-block cells, or in plain characters."""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING

from rich.text import Text

from convcheck.render.terminal import PIPE_WIDTH, text
from convcheck.render.words import size

if TYPE_CHECKING:
    from convcheck.checks.picture import DifferenceMap
    from convcheck.render.report import Style

COLORS = (236, 54, 90, 126, 162, 203, 209, 215, 222, 230)
"""From no difference to the largest, of the 256: brighter is more, by day and by night."""
SHADES = "·░▒▓█"
ASCII = ".:-=+*#%@"
INDENT = "  "
LARGE = 32
"""A map that stays within this many cells is drawn twice as large."""


def render(shown: DifferenceMap, style: Style) -> list[Text]:
    """What it is, the map, and the scale."""
    over = f"the worst of all {shown.of}" if shown.filter is None else f"filter {shown.filter}"
    height, width = shown.shape
    size_text = f"{height} rows by {width} columns" if height > 1 else f"{width} in a row"
    if shown.slice is not None:
        number, count = shown.slice
        size_text = f"slice {number} of {count}, which has the largest: {size_text}"
    title = f"|{shown.name} - {shown.reference}| over the output, {size_text}, {over}:"
    lines = [Text(), text(title, style)]
    nothing = "Nothing differs by more than rounding can explain."
    if shown.largest == 0:
        exactly = "Nothing differs: every number is the same, to the last digit."
        return [*lines, text(exactly if shown.share else nothing, style)]
    if shown.share:
        lines += [text(nothing, style), text("The differences, in % of what it can:", style)]
    room = (style.width or PIPE_WIDTH) - 2 * len(INDENT)
    cells = _fitted(shown, room)
    depth = len(COLORS) if style.color and style.unicode else len(_ramp(style))
    largest = _largest_finite(shown) or 1.0
    levels = [[_level(min(value / largest, 1), depth) for value in row] for row in cells]
    if 2 * max(len(levels), len(levels[0])) <= min(LARGE, room):
        levels = [[level for level in row for _ in "xx"] for row in levels for _ in "xx"]
    if len(levels) % 2:
        levels.append([-1] * len(levels[0]))
    pairs = list(zip(levels[::2], levels[1::2], strict=True))
    lines += [_line(upper, lower, style) for upper, lower in pairs]
    lines.append(_scale(shown, depth, style))
    return lines


def _fitted(shown: DifferenceMap, width: int) -> list[list[float]]:
    """The cells, those that a narrow terminal has no room for merged with their neighbours."""
    rows = [list(row) for row in shown.cells]
    merge = max(1, ceil(len(rows[0]) / max(width, 1)))
    if merge == 1:
        return rows
    return [
        [
            max(max(row[left : left + merge]) for row in rows[top : top + merge])
            for left in range(0, len(rows[0]), merge)
        ]
        for top in range(0, len(rows), merge)
    ]


def _largest_finite(shown: DifferenceMap) -> float:
    """What the end of the scale is; 0 where no difference is finite."""
    return max((v for row in shown.cells for v in row if v < inf), default=0.0)


def _level(share: float, depth: int) -> int:
    """0 of nothing alone: what differs at all is to be seen."""
    return 0 if share == 0 else max(1, min(depth - 1, ceil(share * (depth - 1))))


def _ramp(style: Style) -> str:
    return SHADES if style.unicode else ASCII


def _line(upper: list[int], lower: list[int], style: Style) -> Text:
    if not (style.color and style.unicode):
        ramp = _ramp(style)
        worse = (max(pair) for pair in zip(upper, lower, strict=True))
        return text(INDENT + "".join(ramp[level] for level in worse), style)
    line = Text(INDENT, no_wrap=True)
    for above, below in zip(upper, lower, strict=True):
        # Below the last row of an odd number there is nothing, not even a zero.
        back = f" on color({COLORS[below]})" if below >= 0 else ""
        line.append("▀", f"color({COLORS[above]}){back}")
    return line


def _scale(shown: DifferenceMap, depth: int, style: Style) -> Text:
    each = shown.shape[1] / len(shown.cells[0])
    cell = "" if each == 1 else f"   one cell: up to {ceil(each)} by {ceil(each)} elements"
    line = Text(f"{INDENT}0 ", no_wrap=True)
    for level in range(depth):
        if style.color and style.unicode:
            line.append("█", f"color({COLORS[level]})")
        else:
            line.append(_ramp(style)[level])
    largest = _largest_finite(shown)
    ends = [f"{size(100 * largest)} %" if shown.share else size(largest)] if largest else []
    most = " or ".join([*ends, *(["not finite"] if shown.largest == inf else [])])
    line.append(f" {most}{cell}")
    return line
