"""Outputs that real libraries computed, each told in the vocabulary's keys.

A library is imported where its kind is drawn; which are needed is in ``LIBRARIES``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from drawn_layers import Layer, Unfit, base, grouped, photograph
from drawn_parts import pick, usual_padding
from stored_outputs import kernel, storage

if TYPE_CHECKING:
    from collections.abc import Callable

    from drawn_layers import Arrays, Rng
    from plain_convolution import Array, Truth

LIBRARIES = {
    "torch": ("torch",),
    "onnxruntime": ("onnxruntime", "onnx"),
    "opencv": ("cv2",),
    "jax": ("jax",),
}
"""What the first word of a kind needs to be installed."""


def _arrays(rng: Rng, layer: Layer, *, whole: float = 0.25) -> tuple[Array, Array]:
    """Normal float32 numbers, small integers now and then."""
    shapes = layer.shapes()
    if rng.random() < whole:
        image, filters = (rng.integers(-9, 10, s).astype(np.float32) for s in shapes)
        return image, filters
    image, filters = (rng.standard_normal(s).astype(np.float32) for s in shapes)
    return image, filters / np.float32(np.sqrt(filters[0].size))


def _precision(image: Array) -> str:
    return "exact" if np.array_equal(image, np.rint(image)) else "float32"


def _batched(rng: Rng) -> Layer:
    layer = base(rng)
    layer.keys = {"image_layout": "NCHW", "filter_layout": "OIHW", "output_layout": "NCHW"}
    return layer


def torch_conv(rng: Rng, way: str) -> Arrays:
    """``conv2d`` with all that it takes, in float32, float64, bfloat16 or float16."""
    import torch

    torch.set_num_threads(1)
    layer = _batched(rng)
    if way == "groups":
        grouped(rng, layer)
        outputs = layer.channels * layer.multiplier
        layer.outputs, groups = outputs, layer.keys["groups"]
        layer.keys = {"image_layout": "NCHW", "filter_layout": "OIHW", "output_layout": "NCHW"}
        layer.keys["groups"] = groups
    image, filters = _arrays(rng, layer, whole=0.25 if way in ("conv2d", "groups") else 0)
    truth: Truth = dict(layer.keys)
    truth["stride"] = [pick(rng, 1, 1, 2, 3)] * 2
    truth["dilation"] = [pick(rng, 1, 1, 1, 2)] * 2
    pads = [int(rng.integers(0, k)) for k in layer.taps]
    truth["padding"] = [[p, p] for p in pads]
    truth["arithmetic"] = _precision(image)
    few = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}.get(way)
    x, w = torch.from_numpy(image), torch.from_numpy(filters)
    if few is not None:
        x, w = x.to(few), w.to(few)
        truth["arithmetic"] = way
        image, filters = ((a.float() if way == "bfloat16" else a).numpy() for a in (x, w))
    if way == "modes":
        mode = pick(rng, "reflect", "replicate", "circular")
        truth["padding_mode"] = {"replicate": "edge", "circular": "wrap"}.get(mode, mode)
        if max(p - n for p, n in zip(pads, layer.size, strict=True)) >= 0:
            raise Unfit
        x = torch.nn.functional.pad(x, (pads[1], pads[1], pads[0], pads[0]), mode=mode)
        pads = [0, 0]
    bias = None
    if rng.random() < 0.4:
        bias = torch.from_numpy(np.rint(3 * rng.standard_normal(layer.outputs))).to(x.dtype)
        truth["bias"] = bias.double().tolist()
    y = torch.nn.functional.conv2d(
        x, w, bias, truth["stride"], pads, truth["dilation"], truth.get("groups", 1)
    )
    if rng.random() < 0.2:
        truth["activation"] = "relu"
        y = y.relu()
    return image, filters, (y.float() if way == "bfloat16" else y).numpy(), truth


def torch_transposed(rng: Rng) -> Arrays:
    """``conv_transpose2d``: stride, padding, output padding, dilation, groups."""
    import torch

    torch.set_num_threads(1)
    layer = _batched(rng)
    layer.size = [int(v) for v in rng.integers(3, 8, 2)]
    groups = pick(rng, 1, 1, 2)
    layer.channels *= groups
    layer.keys["filter_layout"] = "IOHW"
    image, filters = _arrays(rng, layer)
    gap, d = pick(rng, 1, 2, 2, 3), pick(rng, 1, 1, 2)
    pads = [int(rng.integers(0, (k + 1) // 2)) for k in layer.taps]
    more = int(rng.integers(0, max(gap, d)))
    y = torch.nn.functional.conv_transpose2d(
        *(torch.from_numpy(a) for a in (image, filters)), None, gap, pads, more, groups, d
    )
    reach = [d * (k - 1) - p for k, p in zip(layer.taps, pads, strict=True)]
    truth = layer.keys | {"input_dilation": [gap] * 2, "dilation": [d] * 2, "flip": ["H", "W"]}
    truth |= {"padding": [[r, r + more] for r in reach], "groups": groups}
    return image, filters, y.numpy(), truth | {"arithmetic": _precision(image)}


def _run(operator: str, inputs: dict[str, Any], **more: Any) -> Any:
    import onnx
    import onnxruntime as runtime

    helper = onnx.helper
    kinds = {name: helper.np_dtype_to_tensor_dtype(a.dtype) for name, a in inputs.items()}
    node = helper.make_node(operator, list(inputs), ["Y"], **more)
    taken = [helper.make_tensor_value_info(n, kinds[n], a.shape) for n, a in inputs.items()]
    given = helper.make_tensor_value_info("Y", kinds[next(iter(inputs))], None)
    graph = helper.make_graph([node], "g", taken, [given])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)[0]


def onnx_conv(rng: Rng) -> Arrays:
    """``Conv`` with ``auto_pad`` or uneven pads."""
    layer = _batched(rng)
    image, filters = _arrays(rng, layer)
    truth: Truth = layer.keys | {"arithmetic": _precision(image)}
    strides = [pick(rng, 1, 1, 2), pick(rng, 1, 2, 3)]
    truth["stride"] = strides
    way = pick(rng, "SAME_UPPER", "SAME_LOWER", "NOTSET")
    if way == "NOTSET":
        pads = [[int(v) for v in rng.integers(0, 3, 2)] for _ in range(2)]
        given = {"pads": [p[0] for p in pads] + [p[1] for p in pads]}
    else:
        rule = way[5:].lower()
        pads = [
            list(usual_padding(n, k, s, 1, 0)[rule])
            for n, k, s in zip(layer.size, layer.taps, strides, strict=True)
        ]
        given = {"auto_pad": way}
    y = _run("Conv", {"X": image, "W": filters}, strides=strides, **given)
    return image, filters, y, truth | {"padding": pads}


def onnx_quantised(rng: Rng) -> Arrays:
    """``QLinearConv``: zero points, a scale for all or for each channel, a bias in the sums."""
    layer = _batched(rng)
    image = rng.integers(0, 256, layer.shapes()[0]).astype(np.uint8)
    # Of seven bits: without VNNI a CPU adds two products of eight in 16 bits, which saturate.
    filters = rng.integers(-64, 64, layer.shapes()[1]).astype(np.int8)
    each = rng.random() < 0.4
    x_point, y_point = pick(rng, 0, 120, 128), pick(rng, 128, 100)
    x_scale = np.float32(0.02)
    w_scale = (0.01 * rng.uniform(0.7, 1.4, layer.outputs if each else ())).astype(np.float32)
    spread = 0.0002 * 75 * 37 * np.sqrt(filters[0].size) * (1 if x_point else 1.7)
    y_scale = np.float32(spread / pick(rng, 25, 40))
    bias = np.rint(rng.normal(0, 30, layer.outputs) * y_scale / 0.0002).astype(np.int32)
    pads = [k // 2 for k in layer.taps]
    inputs = {
        "x": image,
        "xs": x_scale,
        "xz": np.uint8(x_point),
        "w": filters,
        "ws": w_scale,
        "wz": np.zeros(w_scale.shape, np.int8),
        "ys": y_scale,
        "yz": np.uint8(y_point),
        "b": bias,
    }
    y = _run("QLinearConv", {k: np.asarray(v) for k, v in inputs.items()}, pads=pads * 2)
    factor = x_scale.astype(float) * w_scale / y_scale
    truth: Truth = layer.keys | {"padding": [[p, p] for p in pads], "image_offset": x_point}
    truth |= {"scale": factor.tolist(), "bias": (bias * factor).tolist()}
    return (
        image,
        filters,
        y,
        truth | {"storage": storage("uint8", "half_even", "saturate", y_point)},
    )


def opencv(rng: Rng, way: str) -> Arrays:
    """``filter2D`` and ``sepFilter2D`` on a photograph, in bytes or float32."""
    import cv2

    cv2.setNumThreads(1)
    gray = rng.random() < 0.5
    size = [int(v) for v in rng.integers(10, 24, 2)]
    layout = "HW" if gray else "HWC"
    image = photograph(rng, (*size,) if gray else (*size, 3), layout)
    borders = {"reflect": 4, "symmetric": 2, "edge": 1, "constant": 0}
    mode = pick(rng, *borders)
    weights = kernel(rng).astype(np.float32)
    truth: Truth = {"image_layout": layout, "filter_layout": "HW", "output_layout": layout}
    truth |= {"groups": 1 if gray else 3, "padding_mode": mode}
    if way == "sepFilter2D":
        column, row = (rng.random(pick(rng, 3, 5)).astype(np.float32) for _ in range(2))
        weights = np.outer(column, row)
        y = cv2.sepFilter2D(image, cv2.CV_32F, row, column, borderType=borders[mode])
        truth["arithmetic"] = "float32"
    elif way == "floats":
        y = cv2.filter2D(image, cv2.CV_32F, weights, borderType=borders[mode])
        truth["arithmetic"] = "float32"
    else:
        y = cv2.filter2D(image, -1, weights, borderType=borders[mode])
        truth["storage"] = storage("uint8", "half_even")
    truth["padding"] = [[k // 2, k - 1 - k // 2] for k in weights.shape]
    return image, weights, y, truth


def scipy_ndimage(rng: Rng, *, whole: bool) -> Arrays:
    """``ndimage.correlate`` and ``convolve`` with any border; bytes are cut off."""
    from scipy import ndimage

    size, taps = ([int(v) for v in rng.integers(*reach, 2)] for reach in ((8, 22), (2, 6)))
    weights = rng.random(taps)
    image = photograph(rng, (*size,), "HW") if whole else rng.standard_normal(size)
    names = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap"}
    mode = pick(rng, *names, "constant")
    truth: Truth = {"image_layout": "HW", "filter_layout": "HW", "output_layout": "HW"}
    truth["padding_mode"] = names.get(mode, mode)
    value = 0 if whole or mode != "constant" else pick(rng, 0, 2.5)
    if value:
        truth["padding_value"] = value
    if whole:
        weights /= weights.sum() + 1e-3  # no sum reaches 256: what a cast does there is not told
        truth["storage"] = storage("uint8", "toward_zero")
    else:
        truth["arithmetic"] = "float64"
    if rng.random() < 0.5:
        truth["padding"] = [[k // 2, (k - 1) // 2] for k in taps]
        return image, weights, ndimage.correlate(image, weights, mode=mode, cval=value), truth
    truth |= {"flip": ["H", "W"], "padding": [[(k - 1) // 2, k // 2] for k in taps]}
    return image, weights, ndimage.convolve(image, weights, mode=mode, cval=value), truth


def scipy_signal(rng: Rng) -> Arrays:
    """``signal.convolve`` and ``correlate`` over all axes at once, in each mode."""
    from scipy import signal

    channels = pick(rng, 1, 2, 3)
    taps = [int(v) for v in rng.integers(2, 6, 2)]
    size = [int(v) for v in rng.integers(8, 18, 2)]
    image, filters = rng.standard_normal((channels, *size)), rng.standard_normal((channels, *taps))
    if rng.random() < 0.4:
        image, filters = (rng.integers(-9, 10, a.shape) for a in (image, filters))
    truth: Truth = {"filter_layout": "IHW", "image_layout": "CHW", "output_layout": "CHW"}
    truth["arithmetic"] = "exact" if image.dtype.kind == "i" else "float64"
    if channels == 1 and rng.random() < 0.5:
        image, filters = image[0], filters[0]
        truth |= {"filter_layout": "HW", "image_layout": "HW", "output_layout": "HW"}
    mode = pick(rng, "valid", "full", "same")
    flips = rng.random() < 0.5
    call = signal.convolve if flips else signal.correlate
    method = pick(rng, "direct", "fft") if image.dtype.kind == "f" else "direct"
    y = call(image, filters, mode, method)
    if mode != "valid" and channels > 1:
        # Of the results along the channels the one that all take part in.
        y = y[len(y) // 2 if mode == "same" else channels - 1][None]
    truth["flip"] = list("HW" if "I" not in truth["filter_layout"] else "IHW") if flips else []
    if mode == "same" and channels > 1 and channels % 2 == 0:
        raise Unfit  # the middle one is not that one
    rules = {"valid": lambda k: [0, 0], "full": lambda k: [k - 1, k - 1]}
    rules["same"] = lambda k: [k // 2, (k - 1) // 2]
    truth["padding"] = [rules[mode](k) for k in taps]
    return image, filters, y, truth


def jax_conv(rng: Rng) -> Arrays:
    """``lax.conv_general_dilated`` in the layouts of TensorFlow, zeros between samples too."""
    from jax import lax

    layer = base(rng)
    groups = pick(rng, 1, 1, 2)
    layer.per_group, layer.channels = layer.channels, layer.channels * groups
    layer.outputs *= groups
    layouts = pick(
        rng, ("NHWC", "HWIO", "NHWC"), ("NCHW", "OIHW", "NCHW"), ("NHWC", "OIHW", "NCHW")
    )
    keys = dict(zip(("image_layout", "filter_layout", "output_layout"), layouts, strict=True))
    layer.keys = keys
    image, filters = _arrays(rng, layer)
    stride, gap, d = [pick(rng, 1, 1, 2)] * 2, [pick(rng, 1, 1, 2)] * 2, [pick(rng, 1, 1, 2)] * 2
    sizes = [(n - 1) * g + 1 for n, g in zip(layer.size, gap, strict=True)]
    rule = pick(rng, "upper", "lower", "none")
    pads = [
        list(usual_padding(n, k, s, r, 0)[rule])
        for n, k, s, r in zip(sizes, layer.taps, stride, d, strict=True)
    ]
    y = lax.conv_general_dilated(
        image, filters, stride, pads, gap, d, dimension_numbers=layouts, feature_group_count=groups
    )
    truth: Truth = keys | {"stride": stride, "dilation": d, "input_dilation": gap, "groups": groups}
    return image, filters, np.asarray(y), truth | {"padding": pads, "arithmetic": _precision(image)}


KINDS: dict[str, Callable[[Rng], Arrays]] = {
    **{
        f"torch {way}": lambda rng, way=way: torch_conv(rng, way)
        for way in ("conv2d", "groups", "modes", "float64", "bfloat16", "float16")
    },
    "torch transposed": torch_transposed,
    "onnxruntime Conv": onnx_conv,
    "onnxruntime QLinearConv": onnx_quantised,
    **{
        f"opencv {way}": lambda rng, way=way: opencv(rng, way)
        for way in ("bytes", "floats", "sepFilter2D")
    },
    "scipy ndimage": lambda rng: scipy_ndimage(rng, whole=False),
    "scipy bytes": lambda rng: scipy_ndimage(rng, whole=True),
    "scipy signal": scipy_signal,
    "jax": jax_conv,
}
