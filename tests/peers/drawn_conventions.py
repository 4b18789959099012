"""Random conventions over the whole vocabulary, each with small integer data that fit it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from convcheck.convention import INTEGER_ARITHMETICS, PADDING_MODES, PRECISIONS, Convention
from convcheck.engine import convolve, output_shape
from convcheck.errors import InputError

COMMON = (*("constant" for _ in range(6)), *PADDING_MODES)
ARITHMETICS = (*("exact" for _ in range(40)), *PRECISIONS, *INTEGER_ARITHMETICS)


class Drawn(NamedTuple):
    image: np.ndarray
    filters: np.ndarray
    convention: Convention


def draw(seed: int) -> Drawn:
    """The convention of this seed, with an image and filters in its layouts."""
    rng = np.random.default_rng(seed)
    while True:
        drawn = _attempt(rng)
        try:
            output_shape(drawn.image.shape, drawn.filters.shape, drawn.convention)
        except InputError:
            continue
        return drawn


def _attempt(rng: np.random.Generator) -> Drawn:
    def pick(*choices: Any) -> Any:
        return choices[rng.integers(len(choices))]

    bank = pick("dense", "dense", "dense", "grouped", "depthwise", "transposed", "shared", "HWIM")
    inputs, per_group = (int(rng.integers(1, 4)) for _ in range(2))
    groups = 1 if bank == "dense" else int(rng.integers(2, 4))
    if bank in {"depthwise", "shared", "HWIM"}:
        inputs = 1
    filter_layout = "".join(rng.permutation(list("OIHW"))) if rng.random() < 0.5 else "OIHW"
    if bank == "dense" and per_group == 1 and rng.random() < 0.5:
        filter_layout = "HW" if inputs == 1 else "IHW"
    elif bank in {"shared", "HWIM"}:
        filter_layout = {"shared": "HW"}.get(bank, bank)
    channels = groups * inputs
    taps = [int(rng.integers(1, 5)) for _ in range(2)]
    sizes = {
        "O": groups * per_group if bank in {"grouped", "depthwise"} else per_group,
        "I": channels if bank in {"transposed", "HWIM"} else inputs,
        "M": per_group,
    }
    transposed_kernel = bool(rng.random() < 0.15)
    sizes |= dict(zip("WH" if transposed_kernel else "HW", taps, strict=True))

    image_layout = pick("CHW", "CHW", "HWC", "CWH", "NCHW", "NHWC", *(["HW"] * (channels == 1)))
    batch = int(rng.integers(1, 3)) if "N" in image_layout else 1
    extents = {
        "N": batch,
        "C": channels,
        "H": int(rng.integers(3, 9)),
        "W": int(rng.integers(3, 9)),
    }
    output_layout = pick("NOHW", "NHWO", *([] if batch > 1 else ["OHW", "HWO", "HW"]))

    def pair(low: int, high: int, often: float) -> tuple[int, ...]:
        if rng.random() < often:
            return (low, low)
        one = int(rng.integers(low, high))
        return (one, one) if rng.random() < 0.5 else (one, int(rng.integers(low, high)))

    stride, dilation, gaps = pair(1, 5, 0.4), pair(1, 4, 0.6), pair(1, 4, 0.7)
    if max(gaps) > 1 and rng.random() < 0.7:
        stride = (1, 1)
    style = pick("none", "even", "upper", "lower", "full", "scipy", "any", "crop")
    padding = []
    for axis, name in enumerate("HW"):
        size = (extents[name] - 1) * gaps[axis] + 1
        reach = dilation[axis] * (taps[axis] - 1)
        total = max((-(-size // stride[axis]) - 1) * stride[axis] + reach + 1 - size, 0)
        even = int(rng.integers(0, 3))
        low, high = (-2, 6) if style == "any" else (-3, 1)
        padding.append(
            {
                "none": (0, 0),
                "even": (even, even),
                "upper": (total // 2, total - total // 2),
                "lower": (total - total // 2, total // 2),
                "full": (reach, reach),
                "scipy": (taps[axis] // 2, (taps[axis] - 1) // 2),
            }.get(style, tuple(int(v) for v in rng.integers(low, high, 2)))
        )
        if max(gaps) > 1 and style in {"even", "upper"}:
            padding[-1] = (reach - even, reach - even + int(rng.integers(0, gaps[axis])))
    mode = pick(*COMMON)
    bias = None
    if rng.random() < 0.25:
        count = groups if bank == "shared" else groups * per_group
        bias = tuple(float(v) / 2 for v in rng.integers(-9, 10, count))
    order = None
    if rng.random() < 0.25:
        order = (
            rng.permutation(channels).tolist() if rng.random() < 0.5 else [*range(channels)][::-1]
        )
    convention = Convention(
        image_layout=image_layout,
        filter_layout=filter_layout,
        output_layout=output_layout,
        flip=pick((), ("H", "W"), ("I", "H", "W"), ("I",), ("H",), ("W",), ("I", "W")),
        stride=stride,
        dilation=dilation,
        input_dilation=gaps,
        padding=tuple(padding),
        padding_mode=mode,
        padding_value=pick(0, 0, 0, 3, -1.5) if mode == "constant" else 0,
        groups=groups,
        channel_order=order,
        kernel_transposed=transposed_kernel,
        scale=pick(1, 1, 1, 0.25, -2, 1 / 9),
        bias=bias,
        activation=pick(None, None, None, "relu"),
        arithmetic=pick(*ARITHMETICS),
    )
    return Drawn(
        rng.integers(-9, 10, [extents[axis] for axis in image_layout]),
        rng.integers(-9, 10, [sizes[axis] for axis in filter_layout]),
        convention,
    )


def expected(drawn: Drawn) -> np.ndarray:
    """The engine's result, not rounded to a precision that NumPy has no dtype for."""
    convention = drawn.convention
    if convention.arithmetic in {"tf32", "bfloat16"}:
        convention = convention.replace(arithmetic="exact")
    return convolve(drawn.image, drawn.filters, convention)


def run(code: str, drawn: Drawn, **names: Any) -> np.ndarray:
    """What the printed code assigns to ``out``."""
    scope: dict[str, Any] = {"image": drawn.image, "filters": drawn.filters, **names}
    exec(code, scope)
    return np.asarray(scope["out"])
