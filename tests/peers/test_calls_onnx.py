"""The operators and attributes printed for ONNX, run by onnxruntime."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from drawn_conventions import agrees, draw, run

from convcheck.calls import equivalent_calls, onnx_node
from convcheck.convention import ACTIVATIONS, Activation

if TYPE_CHECKING:
    from collections.abc import Callable

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

COUNT = 500
CLOSE = 2.0**-18
"""What sums in float32 may lose of the numbers drawn, in proportion."""
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
                [helper.make_tensor_value_info("y", kind, [None] * x.ndim)],
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


def test_onnxruntime_agrees_on_every_convention() -> None:
    said = dict.fromkeys(["Conv(", "ConvTranspose("], 0)
    for seed in range(COUNT):
        drawn = draw(seed)
        code = equivalent_calls(drawn.convention, drawn.image.shape, drawn.filters.shape)["onnx"]
        for name in said:
            said[name] += name in code
        c = drawn.convention
        stored = c.storage.dtype if c.storage is not None else ""
        close = max(CLOSE, *(COARSE.get(name, 0.0) for name in (c.arithmetic, stored)))
        assert agrees(run(code, drawn, **NAMES), drawn, close), (seed, c, code)
    assert said["Conv("] > 0.6 * COUNT, said
    assert said["ConvTranspose("] > 0.05 * COUNT, said


def test_the_node_is_what_the_text_says() -> None:
    for seed in range(60):
        drawn = draw(seed)
        shapes = drawn.image.shape, drawn.filters.shape
        node = onnx_node(drawn.convention, *shapes)
        text = equivalent_calls(drawn.convention, *shapes)["onnx"]
        scope: dict[str, Any] = {"image": drawn.image, "filters": drawn.filters}
        exec(node["prepare"], scope)
        scope["y"] = NAMES[node["op_type"]](**node["attributes"])(scope["x"], scope["w"])
        exec(node["finish"], scope)
        assert np.array_equal(scope["out"], run(text, drawn, **NAMES))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_activations_are_operators_of_onnx_with_attributes_that_they_have(name: str) -> None:
    values = tuple(range(len(ACTIVATIONS[name].parameters)))
    said = re.fullmatch(r"(\w+)(?:\((.*)\))?", Activation(name, values).code("onnx", "y"))
    assert said is not None
    schema = onnx.defs.get_schema(said[1])
    known = {*schema.attributes, *(i.name for i in schema.inputs)}
    assert set(re.findall(r"(\w+)=", said[2] or "")) <= known
