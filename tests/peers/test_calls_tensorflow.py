"""The code printed for TensorFlow, run."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_conventions import Drawn, agree, expected, run

from convcheck.calls import equivalent_calls
from convcheck.convention import Convention

tf = pytest.importorskip("tensorflow")

COUNT = 500


def test_tensorflow_agrees_wherever_it_has_a_call() -> None:
    calls = [f"tf.nn.conv{rank}d{name}(" for name in ("", "_transpose") for rank in (1, 2, 3)]
    kinds = [*calls, "depthwise_conv2d(", "tf.pad(", "np.zeros("]
    parts = [*kinds, '"SAME"', '"VALID"', "padding=[", "dilations="]
    # TensorFlow's GELU has constants of single precision, whatever it is applied to.
    said, left_out = agree("tensorflow", range(COUNT), parts, activated=2.0**-20)
    assert all(c.rank == 3 and c.groups > 1 for c in left_out), left_out
    assert min(said.values()) > 0, said


@pytest.mark.parametrize("strides", [(2, 2), (3, 2), (1, 2)])
@pytest.mark.parametrize("padding", ["SAME", "VALID", [[0, 0], [1, 0], [0, 2], [0, 0]]])
def test_a_transposed_convolution_of_tensorflow_is_said_as_it_was_called(
    strides: tuple[int, int], padding: str | list[list[int]]
) -> None:
    rng = np.random.default_rng(4)
    image = rng.integers(-9, 10, (2, 5, 6, 3)).astype(np.float64)
    filters = rng.integers(-9, 10, (3, 4, 2, 3)).astype(np.float64)
    explicit = {"SAME": None, "VALID": [(0, 0), (0, 0)]}.get(str(padding), padding[1:3])
    shape, pads = [2], []
    for axis, (n, taps, s) in enumerate(zip((5, 6), (3, 4), strides, strict=True)):
        before, after = explicit[axis] if explicit else divided(max(taps - s, 0))
        size = (n - 1) * s + taps - before - after if explicit else n * s
        shape.append(size)
        start = taps - 1 - before
        pads.append((start, size + taps - 1 - start - (n - 1) * s - 1))
    call = f"tf.nn.conv2d_transpose(x, w, {[*shape, 2]}, strides={[1, *strides, 1]}, padding="
    wanted = tf.nn.conv2d_transpose(
        image, filters, [*shape, 2], strides=[1, *strides, 1], padding=padding
    )
    convention = Convention(
        image_layout="NHWC",
        filter_layout="HWOI",
        output_layout="NHWC",
        flip=("H", "W"),
        input_dilation=strides,
        padding=pads,
    )
    code = equivalent_calls(convention, image.shape, filters.shape)["tensorflow"]
    assert call in code
    if isinstance(padding, str):
        assert f'padding="{padding}"' in code
    assert np.array_equal(run(code, Drawn(image, filters, convention)), wanted.numpy())


def divided(total: int) -> tuple[int, int]:
    return total // 2, total - total // 2


@pytest.mark.parametrize("changes", [{"stride": 2, "dilation": 2}, {"stride": (1, 2)}])
def test_what_depthwise_conv2d_does_otherwise_is_left_to_conv2d(changes: dict[str, int]) -> None:
    rng = np.random.default_rng(5)
    image, filters = rng.integers(-9, 10, (1, 9, 10, 3)), rng.integers(-9, 10, (3, 2, 3, 2))
    plain = Convention("NHWC", "HWIM", "NHWC", groups=3)
    calls = [
        equivalent_calls(c, image.shape, filters.shape)["tensorflow"]
        for c in (plain, plain.replace(**changes))
    ]
    assert ["tf.nn.depthwise_conv2d(" in code for code in calls] == [True, False]
    drawn = Drawn(image, filters, plain.replace(**changes))
    assert np.array_equal(run(calls[1], drawn), expected(drawn))
