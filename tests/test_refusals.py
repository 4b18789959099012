"""What refuses a call, and what is a crash: by what was raised, where, and in which words."""

from __future__ import annotations

from functools import wraps
from typing import Any

import numpy as np
import pytest

from convcheck.campaign import Case
from convcheck.serving import Inline
from convcheck.target import adapted
from convcheck.worker import Request

CASE = Case(seed=0, number=0, height=4, width=5, stride=2)
REQUEST = Request(CASE, "HW", "HW", ("stride",))


def kind(function: Any) -> str:
    return Inline(adapted(function, "f"), ("stride",)).run(REQUEST).kind


def raising(error: BaseException) -> Any:
    def target(x: Any, w: Any, stride: int = 1) -> Any:
        raise error

    return target


def helper(a: Any, *, padding: int) -> Any:
    return a


CRASHES = [
    lambda x, w, stride: stride > None,
    lambda x, w, stride: None + stride,
    lambda x, w, stride: f"{None:.2f}",
    lambda x, w, stride: int(None),
    lambda x, w, stride: helper(x, w, padding=1),
    lambda x, w, stride: helper(x, paddings=1),
    lambda x, w, stride: helper(x, dtype=x.dtype, padding=1),
    lambda x, w, stride: helper(),
    lambda x, w, stride: x.dtype(),
    lambda x, w, stride: x.dtype.type[:2],
    lambda x, w, stride: np.sqrt(None),
    lambda x, w, stride: len(stride),
    lambda x, w, stride: x[None, "dtype"],
    raising(TypeError("bad argument")),
    raising(SystemExit("only numbers are supported")),
    raising(SystemExit(0)),
    raising(ValueError("'<' not supported between instances of 'int' and 'str'")),
]
REFUSALS = [
    raising(NotImplementedError("not now")),
    raising(NotImplementedError("takes 1 positional argument")),
    raising(RuntimeError("\"conv2d\" not implemented for 'Half'")),
    raising(RuntimeError("expected scalar type Float but found Double")),
    raising(ValueError("Buffer dtype mismatch, expected 'double' but got 'float'")),
    raising(ValueError("strides are unsupported")),
    raising(ValueError("the keyword argument 'groups' is not supported")),
    raising(AssertionError("only 3x3 kernels are supported")),
    raising(TypeError("dtype float64 wanted")),
    raising(TypeError("f(): incompatible function arguments. The following are supported: ...")),
    raising(TypeError("f() got an unexpected keyword argument 'stride'")),
    raising(TypeError("Got an unexpected keyword argument 'stride'")),
    raising(TypeError("f() missing 1 required positional argument: 'padding'")),
    lambda x, w: x,
    lambda x, w, other, stride: x,
    lambda x, w, stride: np.add(x, 0.5, out=np.zeros(x.shape, int)),
    lambda x, w, stride: np.invert(x.astype(float)),
    lambda x, w, stride: np.linalg.inv(np.eye(3, dtype=np.float16)),
    np.convolve,
]


@pytest.mark.parametrize("function", CRASHES)
def test_a_fault_of_the_target_is_a_crash(function: Any) -> None:
    assert kind(function) == "crash"


@pytest.mark.parametrize("function", REFUSALS)
def test_what_the_target_does_not_take_is_refused(function: Any) -> None:
    assert kind(function) == "rejected"


def test_a_wrapper_does_not_hide_what_a_callable_lacks() -> None:
    def wrapped(function: Any) -> Any:
        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    assert kind(wrapped(lambda x, w: x)) == "rejected"
    assert kind(wrapped(lambda x, w, stride, padding: x)) == "rejected"
    assert kind(wrapped(lambda x, w, stride, kernel: x)) == "crash"
    assert kind(wrapped(lambda x, w, stride: stride < None)) == "crash"


def test_an_output_that_is_no_array_is_a_crash() -> None:
    class Sparse:
        dtype = "float32"

        def detach(self) -> Sparse:
            return self

        cpu = detach

        def numpy(self) -> Any:
            raise TypeError("can't convert a sparse tensor")

    assert kind(lambda x, w, stride: Sparse()) == "crash"
