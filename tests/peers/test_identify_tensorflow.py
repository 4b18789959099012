"""What TensorFlow and Keras do, identified from their arrays alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from explained import explain

tf = pytest.importorskip("tensorflow")

RNG = np.random.default_rng(12)
LAYOUTS = {"image_layout": "NHWC", "filter_layout": "HWIO", "output_layout": "NHWC"}


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def same(size: int, taps: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """SAME by the formula of TensorFlow's documentation."""
    extent = dilation * (taps - 1) + 1
    total = max(extent - (size % stride or stride), 0)
    return total // 2, total - total // 2


@pytest.mark.parametrize("size", [(12, 15), (13, 14)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("kernel", [(3, 3), (2, 4), (5, 3)])
def test_same(kernel: Any, stride: Any, size: Any) -> None:
    x, w = normal(1, *size, 3), normal(*kernel, 3, 4)
    y = tf.nn.conv2d(x, w, [1, *stride, 1], "SAME")
    found = explain(x, w, y, **LAYOUTS, flip=(), stride=stride)
    wanted = tuple(same(n, f, s) for n, f, s in zip(size, kernel, stride, strict=True))
    assert found.padding == wanted


def test_valid_of_a_batch() -> None:
    x, w = normal(2, 12, 15, 3), normal(3, 2, 3, 5)
    y = tf.nn.conv2d(x, w, [1, 1, 2, 1], "VALID")
    explain(x, w, y, **LAYOUTS, flip=(), stride=(1, 2), padding=0)


def test_explicit_padding() -> None:
    x, w = normal(2, 12, 15, 3), normal(3, 4, 3, 5)
    y = tf.nn.conv2d(x, w, 1, [[0, 0], [2, 1], [0, 3], [0, 0]])
    explain(x, w, y, **LAYOUTS, flip=(), padding=((2, 1), (0, 3)))


def test_dilations() -> None:
    x, w = normal(2, 14, 15, 3), normal(3, 4, 3, 5)
    y = tf.nn.conv2d(x, w, 1, "SAME", dilations=[1, 2, 3, 1])
    padding = same(14, 3, 1, 2), same(15, 4, 1, 3)
    explain(x, w, y, **LAYOUTS, flip=(), dilation=(2, 3), padding=padding)
    y = tf.nn.conv2d(x, w, 2, "VALID", dilations=2)
    explain(x, w, y, **LAYOUTS, flip=(), dilation=2, stride=2)


def test_atrous() -> None:
    x, w = normal(2, 14, 15, 3), normal(3, 4, 3, 5)
    y = tf.nn.atrous_conv2d(x, w, 2, "VALID")
    explain(x, w, y, **LAYOUTS, flip=(), dilation=2, padding=0)


@pytest.mark.parametrize("multiplier", [1, 3])
def test_depthwise(multiplier: int) -> None:
    x, w = normal(1, 12, 15, 4), normal(3, 2, 4, multiplier)
    y = tf.nn.depthwise_conv2d(x, w, [1, 2, 2, 1], "SAME")
    padding = same(12, 3, 2), same(15, 2, 2)
    explain(x, w, y, filter_layout="HWIM", groups=4, stride=2, padding=padding)
    y = tf.nn.depthwise_conv2d(x, w, [1, 1, 1, 1], "VALID", dilations=[2, 2])
    explain(x, w, y, filter_layout="HWIM", groups=4, dilation=2, padding=0)


def test_groups() -> None:
    x, w = normal(2, 11, 13, 6), normal(3, 2, 2, 9)
    explain(x, w, tf.nn.conv2d(x, w, 1, "SAME"), **LAYOUTS, groups=3)


@pytest.mark.parametrize("strides", [(2, 2), (1, 2), (3, 2)])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_conv2d_transpose(padding: str, strides: tuple[int, int]) -> None:
    x, w = normal(1, 6, 7, 3), normal(3, 4, 2, 3)
    sizes = [
        n * s if padding == "SAME" else (n - 1) * s + taps
        for n, s, taps in zip((6, 7), strides, (3, 4), strict=True)
    ]
    y = tf.nn.conv2d_transpose(x, w, [1, *sizes, 2], [1, *strides, 1], padding)
    found = explain(
        x, w, y, filter_layout="HWOI", flip=("H", "W"), input_dilation=strides, stride=1
    )
    if padding == "VALID":
        assert found.padding == ((2, 2), (3, 3))


def test_a_keras_layer_with_bias_and_relu() -> None:
    layer = tf.keras.layers.Conv2D(
        5, (3, 4), strides=2, padding="same", activation="relu", bias_initializer="random_normal"
    )
    x = normal(2, 13, 16, 3)
    y = layer(x)
    kernel, bias = layer.get_weights()
    found = explain(x, kernel, y, **LAYOUTS, flip=(), stride=2, activation="relu")
    np.testing.assert_allclose(found.bias, bias, atol=1e-5)


def test_keras_depthwise_and_transposed_layers() -> None:
    x = normal(1, 9, 11, 4)
    layer = tf.keras.layers.DepthwiseConv2D((3, 2), depth_multiplier=2, use_bias=False)
    explain(x, *transformed(layer, x), filter_layout="HWIM", groups=4)
    layer = tf.keras.layers.Conv2DTranspose(3, (3, 4), strides=2, use_bias=False)
    explain(x, *transformed(layer, x), filter_layout="HWOI", input_dilation=2, flip=("H", "W"))


def transformed(layer: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y = layer(x)
    return layer.get_weights()[0], y


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "float64"])
def test_other_precisions(kind: str) -> None:
    x, w = (tf.cast(normal(*shape), kind) for shape in ((1, 14, 13, 8), (3, 3, 8, 4)))
    y = tf.nn.conv2d(x, w, 1, "SAME")
    assert y.dtype == kind
    # What NumPy has no dtype for is told by its values alone.
    arrays = (np.asarray(tf.cast(a, "float32" if kind == "bfloat16" else kind)) for a in (x, w, y))
    named = "exact" if kind == "float64" else kind  # in which convcheck computes itself
    explain(*arrays, **LAYOUTS, flip=(), arithmetic=named, padding=1)
