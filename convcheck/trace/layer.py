"""A recorded layer: its attributes as a convention's keys, and arrays that are read on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention import Convention
from convcheck.errors import InputError

Array = NDArray[Any]

REQUIRED = ("input", "weight", "output")
NORMALIZATION = ("mean", "variance", "gamma", "beta")
ROLES = (*REQUIRED, "bias", "scale", *NORMALIZATION)
"""The arrays of a layer: what ends their names in a trace."""


@dataclass(frozen=True)
class Layer:
    """One convolution with the batch normalization and activation that follow it.

    ``keys`` are those of a convention but for bias and scale, which are arrays: what comes out is
    ``activation(normalization((sums + bias) * scale))``. ``roles`` says which arrays there are, and
    ``read`` gets one. ``epsilon`` is the normalization's; None where there is none. ``cut_off``
    says that quantising the output cuts it off below zero, as a ReLU would.
    """

    name: str
    kind: str
    keys: Mapping[str, Any]
    roles: frozenset[str]
    read: Callable[[str], Array] = field(repr=False)
    epsilon: float | None = None
    cut_off: bool = False

    def array(self, role: str) -> Array:
        """The array of this role, read now.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        if role not in self.roles:
            raise InputError(
                f"the layer {self.name!r} has no {role}",
                got=", ".join(r for r in ROLES if r in self.roles) or "no arrays",
                expected=f"an array {self.name}.{role}",
                hint="docs/trace.md says what a trace holds",
            )
        return self.read(role)

    def numbers(self) -> Numbers:
        """Scale and bias for each output channel, as the convention has them: float64."""
        try:
            return self._folded()
        except ValueError as error:
            of = {r: np.size(self.array(r)) for r in ROLES if r in self.roles and r not in REQUIRED}
            raise InputError(
                f"the layer {self.name!r} has numbers that do not fit each other",
                got=", ".join(f"{role}: {size}" for role, size in of.items()),
                expected="one for each output channel",
            ) from error

    def _folded(self) -> Numbers:
        bias = self._numbers("bias") if "bias" in self.roles else None
        scale = self._numbers("scale") if "scale" in self.roles else np.ones(1)
        if bias is not None:
            bias = bias * scale
        if self.epsilon is None:
            return Numbers(scale, bias, None)
        mean, variance, gamma, beta = (self._numbers(role) for role in NORMALIZATION)
        with np.errstate(all="ignore"):
            factor = gamma / np.sqrt(variance + self.epsilon)
        before = np.zeros(1) if bias is None else bias
        parts = (np.abs(before) + np.abs(mean)) * np.abs(factor) + np.abs(beta)
        return Numbers(scale * factor, (before - mean) * factor + beta, parts)

    def convention(self) -> tuple[Convention, Array | None]:
        """The whole convention, and what a normalization's bias is made of.

        Raises:
            InputError: attributes that are no convention's.
        """
        found = self.numbers()
        try:
            plain = Convention.from_dict(self.keys)
            _check_steps(plain)
            c = plain.replace(
                scale=_plain(found.scale), bias=None if found.bias is None else _plain(found.bias)
            )
        except InputError as error:
            raise _named(self.name, error) from error
        return c, found.parts

    def _numbers(self, role: str) -> Array:
        found = np.asarray(self.array(role)).astype(np.float64).reshape(-1)
        if not np.isfinite(found).all():
            raise InputError(
                f"the {role} of the layer {self.name!r} has numbers that are not finite"
            )
        return found


@dataclass(frozen=True)
class Numbers:
    """Scale and bias for each output channel, or one for all, and the sizes of the bias' parts."""

    scale: Array
    bias: Array | None
    parts: Array | None


@dataclass(frozen=True)
class Trace:
    """The layers of a model that are judged, in the order in which they ran, and the others.

    ``others`` counts layers of each kind that is not judged.
    """

    source: str
    layers: tuple[Layer, ...]
    others: Mapping[str, int]


LARGEST = 1 << 31
"""What no step and no padding of a layer reaches."""


def _check_steps(c: Convention) -> None:
    steps = [*c.stride, *c.dilation, *c.input_dilation, *(abs(n) for p in c.padding for n in p)]
    if max(steps) >= LARGEST:
        raise InputError("a step or a padding is larger than any array", got=str(max(steps)))


def _plain(values: Array) -> Any:
    if values.size and (values == values[0]).all():
        return float(values[0])
    return tuple(map(float, values))


def _named(name: str, error: InputError) -> InputError:
    return InputError(
        f"the layer {name!r}: {error.what}",
        got=error.got,
        expected=error.expected,
        hint=error.hint,
    )


def about(name: str, error: InputError) -> InputError:
    """The same error, with the layer's name in front."""
    return _named(name, error)
