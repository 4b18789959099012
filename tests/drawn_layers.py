"""Layers that are drawn: shapes and the keys that go with them, and the numbers put into them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from drawn_parts import pick, usual_padding
from plain_convolution import Array, Truth, before_storage, rounded, spatial

if TYPE_CHECKING:
    from collections.abc import Callable

    Rng = np.random.Generator
    Arrays = tuple[Array, Array, Array, Truth]
    Maker = Callable[[Rng], Arrays]


class Unfit(Exception):  # noqa: N818 — no error: the next draw may fit
    """What was drawn fits no output, or one that says too little."""


@dataclass
class Layer:
    """The shapes that are drawn, and the keys that go with them."""

    channels: int
    outputs: int
    size: list[int]
    taps: list[int]
    per_group: int = 0
    """Inputs of a group; 0 means all channels."""
    batch: int = 1
    multiplier: int = 1
    keys: Truth = field(default_factory=dict)

    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of the image and of the filters, in their layouts."""
        letters = spatial(self.keys["image_layout"])
        image = {"N": self.batch, "C": self.channels} | dict(zip(letters, self.size, strict=True))
        layout = self.keys["filter_layout"]
        inputs = self.channels if "M" in layout else self.per_group or self.channels
        bank = {"O": self.outputs, "I": inputs, "M": self.multiplier}
        bank |= dict(zip(letters, self.taps, strict=True))
        axes = self.keys["image_layout"]
        return tuple(image[a] for a in axes), tuple(bank[a] for a in layout)


# ---- shapes


def base(rng: Rng, axes: str = "HW") -> Layer:
    """A layer of small extents in the layouts of most libraries, nothing else."""
    high = {1: 60, 2: 16, 3: 8}[len(axes)]
    size = [int(v) for v in rng.integers(max(4, high // 3), high, len(axes))]
    taps = [pick(rng, 3, 3, 3, 1, 2, 4, 5) for _ in axes]
    batch = pick(rng, 1, 1, 1, 2)
    outer = "NC" if batch > 1 or rng.random() < 0.3 else "C"
    keys = {"image_layout": outer + axes, "output_layout": outer + axes}
    keys["filter_layout"] = "OI" + axes
    layer = Layer(int(rng.integers(1, 5)), int(rng.integers(1, 6)), size, taps, 0, batch, 1, keys)
    if rng.random() < 0.4:
        padded(rng, layer)
    return layer


def padded(rng: Rng, layer: Layer) -> None:
    """Padding by one of the rules of libraries, in any mode, cropped now and then."""
    rule = pick(rng, "even", "upper", "lower", "full", "uneven", "crop")
    strides = layer.keys.get("stride", [1] * len(layer.size))
    dilations = layer.keys.get("dilation", [1] * len(layer.size))
    padding = []
    for n, k, s, d in zip(layer.size, layer.taps, strides, dilations, strict=True):
        even = int(rng.integers(0, k))
        if rule == "uneven":
            padding.append([int(v) for v in rng.integers(0, k + 1, 2)])
        elif rule == "crop":
            padding.append([-int(rng.integers(0, 2)), even])
        else:
            padding.append(list(usual_padding(n, k, s, d, even)[rule]))
    layer.keys["padding"] = padding


def plain(rng: Rng, layer: Layer) -> None:
    """As it is."""


def flipped(rng: Rng, layer: Layer) -> None:
    """Filter axes reversed, the channels' too."""
    layer.keys["flip"] = list(pick(rng, "HW", "HW", "IHW", "H", "W", "I", "IH"))


def laid_out(rng: Rng, layer: Layer) -> None:
    """The axes in other orders."""
    if layer.batch > 1:
        orders = [("NHWC", "NHWC"), ("NCHW", "NHWC"), ("NHWC", "NCHW")]
    else:
        orders = [("HWC", "HWC"), ("NHWC", "NHWC"), ("CHW", "HWC"), ("HWC", "CHW")]
    layer.keys["image_layout"], layer.keys["output_layout"] = pick(rng, *orders)
    layouts = ("HWIO", "HWIO", "OHWI", "IOHW", "OIWH", "HWOI", "IHWO", "WHIO")
    layer.keys["filter_layout"] = pick(rng, *layouts)


def strided(rng: Rng, layer: Layer) -> None:
    """A stride, the same on both axes mostly."""
    one = int(rng.integers(2, 4))
    layer.size = [n + int(rng.integers(4, 16)) for n in layer.size]
    layer.keys["stride"] = [one, one if rng.random() < 0.7 else int(rng.integers(1, 5))]
    if rng.random() < 0.5:
        padded(rng, layer)


def dilated(rng: Rng, layer: Layer) -> None:
    """Gaps between the taps."""
    one = int(rng.integers(2, 4))
    layer.size = [n + 4 for n in layer.size]
    layer.keys["dilation"] = [one, one if rng.random() < 0.7 else int(rng.integers(1, 5))]
    if rng.random() < 0.5:
        padded(rng, layer)


def bordered(rng: Rng, layer: Layer) -> None:
    """A border that is not zeros."""
    padded(rng, layer)
    layer.keys["padding_mode"] = pick(rng, "reflect", "symmetric", "edge", "wrap", "constant")
    if layer.keys["padding_mode"] == "constant":
        layer.keys["padding_value"] = pick(rng, 1, 2, -3, 7)


def transposed(rng: Rng, layer: Layer) -> None:
    """A transposed convolution with its output padding, as torch lays out its bank."""
    gaps = [int(rng.integers(1, 4)) for _ in layer.size]
    layer.size = [int(rng.integers(3, 8)) for _ in layer.size]
    padding = []
    for k, gap in zip(layer.taps, gaps, strict=True):
        before = k - 1 - int(rng.integers(0, (k + 1) // 2))
        padding.append([before, before + int(rng.integers(0, gap))])
    more = {"input_dilation": gaps, "padding": padding, "flip": ["H", "W"]}
    layer.keys |= more | {"filter_layout": "IOHW"}


def grouped(rng: Rng, layer: Layer) -> None:
    """Groups of channels; depthwise, with a multiplier too; or one kernel for every channel."""
    way = pick(rng, "groups", "groups", "depthwise", "HWIM", "shared")
    groups = int(rng.integers(2, 5))
    each = 1 if way != "groups" else int(rng.integers(1, 4))
    layer.channels, layer.per_group = groups * each, each
    layer.multiplier = pick(rng, 1, 1, 2)
    layer.outputs = groups * layer.multiplier
    layer.keys["groups"] = groups
    if way == "HWIM":
        outer = "N" if layer.batch > 1 else ""
        layouts = {"image_layout": outer + "HWC", "output_layout": outer + "HWC"}
        layer.keys |= layouts | {"filter_layout": "HWIM"}
    elif way == "shared":
        layer.outputs = groups
        layer.keys["filter_layout"] = "HW"


def one_filter(rng: Rng, layer: Layer) -> None:
    """One filter alone, over a picture of one channel or of several."""
    layer.batch = layer.outputs = 1
    layer.channels = pick(rng, 1, 1, 3, 4)
    one = layer.channels == 1
    layer.keys["image_layout"] = "HW" if one else pick(rng, "CHW", "HWC")
    layer.keys["filter_layout"] = "HW" if one else "IHW"
    layer.keys["output_layout"] = pick(rng, "HW", "CHW")
    layer.keys["flip"] = list(pick(rng, "", "HW", "HW" if one else "IHW"))


def reordered(rng: Rng, layer: Layer) -> None:
    """The channels in another order, blue first."""
    layer.channels = int(rng.integers(2, 5))
    order = rng.permutation(layer.channels).tolist()
    layer.keys["channel_order"] = pick(rng, order, list(range(layer.channels))[::-1])


SHAPES: dict[str, Callable[[Rng, Layer], None]] = {
    f.__name__: f
    for f in (
        *(plain, flipped, laid_out, strided, dilated, padded),
        *(bordered, transposed, grouped, one_filter, reordered),
    )
}


# ---- numbers


def photograph(rng: Rng, shape: tuple[int, ...], layout: str) -> Array:
    """Bytes that vary as a photograph's: waves of all lengths, and a little noise."""
    axes = [layout.index(a) for a in spatial(layout)]
    frequencies = np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij")
    radius = np.sqrt(sum(frequencies[a] ** 2 for a in axes) + 1 / 40**2)
    waves = np.fft.ifftn(np.fft.fftn(rng.standard_normal(shape)) / radius).real
    waves = 128 + 55 * (waves - waves.mean()) / waves.std() + rng.normal(0, 2, shape)
    return np.clip(np.rint(waves), 0, 255).astype(np.uint8)


def after_sums(rng: Rng, truth: Truth, outputs: int, spread: float, *, whole: bool) -> None:
    """A bias, ReLU, a factor, or nothing, which is most often."""
    way = pick(rng, "", "", "", "bias", "bias", "relu", "both", "scale")
    if way in ("bias", "both"):
        bias = rng.standard_normal(outputs) * spread / 2
        truth["bias"] = (np.rint(bias) if whole else bias.astype(np.float32)).tolist()
    if way in ("relu", "both"):
        truth["activation"] = "relu"
    if way == "scale" and not whole:
        truth["scale"] = pick(rng, 0.25, 1 / 9, -2, 1 / 16, 3)


def numbers(rng: Rng, layer: Layer, kind: str) -> Arrays:
    """An image and filters of a kind of numbers, and what the layer makes of them."""
    image_shape, filter_shape = layer.shapes()
    truth = dict(layer.keys)
    inputs = 1 if truth.get("groups", 1) > 1 and "I" not in truth["filter_layout"] else 0
    products = np.prod(layer.taps) * (inputs or layer.per_group or layer.channels)
    outputs = layer.channels * layer.multiplier if "M" in truth["filter_layout"] else layer.outputs
    whole = kind in ("integers", "int32", "int64", "photograph")
    if kind == "photograph":
        image = photograph(rng, image_shape, truth["image_layout"])
        filters = rng.integers(-9, 10, filter_shape).astype(pick(rng, np.int8, np.float32))
    elif whole:
        reach = 1 << 20 if kind == "int64" else pick(rng, 9, 9, 99)
        dtypes = {"integers": (np.float32,), "int64": (np.int64,)}
        dtype = pick(rng, *dtypes.get(kind, (np.int32, np.int16)))
        image, filters = (
            rng.integers(-reach, reach + 1, shape).astype(dtype)
            for shape in (image_shape, filter_shape)
        )
    else:
        image = rng.standard_normal(image_shape)
        # Weights as they are drawn for a layer whose outputs are to have variance 1.
        filters = rng.standard_normal(filter_shape) / np.sqrt(pick(rng, 1, products))
    spread = float(np.sqrt(products) * filters.std() * image.std())
    after_sums(rng, truth, outputs, spread, whole=whole)
    if whole:
        values = before_storage(image, filters, truth)
        wide = np.int64 if kind == "int64" else np.int32
        if kind == "integers" or filters.dtype == np.float32:
            return image, filters, values.astype(np.float32), truth
        return image, filters, values.astype(wide), truth
    truth["arithmetic"] = kind
    if kind == "float64":
        return image, filters, before_storage(image, filters, truth), truth
    image, filters = image.astype(np.float32), filters.astype(np.float32)
    few = (rounded(a, kind) for a in (image, filters))
    # Half of the arrays hold the few bits themselves, half are rounded by the hardware.
    a, b = (v.astype(np.float32) for v in few)
    sums = before_storage(a, b, truth, np.float32)
    if kind == "float16" or rng.random() < 0.5:
        image, filters = a, b
    if kind == "float16" and rng.random() < 0.5:
        image, filters = image.astype(np.float16), filters.astype(np.float16)
    return image, filters, sums if kind == "tf32" else rounded(sums, kind), truth


NUMBERS = (
    *("integers", "int32", "int64", "photograph"),
    *("float64", "float32", "float16", "bfloat16", "tf32"),
)
