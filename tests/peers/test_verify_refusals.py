"""Real libraries' refusals of a dtype or a parameter, met within a function of the user's own."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from convcheck.campaign import Case
from convcheck.serving import Inline
from convcheck.target import adapted
from convcheck.worker import Request


def outcome(function: Any, kind: str, dtype: str, layout: str, *passed: str) -> str:
    layouts = {"NCHW": "OIHW", "NHWC": "HWIO", "HW": "HW"}
    case = Case(seed=0, number=0, height=9, width=11, dtype=dtype)
    runner = Inline(adapted(function, "f", kind), passed)
    return runner.run(Request(case, layout, layouts[layout], passed)).kind


def conv_transpose2d(x: Any, w: Any) -> Any:
    return importlib.import_module("torch").nn.functional.conv_transpose2d(x, w)


def unfold(x: Any, w: Any, **more: int) -> Any:
    return importlib.import_module("torch").nn.functional.unfold(x, w.shape[2:], **more)


def lax_conv(x: Any, w: Any, **more: int) -> Any:
    return importlib.import_module("jax").lax.conv(x, w.astype("float32"), (1, 1), "SAME", **more)


def tf_conv2d(x: Any, w: Any, **more: int) -> Any:
    return importlib.import_module("tensorflow").nn.conv2d(x, w, 1, "SAME", **more)


def convolve2d(x: Any, w: Any, **more: int) -> Any:
    return importlib.import_module("scipy.signal").convolve2d(x, w, **more)


def ndimage(x: Any, w: Any, **more: int) -> Any:
    return importlib.import_module("scipy.ndimage").convolve(x, w, **more)


def filter2d(x: Any, w: Any) -> Any:
    return importlib.import_module("cv2").filter2D(x, -1, w)


def onnx_conv(x: Any, w: Any) -> Any:
    helper = importlib.import_module("onnx").helper
    runtime = importlib.import_module("onnxruntime")
    values = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in (("x", x), ("w", w), ("y", x[..., :0]))
    ]
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x, "w": w})[0]


@pytest.mark.parametrize(
    ("function", "kind", "dtype", "layout", "passed"),
    [
        (conv_transpose2d, "torch", "int8", "NCHW", ()),
        (unfold, "torch", "int32", "NCHW", ()),
        (unfold, "torch", "float32", "NCHW", ("groups",)),
        (lax_conv, "jax", "float16", "NCHW", ()),
        (lax_conv, "jax", "float32", "NCHW", ("groups",)),
        (tf_conv2d, "tensorflow", "int8", "NHWC", ()),
        (tf_conv2d, "tensorflow", "float32", "NHWC", ("groups",)),
        (convolve2d, "scipy", "float16", "HW", ()),
        (convolve2d, "scipy", "float32", "HW", ("stride",)),
        (ndimage, "scipy", "float16", "HW", ()),
        (ndimage, "scipy", "float32", "HW", ("stride",)),
        (filter2d, "cv2", "int32", "HW", ()),
        (onnx_conv, "onnxruntime", "float64", "NCHW", ()),
        (onnx_conv, "onnxruntime", "int8", "NCHW", ()),
    ],
)
def test_a_library_refuses(
    function: Any, kind: str, dtype: str, layout: str, passed: tuple[str, ...]
) -> None:
    pytest.importorskip(kind)
    arrays = kind if kind in ("torch", "jax", "tensorflow") else "numpy"
    assert outcome(function, arrays, dtype, layout, *passed) == "rejected"
