"""Random conventions over the whole vocabulary, each with small integer data that fit it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from drawn_parts import Bank, draw_bank, pick, usual_padding

from convcheck.calls import CANNOT, equivalent_calls
from convcheck.convention import ACTIVATIONS, PADDING_MODES, PRECISIONS, Activation, Convention
from convcheck.convention.storage import FLOATS, OVERFLOWS, ROUNDINGS, Storage
from convcheck.engine import convolve, output_shape
from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COMMON = (*("constant" for _ in range(6)), *PADDING_MODES)
ARITHMETICS = (*("exact" for _ in range(30)), *PRECISIONS)
STORED = ("uint8", "int8", "uint8", "int8", "int16", "int32", "int64", *FLOATS)
CLOSE = {"float32": 2.0**-23, "float16": 2.0**-10}


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
    spatial = pick(rng, "W", "HW", "HW", "DHW")
    rank = len(spatial)
    bank = draw_bank(rng, most=3, longest=4 if rank < 3 else 3, spatial=spatial)
    batch = pick(rng, 1, 1, 2)
    extents = {"N": batch, "C": bank.channels}
    extents |= {axis: int(rng.integers(3, 9 if rank < 3 else 6)) for axis in spatial}

    def each(low: int, high: int, often: float) -> tuple[int, ...]:
        if rng.random() < often:
            return (low,) * rank
        values = rng.integers(low, high, 1 if rng.random() < 0.5 else rank)
        return tuple(int(v) for v in np.broadcast_to(values, rank))

    stride, dilation, gaps = each(1, 5, 0.4), each(1, 4, 0.6), each(1, 4, 0.7)
    if max(gaps) > 1 and rng.random() < 0.7:
        stride = (1,) * rank
    style = pick(rng, "none", "even", "upper", "lower", "full", "scipy", "any", "crop")
    padding = []
    for axis, name in enumerate(spatial):
        size = (extents[name] - 1) * gaps[axis] + 1
        even = int(rng.integers(0, 3))
        low, high = (-2, 6) if style == "any" else (-3, 1)
        pads = usual_padding(size, bank.taps[axis], stride[axis], dilation[axis], even)
        reach = pads["full"][0]
        padding.append(pads.get(style, tuple(int(v) for v in rng.integers(low, high, 2))))
        if max(gaps) > 1 and style in {"even", "upper"}:
            padding[-1] = (reach - even, reach - even + int(rng.integers(0, gaps[axis])))
    modes = tuple(pick(rng, *COMMON) for _ in spatial) if rng.random() < 0.1 else pick(rng, *COMMON)
    image_layout = _layout(rng, spatial, batch, bank.channels)
    # By numbers of their own: what else is drawn stays as it is.
    seldom = np.random.default_rng([*image_layout.encode(), *bank.layout.encode(), *bank.taps])
    convention = Convention(
        image_layout=image_layout,
        filter_layout=bank.layout,
        output_layout=_layout(rng, spatial, batch, bank.outputs),
        image_memory=_memory(image_layout, seldom),
        filter_memory=_memory(bank.layout, seldom),
        channel_order=_order(rng, bank.channels),
        output_order=_order(rng, bank.outputs),
        flip=_flip(rng, spatial),
        image_offset=_numbers(rng, bank.channels, 0),
        image_scale=pick(rng, 1, 1, 1, 0.5, (2.0,) * bank.channels),
        filter_offset=_numbers(rng, bank.outputs, 0),
        input_dilation=gaps,
        padding=tuple(padding),
        padding_mode=modes,
        padding_value=pick(rng, 0, 0, 0, 3, -1.5),
        dilation=dilation,
        stride=stride,
        groups=bank.groups,
        scale=pick(rng, 1, 1, 0.25, 1 / 9, _numbers(rng, bank.outputs, 1)),
        bias=pick(rng, None, _numbers(rng, bank.outputs, 0)),
        activation=_activation(rng),
        arithmetic=pick(rng, *ARITHMETICS),
        storage=_storage(rng),
    )
    return Drawn(*_data(rng, extents, bank, convention), convention)


def _data(
    rng: np.random.Generator, extents: dict[str, int], bank: Bank, c: Convention
) -> tuple[np.ndarray, np.ndarray]:
    image = rng.integers(-9, 10, [extents[axis] for axis in c.image_layout])
    return image, rng.integers(-9, 10, [bank.sizes[axis] for axis in bank.layout])


def _layout(rng: np.random.Generator, spatial: str, batch: int, channels: int) -> str:
    letters = ["N"] * (batch > 1 or rng.random() < 0.5) + ["C"] * (channels > 1)
    usual = ("".join(letters) + spatial, "".join(letters[:-1]) + spatial + "".join(letters[-1:]))
    return pick(rng, *usual, "".join(rng.permutation([*letters, *spatial])))


def _memory(layout: str, rng: np.random.Generator) -> str | None:
    """Mostly none, else any order of the layout's letters."""
    return "".join(rng.permutation([*layout])) if rng.random() < 0.1 else None


def _order(rng: np.random.Generator, channels: int) -> list[int] | None:
    return pick(rng, None, None, None, [*range(channels)][::-1], rng.permutation(channels).tolist())


def _flip(rng: np.random.Generator, spatial: str) -> tuple[str, ...]:
    some = tuple(axis for axis in "I" + spatial if rng.random() < 0.5)
    return pick(rng, (), tuple(spatial), ("I", *spatial), some)


def _numbers(rng: np.random.Generator, channels: int, neutral: float) -> Any:
    """Halves, which every precision holds: one, or one a channel; often none."""
    many = tuple(float(v) / 2 for v in rng.integers(-9, 10, channels))
    return pick(rng, neutral, neutral, neutral, many[0], many)


def _activation(rng: np.random.Generator) -> Activation | None:
    name = pick(rng, *ACTIVATIONS)
    values = sorted(float(v) / 4 for v in rng.integers(-9, 10, len(ACTIVATIONS[name].parameters)))
    return pick(rng, None, None, Activation(name, tuple(values)))


def _storage(rng: np.random.Generator) -> Storage | None:
    zero_point = pick(rng, 0, 0, int(rng.integers(-9, 10)))
    stored = Storage(pick(rng, *STORED), zero_point, pick(rng, *ROUNDINGS), pick(rng, *OVERFLOWS))
    return pick(rng, None, None, stored)


def expected(drawn: Drawn) -> np.ndarray:
    """The engine's result, not rounded to a precision that NumPy has no dtype for."""
    c = drawn.convention
    if c.arithmetic in {"tf32", "bfloat16"}:
        c = c.replace(arithmetic="exact")
    if c.storage is not None and c.storage.dtype == "bfloat16":
        # The zero point is added, and nothing rounded.
        c = c.replace(storage=Storage("float64", c.storage.zero_point))
    return convolve(drawn.image, drawn.filters, c)


def run(code: str, drawn: Drawn, **names: Any) -> np.ndarray:
    """What the printed code assigns to ``out``."""
    scope: dict[str, Any] = {"image": drawn.image, "filters": drawn.filters, **names}
    exec(code, scope)
    return np.asarray(scope["out"])


def agrees(out: np.ndarray, drawn: Drawn, close: float = 0.0) -> bool:
    """Whether it is the engine's result.

    To the bit where no more than dyadic numbers is added and multiplied; an activation may differ
    by what its formula rounds, and a library by ``close`` of a number. An integer differs only
    where what was stored lies so close to where rounding steps.
    """
    c, wanted = drawn.convention, expected(drawn)
    stored = c.storage.dtype if c.storage is not None else ""
    if out.shape != wanted.shape or stored not in ("", "bfloat16", str(out.dtype)):
        return False
    if c.activation is not None:
        close = max(close, 1e-12, *(CLOSE.get(name, 0.0) for name in (c.arithmetic, stored)))
    if not close:
        return np.array_equal(out, wanted)
    if c.storage is None or not c.storage.is_integer:
        return np.allclose(out, wanted, rtol=close, atol=close)
    halves = 2 * expected(Drawn(drawn.image, drawn.filters, c.replace(storage=None)))
    near = np.abs(halves - np.rint(halves)) <= 4 * close * (1 + np.abs(halves))
    return bool(np.all(near | (out == wanted)))


def agree(
    framework: str, seeds: Iterable[int], parts: Sequence[str], activated: float = 0.0
) -> Agreement:
    """Run what is printed for this framework under each drawn convention, to the same result.

    An activation's may differ by the part ``activated`` of it.
    """
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
        close = activated if drawn.convention.activation is not None else 0.0
        assert agrees(run(code, drawn), drawn, close), (seed, drawn.convention, code)
    return Agreement(said, left_out)
