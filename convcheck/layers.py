"""Layers as people write them: a class, or an instance, with its weights as an attribute."""

from __future__ import annotations

import inspect
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

INPUTS = (
    *("in_channels", "in_channel", "input_channels", "channels_in", "num_channels", "in_ch"),
    *("in_c", "c_in", "cin", "n_in", "in_planes", "channels", "n_channels"),
)
OUTPUTS = (
    *("out_channels", "out_channel", "output_channels", "channels_out", "num_filters", "out_ch"),
    *("out_c", "c_out", "cout", "n_out", "out_planes", "n_filters", "filters"),
)
KERNELS = ("kernel_size", "kernel_shape", "filter_size", "ksize", "kernel", "k", "size", "f")
"""What a constructor calls how many channels there are, filters, and the sides of one."""
WEIGHTS = ("weight", "weights", "W", "w", "kernel", "kernels", "filters", "filter")
BIASES = ("bias", "biases", "b")


def is_layer(target: Any) -> bool:
    """Whether it is a layer, to be called with an image alone."""
    if inspect.isclass(target):
        names = _names(target)
        sized = bool(names & set(INPUTS) and names & set(OUTPUTS) and names & set(KERNELS))
        return _forward(target) is not None and (sized or _weighted(names) is not None)
    if inspect.isroutine(target) or inspect.ismodule(target):
        return False
    forward = _forward(target)
    return forward is not None and _weight(target) is not None and _alone(forward)


def called(target: Any, image: Any, filters: Any, parameters: Mapping[str, Any]) -> Any:
    """What a layer with these filters, and no bias, gives for an image.

    ``parameters`` has the sizes of the case as ``sizes``.
    """
    layer = _made(target, filters, parameters) if inspect.isclass(target) else target
    name = _weight(layer)
    before = ()
    if name is not None:
        before = tuple(getattr(layer, name).shape)
        setattr(layer, name, _like(getattr(layer, name), filters))
    count = getattr(parameters, "sizes", {})["K"]
    for bias in BIASES:
        old = getattr(layer, bias, None)
        if old is not None and hasattr(old, "shape"):
            # As many as there are filters now.
            many = len(old.shape) == 1
            shape = [count if many or n in (before[:1] + before[-1:]) else n for n in old.shape]
            setattr(layer, bias, _like(old, _zeros(filters, shape)))
    forward = _forward(layer)
    if forward is None:
        raise AssertionError("a layer can be called")
    return forward(image)


def _made(cls: Any, filters: Any, parameters: Mapping[str, Any]) -> Any:
    names = _names(cls)
    sizes: Mapping[str, Any] = getattr(parameters, "sizes", {})
    given: dict[str, Any] = dict(parameters)
    weighted = _weighted(names)
    if not names & set(KERNELS) and weighted is not None:
        given[weighted] = filters
        for bias in BIASES:
            if bias in names and _required(cls, bias):
                given[bias] = _zeros(filters, [sizes["K"]])
        return cls(**given)
    for known, value in ((INPUTS, sizes["C"]), (OUTPUTS, sizes["K"])):
        given[next(name for name in known if name in names)] = value
    kernel = next(name for name in KERNELS if name in names)
    taps = tuple(sizes["taps"])
    if _annotation(cls, kernel) != "int":
        with suppress(TypeError):
            return cls(**given, **{kernel: taps})
    if len(set(taps)) > 1:
        raise NotImplementedError(f"{cls.__name__} takes one {kernel} for all axes")
    return cls(**given, **{kernel: taps[0]})


def _names(cls: Any) -> set[str]:
    try:
        return set(inspect.signature(cls).parameters)
    except (TypeError, ValueError):
        return set()


def _annotation(cls: Any, name: str) -> Any:
    found = inspect.signature(cls).parameters[name].annotation
    return found if isinstance(found, str) else getattr(found, "__name__", "")


def _required(cls: Any, name: str) -> bool:
    return inspect.signature(cls).parameters[name].default is inspect.Parameter.empty


def _weighted(names: set[str]) -> str | None:
    return next((name for name in WEIGHTS if name in names), None)


def _weight(layer: Any) -> str | None:
    return next((name for name in WEIGHTS if hasattr(getattr(layer, name, None), "shape")), None)


def _forward(layer: Any) -> Callable[..., Any] | None:
    found = getattr(layer, "forward", None)
    if not callable(found) and inspect.isclass(layer):
        found = next((vars(c)["__call__"] for c in layer.__mro__ if "__call__" in vars(c)), None)
    elif not callable(found):
        found = layer
    return found if callable(found) else None


def _alone(forward: Callable[..., Any]) -> bool:
    """Whether it wants one array."""
    try:
        parameters = inspect.signature(forward).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    wanted = [p for p in parameters if p.kind in positional and p.default is p.empty]
    return len(wanted) == 1


def _like(old: Any, new: Any) -> Any:
    """The new array as the attribute has it: a parameter, where that is what torch has there."""
    if hasattr(old, "requires_grad"):
        import torch

        return torch.nn.Parameter(new, requires_grad=False)
    return new


def _zeros(filters: Any, shape: Sequence[int]) -> Any:
    if hasattr(filters, "new_zeros"):  # torch's
        return filters.new_zeros(shape)
    import numpy as np

    return np.zeros(shape)
