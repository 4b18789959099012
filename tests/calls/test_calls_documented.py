"""The code printed for TensorFlow, run on a stand-in that does what its documentation says."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from drawn_conventions import agrees, draw, run

from convcheck.calls import CANNOT, equivalent_calls
from convcheck.convention import ACTIVATIONS, Convention
from convcheck.engine import convolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

COUNT = 600


class Tensor(np.ndarray):
    """What TensorFlow's functions return: an array with ``numpy()``."""

    def numpy(self) -> np.ndarray:
        return np.asarray(self)


def tensor(array: np.ndarray) -> Tensor:
    return np.asarray(array).view(Tensor)


def explicit(padding: Any, sizes: Sequence[int], extents: Sequence[int], stride: Sequence[int]):
    """TensorFlow's padding of the spatial axes, by the formulas of its documentation."""
    if padding == "VALID":
        return [(0, 0)] * len(sizes)
    if padding != "SAME":
        assert len(sizes) == 2
        assert padding[0] == padding[3] == [0, 0]
        assert min(min(p) for p in padding) >= 0
        return padding[1:3]
    pads = []
    for n, e, s in zip(sizes, extents, stride, strict=True):
        along = max(e - s, 0) if n % s == 0 else max(e - n % s, 0)
        pads.append((along // 2, along - along // 2))
    return pads


def conv(x: Any, w: Any, stride: Sequence[int], padding: Any, dilations: Sequence[int]) -> Tensor:
    assert x.shape[-1] % w.shape[-2] == 0
    extents = [d * (n - 1) + 1 for n, d in zip(w.shape, dilations, strict=False)]
    spatial = "DHW"[-len(stride) :]
    convention = Convention(
        image_layout=f"N{spatial}C",
        filter_layout=f"{spatial}IO",
        output_layout=f"N{spatial}C",
        stride=stride,
        dilation=dilations,
        padding=explicit(padding, x.shape[1:-1], extents, stride),
        groups=x.shape[-1] // w.shape[-2],
    )
    return tensor(convolve(np.asarray(x), np.asarray(w), convention))


def conv1d(x: Any, w: Any, stride: int, padding: str, dilations: int = 1) -> Tensor:
    return conv(x, w, [stride], padding, [dilations])


def conv2d(x: Any, w: Any, strides: Any, padding: Any, dilations: Any = (1, 1)) -> Tensor:
    return conv(x, w, strides[1:3], padding, dilations)


def conv3d(x: Any, w: Any, strides: Any, padding: str) -> Tensor:
    assert x.shape[-1] == w.shape[-2]
    return conv(x, w, strides[1:4], padding, [1, 1, 1])


def depthwise_conv2d(x: Any, w: Any, strides: Any, padding: Any, dilations: Any = (1, 1)) -> Tensor:
    assert strides[1] == strides[2]
    assert strides[1] == 1 or tuple(dilations) == (1, 1)
    assert x.shape[3] == w.shape[2]
    parts = [
        conv2d(x[..., [c]], w[:, :, [c]], strides, padding, dilations) for c in range(x.shape[3])
    ]
    return tensor(np.concatenate(parts, axis=3))


def conv_transpose(x: Any, w: Any, output_shape: Any, strides: Any, padding: Any) -> Tensor:
    """The gradient of a convolution: each output adds its filter to where its window stood."""
    stride = [strides] if isinstance(strides, int) else strides[1:-1]
    assert w.shape[-1] == x.shape[-1]
    assert w.shape[-2] == output_shape[-1]
    taps, sizes = w.shape[:-2], output_shape[1:-1]
    pads = explicit(padding, sizes, taps, stride)
    padded = [n + before + after for n, (before, after) in zip(sizes, pads, strict=True)]
    whole = np.zeros((output_shape[0], *padded, output_shape[-1]))
    for n, k, s, count in zip(padded, taps, stride, x.shape[1:-1], strict=True):
        assert (n - k) // s + 1 == count
    for place in np.ndindex(*x.shape[1:-1]):
        at = tuple(slice(i * s, i * s + k) for i, s, k in zip(place, stride, taps, strict=True))
        windows = np.einsum("ni,...oi->n...o", x[(slice(None), *place)], w)
        whole[(slice(None), *at)] += windows
    inner = tuple(slice(b, b + n) for n, (b, _) in zip(sizes, pads, strict=True))
    return tensor(whole[(slice(None), *inner)])


def pad(x: Any, paddings: Any, mode: str = "CONSTANT", constant_values: float = 0) -> Tensor:
    for n, pads in zip(x.shape, paddings, strict=True):
        assert max(pads) <= {"CONSTANT": np.inf, "REFLECT": n - 1, "SYMMETRIC": n}[mode]
    extra = {"constant_values": constant_values} if mode == "CONSTANT" else {}
    return tensor(np.pad(x, paddings, mode=mode.lower(), **extra))


def applied(name: str) -> Any:
    return lambda y, *values: tensor(ACTIVATIONS[name].apply(np.asarray(y), *values))


class Functions(SimpleNamespace):
    """TensorFlow's module ``nn``: its activations have the vocabulary's names."""

    def __getattr__(self, name: str) -> Any:
        return applied(name)


def test_tensorflow_by_its_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    def gelu(x: Any, approximate: bool = False) -> Tensor:
        return applied("gelu_tanh" if approximate else "gelu")(x)

    stand_in = SimpleNamespace(
        constant=np.array,
        float64="float64",
        pad=pad,
        abs=applied("abs"),
        clip_by_value=applied("clip"),
        nn=Functions(
            conv1d=conv1d,
            conv2d=conv2d,
            conv3d=conv3d,
            depthwise_conv2d=depthwise_conv2d,
            conv1d_transpose=conv_transpose,
            conv2d_transpose=conv_transpose,
            conv3d_transpose=conv_transpose,
            gelu=gelu,
        ),
    )
    monkeypatch.setitem(sys.modules, "tensorflow", stand_in)
    said: dict[str, int] = {}
    for seed in range(2 * COUNT):
        drawn = draw(seed)
        shapes = drawn.image.shape, drawn.filters.shape
        code = equivalent_calls(drawn.convention, *shapes)["tensorflow"]
        if code == CANNOT:
            continue
        functions = ("conv{}d(", "conv{}d_transpose(")
        several = [name.format(rank) for name in functions for rank in (1, 2, 3)]
        for name in (*several, "depthwise_conv2d(", "tf.pad"):
            said[name] = said.get(name, 0) + (name in code)
        assert agrees(run(code, drawn), drawn), (seed, drawn.convention, code)
    assert said["conv2d("] > COUNT / 4
    assert min(said.values()) > 1, said
