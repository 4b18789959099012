"""Outputs that were stored in few bits, and layers of which libraries have no single call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from drawn_layers import SHAPES, Layer, Unfit, base, numbers, photograph
from drawn_parts import pick
from plain_convolution import Array, Truth, before_storage, stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from drawn_layers import Arrays, Rng

KERNELS = (
    ([1, 1, 1], [1, 1, 1]),
    ([1, 2, 1], [1, 2, 1]),
    ([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]),
    ([1, 2, 1], [-1, 0, 1]),
    ([0.25, 0.5, 0.3], [0.2, 0.7, 0.1]),
)
"""Columns and rows whose products picture processing filters with."""
PLAIN_SHAPES = ("plain", "plain", "padded", "strided", "grouped", "laid_out")


def kernel(rng: Rng) -> Array:
    """A kernel of picture processing, or one that is no product."""
    if rng.random() < 0.3:
        whole = rng.integers(0, 10, [int(v) for v in rng.integers(2, 6, 2)])
        return whole / max(1, whole.sum())
    column, row = KERNELS[rng.integers(len(KERNELS))]
    if rng.random() < 0.3:
        column, row = row, column
    outer = np.outer(column, row).astype(float)
    return outer / np.abs(outer).sum()


def picture(rng: Rng, weights: Array) -> tuple[Array, Truth]:
    """A photograph, gray or in color, and the keys of a filter over it that keeps its size."""
    gray = rng.random() < 0.6
    size = [int(v) for v in rng.integers(10, 24, 2)]
    image = photograph(rng, (*size,) if gray else (*size, 3), "HW" if gray else "HWC")
    keys: Truth = {"image_layout": "HW" if gray else "HWC", "filter_layout": "HW"}
    keys |= {"output_layout": keys["image_layout"], "groups": 1 if gray else 3}
    keys["padding"] = [[k // 2, (k - 1) // 2] for k in weights.shape]
    keys["padding_mode"] = pick(rng, "reflect", "symmetric", "edge", "constant", "wrap")
    return image, keys


def storage(dtype: str, rounding: str, overflow: str = "saturate", zero_point: int = 0) -> Truth:
    """The vocabulary's record of how a number was stored."""
    return {"dtype": dtype, "zero_point": zero_point, "rounding": rounding, "overflow": overflow}


def filtered_bytes(rng: Rng, rounding: str) -> Arrays:
    """A photograph filtered, in bytes again; the weights real, or whole and a factor after."""
    weights = kernel(rng)
    image, truth = picture(rng, weights)
    if rng.random() < 0.4:
        factor = np.abs(weights[weights != 0]).min()
        counts = np.rint(weights / factor)
        if np.allclose(counts * factor, weights):
            weights = counts.astype(np.int16)
            truth["scale"] = float(factor)
    truth["flip"] = list(pick(rng, "", "", "HW"))
    truth["storage"] = storage("uint8", rounding)
    return image, weights, stored(before_storage(image, weights, truth), truth["storage"]), truth


def quantised(rng: Rng, dtype: str, *, each: bool = False, rounding: str = "half_even") -> Arrays:
    """A layer of eight bits: zero points, a scale for all or for each channel, ReLU."""
    layer = base(rng)
    SHAPES[pick(rng, *PLAIN_SHAPES)](rng, layer)
    image_shape, filter_shape = layer.shapes()
    truth: Truth = dict(layer.keys)
    if rng.random() < 0.5:
        image = photograph(rng, image_shape, truth["image_layout"])
    else:
        image = rng.integers(0, 256, image_shape).astype(np.uint8)
    truth["image_offset"] = pick(rng, 0, 0, 128, 114)
    if rng.random() < 0.3:
        image = (image.astype(int) - 128).astype(np.int8)
        truth["image_offset"] = pick(rng, 0, -3)
    filters = np.clip(np.rint(rng.standard_normal(filter_shape) * 30), -127, 127).astype(np.int8)
    sums = before_storage(image, filters, truth)
    middle, spread = float(np.median(sums)), float(sums.std())
    outputs = layer.outputs if "M" not in truth["filter_layout"] else filters.shape[-2:]
    count = int(np.prod(outputs))
    scale = float(np.float32(pick(rng, 40, 60, 90) / max(spread, 1)))
    biases = -middle * scale + rng.normal(0, 15, count)
    truth["scale"] = (scale * rng.uniform(0.6, 1.6, count)).tolist() if each else scale
    truth["bias"] = None if rng.random() < 0.3 else (np.rint(biases / scale) * scale).tolist()
    if rng.random() < 0.4:
        truth["activation"] = "relu"
    low = np.iinfo(dtype).min
    point = low if "activation" in truth else low + 128
    truth["storage"] = storage(dtype, rounding, zero_point=point + int(rng.integers(0, 12)))
    return image, filters, stored(before_storage(image, filters, truth), truth["storage"]), truth


def wrapped(rng: Rng) -> Arrays:
    """Sums kept in the dtype of the operands."""
    layer = base(rng)
    SHAPES[pick(rng, *SHAPES)](rng, layer)
    shapes = layer.shapes()
    dtype = pick(rng, "uint8", "int8", "int16")
    low = 0 if dtype == "uint8" else -99
    image, filters = (rng.integers(low, 100, shape).astype(dtype) for shape in shapes)
    truth = layer.keys | {"storage": storage(dtype, "toward_zero", "wrap")}
    return image, filters, stored(before_storage(image, filters, truth), truth["storage"]), truth


def saturated(rng: Rng) -> Arrays:
    """Exact sums cut off at the ends of a dtype, few of them."""
    layer = base(rng)
    SHAPES[pick(rng, *SHAPES)](rng, layer)
    image, filters = (rng.integers(-9, 10, shape).astype(np.int8) for shape in layer.shapes())
    truth = layer.keys | {"storage": storage(pick(rng, "int8", "int16", "uint8"), "half_even")}
    return image, filters, stored(before_storage(image, filters, truth), truth["storage"]), truth


def _floats(rng: Rng, layer: Layer, keys: Truth) -> Arrays:
    """Real numbers in float64 or float32, with these keys instead of what was drawn after sums."""
    image, filters, _, truth = numbers(rng, layer, pick(rng, "float32", "float64"))
    if "activation" in keys:  # sums of a size at which activations bend
        if filters.size < 4:
            raise Unfit
        size = filters.std() * np.sqrt(filters[..., 0].size)
        filters = (2 * filters / size).astype(filters.dtype)
    for key in ("bias", "activation", "scale"):
        truth.pop(key, None)
    truth |= keys
    values = before_storage(image, filters, truth)
    return image, filters, values.astype(truth["arithmetic"]), truth


def activated(rng: Rng, activation: Any) -> Arrays:
    """An activation after the sums and, half the time, a bias."""
    layer = base(rng)
    SHAPES[pick(rng, *PLAIN_SHAPES)](rng, layer)
    keys = {"activation": activation}
    if rng.random() < 0.5 and "M" not in layer.keys["filter_layout"]:
        keys["bias"] = (rng.standard_normal(layer.outputs) / 2).tolist()
    return _floats(rng, layer, keys)


def batch_norm(rng: Rng) -> Arrays:
    """A factor and a bias for each channel, ReLU after them half the time."""
    layer = base(rng)
    SHAPES[pick(rng, "plain", "padded", "strided")](rng, layer)
    scale = rng.uniform(0.5, 2, layer.outputs).tolist()
    keys: Truth = {"scale": scale, "bias": rng.standard_normal(layer.outputs).tolist()}
    return _floats(rng, layer, keys | {"activation": pick(rng, None, "relu")})


def output_order(rng: Rng) -> Arrays:
    """Output channels in another order."""
    layer = base(rng)
    layer.outputs = int(rng.integers(2, 6))
    return _floats(rng, layer, {"output_order": rng.permutation(layer.outputs).tolist()})


def normalized_image(rng: Rng) -> Arrays:
    """Bytes whose channels have a mean taken off and are divided by a deviation."""
    layer = base(rng)
    layer.channels = 3
    image = photograph(rng, layer.shapes()[0], layer.keys["image_layout"])
    filters = rng.standard_normal(layer.shapes()[1]) / 3
    truth = dict(layer.keys)
    truth["image_offset"] = [123.675, 116.28, 103.53]
    truth["image_scale"] = [1 / 58.395, 1 / 57.12, 1 / 57.375]
    truth["arithmetic"] = "float64"
    return image, filters, before_storage(image, filters, truth), truth


def mixed_borders(rng: Rng) -> Arrays:
    """One mode across and another up and down."""
    layer = base(rng)
    layer.taps = [3, pick(rng, 3, 5)]
    layer.keys["padding"] = [[k // 2, k // 2] for k in layer.taps]
    modes = pick(rng, ["constant", "wrap"], ["wrap", "constant"], ["edge", "wrap"])
    return _floats(rng, layer, {"padding_mode": modes})


def other_ranks(rng: Rng, axes: str) -> Arrays:
    """One spatial axis or three, strided, dilated, padded, channels last."""
    layer = base(rng, axes)
    rank = len(axes)
    if rng.random() < 0.5:
        layer.keys["stride"] = [int(rng.integers(1, 4))] * rank
    elif rng.random() < 0.5:
        layer.keys["dilation"] = [int(rng.integers(1, 5 - rank))] * rank
    if rng.random() < 0.3:
        last = layer.keys["image_layout"].replace("C", "") + "C"
        layer.keys |= {"image_layout": last, "output_layout": last}
        layer.keys["filter_layout"] = axes + "IO"
    return numbers(rng, layer, pick(rng, "float32", "float64", "integers", "int32"))


def complex_filters(rng: Rng) -> Arrays:
    """Complex numbers, the filters conjugated half the time."""
    layer = base(rng)
    image, filters = (
        rng.standard_normal(shape) + 1j * rng.standard_normal(shape) for shape in layer.shapes()
    )
    truth = layer.keys | {"conjugate": bool(rng.random() < 0.5), "arithmetic": "float64"}
    return image, filters, before_storage(image, filters, truth), truth


CURVES: tuple[Any, ...] = (
    *("relu6", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh", "hard_swish", "softplus", "elu"),
    *("abs", {"leaky_relu": 0.1}, {"clip": [-1, 1]}),
)
KINDS: dict[str, Callable[[Rng], Arrays]] = {
    **{
        f"bytes {rounding}": lambda rng, rounding=rounding: filtered_bytes(rng, rounding)
        for rounding in ("half_even", "half_up", "toward_zero", "down")
    },
    **{
        f"quantised {dtype}": lambda rng, dtype=dtype: quantised(rng, dtype)
        for dtype in ("uint8", "int8")
    },
    "quantised channels": lambda rng: quantised(rng, "int8", each=True),
    "quantised half_away": lambda rng: quantised(rng, "int8", rounding="half_away"),
    "wrapped": wrapped,
    "saturated": saturated,
    **{
        f"activation {next(iter(curve)) if isinstance(curve, dict) else curve}": (
            lambda rng, curve=curve: activated(rng, curve)
        )
        for curve in CURVES
    },
    "batch_norm": batch_norm,
    "output_order": output_order,
    "normalized_image": normalized_image,
    "mixed_borders": mixed_borders,
    "axes W": lambda rng: other_ranks(rng, "W"),
    "axes DHW": lambda rng: other_ranks(rng, "DHW"),
    "complex": complex_filters,
}
