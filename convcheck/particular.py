"""Cases of a campaign that are not drawn: the sizes of real networks, and what trips arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def _particular(
    image: tuple[int, int, int, int],
    filters: tuple[int, int, int],
    stride: int = 1,
    padding: int = 0,
    **more: int | str,
) -> Mapping[str, Any]:
    keys = ("batch", "channels", "height", "width", "filters", "kernel_height", "kernel_width")
    sizes = dict(zip(keys, (*image, *filters), strict=True))
    return {**sizes, "stride": stride, "padding": padding, **more}


PARTICULAR: tuple[Mapping[str, Any], ...] = (
    _particular((1, 2, 6, 70), (2, 3, 3)),
    _particular((2, 1, 8, 11), (2, 3, 3), values="nan"),
    _particular((1, 2, 7, 9), (2, 2, 2), padding=4),
    _particular((1, 2, 8, 9), (2, 3, 3), dtype="uint8", filters_dtype="int8"),
    _particular((2, 2, 13, 17), (2, 2, 3), stride=4),
    _particular((1, 2, 7, 131), (2, 3, 2)),
    _particular((2, 2, 11, 13), (3, 3, 2), stride=2, padding=1, values="nan"),
    _particular((1, 64, 7, 7), (8, 1, 1)),
    _particular((1, 2, 9, 10), (2, 2, 3), dtype="uint8", filters_dtype="float32"),
    _particular((1, 16, 14, 14), (16, 3, 3), padding=1, groups=16),
    _particular((1, 1, 5, 100), (3, 1, 3)),
    _particular((1, 2, 71, 6), (2, 3, 3), dtype="float64"),
    _particular((1, 2, 12, 12), (2, 2, 2), dilation=2, values="nan", dtype="float64"),
    _particular((1, 3, 8, 9), (2, 3, 3), dtype="int16", values="wide"),
    _particular((1, 64, 8, 8), (2, 3, 3), dtype="uint8", values="wide"),
    _particular((1, 2, 8, 129), (2, 3, 3), stride=2, values="normal"),
    _particular((1, 2, 11, 12), (2, 3, 3), stride=2, padding=6),
    _particular((1, 2, 9, 10), (2, 3, 2), filters_dtype="float64", values="normal"),
    _particular((1, 2, 20, 70), (2, 3, 3), padding=1, values="nan"),
    _particular((1, 2, 132, 7), (2, 2, 3), values="normal"),
    _particular((1, 2, 9, 224), (2, 5, 5), padding=2),
    _particular((1, 256, 7, 7), (16, 1, 1), values="normal"),
    _particular((1, 3, 24, 66), (4, 7, 7), stride=2, padding=3),
    _particular((8, 3, 14, 14), (8, 3, 3), padding=1),
    _particular((1, 3, 35, 59), (4, 11, 11), stride=4, padding=2, values="normal"),
    _particular((1, 256, 6, 6), (2, 4, 4), dtype="int32", values="wide"),
    _particular((1, 1, 130, 257), (2, 3, 3)),
    _particular((1, 256, 7, 7), (16, 3, 3), padding=1, values="normal"),
    _particular((1, 3, 24, 224), (8, 7, 7), stride=2, padding=3),
    _particular((1, 3, 224, 224), (2, 3, 3), padding=1),
)
"""What few draws come to: the sizes of real networks, and what arithmetic trips over.

Images wider and higher than 64 and 128; NaN and infinities; padding and strides larger than the
kernel; an image and filters of two dtypes; sums that no float32, or no int32, holds. The large ones
come last.
"""
