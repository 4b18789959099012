"""The convolutions of PyTorch's networks: one to three axes, and what comes before and after.

Each is identified from its arrays alone; beside each stands one that is made a little otherwise,
which must not be called the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from explained import explain, not_claimed
from few import one_in

torch = pytest.importorskip("torch")
F = torch.nn.functional

DRAWN_FROM = 61
RNG = np.random.default_rng(DRAWN_FROM)


def normal(*shape: int) -> Any:
    return torch.from_numpy(RNG.standard_normal(shape).astype(np.float32))


def bank(*shape: int) -> Any:
    """Filters of results about 1."""
    return normal(*shape) / float(np.sqrt(np.prod(shape[1:])))


def channels_last(a: Any) -> np.ndarray:
    """N, C and the rest, as N, the rest and C."""
    return np.moveaxis(np.asarray(a), 1, -1)


# ---- one axis


SIGNALS = {
    # channels, samples, outputs, taps, arguments, keys
    "plain": (4, 90, 5, 3, {}, {}),
    "dilated by 16": (4, 300, 5, 3, {"dilation": 16, "padding": 16}, {"padding": 16}),
    "frames of 512": (1, 16384, 8, 512, {"stride": 256}, {"stride": 256}),
    "stride 2": (3, 120, 4, 4, {"stride": 2, "padding": 1}, {"stride": 2}),
    "wav2vec": (1, 4000, 12, 10, {"stride": 5}, {"stride": 5}),
    "frames of 1024": (1, 32768, 6, 1024, {"stride": 1024}, {"stride": 1024}),
    "dilated by 64": (4, 700, 5, 2, {"dilation": 64}, {"dilation": 64}),
    "dilated by 256": (4, 1500, 5, 3, {"dilation": 256, "padding": 256}, {"dilation": 256}),
    "dilated by 512": (4, 2100, 5, 2, {"dilation": 512}, {"dilation": 512}),
    "Whisper": (20, 200, 16, 3, {"stride": 2, "padding": 1}, {"stride": 2}),
    "groups": (6, 90, 6, 3, {"groups": 3, "padding": 1}, {"groups": 3, "padding": 1}),
    "depthwise, long": (5, 160, 5, 31, {"groups": 5, "padding": 15}, {"groups": 5, "padding": 15}),
}


@pytest.mark.parametrize("last", one_in(2, [False, True]))
@pytest.mark.parametrize("name", one_in(3, SIGNALS))
def test_conv1d(name: str, last: bool) -> None:
    channels, samples, outputs, taps, arguments, keys = SIGNALS[name]
    x = normal(2, channels, samples)
    w = bank(outputs, channels // arguments.get("groups", 1), taps)
    y = F.conv1d(x, w, **arguments)
    if last:
        x, y = channels_last(x), channels_last(y)
        keys = keys | {"image_layout": "NWC", "output_layout": "NWC"} if channels > 1 else keys
    explain(x, w, y, flip=(), filter_layout="OIW", activation=None, **keys)


@pytest.mark.parametrize("dilation", one_in(4, [1, 8, 64, 128, 512]))
def test_causal(dilation: int) -> None:
    x, w = normal(1, 4, 4 * dilation + 60), bank(5, 4, 2)
    y = F.conv1d(F.pad(x, (dilation, 0)), w, dilation=dilation)
    explain(x, w, y, padding=((dilation, 0),), dilation=dilation, flip=())
    looks_ahead = F.conv1d(F.pad(x, (0, dilation)), w, dilation=dilation)
    not_claimed(x, w, looks_ahead, padding=((dilation, 0),))


@pytest.mark.parametrize("stride", one_in(2, [4, 5]))
def test_the_first_layer_of_wav2vec(stride: int) -> None:
    x, w = normal(1, 1, 4000), bank(16, 1, 10)
    sums = F.conv1d(x, w, stride=stride)
    explain(x, w, F.gelu(sums), stride=stride, activation="gelu")
    not_claimed(x, w, sums * torch.sigmoid(1.702 * sums), stride=stride, activation="gelu")


@pytest.mark.parametrize("stride", one_in(2, [2, 3, 4]))
def test_transposed_1d(stride: int) -> None:
    x, w = normal(1, 4, 30), bank(4, 3, 2 * stride)
    y = F.conv_transpose1d(x, w, stride=stride, padding=stride // 2)
    keys = {"filter_layout": "IOW", "flip": ("W",), "input_dilation": stride}
    explain(x, w, y, **keys)
    not_claimed(x, w, F.conv_transpose1d(x, w.flip(2), stride=stride), **keys)


# ---- three axes


VOLUMES = {
    "plain": ({}, {}),
    "padding 1": ({"padding": 1}, {"padding": 1}),
    "stride 2 in space": ({"stride": (1, 2, 2), "padding": 1}, {"stride": (1, 2, 2)}),
    "stride 2": ({"stride": 2}, {"stride": 2}),
    "dilation 2": ({"dilation": 2, "padding": 2}, {"dilation": 2, "padding": 2}),
    "groups": ({"groups": 2, "padding": 1}, {"groups": 2, "padding": 1}),
}


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("name", one_in(3, VOLUMES))
def test_conv3d(name: str, last: bool) -> None:
    arguments, keys = VOLUMES[name]
    x, w, b = normal(1, 4, 7, 11, 12), bank(6, 4 // arguments.get("groups", 1), 3, 3, 3), normal(6)
    y = F.conv3d(x, w, b, **arguments)
    layouts = {"image_layout": "NCDHW", "filter_layout": "OIDHW", "output_layout": "NCDHW"}
    if last:
        x, w, y = channels_last(x), w.permute(2, 3, 4, 1, 0), channels_last(y)
        layouts = {"image_layout": "NDHWC", "filter_layout": "DHWIO", "output_layout": "NDHWC"}
    found = explain(x, w, y, flip=(), **layouts, **keys)
    np.testing.assert_allclose(found.bias, b, atol=1e-5)


@pytest.mark.parametrize("turned", one_in(2, [(2,), (3, 4)]))
def test_a_volume_that_is_turned(turned: tuple[int, ...]) -> None:
    x, w = normal(1, 3, 6, 10, 11), bank(4, 3, 3, 3, 3)
    explain(x, w, F.conv3d(x, w.flip(turned)), flip=tuple("NCDHW"[a] for a in turned))
    not_claimed(x, w, F.conv3d(x, w.flip(turned)), flip=())


@pytest.mark.parametrize("padding", one_in(2, [0, 1]))
def test_transposed_3d(padding: int) -> None:
    x, w = normal(1, 3, 4, 5, 6), bank(3, 2, 2, 2, 2)
    y = F.conv_transpose3d(x, w, stride=2, padding=padding)
    explain(x, w, y, filter_layout="IODHW", flip=("D", "H", "W"), input_dilation=2)
    other = F.conv_transpose3d(x, w.transpose(3, 4), stride=2, padding=padding)
    not_claimed(x, w, other, filter_layout="IODHW", input_dilation=2)


# ---- large dilations and patches


@pytest.mark.parametrize("rate", one_in(3, [6, 12, 18, 24]))
def test_large_dilations(rate: int) -> None:
    x, w = normal(1, 4, 40, 44), bank(3, 4, 3, 3)
    y = F.conv2d(x, w, dilation=rate, padding=rate)
    explain(x, w, y, dilation=rate, padding=rate, flip=())
    other = F.conv2d(x, w, dilation=rate - 1, padding=rate - 1)
    not_claimed(x, w, other, dilation=rate)


@pytest.mark.parametrize("patch", one_in(3, [16, 14, 32]))
@pytest.mark.parametrize("bias", one_in(2, [True, False]))
def test_patches(patch: int, bias: bool) -> None:
    x, w, b = normal(1, 3, 7 * patch, 6 * patch), bank(6, 3, patch, patch), normal(6)
    y = F.conv2d(x, w, b if bias else None, stride=patch)
    found = explain(x, w, y, stride=patch, flip=())
    assert (found.bias is not None) == bias
    flattened = F.conv2d(x, w.transpose(2, 3), b if bias else None, stride=patch)
    not_claimed(x, w, flattened, stride=patch, filter_layout="OIHW")


# ---- after the sums


def normalised(y: Any) -> Any:
    """A batch normalisation at inference, drawn."""
    n = y.shape[1]
    mean, variance = 0.1 * normal(n), 0.5 + 1.5 * torch.rand(n)
    return F.batch_norm(y, mean, variance, 0.5 + torch.rand(n), 0.2 * normal(n))


ACTIVATIONS = {
    "relu": (F.relu, "relu"),
    "gelu": (F.gelu, "gelu"),
    "hard_swish": (F.hardswish, "hard_swish"),
    "none": (lambda y: y, None),
    "sigmoid": (torch.sigmoid, "sigmoid"),
    "tanh": (torch.tanh, "tanh"),
    "silu": (F.silu, "silu"),
    "gelu_tanh": (lambda y: F.gelu(y, approximate="tanh"), "gelu_tanh"),
    "hard_sigmoid": (F.hardsigmoid, "hard_sigmoid"),
    "softplus": (F.softplus, "softplus"),
    "elu": (F.elu, "elu"),
    "abs": (torch.abs, "abs"),
    "relu6": (lambda y: F.relu6(4 * y), "relu6"),
    "leaky 0.01": (F.leaky_relu, {"leaky_relu": 0.01}),
    "leaky 0.2": (lambda y: F.leaky_relu(y, 0.2), {"leaky_relu": 0.2}),
    "clip": (lambda y: torch.clamp(y, -0.7, 1.3), {"clip": [-0.7, 1.3]}),
}
NOT_QUITE = {
    "relu": (lambda y: torch.where(y > 0.1, y, 0 * y), "relu"),
    "gelu": (lambda y: F.gelu(y, approximate="tanh"), "gelu"),
    "hard_swish": (F.silu, "hard_swish"),
    "none": (lambda y: y + 0.05 * torch.tanh(y), None),
    "sigmoid": (F.hardsigmoid, "sigmoid"),
    "tanh": (F.hardtanh, "tanh"),
    "silu": (lambda y: y * torch.sigmoid(1.1 * y), "silu"),
    "gelu_tanh": (lambda y: y * torch.sigmoid(1.702 * y), "gelu_tanh"),
    "hard_sigmoid": (lambda y: torch.clamp(0.2 * y + 0.5, 0, 1), "hard_sigmoid"),
    "softplus": (lambda y: F.softplus(y, beta=2), "softplus"),
    "elu": (F.selu, "elu"),
    "abs": (lambda y: torch.sqrt(y * y + 0.01), "abs"),
    "relu6": (lambda y: torch.clamp(4 * y, 0, 5), "relu6"),
    "leaky 0.01": (lambda y: F.leaky_relu(y, 0.011), {"leaky_relu": 0.01}),
    "leaky 0.2": (lambda y: F.prelu(y, torch.linspace(0.2, 0.3, 6)), {"leaky_relu": 0.2}),
    "clip": (lambda y: torch.clamp(y, -0.7, 1.32), {"clip": [-0.7, 1.3]}),
}


def assert_activation(found: Any, wanted: Any) -> None:
    """The same activation, its values to six digits.

    A hard sigmoid whose numbers are not known is as well a clip at 0 and 1.
    """
    if wanted == "hard_sigmoid" and found == {"clip": [0.0, 1.0]}:
        return
    if not isinstance(wanted, dict):
        assert found == wanted
        return
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert found[name] == pytest.approx(values, rel=1e-6)


@pytest.mark.parametrize("name", one_in(3, ACTIVATIONS))
@pytest.mark.parametrize("batch_norm", one_in(2, [True, False]))
def test_activations(name: str, batch_norm: bool) -> None:
    torch.manual_seed(4)
    x, w = normal(1, 8, 14, 15), bank(6, 8, 3, 3)
    y = F.conv2d(x, w, padding=1)
    y = normalised(y) if batch_norm else y
    make, activation = ACTIVATIONS[name]
    found = explain(x, w, make(y), padding=1)
    assert_activation(found.to_dict()["activation"], activation)
    if name in ("abs", "hard_sigmoid") or (not batch_norm and name != "relu6"):
        return
    # The numbers are those of the layer before its activation, as far as they are seen.
    plain = explain(x, w, y, padding=1)
    times = 4 if name == "relu6" else 1
    scales, wanted = (np.broadcast_to(c.scale, 6) for c in (found, plain))
    np.testing.assert_allclose(scales, times * wanted, rtol=2e-4)


@pytest.mark.parametrize("name", one_in(10, NOT_QUITE))
@pytest.mark.parametrize("batch_norm", one_in(2, [True, False]))
def test_activations_that_are_others(name: str, batch_norm: bool) -> None:
    torch.manual_seed(4)
    x, w = normal(1, 8, 14, 15), bank(6, 8, 3, 3)
    y = F.conv2d(x, w, padding=1)
    make, activation = NOT_QUITE[name]
    not_claimed(x, w, make(normalised(y) if batch_norm else y), padding=1, activation=activation)


@pytest.mark.parametrize("slope", one_in(3, [0.01, 0.1, 0.2, 0.25, 0.3, 1 / 3]))
def test_slopes(slope: float) -> None:
    x, w, b = normal(1, 6, 14, 15), bank(5, 6, 3, 3), 0.3 * normal(5)
    y = F.leaky_relu(F.conv2d(x, w, b), slope)
    found = explain(x, w, y)
    assert found.to_dict()["activation"]["leaky_relu"] == pytest.approx(slope, rel=1e-5)
    other = F.leaky_relu(F.conv2d(x, w, b), 1.02 * slope)
    not_claimed(x, w, other, activation={"leaky_relu": slope})


LIMITS = [(-1.0, 1.0), (0.0, 1.0), (-0.5, 0.5), (0.0, 2.5), (-2.0, 0.3)]


@pytest.mark.parametrize("limits", one_in(2, LIMITS))
def test_limits(limits: tuple[float, float]) -> None:
    x, w = normal(1, 6, 14, 15), 1.5 * bank(5, 6, 3, 3)
    sums = F.conv2d(x, w, padding=1)
    explain(x, w, torch.clamp(sums, *limits), activation={"clip": list(limits)}, padding=1)
    low, high = limits
    other = torch.clamp(sums, low, high + 0.02)
    not_claimed(x, w, other, activation={"clip": list(limits)})


def dealt(y: Any, groups: int) -> Any:
    """The channels of groups in turn, as ShuffleNet does."""
    n, c, *size = y.shape
    return y.reshape(n, groups, c // groups, *size).transpose(1, 2).reshape(y.shape)


@pytest.mark.parametrize("groups", one_in(2, [2, 4, 8]))
@pytest.mark.parametrize("relu", one_in(2, [False, True]))
def test_channels_dealt_out(groups: int, relu: bool) -> None:
    x, w = normal(1, 8, 14, 15), bank(16, 8 // groups, 3, 3)
    y = F.conv2d(x, w, groups=groups, padding=1)
    y = F.relu(normalised(y)) if relu else y
    order = tuple(np.arange(16).reshape(groups, -1).T.ravel().tolist())
    explain(x, w, dealt(y, groups), groups=groups, output_order=order, padding=1)
    other = dealt(y, 16 // groups) if groups != 4 else y
    not_claimed(x, w, other, groups=groups, output_order=order)


@pytest.mark.parametrize("off", one_in(2, [1e-3, 1e-2]))
def test_a_scale_that_is_a_little_more_than_one(off: float) -> None:
    x, w = normal(1, 8, 14, 15), bank(6, 8, 3, 3)
    y = F.batch_norm(F.conv2d(x, w), torch.zeros(6), torch.ones(6), eps=off)
    found = explain(x, w, y)
    np.testing.assert_allclose(found.scale, 1 / np.sqrt(1 + off), rtol=1e-5)
    not_claimed(x, w, y, scale=1.0)


# ---- before the sums


MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
CAFFE = np.array([123.68, 116.779, 103.939])
CLIP = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])


def bytes_of(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape).astype(np.uint8)


def layer(image: np.ndarray, w: Any, after: str, **arguments: Any) -> Any:
    """HWC numbers through a convolution, and perhaps what comes after it."""
    planes = torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32))[None]
    y = F.conv2d(planes, w, **arguments)
    return F.relu(normalised(y)) if after == "bn relu" else y


NORMALISED = {
    # what is given to the layer, of bytes as HWC; offset, scale, order
    "ImageNet": (lambda x: (x / 255 - MEAN) / DEVIATION, 255 * MEAN, 1 / (255 * DEVIATION), None),
    "ImageNet, BGR": (
        lambda x: (x[..., ::-1] / 255 - MEAN) / DEVIATION,
        *(255 * MEAN, 1 / (255 * DEVIATION), (2, 1, 0)),
    ),
    "Caffe": (lambda x: x[..., ::-1] - CAFFE[::-1], CAFFE[::-1], 1.0, (2, 1, 0)),
    "CLIP": (lambda x: (x / 255 - CLIP[0]) / CLIP[1], 255 * CLIP[0], 1 / (255 * CLIP[1]), None),
    "-1 to 1": (lambda x: x / 127.5 - 1, 127.5, None, None),
    "Caffe, RGB": (lambda x: x - CAFFE, CAFFE, 1.0, None),
}
WAYS = {
    "padding 1": {"padding": 1},
    "stride 2": {"padding": 1, "stride": 2},
    "stem": {"padding": 3, "stride": 2},
}


@pytest.mark.parametrize("after", one_in(2, ["", "bn relu"]))
@pytest.mark.parametrize("way", one_in(2, WAYS))
@pytest.mark.parametrize("name", one_in(2, NORMALISED))
def test_means_and_deviations(name: str, way: str, after: str) -> None:
    torch.manual_seed(2)
    if (name, way, after) == ("-1 to 1", "stride 2", "bn relu"):
        pytest.xfail("a few elements are left: the factors are known to too few digits")
    make, offset, scale, order = NORMALISED[name]
    x = bytes_of(34, 36, 3)
    w = bank(6, 3, 7, 7) if way == "stem" else bank(6, 3, 3, 3)
    found = explain(x, w, layer(make(x), w, after, **WAYS[way]), image_layout="HWC")
    reversed_ = found.channel_order == (2, 1, 0)
    assert reversed_ == (order is not None)
    np.testing.assert_allclose(found.image_offset, offset, rtol=2e-5)
    if scale is not None:
        ratio = np.asarray(found.image_scale) / scale
        np.testing.assert_allclose(ratio, np.mean(ratio), rtol=2e-5)


@pytest.mark.parametrize("channel", one_in(2, [0, 1, 2]))
@pytest.mark.parametrize("name", one_in(2, NORMALISED))
def test_means_that_are_others(name: str, channel: int) -> None:
    make, offset, _, _ = NORMALISED[name]
    x, w = bytes_of(34, 36, 3), bank(6, 3, 3, 3)
    off = np.zeros(3)
    off[channel] = 0.02 * np.std(make(x.astype(float)))
    y = layer(make(x) + off, w, "", padding=1)
    not_claimed(x, w, y, image_offset=np.asarray(offset).tolist())


@pytest.mark.parametrize("order", one_in(2, [None, (2, 1, 0)]))
def test_pixels_from_0_to_1(order: tuple[int, ...] | None) -> None:
    x, w = RNG.random((26, 28, 3)).astype(np.float32), bank(6, 3, 3, 3)
    read = x if order is None else x[..., list(order)]
    y = layer((read - MEAN) / DEVIATION, w, "", padding=1)
    found = explain(x, w, y, channel_order=order, padding=1)
    np.testing.assert_allclose(found.image_offset, MEAN, rtol=1e-4)
    np.testing.assert_allclose(found.image_scale, 1 / DEVIATION, rtol=1e-4)
    y = layer((read - MEAN[[0, 2, 1]]) / DEVIATION, w, "", padding=1)
    not_claimed(x, w, y, image_offset=MEAN.tolist())


@pytest.mark.parametrize("zero", one_in(3, [114, 128, 1, 255]))
def test_a_zero_point_with_padding(zero: int) -> None:
    x, w = bytes_of(3, 18, 20), torch.from_numpy(RNG.integers(-90, 91, (4, 3, 3, 3)).astype("f4"))
    planes = torch.from_numpy(x.astype(np.float32))[None]
    y = F.conv2d(planes - zero, w, padding=1)[0].numpy().astype(np.int32)
    found = explain(x, w.numpy().astype(np.int8), y, image_offset=float(zero), padding=1)
    assert found.bias is None
    # Padded before it is taken off: then the edge holds -zero.
    y = F.conv2d(F.pad(planes, (1, 1, 1, 1)) - zero, w)[0].numpy().astype(np.int32)
    not_claimed(x, w.numpy().astype(np.int8), y, image_offset=float(zero), padding_value=0.0)


def test_zero_points_of_both() -> None:
    x, w = bytes_of(3, 18, 20), bytes_of(4, 3, 3, 3)
    exact = [torch.from_numpy(a.astype(np.float64)) for a in (x[None], w)]
    y = F.conv2d(exact[0] - 114, exact[1] - 131, padding=1)[0].numpy().astype(np.int32)
    explain(x, w, y, image_offset=114.0, filter_offset=131.0, padding=1, bias=None)
    y = F.conv2d(exact[0] - 115, exact[1] - 131, padding=1)[0].numpy().astype(np.int32)
    not_claimed(x, w, y, image_offset=114.0, filter_offset=131.0)


MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
PAIRS = [(a, b) for a in (*MODES, "constant") for b in (*MODES, "constant") if a != b]


def padded(x: Any, rows: str, columns: str) -> Any:
    return F.pad(F.pad(x, (2, 2, 0, 0), mode=columns), (0, 0, 1, 1), mode=rows)


@pytest.mark.parametrize("pair", one_in(4, PAIRS))
def test_borders_of_each_axis(pair: tuple[str, str]) -> None:
    x, w = normal(1, 3, 14, 17), bank(4, 3, 3, 5)
    modes = tuple(MODES.get(mode, mode) for mode in pair)
    explain(x, w, F.conv2d(padded(x, *pair), w), padding=((1, 1), (2, 2)), padding_mode=modes)
    not_claimed(x, w, F.conv2d(padded(x, *pair[::-1]), w), padding_mode=modes)


# ---- reshaped where it should have been transposed


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("channels", one_in(2, [3, 5]))
def test_filters_reshaped(channels: int, relu: bool) -> None:
    x, w, b = normal(1, channels, 14, 13), bank(4, channels, 3, 3), 0.2 * normal(4)
    taken = w.reshape(3, 3, channels, 4).permute(3, 2, 0, 1)
    y = F.conv2d(x, taken, b, padding=1)
    explain(x, w, F.relu(y) if relu else y, filter_layout="OIHW", filter_memory="HWIO", padding=1)
    y = F.conv2d(x, w, b, padding=1)
    explain(x, w, F.relu(y) if relu else y, filter_memory=None, padding=1)
    other = F.conv2d(x, taken.roll(1, 1), b, padding=1)
    not_claimed(x, w, other, filter_memory="HWIO", channel_order=None)


@pytest.mark.parametrize("batch", one_in(2, [2, 1]))
def test_an_image_reshaped(batch: int) -> None:
    x, w = bytes_of(batch, 12, 14, 3), bank(4, 3, 3, 3)
    taken = torch.from_numpy(x.reshape(batch, 3, 12, 14).astype(np.float32))
    explain(x, w, F.conv2d(taken, w), image_layout="NHWC", image_memory="NCHW")
    right = torch.from_numpy(x.transpose(0, 3, 1, 2).astype(np.float32))
    explain(x, w, F.conv2d(right, w), image_layout="NHWC", image_memory=None)
    swapped = torch.from_numpy(x.reshape(batch, 3, 14, 12).astype(np.float32)).transpose(2, 3)
    not_claimed(x, w, F.conv2d(swapped, w), image_memory="NCHW")


# ---- gradients


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("rank", [2, 1, 3])
def test_gradients_of_the_image(rank: int, stride: int) -> None:
    size = (40,) if rank == 1 else (12, 14) if rank == 2 else (7, 8, 9)
    letters = "DHW"[3 - rank :]
    w, y = bank(6, 3, *(3,) * rank), normal(1, 6, *((n - 1) // stride + 1 for n in size))
    make = getattr(torch.nn.grad, f"conv{rank}d_input")
    dx = make((1, 3, *size), w, y, stride=stride, padding=1)
    keys = {"filter_layout": "IO" + letters, "flip": tuple(letters), "input_dilation": stride}
    explain(y, w, dx, **keys)
    not_claimed(y, w, make((1, 3, *size), w.flip(2), y, stride=stride, padding=1), **keys)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("rank", [2, 1, 3])
def test_gradients_of_the_filters(rank: int, stride: int) -> None:
    size = (40,) if rank == 1 else (12, 14) if rank == 2 else (7, 8, 9)
    x, y = normal(2, 3, *size), normal(2, 6, *((n - 1) // stride + 1 for n in size))
    make = getattr(torch.nn.grad, f"conv{rank}d_weight")
    dw = make(x, (6, 3, *(3,) * rank), y, stride=stride, padding=1)
    explain(x, y, dw, flip=(), dilation=stride)
    other = make(x, (6, 3, *(3,) * rank), y.roll(1, 0), stride=stride, padding=1)
    not_claimed(x, y, other, flip=(), dilation=stride, channel_order=None)


@pytest.mark.slow
@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_of_many_products(stride: int) -> None:
    """Sums of a hundred thousand products."""
    x, y = normal(8, 3, 112, 112), normal(8, 4, 112 // stride, 112 // stride)
    dw = torch.nn.grad.conv2d_weight(x, (4, 3, 3, 3), y, stride=stride, padding=1)
    explain(x, y, dw, dilation=stride, flip=())
    not_claimed(x, y, dw * 1.01, dilation=stride, scale=1.0)
