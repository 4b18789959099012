"""verify on TensorFlow and Keras: each is named rightly, and none is accused."""

from __future__ import annotations

from typing import Any

import pytest

from convcheck.checks.verify import verify
from convcheck.render.verify_words import name

tf = pytest.importorskip("tensorflow")

CORRELATION = "the cross-correlation, NHWC, HWIO, "


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("f(x, w, stride, 'VALID')", "no padding, float32"),
        (
            "f(x, w, stride, [[0, 0], [padding, padding], [padding, padding], [0, 0]])",
            "zero padding, float32",
        ),
    ],
)
def test_conv2d(call: str, says: str) -> None:
    result = verify(tf.nn.conv2d, cases=40, call=call)
    assert name(result).endswith(f" is {CORRELATION}{says}")
    assert result.verdict == "pass", result.findings
    assert result.passed > 30


def test_conv2d_in_a_process_of_its_own() -> None:
    call = "f(x, w, stride, 'SAME', dilations=dilation)"
    result = verify("tensorflow:nn.conv2d", cases=60, call=call, timeout=60.0)
    says = f"{CORRELATION}zero padding, SAME_UPPER, float32"
    assert name(result) == f"tensorflow:nn.conv2d is {says}"
    assert result.verdict == "pass", result.findings
    assert result.passed > 50
    assert result.model is not None
    # TensorFlow has no convolution of 8 bits: that is a skip.
    assert result.model.dtypes == ("float32", "float64", "int32", "float16")


def annotated(x: tf.Tensor, w: tf.Tensor, stride: int = 1) -> Any:  # a string: see __future__
    assert isinstance(x, tf.Tensor)
    return tf.nn.conv2d(x, w, stride, "SAME")


def keras(x: Any, w: Any, stride: int = 1) -> Any:
    layer = tf.keras.layers.Conv2D(
        w.shape[3], w.shape[:2], strides=stride, padding="same", use_bias=False
    )
    layer.build(x.shape)
    layer.set_weights([w])
    return layer(x)


def in_bfloat16(x: tf.Tensor, w: tf.Tensor) -> Any:
    return tf.nn.conv2d(tf.cast(x, tf.bfloat16), tf.cast(w, tf.bfloat16), 1, "VALID")


def transposed(x: tf.Tensor, w: tf.Tensor, stride: int = 1) -> Any:
    sizes = [(n - 1) * stride + f for n, f in zip(x.shape[1:3], w.shape[:2], strict=True)]
    bank = tf.transpose(w, [0, 1, 3, 2])
    return tf.nn.conv2d_transpose(x, bank, [x.shape[0], *sizes, w.shape[3]], stride, "VALID")


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (annotated, CORRELATION + "zero padding, SAME_UPPER, float32"),
        (tf.function(annotated), CORRELATION + "zero padding, SAME_UPPER, float32"),
        (keras, CORRELATION + "zero padding, SAME_UPPER, float32"),
        (in_bfloat16, CORRELATION + "no padding, bfloat16"),
        (transposed, "the transposed convolution (the gradient of a layer), NHWC, HWIO"),
    ],
)
def test_functions_of_the_user(function: Any, says: str) -> None:
    result = verify(function, cases=25)
    assert says in name(result)
    assert result.verdict == "pass", result.findings
    assert result.passed >= 20


def test_a_wrong_one_in_bfloat16_is_found() -> None:
    def wrong(x: tf.Tensor, w: tf.Tensor) -> Any:
        y = in_bfloat16(x, w)
        return tf.concat([y[:, :-1], y[:, -1:] * 0], axis=1) if y.shape[1] > 6 else y

    result = verify(wrong, cases=40)
    assert result.verdict == "fail"
    assert {f.kind for f in result.findings} == {"wrong values"}
    assert result.does == "all that is wrong lies in the last row"
