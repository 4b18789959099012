"""Numbers and lists in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.convention import Convention

_ALONG = {"D": "in depth", "H": "down", "W": "across"}


def number(value: float) -> str:
    """The number, as 1/9 where it is one over a whole number, or 1/58.395 over a short one."""
    if 1e-9 < abs(value) < 1 and len(repr(value)) > 12:
        under = float(f"{1 / value:.9g}")
        if 1 / under == value:
            return f"{'-' if under < 0 else ''}1/{number(abs(under))}"
    whole = round(1 / value) if abs(value) > 1e-9 else 0
    if abs(whole) > 1 and 1 / whole == value:
        return f"1/{whole}" if whole > 0 else f"-1/{-whole}"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def along(c: Convention, values: Sequence[int]) -> str:
    """One number, or one along each axis."""
    if len(set(values)) == 1:
        return str(values[0])
    return listed([f"{n} {_ALONG[axis]}" for axis, n in zip(c.spatial, values, strict=True)])
