"""What scikit-image's filters do, identified from their arrays alone."""

from __future__ import annotations

import numpy as np
import pytest
from explained import explain, verdict

filters = pytest.importorskip("skimage.filters")

RNG = np.random.default_rng(3)


def test_prewitt_and_laplace() -> None:
    x = RNG.standard_normal((15, 18))
    w = np.array([[1, 1, 1], [0, 0, 0], [-1, -1, -1]]) / 3
    found = explain(x, w, filters.prewitt_h(x))
    assert abs(found.scale) == 1.0
    assert found.padding == ((1, 1), (1, 1))
    w = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], float)
    assert explain(x, w, filters.laplace(x)).padding_mode == "edge"


def test_farid_kernels_as_they_are() -> None:
    x = RNG.standard_normal((15, 18))
    w = RNG.standard_normal((3, 3))
    y = filters.edges.convolve(x, w) if hasattr(filters.edges, "convolve") else None
    if y is None:
        pytest.skip("this version keeps its convolution elsewhere")
    explain(x, w, y, flip=("H", "W"))


def test_gaussian_against_its_kernel() -> None:
    x = RNG.standard_normal((15, 18))
    impulse = np.zeros((9, 9))
    impulse[4, 4] = 1
    w = filters.gaussian(impulse, 1.0, truncate=3, mode="constant")[1:8, 1:8]
    y = filters.gaussian(x, 1.0, truncate=3, mode="mirror")
    found = explain(x, w, y)
    assert found.padding_mode == "reflect"


def test_what_is_no_convolution() -> None:
    x = RNG.standard_normal((15, 18))
    w = RNG.standard_normal((3, 3))
    for y in (filters.median(x), filters.sobel(x), filters.rank_order(x)[0].astype(float)):
        assert verdict(x, w, y).verdict == "unexplained"
