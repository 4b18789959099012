"""The gradients of a target: of one that its library differentiates, or of a backward pass."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from convcheck.call_text import DB, DW, DX, GRADIENTS, parse_call
from convcheck.errors import InputError
from convcheck.layers import is_layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

Forward = Callable[..., Any]

UPSTREAM = (
    *("dout", "d_out", "dy", "d_y", "dz", "dh", "doutput", "d_output", "dl_dout", "dl_dy", "gy"),
    *("grad", "grads", "gradient", "grad_output", "grad_out", "grad_y", "grad_outputs"),
    *("output_grad", "out_grad", "upstream", "upstream_grad", "delta", "dvalues", "g"),
)
IMAGES = ("x", "image", "images", "input", "inputs", "inp", "img", "a_prev", "x_in", "im")
FILTERS = ("w", "weight", "weights", "filter", "filters", "kernel", "kernels", "bank", "k", "f")
BIASES = ("bias", "biases", "b")
"""What functions call the output's gradient, the image, the filters and the bias."""
_RESULTS = {
    DX: ("dx", "d_x", "dinput", "dinputs", "d_input", "dimage", "da_prev", "da", "dl_dinput", "gx"),
    DW: ("dw", "d_w", "dweight", "dweights", "dfilters", "dkernel", "d_filters", "dk", "gw"),
    DB: ("db", "d_b", "dbias", "dbiases", "d_bias", "gb"),
}
"""What they call their results, beside ``grad_`` or a plain name."""
_ORDERS = (
    (DX, DW, DB),
    (DW, DB, DX),
    (DX, DB, DW),
    (DW, DX, DB),
    (DB, DW, DX),
    (DB, DX, DW),
)
"""Orders of a result's parts, the usual one first."""


class Missing(Exception):  # noqa: N818 - it is no error of ours, but what the target left out
    """A gradient that was asked for is not among what the target gives."""


def is_backward(function: Forward, call: str | None = None) -> bool:
    """Whether a callable takes the output's gradient, as ``backward(dout, x, w)`` does."""
    if call is not None:
        return "dout" in parse_call(call).names
    return any(name.lower() in UPSTREAM for name in _parameters(function))


def gradients_of(function: Forward, kind: str, call: str | None, forward: Forward) -> Forward:
    """A function of numpy arrays, parameters and the output's gradient; it gives one gradient.

    Without the output's gradient it does what ``forward`` does.

    Raises:
        InputError: a function that nothing differentiates.
    """
    if is_backward(function, call):
        return _Backward(function, kind, call)
    if is_layer(function) and call is None:
        raise InputError(
            "the gradients of a layer are not taken",
            got="a layer, which keeps its weights to itself",
            expected="a function of an image and filters, or a backward pass such as "
            "backward(dout, x, w)",
            hint="wrap it: def conv(x, w, stride=1, padding=0): return ...",
        )
    if kind not in _WAYS:
        raise InputError(
            "nothing tells the gradients of the target",
            got="a function of NumPy arrays that takes no gradient of its output",
            expected="a function of PyTorch's, JAX's or TensorFlow's arrays, or a backward pass "
            "such as backward(dout, x, w), which returns dx, dw and perhaps db",
            hint="say how with --call 'f(dout, x, w)', or its arrays with --arrays",
        )
    biased = next((name for name in _parameters(function) if name in BIASES), "")
    opaque = not _parameters(function) and call is None  # as PyTorch's own are
    return _differentiated(forward, kind, biased or ("bias" if opaque else ""))


def _differentiated(forward: Forward, kind: str, bias: str) -> Forward:
    def run(x: Array, w: Array, parameters: Any, upstream: Array | None = None) -> Any:
        if upstream is None:
            return forward(x, w, parameters)
        which = parameters.gradient
        if x.dtype.kind not in "fc":
            raise NotImplementedError("gradients are of floating-point numbers alone")
        arrays = [x, w]
        if which == DB:
            if not bias:
                raise NotImplementedError("it takes no bias")
            arrays.append(_zeros(parameters.sizes["K"], x.dtype))

        def applied(*given: Any) -> Any:
            more = type(parameters)({**parameters, **dict(zip([bias], given[2:], strict=False))})
            more.sizes = parameters.sizes
            return forward(*given[:2], more)

        found = _WAYS[kind](applied, arrays, upstream, GRADIENTS.index(which))
        return _row(found, parameters) if which == DB else found

    return run


def _torch(applied: Forward, arrays: Sequence[Array], upstream: Array, which: int) -> Any:
    import torch

    from convcheck.kinds import converter

    into = converter("torch")
    given = [into(array).requires_grad_() for array in arrays]
    out = applied(*given)
    found = torch.autograd.grad(out, given[which], into(upstream), allow_unused=True)[0]
    if found is None:
        raise Missing(f"gives no {GRADIENTS[which]}: its output is cut off from the gradient")
    return found


def _jax(applied: Forward, arrays: Sequence[Array], upstream: Array, which: int) -> Any:
    import jax
    import jax.numpy as jnp

    out, back = jax.vjp(applied, *map(jnp.asarray, arrays))
    return back(jnp.asarray(upstream, out.dtype))[which]


def _tensorflow(applied: Forward, arrays: Sequence[Array], upstream: Array, which: int) -> Any:
    import tensorflow as tf

    given = [tf.convert_to_tensor(array) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(given)
        out = applied(*given)
    return tape.gradient(out, given[which], output_gradients=tf.convert_to_tensor(upstream))


_WAYS = {"torch": _torch, "jax": _jax, "tensorflow": _tensorflow}


class _Backward:
    """A backward pass as people write them, and in which order it gives its results."""

    def __init__(self, function: Forward, kind: str, call: str | None) -> None:
        from convcheck.kinds import converter

        self._function = function
        self._into = converter(kind)
        self._read = parse_call(call) if call else None
        self._names = [*_parameters(function)]
        self._order: tuple[str, ...] | None = None

    def __call__(self, x: Array, w: Array, parameters: Any, upstream: Array | None = None) -> Any:
        if upstream is None:
            raise AssertionError("a backward pass is asked for gradients alone")
        arrays = {"x": self._into(x), "w": self._into(w), "dout": self._into(upstream)}
        count = parameters.sizes["K"]
        if self._read is not None:
            sizes = {k: parameters.sizes[k] for k in ("N", "C", "K")}
            given = self._read.run(self._function, {**arrays, **sizes, **parameters})
            biased = ""
        else:
            named = self._named(arrays)
            biased = next((n for n in self._names if n.lower() in BIASES), "")
            if biased:
                named[biased] = self._into(_zeros(count, x.dtype))
            given = self._function(**named, **parameters)
        which = parameters.gradient
        found = self._parts(given, {DX: x.shape, DW: w.shape, DB: (count,)}).get(which)
        if found is None and which == DB and not biased:
            raise NotImplementedError("it gives no db, and takes no bias")
        if found is None:
            more = ", though it takes a bias" if which == DB else ""
            raise Missing(f"gives no {which}{more}")
        return _row(found, parameters) if which == DB else found

    def _named(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """The arrays by the names that the function has for them."""
        groups = {"dout": UPSTREAM, "x": IMAGES, "w": FILTERS}
        found: dict[str, Any] = {}
        for array, names in groups.items():
            own = next((n for n in self._names if n.lower() in names), None)
            if own is None:
                raise InputError(
                    f"the backward pass has no argument for {array} that is known by its name",
                    got=", ".join(self._names),
                    expected=f"one of {', '.join(names)}",
                    hint="say how with --call, as in 'f(dout, (x, w, zeros(K), stride))'",
                )
            found[own] = arrays[array]
        return found

    def _parts(self, given: Any, shapes: Mapping[str, tuple[int, ...]]) -> Mapping[str, Any]:
        """What the function gives, by the gradient that it is."""
        if hasattr(given, "_asdict"):
            given = given._asdict()
        if isinstance(given, Mapping):
            return {which: part for name, part in given.items() if (which := _named(str(name)))}
        if not isinstance(given, tuple | list):
            raise Missing("gives one result where dX and dW are expected")
        orders = [self._order] if self._order else _orders(len(given))

        def fit(order: Sequence[str]) -> int:
            return sum(_fits(part, shapes[one]) for one, part in zip(order, given, strict=False))

        best = max(orders, key=fit, default=GRADIENTS)
        if fit(best) == len(given) and sum(fit(order) == len(given) for order in orders) == 1:
            self._order = best  # of shapes that differ: it stays so where they do not
        return dict(zip(best, given, strict=False))


def _orders(count: int) -> list[tuple[str, ...]]:
    """The orders of so many results; of two db is none."""
    if count >= len(GRADIENTS):
        return [*_ORDERS]
    return [*dict.fromkeys(tuple(g for g in order if g != DB) for order in _ORDERS)]


def _fits(part: Any, shape: tuple[int, ...]) -> bool:
    if len(shape) == 1:
        return _size(part) == shape[0]
    return tuple(getattr(part, "shape", ())) == shape


def _size(part: Any) -> int:
    size = 1
    for n in getattr(part, "shape", (0,)):
        size *= int(n)
    return size


def _named(name: str) -> str | None:
    plain = name.lower().removeprefix("grad_").removesuffix("_grad")
    kinds = {DX: IMAGES, DW: FILTERS, DB: BIASES}
    return next((g for g in GRADIENTS if plain in (*_RESULTS[g], *kinds[g])), None)


def _row(found: Any, parameters: Any) -> Any:
    """A bias's gradient, whatever axes of length 1 it has, as the sums over one image's output."""
    count, rank = parameters.sizes["K"], len(parameters.sizes["taps"])
    if _size(found) != count:
        return found
    found = found if hasattr(found, "reshape") else found.numpy()
    return found.reshape((count,) + (1,) * rank)


def _zeros(count: int, dtype: Any) -> Array:
    import numpy as np

    return np.zeros(count, dtype)


def _parameters(function: Forward) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
