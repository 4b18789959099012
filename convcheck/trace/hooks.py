"""A PyTorch model's layers, captured by its own hooks and written one at a time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention.channels import spatial
from convcheck.errors import InputError, MissingExtraError
from convcheck.trace.files import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Array = NDArray[Any]

_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def capture(model: Any, inputs: tuple[Any, ...], to: Path) -> None:
    """Run the model once and write what every convolution was given and gave.

    A batch normalization and an activation belong to the convolution whose output they are given,
    if nothing else has been given it before; an activation may be a module or a function.
    """
    try:
        import torch
        from torch.overrides import TorchFunctionMode
    except ImportError:
        raise MissingExtraError("a PyTorch model needs torch", "torch") from None
    pending: dict[str, Any] = {}
    others: Counter[str] = Counter()
    with Writer(to) as writer:

        def flush() -> None:
            if pending:
                called = pending["called"]
                writer.layer(
                    pending["name"],
                    pending["kind"] + (f"+{called}" if called else ""),
                    pending["keys"],
                    pending["arrays"],
                    pending.get("epsilon"),
                )
                pending.clear()

        def convolution(name: str) -> Callable[..., None]:
            def hook(module: Any, given: Any, result: Any) -> None:
                flush()
                arrays = {"input": _array(given[0]), "weight": _array(module.weight)}
                if module.bias is not None:
                    arrays["bias"] = _array(module.bias)
                arrays["output"] = _array(result)
                pending.update(
                    name=name, kind=type(module).__name__, keys=_keys(module, result, given[0])
                )
                pending.update(arrays=arrays, result=result, called="")

            return hook

        def other(_: str) -> Callable[..., None]:
            def hook(module: Any, given: Any, result: Any) -> None:
                kind = type(module).__name__
                mine = bool(pending) and bool(given) and given[0] is pending["result"]
                plain = mine and "activation" not in pending["keys"]
                fixed = kind.startswith("BatchNorm") and not module.training and module.affine
                if plain and fixed and "epsilon" not in pending:
                    pending["epsilon"] = module.eps
                    pending["arrays"] |= {
                        "mean": _array(module.running_mean),
                        "variance": _array(module.running_var),
                        "gamma": _array(module.weight),
                        "beta": _array(module.bias),
                    }
                    pending["kind"] += f"+{kind}"
                    _follow(pending, result)
                    return
                if pending and pending["called"] and result is pending["result"]:
                    pending["kind"] += f"+{kind}"  # whose function was seen
                    pending["called"] = ""
                else:
                    others[kind] += 1

            return hook

        class Functions(TorchFunctionMode):  # type: ignore[misc]
            """Sees what is called, by a module or not."""

            def __torch_function__(
                self, func: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                result = func(*args, **(kwargs or {}))
                given = args[0] if args else (kwargs or {}).get("input")
                if pending and given is pending["result"] and "activation" not in pending["keys"]:
                    name = getattr(func, "__name__", "").rstrip("_")
                    activation = _activation(name, args, kwargs or {})
                    if activation is not None:
                        pending["keys"]["activation"] = activation
                        pending["called"] = name
                        _follow(pending, result)
                return result

        handles = []
        for name, module in model.named_modules():
            if next(module.children(), None) is not None:
                continue
            made = convolution if _is_convolution(module) else other
            handles.append(module.register_forward_hook(made(name or type(module).__name__)))
        try:
            with torch.no_grad(), Functions():
                model(*inputs)
        finally:
            for handle in handles:
                handle.remove()
        flush()
        writer.others.update(others)
        if not writer.layers:
            raise InputError("the model ran no convolution layer", expected="torch.nn.Conv1d to 3d")


def _follow(pending: dict[str, Any], result: Any) -> None:
    pending["arrays"]["output"] = _array(result)
    pending["result"] = result


def _is_convolution(module: Any) -> bool:
    kind = type(module).__name__
    return kind in {f"Conv{t}{n}d" for t in ("", "Transpose") for n in (1, 2, 3)}


def _array(tensor: Any) -> Array:
    held = tensor.detach().cpu()
    if str(held.dtype) == "torch.bfloat16":
        held = held.float()
    return np.array(held.resolve_conj().resolve_neg().numpy())  # a copy: it may be written over


def _keys(module: Any, result: Any, given: Any) -> dict[str, Any]:
    rank = len(module.kernel_size)
    axes = spatial(rank)
    batch = "N" if result.dim() == rank + 2 else ""
    transposed = "Transpose" in type(module).__name__
    keys: dict[str, Any] = {
        "image_layout": f"{batch}C{axes}",
        "filter_layout": ("IO" if transposed else "OI") + axes,
        "output_layout": f"{batch}C{axes}",
        "dilation": list(module.dilation),
        "groups": module.groups,
        "arithmetic": str(result.dtype).removeprefix("torch."),
    }
    extents = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
    if transposed:
        # What forward() was asked for may be another output padding than the layer's own.
        sizes = zip(result.shape[-rank:], given.shape[-rank:], strict=True)
        padding = []
        for (out, size), stride, reach, pad in zip(
            sizes, module.stride, extents, module.padding, strict=True
        ):
            more = out - ((size - 1) * stride - 2 * pad + reach + 1)
            padding.append([reach - pad, reach - pad + more])
        return keys | {
            "flip": list(axes),
            "input_dilation": list(module.stride),
            "padding": padding,
        }
    if module.padding == "same":
        padding = [[reach // 2, reach - reach // 2] for reach in extents]
    elif module.padding == "valid":
        padding = [[0, 0]] * rank
    else:
        padding = [[pad, pad] for pad in module.padding]
    mode = _MODES[module.padding_mode]
    return keys | {"stride": list(module.stride), "padding": padding, "padding_mode": mode}


_PLAIN = {
    "relu": "relu",
    "relu6": "relu6",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "silu": "silu",
    "hardswish": "hard_swish",
    "hardsigmoid": "hard_sigmoid",
}


def _activation(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The activation that a function of this name is; None where it is none."""

    def value(at: int, key: str, default: Any) -> Any:
        return kwargs.get(key, args[at] if len(args) > at else default)

    if name in _PLAIN:
        return _PLAIN[name]
    if name == "leaky_relu":
        return {"leaky_relu": float(value(1, "negative_slope", 0.01))}
    if name == "gelu":
        return "gelu_tanh" if value(1, "approximate", "none") == "tanh" else "gelu"
    if name == "elu" and value(1, "alpha", 1.0) == 1:
        return "elu"
    if name == "softplus" and value(1, "beta", 1) == 1:
        return "softplus"
    if name in ("hardtanh", "clamp", "clip"):
        usual = (-1.0, 1.0) if name == "hardtanh" else (None, None)
        keys = ("min_val", "max_val") if name == "hardtanh" else ("min", "max")
        low, high = (value(i, k, d) for i, k, d in zip((1, 2), keys, usual, strict=True))
        if low == 0 and high is None:
            return "relu"
        if all(isinstance(v, (int, float)) for v in (low, high)):
            return {"clip": [float(low), float(high)]}
    return None
