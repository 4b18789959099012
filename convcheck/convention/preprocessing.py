"""What networks of pictures are usually given: a mean and a deviation for each channel, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from convcheck.convention.record import Convention

Numbers = float | tuple[float, ...]


def _over(*numbers: float) -> tuple[float, ...]:
    return tuple(1 / number for number in numbers)


PREPROCESSING: Mapping[str, tuple[Numbers, Numbers]] = MappingProxyType(
    {
        "ImageNet's mean and deviation, on pixels over 255": (
            (123.675, 116.28, 103.53),
            _over(58.395, 57.12, 57.375),
        ),
        "ImageNet's mean and deviation, on pixels from 0 to 1": (
            (0.485, 0.456, 0.406),
            _over(0.229, 0.224, 0.225),
        ),
        "ImageNet's mean, as Caffe takes it off": ((123.68, 116.779, 103.939), 1.0),
        "CLIP's mean and deviation, on pixels over 255": (
            (122.7709383, 116.7460125, 104.09373615),
            _over(68.5005327, 66.6321579, 70.32316305),
        ),
        "pixels from 0 to 255 taken to -1 to 1": (127.5, 1 / 127.5),
    }
)
"""By their name (image_offset, image_scale) of pixels in RGB."""


def preprocessing(c: Convention) -> str | None:
    """The name of a convention's steps on the image, where they have one."""
    for name, (offset, scale) in PREPROCESSING.items():
        if _alike(c.image_offset, offset) and _alike(c.image_scale, scale):
            return name
        if _alike(c.image_offset, _back(offset)) and _alike(c.image_scale, _back(scale)):
            return f"{name}, BGR"
    return None


def _back(numbers: Numbers) -> Numbers:
    return numbers[::-1] if isinstance(numbers, tuple) else numbers


def _alike(found: Numbers | Sequence[float], named: Numbers) -> bool:
    a, b = np.asarray(found, float), np.asarray(named, float)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-4, atol=0))
