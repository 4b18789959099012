"""The convolutions of an ONNX model as the cases of ``verify --workload``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from convcheck.errors import InputError
from convcheck.workload import Axis, load

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402 - where it is there


def model(
    folder: Path, *nodes: Any, image: tuple[Any, ...] = ("N", 4, 9, 11), **filters: tuple[int, ...]
) -> str:
    weights = [
        helper.make_tensor(name, TensorProto.FLOAT, dims, bytes(4 * _count(dims)), raw=True)
        for name, dims in filters.items()
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, image)
    made = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    graph = helper.make_graph(list(nodes), "g", [given], [made], weights)
    path = folder / "net.onnx"
    onnx.save(helper.make_model(graph), str(path))
    return str(path)


def _count(dims: tuple[int, ...]) -> int:
    count = 1
    for n in dims:
        count *= n
    return count


def node(kind: str, x: str, y: str, w: str = "w", **attributes: Any) -> Any:
    return helper.make_node(kind, [x, w], [y], name=f"{kind}_{y}", **attributes)


def test_every_convolution_is_a_problem_at_the_size_that_it_has(tmp_path: Path) -> None:
    path = model(
        tmp_path,
        node("Conv", "x", "a", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        node("Conv", "b", "c", "v", strides=[2, 2], group=3, dilations=[2, 2]),
        node("ConvTranspose", "c", "d", "t", strides=[3, 3], group=2),
        w=(6, 4, 3, 3),
        v=(6, 2, 2, 2),
        t=(6, 5, 2, 2),
    )
    first, second, third = load(path).problems
    assert (first.name, first.line, first.words) == ("Conv_a", None, "Conv_a")
    assert (first.batch, first.channels, first.filters, first.groups) == (1, 4, 6, 1)
    assert first.axes == (Axis(9, 3, 1, 1, (1, 1)), Axis(11, 3, 1, 1, (1, 1)))
    assert (second.channels, second.filters, second.groups) == (6, 6, 3)
    assert second.axes == (Axis(9, 2, 2, 2, (0, 0)), Axis(11, 2, 2, 2, (0, 0)))
    assert (third.channels, third.filters, third.groups) == (6, 10, 2)
    assert [axis.size for axis in third.axes] == [4, 5]


@pytest.mark.parametrize(
    ("kind", "padding"), [("VALID", (0, 0)), ("SAME_UPPER", (0, 1)), ("SAME_LOWER", (1, 0))]
)
def test_automatic_paddings(kind: str, padding: tuple[int, int], tmp_path: Path) -> None:
    path = model(
        tmp_path,
        node("Conv", "x", "a", auto_pad=kind, strides=[2]),
        image=(2, 3, 10),
        w=(4, 3, 3),
    )
    (problem,) = load(path).problems
    assert problem.axes == (Axis(10, 3, 2, 1, padding),)
    assert problem.batch == 2


def test_what_is_no_such_model_is_refused(tmp_path: Path) -> None:
    path = model(tmp_path, node("Conv", "x", "a"), image=("N", 3, "H", "W"), w=(4, 3, 3, 3))
    with pytest.raises(InputError, match="the sizes of the convolution 'Conv_a'") as caught:
        load(path)
    assert caught.value.got == "an image ?x3x?x?, filters 4x3x3x3"
    path = model(tmp_path, helper.make_node("Relu", ["x"], ["a"]))
    with pytest.raises(InputError, match="has no problem"):
        load(path)
    (tmp_path / "net.onnx").write_bytes(b"\x08\x09\xff\xff\xff")
    with pytest.raises(InputError, match="cannot be read"):
        load(str(tmp_path / "net.onnx"))
