"""Text that is not ours, made fit to be shown: nothing in it speaks to a terminal or a browser."""

from __future__ import annotations

import re

# Controls but line ends and tabs, marks that reverse what follows, line ends of other kinds.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""The text with control characters spelt out: ``\x1b``, ``\x9b``, ``\u202e``."""
    if text.isascii() and text.isprintable():
        return text
    return _UNFIT.sub(lambda found: ascii(found[0])[1:-1], text)


def visible_json(text: str) -> str:
    r"""The same of a JSON document, in which ``\u001b`` is the character."""
    return _UNFIT.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
