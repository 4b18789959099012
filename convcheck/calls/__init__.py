"""A convention as paste-ready code of other libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convcheck.calls.geometry import measure
from convcheck.calls.jax_code import jax_code
from convcheck.calls.onnx_operator import onnx_code, operator
from convcheck.calls.scipy_code import scipy_code
from convcheck.calls.tensorflow_code import tensorflow_code
from convcheck.calls.text import CANNOT
from convcheck.calls.torch_code import torch_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.convention import Convention

__all__ = ["CANNOT", "LIBRARIES", "equivalent_calls", "onnx_node"]

LIBRARIES = ("scipy", "torch", "onnx", "jax", "tensorflow")


def equivalent_calls(
    convention: Convention,
    image_shape: Sequence[int],
    filter_shape: Sequence[int],
    *,
    dtype: str = "float64",
) -> dict[str, str]:
    """Code for each of :data:`LIBRARIES` that makes ``out`` from ``image`` and ``filters``.

    Both are NumPy arrays as they are stored, of these shapes. The code works in ``dtype``
    (``complex128`` for complex arrays; NumPy's in ``int64`` too, the others then in float64; ONNX's
    in float32, which every runtime takes) and rounds at the end. In ONNX's, ``Conv(...)`` stands
    for the operator with its attributes. :data:`CANNOT` stands where a library has no such call.

    Raises:
        InputError: shapes that the convention does not fit.
    """
    g = measure(convention, image_shape, filter_shape)
    inexact = dtype if dtype.startswith(("float", "complex")) else "float64"
    whole = convention.padding_value == int(convention.padding_value)
    return {
        "scipy": scipy_code(g, dtype if whole else inexact),
        "torch": torch_code(g, inexact),
        "onnx": CANNOT if dtype.startswith("complex") else onnx_code(g, "float32"),
        "jax": jax_code(g, inexact),
        "tensorflow": tensorflow_code(g, inexact),
    }


def onnx_node(
    convention: Convention,
    image_shape: Sequence[int],
    filter_shape: Sequence[int],
    *,
    dtype: str = "float32",
) -> dict[str, Any] | None:
    """ONNX's node for a convention, or None where it has none.

    ``op_type`` and ``attributes`` are the node's; ``prepare`` is code that makes its inputs ``x``
    and ``w`` from ``image`` and ``filters``, ``finish`` code that makes ``out`` from its output
    ``y``; both may use ``np``.

    Raises:
        InputError: shapes that the convention does not fit.
    """
    return operator(measure(convention, image_shape, filter_shape), dtype)
