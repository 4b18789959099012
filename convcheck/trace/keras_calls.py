"""A Keras model's layers, seen as they are called and written one at a time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention.channels import spatial
from convcheck.errors import ConvcheckError, InputError, MissingExtraError
from convcheck.trace.files import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = NDArray[Any]

_KINDS = {f"{kind}{n}D": n for kind in ("Conv", "DepthwiseConv") for n in (1, 2, 3)}
_KINDS |= {f"Conv{n}DTranspose": n for n in (1, 2, 3)}
_NORMALIZATION = {
    "mean": "moving_mean",
    "variance": "moving_variance",
    "gamma": "gamma",
    "beta": "beta",
}
_PLAIN = {
    "relu": "relu",
    "relu6": "relu6",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "silu": "silu",
    "elu": "elu",
    "softplus": "softplus",
    "gelu": "gelu",
    "hard_silu": "hard_swish",
    "hard_sigmoid": "hard_sigmoid",
    "leaky_relu": {"leaky_relu": 0.2},
}
"""Functions by Keras's names, with what they do by default."""


def capture(model: Any, inputs: Any, to: Path) -> None:
    """Run the model once and write what every convolution was given and gave.

    A batch normalization and an activation belong to the convolution whose output they are given.
    """
    try:
        import keras
    except ImportError:
        raise MissingExtraError("a Keras model needs keras and a backend of it", "keras") from None
    if not isinstance(model, keras.Model):
        raise InputError("not a Keras model", got=type(model).__name__, expected="a keras.Model")
    others: Counter[str] = Counter()
    seen: list[Any] = []
    with Writer(to) as writer:
        calls = _Calls(writer, others, keras.ops)
        try:
            for layer in _leaves(model):
                if not any(layer is one for one in seen):
                    seen.append(layer)
                    layer.call = calls.around(layer, layer.call)
            model(inputs, training=False)
        except Exception as error:
            if calls.failed is not None:  # to which Keras gives another message
                raise calls.failed from error
            raise
        finally:
            for layer in seen:
                layer.__dict__.pop("call", None)
        calls.flush()
        writer.others.update(others)
        if not writer.layers:
            raise InputError(
                "the model ran no convolution layer that could be judged",
                got=", ".join(f"{n} {kind}" for kind, n in others.items()) or "no layers",
                expected=", ".join(_KINDS),
            )


def _leaves(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _leaves(layer)
        else:
            yield layer


class _Calls:
    """Holds a convolution until it is known what follows it."""

    def __init__(self, writer: Writer, others: Counter[str], ops: Any) -> None:
        self._writer, self._others, self._ops = writer, others, ops
        self._held: dict[str, Any] = {}
        self.failed: ConvcheckError | None = None

    def around(self, layer: Any, call: Any) -> Any:
        """The layer's call, which then is looked at."""

        def called(*args: Any, **kwargs: Any) -> Any:
            result = call(*args, **kwargs)
            try:
                self._look(layer, args[0] if args else next(iter(kwargs.values()), None), result)
            except ConvcheckError as error:
                self.failed = error
                raise
            return result

        return called

    def flush(self) -> None:
        """Write the convolution that is held."""
        if self._held:
            h = self._held
            self._writer.layer(h["name"], h["kind"], h["keys"], h["arrays"], h.get("epsilon"))
            self._held = {}

    def _array(self, tensor: Any) -> Array:
        if "bfloat16" in str(tensor.dtype):
            tensor = self._ops.cast(tensor, "float32")
        return np.array(self._ops.convert_to_numpy(tensor))

    def _look(self, layer: Any, given: Any, result: Any) -> None:
        kind, h = type(layer).__name__, self._held
        if kind in _KINDS:
            self.flush()
            self._begin(layer, kind, given, result)
            return
        free = bool(h) and given is h["result"] and "activation" not in h["keys"]
        if free and kind == "BatchNormalization" and "epsilon" not in h and _is_of(layer, h):
            h["epsilon"] = float(layer.epsilon)
            channels = h["arrays"]["output"].shape[h["keys"]["output_layout"].index("C")]
            for role, attribute in _NORMALIZATION.items():
                value = getattr(layer, attribute, None)
                plain = (np.ones if role == "gamma" else np.zeros)(channels, np.float32)
                h["arrays"][role] = plain if value is None else self._array(value)
        elif free and (activation := _activation_of(layer, kind)) is not None:
            h["keys"]["activation"] = activation
        else:
            self._others[kind] += 1
            return
        h["kind"] += f"+{kind}"
        h["arrays"]["output"], h["result"] = self._array(result), result

    def _begin(self, layer: Any, kind: str, given: Any, result: Any) -> None:
        activation = _function(layer.activation)
        if activation is None:
            self._others[
                f"{kind} with {getattr(layer.activation, '__name__', 'an activation')}"
            ] += 1
            return
        arrays = {"input": self._array(given), "weight": self._array(layer.kernel)}
        if layer.bias is not None:
            arrays["bias"] = self._array(layer.bias)
        arrays["output"] = self._array(result)
        keys = _keys(layer, kind, arrays)
        keys["arithmetic"] = str(result.dtype).rpartition(".")[2]
        if activation != "linear":
            keys["activation"] = activation
        self._held = {"name": layer.name, "kind": kind, "keys": keys, "arrays": arrays}
        self._held["result"] = result


def _is_of(layer: Any, held: dict[str, Any]) -> bool:
    """Whether a batch normalization is one of the channels."""
    layout = held["keys"]["output_layout"]
    return bool(layer.axis % len(layout) == layout.index("C"))


def _function(function: Any) -> Any:
    """The activation that a function of Keras is; "linear" for none, None where it is unknown."""
    name = getattr(function, "__name__", "")
    return "linear" if function is None or name == "linear" else _PLAIN.get(name)


def _activation_of(layer: Any, kind: str) -> Any:
    """The activation that a layer is; None where it is another one."""
    if kind == "Activation":
        found = _function(layer.activation)
        return None if found == "linear" else found
    if kind == "LeakyReLU":
        return {"leaky_relu": float(layer.negative_slope)}
    if kind != "ReLU" or layer.threshold:
        return None
    slope, most = float(layer.negative_slope or 0), layer.max_value
    if slope:
        return {"leaky_relu": slope} if most is None else None
    if most is None:
        return "relu"
    return "relu6" if most == 6 else {"clip": [0.0, float(most)]}


def _keys(layer: Any, kind: str, arrays: dict[str, Array]) -> dict[str, Any]:
    rank = _KINDS[kind]
    axes = spatial(rank)
    layout = f"N{axes}C" if layer.data_format == "channels_last" else f"NC{axes}"
    image, output = (
        [arrays[role].shape[layout.index(axis)] for axis in axes] for role in ("input", "output")
    )
    taps, strides = arrays["weight"].shape[:rank], tuple(layer.strides)
    dilation = tuple(layer.dilation_rate)
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, taps, strict=True)]
    transposed = kind.endswith("Transpose")
    keys: dict[str, Any] = {
        "image_layout": layout,
        "filter_layout": axes + ("OI" if transposed else "IO"),
        "output_layout": layout,
        "dilation": list(dilation),
    }
    padding = []
    for i in range(rank):
        size, stride, extent, reach = image[i], strides[i], extents[i], extents[i] - 1
        if transposed:
            before = 0
            if layer.padding == "same":
                # What is taken off is shared out, the larger part behind.
                total = (size - 1) * stride + extent - output[i]
                before = max(0, total) // 2
            begin = reach - before
            padding.append([begin, output[i] - (size - 1) * stride - 1 + reach - begin])
        elif layer.padding == "same":
            total = max(0, (-(-size // stride) - 1) * stride + extent - size)
            padding.append([total // 2, total - total // 2])
        else:
            padding.append([reach, 0] if layer.padding == "causal" else [0, 0])
    keys["padding"] = padding
    if transposed:
        return keys | {"flip": list(axes), "input_dilation": list(strides)}
    if kind.startswith("Depthwise"):
        keys |= {"filter_layout": axes + "IM", "groups": arrays["weight"].shape[rank]}
    else:
        keys["groups"] = int(layer.groups)
    return keys | {"stride": list(strides)}
