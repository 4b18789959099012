"""An attack on ``identify``: layers by the thousand, as PyTorch and onnxruntime compute them.

Each case is a function of its seed and number: a layer of one to three axes, in floats or on
integers, with the strides, paddings, dilations and groups that networks have, and what comes
before and after its sums. It is right where the convention that is named gives, of a new image of
the same kind, what the library gives; false where it is ``identified`` and does not; else missed.

Numbers of a channel beyond those that the output had say nothing: a limit that was not reached
cannot be known, nor what a channel does that was one number throughout. Integers may be off by
one in a few places, where a scale leaves open how a tie is rounded; those are told apart from what
is equal to the bit.

    python tests/layers.py [CASES] [SEED] [--kind WORDS] [--first NUMBER]
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from drawn_layers import photograph
from drawn_parts import pick
from same_operation import departures

import convcheck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Array = np.ndarray[Any, Any]
    Rng = np.random.Generator
    Call = Callable[[Array], Array]

CLOSE = {"bfloat16": 4e-2, "float16": 5e-3, "float32": 1e-4}
"""How far a result may be off, in parts of the results' rms."""
TIES, OPEN = 0.02, 4
"""The part of integers that may be off by one, and so many in as many as a channel has elements."""
FEW = 8
"""Elements of a channel that tell numbers of its own."""
AXES = {1: "W", 2: "HW", 3: "DHW"}
IMAGENET = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
CAFFE = np.array([103.939, 116.779, 123.68])


@dataclass
class Shape:
    """Sizes of a layer, and the arguments that libraries take."""

    rank: int
    channels: int
    outputs: int
    size: tuple[int, ...]
    taps: tuple[int, ...]
    batch: int = 1
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    padding: tuple[int, ...] = ()
    mode: str = "constant"
    causal: bool = False
    transposed: bool = False

    def __post_init__(self) -> None:
        self.padding = self.padding or (0,) * self.rank

    @property
    def image(self) -> tuple[int, ...]:
        return (self.batch, self.channels, *self.size)

    @property
    def bank(self) -> tuple[int, ...]:
        if self.transposed:
            return (self.channels, self.outputs // self.groups, *self.taps)
        return (self.outputs, self.channels // self.groups, *self.taps)

    @property
    def products(self) -> int:
        return self.channels // self.groups * int(np.prod(self.taps))

    def words(self) -> str:
        """What is out of the ordinary."""
        said = [f"{self.rank}-D {self.image} by {self.bank}"]
        said += [
            f"{n} {v}" for n in ("stride", "dilation", "groups") if (v := getattr(self, n)) > 1
        ]
        said += [f"padding {self.padding}"] if any(self.padding) else []
        said += [self.mode] if self.mode != "constant" else []
        said += [n for n in ("causal", "transposed") if getattr(self, n)]
        return ", ".join(said)


@dataclass
class Case:
    """A layer: how its images are drawn, its filters, and the call."""

    number: int
    kind: str
    words: str
    draw: Callable[[Rng], Array]
    filters: Array
    call: Call
    closeness: str = "float32"
    image: Array = field(init=False)
    output: Array = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng([77, self.number])
        self.image = self.draw(rng)
        self.output = self.call(self.image)


# ---- shapes


def plain_layer(rng: Rng, rank: int) -> Shape:
    """A layer in the middle of a network."""
    high = {1: 200, 2: 30, 3: 10}[rank]
    size = tuple(int(n) for n in rng.integers(high // 2, high, rank))
    one = pick(rng, 3, 3, 3, 3, 1, 5, 7 if rank < 3 else 3)
    taps = (one,) * rank
    if rank == 2 and rng.random() < 0.1:
        taps = pick(rng, (1, 7), (7, 1), (1, 3), (3, 1))
    channels, outputs = int(rng.integers(2, 17)), int(rng.integers(2, 17))
    s = Shape(rank, channels, outputs, size, taps, pick(rng, 1, 1, 2))
    s.stride = pick(rng, 1, 1, 1, 2)
    s.padding = tuple(k // 2 for k in taps) if rng.random() < 0.7 else (0,) * rank
    return s


def grouped(rng: Rng, rank: int) -> Shape:
    """Groups, most of them depthwise."""
    s = plain_layer(rng, rank)
    s.groups = pick(rng, 2, 4, 8)
    if rng.random() < 0.6:
        s.channels, s.outputs = s.groups, s.groups * pick(rng, 1, 1, 2)
    else:
        s.channels, s.outputs = (s.groups * int(rng.integers(1, 4)) for _ in range(2))
    return s


def dilated(rng: Rng, rank: int) -> Shape:
    """Causal ones of signals, pyramids of pictures."""
    s = plain_layer(rng, rank)
    s.stride, s.taps = 1, (3,) * rank
    if rank == 1:
        s.dilation = pick(rng, 2, 4, 8, 16, 32, 64, 128, 256)
        s.taps = (pick(rng, 2, 3),)
        s.causal = bool(rng.random() < 0.6)
        s.size = (3 * s.dilation + int(rng.integers(40, 200)),)
    elif rank == 2:
        s.dilation = pick(rng, 2, 2, 4, 6, 12, 18)
        s.size = tuple(2 * s.dilation + int(n) for n in rng.integers(8, 24, 2))
    else:
        s.dilation = 2
        s.size = tuple(int(n) for n in rng.integers(6, 11, 3))
    s.padding = (0,) * rank if s.causal else (s.dilation * (s.taps[0] // 2),) * rank
    return s


def patches(rng: Rng, rank: int) -> Shape:
    """Windows that do not overlap, or frames of a signal."""
    if rank == 1:
        taps = pick(rng, 10, 16, 64, 256, 400)
        stride = {10: 5, 16: 8, 64: 64, 256: 128, 400: 160}[taps]
        return Shape(1, 1, int(rng.integers(4, 17)), (taps + stride * 40,), (taps,), stride=stride)
    taps = pick(rng, 2, 4, 8, 14, 16) if rank == 2 else pick(rng, 2, 4)
    size = tuple(taps * int(n) for n in rng.integers(4, 8, rank))
    taps_ = (taps,) * rank
    return Shape(rank, 3, int(rng.integers(4, 17)), size, taps_, pick(rng, 1, 2), stride=taps)


def stem(rng: Rng, rank: int) -> Shape:
    """The first layer of a network of pictures."""
    size = tuple(int(n) for n in rng.integers(*{1: (80, 200), 2: (28, 60), 3: (8, 14)}[rank], rank))
    taps = pick(rng, 3, 7, 5) if rank < 3 else 3
    s = Shape(rank, 3, int(rng.integers(4, 25)), size, (taps,) * rank, stride=2)
    s.padding = (taps // 2,) * rank
    return s


def bordered(rng: Rng, rank: int) -> Shape:
    """A border of the image's own numbers."""
    s = plain_layer(rng, rank)
    s.taps = tuple(max(3, k) for k in s.taps)
    s.padding = tuple(k // 2 for k in s.taps)
    s.mode = pick(rng, "reflect", "replicate", "circular")
    return s


def transposed(rng: Rng, rank: int) -> Shape:
    """One that makes its image larger."""
    high = {1: 60, 2: 12, 3: 6}[rank]
    size = tuple(int(n) for n in rng.integers(high // 2, high, rank))
    taps, stride, padding = pick(rng, (2, 2, 0), (4, 2, 1), (3, 2, 1), (3, 1, 1))
    channels, outputs = int(rng.integers(2, 9)), int(rng.integers(2, 9))
    s = Shape(rank, channels, outputs, size, (taps,) * rank, stride=stride, transposed=True)
    s.padding = (padding,) * rank
    return s


SHAPES = {
    f.__name__.replace("_", " "): f
    for f in (plain_layer, grouped, dilated, patches, stem, bordered, transposed)
}


# ---- floats


def _sums(s: Shape, w: Any, bias: Any) -> Callable[[Any], Any]:
    from torch.nn import functional

    def make(x: Any) -> Any:
        if s.transposed:
            conv = getattr(functional, f"conv_transpose{s.rank}d")
            return conv(x, w, bias, stride=s.stride, padding=s.padding, groups=s.groups)
        padding: Any = s.padding
        if s.causal:
            x = functional.pad(x, ((s.taps[0] - 1) * s.dilation, 0))
        elif s.mode != "constant":
            x = functional.pad(x, [p for p in reversed(s.padding) for _ in range(2)], mode=s.mode)
            padding = 0
        conv = getattr(functional, f"conv{s.rank}d")
        return conv(
            x, w, bias, stride=s.stride, padding=padding, dilation=s.dilation, groups=s.groups
        )

    return make


def _activations() -> dict[str, Any]:
    import torch
    from torch.nn import functional

    return {
        "relu": functional.relu,
        "relu6": functional.relu6,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "silu": functional.silu,
        "gelu": functional.gelu,
        "gelu_tanh": partial(functional.gelu, approximate="tanh"),
        "hard_sigmoid": functional.hardsigmoid,
        "hard_swish": functional.hardswish,
        "softplus": functional.softplus,
        "elu": functional.elu,
        "abs": torch.abs,
        "leaky_relu 0.01": partial(functional.leaky_relu, negative_slope=0.01),
        "leaky_relu 0.1": partial(functional.leaky_relu, negative_slope=0.1),
        "leaky_relu 0.2": partial(functional.leaky_relu, negative_slope=0.2),
        "hardtanh": functional.hardtanh,
        "clamp": partial(torch.clamp, min=-0.5, max=1.5),
    }


def _after(rng: Rng, s: Shape) -> tuple[str, Callable[[Any], Any]]:
    """A batch normalisation or none, and any activation or none, and their name."""
    import torch
    from torch.nn import functional

    words, n = [], s.outputs
    numbers = [0.1 * rng.standard_normal(n), rng.uniform(0.4, 2, n)]
    numbers += [rng.uniform(0.4, 1.6, n), 0.3 * rng.standard_normal(n)]
    mean, variance, weight, bias = (torch.from_numpy(a.astype(np.float32)) for a in numbers)
    batch_norm = rng.random() < 0.4
    words += ["batch norm"] if batch_norm else []
    names = ["", "", "", "relu", "relu", *_activations()]
    activation = pick(rng, *names)
    words += [activation] if activation else []
    function = _activations().get(activation)

    def make(y: Any) -> Any:
        if batch_norm:
            y = functional.batch_norm(y, mean, variance, weight, bias)
        return function(y) if function else y

    return ", ".join(words), make


def in_floats(rng: Rng, number: int, kind: str, s: Shape) -> Case:
    """A layer of PyTorch in float32."""
    import torch

    bias = None
    if rng.random() < 0.5:
        bias = torch.from_numpy(0.3 * rng.standard_normal(s.outputs).astype(np.float32))
    w = (rng.standard_normal(s.bank) / np.sqrt(s.products)).astype(np.float32)
    make = _sums(s, torch.from_numpy(w), bias)
    words, after = _after(rng, s)
    first = s.rank == 2 and s.channels == 3
    picture = pick(rng, "", "photograph") if first or rng.random() < 0.2 else ""
    steps, before = _before(rng) if picture and first else ("over 255", lambda x: x / 255)
    last = bool(rng.random() < 0.4)

    def draw(rng: Rng) -> Array:
        if not picture:
            return _laid_out(rng.standard_normal(s.image).astype(np.float32), last)
        axes = "NC" + AXES[s.rank]
        return _laid_out(photograph(rng, s.image, axes), last)

    def call(image: Array) -> Array:
        planes = _planes(image, last)
        if picture:
            planes = np.moveaxis(before(np.moveaxis(planes.astype(float), 1, -1)), -1, 1)
        x = torch.from_numpy(np.ascontiguousarray(planes, np.float32))
        return _laid_out(after(make(x)).numpy(), last)

    said = [s.words(), "bias" if bias is not None else "", words]
    said += [f"photograph, {steps}" if picture else "", "channels last" if last else ""]
    layer = ", ".join(filter(None, said))
    return Case(number, kind, layer, draw, _bank_laid_out(w, last), call)


def _before(rng: Rng) -> tuple[str, Call]:
    """What is done to bytes before a network of pictures, of ... HWC."""
    mean, deviation = IMAGENET
    ways: dict[str, Call] = {
        "as it is": lambda x: x,
        "over 255": lambda x: x / 255,
        "-1 to 1": lambda x: x / 127.5 - 1,
        "ImageNet": lambda x: (x - mean) / deviation,
        "ImageNet, BGR": lambda x: (x[..., ::-1] - mean) / deviation,
        "Caffe": lambda x: x[..., ::-1] - CAFFE,
    }
    name = pick(rng, "ImageNet", *ways)
    return name, ways[name]


def in_few_bits(rng: Rng, number: int, kind: str, s: Shape) -> Case:
    """A layer of PyTorch in bfloat16 or float16, and perhaps a ReLU."""
    import torch

    name = pick(rng, "bfloat16", "bfloat16", "float16")
    dtype = getattr(torch, name)
    w = torch.from_numpy(rng.standard_normal(s.bank) / np.sqrt(s.products)).to(dtype)
    make, relu = _sums(s, w, None), bool(rng.random() < 0.5)

    def draw(rng: Rng) -> Array:
        x = torch.from_numpy(rng.standard_normal(s.image)).to(dtype)
        return np.asarray(x.float().numpy())

    def call(image: Array) -> Array:
        y = make(torch.from_numpy(image).to(dtype))
        return np.asarray((torch.relu(y) if relu else y).float().numpy())

    words = f"{s.words()}, {name}{', relu' if relu else ''}"
    return Case(number, kind, words, draw, w.float().numpy(), call, name)


# ---- integers


def by_torch(rng: Rng, number: int, kind: str, s: Shape) -> Case:
    """A quantised layer of PyTorch."""
    import torch

    engine = "fbgemm" if s.rank != 2 else pick(rng, "fbgemm", "onednn", "qnnpack")
    each, relu = (bool(v) for v in rng.integers(0, 2, 2))
    if engine == "qnnpack":
        each = False
    q = _numbers(rng, s, each=each)
    zeros = torch.zeros(len(q.scales), dtype=torch.int64)
    scales, w = torch.from_numpy(q.scales.astype(float)), torch.from_numpy(q.filters)
    bias = torch.from_numpy((q.bias * q.image_scale * q.scales).astype(np.float32))
    functional = torch.ao.nn.quantized.functional
    conv = getattr(functional, f"conv{s.rank}d")

    def call(image: Array) -> Array:
        torch.backends.quantized.engine = engine
        x = torch._make_per_tensor_quantized_tensor(
            torch.from_numpy(image), q.image_scale, q.image_zero
        )
        if each:
            weights = torch._make_per_channel_quantized_tensor(w, scales, zeros, 0)
        else:
            weights = torch._make_per_tensor_quantized_tensor(w, float(q.scales[0]), 0)
        y = conv(
            x,
            weights,
            bias,
            stride=s.stride,
            padding=s.padding[0] if len(set(s.padding)) == 1 else s.padding,
            dilation=s.dilation,
            groups=s.groups,
            scale=q.output_scale,
            zero_point=q.output_zero,
        )
        return np.asarray((torch.relu(y) if relu else y).int_repr().numpy())

    words = f"{s.words()}, {engine}{', each' if each else ''}{', relu' if relu else ''}"
    words += f", zero points {q.image_zero} and {q.output_zero}, {q.picture}"
    return Case(number, kind, words, q.draw, q.filters, call, "uint8")


def by_onnxruntime(rng: Rng, number: int, kind: str, s: Shape) -> Case:
    """``QLinearConv``, with ReLU where the output's zero point is 0."""
    import onnx
    import onnxruntime

    each = bool(rng.integers(2))
    q = _numbers(rng, s, each=each)
    if rng.random() < 0.4:
        q.output_zero = 0
    values = {
        "xs": np.float32(q.image_scale),
        "xz": np.uint8(q.image_zero),
        "w": q.filters,
        "ws": q.scales if each else q.scales[0],
        "wz": np.zeros(len(q.scales), np.int8) if each else np.int8(0),
        "ys": np.float32(q.output_scale),
        "yz": np.uint8(q.output_zero),
        "b": q.bias,
    }
    helper = onnx.helper
    node = helper.make_node(
        "QLinearConv",
        ["x", *values],
        ["y"],
        pads=list(s.padding) * 2,
        strides=[s.stride] * s.rank,
        dilations=[s.dilation] * s.rank,
        group=s.groups,
    )
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", onnx.TensorProto.UINT8, s.image)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.UINT8, None)],
        [onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def call(image: Array) -> Array:
        return np.asarray(session.run(None, {"x": image})[0])

    words = f"{s.words()}, onnxruntime{', each' if each else ''}"
    words += f", zero points {q.image_zero} and {q.output_zero}, {q.picture}"
    return Case(number, kind, words, q.draw, q.filters, call, "uint8")


@dataclass
class _Numbers:
    """The numbers of a quantised layer."""

    filters: Array
    bias: Array
    scales: Array
    image_scale: float
    image_zero: int
    output_scale: float
    output_zero: int
    picture: str
    draw: Callable[[Rng], Array]


def _numbers(rng: Rng, s: Shape, *, each: bool) -> _Numbers:
    """Numbers as a calibration finds them: weights of 7 bits, as without VNNI others saturate."""
    n = s.outputs
    filters = np.clip(np.rint(rng.standard_normal(s.bank) * 22), -63, 63).astype(np.int8)
    scales = np.float32(rng.uniform(0.002, 0.008, n if each else 1))
    picture = pick(rng, "photograph", "noise")
    axes = "NC" + AXES[s.rank]

    def draw(rng: Rng) -> Array:
        if picture == "photograph":
            return photograph(rng, s.image, axes)
        return np.clip(np.rint(rng.normal(118, 40, s.image)), 0, 255).astype(np.uint8)

    image_zero = pick(rng, 0, int(rng.integers(90, 160)), int(rng.integers(90, 160)))
    spread = 22 * np.hypot(40, 118 - image_zero) * np.sqrt(s.products)
    output_scale = float(np.float32(spread * 0.02 * float(scales.mean()) / rng.uniform(30, 60)))
    bias = rng.integers(-int(spread) // 3 - 1, int(spread) // 3 + 1, n).astype(np.int32)
    output_zero = int(rng.integers(90, 160))
    return _Numbers(
        *(filters, bias, scales, 0.02, image_zero),
        *(output_scale, output_zero, picture, draw),
    )


# ---- layouts


def _laid_out(a: Array, last: bool) -> Array:
    return np.ascontiguousarray(np.moveaxis(a, 1, -1)) if last else np.ascontiguousarray(a)


def _planes(a: Array, last: bool) -> Array:
    return np.moveaxis(a, -1, 1) if last else a


def _bank_laid_out(w: Array, last: bool) -> Array:
    """Channels last: HWIO."""
    return np.ascontiguousarray(np.moveaxis(w, (0, 1), (-1, -2))) if last else w


# ---- the attack

MAKERS: dict[str, Any] = {
    "floats": in_floats,
    "few bits": in_few_bits,
    "integers by torch": by_torch,
    "integers by onnxruntime": by_onnxruntime,
}
SHARES = {"floats": 0.66, "few bits": 0.06, "integers by torch": 0.14}


def drawn(seed: int, number: int) -> Case:
    """The case of that number."""
    rng = np.random.default_rng([seed, number])
    names = list(MAKERS)
    shares = [SHARES.get(name, 0.14) for name in names]
    name = str(rng.choice(names, p=shares))
    while True:
        shape = pick(rng, "plain layer", "plain layer", *SHAPES)
        rank = int(rng.choice([1, 2, 3], p=[0.25, 0.57, 0.18]))
        s = SHAPES[shape](rng, rank)
        odd = s.transposed or s.causal or s.mode != "constant"
        if name.startswith("integers") and odd:
            continue
        case: Case = MAKERS[name](rng, number, f"{name}: {shape}", s)
        if case.output.size >= 100:
            return case


class Verdict(NamedTuple):
    """What came of a case, one of ``right``, ``off by one``, ``missed`` and ``false``."""

    result: str
    said: str
    seconds: float


def judged(case: Case) -> Verdict:
    """Ask, and hold the answer against the library on new images."""
    begun = time.perf_counter()
    found = convcheck.identify(case.image, case.filters, case.output)
    seconds = time.perf_counter() - begun
    keys = [c.convention.to_dict() for c in found.candidates]
    said = f"{found.verdict}: {departures(keys[0])}" if keys else found.verdict
    if found.verdict not in ("identified", "ambiguous"):
        if keys:
            wrong = found.candidates[0].comparison.mismatched
            said = f"{said}, {wrong} of {case.output.size} wrong"
        return Verdict("missed", said, seconds)
    held = [_holds(case, c.convention) for c in found.candidates]
    best = min(held, key=("right", "off by one", "wrong").index)
    if best == "wrong":
        return Verdict("false" if found.verdict == "identified" else "missed", said, seconds)
    return Verdict(best, said, seconds)


def _holds(case: Case, convention: Any) -> str:
    """Whether a convention does to two new images what the library does."""
    axes = convention.output_layout
    others = tuple(i for i, axis in enumerate(axes) if axis != "C")
    low = case.output.min(axis=others, keepdims=True)
    high = case.output.max(axis=others, keepdims=True)
    result = "right"
    if isinstance(convention.scale, tuple):
        # Of a channel that was cut off nearly throughout it is said that its numbers are rough.
        kept = (case.output > case.output.min()) & (case.output < case.output.max())
        low = np.where(kept.sum(axis=others, keepdims=True) < FEW, high, low)
    for seed in range(2):
        image = case.draw(np.random.default_rng([78, seed, case.number]))
        wanted, given = case.call(image), convcheck.convolve(image, case.filters, convention)
        if given.shape != wanted.shape:
            return "wrong"
        told = (wanted >= low) & (wanted <= high) & (low < high)
        a, b = (np.asarray(v, float)[told] for v in (given, wanted))
        away = np.abs(a - b)
        if case.output.dtype.kind in "iu":
            each = wanted.size // wanted.shape[axes.index("C")]
            if not ((away <= 1).all() and np.mean(away != 0) <= max(TIES, OPEN / each)):
                return "wrong"
            result = "off by one" if away.any() else result
            continue
        size = float(np.sqrt(np.mean(np.square(case.output, dtype=float))))
        if not (away <= CLOSE[case.closeness] * size).all():
            return "wrong"
    return result


def attack(
    cases: int, seed: int = 0, words: str = "", first: int = 0
) -> Iterator[tuple[Case, Verdict]]:
    """What came of so many cases."""
    for number in range(first, first + cases):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch's quantised tensors, deprecated
            case = drawn(seed, number)
        if words in case.kind:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                yield case, judged(case)


def main(arguments: list[str]) -> int:
    """Attack, and print what is not right and a summary."""
    parser = argparse.ArgumentParser(description="Layers of libraries against identify.")
    parser.add_argument("cases", nargs="?", type=int, default=1000)
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--kind", default="", help="only kinds that have these words")
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    given = parser.parse_args(arguments)
    begun = time.perf_counter()
    counts: Counter[str] = Counter()
    times: list[float] = []
    for case, verdict in attack(given.cases, given.seed, given.kind, given.first):
        counts[verdict.result] += 1
        times.append(verdict.seconds)
        if verdict.result in ("false", "missed"):
            print(
                f"{verdict.result.upper()} {given.seed} {case.number}: {case.kind}; {case.words}; "
                f"{verdict.seconds:.1f} s; {verdict.said}",
                flush=True,
            )
    total = counts.total()
    right = counts["right"] + counts["off by one"]
    print(
        f"{total} layers, seed {given.seed}, {time.perf_counter() - begun:.0f} s: "
        f"{right} right ({right / max(total, 1):.1%}), {counts['off by one']} of them within one, "
        f"{counts['missed']} missed, {counts['false']} false"
    )
    if times:
        print(f"seconds of an answer: median {np.median(times):.2f}, longest {max(times):.1f}")
    return int(counts["false"] > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
