"""The gradients of JAX's convolutions, identified from their arrays alone.

Beside each stands one that is made a little otherwise, which must not be called the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from explained import explain, not_claimed
from few import one_in

jax = pytest.importorskip("jax")
lax = jax.lax

DRAWN_FROM = 23
RNG = np.random.default_rng(DRAWN_FROM)

LAYERS = {
    "NHWC": (("NHWC", "HWIO", "NHWC"), (1, 12, 14, 3), (3, 3, 3, 5), 1),
    "NHWC, stride 2": (("NHWC", "HWIO", "NHWC"), (1, 12, 14, 3), (3, 3, 3, 5), 2),
    "NCHW": (("NCHW", "OIHW", "NCHW"), (2, 3, 12, 14), (5, 3, 3, 3), 1),
    "NCHW, stride 2": (("NCHW", "OIHW", "NCHW"), (2, 3, 12, 13), (5, 3, 3, 3), 2),
    "NWC": (("NWC", "WIO", "NWC"), (2, 40, 3), (4, 3, 5), 1),
    "NWC, stride 2": (("NWC", "WIO", "NWC"), (2, 41, 3), (4, 3, 5), 2),
    "NDHWC": (("NDHWC", "DHWIO", "NDHWC"), (1, 6, 7, 8, 3), (3, 3, 3, 3, 4), 1),
}


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def gradients(name: str) -> tuple[Any, ...]:
    """The arrays of a layer, what comes from above, and the gradients of both operands."""
    layouts, image, bank, stride = LAYERS[name]
    x, w = normal(*image), normal(*bank)
    rank = len(image) - 2

    def layer(x: Any, w: Any) -> Any:
        pads = [(1, 1)] * rank
        return lax.conv_general_dilated(x, w, (stride,) * rank, pads, dimension_numbers=layouts)

    y, pull = jax.vjp(layer, x, w)
    above = normal(*y.shape)
    dx, dw = (np.asarray(a) for a in pull(above))
    return x, w, above, dx, dw, stride


@pytest.mark.parametrize("name", one_in(3, LAYERS))
def test_of_the_image(name: str) -> None:
    _, w, above, dx, _, stride = gradients(name)
    letters = tuple(a for a in LAYERS[name][0][0] if a not in "NC")
    explain(above, w, dx, flip=letters, input_dilation=stride)
    not_claimed(above, w, 1.01 * dx, flip=letters, input_dilation=stride, scale=1.0)


@pytest.mark.parametrize("name", ["NCHW", "NCHW, stride 2", "NWC, stride 2"])
def test_of_the_filters(name: str) -> None:
    x, _, above, _, dw, stride = gradients(name)
    explain(x, above, dw, flip=(), dilation=stride)
    axis = LAYERS[name][0][1].index("W")
    not_claimed(x, above, np.flip(dw, axis).copy(), flip=(), dilation=stride)


@pytest.mark.parametrize("activation", one_in(2, ["gelu", "silu", "softplus", "elu"]))
@pytest.mark.parametrize("rank", one_in(3, [2, 1, 3]))
def test_activations(rank: int, activation: str) -> None:
    layouts = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC")}
    layouts[3] = ("NDHWC", "DHWIO", "NDHWC")
    size = {1: (70,), 2: (14, 15), 3: (6, 9, 10)}[rank]
    x, w = normal(1, *size, 4), normal(*(3,) * rank, 4, 5) / np.float32(np.sqrt(4 * 3**rank))
    sums = lax.conv_general_dilated(x, w, (1,) * rank, "SAME", dimension_numbers=layouts[rank])
    more = {"approximate": False} if activation == "gelu" else {}
    y = np.asarray(getattr(jax.nn, activation)(sums, **more))
    explain(x, w, y, activation=activation, image_layout=layouts[rank][0])
    other = np.asarray(jax.nn.selu(sums))
    not_claimed(x, w, other, activation=activation)
