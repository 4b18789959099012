"""What PyTorch's layers do, identified from their arrays alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from explained import explain, verdict
from few import one_in

from convcheck import BatchNorm, identify

torch = pytest.importorskip("torch")
F = torch.nn.functional

DRAWN_FROM = 42
RNG = np.random.default_rng(DRAWN_FROM)


def normal(*shape: int) -> Any:
    return torch.from_numpy(RNG.standard_normal(shape).astype(np.float32))


LAYERS = {
    "plain": ({}, {}),
    "stride 2": ({"stride": 2}, {"stride": 2}),
    "stride 3x1": ({"stride": (3, 1)}, {"stride": (3, 1)}),
    "padding 1": ({"padding": 1}, {"padding": 1}),
    "padding 2x1": ({"padding": (2, 1)}, {"padding": ((2, 2), (1, 1))}),
    "same": ({"padding": "same"}, {"padding": ((1, 1), (1, 2))}),
    "stride 2, padding 1": ({"stride": 2, "padding": 1}, {"stride": 2}),
    "dilation 2": ({"dilation": 2, "padding": 2}, {"dilation": 2, "padding": 2}),
    "dilation 1x3": ({"dilation": (1, 3), "padding": (0, 4)}, {"dilation": (1, 3)}),
    "stride 4, dilation 2": ({"stride": 4, "dilation": 2, "padding": 3}, {"stride": 4}),
}


@pytest.mark.parametrize("name", one_in(2, LAYERS))
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.filterwarnings("ignore:Using padding=.same.")
def test_conv2d(name: str, bias: bool) -> None:
    arguments, keys = LAYERS[name]
    x, w = normal(2, 3, 17, 21), normal(5, 3, 3, 4)
    b = normal(5) if bias else None
    found = explain(
        x,
        w,
        F.conv2d(x, w, b, **arguments),
        image_layout="NCHW",
        filter_layout="OIHW",
        output_layout="NCHW",
        flip=(),
        groups=1,
        scale=1.0,
        activation=None,
        arithmetic="float32",
        **keys,
    )
    assert (found.bias is not None) == bias
    if bias:
        np.testing.assert_allclose(found.bias, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes(mode: str) -> None:
    x, w = normal(1, 3, 12, 15), normal(4, 3, 3, 5)
    y = F.conv2d(F.pad(x, (2, 2, 1, 1), mode=mode), w)
    named = {"replicate": "edge", "circular": "wrap"}.get(mode, mode)
    explain(x, w, y, padding_mode=named, padding=((1, 1), (2, 2)))


@pytest.mark.parametrize("taps", [(1, 1), (1, 3), (2, 2)])
@pytest.mark.parametrize("kind", one_in(3, ["float32", "bfloat16", "float16"]))
def test_windows_that_see_nothing_but_padding(taps: tuple[int, int], kind: str) -> None:
    x, w, b = (
        a.to(getattr(torch, kind)) for a in (normal(2, 3, 9, 11), normal(4, 3, *taps), normal(4))
    )
    y = F.conv2d(x, w, b, padding=3, stride=(1, 2))
    explain(x.float(), w.float(), y.float(), stride=(1, 2), flip=())


@pytest.mark.parametrize(
    ("channels", "outputs", "groups"), [(4, 6, 2), (6, 6, 6), (6, 12, 6), (6, 3, 3), (8, 8, 4)]
)
def test_groups(channels: int, outputs: int, groups: int) -> None:
    x, w = normal(1, channels, 11, 14), normal(outputs, channels // groups, 3, 2)
    explain(x, w, F.conv2d(x, w, padding=1, groups=groups), groups=groups, padding=1)


@pytest.mark.parametrize("stride", one_in(2, [2, 3, (2, 1)]))
@pytest.mark.parametrize("padding", one_in(2, [1, 0]))
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("more", [0, 1])
def test_conv_transpose2d(stride: Any, padding: int, groups: int, more: int) -> None:
    x, w = normal(1, 4, 6, 7), normal(4, 3, 3, 4)
    output_padding = more if isinstance(stride, int) else (more, 0)
    y = F.conv_transpose2d(
        x, w, stride=stride, padding=padding, groups=groups, output_padding=output_padding
    )
    explain(x, w, y, filter_layout="IOHW", flip=("H", "W"), input_dilation=stride, groups=groups)


def test_conv_transpose2d_of_stride_1_is_a_full_convolution() -> None:
    x, w = normal(1, 3, 8, 9), normal(3, 5, 3, 4)
    y = F.conv_transpose2d(x, w)
    explain(x, w, y, filter_layout="IOHW", flip=("H", "W"), padding=((2, 2), (3, 3)))


def test_conv_transpose2d_with_dilation() -> None:
    x, w = normal(2, 3, 5, 6), normal(3, 2, 3, 3)
    y = F.conv_transpose2d(x, w, stride=2, dilation=2, padding=1, output_padding=1)
    explain(x, w, y, filter_layout="IOHW", dilation=2, input_dilation=2)


def test_relu() -> None:
    x, w, b = normal(1, 3, 14, 13), normal(4, 3, 3, 3), normal(4)
    explain(x, w, F.relu(F.conv2d(x, w, padding=1)), activation="relu", bias=None)
    found = explain(x, w, F.relu(F.conv2d(x, w, b, padding=1)), activation="relu", padding=1)
    np.testing.assert_allclose(found.bias, b, atol=1e-5)


def test_scales() -> None:
    x, w = normal(1, 3, 14, 13), normal(4, 3, 3, 3)
    found = explain(x, w, F.conv2d(x, w) / 9)
    assert found.scale == pytest.approx(1 / 9, rel=1e-6)
    found = explain(x, w, F.conv2d(x / 255, w, padding=1), padding=1)
    assert found.scale == pytest.approx(1 / 255, rel=1e-6)


def test_channels_read_in_another_order() -> None:
    x, w = normal(1, 3, 14, 13), normal(4, 3, 3, 2)
    explain(x, w, F.conv2d(x.flip(1), w), channel_order=(2, 1, 0), flip=())
    explain(x, w, F.conv2d(x[:, [1, 2, 0]], w), channel_order=(1, 2, 0), flip=())
    x, w = normal(1, 7, 14, 13), normal(4, 7, 3, 2)
    explain(x, w, F.conv2d(x.flip(1), w), flip=("I",))
    explain(x, w, F.conv2d(x, w.flip(1, 2, 3)), channel_order=None, flip=("I", "H", "W"))


def test_a_swapped_kernel() -> None:
    x, w = normal(1, 3, 14, 13), normal(4, 3, 3, 3)
    y = F.conv2d(x, w.transpose(2, 3).contiguous())
    explain(x, w, y, filter_layout="OIWH", flip=())


@pytest.mark.parametrize("image_layout", one_in(2, ["NCHW", "NHWC", "HWC", "CHW"]))
@pytest.mark.parametrize("filter_layout", one_in(2, ["OIHW", "HWIO", "OHWI", "IOHW", "IHWO"]))
@pytest.mark.parametrize("output_layout", one_in(2, ["NCHW", "NHWC", "HWC", "CHW"]))
def test_layouts(image_layout: str, filter_layout: str, output_layout: str) -> None:
    x, w = normal(1, 3, 10, 12), normal(5, 3, 2, 4)
    y = F.conv2d(x, w, stride=2, padding=1)
    image = np.moveaxis(x.numpy(), [0, 1, 2, 3], ["NCHW".index(a) for a in "NCHW"])
    image = np.einsum(f"NCHW->{'' if 'N' in image_layout else 'N'}{image_layout}", image)
    output = np.einsum(f"NCHW->{'' if 'N' in output_layout else 'N'}{output_layout}", y.numpy())
    filters = np.einsum(f"OIHW->{filter_layout}", w.numpy())
    if "N" not in image_layout:
        image = image[0]
    if "N" not in output_layout:
        output = output[0]
    explain(
        image,
        filters,
        output,
        image_layout=image_layout,
        filter_layout=filter_layout,
        output_layout=output_layout,
        stride=2,
    )


def test_a_channels_last_tensor_is_what_its_axes_say() -> None:
    x, w = normal(2, 3, 10, 12), normal(5, 3, 2, 4)
    x, w = (a.contiguous(memory_format=torch.channels_last) for a in (x, w))
    explain(x, w, F.conv2d(x, w, padding=1), image_layout="NCHW", filter_layout="OIHW")


def test_float64_is_told_from_float32() -> None:
    x, w = (normal(*s).double() for s in ((1, 8, 14, 13), (4, 8, 3, 3)))
    explain(x, w, F.conv2d(x, w), arithmetic="exact")
    explain(x, w, F.conv2d(x.float(), w.float()).double(), arithmetic="float32")


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
@pytest.mark.parametrize("kept", [True, False])
def test_few_bits(kind: str, kept: bool) -> None:
    dtype = getattr(torch, kind)
    x, w = normal(1, 8, 14, 13), normal(4, 8, 3, 3)
    y = F.conv2d(x.to(dtype), w.to(dtype), padding=1)
    if kind == "float16" and kept:
        explain(x.to(dtype), w.to(dtype), y, arithmetic=kind, padding=1)
    else:
        explain(x, w, y.float(), arithmetic=kind, padding=1)


def test_tf32_by_its_operands() -> None:
    x, w = normal(1, 8, 14, 13), normal(4, 8, 3, 3)

    def rounded(a: Any) -> Any:
        return ((a.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)

    explain(x, w, F.conv2d(rounded(x), rounded(w), padding=1), arithmetic="tf32", padding=1)


def test_modules_with_all_their_arguments() -> None:
    torch.manual_seed(3)
    layer = torch.nn.Conv2d(
        4,
        6,
        (3, 5),
        stride=(2, 1),
        padding=(1, 4),
        dilation=(1, 2),
        groups=2,
        padding_mode="reflect",
    )
    x = normal(1, 4, 16, 18)
    with torch.no_grad():
        y = layer(x)
    explain(
        x,
        layer.weight.detach(),
        y,
        stride=(2, 1),
        dilation=(1, 2),
        groups=2,
        padding_mode="reflect",
    )


def test_linear_layers_are_convolutions_of_one_pixel() -> None:
    x, w = normal(1, 6, 9, 8), normal(4, 6, 1, 1)
    explain(x, w, torch.einsum("nchw,oc->nohw", x, w[:, :, 0, 0]), padding=0)


def shuffled(y: Any) -> Any:
    return y.flatten()[torch.randperm(y.numel())].reshape(y.shape)


NOT_CONVOLUTIONS = {
    "max pool": lambda x, w: F.max_pool2d(F.conv2d(x, w), 2),
    "square": lambda x, w: F.conv2d(x, w) ** 2,
    "gamma": lambda x, w: torch.sign(F.conv2d(x, w)) * F.conv2d(x, w).abs() ** 0.45,
    "two layers": lambda x, w: F.conv2d(F.relu(F.conv2d(x, w)), torch.ones(4, 4, 3, 3)),
    "another bank": lambda x, w: F.conv2d(x, normal(*w.shape)),
    "another image": lambda x, w: F.conv2d(normal(*x.shape), w),
    "dropout": lambda x, w: (y := F.conv2d(x, w)) * (normal(*y.shape) > 0.3),
    "shuffled": lambda x, w: shuffled(F.conv2d(x, w)),
    "softmax": lambda x, w: torch.softmax(F.conv2d(x, w), 1),
    "layer norm over space": lambda x, w: F.layer_norm(y := F.conv2d(x, w), y.shape[-1:]),
}


SMALL = ("max pool", "two layers")
"""Put to the long search that small arrays get; on larger ones it takes a tenth of the time."""


@pytest.mark.parametrize("name", one_in(5, NOT_CONVOLUTIONS))
def test_what_is_no_convolution_is_not_called_one(name: str) -> None:
    torch.manual_seed(1)
    x, w = normal(1, 3, *((14, 15) if name in SMALL else (34, 35))), normal(4, 3, 3, 4)
    found = verdict(x, w, NOT_CONVOLUTIONS[name](x, w))
    assert found.verdict == "unexplained", found.candidates
    assert found.nearest is not None


@pytest.mark.parametrize("activation", [None, "relu", "silu"])
@pytest.mark.parametrize(
    ("eps", "own", "training", "verdict"),
    [
        (1e-5, False, False, "as-given"),
        (1e-3, False, False, "other-epsilon"),
        (1e-5, True, False, "bias"),
        (1e-3, True, False, "bias-and-epsilon"),
        (1e-5, False, True, "batch-statistics"),
    ],
)
def test_a_batch_normalization(
    activation: str | None, eps: float, own: bool, training: bool, verdict: str
) -> None:
    drawn = torch.Generator().manual_seed(7)
    x, w = (torch.randn(*shape, generator=drawn) for shape in ((2, 3, 14, 15), (6, 3, 3, 3)))
    b, mean, beta = (torch.randn(6, generator=drawn) for _ in range(3))
    var, gamma = (0.5 + torch.rand(6, generator=drawn) for _ in range(2))
    sums = F.conv2d(x, w, b if own else None, padding=1)
    running = (None, None) if training else (mean, var)
    y = F.batch_norm(sums, *running, gamma, 0.3 * beta, training=training, eps=eps)
    y = y if activation is None else getattr(F, activation)(y)
    norm = BatchNorm(mean.numpy(), var.numpy(), gamma.numpy(), (0.3 * beta).numpy())
    found = identify(x.numpy(), w.numpy(), y.numpy(), batch_norm=norm, budget=120).batch_norm
    assert found is not None
    assert found.verdict == verdict
    assert found.left is not None
    assert found.left[0] <= eps <= found.left[1]
    if own:
        np.testing.assert_allclose(np.array(found.bias, float), b, rtol=1e-4, atol=1e-4)
    else:
        assert found.bias is None
    if eps == 1e-3:
        assert found.eps == eps
