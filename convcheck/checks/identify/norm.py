"""A batch normalization as it is given: four arrays and an ε, checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.inputs import check_numbers, shape_text
from convcheck.errors import InputError

Array = NDArray[Any]

EPSILON = 1e-5
"""PyTorch's and ONNX's, where none is given."""


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """What a batch normalization has, an array of one number for each output channel, and its ε."""

    mean: Array
    var: Array
    gamma: Array
    beta: Array
    eps: float = EPSILON

    def checked(self, output: Sequence[int]) -> BatchNorm:
        """The same in float64.

        Raises:
            InputError: arrays that are none of an output of this shape; an ε that is none.
        """
        arrays: dict[str, Array] = {}
        for key in ("mean", "var", "gamma", "beta"):
            name, array = _name(key), np.asarray(getattr(self, key))
            if array.ndim != 1:
                raise InputError(
                    f"{name} has the wrong number of axes",
                    got=f"shape {shape_text(array.shape)}",
                    expected="1 axis: a number for each output channel",
                    hint="squeeze it: a.reshape(-1)",
                )
            check_numbers(name, array, hint="give the arrays as the layer has them")
            if array.dtype.kind == "c":
                raise InputError(
                    f"{name} holds complex numbers", got=str(array.dtype), expected="real numbers"
                )
            arrays[key] = array.astype(np.float64)
        sizes = {key: len(array) for key, array in arrays.items()}
        if len(set(sizes.values())) > 1:
            raise InputError(
                "the arrays of the batch normalization have different lengths",
                got=", ".join(f"{key.upper()} {size}" for key, size in sizes.items()),
                expected="a number for each output channel in each of them",
            )
        if len(arrays["mean"]) not in (1, *output):
            raise wrong_length(len(arrays["mean"]), f"one of OUT's axes, {shape_text(output)}")
        self._check_variance(arrays["var"])
        return BatchNorm(**arrays, eps=float(self.eps))

    def _check_variance(self, var: Array) -> None:
        if not (math.isfinite(self.eps) and self.eps >= 0):
            raise InputError(
                "EPS of the batch normalization is unfit",
                got=f"{self.eps:g}",
                expected="a finite number, 0 or more",
                hint="PyTorch's default is 1e-5, Keras' 1e-3",
            )
        if (var < 0).any():
            first = int(np.argmax(var < 0))
            raise InputError(
                f"{_name('var')} holds negative numbers",
                got=f"{var[first]:g} at index {first}",
                expected="variances, 0 or more",
                hint="the order is MEAN,VAR,GAMMA,BETA",
            )
        if self.eps == 0 and (var == 0).any():
            raise InputError(
                f"{_name('var')} is 0 where EPS is 0, too",
                got=f"0 at index {int(np.argmax(var == 0))}",
                expected="something to divide by",
            )


def _name(key: str) -> str:
    return f"{key.upper()} of the batch normalization"


def wrong_length(length: int, expected: str) -> InputError:
    """The error of arrays that are not as long as there are output channels."""
    return InputError(
        "the batch normalization has another number of channels than OUT",
        got=f"arrays of {length}",
        expected=expected,
        hint="it is one number for each filter of W",
    )
