"""The code printed for PyTorch, run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn_conventions import Drawn, agree, expected, run

from convcheck.calls import equivalent_calls
from convcheck.convention import Convention

if TYPE_CHECKING:
    from collections.abc import Iterator

torch = pytest.importorskip("torch")

COUNT = 500


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small arrays are done sooner by one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_pytorch_agrees_on_every_convention() -> None:
    calls = [f"{name}{rank}d" for name in ("conv", "conv_transpose") for rank in (1, 2, 3)]
    said, left_out = agree("torch", range(COUNT), [*calls, "F.pad", "padding=", "groups="])
    assert not left_out
    assert sum(said[name] for name in calls) == COUNT, said
    assert min(said.values()) > 0.01 * COUNT, said


def test_padding_is_done_by_pytorch_where_it_can() -> None:
    rng = np.random.default_rng(2)
    for layout, mode in [("CW", "reflect"), ("CHW", "edge"), ("CDHW", "wrap"), ("CW", "symmetric")]:
        rank = len(layout) - 1
        convention = Convention(layout, padding=2, padding_mode=mode)
        image, filters = (
            rng.integers(-9, 10, (3, *[5] * rank)),
            rng.integers(-9, 10, (2, 3, *[2] * rank)),
        )
        code = equivalent_calls(convention, image.shape, filters.shape)["torch"]
        assert ("F.pad(" in code) == (mode != "symmetric")
        drawn = Drawn(image, filters, convention)
        assert np.array_equal(run(code, drawn), expected(drawn))


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
        output_layout="NCHW",
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
    drawn = Drawn(image, filters, Convention(flip=("I", "W"), stride=2, padding=1, conjugate=True))
    code = equivalent_calls(drawn.convention, image.shape, filters.shape, dtype="complex128")[
        "torch"
    ]
    assert np.array_equal(run(code, drawn), expected(drawn))
