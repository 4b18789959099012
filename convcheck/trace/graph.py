"""The convolutions of an ONNX graph as recorded layers: attributes become a convention's keys."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from convcheck.convention.channels import spatial
from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CONVOLUTIONS = ("Conv", "ConvTranspose", "ConvInteger", "QLinearConv")
_SILENT = ("Constant", "Identity", "Dropout")
"""Nodes that compute nothing: no layers that go unjudged."""
_ACTIVATIONS = {
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "HardSwish": "hard_swish",
    "Softplus": "softplus",
    "Abs": "abs",
}


@dataclass(frozen=True)
class Node:
    """A convolution of the graph, and which tensors are its arrays.

    ``tensors`` maps roles to names of tensors; of a quantised one also the scales and zero points.
    """

    name: str
    kind: str
    attributes: Mapping[str, Any]
    tensors: Mapping[str, str]
    activation: Any = None
    epsilon: float | None = None
    quantised: Mapping[str, str] = field(default_factory=dict)
    zero: str = ""
    """The zero point that the output is quantised with, by a node that follows or by its own."""


def nodes_of(graph: Any) -> tuple[list[Node], Counter[str]]:
    """The convolutions in the order of the graph, and how many nodes of other kinds there are."""
    consumers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    outputs = {value.name for value in graph.output}
    constants = {
        node.output[0]: node for node in graph.node if node.op_type == "Constant" and node.output
    }
    found: list[Node] = []
    used: set[int] = set()
    for number, node in enumerate(graph.node):
        if node.op_type not in CONVOLUTIONS or node.domain not in ("", "ai.onnx"):
            continue
        used.add(id(node))
        found.append(_node(node, number, consumers, outputs, used, graph, constants))
    others = Counter(
        node.op_type
        for node in graph.node
        if node.op_type not in CONVOLUTIONS and node.op_type not in _SILENT and id(node) not in used
    )
    return found, others


def _attributes(node: Any) -> dict[str, Any]:
    from onnx.helper import get_attribute_value

    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode()
        # A float is of single precision: the shortest decimal number that it is.
        return float(str(np.float32(value))) if isinstance(value, float) else value

    return {a.name: plain(get_attribute_value(a)) for a in node.attribute}


def _node(
    node: Any,
    number: int,
    consumers: Mapping[str, Sequence[Any]],
    outputs: set[str],
    used: set[int],
    graph: Any,
    constants: Mapping[str, Any],
) -> Node:
    inputs = list(node.input)
    kind = node.op_type
    quantised: dict[str, str] = {}
    tensors: dict[str, str] = {"input": inputs[0]}
    if kind == "QLinearConv":
        tensors["weight"] = inputs[3]
        names = ("x_scale", "x_zero", "", "w_scale", "w_zero", "y_scale", "y_zero")
        quantised = {n: inputs[i + 1] for i, n in enumerate(names) if n}
        if len(inputs) > 8 and inputs[8]:
            tensors["bias"] = inputs[8]
    else:
        tensors["weight"] = inputs[1]
        more = ("x_zero", "w_zero") if kind == "ConvInteger" else ("bias",)
        for name, tensor in zip(more, inputs[2:], strict=False):
            if tensor:
                (quantised if kind == "ConvInteger" else tensors)[name] = tensor
    end, epsilon, activation = node.output[0], None, None

    def after() -> Any:
        only = consumers.get(end, ())
        return only[0] if len(only) == 1 and end not in outputs else None

    if kind in ("Conv", "ConvTranspose"):
        follower = after()
        if follower is not None and follower.op_type == "BatchNormalization":
            given = _attributes(follower)
            if not given.get("training_mode") and follower.input[0] == end:
                used.add(id(follower))
                kind += "+BatchNormalization"
                epsilon = float(given.get("epsilon", 1e-5))
                parts = ("gamma", "beta", "mean", "variance")
                tensors |= dict(zip(parts, follower.input[1:], strict=True))
                end = follower.output[0]
                follower = after()
        if follower is not None and follower.input[0] == end:
            found = _activation(follower, graph, constants)
            if found is not None:
                used.add(id(follower))
                activation = found
                kind += f"+{follower.op_type}"
                end = follower.output[0]
    tensors["output"] = end
    last = after()
    zero = quantised.get("y_zero", "")
    if last is not None and last.op_type == "QuantizeLinear" and len(last.input) > 2:
        zero = last.input[2]
    name = node.name or node.output[0] or f"{node.op_type}_{number}"
    return Node(name, kind, _attributes(node), tensors, activation, epsilon, quantised, zero)


def _activation(node: Any, graph: Any, constants: Mapping[str, Any]) -> Any:
    """The activation of a node as a convention has it; None where it has none of the kind."""
    given = _attributes(node)
    if node.op_type in _ACTIVATIONS:
        return _ACTIVATIONS[node.op_type]
    if node.op_type == "LeakyRelu":
        return {"leaky_relu": float(given.get("alpha", 0.01))}
    if node.op_type == "Elu" and given.get("alpha", 1.0) == 1.0:
        return "elu"
    if node.op_type == "Gelu":
        return "gelu_tanh" if given.get("approximate") == "tanh" else "gelu"
    if node.op_type == "HardSigmoid" and abs(given.get("alpha", 0.2) - 1 / 6) < 1e-6:
        return "hard_sigmoid"
    if node.op_type != "Clip":
        return None
    ends = [given.get("min"), given.get("max")]
    for i, name in enumerate(node.input[1:3]):
        ends[i] = _constant(name, graph, constants)
    low, high = ends
    if low == 0.0 and high is None:
        return "relu"
    if low is None or high is None:
        return None
    return "relu6" if (low, high) == (0.0, 6.0) else {"clip": [low, high]}


def _constant(name: str, graph: Any, constants: Mapping[str, Any]) -> float | None:
    """The one number of an initializer or a Constant node; None where it is none."""
    from onnx import numpy_helper

    tensor = next((t for t in graph.initializer if t.name == name), None)
    if tensor is None and name in constants:
        tensor = _attributes(constants[name]).get("value")
    if tensor is None or len(tensor.dims) > 1 or tensor.external_data:
        return None
    values = numpy_helper.to_array(tensor).reshape(-1)
    return float(values[0]) if values.size == 1 else None


def keys_of(node: Node, shapes: Mapping[str, Sequence[int]], dtype: str) -> dict[str, Any]:
    """A convention's keys for a node, of arrays of these shapes.

    Raises:
        InputError: attributes that do not fit the arrays.
    """
    image, filters, output = (shapes[role] for role in ("input", "weight", "output"))
    rank = len(filters) - 2
    if not 1 <= rank <= 3 or len(image) != len(filters):
        raise InputError(
            f"the layer {node.name!r} has arrays of the wrong number of axes",
            got=f"an image {tuple(image)}, filters {tuple(filters)}",
            expected="both with one to three spatial axes",
        )
    axes = spatial(rank)
    given, transposed = node.attributes, node.kind.startswith("ConvTranspose")

    def numbers(key: str, default: int, count: int = rank) -> list[int]:
        return list(given.get(key) or [default] * count)

    strides, dilations = numbers("strides", 1), numbers("dilations", 1)
    extents = [d * (k - 1) + 1 for d, k in zip(dilations, filters[2:], strict=True)]
    flat = numbers("pads", 0, 2 * rank)
    pads = list(zip(flat[:rank], flat[rank:], strict=True))
    kind = given.get("auto_pad", "NOTSET")
    more = numbers("output_padding", 0)
    keys: dict[str, Any] = {
        "image_layout": "NC" + axes,
        "filter_layout": ("IO" if transposed else "OI") + axes,
        "output_layout": "NC" + axes,
        "groups": int(given.get("group", 1)),
        "dilation": dilations,
        "arithmetic": dtype,
    }
    if transposed:
        sizes = given.get("output_shape") or (output[2:] if kind.startswith("SAME") else None)
        padding = []
        for axis in range(rank):
            begin, end = pads[axis] if kind == "NOTSET" else (0, 0)
            if sizes is not None:
                plain = strides[axis] * (image[2 + axis] - 1) + more[axis] + extents[axis]
                total = plain - list(sizes)[-rank:][axis]
                half = max(total, 0) // 2 if total >= 0 else total // 2
                begin, end = (total - half, half) if kind != "SAME_UPPER" else (half, total - half)
            reach = extents[axis] - 1
            padding.append([reach - begin, reach - end + more[axis]])
        return keys | {
            "flip": list(axes),
            "input_dilation": strides,
            "padding": padding,
        }
    if kind.startswith("SAME"):
        for axis, (size, extent, stride) in enumerate(
            zip(image[2:], extents, strides, strict=True)
        ):
            total = max(0, (-(-size // stride) - 1) * stride + extent - size)
            few = total // 2
            pads[axis] = (few, total - few) if kind == "SAME_UPPER" else (total - few, few)
    elif kind == "VALID":
        pads = [(0, 0)] * rank
    return keys | {"stride": strides, "padding": [list(p) for p in pads]}


def needed(nodes: Sequence[Node]) -> Iterator[str]:
    """The tensors that the layers are judged by."""
    for node in nodes:
        yield from node.tensors.values()
        yield from (name for name in node.quantised.values() if name)
