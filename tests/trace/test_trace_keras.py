"""A Keras model by its trace: its layers hold, and a port with a mistake is found."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convcheck.trace
from convcheck.checks.model import check_model
from convcheck.errors import InputError
from convcheck.trace.files import read

os.environ.setdefault("KERAS_BACKEND", "torch")
torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras", reason="keras is not installed")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def _torch_net() -> Any:
    torch.manual_seed(0)
    nn = torch.nn
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8, eps=1e-5),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.LeakyReLU(0.1),
        nn.Conv2d(8, 6, 3, padding=1),
        nn.ConvTranspose2d(6, 5, 2, stride=2),
    )
    norm = net[1]
    with torch.no_grad():
        norm.running_mean.normal_()
        norm.running_var.uniform_(1e-3, 0.1)
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
    return net.eval()


def _keras_net(net: Any, mistake: str) -> Any:
    layers = keras.layers
    border = ((0, 2), (0, 2)) if mistake == "side" else 1
    model = keras.Sequential(
        [
            keras.Input((12, 14, 3)),
            layers.ZeroPadding2D(border),
            layers.Conv2D(8, 3, strides=2, use_bias=False, name="stem"),
            layers.BatchNormalization(epsilon=1e-3 if mistake == "epsilon" else 1e-5),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, padding="same", name="depthwise"),
            layers.LeakyReLU(negative_slope=0.1),
            layers.Conv2D(6, 3, padding="same", name="middle"),
            layers.Conv2DTranspose(5, 2, strides=2, name="up"),
        ]
    )
    stem, norm, _, depthwise, _, middle, up = net

    def weights(one: Any, *order: int) -> Any:
        return one.weight.detach().numpy().transpose(order)

    kernel = weights(middle, 3, 2, 1, 0) if mistake == "transposed" else weights(middle, 2, 3, 1, 0)
    model.get_layer("stem").set_weights([weights(stem, 2, 3, 1, 0)])
    parts = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    model.layers[2].set_weights([part.detach().numpy() for part in parts])
    for name, one, w in (
        ("depthwise", depthwise, weights(depthwise, 2, 3, 0, 1)),
        ("middle", middle, kernel),
        ("up", up, weights(up, 2, 3, 1, 0)),
    ):
        model.get_layer(name).set_weights([w, one.bias.detach().numpy()])
    return model


@pytest.mark.parametrize(
    ("mistake", "layer", "keys"),
    [
        ("", None, set()),
        ("side", "stem", {"padding"}),
        ("transposed", "middle", {"filter_layout", "weight"}),
        ("epsilon", "stem", {"epsilon"}),
    ],
)
def test_a_port_to_keras_is_judged_by_the_original(
    mistake: str, layer: str | None, keys: set[str], tmp_path: Path
) -> None:
    net = _torch_net()
    x = np.random.default_rng(0).standard_normal((1, 3, 12, 14)).astype(np.float32)
    convcheck.trace.torch(net, torch.from_numpy(x), to=tmp_path / "a.npz")
    port = _keras_net(net, mistake)
    convcheck.trace.keras(port, x.transpose(0, 2, 3, 1), to=tmp_path / "b.npz")
    result = check_model(read(str(tmp_path / "a.npz")), read(str(tmp_path / "b.npz")))
    assert [row.name for row in result.departing] == ([layer] if layer else [])
    for row in result.departing:
        assert {cause.key for cause in row.causes} <= keys
        assert row.causes
    assert result.others == {"ZeroPadding2D": 1}
    assert "call" not in port.layers[1].__dict__


def test_every_convolution_of_keras_does_what_its_attributes_say(tmp_path: Path) -> None:
    layers = keras.layers
    keras.utils.set_random_seed(0)
    count = 0
    for number, (rank, kind, more) in enumerate(
        (
            (1, "Conv1D", {"padding": "causal", "dilation_rate": 2, "activation": "silu"}),
            (1, "Conv1DTranspose", {"strides": 2, "padding": "same"}),
            (2, "Conv2D", {"strides": 2, "padding": "same", "activation": "gelu"}),
            (2, "Conv2D", {"groups": 2, "padding": "valid", "activation": "hard_sigmoid"}),
            (2, "DepthwiseConv2D", {"depth_multiplier": 2, "activation": "relu6"}),
            (2, "Conv2DTranspose", {"strides": 3, "padding": "same"}),
            (2, "Conv2DTranspose", {"strides": 2, "padding": "same", "output_padding": 1}),
            (2, "Conv2DTranspose", {"strides": 4, "padding": "valid"}),
            (3, "Conv3D", {"padding": "same", "activation": "leaky_relu"}),
        )
    ):
        taps = {"kernel_size": 3} | ({} if "Depthwise" in kind else {"filters": 4}) | more
        one = getattr(layers, kind)(bias_initializer="normal", **taps)
        model = keras.Sequential([keras.Input((*(7, 9, 8)[:rank], 4)), one])
        x = np.random.default_rng(number).standard_normal((2, *(7, 9, 8)[:rank], 4))
        to = tmp_path / f"{number}.npz"
        convcheck.trace.keras(model, x.astype(np.float32), to=to)
        [row] = check_model(read(str(to))).rows
        assert row.verdict == "holds", (kind, more, row.causes)
        count += 1
    assert count == 9


def test_an_activation_that_is_unknown_is_counted_and_no_model_is_an_error(tmp_path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Conv2D(3, 3),
            keras.layers.Conv2D(3, 3, activation="softmax"),
        ]
    )
    x = np.random.default_rng(0).standard_normal((1, 6, 6, 2)).astype(np.float32)
    convcheck.trace.keras(model, x, to=tmp_path / "t.npz")
    assert read(str(tmp_path / "t.npz")).others == {"Conv2D with softmax": 1}
    with pytest.raises(InputError, match="not a Keras model"):
        convcheck.trace.keras(3, x, to=tmp_path / "u.npz")
