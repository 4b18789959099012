"""An ONNX model run once by onnxruntime, with every tensor that a layer needs marked as output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention import Storage
from convcheck.errors import InputError, MissingExtraError
from convcheck.trace.graph import CONVOLUTIONS, Node, keys_of, needed, nodes_of
from convcheck.trace.layer import NORMALIZATION, Layer, Trace
from convcheck.unreadable import clip, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[Any]

SEED = 0
"""Of the random input."""
BOUND = 3.0
"""Standard deviations at which the random input is cut off."""
SIZES = (64, 512, 1024)
"""The length of a spatial axis that the model leaves open: the first with which it runs."""


def record(path: str, inputs: Mapping[str, Array] | None = None, *, seed: int = SEED) -> Trace:
    """Run an ONNX model once and give its layers; weights are read when they are asked for.

    Args:
        path: the model; weights in other files beside it are found.
        inputs: arrays by the names of the model's inputs, or one array by the name "" for its
            first; the others are drawn.
        seed: of what is drawn.

    Raises:
        InputError: a model that cannot be read or run, or inputs that it does not take.
        MissingExtraError: onnx or onnxruntime is not installed.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError:
        what = f"MODEL: {shown(path)} is an ONNX model, which onnx and onnxruntime read and run"
        raise MissingExtraError(what, "onnx") from None
    if not Path(path).is_file():
        raise InputError(f"MODEL: {shown(path)} does not exist", hint="check the path")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's own errors have no public base class
        raise InputError(
            f"MODEL: {shown(path)} is an ONNX model that cannot be read",
            got=clip(str(error).split("\n")[0]),
            hint="look at it with python -m onnx.checker",
        ) from error
    graph = model.graph
    nodes, others = nodes_of(graph)
    stored = {tensor.name: tensor for tensor in graph.initializer}
    folder = Path(path).resolve().parent
    _check_external(nodes, stored, folder)
    feeds = _feeds(graph, stored, inputs or {}, seed, SIZES[0])
    held = set(stored) | set(feeds)
    known = {value.name for value in graph.output}
    wanted = list(dict.fromkeys(name for name in needed(nodes) if name not in held))
    made = {name for node in graph.node for name in node.output}
    for name in wanted:
        if name not in made:
            raise InputError(f"MODEL: {shown(path)} has no tensor {name!r}, which a layer needs")
        if name not in known:
            graph.output.append(onnx.helper.ValueInfoProto(name=name))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Optimizers would merge what is to be looked at one by one.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(folder)
    )
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        results = {}
        for size in SIZES if wanted else ():
            feeds = _feeds(graph, stored, inputs or {}, seed, size)
            try:
                results = dict(zip(wanted, session.run(wanted, feeds), strict=True))
            except Exception:
                # What the model leaves open may have to be longer.
                if size == SIZES[-1] or not _is_open(graph, stored, inputs or {}):
                    raise
            else:
                break
    except Exception as error:  # onnxruntime's errors have no common public base
        if (unknown := _unknown(model, str(error))) is not None:
            raise InputError(
                f"MODEL: {shown(path)} has a layer that onnxruntime cannot run",
                got=unknown,
                expected="operators that this onnxruntime knows",
                hint="have it run where they are known, and give a trace: docs/trace.md",
            ) from error
        raise InputError(
            f"MODEL: {shown(path)} could not be run",
            got=str(error).replace("\n", " ")[:300],
            hint="does it run in onnxruntime with these inputs? --input NAME=FILE gives others",
        ) from error
    results.update(feeds)

    def tensor(name: str) -> Array:
        if name in results:
            return np.asarray(results[name])
        return initializer(stored[name], folder)

    layers = tuple(_layer(node, tensor, stored, results) for node in nodes)
    return Trace(path, layers, dict(others))


def _unknown(model: Any, said: str) -> str | None:
    """The first layer whose operator an error calls unknown, in words; None where it is another."""
    if "No Op registered for" not in said and "is not a registered function/op" not in said:
        return None
    versions = {one.domain: one.version for one in model.opset_import}
    for number, node in enumerate(model.graph.node):
        named = (
            f"{node.domain}:{node.op_type}(" in said or f"registered for {node.op_type} " in said
        )
        if named:
            name = node.name or (node.output[0] if node.output else f"{node.op_type}_{number}")
            domain = node.domain or "ai.onnx"
            version = versions.get(node.domain)
            of = "" if version is None else f", opset {version}"
            return clip(f"the layer {name!r} of the operator {node.op_type} ({domain}{of})")
    return None


def initializer(tensor: Any, folder: Path) -> Array:
    """The numbers of an initializer, from the file that they are in."""
    from onnx import numpy_helper

    try:
        found: Array = numpy_helper.to_array(tensor, str(folder))
    except Exception as error:  # onnx raises its own of files
        raise InputError(
            f"MODEL: the weights {tensor.name!r} cannot be read",
            got=clip(str(error).split("\n")[0]),
            hint="is the file of external data beside the model, and whole?",
        ) from error
    return found


def _check_external(nodes: Sequence[Node], stored: Mapping[str, Any], folder: Path) -> None:
    """Raise for a file of weights that is not there, before anything is run."""
    users = {name: node.name for node in nodes for name in node.tensors.values()}
    for tensor in stored.values():
        place = next((e.value for e in tensor.external_data if e.key == "location"), None)
        if place is not None and not (folder / place).is_file():
            layer = users.get(tensor.name)
            of = f" of the layer {layer!r}" if layer else ""
            raise InputError(
                f"MODEL: the weights {tensor.name!r}{of} are in {shown(place)}, which is missing",
                expected=f"the file beside the model, in {shown(str(folder))}",
                hint="copy the model's external data too",
            )


def _feeds(
    graph: Any, stored: Mapping[str, Any], given: Mapping[str, Array], seed: int, size: int
) -> dict[str, Array]:
    from onnx import helper

    wanted = [value for value in graph.input if value.name not in stored]
    names = [value.name for value in wanted]
    given = dict(given)
    if "" in given and names:
        given.setdefault(names[0], given.pop(""))
    for name in given:
        if name not in names:
            raise InputError(
                f"--input: the model has no input {name!r}", expected=", ".join(names) or "none"
            )
    rng = np.random.default_rng(seed)
    feeds = {}
    for value in wanted:
        kind = value.type.tensor_type
        if not kind.elem_type:
            raise InputError(f"MODEL: the input {value.name!r} is no tensor")
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        dims = _dims(value)
        if value.name in given:
            array = np.asarray(given[value.name])
            if len(dims) != array.ndim or any(
                d is not None and d != n for d, n in zip(dims, array.shape, strict=False)
            ):
                raise InputError(
                    f"--input: the array does not fit the model's input {value.name!r}",
                    got=str(array.shape),
                    expected=str(tuple(d or "any" for d in dims)),
                )
            feeds[value.name] = array.astype(dtype, copy=False)
            continue
        shape = [d or _length(i, len(dims), value.name, graph, size) for i, d in enumerate(dims)]
        feeds[value.name] = drawn(rng, shape, dtype)
    return feeds


def _dims(value: Any) -> list[int | None]:
    """The lengths of an input's axes; None of those that the model leaves open."""
    return [d.dim_value if d.dim_value > 0 else None for d in value.type.tensor_type.shape.dim]


def _is_open(graph: Any, stored: Mapping[str, Any], given: Mapping[str, Array]) -> bool:
    """Whether an input that is drawn has axes that the model leaves open."""
    first = {value.name for value in graph.input[:1]} if "" in given else set()
    drawn = (v for v in graph.input if v.name not in {*stored, *given, *first})
    return any(None in _dims(value) for value in drawn)


def _length(axis: int, rank: int, name: str, graph: Any, size: int) -> int:
    """The length of an axis that the model leaves open."""
    if axis == 0 or (rank < 3 and size == SIZES[0]):
        return 1
    if axis > 1 or rank < 3:
        return size
    stored = {tensor.name: tensor.dims for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type in CONVOLUTIONS and name in node.input:
            where = 3 if node.op_type == "QLinearConv" else 1
            dims = stored.get(node.input[where])
            if dims:
                first = node.op_type == "ConvTranspose"
                groups = next((a.i for a in node.attribute if a.name == "group"), 1)
                return int(dims[0] if first else dims[1] * groups)
    return 3


def drawn(rng: Any, shape: Sequence[int], dtype: Any) -> Array:
    """Random numbers that tell: no two alike, none far from the others."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return np.asarray(np.clip(rng.standard_normal(shape), -BOUND, BOUND)).astype(kind)
    if kind.kind == "b":
        return np.asarray(rng.integers(0, 2, shape)).astype(bool)
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        low, high = (limits.min, limits.max) if kind.itemsize == 1 else (0, 100)
        return np.asarray(rng.integers(low, high, shape, endpoint=True)).astype(kind)
    raise InputError(
        "MODEL: an input is of a kind that cannot be drawn", got=str(kind), hint="--input NAME=FILE"
    )


def _layer(
    node: Node,
    tensor: Callable[[str], Array],
    stored: Mapping[str, Any],
    results: Mapping[str, Array],
) -> Layer:
    from onnx import helper

    def shape(name: str) -> tuple[int, ...]:
        return tuple(results[name].shape) if name in results else tuple(stored[name].dims)

    def kind(name: str) -> Any:
        if name in results:
            return np.asarray(results[name]).dtype
        return helper.tensor_dtype_to_np_dtype(stored[name].data_type)

    own = kind(node.tensors["weight"])
    dtype = str(own) if own.kind == "f" or str(own) == "bfloat16" else "exact"
    shapes = {role: shape(node.tensors[role]) for role in ("input", "weight", "output")}
    keys = keys_of(node, shapes, dtype)
    if node.activation is not None:
        keys["activation"] = node.activation
    roles = set(node.tensors)
    scale: Array | None = None
    if node.quantised:
        scale = _quantised(node, keys, tensor)
        if scale is not None:
            roles.add("scale")

    def read(role: str) -> Array:
        if role == "scale" and scale is not None:
            return scale
        return tensor(node.tensors[role])

    missing = node.epsilon is not None and not set(NORMALIZATION) <= roles
    if missing:
        raise InputError(f"MODEL: the layer {node.name!r} lacks parts of its normalization")
    cut_off = False
    if node.zero in stored or node.zero in results:
        zero = np.asarray(tensor(node.zero))
        cut_off = zero.dtype.kind in "iu" and bool((zero == np.iinfo(zero.dtype).min).all())
    return Layer(node.name, node.kind, keys, frozenset(roles), read, node.epsilon, cut_off)


def _quantised(node: Node, keys: dict[str, Any], tensor: Callable[[str], Array]) -> Array | None:
    """Zero points and storage into the keys; the scale of the sums, where there is one."""

    def value(name: str) -> Array | None:
        found = node.quantised.get(name)
        return None if not found else np.asarray(tensor(found))

    for name, key in (("x_zero", "image_offset"), ("w_zero", "filter_offset")):
        zero = value(name)
        if zero is not None and zero.any():
            keys[key] = _one_or_many(zero)
    if node.kind == "ConvInteger":
        keys["storage"] = {"dtype": "int32", "overflow": "wrap"}
        return None
    x, w, y, zero = (value(name) for name in ("x_scale", "w_scale", "y_scale", "y_zero"))
    if x is None or w is None or y is None:
        raise InputError(f"MODEL: the layer {node.name!r} lacks a scale")
    point = 0 if zero is None else int(zero.reshape(-1)[0])
    dtype = "uint8" if zero is None else str(zero.dtype)
    keys["storage"] = Storage(dtype, point, multiplier="float32").to_dict()
    made: Array = (np.float32(x) * w.astype(np.float32)) / np.float32(y)
    return made.reshape(-1)


def _one_or_many(values: Array) -> Any:
    flat = values.reshape(-1).astype(float)
    return float(flat[0]) if (flat == flat[0]).all() else flat.tolist()
