"""verify on real libraries: each is named rightly, and none is accused."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from few import slow

from convcheck.campaign import cases
from convcheck.checks.verify import put_to_test, verify
from convcheck.kinds import to_numpy
from convcheck.render.verify_words import name
from convcheck.serving import Inline
from convcheck.testing import assert_convolution

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(0)
DRAWN_FROM = 0
PEERS = [
    ("torch.nn.functional:conv2d", {}, "cross-correlation, NCHW, OIHW, zero padding, float32", 150),
    slow("torch.nn.functional:conv_transpose2d", {}, "transposed convolution", 100),
    ("scipy.signal:convolve", {}, "per-channel convolution", 80),
    ("scipy.signal:convolve", {"call": "f(x, w, 'valid')"}, "N-D convolution", 80),
    slow("scipy.signal:oaconvolve", {}, "per-channel convolution", 80),
    slow("scipy.ndimage:convolve", {}, "per-channel convolution", 80),
    ("scipy.ndimage:correlate", {}, "the cross-correlation, HW, HW, padding by reflection", 80),
    slow("jax.lax:conv", {"call": "f(x, w, (stride, stride), 'SAME')"}, "SAME_UPPER", 12),
    slow("jax.lax:conv", {"call": "f(x, w, (stride, stride), 'VALID')"}, "no padding", 12),
    ("cv2:filter2D", {"call": "f(x, -1, w)"}, "the cross-correlation, HW, HW, padding", 80),
]


@pytest.mark.parametrize(("target", "more", "says", "count"), PEERS, ids=str)
def test_a_library_is_named_and_passes(
    target: str, more: dict[str, Any], says: str, count: int
) -> None:
    pytest.importorskip(target.partition(".")[0].partition(":")[0])
    result = verify(target, cases=count, timeout=60.0, **more)
    assert says in name(result)
    assert result.verdict == "pass", result.findings
    assert result.passed > 0.6 * count


@pytest.mark.parametrize(
    ("function", "says"), [("convolve", "per-channel"), ("correlate", "the cross-correlation")]
)
def test_sums_over_channels_written_out(function: str, says: str) -> None:
    one = getattr(importlib.import_module("scipy.ndimage"), function)

    def summed(x: Any, w: Any) -> Any:
        x, w = x.astype(float), w.astype(float)
        return sum(one(x[c], w[c], mode="constant") for c in range(len(x)))

    result = verify(summed, cases=60, layout="CHW/IHW")
    assert says in name(result)
    assert result.verdict == "pass"


def test_onnx_runtime() -> None:
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    helper = onnx.helper
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1

    def conv(x: Any, w: Any, parameters: Any) -> Any:
        if x.dtype != np.float32:
            raise NotImplementedError(f"Conv is not implemented for {x.dtype}")
        p = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **parameters}
        node = helper.make_node(
            "Conv",
            ["x", "w"],
            ["y"],
            strides=[p["stride"]] * 2,
            pads=[p["padding"]] * 4,
            dilations=[p["dilation"]] * 2,
            group=p["groups"],
        )
        float32 = onnx.TensorProto.FLOAT
        values = [
            helper.make_tensor_value_info(n, float32, a.shape) for n, a in (("x", x), ("w", w))
        ]
        out = [helper.make_tensor_value_info("y", float32, None)]
        graph = helper.make_graph([node], "g", values, out)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        session = runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        feed = {"x": np.ascontiguousarray(x), "w": np.ascontiguousarray(w)}
        return session.run(None, feed)[0]

    runner = Inline(conv, ("stride", "padding", "dilation", "groups"))
    result = put_to_test(runner, cases(0, 100), target="Conv")
    assert name(result) == "Conv is the cross-correlation, NCHW, OIHW, zero padding, float32"
    assert result.verdict == "pass", result.findings
    assert result.model is not None
    assert result.model.dtypes == ("float32",)


@pytest.mark.slow
def test_a_depthwise_layer_without_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    (tmp_path / "depthwise.py").write_text(
        "import torch\n"
        "def layer(x: torch.Tensor, w: torch.Tensor, stride=1, padding=0, dilation=1):\n"
        "    more = stride, padding, dilation, x.shape[1]\n"
        "    return torch.nn.functional.conv2d(x, w, None, *more)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    result = verify("depthwise:layer", cases=80, timeout=60.0)
    says = "is the depthwise cross-correlation, NCHW, OIHW, zero padding, float32"
    assert name(result) == f"depthwise:layer {says}"
    assert result.verdict == "pass", result.findings
    assert result.passed > 60


@pytest.mark.slow
def test_a_torch_callable_by_its_annotations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    (tmp_path / "annotated.py").write_text(
        "import torch\n"
        "def layer(x: torch.Tensor, w: torch.Tensor, stride: int = 1) -> torch.Tensor:\n"
        "    assert isinstance(x, torch.Tensor)\n"
        "    return torch.nn.functional.conv2d(x, w, stride=stride)\n"
    )
    monkeypatch.chdir(tmp_path)
    result = verify("annotated:layer", cases=40)
    assert result.verdict == "pass", result.findings
    assert result.model is not None
    assert result.model.parameters == ("stride",)


def test_a_tensor_that_is_conjugated_when_it_is_read_is_no_crash() -> None:
    """PyTorch marks such views, and does not hand them to NumPy as they are."""
    torch = pytest.importorskip("torch")

    def plain(x: Any, w: Any) -> Any:
        return torch.nn.functional.conv2d(torch.from_numpy(x), torch.from_numpy(w))

    def conjugated(x: Any, w: Any) -> Any:
        return (plain(x, w) * (1 + 1j)).conj()

    def negated(x: Any, w: Any) -> Any:
        return conjugated(x, w).imag

    image, filters = RNG.integers(-9, 9, (2, 3, 7, 8)), RNG.integers(-9, 9, (4, 3, 2, 3))
    image, filters = image.astype(np.float64), filters.astype(np.float64)
    right = plain(image, filters).numpy()
    assert conjugated(image, filters).is_conj()
    assert negated(image, filters).is_neg()
    assert np.array_equal(to_numpy(conjugated(image, filters))[0], right * (1 - 1j))
    assert np.array_equal(to_numpy(negated(image, filters))[0], -right)
    assert_convolution(image, filters, negated(image, -filters))
