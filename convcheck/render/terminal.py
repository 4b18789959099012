"""rich, tamed: strings out, numbers never cut, nothing of the user's read as markup."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from convcheck.render.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from convcheck.render.report import Operand, Style

PIPE_WIDTH = 80
LONG = 8
"""How many numbers of a list a terminal is shown; every other place has them all."""
CUT = "Long lists are cut on a terminal; --json, -o FILE and a pipe have them whole."
ASCII_BOX = box.Box(str(box.SIMPLE).replace("─", "-"), ascii=True)


def text(content: str, style: Style, look: str = "", *, whole: bool = False) -> Text:
    """Text as it is: no markup, control characters shown rather than sent to the terminal.

    ``whole`` text stays on its line. So does code, which is there to be copied; it begins with two
    spaces.
    """
    shown = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in content)
    whole = whole or content.startswith("  ")
    return Text(
        shown if style.unicode else plain(shown),
        style=look,
        no_wrap=whole,
        overflow="ignore" if whole else "fold",
    )


def path_text(path: str) -> str:
    """A file's name on one line, whatever is in it."""
    return path.replace("\n", "\\n")


def operand_lines(operands: Mapping[str, Operand], style: Style) -> list[Text]:
    """Each operand on a line: its name, shape, dtype and where it came from."""
    width = max(map(len, operands))
    return [
        text(
            f"{name:{width}}  {'x'.join(map(str, given.shape))} {given.dtype}  "
            f"{path_text(given.path)}",
            style,
            whole=style.width is None,  # where no terminal bounds it, a long path is left whole
        )
        for name, given in operands.items()
    ]


def to_string(parts: Iterable[RenderableType], style: Style) -> str:
    """The parts below each other, as wide as the terminal, or as the widest of them needs."""
    parts = list(parts)
    width = style.width or max([PIPE_WIDTH, *(natural_width(p) for p in parts)])
    stream = StringIO()
    console = Console(
        file=stream,
        width=width,
        force_terminal=style.color,
        color_system="256" if style.color else None,
        no_color=not style.color,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
        # rich asks its file for the encoding; a StringIO has none to give.
        safe_box=True,
        _environ={},
    )
    for part in parts:
        # print() joins texts into a new one, which forgets how they wanted to be wrapped.
        wrapping = (part.no_wrap, part.overflow) if isinstance(part, Text) else (None, None)
        console.print(part, crop=False, no_wrap=wrapping[0], overflow=wrapping[1])
    return "\n".join(
        line.rstrip() if not style.color else line for line in stream.getvalue().split("\n")
    )


def natural_width(part: RenderableType) -> int:
    """The width that a table needs so that nothing in it is folded or cut; 0 for running text."""
    if not isinstance(part, Table):
        return 0
    console = Console(file=StringIO(), width=10_000, legacy_windows=False, _environ={})
    return console.measure(part).maximum


def cut_lists(lines: list[str]) -> list[str]:
    """Lines with their long lists cut, and that this was done, if it was."""
    cut = [cut_list(line) for line in lines]
    return cut if cut == lines else [*cut, CUT]


def cut_list(line: str) -> str:
    """A line of code with its long lists of numbers cut, and how many there are."""

    def short(found: re.Match[str]) -> str:
        numbers = found[2].split(",")
        if len(numbers) <= LONG:
            return found[0]
        return f"{found[1]}{','.join(numbers[:3])}, ... {len(numbers)} numbers{found[3]}"

    return re.sub(r"([\[(])([-+.,\sejn\d]+)([\])])", short, line) if line.startswith("  ") else line
