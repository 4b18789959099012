"""Why some data cannot tell two flips of the filters apart, and what data could."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention.channels import spatial
from convcheck.rounding import blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Array = NDArray[Any]

_WORDS = {1: {"W": "tap"}, 2: {"H": "row", "W": "column"}}
_WORDS[3] = {"D": "slice"} | _WORDS[2]
AXIS_WORDS = {rank: {"I": "channel", **words} for rank, words in _WORDS.items()}
"""What there is one of or more along an axis of the filters, by the number of spatial axes."""


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

    ``image`` is (C,*S) or (N,C,*S), ``filters`` (O,I,*F), a flip lists axes out of I, D, H, W.
    ``exact`` says that the results are equal to the last digit, not only within what rounding can
    explain; ``bordered`` that windows meet other numbers beside the image's.
    """
    first, *others = (frozenset(flip) for flip in flips)
    axes = frozenset[str]().union(*(first ^ other for other in others))
    letters = "I" + spatial(filters.ndim - 2)
    nouns = AXIS_WORDS[filters.ndim - 2]
    lengths = dict(zip(letters, filters.shape[1:], strict=True))
    long = [axis for axis in letters if axis in axes and lengths[axis] > 1]
    if not long:
        short = [axis for axis in letters if axis in axes]
        words = _listed(f"one {nouns[a]}" for a in short)
        return (
            f"the filters have {words}, and an axis of length one is its own reverse",
            f"use filters with at least two {_plural(nouns[a] for a in short)}",
        )
    if not bordered and not image.any():
        return "the image is all zeros", "use an image of different numbers"
    if not filters.any():
        return "the filters are all zeros", "use filters of different numbers"
    places = [tuple(1 + letters.index(axis) for axis in first ^ other) for other in others]
    if all(np.array_equal(filters, np.flip(filters, turned)) for turned in places):
        plural = _plural(nouns[a] for a in long)
        return (
            f"every filter is symmetric: reversing its {plural} gives the same filter",
            f"use a filter that changes when its {plural} are reversed",
        )
    batch = image[None] if image.ndim < filters.ndim else image
    if not bordered and is_flat(batch):
        numbers = np.array([[channel.flat[0] for channel in one] for one in batch])
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
    """Whether each channel of an image (N,C,*S) holds one number only."""
    channels = (channel for one in image for channel in one)
    return all((part == c.flat[0]).all() for c in channels for part in blocks(c))


def _plural(nouns: Iterable[str]) -> str:
    return _listed(f"{noun}s" for noun in nouns)


def _listed(words: Iterable[str]) -> str:
    """a, b and c."""
    return " and ".join(", ".join(words).rsplit(", ", 1))
