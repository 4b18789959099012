"""What ONNX Runtime's operators do, identified from their arrays alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from explained import explain

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(8)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def run(operator: str, inputs: dict[str, np.ndarray], kind: int | None = None, **more: Any) -> Any:
    helper = onnx.helper
    kinds = {name: helper.np_dtype_to_tensor_dtype(a.dtype) for name, a in inputs.items()}
    kind = kinds[next(iter(inputs))] if kind is None else kind
    node = helper.make_node(operator, list(inputs), ["Y"], **more)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(n, kinds[n], a.shape) for n, a in inputs.items()],
        [helper.make_tensor_value_info("Y", kind, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)[0]


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("strides", [[1, 1], [2, 2], [2, 3]])
def test_auto_pad(auto_pad: str, strides: list[int]) -> None:
    x, w = normal(1, 3, 12, 15), normal(4, 3, 3, 4)
    y = run("Conv", {"X": x, "W": w}, auto_pad=auto_pad, strides=strides)
    found = explain(x, w, y, stride=strides, flip=())
    sizes = [
        max((-(-n // s) - 1) * s + k - n, 0)
        for n, s, k in zip((12, 15), strides, (3, 4), strict=True)
    ]
    smaller = [(t // 2, t - t // 2) for t in sizes]
    wanted = {
        "SAME_UPPER": smaller,
        "SAME_LOWER": [p[::-1] for p in smaller],
        "VALID": [(0, 0), (0, 0)],
    }[auto_pad]
    assert [p for p in found.padding if min(p) >= 0] == [
        w for w, p in zip(wanted, found.padding, strict=True) if min(p) >= 0
    ]


def test_attributes() -> None:
    x, w, b = normal(1, 4, 12, 15), normal(6, 2, 3, 2), normal(6)
    y = run(
        "Conv",
        {"X": x, "W": w, "B": b},
        pads=[1, 0, 2, 3],
        strides=[2, 1],
        dilations=[1, 3],
        group=2,
    )
    found = explain(x, w, y, stride=(2, 1), dilation=(1, 3), groups=2)
    np.testing.assert_allclose(found.bias, b, atol=1e-5)


@pytest.mark.parametrize("group", [1, 2])
def test_conv_transpose(group: int) -> None:
    x, w = normal(1, 4, 6, 7), normal(4, 3, 3, 4)
    y = run(
        "ConvTranspose",
        {"X": x, "W": w},
        strides=[2, 3],
        pads=[1, 0, 0, 2],
        output_padding=[1, 0],
        group=group,
    )
    explain(x, w, y, input_dilation=(2, 3), filter_layout="IOHW", flip=("H", "W"), groups=group)


def test_conv_integer() -> None:
    x = RNG.integers(0, 256, (1, 3, 12, 15), dtype=np.uint8)
    w = RNG.integers(0, 256, (4, 3, 3, 2), dtype=np.uint8)
    y = run("ConvInteger", {"x": x, "w": w}, onnx.TensorProto.INT32, pads=[1, 1, 1, 1])
    explain(x, w, y, padding=1, arithmetic="exact", scale=1.0, bias=None)


def test_conv_integer_with_a_zero_point() -> None:
    x = RNG.integers(0, 256, (1, 3, 12, 15), dtype=np.uint8)
    w = RNG.integers(-128, 128, (4, 3, 3, 2), dtype=np.int8)
    y = run(
        "ConvInteger",
        {"x": x, "w": w, "z": np.array(131, np.uint8)},
        onnx.TensorProto.INT32,
        pads=[1, 0, 1, 1],
    )
    found = explain(x, w, y, padding=((1, 1), (0, 1)), image_offset=131)
    assert found.bias is None


def test_qlinear_conv() -> None:
    x = RNG.integers(0, 256, (1, 3, 14, 15), dtype=np.uint8)
    # Of seven bits: without VNNI a CPU adds two products of eight in 16 bits, which saturate.
    w = RNG.integers(-64, 64, (4, 3, 3, 3), dtype=np.int8)
    numbers = {
        "x": x,
        "xs": np.array(0.02, np.float32),
        "xz": np.array(120, np.uint8),
        "w": w,
        "ws": np.array(0.01, np.float32),
        "wz": np.array(0, np.int8),
        "ys": np.array(0.09, np.float32),
        "yz": np.array(128, np.uint8),
    }
    y = run("QLinearConv", numbers, pads=[1, 1, 1, 1])
    found = explain(x, w, y, padding=1, storage={"dtype": "uint8"})
    assert found.scale == pytest.approx(0.02 * 0.01 / 0.09, rel=0.01)
    assert found.image_offset == 120


def test_shared_layers_of_a_float16_model() -> None:
    x, w = normal(1, 3, 12, 13).astype(np.float16), normal(4, 3, 3, 3).astype(np.float16)
    explain(x, w, run("Conv", {"X": x, "W": w}, pads=[1, 1, 1, 1]), arithmetic="float16")
