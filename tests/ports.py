"""A network and ports of it with one mistake each: a campaign. ``python tests/ports.py N``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from convcheck.checks.model import ModelResult, check_model
from convcheck.engine import convolve
from convcheck.trace.files import Writer, read

KEYS = dict[str, Any]
Arrays = dict[str, Any]
Layer = tuple[str, KEYS, Arrays, float | None]


def drawn(rng: Any) -> list[Layer]:
    """Five layers on inputs of their own: a normalization, groups, a transposed one, slopes."""
    layers: list[Layer] = []
    for name, channels, outputs, more, epsilon in (
        ("stem", 3, 8, {"stride": 2, "padding": 1, "activation": "relu"}, 1e-5),
        ("depthwise", 6, 6, {"padding": [[0, 1], [0, 1]], "groups": 6, "stride": 2}, None),
        ("middle", 4, 4, {"padding": 1, "activation": {"leaky_relu": 0.1}}, None),
        ("dilated", 4, 5, {"dilation": 2, "padding": [[2, 1], [2, 1]]}, 1e-3),
        ("head", 5, 7, {"padding": 1, "activation": "silu"}, None),
    ):
        keys: KEYS = {
            "image_layout": "NCHW",
            "filter_layout": "OIHW",
            "output_layout": "NCHW",
            "arithmetic": "float32",
            "flip": [],
            **more,
        }
        groups = keys.get("groups", 1)
        arrays = {
            "input": rng.standard_normal((1, channels, 11, 12)),
            "weight": rng.standard_normal((outputs, channels // groups, 3, 3)),
            "bias": rng.standard_normal(outputs),
        }
        if epsilon is not None:
            arrays |= {
                "mean": rng.standard_normal(outputs),
                "variance": rng.uniform(0.01, 1, outputs),
                "gamma": rng.uniform(0.5, 2, outputs),
                "beta": rng.standard_normal(outputs),
            }
        arrays = {role: value.astype(np.float32) for role, value in arrays.items()}
        layers.append((name, keys, arrays, epsilon))
    return layers


def written(path: Path, layers: list[Layer], made: dict[str, tuple[KEYS, Arrays, float | None]]):
    """The trace of layers; of those in ``made`` the output is that of other keys and arrays."""
    from convcheck.trace.layer import Layer as Recorded

    with Writer(path) as writer:
        for name, keys, arrays, epsilon in layers:
            own_keys, own, own_epsilon = made.get(name, (keys, arrays, epsilon))
            recorded = Recorded(
                name, "Conv2d", own_keys, frozenset(own), own.__getitem__, own_epsilon
            )
            c, _ = recorded.convention()
            out = convolve(own["input"], own["weight"], c).astype(np.float32)
            writer.layer(name, "Conv2d", keys, {**arrays, "output": out}, epsilon)
    return read(str(path))


def _key(key: str, value: Callable[[Any], Any]) -> Callable[..., Any]:
    def change(keys: KEYS, arrays: Arrays, epsilon: float | None) -> Any:
        new = value(keys.get(key))
        return None if new is None else ({**keys, key: new}, arrays, epsilon)

    return change


def _array(role: str, value: Callable[[Any], Any]) -> Callable[..., Any]:
    def change(keys: KEYS, arrays: Arrays, epsilon: float | None) -> Any:
        if role not in arrays:
            return None
        new = value(arrays[role])
        if new is None or (new.shape == arrays[role].shape and np.array_equal(new, arrays[role])):
            return None
        return keys, {**arrays, role: np.ascontiguousarray(new)}, epsilon

    return change


def _sides(old: Any) -> Any:
    return [[b, a] for a, b in old] if isinstance(old, list) else None


def _square(w: Any) -> Any:
    return w.swapaxes(0, 1) if w.shape[0] == w.shape[1] else None


def _slope(old: Any) -> Any:
    return {"leaky_relu": 0.01} if isinstance(old, dict) else None


# The name, the keys of a cause that is right, and what is done.
MISTAKES: dict[str, tuple[set[str], Callable[..., Any]]] = {
    "padding on the other side": ({"padding"}, _key("padding", _sides)),
    "border by reflection": (
        {"padding_mode"},
        _key("padding_mode", lambda _: "reflect"),
    ),
    "border by edge": ({"padding_mode"}, _key("padding_mode", lambda _: "edge")),
    "kernel reversed": ({"flip", "weight"}, _array("weight", lambda w: w[:, :, ::-1, ::-1])),
    "kernel rows reversed": ({"flip", "weight"}, _array("weight", lambda w: w[:, :, ::-1])),
    "kernel transposed": (
        {"filter_layout", "weight"},
        _array("weight", lambda w: w.swapaxes(2, 3)),
    ),
    "weights in and out swapped": ({"filter_layout", "weight"}, _array("weight", _square)),
    "weights reshaped": (
        {"filter_memory"},
        _array(
            "weight",
            lambda w: w.transpose(0, 2, 3, 1).reshape(w.shape) if w.shape[1] > 1 else None,
        ),
    ),
    "input channels reversed": (
        {"channel_order", "flip", "weight"},
        _array("weight", lambda w: w[:, ::-1] if w.shape[1] > 1 else None),
    ),
    "output channels reversed": (
        {"output_order", "weight", "channel_order"},
        lambda keys, arrays, eps: (
            keys,
            {k: v if k == "input" else v[::-1].copy() for k, v in arrays.items()},
            eps,
        ),
    ),
    "no bias": ({"bias"}, _array("bias", lambda b: 0 * b)),
    "another epsilon": (
        {"epsilon"},
        lambda keys, arrays, eps: (
            None if eps is None else (keys, arrays, 1e-3 if eps < 1e-4 else 1e-5)
        ),
    ),
    "no activation": (
        {"activation"},
        lambda keys, arrays, eps: (
            ({k: v for k, v in keys.items() if k != "activation"}, arrays, eps)
            if "activation" in keys
            else None
        ),
    ),
    "another slope": ({"activation"}, _key("activation", _slope)),
    "another activation": (
        {"activation"},
        _key("activation", lambda old: "gelu" if old == "silu" else None),
    ),
    "an activation too many": (
        {"activation"},
        _key("activation", lambda old: "relu" if old is None else None),
    ),
    "dilation forgotten": (
        {"dilation", "padding"},
        lambda keys, arrays, eps: (
            ({**keys, "dilation": 1, "padding": [[1, 0], [1, 0]]}, arrays, eps)
            if keys.get("dilation")
            else None
        ),
    ),
    "float16": ({"arithmetic"}, _key("arithmetic", lambda _: "float16")),
}


def told(result: ModelResult, name: str, keys: set[str]) -> tuple[bool, bool]:
    """Whether the right layer alone departs, and for the right cause."""
    rows = result.departing
    right = [row.name for row in rows] == [name]
    return right, right and bool({cause.key for cause in rows[0].causes} & keys)


def campaign(count: int, seed: int = 0, *, honest: bool | None = None) -> list[str]:
    """So many ports; what went wrong, a line each. ``honest`` ports record their own attributes."""
    rng = np.random.default_rng(seed)
    wrong = []
    kinds = list(MISTAKES)
    with tempfile.TemporaryDirectory() as folder:
        done = 0
        while done < count:
            layers = drawn(rng)
            kind = kinds[done % len(kinds)]
            keys, change = MISTAKES[kind]
            chosen = layers[int(rng.integers(len(layers)))]
            made = change(chosen[1], chosen[2], chosen[3])
            if made is None:
                continue
            says = bool(rng.integers(2)) if honest is None else honest
            says &= kind != "float16"  # a port that says so is none
            a = written(Path(folder, "a.npz"), layers, {})
            port = [(chosen[0], *made) if layer is chosen and says else layer for layer in layers]
            b = written(Path(folder, "b.npz"), port, {chosen[0]: made})
            result = check_model(a, b)
            layer, cause = told(result, chosen[0], keys)
            done += 1
            if not (layer and cause):
                rows = [(r.name, [(c.key, c.words) for c in r.causes]) for r in result.departing]
                what = "cause" if layer else "layer"
                wrong.append(f"{what}: {kind} in {chosen[0]}, recorded {says}: {rows}")
    return wrong


def clean(count: int, seed: int = 0) -> list[str]:
    """Ports without a mistake, some with the normalization folded: what was accused."""
    rng = np.random.default_rng(seed)
    accused = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(count):
            layers = drawn(rng)
            a = written(Path(folder, "a.npz"), layers, {})
            b = written(Path(folder, "b.npz"), [folded(layer) for layer in layers], {})
            accused += [row.name for row in check_model(a, b).departing]
    return accused


def folded(layer: Layer) -> Layer:
    """The same layer with its normalization in weights and bias."""
    name, keys, arrays, epsilon = layer
    if epsilon is None:
        return layer
    factor = arrays["gamma"] / np.sqrt(arrays["variance"] + np.float32(epsilon))
    return (
        name,
        keys,
        {
            "input": arrays["input"],
            "weight": arrays["weight"] * factor.reshape(-1, 1, 1, 1),
            "bias": (arrays["bias"] - arrays["mean"]) * factor + arrays["beta"],
        },
        None,
    )


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 250
    failures = campaign(number)
    layers_wrong = sum(line.startswith("layer") for line in failures)
    print("\n".join(failures))
    print(f"{number} ports: {layers_wrong} wrong layers, {len(failures)} wrong causes")
    print(f"clean ports accused: {clean(max(number // 4, 1))}")
