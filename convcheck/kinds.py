"""The kinds of arrays that implementations take: which one is meant, into it, and back."""

from __future__ import annotations

import inspect
import re
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

KINDS = ("numpy", "torch", "jax", "tensorflow")


def kind_of(name: str, function: Callable[..., Any]) -> str:
    """The arrays that a callable is made for: its library's, or its annotations'."""
    roots = {re.split(r"\W", home, maxsplit=1)[0] for home in (name, *_homes(function))}
    for kind in KINDS[1:]:
        if roots & {kind, f"{kind}lib", f"{kind}vision", f"{kind}audio"}:
            return kind
    return KINDS[0]


def _homes(function: Callable[..., Any]) -> Iterator[str]:
    """The modules that it, its class and its annotations come from."""
    while isinstance(function, partial):
        function = function.func
    yield getattr(function, "__module__", None) or ""
    if inspect.isclass(function):
        yield from (str(base.__module__) for base in function.__mro__)
    for owner in (function, getattr(function, "__self__", None)):
        yield from (str(base.__module__) for base in type(owner).__mro__)
    for annotation in _annotations(function):
        yield getattr(annotation, "__module__", None) or ""
        yield str(annotation)


def _annotations(function: Callable[..., Any]) -> list[Any]:
    for evaluated in (True, False):  # as text, where a name is only there for a type checker
        with suppress(Exception):  # builtins have no signature, and an annotation may be anything
            parameters = inspect.signature(function, eval_str=evaluated).parameters.values()
            return [p.annotation for p in parameters]
    return []


def converter(kind: str) -> Callable[[Array], Any]:
    """What makes an array of this kind out of NumPy's."""
    if kind == "torch":
        return _to_torch
    if kind == "jax":
        import jax.numpy as jnp

        return jnp.asarray  # type: ignore[no-any-return]
    if kind == "tensorflow":
        import tensorflow as tf

        return tf.convert_to_tensor  # type: ignore[no-any-return]
    return lambda array: array


def _to_torch(array: Array) -> Any:
    import torch

    if isinstance(array, torch.Tensor):
        return array
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def detached(tensor: Any) -> Any:
    """A tensor of PyTorch in this machine's memory, without what ``numpy()`` would stumble over."""
    found = tensor.detach().cpu()
    for resolve in ("resolve_conj", "resolve_neg"):  # of views that are so only when they are read
        found = getattr(found, resolve, lambda same=found: same)()
    return found


def to_numpy(output: Any) -> tuple[Array, str | None]:
    """A copy as NumPy has it, whatever kind it is of; and its precision, where NumPy lacks it."""
    import numpy as np

    if hasattr(output, "detach"):  # torch's
        output = detached(output)
        if str(output.dtype) == "torch.bfloat16":
            return np.array(output.float().numpy()), "bfloat16"
        output = output.numpy()
    elif not isinstance(output, np.ndarray) and callable(getattr(output, "numpy", None)):
        output = output.numpy()
    if np.ma.is_masked(output):
        raise ValueError("gave a masked array, in which elements are missing")
    array = np.asarray(output)
    if array.dtype.name == "bfloat16":  # of JAX and TensorFlow
        return array.astype(np.float32), "bfloat16"
    return array.copy(), None
