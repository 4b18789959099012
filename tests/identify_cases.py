"""Random conventions out of the space that ``identify`` searches, each with data that fit it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from drawn_parts import draw_bank, pick, usual_padding

from convcheck.convention import PADDING_MODES, Convention
from convcheck.engine import convolve, output_shape
from convcheck.errors import InputError


class Case(NamedTuple):
    image: np.ndarray
    filters: np.ndarray
    convention: Convention
    output: np.ndarray


def draw(seed: int, *, least: int = 24, data: str = "ints") -> Case:
    """The case of this seed; its output has at least ``least`` elements."""
    rng = np.random.default_rng(seed)
    while True:
        image, filters, convention = _attempt(rng, data)
        try:
            shape = output_shape(image.shape, filters.shape, convention)
        except InputError:
            continue
        sizes = dict(zip(convention.output_layout, shape, strict=True))
        if np.prod(shape) < least or sizes["H"] * sizes["W"] < 4 or np.prod(shape) > 20000:
            continue
        if not _touching(image, filters, convention, sizes):
            continue
        output = convolve(image, filters, convention)
        if data == "normal32":
            output = output.astype(np.float32)
        return Case(image, filters, convention, output)


def same_function(a: Convention, b: Convention, image: np.ndarray, filters: np.ndarray) -> bool:
    """Whether two conventions' sums are the same on other data of these shapes."""
    rng = np.random.default_rng(11)
    x = rng.integers(-999, 1000, image.shape)
    w = rng.integers(-999, 1000, filters.shape)
    plain = {"scale": 1.0, "bias": None, "activation": None, "arithmetic": "exact"}
    try:
        ya, yb = (convolve(x, w, c.replace(**plain)) for c in (a, b))
    except InputError:
        return False
    return np.array_equal(ya, yb)


def _touching(
    image: np.ndarray, filters: np.ndarray, c: Convention, outputs: dict[str, int]
) -> bool:
    """Whether every window meets a sample of the image, and crops no more than the search tries."""
    sizes = dict(zip(c.image_layout, image.shape, strict=True))
    kernel = dict(zip(c.filter_layout, filters.shape, strict=True))
    taps = [kernel["W"], kernel["H"]] if c.kernel_transposed else [kernel["H"], kernel["W"]]
    for axis, name in enumerate("HW"):
        extent = c.dilation[axis] * (taps[axis] - 1) + 1
        length = (sizes[name] - 1) * c.input_dilation[axis] + 1
        before = c.padding[axis][0]
        last = (outputs[name] - 1) * c.stride[axis] - before
        if before >= extent or last >= length:
            return False
        slack = length - (last + extent)
        most = extent + 1 if c.input_dilation[axis] == 1 else 1
        if -before > most or slack >= c.stride[axis] + most:
            return False
    return True


def _attempt(rng: np.random.Generator, data: str) -> tuple[np.ndarray, np.ndarray, Convention]:
    bank = draw_bank(rng, most=4, longest=5)
    lone = ["HW"] * (bank.channels == 1)
    image_layout = pick(rng, "CHW", "CHW", "HWC", "CWH", "NCHW", "NHWC", *lone)
    batch = int(rng.integers(1, 3)) if "N" in image_layout else 1
    extents = {"N": batch, "C": bank.channels}
    extents |= {axis: int(rng.integers(5, 16)) for axis in "HW"}
    outputs = bank.groups * bank.per_group if bank.kind != "shared" else bank.groups
    alone = ["HW"] if batch == outputs == 1 else []
    output_layout = pick(rng, "NOHW", "NHWO", *([] if batch > 1 else ["OHW", "HWO", *alone]))

    def pair(high: int, often: float) -> tuple[int, ...]:
        if rng.random() < often:
            return (1, 1)
        one = int(rng.integers(1, high + 1))
        return (one, one) if rng.random() < 0.5 else (one, int(rng.integers(1, high + 1)))

    stride, dilation, gaps = pair(8, 0.5), pair(4, 0.6), pair(4, 0.75)
    if max(gaps) > 1:
        stride = tuple(1 if gap > 1 else s for s, gap in zip(stride, gaps, strict=True))
    mode = pick(rng, "constant", "constant", "constant", *PADDING_MODES)
    if max(gaps) > 1:
        mode = "constant"
    style = pick(rng, "none", "even", "upper", "lower", "full", "scipy", "any", "crop")
    padding = []
    for axis, name in enumerate("HW"):
        size = (extents[name] - 1) * gaps[axis] + 1
        even = int(rng.integers(0, 3))
        pads = usual_padding(size, bank.taps[axis], stride[axis], dilation[axis], even)
        reach = pads["full"][0]
        low, high = (-1, reach + 1) if style == "any" else (-2, 1)
        padding.append(pads.get(style, tuple(int(v) for v in rng.integers(low, high, 2))))
        if gaps[axis] > 1:
            padding[-1] = (reach - even, reach - even + int(rng.integers(0, gaps[axis])))
    bias = None
    if rng.random() < 0.25:
        bias = tuple(float(v) / 2 for v in rng.integers(-9, 10, outputs))
    order = None
    if rng.random() < 0.25:
        order = [*range(bank.channels)][::-1]
        if bank.channels <= 4:
            order = rng.permutation(bank.channels).tolist()
    whole = data.startswith("ints")
    convention = Convention(
        image_layout=image_layout,
        filter_layout=bank.layout,
        output_layout=output_layout,
        flip=pick(
            rng, (), (), ("H", "W"), ("H", "W"), ("I", "H", "W"), ("I",), ("H",), ("W",), ("I", "W")
        ),
        stride=stride,
        dilation=dilation,
        input_dilation=gaps,
        padding=tuple(padding),
        padding_mode=mode,
        padding_value=pick(rng, 0, 0, 0, 3, -1.5) if mode == "constant" and max(gaps) == 1 else 0,
        groups=bank.groups,
        channel_order=order,
        kernel_transposed=bank.swapped,
        scale=pick(rng, 1, 1, 1, 0.25, -2, 1 / 9),
        bias=bias,
        activation=pick(rng, None, None, None, "relu"),
        arithmetic=pick(
            rng,
            *("exact" for _ in range(12)),
            *("float64", "float32", "float32", "tf32", "bfloat16", "float16"),
            *(("wrap:uint8", "saturate:uint8", "wrap:int16", "saturate:int8") if whole else ()),
        ),
    )
    shapes = ([extents[a] for a in image_layout], [bank.sizes[a] for a in bank.layout])
    if whole:
        image, filters = (rng.integers(-9, 10, shape) for shape in shapes)
    else:
        image, filters = (rng.standard_normal(shape) for shape in shapes)
        if data == "normal32":
            image, filters = image.astype(np.float32), filters.astype(np.float32)
    return image, filters, convention
