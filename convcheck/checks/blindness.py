"""Why some data cannot tell two flips of the filters apart, and what data could."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.rounding import blocks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

Array = NDArray[Any]

AXIS_WORDS = {"I": "channel", "H": "row", "W": "column"}


@dataclass(frozen=True)
class Blindness:
    """Names that mean the same result on this data, why, and what data would separate them."""

    names: tuple[str, ...]
    reason: str
    remedy: str


def why_equal(
    image: Array,
    filters: Array,
    flips: Sequence[tuple[str, ...]],
    exact: bool,
    *,
    bordered: bool = False,
) -> tuple[str, str]:
    """Reason and remedy where all ``flips`` of the filters give the same result.

    ``image`` is (C,H,W) or (N,C,H,W), ``filters`` (K,C,Fh,Fw), a flip lists axes out of I, H, W.
    ``exact`` says that the results are equal to the last digit, not only within what rounding can
    explain; ``bordered`` that windows meet other numbers beside the image's.
    """
    first, *others = (frozenset(flip) for flip in flips)
    axes = frozenset[str]().union(*(first ^ other for other in others))
    lengths = dict(zip("IHW", filters.shape[1:], strict=True))
    long = [axis for axis in "IHW" if axis in axes and lengths[axis] > 1]
    if not long:
        short = [axis for axis in "IHW" if axis in axes]
        words = _listed(f"one {AXIS_WORDS[a]}" for a in short)
        return (
            f"the filters have {words}, and an axis of length one is its own reverse",
            f"use filters with at least two {_plural(short)}",
        )
    if not bordered and not image.any():
        return "the image is all zeros", "use an image of different numbers"
    if not filters.any():
        return "the filters are all zeros", "use filters of different numbers"
    if all(np.array_equal(filters, _reversed(filters, first ^ other)) for other in others):
        return (
            f"every filter is symmetric: reversing its {_plural(long)} gives the same filter",
            f"use a filter that changes when its {_plural(long)} are reversed",
        )
    if not bordered and is_flat(image):
        numbers = image[..., 0, 0]
        remedy = "use an image of different numbers"
        if (numbers == numbers.flat[0]).all():
            return (
                "the image is constant, so that every number of a filter meets the same number",
                remedy,
            )
        if "I" not in long or (numbers == numbers[..., :1]).all():
            return (
                "each channel of the image is constant: a kernel meets the same number all over",
                remedy,
            )
    if exact:
        return (
            "on these numbers the results come out the same",
            "use another image, or filters of different numbers",
        )
    return (
        "on these numbers the results differ by no more than rounding can explain",
        "use numbers of about the same size, such as the digits 0 to 9",
    )


def is_flat(image: Array) -> bool:
    """Whether each channel, of each image of a batch, holds one number only."""
    if image.ndim > 2:
        return all(is_flat(part) for part in image)
    return all((part == image[0, 0]).all() for part in blocks(image))


def _reversed(filters: Array, axes: Collection[str]) -> Array:
    return np.flip(filters, tuple(1 + "IHW".index(axis) for axis in axes))


def _plural(axes: Collection[str]) -> str:
    return _listed(f"{AXIS_WORDS[axis]}s" for axis in axes)


def _listed(words: Iterable[str]) -> str:
    """a, b and c."""
    return " and ".join(", ".join(words).rsplit(", ", 1))
