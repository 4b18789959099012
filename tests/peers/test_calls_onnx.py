"""The operators and attributes printed for ONNX, run by onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from drawn_conventions import draw, expected, run

from convcheck.calls import CANNOT, equivalent_calls, onnx_node

if TYPE_CHECKING:
    from collections.abc import Callable

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

COUNT = 500
COARSE = {"float16": 2.0**-10}


def operator(op_type: str) -> Callable[..., Callable[..., np.ndarray]]:
    """What a name such as ``Conv`` stands for in the printed text."""

    def with_attributes(**attributes: Any) -> Callable[..., np.ndarray]:
        def apply(x: np.ndarray, w: np.ndarray) -> np.ndarray:
            helper, kind = onnx.helper, onnx.TensorProto.FLOAT
            graph = helper.make_graph(
                [helper.make_node(op_type, ["x", "w"], ["y"], **attributes)],
                "one_node",
                [
                    helper.make_tensor_value_info("x", kind, x.shape),
                    helper.make_tensor_value_info("w", kind, w.shape),
                ],
                [helper.make_tensor_value_info("y", kind, [None] * 4)],
            )
            opset = helper.make_opsetid("", 17)
            model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
            onnx.checker.check_model(model, full_check=True)
            session = onnxruntime.InferenceSession(
                model.SerializeToString(), providers=["CPUExecutionProvider"]
            )
            return session.run(None, {"x": x, "w": w})[0]

        return apply

    return with_attributes


NAMES = {name: operator(name) for name in ("Conv", "ConvTranspose")}


def test_onnxruntime_agrees_wherever_onnx_has_an_operator() -> None:
    said = dict.fromkeys(["Conv(", "ConvTranspose("], 0)
    for seed in range(COUNT):
        drawn = draw(seed)
        shapes = drawn.image.shape, drawn.filters.shape
        code = equivalent_calls(drawn.convention, *shapes)["onnx"]
        if code == CANNOT:
            assert ":" in drawn.convention.arithmetic
            continue
        for name in said:
            said[name] += name in code
        out, wanted = run(code, drawn, **NAMES), expected(drawn)
        assert out.shape == wanted.shape, (seed, drawn.convention, code)
        if drawn.convention.scale == 1 / 9 or drawn.convention.arithmetic in COARSE:
            close = COARSE.get(drawn.convention.arithmetic, 2.0**-21)
            assert np.allclose(out, wanted, rtol=close, atol=close), (seed, drawn.convention, code)
        else:
            assert np.array_equal(out, wanted), (seed, drawn.convention, code)
    assert said["Conv("] > 0.6 * COUNT, said
    assert said["ConvTranspose("] > 0.05 * COUNT, said


def test_the_node_is_what_the_text_says() -> None:
    for seed in range(60):
        drawn = draw(seed)
        shapes = drawn.image.shape, drawn.filters.shape
        node = onnx_node(drawn.convention, *shapes)
        text = equivalent_calls(drawn.convention, *shapes)["onnx"]
        if node is None:
            assert text == CANNOT
            continue
        scope: dict[str, Any] = {"np": np, "image": drawn.image, "filters": drawn.filters}
        exec(node["prepare"], scope)
        scope["y"] = NAMES[node["op_type"]](**node["attributes"])(scope["x"], scope["w"])
        exec(node["finish"], scope)
        assert np.array_equal(scope["out"], run(text, drawn, **NAMES))
