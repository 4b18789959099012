"""The table as a page or a picture: rich's own export of what a terminal would have shown."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.cells import cell_len
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from convcheck.render import table
from convcheck.render.report import Style

if TYPE_CHECKING:
    from convcheck.render.report import Report

_LIGHT = TerminalTheme(
    (255, 255, 255),
    (31, 35, 40),
    [
        *((36, 41, 47), (164, 14, 38), (17, 99, 41), (119, 82, 0)),
        *((9, 80, 174), (130, 80, 223), (27, 124, 131), (87, 96, 106)),
    ],
)
_DARK = TerminalTheme(
    (13, 17, 23),
    (230, 237, 243),
    [
        *((110, 118, 129), (255, 123, 114), (126, 231, 135), (227, 179, 65)),
        *((121, 192, 255), (210, 168, 255), (86, 212, 221), (230, 237, 243)),
    ],
)
# What a browser would fetch, a report on somebody's data must not ask for.
_SVG = re.sub(r"@font-face \{\{.*?\}\}\s*|<!--.*?-->\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body {{ margin: 1.5rem; color: {light.foreground_color.hex}; \
background: {light.background_color.hex}; }}
pre {{ overflow-x: auto; line-height: 1.25; \
font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
{light_rules}
@media (prefers-color-scheme: dark) {{
body {{ color: {dark.foreground_color.hex}; background: {dark.background_color.hex}; }}
{dark_rules}
}}
</style>
</head>
<body>
<pre>{code}</pre>
</body>
</html>
"""


def html(report: Report, quiet: bool = False) -> str:
    """One page that asks for nothing else, readable by day and by night."""
    if report.command == "model" and not quiet:
        from convcheck.render import model_html

        return model_html.render(report, title(report))
    console = _recorded(report, quiet)

    def exported(form: str, theme: TerminalTheme) -> str:
        return console.export_html(theme=theme, clear=False, code_format=form).strip("\n")

    return _PAGE.format(
        title=title(report),
        light=_LIGHT,
        dark=_DARK,
        light_rules=exported("{stylesheet}", _LIGHT),
        dark_rules=exported("{stylesheet}", _DARK),
        code=exported("{code}", _LIGHT),
    )


def svg(report: Report, quiet: bool = False) -> str:
    """The table as a picture of a terminal; the same bytes for the same report."""
    console = _recorded(report, quiet)
    return console.export_svg(
        title=title(report), code_format=_SVG, unique_id="convcheck", theme=_DARK
    )


def title(report: Report) -> str:
    """The report in three words, none of them the user's."""
    return f"convcheck {report.command}: {report.verdict}"


def _recorded(report: Report, quiet: bool) -> Console:
    # Through the terminal's own form, so that no report needs to know of pages and pictures. The
    # escape character comes from styles alone: text() has spelt out those in names.
    shown = Text.from_ansi(table.render(report, Style(color=True, quiet=quiet)).rstrip("\n"))
    shown.rstrip()
    width = max(cell_len(line.rstrip()) for line in shown.plain.split("\n"))
    console = Console(
        record=True,
        file=StringIO(),
        width=max(width, 1),
        force_terminal=True,
        color_system="256",
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
        _environ={},
    )
    for line in shown.split("\n"):
        line.rstrip()
        console.print(line, soft_wrap=True, crop=False)
    return console
