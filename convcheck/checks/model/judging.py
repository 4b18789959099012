"""A layer beside its own attributes: whether its output follows, within proven bounds."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.check import Check, check
from convcheck.checks.model.result import Cause, Row
from convcheck.checks.model.untold import unseen
from convcheck.convention.multiplier import MULTIPLIERS
from convcheck.errors import InputError
from convcheck.trace.layer import Layer, about

if TYPE_CHECKING:
    from convcheck.convention import Convention

Array = NDArray[Any]


def held(
    image: Array, filters: Array, output: Array, c: Convention, parts: Array | None
) -> tuple[Check, Convention]:
    """The check of an output; of one that integers multiplied, by the way that holds, if one does.

    ONNX does not say how a runtime multiplies.
    """
    found = check(image, filters, output, c, parts=parts)
    if found.matches or c.storage is None or c.storage.multiplier == "real":
        return found, c
    for way in MULTIPLIERS:
        if way != c.storage.multiplier:
            other = c.replace(storage=replace(c.storage, multiplier=way))
            again = check(image, filters, output, other, parts=parts)
            if again.matches:
                return again, other
    return found, c


def arrays_of(layer: Layer) -> tuple[Array, Array, Array]:
    """A layer's image, filters and output, which must be numbers that are finite but the output."""
    found = tuple(np.asarray(layer.array(role)) for role in ("input", "weight", "output"))
    for role, array in zip(("input", "weight"), found, strict=False):
        if array.dtype.kind not in "biufc":
            raise InputError(f"the {role} of the layer {layer.name!r} has no numbers")
        if not np.isfinite(array).all():
            raise InputError(
                f"the {role} of the layer {layer.name!r} holds NaN or infinities",
                got=f"{np.count_nonzero(~np.isfinite(array))} of {array.size}",
                hint="give another --input: of such a layer nothing can be said",
            )
    return found  # type: ignore[return-value]


def judge(layer: Layer, *, explain: bool = True) -> Row:
    """The row of a layer on its own input, under its own attributes.

    Raises:
        InputError: arrays that do not fit each other.
    """
    begun = perf_counter()
    c, parts = layer.convention()
    image, filters, output = arrays_of(layer)
    try:
        found, c = held(image, filters, output, c, parts)
    except InputError as error:
        raise about(layer.name, error) from error
    causes: tuple[Cause, ...] = ()
    if not found.matches and explain:
        from convcheck.checks.model.causes import searched

        causes = searched(image, filters, output, c, parts, names=("its attributes", layer.name))
    return Row(
        layer.name,
        layer.kind,
        "holds" if found.matches else "departs",
        c,
        short(layer, c),
        found.comparison,
        perf_counter() - begun,
        causes=causes,
        unseen=unseen(image, filters, c) if found.matches else (),
    )


def short(layer: Layer, c: Convention) -> str:
    """A layer's convention in a few words, those that are not the default."""
    shape = "x".join(str(n) for n in _taps(layer, c))
    words = [shape]
    for key, what in (("stride", "stride"), ("input_dilation", "up"), ("dilation", "dilation")):
        value = getattr(c, key)
        if set(value) != {1}:
            words.append(f"{what} {_numbers(value)}")
    pads = c.padding
    if any(pair != (0, 0) for pair in pads):
        words.append(f"pad {_pads(pads)}")
        if set(c.padding_modes) != {"constant"}:
            words.append(c.padding_modes[0])
    if c.groups > 1:
        words.append(f"groups {c.groups}")
    if layer.epsilon is not None:
        words.append("BN")
    elif c.bias is not None:
        words.append("bias")
    if c.activation is not None:
        words.append(c.activation.name)
    if c.storage is not None:
        words.append(c.storage.dtype)
    if c.arithmetic not in ("float32", "exact"):
        words.append(c.arithmetic)
    return ", ".join(words)


def _taps(layer: Layer, c: Convention) -> list[int]:
    shape = np.shape(layer.array("weight"))
    return [n for n, axis in zip(shape, c.filter_layout, strict=False) if axis in c.spatial]


def _numbers(values: tuple[int, ...]) -> str:
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))


def _pads(pads: tuple[tuple[int, int], ...]) -> str:
    if len(set(pads)) == 1:
        a, b = pads[0]
        return str(a) if a == b else f"{a}/{b}"
    return " ".join(f"{a}/{b}" for a, b in pads)
