"""Random conventions over the whole vocabulary, each with small integer data that fit it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from drawn_parts import draw_bank, pick, usual_padding

from convcheck.calls import CANNOT, equivalent_calls
from convcheck.convention import INTEGER_ARITHMETICS, PADDING_MODES, PRECISIONS, Convention
from convcheck.engine import convolve, output_shape
from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COMMON = (*("constant" for _ in range(6)), *PADDING_MODES)
ARITHMETICS = (*("exact" for _ in range(40)), *PRECISIONS, *INTEGER_ARITHMETICS)


class Drawn(NamedTuple):
    image: np.ndarray
    filters: np.ndarray
    convention: Convention


class Agreement(NamedTuple):
    """How many calls had each part in them, and the conventions for which there was no call."""

    said: dict[str, int]
    left_out: list[Convention]


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
    bank = draw_bank(rng, most=3, longest=4)
    lone = ["HW"] * (bank.channels == 1)
    image_layout = pick(rng, "CHW", "CHW", "HWC", "CWH", "NCHW", "NHWC", *lone)
    batch = int(rng.integers(1, 3)) if "N" in image_layout else 1
    extents = {
        "N": batch,
        "C": bank.channels,
        "H": int(rng.integers(3, 9)),
        "W": int(rng.integers(3, 9)),
    }
    output_layout = pick(rng, "NOHW", "NHWO", *([] if batch > 1 else ["OHW", "HWO", "HW"]))

    def pair(low: int, high: int, often: float) -> tuple[int, ...]:
        if rng.random() < often:
            return (low, low)
        one = int(rng.integers(low, high))
        return (one, one) if rng.random() < 0.5 else (one, int(rng.integers(low, high)))

    stride, dilation, gaps = pair(1, 5, 0.4), pair(1, 4, 0.6), pair(1, 4, 0.7)
    if max(gaps) > 1 and rng.random() < 0.7:
        stride = (1, 1)
    style = pick(rng, "none", "even", "upper", "lower", "full", "scipy", "any", "crop")
    padding = []
    for axis, name in enumerate("HW"):
        size = (extents[name] - 1) * gaps[axis] + 1
        even = int(rng.integers(0, 3))
        low, high = (-2, 6) if style == "any" else (-3, 1)
        pads = usual_padding(size, bank.taps[axis], stride[axis], dilation[axis], even)
        reach = pads["full"][0]
        padding.append(pads.get(style, tuple(int(v) for v in rng.integers(low, high, 2))))
        if max(gaps) > 1 and style in {"even", "upper"}:
            padding[-1] = (reach - even, reach - even + int(rng.integers(0, gaps[axis])))
    mode = pick(rng, *COMMON)
    bias = None
    if rng.random() < 0.25:
        count = bank.groups * (1 if bank.kind == "shared" else bank.per_group)
        bias = tuple(float(v) / 2 for v in rng.integers(-9, 10, count))
    order = None
    if rng.random() < 0.25:
        order = (
            rng.permutation(bank.channels).tolist()
            if rng.random() < 0.5
            else [*range(bank.channels)][::-1]
        )
    convention = Convention(
        image_layout=image_layout,
        filter_layout=bank.layout,
        output_layout=output_layout,
        flip=pick(rng, (), ("H", "W"), ("I", "H", "W"), ("I",), ("H",), ("W",), ("I", "W")),
        stride=stride,
        dilation=dilation,
        input_dilation=gaps,
        padding=tuple(padding),
        padding_mode=mode,
        padding_value=pick(rng, 0, 0, 0, 3, -1.5) if mode == "constant" else 0,
        groups=bank.groups,
        channel_order=order,
        kernel_transposed=bank.swapped,
        scale=pick(rng, 1, 1, 1, 0.25, -2, 1 / 9),
        bias=bias,
        activation=pick(rng, None, None, None, "relu"),
        arithmetic=pick(rng, *ARITHMETICS),
    )
    return Drawn(
        rng.integers(-9, 10, [extents[axis] for axis in image_layout]),
        rng.integers(-9, 10, [bank.sizes[axis] for axis in bank.layout]),
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


def agree(framework: str, seeds: Iterable[int], parts: Sequence[str]) -> Agreement:
    """Run what is printed for this framework under each drawn convention, to the same result."""
    said, left_out = dict.fromkeys(parts, 0), []
    for seed in seeds:
        drawn = draw(seed)
        shapes = drawn.image.shape, drawn.filters.shape
        code = equivalent_calls(drawn.convention, *shapes)[framework]
        if code == CANNOT:
            left_out.append(drawn.convention)
            continue
        for part in parts:
            said[part] += part in code
        out, wanted = run(code, drawn), expected(drawn)
        assert out.shape == wanted.shape, (seed, drawn.convention, code)
        assert np.array_equal(out, wanted), (seed, drawn.convention, code)
    return Agreement(said, left_out)
