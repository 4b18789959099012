"""What an output may be off by, and where it need not be finite."""

from __future__ import annotations

import numpy as np
import pytest
import zoo

from convcheck.campaign import Case
from convcheck.checks.verify import Model, judge
from convcheck.convention import Convention
from convcheck.engine import convolve

RNG = np.random.default_rng(4)
DIGITS = (
    RNG.integers(0, 10, (3, 32, 30)).astype(np.float32),
    RNG.integers(0, 9, (4, 3, 3, 2)).astype(np.float32),
)
NORMAL = (
    RNG.standard_normal((3, 32, 30)).astype(np.float32),
    RNG.standard_normal((4, 3, 3, 2)).astype(np.float32),
)
PLAIN = Convention()


def by_fft(image: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """In single precision from the transforms on, as torch and jax do."""
    size = [a + b - 1 for a, b in zip(image.shape[1:], filters.shape[2:], strict=True)]
    spectrum = np.fft.rfft2(image, size).astype(np.complex64)
    kernels = np.fft.rfft2(filters[:, :, ::-1, ::-1], size).astype(np.complex64)
    full = np.fft.irfft2((spectrum * kernels).sum(1).astype(np.complex64), size)
    rows, columns = (
        slice(f - 1, n) for f, n in zip(filters.shape[2:], image.shape[1:], strict=True)
    )
    return full[:, rows, columns].astype(np.float32)


@pytest.mark.parametrize("arrays", [DIGITS, NORMAL])
def test_an_fft_is_recognised_by_all_elements(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    assert judge(*arrays, by_fft(*arrays), PLAIN).passed
    plain = convolve(*arrays, PLAIN).astype(np.float32)
    assert judge(*arrays, plain, PLAIN).passed


@pytest.mark.parametrize("arrays", [DIGITS, NORMAL])
def test_an_fft_that_nobody_ran_excuses_nothing(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    output = convolve(*arrays, PLAIN).astype(np.float32)
    one = output.copy()
    one[1, 5, 6] += 0.01
    assert judge(*arrays, one, PLAIN).kind == "wrong values"
    column = output.copy()
    column[..., -1] *= np.float32(1.001)
    found = judge(*arrays, column, PLAIN)
    assert found.kind == "wrong values"
    assert found.comparison is not None
    assert found.comparison.worst_index[2] == output.shape[2] - 1
    spectral = by_fft(*arrays)
    spectral[2, 3, 4] += 0.1
    assert judge(*arrays, spectral, PLAIN).kind == "wrong values"


def test_so_few_elements_show_no_fft() -> None:
    image, filters = NORMAL[0][:, :4, :3], NORMAL[1]
    output = convolve(image, filters[:1], PLAIN).astype(np.float32)
    output[0, 0, 0] += np.float32(2e-5)
    assert judge(image, filters[:1], output, PLAIN).passed


@pytest.mark.parametrize(
    ("factor", "value", "passes"),
    [
        (100, np.nan, False),
        (100, np.inf, False),
        (1000, np.inf, True),
        (1000, -np.inf, False),  # all terms are positive
        (1000, np.nan, False),
        (-1000, -np.inf, True),
        (-1000, np.inf, False),
    ],
)
def test_only_what_is_larger_than_a_dtype_holds_overflows(
    factor: int, value: float, passes: bool
) -> None:
    image, filters = np.full((1, 4, 4), 100, np.float16), np.full((1, 1, 1, 1), factor, np.float16)
    found = judge(image, filters, np.full((1, 4, 4), value, np.float16), PLAIN)
    assert found.passed is passes
    if passes:
        assert found.note == "overflows float16 where the result is larger than it holds"
    else:
        assert found.kind == "not finite"
        assert found.detail == "16 of 16 elements are NaN or infinite where the result is not"


def test_partial_sums_may_overflow_to_either_side() -> None:
    image = np.full((1, 2, 3), 60000, np.float16)
    filters = np.array([[[[2, -2, 1]]]], np.float16)  # 60000 in all
    for value in (np.inf, -np.inf, np.nan):
        assert judge(image, filters, np.full((1, 2, 1), value, np.float16), PLAIN).passed
    halved = PLAIN.replace(scale=0.25)
    assert judge(image, filters, np.full((1, 2, 1), np.inf, np.float16), halved).passed
    image = np.full((1, 2, 3), 10000, np.float16)
    assert not judge(image, filters, np.full((1, 2, 1), np.inf, np.float16), halved).passed


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "uint8", "int8"])
@pytest.mark.parametrize("values", ["ints", "normal", "wide", "cancelling", "denormal", "zeros"])
def test_no_data_accuses_a_right_implementation(dtype: str, values: str) -> None:
    for number in range(6):
        case = Case(
            seed=1, number=number, channels=7, filters=3, height=9, width=11, dtype=dtype,
            values=values,
        )  # fmt: skip
        convention = Model("NCHW", Convention("NCHW", "OIHW", "NCHW")).convention(case)
        image, filters = case.arrays()
        right = zoo.conv(image, filters)
        assert judge(image, filters, right, convention).passed
        if dtype.startswith("float"):
            assert judge(image, filters, right.astype(dtype), convention).passed
        else:
            wrapped = judge(image, filters, right.astype(dtype), convention)
            assert wrapped.passed
        narrow = zoo.reversed_sum(image, filters)
        if dtype in ("float16", "float32"):
            assert judge(image, filters, narrow, convention).passed
