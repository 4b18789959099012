"""The convolutions of an ONNX model as problems; their sizes by ONNX's own shape inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convcheck.errors import InputError, MissingExtraError
from convcheck.reading import read_bytes
from convcheck.unreadable import clip, shown
from convcheck.workload import Axis, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FILTERS = {"Conv": 1, "FusedConv": 1, "ConvInteger": 1, "QLinearConv": 3, "ConvTranspose": 1}
"""The operators that are convolutions, and which input has the filters."""


def problems_of(path: str) -> Iterator[Problem]:
    """A problem for each convolution of the model's graph, in its order.

    Raises:
        InputError: no such model, or a convolution whose sizes it does not say.
    """
    data = read_bytes("--workload", path)
    try:
        import onnx
        from onnx import shape_inference
    except ImportError:
        what = f"--workload: {shown(path)} is an ONNX model, which the package onnx reads"
        raise MissingExtraError(what, "onnx") from None
    try:
        graph = shape_inference.infer_shapes(onnx.load_model_from_string(data)).graph
    except Exception as error:  # protobuf's own errors have no public base class
        raise InputError(
            f"--workload: {shown(path)} is an ONNX model that cannot be read",
            got=clip(str(error).split("\n")[0]),
            hint="look at it with python -m onnx.checker",
        ) from error
    shapes: dict[str, list[int | None]] = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.HasField("shape"):
            dims = value.type.tensor_type.shape.dim
            shapes[value.name] = [d.dim_value if d.dim_value > 0 else None for d in dims]
    shapes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type in FILTERS:
            yield _problem(node, shapes, path)


def _problem(node: Any, shapes: Mapping[str, Sequence[int | None]], path: str) -> Problem:
    name = node.name or next(iter(node.output), "")
    image = shapes.get(node.input[0], ())
    filters = shapes.get(node.input[FILTERS[node.op_type]], ())
    rank = len(filters) - 2
    if None in (*image[1:], *filters) or len(image) != len(filters) or not 1 <= rank <= 3:
        raise InputError(
            f"--workload: {shown(path)}: the sizes of the convolution {clip(name)!r} are not known",
            got=f"an image {_shape(image)}, filters {_shape(filters)}",
            expected="images and filters with one to three spatial axes, all of known size but "
            "for the batch",
            hint="give the model's input a fixed size: python -m "
            "onnxruntime.tools.make_dynamic_shape_fixed",
        )
    batch, channels, *sizes = (n or 1 for n in image)
    outputs, inputs, *taps = (n or 1 for n in filters)
    given = {one.name: one for one in node.attribute}
    groups = given["group"].i if "group" in given else 1
    transposed = node.op_type == "ConvTranspose"

    def numbers(key: str, default: int, count: int) -> list[int]:
        found = list(given[key].ints) if key in given else []
        return found if len(found) == count else [default] * count

    strides, dilations = numbers("strides", 1, rank), numbers("dilations", 1, rank)
    pads = numbers("pads", 0, 2 * rank)
    kind = given["auto_pad"].s.decode() if "auto_pad" in given else "NOTSET"
    axes = []
    for axis, (size, long, stride, dilation) in enumerate(
        zip(sizes, taps, strides, dilations, strict=True)
    ):
        padding = pads[axis], pads[rank + axis]
        if kind != "NOTSET":
            padding = _automatic(kind, size, dilation * (long - 1) + 1, stride, transposed)
        axes.append(Axis(size, long, stride, dilation, padding))
    # A transposed convolution's filters count the image's channels first.
    count = inputs * groups if transposed else outputs
    return Problem(name, None, batch, channels, count, groups, tuple(axes))


def _automatic(kind: str, size: int, span: int, stride: int, transposed: bool) -> tuple[int, int]:
    if kind == "VALID":
        return 0, 0
    more = span - stride if transposed else (-(-size // stride) - 1) * stride + span - size
    less, half = max(0, more) // 2, max(0, more) - max(0, more) // 2
    return (less, half) if kind == "SAME_UPPER" else (half, less)


def _shape(shape: Sequence[int | None]) -> str:
    return "x".join("?" if n is None else str(n) for n in shape) or "of no known shape"
