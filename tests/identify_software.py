"""Random conventions as software makes them, and as they are mistaken for one another.

Where :mod:`identify_cases` draws every key of the vocabulary by itself, each draw here is one that
some library computes: its layouts, its padding, what it does to the sums and in which arithmetic.
Half of them then have one or two of the mistakes that are made where weights are ported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from drawn_parts import pick, usual_padding
from identify_cases import Case

from convcheck.convention import Convention
from convcheck.engine import convolve, output_shape, round_to
from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    Made = tuple[dict[str, int], dict[str, int], Convention]
TOLD = 60
"""Elements that an output has at least, none of them cut off."""


def draw(seed: int) -> Case:
    """The case of this seed."""
    rng = np.random.default_rng(seed)
    while True:
        sizes, bank, convention = pick(rng, *SOFTWARE)(rng)
        if rng.random() < 0.5:
            convention = _mistaken(rng, convention, sizes, bank)
        if convention is None:
            continue
        image, filters = _numbers(rng, sizes, bank, convention)
        try:
            shape = output_shape(image.shape, filters.shape, convention)
        except InputError:
            continue
        axes = dict(zip(convention.output_layout, shape, strict=True))
        if not 0 < np.prod(shape) <= 20000 or min(axes["H"], axes["W"]) < 2:
            continue
        output = convolve(*_operands(rng, image, filters, convention.arithmetic), convention)
        told = output != 0 if convention.activation == "relu" else np.isfinite(output)
        if output.dtype.kind in "iu":
            limits = np.iinfo(output.dtype)
            told = told & (output != limits.min) & (output != limits.max)
        if np.count_nonzero(told) >= TOLD:
            return Case(image, filters, convention, output)


def _operands(
    rng: np.random.Generator, image: np.ndarray, filters: np.ndarray, arithmetic: str
) -> tuple[np.ndarray, np.ndarray]:
    """What is multiplied: of few bits, as hardware does it, or as it is, if results alone are."""
    if arithmetic not in ("tf32", "bfloat16", "float16") or rng.random() < 0.3:
        return image, filters
    few = (round_to(a, arithmetic).astype(np.float32) for a in (image, filters))
    return next(few), next(few)


def _extents(rng: np.random.Generator, channels: int, batch: int = 1) -> dict[str, int]:
    height, width = (int(v) for v in rng.integers(6, 21, 2))
    return {"N": batch, "C": channels, "H": height, "W": width}


def _pair(rng: np.random.Generator, high: int, often: float) -> tuple[int, int]:
    if rng.random() < often:
        return 1, 1
    one = int(rng.integers(1, high + 1))
    return (one, one) if rng.random() < 0.7 else (one, int(rng.integers(1, high + 1)))


def _bias(rng: np.random.Generator, outputs: int) -> tuple[float, ...] | None:
    if rng.random() < 0.5:
        return None
    return tuple(rng.standard_normal(outputs).astype(np.float32).tolist())


def _precision(rng: np.random.Generator) -> str:
    return str(pick(rng, "float32", "float32", "float64", "float16", "bfloat16", "tf32"))


def _torch(rng: np.random.Generator) -> Made:
    """``conv2d``: padded alike on both sides, in any of its modes."""
    groups, per, filters = (int(v) for v in rng.integers(1, 4, 3))
    groups = pick(rng, 1, 1, groups)
    taps = _pair(rng, 5, 0.15)
    sizes = _extents(rng, groups * per, int(rng.integers(1, 3)))
    mode = pick(rng, *["constant"] * 3, "reflect", "edge", "wrap")
    pads = [int(rng.integers(0, k)) for k in taps]
    bank = {"O": groups * filters, "I": per, "H": taps[0], "W": taps[1]}
    c = Convention(
        image_layout="NCHW",
        output_layout="NOHW",
        stride=_pair(rng, 3, 0.5),
        dilation=_pair(rng, 3, 0.7),
        padding=[(p, p) for p in pads],
        padding_mode=mode,
        groups=groups,
        bias=_bias(rng, groups * filters),
        activation=pick(rng, None, None, "relu"),
        arithmetic=_precision(rng),
    )
    return sizes, bank, c


def _transposed(rng: np.random.Generator) -> Made:
    """``conv_transpose2d``, its stride, padding and output padding."""
    groups, per, filters = (int(v) for v in rng.integers(1, 4, 3))
    groups = pick(rng, 1, 1, groups)
    taps = [int(v) for v in rng.integers(2, 6, 2)]
    gaps = _pair(rng, 4, 0.2)
    sizes = _extents(rng, groups * per) | {axis: int(rng.integers(4, 10)) for axis in "HW"}
    padding = []
    for k, gap in zip(taps, gaps, strict=True):
        before = k - 1 - int(rng.integers(0, (k + 1) // 2))
        padding.append((before, before + int(rng.integers(0, gap))))
    c = Convention(
        image_layout="NCHW",
        output_layout="NOHW",
        filter_layout="IOHW",
        flip=("H", "W"),
        input_dilation=gaps,
        padding=padding,
        groups=groups,
        bias=_bias(rng, groups * filters),
        arithmetic=pick(rng, "float32", "float64"),
    )
    bank = {"I": groups * per, "O": filters, "H": taps[0], "W": taps[1]}
    return sizes, bank, c


def _tensorflow(rng: np.random.Generator) -> Made:
    """NHWC by HWIO or, depthwise, by HWIM: SAME or VALID."""
    channels, filters = (int(v) for v in rng.integers(1, 5, 2))
    deep = channels > 1 and rng.random() < 0.4
    taps, stride = _pair(rng, 5, 0.1), _pair(rng, 3, 0.4)
    dilation = _pair(rng, 2, 0.5) if stride == (1, 1) else (1, 1)
    sizes = _extents(rng, channels, int(rng.integers(1, 3)))
    same = rng.random() < 0.6
    rule = "upper" if same else "none"
    padding = [
        usual_padding(sizes[axis], taps[a], stride[a], dilation[a], 0)[rule]
        for a, axis in enumerate("HW")
    ]
    outputs = channels * filters if deep else filters
    c = Convention(
        image_layout="NHWC",
        output_layout="NHWO",
        stride=stride,
        dilation=dilation,
        padding=padding,
        filter_layout="HWIM" if deep else "HWIO",
        groups=channels if deep else 1,
        bias=_bias(rng, outputs),
        activation=pick(rng, None, "relu"),
        arithmetic=_precision(rng),
    )
    bank = {"H": taps[0], "W": taps[1], "I": channels, "M": filters, "O": filters}
    return sizes, bank, c


def _scipy(rng: np.random.Generator) -> Made:
    """``signal`` in its three modes, over all axes at once; ``ndimage`` with any border."""
    channels = int(rng.integers(1, 5))
    taps = [int(v) for v in rng.integers(2, 6, 2)]
    sizes = _extents(rng, channels)
    flip = pick(rng, (), ("H", "W") if channels == 1 else ("I", "H", "W"))
    rule = pick(rng, "none", "full", "scipy")
    padding = [usual_padding(sizes[axis], taps[a], 1, 1, 0)[rule] for a, axis in enumerate("HW")]
    if rule == "scipy" and flip:
        padding = [(after, before) for before, after in padding]
    mode = pick(rng, "constant", "reflect", "symmetric", "edge", "wrap")
    c = Convention(
        flip=flip,
        padding=padding,
        padding_mode=mode if rule == "scipy" else "constant",
        padding_value=pick(rng, 0, 2.5) if mode == "constant" and rule == "scipy" else 0,
        filter_layout="IHW",
        scale=pick(rng, 1, 1, 1 / (taps[0] * taps[1])),
        arithmetic="float64",
    )
    return sizes, {"I": channels, "H": taps[0], "W": taps[1]}, c


def _picture(rng: np.random.Generator) -> Made:
    """``filter2D`` and its like: one kernel for all channels, of bytes that are rounded."""
    channels = pick(rng, 1, 3)
    taps = [int(v) for v in rng.integers(2, 6, 2)]
    sizes = _extents(rng, channels)
    padding = [usual_padding(sizes[axis], taps[a], 1, 1, 0)["scipy"] for a, axis in enumerate("HW")]
    c = Convention(
        image_layout="HWC",
        output_layout="HWO",
        filter_layout="HW",
        groups=channels,
        flip=pick(rng, (), ("H", "W")),
        padding=padding,
        padding_mode=pick(rng, "reflect", "symmetric", "edge", "constant"),
        scale=pick(rng, 1 / (taps[0] * taps[1]), 1 / 16, 1 / 9),
        arithmetic="saturate:uint8",
    )
    return sizes, {"H": taps[0], "W": taps[1]}, c


def _quantised(rng: np.random.Generator) -> Made:
    """Bytes around a zero point, a scale after the sums, and clipped."""
    channels, filters = (int(v) for v in rng.integers(1, 5, 2))
    taps = [int(v) for v in rng.integers(1, 4, 2)]
    sizes = _extents(rng, channels)
    c = Convention(
        image_layout="NCHW",
        output_layout="NOHW",
        stride=_pair(rng, 2, 0.6),
        padding=[(k // 2, k // 2) for k in taps],
        padding_value=pick(rng, 0, 0, 3, 7),
        scale=pick(rng, 1 / 64, 1 / 100, 0.0123),
        bias=pick(rng, None, tuple(float(v) for v in rng.integers(-20, 90, filters))),
        arithmetic=pick(rng, "saturate:uint8", "saturate:int8"),
    )
    return sizes, {"O": filters, "I": channels, "H": taps[0], "W": taps[1]}, c


def _wrapping(rng: np.random.Generator) -> Made:
    """Sums kept in the dtype of the operands."""
    sizes, bank, c = _torch(rng)
    bias = None if c.bias is None else tuple(float(round(10 * b)) for b in c.bias)
    kind = pick(rng, "uint8", "int8", "int16", "int32")
    return sizes, bank, c.replace(bias=bias, arithmetic=f"wrap:{kind}", activation=None)


SOFTWARE: tuple[Callable[[np.random.Generator], Made], ...] = (
    *(_torch, _torch, _torch, _tensorflow, _tensorflow),
    *(_transposed, _scipy, _picture, _quantised, _wrapping),
)


def _mistaken(
    rng: np.random.Generator, c: Convention, sizes: dict[str, int], bank: dict[str, int]
) -> Convention | None:
    """With one or two of the usual mistakes."""
    for _ in range(int(rng.integers(1, 3))):
        keys: dict[str, Any] = {}
        mistake = pick(rng, "flip", "channels", "swapped", "padding", "layout", "stride")
        if mistake == "flip":
            axes = "HW" if bank.get("I", 1) == 1 else "IHW"
            keys["flip"] = tuple(a for a in axes if rng.random() < 0.5)
        elif mistake == "channels" and 1 < sizes["C"] <= 4:
            keys["channel_order"] = rng.permutation(sizes["C"]).tolist()
        elif mistake == "swapped" and bank["H"] == bank["W"]:
            keys["kernel_transposed"] = True
        elif mistake == "padding" and max(c.input_dilation) == 1:
            keys["padding"] = [(after, before) for before, after in c.padding]
        elif mistake == "layout" and "N" in c.output_layout:
            keys["output_layout"] = {"NOHW": "NHWO", "NHWO": "NOHW"}[c.output_layout]
        elif mistake == "stride":
            keys["stride"] = c.stride[::-1]
        try:
            c = c.replace(**keys)
        except InputError:
            return None
    return c


def _numbers(
    rng: np.random.Generator, sizes: dict[str, int], bank: dict[str, int], c: Convention
) -> tuple[np.ndarray, np.ndarray]:
    shapes = [sizes[a] for a in c.image_layout], [bank[a] for a in c.filter_layout]
    if c.arithmetic.startswith("saturate"):
        image = rng.integers(0, 256, shapes[0]).astype(np.uint8)
        return image, rng.integers(-4, 10, shapes[1]).astype(np.int8)
    if ":" in c.arithmetic:
        return tuple(rng.integers(-99, 100, shape) for shape in shapes)  # type: ignore[return-value]
    image, filters = (rng.standard_normal(shape) for shape in shapes)
    if c.arithmetic == "float64":
        return image, filters
    return image.astype(np.float32), filters.astype(np.float32)
