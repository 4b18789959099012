"""Convolutions of libraries in float32, Winograd's among them, are within a bound of the table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convcheck.algorithms import Problem, narrowest
from convcheck.engine import correlate

SHAPES = [  # images, channels, filters, taps, size
    *((16, 1, 8, 3, 40), (16, 2, 4, 3, 23), (2, 8, 8, 3, 40), (1, 64, 64, 3, 30)),
    *((16, 1, 4, 5, 40), (2, 4, 8, 5, 31), (1, 32, 16, 5, 20)),
]


def arrays(shape: tuple[int, ...]) -> tuple[Any, Any]:
    n, channels, filters, taps, size = shape
    rng = np.random.default_rng(shape)
    x = rng.standard_normal((n, channels, size, size)).astype(np.float32)
    x[:, :, : size // 2] *= np.float32(1e4)
    return x, rng.standard_normal((filters, channels, taps, taps)).astype(np.float32)


def explained(x: Any, w: Any, y: Any) -> bool:
    wide, bank = x.astype(np.float64), w.astype(np.float64)
    sizes = correlate(abs(wide), abs(bank), (1, 1), (1, 1))
    off = y - correlate(wide, bank, (1, 1), (1, 1))
    return narrowest(off, Problem(x, w, sizes, (1, 1), (1, 1))) is not None


@pytest.mark.filterwarnings("ignore:TF32 acceleration")  # it speaks of other machines
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mkldnn", [True, False])
def test_torch(shape: tuple[int, ...], mkldnn: bool) -> None:
    """Without oneDNN, NNPACK, where there is one: F(6,3) for batches."""
    torch = pytest.importorskip("torch")
    x, w = arrays(shape)
    with torch.backends.mkldnn.flags(enabled=mkldnn), torch.no_grad():
        y = torch.nn.functional.conv2d(torch.from_numpy(x), torch.from_numpy(w)).numpy()
    assert explained(x, w, y)


@pytest.mark.parametrize("shape", SHAPES)
def test_opencv(shape: tuple[int, ...]) -> None:
    cv2 = pytest.importorskip("cv2")
    onnx = pytest.importorskip("onnx")
    x, w = arrays(shape)
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    taps, size = shape[3], shape[4] - shape[3] + 1
    node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[taps, taps])
    graph = helper.make_graph(
        [node],
        "convolution",
        [helper.make_tensor_value_info("x", float32, x.shape)],
        [helper.make_tensor_value_info("y", float32, (len(x), len(w), size, size))],
        [onnx.numpy_helper.from_array(w, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))
    net.setInput(x)
    assert explained(x, w, net.forward())
