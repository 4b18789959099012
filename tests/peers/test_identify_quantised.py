"""Layers on integers that onnxruntime and PyTorch computed: every element is given.

The image's zero point shows as a bias, as nothing is padded, or is 0 where something is.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import convcheck

sys.path.append(str(Path(__file__).parents[1]))

Array = np.ndarray


class Layer(NamedTuple):
    """A drawn layer: its arrays, and the scales and zero points that it is quantised by."""

    image: Array
    filters: Array
    bias: Array
    image_zero: int
    scales: Array
    """Of the filters: one, or one a channel."""
    output_scale: float
    output_zero: int
    padding: int
    stride: int
    each: bool


IMAGE_SCALE = 0.02


def drawn(seed: int, *, signed: bool = False) -> Layer:
    """A layer of usual numbers; about half of them has a scale for each channel."""
    rng = np.random.default_rng(seed)
    channels, outputs = int(rng.integers(1, 9)), int(rng.integers(2, 8))
    taps, padding = int(rng.choice([1, 2, 3, 3])), int(rng.integers(0, 2))
    size = [int(n) for n in rng.integers(12, 26, 2)]
    image = rng.integers(0, 256, (1, channels, *size)).astype(np.uint8)
    zero = 0 if padding else int(rng.integers(90, 160))
    if signed:
        image, zero = (image.astype(int) - 128).astype(np.int8), zero - 128 if zero else 0
    filters = np.clip(np.rint(rng.standard_normal((outputs, channels, taps, taps)) * 40), -127, 127)
    each = bool(rng.integers(2))
    scales = np.float32(rng.uniform(0.001, 0.004, outputs if each else 1))
    typical = 40 * 75 * np.sqrt(channels * taps**2) * IMAGE_SCALE * float(scales.mean())
    return Layer(
        image,
        filters.astype(np.int8),
        rng.integers(-3000, 3000, outputs).astype(np.int32),
        zero,
        scales,
        float(np.float32(typical / rng.uniform(25, 60))),
        int(rng.integers(100, 150)) - 128 * signed,
        padding,
        int(rng.choice([1, 1, 2])),
        each,
    )


def by_onnxruntime(layer: Layer) -> Array:
    """``QLinearConv``."""
    onnx = pytest.importorskip("onnx")
    ort = pytest.importorskip("onnxruntime")
    one, dtype = layer.scales, layer.image.dtype
    values = {
        "xs": np.float32(IMAGE_SCALE),
        "xz": np.asarray(layer.image_zero, dtype),
        "w": layer.filters,
        "ws": one if layer.each else one[0],
        "wz": np.zeros(one.shape, np.int8) if layer.each else np.int8(0),
        "ys": np.float32(layer.output_scale),
        "yz": np.asarray(layer.output_zero, dtype),
        "b": layer.bias,
    }
    node = onnx.helper.make_node(
        "QLinearConv",
        ["x", *values],
        ["y"],
        pads=[layer.padding] * 4,
        strides=[layer.stride] * 2,
    )
    return _run(onnx, ort, node, layer.image, values, dtype)


def _run(onnx: Any, ort: Any, node: Any, image: Array, values: dict[str, Any], dtype: Any) -> Array:
    helper = onnx.helper
    kind = helper.np_dtype_to_tensor_dtype
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", kind(image.dtype), image.shape)],
        [helper.make_tensor_value_info("y", kind(np.dtype(dtype)), None)],
        [onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (out,) = session.run(None, {"x": image})
    return np.asarray(out)


def by_torch(layer: Layer, engine: str) -> Array:
    """``torch.ao.nn.quantized.functional.conv2d`` by an engine, of uint8."""
    torch = pytest.importorskip("torch")
    if engine not in torch.backends.quantized.supported_engines:
        pytest.skip(f"no {engine} here")
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = engine
    try:
        return _by_engine(torch, layer)
    finally:
        torch.backends.quantized.engine = before


def _by_engine(torch: Any, layer: Layer) -> Array:
    x = torch._make_per_tensor_quantized_tensor(
        torch.from_numpy(layer.image), IMAGE_SCALE, layer.image_zero
    )
    w, one = torch.from_numpy(layer.filters), torch.from_numpy(layer.scales.astype(float))
    if layer.each:
        weights = torch._make_per_channel_quantized_tensor(
            w, one, torch.zeros(len(one), dtype=torch.int64), 0
        )
    else:
        weights = torch._make_per_tensor_quantized_tensor(w, float(one[0]), 0)
    bias = torch.from_numpy((layer.bias * IMAGE_SCALE * layer.scales).astype(np.float32))
    y = torch.ao.nn.quantized.functional.conv2d(
        x,
        weights,
        bias,
        stride=layer.stride,
        padding=layer.padding,
        scale=layer.output_scale,
        zero_point=layer.output_zero,
    )
    return np.asarray(y.int_repr().numpy())


def holds(layer: Layer, output: Array) -> None:
    """All is given, by an operation of this stride and padding, and convolve says the same."""
    result = convcheck.identify(layer.image, layer.filters, output)
    assert result.verdict == "identified", (layer[2:], result.candidates or result.nearest)
    found = result.candidates[0].convention
    assert found.stride == (layer.stride, layer.stride) or min(output.shape[2:]) < 3
    apart = convcheck.convolve(layer.image, layer.filters, found).astype(int) - output
    assert np.abs(apart).max() <= 1
    assert np.count_nonzero(apart) <= 2e-4 * apart.size + 1


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("signed", [False, True])
def test_onnxruntime(seed: int, signed: bool) -> None:
    layer = drawn(seed, signed=signed)
    holds(layer, by_onnxruntime(layer))


@pytest.mark.filterwarnings("ignore:.*quantized:UserWarning")
@pytest.mark.parametrize("seed", range(100, 105))
@pytest.mark.parametrize("engine", ["fbgemm", "qnnpack", "onednn"])
def test_torch(seed: int, engine: str) -> None:
    layer = drawn(seed)
    holds(layer, by_torch(layer, engine))


@pytest.mark.parametrize("seed", range(3))
def test_conv_integer(seed: int) -> None:
    """Sums of integers as they are: the zero point of the image is a bias."""
    onnx = pytest.importorskip("onnx")
    ort = pytest.importorskip("onnxruntime")
    layer = drawn(seed)
    values = {"w": layer.filters, "xz": np.uint8(layer.image_zero), "wz": np.int8(0)}
    node = onnx.helper.make_node(
        "ConvInteger", ["x", *values], ["y"], pads=[layer.padding] * 4, strides=[layer.stride] * 2
    )
    out = _run(onnx, ort, node, layer.image, values, np.int32)
    result = convcheck.identify(layer.image, layer.filters, out)
    assert result.verdict == "identified"
    found = result.candidates[0].convention
    assert np.array_equal(convcheck.convolve(layer.image, layer.filters, found), out)
