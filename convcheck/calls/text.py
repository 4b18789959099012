"""Pieces of NumPy code that all the calls are put together from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from convcheck.convention import Numbers

CANNOT = "cannot be said in one call"
_IMPORTS = {
    "np": "import numpy as np",
    "scipy": "import scipy",
    "signal": "from scipy import signal",
    "jax": "import jax",
    "jnp": "import jax.numpy as jnp",
    "tf": "import tensorflow as tf",
    "torch": "import torch",
    "F": "import torch.nn.functional as F",
}
"""What has to be imported for each name that the code may use."""


def program(lines: Sequence[str]) -> str:
    """Statements as one text, after the imports of the names that they use."""
    body = "\n".join(lines)
    used = set(re.findall(r"(?<![\w.])(\w+)\.", body))
    return "\n".join([*(said for name, said in _IMPORTS.items() if name in used), body])


def moved(text: str, axes: str, target: str) -> str:
    """An array with its axes in the order ``target``: those it lacks get length 1."""
    present = [axis for axis in target if axis in axes]
    order = [axes.index(axis) for axis in present]
    if order != sorted(order):
        text += f".transpose({', '.join(map(str, order))})"
    return indexed(text, target, {axis: "None" for axis in target if axis not in axes})


def indexed(text: str, axes: str, parts: Mapping[str, str]) -> str:
    """An array indexed by ``parts`` along the axes that they name, whole along the others."""
    items = [parts.get(axis, ":") for axis in axes]
    while items and items[-1] == ":":
        items.pop()
    return f"{text}[{', '.join(items)}]" if items else text


def flipped(text: str, axes: str, flips: Sequence[str]) -> str:
    """An array reversed along some axes."""
    return indexed(text, axes, dict.fromkeys(flips, "::-1"))


def ordered(text: str, axes: str, order: Sequence[int] | None) -> str:
    """An array with its channels in another order."""
    if order is None or list(order) == sorted(order):
        return text
    backwards = list(order) == sorted(order, reverse=True)
    return indexed(text, axes, {"C": "::-1" if backwards else str(list(order))})


def laid_out(text: str, axes: str, layout: str) -> str:
    """A result in the output's layout; an axis that the layout lacks has length 1."""
    text = indexed(text, axes, {axis: "0" for axis in axes if axis not in layout})
    return moved(text, "".join(axis for axis in axes if axis in layout), layout)


def spread_lines(name: str, axes: str, sizes: Mapping[str, int], gaps: Sequence[int]) -> list[str]:
    """Statements that put zeros between the entries of an array's spatial axes.

    ``sizes`` are those of all axes with the zeros.
    """
    spatial = [axis for axis in "DHW" if axis in axes]
    steps = {axis: f"::{gap}" for axis, gap in zip(spatial, gaps, strict=True) if gap > 1}
    shape = ", ".join(str(sizes[axis]) for axis in axes)
    return [
        f"spread = np.zeros(({shape}), {name}.dtype)",
        f"{indexed('spread', axes, steps)} = {name}",
        f"{name} = spread",
    ]


def beside(
    value: Numbers, axes: str, letter: str, array: str = "np.array({})", *, ratio: bool = False
) -> str:
    """A number, or an array of one a channel that broadcasts beside an array of these axes.

    ``ratio`` says that a number is written as 1 / 9 where that is what it is.
    """
    if not isinstance(value, tuple):
        return fraction(value) if ratio else number(value)
    numbers = array.format("[" + ", ".join(map(number, value)) + "]")
    after = axes[axes.index(letter) :]
    return indexed(numbers, after, dict.fromkeys(after[1:], "None"))


def is_all(value: Numbers | None, neutral: float) -> bool:
    """Whether a number, or each of a list, is the one that changes nothing."""
    values = value if isinstance(value, tuple) else (value,)
    return all(v is None or v == neutral for v in values)


def cast(text: str, dtype: str) -> str:
    """An array in another dtype."""
    return f'{grouped(text)}.astype("{dtype}")'


def grouped(text: str) -> str:
    """Brackets round a sum or a product, so that a method or an index takes the whole of it."""
    depth = 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == " " and depth == 0:
            return f"({text})"
    return text


def number(value: float) -> str:
    """The number, read back exactly."""
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def fraction(value: float) -> str:
    """The number, as 1 / 9 where it is one over a whole number and shorter so."""
    whole = round(1 / value) if value and abs(1 / value) < 1e9 else 0
    if abs(whole) > 1 and 1 / whole == value:
        return min(number(value), f"(1 / {whole})", key=len)
    return number(value)


def plus(text: str, value: float) -> str:
    """A sum with a number, written as a difference where the number is negative."""
    return f"{text} - {number(-value)}" if value < 0 else f"{text} + {number(value)}"


def added(text: str, value: Numbers, axes: str, letter: str, array: str) -> str:
    """A sum with a number, or with one a channel along the axis ``letter``."""
    if isinstance(value, tuple):
        return f"{text} + {beside(value, axes, letter, array)}"
    return plus(text, value)


def subtracted(text: str, value: Numbers, axes: str, letter: str) -> str:
    """A difference from a number, or from one a channel along the axis ``letter``."""
    if isinstance(value, tuple):
        return f"{text} - {beside(value, axes, letter)}"
    return plus(text, -value)


def arguments(**named: Any) -> str:
    """Keyword arguments with values that are not None, after a comma."""
    return "".join(f", {name}={value}" for name, value in named.items() if value is not None)


def brief(values: Sequence[int], unless: int | None = None) -> str | None:
    """Numbers as one where they are equal; None where all are ``unless``."""
    if all(value == unless for value in values):
        return None
    return str(values[0]) if len(set(values)) == 1 else str(tuple(values))
