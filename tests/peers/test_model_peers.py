"""Models of onnx, onnxruntime and torch: every convolution holds, and mistakes are found."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convcheck import cli, trace
from convcheck.checks.model import check_model
from convcheck.trace.files import read
from convcheck.trace.runtime import record

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("light_*.onnx"))


def small(path: Path, *, external: bool = False, op: str = "Relu") -> Path:
    h, nh, p = onnx.helper, onnx.numpy_helper, onnx.TensorProto
    rng = np.random.default_rng(0)
    shapes = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 1, 3, 3), "w3": (8, 4, 3, 3)}
    inits = [
        nh.from_array(rng.standard_normal(shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    nodes = [
        h.make_node("Conv", ["x", "w1", "b1"], ["c1"], "c1", auto_pad="SAME_UPPER", strides=[2, 2]),
        h.make_node(op, ["c1"], ["r1"]),
        h.make_node("Conv", ["r1", "w2"], ["c2"], "c2", pads=[1, 1, 1, 1], group=8),
        h.make_node("ConvTranspose", ["c2", "w3"], ["y"], "t3", strides=[2, 2], pads=[0, 1, 1, 0]),
    ]
    graph = h.make_graph(
        nodes,
        "g",
        [h.make_tensor_value_info("x", p.FLOAT, ["N", 3, 17, 18])],
        [h.make_tensor_value_info("y", p.FLOAT, None)],
        inits,
    )
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=9)
    onnx.save(
        model,
        path,
        save_as_external_data=external,
        location="weights.bin",
        size_threshold=0,
    )
    return path


@pytest.mark.parametrize(
    "path", [pytest.param(p, marks=pytest.mark.slow) for p in LIGHT], ids=lambda p: p.stem
)
def test_the_light_models_hold(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["model", str(path)]) == 0
    assert capsys.readouterr().out.startswith("holds: all ")


def test_a_model_and_its_trace(tmp_path: Path) -> None:
    path = small(tmp_path / "m.onnx")
    found = read(str(trace.onnx(path, to=tmp_path / "m.safetensors")))
    result = check_model(found)
    assert [(row.name, row.verdict) for row in result.rows] == [
        (name, "holds") for name in ("c1", "c2", "t3")
    ]
    assert check_model(found, found).verdict == "holds"


def test_weights_in_another_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small(tmp_path / "m.onnx", external=True)
    assert cli.run(["model", str(path)]) == 0
    (tmp_path / "weights.bin").unlink()
    assert cli.run(["model", str(path)]) == 2
    said = capsys.readouterr().err
    assert "'c1'" in said
    assert "weights.bin" in said


def test_bad_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.onnx").write_bytes(b"\x08not a model")
    assert cli.run(["model", str(tmp_path / "x.onnx")]) == 2
    assert cli.run(["model", str(small(tmp_path / "y.onnx", op="Nonsense"))]) == 2
    said = capsys.readouterr().err
    assert "the layer 'r1'" in said
    assert "Nonsense" in said
    np.save(tmp_path / "i.npy", np.zeros((1, 3, 5), np.float32))
    assert cli.run(["model", str(small(tmp_path / "z.onnx")), "--input", f"{tmp_path}/i.npy"]) == 2
    assert "does not fit the model's input 'x'" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_a_quantised_port_is_not_accused(form: str, tmp_path: Path) -> None:
    q = pytest.importorskip("onnxruntime.quantization")

    class Reader(q.CalibrationDataReader):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            rng = np.random.default_rng(1)
            self.left = [rng.standard_normal((1, 3, 17, 18)).astype(np.float32) for _ in range(3)]

        def get_next(self) -> Any:
            return {"x": self.left.pop()} if self.left else None

    path = small(tmp_path / "m.onnx")
    q.quantize_static(
        str(path), str(tmp_path / "q.onnx"), Reader(), quant_format=q.QuantFormat[form]
    )
    from convcheck.trace.runtime import record

    result = check_model(record(str(path)), record(str(tmp_path / "q.onnx")))
    assert result.verdict == "holds", [(r.name, r.causes) for r in result.departing]
    spoiled = onnx.load(str(tmp_path / "q.onnx"))
    bias = next(t for t in spoiled.graph.initializer if t.name == "b1_quantized")
    values = onnx.numpy_helper.to_array(bias).copy()
    values[3] += abs(values).max()
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    onnx.save(spoiled, str(tmp_path / "spoiled.onnx"))
    result = check_model(record(str(path)), record(str(tmp_path / "spoiled.onnx")))
    assert [row.partner for row in result.departing] == ["c1"]
    assert [cause.key for cause in result.departing[0].causes] == ["bias"]


def networks() -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    torch.manual_seed(0)

    class Block(nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
            self.b = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))
            self.end = nn.ReLU(inplace=True)

        def forward(self, x: Any) -> Any:
            return self.end(self.b(self.a(x)) + x)

    conv, x2 = nn.Conv2d, torch.randn(1, 4, 12, 11)
    return {
        "resnet": (Block().eval(), x2),
        "mobilenet": (
            nn.Sequential(conv(4, 8, 1), nn.ReLU6(), conv(8, 8, 3, 2, 1, groups=8), nn.SiLU()),
            x2,
        ),
        "unet": (
            nn.Sequential(conv(4, 8, 3, 2, 1), nn.ConvTranspose2d(8, 4, 3, 2, 1, 1, groups=2)),
            x2,
        ),
        "wavenet": (
            nn.Sequential(*(nn.Conv1d(4, 4, 2, dilation=d, padding="same") for d in (1, 2, 4))),
            torch.randn(2, 4, 30),
        ),
        "volume": (
            nn.Sequential(nn.Conv3d(4, 3, 3, padding=1), nn.Tanh()),
            torch.randn(1, 4, 5, 6, 7),
        ),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["resnet", "mobilenet", "unet", "wavenet", "volume"])
def test_networks_of_torch(name: str, tmp_path: Path) -> None:
    model, x = networks()[name]
    found = read(str(trace.torch(model, x, to=tmp_path / "t.npz")))
    result = check_model(found)
    assert result.verdict == "holds", [(r.name, r.causes) for r in result.departing]


def test_functions_are_activations_and_slopes_are_plain(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = torch.nn.Conv2d(3, 4, 3, padding=1)
            self.b = torch.nn.Conv2d(4, 5, 3, stride=2)
            self.c = torch.nn.Conv2d(5, 3, 1)

        def forward(self, x: Any) -> Any:
            x = functional.relu(self.a(x))
            x = functional.leaky_relu(self.b(x), 0.2)
            return torch.clamp(self.c(x), min=0)

    torch.manual_seed(0)
    net, x = Net().eval(), torch.randn(1, 3, 12, 11)
    mine, port = tmp_path / "net.npz", tmp_path / "net.onnx"
    trace.torch(net, x, to=mine)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (x,), str(port), dynamo=False)
    a, b = read(str(mine)), record(str(port), {"": x.numpy()})
    said = [layer.keys.get("activation") for layer in a.layers]
    assert said == ["relu", {"leaky_relu": 0.2}, "relu"]
    assert [layer.keys.get("activation") for layer in b.layers] == said
    found = check_model(a, b)
    assert (found.verdict, found.untold) == ("holds", ())
    assert all(row.drift is not None and row.drift < 1e-5 for row in found.rows)
    elsewhere = check_model(a, record(str(port), {}, seed=3))
    assert elsewhere.verdict == "holds"
    assert all(row.drift is None for row in elsewhere.rows)


@pytest.mark.parametrize("length", [-1, None])
def test_an_open_axis_is_as_long_as_the_model_needs(length: int | None, tmp_path: Path) -> None:
    h, p = onnx.helper, onnx.TensorProto
    w = np.random.default_rng(0).standard_normal((2, 1, 100)).astype(np.float32)
    node = h.make_node("Conv", ["x", "w"], ["y"], "c", strides=[50])
    graph = h.make_graph(
        [node],
        "g",
        [h.make_tensor_value_info("x", p.FLOAT, [1, 1, length])],
        [h.make_tensor_value_info("y", p.FLOAT, [1, 2, None])],
        [onnx.numpy_helper.from_array(w, "w")],
    )
    path = tmp_path / "frames.onnx"
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8), str(path))
    assert check_model(record(str(path))).verdict == "holds"
