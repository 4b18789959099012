"""How long ``convcheck model`` takes on a model of the size of ResNet-50: a table by layer."""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from convcheck.checks.model import check_model
from convcheck.trace.runtime import record

BLOCKS = ((64, 3), (128, 4), (256, 6), (512, 3))


def resnet(path: Path) -> int:
    """Write ResNet-50 with random weights; the bytes of the file."""
    rng = np.random.default_rng(0)
    nodes, tensors = [], []

    def conv(
        x: str, name: str, inputs: int, outputs: int, size: int, stride: int, act: bool
    ) -> str:
        weights = rng.standard_normal((outputs, inputs, size, size)) * (inputs * size**2) ** -0.5
        tensors.append(numpy_helper.from_array(weights.astype(np.float32), f"{name}.w"))
        parts = {"g": np.ones(outputs), "b": np.zeros(outputs), "m": np.zeros(outputs)}
        parts["v"] = rng.uniform(0.5, 1.5, outputs)
        for key, value in parts.items():
            tensors.append(numpy_helper.from_array(value.astype(np.float32), f"{name}.{key}"))
        pads = [size // 2] * 4
        nodes.append(
            helper.make_node(
                "Conv", [x, f"{name}.w"], [f"{name}.c"], name, strides=[stride] * 2, pads=pads
            )
        )
        norm = [f"{name}.{key}" for key in ("c", "g", "b", "m", "v")]
        nodes.append(helper.make_node("BatchNormalization", norm, [f"{name}.n"]))
        if not act:
            return f"{name}.n"
        nodes.append(helper.make_node("Relu", [f"{name}.n"], [f"{name}.r"]))
        return f"{name}.r"

    x = conv("x", "stem", 3, 64, 7, 2, act=True)
    nodes.append(
        helper.make_node("MaxPool", [x], ["p"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    )
    x, channels = "p", 64
    for stage, (width, count) in enumerate(BLOCKS):
        for block in range(count):
            name, stride = f"s{stage}b{block}", 2 if stage and not block else 1
            y = conv(x, f"{name}.1", channels, width, 1, 1, act=True)
            y = conv(y, f"{name}.2", width, width, 3, stride, act=True)
            y = conv(y, f"{name}.3", width, 4 * width, 1, 1, act=False)
            if not block:
                x = conv(x, f"{name}.down", channels, 4 * width, 1, stride, act=False)
            nodes.append(helper.make_node("Add", [x, y], [f"{name}.sum"]))
            nodes.append(helper.make_node("Relu", [f"{name}.sum"], [f"{name}.out"]))
            x, channels = f"{name}.out", 4 * width
    graph = helper.make_graph(
        nodes,
        "resnet50",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 224, 224])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, None)],
        tensors,
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        path,
        save_as_external_data=True,
        location="weights.bin",
    )
    return (path.parent / "weights.bin").stat().st_size


def main() -> int:
    """Print the table; exit 1 where a layer does not hold."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "resnet50.onnx")
        weights = resnet(path)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun = perf_counter()
        trace = record(str(path))
        ran = perf_counter() - begun
        result = check_model(trace)
        total = perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for row in result.rows:
        print(f"{row.name:12} {row.words:32} {row.verdict:8} {row.seconds:6.2f} s")
    print(f"weights {weights >> 20} MiB; inference {ran:.1f} s; in all {total:.1f} s")
    print(f"peak {peak >> 10} MiB, {before >> 10} MiB of it before")
    return int(result.exit_code)


if __name__ == "__main__":
    sys.exit(main())
