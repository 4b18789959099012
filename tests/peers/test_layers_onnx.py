"""Layers on integers by onnxruntime whose zero points are padded: every number of them is found.

Beside each stands one that is made a little otherwise, which must not be called the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from explained import explain, not_claimed, verdict
from few import one_in

from convcheck.convention import Convention
from convcheck.engine import convolve

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

DRAWN_FROM = 17
RNG = np.random.default_rng(DRAWN_FROM)

Array = np.ndarray


def node(operator: str, image: Array, values: dict[str, Any], kind: Any, **more: Any) -> Array:
    """One operator, the image its input and all else constants."""
    helper = onnx.helper
    number = helper.np_dtype_to_tensor_dtype
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", *values], ["y"], **more)],
        "layer",
        [helper.make_tensor_value_info("x", number(image.dtype), image.shape)],
        [helper.make_tensor_value_info("y", number(np.dtype(kind)), None)],
        [onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"x": image})[0])


def pixels(*shape: int) -> Array:
    return RNG.integers(0, 256, shape).astype(np.uint8)


def weights(*shape: int) -> Array:
    """Of seven bits: without VNNI products of eight bits are added in 16, which saturate."""
    return np.clip(np.rint(RNG.standard_normal(shape) * 24), -63, 63).astype(np.int8)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("zero", one_in(2, [114, 1, 128, 255]))
def test_conv_integer(zero: int, stride: int) -> None:
    x, w = pixels(1, 3, 17, 19), weights(4, 3, 3, 3)
    more = {"pads": [1] * 4, "strides": [stride] * 2}
    values = {"w": w, "xz": np.uint8(zero), "wz": np.int8(0)}
    y = node("ConvInteger", x, values, np.int32, **more)
    found = explain(x, w, y, image_offset=float(zero), stride=stride, bias=None, scale=1.0)
    assert np.array_equal(convolve(x, w, found), y)
    other = node("ConvInteger", x, values | {"xz": np.uint8(zero ^ 2)}, np.int32, **more)
    not_claimed(x, w, other, image_offset=float(zero))


@pytest.mark.parametrize("points", one_in(2, [(114, 131), (128, 128), (3, 120)]))
def test_conv_integer_with_both_zero_points(points: tuple[int, int]) -> None:
    x, w = pixels(1, 3, 17, 19), pixels(4, 3, 3, 3)
    values = {"w": w, "xz": np.uint8(points[0]), "wz": np.uint8(points[1])}
    y = node("ConvInteger", x, values, np.int32, pads=[1] * 4)
    keys = {"image_offset": float(points[0]), "filter_offset": float(points[1])}
    found = explain(x, w, y, padding=1, **keys)
    assert np.array_equal(convolve(x, w, found), y)
    values |= {"wz": np.uint8(points[1] + 1)}
    not_claimed(x, w, node("ConvInteger", x, values, np.int32, pads=[1] * 4), **keys)


def quantised(x: Array, w: Array, each: bool, zeros: tuple[int, int]) -> dict[str, Any]:
    """The numbers of a ``QLinearConv`` whose results fill most of a byte."""
    n = len(w)
    scales = np.float32(RNG.uniform(0.001, 0.004, n if each else 1))
    sums = 24 * 75 * np.sqrt(np.prod(w.shape[1:])) * 0.02 * float(scales.mean())
    return {
        "xs": np.float32(0.02),
        "xz": np.asarray(zeros[0], x.dtype),
        "w": w,
        "ws": scales if each else scales[0],
        "wz": np.zeros(n, w.dtype) if each else np.asarray(0, w.dtype),
        "ys": np.float32(sums / 45),
        "yz": np.asarray(zeros[1], x.dtype),
        "b": RNG.integers(-3000, 3000, n).astype(np.int32),
    }


SHAPES = {
    "3x3": ((1, 8, 20, 22), (6, 8, 3, 3), {"pads": [1] * 4}),
    "stride 2": ((1, 8, 27, 29), (6, 8, 3, 3), {"pads": [1] * 4, "strides": [2, 2]}),
    "stem": ((1, 3, 44, 46), (6, 3, 7, 7), {"pads": [3] * 4, "strides": [2, 2]}),
    "depthwise": ((1, 6, 20, 22), (6, 1, 3, 3), {"pads": [1] * 4, "group": 6}),
}


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("zero", one_in(2, [114, 7]))
@pytest.mark.parametrize("name", one_in(2, SHAPES))
def test_qlinear_conv(name: str, zero: int, each: bool) -> None:
    shape, bank, more = SHAPES[name]
    x, w = pixels(*shape), weights(*bank)
    values = quantised(x, w, each, (zero, 121))
    y = node("QLinearConv", x, values, np.uint8, **more)
    found = explain(x, w, y, image_offset=float(zero), stride=more.get("strides", [1, 1]))
    scales = values["ws"] * values["xs"] / values["ys"]
    np.testing.assert_allclose(np.asarray(found.scale), scales, rtol=0.01)
    other = node("QLinearConv", x, values | {"xz": np.uint8(zero + 3)}, np.uint8, **more)
    not_claimed(x, w, other, image_offset=float(zero))


def exact(x: Array, w: Array, values: dict[str, Any]) -> Array:
    """What a ``QLinearConv`` of 3x3 with padding 1 is before it is rounded, in float64."""
    sums = convolve(
        x.astype(float) - float(values["xz"]),
        w.astype(float),
        Convention(image_layout="NCHW", output_layout="NCHW", padding=1),
    )
    scales = np.broadcast_to(values["ws"], len(w)) * float(values["xs"]) / float(values["ys"])
    per_channel = (slice(None), None, None)
    return (sums + values["b"][per_channel]) * scales[per_channel] + float(values["yz"])


@pytest.mark.parametrize("way", one_in(2, ["toward_zero", "half_even"]))
def test_the_rounding_is_told(way: str) -> None:
    x, w = pixels(1, 4, 26, 28), weights(5, 4, 3, 3)
    numbers = exact(x, w, quantised(x, w, True, (114, 121)))
    make = {"toward_zero": np.trunc, "half_even": np.rint}[way]
    y = np.clip(make(numbers), 0, 255).astype(np.uint8)
    found = explain(x, w, y, image_offset=114.0)
    # Of positive numbers towards zero is down, which a bias half a unit lower does as well.
    assert found.padding == ((1, 1), (1, 1))


@pytest.mark.parametrize("noisy", one_in(2, [0.7, 2.0]))
def test_what_is_rounded_with_noise_is_not_claimed(noisy: float) -> None:
    x, w = pixels(1, 4, 26, 28), weights(5, 4, 3, 3)
    numbers = exact(x, w, quantised(x, w, True, (114, 121)))
    numbers = numbers + RNG.uniform(-noisy, noisy, numbers.shape)
    y = np.clip(np.rint(numbers), 0, 255).astype(np.uint8)
    assert verdict(x, w, y).verdict != "identified"


CONVOLUTIONS = {
    "1-D": ((1, 4, 80), (5, 4, 3), {"pads": [1, 1], "strides": [2]}, {"stride": (2,)}),
    "3-D": ((1, 3, 6, 9, 10), (4, 3, 3, 3, 3), {"pads": [1] * 6}, {"padding": 1}),
    "causal": ((1, 4, 90), (5, 4, 2), {"pads": [8, 0], "dilations": [8]}, {"dilation": (8,)}),
    "3-D, stride": (
        *((1, 3, 7, 12, 13), (4, 3, 3, 3, 3)),
        *({"strides": [1, 2, 2]}, {"stride": (1, 2, 2)}),
    ),
}


@pytest.mark.parametrize("name", one_in(2, CONVOLUTIONS))
def test_conv_of_other_ranks(name: str) -> None:
    shape, bank, more, keys = CONVOLUTIONS[name]
    x, w = (RNG.standard_normal(s).astype(np.float32) for s in (shape, bank))
    b = RNG.standard_normal(len(w)).astype(np.float32)
    y = node("Conv", x, {"W": w, "B": b}, np.float32, **more)
    found = explain(x, w, y, flip=(), **keys)
    np.testing.assert_allclose(found.bias, b, atol=1e-5)
    turned = node("Conv", x, {"W": w[..., ::-1].copy(), "B": b}, np.float32, **more)
    not_claimed(x, w, turned, flip=(), **keys)
