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
    in float32, which every runtime takes) and rounds operands and result to the convention's
    arithmetic. In ONNX's, ``Conv(...)`` stands for the operator with its attributes. :data:`CANNOT`
    stands where a library has no such call.

    Raises:
        InputError: shapes that the convention does not fit.
    """
    g = measure(convention, image_shape, filter_shape)
    inexact = dtype if dtype.startswith(("float", "complex")) else "float64"
    return {
        "scipy": scipy_code(g, dtype if _is_whole(convention) else inexact),
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
) -> dict[str, Any]:
    """ONNX's node for a convention.

    ``op_type`` and ``attributes`` are the node's; ``prepare`` is code that makes its inputs ``x``
    and ``w`` from ``image`` and ``filters``, ``finish`` code that makes ``out`` from its output
    ``y``.

    Raises:
        InputError: shapes that the convention does not fit.
    """
    return operator(measure(convention, image_shape, filter_shape), dtype)


def _is_whole(c: Convention) -> bool:
    """Whether integers stay integers up to the sums."""
    before = (c.padding_value, c.image_offset, c.image_scale, c.filter_offset)
    numbers = [v for n in before for v in (n if isinstance(n, tuple) else (n,))]
    return c.arithmetic == "exact" and all(v == int(v) for v in numbers)
