"""What SciPy's convolutions do, identified from their arrays alone."""

from __future__ import annotations

import numpy as np
import pytest
from explained import explain
from scipy import fft, ndimage, signal

RNG = np.random.default_rng(7)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
@pytest.mark.parametrize("kernel", [(3, 3), (4, 3), (2, 5), (1, 4)])
def test_signal_convolve(mode: str, kernel: tuple[int, int]) -> None:
    x, w = normal(13, 16), normal(*kernel)
    h, v = kernel
    padding = {
        "valid": ((0, 0), (0, 0)),
        "full": ((h - 1, h - 1), (v - 1, v - 1)),
        "same": ((h // 2, (h - 1) // 2), (v // 2, (v - 1) // 2)),
    }[mode]
    flip = tuple(a for a, n in zip("HW", kernel, strict=True) if n > 1)
    y = signal.convolve(x, w, mode, method="direct")
    explain(x, w, y, flip=flip, padding=padding, image_layout="HW", arithmetic="exact")
    y = signal.convolve2d(x, w, mode)
    explain(x, w, y, flip=flip, padding=padding)


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
def test_signal_correlate(mode: str) -> None:
    x, w = normal(13, 16), normal(4, 3)
    # Correlation centres an even kernel on the other side than convolution does.
    y = signal.correlate(x, w, mode, method="direct")
    found = explain(x, w, y, flip=())
    if mode == "same":
        assert found.padding[0] in {(1, 2), (2, 1)}


def test_n_d_convolution_reverses_the_channels_too() -> None:
    x, w = normal(5, 11, 12), normal(5, 2, 3)
    y = signal.convolve(x, w, "valid", method="direct")
    explain(x, w, y, flip=("I", "H", "W"))
    y = sum(signal.convolve(x[c], w[c], "valid", method="direct") for c in range(5))
    explain(x, w, y, flip=("H", "W"), channel_order=None)


@pytest.mark.parametrize("make", [signal.fftconvolve, signal.oaconvolve])
def test_transforms(make: object) -> None:
    x, w = normal(15, 17), normal(3, 4)
    explain(x, w, make(x, w, mode="same"), flip=("H", "W"), padding=((1, 1), (2, 1)))
    explain(x, w, make(x, w, mode="full"), flip=("H", "W"), padding=((2, 2), (3, 3)))


@pytest.mark.parametrize(
    ("boundary", "mode", "value"),
    [("symm", "symmetric", 0), ("wrap", "wrap", 0)],
)
def test_convolve2d_boundaries(boundary: str, mode: str, value: float) -> None:
    x, w = normal(13, 16), normal(4, 3)
    y = signal.convolve2d(x, w, "same", boundary=boundary, fillvalue=value)
    explain(x, w, y, padding_mode=mode, padding_value=value, padding=((2, 1), (1, 1)))


BORDERS = {
    "reflect": "symmetric",
    "mirror": "reflect",
    "nearest": "edge",
    "wrap": "wrap",
    "grid-wrap": "wrap",
    "grid-mirror": "symmetric",
    "constant": "constant",
}


@pytest.mark.parametrize("mode", BORDERS)
@pytest.mark.parametrize("kernel", [(3, 5), (4, 2), (2, 3)])
@pytest.mark.parametrize("make", [ndimage.convolve, ndimage.correlate])
def test_ndimage(make: object, kernel: tuple[int, int], mode: str) -> None:
    x, w = normal(12, 15), normal(*kernel)
    y = make(x, w, mode=mode, cval=1.5)
    wanted = BORDERS[mode]
    if wanted == "symmetric" and max(kernel) == 3:
        wanted = "edge"  # one element further on, both repeat the edge
    found = explain(x, w, y, padding_mode=wanted)
    assert found.flip == (("H", "W") if make is ndimage.convolve else ())
    if mode == "constant":
        assert found.padding_value == pytest.approx(1.5)
    for (before, after), n in zip(found.padding, kernel, strict=True):
        assert before + after == n - 1
        # Convolution reverses the kernel about its centre, an even kernel's to the other side.
        assert before == ((n - 1) // 2 if make is ndimage.convolve else n // 2)


@pytest.mark.parametrize("origin", [1, -1])
def test_ndimage_with_an_origin(origin: int) -> None:
    x, w = normal(12, 15), normal(4, 3)
    y = ndimage.correlate(x, w, origin=(0, origin), mode="constant")
    explain(x, w, y, padding=((2, 1), (1 + origin, 1 - origin)))


def circular(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return fft.irfft2(fft.rfft2(x) * fft.rfft2(w, x.shape), x.shape)


def test_circular_convolution() -> None:
    x, w = normal(13, 16), normal(3, 4)
    explain(x, w, circular(x, w), flip=("H", "W"), padding_mode="wrap", padding=((2, 0), (3, 0)))


@pytest.mark.parametrize("shift", [(-1, -1), (3, 0), (0, -5), (6, 7)])
def test_a_rolled_circular_convolution(shift: tuple[int, int]) -> None:
    x, w = normal(13, 16), normal(3, 4)
    y = np.roll(circular(x, w), shift, (0, 1))
    explain(x, w, y, flip=("H", "W"), padding_mode="wrap")


def test_circular_layers() -> None:
    x, w = normal(3, 12, 14), normal(4, 3, 3, 3)
    y = sum(np.stack([circular(x[c], w[k, c]) for k in range(4)]) for c in range(3))
    explain(x, w, y, flip=("H", "W"), padding_mode="wrap")


def test_separable_filters() -> None:
    x = normal(12, 15)
    row, column = [3.0, 1, 2], [1.0, 2, 4]
    explain(x, np.outer(column, row), signal.sepfir2d(x, row, column), flip=("H", "W"))


def test_a_mean_is_a_kernel_of_ones_scaled() -> None:
    x = normal(12, 15)
    first = explain(x, np.ones((3, 3)), ndimage.uniform_filter(x, 3))
    assert first.scale == pytest.approx(1 / 9)
    assert first.padding_mode == "edge"


def test_complex_arrays() -> None:
    x = normal(12, 15) + 1j * normal(12, 15)
    w = normal(3, 4) + 1j * normal(3, 4)
    explain(x, w, signal.convolve2d(x, w, "same"), flip=("H", "W"))
