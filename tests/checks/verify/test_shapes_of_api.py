"""Targets that are called as people write them: layers, instances, tuples, dicts, outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from few import rows_in
from zoo import conv

import convcheck
from convcheck.errors import InputError

if TYPE_CHECKING:
    from convcheck.checks.verify import VerifyResult


def put(function: Any, count: int = 40, **more: Any) -> VerifyResult:
    return convcheck.verify(function, cases=count, **more)


def tuples(x, w, stride=(1, 1), padding=(0, 0)):
    return conv(x, w, stride[1], padding[0])


def writes(x, w, out, stride=1):
    out[...] = conv(x, w, stride)


class Tensor:
    def __init__(self, array: Any) -> None:
        self.array = array

    def numpy(self) -> Any:
        return self.array


def wrapped(x, w):
    return Tensor(conv(x, w))


class Sized:
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, groups=1):
        inputs = in_channels // groups
        self.weight = np.ones((out_channels, inputs, kernel_size[0], kernel_size[1]))
        self.bias = np.ones(out_channels)
        self.given = stride, padding, groups

    def forward(self, x):
        stride, padding, groups = self.given
        y = conv(x, self.weight, stride, padding, groups=groups)
        return y + self.bias[:, None, None]


class Square:
    def __init__(self, in_ch: int, out_ch: int, ksize: int) -> None:
        self.W = np.zeros((out_ch, in_ch, ksize, ksize))

    def __call__(self, x):
        return conv(x, self.W)


class Given:
    def __init__(self, W, b, stride=1, padding=0):
        self.W, self.b, self.stride, self.padding = W, b, stride, padding

    def forward(self, x):
        return conv(x, self.W, self.stride, self.padding) + self.b[:, None, None]


def course(x, w, b, conv_param):
    y = conv(x, w, conv_param["stride"], conv_param["pad"]) + b[:, None, None]
    return y, (x, w, b, conv_param)


COURSE = "f(x, w, zeros(K), {'stride': stride, 'pad': padding})[0]"
HOLES = "f(x, w, holes=dilation - 1)"


def holes(x, w, holes=0):
    return conv(x, w, dilation=holes + 1)


@pytest.mark.parametrize(
    ("target", "call", "passed"),
    rows_in(
        2,
        [
            (tuples, None, ("stride", "padding")),
            (writes, None, ("stride",)),
            (wrapped, None, ()),
            (Sized, None, ("stride", "padding", "groups")),
            (Square, None, ()),
            (Square(3, 4, 3), None, ()),
            (Given, None, ("stride", "padding")),
            (Given, "f(w, zeros(K), stride, padding).forward(x)", ("stride", "padding")),
            (course, COURSE, ("stride", "padding")),
            (holes, HOLES, ("dilation",)),
        ],
    ),
)
def test_it_is_called_as_it_is_written(target: Any, call: str | None, passed: Any) -> None:
    result = put(target, call=call)
    assert result.verdict == "pass", (result.findings[:2], result.notes)
    assert result.model is not None
    assert result.model.parameters == passed
    assert result.ran == 40


def test_a_layer_that_is_wrong_is_found() -> None:
    class Wrong(Sized):
        def forward(self, x):
            y = super().forward(x)
            return y * (2 if self.given[0] > 1 else 1)

    result = put(Wrong, 60)
    assert result.verdict == "fail"
    assert "stride > 1" in (result.when or "")


def test_what_takes_square_kernels_alone_says_so() -> None:
    result = put(Square)
    assert result.model is not None
    assert result.model.takes == ("square kernels",)


def test_torch_modules() -> None:
    torch = pytest.importorskip("torch")

    class Mine(torch.nn.Module):
        def __init__(self, in_channels, out_channels, kernel_size, stride=1):
            super().__init__()
            self.inner, self.stride = torch.nn.functional.conv2d, stride
            shape = (out_channels, in_channels, *kernel_size)
            self.weight = torch.nn.Parameter(torch.zeros(shape))

        def forward(self, x):
            return self.inner(x, self.weight, stride=self.stride)

    for target in (torch.nn.Conv2d, Mine, torch.nn.Conv2d(3, 4, 3, stride=2, padding=1)):
        result = put(target, 40)
        assert result.verdict == "pass", (target, result.findings[:2])
        assert result.passed >= 38


def test_where_it_cannot_be_called_the_error_that_tells_comes_first() -> None:
    def function(x, w):
        return conv(x, w, stride=undefined)  # noqa: F821

    with pytest.raises(InputError) as caught:
        put(function)
    line = function.__code__.co_firstlineno + 1
    assert f"{__file__}:{line}" in str(caught.value.got)
    assert "NameError" in str(caught.value.got)
    assert "depthwise" not in str(caught.value.got)
