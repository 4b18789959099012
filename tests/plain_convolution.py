"""What a convention says, once more, in plain loops: the yardstick of generated outputs.

Nothing of convcheck is used here, and nothing of it may be: the two are held against each other. A
convention is a (partial) dict of the vocabulary's keys; whatever it lacks has its default. Arrays
inside have the axes N, C (or O, I), then the spatial ones.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from scipy.special import erf, expit

Array = np.ndarray[Any, Any]
Truth = dict[str, Any]

DEFAULTS: Truth = {
    "image_layout": "CHW",
    "filter_layout": "OIHW",
    "output_layout": "CHW",
    "image_memory": None,
    "filter_memory": None,
    "channel_order": None,
    "output_order": None,
    "flip": [],
    "conjugate": False,
    "image_offset": 0,
    "image_scale": 1,
    "filter_offset": 0,
    "input_dilation": 1,
    "padding": 0,
    "padding_mode": "constant",
    "padding_value": 0,
    "dilation": 1,
    "stride": 1,
    "groups": 1,
    "scale": 1,
    "bias": None,
    "activation": None,
    "arithmetic": "exact",
    "storage": None,
}
UNITS = {
    "exact": 0.0,
    "float64": 2.0**-53,
    "float32": 2.0**-24,
    "tf32": 2.0**-11,
    "float16": 2.0**-11,
    "bfloat16": 2.0**-8,
}
"""Unit roundoff of each precision."""

ACTIVATIONS: dict[str, Any] = {
    "relu": lambda y: np.maximum(y, 0),
    "relu6": lambda y: np.clip(y, 0, 6),
    "sigmoid": expit,
    "tanh": np.tanh,
    "silu": lambda y: y * expit(y),
    "gelu": lambda y: y * (1 + erf(y / np.sqrt(2))) / 2,
    "gelu_tanh": lambda y: y * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3))) / 2,
    "hard_swish": lambda y: y * np.clip(y + 3, 0, 6) / 6,
    "softplus": lambda y: np.logaddexp(0, y),
    "elu": lambda y: np.where(y > 0, y, np.expm1(np.minimum(y, 0))),
    "abs": np.abs,
    "leaky_relu": lambda y, slope: np.where(y > 0, y, slope * y),
    "clip": lambda y, limits: np.clip(y, *limits),
}
ROUNDINGS: dict[str, Any] = {
    "half_even": np.rint,
    "half_away": lambda y: np.sign(y) * np.floor(np.abs(y) + 0.5),
    "half_up": lambda y: np.floor(y + 0.5),
    "toward_zero": np.trunc,
    "down": np.floor,
}


def whole(truth: Truth) -> Truth:
    """The truth with every key of the vocabulary, per-axis ones with an entry for each axis."""
    t = DEFAULTS | truth
    letters = [a for a in "DHW" if a in t["image_layout"]]
    for key in ("input_dilation", "stride", "dilation", "padding"):
        value = t[key]
        if not isinstance(value, (list, tuple)):
            value = [[value, value] if key == "padding" else value] * len(letters)
        t[key] = value
    if isinstance(t["padding_mode"], str):
        t["padding_mode"] = [t["padding_mode"]] * len(letters)
    return t


def spatial(layout: str) -> str:
    """The spatial letters of a layout, in the order of the vocabulary."""
    return "".join(a for a in "DHW" if a in layout)


def read(array: Array, layout: str, axes: str) -> Array:
    """A view of the array with these axes; those that its layout lacks have length 1."""
    missing = [a for a in axes if a not in layout]
    names = layout + "".join(missing)
    wide = array.reshape(*array.shape, *(1 for _ in missing))
    return wide.transpose([names.index(a) for a in axes])


def reshaped(array: Array, layout: str, memory: str | None) -> tuple[Array, str]:
    """The same numbers in C order, in the shape that a transposition to ``memory`` would have."""
    if memory is None:
        return array, layout
    shape = array.transpose([layout.index(a) for a in memory]).shape
    return np.ascontiguousarray(array).ravel().reshape(shape), memory


def per_channel(value: Any, rank: int, *, axis: int) -> Any:
    """A number as it is; a list of them along an axis of an array of 2 + rank axes."""
    if not isinstance(value, (list, tuple, np.ndarray)):
        return value
    return np.asarray(value).reshape([-1 if a == axis else 1 for a in range(2 + rank)])


def arranged_image(image: Array, t: Truth) -> Array:
    """Step 1: N, C, spatial; channels in their order; minus the offset, times the scale."""
    axes = spatial(t["image_layout"])
    x = read(*reshaped(image, t["image_layout"], t["image_memory"]), "NC" + axes)
    if t["channel_order"] is not None:
        x = x[:, list(t["channel_order"])]
    x = x - per_channel(t["image_offset"], len(axes), axis=1)
    return x * per_channel(t["image_scale"], len(axes), axis=1)


def arranged_filters(filters: Array, t: Truth, channels: int) -> Array:
    """Step 2: all outputs, the inputs of one group, spatial."""
    filters, layout = reshaped(filters, t["filter_layout"], t["filter_memory"])
    groups = t["groups"]
    axes = spatial(layout)
    letters = ("IM" if "M" in layout else "OI") + axes
    w = np.flip(read(filters, layout, letters), [letters.index(a) for a in t["flip"]])
    if "M" in layout:
        w = w.reshape(-1, 1, *w.shape[2:])
    if "I" not in layout and "O" not in layout and groups > 1:
        w = np.repeat(w, groups, axis=0)
    elif groups > 1 and w.shape[1] == channels:
        parts = np.split(w, groups, axis=1)
        w = np.concatenate(parts, axis=0)
    w = w - per_channel(t["filter_offset"], len(axes), axis=0)
    if t["conjugate"]:
        w = w.conj()
    return w


def bordered(x: Array, t: Truth) -> Array:
    """Steps 3 and 4: zeros between the samples, padding, cropping."""
    for axis, gap in enumerate(t["input_dilation"], 2):
        size = (x.shape[axis] - 1) * gap + 1
        wide = np.zeros((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype)
        wide[(slice(None),) * axis + (slice(None, None, gap),)] = x
        x = wide
    for axis, (pads, mode) in enumerate(zip(t["padding"], t["padding_mode"], strict=True), 2):
        widths = [(0, 0)] * x.ndim
        widths[axis] = (max(pads[0], 0), max(pads[1], 0))
        value = t["padding_value"]
        if mode != "constant":
            x = np.pad(x, widths, mode=mode)
        elif any(widths[axis]):
            x = np.pad(x.astype(np.result_type(x, type(value))), widths, constant_values=value)
    for axis, pads in enumerate(t["padding"], 2):
        x = x[(slice(None),) * axis + (slice(max(-pads[0], 0), x.shape[axis] - max(-pads[1], 0)),)]
    return x


def correlated(x: Array, w: Array, t: Truth) -> Array:
    """Step 5, product by product in the dtype that the operands have: (N,O,*out)."""
    stride, dilation, groups = t["stride"], t["dilation"], t["groups"]
    sizes = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[2:], w.shape[2:], stride, dilation, strict=True)
    ]
    inputs, outputs = w.shape[1], w.shape[0] // groups
    if min(sizes) < 1 or inputs * groups != x.shape[1] or w.shape[0] % groups:
        raise ValueError(f"{x.shape} and {w.shape} do not fit")
    y = np.zeros((len(x), w.shape[0], *sizes), np.result_type(x, w))
    for group, tap in product(range(groups), product(*map(range, w.shape[2:]))):
        window = [
            slice(k * d, k * d + (n - 1) * s + 1, s)
            for k, n, s, d in zip(tap, sizes, stride, dilation, strict=True)
        ]
        rows = slice(group * outputs, (group + 1) * outputs)
        part = x[(slice(None), slice(group * inputs, (group + 1) * inputs), *window)]
        y[:, rows] += np.einsum("nc...,oc->no...", part, w[(rows, slice(None), *tap)])
    return y


def before_storage(image: Array, filters: Array, truth: Truth, dtype: Any = None) -> Array:
    """Steps 1 to 6 and the output's layout: the numbers before they are stored.

    In int64 where all are integers, else in float64 (complex128); in ``dtype`` where one is given.
    """
    t = whole(truth)
    wide = dtype or {"c": np.complex128, "f": np.float64}.get(
        np.result_type(image, filters).kind, np.int64
    )
    x = arranged_image(image.astype(wide), t)
    w = arranged_filters(filters.astype(wide), t, x.shape[1])
    y = correlated(bordered(x, t), w, t)
    rank = y.ndim - 2
    if np.any(np.asarray(t["scale"]) != 1):
        y = y * per_channel(t["scale"], rank, axis=1)
    if t["bias"] is not None:
        y = y + per_channel(t["bias"], rank, axis=1)
    activation = t["activation"]
    if isinstance(activation, dict):
        ((name, parameter),) = activation.items()
        y = ACTIVATIONS[name](y, parameter)
    elif activation is not None:
        y = ACTIVATIONS[activation](y)
    if dtype is not None:
        y = y.astype(dtype)
    if t["output_order"] is not None:
        y = y[:, list(t["output_order"])]
    axes = "NC" + spatial(t["image_layout"])
    names = t["output_layout"] + "".join(a for a in axes if a not in t["output_layout"])
    y = y.transpose([axes.index(a) for a in names])
    return y.reshape(y.shape[: len(t["output_layout"])])


def stored(values: Array, storage: Truth | None) -> Array:
    """Step 7 for integers: the zero point added, rounded, saturated or wrapped."""
    if storage is None:
        return values
    dtype = np.dtype(storage["dtype"])
    limits = np.iinfo(dtype)
    y = values + storage.get("zero_point", 0)
    if y.dtype.kind == "f":
        y = ROUNDINGS[storage.get("rounding", "half_even")](y)
    if storage.get("overflow", "saturate") == "saturate":
        return np.clip(y, limits.min, limits.max).astype(dtype)
    return np.mod(y, 2 ** (8 * dtype.itemsize)).astype(np.int64).astype(dtype)


def rounded(values: Array, arithmetic: str) -> Array:
    """To nearest even in a precision; TF32 and bfloat16 as the float32 that hold them."""
    if arithmetic in ("float64", "exact"):
        return values
    if arithmetic in ("float32", "float16"):
        return values.astype(arithmetic)
    dropped = np.uint32(13 if arithmetic == "tf32" else 16)
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half = (np.uint32(1) << (dropped - np.uint32(1))) - np.uint32(1)
    odd = (bits >> dropped) & np.uint32(1)
    return (((bits + half + odd) >> dropped) << dropped).view(np.float32)
