"""What an explanation is worth: its length in bits against that of the output as it is.

``cost = keys + numbers + exceptions + residual``. The smallest wins, and it must be shorter than
the output itself. This is the only order of "better" in the house; the idea is that of the minimum
description length (Rissanen 1978). docs/search.md works one answer out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from convcheck.convention import Convention

Array = NDArray[Any]

MARGIN = 10.0
"""Bits by which an explanation must be shorter than what it is compared with: one in 1024."""
_LAYOUT_BITS = {
    "image": {"NC*": 0, "C*": 0, "*": 0, "N*": 2, "N*C": 1, "*C": 1, "CN*": 4},
    "filters": {"OI*": 0, "I*": 0, "*": 0, "O*": 1, "*IO": 1, "IO*": 2, "O*I": 3, "*I": 1}
    | {"*IM": 2, "*O": 3, "*OI": 4, "I*O": 5},
}
"""Layouts that software has; ``*`` stands for the spatial axes in their order."""
_RARE_LAYOUT = 9.0
_MEMORY = 6.0
"""That an array's memory is read as another layout than its own, beside which: rarer than any
layout that software has, and more usual than one that none has."""
_MODE_BITS = {"constant": 0.0, "reflect": 3.0, "edge": 3.0, "symmetric": 4.0, "wrap": 4.0}


@dataclass(frozen=True)
class Score:
    """The bits of one explanation, part by part, and those of the output itself.

    ``given`` counts the elements that it gives, ``literal`` are the bits of all elements stored as
    they are.
    """

    keys: float
    numbers: float
    exceptions: float
    residual: float
    literal: float

    @property
    def total(self) -> float:
        """What the explanation takes."""
        return self.keys + self.numbers + self.exceptions + self.residual

    @property
    def gain(self) -> float:
        """By how much it is shorter than the output."""
        return self.literal - self.total


def usual_layouts(operand: str, axes: str) -> list[str]:
    """The layouts that software has of an ``image`` or ``filters``, the plainest first."""
    known = sorted(_LAYOUT_BITS[operand].items(), key=lambda one: one[1])
    return [layout.replace("*", axes) for layout, _ in known]


def layout_bits(c: Convention) -> float:
    """What it takes to say how the three arrays are laid out, and in how many groups."""
    axes = c.spatial
    image = c.image_layout.replace(axes, "*")
    output = c.output_layout.replace(axes, "*")
    bits = _LAYOUT_BITS["image"].get(image, _RARE_LAYOUT)
    bits += _LAYOUT_BITS["filters"].get(c.filter_layout.replace(axes, "*"), _RARE_LAYOUT)
    for operand, layout, memory in (
        ("image", c.image_layout, c.image_memory),
        ("filters", c.filter_layout, c.filter_memory),
    ):
        if memory is not None and memory != layout:
            read = memory.replace(axes, "*")
            bits += _MEMORY + _LAYOUT_BITS[operand].get(read, _RARE_LAYOUT)
    last = [a.endswith("C") for a in (c.image_memory or c.image_layout, c.output_layout)]
    natural = output in ("NC*", "C*", "*") if not last[0] else last[1] or "C" not in output
    bits += 0 if natural else 3 if output in _LAYOUT_BITS["image"] else _RARE_LAYOUT
    # Two spatial axes are what most arrays have that can be read so.
    axes_left = len(c.image_layout) - c.rank
    bits += {1: float(axes_left), 2: 0.0, 3: 6.0 * (2 - axes_left)}[c.rank]
    return float(bits + (2.0 if c.groups > 1 else 0.0))


def key_bits(c: Convention) -> float:
    """What it takes to say all keys but the numbers that are solved for."""
    axes = c.spatial
    bits = layout_bits(c)
    if c.flip:
        named = c.flip in (tuple(axes), ("I", *axes))
        bits += 2.0 if named else 5.0
    bits += 2.0 if c.conjugate else 0.0
    for key, base in (("stride", 2.0), ("dilation", 3.0), ("input_dilation", 3.0)):
        values = getattr(c, key)
        if max(values) > 1:
            bits += base + 2 * math.log2(max(values))
            bits += 0.0 if len(set(values)) == 1 else 3.0 + 2 * math.log2(min(values))
    pads = [pad for pair in c.padding for pad in pair]
    if any(pads):
        bits += 2.0 + sum(2 * math.log2(1 + abs(p)) + (2.0 if p < 0 else 0.0) for p in set(pads))
        bits += 0.0 if len(set(c.padding)) == 1 else 2.0
        bits += 0.0 if all(a == b for a, b in c.padding) else 2.0
    bits += sum(_MODE_BITS[mode] for mode in dict.fromkeys(c.padding_modes))
    if c.padding_value:
        bits += 4.0 + number_bits(c.padding_value)
    for order in (c.channel_order, c.output_order):
        bits += order_bits(order)
    for value, nothing in ((c.image_offset, 0), (c.filter_offset, 0), (c.image_scale, 1)):
        if value != nothing:
            numbers = dict.fromkeys(value) if isinstance(value, tuple) else (value,)
            bits += 2.0 + sum(map(number_bits, numbers))
    if c.activation is not None:
        bits += 4.0
    if c.arithmetic not in ("exact", "float64", "float32"):
        bits += 3.0
    if c.storage is not None:
        bits += 3.0 + (0.0 if c.storage.rounding == "half_even" else 2.0)
        bits += (3.0 if c.storage.overflow == "wrap" else 0.0) + number_bits(c.storage.zero_point)
        bits += 0.0 if c.storage.multiplier == "real" else 3.0
    return bits


def order_bits(order: Sequence[int] | None) -> float:
    """What it takes to say a permutation: a reversal and a regular interleaving take little."""
    if order is None or list(order) == sorted(order):
        return 0.0
    steps = {(b - a) % len(order) for a, b in pairwise(order)}
    if len(steps) <= 2:
        return 4.0
    return 4.0 + math.lgamma(len(order) + 1) / math.log(2)


def number_bits(value: float) -> float:
    """The length of a number as people write it: its digits, or one over a number of few."""
    if value == 0:
        return 0.0
    if not math.isfinite(value):
        return math.inf  # what no number is makes no explanation
    size = abs(float(value))  # whose digits are its own: those of numpy are in its name
    sign = 1.0 if value < 0 else 0.0
    best = 52.0
    if size == int(size):
        best = min(best, 1.0 + 2 * math.log2(size))
    mantissa, exponent = math.frexp(size)
    if mantissa == 0.5:
        best = min(best, 2.0 + 2 * math.log2(1 + abs(exponent - 1)))
    inverse = 1 / size
    if size < 1 and inverse < 1e6 and abs(inverse - round(inverse)) <= 1e-9 * inverse:
        best = min(best, 2.0 + 2 * math.log2(round(inverse)))
    elif size < 1:
        best = min(best, 3.0 + _decimal_bits(inverse, lambda decimal: 1 / decimal == size))
    best = min(best, _decimal_bits(size, lambda decimal: decimal == size))
    return sign + best


def _decimal_bits(value: float, is_said: Callable[[float], bool]) -> float:
    """Of a decimal of few figures; one of many is as long as the number's own bits."""
    text = f"{value:.13g}"
    figures = len(text.partition("e")[0].replace(".", "").strip("0"))
    if figures > 12 or not is_said(float(text)):
        return math.inf
    return 2.0 + 3.33 * figures + math.sqrt(abs(math.floor(math.log10(value))))


def plainest(low: float, high: float) -> float:
    """The plainest number between the two: zero, few digits, or one over such a number."""
    if low <= 0 <= high or not low <= high or (math.isinf(low) and math.isinf(high)):
        return 0.0
    if high < 0:
        return -plainest(-high, -low)
    if not math.isfinite(high):
        high = 2 * low + 1
    if low == high:
        return low
    found = [(low + high) / 2, _fewest_digits(low, high)]
    if low <= 1 < 1e6 * high:
        inverse = math.ceil(1 / high)
        found += [1 / inverse] if inverse <= 1 / low else [1 / _fewest_digits(1 / high, 1 / low)]
    return min((n for n in found if low <= n <= high), key=number_bits)


def _fewest_digits(low: float, high: float) -> float:
    """The decimal of the fewest digits between two positive numbers."""
    exponent = math.floor(math.log10(high))
    for digits in range(12):  # one of more is as long as any number
        scale = 10.0 ** (exponent - digits)
        if not math.isfinite(low / max(scale, 5e-324)) or scale == 0:
            break  # beyond what a float64 holds
        number = float(f"{math.ceil(low / scale) * scale:.{digits}e}")
        if low <= number <= high:
            return number
    return low


def likeliest(low: float, high: float) -> float:
    """The number to take from a range: a plain one if it says so, else one of the middle.

    A range of one part in a thousand has a number of ten bits by chance; one that is plainer than
    that was probably meant.
    """
    plain = plainest(low, high)
    if plain == 0 or not (math.isfinite(low) and math.isfinite(high)):
        return plain
    width = high - low
    if width <= 0 or number_bits(plain) + 3.0 <= math.log2(abs(plain) / width):
        return plain
    middle = 0.5 * (low + high)
    return plainest(middle - 0.125 * width, middle + 0.125 * width)


def numbers_bits(values: Array, widths: Array) -> float:
    """What it takes to say numbers of one kind, each known to within an interval of its width.

    Either all are written out, each as it is, or all to the width, beside how large such numbers
    are: one that towers over the others takes more.
    """
    values, widths = np.atleast_1d(values).astype(float), np.atleast_1d(widths).astype(float)
    plain = sum(map(number_bits, values.tolist()))
    sizes = np.abs(values)
    if not sizes.any():
        return 0.0
    if not np.isfinite(sizes).all():
        return math.inf
    some = np.sort(sizes[sizes > 0])
    low, high = some[(len(some) - 1) // 2], some[len(some) // 2]
    scale = float(low + 0.5 * (high - low))  # the median, whose sum could overflow
    with np.errstate(divide="ignore"):
        precise = np.log2(np.maximum(scale / np.maximum(widths, 2.0**-52 * scale), 1.0)) + 1.0
        beyond = 2 * np.log2(np.maximum(sizes / scale, 1.0))
    large = 2.0 + 2 * math.log2(1 + abs(round(math.log2(scale))))
    each = large + float(np.sum(precise + beyond))
    if len(values) > 3:  # alone, a plain number is worth its own length
        odd = np.array([number_bits(v) for v in values.tolist()]) > 24.0
        if odd.sum() > len(values) / 2:
            return each
    return min(plain, each)


@dataclass(frozen=True)
class Literal:
    """What elements of an output take as they are: by their place in its range, or by their share.

    ``repeated`` are values that many elements have, as the zeros of a ReLU are, ``share`` the bits
    that say one of them, which are few.
    """

    range: float
    repeated: Array
    share: Array

    @classmethod
    def of(cls, some: Array) -> Literal:
        """From some elements that stand for all."""
        flat = some[np.isfinite(some)].ravel()
        unique, counts = np.unique(flat, return_counts=True)
        often = counts > 1
        share = np.log2(max(flat.size, 1) / counts[often])
        return cls(_spread(flat), unique[often], share)

    def bits(self, values: Array, steps: Array) -> Array:
        """Of every element; ``steps`` is how far numbers of the output's kind are apart there."""
        bits = np.log2(1 + self.range / np.maximum(steps, 2.0**-1074))
        if len(self.repeated):
            at = np.minimum(np.searchsorted(self.repeated, values), len(self.repeated) - 1)
            met = self.repeated[at] == values
            bits = np.where(met, np.minimum(bits, self.share[at]), bits)
        found: Array = np.minimum(bits, 64.0)
        return found


def _spread(values: Array) -> float:
    if values.size == 0:
        return 0.0
    if values.dtype.kind == "c":
        return max(_spread(values.real), _spread(values.imag))
    low, high = (
        np.quantile(values, [0.005, 0.995])
        if values.size > 400
        else (
            values.min(),
            values.max(),
        )
    )
    return float(high) - float(low)


def choose_bits(k: int, n: int) -> float:
    """The bits that say which ``k`` of ``n``, and how many."""
    lgamma = math.lgamma
    return (lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)) / math.log(2) + math.log2(n + 1)


def place_bits(count: int, met: Sequence[Array]) -> float:
    """The bits that say where the exceptions are: so many of all, or of a box of the output.

    ``met`` marks along every axis where any lies. A box is named by its two ends along every axis
    that it does not fill, or by which of an axis it has.
    """
    if count == 0:
        return 0.0
    size, box, ends = math.prod(len(marks) for marks in met), 1, 2.0
    for marks in met:
        which = np.flatnonzero(marks)
        length = int(which[-1] - which[0]) + 1
        if len(which) < length:
            ends += choose_bits(len(which), len(marks))
        elif length < len(marks):
            ends += 2 * math.log2(len(marks))
        box *= len(which)
    return min(choose_bits(count, size), ends + choose_bits(count, box))
