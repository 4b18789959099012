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
    image: Array, filters: Array, flips: Sequence[tuple[str, ...]], exact: bool
) -> tuple[str, str]:
    """Reason and remedy where all ``flips`` of the filters give the same result.

    ``image`` is (C,H,W), ``filters`` (K,C,Fh,Fw), a flip lists axes out of I, H, W. ``exact`` says
    that the results are equal to the last digit, not only within what rounding can explain.
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
    if not image.any():
        return "the image is all zeros", "use an image of different numbers"
    if not filters.any():
        return "the filters are all zeros", "use filters of different numbers"
    if all(np.array_equal(filters, _reversed(filters, first ^ other)) for other in others):
        return (
            f"every filter is symmetric: reversing its {_plural(long)} gives the same filter",
            f"use a filter that changes when its {_plural(long)} are reversed",
        )
    if _is_constant(image) and ("I" not in long or (image[:, 0, 0] == image[0, 0, 0]).all()):
        return (
            "the image is constant, so that every number of a filter meets the same number",
            "use an image of different numbers",
        )
    if exact:
        return (
            "on these numbers the sums come out the same",
            "use another image, or filters of different numbers",
        )
    return (
        "on these numbers the sums differ by no more than rounding can explain",
        "use numbers of about the same size, such as the digits 0 to 9",
    )


def _is_constant(image: Array) -> bool:
    """Whether each channel holds one number only."""
    return all((part == channel[0, 0]).all() for channel in image for part in blocks(channel))


def _reversed(filters: Array, axes: Collection[str]) -> Array:
    return np.flip(filters, tuple(1 + "IHW".index(axis) for axis in axes))


def _plural(axes: Collection[str]) -> str:
    return _listed(f"{AXIS_WORDS[axis]}s" for axis in axes)


def _listed(words: Iterable[str]) -> str:
    """a, b and c."""
    return " and ".join(", ".join(words).rsplit(", ", 1))
