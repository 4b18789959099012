"""How the windows of a convention lie: pad, data, pad, and where each of them starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convcheck.render.terminal import PIPE_WIDTH, text
from convcheck.render.words import enumerate_words, spatial_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.text import Text

    from convcheck.convention import Axis
    from convcheck.render.report import Style

DATA, PAD, GAP, CROPPED, START, TAP, CUT = "█▒·x▲■┄"
MEANINGS = {
    DATA: "IMG",
    PAD: "padding",
    GAP: "zero",
    CROPPED: "cropped",
}
PLAIN = str.maketrans({DATA: "#", PAD: "+", GAP: ".", START: "^", TAP: "o", CUT: "~"})
"""One character for one, so that what stands below each other stays so."""
INDENT = "  "
NOTE = 30
"""Columns that are left for what is said beside a line."""


def render(axes: Sequence[Axis], style: Style) -> list[Text]:
    """A strip for each spatial axis."""
    room = max(12, min(style.width or PIPE_WIDTH, PIPE_WIDTH) - NOTE - len(INDENT))
    lines = [""]
    for name, axis in zip(spatial_words(len(axes)), axes, strict=True):
        lines += _strip(name, axis, room)
    return [text(line if style.unicode else line.translate(PLAIN), style) for line in lines]


def _strip(name: str, axis: Axis, room: int) -> Iterator[str]:
    places = range(min(-axis.before, 0), max(axis.spread + axis.after, axis.spread))
    starts = {i * axis.stride - axis.before for i in range(axis.out)}
    taps = {t * axis.dilation for t in range(axis.taps)}
    strip = "".join(_sort(axis, place) for place in places)
    held = "  ".join(f"{mark} {said}" for mark, said in MEANINGS.items() if mark in strip)
    lines = [(strip, held), (_marks(places, starts, START), "where each window starts")]
    for start, said in ((min(starts), "the first window"), (max(starts), "the last window")):
        if axis.out > 1 or said == "the first window":
            lines.append((_marks(places, {start + t for t in taps}, TAP), said))
    yield f"Along the {name}: {_words(axis)}."
    for line, said in lines:
        yield f"{INDENT}{_cut(line, room)}  {said}"


def _sort(axis: Axis, place: int) -> str:
    """What a place of the strip holds."""
    if not 0 <= place < axis.spread:
        return PAD
    if not -axis.before <= place < axis.spread + axis.after:
        return CROPPED
    return GAP if place % axis.input_dilation else DATA


def _marks(places: range, marked: set[int], mark: str) -> str:
    return "".join(mark if place in marked else " " for place in places)


def _words(axis: Axis) -> str:
    """6 of IMG, 1 of padding after; 3 windows of 3, one every 2."""
    sides = [
        f"{abs(n)} {'of padding' if n > 0 else 'cropped'} {side}"
        for n, side in ((axis.before, "before"), (axis.after, "after"))
        if n
    ]
    held = (
        f"{axis.size} of IMG{f', {axis.input_dilation} apart' if axis.input_dilation > 1 else ''}"
    )
    windows = f"{axis.out} window{'s' * (axis.out > 1)} of {axis.taps}"
    if axis.dilation > 1:
        windows += f", its taps {axis.dilation} apart"
    if axis.out > 1:
        windows += f", one every {axis.stride}" if axis.stride > 1 else ", one at every place"
    return f"{held}, {enumerate_words(sides) or 'no padding'}; {windows}"


def _cut(line: str, room: int) -> str:
    """The ends of a line that is too long, the same of every line of a strip."""
    if len(line) <= room:
        return line
    half = (room - 3) // 2
    return f"{line[:half]} {CUT} {line[-half:]}"
