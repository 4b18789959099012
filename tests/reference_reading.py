"""The vocabulary read once more, in plain loops: slow, and with nothing of the engine."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from convcheck.convention import Convention


def convolve(image: np.ndarray, filters: np.ndarray, c: Convention) -> np.ndarray:
    """The result as an array of Fractions, before ``arithmetic``; complex numbers stay complex."""
    x = _Image(image, c)
    w = _Filters(filters, c, x.channels)
    size = {"H": x.padded("H"), "W": x.padded("W")}
    extent = {
        "H": c.dilation[0] * (w.kernel[0] - 1) + 1,
        "W": c.dilation[1] * (w.kernel[1] - 1) + 1,
    }
    height = (size["H"] - extent["H"]) // c.stride[0] + 1
    width = (size["W"] - extent["W"]) // c.stride[1] + 1
    y = np.empty((x.batch, w.outputs, height, width), object)
    for n, o, row, column in np.ndindex(y.shape):
        total: Any = Fraction(0)
        for i, channel in w.reads(o):
            for u, v in itertools.product(range(w.kernel[0]), range(w.kernel[1])):
                total += w(o, i, u, v) * x(
                    n,
                    channel,
                    row * c.stride[0] + u * c.dilation[0],
                    column * c.stride[1] + v * c.dilation[1],
                )
        total = total * Fraction(c.scale) if not isinstance(total, complex) else total * c.scale
        if c.bias is not None:
            total += Fraction(c.bias[o]) if not isinstance(total, complex) else c.bias[o]
        y[n, o, row, column] = max(total, Fraction(0)) if c.activation == "relu" else total
    order = {"OHW": (1, 2, 3), "HWO": (2, 3, 1), "NOHW": (0, 1, 2, 3), "NHWO": (0, 2, 3, 1)}
    if c.output_layout == "HW":
        return y[0, 0]
    axes = order[c.output_layout]
    return (
        (y if 0 in axes else y[:1])
        .transpose(*(axes if 0 in axes else (0, *axes)))
        .reshape([y.shape[a] for a in axes])
    )


class _Image:
    def __init__(self, image: np.ndarray, c: Convention) -> None:
        self.c, self.image = c, image
        sizes = dict(zip(c.image_layout, image.shape, strict=True))
        self.batch, self.channels = sizes.get("N", 1), sizes.get("C", 1)
        self.sizes = sizes
        # With the zeros of input_dilation: between samples, none after the last.
        self.spread = {
            "H": (sizes["H"] - 1) * c.input_dilation[0] + 1,
            "W": (sizes["W"] - 1) * c.input_dilation[1] + 1,
        }

    def padded(self, axis: str) -> int:
        before, after = self.c.padding["HW".index(axis)]
        return self.spread[axis] + before + after

    def __call__(self, n: int, channel: int, row: int, column: int) -> Any:
        c = self.c
        if c.channel_order is not None:
            channel = c.channel_order[channel]
        place: dict[str, Any] = {"N": n, "C": channel}
        for axis, position, gap, (before, _) in zip(
            "HW", (row, column), c.input_dilation, c.padding, strict=True
        ):
            inside = _source(position - before, self.spread[axis], c.padding_mode)
            place[axis] = inside if inside is None else Fraction(inside, gap)
        if None in place.values():
            return Fraction(c.padding_value)
        if any(p.denominator > 1 for p in place.values()):
            return Fraction(0)  # between two samples
        place = {axis: int(p) for axis, p in place.items()}
        return _exact(self.image[tuple(place[axis] for axis in c.image_layout)])


def _source(index: int, size: int, mode: str) -> int | None:
    """Which of ``size`` samples stands at ``index``, in or out of them; None for the constant."""
    if 0 <= index < size:
        return index
    if mode == "constant":
        return None
    if mode == "edge":
        return 0 if index < 0 else size - 1
    if mode == "wrap":
        return index % size
    period = 2 * size if mode == "symmetric" else max(2 * size - 2, 1)
    index %= period
    return index if index < size else (period - 1 if mode == "symmetric" else period) - index


class _Filters:
    def __init__(self, filters: np.ndarray, c: Convention, channels: int) -> None:
        self.c, self.filters, self.channels = c, filters, channels
        sizes = dict(zip(c.filter_layout, filters.shape, strict=True))
        self.kernel = (sizes["H"], sizes["W"])
        if c.kernel_transposed:
            self.kernel = (sizes["W"], sizes["H"])
        self.inputs = sizes.get("I", 1)
        self.sizes = sizes
        self.kind = "plain"
        outputs = sizes.get("O", 1)
        if c.filter_layout == "HWIM":
            self.kind, outputs = "depthwise", self.inputs * sizes["M"]
        elif c.filter_layout == "HW" and c.groups > 1:
            self.kind, outputs = "shared", c.groups
        elif c.groups > 1 and self.inputs == channels:
            self.kind, outputs = "transposed bank", outputs * c.groups
        self.outputs = outputs

    def reads(self, o: int) -> list[tuple[int, int]]:
        """For output o: the index along I of the stored bank, and the channel that it meets."""
        c = self.c
        if self.kind == "depthwise":
            channel = o // self.sizes["M"]
            return [(channel, channel)]
        group = o // (self.outputs // c.groups)
        inputs = self.channels // c.groups
        channels = range(group * inputs, (group + 1) * inputs)
        if self.kind == "transposed bank":
            return [(channel, channel) for channel in channels]
        return list(enumerate(channels))

    def __call__(self, o: int, i: int, u: int, v: int) -> Any:
        c = self.c
        if "I" in c.flip:
            i = self.inputs - 1 - i
        if "H" in c.flip:
            u = self.kernel[0] - 1 - u
        if "W" in c.flip:
            v = self.kernel[1] - 1 - v
        if c.kernel_transposed:
            u, v = v, u
        place = {"I": i, "H": u, "W": v, "O": o}
        if self.kind == "depthwise":
            place["M"] = o % self.sizes["M"]
        elif self.kind == "transposed bank":
            place["O"] = o % (self.outputs // c.groups)
        return _exact(self.filters[tuple(place[axis] for axis in c.filter_layout)])


def _exact(value: Any) -> Any:
    if np.iscomplexobj(value):
        return complex(value)
    return Fraction(int(value)) if value.dtype.kind in "biu" else Fraction(float(value))


def round_to(value: Fraction, arithmetic: str) -> Any:
    """One exact number as ``arithmetic`` stores it."""
    if ":" in arithmetic:
        how, _, name = arithmetic.partition(":")
        signed, bits = name.startswith("int"), int(name.removeprefix("u").removeprefix("int"))
        low = -(1 << (bits - 1)) if signed else 0
        if how == "saturate":
            return min(max(round(value), low), low + (1 << bits) - 1)  # round() is half to even
        return (int(value) - low) % (1 << bits) + low  # int() truncates
    digits = {"float64": 53, "exact": 53, "float32": 24, "tf32": 11, "float16": 11, "bfloat16": 8}
    if value == 0:
        return 0.0
    exponent = 0
    while abs(value) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while abs(value) < Fraction(2) ** exponent:
        exponent -= 1
    step = Fraction(2) ** (exponent - digits[arithmetic] + 1)
    return float(round(value / step) * step)
