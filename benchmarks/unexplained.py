"""Outputs that are no convolution of an image by the filters that are given, 30 kinds of them.

Each is a function of a seeded layer: image (C,H,W), filters (O,C,Fh,Fw), output (O,H',W'). Some are
convolutions with something more that no convention says, others have nothing to do with one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from convcheck.convention import Convention
from convcheck.engine import convolve

Array = NDArray[Any]


class Layer(NamedTuple):
    """An image, filters, and what a layer with padding makes of them."""

    rng: np.random.Generator
    image: Array
    filters: Array
    output: Array


LAYERS = ((3, 24, 20, 4, 3), (8, 16, 18, 16, 3), (3, 28, 44, 8, 5))
"""Channels, height, width, filters and taps; the largest has 9 856 output elements."""


def _layer(seed: int) -> Layer:
    rng = np.random.default_rng(seed)
    channels, height, width, filters, taps = LAYERS[seed % len(LAYERS)]
    x = rng.standard_normal((channels, height, width))
    w = rng.standard_normal((filters, channels, taps, taps))
    return Layer(rng, x, w, _same(x, w))


def _same(x: Array, w: Array) -> Array:
    half = w.shape[-1] // 2
    return convolve(x, w, Convention(padding=((half, half), (half, half))))


def _alike(a: Layer) -> Array:
    return a.rng.standard_normal(a.output.shape)


def _normalized(y: Array) -> Array:
    found: Array = (y - y.mean(axis=0)) / y.std(axis=0)
    return found


def _pool(y: Array) -> Array:
    o, h, w = (y.shape[0], y.shape[1] // 2, y.shape[2] // 2)
    found: Array = y[:, : 2 * h, : 2 * w].reshape(o, h, 2, w, 2).max(axis=(2, 4))
    return found


def _each(y: Array, change: Callable[[Array], Array]) -> Array:
    return np.stack([change(plane) for plane in y])


def _mixed(a: Layer) -> Array:
    """A second layer on top, of 1x1 filters that are not given."""
    count = len(a.output)
    return np.tensordot(a.rng.standard_normal((count, count)), np.maximum(a.output, 0), 1)


def _standardized(a: Layer) -> Array:
    """Each channel of the image by its own mean and deviation."""
    mean, deviation = a.rng.standard_normal(len(a.image)), a.rng.uniform(0.2, 2, len(a.image))
    beside = (slice(None), None, None)
    return _same((a.image - mean[beside]) / deviation[beside], a.filters)


def _reshaped(a: Layer) -> Array:
    """The image read as HWC without moving its axes."""
    c, h, w = a.image.shape
    return _same(a.image.reshape(h, w, c).transpose(2, 0, 1), a.filters)


def _quartered(a: Layer) -> Array:
    """Each quarter of the output rotated by itself."""
    y = a.output.copy()
    half = min(y.shape[1:]) // 2
    for rows, columns in ((0, 0), (0, half), (half, 0), (half, half)):
        part = y[:, rows : rows + half, columns : columns + half]
        part[...] = np.rot90(part, axes=(1, 2)).copy()
    return y


KINDS: Mapping[str, Callable[[Layer], Array]] = MappingProxyType(
    {
        "normal noise": _alike,
        "uniform noise, rounded": lambda a: np.rint(100 * a.rng.uniform(-1, 1, a.output.shape)),
        "bytes": lambda a: a.rng.integers(0, 256, a.output.shape).astype(np.uint8),
        "noise after ReLU": lambda a: np.maximum(_alike(a), 0),
        "of another image": lambda a: _same(a.rng.standard_normal(a.image.shape), a.filters),
        "by other filters": lambda a: _same(a.image, a.rng.standard_normal(a.filters.shape)),
        "by filters that were half updated": lambda a: _same(
            a.image, a.filters + a.rng.standard_normal(a.filters.shape)
        ),
        "a residual added": lambda a: a.output + a.output.std() * _alike(a),
        "times noise": lambda a: a.output * _alike(a),
        "dropout of half, after a residual": lambda a: (
            (a.output + 3 * _alike(a)) * a.rng.integers(0, 2, a.output.shape)
        ),
        "gamma 2.2 of bytes": lambda a: np.rint(
            255 * np.clip((a.output - a.output.min()) / np.ptp(a.output), 0, 1) ** 2.2
        ).astype(np.uint8),
        "the sine of it": lambda a: np.sin(a.output),
        "its square, with a sign": lambda a: a.output * np.abs(a.output),
        "normalized over the channels": lambda a: _normalized(a.output),
        "softmax over the channels": lambda a: (
            np.exp(a.output) / np.exp(a.output).sum(axis=0, keepdims=True)
        ),
        "max pooling": lambda a: _pool(a.output),
        "bilinear resize": lambda a: ndimage.zoom(a.output, (1, 1.2, 0.8), order=1),
        "median filter": lambda a: ndimage.median_filter(a.output, (1, 3, 3)),
        "maximum filter": lambda a: ndimage.maximum_filter(a.output, (1, 3, 3)),
        "rotated by 10 degrees": lambda a: ndimage.rotate(a.output, 10, (1, 2), reshape=False),
        "sheared, row by row": lambda a: _each(
            a.output, lambda p: np.stack([np.roll(r, 3 * i) for i, r in enumerate(p)])
        ),
        "quarters rotated each by itself": _quartered,
        "sorted": lambda a: np.sort(a.output.ravel()).reshape(a.output.shape),
        "shuffled pixels": lambda a: a.rng.permuted(
            a.output.reshape(len(a.output), -1), axis=1
        ).reshape(a.output.shape),
        "cumulative sums": lambda a: a.output.cumsum(axis=1).cumsum(axis=2),
        "magnitude of its FFT": lambda a: np.abs(np.fft.fft2(a.output)),
        "a second layer on top": _mixed,
        "mean and deviation of each channel": _standardized,
        "reshaped, not transposed": _reshaped,
        "a walk at random": lambda a: _alike(a).cumsum(axis=2),
    }
)
"""What the output is, each by name."""


def names() -> list[str]:
    """The kinds."""
    return list(KINDS)


def draw(name: str, seed: int) -> tuple[Array, Array, Array]:
    """Image, filters and output of one kind."""
    layer = _layer(seed)
    return layer.image, layer.filters, KINDS[name](layer)
