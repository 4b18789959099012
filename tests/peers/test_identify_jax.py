"""What JAX's lax does, identified from its arrays alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from explained import explain

jax = pytest.importorskip("jax")
lax = jax.lax

RNG = np.random.default_rng(5)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def general(x: np.ndarray, w: np.ndarray, *arguments: Any, **more: Any) -> np.ndarray:
    more = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), **more}
    return np.asarray(lax.conv_general_dilated(x, w, *arguments, **more))


@pytest.mark.parametrize("size", [(12, 15), (13, 14)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("kernel", [(3, 3), (2, 4), (5, 3)])
@pytest.mark.parametrize("padding", ["SAME", "SAME_LOWER"])
def test_same(padding: str, kernel: Any, stride: Any, size: Any) -> None:
    x, w = normal(1, *size, 3), normal(*kernel, 3, 4)
    y = general(x, w, stride, padding)
    found = explain(
        x,
        w,
        y,
        image_layout="NHWC",
        filter_layout="HWIO",
        output_layout="NHWC",
        flip=(),
        stride=stride,
    )
    for axis in (0, 1):
        total = max(
            (-(-size[axis] // stride[axis]) - 1) * stride[axis] + kernel[axis] - size[axis], 0
        )
        before, after = total // 2, total - total // 2
        if padding == "SAME_LOWER":
            before, after = after, before
        assert found.padding[axis] == (before, after)


def test_lhs_dilation() -> None:
    x, w = normal(1, 6, 7, 3), normal(3, 4, 3, 2)
    y = general(x, w, (1, 1), [(2, 3), (1, 2)], lhs_dilation=(2, 3))
    explain(x, w, y, input_dilation=(2, 3), flip=(), padding=((2, 3), (1, 2)))


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("swap", [False, True])
def test_conv_transpose(padding: str, swap: bool) -> None:
    x = normal(1, 6, 7, 3)
    w = normal(3, 4, 2, 3) if swap else normal(3, 4, 3, 2)
    y = np.asarray(lax.conv_transpose(x, w, (2, 2), padding, transpose_kernel=swap))
    flip = ("H", "W") if swap else ()
    explain(x, w, y, input_dilation=2, flip=flip, filter_layout="HWOI" if swap else "HWIO")


def test_feature_groups() -> None:
    x, w = normal(2, 9, 11, 6), normal(3, 2, 2, 6)
    y = general(x, w, (1, 1), "VALID", feature_group_count=3)
    explain(x, w, y, groups=3, filter_layout="HWIO")


@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_banks_of_tensorflow(multiplier: int) -> None:
    x, w = normal(1, 9, 11, 4), normal(3, 2, 4, multiplier)
    bank = w.reshape(3, 2, 1, 4 * multiplier)
    y = general(x, bank, (1, 1), "SAME", feature_group_count=4)
    explain(x, w, y, groups=4, filter_layout="HWIM")
    explain(x, bank, y, groups=4, filter_layout="HWIO")


def test_dilation_and_other_layouts() -> None:
    x, w = normal(2, 3, 13, 14), normal(4, 3, 3, 2)
    y = general(
        x,
        w,
        (1, 2),
        [(1, 1), (0, 2)],
        rhs_dilation=(2, 3),
        dimension_numbers=("NCHW", "OIHW", "NHWC"),
    )
    explain(x, w, y, dilation=(2, 3), stride=(1, 2), output_layout="NHWC", image_layout="NCHW")


def test_numpy_style_convolution() -> None:
    x, w = normal(11, 13), normal(3, 4)
    y = np.asarray(jax.scipy.signal.convolve2d(x, w, mode="same"))
    explain(x, w, y, flip=("H", "W"), padding=((1, 1), (2, 1)))
