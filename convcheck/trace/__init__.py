"""Traces: what every convolution of a model was given and gave, in one file.

``torch``, ``keras`` and ``onnx`` write one of a model and its inputs; ``docs/trace.md`` has the
format, which any program can write.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["keras", "onnx", "torch"]


def torch(model: Any, *inputs: Any, to: str | Path) -> Path:
    """Run a PyTorch model once on ``inputs`` and write its trace to ``to``.

    ``to`` is a folder, an .npz or a .safetensors. Memory holds one layer beside the model.

    Raises:
        MissingExtraError: torch is not installed.
        InputError: the model ran no convolution.
        OutputError: the trace could not be written.
    """
    from convcheck.trace.hooks import capture

    capture(model, inputs, Path(to))
    return Path(to)


def keras(model: Any, inputs: Any, *, to: str | Path) -> Path:
    """Run a Keras model once on ``inputs``, without training, and write its trace to ``to``.

    ``inputs`` is what the model is called with: an array, or a list or dict of them. ``to`` is a
    folder, an .npz or a .safetensors. Memory holds one layer beside the model.

    Raises:
        MissingExtraError: keras, or its backend, is not installed.
        InputError: no Keras model, or one that ran no convolution.
        OutputError: the trace could not be written.
    """
    from convcheck.trace.keras_calls import capture

    capture(model, inputs, Path(to))
    return Path(to)


def onnx(model: str | Path, inputs: Any = None, *, to: str | Path) -> Path:
    """Run an ONNX model once by onnxruntime and write its trace to ``to``.

    ``inputs`` are arrays by the names of the model's inputs, or one array; what is not given is
    drawn.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
        InputError: the model cannot be read or run.
        OutputError: the trace could not be written.
    """
    from convcheck.trace.files import Writer
    from convcheck.trace.runtime import record

    given = inputs if isinstance(inputs, dict) or inputs is None else {"": inputs}
    found = record(str(model), given)
    with Writer(Path(to)) as writer:
        for layer in found.layers:
            arrays = {role: layer.array(role) for role in sorted(layer.roles)}
            writer.layer(
                layer.name, layer.kind, layer.keys, arrays, layer.epsilon, cut_off=layer.cut_off
            )
        writer.others.update(found.others)
    return Path(to)
