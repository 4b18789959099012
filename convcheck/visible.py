"""Text that is not ours, made fit to be shown: nothing in it speaks to a terminal or a browser."""

from __future__ import annotations

import re

# Controls but line ends and tabs, marks that reverse what follows, line ends of other kinds.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_COLOUR = re.compile("(\x1b\\[[0-9;]*m)")


def visible(text: str) -> str:
    r"""The text with control characters spelt out: ``\x1b``, ``\x9b``, ``\u202e``."""
    return text if text.isprintable() else _UNFIT.sub(_spelt, text)


def visible_report(text: str) -> str:
    """The same of a coloured report, whose own colours stay."""
    return "".join(
        part if number % 2 else visible(part) for number, part in enumerate(_COLOUR.split(text))
    )


def _spelt(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]
