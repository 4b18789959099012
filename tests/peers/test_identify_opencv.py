"""What OpenCV's filters do, identified from their arrays alone."""

from __future__ import annotations

import numpy as np
import pytest
from explained import explain, verdict
from few import one_in

cv2 = pytest.importorskip("cv2")

DRAWN_FROM = 9
RNG = np.random.default_rng(DRAWN_FROM)
BORDERS = {
    "BORDER_CONSTANT": "constant",
    "BORDER_REPLICATE": "edge",
    "BORDER_REFLECT": "symmetric",
    "BORDER_REFLECT_101": "reflect",
}


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("kernel", [(3, 3), (4, 3), (2, 5)])
def test_filter2d(border: str, kernel: tuple[int, int]) -> None:
    x = RNG.standard_normal((14, 17)).astype(np.float32)
    w = RNG.standard_normal(kernel).astype(np.float32)
    y = cv2.filter2D(x, -1, w, borderType=getattr(cv2, border))
    h, v = kernel
    explain(
        x,
        w,
        y,
        flip=(),
        padding=((h // 2, (h - 1) // 2), (v // 2, (v - 1) // 2)),
        # One element further on, edge and symmetric are the same.
        padding_mode="edge" if kernel == (3, 3) and border == "BORDER_REFLECT" else BORDERS[border],
        arithmetic="float32",
    )


def test_the_default_border_is_reflect() -> None:
    x = RNG.standard_normal((14, 17)).astype(np.float32)
    w = RNG.standard_normal((3, 5)).astype(np.float32)
    explain(x, w, cv2.filter2D(x, -1, w), padding_mode="reflect")


def test_an_anchor() -> None:
    x = RNG.standard_normal((14, 17)).astype(np.float32)
    w = RNG.standard_normal((3, 4)).astype(np.float32)
    y = cv2.filter2D(x, -1, w, anchor=(0, 2), borderType=cv2.BORDER_CONSTANT)
    explain(x, w, y, padding=((2, 0), (0, 3)))


def test_colour_images_share_one_kernel() -> None:
    x = RNG.standard_normal((14, 17, 3)).astype(np.float32)
    w = RNG.standard_normal((3, 4)).astype(np.float32)
    explain(x, w, cv2.filter2D(x, -1, w), image_layout="HWC", output_layout="HWC", groups=3)


@pytest.mark.parametrize("kind", [np.float32, np.int16])
def test_bytes_saturate(kind: type) -> None:
    x = RNG.integers(0, 256, (20, 23), dtype=np.uint8)
    w = np.random.default_rng(3).integers(-2, 4, (3, 4)).astype(kind)
    y = cv2.filter2D(x, -1, w.astype(np.float32))
    assert (y == 255).any()
    assert (y == 0).any()
    explain(x, w, y, padding_mode="reflect", storage={"dtype": "uint8"})


def test_bytes_that_are_rounded() -> None:
    x = RNG.integers(0, 256, (20, 23), dtype=np.uint8)
    w = RNG.random((3, 5)).astype(np.float32) / 6
    explain(x, w, cv2.filter2D(x, -1, w), padding_mode="reflect", storage={"dtype": "uint8"})


def test_wider_results_of_bytes() -> None:
    x = RNG.integers(0, 256, (20, 23), dtype=np.uint8)
    w = RNG.integers(-9, 9, (3, 4)).astype(np.float32)
    explain(x, w, cv2.filter2D(x, cv2.CV_32F, w), padding_mode="reflect", arithmetic="exact")
    explain(x, w, cv2.filter2D(x, cv2.CV_16S, w), padding_mode="reflect")


def test_blur_is_a_scaled_kernel_of_ones() -> None:
    x = RNG.standard_normal((14, 17)).astype(np.float32)
    w = np.ones((3, 5), np.float32)
    found = explain(x, w, cv2.blur(x, (5, 3)))
    assert found.padding_mode == "reflect"
    assert found.scale == pytest.approx(1 / 15, rel=1e-5)
    assert explain(x, w, cv2.boxFilter(x, -1, (5, 3), normalize=False)).scale == 1.0


def test_sobel() -> None:
    x = RNG.standard_normal((14, 17)).astype(np.float32)
    w = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
    for found in (
        explain(x, w, cv2.Sobel(x, -1, 1, 0)),
        explain(x, w.T.copy(), cv2.Sobel(x, -1, 0, 1)),
    ):
        assert found.padding_mode == "reflect"
        assert abs(found.scale) == 1.0


def test_separable_filters() -> None:
    x = RNG.standard_normal((14, 17)).astype(np.float32)
    row, column = (RNG.standard_normal(n).astype(np.float32) for n in (5, 4))
    w = np.outer(column, row)
    explain(x, w, cv2.sepFilter2D(x, -1, row, column), padding=((2, 1), (2, 2)))


def test_gaussian_blur_against_its_kernel() -> None:
    x = RNG.standard_normal((20, 23)).astype(np.float32)
    g = cv2.getGaussianKernel(5, 1.1, cv2.CV_32F)
    found = explain(x, g @ g.T, cv2.GaussianBlur(x, (5, 5), 1.1))
    assert found.padding_mode == "reflect"


NOT_CONVOLUTIONS = {
    "median": (np.uint8, lambda x: cv2.medianBlur(x, 3)),
    "erosion": (np.uint8, lambda x: cv2.erode(x, np.ones((3, 3), np.uint8))),
    "equalised": (np.uint8, cv2.equalizeHist),
    "median of floats": (np.float32, lambda x: cv2.medianBlur(x, 3)),
    "bilateral": (np.float32, lambda x: cv2.bilateralFilter(x, 5, 75, 75)),
}


@pytest.mark.parametrize("name", one_in(5, NOT_CONVOLUTIONS))
def test_what_is_no_convolution(name: str) -> None:
    dtype, made = NOT_CONVOLUTIONS[name]
    x = RNG.integers(0, 256, (20, 23), dtype=np.uint8).astype(dtype)
    w = RNG.standard_normal((3, 3)).astype(np.float32)
    assert verdict(x, w, made(x)).verdict == "unexplained"
    if dtype == np.float32:
        assert verdict(x, np.ones((3, 3), np.float32), made(x)).verdict == "unexplained"
