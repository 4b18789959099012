"""How many of ONNX's own test cases for convolutions could not see a flipped kernel.

The cases are the onnx package's backend tests of Conv, ConvInteger, ConvTranspose and QLinearConv,
read from the files that it ships, or made by its own generators where a version ships none. Each
is run by onnx's reference implementation with the filters as they are and with every spatial axis
of the filters reversed: a case passes either way if both outputs are the one that it expects. For
images of two spatial axes the last column is what ``convcheck audit`` sees of all the mistakes
that the shapes allow.

    pip install onnx
    python benchmarks/onnx_blind_spots.py
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.loader import load_model_tests
from onnx.reference import ReferenceEvaluator

from convcheck.checks.audit import audit
from convcheck.errors import InputError

OPERATORS = {"Conv", "ConvInteger", "ConvTranspose", "QLinearConv"}


def cases() -> dict[str, tuple[onnx.ModelProto, list[np.ndarray], np.ndarray]]:
    """Model, inputs and expected output of every case that is one convolution and nothing else."""
    tests = [t for t in load_model_tests(kind="node") if "conv" in t.name]
    if not tests:
        tests = collect_testcases(None)
    found = {}
    for test in tests:
        model = test.model
        if model is None:
            model = onnx.load(f"{test.model_dir}/model.onnx")
        nodes = model.graph.node
        if len(nodes) == 1 and nodes[0].op_type in OPERATORS:
            found[test.name] = (model, *_data(test))
    return dict(sorted(found.items()))


def _data(test: Any) -> tuple[list[np.ndarray], np.ndarray]:
    if test.data_sets:
        inputs, outputs = test.data_sets[0]
        return [np.asarray(a) for a in inputs], np.asarray(outputs[0])
    folder = f"{test.model_dir}/test_data_set_0"

    def load(name: str) -> np.ndarray:
        with open(f"{folder}/{name}.pb", "rb") as file:  # noqa: PTH123
            return numpy_helper.to_array(onnx.TensorProto.FromString(file.read()))

    count = len(test_inputs := onnx.load(f"{test.model_dir}/model.onnx").graph.input)
    return [load(f"input_{i}") for i in range(count) if test_inputs[i].name], load("output_0")


def survives(model: onnx.ModelProto, inputs: list[np.ndarray], wanted: np.ndarray) -> bool:
    """Whether the case passes with its kernels flipped; it must pass as it is."""
    node = model.graph.node[0]
    place = 3 if node.op_type == "QLinearConv" else 1
    names = [i.name for i in model.graph.input]
    outcomes = []
    for flipped in (False, True):
        fed = dict(zip(names, inputs, strict=True))
        if flipped:
            w = fed[names[place]]
            fed[names[place]] = np.ascontiguousarray(np.flip(w, tuple(range(2, w.ndim))))
        out = ReferenceEvaluator(model).run(None, fed)[0]
        outcomes.append(
            out.shape == wanted.shape and np.allclose(out, wanted, rtol=1e-3, atol=1e-7)
        )
    assert outcomes[0], "the reference does not pass its own case"
    return outcomes[1]


def score(model: onnx.ModelProto, inputs: list[np.ndarray]) -> str:
    """What audit sees of the mistakes that the shapes allow, as a correlation of these arrays."""
    node = model.graph.node[0]
    x, w = inputs[0], inputs[3 if node.op_type == "QLinearConv" else 1]
    if x.ndim != 4:
        return ""
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    groups = attributes.get("group", 1)
    keys: dict[str, Any] = {"groups": groups}
    strides = attributes.get("strides", [1, 1])
    dilations = attributes.get("dilations", [1, 1])
    if node.op_type == "ConvTranspose":
        reach = [d * (n - 1) for d, n in zip(dilations, w.shape[2:], strict=True)]
        keys |= {
            "filter_layout": "IOHW",
            "flip": ("H", "W"),
            "input_dilation": strides,
            "padding": [(r, r) for r in reach],
        }
    else:
        top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
        keys |= {"stride": strides, "padding": ((top, bottom), (left, right))}
    try:
        result = audit(x, w, {**keys, "dilation": dilations}, propose=False)
    except InputError:
        return ""
    return f"{result.seen} of {result.total}"


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    blind = 0
    print(f"onnx {onnx.__version__}")
    print(f"{'case':45} {'filters':12} {'kernel flipped':16} audit sees")
    found = cases()
    for name, (model, inputs, wanted) in found.items():
        node = model.graph.node[0]
        w = inputs[3 if node.op_type == "QLinearConv" else 1]
        passes = survives(model, inputs, wanted)
        blind += passes
        shape = "x".join(map(str, w.shape))
        said = "passes as well" if passes else "fails"
        print(f"{name:45} {shape:12} {said:16} {score(model, inputs)}")
    print(f"\n{blind} of {len(found)} cases pass with every kernel flipped")


if __name__ == "__main__":
    main()
