"""The code printed for PyTorch, run."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_conventions import Drawn, agree, expected, run

from convcheck.calls import equivalent_calls
from convcheck.convention import Convention

torch = pytest.importorskip("torch")

COUNT = 500


def test_pytorch_agrees_wherever_it_has_a_call() -> None:
    parts = ["conv2d", "conv_transpose2d", "F.pad", "padding=", "groups="]
    said, _ = agree("torch", range(COUNT), parts)
    assert said["conv2d"] + said["conv_transpose2d"] > 0.6 * COUNT, said
    assert min(said.values()) > 0.05 * COUNT, said


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
def test_a_transposed_convolution_of_pytorch_is_said_as_it_was_called(
    stride: int, padding: int, groups: int, dilation: int
) -> None:
    rng = np.random.default_rng(stride)
    image = rng.integers(-9, 10, (2, 4, 5, 6)).astype(np.float64)
    filters = rng.integers(-9, 10, (4, 3, 3, 2)).astype(np.float64)
    more = stride - 1
    wanted = torch.nn.functional.conv_transpose2d(
        torch.from_numpy(image),
        torch.from_numpy(filters),
        stride=stride,
        padding=padding if dilation > 1 else min(padding, 1),
        output_padding=more,
        groups=groups,
        dilation=dilation,
    ).numpy()
    before = [dilation * (n - 1) - (padding if dilation > 1 else min(padding, 1)) for n in (3, 2)]
    convention = Convention(
        image_layout="NCHW",
        filter_layout="IOHW",
        output_layout="NOHW",
        flip=("H", "W"),
        input_dilation=stride,
        dilation=dilation,
        padding=[(b, b + more) for b in before],
        groups=groups,
    )
    code = equivalent_calls(convention, image.shape, filters.shape)["torch"]
    assert ("conv_transpose2d" in code) == (stride > 1)
    assert np.array_equal(run(code, Drawn(image, filters, convention)), wanted)


def test_complex_arrays() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(-9, 10, (3, 6, 7)) + 1j * rng.integers(-9, 10, (3, 6, 7))
    filters = rng.integers(-9, 10, (2, 3, 2, 3)) + 1j * rng.integers(-9, 10, (2, 3, 2, 3))
    drawn = Drawn(image, filters, Convention(flip=("I", "W"), stride=2, padding=1))
    code = equivalent_calls(drawn.convention, image.shape, filters.shape, dtype="complex128")[
        "torch"
    ]
    assert np.array_equal(run(code, drawn), expected(drawn))
